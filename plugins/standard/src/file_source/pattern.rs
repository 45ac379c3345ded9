//! Which files are meant, and what tells one from another.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use sluice_sdk::{ConfigError, SourceError};

/// Most files of one pattern.
const FILES_MAX: usize = 10_000;

/// What files are meant.
pub struct Pattern {
    pub text: String,
    /// The deepest folder without a wildcard.
    folder: PathBuf,
    /// `None` for one file.
    glob: Option<GlobMatcher>,
}

impl Pattern {
    pub fn new(text: String) -> Result<Self, ConfigError> {
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
    pub fn files(&self) -> Result<Vec<(PathBuf, Metadata)>, SourceError> {
        let found = match &self.glob {
            Some(glob) => self.matching(glob),
            None => self.single(),
        };
        found.map_err(|error| SourceError(format!("file: {} cannot be read: {error}", self.text)))
    }

    fn single(&self) -> io::Result<Vec<(PathBuf, Metadata)>> {
        let path = PathBuf::from(&self.text);
        match std::fs::metadata(&path) {
            Ok(metadata) => Ok(vec![(path, metadata)]),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn matching(&self, glob: &GlobMatcher) -> io::Result<Vec<(PathBuf, Metadata)>> {
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
        // Rather no file than a part of them in silence.
        if found.len() > FILES_MAX {
            return Err(io::Error::other(format!(
                "more than {FILES_MAX} files fit; narrow `path`, or move away what was read"
            )));
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(found)
    }
}

/// What is in a folder; what goes away meanwhile is left out.
pub fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
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
pub fn identity(_: &Path, metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("{}:{}", metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
pub fn identity(path: &Path, _: &Metadata) -> String {
    path.display().to_string()
}

/// Whether only the device has another number.
pub fn is_renumbered(old: &str, new: &str) -> bool {
    let inode = |key: &str| key.split_once(':').map(|(_, inode)| inode.to_owned());
    inode(old).is_some() && inode(old) == inode(new)
}
