//! `sluice demo`: the whole way on one machine, with no account and no config.
//!
//! The source's own feeder sends synthetic events of every known type, the sink's own double takes
//! what comes out; everything between is what `sluice run` runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use sluice_sdk::catalogue::Catalogue;
use sluice_sdk::{DemoScenario, Double, Feeder, ReceivedDocument, program_name};
use tokio::time::Instant;

use crate::cli::output;
use crate::config::Mode;
use crate::diagnostics::{Files, Format, render, yaml_block};
use crate::engine::prepare::{Prepared, prepare};
use crate::engine::status::Balance;
use crate::engine::{Running, Shared, asked_to_stop};

/// Events in one request.
const BODY_EVENTS: usize = 100;
/// Requests under way at the same time.
const REQUESTS: usize = 4;
/// Longest time without any progress before the demo gives up and says so.
const STALLED: Duration = Duration::from_secs(30);
/// Pairs of event and document that are shown.
const PAIRS: usize = 3;

/// Options of `sluice demo`.
#[derive(Clone)]
pub struct DemoOptions {
    /// What is shown.
    pub config: DemoConfig,
    /// How many events are sent.
    pub events: u64,
    /// Events a second; nothing for as fast as it goes.
    pub rate: Option<u64>,
    /// Seed of the synthetic events.
    pub seed: u64,
    /// Stay up after the report.
    pub keep_running: bool,
    /// Colour in the report.
    pub colour: bool,
}

/// Where the demo's config comes from.
#[derive(Clone)]
pub enum DemoConfig {
    /// A file of the user's.
    File(PathBuf),
    /// The program.
    Registered(&'static DemoScenario),
}

/// The variable that a registered config can put files into: the folder of the demo.
const FOLDER_VARIABLE: &str = "DEMO_FOLDER";

/// Run the demo.
pub fn demo_command(options: &DemoOptions) -> ExitCode {
    let folder = std::env::temp_dir().join(format!("sluice-demo-{}", std::process::id()));
    let code = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(demo(options, &folder)),
        Err(problem) => Err(Failure::Said(format!("no threads to run on: {problem}"))),
    };
    let _ = std::fs::remove_dir_all(&folder);
    match code {
        Ok(code) => code,
        Err(Failure::NobodyReads) => ExitCode::SUCCESS,
        Err(Failure::Said(problem)) => {
            output::tell(&format!("error: {problem}\n"));
            ExitCode::from(1)
        }
    }
}

/// Why the demo ends early. It never leaves the process itself, so that its folder is removed.
enum Failure {
    /// The reader of the report went away.
    NobodyReads,
    /// A problem, in words.
    Said(String),
}

impl From<String> for Failure {
    fn from(problem: String) -> Self {
        Self::Said(problem)
    }
}

impl From<&str> for Failure {
    fn from(problem: &str) -> Self {
        Self::Said(problem.to_owned())
    }
}

fn say(text: &str) -> Result<(), Failure> {
    if output::try_write(text)? {
        Ok(())
    } else {
        Err(Failure::NobodyReads)
    }
}

async fn demo(options: &DemoOptions, folder: &Path) -> Result<ExitCode, Failure> {
    let stopped = asked_to_stop();
    tokio::pin!(stopped);
    std::fs::create_dir_all(folder)
        .map_err(|problem| format!("{} cannot be made: {problem}", folder.display()))?;
    let mut prepared = load(options, folder)?;
    prepared.config.journal.path = folder.join("data");
    let mut doubles: Vec<Box<dyn Double>> = Vec::new();
    for (name, connector) in &mut prepared.config.connectors {
        let start = connector.sink.plugin.double.ok_or_else(|| {
            format!("the sink of connector `{name}` has no local double; the demo needs one")
        })?;
        let double = start()
            .await
            .map_err(|problem| format!("the double does not start: {problem}"))?;
        if let (Some(settings), Some(over)) = (
            connector.sink.settings.as_object_mut(),
            double.settings().as_object(),
        ) {
            settings.extend(over.clone());
        }
        doubles.push(double);
    }
    let (source_name, source) = prepared
        .config
        .sources
        .first()
        .ok_or("the config has no source")?;
    let source_name = source_name.clone();
    let (Some(feed), Some(catalogue)) = (source.plugin.feed, source.plugin.catalogue) else {
        return Err(Failure::Said(format!(
            "the source `{source_name}` has no feeder or no catalogue; the demo needs both"
        )));
    };
    let settings = source.settings.clone();
    let running = Running::start(prepared)
        .await
        .map_err(|problem| problem.to_string())?;
    let shared = running.shared();
    let endpoint = tokio::time::timeout(Duration::from_secs(10), shared.endpoint(&source_name))
        .await
        .ok()
        .flatten()
        .ok_or("the source did not come up")?;
    say(&format!(
        "source    {source_name}: {endpoint}\njournal   {} (removed at the end)\n",
        folder.join("data").display()
    ))?;

    let feeder: Arc<dyn Feeder> = Arc::from(feed(endpoint, settings));
    let started = Instant::now();
    let sent = async {
        let firsts = send(options, catalogue(), feeder).await?;
        settle(&shared).await?;
        Ok::<_, Failure>(firsts)
    };
    let firsts = tokio::select! {
        firsts = sent => firsts?,
        () = &mut stopped => {
            running.shutdown().await;
            return Err("stopped before the report".into());
        }
    };
    let took = started.elapsed();
    say(&report(&shared, &firsts, &doubles, took, options.colour))?;

    if options.keep_running {
        say("\nStill running; Ctrl-C ends it.\n")?;
        stopped.await;
    }
    let balanced = shared.status().connectors.values().all(|connector| {
        let events = &connector.events;
        events.received == events.settled()
    });
    running.shutdown().await;
    Ok(if balanced {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn load(options: &DemoOptions, folder: &Path) -> Result<Prepared, String> {
    let path = match &options.config {
        DemoConfig::File(path) => path.clone(),
        DemoConfig::Registered(scenario) => {
            let path = folder.join("demo.yaml");
            std::fs::write(&path, scenario.config)
                .map_err(|problem| format!("{}: {problem}", path.display()))?;
            path
        }
    };
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let environment = |name: &str| match name {
        FOLDER_VARIABLE => Some(folder.display().to_string()),
        name => std::env::var(name).ok(),
    };
    let prepared = prepare(&path, Mode::Run, &environment, &mut files, &mut diagnostics);
    if !diagnostics.is_empty() {
        output::tell(&render(&diagnostics, &files, Format::Human, options.colour));
    }
    prepared.ok_or_else(|| "the config has errors".to_owned())
}

/// The first events of each type, as sent: id and text. Several, since one may be of a user who is
/// not sent.
type Firsts = BTreeMap<String, Vec<(String, String)>>;

/// Events of one type that are kept to be shown.
const FIRSTS: usize = 12;

/// An event of the type that became a document, with that document.
fn pair<'a>(
    firsts: &'a Firsts,
    event_type: &str,
    double: &dyn Double,
) -> Option<(&'a str, ReceivedDocument)> {
    firsts
        .get(event_type)?
        .iter()
        .find_map(|(id, event)| Some((event.as_str(), double.document(id)?)))
}

/// One a line, as YAML.
fn members(object: &Value) -> String {
    object
        .as_object()
        .map_or_else(String::new, |members| yaml_block(members, 4))
}

async fn send(
    options: &DemoOptions,
    catalogue: &'static Catalogue,
    feeder: Arc<dyn Feeder>,
) -> Result<Firsts, String> {
    let types = &catalogue.events;
    let bar = ProgressBar::new(options.events).with_style(
        ProgressStyle::with_template(
            "sending   {bar:40} {human_pos}/{human_len} events  {per_sec}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut firsts = Firsts::new();
    let mut requests = tokio::task::JoinSet::new();
    let mut sent = 0;
    let started = Instant::now();
    while sent < options.events {
        let count = BODY_EVENTS.min(usize::try_from(options.events - sent).unwrap_or(BODY_EVENTS));
        let mut body = Vec::with_capacity(count);
        for n in sent..sent + count as u64 {
            let event_type = &types[usize::try_from(n).unwrap_or(0) % types.len()];
            let event = event_type.synthesize(options.seed, n);
            let text = event.to_string();
            let kept = firsts.entry(event_type.name.clone()).or_default();
            if kept.len() < FIRSTS {
                kept.push((
                    event["id"].as_str().unwrap_or_default().to_owned(),
                    text.clone(),
                ));
            }
            body.push(text);
        }
        sent += count as u64;
        if requests.len() >= REQUESTS {
            joined(requests.join_next().await)?;
        }
        let feeder = Arc::clone(&feeder);
        requests.spawn(async move { feeder.send(body).await });
        bar.inc(count as u64);
        if let Some(rate) = options.rate.filter(|rate| *rate > 0) {
            tokio::time::sleep_until(started + Duration::from_secs_f64(sent as f64 / rate as f64))
                .await;
        }
    }
    while let Some(result) = requests.join_next().await {
        joined(Some(result))?;
    }
    bar.finish_and_clear();
    Ok(firsts)
}

fn joined(
    result: Option<Result<Result<(), String>, tokio::task::JoinError>>,
) -> Result<(), String> {
    match result {
        None | Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(problem))) => Err(format!("the source did not take a request: {problem}")),
        Some(Err(failure)) => Err(failure.to_string()),
    }
}

async fn settle(shared: &Shared) -> Result<(), String> {
    let mut waiting = shared.waiting();
    let mut since = Instant::now();
    while waiting > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = shared.waiting();
        if now != waiting {
            waiting = now;
            since = Instant::now();
        } else if since.elapsed() > STALLED {
            return Err(format!(
                "{waiting} events are still waiting after {} s without progress",
                STALLED.as_secs()
            ));
        }
    }
    Ok(())
}

fn report(
    shared: &Shared,
    firsts: &Firsts,
    doubles: &[Box<dyn Double>],
    took: Duration,
    colour: bool,
) -> String {
    let mut out = String::new();
    let bold = |text: &str| {
        if colour {
            format!("\u{1b}[1m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    };
    let status = shared.status();
    for ((name, connector), double) in status.connectors.iter().zip(doubles) {
        let _ = writeln!(
            out,
            "\n{}",
            bold(&format!("What became of what · connector {name}"))
        );
        let mut rows =
            vec![["event type", "became", "received", "delivered", "not sent"].map(str::to_owned)];
        for (event_type, balance) in &connector.types {
            let title = pair(firsts, event_type, &**double)
                .map_or_else(|| "-".to_owned(), |(_, document)| document.title);
            rows.push([
                event_type.clone(),
                title,
                balance.received.to_string(),
                balance.delivered.to_string(),
                not_sent(balance),
            ]);
        }
        out.push_str(&table(&rows, &bold));

        let _ = writeln!(out, "\n{}", bold("Three of them, to read"));
        let pairs: Vec<_> = firsts
            .keys()
            .filter_map(|event_type| pair(firsts, event_type, &**double))
            .collect();
        let step = (pairs.len() / PAIRS).max(1);
        for (event, document) in pairs.iter().step_by(step).take(PAIRS) {
            let _ = writeln!(out, "  {}", bold("the event"));
            out.push_str(&members(&serde_json::from_str(event).unwrap_or_default()));
            let _ = writeln!(out, "  {} {}", bold("became"), document.title);
            let _ = writeln!(out, "{}", members(&document.body));
        }

        let events = &connector.events;
        let _ = writeln!(
            out,
            "{}\n  {} received = {} delivered + {} skipped + {} dead + {} expired + {} waiting   ({} documents, {} requests, {} tried again, {:.1} s)",
            bold("The balance"),
            events.received,
            events.delivered,
            events.skipped_total(),
            events.dead_total(),
            events.expired,
            events.waiting,
            connector.documents.delivered,
            connector.requests,
            connector.retries,
            took.as_secs_f64(),
        );
        let _ = writeln!(
            out,
            "  the double took {} documents as valid{}",
            double.accepted(),
            dropped(&**double)
        );
    }
    let program = program_name();
    let _ = writeln!(
        out,
        "\n{}\n  {program} init my-sync       a folder to begin with: config, your own mappings, a test\n  {program} map --sample TYPE  what one event becomes, and why\n  {program} coverage           every event type and its rule",
        bold("Where next")
    );
    out
}

fn dropped(double: &dyn Double) -> String {
    let dropped = double.dropped();
    if dropped.is_empty() {
        return ", none dropped".to_owned();
    }
    let list: Vec<String> = dropped
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    format!("; dropped after its yes: {}", list.join(", "))
}

fn not_sent(balance: &Balance) -> String {
    let list: Vec<String> = balance
        .skipped
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .chain(
            balance
                .dead
                .iter()
                .map(|(reason, count)| format!("{count} dead: {reason}")),
        )
        .collect();
    list.join(", ")
}

/// Columns as wide as their longest cell; the first row is the head; numbers stand on the right.
fn table<const N: usize>(rows: &[[String; N]], bold: &dyn Fn(&str) -> String) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for (at, row) in rows.iter().enumerate() {
        let mut line = String::from("  ");
        for (width, cell) in widths.iter().zip(row) {
            let pad = " ".repeat(width - cell.chars().count());
            let is_number = !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
            let _ = if is_number {
                write!(line, "{pad}{cell}  ")
            } else {
                write!(line, "{cell}{pad}  ")
            };
        }
        let line = line.trim_end();
        let _ = writeln!(
            out,
            "{}",
            if at == 0 { bold(line) } else { line.to_owned() }
        );
    }
    out
}
