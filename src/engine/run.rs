//! Start everything, keep it going, stop it cleanly.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use sluice_sdk::{Intake, Stop};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::account::ConnectorState;
use super::connector::Connector;
use super::dead_letters::{Letters, Retention};
use super::delivery::Courier;
use super::intake::{Backend, SourceIntake, malformed_key};
use super::keeper::{Keeper, SourceState, keeper_key};
use super::prepare::Prepared;
use super::replay::{Replays, Way};
use super::shared::{ConnectorView, Shared, SourceView, housekeeping, watch_silence};
use super::state::{StartError, begin, load_state, save_state};
use crate::config::WhenFull;
use crate::journal::{Journal, JournalOptions};

/// A running engine.
pub struct Running {
    shared: Arc<Shared>,
    stop_sources: Stop,
    stop_connectors: Stop,
    sources: JoinSet<(String, Result<(), String>)>,
    connectors: JoinSet<()>,
    helpers: JoinSet<()>,
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
        let letters = Arc::new(Letters::new(Arc::clone(journal.store())));
        let replays = Replays::open(Arc::clone(journal.store()), letters)
            .map_err(|problem| StartError::State(problem.to_string()))?;
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
            let mapping = Arc::new(ready.mapping);
            replays.set_way(Way {
                connector: ready.name.clone(),
                mapping: Arc::clone(&mapping),
                unmapped: settings.unmapped,
                sink: settings.sink.clone(),
                documents_max: settings.batch.documents_max.unwrap_or(usize::MAX),
                log: Arc::clone(&log),
                state: Arc::clone(&view),
                live: Some(Arc::clone(&courier)),
            });
            let connector = Connector {
                name: ready.name,
                source: settings.source.clone(),
                mapping,
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
            replays,
            letters_retention: Retention {
                age: config.journal.dead_letters.retain,
                bytes_max: config.journal.dead_letters.max_size,
            },
        });
        shared.replays.resume();
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
        self.shared.replays.finished().await;
        Ok(())
    }

    /// Stop sources first, then connectors; what is not delivered stays in the journal.
    pub async fn shutdown(mut self) {
        self.stop_sources.request();
        while self.sources.join_next().await.is_some() {}
        for source in self.shared.sources.values() {
            source.intake.stop();
        }
        self.shared.replays.shutdown().await;
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
