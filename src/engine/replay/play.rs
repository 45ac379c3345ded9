//! The task behind one replay: from its place to its end, or until it is cancelled.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sluice_sdk::Stop;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::chunk::{Chunk, Settled};
use super::known::Known;
use super::pick::{Picked, Picker};
use super::{Origin, Phase, Replay, ReplayStatus, Replays, Way};
use crate::engine::delivery::Courier;
use crate::engine::gate::GateState;

/// Most events on their way together.
const CHUNK_EVENTS_MAX: usize = 500;
/// Most bytes of events on their way together.
const CHUNK_BYTES_MAX: usize = 4 << 20;
/// Chunks a second, so that the rate is even; fewer where chunks would be larger than allowed.
const CHUNKS_A_SECOND: u32 = 2;
/// How often a replay that stands still looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Time that a chunk under way gets at a stop or a cancel.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// Tries of the store before a replay gives up; each after [`LOOK_AGAIN`].
const STORE_TRIES_MAX: u32 = 60;

/// One replay, shared between its task and those who look at it.
pub(super) struct Handle {
    record: Mutex<Replay>,
    waits_for: Mutex<Option<String>>,
    courier: Mutex<Option<Arc<Courier>>>,
    /// A person wants it to end.
    pub(super) cancel: Stop,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    pub(super) fn new(replay: Replay) -> Self {
        Self {
            record: Mutex::new(replay),
            waits_for: Mutex::default(),
            courier: Mutex::default(),
            cancel: Stop::default(),
        }
    }

    pub(super) fn record(&self) -> Replay {
        lock(&self.record).clone()
    }

    pub(super) fn set(&self, replay: Replay) {
        *lock(&self.record) = replay;
    }

    pub(super) fn status(&self) -> ReplayStatus {
        let replay = self.record();
        let own = || {
            let courier = lock(&self.courier).clone()?;
            match courier.gate.state() {
                GateState::Held { reason, .. } => Some(format!("held: {reason}")),
                GateState::Open => courier.trouble().map(|why| format!("trying again: {why}")),
            }
        };
        let waits_for = match replay.phase.is_final() {
            true => None,
            false => lock(&self.waits_for).clone().or_else(own),
        };
        ReplayStatus {
            waiting: replay.account.waiting(),
            waits_for,
            replay,
        }
    }
}

/// Why a replay ends before its end.
enum Ends {
    /// The process stops; it goes on at the next start.
    Stopped,
    Cancelled,
    Failed(String),
}

/// Run one replay.
pub(super) async fn play(replays: Arc<Replays>, handle: Arc<Handle>, stop: Stop) {
    let mut player = Player {
        replay: handle.record(),
        replays,
        handle,
        stop,
    };
    let phase = match player.play().await {
        Ok(()) => Phase::Done,
        Err(Ends::Stopped) => return,
        Err(Ends::Cancelled) => Phase::Cancelled,
        Err(Ends::Failed(problem)) => {
            player.replay.note = Some(problem);
            Phase::Failed
        }
    };
    player.end(phase).await;
}

struct Player {
    replay: Replay,
    replays: Arc<Replays>,
    handle: Arc<Handle>,
    stop: Stop,
}

impl Player {
    async fn play(&mut self) -> Result<(), Ends> {
        let mut way = self.way()?;
        if self.replay.phase == Phase::Counting {
            self.count(&way).await?;
        }
        let mut courier = self.courier(&way)?;
        let known = self.known().await?;
        let mut picker =
            Picker::new(&self.replay, self.replays.letters(), &way).map_err(Ends::Failed)?;
        loop {
            self.yield_to_live(&way).await?;
            let now = self.way()?;
            if !Arc::ptr_eq(&way, &now) {
                way = now;
                courier = self.courier(&way)?;
            }
            let began = Instant::now();
            let (back, picked) = pick(picker, chunk_events(self.replay.rate)).await?;
            picker = back;
            if picked.is_empty() {
                return Ok(());
            }
            let count = picked.len();
            let place = picker.place();
            let mut chunk = self.prepared(picked, &way, &courier).await?;
            tokio::select! {
                () = chunk.send(&courier, way.documents_max) => {}
                () = self.ends_soon() => {}
            }
            let is_cancelled = self.handle.cancel.is_requested();
            let settled = chunk.finish(&mut self.replay.account, !is_cancelled, &known);
            self.replay.next = settled.unsettled.unwrap_or(place);
            self.commit(settled).await?;
            self.pause(began, count).await?;
        }
    }

    /// Rules and the sink's `prepare`, where they hold up nothing else.
    async fn prepared(
        &self,
        picked: Vec<Picked>,
        way: &Arc<Way>,
        courier: &Arc<Courier>,
    ) -> Result<Chunk, Ends> {
        let (way, preparing) = (Arc::clone(way), Arc::clone(courier));
        let clock = self.replays.clock.clone();
        let chunk =
            tokio::task::spawn_blocking(move || Chunk::prepare(picked, &way, &preparing, &clock));
        tokio::select! {
            chunk = chunk => joined(chunk.map(Ok)),
            () = courier.watch_prepare(&self.stop) => Err(Ends::Stopped),
            () = self.handle.cancel.requested() => Err(Ends::Cancelled),
        }
    }

    /// The connector as it is configured now.
    fn way(&self) -> Result<Arc<Way>, Ends> {
        self.replays.way(&self.replay.connector).ok_or_else(|| {
            let name = &self.replay.connector;
            Ends::Failed(format!("connector `{name}` is not in the config any more"))
        })
    }

    fn courier(&self, way: &Way) -> Result<Arc<Courier>, Ends> {
        let courier = way
            .courier(&self.replays.clock)
            .map_err(|problem| Ends::Failed(format!("the sink cannot be made: {problem}")))?;
        let courier = Arc::new(match self.replay.origin {
            Origin::DeadLetters { .. } => courier.expects_refusals(),
            Origin::Journal(_) => courier,
        });
        *lock(&self.handle.courier) = Some(Arc::clone(&courier));
        Ok(courier)
    }

    /// The letters about events of the journal; those of a replay of letters are known by themselves.
    async fn known(&self) -> Result<Known, Ends> {
        if let Origin::DeadLetters { .. } = self.replay.origin {
            return Ok(Known::default());
        }
        let (replay, letters) = (self.replay.clone(), Arc::clone(self.replays.letters()));
        let read = tokio::task::spawn_blocking(move || Known::read(&replay, &letters));
        joined(
            read.await
                .map(|read| read.map_err(|problem| problem.to_string())),
        )
    }

    /// How many there are, so that the account has its total before anything is sent.
    async fn count(&mut self, way: &Way) -> Result<(), Ends> {
        let mut picker =
            Picker::new(&self.replay, self.replays.letters(), way).map_err(Ends::Failed)?;
        let (cancel, stop) = (self.handle.cancel.clone(), self.stop.clone());
        let counted = tokio::task::spawn_blocking(move || {
            let mut count = 0;
            while picker.next()?.is_some() {
                count += 1;
                if cancel.is_requested() || stop.is_requested() {
                    break;
                }
            }
            Ok((count, picker.oldest()))
        });
        let (count, oldest) = joined(counted.await)?;
        self.check()?;
        self.replay.account.replayed = count;
        self.replay.note = missing(&self.replay.origin, oldest);
        self.replay.phase = Phase::Running;
        self.commit(Settled::default()).await
    }

    fn check(&self) -> Result<(), Ends> {
        if self.handle.cancel.is_requested() {
            Err(Ends::Cancelled)
        } else if self.stop.is_requested() {
            Err(Ends::Stopped)
        } else {
            Ok(())
        }
    }

    async fn asked(&self) {
        tokio::select! {
            () = self.handle.cancel.requested() => {}
            () = self.stop.requested() => {}
        }
    }

    async fn ends_soon(&self) {
        self.asked().await;
        tokio::time::sleep(DRAIN_TIME).await;
    }

    /// Live events first: stand still while their connector does.
    async fn yield_to_live(&self, way: &Way) -> Result<(), Ends> {
        loop {
            self.check()?;
            let trouble = way.live_trouble();
            let is_free = trouble.is_none();
            *lock(&self.handle.waits_for) = trouble;
            if is_free {
                return Ok(());
            }
            self.sleep(LOOK_AGAIN).await;
        }
    }

    async fn sleep(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.asked() => {}
        }
    }

    async fn pause(&self, began: Instant, count: usize) -> Result<(), Ends> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let due = Duration::from_secs(1) * count / self.replay.rate.max(1);
        self.sleep(due.saturating_sub(began.elapsed())).await;
        self.check()
    }

    /// Place, account and letters in one step, tried until it works.
    async fn commit(&self, settled: Settled) -> Result<(), Ends> {
        let mut tries = 0;
        loop {
            let (replays, replay) = (Arc::clone(&self.replays), self.replay.clone());
            let (fates, failed) = (settled.fates.clone(), settled.failed.clone());
            let saved = tokio::task::spawn_blocking(move || replays.save(&replay, fates, failed));
            match joined(saved.await.map(Ok)) {
                Ok(Ok(())) => {
                    self.handle.set(self.replay.clone());
                    return Ok(());
                }
                Ok(Err(problem)) => {
                    tries += 1;
                    error!(connector = %self.replay.connector, replay = self.replay.id, "the replay cannot be saved: {problem}. Trying again; after a restart some documents would be sent once more.");
                    if self.replay.phase == Phase::Running {
                        // At a stop what is not saved goes again after the start.
                        self.check()?;
                    }
                    if tries >= STORE_TRIES_MAX {
                        return Err(Ends::Failed(format!("it could not be saved: {problem}")));
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(ends) => return Err(ends),
            }
        }
    }

    async fn end(&mut self, phase: Phase) {
        if phase == Phase::Done {
            // What was chosen and never met has left the journal, or was dropped meanwhile.
            self.replay.account.gone += self.replay.account.waiting();
        }
        self.replay.phase = phase;
        self.replay.ended = Some(self.replays.clock.now());
        let (connector, id) = (self.replay.connector.clone(), self.replay.id);
        let account = &self.replay.account;
        let sums = format!(
            "{} replayed = {} delivered + {} skipped + {} dead + {} gone + {} waiting",
            account.replayed,
            account.delivered,
            account.skipped_total(),
            account.dead_total(),
            account.gone,
            account.waiting()
        );
        match phase {
            Phase::Failed => {
                let why = self.replay.note.as_deref().unwrap_or_default();
                error!(connector = %connector, replay = id, "the replay has failed: {why}. {sums}");
            }
            Phase::Cancelled => {
                warn!(connector = %connector, replay = id, "the replay was cancelled: {sums}")
            }
            Phase::Done | Phase::Counting | Phase::Running => {
                info!(connector = %connector, replay = id, "the replay is done: {sums}");
            }
        }
        // A failure was told; the record on disk then says how far it was.
        let _ = self.commit(Settled::default()).await;
        self.handle.set(self.replay.clone());
    }
}

/// The next events, with the picker back. Reads wait for the disk.
async fn pick(mut picker: Picker, events_max: usize) -> Result<(Picker, Vec<Picked>), Ends> {
    let picked = tokio::task::spawn_blocking(move || {
        let mut picked = Vec::new();
        let mut bytes = 0;
        while picked.len() < events_max && bytes < CHUNK_BYTES_MAX {
            let Some(event) = picker.next()? else { break };
            bytes += event.event.len();
            picked.push(event);
        }
        Ok((picker, picked))
    });
    joined(picked.await)
}

fn joined<T>(done: Result<Result<T, String>, tokio::task::JoinError>) -> Result<T, Ends> {
    match done {
        Ok(done) => done.map_err(Ends::Failed),
        Err(failure) => Err(Ends::Failed(failure.to_string())),
    }
}

fn chunk_events(rate: u32) -> usize {
    usize::try_from(rate / CHUNKS_A_SECOND)
        .unwrap_or(CHUNK_EVENTS_MAX)
        .clamp(1, CHUNK_EVENTS_MAX)
}

/// What was asked for and the journal no longer has.
pub(super) fn missing(origin: &Origin, oldest: Option<Timestamp>) -> Option<String> {
    let Origin::Journal(range) = origin else {
        return None;
    };
    let (from, oldest) = (range.from?, oldest?);
    (from < oldest).then(|| {
        format!("the journal holds events from {oldest}; asked from {from}. What came before is not there any more.")
    })
}
