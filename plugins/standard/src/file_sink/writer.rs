//! The file that is written: whole lines, on disk, finished by one rename.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::Value;

use super::Rotate;

/// The end of the file is searched this far back for the last newline after a crash.
const TORN_BYTES_MAX: u64 = 32 << 20;
/// Finished files with the same time in their name.
const SAME_NAME_MAX: u32 = 10_000;

pub struct Writer {
    path: PathBuf,
    rotate: Rotate,
    /// When the file was begun, for file systems that do not know.
    begun: Option<SystemTime>,
    clock: fn() -> SystemTime,
}

impl Writer {
    pub fn new(path: PathBuf, rotate: Rotate, clock: fn() -> SystemTime) -> Self {
        Self {
            path,
            rotate,
            begun: None,
            clock,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opened for each batch, so that a file moved away is made anew.
    pub fn open(&self) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&self.path)
    }

    pub fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let mut file = self.open()?;
        let mut length = mend(&mut file, &self.path)?;
        if length > 0 && self.is_finished(&file.metadata()?, length + text.len() as u64) {
            self.finish()?;
            file = self.open()?;
            length = 0;
        }
        if length == 0 {
            self.begun = None;
            // A new file's name must survive a power cut as well as its content.
            sync_folder(&self.path)?;
        }
        self.begun.get_or_insert_with(self.clock);
        let written = file.write_all(text).and_then(|()| file.sync_data());
        if written.is_err() {
            // The whole batch comes again: no half line, and as few twice as can be. Where this fails
            // too, the next batch mends the end.
            let _ = file.set_len(length);
        }
        written
    }

    fn is_finished(&self, metadata: &Metadata, length: u64) -> bool {
        let is_full = self.rotate.size.is_some_and(|size| length > size.0);
        let begun = metadata.created().ok().or(self.begun);
        let age = begun.and_then(|begun| (self.clock)().duration_since(begun).ok());
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
        let now = Timestamp::try_from((self.clock)()).unwrap_or(Timestamp::UNIX_EPOCH);
        let now = now.strftime("%Y%m%dT%H%M%S.%3fZ");
        for number in 0..SAME_NAME_MAX {
            let more = match number {
                0 => String::new(),
                number => format!("-{number}"),
            };
            let target = self
                .path
                .with_file_name(format!("{stem}-{now}{more}{ending}"));
            match rename_new(&self.path, &target) {
                Ok(()) => return sync_folder(&self.path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
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

/// Rename, unless there is a file of the new name already. In one step, so that at no moment, a crash
/// included, a finished file is the one that is written.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // File systems that cannot tell.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return Ok(done?),
        }
    }
    if to.exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, to)
}
