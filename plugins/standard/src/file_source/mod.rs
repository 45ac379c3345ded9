//! The source `file`: one JSON event a line, from one file or from all that fit a pattern.
//!
//! A file is known by what it is (device and inode on Unix, with a check over its first bytes), not
//! by its name: one that is renamed is read on, a new one of the same name from its beginning. How
//! far each was read is kept after its lines are safe, so that a restart goes on there.
//!
//! | file | what it is |
//! | --- | --- |
//! | `run` | one run: which files are read when, what becomes of those that are renamed or go away |
//! | `pattern` | which files are meant, and what tells one from another |
//! | `position` | how far each was read, kept over a restart |
//! | `tail` | one file that is read: its lines, its end, its being cut off |
//! | `upstream` | a file to append to, for the conformance kit |

mod pattern;
mod position;
mod run;
mod tail;
mod upstream;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use sluice_sdk::{ConfigError, Intake, Source, SourceError, Stop};

use crate::place::{
    Place, Places, event_places, id_default, places_of, time_default, type_default,
};
use pattern::Pattern;
use run::Run;

/// Reads one JSON event a line from files. A line that is no event is set aside with its reason, the
/// others go on. How far each file was read is kept over a restart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSourceConfig {
    /// The file, or a pattern for several (`logs/*.ndjson`), read in the order of their names.
    #[schemars(example = "events.ndjson")]
    pub path: String,
    /// Go on at the end and wait for more lines and files, as `tail -F` does. A last line without its
    /// newline waits for it. Files may be rotated by renaming them: the old one is read on until
    /// nothing was added to it for a minute. A pattern that fits the renamed ones too (`app.log*`)
    /// misses none, however fast they follow each other and while sluice is down. Cutting them off
    /// works too, but what was written between the last look and the cut is gone. Default false: the
    /// source ends with the files.
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
            places: Places::new(
                event_places(config.event_type, config.id, config.default_type),
                config.time,
            ),
        })
    }
}

impl Source for FileSource {
    async fn run(self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
        let positions = position::load(&intake).await?;
        let files = self.pattern.files()?;
        if files.is_empty() && !self.follow {
            return Err(SourceError(format!(
                "file: there is no {}; check `path`, or set `follow: true` to wait for it",
                self.pattern.text
            )));
        }
        intake.ready(&self.pattern.text);
        let mut run = Run::new(&self, intake, stop, positions);
        run.find_moved(&files).await;
        let ended = match self.follow {
            true => run.follow().await,
            false => run.read_once(&files).await,
        };
        run.keep().await;
        ended
    }
}

sluice_sdk::register_source!(
    "file",
    FileSourceConfig => FileSource::new,
    summary: "One JSON event a line from files, also as they grow and rotate.",
    example: "path: logs/*.ndjson\nfollow: true\n",
    places: places_of,
    reasons: crate::lines::REASONS,
    upstream: upstream::start,
);
