//! One file that is read: its lines, its unfinished end, its being cut off.

use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};
use sluice_sdk::{Intake, SourceError, Stop};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, BufReader, SeekFrom};

use super::position::{Position, Positions, save};
use crate::lines::{Group, LINE_BYTES_MAX};
use crate::place::Places;

/// First bytes of a file by which it is recognised.
const HEAD_BYTES: u64 = 1024;

/// A file that is read.
pub struct Tail {
    reader: BufReader<File>,
    pub position: Position,
    /// How often it was looked at since no name of the pattern leads to it.
    pub looks_after: u32,
}

/// Open a file where it was left, or at its beginning when it is another one than it was.
pub async fn open(path: &Path, position: Option<&Position>) -> Option<Tail> {
    let mut file = match File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(
                "file: {} cannot be read: {error}; trying again",
                path.display()
            );
            return None;
        }
    };
    let mut offset = 0;
    if let Some(position) = position {
        let (head, bytes) = head(&mut file, position.head_bytes).await.ok()?;
        let length = file.metadata().await.ok()?.len();
        let is_same = head == position.head && bytes == position.head_bytes;
        if is_same && length >= position.offset {
            offset = position.offset;
        }
    }
    let (head, head_bytes) = head(&mut file, HEAD_BYTES.min(offset)).await.ok()?;
    file.seek(SeekFrom::Start(offset)).await.ok()?;
    Some(Tail {
        reader: BufReader::with_capacity(256 << 10, file),
        position: Position {
            path: path.to_owned(),
            offset,
            head,
            head_bytes,
        },
        looks_after: 0,
    })
}

impl Tail {
    /// Hand over what is there. An unfinished last line waits, unless `is_last`. `false` when it is
    /// time to stop.
    pub async fn read(
        &mut self,
        places: &Places,
        is_last: bool,
        intake: &Intake,
        stop: &Stop,
        keep: &mut (dyn FnMut(&Position) -> Positions + Send),
    ) -> Result<bool, SourceError> {
        self.notice_cut().await?;
        let mut group = Group::default();
        let mut read_to = self.position.offset;
        loop {
            let start = group.body.len();
            let mut line = (&mut self.reader).take(LINE_BYTES_MAX);
            let length = line.read_until(b'\n', &mut group.body).await;
            let length = length.map_err(|error| self.error(&error))? as u64;
            let is_whole = group.body.ends_with(b"\n") || length >= LINE_BYTES_MAX;
            let has_more = length > 0 && (is_whole || is_last);
            if has_more {
                group.add(start, places);
                read_to += length;
            } else {
                group.body.truncate(start);
            }
            if !has_more || group.is_full() {
                if read_to > self.position.offset {
                    if stop.is_requested() || !group.hand_over(intake, stop).await? {
                        return Ok(false);
                    }
                    self.position.offset = read_to;
                    self.recognise().await?;
                    save(intake, &keep(&self.position)).await;
                }
                if !has_more {
                    // What is left of an unfinished line is read again when there is more.
                    self.seek(read_to).await?;
                    return Ok(true);
                }
            }
        }
    }

    /// A file that was cut off and written anew (copytruncate) is read from its beginning.
    async fn notice_cut(&mut self) -> Result<(), SourceError> {
        if self.position.offset == 0 {
            return Ok(());
        }
        let length = self.reader.get_ref().metadata().await;
        let length = length.map_err(|error| self.error(&error))?.len();
        let found = head(self.reader.get_mut(), self.position.head_bytes).await;
        let (hash, bytes) = found.map_err(|error| self.error(&error))?;
        let is_same = hash == self.position.head && bytes == self.position.head_bytes;
        if length < self.position.offset || !is_same {
            self.position.offset = 0;
            self.position.head_bytes = 0;
            self.recognise().await?;
        }
        self.seek(self.position.offset).await
    }

    /// Take up to [`HEAD_BYTES`] of what was read as what the file is known by.
    async fn recognise(&mut self) -> Result<(), SourceError> {
        let bytes = HEAD_BYTES.min(self.position.offset);
        if bytes == self.position.head_bytes && bytes > 0 {
            return Ok(());
        }
        // Through a second handle: the reader has its own place and buffer.
        let file = self.reader.get_ref().try_clone().await;
        let mut file = file.map_err(|error| self.error(&error))?;
        let place = file
            .stream_position()
            .await
            .map_err(|error| self.error(&error))?;
        let found = head(&mut file, bytes).await;
        (self.position.head, self.position.head_bytes) =
            found.map_err(|error| self.error(&error))?;
        let back = file.seek(SeekFrom::Start(place)).await;
        back.map(drop).map_err(|error| self.error(&error))
    }

    async fn seek(&mut self, offset: u64) -> Result<(), SourceError> {
        let done = self.reader.seek(SeekFrom::Start(offset)).await;
        done.map(drop).map_err(|error| self.error(&error))
    }

    fn error(&self, error: &io::Error) -> SourceError {
        SourceError(format!(
            "file: {} cannot be read: {error}",
            self.position.path.display()
        ))
    }
}

/// Hash and number of the first bytes, at most `bytes`.
async fn head(file: &mut File, bytes: u64) -> io::Result<(String, u64)> {
    file.seek(SeekFrom::Start(0)).await?;
    let mut text = Vec::new();
    file.take(bytes).read_to_end(&mut text).await?;
    let digest = Sha256::digest(&text);
    let hash: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok((hash, text.len() as u64))
}
