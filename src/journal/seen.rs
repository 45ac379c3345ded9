//! Ids of events that came: asked for one by one, in no order, and nearly always new.
//!
//! ```text
//! keeper ─► recent_ids   chunks in the order they came, in the store's own log
//!              │ when enough have gathered
//!              ▼
//!           seen_ids     sorted tables, written whole, past that log
//! ```
//!
//! One by one in the log they would make it long, and the store reads its log item by item when it
//! is opened: a second for a million ids. As chunks they are read back in no time.
//!
//! A filter in memory knows of nearly all new ids that no table has them. It is made when ids are
//! settled for the first time, so that a start does not wait for it.
//!
//! What is older than the window counts as not seen, and leaves when its table is merged with others.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use fjall::compaction::Leveled;
use fjall::compaction::filter::{
    CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict,
};
use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, PartitioningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch};

use super::filter::Filter;
use super::store::{MEMTABLE_BYTES, StoreError};

const SEEN_IDS: &str = "seen_ids";
/// Largest table of seen ids.
const TABLE_BYTES: u64 = 4 * 1024 * 1024;
/// So many tables as they were settled before they are merged; each merge writes the next level anew.
const TABLES_MERGED: u8 = 8;
/// Bytes of one id in a chunk: hash and time.
const ENTRY_BYTES: usize = 24;
/// Ids of an early folder that are moved at once.
const MOVED_AT_ONCE: usize = 65_536;

/// The first half of a SHA-256 over source and id.
pub type IdHash = [u8; 16];

/// An id, and when its event came, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenId {
    pub hash: IdHash,
    pub received_ms: i64,
}

/// What came before this time, in milliseconds since 1970, counts as not seen.
pub(super) type Horizon = Arc<AtomicI64>;

pub(super) struct SeenIds {
    tables: Keyspace,
    recent: Keyspace,
    horizon: Horizon,
    /// Over all ids in the tables; `None` if it was not made yet or there are too many.
    filter: RwLock<Option<Filter>>,
    /// One at a time: a filter that is being made must not miss what another settles.
    filtering: Mutex<()>,
}

impl SeenIds {
    pub fn open(database: &Database, horizon: Horizon) -> Result<Self, StoreError> {
        let recent = database.keyspace("recent_ids", || {
            KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES)
        })?;
        let seen = Self {
            tables: database.keyspace(SEEN_IDS, table_options)?,
            recent,
            horizon,
            filter: RwLock::default(),
            filtering: Mutex::default(),
        };
        seen.move_early(database)?;
        Ok(seen)
    }

    /// For each id whether it is in the tables; those in chunks are known to who reads
    /// [`SeenIds::recent`].
    pub fn contains(&self, ids: &[IdHash]) -> Result<Vec<bool>, StoreError> {
        let filter = self.filter.read().unwrap_or_else(PoisonError::into_inner);
        let may_be_there = |id| filter.as_ref().is_none_or(|filter| filter.may_contain(id));
        ids.iter()
            .map(|id| Ok(may_be_there(id) && self.is_in_a_table(id)?))
            .collect()
    }

    fn is_in_a_table(&self, id: &IdHash) -> Result<bool, StoreError> {
        let received = self.tables.get(id)?;
        let horizon = self.horizon.load(Ordering::Relaxed);
        Ok(received.is_some_and(|time| is_within(&time, horizon)))
    }

    /// A chunk of ids becomes part of a commit. `end` is the number behind the last of their events.
    pub fn add(&self, batch: &mut OwnedWriteBatch, source: &str, end: u64, ids: &[SeenId]) {
        let chunk: Vec<u8> = ids.iter().flat_map(|id| encode(*id)).collect();
        let key = [source.as_bytes(), &[0], &end.to_be_bytes()].concat();
        batch.insert(&self.recent, key, chunk);
    }

    /// What is in chunks, in the order it came.
    pub fn recent(&self, source: &str) -> Result<Vec<SeenId>, StoreError> {
        let mut ids = Vec::new();
        for guard in self.recent.prefix(prefix(source)) {
            let (_, chunk) = guard.into_inner()?;
            ids.extend(chunk.chunks_exact(ENTRY_BYTES).map(decode));
        }
        Ok(ids)
    }

    /// Write sorted ids into a table of their own, then let the chunks of their source go.
    pub fn settle(
        &self,
        database: &Database,
        source: &str,
        ids: &[SeenId],
    ) -> Result<(), StoreError> {
        self.write_table(ids)?;
        self.filter(ids)?;
        let mut batch = database.batch();
        for guard in self.recent.prefix(prefix(source)) {
            batch.remove(&self.recent, guard.key()?);
        }
        Ok(batch.commit()?)
    }

    /// Put ids that are in the tables into the filter; make it anew, of all that is there, if it has
    /// become too small or is not there.
    fn filter(&self, ids: &[SeenId]) -> Result<(), StoreError> {
        let _one = self
            .filtering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = self.tables.approximate_len();
        {
            let filter = self.filter.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(filter) = filter.as_ref().filter(|it| it.has_room_for(count)) {
                ids.iter().for_each(|id| filter.insert(&id.hash));
                return Ok(());
            }
        }
        let made = Filter::for_ids(count);
        if let Some(filter) = &made {
            for guard in self.tables.iter() {
                filter.insert(&hash_of(&guard.key()?)?);
            }
        }
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(())
    }

    fn write_table(&self, ids: &[SeenId]) -> Result<(), StoreError> {
        let mut table = self.tables.start_ingestion()?;
        // Of an id that came twice the later one.
        for same in ids.chunk_by(|one, other| one.hash == other.hash) {
            if let Some(id) = same.last() {
                table.write(id.hash, time_bytes(id.received_ms))?;
            }
        }
        Ok(table.finish()?)
    }

    /// An early version kept ids under `source 0x00 hash`, and again by time. Begins anew if a crash
    /// comes between.
    fn move_early(&self, database: &Database) -> Result<(), StoreError> {
        for name in ["seen", "seen_by_time"] {
            if !database.keyspace_exists(name) {
                continue;
            }
            let early = database.keyspace(name, KeyspaceCreateOptions::default)?;
            if name == "seen" {
                self.move_from(&early)?;
            }
            database.delete_keyspace(early)?;
        }
        Ok(())
    }

    fn move_from(&self, early: &Keyspace) -> Result<(), StoreError> {
        let mut ids = Vec::new();
        for guard in early.iter() {
            let (key, time) = guard.into_inner()?;
            let time = time.first_chunk::<8>().ok_or_else(broken)?;
            ids.push(SeenId {
                hash: hash_of(&key)?,
                received_ms: i64::from_be_bytes(*time),
            });
            if ids.len() == MOVED_AT_ONCE {
                ids.sort_unstable();
                self.write_table(&ids)?;
                ids.clear();
            }
        }
        ids.sort_unstable();
        self.write_table(&ids)
    }
}

/// At the end of a key.
fn hash_of(key: &[u8]) -> Result<IdHash, StoreError> {
    key.last_chunk().copied().ok_or_else(broken)
}

fn broken() -> StoreError {
    StoreError::Corrupt(SEEN_IDS.to_owned())
}

/// With the store's own defaults each question loads a filter of megabytes as soon as there are a
/// million ids, and building large tables takes memory. So tables are small and their filters come
/// in parts that fit the cache. Indexes stay whole: in parts they are kept in memory without a bound.
/// A folder that was made with the defaults keeps them.
fn table_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES)
        .filter_block_partitioning_policy(PartitioningPolicy::all(true))
        .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(
            BloomConstructionPolicy::BitsPerKey(10.0),
        )))
        .compaction_strategy(Arc::new(
            Leveled::default()
                .with_l0_threshold(TABLES_MERGED)
                .with_table_target_size(TABLE_BYTES),
        ))
}

fn prefix(source: &str) -> Vec<u8> {
    [source.as_bytes(), &[0]].concat()
}

fn time_bytes(received_ms: i64) -> [u8; 8] {
    received_ms.max(0).to_be_bytes()
}

fn is_within(time: &[u8], horizon: i64) -> bool {
    // One that cannot be read counts: an event twice is less bad than none.
    time.first_chunk()
        .is_none_or(|time| i64::from_be_bytes(*time) >= horizon)
}

fn encode(id: SeenId) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[..16].copy_from_slice(&id.hash);
    entry[16..].copy_from_slice(&time_bytes(id.received_ms));
    entry
}

fn decode(entry: &[u8]) -> SeenId {
    let mut hash = IdHash::default();
    let mut time = [0; 8];
    hash.copy_from_slice(&entry[..16]);
    time.copy_from_slice(&entry[16..ENTRY_BYTES]);
    SeenId {
        hash,
        received_ms: i64::from_be_bytes(time),
    }
}

/// Lets ids before the horizon go when their table is merged.
pub(super) struct Expiry(Horizon);

impl Expiry {
    /// For the tables of seen ids, and no other keyspace.
    pub fn of(keyspace: &str, horizon: &Horizon) -> Option<Arc<dyn Factory>> {
        (keyspace == SEEN_IDS).then(|| Arc::new(Self(Arc::clone(horizon))) as Arc<dyn Factory>)
    }
}

impl Factory for Expiry {
    fn name(&self) -> &str {
        "expiry of seen ids"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(Before(self.0.load(Ordering::Relaxed)))
    }
}

struct Before(i64);

impl CompactionFilter for Before {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        // An older time of the same id, should there be one further down, is over as well.
        Ok(match is_within(&item.value()?, self.0) {
            true => Verdict::Keep,
            false => Verdict::Destroy,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    struct Fixture {
        folder: tempfile::TempDir,
        database: Database,
        seen: SeenIds,
    }

    fn open(folder: tempfile::TempDir) -> Fixture {
        let horizon = Horizon::default();
        let filter = Arc::clone(&horizon);
        let database = Database::builder(folder.path())
            .with_compaction_filter_factories(Arc::new(move |name| Expiry::of(name, &filter)))
            .open()
            .unwrap();
        let seen = SeenIds::open(&database, horizon).unwrap();
        Fixture {
            folder,
            database,
            seen,
        }
    }

    impl Fixture {
        fn settle(&self, mut ids: Vec<SeenId>) {
            ids.sort_unstable();
            self.seen.settle(&self.database, "a", &ids).unwrap();
        }

        fn knows(&self, n: u64) -> bool {
            self.seen.contains(&[id(n, 0).hash]).unwrap()[0]
        }

        fn again(self) -> Fixture {
            drop((self.seen, self.database));
            open(self.folder)
        }
    }

    fn id(n: u64, received_ms: i64) -> SeenId {
        let hash = [n.to_be_bytes(), [0; 8]].concat().try_into().unwrap();
        SeenId { hash, received_ms }
    }

    #[test]
    fn ids_are_seen_until_their_time_is_over() {
        let it = open(tempfile::tempdir().unwrap());
        it.settle((0..1000).map(|n| id(n, n as i64)).collect());
        it.settle(vec![id(3, 2000), id(4, 2000), id(4, 20)]);
        let it = it.again();
        it.seen.horizon.store(600, Ordering::Relaxed);
        assert!(!it.knows(599));
        assert!(it.knows(600));
        assert!(!it.knows(1000));
        assert!(it.knows(3), "it came again later");
        assert!(it.knows(4), "the later of both counts");
    }

    #[test]
    fn ids_of_all_tables_are_known_however_many_and_after_a_start() {
        let it = open(tempfile::tempdir().unwrap());
        it.settle((0..1000).map(|n| id(n, 5)).collect());
        let it = it.again();
        it.settle((1000..1010).map(|n| id(n, 5)).collect());
        assert!(it.knows(3) && it.knows(1003) && !it.knows(1010));
        for part in 1..5 {
            it.settle(
                (part * 40_000..(part + 1) * 40_000)
                    .map(|n| id(n, 5))
                    .collect(),
            );
        }
        assert!((0..1010).chain(40_000..200_000).all(|n| it.knows(n)));
        assert!(!it.knows(200_000));
    }

    #[test]
    fn ids_that_are_over_leave_the_disk() {
        let it = open(tempfile::tempdir().unwrap());
        for round in 0..20 {
            it.settle((0..5000).map(|n| id(n * 20 + round, 5)).collect());
        }
        let full = it.seen.tables.disk_space();
        it.seen.horizon.store(6, Ordering::Relaxed);
        it.settle(vec![id(1 << 40, 7)]);
        it.seen.tables.major_compact().unwrap();
        let left = it.seen.tables.disk_space();
        assert!(left * 20 < full, "{left} of {full} bytes are left");
        assert!(it.knows(1 << 40));
    }

    #[test]
    fn ids_of_an_early_folder_are_known() {
        let it = open(tempfile::tempdir().unwrap());
        let early = |name: &str| it.database.keyspace(name, KeyspaceCreateOptions::default);
        let key = [b"orders\0".as_slice(), &id(7, 0).hash].concat();
        early("seen").unwrap().insert(key, time_bytes(5)).unwrap();
        early("seen_by_time").unwrap().insert("x", "y").unwrap();
        let it = it.again();
        assert!(it.knows(7));
        assert!(!it.knows(8));
        assert!(!it.database.keyspace_exists("seen"));
        assert!(!it.database.keyspace_exists("seen_by_time"));
    }
}
