//! Reads the log behind a source and stores the ids of its events, so that duplicates are known over
//! a restart. It has the source's own account, since it passes every event once.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sluice_sdk::Stop;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::error;

use super::intake::{SourceIntake, hash};
use crate::journal::{IdChunk, Reader, Record, SeenId, StoreCommit, StoreError};

/// So many ids are settled together: each time is a table on disk.
pub(super) const SETTLE_IDS: usize = 32 * 1024;
/// Fewer are settled when the oldest of them is so old.
const SETTLE_AFTER: Duration = Duration::from_secs(3600);
/// How often is looked whether it is.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// After a table could not be written: each try may leave a part of one on a full disk.
const SETTLE_AGAIN: Duration = Duration::from_secs(30);
/// Between two tries when the store cannot be written.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Under which name the store keeps how far a source's ids are stored.
pub fn keeper_key(source: &str) -> String {
    format!("ids:{source}")
}

/// What the keeper of a source remembers over a restart; also the source's own account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// Every event below it has its id in the store.
    pub sequence: u64,
    /// Events taken.
    pub taken: u64,
    /// … of which had been taken before.
    pub duplicates: u64,
}

/// Reads the log behind the source and stores the ids of its events: at once in chunks, which a start
/// reads back, and settled, where they can be asked for, when enough have gathered.
pub struct Keeper {
    intake: Arc<SourceIntake>,
    state: SourceState,
    view: Arc<RwLock<SourceState>>,
    /// In chunks, and still among the recent ids of the intake.
    unsettled: Vec<SeenId>,
    settle_not_before: Option<Instant>,
}

impl Keeper {
    /// Bring the store up to the end of the log; done before the source starts.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn catch_up(
        intake: Arc<SourceIntake>,
        state: SourceState,
        view: Arc<RwLock<SourceState>>,
    ) -> Result<(Self, Reader), StoreError> {
        let oldest = intake.log.oldest_sequence();
        let unsettled = intake.store.recent_ids(&intake.name)?;
        let mut keeper = Self {
            intake,
            state,
            view,
            unsettled,
            settle_not_before: None,
        };
        keeper.pass_over_gap(oldest);
        let mut reader = keeper.intake.log.reader(keeper.state.sequence);
        keeper.read_to_the_end(&mut reader).await;
        keeper.intake.ids_were_there(
            keeper.unsettled.iter().map(|id| id.hash),
            keeper.state.sequence,
        );
        keeper.publish();
        Ok((keeper, reader))
    }

    /// What is in the log now.
    pub(super) async fn read_to_the_end(&mut self, reader: &mut Reader) {
        loop {
            match reader.try_next() {
                Ok(Some(record)) => self.keep(&[record], None).await,
                Ok(None) => return,
                Err(problem) => {
                    error!(source = %self.intake.name, "the journal cannot be read: {problem}");
                    return;
                }
            }
        }
    }

    /// Follow the log until `stop`.
    pub async fn run(mut self, mut reader: Reader, stop: Stop) {
        let mut records = Vec::new();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => return,
                _ = look.tick() => self.settle_old(self.intake.now()).await,
                record = reader.next() => match record {
                    Ok(record) => records.push(record),
                    Err(problem) => {
                        error!(source = %self.intake.name, "the journal cannot be read: {problem}");
                        tokio::time::sleep(TRY_AGAIN).await;
                    }
                },
            }
            while records.len() < 32
                && let Ok(Some(record)) = reader.try_next()
            {
                records.push(record);
            }
            if !records.is_empty() {
                self.keep(&records, Some(&stop)).await;
                records.clear();
            }
        }
    }

    /// Gives up at `stop`: what is not saved is read again at the next start.
    async fn keep(&mut self, records: &[Arc<Record>], stop: Option<&Stop>) {
        let mut ids = Vec::new();
        let mut has_gap = false;
        for record in records {
            if record.end_sequence() <= self.state.sequence {
                continue;
            }
            has_gap |= self.pass_over_gap(record.first_sequence);
            for event in &record.events {
                self.state.taken += 1;
                if event.duplicate {
                    self.state.duplicates += 1;
                } else if self.intake.window().is_some() {
                    ids.push(SeenId {
                        hash: hash(&self.intake.name, &event.id),
                        received_ms: record.received_ms,
                    });
                }
            }
            self.state.sequence = record.end_sequence();
        }
        self.unsettled.extend_from_slice(&ids);
        // Without the ids in the store the recent ones must stay in memory, so this is tried until
        // it works; the source itself is not held up by it.
        while let Err(problem) = self.save(&ids) {
            error!(source = %self.intake.name, "ids cannot be stored: {problem}; trying again");
            if stop.is_some_and(Stop::is_requested) {
                return;
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
        if has_gap || self.unsettled.len() >= SETTLE_IDS {
            self.settle().await;
        }
        self.publish();
    }

    /// What left the journal before it could be read here was taken all the same. True if any did.
    fn pass_over_gap(&mut self, first: u64) -> bool {
        let gone = first.saturating_sub(self.state.sequence);
        self.state.taken += gone;
        self.state.sequence += gone;
        gone > 0
    }

    /// Ids and state are one step.
    fn save(&self, ids: &[SeenId]) -> Result<(), StoreError> {
        let chunk = IdChunk {
            source: self.intake.name.clone(),
            end_sequence: self.state.sequence,
            ids: ids.to_vec(),
        };
        self.intake.store.commit(&StoreCommit {
            connector: keeper_key(&self.intake.name),
            state: Some(serde_json::to_vec(&self.state).expect("a source's state is plain data")),
            ids: (!ids.is_empty()).then_some(chunk),
            ..StoreCommit::default()
        })?;
        Ok(())
    }

    /// A settled id is seen within the window, an unsettled one always: it must not outlive the window.
    pub(super) async fn settle_old(&mut self, now: Timestamp) {
        let limit = self.intake.window().unwrap_or_default().min(SETTLE_AFTER);
        let limit_ms = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        let oldest = self.unsettled.iter().map(|id| id.received_ms).min();
        let is_old = oldest.is_some_and(|oldest| now.as_millisecond() - oldest >= limit_ms);
        if is_old {
            self.settle().await;
        }
    }

    /// Tried again after a while if it does not work: the ids are in chunks and in memory meanwhile.
    async fn settle(&mut self) {
        if self.settle_not_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let (intake, mut ids) = (Arc::clone(&self.intake), self.unsettled.clone());
        // It writes a file and waits for the disk.
        let done =
            tokio::task::spawn_blocking(move || intake.store.settle_ids(&intake.name, &mut ids));
        let problem = match done.await {
            Ok(Ok(())) => {
                self.unsettled.clear();
                self.settle_not_before = None;
                self.intake.ids_are_settled(self.state.sequence);
                return;
            }
            Ok(Err(problem)) => problem.to_string(),
            Err(failure) => failure.to_string(),
        };
        error!(source = %self.intake.name, "ids cannot be settled: {problem}; trying again in {} s", SETTLE_AGAIN.as_secs());
        self.settle_not_before = Some(Instant::now() + SETTLE_AGAIN);
    }

    fn publish(&self) {
        if let Ok(mut view) = self.view.write() {
            view.clone_from(&self.state);
        }
    }
}
