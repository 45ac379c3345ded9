//! Writing to the terminal: colour only where a person looks, no panic when a pipe closes.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use crate::diagnostics::{Diagnostic, Files, Format, Severity, has_errors, render};
use crate::wording::number;

/// All went well.
pub fn good() -> ExitCode {
    ExitCode::SUCCESS
}

/// The command ran and found problems.
pub fn problems() -> ExitCode {
    ExitCode::from(1)
}

/// The command was used in a wrong way.
pub fn wrong_use(message: &str) -> ExitCode {
    tell(&format!("error: {message}\n"));
    ExitCode::from(2)
}

/// A file or folder that was asked for cannot be made.
pub fn cannot_write(path: &std::path::Path, error: &std::io::Error) -> ExitCode {
    tell(&format!(
        "error: {} cannot be written: {error}\n",
        path.display()
    ));
    problems()
}

/// To stdout. A reader that went away (`| head`) is no reason to complain; a full disk ends the
/// program, as what it was asked for did not get where it should.
pub fn print(text: &str) {
    write(text);
}

/// The same; false when the reader went away.
pub fn write(text: &str) -> bool {
    match try_write(text) {
        Ok(is_read) => is_read,
        Err(problem) => {
            tell(&format!("error: {problem}\n"));
            std::process::exit(1);
        }
    }
}

/// To stdout, for who has to clean up: false when the reader went away, an error when the text did
/// not get there for another reason.
pub fn try_write(text: &str) -> Result<bool, String> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("the output cannot be written: {error}")),
    }
}

/// To stderr.
pub fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Whether stdout takes colour: a terminal, and nobody said NO_COLOR.
pub fn has_colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}

/// Text in a colour (an SGR code), where there is colour.
pub fn paint(code: &str, text: &str) -> String {
    if has_colour() {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// Keep one of each message: a file that two connectors share is read twice.
pub fn without_repeats(diagnostics: &mut Vec<Diagnostic>, files: &Files) {
    let mut seen = std::collections::HashSet::new();
    diagnostics.retain(|one| {
        let place = one.span.map(|span| files.place(span));
        seen.insert((place, one.code, one.message.clone()))
    });
}

/// Print messages about files; the exit code that follows from them.
pub fn report(
    diagnostics: &[Diagnostic],
    files: &Files,
    format: Format,
    is_strict: bool,
) -> ExitCode {
    let text = render(diagnostics, files, format, has_colour());
    print(&text);
    let is_quiet = diagnostics
        .iter()
        .all(|one| one.severity == Severity::Allowed);
    if format == Format::Human && !diagnostics.is_empty() {
        let count = |severity| {
            diagnostics
                .iter()
                .filter(|one| one.severity == severity)
                .count()
        };
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let allowed = match count(Severity::Allowed) {
            0 => String::new(),
            count => format!(", {count} allowed"),
        };
        print(&format!(
            "{}{}, {}{allowed}\n",
            if is_quiet { "" } else { "\n" },
            number(errors, "error"),
            number(warnings, "warning")
        ));
    }
    if has_errors(diagnostics) || (is_strict && !is_quiet) {
        problems()
    } else {
        good()
    }
}

/// The text, or its beginning and an ellipsis if it is longer than `chars_max`.
pub fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let start: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{start}…")
}

/// Lines of columns, each as wide as its widest cell; the last one is left as it is.
pub fn table(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(at) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if at + 1 < row.len() {
                let gap = widths[at] + 2 - cell.chars().count();
                line.push_str(&" ".repeat(gap));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// How a command shows what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// For people.
    Human,
    /// For machines.
    Json,
}

/// Pretty JSON with a line end.
pub fn json(value: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
