//! `sluice status`: the account, of the running process or as it is on disk.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use sluice_sdk::typed;

use super::reach::{Admin, explained};
use super::{load_config, output};
use crate::engine::dead_letters::LettersStatus;
use crate::engine::read_status;
use crate::engine::status::{Balance, ConfigStatus, Status};

/// How the status is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StatusFormat {
    /// For people.
    Human,
    /// One JSON object, as `/status` gives it.
    Json,
}

/// What came in and what became of it. Asks the running process, or reads the data folder.
#[derive(Debug, Args)]
#[command(after_help = "\
In every line: received = delivered + skipped + dead + expired + waiting.
Exit codes: 0 all is well, 1 a connector is held or nothing could be read, 2 wrong use.")]
pub struct StatusArgs {
    /// The config file.
    #[arg(short, long, default_value = "sluice.yaml", value_name = "FILE")]
    config: PathBuf,
    /// human or json.
    #[arg(long, value_enum, default_value = "human")]
    format: StatusFormat,
    /// A line for each event type as well.
    #[arg(long)]
    types: bool,
}

/// Run the command.
pub fn run(args: &StatusArgs, colour: bool) -> ExitCode {
    let Some(config) = load_config(&args.config, colour) else {
        return ExitCode::from(1);
    };
    let running =
        Admin::of(&config).and_then(|admin| admin.json::<Status>("GET", "/status", None).ok());
    let status = match running.map_or_else(|| read_status(&config), Ok) {
        Ok(status) => status,
        Err(problem) => {
            output::tell(&format!(
                "error: {}\n",
                explained(&problem, config.admin.listen)
            ));
            return output::problems();
        }
    };
    output::print(&match args.format {
        StatusFormat::Json => format!(
            "{}\n",
            serde_json::to_string_pretty(&status).unwrap_or_default()
        ),
        StatusFormat::Human => human(&status, args.types),
    });
    let is_held = status
        .connectors
        .values()
        .any(|connector| connector.held.is_some());
    ExitCode::from(u8::from(is_held))
}

fn human(status: &Status, types: bool) -> String {
    let mut out = String::new();
    config(&mut out, &status.config);
    for (name, source) in &status.sources {
        let malformed: u64 = source.malformed.values().sum();
        let _ = writeln!(
            out,
            "source {name}: {}, {} taken, {} of them duplicates, {malformed} parts set aside",
            source.state, source.taken, source.duplicates
        );
        if let Some(endpoint) = &source.endpoint {
            let _ = writeln!(out, "  {endpoint}");
        }
        if source.lost > 0 {
            let _ = writeln!(out, "  {} events lost to damage of the disk", source.lost);
        }
    }
    for (name, connector) in &status.connectors {
        let _ = writeln!(out, "connector {name}: {}", connector.state);
        if let Some(since) = &connector.paused {
            let _ = writeln!(
                out,
                "  since {since}; {} lets it go on",
                typed(&format!("resume {name}"))
            );
        }
        if connector.concurrency < connector.concurrency_max {
            let _ = writeln!(
                out,
                "  {} of {} requests at the same time, until the sink takes more",
                connector.concurrency, connector.concurrency_max
            );
        }
        if let Some(held) = &connector.held {
            let _ = writeln!(out, "  since {}: {}", held.since, held.reason);
        }
        if let Some(held) = &connector.was_held {
            let _ = writeln!(out, "  was held since {}: {}", held.since, held.reason);
        }
        if let Some(trouble) = &connector.trouble {
            let _ = writeln!(out, "  not taken, tried again: {trouble}");
        }
        let _ = writeln!(out, "  {}", line(&connector.events));
        for (what, reasons) in [
            ("skipped", &connector.events.skipped),
            ("dead", &connector.events.dead),
        ] {
            for (reason, count) in reasons {
                let _ = writeln!(out, "    {count} {what}: {reason}");
            }
        }
        if types {
            for (event_type, balance) in &connector.types {
                let _ = writeln!(out, "  {event_type}: {}", line(balance));
            }
        }
    }
    for (name, letters) in &status.dead_letters {
        let _ = writeln!(out, "dead letters of {name}: {}", letters_line(letters));
    }
    for replay in &status.replays {
        let _ = writeln!(out, "{}", super::replay::line(replay));
    }
    for (channel, alerts) in &status.alerts {
        let _ = writeln!(
            out,
            "alerts by {channel}: {} sent, {} waiting, {} given up",
            alerts.sent, alerts.waiting, alerts.given_up
        );
        if let Some(trouble) = &alerts.trouble {
            let _ = writeln!(out, "  not sent: {trouble}");
        }
    }
    if status.connectors.is_empty() {
        let _ = writeln!(out, "nothing has run with this data folder yet");
    }
    out
}

/// Nothing for a process that does not run.
fn config(out: &mut String, config: &ConfigStatus) {
    if config.version == 0 {
        return;
    }
    let _ = writeln!(
        out,
        "config {} since {} ({})",
        config.version, config.since, config.hash
    );
    if let Some(problem) = &config.problem {
        let _ = writeln!(out, "  a later one was refused:\n{}", problem.trim_end());
    }
    for part in &config.needs_restart {
        let _ = writeln!(out, "  needs a restart: {part}");
    }
}

fn line(balance: &Balance) -> String {
    format!(
        "{} received = {} delivered + {} skipped + {} dead + {} expired + {} waiting",
        balance.received,
        balance.delivered,
        balance.skipped_total(),
        balance.dead_total(),
        balance.expired,
        balance.waiting
    )
}

fn letters_line(letters: &LettersStatus) -> String {
    let sum = |counts: &std::collections::BTreeMap<String, u64>| counts.values().sum::<u64>();
    let left = &letters.left;
    format!(
        "{} ever = {} held + {} delivered + {} skipped + {} dropped + {} expired",
        letters.ever,
        letters.held,
        left.delivered,
        sum(&left.skipped),
        sum(&left.dropped),
        sum(&left.expired)
    )
}
