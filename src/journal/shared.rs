//! What the writer, the readers and the handle of one log have in common: which segments there
//! are, up to where each is durable, the sums, and what was found damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::disk::Disk;
use super::recent::Recent;
use super::record::Counts;
use super::segment::SegmentId;

pub(super) struct Shared {
    pub source: String,
    pub folder: PathBuf,
    pub damaged_folder: PathBuf,
    pub salt: u32,
    pub segment_bytes: u64,
    pub max_size_bytes: u64,
    pub retain: Duration,
    /// Bytes of all logs of the data folder: the limit is one for all.
    pub total_bytes: Arc<AtomicU64>,
    pub disk: Disk,
    /// Wakes readers; the number has no meaning but to change.
    pub durable: watch::Sender<u64>,
    /// All connectors have passed what is below; deletable when room is needed.
    pub released_before: AtomicU64,
    pub state: Mutex<State>,
    /// Held open as long as anything of the log lives: the lock on the folder goes with it.
    pub _lock: Arc<File>,
}

#[derive(Default)]
pub(super) struct State {
    /// All segments; the last one is written to.
    pub segments: BTreeMap<SegmentId, Segment>,
    pub recent: Recent,
    pub counts: Counts,
    pub next_sequence: u64,
    pub last_received_ms: i64,
    /// Numbers that no record has any more: start → end.
    pub lost: BTreeMap<u64, u64>,
    /// Places already reported, so that ten readers make one report.
    pub reported: BTreeSet<(SegmentId, u64)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    /// Durable length; what is behind it was never answered for.
    pub bytes: u64,
    pub last_received_ms: i64,
}

/// What was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Released {
    pub segments: usize,
    pub bytes: u64,
    /// The numbers that went.
    pub sequences: Range<u64>,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // No step under this lock can leave it half changed, so a panic elsewhere does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn notify(&self) {
        self.durable
            .send_modify(|generation| *generation = generation.wrapping_add(1));
    }

    /// Numbers that are gone: found when a record begins beyond the expected one.
    pub(super) fn note_lost(&self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let is_new = self.state().lost.insert(range.start, range.end).is_none();
        if is_new {
            tracing::error!(
                source = %self.source, from = range.start, to = range.end,
                "journal: {} events are lost to damage on disk; see {}",
                range.end - range.start, self.damaged_folder.display(),
            );
        }
    }

    /// Copy damaged bytes to `damaged/`, once a place, and report it.
    pub(super) fn set_aside(&self, id: SegmentId, bytes: Range<u64>) {
        if !self.state().reported.insert((id, bytes.start)) {
            return;
        }
        let from = self.folder.join(id.file_name());
        let to = self.damaged_folder.join(format!(
            "{}-{}-at-{}.bin",
            self.source,
            id.file_name().trim_end_matches(".log"),
            bytes.start
        ));
        let copied = copy_range(&from, &to, bytes.clone());
        match copied {
            // Reported by an earlier process.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Ok(()) => tracing::error!(
                "journal: {} is damaged from byte {} to {}; the bytes were copied to {}, reading \
                 goes on behind them",
                from.display(),
                bytes.start,
                bytes.end,
                to.display(),
            ),
            Err(error) => tracing::error!(
                "journal: {} is damaged from byte {} to {}; reading goes on behind them; copying \
                 them to {} failed: {error}",
                from.display(),
                bytes.start,
                bytes.end,
                to.display(),
            ),
        }
    }

    /// Delete the oldest segments that `may_go` allows: never the last, never beyond `before`.
    /// `may_go` sees the segment and the bytes of all logs.
    pub(super) fn delete_oldest(
        &self,
        before: u64,
        mut may_go: impl FnMut(&Segment, u64) -> bool,
    ) -> Released {
        let mut released = Released::default();
        let mut state = self.state();
        loop {
            let mut oldest_two = state.segments.iter();
            let (Some((&id, &segment)), Some((&next, _))) = (oldest_two.next(), oldest_two.next())
            else {
                break;
            };
            let total = self.total_bytes.load(Ordering::SeqCst);
            if next.first_sequence > before || !may_go(&segment, total) {
                break;
            }
            let path = self.folder.join(id.file_name());
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!("journal: cannot delete {}: {error}", path.display());
                break;
            }
            state.segments.remove(&id);
            self.total_bytes.fetch_sub(segment.bytes, Ordering::SeqCst);
            if released.segments == 0 {
                released.sequences.start = id.first_sequence;
            }
            released.segments += 1;
            released.bytes += segment.bytes;
            released.sequences.end = next.first_sequence;
        }
        released
    }
}

fn copy_range(from: &std::path::Path, to: &std::path::Path, bytes: Range<u64>) -> io::Result<()> {
    let mut source = File::open(from)?;
    source.seek(SeekFrom::Start(bytes.start))?;
    let mut target = OpenOptions::new().write(true).create_new(true).open(to)?;
    io::copy(&mut source.take(bytes.end - bytes.start), &mut target)?;
    target.sync_all()
}
