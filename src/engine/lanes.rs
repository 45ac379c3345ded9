//! The connectors that run: started, exchanged and stopped one by one while everything else goes on.
//!
//! To exchange one, its task ends as at a stop: what is in flight is finished, what waits for its next
//! try or for a hold is let go unsettled. The next one reads it from the journal again, by the new
//! rules and through the new sink. So nothing is lost, and a batch in retry takes the new settings.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sluice_sdk::{DynSink, Stop, typed};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{error, info, warn};

use super::connector::{Connector, DRAIN_TIME};
use super::delivery::Courier;
use super::places;
use super::prepare::PreparedConnector;
use super::replay::Way;
use super::shared::{ConnectorView, Shared};
use super::state::{StartError, load_paused, place, save_paused};
use crate::config::{Config, ConnectorConfig};
use crate::mapping::Mapping;

/// Longest wait for a connector to stop: what is under way, and then to save.
const STOP_TIME_MAX: Duration = DRAIN_TIME.saturating_add(Duration::from_secs(10));

/// The connectors that run.
pub struct Lanes {
    shared: Arc<Shared>,
    running: Mutex<BTreeMap<String, Lane>>,
    is_closed: AtomicBool,
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
    config: Arc<Config>,
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
    pub(super) fn new(ready: PreparedConnector, config: &Arc<Config>) -> Result<Self, StartError> {
        let settings = &config.connectors[&ready.name];
        let sink =
            (settings.sink.plugin.build)(settings.sink.settings.clone()).map_err(|problem| {
                StartError::Plugin {
                    what: format!("sink of connector `{}`", ready.name),
                    problem,
                }
            })?;
        Ok(Self {
            print: print_of(settings, &ready.rules_hash),
            name: ready.name,
            config: Arc::clone(config),
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
        // Of the sink's settings.
        document_paths: _,
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
    let when = when.as_ref().and_then(|node| node.as_str());
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
            is_closed: AtomicBool::new(false),
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

    /// Start one that does not run. Gives what a person should know of where it begins.
    pub(super) async fn start(
        &self,
        running: &mut BTreeMap<String, Lane>,
        launch: Launch,
    ) -> Result<Option<String>, StartError> {
        let Launch {
            name,
            config,
            mapping,
            sink,
            print,
        } = launch;
        let settings = config.connectors[&name].clone();
        let log = Arc::clone(&self.shared.sources[&settings.source].log);
        let courier = Arc::new(Courier::new(name.clone(), sink, self.shared.clock.clone()));
        let (shared, courier_there) = (Arc::clone(&self.shared), Arc::clone(&courier));
        let (name_there, log_there) = (name.clone(), Arc::clone(&log));
        // It may read the whole journal.
        let placed = tokio::task::spawn_blocking(move || {
            let _no_release = shared
                .placing
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let (state, told) = place(&shared.journal, &name_there, &config, &log_there)?;
            places::write(&shared.journal)?;
            let paused = load_paused(&shared.journal, &name_there)?;
            courier_there.gate.set_paused(paused);
            let view = Arc::new(RwLock::new(state.clone()));
            let connector = ConnectorView {
                source: config.connectors[&name_there].source.clone(),
                courier: courier_there,
                state: Arc::clone(&view),
            };
            shared.set_connector(&name_there, Some(Arc::new(connector)));
            Ok::<_, StartError>((state, view, told))
        });
        let (state, view, told) = placed
            .await
            .unwrap_or_else(|failure| Err(StartError::State(failure.to_string())))?;
        if let Some(told) = &told {
            warn!(connector = %name, "{told}");
        }
        // After damage took the log's end, new events must not get numbers that are settled.
        log.advance_past(state.cursor.end())
            .await
            .map_err(|problem| StartError::State(problem.to_string()))?;
        if let Some(since) = courier.gate.paused() {
            info!(connector = %name, "paused since {since}; {} lets it go on", typed(&format!("resume {name}")));
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
        let (looked_at, look_stop) = (Arc::clone(&courier), stop.clone());
        tasks.spawn(async move { looked_at.watch_prepare(&look_stop).await });
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
            clock: self.shared.clock.clone(),
            view,
        };
        tasks.spawn(watched(connector, state, stop.clone())?);
        running.insert(name, Lane { stop, tasks, print });
        Ok(told)
    }

    /// Stop one as at the end of the process: what is in flight is finished and saved. Status shows
    /// it until it is exchanged or taken out.
    ///
    /// # Errors
    /// When it does not end in time, because its sink plugin does not come back. It must not be
    /// started a second time then: both would save their account.
    pub(super) async fn stop(
        &self,
        running: &mut BTreeMap<String, Lane>,
        name: &str,
    ) -> Result<(), StartError> {
        let Some(lane) = running.get_mut(name) else {
            return Ok(());
        };
        lane.stop.request();
        if timeout(STOP_TIME_MAX, lane.ended()).await.is_err() {
            lane.print.clear();
            return Err(StartError::State(format!(
                "connector `{name}` has not stopped within {} s, its sink plugin does not come back; a restart of the program is needed",
                STOP_TIME_MAX.as_secs()
            )));
        }
        running.remove(name);
        Ok(())
    }

    /// Stop all of them, at the same time. One that does not end in time is left to the end of the
    /// process: what it has not settled is read again at the next start.
    pub(super) async fn stop_all(&self) {
        let mut running = self.lock().await;
        self.is_closed.store(true, Ordering::Relaxed);
        for lane in running.values() {
            lane.stop.request();
        }
        let deadline = Instant::now() + STOP_TIME_MAX;
        for (name, mut lane) in std::mem::take(&mut *running) {
            if timeout_at(deadline, lane.ended()).await.is_err() {
                error!(connector = %name, "not stopped within {} s: its sink plugin does not come back. Ending without it; what it has not settled is sent after the next start.", STOP_TIME_MAX.as_secs());
            }
        }
    }

    /// Whether all were stopped for good.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
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
        let since = is_paused.then(|| self.shared.clock.now());
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

    async fn ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Run a connector; a crash of it or of a plugin in it is seen, and stops this connector alone. It has
/// a thread of its own, so that a sink whose `prepare` blocks holds up nothing else.
fn watched(
    connector: Connector,
    state: super::account::ConnectorState,
    stop: Stop,
) -> Result<impl Future<Output = ()>, StartError> {
    let courier = Arc::clone(&connector.courier);
    let runtime = tokio::runtime::Handle::current();
    let (ended_in, ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name(format!("connector {}", connector.name))
        .spawn(move || {
            runtime.block_on(connector.run(state, stop));
            let _ = ended_in.send(());
        })
        .map_err(|problem| StartError::State(format!("no thread to run on: {problem}")))?;
    Ok(async move {
        // A panic drops the other end.
        if ended.await.is_err() {
            courier.hold_crashed("the connector or its sink plugin crashed");
        }
    })
}

/// [`Courier::first_check`]; a crash of it holds the connector.
async fn first_check(courier: Arc<Courier>) {
    // A set, so that the check ends with this one.
    let mut one = JoinSet::new();
    let checked = Arc::clone(&courier);
    one.spawn(async move { checked.first_check().await });
    if let Some(Err(failure)) = one.join_next().await
        && failure.is_panic()
    {
        courier.hold_crashed("the sink plugin crashed in its check");
    }
}
