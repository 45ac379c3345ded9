//! Start everything, keep it going, stop it cleanly.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use sluice_sdk::{DynSource, Intake, Stop};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{error, info, warn};

use super::dead_letters::Letters;
use super::dead_letters::owner_of_source;
use super::intake::{Backend, SourceIntake};
use super::keeper::{Keeper, SourceState, keeper_key};
use super::lanes::{Lanes, Launch};
use super::places;
use super::prepare::Prepared;
use super::replay::Replays;
use super::shared::{Shared, SourceView, housekeeping, watch_silence};
use super::state::{StartError, load_state};
use crate::clock::Clock;
use crate::config::WhenFull;
use crate::journal::{Journal, JournalOptions};

/// Longest wait for the sources to stop. Longer than those of ours give their requests under way.
const SOURCE_STOP_TIME_MAX: Duration = Duration::from_secs(60);

/// A running engine.
pub struct Running {
    shared: Arc<Shared>,
    stop_sources: Stop,
    stop_connectors: Stop,
    sources: JoinSet<(String, Result<(), String>)>,
    lanes: Arc<Lanes>,
    helpers: JoinSet<()>,
}

impl Running {
    /// Open the journal and start connectors, then sources.
    ///
    /// # Errors
    /// When the data folder cannot be used or a plugin cannot be made. Nothing runs then.
    pub async fn start(prepared: Prepared) -> Result<Self, StartError> {
        Self::start_by(prepared, Clock::default()).await
    }

    /// The same by another clock.
    ///
    /// # Errors
    /// As for [`Running::start`].
    pub async fn start_by(prepared: Prepared, clock: Clock) -> Result<Self, StartError> {
        let config = &prepared.config;
        let options = JournalOptions {
            max_size_bytes: config.journal.max_size,
            retain: config.journal.retain,
            ..JournalOptions::new(&config.journal.path)
        };
        let sources = config.sources.keys().map(String::as_str);
        // Held until their sources have them.
        let (journal, _logs) = Journal::open_with_logs(options, sources)?;
        let letters = Arc::new(Letters::new(Arc::clone(journal.store())));
        let replays = Replays::open(Arc::clone(journal.store()), letters, clock.clone())
            .map_err(|problem| StartError::State(problem.to_string()))?;
        let stop_sources = Stop::default();
        let stop_connectors = Stop::default();
        let mut sources = JoinSet::new();
        let mut helpers = JoinSet::new();
        let mut source_views = BTreeMap::new();

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
            let malformed = load_state(&journal, &owner_of_source(name))?.unwrap_or_default();
            let intake = SourceIntake::new(
                name.clone(),
                Arc::clone(&log),
                store,
                window,
                expires_oldest,
                malformed,
                clock.clone(),
            );
            let state: SourceState = load_state(&journal, &keeper_key(name))?.unwrap_or_default();
            log.advance_past(state.sequence)
                .await
                .map_err(|problem| StartError::State(problem.to_string()))?;
            let view = Arc::new(RwLock::new(state.clone()));
            let (keeper, reader) = Keeper::catch_up(Arc::clone(&intake), state, Arc::clone(&view))
                .await
                .map_err(|problem| StartError::State(problem.to_string()))?;
            helpers.spawn(keeper.run(reader, stop_connectors.clone()));
            source_views.insert(
                name.clone(),
                SourceView {
                    log,
                    intake: Arc::clone(&intake),
                    state: view,
                    life: Arc::default(),
                    expect_every: source.expect_every,
                    started: Instant::now(),
                },
            );
            to_start.push((name.clone(), built, intake));
        }
        let stranded = places::stranded(&journal, config)?;
        for told in &stranded {
            warn!("{told}");
        }
        let shared = Arc::new(Shared::new(
            journal,
            source_views,
            Arc::new(prepared.config),
            prepared.hash,
            replays,
            stranded,
            clock,
        ));
        let lanes = Arc::new(Lanes::new(Arc::clone(&shared)));
        let config = shared.config();
        let launches = prepared
            .connectors
            .into_iter()
            .map(|ready| Launch::new(ready, &config))
            .collect::<Result<Vec<_>, _>>()?;
        {
            let mut running = lanes.lock().await;
            for launch in launches {
                lanes.start(&mut running, launch).await?;
            }
        }
        shared.replays.resume();
        for (name, source, intake) in to_start {
            let intake = Intake::new(Arc::new(Backend(intake)));
            let stop = stop_sources.clone();
            let life = Arc::clone(&shared.sources[&name].life);
            sources.spawn(async move {
                let ended = run_source(source, intake, stop).await;
                life.ended();
                (name, ended)
            });
        }
        helpers.spawn(housekeeping(Arc::clone(&shared), stop_connectors.clone()));
        helpers.spawn(watch_silence(Arc::clone(&shared), stop_connectors.clone()));
        Ok(Self {
            shared,
            stop_sources,
            stop_connectors,
            sources,
            lanes,
            helpers,
        })
    }

    /// What status, admin and tests look at.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// The connectors, to change them while they run.
    pub fn lanes(&self) -> Arc<Lanes> {
        Arc::clone(&self.lanes)
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
                Err(failure) => return Err(format!("a source was given up: {failure}")),
            }
        }
        while self.shared.waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.shared.replays.finished().await;
        Ok(())
    }

    /// Stop sources first, then connectors; what is not delivered stays in the journal. A plugin that
    /// does not stop is left behind after a bounded time.
    pub async fn shutdown(mut self) {
        self.stop_sources.request();
        for source in self.shared.sources.values() {
            source.life.stopping();
        }
        let sources = async { while self.sources.join_next().await.is_some() {} };
        if timeout(SOURCE_STOP_TIME_MAX, sources).await.is_err() {
            for (name, _) in self
                .shared
                .sources
                .iter()
                .filter(|it| !it.1.life.has_ended())
            {
                error!(source = %name, "not stopped within {} s. Ending without it: what it has not acknowledged, its upstream sends again.", SOURCE_STOP_TIME_MAX.as_secs());
            }
            self.sources.abort_all();
        }
        for source in self.shared.sources.values() {
            source.intake.stop();
        }
        self.shared.replays.shutdown().await;
        self.stop_connectors.request();
        self.lanes.stop_all().await;
        while self.helpers.join_next().await.is_some() {}
        if let Err(problem) = self.shared.journal.store().sync() {
            warn!(
                "the last cursors may not be on disk: {problem}; after a power loss some documents would be sent once more"
            );
        }
    }
}

/// Until the source ends; a crash of it is its end, and told like one.
async fn run_source(source: Box<dyn DynSource>, intake: Intake, stop: Stop) -> Result<(), String> {
    // A set, so that the source is dropped with this one.
    let mut one = JoinSet::new();
    one.spawn(source.run(intake, stop));
    match one.join_next().await {
        Some(Ok(ended)) => ended.map_err(|problem| problem.to_string()),
        Some(Err(failure)) if failure.is_panic() => {
            Err("the source plugin crashed; report this to its author".to_owned())
        }
        _ => Ok(()),
    }
}
