//! Cursors, accounts, dead letters and seen ids, in an embedded key-value store.
//!
//! ```text
//! keyspace       key                              value
//! connectors     connector                        the engine's blob: cursor and account
//! dead_letters   connector 0x00 number(8)         the engine's JSON
//! dead_totals    connector                        next number(8) count(8) bytes(8)
//! recent_ids     source 0x00 sequence(8)          hash(16) received(8), for each id of a chunk
//! seen_ids       hash(16) of source and id        received, ms since 1970 (8)
//! ```
//!
//! Numbers are big-endian, so that keys sort by them. A commit is one atomic batch and reaches
//! the operating system before it returns: it survives the end of the process, and power loss
//! after [`Store::sync`]. An older cursor only means that documents are sent again.
//!
//! The store stops for good after a failed write (disk full). It is then opened anew, so that
//! connectors go on by themselves when there is room.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

use super::seen::{Expiry, Horizon, IdHash, SeenId, SeenIds};

#[cfg(test)]
mod tests;

/// The block cache: cursors and dead letters are few, seen ids are met once.
const CACHE_BYTES: u64 = 4 * 1024 * 1024;
/// What each keyspace may hold in memory before it is written out.
pub(super) const MEMTABLE_BYTES: u64 = 2 * 1024 * 1024;
/// The smallest the store allows.
const STORE_JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
/// Dead letters moved in one batch.
const RENAME_LETTERS: usize = 256;

#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("the store failed: {0}")]
    Failed(Arc<fjall::Error>),
    #[error("the store holds something that is not its own under {0}")]
    Corrupt(String),
}

impl From<fjall::Error> for StoreError {
    fn from(error: fjall::Error) -> Self {
        StoreError::Failed(Arc::new(error))
    }
}

/// Names one dead letter; written `connector/number`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadLetterKey {
    pub connector: String,
    pub number: u64,
}

impl fmt::Display for DeadLetterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.connector, self.number)
    }
}

impl FromStr for DeadLetterKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.rsplit_once('/')
            .and_then(|(connector, number)| {
                Some(DeadLetterKey {
                    connector: connector.to_owned(),
                    number: number.parse().ok()?,
                })
            })
            .ok_or_else(|| format!("`{text}` names no dead letter; expected CONNECTOR/NUMBER"))
    }
}

/// What changes together.
#[derive(Debug, Clone, Default)]
pub struct StoreCommit {
    pub connector: String,
    /// The connector's new blob; `None` leaves the old one.
    pub state: Option<Vec<u8>>,
    /// Other blobs that change in the same step; `None` takes one out.
    pub states: Vec<(String, Option<Vec<u8>>)>,
    /// Added under new numbers, in this order.
    pub dead_letters: Vec<Vec<u8>>,
    /// Put in the place of letters that are there; those that are gone are passed over.
    pub replace_dead_letters: Vec<(DeadLetterKey, Vec<u8>)>,
    /// Taken out; those that are gone already are passed over.
    pub remove_dead_letters: Vec<DeadLetterKey>,
    /// Ids of events that are durable: an id that is remembered without its event would make the
    /// upstream's next try vanish.
    pub ids: Option<IdChunk>,
}

/// Ids of a source that came one after another; see [`Store::recent_ids`].
#[derive(Debug, Clone)]
pub struct IdChunk {
    pub source: String,
    /// The number behind the last of their events.
    pub end_sequence: u64,
    pub ids: Vec<SeenId>,
}

/// How many dead letters a connector has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeadLetterTotals {
    /// The number the next one gets; also how many there ever were.
    pub next_number: u64,
    pub count: u64,
    pub bytes: u64,
}

/// The embedded store of one data folder. Its calls may wait for the disk for a moment.
pub struct Store {
    path: PathBuf,
    open: RwLock<Option<Keyspaces>>,
    /// One commit at a time: totals are read, changed and written.
    committing: Mutex<()>,
    horizon: Horizon,
    _lock: Arc<File>,
}

struct Keyspaces {
    database: Database,
    connectors: Keyspace,
    dead_letters: Keyspace,
    dead_totals: Keyspace,
    seen: SeenIds,
}

impl Keyspaces {
    fn open(path: &Path, horizon: &Horizon) -> Result<Keyspaces, StoreError> {
        let filter_horizon = Arc::clone(horizon);
        let database = Database::builder(path)
            .with_compaction_filter_factories(Arc::new(move |keyspace| {
                Expiry::of(keyspace, &filter_horizon)
            }))
            .cache_size(CACHE_BYTES)
            .max_journaling_size(STORE_JOURNAL_BYTES)
            .worker_threads(1)
            .open()?;
        let keyspace = |name: &str| {
            database.keyspace(name, || {
                KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES)
            })
        };
        Ok(Keyspaces {
            connectors: keyspace("connectors")?,
            dead_letters: keyspace("dead_letters")?,
            dead_totals: keyspace("dead_totals")?,
            seen: SeenIds::open(&database, Arc::clone(horizon))?,
            database,
        })
    }

    fn totals(&self, connector: &str) -> Result<DeadLetterTotals, StoreError> {
        match self.dead_totals.get(connector)? {
            Some(value) => DeadLetterTotals::decode(&value)
                .ok_or_else(|| StoreError::Corrupt(format!("dead_totals/{connector}"))),
            None => Ok(DeadLetterTotals::default()),
        }
    }
}

impl DeadLetterTotals {
    fn encode(self) -> Vec<u8> {
        [self.next_number, self.count, self.bytes]
            .iter()
            .flat_map(|n| n.to_be_bytes())
            .collect()
    }

    fn decode(value: &[u8]) -> Option<DeadLetterTotals> {
        let number = |at: usize| {
            value
                .get(at..at + 8)?
                .try_into()
                .ok()
                .map(u64::from_be_bytes)
        };
        Some(DeadLetterTotals {
            next_number: number(0)?,
            count: number(8)?,
            bytes: number(16)?,
        })
    }
}

impl Store {
    pub(super) fn open(path: &Path, lock: Arc<File>) -> Result<Store, StoreError> {
        let horizon = Horizon::default();
        Ok(Store {
            path: path.to_owned(),
            open: RwLock::new(Some(Keyspaces::open(path, &horizon)?)),
            committing: Mutex::new(()),
            horizon,
            _lock: lock,
        })
    }

    /// Run something on the store; open it anew first if it stopped after a failed write.
    fn with<T>(&self, work: impl Fn(&Keyspaces) -> Result<T, StoreError>) -> Result<T, StoreError> {
        {
            let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(open) = &*open {
                match work(open) {
                    Err(StoreError::Failed(error)) if matches!(*error, fjall::Error::Poisoned) => {}
                    done => return done,
                }
            }
        }
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        // Closed before it is opened: it locks its folder.
        *open = None;
        tracing::warn!("journal: opening the store in {} anew", self.path.display());
        work(open.insert(Keyspaces::open(&self.path, &self.horizon)?))
    }

    /// The blob of a connector's last commit.
    ///
    /// # Errors
    /// When the store cannot be read; as for all calls here.
    pub fn load_connector(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|open| Ok(open.connectors.get(name)?.map(|value| value.to_vec())))
    }

    /// Names of all connectors that have a blob.
    pub fn connectors(&self) -> Result<Vec<String>, StoreError> {
        self.with(|open| {
            open.connectors
                .iter()
                .map(|guard| text(&guard.key()?))
                .collect()
        })
    }

    /// Change state and dead letters in one atomic step. Gives the keys of the added letters.
    pub fn commit(&self, commit: &StoreCommit) -> Result<Vec<DeadLetterKey>, StoreError> {
        let _one = self
            .committing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.with(|open| {
            let mut batch = open.database.batch().durability(Some(PersistMode::Buffer));
            let mut changed = BTreeMap::new();
            let mut added = Vec::new();
            if let Some(state) = &commit.state {
                batch.insert(
                    &open.connectors,
                    commit.connector.as_str(),
                    state.as_slice(),
                );
            }
            for (name, state) in &commit.states {
                insert_or_remove(&mut batch, &open.connectors, name, state.as_deref());
            }
            if !commit.dead_letters.is_empty() {
                let mut totals = open.totals(&commit.connector)?;
                for letter in &commit.dead_letters {
                    let number = totals.next_number;
                    totals.next_number += 1;
                    totals.count += 1;
                    totals.bytes += letter.len() as u64;
                    let key = DeadLetterKey {
                        connector: commit.connector.clone(),
                        number,
                    };
                    batch.insert(&open.dead_letters, letter_key(&key), letter.as_slice());
                    added.push(key);
                }
                changed.insert(commit.connector.as_str(), totals);
            }
            for (key, letter) in &commit.replace_dead_letters {
                let Some(bytes) = open.dead_letters.size_of(letter_key(key))? else {
                    continue;
                };
                let totals = match changed.remove(key.connector.as_str()) {
                    Some(totals) => totals,
                    None => open.totals(&key.connector)?,
                };
                let other = totals.bytes.saturating_sub(u64::from(bytes));
                let replaced = DeadLetterTotals {
                    bytes: other + letter.len() as u64,
                    ..totals
                };
                batch.insert(&open.dead_letters, letter_key(key), letter.as_slice());
                changed.insert(key.connector.as_str(), replaced);
            }
            let mut removed: Vec<&DeadLetterKey> = commit.remove_dead_letters.iter().collect();
            // The same key twice must count once.
            removed.sort_unstable();
            removed.dedup();
            for key in removed {
                let Some(bytes) = open.dead_letters.size_of(letter_key(key))? else {
                    continue;
                };
                let totals = match changed.remove(key.connector.as_str()) {
                    Some(totals) => totals,
                    None => open.totals(&key.connector)?,
                };
                let left = DeadLetterTotals {
                    count: totals.count.saturating_sub(1),
                    bytes: totals.bytes.saturating_sub(u64::from(bytes)),
                    ..totals
                };
                batch.remove(&open.dead_letters, letter_key(key));
                changed.insert(key.connector.as_str(), left);
            }
            if let Some(chunk) = &commit.ids {
                open.seen
                    .add(&mut batch, &chunk.source, chunk.end_sequence, &chunk.ids);
            }
            for (connector, totals) in changed {
                batch.insert(&open.dead_totals, connector, totals.encode());
            }
            batch.commit()?;
            Ok(added)
        })
    }

    /// fsync all commits so far.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.with(|open| Ok(open.database.persist(PersistMode::SyncData)?))
    }

    /// Up to `limit` dead letters after a key (`None`: from the first), by connector and number;
    /// `connector` limits them to one.
    pub fn dead_letters(
        &self,
        connector: Option<&str>,
        after: Option<&DeadLetterKey>,
        limit: usize,
    ) -> Result<Vec<(DeadLetterKey, Vec<u8>)>, StoreError> {
        let prefix = connector
            .map(|name| [name.as_bytes(), &[0]].concat())
            .unwrap_or_default();
        let start = match after {
            // The next key there can be.
            Some(key) => [letter_key(key).as_slice(), &[0]]
                .concat()
                .max(prefix.clone()),
            None => prefix.clone(),
        };
        self.with(|open| {
            let mut found = Vec::new();
            for guard in open.dead_letters.range(start.clone()..).take(limit) {
                let (key, value) = guard.into_inner()?;
                if !key.starts_with(&prefix) {
                    break;
                }
                found.push((parse_letter_key(&key)?, value.to_vec()));
            }
            Ok(found)
        })
    }

    pub fn dead_letter(&self, key: &DeadLetterKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|open| {
            Ok(open
                .dead_letters
                .get(letter_key(key))?
                .map(|value| value.to_vec()))
        })
    }

    pub fn remove_dead_letters(&self, keys: &[DeadLetterKey]) -> Result<(), StoreError> {
        let commit = StoreCommit {
            remove_dead_letters: keys.to_vec(),
            ..StoreCommit::default()
        };
        self.commit(&commit).map(|_| ())
    }

    /// Totals of every connector that ever had a dead letter.
    pub fn dead_letter_totals(&self) -> Result<BTreeMap<String, DeadLetterTotals>, StoreError> {
        self.with(|open| {
            let mut all = BTreeMap::new();
            for guard in open.dead_totals.iter() {
                let (key, value) = guard.into_inner()?;
                let connector = text(&key)?;
                let totals = DeadLetterTotals::decode(&value)
                    .ok_or_else(|| StoreError::Corrupt(format!("dead_totals/{connector}")))?;
                all.insert(connector, totals);
            }
            Ok(all)
        })
    }

    pub fn dead_letter_count(&self, connector: &str) -> Result<u64, StoreError> {
        Ok(self.totals(connector)?.count)
    }

    /// Totals of one connector.
    pub fn totals(&self, connector: &str) -> Result<DeadLetterTotals, StoreError> {
        self.with(|open| open.totals(connector))
    }

    /// Move a connector's blob and dead letters to another name (`renamed_from`). Letters get new
    /// numbers there; `left` numbers stand for those that are gone already. Goes on where it was if a
    /// crash comes between: the blob moves last, and `states` change in the same step.
    pub fn rename_connector(
        &self,
        from: &str,
        to: &str,
        left: u64,
        states: &[(String, Option<Vec<u8>>)],
    ) -> Result<(), StoreError> {
        if from == to {
            return Ok(());
        }
        loop {
            let letters = self.dead_letters(Some(from), None, RENAME_LETTERS)?;
            if letters.is_empty() {
                break;
            }
            let (keys, bodies) = letters.into_iter().unzip();
            self.commit(&StoreCommit {
                connector: to.to_owned(),
                dead_letters: bodies,
                remove_dead_letters: keys,
                ..StoreCommit::default()
            })?;
        }
        let _one = self
            .committing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.with(|open| {
            let mut batch = open.database.batch().durability(Some(PersistMode::Buffer));
            if let Some(state) = open.connectors.get(from)? {
                batch.insert(&open.connectors, to, state);
            }
            batch.remove(&open.connectors, from);
            batch.remove(&open.dead_totals, from);
            for (name, state) in states {
                insert_or_remove(&mut batch, &open.connectors, name, state.as_deref());
            }
            if left > 0 {
                let mut totals = open.totals(to)?;
                totals.next_number += left;
                batch.insert(&open.dead_totals, to, totals.encode());
            }
            Ok(batch.commit()?)
        })
    }

    /// For each event id whether it was settled and is within the window. Those in chunks are not
    /// asked for.
    pub fn are_seen(&self, ids: &[IdHash]) -> Result<Vec<bool>, StoreError> {
        self.with(|open| open.seen.contains(ids))
    }

    /// The ids of chunks that are not settled yet, in the order they came.
    pub fn recent_ids(&self, source: &str) -> Result<Vec<SeenId>, StoreError> {
        self.with(|open| open.seen.recent(source))
    }

    /// Make all ids of a source's chunks findable by [`Store::are_seen`], and let the chunks go.
    /// `ids` are those of the chunks, and may be more; they are sorted here.
    pub fn settle_ids(&self, source: &str, ids: &mut [SeenId]) -> Result<(), StoreError> {
        ids.sort_unstable();
        let settled = self.with(|open| open.seen.settle(&open.database, source, ids));
        if settled.is_err() {
            // Only at its opening the store removes the part of a table that was written.
            *self.open.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        settled
    }

    /// From now on ids received before a time, in milliseconds since 1970, count as not seen.
    pub fn forget_before(&self, before_ms: i64) {
        self.horizon.store(before_ms, Ordering::Relaxed);
    }
}

fn insert_or_remove(batch: &mut OwnedWriteBatch, to: &Keyspace, key: &str, value: Option<&[u8]>) {
    match value {
        Some(value) => batch.insert(to, key, value),
        None => batch.remove(to, key),
    }
}

fn letter_key(key: &DeadLetterKey) -> Vec<u8> {
    [key.connector.as_bytes(), &[0], &key.number.to_be_bytes()].concat()
}

fn parse_letter_key(bytes: &[u8]) -> Result<DeadLetterKey, StoreError> {
    let broken = || StoreError::Corrupt("dead_letters".to_owned());
    let (connector, number) = bytes
        .len()
        .checked_sub(9)
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or_else(broken)?;
    let number = number[1..].try_into().map_err(|_| broken())?;
    Ok(DeadLetterKey {
        connector: text(connector)?,
        number: u64::from_be_bytes(number),
    })
}

fn text(bytes: &[u8]) -> Result<String, StoreError> {
    String::from_utf8(bytes.to_vec())
        .map_err(|_| StoreError::Corrupt("a key that is not UTF-8".to_owned()))
}
