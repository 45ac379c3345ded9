//! `sluice replay`: events that the journal still has, through a connector once more.

mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

pub use stage::Stage;

use super::load_config;
use super::mappings::tell_unknown_types;
use super::output::{self, Shape};
use crate::clock::Clock;
use crate::config::{Config, Period};
use crate::engine::replay::{JournalOrder, Origin, Phase, ReplayStatus};
use crate::wording::number;

/// Send events of the journal through a connector once more, as a stream of its own beside the live
/// one. The running process does it; when none runs, this command does.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  sluice replay --connector NAME --from 2026-05-31 --to 2026-06-01 --dry-run
  sluice replay --connector NAME --from 6h --type 'orders.*' --rate 50/s
  sluice replay list
  sluice replay cancel 3

TIME is when sluice received an event: 2026-05-31 or 2026-05-31T12:00:00Z (UTC), or 6h for six hours ago.
A replay waits while its connector is held or retrying, and goes on after a restart.
replayed = delivered + skipped + dead + gone + waiting; `sluice status` shows it as well.
Exit codes: 0 all is well, 1 some failed or it did not end, 2 wrong use."
)]
pub struct ReplayArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// The config file.
    #[arg(
        short,
        long,
        default_value = "sluice.yaml",
        value_name = "FILE",
        global = true
    )]
    config: PathBuf,
    /// Through which connector.
    #[arg(long, required = true)]
    connector: Option<String>,
    /// Events received since then. Default: all that the journal has.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Events received before then. Default: all that the connector has settled.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<Timestamp>,
    /// Only events of this type; `*` stands for any characters. May be given several times.
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All that run and the last that have ended.
    List {
        /// human or json.
        #[arg(long, value_enum, default_value = "human")]
        format: Shape,
    },
    /// End one; what it has not sent yet is not sent.
    Cancel {
        /// Its number, as `list` writes it.
        id: u64,
    },
}

/// How a replay is done.
#[derive(Debug, Args)]
pub struct How {
    /// Events a second, such as 50/s. Default 100/s.
    #[arg(long, value_name = "N/s", value_parser = parse_rate)]
    pub rate: Option<u32>,
    /// Read and map everything, send nothing, and say what would happen.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not wait for the end; the running process goes on by itself.
    #[arg(long)]
    pub no_wait: bool,
    /// human or json.
    #[arg(long, value_enum, default_value = "human")]
    pub format: Shape,
}

/// Run the command.
pub fn run(args: &ReplayArgs, colour: bool) -> ExitCode {
    let Some(config) = load_config(&args.config, colour) else {
        return output::problems();
    };
    let done = match &args.action {
        None => start(args, &config, colour),
        Some(Action::List { format }) => list(&config, *format),
        Some(Action::Cancel { id }) => cancel(&config, *id),
    };
    done.unwrap_or_else(|problem| {
        output::tell(&format!("error: {problem}\n"));
        output::problems()
    })
}

fn start(args: &ReplayArgs, config: &Config, colour: bool) -> Result<ExitCode, String> {
    tell_unknown_types(&args.types, config.catalogues());
    let order = JournalOrder {
        connector: args.connector.clone().unwrap_or_default(),
        from: args.from,
        to: args.to,
        types: args.types.clone(),
        rate: args.how.rate,
        dry_run: args.how.dry_run,
    };
    let stage = Stage::open(config, &args.config, colour)?;
    let body = serde_json::to_value(&order).map_err(|problem| problem.to_string())?;
    let answer = stage.ask("/replays", &body, |replays| replays.replay_journal(order))?;
    stage.follow(answer, &args.how)
}

fn list(config: &Config, format: Shape) -> Result<ExitCode, String> {
    let replays = stage::list(config)?;
    match format {
        Shape::Json => output::print(&output::json(&json!({"replays": replays}))),
        Shape::Human => {
            for replay in &replays {
                output::print(&format!("{}\n", line(replay)));
            }
            output::tell(&format!("{}\n", number(replays.len(), "replay")));
        }
    }
    Ok(output::good())
}

fn cancel(config: &Config, id: u64) -> Result<ExitCode, String> {
    let replay = stage::cancel(config, id)?;
    output::print(&format!("{}\n", line(&replay)));
    output::tell("cancelled; what is on its way gets a few seconds\n");
    Ok(output::good())
}

/// One replay in one line, or a few.
pub fn line(status: &ReplayStatus) -> String {
    let replay = &status.replay;
    let (account, phase) = (&replay.account, phase_name(replay.phase));
    let origin = match &replay.origin {
        Origin::DeadLetters { .. } => "dead letters",
        Origin::Journal(_) => "journal",
    };
    let mut text = format!(
        "replay {} of {} ({origin}): {phase}\n  {} replayed = {} delivered + {} skipped + {} dead + {} gone + {} waiting",
        replay.id,
        replay.connector,
        account.replayed,
        account.delivered,
        account.skipped_total(),
        account.dead_total(),
        account.gone,
        status.waiting
    );
    let reasons = [("skipped", &account.skipped), ("dead", &account.dead)];
    for (what, counts) in reasons {
        for (reason, count) in counts {
            text.push_str(&format!("\n    {count} {what}: {reason}"));
        }
    }
    for note in [&status.waits_for, &replay.note].into_iter().flatten() {
        text.push_str(&format!("\n  {note}"));
    }
    text
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Counting => "counting",
        Phase::Running => "running",
        Phase::Done => "done",
        Phase::Cancelled => "cancelled",
        Phase::Failed => "failed",
    }
}

/// A moment: a date, a date with time (UTC where nothing else is said), or a period before now.
///
/// # Errors
/// A sentence with the forms there are.
pub fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Some(Period(ago)) = Period::parse(text) {
        return Clock::default()
            .now()
            .checked_sub(ago)
            .map_err(|problem| problem.to_string());
    }
    let in_utc = |civil| jiff::tz::TimeZone::UTC.to_timestamp(civil);
    text.parse::<Timestamp>()
        .or_else(|_| text.parse::<jiff::civil::DateTime>().and_then(in_utc))
        .map_err(|_| {
            "expected a time such as 2026-05-31, 2026-05-31T12:00:00Z, or 6h for six hours ago"
                .to_owned()
        })
}

/// `50/s` or `50`.
///
/// # Errors
/// A sentence with the form.
pub fn parse_rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse() {
        Ok(rate) if rate > 0 => Ok(rate),
        _ => Err("expected events a second such as 50/s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_moments_or_periods_before_now() {
        let noon = "2026-05-31T12:00:00Z".parse::<Timestamp>().ok();
        assert_eq!(parse_time("2026-05-31T12:00:00Z").ok(), noon);
        assert_eq!(parse_time("2026-05-31T14:00:00+02:00").ok(), noon);
        assert_eq!(parse_time("2026-05-31T12:00").ok(), noon);
        let midnight = "2026-05-31T00:00:00Z".parse::<Timestamp>().ok();
        assert_eq!(parse_time("2026-05-31").ok(), midnight);
        let hour_ago = Clock::default().now().as_second() - 3600;
        let parsed = parse_time("1h").map(Timestamp::as_second).unwrap_or(0);
        assert!((parsed - hour_ago).abs() < 60, "{parsed}");
        assert!(parse_time("yesterday").is_err());
    }

    #[test]
    fn a_rate_is_events_a_second() {
        assert_eq!(parse_rate("50/s"), Ok(50));
        assert_eq!(parse_rate("7"), Ok(7));
        assert!(parse_rate("0").is_err() && parse_rate("1/m").is_err());
    }
}
