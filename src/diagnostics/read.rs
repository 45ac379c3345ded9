//! Files that people write, as texts: none that is too large, none that is not UTF-8.

use std::path::Path;

use super::{Diagnostic, did_you_mean};

/// Largest file. No mapping or config comes near it; a mistaken path may.
pub(super) const BYTES_MAX: usize = 8 << 20;

/// The text of a file.
///
/// # Errors
/// One that names the file: it cannot be read, is too large, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Box<Diagnostic>> {
    let fail = |code, message: String| {
        let message = format!("{} {message}", path.display());
        Err(Box::new(Diagnostic::global(code, message)))
    };
    let unreadable = |error: std::io::Error| {
        fail("unreadable-file", format!("cannot be read: {error}"))
            .map_err(|problem: Box<Diagnostic>| Box::new(problem.label(name_beside(path))))
    };
    match std::fs::metadata(path) {
        Ok(file) if file.len() > BYTES_MAX as u64 => {
            return fail(
                "yaml-limit",
                format!("has {} bytes; at most {BYTES_MAX} are read", file.len()),
            );
        }
        Ok(_) => {}
        Err(error) => return unreadable(error),
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return unreadable(error),
    };
    String::from_utf8(bytes).or_else(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..good];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        fail(
            "yaml-encoding",
            format!("is not UTF-8: the first wrong byte is in line {line}"),
        )
    })
}

/// ``did you mean `name`?``, of the names beside a path that is not there; or nothing.
pub fn name_beside(path: &Path) -> String {
    if path.exists() {
        return String::new();
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    did_you_mean(&name, names.iter().map(String::as_str))
}
