//! The sink `file`: one JSON document a line, appended to a file.
//!
//! The file holds complete lines only. A batch counts as delivered after it is on disk (fsync); one
//! that could not be written whole is taken out again; a line that a crash tore is cut off at the
//! next batch, as its batch was not delivered and comes again. A file that is full or old enough
//! gets a name of its own by a rename, so that whoever collects finished files sees whole ones.

mod double;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::Deserialize;
use sluice_sdk::{Batch, ByteSize, CheckError, ConfigError, Delivery, Limits, Outcome, Sink};

use crate::stdout::{lines, one_at_a_time};
use writer::Writer;

/// Appends one JSON document a line to a file; each batch is on disk before it counts as delivered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSinkConfig {
    /// The file; made when it is not there, its folder must be. After a crash the last lines may come
    /// twice. A file that is moved away is made anew.
    #[schemars(example = "documents.ndjson")]
    pub path: PathBuf,
    /// When the file is finished and the next one begun. Default: never.
    #[serde(default)]
    pub rotate: Rotate,
}

/// When a file is finished: `documents.ndjson` then becomes
/// `documents-20260901T120000.000Z.ndjson`, in the same folder. With both settings, by what comes first.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// Before a batch that would make the file longer than this. Default: no limit.
    #[serde(default)]
    #[schemars(example = &"100MiB")]
    pub size: Option<ByteSize>,
    /// At the first batch after the file is this many seconds old. Default: no limit.
    #[serde(default)]
    #[schemars(example = 3600, range(min = 1))]
    pub after_seconds: Option<u64>,
}

/// See [`FileSinkConfig`].
pub struct FileSink {
    /// One writer at a time, so that batches do not mix.
    writer: Arc<Mutex<Writer>>,
}

impl FileSink {
    /// Check the settings; the file is not opened yet.
    ///
    /// # Errors
    /// A limit of zero.
    pub fn new(config: FileSinkConfig) -> Result<Self, ConfigError> {
        let Rotate {
            size,
            after_seconds,
        } = &config.rotate;
        if size.is_some_and(|size| size.0 == 0) || *after_seconds == Some(0) {
            return Err(ConfigError::at(
                "rotate",
                "expected more than 0; leave it out for no limit",
            ));
        }
        Ok(Self {
            writer: Arc::new(Mutex::new(Writer::new(
                config.path,
                config.rotate,
                SystemTime::now,
            ))),
        })
    }

    async fn with_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let writer = Arc::clone(&self.writer);
        let done = tokio::task::spawn_blocking(move || {
            work(&mut writer.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await
            .unwrap_or_else(|_| Err(io::Error::other("the writer ended")))
    }

    fn path(&self) -> PathBuf {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.path().to_owned()
    }
}

impl Sink for FileSink {
    fn limits(&self) -> Limits {
        one_at_a_time()
    }

    async fn check(&self) -> Result<(), CheckError> {
        let opened = self.with_writer(|writer| writer.open().map(drop)).await;
        opened.map_err(|error| {
            CheckError::Refused(format!(
                "{} cannot be written: {error}",
                self.path().display()
            ))
        })
    }

    async fn deliver(&self, batch: &Batch) -> Delivery {
        let text = lines(batch);
        let written = self.with_writer(move |writer| writer.append(&text)).await;
        Delivery::All(match written {
            Ok(()) => Outcome::Delivered,
            Err(error) => self.outcome(&error),
        })
    }
}

impl FileSink {
    fn outcome(&self, error: &io::Error) -> Outcome {
        let reason = format!("{} cannot be written: {error}", self.path().display());
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Outcome::Hold {
                reason: format!("{reason}; give the right to write it"),
            },
            _ => Outcome::Retry {
                reason,
                after: None,
            },
        }
    }
}

sluice_sdk::register_sink!(
    "file",
    FileSinkConfig => FileSink::new,
    summary: "One JSON document a line, appended to a file.",
    example: "path: documents.ndjson\nrotate: { size: 100MiB, after_seconds: 3600 }\n",
    test_double: double::start,
);
