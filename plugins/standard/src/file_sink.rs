//! The sink `file`: one JSON document a line, appended to a file.
//!
//! The file holds complete lines only. A batch counts as delivered after it is on disk (fsync); one
//! that could not be written whole is taken out again; a line that a crash tore is cut off at the
//! next batch, as its batch was not delivered and comes again. A file that is full or old enough
//! gets a name of its own by a rename, so that whoever collects finished files sees whole ones.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_sdk::{
    Batch, Behaviour, BoxFuture, ByteSize, CheckError, ConfigError, Delivery, Double, Limits,
    Outcome, ReceivedDocument, Sink,
};

use crate::stand_in::Folder;
use crate::stdout::{lines, one_at_a_time};

/// The end of the file is searched this far back for the last newline after a crash.
const TORN_BYTES_MAX: u64 = 32 << 20;
/// Finished files with the same time in their name.
const SAME_NAME_MAX: u32 = 10_000;

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

struct Writer {
    path: PathBuf,
    rotate: Rotate,
    /// When the file was begun, for file systems that do not know.
    begun: Option<SystemTime>,
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
            writer: Arc::new(Mutex::new(Writer {
                path: config.path,
                rotate: config.rotate,
                begun: None,
            })),
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
        writer.path.clone()
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

impl Writer {
    /// Opened for each batch, so that a file moved away is made anew.
    fn open(&self) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&self.path)
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let mut file = self.open()?;
        let mut length = mend(&mut file, &self.path)?;
        if length > 0 && self.is_finished(&file.metadata()?, length + text.len() as u64) {
            self.finish()?;
            file = self.open()?;
            length = 0;
        }
        if length == 0 {
            self.begun = Some(SystemTime::now());
            // A new file's name must survive a power cut as well as its content.
            sync_folder(&self.path)?;
        }
        let written = file.write_all(text).and_then(|()| file.sync_data());
        if written.is_err() {
            // The whole batch comes again: no half line, and as few twice as can be.
            file.set_len(length)?;
        }
        written
    }

    fn is_finished(&self, metadata: &Metadata, length: u64) -> bool {
        let is_full = self.rotate.size.is_some_and(|size| length > size.0);
        let begun = metadata.created().ok().or(self.begun);
        let age = begun.and_then(|begun| SystemTime::now().duration_since(begun).ok());
        let is_old = self
            .rotate
            .after_seconds
            .is_some_and(|seconds| age.is_some_and(|age| age >= Duration::from_secs(seconds)));
        is_full || is_old
    }

    /// Give the file a name of its own; none that is there already.
    fn finish(&self) -> io::Result<()> {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let ending = self
            .path
            .extension()
            .map(|it| format!(".{}", it.to_string_lossy()));
        let ending = ending.unwrap_or_default();
        let now = Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ");
        for number in 0..SAME_NAME_MAX {
            let more = match number {
                0 => String::new(),
                number => format!("-{number}"),
            };
            let target = self
                .path
                .with_file_name(format!("{stem}-{now}{more}{ending}"));
            // A link fails where a rename would overwrite.
            match std::fs::hard_link(&self.path, &target) {
                Ok(()) => {
                    std::fs::remove_file(&self.path)?;
                    return sync_folder(&self.path);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // File systems without links.
                Err(_) if !target.exists() => {
                    std::fs::rename(&self.path, &target)?;
                    return sync_folder(&self.path);
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(
            "too many finished files with the same time",
        ))
    }
}

/// Cut off a line that a crash tore; gives the length. A whole document without a newline, as a
/// person may leave it, gets one.
fn mend(file: &mut File, path: &Path) -> io::Result<u64> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(0);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(length);
    }
    let from = length.saturating_sub(TORN_BYTES_MAX);
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.read_to_end(&mut end)?;
    let start = end
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    if serde_json::from_slice::<Value>(&end[start..]).is_ok() {
        file.write_all(b"\n")?;
        return Ok(length + 1);
    }
    if start == 0 && from > 0 {
        return Err(io::Error::other(
            "it ends in a line that is too long to be one of ours",
        ));
    }
    let keep = from + start as u64;
    tracing::warn!(
        "{}: a torn line of {} bytes is cut off; its document was not delivered and comes again",
        path.display(),
        length - keep
    );
    file.set_len(keep)?;
    Ok(keep)
}

/// A file's name is in its folder, which has a sync of its own.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// A folder to write to, for the conformance kit.
struct Target(Folder);

fn double() -> BoxFuture<'static, io::Result<Box<dyn Double>>> {
    Box::pin(async { Ok(Box::new(Target(Folder::new()?)) as Box<dyn Double>) })
}

impl Target {
    fn path(&self) -> PathBuf {
        self.0.path().join("documents.ndjson")
    }

    fn aside(&self) -> PathBuf {
        self.0.path().join("aside.ndjson")
    }
}

impl Double for Target {
    fn settings(&self) -> Value {
        json!({"path": self.path()})
    }

    fn accepted(&self) -> u64 {
        let files = [self.path(), self.aside()];
        let texts = files
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok());
        texts.map(|text| text.lines().count() as u64).sum()
    }

    fn dropped(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    fn document(&self, _: &str) -> Option<ReceivedDocument> {
        None
    }

    fn sample(&self, n: u64) -> Option<String> {
        Some(json!({"n": n}).to_string())
    }

    fn behave(&self, behaviour: Behaviour) -> bool {
        match behaviour {
            // A folder in the file's place cannot be written, whoever we are.
            Behaviour::Unwell => {
                std::fs::rename(self.path(), self.aside()).is_ok()
                    && std::fs::create_dir(self.path()).is_ok()
            }
            Behaviour::Well => {
                if self.path().is_dir() {
                    let _ = std::fs::remove_dir(self.path());
                    let _ = std::fs::rename(self.aside(), self.path());
                }
                true
            }
            _ => false,
        }
    }
}

sluice_sdk::register_sink!(
    "file",
    FileSinkConfig => FileSink::new,
    summary: "One JSON document a line, appended to a file.",
    example: "path: documents.ndjson\nrotate: { size: 100MiB, after_seconds: 3600 }\n",
    test_double: double,
);
