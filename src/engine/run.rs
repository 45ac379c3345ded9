//! Start everything, keep it going, stop it cleanly.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use sluice_sdk::{ConfigError, Intake, Stop};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::account::ConnectorState;
use super::connector::Connector;
use super::delivery::Courier;
use super::gate::GateState;
use super::intake::{Backend, Keeper, SourceIntake, SourceState, keeper_key, malformed_key};
use super::prepare::{Prepared, prepare};
use super::status::{ConnectorStatus, Held, SourceStatus, Status, balances};
use crate::config::{Config, Mode, Start, WhenFull};
use crate::diagnostics::{Files, Format, render};
use crate::journal::{Journal, JournalOptions, Log, OpenError, StoreCommit};
use crate::observe;

/// How often delivered segments of the journal are looked at for removal.
const RELEASE_EVERY: Duration = Duration::from_secs(30);
/// How often silent sources are looked for.
const SILENCE_EVERY: Duration = Duration::from_secs(15);

/// Options of `sluice run`.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The config file.
    pub config: PathBuf,
    /// Colour in messages.
    pub colour: bool,
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The store in it.
    #[error("the state in the data folder cannot be read: {0}")]
    State(String),
    /// A plugin refused its settings.
    #[error("{what}: {problem}")]
    Plugin {
        /// Which section.
        what: String,
        /// What the plugin said.
        problem: ConfigError,
    },
    /// The admin listener.
    #[error("{0}")]
    Admin(String),
}

/// A running engine.
pub struct Running {
    shared: Arc<Shared>,
    stop_sources: Stop,
    stop_connectors: Stop,
    sources: JoinSet<(String, Result<(), String>)>,
    connectors: JoinSet<()>,
    helpers: JoinSet<()>,
}

/// What status, admin and the housekeeping look at.
pub struct Shared {
    journal: Journal,
    sources: BTreeMap<String, SourceView>,
    connectors: BTreeMap<String, ConnectorView>,
}

struct SourceView {
    log: Arc<Log>,
    intake: Arc<SourceIntake>,
    state: Arc<RwLock<SourceState>>,
    expect_every: Option<Duration>,
}

struct ConnectorView {
    source: String,
    courier: Arc<Courier>,
    state: Arc<RwLock<ConnectorState>>,
}

impl Running {
    /// Open the journal and start connectors, then sources.
    ///
    /// # Errors
    /// When the data folder cannot be used or a plugin cannot be made. Nothing runs then.
    pub async fn start(prepared: Prepared) -> Result<Self, StartError> {
        let config = &prepared.config;
        let journal = Journal::open(JournalOptions {
            max_size_bytes: config.journal.max_size,
            retain: config.journal.retain,
            ..JournalOptions::new(&config.journal.path)
        })?;
        let stop_sources = Stop::default();
        let stop_connectors = Stop::default();
        let mut sources = JoinSet::new();
        let mut connectors = JoinSet::new();
        let mut helpers = JoinSet::new();
        let mut source_views = BTreeMap::new();
        let mut connector_views = BTreeMap::new();

        let mut to_start = Vec::new();
        for (name, source) in &config.sources {
            let built = (source.plugin.build)(source.settings.clone()).map_err(|problem| {
                StartError::Plugin {
                    what: format!("source `{name}`"),
                    problem,
                }
            })?;
            let log = journal.log(name)?;
            let store = Arc::clone(journal.store());
            let window = source.deduplicate;
            let expires_oldest = config.journal.when_full == WhenFull::ExpireOldest;
            let malformed = load_state(&journal, &malformed_key(name))?.unwrap_or_default();
            let intake = SourceIntake::new(
                name.clone(),
                Arc::clone(&log),
                store,
                window,
                expires_oldest,
                malformed,
            );
            let state: SourceState = load_state(&journal, &keeper_key(name))?.unwrap_or_default();
            log.advance_past(state.sequence)
                .await
                .map_err(|problem| StartError::State(problem.to_string()))?;
            let view = Arc::new(RwLock::new(state.clone()));
            let (keeper, reader) =
                Keeper::catch_up(Arc::clone(&intake), state, Arc::clone(&view)).await;
            helpers.spawn(keeper.run(reader, stop_connectors.clone()));
            source_views.insert(
                name.clone(),
                SourceView {
                    log,
                    intake: Arc::clone(&intake),
                    state: view,
                    expect_every: source.expect_every,
                },
            );
            to_start.push((name.clone(), built, intake));
        }
        for ready in prepared.connectors {
            let settings = &config.connectors[&ready.name];
            let sink = (settings.sink.plugin.build)(settings.sink.settings.clone()).map_err(
                |problem| StartError::Plugin {
                    what: format!("sink of connector `{}`", ready.name),
                    problem,
                },
            )?;
            let log = Arc::clone(&source_views[&settings.source].log);
            let state = match load_state(&journal, &ready.name)? {
                Some(state) => state,
                None => {
                    // Where it begins must survive a restart before its first event is settled.
                    let state = begin(&log, settings.start);
                    save_state(&journal, &ready.name, &state)?;
                    state
                }
            };
            // After damage took the log's end, new events must not get numbers that are settled.
            log.advance_past(state.cursor.end())
                .await
                .map_err(|problem| StartError::State(problem.to_string()))?;
            let courier = Arc::new(Courier::new(ready.name.clone(), sink));
            let view = Arc::new(RwLock::new(state.clone()));
            connector_views.insert(
                ready.name.clone(),
                ConnectorView {
                    source: settings.source.clone(),
                    courier: Arc::clone(&courier),
                    state: Arc::clone(&view),
                },
            );
            let (checked, stop) = (Arc::clone(&courier), stop_connectors.clone());
            helpers.spawn(async move {
                tokio::select! {
                    () = stop.requested() => {}
                    () = first_check(checked) => {}
                }
            });
            let connector = Connector {
                name: ready.name,
                source: settings.source.clone(),
                mapping: Arc::new(ready.mapping),
                when: ready.when,
                unmapped: settings.unmapped,
                courier,
                flush_after: settings.batch.flush_after,
                documents_max: settings.batch.documents_max.unwrap_or(usize::MAX),
                log,
                store: Arc::clone(journal.store()),
                view,
            };
            connectors.spawn(watched(connector, state, stop_connectors.clone()));
        }
        for (name, source, intake) in to_start {
            let intake = Intake::new(Arc::new(Backend(intake)));
            let stop = stop_sources.clone();
            sources.spawn(async move {
                let ended = source.run(intake, stop).await;
                (name, ended.map_err(|problem| problem.to_string()))
            });
        }
        let shared = Arc::new(Shared {
            journal,
            sources: source_views,
            connectors: connector_views,
        });
        helpers.spawn(housekeeping(Arc::clone(&shared), stop_connectors.clone()));
        helpers.spawn(watch_silence(Arc::clone(&shared), stop_connectors.clone()));
        Ok(Self {
            shared,
            stop_sources,
            stop_connectors,
            sources,
            connectors,
            helpers,
        })
    }

    /// What status, admin and tests look at.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Wait until a source fails, or all sources have ended by themselves and everything they
    /// brought is settled.
    ///
    /// # Errors
    /// The failed source and its reason.
    pub async fn finished(&mut self) -> Result<(), String> {
        while let Some(joined) = self.sources.join_next().await {
            match joined {
                Ok((name, Ok(()))) => info!(source = %name, "the source has ended"),
                Ok((name, Err(problem))) => return Err(format!("source `{name}`: {problem}")),
                Err(failure) => return Err(format!("a source crashed: {failure}")),
            }
        }
        while self.shared.waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Stop sources first, then connectors; what is not delivered stays in the journal.
    pub async fn shutdown(mut self) {
        self.stop_sources.request();
        while self.sources.join_next().await.is_some() {}
        for source in self.shared.sources.values() {
            source.intake.stop();
        }
        self.stop_connectors.request();
        while self.connectors.join_next().await.is_some() {}
        while self.helpers.join_next().await.is_some() {}
        if let Err(problem) = self.shared.journal.store().sync() {
            warn!(
                "the last cursors may not be on disk: {problem}; after a power loss some documents would be sent once more"
            );
        }
    }
}

/// The status as it is on disk, for when the process does not run.
///
/// # Errors
/// When the data folder cannot be used, for example because the process does run.
pub fn read_status(config: &Config) -> Result<Status, StartError> {
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Status::default()
    };
    if !config.journal.path.exists() {
        return Ok(status);
    }
    let journal = Journal::open(JournalOptions::new(&config.journal.path))?;
    for name in config.sources.keys() {
        let log = journal.log(name)?;
        let state: SourceState = load_state(&journal, &keeper_key(name))?.unwrap_or_default();
        let source = SourceStatus {
            taken: state.taken,
            duplicates: state.duplicates,
            malformed: load_state(&journal, &malformed_key(name))?.unwrap_or_default(),
            journal_bytes: log.size_bytes(),
            ..SourceStatus::default()
        };
        status.sources.insert(name.clone(), source);
    }
    for (name, connector) in &config.connectors {
        let log = journal.log(&connector.source)?;
        let state: ConnectorState = match load_state(&journal, name)? {
            Some(state) => state,
            None => begin(&log, connector.start),
        };
        let (events, types) = balances(&log.received_by_type(), &state);
        let connector = ConnectorStatus {
            source: connector.source.clone(),
            state: "stopped".to_owned(),
            events,
            documents: state.account.documents,
            types,
            ..ConnectorStatus::default()
        };
        status.connectors.insert(name.clone(), connector);
    }
    Ok(status)
}

/// Run a connector; a crash of it or of a plugin in it is seen, and stops this connector alone.
async fn watched(connector: Connector, state: ConnectorState, stop: Stop) {
    let courier = Arc::clone(&connector.courier);
    // A set, so that the task ends with this one.
    let mut one = JoinSet::new();
    one.spawn(connector.run(state, stop));
    if let Some(Err(failure)) = one.join_next().await
        && failure.is_panic()
    {
        courier
            .gate
            .hold("the connector crashed; restart sluice and report this".to_owned());
        error!(connector = %courier.connector, "the connector crashed. Its events stay in the journal; restart sluice and report this.");
    }
}

fn save_state<T: serde::Serialize>(
    journal: &Journal,
    name: &str,
    state: &T,
) -> Result<(), StartError> {
    let commit = StoreCommit {
        connector: name.to_owned(),
        state: Some(serde_json::to_vec(state).expect("a state is plain data")),
        ..StoreCommit::default()
    };
    let store = journal.store();
    store
        .commit(&commit)
        .and_then(|_| store.sync())
        .map_err(|problem| StartError::State(problem.to_string()))
}

/// Ask the sink once at the start; a refusal holds the connector before it sends anything.
async fn first_check(courier: Arc<Courier>) {
    match courier.sink.check().await {
        Ok(()) => {}
        Err(sluice_sdk::CheckError::Refused(reason)) => {
            courier.gate.hold(reason.clone());
            error!(connector = %courier.connector, "held at the start: {reason}. Nothing is dropped; it goes on by itself when the check passes.");
        }
        Err(sluice_sdk::CheckError::Unreachable(reason)) => {
            warn!(connector = %courier.connector, "the sink is not reachable at the start: {reason}; trying as events come");
        }
    }
}

fn load_state<T: serde::de::DeserializeOwned>(
    journal: &Journal,
    name: &str,
) -> Result<Option<T>, StartError> {
    let Some(bytes) = journal
        .store()
        .load_connector(name)
        .map_err(|problem| StartError::State(problem.to_string()))?
    else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|problem| {
        StartError::State(format!("the state of `{name}` is damaged: {problem}"))
    })
}

/// The state of a connector that never ran: where it begins, and how many events of each type lie
/// before that.
fn begin(log: &Arc<Log>, start: Start) -> ConnectorState {
    let mut before = log.received_by_type();
    let sequence = match start {
        Start::Now => log.next_sequence(),
        Start::Oldest => {
            let mut reader = log.reader(log.oldest_sequence());
            while let Ok(Some(record)) = reader.try_next() {
                for event in &record.events {
                    if let Some(count) = before.get_mut(&event.event_type) {
                        *count = count.saturating_sub(1);
                    }
                }
            }
            log.oldest_sequence()
        }
    };
    before.retain(|_, count| *count > 0);
    ConnectorState {
        cursor: super::cursor::Cursor::starting_at(sequence),
        before,
        ..ConnectorState::default()
    }
}

impl Shared {
    /// A snapshot. `received` is read after the settled parts, so `waiting` is never too small.
    pub fn status(&self) -> Status {
        let connectors = self
            .connectors
            .iter()
            .map(|(name, connector)| {
                let state = connector
                    .state
                    .read()
                    .map(|state| state.clone())
                    .unwrap_or_default();
                let received = self
                    .sources
                    .get(&connector.source)
                    .map(|source| source.log.received_by_type())
                    .unwrap_or_default();
                let (events, types) = balances(&received, &state);
                let held = match connector.courier.gate.state() {
                    GateState::Open => None,
                    GateState::Held { reason, since } => Some(Held {
                        reason,
                        since: since.to_string(),
                    }),
                };
                let status = ConnectorStatus {
                    source: connector.source.clone(),
                    state: if held.is_some() { "held" } else { "delivering" }.to_owned(),
                    held,
                    events,
                    documents: state.account.documents,
                    types,
                    requests: connector.courier.requests.load(Ordering::Relaxed),
                    retries: connector.courier.retries.load(Ordering::Relaxed),
                };
                (name.clone(), status)
            })
            .collect();
        let sources = self
            .sources
            .iter()
            .map(|(name, source)| (name.clone(), source.status()))
            .collect();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sources,
            connectors,
        }
    }

    /// Events not settled yet, over all connectors.
    pub fn waiting(&self) -> u64 {
        self.status()
            .connectors
            .values()
            .map(|connector| connector.events.waiting)
            .sum()
    }

    /// Wait until a source is up and say where. `None` when it never will be.
    pub async fn endpoint(&self, source: &str) -> Option<String> {
        let mut endpoint = self.sources.get(source)?.intake.endpoint();
        let endpoint = endpoint.wait_for(Option::is_some).await.ok()?;
        endpoint.clone()
    }

    fn release(&self) {
        let now_ms = Timestamp::now().as_millisecond();
        for (name, source) in &self.sources {
            let keeper = source.state.read().map(|state| state.sequence).unwrap_or(0);
            let before = self
                .connectors
                .values()
                .filter(|connector| connector.source == *name)
                .map(|connector| {
                    connector
                        .state
                        .read()
                        .map(|state| state.cursor.prefix())
                        .unwrap_or(0)
                })
                .fold(keeper, u64::min);
            // The cursors must be on disk before what lies behind them may go.
            if let Err(problem) = self.journal.store().sync() {
                warn!(
                    "cursors cannot be synced: {problem}; nothing is removed from the journal meanwhile"
                );
                return;
            }
            source.log.release(before, now_ms);
        }
        let window = self
            .sources
            .values()
            .filter_map(|source| source.intake.window())
            .max();
        let Some(window) = window else { return };
        let window = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        if let Err(problem) = self
            .journal
            .store()
            .forget_before(now_ms.saturating_sub(window))
        {
            warn!("old ids cannot be removed: {problem}");
        }
    }
}

impl SourceView {
    fn status(&self) -> SourceStatus {
        let state = self
            .state
            .read()
            .map(|state| state.clone())
            .unwrap_or_default();
        let last = self.intake.last_event_ms.load(Ordering::Relaxed);
        let silent_ms = Timestamp::now().as_millisecond() - last;
        SourceStatus {
            endpoint: self.intake.endpoint().borrow().clone(),
            taken: state.taken,
            duplicates: state.duplicates,
            malformed: self.intake.malformed(),
            refused: self
                .intake
                .notes()
                .into_iter()
                .map(|(what, count)| (what.to_owned(), count))
                .collect(),
            silent_for_seconds: (last > 0).then(|| u64::try_from(silent_ms / 1000).unwrap_or(0)),
            journal_bytes: self.log.size_bytes(),
            lost: self
                .log
                .lost()
                .iter()
                .map(|range| range.end - range.start)
                .sum(),
        }
    }
}

async fn housekeeping(shared: Arc<Shared>, stop: Stop) {
    loop {
        tokio::select! {
            () = stop.requested() => return,
            () = tokio::time::sleep(RELEASE_EVERY) => {
                let shared = Arc::clone(&shared);
                // Deletes files and compacts: not on the threads that serve requests.
                let _ = tokio::task::spawn_blocking(move || shared.release()).await;
            }
        }
    }
}

/// Report a source that should be busy and is not: the upstream may have switched it off.
async fn watch_silence(shared: Arc<Shared>, stop: Stop) {
    let started = Timestamp::now().as_millisecond();
    let mut told = BTreeMap::new();
    loop {
        tokio::select! {
            () = stop.requested() => return,
            () = tokio::time::sleep(SILENCE_EVERY) => {}
        }
        for (name, source) in &shared.sources {
            let Some(every) = source.expect_every else {
                continue;
            };
            let last = source
                .intake
                .last_event_ms
                .load(Ordering::Relaxed)
                .max(started);
            let silent = Timestamp::now().as_millisecond() - last;
            let is_silent = u128::try_from(silent).unwrap_or(0) > every.as_millis();
            let before = told.insert(name.clone(), is_silent).unwrap_or(false);
            if is_silent && !before {
                error!(source = %name, "no event for {} s, one was expected every {} s. Look whether the upstream has switched its connector off.", silent / 1000, every.as_secs());
            } else if before && !is_silent {
                info!(source = %name, "events come again");
            }
        }
    }
}

/// `sluice run`.
pub fn run_command(options: &RunOptions) -> ExitCode {
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let environment = |name: &str| std::env::var(name).ok();
    let prepared = prepare(
        &options.config,
        Mode::Run,
        &environment,
        &mut files,
        &mut diagnostics,
    );
    if !diagnostics.is_empty() {
        eprint!(
            "{}",
            render(&diagnostics, &files, Format::Human, options.colour)
        );
    }
    let Some(prepared) = prepared else {
        eprintln!("\nNothing was started.");
        return ExitCode::from(1);
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(problem) => {
            eprintln!("error: no threads to run on: {problem}");
            return ExitCode::from(1);
        }
    };
    let code = runtime.block_on(run(prepared));
    // A read of standard input cannot be cancelled; everything of ours has ended.
    runtime.shutdown_timeout(Duration::from_secs(2));
    code
}

async fn run(prepared: Prepared) -> ExitCode {
    let admin = prepared.config.admin.listen;
    let data = prepared.config.journal.path.display().to_string();
    let mut running = match Running::start(prepared).await {
        Ok(running) => running,
        Err(problem) => {
            error!("not started: {problem}");
            return ExitCode::from(1);
        }
    };
    let admin_stop = Stop::default();
    let admin = match admin {
        Some(listen) => {
            match observe::serve_admin(listen, running.shared(), admin_stop.clone()).await {
                Ok(task) => Some(task),
                Err(problem) => {
                    error!("not started: {problem}");
                    running.shutdown().await;
                    return ExitCode::from(1);
                }
            }
        }
        None => None,
    };
    info!(data = %data, connectors = running.shared.connectors.len(), "sluice {} runs", env!("CARGO_PKG_VERSION"));
    let code = tokio::select! {
        ended = running.finished() => match ended {
            Ok(()) => {
                info!("all sources have ended and everything is settled");
                ExitCode::SUCCESS
            }
            Err(problem) => {
                error!("{problem}");
                ExitCode::from(1)
            }
        },
        () = asked_to_stop() => {
            info!("stopping: finishing what is under way; the rest stays in the journal");
            ExitCode::SUCCESS
        }
    };
    running.shutdown().await;
    admin_stop.request();
    if let Some(admin) = admin {
        // A client that never finishes its request must not keep the process.
        let _ = tokio::time::timeout(Duration::from_secs(2), admin).await;
    }
    code
}

/// SIGTERM or Ctrl-C.
pub async fn asked_to_stop() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            },
            Err(_) => {
                let _ = interrupt.await;
            }
        }
    }
    #[cfg(not(unix))]
    {
        let _ = interrupt.await;
    }
}
