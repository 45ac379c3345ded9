//! The connectors that run: started, exchanged and stopped one by one while everything else goes on.
//!
//! To exchange one, its task ends as at a stop: what is in flight is finished, what waits for its next
//! try or for a hold is let go unsettled. The next one reads it from the journal again, by the new
//! rules and through the new sink. So nothing is lost, and a batch in retry takes the new settings.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use sluice_sdk::{DynSink, Stop};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::connector::Connector;
use super::delivery::Courier;
use super::prepare::PreparedConnector;
use super::replay::Way;
use super::shared::{ConnectorView, Shared};
use super::state::{StartError, load_paused, place, save_paused};
use crate::config::{Config, ConnectorConfig};
use crate::mapping::Mapping;

/// The connectors that run.
pub struct Lanes {
    shared: Arc<Shared>,
    running: Mutex<BTreeMap<String, Lane>>,
}

/// One that runs.
pub(super) struct Lane {
    stop: Stop,
    tasks: JoinSet<()>,
    print: String,
}

/// One that can be started: its sink was made.
pub(super) struct Launch {
    name: String,
    settings: ConnectorConfig,
    mapping: Mapping,
    sink: Box<dyn DynSink>,
    print: String,
}

/// Why a connector is not paused or resumed.
#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    /// There is none of this name.
    #[error("there is no connector `{0}`")]
    NotFound(String),
    /// It would not survive a restart.
    #[error(transparent)]
    State(#[from] StartError),
}

impl Launch {
    /// Make its sink.
    pub(super) fn new(ready: PreparedConnector, config: &Config) -> Result<Self, StartError> {
        let settings = config.connectors[&ready.name].clone();
        let sink =
            (settings.sink.plugin.build)(settings.sink.settings.clone()).map_err(|problem| {
                StartError::Plugin {
                    what: format!("sink of connector `{}`", ready.name),
                    problem,
                }
            })?;
        Ok(Self {
            print: print_of(&settings, &ready.rules_hash),
            name: ready.name,
            settings,
            mapping: ready.mapping,
            sink,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// All that makes a running connector what it is; never shown, it holds secrets.
pub(super) fn print_of(settings: &ConnectorConfig, rules_hash: &str) -> String {
    let ConnectorConfig {
        source,
        events,
        when,
        // Their texts are in the hash.
        mappings: _,
        unmapped,
        message_id,
        batch,
        sink,
        personal,
        // These can change without touching a connector that runs.
        contacts: _,
        start: _,
        renamed_from: _,
        allows: _,
        span: _,
    } = settings;
    let when = when.as_ref().map(|(when, _)| when);
    format!(
        "{rules_hash} {source} {events:?} {when:?} {unmapped:?} {message_id:?} {batch:?} {personal:?} {} {}",
        sink.plugin.name, sink.settings,
    )
}

impl Lanes {
    /// None yet.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            running: Mutex::default(),
        }
    }

    /// What the lanes are part of.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Nobody else changes connectors while this is held.
    pub(super) async fn lock(&self) -> tokio::sync::MutexGuard<'_, BTreeMap<String, Lane>> {
        self.running.lock().await
    }

    /// Start one that does not run.
    pub(super) async fn start(
        &self,
        running: &mut BTreeMap<String, Lane>,
        launch: Launch,
    ) -> Result<(), StartError> {
        let Launch {
            name,
            settings,
            mapping,
            sink,
            print,
        } = launch;
        let log = Arc::clone(&self.shared.sources[&settings.source].log);
        let courier = Arc::new(Courier::new(name.clone(), sink));
        let (shared, courier_there) = (Arc::clone(&self.shared), Arc::clone(&courier));
        let (name_there, settings_there, log_there) =
            (name.clone(), settings.clone(), Arc::clone(&log));
        // It may read the whole journal.
        let placed = tokio::task::spawn_blocking(move || {
            let _no_release = shared
                .placing
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let state = place(&shared.journal, &name_there, &settings_there, &log_there)?;
            let paused = load_paused(&shared.journal, &name_there)?;
            courier_there.gate.set_paused(paused);
            let view = Arc::new(RwLock::new(state.clone()));
            let connector = ConnectorView {
                source: settings_there.source,
                courier: courier_there,
                state: Arc::clone(&view),
            };
            shared.set_connector(&name_there, Some(Arc::new(connector)));
            Ok::<_, StartError>((state, view))
        });
        let (state, view) = placed
            .await
            .unwrap_or_else(|failure| Err(StartError::State(failure.to_string())))?;
        // After damage took the log's end, new events must not get numbers that are settled.
        log.advance_past(state.cursor.end())
            .await
            .map_err(|problem| StartError::State(problem.to_string()))?;
        if let Some(since) = courier.gate.paused() {
            info!(connector = %name, "paused since {since}; `sluice resume {name}` lets it go on");
        }
        let stop = Stop::default();
        let mut tasks = JoinSet::new();
        let (checked, check_stop) = (Arc::clone(&courier), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = check_stop.requested() => {}
                () = first_check(checked) => {}
            }
        });
        let mapping = Arc::new(mapping);
        self.shared.replays.set_way(Way {
            connector: name.clone(),
            mapping: Arc::clone(&mapping),
            unmapped: settings.unmapped,
            sink: settings.sink.clone(),
            documents_max: settings.batch.documents_max.unwrap_or(usize::MAX),
            log: Arc::clone(&log),
            state: Arc::clone(&view),
            live: Some(Arc::clone(&courier)),
        });
        let connector = Connector {
            name: name.clone(),
            source: settings.source,
            mapping,
            unmapped: settings.unmapped,
            courier,
            flush_after: settings.batch.flush_after,
            documents_max: settings.batch.documents_max.unwrap_or(usize::MAX),
            log,
            store: Arc::clone(self.shared.journal.store()),
            view,
        };
        tasks.spawn(watched(connector, state, stop.clone()));
        running.insert(name, Lane { stop, tasks, print });
        Ok(())
    }

    /// Stop one as at the end of the process: what is in flight is finished and saved. Status shows
    /// it until it is exchanged or taken out.
    pub(super) async fn stop(&self, running: &mut BTreeMap<String, Lane>, name: &str) {
        if let Some(mut lane) = running.remove(name) {
            lane.stop.request();
            while lane.tasks.join_next().await.is_some() {}
        }
    }

    /// Stop all of them, at the same time.
    pub(super) async fn stop_all(&self) {
        let mut running = self.lock().await;
        for lane in running.values() {
            lane.stop.request();
        }
        for (_, mut lane) in std::mem::take(&mut *running) {
            while lane.tasks.join_next().await.is_some() {}
        }
    }

    /// Let a connector send nothing, or go on, over restarts too. Its events wait meanwhile. Gives
    /// whether that is a change.
    ///
    /// # Errors
    /// See [`PauseError`].
    pub async fn set_paused(&self, name: &str, is_paused: bool) -> Result<bool, PauseError> {
        let _no_reload = self.lock().await;
        let view = self.shared.connectors().remove(name);
        let view = view.ok_or_else(|| PauseError::NotFound(name.to_owned()))?;
        let gate = &view.courier.gate;
        if gate.paused().is_some() == is_paused {
            return Ok(false);
        }
        let since = is_paused.then(Timestamp::now);
        save_paused(&self.shared.journal, name, since)?;
        gate.set_paused(since);
        if is_paused {
            info!(connector = %name, "paused, as asked; its events wait in the journal");
        } else {
            info!(connector = %name, "resumed, as asked");
        }
        Ok(true)
    }
}

impl Lane {
    /// See [`print_of`].
    pub(super) fn print(&self) -> &str {
        &self.print
    }
}

/// Run a connector; a crash of it or of a plugin in it is seen, and stops this connector alone.
async fn watched(connector: Connector, state: super::account::ConnectorState, stop: Stop) {
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
