//! `--watch`: again whenever a file changes.
//!
//! Looks at names, sizes and times of the YAML files a few times a second: that also works in
//! containers and on network drives, where notifications get lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use crate::cli::output;
use crate::mapping::FOLDER;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Most files that are watched; a tree larger than this is not a folder of mappings.
const FILES_MAX: usize = 10_000;

/// Run, and again after each change, until the program is ended.
pub fn watch(paths: &[PathBuf], run: impl Fn() -> ExitCode) -> ExitCode {
    loop {
        let before = state(paths);
        if before.is_empty() {
            return output::wrong_use("there is nothing to watch: no YAML file on disk");
        }
        let _ = run();
        output::print("\nwaiting for a change; Ctrl-C ends\n");
        while state(paths) == before {
            std::thread::sleep(LOOK_EVERY);
        }
        output::print("\n");
    }
}

/// The YAML files at these paths, in the folders of those that are files, and below `mappings`, from
/// which they may import.
fn state(paths: &[PathBuf]) -> BTreeMap<PathBuf, (u64, Option<SystemTime>)> {
    let mut folders: Vec<PathBuf> = vec![PathBuf::from(FOLDER)];
    for path in paths {
        match path.parent().filter(|_| path.is_file()) {
            Some(parent) if parent == Path::new("") => folders.push(PathBuf::from(".")),
            Some(parent) => folders.push(parent.to_owned()),
            None => folders.push(path.clone()),
        }
    }
    let mut found = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|end| end == "yaml" || end == "yml")
                && let Ok(about) = entry.metadata()
            {
                found.insert(path, (about.len(), about.modified().ok()));
            }
            if found.len() >= FILES_MAX {
                return found;
            }
        }
    }
    found
}
