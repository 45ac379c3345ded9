//! What runs, as others see it: status, housekeeping of the journal, sources that fall silent.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use sluice_sdk::Stop;
use tracing::{error, info, warn};

use super::account::ConnectorState;
use super::dead_letters::Retention;
use super::delivery::Courier;
use super::gate::GateState;
use super::intake::SourceIntake;
use super::keeper::SourceState;
use super::replay::Replays;
use super::status::{ConfigStatus, ConnectorStatus, Held, SourceStatus, Status, balances};
use crate::config::Config;
use crate::journal::{Journal, Log};

/// How often delivered segments of the journal are looked at for removal.
const RELEASE_EVERY: Duration = Duration::from_secs(30);
/// How often silent sources are looked for.
const SILENCE_EVERY: Duration = Duration::from_secs(15);

/// What status, admin and the housekeeping look at.
pub struct Shared {
    pub(super) journal: Journal,
    pub(super) sources: BTreeMap<String, SourceView>,
    pub(super) replays: Arc<Replays>,
    connectors: RwLock<BTreeMap<String, Arc<ConnectorView>>>,
    config: RwLock<Running>,
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
    pub(super) expect_every: Option<Duration>,
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
    ) -> Self {
        let status = ConfigStatus {
            version: 1,
            hash,
            since: Timestamp::now().to_string(),
            ..ConfigStatus::default()
        };
        Self {
            journal,
            sources,
            replays,
            connectors: RwLock::default(),
            config: RwLock::new(Running { config, status }),
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
            since: Timestamp::now().to_string(),
            reloads: before.reloads + 1,
            reloads_failed: before.reloads_failed,
            problem: None,
            needs_restart,
        };
    }

    /// A new config was refused.
    pub(super) fn refused_config(&self, problem: String) {
        let mut running = self.config.write().unwrap_or_else(PoisonError::into_inner);
        running.status.reloads_failed += 1;
        running.status.problem = Some(problem);
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
                let held = match connector.courier.gate.state() {
                    GateState::Open => None,
                    GateState::Held { reason, since } => Some(Held {
                        reason,
                        since: since.to_string(),
                    }),
                };
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
            .map(|(name, source)| (name.clone(), source.status()))
            .collect();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: self.config_status(),
            sources,
            connectors,
            dead_letters: self.replays.letters().status().unwrap_or_default(),
            replays: self.replays.list(),
        }
    }

    /// Dead letters and what goes through connectors once more.
    pub fn replays(&self) -> &Arc<Replays> {
        &self.replays
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
        let now = Timestamp::now();
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
        let connectors = self.connectors();
        for (name, source) in &self.sources {
            let keeper = source.state.read().map(|state| state.sequence).unwrap_or(0);
            let before = connectors
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
