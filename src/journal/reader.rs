//! Read a log from a number on, and follow it.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::log::Log;
use super::open::open_scanner;
use super::record::{Kind, Record, decode_events};
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
    /// Absent while a read runs on another thread.
    scanner: Option<Scanner>,
    /// A read on another thread. It goes on while nobody waits for it.
    reading: Option<JoinHandle<Read>>,
    durable: watch::Receiver<u64>,
}

/// What a read gives, and where it left off.
type Read = (
    Result<Option<Arc<Record>>, ReadError>,
    Cursor,
    Option<Scanner>,
);

/// Where a reader is. Small and copied, so that a read that crashes has no effect.
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
            reading: None,
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
    pub async fn next(&mut self) -> Result<Arc<Record>, ReadError> {
        loop {
            // Before looking, so that what becomes durable meanwhile ends the wait below.
            self.durable.borrow_and_update();
            let found = if self.reading.is_none() && self.is_next_in_memory() {
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

    /// The next durable record, if there is one now. May wait for the disk. After [`Reader::next`] was
    /// cancelled there may be none until it is called again.
    ///
    /// # Errors
    /// As for [`Reader::next`].
    pub fn try_next(&mut self) -> Result<Option<Arc<Record>>, ReadError> {
        if self.reading.is_some() {
            return Ok(None);
        }
        step(&self.log.shared, &mut self.cursor, &mut self.scanner)
    }

    fn is_next_in_memory(&self) -> bool {
        let window = self.scanner.as_ref();
        window.is_some_and(Scanner::is_next_in_memory)
            || self.cursor.segment.is_some_and(|segment| {
                let state = self.log.shared.state();
                state.recent.at(segment, self.cursor.offset).is_some()
            })
    }

    async fn next_off_thread(&mut self) -> Result<Option<Arc<Record>>, ReadError> {
        let reading = match &mut self.reading {
            Some(reading) => reading,
            None if has_more(&self.log.shared, &self.cursor) => {
                let shared = self.log.shared.clone();
                let (mut cursor, mut scanner) = (self.cursor, self.scanner.take());
                self.reading.insert(tokio::task::spawn_blocking(move || {
                    let found = step(&shared, &mut cursor, &mut scanner);
                    (found, cursor, scanner)
                }))
            }
            None => return Ok(None),
        };
        let done = reading.await;
        self.reading = None;
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
) -> Result<Option<Arc<Record>>, ReadError> {
    loop {
        let Some(view) = view(shared, cursor) else {
            return Ok(None);
        };
        if let Some((record, end)) = view.recent {
            cursor.offset = end;
            if let Some(open) = scanner {
                open.skip_to(end);
            }
            if is_next(shared, cursor, record.first_sequence..record.end_sequence()) {
                return Ok(Some(record));
            }
            continue;
        }
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
                let numbers = header.first_sequence..header.end_sequence();
                if !is_left_over
                    && is_next(shared, cursor, numbers.clone())
                    && header.kind == Kind::Events
                {
                    match decode_events(&header, payload) {
                        Ok(record) => return Ok(Some(Arc::new(record))),
                        Err(_) => {
                            shared.set_aside(view.id, at..cursor.offset);
                            shared.note_lost(numbers);
                        }
                    }
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
    /// The record at the cursor, if it is among the newest, and where it ends.
    recent: Option<(Arc<Record>, u64)>,
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
        recent: (cursor.segment == Some(id))
            .then(|| state.recent.at(id, cursor.offset))
            .flatten(),
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

/// Whether the caller has still to get a good record with these numbers, which comes next in the walk.
fn is_next(shared: &Shared, cursor: &mut Cursor, numbers: Range<u64>) -> bool {
    if let Some(expected) = cursor.expected {
        if numbers.start < expected {
            return false;
        }
        shared.note_lost(expected..numbers.start);
    }
    cursor.expected = Some(numbers.end);
    match cursor.seek {
        Some(seek) if numbers.end <= seek => false,
        _ => {
            cursor.seek = None;
            true
        }
    }
}
