//! The source `file`: one JSON event a line, from one file or from all that fit a pattern.
//!
//! A file is known by what it is (device and inode on Unix, with a check over its first bytes), not
//! by its name: one that is renamed is read on, a new one of the same name from its beginning. How
//! far each was read is kept after its lines are safe, so that a restart goes on there.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice_sdk::{
    BoxFuture, Bytes, ConfigError, Feeder, Flow, Intake, Source, SourceError, Stop, Upstream,
};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, BufReader, SeekFrom};

use crate::lines::{Group, LINE_BYTES_MAX};
use crate::place::{Place, Places, id_default, time_default, type_default};
use crate::stand_in::Folder;

/// First bytes of a file by which it is recognised.
const HEAD_BYTES: u64 = 1024;
/// Files that are followed at the same time.
const FILES_MAX: usize = 10_000;
/// Looks at a file that is gone from the pattern, before its unfinished last line counts as one.
const LOOKS_AFTER: u32 = 3;

/// Reads one JSON event a line from files. A line that is no event is set aside with its reason, the
/// others go on. How far each file was read is kept over a restart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSourceConfig {
    /// The file, or a pattern for several (`logs/*.ndjson`), read in the order of their names.
    #[schemars(example = "events.ndjson")]
    pub path: String,
    /// Go on at the end and wait for more lines and files, as `tail -F` does: files may be rotated by
    /// renaming them or by cutting them off. Default false: the source ends with the files.
    #[serde(default)]
    #[schemars(example = true)]
    pub follow: bool,
    /// Milliseconds between two looks for more. Default 500.
    #[serde(default = "check_default")]
    #[schemars(range(min = 10, max = 60_000), example = 500)]
    pub check_every_ms: u64,
    /// Where the event has its id. Default `id`.
    #[serde(default = "id_default")]
    #[schemars(example = &"id")]
    pub id: Place,
    /// Where the event has its type, which the rules name in `on:`. Default `event_type`.
    #[serde(default = "type_default")]
    #[schemars(example = &"event_type")]
    pub event_type: Place,
    /// Where the event has its time: unix seconds, unix milliseconds or ISO 8601. Default `time`; it
    /// may be missing.
    #[serde(default = "time_default")]
    #[schemars(example = &"time")]
    pub time: Place,
    /// The type of events that name none. Default: none, such lines are set aside.
    #[serde(default)]
    #[schemars(example = &"line")]
    pub default_type: Option<String>,
}

fn check_default() -> u64 {
    500
}

/// See [`FileSourceConfig`].
pub struct FileSource {
    pattern: Pattern,
    follow: bool,
    check_every: Duration,
    places: Places,
}

/// What files are meant.
struct Pattern {
    text: String,
    /// The deepest folder without a wildcard.
    folder: PathBuf,
    /// `None` for one file.
    glob: Option<GlobMatcher>,
}

/// How far a file was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Position {
    path: PathBuf,
    offset: u64,
    /// Hash of the first `head_bytes` bytes.
    head: String,
    head_bytes: u64,
}

/// By device and inode.
type Positions = BTreeMap<String, Position>;

/// A file that is read.
struct Tail {
    reader: BufReader<File>,
    position: Position,
    /// How often it was looked at since no name of the pattern leads to it.
    looks_after: u32,
}

impl FileSource {
    /// Check the settings; no file is opened yet.
    ///
    /// # Errors
    /// A pattern that is none, a pause out of range.
    pub fn new(config: FileSourceConfig) -> Result<Self, ConfigError> {
        if !(10..=60_000).contains(&config.check_every_ms) {
            return Err(ConfigError::at(
                "check_every_ms",
                "expected 10 to 60000 milliseconds",
            ));
        }
        Ok(Self {
            pattern: Pattern::new(config.path)?,
            follow: config.follow,
            check_every: Duration::from_millis(config.check_every_ms),
            places: Places {
                id: config.id,
                event_type: config.event_type,
                time: config.time,
                default_type: config.default_type,
            },
        })
    }
}

impl Pattern {
    fn new(text: String) -> Result<Self, ConfigError> {
        if text.is_empty() {
            return Err(ConfigError::at(
                "path",
                "expected a file or a pattern such as logs/*.ndjson",
            ));
        }
        let is_wild = |part: &str| part.contains(['*', '?', '[', '{']);
        let path = Path::new(&text);
        let parent = path.parent().unwrap_or(Path::new("")).to_path_buf();
        if !is_wild(&text) {
            return Ok(Self {
                folder: parent,
                text,
                glob: None,
            });
        }
        let folder = path
            .ancestors()
            .skip(1)
            .find(|part| !is_wild(&part.to_string_lossy()));
        let glob = GlobBuilder::new(&text).literal_separator(true).build();
        let glob = glob.map_err(|error| ConfigError::at("path", error.to_string()))?;
        Ok(Self {
            folder: folder.unwrap_or(Path::new("")).to_path_buf(),
            glob: Some(glob.compile_matcher()),
            text,
        })
    }

    /// The files there are now, in the order of their names.
    fn files(&self) -> io::Result<Vec<(PathBuf, Metadata)>> {
        let Some(glob) = &self.glob else {
            let path = PathBuf::from(&self.text);
            return match std::fs::metadata(&path) {
                Ok(metadata) => Ok(vec![(path, metadata)]),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(error),
            };
        };
        let depth = Path::new(&self.text).components().count();
        let mut found = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for (path, metadata) in entries(&folder)? {
                if metadata.is_dir()
                    && (path.components().count() < depth || self.text.contains("**"))
                {
                    folders.push(path);
                } else if metadata.is_file() && glob.is_match(&path) {
                    found.push((path, metadata));
                }
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.truncate(FILES_MAX);
        Ok(found)
    }
}

/// What is in a folder; what goes away meanwhile is left out.
fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let read = match folder.as_os_str().is_empty() {
        true => std::fs::read_dir("."),
        false => std::fs::read_dir(folder),
    };
    let names = match read {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(names
        .flatten()
        .map(|entry| folder.join(entry.file_name()))
        .filter_map(|path| std::fs::metadata(&path).ok().map(|it| (path, it)))
        .collect())
}

#[cfg(unix)]
fn identity(_: &Path, metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("{}:{}", metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(path: &Path, _: &Metadata) -> String {
    path.display().to_string()
}

impl Source for FileSource {
    async fn run(self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
        let mut positions = load(&intake).await?;
        let mut tails: BTreeMap<String, Tail> = BTreeMap::new();
        let files = self.list()?;
        if files.is_empty() && !self.follow {
            return Err(SourceError(format!(
                "file: there is no {}; check `path`, or set `follow: true` to wait for it",
                self.pattern.text
            )));
        }
        intake.ready(&self.pattern.text);
        for key in self.find_moved(&files, &positions, &mut tails).await {
            positions.remove(&key);
        }
        loop {
            let files = self.list()?;
            for (path, metadata) in &files {
                let key = identity(path, metadata);
                if let Some(tail) = tails.get_mut(&key) {
                    tail.position.path.clone_from(path);
                    tail.looks_after = 0;
                } else if let Some(tail) = open(path, positions.get(&key)).await {
                    tails.insert(key, tail);
                }
            }
            let listed: Vec<String> = files.iter().map(|(path, it)| identity(path, it)).collect();
            // By name, so that a numbered series keeps its order.
            let mut order: Vec<String> = tails.keys().cloned().collect();
            order.sort_by_key(|key| (listed.contains(key), tails[key].position.path.clone()));
            for key in order {
                let Some(mut tail) = tails.remove(&key) else {
                    continue;
                };
                let is_gone = !listed.contains(&key);
                tail.looks_after += u32::from(is_gone);
                let is_last = !self.follow || tail.looks_after >= LOOKS_AFTER;
                let mut keep = |position: &Position| {
                    positions.insert(key.clone(), position.clone());
                    positions.clone()
                };
                if !tail
                    .read(&self.places, is_last, &intake, &stop, &mut keep)
                    .await?
                {
                    return Ok(());
                }
                if is_gone && is_last {
                    positions.remove(&key);
                } else {
                    tails.insert(key, tail);
                }
            }
            if !self.follow || stop.is_requested() {
                return Ok(());
            }
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = tokio::time::sleep(self.check_every) => {}
            }
        }
    }
}

impl FileSource {
    fn list(&self) -> Result<Vec<(PathBuf, Metadata)>, SourceError> {
        self.pattern.files().map_err(|error| {
            SourceError(format!(
                "file: {} cannot be read: {error}",
                self.pattern.text
            ))
        })
    }

    /// Files that were rotated away while we did not run: found again by their identity in their
    /// folder, and read to their end. Gives those that are gone.
    async fn find_moved(
        &self,
        files: &[(PathBuf, Metadata)],
        positions: &Positions,
        tails: &mut BTreeMap<String, Tail>,
    ) -> Vec<String> {
        let mut gone = Vec::new();
        for (key, position) in positions {
            if files.iter().any(|(path, it)| identity(path, it) == *key) {
                continue;
            }
            let folder = position.path.parent().unwrap_or(Path::new(""));
            let moved = entries(folder).unwrap_or_default();
            let moved = moved
                .into_iter()
                .find(|(path, it)| identity(path, it) == *key);
            let tail = match moved {
                Some((path, _)) => open(&path, Some(position)).await,
                None => None,
            };
            match tail {
                // Another file has taken the inode when it begins otherwise.
                Some(tail) if tail.position.offset == position.offset => {
                    tails.insert(key.clone(), tail);
                }
                _ => {
                    tracing::warn!(
                        "file: {} went away; it had been read to byte {}. If it was rotated into another folder or compressed before its end was read, its last lines are missing",
                        position.path.display(),
                        position.offset
                    );
                    gone.push(key.clone());
                }
            }
        }
        gone
    }
}

/// Open a file where it was left, or at its beginning when it is another one than it was.
async fn open(path: &Path, position: Option<&Position>) -> Option<Tail> {
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

impl Tail {
    /// Hand over what is there. An unfinished last line waits, unless `is_last`. `false` when it is
    /// time to stop.
    async fn read(
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

async fn load(intake: &Intake) -> Result<Positions, SourceError> {
    let kept = intake.load().await.map_err(|error| {
        SourceError(format!(
            "file: the positions of the last run cannot be read: {error}"
        ))
    })?;
    let Some(kept) = kept else {
        return Ok(Positions::new());
    };
    serde_json::from_slice(&kept).map_err(|error| {
        SourceError(format!(
            "file: the positions of the last run are damaged: {error}"
        ))
    })
}

/// A position that is not kept costs a second reading, and no event.
async fn save(intake: &Intake, positions: &Positions) {
    let text = serde_json::to_vec(positions).expect("positions are plain data");
    if let Err(error) = intake.save(Bytes::from(text)).await {
        tracing::debug!("file: the position cannot be kept: {error}");
    }
}

/// A file to append to, for the conformance kit.
struct Log(Folder);

fn upstream() -> BoxFuture<'static, io::Result<Box<dyn Upstream>>> {
    Box::pin(async {
        let log = Log(Folder::new()?);
        std::fs::write(log.path(), "")?;
        Ok(Box::new(log) as Box<dyn Upstream>)
    })
}

impl Log {
    fn path(&self) -> PathBuf {
        self.0.path().join("events.ndjson")
    }
}

impl Upstream for Log {
    fn settings(&self) -> Value {
        json!({"path": self.path(), "follow": true, "check_every_ms": 10})
    }

    fn flow(&self) -> Flow {
        Flow::Read
    }

    fn event(&self, n: u64) -> String {
        json!({"id": n, "event_type": "line"}).to_string()
    }

    fn feeder(&self, _: String) -> Box<dyn Feeder> {
        Box::new(Appender(self.path()))
    }
}

struct Appender(PathBuf);

impl Feeder for Appender {
    fn send(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            use std::io::Write as _;
            let file = std::fs::OpenOptions::new().append(true).open(&self.0);
            let mut file = file.map_err(|error| error.to_string())?;
            let text = events.join("\n") + "\n";
            file.write_all(text.as_bytes())
                .map_err(|error| error.to_string())
        })
    }
}

sluice_sdk::register_source!(
    "file",
    FileSourceConfig => FileSource::new,
    summary: "One JSON event a line from files, also as they grow and rotate.",
    example: "path: logs/*.ndjson\nfollow: true\n",
    upstream: upstream,
);
