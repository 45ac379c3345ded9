//! Open one log: find its segments, read the last one, cut off what a crash left half written.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::OpenError;
use super::record::{Counts, Header, Kind, decode_events};
use super::segment::{FILE_HEADER_BYTES, FileHeader, Found, Scanner, SegmentId, read_file_header};
use super::shared::{Segment, Shared};
use super::writer::Active;

/// Fill the state of `shared` from its folder. Gives the segment to go on writing to, if the
/// last one can be.
pub(super) fn open_log(shared: &Shared) -> Result<Option<Active>, OpenError> {
    let mut ids = list_segments(shared)?;
    let mut lowest_next = 0;
    while let Some(&last) = ids.last() {
        lowest_next = lowest_next.max(last.first_sequence);
        if !remove_if_stillborn(shared, last)? {
            break;
        }
        ids.pop();
    }
    let Some(&last) = ids.last() else {
        shared.state().next_sequence = lowest_next;
        return Ok(None);
    };

    let mut segments = BTreeMap::new();
    for pair in ids.windows(2) {
        segments.insert(pair[0], describe_sealed(shared, pair[0], pair[1])?);
    }
    let start = newest_checkpoint(shared, &ids)?;
    let mut walk = Walk::new(ids[start].first_sequence);
    for index in start..ids.len() - 1 {
        walk.segment(shared, ids[index], Some(ids[index + 1].first_sequence))?;
    }
    let end = walk.segment(shared, last, None)?;

    let path = shared.folder.join(last.file_name());
    let active = cut(&path, last, end, walk.is_torn).map_err(|error| io_error(&path, error))?;
    segments.insert(
        last,
        Segment {
            bytes: end,
            last_received_ms: walk.last_received_ms,
        },
    );
    let can_go_on = lowest_next <= walk.next_sequence && has_our_salt(shared, &active.file);
    let mut state = shared.state();
    state.segments = segments;
    state.next_sequence = walk.next_sequence.max(lowest_next);
    state.last_received_ms = walk.last_received_ms;
    state.counts = walk.counts;
    Ok(can_go_on.then_some(active))
}

/// New records are written with the folder's salt, so only into a segment that says so itself.
fn has_our_salt(shared: &Shared, file: &File) -> bool {
    matches!(read_file_header(file), Ok(FileHeader::Good { salt }) if salt == shared.salt)
}

fn io_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        source,
    }
}

fn list_segments(shared: &Shared) -> Result<Vec<SegmentId>, OpenError> {
    let failed = |error| io_error(&shared.folder, error);
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(&shared.folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        match name.to_str().and_then(SegmentId::parse) {
            Some(id) => ids.push(id),
            None => tracing::warn!(
                "journal: {} is no segment and is left alone",
                shared.folder.join(&name).display()
            ),
        }
    }
    ids.sort_unstable();
    Ok(ids)
}

pub(super) fn open_scanner(shared: &Shared, id: SegmentId) -> Result<Scanner, OpenError> {
    let path = shared.folder.join(id.file_name());
    let failed = |error| io_error(&path, error);
    let file = File::open(&path).map_err(failed)?;
    let salt = match read_file_header(&file).map_err(failed)? {
        FileHeader::Good { salt } => salt,
        FileHeader::Newer { version } => {
            return Err(OpenError::NewerFormat {
                found: version,
                supported: super::segment::FORMAT_VERSION,
                path,
            });
        }
        FileHeader::Damaged => {
            let end = FILE_HEADER_BYTES.min(file.metadata().map_err(failed)?.len());
            shared.set_aside(id, 0..end);
            shared.salt
        }
    };
    Ok(Scanner::new(file, salt, FILE_HEADER_BYTES))
}

/// A crash while a segment was begun leaves a file without a header and without anything after
/// it; nothing was answered from it.
fn remove_if_stillborn(shared: &Shared, id: SegmentId) -> Result<bool, OpenError> {
    let path = shared.folder.join(id.file_name());
    let failed = |error| io_error(&path, error);
    let file = File::open(&path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    if !matches!(
        read_file_header(&file).map_err(failed)?,
        FileHeader::Damaged
    ) {
        return Ok(false);
    }
    let mut scanner = Scanner::new(file, shared.salt, FILE_HEADER_BYTES.min(bytes));
    let has_content = !matches!(scanner.next(bytes).map_err(failed)?, Found::End);
    if has_content {
        return Ok(false);
    }
    tracing::warn!(
        "journal: {} was begun but never written to; removed",
        path.display()
    );
    std::fs::remove_file(&path).map_err(failed)?;
    Ok(true)
}

/// Length and age of a segment without reading it: the age is in the checkpoint of the next one.
fn describe_sealed(shared: &Shared, id: SegmentId, next: SegmentId) -> Result<Segment, OpenError> {
    let path = shared.folder.join(id.file_name());
    let metadata = std::fs::metadata(&path).map_err(|error| io_error(&path, error))?;
    let last_received_ms = match read_checkpoint(shared, next)? {
        Some((header, _)) => header.received_ms,
        None => metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(i64::MAX, |age| {
                i64::try_from(age.as_millis()).unwrap_or(i64::MAX)
            }),
    };
    Ok(Segment {
        bytes: metadata.len(),
        last_received_ms,
    })
}

fn read_checkpoint(shared: &Shared, id: SegmentId) -> Result<Option<(Header, Counts)>, OpenError> {
    let path = shared.folder.join(id.file_name());
    let mut scanner = open_scanner(shared, id)?;
    let failed = |error| io_error(&path, error);
    let limit = scanner.file_bytes().map_err(failed)?;
    let Some((header, payload)) = scanner
        .record_at(FILE_HEADER_BYTES, limit)
        .map_err(failed)?
    else {
        return Ok(None);
    };
    let counts = match header.kind {
        Kind::Checkpoint => Counts::decode(&payload).ok(),
        Kind::Events => None,
    };
    Ok(counts.map(|counts| (header, counts)))
}

/// The sums are exact from a checkpoint on; the last segment has one unless it is damaged.
fn newest_checkpoint(shared: &Shared, ids: &[SegmentId]) -> Result<usize, OpenError> {
    for (index, id) in ids.iter().enumerate().rev() {
        if read_checkpoint(shared, *id)?.is_some() {
            return Ok(index);
        }
    }
    Ok(0)
}

/// The sums while reading one segment after another.
struct Walk {
    counts: Counts,
    next_sequence: u64,
    last_received_ms: i64,
    is_torn: bool,
}

impl Walk {
    fn new(next_sequence: u64) -> Walk {
        Walk {
            counts: Counts::default(),
            next_sequence,
            last_received_ms: 0,
            is_torn: false,
        }
    }

    /// Read a segment up to its good end, which is given back. `bound` is where the next begins.
    fn segment(
        &mut self,
        shared: &Shared,
        id: SegmentId,
        bound: Option<u64>,
    ) -> Result<u64, OpenError> {
        let path = shared.folder.join(id.file_name());
        let failed = |error| io_error(&path, error);
        let mut scanner = open_scanner(shared, id)?;
        let limit = scanner.file_bytes().map_err(failed)?;
        self.expect(shared, id.first_sequence);
        loop {
            let at = scanner.position();
            match scanner.next(limit).map_err(failed)? {
                Found::Record { header, payload } => {
                    // Left by a segment that was abandoned, or not of this log.
                    let is_repeated = bound.is_some_and(|bound| header.end_sequence() > bound)
                        || header.first_sequence < self.next_sequence;
                    if is_repeated {
                        self.is_torn = true;
                        return Ok(at);
                    }
                    self.record(shared, id, at, &header, payload);
                }
                Found::Damaged { resume } => shared.set_aside(id, at..resume),
                Found::Torn => {
                    self.is_torn = true;
                    return Ok(at);
                }
                Found::End => return Ok(at),
            }
        }
    }

    fn record(
        &mut self,
        shared: &Shared,
        id: SegmentId,
        at: u64,
        header: &Header,
        payload: bytes::Bytes,
    ) {
        self.expect(shared, header.first_sequence);
        let end = at + header.record_bytes();
        match header.kind {
            Kind::Checkpoint => match Counts::decode(&payload) {
                Ok(counts) => self.counts = counts,
                Err(_) => shared.set_aside(id, at..end),
            },
            Kind::Events => match decode_events(header, payload) {
                Ok(record) => self.counts.add(&record.events, record.malformed.len()),
                Err(_) => shared.set_aside(id, at..end),
            },
        }
        self.next_sequence = header.end_sequence();
        self.last_received_ms = header.received_ms;
    }

    fn expect(&mut self, shared: &Shared, sequence: u64) {
        if sequence > self.next_sequence {
            shared.note_lost(self.next_sequence..sequence);
            self.next_sequence = sequence;
        }
    }
}

/// Make the last segment end where its good records end.
fn cut(path: &Path, id: SegmentId, end: u64, is_torn: bool) -> io::Result<Active> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let file_bytes = file.metadata()?.len();
    if is_torn {
        tracing::warn!(
            "journal: {} ended in a half-written record, as after a crash; cut from byte {end} \
             on ({} bytes). What was in it had not been answered for",
            path.display(),
            file_bytes.saturating_sub(end),
        );
    }
    // Zeros go as well: what is behind the end must be zero, and this is the cheapest way to know.
    file.set_len(end.max(FILE_HEADER_BYTES))?;
    file.sync_all()?;
    Ok(Active {
        id,
        file,
        position: end,
        allocated: end,
    })
}
