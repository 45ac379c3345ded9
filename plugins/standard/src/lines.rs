//! The sources `stdin` and `file`: one JSON event a line.
//!
//! Lines are handed over in groups; a line that is no event is set aside, the others go on.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use sluice_sdk::{
    ConfigError, EventMark, Intake, MalformedMark, Source, SourceError, Stop, Submission,
};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

use crate::generate::hand_over;

/// Lines of one submission.
const LINES_MAX: usize = 500;
/// Bytes of one submission; a longer line goes alone.
const BYTES_MAX: usize = 4 << 20;

/// Reads one JSON event a line from standard input, until its end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdinConfig {
    /// Dotted place of the event's id. Default `id`.
    #[serde(default = "id_default")]
    pub id: String,
    /// Dotted place of the event's type. Default `event_type`.
    #[serde(default = "type_default")]
    pub event_type: String,
    /// Dotted place of the event's time in unix seconds. Default `time`; it may be missing.
    #[serde(default = "time_default")]
    pub time: String,
}

/// Reads one JSON event a line from a file, once, until its end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSourceConfig {
    /// The file. A second run reads it again from the start; de-duplication by id then takes care.
    #[schemars(example = "events.ndjson")]
    pub path: PathBuf,
    /// Dotted place of the event's id. Default `id`.
    #[serde(default = "id_default")]
    pub id: String,
    /// Dotted place of the event's type. Default `event_type`.
    #[serde(default = "type_default")]
    pub event_type: String,
    /// Dotted place of the event's time in unix seconds. Default `time`; it may be missing.
    #[serde(default = "time_default")]
    pub time: String,
}

fn id_default() -> String {
    "id".to_owned()
}
fn type_default() -> String {
    "event_type".to_owned()
}
fn time_default() -> String {
    "time".to_owned()
}

/// Where an event says its id, type and time.
struct Places {
    id: String,
    event_type: String,
    time: String,
}

/// See [`StdinConfig`].
pub struct Stdin(Places);

impl Stdin {
    /// Nothing to check.
    ///
    /// # Errors
    /// None.
    pub fn new(config: StdinConfig) -> Result<Self, ConfigError> {
        Ok(Self(Places {
            id: config.id,
            event_type: config.event_type,
            time: config.time,
        }))
    }
}

/// See [`FileSourceConfig`].
pub struct FileSource {
    path: PathBuf,
    places: Places,
}

impl FileSource {
    /// Nothing to check before the start.
    ///
    /// # Errors
    /// None.
    pub fn new(config: FileSourceConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            path: config.path,
            places: Places {
                id: config.id,
                event_type: config.event_type,
                time: config.time,
            },
        })
    }
}

impl Source for Stdin {
    async fn run(self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
        intake.ready("stdin");
        read(
            "stdin",
            BufReader::new(tokio::io::stdin()),
            &self.0,
            &intake,
            &stop,
        )
        .await
    }
}

impl Source for FileSource {
    async fn run(self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
        let name = self.path.display().to_string();
        let file = tokio::fs::File::open(&self.path)
            .await
            .map_err(|error| SourceError(format!("file {name} cannot be read: {error}")))?;
        intake.ready(&name);
        read(&name, BufReader::new(file), &self.places, &intake, &stop).await
    }
}

async fn read(
    name: &str,
    mut reader: impl AsyncBufRead + Unpin + Send,
    places: &Places,
    intake: &Intake,
    stop: &Stop,
) -> Result<(), SourceError> {
    let mut group = Group::default();
    loop {
        let start = group.body.len();
        let length = tokio::select! {
            () = stop.requested() => 0,
            length = reader.read_until(b'\n', &mut group.body) => {
                length.map_err(|error| SourceError(format!("{name} cannot be read: {error}")))?
            }
        };
        if length == 0 {
            // At a stop a line may be half read: it is not taken.
            group.body.truncate(start);
        } else {
            group.add(start, places);
        }
        let count = group.events.len() + group.malformed.len();
        let is_full = count >= LINES_MAX || group.body.len() >= BYTES_MAX;
        if count > 0 && (length == 0 || is_full) {
            let Group {
                body,
                events,
                malformed,
            } = std::mem::take(&mut group);
            let submission = Submission {
                body: body.into(),
                events,
                malformed,
            };
            if !hand_over(intake, stop, submission).await? {
                return Ok(());
            }
        }
        if length == 0 {
            return Ok(());
        }
    }
}

#[derive(Default)]
struct Group {
    body: Vec<u8>,
    events: Vec<EventMark>,
    malformed: Vec<MalformedMark>,
}

impl Group {
    /// Mark the line that begins at `start` and ends with the body.
    fn add(&mut self, start: usize, places: &Places) {
        let line = self.body[start..].trim_ascii_end();
        if line.is_empty() {
            return;
        }
        // Lines are bounded by what fits in memory; a group of 4 GiB is not reached.
        let (from, to) = (start as u32, (start + line.len()) as u32);
        match event(line, places) {
            Ok((event_type, id, time_ms)) => self.events.push(EventMark {
                start: from,
                end: to,
                event_type,
                id,
                time_ms,
            }),
            Err(reason) => self.malformed.push(MalformedMark {
                start: from,
                end: to,
                reason: reason.to_owned(),
            }),
        }
    }
}

fn event(line: &[u8], places: &Places) -> Result<(String, String, Option<i64>), &'static str> {
    let value: Value = serde_json::from_slice(line).map_err(|_| "not JSON")?;
    if !value.is_object() {
        return Err("not an object");
    }
    let event_type = text(&value, &places.event_type).ok_or("no type")?;
    let id = text(&value, &places.id).ok_or("no id")?;
    let time_ms = at(&value, &places.time)
        .and_then(Value::as_f64)
        .map(|seconds| (seconds * 1000.0).round() as i64);
    Ok((event_type, id, time_ms))
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

fn text(value: &Value, path: &str) -> Option<String> {
    match at(value, path)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

sluice_sdk::register_source!(
    "stdin",
    StdinConfig => Stdin::new,
    summary: "One JSON event a line from standard input.",
    example: "id: id\nevent_type: event_type\n",
);

sluice_sdk::register_source!(
    "file",
    FileSourceConfig => FileSource::new,
    summary: "One JSON event a line from a file.",
    example: "path: events.ndjson\n",
);
