//! Messages about files that people write: place, what was found, what was expected, what to do.
//!
//! Every value of a YAML file keeps its [`Span`] from the parser to the message; nothing looks a
//! place up by searching text. All problems of all files are collected, then shown by the one
//! renderer in three forms (human, json, github).

mod allow;
pub mod codes;
mod file_kind;
mod keys;
mod read;
mod render;
mod suggest;
mod write;
mod yaml;

pub use allow::{Allowance, Allows, forget_used};
pub use file_kind::{FileKind, is_test_file, other_kind};
pub use keys::{key_meant, mend_keys, unknown_key};
pub use read::{name_beside, read_text};
pub use render::{Format, render};
pub use suggest::{did_you_mean, nearest};
pub use write::{yaml_block, yaml_flow};
pub use yaml::{Entry, Kind, Node, parse_yaml};

use std::path::{Path, PathBuf};

/// A file that was read, by its place in [`Files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub(crate) u32);

/// A stretch of a file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// Whether another span lies in this one.
    pub fn contains(self, other: Self) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }

    /// A part of this span: `offset` bytes in, `len` bytes long; for places inside a plain scalar.
    pub fn part(self, offset: usize, len: usize) -> Self {
        let start = self
            .start
            .saturating_add(u32::try_from(offset).unwrap_or(u32::MAX));
        Self {
            file: self.file,
            start: start.min(self.end),
            end: start
                .saturating_add(u32::try_from(len).unwrap_or(u32::MAX))
                .min(self.end),
        }
    }
}

/// All files that were read, kept for excerpts.
#[derive(Debug, Default, Clone)]
pub struct Files {
    files: Vec<File>,
    hidden: Vec<Span>,
}

#[derive(Debug, Clone)]
struct File {
    name: String,
    path: Option<PathBuf>,
    text: String,
    line_starts: Vec<u32>,
}

impl Files {
    /// Take in a text under the name that messages show. `path` is the file on disk, if it is one.
    pub fn add(&mut self, name: impl Into<String>, path: Option<&Path>, text: String) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        let line_starts = std::iter::once(0)
            .chain(
                text.bytes()
                    .enumerate()
                    .filter(|(_, byte)| *byte == b'\n')
                    .map(|(at, _)| u32::try_from(at + 1).unwrap_or(u32::MAX)),
            )
            .collect();
        self.files.push(File {
            name: name.into(),
            path: path.map(Path::to_owned),
            text,
            line_starts,
        });
        id
    }

    /// Never show these bytes in an excerpt: a secret stands there.
    pub fn hide(&mut self, span: Span) {
        self.hidden.push(span);
    }

    /// The text of a line (from 1) as an excerpt may show it, every hidden character a `*`.
    pub fn shown_line(&self, id: FileId, line: usize) -> String {
        let text = self.line(id, line);
        let start = line
            .checked_sub(1)
            .and_then(|at| self.file(id).line_starts.get(at))
            .map_or(0, |start| *start as usize);
        let is_hidden = |at: usize| {
            self.hidden.iter().any(|span| {
                span.file == id && (span.start as usize..span.end as usize).contains(&at)
            })
        };
        text.char_indices()
            .map(|(at, char)| if is_hidden(start + at) { '*' } else { char })
            .collect()
    }

    fn file(&self, id: FileId) -> &File {
        &self.files[id.0 as usize]
    }

    /// The name that messages show.
    pub fn name(&self, id: FileId) -> &str {
        &self.file(id).name
    }

    /// The file on disk.
    pub fn path(&self, id: FileId) -> Option<&Path> {
        self.file(id).path.as_deref()
    }

    /// The whole text.
    pub fn text(&self, id: FileId) -> &str {
        &self.file(id).text
    }

    /// All files, in the order they were read.
    pub fn ids(&self) -> impl Iterator<Item = FileId> + use<> {
        (0..u32::try_from(self.files.len()).unwrap_or(0)).map(FileId)
    }

    /// Line and column of a byte, both from 1, the column in characters.
    pub fn position(&self, id: FileId, at: u32) -> (usize, usize) {
        let file = self.file(id);
        let line = file
            .line_starts
            .partition_point(|start| *start <= at)
            .max(1);
        let start = file.line_starts[line - 1] as usize;
        let at = (at as usize).min(file.text.len());
        let column = file
            .text
            .get(start..at)
            .map_or(at - start, |text| text.chars().count());
        (line, column + 1)
    }

    /// `file:line:column` of the span's start.
    pub fn place(&self, span: Span) -> String {
        let (line, column) = self.position(span.file, span.start);
        format!("{}:{line}:{column}", self.name(span.file))
    }

    /// The text of a line (from 1), without its end.
    pub fn line(&self, id: FileId, line: usize) -> &str {
        let file = self.file(id);
        let Some(start) = line.checked_sub(1).and_then(|at| file.line_starts.get(at)) else {
            return "";
        };
        let end = file
            .line_starts
            .get(line)
            .map_or(file.text.len(), |next| *next as usize - 1);
        file.text
            .get(*start as usize..end)
            .unwrap_or_default()
            .trim_end_matches('\r')
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Known and meant; counts for nothing.
    Allowed,
    /// Runs, but probably not as meant.
    Warning,
    /// Does not run.
    Error,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Stable name, used in tests, docs and JSON output.
    pub code: &'static str,
    /// One sentence: what was found, what was expected.
    pub message: String,
    /// Where, if it is in a file.
    pub span: Option<Span>,
    /// Said right under the excerpt's underline; the likely fix.
    pub label: String,
    /// Other places that belong to it, each with a word.
    pub related: Vec<(Span, String)>,
    /// Further sentences.
    pub notes: Vec<String>,
    /// Why it counts for nothing, if it is allowed.
    pub allowed: Option<Allowance>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            span: Some(span),
            label: String::new(),
            related: Vec::new(),
            notes: Vec::new(),
            allowed: None,
        }
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    /// An error that has no place in a file.
    pub fn global(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            span: None,
            label: String::new(),
            related: Vec::new(),
            notes: Vec::new(),
            allowed: None,
        }
    }

    /// The text under the underline.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// One more sentence; an empty one is left out.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        let note = note.into();
        if !note.is_empty() {
            self.notes.push(note);
        }
        self
    }

    /// One more place.
    #[must_use]
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push((span, text.into()));
        self
    }
}

/// Whether any of them is an error.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error)
}
