//! `sluice status`: the account, of the running process or as it is on disk.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{load_config, output};
use crate::engine::status::{Balance, Status};
use crate::engine::{StartError, read_status};
use crate::journal::OpenError;

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
    let running = config.admin.listen.and_then(ask);
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

/// Why there is no status, and what helps.
fn explained(problem: &StartError, listen: Option<std::net::SocketAddr>) -> String {
    let StartError::Journal(OpenError::Locked { path, holder }) = problem else {
        return problem.to_string();
    };
    let holder = holder.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let why = listen.map_or_else(
        || {
            "its admin listener is off in this config; to ask it, set `admin: { listen: \
             127.0.0.1:9090 }` and restart it, or stop it first"
                .to_owned()
        },
        |address| {
            format!(
                "its admin listener is not reachable at {address}: set `admin: {{ listen: … }}` to \
                 the address it was started with, or stop it first"
            )
        },
    );
    format!(
        "a running process{holder} holds the data folder {}, and {why}",
        path.display()
    )
}

/// The status of the process behind the admin address, if there is one.
fn ask(listen: std::net::SocketAddr) -> Option<Status> {
    use std::io::{Read, Write};
    let patience = std::time::Duration::from_secs(5);
    let mut stream = std::net::TcpStream::connect_timeout(&listen, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream
        .write_all(format!("GET /status HTTP/1.0\r\nHost: {listen}\r\n\r\n").as_bytes())
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str(body).ok()
}

fn human(status: &Status, types: bool) -> String {
    let mut out = String::new();
    for (name, source) in &status.sources {
        let malformed: u64 = source.malformed.values().sum();
        let _ = writeln!(
            out,
            "source {name}: {} taken, {} of them duplicates, {malformed} parts set aside",
            source.taken, source.duplicates
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
        if let Some(held) = &connector.held {
            let _ = writeln!(out, "  since {}: {}", held.since, held.reason);
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
    if status.connectors.is_empty() {
        let _ = writeln!(out, "nothing has run with this data folder yet");
    }
    out
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
