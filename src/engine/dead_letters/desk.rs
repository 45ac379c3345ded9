//! The one place where dead letters leave, so that each is counted exactly once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::error;

use super::{DeadLetter, Filter};
use crate::journal::{DeadLetterKey, Store, StoreCommit, StoreError};

/// Letters read from the store, or changed in it, in one step.
const PAGE: usize = 64;

/// Why dead letters cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LettersError {
    /// The filter makes no sense; the sentence says why.
    #[error("{0}")]
    Filter(String),
    /// The store.
    #[error("the dead letters cannot be read or changed: {0}")]
    Store(#[from] StoreError),
    /// A letter that is no letter.
    #[error("the dead letter {0} is damaged: {1}")]
    Damaged(DeadLetterKey, String),
}

/// What became of a letter.
#[derive(Debug, Clone)]
pub enum Fate {
    /// A replay delivered it.
    Delivered,
    /// A replay skipped it, for this reason.
    Skipped(String),
    /// A replay failed; these are the letters now, one for each document that cannot go, with the
    /// history of the one before. The first keeps the name.
    Stays(Vec<DeadLetter>),
    /// A person dropped it.
    Dropped,
    /// Too old, or no room.
    Expired,
}

/// An event of the journal that a replay could not deliver.
#[derive(Debug, Clone)]
pub struct Failed {
    /// The letters about it that were there before.
    pub before: Vec<DeadLetterKey>,
    /// The letters about it now: each in the place of one before, where there is one.
    pub letters: Vec<DeadLetter>,
}

/// Letters of one connector that have left, by how; kept over restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LetterAccount {
    /// By a replay.
    pub delivered: u64,
    /// By a replay, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// By a person, by the letters' reason.
    pub dropped: BTreeMap<String, u64>,
    /// By age or size, by the letters' reason.
    pub expired: BTreeMap<String, u64>,
}

impl LetterAccount {
    /// All that have left.
    pub fn total(&self) -> u64 {
        let reasons = [&self.skipped, &self.dropped, &self.expired];
        self.delivered + reasons.iter().flat_map(|it| it.values()).sum::<u64>()
    }
}

/// The letters of one connector: `ever = held + delivered + skipped + dropped + expired`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LettersStatus {
    /// All there ever were.
    pub ever: u64,
    /// Here now.
    pub held: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Since when the oldest of them is here.
    #[serde(default)]
    pub oldest: Option<Timestamp>,
    /// Those that have left.
    #[serde(flatten)]
    pub left: LetterAccount,
}

/// Drop dead letters.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropOrder {
    /// Which. Never left out: an empty order must not drop everything.
    pub filter: Filter,
    /// Say how many there are; drop nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What is dropped, or would be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Dropped {
    /// Whether they are still there.
    pub dry_run: bool,
    /// How many.
    pub count: u64,
    /// By connector and reason.
    pub by_reason: BTreeMap<String, BTreeMap<String, u64>>,
}

/// How long letters stay.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// The oldest that stay; `None`: any age.
    pub age: Option<Duration>,
    /// Bytes of all connectors' letters together.
    pub bytes_max: u64,
}

/// All dead letters of a data folder.
pub struct Letters {
    store: Arc<Store>,
    /// One change at a time: accounts are read, changed and written.
    changing: Mutex<()>,
}

/// Accounts by the names that the store has them under; `None` takes one out.
pub type Accounts = Vec<(String, Option<Vec<u8>>)>;

fn account_key(connector: &str) -> String {
    format!("letters:{connector}")
}

fn plus_one(counts: &mut BTreeMap<String, u64>, reason: &str) {
    *counts.entry(reason.to_owned()).or_default() += 1;
}

fn parse(key: &DeadLetterKey, bytes: &[u8]) -> Result<DeadLetter, LettersError> {
    let letter: DeadLetter = serde_json::from_slice(bytes)
        .map_err(|problem| LettersError::Damaged(key.clone(), problem.to_string()))?;
    // The key knows: a letter of a connector that was renamed has the name before in it.
    Ok(DeadLetter {
        connector: key.connector.clone(),
        ..letter
    })
}

impl Letters {
    /// Those of this store.
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            changing: Mutex::new(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Give every letter that fits and comes after `after` to `each`, oldest first within a
    /// connector, until it answers `false`. Waits for the disk.
    ///
    /// # Errors
    /// A wrong filter, or the store.
    pub fn for_each(
        &self,
        filter: &Filter,
        after: Option<&DeadLetterKey>,
        mut each: impl FnMut(&DeadLetterKey, DeadLetter) -> bool,
    ) -> Result<(), LettersError> {
        let matcher = filter.matcher().map_err(LettersError::Filter)?;
        let mut left = filter.limit.unwrap_or(u64::MAX);
        let mut after = after.cloned();
        loop {
            let connector = filter.connector.as_deref();
            let page = self.store.dead_letters(connector, after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (key, bytes) in &page {
                let letter = parse(key, bytes)?;
                if !matcher.takes(key, &letter) {
                    continue;
                }
                if left == 0 || !each(key, letter) {
                    return Ok(());
                }
                left -= 1;
            }
        }
    }

    /// One letter.
    ///
    /// # Errors
    /// The store.
    pub fn get(&self, key: &DeadLetterKey) -> Result<Option<DeadLetter>, LettersError> {
        match self.store.dead_letter(key)? {
            Some(bytes) => parse(key, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Settle letters of one connector, new ones, their account and other states in one step. Letters
    /// that are gone meanwhile are passed over. Gives how many have left.
    ///
    /// # Errors
    /// The store; nothing has changed then.
    pub fn settle(
        &self,
        connector: &str,
        fates: Vec<(DeadLetterKey, Fate)>,
        failed: Vec<Failed>,
        states: Vec<(String, Option<Vec<u8>>)>,
    ) -> Result<u64, LettersError> {
        let _one = self.lock();
        let mut account = self.account(connector)?;
        let mut commit = StoreCommit {
            connector: connector.to_owned(),
            states,
            ..StoreCommit::default()
        };
        for (key, fate) in fates {
            let Some(letter) = self.get(&key)? else {
                continue;
            };
            match fate {
                Fate::Stays(letters) => {
                    let mut letters = letters.into_iter().map(|it| it.again(&letter).to_bytes());
                    let first = letters.next().map(|first| (key, first));
                    commit.replace_dead_letters.extend(first);
                    commit.dead_letters.extend(letters);
                    continue;
                }
                Fate::Delivered => account.delivered += 1,
                Fate::Skipped(reason) => plus_one(&mut account.skipped, &reason),
                Fate::Dropped => plus_one(&mut account.dropped, &letter.reason),
                Fate::Expired => plus_one(&mut account.expired, &letter.reason),
            }
            commit.remove_dead_letters.push(key);
        }
        for failed in failed {
            self.place(failed, &mut commit)?;
        }
        let left = commit.remove_dead_letters.len() as u64;
        if left > 0 {
            let bytes = serde_json::to_vec(&account).expect("an account is plain data");
            commit.states.push((account_key(connector), Some(bytes)));
        }
        self.store.commit(&commit)?;
        Ok(left)
    }

    /// The letters of an event in the place of those about it that are still there: of the same document
    /// first, then of any. What finds no place is new.
    fn place(&self, failed: Failed, commit: &mut StoreCommit) -> Result<(), LettersError> {
        let mut before = Vec::new();
        for key in failed.before {
            before.extend(self.get(&key)?.map(|letter| (key, letter)));
        }
        let mut others = Vec::new();
        for letter in failed.letters {
            let same = before.iter().position(|(_, it)| it.is_about_same(&letter));
            match same.map(|at| before.remove(at)) {
                Some((key, it)) => {
                    let placed = (key, letter.again(&it).to_bytes());
                    commit.replace_dead_letters.push(placed);
                }
                None => others.push(letter),
            }
        }
        let mut before = before.into_iter();
        for letter in others {
            match before.next() {
                Some((key, it)) => {
                    let placed = (key, letter.again(&it).to_bytes());
                    commit.replace_dead_letters.push(placed);
                }
                None => commit.dead_letters.push(letter.to_bytes()),
            }
        }
        Ok(())
    }

    /// What is to be written so that the account of a connector's letters goes to another name, and
    /// how many letters it says have left.
    ///
    /// # Errors
    /// The store.
    pub fn move_account(&self, from: &str, to: &str) -> Result<(u64, Accounts), LettersError> {
        let moved = self.account(from)?;
        let mut account = self.account(to)?;
        account.delivered += moved.delivered;
        for (into, counts) in [
            (&mut account.skipped, &moved.skipped),
            (&mut account.dropped, &moved.dropped),
            (&mut account.expired, &moved.expired),
        ] {
            for (reason, count) in counts {
                *into.entry(reason.clone()).or_default() += count;
            }
        }
        let bytes = serde_json::to_vec(&account).expect("an account is plain data");
        let accounts = vec![(account_key(to), Some(bytes)), (account_key(from), None)];
        Ok((moved.total(), accounts))
    }

    /// How many fit, by connector.
    ///
    /// # Errors
    /// A wrong filter, or the store.
    pub fn counts(&self, filter: &Filter) -> Result<BTreeMap<String, u64>, LettersError> {
        let mut counts = BTreeMap::new();
        self.for_each(filter, None, |key, _| {
            plus_one(&mut counts, &key.connector);
            true
        })?;
        Ok(counts)
    }

    /// Drop all that fit, for good; or count them.
    ///
    /// # Errors
    /// A wrong filter, or the store; what was dropped before is counted as such.
    pub fn drop_all(&self, order: &DropOrder) -> Result<Dropped, LettersError> {
        let mut dropped = Dropped {
            dry_run: order.dry_run,
            ..Dropped::default()
        };
        let mut after: Option<DeadLetterKey> = None;
        loop {
            let left = order.filter.limit.unwrap_or(u64::MAX) - dropped.count;
            let filter = Filter {
                limit: Some(left.min(PAGE as u64)),
                ..order.filter.clone()
            };
            let mut fates: BTreeMap<String, Vec<_>> = BTreeMap::new();
            let mut last = None;
            self.for_each(&filter, after.as_ref(), |key, letter| {
                let reasons = dropped.by_reason.entry(key.connector.clone()).or_default();
                plus_one(reasons, &letter.reason);
                dropped.count += 1;
                let of_connector = fates.entry(key.connector.clone()).or_default();
                of_connector.push((key.clone(), Fate::Dropped));
                last = Some(key.clone());
                true
            })?;
            if last.is_none() {
                self.store.sync()?;
                return Ok(dropped);
            }
            after = last;
            if !order.dry_run {
                for (connector, fates) in fates {
                    self.settle(&connector, fates, Vec::new(), Vec::new())?;
                }
            }
        }
    }

    /// Let go what is older than `retention` says, or has no room: the oldest of the connector with
    /// most go first. What leaves is counted as expired and told as an ERROR.
    ///
    /// # Errors
    /// The store.
    pub fn retain(&self, retention: &Retention, now: Timestamp) -> Result<(), LettersError> {
        let oldest = retention
            .age
            .and_then(|age| now.checked_sub(age).ok())
            .unwrap_or(Timestamp::MIN);
        let totals = self.store.dead_letter_totals()?;
        let mut bytes: u64 = totals.values().map(|totals| totals.bytes).sum();
        let mut largest_first: Vec<_> = totals.iter().collect();
        largest_first.sort_by_key(|(_, totals)| std::cmp::Reverse(totals.bytes));
        for (connector, _) in largest_first {
            let mut left = 0;
            loop {
                let page = self.store.dead_letters(Some(connector), None, PAGE)?;
                let mut fates = Vec::new();
                for (key, stored) in &page {
                    let is_too_much = bytes > retention.bytes_max;
                    if !is_too_much && parse(key, stored)?.at >= oldest {
                        break;
                    }
                    bytes = bytes.saturating_sub(stored.len() as u64);
                    fates.push((key.clone(), Fate::Expired));
                }
                let is_last = fates.len() < PAGE;
                left += self.settle(connector, fates, Vec::new(), Vec::new())?;
                if is_last {
                    break;
                }
            }
            if left > 0 {
                error!(
                    connector = %connector,
                    "{left} dead letters have left by age or size (`journal.dead_letters`); they are counted as expired. Replay, export or drop what is there before it leaves."
                );
            }
        }
        Ok(())
    }

    /// What there is and what has left, by connector.
    ///
    /// # Errors
    /// The store.
    pub fn status(&self) -> Result<BTreeMap<String, LettersStatus>, LettersError> {
        let _one = self.lock();
        let mut all = BTreeMap::new();
        for (connector, totals) in self.store.dead_letter_totals()? {
            let status = LettersStatus {
                ever: totals.next_number,
                held: totals.count,
                bytes: totals.bytes,
                oldest: self.oldest(&connector)?,
                left: self.account(&connector)?,
            };
            all.insert(connector, status);
        }
        Ok(all)
    }

    fn oldest(&self, connector: &str) -> Result<Option<Timestamp>, LettersError> {
        /// All of a letter that is needed here.
        #[derive(Deserialize)]
        struct Head {
            at: Timestamp,
        }
        let first = self.store.dead_letters(Some(connector), None, 1)?;
        let Some((key, bytes)) = first.first() else {
            return Ok(None);
        };
        serde_json::from_slice(bytes)
            .map(|head: Head| Some(head.at))
            .map_err(|problem| LettersError::Damaged(key.clone(), problem.to_string()))
    }

    fn account(&self, connector: &str) -> Result<LetterAccount, LettersError> {
        let key = account_key(connector);
        match self.store.load_connector(&key)? {
            Some(bytes) => serde_json::from_slice(&bytes)
                .map_err(|problem| StoreError::Corrupt(format!("{key} ({problem})")).into()),
            None => Ok(LetterAccount::default()),
        }
    }
}
