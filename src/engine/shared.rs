//! What runs, as others see it: status, housekeeping of the journal, sources that fall silent.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use sluice_sdk::Stop;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::account::ConnectorState;
use super::dead_letters::Retention;
use super::delivery::Courier;
use super::intake::SourceIntake;
use super::keeper::SourceState;
use super::replay::Replays;
use super::status::{
    AlertChannelStatus, ConfigStatus, ConnectorStatus, JournalStatus, SourceStatus, Status,
    balances,
};
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::{AppendError, Journal, Log, StoreCommit};

/// How often delivered segments of the journal are looked at for removal.
const RELEASE_EVERY: Duration = Duration::from_secs(30);
/// How often silent sources are looked for.
const SILENCE_EVERY: Duration = Duration::from_secs(15);

/// What status, admin and the housekeeping look at.
pub struct Shared {
    pub(super) journal: Journal,
    pub(super) sources: BTreeMap<String, SourceView>,
    pub(super) replays: Arc<Replays>,
    /// What waits behind sources that the config has not; found at the start.
    stranded: Vec<String>,
    pub(super) clock: Clock,
    connectors: RwLock<BTreeMap<String, Arc<ConnectorView>>>,
    config: RwLock<Running>,
    /// What those who tell people say of themselves.
    alerts: RwLock<BTreeMap<String, AlertChannelStatus>>,
    /// Held while a connector gets its place, so that the journal lets go of nothing meanwhile.
    pub(super) placing: Mutex<()>,
}

/// The config that runs.
struct Running {
    config: Arc<Config>,
    status: ConfigStatus,
}

pub(super) struct SourceView {
    pub(super) log: Arc<Log>,
    pub(super) intake: Arc<SourceIntake>,
    pub(super) state: Arc<RwLock<SourceState>>,
    pub(super) life: Arc<Life>,
    pub(super) expect_every: Option<Duration>,
    /// Before it nothing could come.
    pub(super) started: Instant,
}

/// Whether a source still runs.
#[derive(Default)]
pub(super) struct Life {
    is_stopping: AtomicBool,
    has_ended: AtomicBool,
}

impl Life {
    /// It was asked to stop.
    pub(super) fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// It came back.
    pub(super) fn ended(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    fn state(&self, is_up: bool) -> &'static str {
        match (self.has_ended(), self.is_stopping.load(Ordering::Relaxed)) {
            (true, _) => "ended",
            (false, true) => "stopping",
            (false, false) if is_up => "running",
            (false, false) => "starting",
        }
    }
}

pub(super) struct ConnectorView {
    pub(super) source: String,
    pub(super) courier: Arc<Courier>,
    pub(super) state: Arc<RwLock<ConnectorState>>,
}

impl Shared {
    /// Sources that are up, and no connectors yet.
    pub(super) fn new(
        journal: Journal,
        sources: BTreeMap<String, SourceView>,
        config: Arc<Config>,
        hash: String,
        replays: Arc<Replays>,
        stranded: Vec<String>,
        clock: Clock,
    ) -> Self {
        let status = ConfigStatus {
            version: 1,
            hash,
            since: clock.now().to_string(),
            ..ConfigStatus::default()
        };
        Self {
            journal,
            sources,
            replays,
            stranded,
            clock,
            connectors: RwLock::default(),
            config: RwLock::new(Running { config, status }),
            alerts: RwLock::default(),
            placing: Mutex::default(),
        }
    }

    /// The connectors that there are at the moment.
    pub(super) fn connectors(&self) -> BTreeMap<String, Arc<ConnectorView>> {
        self.connectors
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Put a connector in, or take it out.
    pub(super) fn set_connector(&self, name: &str, view: Option<Arc<ConnectorView>>) {
        let mut connectors = self
            .connectors
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match view {
            Some(view) => connectors.insert(name.to_owned(), view),
            None => connectors.remove(name),
        };
    }

    /// The config that runs.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(
            &self
                .config
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .config,
        )
    }

    /// Which config runs, and what became of later ones.
    pub fn config_status(&self) -> ConfigStatus {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .status
            .clone()
    }

    /// Another config runs from now on.
    pub(super) fn set_config(&self, config: Arc<Config>, hash: String, needs_restart: Vec<String>) {
        let mut running = self.config.write().unwrap_or_else(PoisonError::into_inner);
        running.config = config;
        let before = &running.status;
        running.status = ConfigStatus {
            version: before.version + 1,
            hash,
            since: self.clock.now().to_string(),
            reloads: before.reloads + 1,
            reloads_failed: before.reloads_failed,
            problem: None,
            is_unanswered: false,
            needs_restart,
        };
    }

    /// A new config was refused, and whoever asked for it may not know.
    pub(super) fn refused_config(&self, problem: String, is_unanswered: bool) {
        let mut running = self.config.write().unwrap_or_else(PoisonError::into_inner);
        running.status.reloads_failed += 1;
        running.status.problem = Some(problem);
        running.status.is_unanswered = is_unanswered;
    }

    /// A snapshot. `received` is read after the settled parts, so `waiting` is never too small.
    pub fn status(&self) -> Status {
        let connectors = self
            .connectors()
            .into_iter()
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
                let held = connector.courier.gate.held();
                let trouble = connector.courier.trouble();
                let paused = connector.courier.gate.paused();
                let status = ConnectorStatus {
                    source: connector.source.clone(),
                    state: match (&paused, &held, &trouble) {
                        (Some(_), _, _) => "paused",
                        (None, Some(_), _) => "held",
                        (None, None, Some(_)) => "retrying",
                        (None, None, None) => "delivering",
                    }
                    .to_owned(),
                    paused: paused.map(|since| since.to_string()),
                    trouble,
                    held,
                    was_held: None,
                    events,
                    documents: state.account.documents,
                    types,
                    requests: connector.courier.requests.load(Ordering::Relaxed),
                    retries: connector.courier.retries.load(Ordering::Relaxed),
                    concurrency: connector.courier.pace.allowed() as u64,
                    concurrency_max: connector.courier.pace.most() as u64,
                };
                (name, status)
            })
            .collect();
        let sources = self
            .sources
            .iter()
            .map(|(name, source)| (name.clone(), source.status(self.settled_before(name))))
            .collect::<BTreeMap<_, SourceStatus>>();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: self.config_status(),
            journal: JournalStatus {
                bytes: self.journal.size_bytes(),
                unsettled_bytes: sources.values().map(|source| source.unsettled_bytes).sum(),
                bytes_max: self.journal.options().max_size_bytes,
            },
            sources,
            connectors,
            stranded: self.stranded.clone(),
            dead_letters: self.replays.letters().status().unwrap_or_default(),
            replays: self.replays.list(),
            alerts: self
                .alerts
                .read()
                .map(|alerts| alerts.clone())
                .unwrap_or_default(),
        }
    }

    /// The time of day that everything here is stamped with.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Dead letters and what goes through connectors once more.
    pub fn replays(&self) -> &Arc<Replays> {
        &self.replays
    }

    /// Set what the status says of one way of telling people.
    pub fn set_alert_channel(&self, channel: &str, status: AlertChannelStatus) {
        let mut alerts = self.alerts.write().unwrap_or_else(PoisonError::into_inner);
        alerts.insert(channel.to_owned(), status);
    }

    /// There is no way of telling people any more.
    pub fn clear_alert_channels(&self) {
        let mut alerts = self.alerts.write().unwrap_or_else(PoisonError::into_inner);
        alerts.clear();
    }

    /// What was kept under `name` with [`Shared::keep`]. May wait for the disk.
    ///
    /// # Errors
    /// A sentence, when the store cannot be read.
    pub fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let store = self.journal.store();
        store
            .load_connector(&kept_key(name))
            .map_err(|problem| problem.to_string())
    }

    /// Keep a small thing over a restart, for a part beside the engine. May wait for the disk.
    ///
    /// # Errors
    /// A sentence, when the store cannot be written.
    pub fn keep(&self, name: &str, bytes: Vec<u8>) -> Result<(), String> {
        let commit = StoreCommit {
            connector: kept_key(name),
            state: Some(bytes),
            ..StoreCommit::default()
        };
        let store = self.journal.store();
        store
            .commit(&commit)
            .map(|_| ())
            .map_err(|problem| problem.to_string())
    }

    /// Every connector of this source and its keeper have passed what is below.
    fn settled_before(&self, source: &str) -> u64 {
        let keeper = self
            .sources
            .get(source)
            .and_then(|view| view.state.read().map(|state| state.sequence).ok())
            .unwrap_or(0);
        self.connectors()
            .values()
            .filter(|connector| connector.source == source)
            .map(|connector| {
                connector
                    .state
                    .read()
                    .map(|state| state.cursor.prefix())
                    .unwrap_or(0)
            })
            .fold(keeper, u64::min)
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
        let _none_begins = self.placing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let config = self.config();
        let letters = &config.journal.dead_letters;
        let retention = Retention {
            age: letters.retain,
            bytes_max: letters.max_size,
        };
        if let Err(problem) = self.replays.letters().retain(&retention, now) {
            warn!("old dead letters cannot be removed: {problem}");
        }
        let now_ms = now.as_millisecond();
        for (name, source) in &self.sources {
            let before = self.settled_before(name);
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
        self.journal
            .store()
            .forget_before(now_ms.saturating_sub(window));
    }
}

impl SourceView {
    /// For how long nothing came, since the start at most.
    fn silent_for(&self) -> Duration {
        let silent_for = self.intake.silent_for();
        silent_for.unwrap_or_else(|| self.started.elapsed())
    }

    fn is_silent(&self) -> bool {
        self.expect_every
            .is_some_and(|every| self.silent_for() > every)
    }

    fn status(&self, settled_before: u64) -> SourceStatus {
        let state = self
            .state
            .read()
            .map(|state| state.clone())
            .unwrap_or_default();
        let trouble = self.intake.trouble();
        let endpoint = self.intake.endpoint().borrow().clone();
        SourceStatus {
            state: self.life.state(endpoint.is_some()).to_owned(),
            endpoint,
            taken: state.taken,
            duplicates: state.duplicates,
            malformed: self.intake.malformed(),
            refused: self
                .intake
                .notes()
                .into_iter()
                .map(|(what, count)| (what.to_owned(), count))
                .collect(),
            silent_for_seconds: self.intake.silent_for().map(|it| it.as_secs()),
            is_silent: self.is_silent(),
            is_full: matches!(trouble, Some(AppendError::Full { .. })),
            trouble: trouble.map(|trouble| trouble.to_string()),
            unsettled_bytes: self.log.bytes_from(settled_before),
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

/// Names of connectors have no colon.
fn kept_key(name: &str) -> String {
    format!("kept:{name}")
}

pub(super) async fn housekeeping(shared: Arc<Shared>, stop: Stop) {
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
pub(super) async fn watch_silence(shared: Arc<Shared>, stop: Stop) {
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
            let is_silent = source.is_silent();
            let before = told.insert(name.clone(), is_silent).unwrap_or(false);
            if is_silent && !before {
                error!(source = %name, "no event for {} s, one was expected every {} s. Look whether the upstream has switched its connector off.", source.silent_for().as_secs(), every.as_secs());
            } else if before && !is_silent {
                info!(source = %name, "events come again");
            }
        }
    }
}
