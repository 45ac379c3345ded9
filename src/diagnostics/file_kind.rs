//! What a YAML file is for, told by the keys that only one kind of file has.

use std::path::Path;

use sluice_sdk::typed;

use super::{Diagnostic, Entry, Node};

/// One of the files that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// sluice.yaml
    Config,
    /// Rules, templates, tables.
    Mapping,
    /// `*.test.yaml`
    Tests,
}

impl FileKind {
    const ALL: [Self; 3] = [Self::Config, Self::Mapping, Self::Tests];

    fn own_keys(self) -> &'static [&'static str] {
        match self {
            Self::Config => &["sources", "connectors"],
            Self::Mapping => &["rules", "templates", "tables", "import", "for"],
            Self::Tests => &["tests"],
        }
    }

    fn own_entry(self, root: &Node) -> Option<&Entry> {
        self.own_keys().iter().find_map(|key| root.entry(key))
    }

    /// What a file is; `None` where its keys speak for none or for several.
    pub fn of(root: &Node) -> Option<Self> {
        let mut found = Self::ALL
            .into_iter()
            .filter(|kind| kind.own_entry(root).is_some());
        found.next().filter(|_| found.next().is_none())
    }

    /// In a sentence.
    pub fn called(self) -> &'static str {
        match self {
            Self::Config => "a config",
            Self::Mapping => "a mapping file",
            Self::Tests => "a file of tests",
        }
    }

    /// What to do with a file of this kind, where one of another kind is wanted.
    fn way_out(self, wanted: Self, path: &str) -> String {
        let folder = Path::new(path).parent().map(Path::display);
        match (self, wanted) {
            (Self::Config, Self::Tests) => format!(
                "{} runs the tests of its mappings",
                typed(&format!("test --config {path}"))
            ),
            (Self::Config, _) => {
                format!(
                    "a command follows it with `--config {path}`; rules are in files of their own"
                )
            }
            (Self::Mapping, Self::Tests) => format!(
                "its tests are in a `*.test.yaml` beside it: {}",
                match folder.filter(|folder| !folder.to_string().is_empty()) {
                    Some(folder) => typed(&format!("test {folder}")),
                    None => typed("test ."),
                }
            ),
            (Self::Mapping, _) => format!(
                "a config names it under `mappings:` of a connector; {} checks it",
                typed(&format!("validate {path}"))
            ),
            (Self::Tests, _) if !is_test_file(Path::new(path)) => {
                format!(
                    "name it `{}`: tests are in files of such names",
                    test_name(path)
                )
            }
            (Self::Tests, _) => format!("{} runs it", typed(&format!("test {path}"))),
        }
    }
}

/// A file of another kind than is wanted: one message for all of its keys.
pub fn other_kind(root: &Node, wanted: FileKind, path: &str) -> Option<Diagnostic> {
    let kind = FileKind::of(root).filter(|kind| *kind != wanted)?;
    let entry = kind.own_entry(root)?;
    let message = format!(
        "this is {}, and {} is wanted here",
        kind.called(),
        wanted.called()
    );
    let diagnostic = Diagnostic::error("other-kind", entry.key_span, message);
    Some(diagnostic.label(kind.way_out(wanted, path)))
}

/// Whether a file holds tests, as its name says.
pub fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

/// The name that a file of tests is meant to have: `ours.tests.yaml` is `ours.test.yaml`.
fn test_name(path: &str) -> String {
    let stem = Path::new(path).file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy();
    let name = [".tests", "_tests", "-tests", "_test", "-test"]
        .iter()
        .find_map(|end| stem.strip_suffix(end));
    format!("{}.test.yaml", name.unwrap_or(&stem))
}
