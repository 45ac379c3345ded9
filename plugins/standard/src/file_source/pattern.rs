//! Which files are meant, and what tells one from another.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use sluice_sdk::ConfigError;

/// Files that are followed at the same time.
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
    pub fn files(&self) -> io::Result<Vec<(PathBuf, Metadata)>> {
        let Some(glob) = &self.glob else {
            let path = PathBuf::from(&self.text);
            return match std::fs::metadata(&path) {
                Ok(metadata) => Ok(vec![(path, metadata)]),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(error),
            };
        };
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
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.truncate(FILES_MAX);
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
