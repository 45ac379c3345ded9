//! The way in: a source's body becomes durable, each event known as new or as a duplicate.
//!
//! ```text
//! source ── accept ──► look up ids ──► journal (fsync) ──► source answers 2xx
//!                        ▲                    │
//!                        └── recent ids ◄─────┤ read again by the keeper:
//!                            seen ids  ◄──────┘ ids into the store
//! ```
//!
//! An id counts as seen only when its event is on disk. From the append until the keeper has settled
//! the id in the store, it is among the recent ones, in memory. After a crash the keeper first puts
//! the unsettled ids there again and reads what it has not seen yet; only then does the source start. What is no event goes into the dead
//! letters before the source is answered: it has no number in the journal to find it by later.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use foldhash::quality::RandomState;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use sluice_sdk::{BoxFuture, IntakeBackend, IntakeError, Submission};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::dead_letters::{DeadLetter, owner_of_source};
use super::keeper::SETTLE_IDS;
use crate::clock::Clock;
use crate::journal::{AppendError, EventMark, IdHash, Log, MalformedMark, Store, StoreCommit};
use crate::wording::{agree, number};

#[cfg(test)]
mod tests;

/// What a source is told to wait before it comes again.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Ids in memory that the keeper has not settled yet; above it requests wait for the keeper.
const RECENT_IDS_MAX: usize = 4 * SETTLE_IDS;

/// Bytes of bodies between `accept` and the disk, whether their upstream still waits or not.
const UNDER_WAY_KIB_MAX: u32 = 256 << 10;
/// Longest wait for another request's write or for the keeper; then the upstream comes again.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// The engine's side of one source.
pub struct SourceIntake {
    /// The source's name in the config.
    pub name: String,
    pub(super) log: Arc<Log>,
    pub(super) store: Arc<Store>,
    clock: Clock,
    window: Option<Duration>,
    expires_oldest: bool,
    ids: Mutex<RecentIds>,
    appended: Notify,
    stopping: AtomicBool,
    /// When the last event came.
    last_event: Mutex<Option<Instant>>,
    endpoint: tokio::sync::watch::Sender<Option<String>>,
    notes: Mutex<BTreeMap<&'static str, u64>>,
    malformed: Mutex<Malformed>,
    /// Why the journal did not take the last request; nothing once it took one.
    trouble: Mutex<Option<AppendError>>,
    room: Semaphore,
}

/// Under which name the store keeps how far a source has read.
fn position_key(source: &str) -> String {
    format!("position:{source}")
}

#[derive(Default)]
struct RecentIds {
    /// Being written at this moment; a duplicate of one waits.
    writing: HashSet<IdHash, RandomState>,
    /// On disk, not yet settled; each with the number behind the last event of its body.
    recent: HashMap<IdHash, u64, RandomState>,
    /// Every event below it has its id settled.
    settled_below: u64,
}

/// Parts of bodies that were no events, by reason; they are in the dead letters.
pub type Malformed = BTreeMap<String, u64>;

pub(super) fn hash(source: &str, id: &str) -> IdHash {
    let digest = Sha256::new()
        .chain_update(source)
        .chain_update([0])
        .chain_update(id)
        .finalize();
    let mut short = IdHash::default();
    short.copy_from_slice(&digest[..16]);
    short
}

impl SourceIntake {
    /// For one source. `window` is how long ids are remembered; `None` takes everything as new.
    /// `expires_oldest` makes room in a full journal at the cost of the oldest events.
    pub fn new(
        name: String,
        log: Arc<Log>,
        store: Arc<Store>,
        window: Option<Duration>,
        expires_oldest: bool,
        malformed: Malformed,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            log,
            store,
            clock,
            window,
            expires_oldest,
            ids: Mutex::default(),
            appended: Notify::new(),
            stopping: AtomicBool::new(false),
            last_event: Mutex::default(),
            endpoint: tokio::sync::watch::Sender::new(None),
            notes: Mutex::default(),
            malformed: Mutex::new(malformed),
            trouble: Mutex::default(),
            room: Semaphore::new(UNDER_WAY_KIB_MAX as usize),
        })
    }

    /// Refuse everything from now on.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Where the source listens or reads, once it is up.
    pub fn endpoint(&self) -> tokio::sync::watch::Receiver<Option<String>> {
        self.endpoint.subscribe()
    }

    /// The time of day.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How long ids are remembered.
    pub fn window(&self) -> Option<Duration> {
        self.window
    }

    /// These ids are on disk, but not settled: they were there before this process.
    pub(super) fn ids_were_there(&self, hashes: impl Iterator<Item = IdHash>, sequence: u64) {
        let mut ids = self.lock(&self.ids);
        ids.recent.extend(hashes.map(|hash| (hash, sequence)));
    }

    /// The ids of all events below `sequence` are settled in the store, but not those of events that
    /// had left the journal before, if there was such a gap: should one of them come again, it is new.
    pub(super) fn ids_are_settled(&self, sequence: u64) {
        let mut ids = self.lock(&self.ids);
        ids.recent.retain(|_, end| *end > sequence);
        ids.settled_below = sequence;
        drop(ids);
        self.appended.notify_waiters();
    }

    /// How long ago the last event came; nothing before the first.
    pub fn silent_for(&self) -> Option<Duration> {
        self.lock(&self.last_event).map(|last| last.elapsed())
    }

    /// What was set aside, by reason.
    pub fn malformed(&self) -> Malformed {
        self.lock(&self.malformed).clone()
    }

    /// Why the journal did not take the last request; nothing once it took one.
    pub fn trouble(&self) -> Option<AppendError> {
        self.lock(&self.trouble).clone()
    }

    /// Things counted that are no events.
    pub fn notes(&self) -> BTreeMap<&'static str, u64> {
        self.lock(&self.notes).clone()
    }

    fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> std::sync::MutexGuard<'a, T> {
        mutex
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn append(self: Arc<Self>, submission: Submission) -> Result<(), IntakeError> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(IntakeError::Stopping);
        }
        let count = submission.events.len() as u64;
        if count == 0 && submission.malformed.is_empty() {
            return Ok(());
        }
        let kib = u32::try_from(submission.body.len() / 1024 + 1)
            .unwrap_or(u32::MAX)
            .min(UNDER_WAY_KIB_MAX);
        let Ok(_room) = self.room.try_acquire_many(kib) else {
            return Err(IntakeError::Full {
                retry_after: RETRY_AFTER,
            });
        };
        // Runs to its end even if the source goes away in the middle, so that an id never stays
        // among those being written.
        let (events, guard) = self.mark_duplicates(submission.events).await?;
        let malformed: Vec<MalformedMark> = submission
            .malformed
            .into_iter()
            .map(|part| MalformedMark {
                start: part.start,
                end: part.end,
                reason: part.reason,
            })
            .collect();
        let appended = self.write(events, &malformed, &submission.body).await;
        *self.lock(&self.trouble) = match &appended {
            Ok(_) => None,
            Err(problem) => Some(problem.clone()),
        };
        match appended {
            Ok(first) => {
                guard.written(first + count);
                debug!(source = %self.name, body = first, events = count, malformed = malformed.len(), "a body is on disk");
                if count > 0 {
                    *self.lock(&self.last_event) = Some(Instant::now());
                }
                if malformed.is_empty() {
                    return Ok(());
                }
                let (intake, body) = (Arc::clone(&self), submission.body.clone());
                // It waits for the disk.
                tokio::task::spawn_blocking(move || intake.set_aside(&malformed, &body))
                    .await
                    .unwrap_or_else(|failure| Err(IntakeError::Io(failure.to_string())))
            }
            Err(AppendError::Full { .. }) => Err(IntakeError::Full {
                retry_after: RETRY_AFTER,
            }),
            Err(AppendError::Closed) => Err(IntakeError::Stopping),
            Err(problem) => {
                error!(source = %self.name, "the journal cannot be written: {problem}. The upstream is asked to come again; nothing is lost.");
                Err(IntakeError::Io(problem.to_string()))
            }
        }
    }

    /// Append one body; with `when_full: expire_oldest`, at the cost of the oldest events.
    async fn write(
        &self,
        events: Vec<EventMark>,
        malformed: &[MalformedMark],
        body: &Bytes,
    ) -> Result<u64, AppendError> {
        loop {
            let append = |events| {
                let now_ms = self.clock.now_ms();
                let (malformed, body) = (malformed.to_vec(), body.clone());
                self.log.append(now_ms, events, malformed, body)
            };
            // Without that setting there is no second try, and nothing to copy for it.
            if !self.expires_oldest {
                return append(events).await;
            }
            let appended = append(events.clone()).await;
            let is_full = matches!(appended, Err(AppendError::Full { .. }));
            if !is_full || !self.expire_oldest().await {
                return appended;
            }
        }
    }

    /// Remove the oldest events from the journal. False when there is nothing to remove.
    async fn expire_oldest(&self) -> bool {
        let log = Arc::clone(&self.log);
        let Ok(released) = tokio::task::spawn_blocking(move || log.expire_oldest()).await else {
            return false;
        };
        let gone = released.sequences.end - released.sequences.start;
        if gone > 0 {
            error!(source = %self.name, "the journal is full: the oldest {gone} events were removed, as `when_full: expire_oldest` says");
        }
        gone > 0
    }

    /// Put what was no event into the dead letters, durably: the upstream will not send it again.
    fn set_aside(&self, parts: &[MalformedMark], body: &Bytes) -> Result<(), IntakeError> {
        if parts.is_empty() {
            return Ok(());
        }
        let mut malformed = self.lock(&self.malformed);
        let mut after = malformed.clone();
        let mut dead_letters = Vec::with_capacity(parts.len());
        for part in parts {
            *after.entry(part.reason.clone()).or_default() += 1;
            let raw = body
                .get(part.start as usize..part.end as usize)
                .unwrap_or_default();
            let dead = DeadLetter::of_source(self.clock.now(), &self.name, &part.reason, raw);
            dead_letters.push(dead.to_bytes());
        }
        let saved = self
            .store
            .commit(&StoreCommit {
                connector: owner_of_source(&self.name),
                state: Some(serde_json::to_vec(&after).expect("counts are plain data")),
                dead_letters,
                ..StoreCommit::default()
            })
            .and_then(|_| self.store.sync());
        if let Err(problem) = saved {
            error!(source = %self.name, "what is no event cannot be set aside: {problem}. The upstream is asked to come again; nothing is lost.");
            return Err(IntakeError::Io(problem.to_string()));
        }
        *malformed = after;
        drop(malformed);
        let reasons: Vec<&str> = parts
            .iter()
            .take(3)
            .map(|part| part.reason.as_str())
            .collect();
        let count = parts.len();
        warn!(
            source = %self.name,
            "{} of a request {} ({}): in the dead letters",
            number(count, "part"), agree(&count, "was no event", "were no events"), reasons.join(", "),
        );
        Ok(())
    }

    /// Decide for each event whether it is new; waits while one of them is being written by another
    /// request. The new ones are among those being written while the guard lives.
    async fn mark_duplicates(
        &self,
        events: Vec<sluice_sdk::EventMark>,
    ) -> Result<(Vec<EventMark>, WritingGuard<'_>), IntakeError> {
        let hashes: Vec<IdHash> = match self.window {
            Some(_) => events
                .iter()
                .map(|event| hash(&self.name, &event.id))
                .collect(),
            None => Vec::new(),
        };
        let Claim { seen, guard } = self.claim_when_free(&hashes).await?;
        let seen = seen.into_iter().chain(std::iter::repeat(false));
        let marks = events
            .into_iter()
            .zip(seen)
            .map(|(event, is_seen)| mark(event, is_seen))
            .collect();
        Ok((marks, guard))
    }

    async fn claim_when_free(&self, hashes: &[IdHash]) -> Result<Claim<'_>, IntakeError> {
        loop {
            let appended = self.appended.notified();
            tokio::pin!(appended);
            appended.as_mut().enable();
            if let Some(claim) = self.claim(hashes)? {
                return Ok(claim);
            }
            if tokio::time::timeout(WAIT_MAX, appended).await.is_err() {
                return Err(IntakeError::Full {
                    retry_after: RETRY_AFTER,
                });
            }
            if self.stopping.load(Ordering::Relaxed) {
                return Err(IntakeError::Stopping);
            }
        }
    }

    /// For each id whether it was seen; the others are now being written. `None`: wait.
    fn claim(&self, hashes: &[IdHash]) -> Result<Option<Claim<'_>>, IntakeError> {
        let Some(mut seen) = self.claim_in_memory(hashes) else {
            return Ok(None);
        };
        let unseen = |seen: &[bool]| -> Vec<IdHash> {
            let both = hashes.iter().zip(seen);
            both.filter_map(|(hash, is_seen)| (!is_seen).then_some(*hash))
                .collect()
        };
        let mut guard = WritingGuard {
            intake: self,
            hashes: unseen(&seen),
        };
        // Without the lock, since it may read from the disk: nobody else takes these ids meanwhile.
        let in_store = self
            .store
            .are_seen(&guard.hashes)
            .map_err(|problem| IntakeError::Io(problem.to_string()))?;
        if in_store.contains(&true) {
            let asked = guard.hashes.iter().zip(&in_store);
            let known = asked.filter_map(|(hash, is_known)| is_known.then_some(*hash));
            let known = WritingGuard {
                intake: self,
                hashes: known.collect(),
            };
            let open = seen.iter_mut().filter(|is_seen| !**is_seen);
            open.zip(in_store)
                .for_each(|(is_seen, is_known)| *is_seen = is_known);
            guard.hashes = unseen(&seen);
            drop(known);
        }
        Ok(Some(Claim { seen, guard }))
    }

    /// Among the ids in memory.
    fn claim_in_memory(&self, hashes: &[IdHash]) -> Option<Vec<bool>> {
        let mut ids = self.lock(&self.ids);
        let is_behind = ids.recent.len() > RECENT_IDS_MAX;
        if is_behind || hashes.iter().any(|hash| ids.writing.contains(hash)) {
            return None;
        }
        Some(
            hashes
                .iter()
                .map(|hash| ids.recent.contains_key(hash) || !ids.writing.insert(*hash))
                .collect(),
        )
    }
}

fn mark(event: sluice_sdk::EventMark, duplicate: bool) -> EventMark {
    EventMark {
        start: event.start,
        end: event.end,
        event_type: event.event_type,
        id: event.id,
        time_ms: event.time_ms,
        duplicate,
    }
}

/// Which ids of a body were seen; the others are its own until the guard goes.
struct Claim<'a> {
    seen: Vec<bool>,
    guard: WritingGuard<'a>,
}

/// Takes the ids out of those being written, whatever happens to the request.
struct WritingGuard<'a> {
    intake: &'a SourceIntake,
    hashes: Vec<IdHash>,
}

impl WritingGuard<'_> {
    fn written(&self, end: u64) {
        let mut ids = self.intake.lock(&self.intake.ids);
        if end > ids.settled_below {
            ids.recent
                .extend(self.hashes.iter().map(|hash| (*hash, end)));
        }
    }
}

impl Drop for WritingGuard<'_> {
    fn drop(&mut self) {
        if self.hashes.is_empty() {
            return;
        }
        let mut ids = self.intake.lock(&self.intake.ids);
        for hash in &self.hashes {
            ids.writing.remove(hash);
        }
        drop(ids);
        self.intake.appended.notify_waiters();
    }
}

/// [`SourceIntake`] as the SDK wants it.
pub struct Backend(pub Arc<SourceIntake>);

impl IntakeBackend for Backend {
    fn accept(&self, submission: Submission) -> BoxFuture<'_, Result<(), IntakeError>> {
        let intake = Arc::clone(&self.0);
        Box::pin(async move {
            // A task of its own: a source whose upstream hangs up drops this future, and then the
            // write must still come to its end before its ids are let go.
            tokio::spawn(async move { intake.append(submission).await })
                .await
                .unwrap_or_else(|failure| Err(IntakeError::Io(failure.to_string())))
        })
    }

    fn ready(&self, endpoint: &str) {
        info!(source = %self.0.name, "ready: {endpoint}");
        self.0.endpoint.send_replace(Some(endpoint.to_owned()));
    }

    fn note(&self, what: &'static str) {
        let mut notes = self.0.lock(&self.0.notes);
        let count = notes.entry(what).or_default();
        *count += 1;
        if count.is_power_of_two() {
            warn!(source = %self.0.name, "{what} ({count} so far)");
        }
    }

    fn load(&self) -> BoxFuture<'_, Result<Option<Bytes>, IntakeError>> {
        Box::pin(async {
            let kept = self.0.store.load_connector(&position_key(&self.0.name));
            let kept = kept.map_err(|problem| IntakeError::Io(problem.to_string()))?;
            Ok(kept.map(Bytes::from))
        })
    }

    fn save(&self, position: Bytes) -> BoxFuture<'_, Result<(), IntakeError>> {
        let commit = StoreCommit {
            connector: position_key(&self.0.name),
            state: Some(position.to_vec()),
            ..StoreCommit::default()
        };
        Box::pin(async move {
            let saved = self.0.store.commit(&commit);
            saved
                .map(drop)
                .map_err(|problem| IntakeError::Io(problem.to_string()))
        })
    }
}
