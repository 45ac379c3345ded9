//! `*.test.yaml`: events in, expected documents out.
//!
//! A test file belongs to the mapping folder it lies in, or to what its `mappings:` names. Each case
//! is one event. A case that fails says at which paths of the document expectation and result part,
//! and brings the edits that would make it pass, for `sluice test --update`. What the cases looked at
//! is kept, so that rules, event types and fields without a test can be named.

mod case;
mod compare;
mod coverage;
mod file;
mod find;
#[cfg(test)]
mod tests;
mod update;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sluice_sdk::{EventPlaces, typed};

use super::{Mapping, Options, Reference, load};
use crate::diagnostics::{
    Diagnostic, FileKind, Files, Node, Span, name_beside, other_kind, parse_yaml,
};

use self::file::Suite;
use self::find::TestFile;

pub use self::coverage::{Coverage, Measure, Untouched};
pub use self::update::{Edit, apply};

/// What all tests gave.
#[derive(Debug, Default)]
pub struct TestReport {
    /// One for each event tried.
    pub cases: Vec<CaseResult>,
    /// What they looked at of the mappings they belong to.
    pub coverage: Coverage,
}

/// What one case gave.
#[derive(Debug, Clone)]
pub struct CaseResult {
    /// Its name; a row has its number behind it.
    pub name: String,
    /// The test file, as messages show it.
    pub file: String,
    /// Where the case stands.
    pub place: Span,
    /// Everything that was not as expected; empty: passed.
    pub differences: Vec<Difference>,
    /// What to write instead, so that the case passes.
    pub edits: Vec<Edit>,
    /// The rule that ran.
    pub rule: Option<String>,
    /// The event's type.
    pub event_type: String,
    /// What may be the matter, for a failure that often has the same cause.
    pub hint: Option<String>,
}

impl CaseResult {
    /// Whether all was as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// One place where expectation and result part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Dotted place in the document; empty: what became of the event as a whole, said in words.
    pub path: String,
    /// What the test wants; `None`: nothing.
    pub expected: Option<Value>,
    /// What came; `None`: nothing.
    pub found: Option<Value>,
    /// Where the test says so.
    pub place: Span,
}

/// Where test files are, and what goes for those that do not say it themselves.
#[derive(Debug, Clone, Default)]
pub struct TestRoot {
    /// A file, a folder with all below it, or `builtin:SET`.
    pub path: PathBuf,
    /// Where an `event:` says its type.
    pub places: EventPlaces,
    /// `events:` of files that have none: types or globs to take, and those not to take.
    pub include: Vec<String>,
    /// See `include`.
    pub exclude: Vec<String>,
}

impl From<PathBuf> for TestRoot {
    fn from(path: PathBuf) -> Self {
        Self {
            path,
            ..Self::default()
        }
    }
}

/// Mappings that were loaded, by what they were asked for with.
type Loaded = HashMap<(String, Vec<String>, Vec<String>), Option<Mapping>>;

/// Run the tests of all files at these places.
///
/// `filter` is a part of the case's name or of its file's. Files that are wrong add to `diagnostics`.
pub fn run_tests(
    roots: &[TestRoot],
    filter: Option<&str>,
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> TestReport {
    let mut run = Run {
        filter,
        is_check: false,
        files,
        diagnostics,
        loaded: Loaded::new(),
        seen: coverage::Seen::default(),
        cases: Vec::new(),
    };
    for root in roots {
        let found = find::find(&root.path);
        if found.is_empty() {
            run.diagnostics.push(nothing_at(&root.path));
        }
        for file in &found {
            run.file(file, root);
        }
    }
    let coverage = coverage::measure(run.loaded.values().flatten(), &run.seen, run.files);
    TestReport {
        cases: run.cases,
        coverage,
    }
}

fn nothing_at(path: &Path) -> Diagnostic {
    let shown = path.display();
    if path.exists() || path.to_string_lossy().starts_with("builtin:") {
        if let Err(error) = std::fs::read_dir(path)
            && path.is_dir()
        {
            let message = format!("the folder `{shown}` cannot be read: {error}");
            return Diagnostic::global("unreadable-file", message);
        }
        let message = format!("there are no test files (*.test.yaml) at `{shown}`");
        let beside = find::folders_beside(path);
        let note = beside.first().map_or_else(String::new, |folder| {
            let folder = folder.display();
            format!(
                "some lie in `{folder}`, where nobody looks for them: {} does, and each says at its top with `mappings:` where the rules are",
                typed(&format!("test {folder}"))
            )
        });
        return Diagnostic::global("no-tests", message).note(note);
    }
    Diagnostic::global(
        "missing-file",
        format!("there is no file or folder `{shown}`"),
    )
    .note(name_beside(path))
}

/// How much was checked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checked {
    /// Test files that were read.
    pub files: usize,
    /// Cases in them.
    pub cases: usize,
}

/// Read the test files at these places, and say what is wrong with the files themselves: not which
/// cases fail, and nothing of the mappings that they are for.
pub fn check_tests(
    roots: &[TestRoot],
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Checked {
    let mut found = Vec::new();
    let mut run = Run {
        filter: None,
        is_check: true,
        files,
        diagnostics: &mut found,
        loaded: Loaded::new(),
        seen: coverage::Seen::default(),
        cases: Vec::new(),
    };
    let mut checked = Checked::default();
    let mut names = HashSet::new();
    for root in roots {
        for file in find::find(&root.path) {
            checked.files += 1;
            names.insert(file.name());
            run.file(&file, root);
        }
    }
    checked.cases = run.cases.len();
    found.retain(|one| match one.span {
        Some(span) => names.contains(files.name(span.file)),
        // Such a message about a mapping file was given with the mappings.
        None => matches!(one.code, "unreadable-file" | "yaml-limit" | "yaml-encoding"),
    });
    diagnostics.append(&mut found);
    checked
}

struct Run<'a> {
    filter: Option<&'a str>,
    /// Only the files are of interest, and not which cases fail.
    is_check: bool,
    files: &'a mut Files,
    diagnostics: &'a mut Vec<Diagnostic>,
    loaded: Loaded,
    seen: coverage::Seen,
    cases: Vec<CaseResult>,
}

impl Run<'_> {
    fn file(&mut self, file: &TestFile, place: &TestRoot) {
        let id = match file.read(self.files) {
            Ok(id) => id,
            Err(diagnostic) => return self.diagnostics.push(*diagnostic),
        };
        let root = match parse_yaml(id, self.files) {
            Ok(root) => root,
            Err(diagnostic) => return self.diagnostics.push(*diagnostic),
        };
        if let Some(problem) = other_kind(&root, FileKind::Tests, self.files.name(id)) {
            return self.diagnostics.push(problem);
        }
        let Some(mut suite) = file::read(&root, self.diagnostics) else {
            return;
        };
        if root.get("events").is_none() {
            suite.options.include.clone_from(&place.include);
            suite.options.exclude.clone_from(&place.exclude);
        }
        let name = self.files.name(id).to_owned();
        let tests = root.entry("tests").map(|entry| entry.key_span);
        let Some(key) = self.load(file, &suite, tests) else {
            return;
        };
        let Some(Some(mapping)) = self.loaded.get(&key) else {
            return;
        };
        for case in &suite.cases {
            let is_wanted = self
                .filter
                .is_none_or(|filter| case.name.contains(filter) || name.contains(filter));
            if !is_wanted {
                continue;
            }
            if self.is_check {
                case::check_rule(case, mapping, self.diagnostics);
            }
            let Some(tried) = case::try_out(case, mapping, &place.places, self.diagnostics) else {
                continue;
            };
            self.seen.add(case, &tried, mapping, self.files);
            let edits = update::edits(case, &tried, self.files.text(id));
            self.cases.push(CaseResult {
                name: case.name.clone(),
                file: name.clone(),
                place: case.span,
                edits,
                hint: tried.hint(),
                rule: tried.rule,
                event_type: tried.event_type,
                differences: tried.differences,
            });
        }
    }

    /// Load what the file's cases are for, once; the key to find it by.
    fn load(
        &mut self,
        file: &TestFile,
        suite: &Suite<'_>,
        tests: Option<Span>,
    ) -> Option<(String, Vec<String>, Vec<String>)> {
        let (text, span) = match suite.mappings.map(|node| (node.as_str(), node.span)) {
            Some((Some(text), span)) => (text.to_owned(), Some(span)),
            Some((None, span)) => {
                let message = "`mappings` must be a text";
                self.diagnostics
                    .push(Diagnostic::error("wrong-type", span, message));
                return None;
            }
            None => (".".to_owned(), None),
        };
        let folder = file.folder();
        if suite.mappings.is_none()
            && let Some(place) = tests
            && let Some(rules) = find::rules_elsewhere(file)
        {
            let message = "a test is for the mapping files beside it, and there are none";
            self.diagnostics
                .push(
                    Diagnostic::error("missing-file", place, message).label(format!(
                        "say at the top where they are: `mappings: {rules}`"
                    )),
                );
            return None;
        }
        let options: &Options = &suite.options;
        let key = (
            folder.join(&text).to_string_lossy().into_owned(),
            options.include.clone(),
            options.exclude.clone(),
        );
        if !self.loaded.contains_key(&key) {
            let reference = Reference {
                text: file.reference(&text),
                base: folder,
                span,
            };
            let mapping = load(
                &[reference],
                self.files,
                None,
                options.clone(),
                self.diagnostics,
            );
            self.loaded.insert(key.clone(), mapping);
        }
        Some(key)
    }
}

/// What a node says, as JSON; a map's keys in the order of the file.
fn json_of(node: &Node) -> Value {
    node.to_json()
}
