//! One file that is read: its lines, its unfinished end, its being cut off.

use std::io;
use std::path::{Path, PathBuf};

use sluice_sdk::{Intake, SourceError, Stop};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, BufReader, SeekFrom};
use tokio::time::Instant;

use super::position::{Position, hash};
use super::run::cannot_read;
use crate::lines::{Group, LINE_BYTES_MAX};
use crate::place::Places;

/// First bytes of a file by which it is recognised.
const HEAD_BYTES: usize = 1024;
const BUFFER_BYTES: usize = 256 << 10;

/// A file that is read.
pub struct Tail {
    pub path: PathBuf,
    /// Since when no name of the pattern leads to it, or something was added to it last.
    pub gone_since: Option<Instant>,
    reader: BufReader<File>,
    /// All before it was handed over.
    offset: u64,
    /// All before it was read.
    read_to: u64,
    /// What it begins with, as it was read: at most [`HEAD_BYTES`].
    head: Vec<u8>,
    /// Lines to be handed over.
    group: Group,
}

impl Tail {
    /// Open a file where it was left, or at its beginning when it is another one than it was.
    pub async fn open(path: &Path, position: Option<&Position>) -> io::Result<Self> {
        let mut file = File::open(path).await?;
        let (mut offset, mut head) = (0, Vec::new());
        if let Some(position) = position {
            let begin = read_head(&mut file, position.head_bytes).await?;
            let length = file.metadata().await?.len();
            let is_same =
                hash(&begin) == position.head && begin.len() as u64 == position.head_bytes;
            if is_same && length >= position.offset {
                (offset, head) = (position.offset, begin);
            }
        }
        file.seek(SeekFrom::Start(offset)).await?;
        Ok(Self {
            path: path.to_owned(),
            gone_since: None,
            reader: BufReader::with_capacity(BUFFER_BYTES, file),
            offset,
            read_to: offset,
            head,
            group: Group::default(),
        })
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn position(&self) -> Position {
        Position {
            path: self.path.clone(),
            offset: self.offset,
            head: hash(&self.head),
            head_bytes: self.head.len() as u64,
        }
    }

    /// A file that was cut off and written anew (copytruncate) is read from its beginning.
    pub async fn notice_cut(&mut self) -> Result<(), SourceError> {
        if self.offset == 0 {
            return Ok(());
        }
        let is_cut = self.is_cut().await;
        if is_cut.map_err(|error| cannot_read(&self.path, &error))? {
            self.offset = 0;
            self.head.clear();
            self.group = Group::default();
        }
        self.seek(self.offset).await
    }

    async fn is_cut(&mut self) -> io::Result<bool> {
        let file = self.reader.get_mut();
        let length = file.metadata().await?.len();
        let begin = read_head(file, self.head.len() as u64).await?;
        Ok(length < self.offset || begin != self.head)
    }

    /// Read lines for one submission; `false` when there are none. An unfinished last line waits,
    /// unless `is_last`.
    pub async fn read_group(
        &mut self,
        places: &Places,
        is_last: bool,
    ) -> Result<bool, SourceError> {
        while !self.group.is_full() {
            let start = self.group.body.len();
            let mut line = (&mut self.reader).take(LINE_BYTES_MAX);
            let length = line.read_until(b'\n', &mut self.group.body).await;
            let length = length.map_err(|error| cannot_read(&self.path, &error))? as u64;
            let is_whole = self.group.body.ends_with(b"\n") || length >= LINE_BYTES_MAX;
            if length == 0 || !(is_whole || is_last) {
                // What is left of an unfinished line is read again when there is more.
                self.group.body.truncate(start);
                self.seek(self.read_to).await?;
                break;
            }
            self.group.add(start, places);
            self.read_to += length;
        }
        let missing = HEAD_BYTES - self.head.len();
        self.head.extend(self.group.body.iter().take(missing));
        Ok(self.read_to > self.offset)
    }

    /// Hand over what was read. `false` when it is time to stop.
    pub async fn hand_over(&mut self, intake: &Intake, stop: &Stop) -> Result<bool, SourceError> {
        let is_taken = self.group.hand_over(intake, stop).await?;
        if is_taken {
            self.offset = self.read_to;
        }
        Ok(is_taken)
    }

    async fn seek(&mut self, offset: u64) -> Result<(), SourceError> {
        self.read_to = offset;
        let done = self.reader.seek(SeekFrom::Start(offset)).await;
        done.map(drop)
            .map_err(|error| cannot_read(&self.path, &error))
    }
}

async fn read_head(file: &mut File, bytes: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0)).await?;
    let mut head = Vec::new();
    file.take(bytes).read_to_end(&mut head).await?;
    Ok(head)
}
