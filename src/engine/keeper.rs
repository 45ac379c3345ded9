//! Reads the log behind a source and stores the ids of its events, so that duplicates are known over
//! a restart. It has the source's own account, since it passes every event once.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_sdk::Stop;
use tracing::error;

use super::intake::{IdHash, SourceIntake, hash};
use crate::journal::{Reader, Record, StoreCommit, StoreError};

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

/// Reads the log behind the source and stores the ids of its events.
pub struct Keeper {
    intake: Arc<SourceIntake>,
    state: SourceState,
    view: Arc<RwLock<SourceState>>,
}

impl Keeper {
    /// Bring the store up to the end of the log; done before the source starts.
    pub async fn catch_up(
        intake: Arc<SourceIntake>,
        state: SourceState,
        view: Arc<RwLock<SourceState>>,
    ) -> (Self, Reader) {
        let oldest = intake.log.oldest_sequence();
        let mut keeper = Self {
            intake,
            state,
            view,
        };
        keeper.pass_over_gap(oldest);
        let mut reader = keeper.intake.log.reader(keeper.state.sequence);
        loop {
            match reader.try_next() {
                Ok(Some(record)) => keeper.keep(&[record], None).await,
                Ok(None) => break,
                Err(problem) => {
                    error!(source = %keeper.intake.name, "the journal cannot be read: {problem}");
                    break;
                }
            }
        }
        keeper.publish();
        (keeper, reader)
    }

    /// Follow the log until `stop`.
    pub async fn run(mut self, mut reader: Reader, stop: Stop) {
        let mut records = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => return,
                record = reader.next() => match record {
                    Ok(record) => records.push(record),
                    Err(problem) => {
                        error!(source = %self.intake.name, "the journal cannot be read: {problem}");
                        tokio::time::sleep(Duration::from_secs(1)).await;
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
    async fn keep(&mut self, records: &[Record], stop: Option<&Stop>) {
        let mut ids = Vec::new();
        let mut has_gap = false;
        for record in records {
            let mut new = Vec::new();
            if record.end_sequence() <= self.state.sequence {
                continue;
            }
            has_gap |= self.pass_over_gap(record.first_sequence);
            for event in &record.events {
                self.state.taken += 1;
                if event.duplicate {
                    self.state.duplicates += 1;
                } else if self.intake.window().is_some() {
                    new.push(hash(&self.intake.name, &event.id));
                }
            }
            ids.push((record.received_ms, new));
            self.state.sequence = record.end_sequence();
        }
        // Without the ids in the store the recent ones must stay in memory, so this is tried until
        // it works; the source itself is not held up by it.
        while let Err(problem) = self.save(&ids) {
            error!(source = %self.intake.name, "ids cannot be stored: {problem}; trying again");
            if stop.is_some_and(Stop::is_requested) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.intake.ids_are_stored(
            ids.iter().flat_map(|(_, hashes)| hashes),
            self.state.sequence,
            has_gap,
        );
        self.publish();
    }

    /// What left the journal before it could be read here was taken all the same. True if any did.
    fn pass_over_gap(&mut self, first: u64) -> bool {
        let gone = first.saturating_sub(self.state.sequence);
        self.state.taken += gone;
        self.state.sequence += gone;
        gone > 0
    }

    /// The ids first: were the state ahead of them, a crash between would let a duplicate pass.
    fn save(&self, ids: &[(i64, Vec<IdHash>)]) -> Result<(), StoreError> {
        for (received_ms, hashes) in ids {
            self.intake.store.remember(hashes, *received_ms)?;
        }
        self.intake.store.commit(&StoreCommit {
            connector: keeper_key(&self.intake.name),
            state: Some(serde_json::to_vec(&self.state).expect("a source's state is plain data")),
            ..StoreCommit::default()
        })?;
        Ok(())
    }

    fn publish(&self) {
        if let Ok(mut view) = self.view.write() {
            view.clone_from(&self.state);
        }
    }
}
