//! The sinks `stdout` and `file`: one JSON document a line.

use std::io::{self, Write};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use sluice_sdk::{Batch, CheckError, ConfigError, Delivery, Limits, Outcome, Sink};
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

/// Writes one JSON document a line to standard output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdoutConfig {}

/// See [`StdoutConfig`].
pub struct Stdout;

impl Stdout {
    /// Nothing to check.
    ///
    /// # Errors
    /// None.
    pub fn new(_: StdoutConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }
}

impl Sink for Stdout {
    fn limits(&self) -> Limits {
        one_at_a_time()
    }

    async fn deliver(&self, batch: &Batch) -> Delivery {
        let text = lines(batch);
        let written = tokio::task::spawn_blocking(move || {
            let mut out = io::stdout().lock();
            out.write_all(&text).and_then(|()| out.flush())
        })
        .await
        .unwrap_or_else(|_| Err(io::Error::other("the writer ended")));
        outcome("standard output", written)
    }
}

/// Appends one JSON document a line to a file; each batch is on disk before it counts as delivered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSinkConfig {
    /// The file; made when it is not there. After a crash the last lines may come twice.
    #[schemars(example = "documents.ndjson")]
    pub path: PathBuf,
}

/// See [`FileSinkConfig`].
pub struct FileSink {
    path: PathBuf,
    /// One writer at a time, so that batches do not mix.
    turn: Mutex<()>,
}

impl FileSink {
    /// Nothing to check before the start.
    ///
    /// # Errors
    /// None.
    pub fn new(config: FileSinkConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            path: config.path,
            turn: Mutex::new(()),
        })
    }

    /// Opened for each batch, so that a file moved away (rotation) is made anew.
    async fn open(&self) -> io::Result<tokio::fs::File> {
        tokio::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .await
    }

    async fn append(&self, text: &[u8]) -> io::Result<()> {
        let _turn = self.turn.lock().await;
        let mut file = self.open().await?;
        file.write_all(text).await?;
        file.flush().await?;
        file.sync_data().await
    }
}

impl Sink for FileSink {
    fn limits(&self) -> Limits {
        one_at_a_time()
    }

    async fn check(&self) -> Result<(), CheckError> {
        self.open().await.map(|_| ()).map_err(|error| {
            CheckError::Refused(format!(
                "{} cannot be written: {error}",
                self.path.display()
            ))
        })
    }

    async fn deliver(&self, batch: &Batch) -> Delivery {
        let written = self.append(&lines(batch)).await;
        outcome(&self.path.display().to_string(), written)
    }
}

fn one_at_a_time() -> Limits {
    Limits {
        document_bytes_max: 16 << 20,
        batch_bytes_max: 16 << 20,
        concurrency: 1,
        ..Limits::default()
    }
}

/// The documents, each with a newline; within the documents there is none, as they are compact JSON.
fn lines(batch: &Batch) -> Vec<u8> {
    let mut text = Vec::new();
    for document in &batch.documents {
        text.extend_from_slice(&document.body);
        text.push(b'\n');
    }
    text
}

fn outcome(place: &str, written: io::Result<()>) -> Delivery {
    Delivery::All(match written {
        Ok(()) => Outcome::Delivered,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Outcome::Hold {
            reason: format!("{place} cannot be written: {error}; give the right to write it"),
        },
        Err(error) => Outcome::Retry {
            reason: format!("{place} cannot be written: {error}"),
            after: None,
        },
    })
}

sluice_sdk::register_sink!(
    "stdout",
    StdoutConfig => Stdout::new,
    summary: "One JSON document a line on standard output.",
    example: "{}\n",
);

sluice_sdk::register_sink!(
    "file",
    FileSinkConfig => FileSink::new,
    summary: "One JSON document a line, appended to a file.",
    example: "path: documents.ndjson\n",
);
