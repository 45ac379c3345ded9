//! Files that are made by a command, committed, and checked to be what the command would make now.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sluice_sdk::typed;

use super::output;

/// One generated file of a folder.
pub struct Generated {
    /// Its name in the folder.
    pub name: String,
    /// What must be in it.
    pub text: String,
}

/// Write all of them; the folder is made if it is not there.
pub fn write(folder: &Path, files: &[Generated]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    files
        .iter()
        .try_for_each(|file| std::fs::write(folder.join(&file.name), &file.text))
}

/// Name the files that are not as they would be written now, and those in `left_over`, which would
/// not be written at all. `command` is what brings them up to date.
pub fn check(folder: &Path, files: &[Generated], left_over: &[PathBuf], command: &str) -> ExitCode {
    let stale = files.iter().filter_map(|file| {
        let path = folder.join(&file.name);
        let is_fresh = std::fs::read_to_string(&path).is_ok_and(|text| text == file.text);
        (!is_fresh).then_some(path)
    });
    let mut all_fresh = true;
    for path in stale.chain(left_over.iter().cloned()) {
        output::print(&format!("{} is not up to date\n", path.display()));
        all_fresh = false;
    }
    if all_fresh {
        return output::good();
    }
    let command = typed(&format!("{command} --write {}", folder.display()));
    output::print(&format!("run {command}\n"));
    output::problems()
}
