//! State in the data folder: what a connector or a source remembers over a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use jiff::Timestamp;
use sluice_sdk::ConfigError;
use tracing::info;

use super::account::ConnectorState;
use super::dead_letters::Letters;
use super::dead_letters::owner_of_source;
use super::keeper::{SourceState, keeper_key};
use super::places;
use super::prepare::Prepared;
use super::replay::{Replays, Way};
use super::status::{ConnectorStatus, SourceStatus, Status, balances};
use crate::clock::Clock;
use crate::config::{Config, ConnectorConfig, Start};
use crate::journal::{Journal, JournalOptions, Log, OpenError, StoreCommit};

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
    /// A connector whose place belongs to another source.
    #[error(
        "connector `{connector}` has read the source `{before}` so far, and its place there means nothing in `{now}`: give it a new name to begin anew, or its source back"
    )]
    OtherSource {
        /// The connector.
        connector: String,
        /// The source of its place.
        before: String,
        /// The source that its config names.
        now: String,
    },
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
            state: "stopped".to_owned(),
            taken: state.taken,
            duplicates: state.duplicates,
            malformed: load_state(&journal, &owner_of_source(name))?.unwrap_or_default(),
            journal_bytes: log.size_bytes(),
            ..SourceStatus::default()
        };
        status.sources.insert(name.clone(), source);
    }
    for (name, connector) in &config.connectors {
        let log = journal.log(&connector.source)?;
        let state: Option<ConnectorState> = load_state(&journal, name)?;
        // The account of another source has nothing to do with what came from this one.
        let is_of_source =
            |state: &ConnectorState| state.source.is_empty() || state.source == connector.source;
        let state = state
            .filter(is_of_source)
            .unwrap_or_else(|| begin(&log, connector.start));
        let (events, types) = balances(&log.received_by_type(), &state);
        let connector = ConnectorStatus {
            source: connector.source.clone(),
            state: "stopped".to_owned(),
            paused: load_paused(&journal, name)?.map(|since| since.to_string()),
            events,
            was_held: state.held,
            documents: state.account.documents,
            types,
            ..ConnectorStatus::default()
        };
        status.connectors.insert(name.clone(), connector);
    }
    status.stranded = places::stranded(&journal, config)?;
    let letters = Arc::new(Letters::new(Arc::clone(journal.store())));
    let state = |problem: &dyn std::fmt::Display| StartError::State(problem.to_string());
    status.dead_letters = letters.status().map_err(|problem| state(&problem))?;
    status.replays = Replays::open(Arc::clone(journal.store()), letters, Clock::default())
        .map_err(|problem| state(&problem))?
        .list();
    Ok(status)
}

/// Replays and dead letters of a data folder that no process works on.
///
/// # Errors
/// When the folder cannot be used, for example because a process does run.
pub fn replays_at_rest(prepared: Prepared) -> Result<(Journal, Arc<Replays>), StartError> {
    let config = prepared.config;
    let journal = Journal::open(JournalOptions::new(&config.journal.path))?;
    let store = journal.store();
    let letters = Arc::new(Letters::new(Arc::clone(store)));
    let replays = Replays::open(Arc::clone(store), letters, Clock::default())
        .map_err(|problem| StartError::State(problem.to_string()))?;
    for ready in prepared.connectors {
        let settings = &config.connectors[&ready.name];
        let log = journal.log(&settings.source)?;
        let state = match load_state(&journal, &ready.name)? {
            Some(state) => state,
            None => begin(&log, settings.start),
        };
        replays.set_way(Way {
            connector: ready.name,
            mapping: Arc::new(ready.mapping),
            unmapped: settings.unmapped,
            sink: settings.sink.clone(),
            documents_max: settings.batch.documents_max.unwrap_or(usize::MAX),
            log,
            state: Arc::new(RwLock::new(state)),
            live: None,
        });
    }
    Ok((journal, replays))
}

/// Under which name the store keeps since when a connector is paused.
fn paused_key(connector: &str) -> String {
    format!("paused:{connector}")
}

/// Since when a person has the connector send nothing.
///
/// # Errors
/// When the store cannot be read.
pub fn load_paused(journal: &Journal, connector: &str) -> Result<Option<Timestamp>, StartError> {
    Ok(load_state::<Option<Timestamp>>(journal, &paused_key(connector))?.flatten())
}

/// Remember that a connector is paused, or is no more.
///
/// # Errors
/// When the store cannot be written.
pub fn save_paused(
    journal: &Journal,
    connector: &str,
    since: Option<Timestamp>,
) -> Result<(), StartError> {
    save_state(journal, &paused_key(connector), &since)
}

/// The state of a connector before it runs: as it was left, brought over from its name before, or
/// new. It is in the store when this returns. The sentence is what a person should know of it.
pub(super) fn place(
    journal: &Journal,
    name: &str,
    config: &Config,
    log: &Arc<Log>,
) -> Result<(ConnectorState, Option<String>), StartError> {
    let settings = &config.connectors[name];
    let before = settings.renamed_from.as_deref();
    if let Some(state) = left_state(journal, name, settings)? {
        let late = late(journal, name, settings)?;
        return Ok((state, late));
    }
    if let Some(before) = before
        && left_state(journal, before, settings)?.is_some()
    {
        take_over(journal, before, name)?;
        info!(connector = %name, "goes on where `{before}` was");
        if let Some(state) = left_state(journal, name, settings)? {
            return Ok((state, None));
        }
    }
    // Where it begins must survive a restart before its first event is settled.
    let state = ConnectorState {
        source: settings.source.clone(),
        ..begin(log, settings.start)
    };
    let place = (settings.source.as_str(), state.cursor.prefix());
    let beside = places::beside(&places::placed(journal)?, config, log, place);
    save_state(journal, name, &state)?;
    let told = [
        before.map(|before| {
            format!("`renamed_from: {before}`: nothing of that name is in the data folder")
        }),
        beside.or_else(|| before.map(|_| "the connector begins anew".to_owned())),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    Ok((state, (!told.is_empty()).then(|| told.join("; "))))
}

/// What to say of a `renamed_from` whose connector has a place of its own already.
pub(super) fn late(
    journal: &Journal,
    name: &str,
    settings: &ConnectorConfig,
) -> Result<Option<String>, StartError> {
    let Some(before) = &settings.renamed_from else {
        return Ok(None);
    };
    let left = load_state::<ConnectorState>(journal, before)?;
    Ok(left.map(|_| places::too_late(name, before)))
}

/// Place, account, dead letters and pause of a connector that has another name now.
fn take_over(journal: &Journal, before: &str, name: &str) -> Result<(), StartError> {
    if let Some(since) = load_paused(journal, before)? {
        save_paused(journal, name, Some(since))?;
        save_paused(journal, before, None)?;
    }
    let store = journal.store();
    let moved = Letters::new(Arc::clone(store)).move_account(before, name);
    let (left, accounts) = moved.map_err(|problem| StartError::State(problem.to_string()))?;
    store
        .rename_connector(before, name, left, &accounts)
        .and_then(|()| store.sync())
        .map_err(|problem| StartError::State(problem.to_string()))
}

/// What is in the store under this name, if it fits the settings.
pub(super) fn left_state(
    journal: &Journal,
    name: &str,
    settings: &ConnectorConfig,
) -> Result<Option<ConnectorState>, StartError> {
    let Some(mut state) = load_state::<ConnectorState>(journal, name)? else {
        return Ok(None);
    };
    if state.source.is_empty() {
        state.source.clone_from(&settings.source);
    }
    if state.source != settings.source {
        // Its place counts another source's events: here it would pass over some unsent.
        return Err(StartError::OtherSource {
            connector: name.to_owned(),
            before: state.source,
            now: settings.source.clone(),
        });
    }
    Ok(Some(state))
}

pub(super) fn save_state<T: serde::Serialize>(
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

pub(super) fn load_state<T: serde::de::DeserializeOwned>(
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
pub(super) fn begin(log: &Arc<Log>, start: Start) -> ConnectorState {
    let mut before = log.received_by_type();
    let sequence = match start {
        Start::Now => log.next_sequence(),
        Start::Oldest => {
            uncount_since(log, i64::MIN, &mut before);
            log.oldest_sequence()
        }
        Start::At(time) => uncount_since(log, time.as_millisecond(), &mut before)
            .unwrap_or_else(|| log.next_sequence()),
    };
    before.retain(|_, count| *count > 0);
    ConnectorState {
        cursor: super::cursor::Cursor::starting_at(sequence),
        before,
        ..ConnectorState::default()
    }
}

/// Take the events since a time out of `before`; gives the number of the first one.
fn uncount_since(log: &Arc<Log>, since_ms: i64, before: &mut BTreeMap<String, u64>) -> Option<u64> {
    let mut first = None;
    let mut reader = log.reader(log.oldest_sequence());
    while let Ok(Some(record)) = reader.try_next() {
        // A clock that was set back between two records puts neither out of order.
        if first.is_none() && record.received_ms < since_ms {
            continue;
        }
        first.get_or_insert(record.first_sequence);
        for event in &record.events {
            if let Some(count) = before.get_mut(&event.event_type) {
                *count = count.saturating_sub(1);
            }
        }
    }
    first
}
