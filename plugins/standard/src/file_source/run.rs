//! One run: which files are read when, and what becomes of those that are renamed or go away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_sdk::{Intake, SourceError, Stop};
use tokio::time::Instant;

use super::FileSource;
use super::pattern::{entries, identity, is_renumbered};
use super::position::{Position, Positions, save};
use super::tail::Tail;

/// A file that no name of the pattern leads to any more is let go, and its unfinished last line
/// counts as one, after nothing was added to it for so long: programs write to a file they have open
/// for a while after it was renamed.
const QUIET_AFTER: Duration = Duration::from_secs(60);

/// Positions are kept at the end of a look, and within one when this time is over: they are written
/// as a whole, with all files in it.
const KEEP_EVERY: Duration = Duration::from_millis(200);

pub struct Run<'a> {
    source: &'a FileSource,
    intake: Intake,
    stop: Stop,
    positions: Positions,
    /// Since when they are other than those that were kept.
    changed_at: Option<Instant>,
    /// The files that are read, by identity.
    tails: BTreeMap<String, Tail>,
    /// Files that could not be opened, so that each is reported once.
    unreadable: BTreeSet<PathBuf>,
}

impl<'a> Run<'a> {
    pub fn new(source: &'a FileSource, intake: Intake, stop: Stop, positions: Positions) -> Self {
        Self {
            source,
            intake,
            stop,
            positions,
            changed_at: None,
            tails: BTreeMap::new(),
            unreadable: BTreeSet::new(),
        }
    }

    /// Files that were rotated away while we did not run: found again by their identity in their
    /// folder, to be read to their end.
    pub async fn find_moved(&mut self, files: &[(PathBuf, Metadata)]) {
        let listed = keys(files);
        for (key, position) in self.positions.clone() {
            if listed.contains(&key) {
                continue;
            }
            self.positions.remove(&key);
            if let Some(new_key) = find_renumbered(&key, &position, files) {
                self.positions.insert(new_key, position);
            } else if let Some(tail) = find_in_folder(&key, &position).await {
                self.positions.insert(key.clone(), position);
                self.tails.insert(key, tail);
            } else {
                tracing::warn!(
                    "file: {} went away; it had been read to byte {}. If it was rotated into another folder or compressed before its end was read, its last lines are missing",
                    position.path.display(),
                    position.offset
                );
            }
        }
    }

    /// Read each file to its end, one after another.
    pub async fn read_once(&mut self, files: &[(PathBuf, Metadata)]) -> Result<(), SourceError> {
        for (key, mut tail) in std::mem::take(&mut self.tails) {
            if !self.read(&key, &mut tail, true).await? {
                return Ok(());
            }
        }
        for (path, metadata) in files {
            let key = identity(path, metadata);
            let mut tail = match Tail::open(path, self.positions.get(&key)).await {
                Ok(tail) => tail,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    tracing::warn!("file: {} went away before it was read", path.display());
                    continue;
                }
                Err(error) => return Err(cannot_read(path, &error)),
            };
            if !self.read(&key, &mut tail, true).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Look again and again, until it is time to stop.
    pub async fn follow(&mut self) -> Result<(), SourceError> {
        loop {
            let files = self.source.pattern.files()?;
            self.open_new(&files).await;
            if !self.look(&keys(&files)).await? {
                return Ok(());
            }
            self.keep().await;
            tokio::select! {
                () = self.stop.requested() => return Ok(()),
                () = tokio::time::sleep(self.source.check_every) => {}
            }
        }
    }

    async fn open_new(&mut self, files: &[(PathBuf, Metadata)]) {
        for (path, metadata) in files {
            let key = identity(path, metadata);
            if let Some(tail) = self.tails.get_mut(&key) {
                tail.path.clone_from(path);
                tail.gone_since = None;
                continue;
            }
            match Tail::open(path, self.positions.get(&key)).await {
                Ok(tail) => {
                    self.unreadable.remove(path);
                    self.tails.insert(key, tail);
                }
                // It goes on under another name, or with its folder's next look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if self.unreadable.insert(path.clone()) => {
                    tracing::warn!("{}; trying again", cannot_read(path, &error));
                }
                Err(_) => {}
            }
        }
    }

    /// Read what was added to each file. `false` when it is time to stop.
    async fn look(&mut self, listed: &BTreeSet<String>) -> Result<bool, SourceError> {
        // What was renamed comes first, then by name, so that a numbered series keeps its order.
        let mut order: Vec<String> = self.tails.keys().cloned().collect();
        order.sort_by_cached_key(|key| (listed.contains(key), self.tails[key].path.clone()));
        for key in order {
            let Some(mut tail) = self.tails.remove(&key) else {
                continue;
            };
            let is_gone = !listed.contains(&key);
            let before = tail.offset();
            let gone_since = is_gone.then(|| *tail.gone_since.get_or_insert_with(Instant::now));
            let is_last = gone_since.is_some_and(|since| since.elapsed() >= QUIET_AFTER);
            if !self.read(&key, &mut tail, is_last).await? {
                return Ok(false);
            }
            if is_last {
                self.positions.remove(&key);
                self.changed_at.get_or_insert_with(Instant::now);
                continue;
            }
            if is_gone && tail.offset() != before {
                tail.gone_since = Some(Instant::now());
            }
            self.tails.insert(key, tail);
        }
        Ok(true)
    }

    /// Hand over what a file has. `false` when it is time to stop.
    async fn read(
        &mut self,
        key: &str,
        tail: &mut Tail,
        is_last: bool,
    ) -> Result<bool, SourceError> {
        let places = &self.source.places;
        tail.notice_cut().await?;
        while tail.read_group(places, is_last).await? {
            if self.stop.is_requested() || !tail.hand_over(&self.intake, &self.stop).await? {
                return Ok(false);
            }
            self.positions.insert(key.to_owned(), tail.position());
            let changed_at = self.changed_at.get_or_insert_with(Instant::now);
            if changed_at.elapsed() >= KEEP_EVERY {
                self.keep().await;
            }
        }
        Ok(true)
    }

    /// Keep the positions for the next start, if they have changed.
    pub async fn keep(&mut self) {
        if self.changed_at.take().is_some() {
            save(&self.intake, &self.positions).await;
        }
    }
}

fn keys(files: &[(PathBuf, Metadata)]) -> BTreeSet<String> {
    files.iter().map(|(path, it)| identity(path, it)).collect()
}

/// After a restart of the machine a device may have another number: the same file by its inode, at
/// the same path. What it begins with is checked when it is opened.
fn find_renumbered(
    key: &str,
    position: &Position,
    files: &[(PathBuf, Metadata)],
) -> Option<String> {
    let same_path = files.iter().find(|(path, _)| *path == position.path)?;
    let new_key = identity(&same_path.0, &same_path.1);
    is_renumbered(key, &new_key).then_some(new_key)
}

async fn find_in_folder(key: &str, position: &Position) -> Option<Tail> {
    let folder = position.path.parent().unwrap_or(Path::new(""));
    let moved = entries(folder).unwrap_or_default();
    let (path, _) = moved
        .into_iter()
        .find(|(path, it)| identity(path, it) == *key)?;
    let tail = Tail::open(&path, Some(position)).await.ok()?;
    // Another file has taken the inode when it begins otherwise.
    (tail.offset() == position.offset).then_some(tail)
}

pub fn cannot_read(path: &Path, error: &io::Error) -> SourceError {
    SourceError(format!("file: {} cannot be read: {error}", path.display()))
}
