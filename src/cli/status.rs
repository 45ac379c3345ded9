//! `sluice status`: the account, of the running process or as it is on disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use sluice_sdk::typed;

use super::reach::{Admin, explained};
use super::{load_config, output};
use crate::config::Config;
use crate::engine::dead_letters::LettersStatus;
use crate::engine::read_status;
use crate::engine::status::{Balance, ConfigStatus, ConnectorStatus, SourceStatus, Status};
use crate::wording::number;

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
        StatusFormat::Human => human(&status, args.types, &config),
    });
    let is_held = status
        .connectors
        .values()
        .any(|connector| connector.held.is_some());
    ExitCode::from(u8::from(is_held))
}

fn human(status: &Status, types: bool, file: &Config) -> String {
    let mut out = String::new();
    config(&mut out, &status.config);
    for (name, one) in &status.sources {
        source(&mut out, name, one);
    }
    for (name, one) in &status.connectors {
        let settings = file.connectors.get(name);
        let flush_after = settings.map(|it| it.batch.flush_after);
        connector(&mut out, name, one, flush_after, types);
        if types {
            for (event_type, balance) in &one.types {
                let _ = writeln!(out, "  {event_type}: {}", line(balance));
            }
        }
    }
    for stranded in &status.stranded {
        let _ = writeln!(out, "left behind: {stranded}");
    }
    for (name, letters) in &status.dead_letters {
        let _ = writeln!(out, "dead letters of {name}: {}", letters_line(letters));
    }
    if status.dead_letters.values().any(|letters| letters.held > 0) {
        let _ = writeln!(out, "  {} shows why", typed("dead-letters list"));
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

fn source(out: &mut String, name: &str, source: &SourceStatus) {
    let malformed: u64 = source.malformed.values().sum();
    let _ = writeln!(
        out,
        "source {name}: {}, {} taken, {} of them duplicates, {} set aside",
        source.state,
        number(source.taken, "event"),
        source.duplicates,
        number(malformed, "part")
    );
    if let Some(endpoint) = &source.endpoint {
        let _ = writeln!(out, "  {endpoint}");
    }
    for (reason, count) in &source.malformed {
        let _ = writeln!(out, "    {count} set aside: {reason}");
    }
    for (reason, count) in &source.refused {
        let _ = writeln!(out, "    {} refused: {reason}", number(*count, "request"));
    }
    if let Some(trouble) = &source.trouble {
        let _ = writeln!(out, "  the last request was not taken: {trouble}");
    }
    if source.lost > 0 {
        let lost = number(source.lost, "event");
        let _ = writeln!(out, "  {lost} lost to damage of the disk");
    }
}

fn connector(
    out: &mut String,
    name: &str,
    connector: &ConnectorStatus,
    flush_after: Option<Duration>,
    types: bool,
) {
    let _ = writeln!(out, "connector {name}: {}", connector.state);
    if let Some(since) = &connector.paused {
        let _ = writeln!(
            out,
            "  since {}; {} lets it go on",
            second(since),
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
        let _ = writeln!(out, "  since {}: {}", second(&held.since), held.reason);
    }
    if let Some(held) = &connector.was_held {
        let _ = writeln!(
            out,
            "  was held since {}: {}",
            second(&held.since),
            held.reason
        );
    }
    if let Some(trouble) = &connector.trouble {
        let _ = writeln!(out, "  not taken, tried again: {trouble}");
    }
    let events = &connector.events;
    let _ = writeln!(out, "  {}", line(events));
    for (what, reasons) in [("skipped", &events.skipped), ("dead", &events.dead)] {
        for (reason, count) in reasons {
            let of = match reason.as_str() {
                "unmapped" if !types => unmapped(connector),
                _ => String::new(),
            };
            let _ = writeln!(out, "    {count} {what}: {reason}{of}");
        }
    }
    if let Some(why) = why_waiting(connector, flush_after) {
        let _ = writeln!(out, "    {} waiting: {why}", events.waiting);
    }
}

/// The types that most of the unmapped events have.
fn unmapped(connector: &ConnectorStatus) -> String {
    const TYPES_MAX: usize = 3;
    let count = |balance: &Balance| {
        let of = |reasons: &BTreeMap<String, u64>| reasons.get("unmapped").copied();
        of(&balance.skipped)
            .or_else(|| of(&balance.dead))
            .unwrap_or(0)
    };
    let types = connector.types.iter();
    let mut counts: Vec<(&str, u64)> = types
        .map(|(name, balance)| (name.as_str(), count(balance)))
        .filter(|(_, count)| *count > 0)
        .collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let shown: Vec<&str> = counts
        .iter()
        .take(TYPES_MAX)
        .map(|(name, _)| *name)
        .collect();
    match counts.len().saturating_sub(TYPES_MAX) {
        _ if counts.is_empty() => String::new(),
        0 => format!(" ({})", shown.join(", ")),
        more => format!(" ({} and {more} more; `--types` for all)", shown.join(", ")),
    }
}

/// What those that wait are waiting for, where the lines before do not say it.
fn why_waiting(connector: &ConnectorStatus, flush_after: Option<Duration>) -> Option<String> {
    if connector.events.waiting == 0 {
        return None;
    }
    match connector.state.as_str() {
        "delivering" => Some(match flush_after {
            Some(after) => format!(
                "they go with the next requests; one that is not full leaves after {after:?} (`batch.flush_after`)"
            ),
            None => "they go with the next requests".to_owned(),
        }),
        "stopped" => Some("they are on disk, and go when it runs".to_owned()),
        _ => None,
    }
}

/// A time without the parts of a second.
fn second(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

/// Nothing for a process that does not run.
fn config(out: &mut String, config: &ConfigStatus) {
    if config.version == 0 {
        return;
    }
    let _ = writeln!(
        out,
        "config {} runs since {} ({})",
        config.version,
        second(&config.since),
        config.hash
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn source_of(malformed: u64) -> SourceStatus {
        SourceStatus {
            state: "running".to_owned(),
            taken: malformed,
            malformed: BTreeMap::from([("no event_type".to_owned(), malformed)]),
            refused: BTreeMap::from([("wrong token".to_owned(), malformed)]),
            ..SourceStatus::default()
        }
    }

    #[test]
    fn unmapped_events_say_of_which_types_they_are() {
        let unmapped = |count| Balance {
            skipped: BTreeMap::from([("unmapped".to_owned(), count)]),
            ..Balance::default()
        };
        let mut one = ConnectorStatus {
            events: unmapped(11),
            ..ConnectorStatus::default()
        };
        let line = |one: &ConnectorStatus, types| {
            let mut out = String::new();
            connector(&mut out, "out", one, None, types);
            out.lines()
                .find(|line| line.contains("unmapped"))
                .map(str::to_owned)
        };
        for (name, count) in [("a", 1), ("b", 5), ("c", 3)] {
            one.types.insert(name.to_owned(), unmapped(count));
        }
        one.types.insert("mapped".to_owned(), Balance::default());
        assert_eq!(
            line(&one, false).as_deref(),
            Some("    11 skipped: unmapped (b, c, a)")
        );
        assert_eq!(
            line(&one, true).as_deref(),
            Some("    11 skipped: unmapped")
        );
        one.types.insert("d".to_owned(), unmapped(2));
        let more = "    11 skipped: unmapped (b, c, d and 1 more; `--types` for all)";
        assert_eq!(line(&one, false).as_deref(), Some(more));
    }

    #[test]
    fn one_is_not_written_as_many_and_each_number_says_why() {
        let mut out = String::new();
        source(&mut out, "in", &source_of(1));
        source(&mut out, "in", &source_of(2));
        assert_eq!(
            out,
            "\
source in: running, 1 event taken, 0 of them duplicates, 1 part set aside
    1 set aside: no event_type
    1 request refused: wrong token
source in: running, 2 events taken, 0 of them duplicates, 2 parts set aside
    2 set aside: no event_type
    2 requests refused: wrong token
"
        );
    }

    #[test]
    fn what_waits_says_what_for() {
        let waiting = |state: &str, waiting| ConnectorStatus {
            state: state.to_owned(),
            events: Balance {
                waiting,
                ..Balance::default()
            },
            ..ConnectorStatus::default()
        };
        let second = Some(Duration::from_secs(1));
        let said = |state, count| why_waiting(&waiting(state, count), second);
        assert!(
            said("delivering", 1).is_some_and(|it| it.contains("after 1s (`batch.flush_after`)"))
        );
        assert!(said("stopped", 1).is_some_and(|it| it.contains("on disk")));
        // The lines before say it.
        assert_eq!(said("held", 1), None);
        assert_eq!(said("delivering", 0), None);
    }

    #[test]
    fn a_time_is_written_to_the_second() {
        assert_eq!(
            second("2026-05-31T12:00:00.123456789Z"),
            "2026-05-31T12:00:00Z"
        );
        assert_eq!(second("2026-05-31T12:00:00Z"), "2026-05-31T12:00:00Z");
    }
}
