//! What the program is called: a distribution has a name of its own, and a command that a message
//! suggests must be one that can be typed.

use std::path::Path;
use std::sync::OnceLock;

static NAME: OnceLock<String> = OnceLock::new();

/// The name of this program, as it was called; `sluice` where nobody has said.
pub fn program_name() -> &'static str {
    NAME.get().map_or("sluice", String::as_str)
}

/// Say how the program was called, by its first argument. The program's own call, before anything else.
#[doc(hidden)]
pub fn set_program(first_argument: Option<std::ffi::OsString>) {
    let called = first_argument.unwrap_or_default();
    if let Some(name) = Path::new(&called).file_stem() {
        let _ = NAME.set(name.to_string_lossy().into_owned());
    }
}

/// A command of this program as a person types it, in backticks, for a message that suggests it.
///
/// ```
/// let hint = format!("no such type; {} lists them", sluice_sdk::typed("coverage"));
/// assert_eq!(hint, "no such type; `sluice coverage` lists them");
/// ```
pub fn typed(arguments: &str) -> String {
    format!("`{} {arguments}`", program_name())
}
