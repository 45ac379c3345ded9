//! What runs, as others see it: status, housekeeping of the journal, sources that fall silent.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
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
use super::status::{ConnectorStatus, Held, SourceStatus, Status, balances};
use crate::journal::{Journal, Log};

/// How often delivered segments of the journal are looked at for removal.
const RELEASE_EVERY: Duration = Duration::from_secs(30);
/// How often silent sources are looked for.
const SILENCE_EVERY: Duration = Duration::from_secs(15);

/// What status, admin and the housekeeping look at.
pub struct Shared {
    pub(super) journal: Journal,
    pub(super) sources: BTreeMap<String, SourceView>,
    pub(super) connectors: BTreeMap<String, ConnectorView>,
    pub(super) replays: Arc<Replays>,
    pub(super) letters_retention: Retention,
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
                let trouble = connector.courier.trouble();
                let status = ConnectorStatus {
                    source: connector.source.clone(),
                    state: match (&held, &trouble) {
                        (Some(_), _) => "held",
                        (None, Some(_)) => "retrying",
                        (None, None) => "delivering",
                    }
                    .to_owned(),
                    trouble,
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
        let now = Timestamp::now();
        if let Err(problem) = self.replays.letters().retain(&self.letters_retention, now) {
            warn!("old dead letters cannot be removed: {problem}");
        }
        let now_ms = now.as_millisecond();
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
