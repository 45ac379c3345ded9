//! Plugins that break the contract in the worst ways, crash or never come back: each stands still by
//! itself and says so, and nothing is lost. The clock is tokio's and runs when there is nothing to do.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::{Duration, Instant};

use sluice::config::Mode;
use sluice::diagnostics::{Files, Format, render};
use sluice::engine::prepare::prepare;
use sluice::engine::status::ConnectorStatus;
use sluice::engine::{Running, Shared};
use sluice_sdk::{
    Batch, Bytes, CheckError, ConfigError, Delivery, EventMark, Intake, JsonSchema, Limits,
    Outcome, Rejection, Sink, Source, SourceError, Stop, Submission, register_sink,
    register_source,
};

/// Longest real time for anything; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a sink does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Flaw {
    /// Nothing.
    None,
    /// `prepare` comes back when the test says so.
    PrepareBlocks,
    /// `prepare` panics.
    PreparePanics,
    /// `deliver` panics.
    DeliverPanics,
    /// `check` never comes back.
    CheckHangs,
    /// `check` panics.
    CheckPanics,
}

/// A sink with a flaw.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FlawedConfig {
    /// What it does wrong.
    flaw: Flaw,
}

struct Flawed(Flaw);

/// What blocked calls of `prepare` wait for.
static RELEASED: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

impl Flawed {
    #[expect(clippy::unnecessary_wraps, reason = "what the register macro takes")]
    fn new(config: FlawedConfig) -> Result<Self, ConfigError> {
        Ok(Self(config.flaw))
    }
}

impl Sink for Flawed {
    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn prepare(&self, document: Bytes) -> Result<Bytes, Rejection> {
        match self.0 {
            Flaw::PrepareBlocks => {
                let (is_released, changed) = &RELEASED;
                let guard = is_released.lock().expect("not poisoned");
                drop(changed.wait_while(guard, |it| !*it).expect("not poisoned"));
            }
            Flaw::PreparePanics => panic!("on purpose"),
            _ => {}
        }
        Ok(document)
    }

    async fn check(&self) -> Result<(), CheckError> {
        match self.0 {
            Flaw::CheckHangs => std::future::pending().await,
            Flaw::CheckPanics => panic!("on purpose"),
            _ => Ok(()),
        }
    }

    async fn deliver(&self, _: &Batch) -> Delivery {
        assert_ne!(self.0, Flaw::DeliverPanics, "on purpose");
        Delivery::All(Outcome::Delivered)
    }
}

register_sink!("flawed", FlawedConfig => Flawed::new,
    summary: "Has a flaw.", example: "flaw: none");

/// A source that brings some events and does not stop.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StubbornConfig {
    /// How many events it brings.
    events: u32,
    /// Whether it panics then.
    panics: bool,
}

struct Stubborn(StubbornConfig);

impl Stubborn {
    #[expect(clippy::unnecessary_wraps, reason = "what the register macro takes")]
    fn new(config: StubbornConfig) -> Result<Self, ConfigError> {
        Ok(Self(config))
    }
}

impl Source for Stubborn {
    async fn run(self: Box<Self>, intake: Intake, _: Stop) -> Result<(), SourceError> {
        intake.ready("here");
        let taken = intake.accept(submission(self.0.events)).await;
        taken.map_err(|problem| SourceError(problem.to_string()))?;
        assert!(!self.0.panics, "on purpose");
        std::future::pending().await
    }
}

register_source!("stubborn", StubbornConfig => Stubborn::new,
    summary: "Does not stop.", example: "events: 1\npanics: false");

fn submission(events: u32) -> Submission {
    let mut submission = Submission::default();
    let mut body = String::new();
    for n in 0..events {
        let start = u32::try_from(body.len()).expect("short");
        body += &format!(r#"{{"event_type":"seen","id":"{n}"}}"#);
        submission.events.push(EventMark {
            start,
            end: u32::try_from(body.len()).expect("short"),
            event_type: "seen".to_owned(),
            id: n.to_string(),
            time_ms: None,
        });
    }
    submission.body = body.into();
    submission
}

/// An engine with a source of this many events, and a connector for each flaw, named as it is.
async fn start(folder: &Path, events: u32, panics: bool, flaws: &[&str]) -> Running {
    start_from("here", folder, events, panics, flaws).await
}

async fn start_from(
    source: &str,
    folder: &Path,
    events: u32,
    panics: bool,
    flaws: &[&str],
) -> Running {
    // Before the first line is logged: what nobody listens to then is silent for good.
    LazyLock::force(&LOG);
    let rules = "version: 1\nrules: { all: { on: seen, emit: { id: $.id } } }\n";
    std::fs::write(folder.join("rules.yaml"), rules).expect("writable");
    let mut config = format!(
        "version: 1\nadmin: {{ listen: \"off\" }}\nsources:\n  {source}: {{ type: stubborn, events: {events}, panics: {panics} }}\nconnectors:\n"
    );
    for flaw in flaws {
        config += &format!(
            "  {flaw}: {{ source: {source}, mappings: rules.yaml, sink: {{ type: flawed, flaw: {flaw} }} }}\n"
        );
    }
    let path = folder.join("sluice.yaml");
    std::fs::write(&path, config).expect("writable");
    let (mut files, mut found) = (Files::default(), Vec::new());
    let prepared = prepare(&path, Mode::Run, &|_| None, &mut files, &mut found);
    let prepared =
        prepared.unwrap_or_else(|| panic!("{}", render(&found, &files, Format::Human, false)));
    Running::start(prepared).await.expect("it starts")
}

fn connectors(shared: &Shared) -> BTreeMap<String, ConnectorStatus> {
    shared.status().connectors
}

fn held(status: &ConnectorStatus) -> &str {
    status.held.as_ref().map_or("", |held| &held.reason)
}

async fn until(what: &str, shared: &Shared, is_so: impl Fn(&Shared) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so(shared) {
        let now = || serde_json::to_string_pretty(&shared.status()).expect("JSON");
        assert!(Instant::now() < end, "never: {what}\n{}", now());
        // Real time for the threads behind, then time of the clock.
        std::thread::sleep(Duration::from_millis(1));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_prepare_that_blocks_holds_its_connector_alone_until_it_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = start(folder.path(), 300, false, &["prepare_blocks", "none"]).await;
    let shared = running.shared();
    until("the other delivers", &shared, |it| {
        connectors(it)["none"].events.delivered == 300
    })
    .await;
    until("the blocked one is held", &shared, |it| {
        held(&connectors(it)["prepare_blocks"]).contains("not come back from `prepare` for 30 s")
    })
    .await;
    let blocked = &connectors(&shared)["prepare_blocks"];
    assert_eq!(
        (blocked.state.as_str(), blocked.events.waiting),
        ("held", 300)
    );

    *RELEASED.0.lock().expect("not poisoned") = true;
    RELEASED.1.notify_all();
    until("it goes on by itself", &shared, |it| {
        let status = &connectors(it)["prepare_blocks"];
        status.events.delivered == 300 && status.held.is_none()
    })
    .await;
    running.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_of_a_sink_holds_its_connector_alone_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let crashing = ["prepare_panics", "deliver_panics", "check_panics"];
    let flaws = [&crashing[..], &["none"]].concat();
    let running = start(folder.path(), 300, false, &flaws).await;
    let shared = running.shared();
    until("the good one delivers", &shared, |it| {
        connectors(it)["none"].events.delivered == 300
    })
    .await;
    for name in crashing {
        until(name, &shared, |it| {
            held(&connectors(it)[name]).contains("crashed")
        })
        .await;
        let status = &connectors(&shared)[name];
        assert_eq!(
            (status.state.as_str(), status.events.dead_total()),
            ("held", 0)
        );
        assert_eq!(
            status.events.delivered + status.events.waiting,
            300,
            "{name}"
        );
    }
    assert_eq!(connectors(&shared)["none"].state, "delivering");
    running.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_first_check_that_never_comes_back_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = start(folder.path(), 0, false, &["check_hangs", "none"]).await;
    let shared = running.shared();
    until("it is shown", &shared, |it| {
        let trouble = connectors(it)["check_hangs"].trouble.clone();
        trouble.is_some_and(|it| it == "the sink's check has not come back for 60 s")
    })
    .await;
    assert_eq!(connectors(&shared)["none"].trouble, None);
    running.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_first_check_that_never_comes_back_keeps_no_event_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = start(folder.path(), 300, false, &["check_hangs"]).await;
    let shared = running.shared();
    until("all are delivered", &shared, |it| {
        connectors(it)["check_hangs"].events.delivered == 300
    })
    .await;
    running.shutdown().await;
}

/// The log of this program.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

static LOG: LazyLock<Lines> = LazyLock::new(|| {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone());
    tracing::subscriber::set_global_default(log.finish()).expect("the only one");
    lines
});

#[tokio::test(start_paused = true)]
async fn a_source_that_does_not_stop_is_named_and_left_behind() {
    let log = &LOG.0;
    let folder = tempfile::tempdir().expect("a folder");
    let running = start_from("stubborn-one", folder.path(), 300, false, &["none"]).await;
    let shared = running.shared();
    assert_ne!(shared.status().sources["stubborn-one"].state, "stopping");
    until("all are delivered", &shared, |it| {
        connectors(it)["none"].events.delivered == 300
    })
    .await;
    running.shutdown().await;
    assert_eq!(shared.status().sources["stubborn-one"].state, "stopping");
    let said = String::from_utf8(log.lock().expect("not poisoned").clone()).expect("text");
    let named = said
        .lines()
        .any(|it| it.contains("not stopped within 60 s") && it.contains("source=stubborn-one"));
    assert!(named, "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_of_a_source_names_it_and_loses_nothing_it_brought() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut running = start(folder.path(), 300, true, &["none"]).await;
    let shared = running.shared();
    let problem = running.finished().await.expect_err("it has crashed");
    assert!(
        problem.starts_with("source `here`: the source plugin crashed"),
        "{problem}"
    );
    assert_eq!(shared.status().sources["here"].state, "ended");
    running.shutdown().await;
    let account = &connectors(&shared)["none"].events;
    assert_eq!(
        (account.received, account.delivered + account.waiting),
        (300, 300)
    );
}
