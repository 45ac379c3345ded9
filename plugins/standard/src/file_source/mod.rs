//! The source `file`: one JSON event a line, from one file or from all that fit a pattern.
//!
//! A file is known by what it is (device and inode on Unix, with a check over its first bytes), not
//! by its name: one that is renamed is read on, a new one of the same name from its beginning. How
//! far each was read is kept after its lines are safe, so that a restart goes on there.
//!
//! | file | what it is |
//! | --- | --- |
//! | `pattern` | which files are meant, and what tells one from another |
//! | `position` | how far each was read, kept over a restart |
//! | `tail` | one file that is read: its lines, its end, its being cut off |
//! | `upstream` | a file to append to, for the conformance kit |

mod pattern;
mod position;
mod tail;
mod upstream;

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use sluice_sdk::{ConfigError, Intake, Source, SourceError, Stop};

use crate::place::{Place, Places, id_default, time_default, type_default};
use pattern::{Pattern, entries, identity};
use position::{Position, Positions};
use tail::Tail;

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

impl Source for FileSource {
    async fn run(self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
        let mut positions = position::load(&intake).await?;
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
                } else if let Some(tail) = tail::open(path, positions.get(&key)).await {
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
                Some((path, _)) => tail::open(&path, Some(position)).await,
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

sluice_sdk::register_source!(
    "file",
    FileSourceConfig => FileSource::new,
    summary: "One JSON event a line from files, also as they grow and rotate.",
    example: "path: logs/*.ndjson\nfollow: true\n",
    upstream: upstream::start,
);
