//! One segment file: its name, its header, and a walk over its records.
//!
//! ```text
//!  offset  size  field (little-endian)
//!       0     8  magic, "SLUICEJ\n"
//!       8     4  format version
//!      12     4  salt of the record headers' checksums
//!      16     8  first sequence
//!      24     4  part
//!      28     4  CRC-32C of bytes 0..28
//!      32     …  records without gaps; the first is a checkpoint
//!       …     …  zeros (pre-allocated), or the end of the file
//! ```
//!
//! The salt is the folder's, copied here so that a segment can be read alone; a damaged header
//! is therefore reported but costs nothing.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use bytes::{Buf, Bytes};

use super::disk::{Disk, read_at, sync_folder};
use super::record::{Counts, HEADER_BYTES, Header, Kind, MAGIC};

pub(super) const FORMAT_VERSION: u32 = 1;
pub(super) const FILE_HEADER_BYTES: u64 = 32;
const FILE_MAGIC: &[u8; 8] = b"SLUICEJ\n";

/// Read ahead by so much: some records in one call, small enough for many readers.
const WINDOW_BYTES: u64 = 256 * 1024;

/// Names a segment. `part` is 0 unless a segment ended before it held any event (a flood of
/// malformed bodies, a disk that failed at once), when the next begins at the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentId {
    pub first_sequence: u64,
    pub part: u32,
}

impl SegmentId {
    pub(super) fn file_name(self) -> String {
        match self.part {
            0 => format!("{:020}.log", self.first_sequence),
            part => format!("{:020}-{part:04}.log", self.first_sequence),
        }
    }

    pub(super) fn parse(name: &str) -> Option<SegmentId> {
        let stem = name.strip_suffix(".log")?;
        let (first, part) = stem.split_once('-').unwrap_or((stem, "0"));
        let id = SegmentId {
            first_sequence: first.parse().ok()?,
            part: part.parse().ok()?,
        };
        (id.file_name() == name).then_some(id)
    }
}

pub(super) enum FileHeader {
    Good { salt: u32 },
    Newer { version: u32 },
    Damaged,
}

pub(super) fn read_file_header(file: &File) -> io::Result<FileHeader> {
    let bytes = read_at(file, 0, FILE_HEADER_BYTES)?;
    let Ok(bytes) = <[u8; FILE_HEADER_BYTES as usize]>::try_from(bytes) else {
        return Ok(FileHeader::Damaged);
    };
    let mut rest = &bytes[8..];
    let (version, salt) = (rest.get_u32_le(), rest.get_u32_le());
    let crc = (&bytes[28..]).get_u32_le();
    if &bytes[..8] != FILE_MAGIC || crc32c::crc32c(&bytes[..28]) != crc {
        return Ok(FileHeader::Damaged);
    }
    if version > FORMAT_VERSION {
        return Ok(FileHeader::Newer { version });
    }
    Ok(FileHeader::Good { salt })
}

/// Create a segment with its checkpoint, durable with its name. Gives the file and its length.
pub(super) fn create(
    disk: &Disk,
    folder: &Path,
    id: SegmentId,
    salt: u32,
    counts: &Counts,
    last_received_ms: i64,
) -> io::Result<(File, u64)> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(FILE_MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&salt.to_le_bytes());
    bytes.extend_from_slice(&id.first_sequence.to_le_bytes());
    bytes.extend_from_slice(&id.part.to_le_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    let payload = counts.encode();
    let header = Header {
        kind: Kind::Checkpoint,
        payload_bytes: payload.len() as u32,
        event_count: 0,
        first_sequence: id.first_sequence,
        received_ms: last_received_ms,
        payload_crc: crc32c::crc32c(&payload),
    };
    bytes.extend_from_slice(&header.encode(salt));
    bytes.extend_from_slice(&payload);

    let path = folder.join(id.file_name());
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    let written = disk
        .write_at(&file, &bytes, 0)
        .and_then(|()| disk.sync(&file))
        .and_then(|()| sync_folder(folder));
    match written {
        Ok(()) => Ok((file, bytes.len() as u64)),
        Err(error) => {
            // Nothing was answered from it; the name must be free for the next try.
            let _ = std::fs::remove_file(&path);
            Err(error)
        }
    }
}

/// What is at a place of a segment.
pub(super) enum Found {
    Record {
        header: Header,
        payload: Bytes,
    },
    /// Bytes from the place up to `resume` are no record; at `resume` is one.
    Damaged {
        resume: u64,
    },
    /// No record from here to the limit, and not all of it is zero.
    Torn,
    /// Nothing from here to the limit.
    End,
}

/// Walks over the records of one segment. Every call takes the limit up to which bytes are
/// known to be final, and never looks beyond it.
pub(super) struct Scanner {
    file: File,
    salt: u32,
    position: u64,
    window_start: u64,
    window: Bytes,
}

impl Scanner {
    pub(super) fn new(file: File, salt: u32, position: u64) -> Scanner {
        Scanner {
            file,
            salt,
            position,
            window_start: 0,
            window: Bytes::new(),
        }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn skip_to(&mut self, position: u64) {
        self.position = position;
    }

    /// Length of the file now; a damaged disk may hold less than was written.
    pub(super) fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Whether `next` can answer with a record without touching the disk.
    pub(super) fn is_next_in_memory(&self) -> bool {
        self.in_window(self.position, HEADER_BYTES as u64)
            .and_then(|bytes| Header::decode(&bytes, self.salt))
            .is_some_and(|header| {
                self.in_window(self.position, header.record_bytes())
                    .is_some()
            })
    }

    /// What is at the position. A record or damage is stepped over, the rest is not.
    pub(super) fn next(&mut self, limit: u64) -> io::Result<Found> {
        if let Some((header, payload)) = self.record_at(self.position, limit)? {
            self.position += header.record_bytes();
            return Ok(Found::Record { header, payload });
        }
        if self.is_zero(self.position, limit)? {
            return Ok(Found::End);
        }
        match self.find_record(self.position + 1, limit)? {
            Some(resume) => {
                self.position = resume;
                Ok(Found::Damaged { resume })
            }
            None => Ok(Found::Torn),
        }
    }

    pub(super) fn record_at(&mut self, at: u64, limit: u64) -> io::Result<Option<(Header, Bytes)>> {
        if at.saturating_add(HEADER_BYTES as u64) > limit {
            return Ok(None);
        }
        let header = self.fetch(at, HEADER_BYTES as u64, limit)?;
        let Some(header) = Header::decode(&header, self.salt) else {
            return Ok(None);
        };
        if at + header.record_bytes() > limit {
            return Ok(None);
        }
        let payload = self
            .fetch(at, header.record_bytes(), limit)?
            .slice(HEADER_BYTES..);
        let is_good = crc32c::crc32c(&payload) == header.payload_crc;
        Ok(is_good.then_some((header, payload)))
    }

    /// The next good record. Linear in the bytes: a payload is only read behind a header whose
    /// salted checksum is right.
    fn find_record(&mut self, from: u64, limit: u64) -> io::Result<Option<u64>> {
        let mut at = from;
        while at + HEADER_BYTES as u64 <= limit {
            let bytes = self.fetch(at, (limit - at).min(WINDOW_BYTES), limit)?;
            for offset in 0..=bytes.len() - HEADER_BYTES {
                if bytes[offset..].starts_with(&MAGIC)
                    && Header::decode(&bytes[offset..], self.salt).is_some()
                    && self.record_at(at + offset as u64, limit)?.is_some()
                {
                    return Ok(Some(at + offset as u64));
                }
            }
            at += (bytes.len() - HEADER_BYTES + 1) as u64;
        }
        Ok(None)
    }

    fn is_zero(&mut self, from: u64, limit: u64) -> io::Result<bool> {
        let mut at = from;
        while at < limit {
            let bytes = self.fetch(at, (limit - at).min(WINDOW_BYTES), limit)?;
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += bytes.len() as u64;
        }
        Ok(true)
    }

    fn in_window(&self, at: u64, len: u64) -> Option<Bytes> {
        let start = at.checked_sub(self.window_start)?;
        let end = start.checked_add(len)?;
        (end <= self.window.len() as u64).then(|| self.window.slice(start as usize..end as usize))
    }

    /// Exactly `len` bytes at a place; the caller has checked that they end before the limit.
    fn fetch(&mut self, at: u64, len: u64, limit: u64) -> io::Result<Bytes> {
        if let Some(bytes) = self.in_window(at, len) {
            return Ok(bytes);
        }
        let wanted = len.max(WINDOW_BYTES).min(limit - at);
        let bytes = read_at(&self.file, at, wanted)?;
        let read = bytes.len() as u64;
        if read < len {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!(
                    "the file ends at {}, {len} bytes were expected at {at}",
                    at + read
                ),
            ));
        }
        self.window_start = at;
        self.window = Bytes::from(bytes);
        Ok(self.window.slice(..len as usize))
    }
}
