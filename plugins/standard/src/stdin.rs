//! The source `stdin`: one JSON event a line, until the end of the input.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_sdk::{
    BoxFuture, ConfigError, DynSource, Feeder, Flow, Intake, Source, SourceError, Stop, Upstream,
};
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, SimplexStream, WriteHalf,
};

use crate::lines::{Group, LINE_BYTES_MAX};
use crate::place::{
    Place, Places, event_places, id_default, places_of, time_default, type_default,
};

/// Reads one JSON event a line from standard input, until its end. A line that is no event is set
/// aside with its reason, the others go on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdinConfig {
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

/// See [`StdinConfig`].
pub struct Stdin {
    places: Places,
    input: Box<dyn AsyncRead + Send + Unpin>,
}

impl Stdin {
    /// Nothing to check.
    ///
    /// # Errors
    /// None.
    pub fn new(config: StdinConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            places: Places::new(
                event_places(config.event_type, config.id, config.default_type),
                config.time,
            ),
            input: Box::new(tokio::io::stdin()),
        })
    }
}

impl Source for Stdin {
    async fn run(self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
        intake.ready("stdin");
        let mut reader = BufReader::new(self.input);
        let mut group = Group::default();
        loop {
            let start = group.body.len();
            let mut line = (&mut reader).take(LINE_BYTES_MAX);
            let has_more = tokio::select! {
                () = stop.requested() => false,
                length = line.read_until(b'\n', &mut group.body) => {
                    length.map_err(|error| SourceError(format!("standard input cannot be read: {error}")))? > 0
                }
            };
            if has_more {
                group.add(start, &self.places);
            } else {
                // At a stop a line may be half read: it is not taken.
                group.body.truncate(start);
            }
            // Nothing more lies in the buffer: do not keep what was read waiting.
            let is_idle = reader.buffer().is_empty();
            if (!has_more || group.is_full() || is_idle) && !group.hand_over(&intake, &stop).await?
            {
                return Ok(());
            }
            if !has_more {
                return Ok(());
            }
        }
    }
}

/// A pipe instead of standard input, for the conformance kit.
#[derive(Default)]
struct Pipe(Arc<Mutex<Option<WriteHalf<SimplexStream>>>>);

fn upstream() -> BoxFuture<'static, io::Result<Box<dyn Upstream>>> {
    Box::pin(async { Ok(Box::new(Pipe::default()) as Box<dyn Upstream>) })
}

impl Upstream for Pipe {
    fn settings(&self) -> Value {
        json!({})
    }

    fn flow(&self) -> Flow {
        Flow::Stream
    }

    fn event(&self, n: u64) -> String {
        json!({"id": n, "event_type": "line"}).to_string()
    }

    fn feeder(&self, _: String) -> Box<dyn Feeder> {
        Box::new(Pipe(Arc::clone(&self.0)))
    }

    fn wired(&self) -> Option<Box<dyn DynSource>> {
        let (reader, writer) = tokio::io::simplex(1 << 16);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
        let config = sluice_sdk::parse_config(json!({})).ok()?;
        let source = Stdin::new(config).ok()?;
        Some(Box::new(Stdin {
            input: Box::new(reader),
            ..source
        }))
    }
}

impl Feeder for Pipe {
    fn send(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let slot = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut writer = slot().take().ok_or("nobody reads")?;
            let text = events.join("\n") + "\n";
            let written = writer.write_all(text.as_bytes()).await;
            *slot() = Some(writer);
            written.map_err(|error| error.to_string())
        })
    }
}

sluice_sdk::register_source!(
    "stdin",
    StdinConfig => Stdin::new,
    summary: "One JSON event a line from standard input.",
    example: "id: id\nevent_type: event_type\n",
    places: places_of,
    reasons: crate::lines::REASONS,
    upstream: upstream,
);
