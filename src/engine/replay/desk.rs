//! All replays: started, listed, cancelled, taken up again after a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use sluice_sdk::{Stop, typed};
use tokio::task::JoinSet;

use super::pick::globs;
use super::play::{Handle, play};
use super::{Origin, Phase, RATE_DEFAULT, RATE_MAX, Replay, ReplayAccount, ReplayStatus, Way};
use crate::clock::Clock;
use crate::engine::dead_letters::{Failed, Fate, Letters, LettersError};
use crate::journal::{DeadLetterKey, Store, StoreCommit, StoreError};

/// Replays that run at the same time.
const RUNNING_MAX: usize = 8;
/// Ended replays that stay in the list.
const ENDED_MAX: usize = 20;
/// How often the end of all replays is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why there is no such replay.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Asked for in a wrong way; the sentence says how.
    #[error("{0}")]
    Wrong(String),
    /// There is no such connector or replay.
    #[error("{0}")]
    NotFound(String),
    /// Not now.
    #[error("{0}")]
    Busy(String),
    /// The letters or the store.
    #[error(transparent)]
    Letters(#[from] LettersError),
    /// The journal, or the store.
    #[error("{0}")]
    Failed(String),
}

impl From<StoreError> for ReplayError {
    fn from(problem: StoreError) -> Self {
        LettersError::from(problem).into()
    }
}

/// All replays of a data folder.
pub struct Replays {
    store: Arc<Store>,
    letters: Arc<Letters>,
    ways: RwLock<BTreeMap<String, Arc<Way>>>,
    all: Mutex<BTreeMap<u64, Arc<Handle>>>,
    tasks: Mutex<JoinSet<()>>,
    stop: Stop,
    /// Stamps replays and the letters that they make; says what is old.
    pub(super) clock: Clock,
}

fn key(id: u64) -> String {
    format!("replay:{id}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Replays {
    /// Those that the store remembers; none runs yet.
    ///
    /// # Errors
    /// The store.
    pub fn open(
        store: Arc<Store>,
        letters: Arc<Letters>,
        clock: Clock,
    ) -> Result<Arc<Self>, StoreError> {
        let mut all = BTreeMap::new();
        for name in store.connectors()? {
            if !name.starts_with("replay:") {
                continue;
            }
            let Some(bytes) = store.load_connector(&name)? else {
                continue;
            };
            let replay: Replay = serde_json::from_slice(&bytes)
                .map_err(|problem| StoreError::Corrupt(format!("{name} ({problem})")))?;
            all.insert(replay.id, Arc::new(Handle::new(replay)));
        }
        Ok(Arc::new(Self {
            store,
            letters,
            ways: RwLock::default(),
            all: Mutex::new(all),
            tasks: Mutex::default(),
            stop: Stop::default(),
            clock,
        }))
    }

    /// The dead letters.
    pub fn letters(&self) -> &Arc<Letters> {
        &self.letters
    }

    /// Say what a connector does from now on. Replays under way take it with their next chunk.
    pub fn set_way(&self, way: Way) {
        let mut ways = self.ways.write().unwrap_or_else(PoisonError::into_inner);
        ways.insert(way.connector.clone(), Arc::new(way));
    }

    /// The connector is gone.
    pub fn remove_way(&self, connector: &str) {
        let mut ways = self.ways.write().unwrap_or_else(PoisonError::into_inner);
        ways.remove(connector);
    }

    pub(super) fn way(&self, connector: &str) -> Option<Arc<Way>> {
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        ways.get(connector).cloned()
    }

    /// Take up what had not ended when the process did.
    pub fn resume(self: &Arc<Self>) {
        let open: Vec<_> = lock(&self.all)
            .values()
            .filter(|handle| !handle.record().phase.is_final())
            .cloned()
            .collect();
        for handle in open {
            self.spawn(handle);
        }
    }

    fn spawn(self: &Arc<Self>, handle: Arc<Handle>) {
        let task = play(Arc::clone(self), handle, self.stop.clone());
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Begin a replay. Its place is on disk when this returns.
    ///
    /// # Errors
    /// When it makes no sense, when too much runs already, or when the store fails.
    pub fn start(
        self: &Arc<Self>,
        connector: &str,
        origin: Origin,
        rate: Option<u32>,
    ) -> Result<ReplayStatus, ReplayError> {
        let mut replay = self.plan(connector, origin, rate)?;
        let mut all = lock(&self.all);
        let running: Vec<Replay> = all
            .values()
            .map(|handle| handle.record())
            .filter(|other| !other.phase.is_final())
            .collect();
        if running.len() >= RUNNING_MAX {
            let busy = format!("{RUNNING_MAX} replays run already; cancel one or wait");
            return Err(ReplayError::Busy(busy));
        }
        let is_of_letters = |replay: &Replay| matches!(replay.origin, Origin::DeadLetters { .. });
        let same = |other: &&Replay| {
            is_of_letters(&replay) && is_of_letters(other) && other.connector == replay.connector
        };
        if let Some(other) = running.iter().find(same) {
            return Err(ReplayError::Busy(format!(
                "replay {} sends dead letters of `{connector}` already; wait for it or cancel it",
                other.id
            )));
        }
        replay.id = all.keys().next_back().map_or(1, |last| last + 1);
        self.save(&replay, Vec::new(), Vec::new())
            .map_err(ReplayError::Failed)?;
        let handle = Arc::new(Handle::new(replay.clone()));
        all.insert(replay.id, Arc::clone(&handle));
        self.forget_oldest(&mut all)?;
        drop(all);
        let status = handle.status();
        self.spawn(handle);
        Ok(status)
    }

    fn forget_oldest(&self, all: &mut BTreeMap<u64, Arc<Handle>>) -> Result<(), StoreError> {
        let ended: Vec<u64> = all
            .iter()
            .filter(|(_, handle)| handle.record().phase.is_final())
            .map(|(id, _)| *id)
            .collect();
        let too_many = ended.len().saturating_sub(ENDED_MAX);
        let mut commit = StoreCommit::default();
        for id in &ended[..too_many] {
            all.remove(id);
            commit.states.push((key(*id), None));
        }
        self.store.commit(&commit).map(|_| ())
    }

    pub(super) fn plan(
        &self,
        connector: &str,
        origin: Origin,
        rate: Option<u32>,
    ) -> Result<Replay, ReplayError> {
        let way = self.way(connector).ok_or_else(|| {
            let known: Vec<String> = self
                .ways
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .keys()
                .cloned()
                .collect();
            let known = known.join("`, `");
            ReplayError::NotFound(format!(
                "there is no connector `{connector}`; there is `{known}`"
            ))
        })?;
        let rate = rate.unwrap_or(RATE_DEFAULT);
        if rate == 0 || rate > RATE_MAX {
            let wrong = format!("a rate is between 1 and {RATE_MAX} events a second");
            return Err(ReplayError::Wrong(wrong));
        }
        let (next, end) = match &origin {
            Origin::DeadLetters { filter } => {
                filter.matcher().map_err(ReplayError::Wrong)?;
                (0, self.store.totals(connector)?.next_number)
            }
            Origin::Journal(range) => {
                globs(range).map_err(ReplayError::Wrong)?;
                if let (Some(from), Some(to)) = (range.from, range.to)
                    && from >= to
                {
                    return Err(ReplayError::Wrong(format!("{from} is not before {to}")));
                }
                (way.log.oldest_sequence(), way.settled_below())
            }
        };
        Ok(Replay {
            id: 0,
            connector: connector.to_owned(),
            origin,
            rate,
            phase: Phase::Counting,
            started: self.clock.now(),
            ended: None,
            next,
            end,
            account: ReplayAccount::default(),
            note: None,
        })
    }

    /// All replays, the oldest first.
    pub fn list(&self) -> Vec<ReplayStatus> {
        lock(&self.all)
            .values()
            .map(|handle| handle.status())
            .collect()
    }

    /// End a replay. What is on its way gets a few seconds; what waits is not sent.
    ///
    /// # Errors
    /// When there is none of this number, or it has ended.
    pub fn cancel(&self, id: u64) -> Result<ReplayStatus, ReplayError> {
        let handle = lock(&self.all).get(&id).cloned().ok_or_else(|| {
            ReplayError::NotFound(format!(
                "there is no replay {id}; {} has them all",
                typed("replay list")
            ))
        })?;
        if handle.record().phase.is_final() {
            return Err(ReplayError::Wrong(format!("replay {id} has ended already")));
        }
        handle.cancel.request();
        Ok(handle.status())
    }

    /// End a replay that no task works on: while the process does not run.
    ///
    /// # Errors
    /// As for [`Replays::cancel`].
    pub fn cancel_at_rest(&self, id: u64) -> Result<ReplayStatus, ReplayError> {
        self.cancel(id)?;
        let handle = lock(&self.all).get(&id).cloned();
        let handle =
            handle.ok_or_else(|| ReplayError::NotFound(format!("there is no replay {id}")))?;
        let mut replay = handle.record();
        replay.phase = Phase::Cancelled;
        replay.ended = Some(self.clock.now());
        self.save(&replay, Vec::new(), Vec::new())
            .map_err(ReplayError::Failed)?;
        handle.set(replay);
        Ok(handle.status())
    }

    /// Whether one still runs.
    pub fn is_busy(&self) -> bool {
        lock(&self.all)
            .values()
            .any(|handle| !handle.record().phase.is_final())
    }

    /// Wait until none runs.
    pub async fn finished(&self) {
        while self.is_busy() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Stop all; those that have not ended go on at the next start.
    pub async fn shutdown(&self) {
        self.stop.request();
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
    }

    /// Place and account of a replay, with what became of letters, in one step.
    pub(super) fn save(
        &self,
        replay: &Replay,
        fates: Vec<(DeadLetterKey, Fate)>,
        failed: Vec<Failed>,
    ) -> Result<(), String> {
        let state = serde_json::to_vec(replay).expect("a replay is plain data");
        let states = vec![(key(replay.id), Some(state))];
        self.letters
            .settle(&replay.connector, fates, failed, states)
            .map(|_| ())
            .map_err(|problem| problem.to_string())
    }
}
