//! The append log of one source: the handle that the engine holds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::OpenError;
use super::expired;
use super::open::open_log;
use super::reader::Reader;
use super::record::{EventMark, MalformedMark, encode_marks};
use super::shared::{Released, Shared};
use super::writer::{Append, Command, Writer};

/// Requests that wait for the writer; more wait in `append` itself.
const QUEUE_REQUESTS_MAX: usize = 1024;

/// The type under which [`Log::received_by_type`] counts events whose type damage has taken.
pub const DAMAGED_TYPE: &str = "(damaged)";

/// One append log; see [`super::Journal::log`].
pub struct Log {
    pub(super) shared: Arc<Shared>,
    commands: Option<mpsc::Sender<Command>>,
    writer: Option<JoinHandle<()>>,
    /// One segment at a time: its types are read before it is deleted.
    expiring: Mutex<()>,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Push the upstream back (503) until connectors have passed more.
    #[error(
        "the journal is full: {size_bytes} of {max_size_bytes} bytes, and connectors have not \
         read the oldest yet"
    )]
    Full {
        size_bytes: u64,
        max_size_bytes: u64,
    },
    /// The disk refuses (full, read-only, broken). Later calls try again.
    #[error("the journal cannot write: {0}")]
    Io(Arc<std::io::Error>),
    /// The record itself cannot be stored; trying again will not help.
    #[error("the journal cannot take this body: {reason}")]
    Unfit { reason: String },
    #[error("the journal is closed")]
    Closed,
}

impl Log {
    pub(super) fn open(shared: Shared) -> Result<Log, OpenError> {
        let shared = Arc::new(shared);
        let active = open_log(&shared)?;
        let bytes: u64 = shared
            .state()
            .segments
            .values()
            .map(|segment| segment.bytes)
            .sum();
        shared.total_bytes.fetch_add(bytes, Ordering::SeqCst);
        let (commands, queue) = mpsc::channel(QUEUE_REQUESTS_MAX);
        let writer = Writer {
            shared: shared.clone(),
            active,
            is_failing: false,
            buffer: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("journal {}", shared.source))
            .spawn(move || writer.run(queue))
            .map_err(|source| OpenError::Io {
                path: shared.folder.clone(),
                source,
            })?;
        Ok(Log {
            shared,
            commands: Some(commands),
            writer: Some(thread),
            expiring: Mutex::default(),
        })
    }

    /// Append one body with the places of its events, and wait until it is on disk.
    ///
    /// Returns the number of its first event; the others follow without gaps. Calls that wait at
    /// the same time share one fdatasync. Dropping the future may leave the record written: a
    /// source that does not see `Ok` lets its upstream send it again.
    ///
    /// # Errors
    /// `Full` and `Io` leave nothing behind and may pass by themselves; `Unfit` never does.
    pub async fn append(
        &self,
        received_ms: i64,
        events: Vec<EventMark>,
        malformed: Vec<MalformedMark>,
        body: Bytes,
    ) -> Result<u64, AppendError> {
        let marks = encode_marks(&events, &malformed, &body)
            .map_err(|reason| AppendError::Unfit { reason })?;
        self.ask(|reply| {
            Command::Append(Append {
                received_ms,
                events,
                malformed,
                marks,
                body,
                reply,
            })
        })
        .await
    }

    /// Let the next number be at least `sequence`, as durably as a record.
    ///
    /// For a connector whose cursor is beyond the log, after damage took the log's end: without
    /// this, new events would get numbers that the connector believes delivered.
    ///
    /// # Errors
    /// `Io` when no segment can be begun.
    pub async fn advance_past(&self, sequence: u64) -> Result<(), AppendError> {
        self.ask(|reply| Command::AdvancePast { sequence, reply })
            .await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, AppendError>>) -> Command,
    ) -> Result<T, AppendError> {
        let (reply, answer) = oneshot::channel();
        let commands = self.commands.as_ref().ok_or(AppendError::Closed)?;
        commands
            .send(command(reply))
            .await
            .map_err(|_| AppendError::Closed)?;
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Read from the record that holds `from_sequence`, or from the oldest if that is gone.
    ///
    /// A record of malformed parts only holds no number: it is met when following the log (or
    /// reading it from 0), but not when a reader begins at its place. So set malformed parts
    /// aside when they are appended, not when they are read.
    pub fn reader(self: &Arc<Self>, from_sequence: u64) -> Reader {
        Reader::new(self.clone(), from_sequence)
    }

    /// The number the next event gets; numbers begin at 0, so it is also how many there were.
    pub fn next_sequence(&self) -> u64 {
        self.shared.state().next_sequence
    }

    /// The lowest number that may still be read.
    pub fn oldest_sequence(&self) -> u64 {
        let state = self.shared.state();
        state
            .segments
            .keys()
            .next()
            .map_or(state.next_sequence, |id| id.first_sequence)
    }

    /// Bytes of this log's records on disk (up to 1 MiB of zeros written ahead not counted).
    pub fn size_bytes(&self) -> u64 {
        self.shared
            .state()
            .segments
            .values()
            .map(|segment| segment.bytes)
            .sum()
    }

    /// Bytes of the segments that hold numbers from `sequence` on: what stays however much room is
    /// needed, when all connectors have passed what is below.
    pub fn bytes_from(&self, sequence: u64) -> u64 {
        let state = self.shared.state();
        if sequence >= state.next_sequence {
            return 0;
        }
        let ends = state
            .segments
            .keys()
            .skip(1)
            .map(|next| next.first_sequence)
            .chain([u64::MAX]);
        state
            .segments
            .values()
            .zip(ends)
            .filter(|(_, end)| *end > sequence)
            .map(|(segment, _)| segment.bytes)
            .sum()
    }

    /// All events ever appended, by type. Exact over restarts, and always adds up to
    /// [`Log::next_sequence`]: what damage made uncountable is under [`DAMAGED_TYPE`].
    pub fn received_by_type(&self) -> BTreeMap<String, u64> {
        let state = self.shared.state();
        let mut counts = state.counts.events_by_type.clone();
        let uncounted = state.next_sequence.saturating_sub(state.counts.events());
        if uncounted > 0 {
            *counts.entry(DAMAGED_TYPE.to_owned()).or_default() += uncounted;
        }
        counts
    }

    /// Malformed parts ever appended.
    pub fn malformed_count(&self) -> u64 {
        self.shared.state().counts.malformed
    }

    /// Numbers that damage has taken, as far as it was met since the log was opened.
    pub fn lost(&self) -> Vec<Range<u64>> {
        self.shared
            .state()
            .lost
            .iter()
            .map(|(start, end)| *start..*end)
            .collect()
    }

    /// fdatasync calls since the log was opened.
    pub fn sync_count(&self) -> u64 {
        self.shared.disk.syncs()
    }

    /// Say that all connectors have passed what is below `before_sequence`.
    ///
    /// Deletes whole segments below it whose last record is older than `retain`; younger ones
    /// too, oldest first, while less than one segment's room is left under the limit. What is
    /// not below is never touched. Waits for the file system for a moment.
    pub fn release(&self, before_sequence: u64, now_ms: i64) -> Released {
        let shared = &self.shared;
        shared
            .released_before
            .fetch_max(before_sequence, Ordering::SeqCst);
        let retain_ms = i64::try_from(shared.retain.as_millis()).unwrap_or(i64::MAX);
        let oldest_kept_ms = now_ms.saturating_sub(retain_ms);
        expired::release(shared, before_sequence);
        shared.delete_oldest(before_sequence, |segment, total| {
            segment.last_received_ms < oldest_kept_ms
                || total.saturating_add(shared.segment_bytes) > shared.max_size_bytes
        })
    }

    /// Delete the oldest segment though it may be unread (`when_full: expire_oldest`). The last
    /// one stays. The types of what went are kept for connectors behind it
    /// ([`Log::expired_types`]). Reads the segment: waits for the file system.
    pub fn expire_oldest(&self) -> Released {
        let shared = &self.shared;
        let _one = self.expiring.lock().unwrap_or_else(PoisonError::into_inner);
        let (oldest, next) = {
            let state = shared.state();
            let mut two = state.segments.iter();
            match (two.next(), two.next()) {
                (Some((id, segment)), Some((next, _))) => ((*id, segment.bytes), *next),
                _ => return Released::default(),
            }
        };
        let ((id, bytes), end) = (oldest, next.first_sequence);
        if end > shared.released_before.load(Ordering::SeqCst) {
            expired::keep(shared, id, bytes, end);
        }
        let mut is_first = true;
        shared.delete_oldest(end, |_, _| std::mem::take(&mut is_first))
    }

    /// The types of numbers that are below [`Log::oldest_sequence`], in order and without gaps, as
    /// runs of the same type; [`EXPIRED_TYPE`](super::EXPIRED_TYPE) where it was not kept. Reads
    /// files.
    pub fn expired_types(&self, numbers: Range<u64>) -> Vec<(Range<u64>, String)> {
        expired::types(&self.shared, numbers)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Closes the queue; the writer answers what waits and ends.
        self.commands = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!(source = %self.shared.source, "journal: the writer thread panicked");
        }
    }
}
