//! What is on disk: the durable log of each source, and the store of the connectors.
//!
//! ```text
//! data/
//!   LOCK                       held while a process uses the folder; its text is the process id
//!   FORMAT                     "1 <salt>", the version of all this and the salt of new segments
//!   journal/<source>/          one append log a source
//!     00000000000000000000.log   a segment, named by its first sequence number (segment.rs)
//!     00000000000000312774.log     └ records: one request body each (record.rs)
//!     00000….expired             types of what left a full journal unread (expired.rs)
//!   damaged/                   bytes that could not be read, set aside for a person
//!   state/                     embedded store: cursors, accounts, dead letters, seen ids (store.rs)
//! ```
//!
//! A source is answered only after [`Log::append`] returns, that is after fdatasync. Readers see
//! nothing that is not durable. Nothing outside this folder calls fsync.
//!
//! Drawn in full, with what happens after a crash, in docs/journal-format.md.

mod disk;
mod expired;
mod filter;
mod log;
mod open;
mod reader;
mod recent;
mod record;
mod recorded;
mod seen;
mod segment;
mod shared;
mod store;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Seek, Write};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

pub use expired::EXPIRED_TYPE;
pub use log::{AppendError, DAMAGED_TYPE, Log};
pub use reader::{ReadError, Reader};
pub use record::{EventMark, MalformedMark, Record};
pub use recorded::{Recorded, for_each_recorded, is_data_folder, recorded_bytes};
pub use seen::{IdHash, SeenId};
pub use shared::Released;
pub use store::{DeadLetterKey, DeadLetterTotals, IdChunk, Store, StoreCommit, StoreError};

use segment::FORMAT_VERSION;

#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// The data folder; made if it is not there.
    pub path: PathBuf,
    /// A segment is ended when it has grown to this. At most a quarter of `max_size_bytes`: the
    /// segment being written is never deleted, so the rest must be large enough to make room.
    pub segment_bytes: u64,
    /// Limit for the logs of all sources together. The head of a new segment (some hundred bytes)
    /// may come on top: a full segment must be ended before it can be deleted.
    pub max_size_bytes: u64,
    /// How long what all connectors have passed is kept for replay.
    pub retain: Duration,
}

impl JournalOptions {
    pub fn new(path: impl Into<PathBuf>) -> JournalOptions {
        JournalOptions {
            path: path.into(),
            segment_bytes: 64 * 1024 * 1024,
            max_size_bytes: 10 * 1024 * 1024 * 1024,
            retain: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the data folder {} is in use by another process{}; stop that one, or give this one \
         another folder",
        path.display(),
        holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    Locked { path: PathBuf, holder: Option<u32> },
    #[error(
        "{} has format {found}, this version reads formats up to {supported}; use a newer sluice",
        path.display()
    )]
    NewerFormat {
        found: u32,
        supported: u32,
        path: PathBuf,
    },
    #[error(
        "{} is not the format file of a data folder; is the path right? If it is, restore the \
         file from a copy",
        path.display()
    )]
    UnknownFormat { path: PathBuf },
    #[error("`{name}` cannot be a folder's name; use letters, digits, `-`, `_` and `.`")]
    BadName { name: String },
    #[error("cannot open {}: {source}{}", path.display(), way_out(source))]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot open the store in {}: {source}", path.display())]
    Store { path: PathBuf, source: StoreError },
}

/// What to do about a folder that cannot be used.
fn way_out(problem: &io::Error) -> &'static str {
    match problem.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; the user who runs this must be able to write there: correct that, or name another folder by `journal: { path: … }`"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; a file is where a folder should be: name another folder by `journal: { path: … }`"
        }
        _ => "",
    }
}

/// One data folder, held by this process until everything of it is dropped.
pub struct Journal {
    logs: Logs,
    store: Arc<Store>,
}

/// The logs of a folder; each is opened when it is first asked for.
struct Logs {
    options: JournalOptions,
    salt: u32,
    open: Mutex<HashMap<String, Weak<Log>>>,
    total_bytes: Arc<AtomicU64>,
    lock: Arc<File>,
}

impl Journal {
    /// Open a data folder, or make it.
    ///
    /// # Errors
    /// `Locked` while another process has it; `NewerFormat` when it was written by a version
    /// that knows more than this one.
    pub fn open(options: JournalOptions) -> Result<Journal, OpenError> {
        Ok(Self::open_with_logs(options, std::iter::empty())?.0)
    }

    /// The same with the logs of some sources, read while the store is: each takes its time.
    ///
    /// # Errors
    /// As for [`Journal::open`] and [`Journal::log`].
    pub fn open_with_logs<'a>(
        mut options: JournalOptions,
        mut sources: impl Iterator<Item = &'a str>,
    ) -> Result<(Journal, Vec<Arc<Log>>), OpenError> {
        options.segment_bytes = options.segment_bytes.min(options.max_size_bytes / 4);
        for folder in ["journal", "damaged"].map(|name| options.path.join(name)) {
            std::fs::create_dir_all(&folder).map_err(|error| io_error(&folder, error))?;
        }
        let lock = Arc::new(lock_folder(&options.path)?);
        let salt = read_or_write_format(&options.path)?;
        let state = options.path.join("state");
        let logs = Logs {
            options,
            salt,
            open: Mutex::default(),
            total_bytes: Arc::default(),
            lock: Arc::clone(&lock),
        };
        let (opened, store) = std::thread::scope(|scope| {
            let store = scope.spawn(|| Store::open(&state, lock));
            let opened = sources.try_fold(Vec::new(), |mut opened, source| {
                opened.push(logs.log(source)?);
                Ok(opened)
            });
            let store = store.join();
            (opened, store.unwrap_or_else(|panic| resume_unwind(panic)))
        });
        let store = store.map_err(|source| OpenError::Store {
            path: state,
            source,
        })?;
        let store = Arc::new(store);
        Ok((Journal { logs, store }, opened?))
    }

    /// The log of a source, opened at the first call: its last segment is read and a torn end
    /// cut off. Later calls give the same log.
    ///
    /// # Errors
    /// `BadName`, or what the file system says.
    pub fn log(&self, source: &str) -> Result<Arc<Log>, OpenError> {
        self.logs.log(source)
    }

    /// Whether a source of this name has ever had a log here; unlike [`Journal::log`] it makes none.
    pub fn has_log(&self, source: &str) -> bool {
        self.logs.folder(source).is_dir()
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Bytes of all open logs together; what `max_size_bytes` limits.
    pub fn size_bytes(&self) -> u64 {
        self.logs.total_bytes.load(Ordering::SeqCst)
    }

    pub fn options(&self) -> &JournalOptions {
        &self.logs.options
    }
}

impl Logs {
    fn folder(&self, source: &str) -> PathBuf {
        self.options.path.join("journal").join(source)
    }

    fn log(&self, source: &str) -> Result<Arc<Log>, OpenError> {
        check_name(source)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = open.get(source).and_then(Weak::upgrade) {
            return Ok(log);
        }
        let folder = self.folder(source);
        std::fs::create_dir_all(&folder).map_err(|error| io_error(&folder, error))?;
        let parent = self.options.path.join("journal");
        disk::sync_folder(&parent).map_err(|error| io_error(&parent, error))?;
        let log = Arc::new(Log::open(shared::Shared {
            source: source.to_owned(),
            folder,
            damaged_folder: self.options.path.join("damaged"),
            salt: self.salt,
            segment_bytes: self.options.segment_bytes,
            max_size_bytes: self.options.max_size_bytes,
            retain: self.options.retain,
            total_bytes: self.total_bytes.clone(),
            disk: disk::Disk::default(),
            durable: tokio::sync::watch::Sender::new(0),
            released_before: AtomicU64::new(0),
            state: Mutex::default(),
            _lock: self.lock.clone(),
        })?);
        open.insert(source.to_owned(), Arc::downgrade(&log));
        Ok(log)
    }
}

fn io_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        source,
    }
}

fn check_name(name: &str) -> Result<(), OpenError> {
    let is_good = !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if is_good {
        Ok(())
    } else {
        Err(OpenError::BadName {
            name: name.to_owned(),
        })
    }
}

fn lock_folder(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("LOCK");
    let failed = |error| io_error(&path, error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Only for the message; a lock that cannot be read is still a lock.
            let _ = file.read_to_string(&mut text);
            return Err(OpenError::Locked {
                path: folder.to_owned(),
                holder: text.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(file)
}

/// Check the version; gives the salt.
fn read_or_write_format(folder: &Path) -> Result<u32, OpenError> {
    let path = folder.join("FORMAT");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Unlike a secret it only has to be unknown to who writes the bodies.
            let salt = RandomState::new().build_hasher().finish() as u32;
            disk::write_file(&path, format!("{FORMAT_VERSION} {salt:08x}\n").as_bytes())
                .map_err(|error| io_error(&path, error))?;
            return Ok(salt);
        }
        Err(error) => return Err(io_error(&path, error)),
    };
    let mut words = text.split_whitespace();
    let Some(found) = words.next().and_then(|word| word.parse::<u32>().ok()) else {
        return Err(OpenError::UnknownFormat { path });
    };
    if found > FORMAT_VERSION {
        return Err(OpenError::NewerFormat {
            found,
            supported: FORMAT_VERSION,
            path,
        });
    }
    words
        .next()
        .and_then(|word| u32::from_str_radix(word, 16).ok())
        .ok_or(OpenError::UnknownFormat { path })
}
