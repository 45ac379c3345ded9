//! What a data folder holds, read only: for tools that look at events beside a running process.
//!
//! Takes no lock and changes nothing. What is appended after a segment's end was reached is not
//! seen; what is deleted meanwhile is passed over.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::record::{Kind, decode_events};
use super::segment::{FILE_HEADER_BYTES, FileHeader, Found, Scanner, SegmentId, read_file_header};
use super::{OpenError, io_error};

/// One event of a log.
pub struct Recorded<'a> {
    /// The source that took it.
    pub source: &'a str,
    /// Its number in that source's log.
    pub sequence: u64,
    /// The type that its source found.
    pub event_type: &'a str,
    /// The id that its source found.
    pub id: &'a str,
    /// As it came.
    pub bytes: Bytes,
}

/// Whether a folder is a data folder.
pub fn is_data_folder(folder: &Path) -> bool {
    folder.join("FORMAT").is_file() && folder.join("journal").is_dir()
}

/// Size of all logs of a data folder.
pub fn recorded_bytes(folder: &Path) -> u64 {
    sources(folder)
        .into_iter()
        .flatten()
        .flat_map(|(_, folder)| segments(&folder).unwrap_or_default())
        .filter_map(|(_, path)| path.metadata().ok())
        .map(|about| about.len())
        .sum()
}

/// Give every event of every source to `each`, oldest first, copies left out, until it says false.
/// Gives the number of damaged stretches that could not be read.
///
/// # Errors
/// What the file system says, and segments of a newer version.
pub fn for_each_recorded(
    folder: &Path,
    each: &mut dyn FnMut(Recorded<'_>) -> bool,
) -> Result<u64, OpenError> {
    let mut damaged = 0;
    for (source, folder) in sources(folder)? {
        let all = segments(&folder)?;
        let mut walk = Walk {
            source: &source,
            expected: 0,
            damaged: &mut damaged,
        };
        for (at, (_, path)) in all.iter().enumerate() {
            let bound = all.get(at + 1).map(|(id, _)| id.first_sequence);
            if !walk.segment(path, bound, each)? {
                return Ok(damaged);
            }
        }
    }
    Ok(damaged)
}

fn sources(folder: &Path) -> Result<Vec<(String, PathBuf)>, OpenError> {
    let folder = folder.join("journal");
    let mut found: Vec<(String, PathBuf)> = std::fs::read_dir(&folder)
        .map_err(|error| io_error(&folder, error))?
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, entry.path())
        })
        .collect();
    found.sort();
    Ok(found)
}

fn segments(folder: &Path) -> Result<Vec<(SegmentId, PathBuf)>, OpenError> {
    let mut found: Vec<(SegmentId, PathBuf)> = std::fs::read_dir(folder)
        .map_err(|error| io_error(folder, error))?
        .flatten()
        .filter_map(|entry| {
            let id = SegmentId::parse(entry.file_name().to_str()?)?;
            Some((id, entry.path()))
        })
        .collect();
    found.sort_by_key(|(id, _)| *id);
    Ok(found)
}

struct Walk<'a> {
    source: &'a str,
    /// Number of the next event; what is below was given already.
    expected: u64,
    damaged: &'a mut u64,
}

impl Walk<'_> {
    /// One segment; false when nobody wants more. `bound`: where the next one begins.
    fn segment(
        &mut self,
        path: &Path,
        bound: Option<u64>,
        each: &mut dyn FnMut(Recorded<'_>) -> bool,
    ) -> Result<bool, OpenError> {
        let failed = |error| io_error(path, error);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(failed(error)),
        };
        let salt = match read_file_header(&file).map_err(failed)? {
            FileHeader::Good { salt } => salt,
            FileHeader::Newer { version } => {
                return Err(OpenError::NewerFormat {
                    found: version,
                    supported: super::segment::FORMAT_VERSION,
                    path: path.to_owned(),
                });
            }
            FileHeader::Damaged => {
                *self.damaged += 1;
                return Ok(true);
            }
        };
        let limit = file.metadata().map_err(failed)?.len();
        let mut scanner = Scanner::new(file, salt, FILE_HEADER_BYTES);
        loop {
            match scanner.next(limit).map_err(failed)? {
                Found::Record { header, payload } => {
                    if bound.is_some_and(|bound| header.end_sequence() > bound) {
                        // Written again into the next segment.
                        return Ok(true);
                    }
                    if header.kind != Kind::Events || header.first_sequence < self.expected {
                        continue;
                    }
                    let Ok(record) = decode_events(&header, payload) else {
                        *self.damaged += 1;
                        continue;
                    };
                    self.expected = record.end_sequence();
                    for (sequence, mark) in (record.first_sequence..).zip(&record.events) {
                        let event = Recorded {
                            source: self.source,
                            sequence,
                            event_type: &mark.event_type,
                            id: &mark.id,
                            bytes: record.event_bytes(mark),
                        };
                        if !mark.duplicate && !each(event) {
                            return Ok(false);
                        }
                    }
                }
                Found::Damaged { .. } => *self.damaged += 1,
                // The last record of a log that is being written to looks torn for a moment.
                Found::Torn => {
                    *self.damaged += u64::from(bound.is_some());
                    return Ok(true);
                }
                Found::End => return Ok(true),
            }
        }
    }
}
