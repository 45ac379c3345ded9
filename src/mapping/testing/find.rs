//! Where test files are: on disk, or in the program.

use std::path::{Path, PathBuf};

use super::super::import::{FOLDER, files_in, normal};
use super::super::sets;
use crate::diagnostics::{Diagnostic, FileId, Files, is_test_file, read_text};

/// Where a test file is.
pub enum TestFile {
    /// On disk.
    Disk(PathBuf),
    /// In the program.
    Builtin(PathBuf),
}

impl TestFile {
    fn path(&self) -> &Path {
        match self {
            Self::Disk(path) | Self::Builtin(path) => path,
        }
    }

    /// As messages show it.
    pub fn name(&self) -> String {
        match self {
            Self::Disk(path) => path.display().to_string(),
            Self::Builtin(path) => format!("builtin:{}", path.display()),
        }
    }

    /// The folder it lies in.
    pub fn folder(&self) -> PathBuf {
        self.path().parent().unwrap_or(Path::new("")).to_owned()
    }

    /// What its `mappings:` stands for: beside a file of the program lies the program's own.
    pub fn reference(&self, text: &str) -> String {
        match self {
            Self::Builtin(_) if !text.starts_with("builtin:") => {
                let path = normal(&self.folder().join(text));
                format!("builtin:{}", path.display())
            }
            _ => text.to_owned(),
        }
    }

    /// Take its text in.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, files: &mut Files) -> Result<FileId, Box<Diagnostic>> {
        match self {
            Self::Disk(path) => Ok(files.add(self.name(), Some(path), read_text(path)?)),
            Self::Builtin(path) => {
                let text = sets::text(path).unwrap_or_default();
                Ok(files.add(self.name(), None, text.to_owned()))
            }
        }
    }
}

/// The test files that a file, a folder with all below it, or `builtin:SET` stands for.
pub fn find(path: &Path) -> Vec<TestFile> {
    if let Some(set) = path.to_string_lossy().strip_prefix("builtin:") {
        return find_builtin(set);
    }
    if path.is_file() {
        return vec![TestFile::Disk(path.to_owned())];
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            // A link to a folder above would never end.
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if is_test_file(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found.into_iter().map(TestFile::Disk).collect()
}

/// Folders beside this one that hold test files, sorted.
pub fn folders_beside(path: &Path) -> Vec<PathBuf> {
    let mut found = folders_in(path.parent().unwrap_or(Path::new("")));
    found.retain(|folder| folder != path && entries(folder).iter().any(|one| is_test_file(one)));
    found.sort();
    found
}

/// Where the rules of a test file without any beside it may be, as the file would say it: in a folder
/// beside its own, or above it. `None` where rules lie beside it.
pub fn rules_elsewhere(file: &TestFile) -> Option<String> {
    let TestFile::Disk(path) = file else {
        return None;
    };
    let folder = path.parent()?;
    if !files_in(folder).is_empty() {
        return None;
    }
    let beside = folder.join("..").join(FOLDER);
    Some(match files_in(&beside).is_empty() {
        true => "..".to_owned(),
        false => format!("../{FOLDER}"),
    })
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = entries(folder);
    found.retain(|path| path.is_dir());
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let here = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let read = std::fs::read_dir(here).into_iter().flatten().flatten();
    read.map(|entry| folder.join(entry.file_name())).collect()
}

fn find_builtin(set: &str) -> Vec<TestFile> {
    let set = Path::new(set);
    sets::below(set)
        .filter(|path| is_test_file(path) || *path == set)
        .map(|path| TestFile::Builtin(path.to_owned()))
        .collect()
}
