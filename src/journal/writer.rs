//! The thread that writes one log: takes what waits, writes it in one piece, syncs once, answers
//! all.
//!
//! A failed write is cut back to the last durable byte and the next group tries again. A failed
//! fdatasync is not repeated: the kernel may have dropped the dirty pages and would then report
//! success for bytes that are not there. The segment is closed at its last durable byte and the
//! next group begins a new one.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::AppendError;
use super::record::{
    Counts, EncodedMarks, EventMark, HEADER_BYTES, Header, Kind, MalformedMark, Record,
};
use super::segment::{self, SegmentId};
use super::shared::{Segment, Shared};

/// A group ends here, so that the buffer stays small and the first caller's wait short.
const GROUP_BYTES_MAX: usize = 2 * 1024 * 1024;
const GROUP_REQUESTS_MAX: usize = 1024;

/// Zeros written ahead: syncing bytes of a file that already has them need not sync its length.
const PREALLOCATE_BYTES: usize = 1024 * 1024;
static ZEROS: [u8; PREALLOCATE_BYTES] = [0; PREALLOCATE_BYTES];
/// Groups from this size on fill a pre-allocation too fast to earn it.
const PREALLOCATE_BELOW_BYTES: usize = 128 * 1024;

/// A buffer that one large group needed is given back.
const BUFFER_BYTES_KEPT: usize = 2 * GROUP_BYTES_MAX;

pub(super) enum Command {
    Append(Append),
    /// Let the next number be at least this one.
    AdvancePast {
        sequence: u64,
        reply: oneshot::Sender<Result<(), AppendError>>,
    },
}

pub(super) struct Append {
    pub received_ms: i64,
    pub events: Vec<EventMark>,
    pub malformed: Vec<MalformedMark>,
    pub marks: EncodedMarks,
    pub body: Bytes,
    pub reply: oneshot::Sender<Result<u64, AppendError>>,
}

/// The segment that is written to.
pub(super) struct Active {
    pub id: SegmentId,
    pub file: File,
    /// Durable length.
    pub position: u64,
    /// Length of the file; zeros from `position` on.
    pub allocated: u64,
}

pub(super) struct Writer {
    pub shared: Arc<Shared>,
    pub active: Option<Active>,
    pub is_failing: bool,
    pub buffer: Vec<u8>,
}

impl Writer {
    /// Returns when all handles of the log are dropped and all that waited is answered.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let mut group = Vec::new();
            let mut group_bytes = 0;
            let mut next = Some(first);
            while let Some(command) = next {
                match command {
                    Command::Append(append) => {
                        group_bytes += append.marks.payload_bytes as usize;
                        group.push(append);
                    }
                    Command::AdvancePast { sequence, reply } => {
                        self.write_group(std::mem::take(&mut group));
                        let _ = reply.send(self.advance_past(sequence));
                    }
                }
                let is_full = group_bytes >= GROUP_BYTES_MAX || group.len() >= GROUP_REQUESTS_MAX;
                next = if is_full {
                    None
                } else {
                    commands.try_recv().ok()
                };
            }
            self.write_group(group);
        }
        if let Some(active) = &self.active {
            // The next opening reads a little less; nothing depends on it.
            let _ = active.file.set_len(active.position);
        }
    }

    fn write_group(&mut self, group: Vec<Append>) {
        if group.is_empty() {
            return;
        }
        let active = match self.active_segment() {
            Ok(active) => active,
            Err(error) => return self.fail(group, "cannot begin a segment", error),
        };
        let position = active.position;
        let (group, counts) = self.encode(group);
        if group.is_empty() {
            return;
        }
        if let Err(error) = self.write_buffer(position) {
            self.cut_back();
            return self.fail(group, "cannot write", error);
        }
        if let Err(error) = self.sync_active() {
            self.abandon_active();
            return self.fail(group, "cannot sync", error);
        }
        self.publish(group, counts);
        if self.is_failing {
            self.is_failing = false;
            tracing::info!(source = %self.shared.source, "journal: writing works again");
        }
    }

    /// Put the records of a group into the buffer. Those for which there is no room are answered
    /// here and are not among the ones given back.
    fn encode(&mut self, group: Vec<Append>) -> (Vec<Append>, Counts) {
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        let mut sequence = self.shared.state().next_sequence;
        let mut counts = Counts::default();
        let mut taken = Vec::with_capacity(group.len());
        for append in group {
            let header = Header {
                kind: Kind::Events,
                payload_bytes: append.marks.payload_bytes,
                event_count: append.events.len() as u32,
                first_sequence: sequence,
                received_ms: append.received_ms,
                payload_crc: append.marks.payload_crc,
            };
            if let Err(error) = self.make_room(self.buffer.len() as u64 + header.record_bytes()) {
                let _ = append.reply.send(Err(error));
                continue;
            }
            self.buffer
                .extend_from_slice(&header.encode(self.shared.salt));
            self.buffer.extend_from_slice(&append.marks.bytes);
            self.buffer.extend_from_slice(&append.body);
            counts.add(&append.events, append.malformed.len());
            sequence = header.end_sequence();
            taken.push(append);
        }
        (taken, counts)
    }

    /// Whether so many bytes fit under the limit, after deleting what all connectors have passed.
    fn make_room(&self, bytes: u64) -> Result<(), AppendError> {
        let shared = &self.shared;
        let fits = |total: u64| total.saturating_add(bytes) <= shared.max_size_bytes;
        if fits(shared.total_bytes.load(Ordering::SeqCst)) {
            return Ok(());
        }
        let before = shared.released_before.load(Ordering::SeqCst);
        shared.delete_oldest(before, |_, total| !fits(total));
        let size_bytes = shared.total_bytes.load(Ordering::SeqCst);
        if fits(size_bytes) {
            Ok(())
        } else {
            Err(AppendError::Full {
                size_bytes,
                max_size_bytes: shared.max_size_bytes,
            })
        }
    }

    fn write_buffer(&mut self, position: u64) -> io::Result<()> {
        let disk = &self.shared.disk;
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        disk.write_at(&active.file, &self.buffer, position)?;
        let end = position + self.buffer.len() as u64;
        if end > active.allocated {
            active.allocated = end;
            if self.buffer.len() < PREALLOCATE_BELOW_BYTES {
                let zeros = (PREALLOCATE_BYTES as u64).min(self.shared.segment_bytes) as usize;
                match disk.write_at(&active.file, &ZEROS[..zeros], end) {
                    Ok(()) => active.allocated = end + zeros as u64,
                    // The disk is nearly full; the group itself is in, so give the zeros back.
                    Err(_) => active.file.set_len(end)?,
                }
            }
        }
        Ok(())
    }

    fn sync_active(&mut self) -> io::Result<()> {
        match &self.active {
            Some(active) => self.shared.disk.sync(&active.file),
            None => Ok(()),
        }
    }

    /// The group is durable: let readers see it, then answer.
    fn publish(&mut self, group: Vec<Append>, counts: Counts) {
        let Some(active) = &mut self.active else {
            return;
        };
        let (id, start) = (active.id, active.position);
        let mut answers = Vec::with_capacity(group.len());
        {
            let mut state = self.shared.state();
            for append in group {
                let record = Record {
                    first_sequence: state.next_sequence,
                    received_ms: append.received_ms,
                    events: append.events,
                    malformed: append.malformed,
                    body: append.body,
                };
                answers.push((append.reply, record.first_sequence));
                let place = active.position;
                active.position += HEADER_BYTES as u64 + u64::from(append.marks.payload_bytes);
                state.next_sequence = record.end_sequence();
                state.last_received_ms = record.received_ms;
                state.recent.push(id, place..active.position, record);
            }
            for (event_type, count) in counts.events_by_type {
                *state.counts.events_by_type.entry(event_type).or_default() += count;
            }
            state.counts.malformed += counts.malformed;
            let segment = Segment {
                bytes: active.position,
                last_received_ms: state.last_received_ms,
            };
            state.segments.insert(id, segment);
        }
        self.shared
            .total_bytes
            .fetch_add(active.position - start, Ordering::SeqCst);
        self.shared.notify();
        for (reply, first_sequence) in answers {
            // A caller that is gone has its events here all the same.
            let _ = reply.send(Ok(first_sequence));
        }
    }

    fn fail(&mut self, group: Vec<Append>, what: &str, error: io::Error) {
        // Once for each time of trouble: every request that waits would repeat it.
        if !self.is_failing {
            self.is_failing = true;
            tracing::error!(
                "journal: {what} in {}: {error}; sources are pushed back until it works again",
                self.shared.folder.display(),
            );
        }
        let error = Arc::new(error);
        for append in group {
            let _ = append.reply.send(Err(AppendError::Io(error.clone())));
        }
    }

    /// The segment to write to; begins a new one when there is none or it is full.
    fn active_segment(&mut self) -> io::Result<&Active> {
        let is_full = self
            .active
            .as_ref()
            .is_some_and(|active| active.position >= self.shared.segment_bytes);
        if is_full {
            self.seal();
        }
        if self.active.is_none() {
            self.active = Some(self.begin_segment()?);
        }
        self.active
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn begin_segment(&self) -> io::Result<Active> {
        let shared = &self.shared;
        let (id, counts, last_received_ms) = {
            let state = shared.state();
            let part = match state.segments.last_key_value() {
                Some((last, _)) if last.first_sequence == state.next_sequence => last.part + 1,
                _ => 0,
            };
            let id = SegmentId {
                first_sequence: state.next_sequence,
                part,
            };
            (id, state.counts.clone(), state.last_received_ms)
        };
        let (file, bytes) = segment::create(
            &shared.disk,
            &shared.folder,
            id,
            shared.salt,
            &counts,
            last_received_ms,
        )?;
        shared.total_bytes.fetch_add(bytes, Ordering::SeqCst);
        shared.state().segments.insert(
            id,
            Segment {
                bytes,
                last_received_ms,
            },
        );
        Ok(Active {
            id,
            file,
            position: bytes,
            allocated: bytes,
        })
    }

    /// Close the full segment and give its zeros back.
    fn seal(&mut self) {
        if let Some(active) = self.active.take()
            && let Err(error) = active.file.set_len(active.position)
        {
            // Only room is lost: zeros at the end are read as the end.
            tracing::warn!("journal: cannot shorten a finished segment: {error}");
        }
    }

    /// After a failed write: what stands behind the last durable byte was never answered for.
    fn cut_back(&mut self) {
        let Some(active) = &mut self.active else {
            return;
        };
        match active.file.set_len(active.position) {
            Ok(()) => active.allocated = active.position,
            Err(_) => self.abandon_active(),
        }
    }

    fn abandon_active(&mut self) {
        if let Some(active) = self.active.take() {
            // If even this fails, a later opening ignores records that the next segment repeats.
            let _ = active.file.set_len(active.position);
        }
    }

    fn advance_past(&mut self, sequence: u64) -> Result<(), AppendError> {
        let next = self.shared.state().next_sequence;
        if sequence <= next {
            return Ok(());
        }
        self.seal();
        self.shared.state().next_sequence = sequence;
        self.shared.note_lost(next..sequence);
        self.active_segment()
            .map(|_| ())
            .map_err(|error| AppendError::Io(Arc::new(error)))
    }
}
