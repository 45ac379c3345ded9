//! Read a log from a number on, and follow it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::log::Log;
use super::open::open_scanner;
use super::record::{Header, Kind, Record, decode_events};
use super::segment::{FILE_HEADER_BYTES, Found, Scanner, SegmentId};
use super::shared::Shared;
use super::{OpenError, record::HEADER_BYTES};

/// Reads the durable records of one log in order; made by [`Log::reader`].
///
/// A record that begins beyond the end of the one before tells that the numbers between are
/// gone: expired or damaged ([`Log::lost`] says which).
pub struct Reader {
    log: Arc<Log>,
    cursor: Cursor,
    /// Absent while a read runs on another thread, and after such a read was cancelled.
    scanner: Option<Scanner>,
    durable: watch::Receiver<u64>,
}

/// Where a reader is. Small and copied, so that a cancelled read has no effect.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    segment: Option<SegmentId>,
    offset: u64,
    /// Records that end at or before this number are passed over, until the first that does not.
    seek: Option<u64>,
    /// The number the next record should have.
    expected: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read the journal at {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot open a journal segment: {0}")]
    Open(#[from] OpenError),
}

impl Reader {
    pub(super) fn new(log: Arc<Log>, from_sequence: u64) -> Reader {
        let durable = log.shared.durable.subscribe();
        let cursor = Cursor {
            segment: None,
            offset: FILE_HEADER_BYTES,
            // From the very first number on there is nothing to pass over.
            seek: (from_sequence > 0).then_some(from_sequence),
            expected: None,
        };
        Reader {
            log,
            cursor,
            scanner: None,
            durable,
        }
    }

    /// Wait for the next durable record.
    ///
    /// Cancelling is safe: a record that was not returned is returned by the next call.
    ///
    /// # Errors
    /// When a segment cannot be read; the next call tries the same place again. Damaged bytes
    /// are no error: they are set aside and passed over.
    pub async fn next(&mut self) -> Result<Record, ReadError> {
        loop {
            // Before looking, so that what becomes durable meanwhile ends the wait below.
            self.durable.borrow_and_update();
            let is_in_memory = self
                .scanner
                .as_ref()
                .is_some_and(Scanner::is_next_in_memory);
            let found = if is_in_memory {
                self.try_next()?
            } else {
                self.next_off_thread().await?
            };
            if let Some(record) = found {
                return Ok(record);
            }
            // The sender lives in the log, which this reader holds; an error cannot happen and
            // would only make the loop look again.
            let _ = self.durable.changed().await;
        }
    }

    /// The next durable record, if there is one now. May wait for the disk.
    ///
    /// # Errors
    /// As for [`Reader::next`].
    pub fn try_next(&mut self) -> Result<Option<Record>, ReadError> {
        step(&self.log.shared, &mut self.cursor, &mut self.scanner)
    }

    async fn next_off_thread(&mut self) -> Result<Option<Record>, ReadError> {
        if !has_more(&self.log.shared, &self.cursor) {
            return Ok(None);
        }
        let shared = self.log.shared.clone();
        let (mut cursor, mut scanner) = (self.cursor, self.scanner.take());
        let done = tokio::task::spawn_blocking(move || {
            let found = step(&shared, &mut cursor, &mut scanner);
            (found, cursor, scanner)
        })
        .await;
        match done {
            Ok((found, cursor, scanner)) => {
                self.cursor = cursor;
                self.scanner = scanner;
                found
            }
            Err(error) => Err(ReadError::Io {
                path: self.log.shared.folder.clone(),
                source: io::Error::other(error),
            }),
        }
    }
}

/// Spares an idle reader the other thread.
fn has_more(shared: &Shared, cursor: &Cursor) -> bool {
    let state = shared.state();
    let last = state.segments.last_key_value();
    last.is_some_and(|(id, segment)| {
        cursor.segment != Some(*id) || cursor.offset + HEADER_BYTES as u64 <= segment.bytes
    })
}

fn step(
    shared: &Shared,
    cursor: &mut Cursor,
    scanner: &mut Option<Scanner>,
) -> Result<Option<Record>, ReadError> {
    loop {
        let Some(view) = view(shared, cursor) else {
            return Ok(None);
        };
        let failed = |source| ReadError::Io {
            path: shared.folder.join(view.id.file_name()),
            source,
        };
        if cursor.segment != Some(view.id) {
            enter(cursor, view.id);
            *scanner = None;
        }
        let open = match scanner {
            Some(open) => open,
            None => match open_scanner(shared, view.id) {
                Ok(mut opened) => {
                    opened.skip_to(cursor.offset);
                    scanner.insert(opened)
                }
                // Deleted between the look and the opening.
                Err(OpenError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound
                        && !shared.state().segments.contains_key(&view.id) =>
                {
                    continue;
                }
                Err(error) => return Err(error.into()),
            },
        };
        let limit = if open.is_next_in_memory() {
            view.limit
        } else {
            view.limit.min(open.file_bytes().map_err(failed)?)
        };
        let at = open.position();
        let found = open.next(limit).map_err(failed)?;
        cursor.offset = open.position();
        let is_done = match found {
            Found::Record { header, payload } => {
                let is_left_over = view
                    .bound
                    .is_some_and(|bound| header.end_sequence() > bound);
                if !is_left_over
                    && let Some(record) = take(shared, cursor, view.id, at, &header, payload)
                {
                    return Ok(Some(record));
                }
                is_left_over
            }
            Found::Damaged { resume } => {
                shared.set_aside(view.id, at..resume);
                false
            }
            Found::Torn if view.bound.is_none() && limit < view.limit => {
                // The last segment is shorter than what was written; its end may come back.
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
            Found::Torn => {
                shared.set_aside(view.id, at..limit);
                open.skip_to(limit);
                cursor.offset = limit;
                true
            }
            Found::End => true,
        };
        if is_done {
            match view.bound {
                None => return Ok(None),
                Some(_) => leave(shared, cursor, scanner),
            }
        }
    }
}

/// The segment to read in: the cursor's, or the next there is.
struct View {
    id: SegmentId,
    limit: u64,
    /// First number of the next segment; `None` for the last one, which still grows.
    bound: Option<u64>,
}

fn view(shared: &Shared, cursor: &Cursor) -> Option<View> {
    let state = shared.state();
    let start = match (cursor.segment, cursor.seek) {
        (Some(id), _) => id,
        (None, Some(sequence)) => state
            .segments
            .keys()
            .rev()
            .find(|id| id.first_sequence <= sequence)
            .or_else(|| state.segments.keys().next())
            .copied()?,
        (None, None) => state.segments.keys().next().copied()?,
    };
    let mut from_start = state.segments.range(start..);
    let (&id, segment) = from_start.next()?;
    let bound = from_start.next().map(|(next, _)| next.first_sequence);
    Some(View {
        id,
        limit: segment.bytes,
        bound,
    })
}

fn enter(cursor: &mut Cursor, id: SegmentId) {
    // The segment it was in is deleted: the gap is no damage.
    if cursor.segment.is_some() {
        cursor.expected = None;
    }
    cursor.segment = Some(id);
    cursor.offset = FILE_HEADER_BYTES;
}

fn leave(shared: &Shared, cursor: &mut Cursor, scanner: &mut Option<Scanner>) {
    let Some(id) = cursor.segment else { return };
    let next = shared
        .state()
        .segments
        .range(id..)
        .map(|(id, _)| *id)
        .find(|next| *next > id);
    if let Some(next) = next {
        cursor.segment = Some(next);
        cursor.offset = FILE_HEADER_BYTES;
        *scanner = None;
    }
}

/// What a good record means at this place of the walk; `None` when it is not for the caller.
fn take(
    shared: &Shared,
    cursor: &mut Cursor,
    id: SegmentId,
    at: u64,
    header: &Header,
    payload: bytes::Bytes,
) -> Option<Record> {
    if let Some(expected) = cursor.expected {
        if header.first_sequence < expected {
            return None;
        }
        shared.note_lost(expected..header.first_sequence);
    }
    cursor.expected = Some(header.end_sequence());
    if header.kind == Kind::Checkpoint {
        return None;
    }
    match cursor.seek {
        Some(seek) if header.end_sequence() <= seek => return None,
        _ => cursor.seek = None,
    }
    match decode_events(header, payload) {
        Ok(record) => Some(record),
        Err(_) => {
            shared.set_aside(id, at..at + header.record_bytes());
            shared.note_lost(header.first_sequence..header.end_sequence());
            None
        }
    }
}
