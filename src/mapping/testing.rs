//! `*.test.yaml`: events in, expected documents out.
//!
//! A test file belongs to the mapping folder it lies in, or to what its `mappings:` names. Each case
//! is one event; the answer says at which path of the document expectation and result part.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::expression::equals;
use super::merge::is_omit;
use super::plan::Action;
use super::syntax::{texts, unknown_key, wrong_type};
use super::{Mapped, Mapping, Options, Reference, check, load};
use crate::builtin::MAPPINGS;
use crate::diagnostics::{Diagnostic, Entry, Files, Node, Span, did_you_mean, parse_yaml};

/// What all tests gave.
#[derive(Debug, Clone, Default)]
pub struct TestReport {
    /// One for each event tried.
    pub cases: Vec<CaseResult>,
    /// Rules of the tested folders that no case ran.
    pub untested_rules: Vec<String>,
    /// Event types that those rules are on and no case brought.
    pub untested_types: Vec<String>,
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
    /// Whether all was as expected.
    pub passed: bool,
    /// What was not, in words.
    pub failure: Option<String>,
    /// The rule that ran.
    pub rule: Option<String>,
    /// The event's type.
    pub event_type: String,
}

const FILE_KEYS: &[&str] = &["version", "mappings", "events", "tests"];
const OUTCOMES: &[&str] = &[
    "expect",
    "exactly",
    "documents",
    "skip",
    "dead_letter",
    "unmapped",
];
const CASE_KEYS: &[&str] = &[
    "description",
    "rule",
    "sample",
    "event",
    "with",
    "rows",
    "expect",
    "exactly",
    "documents",
    "skip",
    "dead_letter",
    "unmapped",
];
const ROW_KEYS: &[&str] = &[
    "description",
    "rule",
    "with",
    "expect",
    "exactly",
    "documents",
    "skip",
    "dead_letter",
    "unmapped",
];

/// Where a test file is: on disk, or in the program.
enum TestFile {
    Disk(PathBuf),
    Builtin(PathBuf),
}

/// Mappings that were loaded, by what they were asked for with.
type Loaded = HashMap<(String, Vec<String>, Vec<String>), Option<Mapping>>;

/// Run the tests of a file, of a folder and the folders in it, or of `builtin:SET`.
///
/// `filter` is a part of the case's name or of its file's. Files that are wrong add to `diagnostics`.
pub fn run_tests(
    path: &Path,
    filter: Option<&str>,
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> TestReport {
    let mut report = TestReport::default();
    let mut loaded = Loaded::new();
    let found = find(path);
    if found.is_empty() {
        diagnostics.push(Diagnostic::global(
            "no-tests",
            format!(
                "there are no test files (*.test.yaml) at `{}`",
                path.display()
            ),
        ));
    }
    for file in &found {
        run_file(file, filter, files, diagnostics, &mut loaded, &mut report);
    }
    untested(&loaded, &mut report);
    report
}

fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

fn find(path: &Path) -> Vec<TestFile> {
    if let Some(set) = path.to_string_lossy().strip_prefix("builtin:") {
        let mut found = Vec::new();
        let mut folders: Vec<_> = MAPPINGS.get_dir(set).into_iter().collect();
        while let Some(folder) = folders.pop() {
            folders.extend(folder.dirs());
            found.extend(
                folder
                    .files()
                    .map(include_dir::File::path)
                    .filter(|path| is_test_file(path))
                    .map(Path::to_owned),
            );
        }
        found.extend(MAPPINGS.get_file(set).map(|file| file.path().to_owned()));
        found.sort();
        return found.into_iter().map(TestFile::Builtin).collect();
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

fn run_file(
    file: &TestFile,
    filter: Option<&str>,
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
    loaded: &mut Loaded,
    report: &mut TestReport,
) {
    let (id, folder) = match file {
        TestFile::Disk(path) => match std::fs::read_to_string(path) {
            Ok(text) => (
                files.add(path.to_string_lossy(), Some(path), text),
                path.parent().unwrap_or(Path::new("")).to_owned(),
            ),
            Err(error) => {
                diagnostics.push(Diagnostic::global(
                    "unreadable-file",
                    format!("{} cannot be read: {error}", path.display()),
                ));
                return;
            }
        },
        TestFile::Builtin(path) => {
            let text = MAPPINGS
                .get_file(path)
                .and_then(include_dir::File::contents_utf8)
                .unwrap_or_default();
            (
                files.add(format!("builtin:{}", path.display()), None, text.to_owned()),
                path.parent().unwrap_or(Path::new("")).to_owned(),
            )
        }
    };
    let root = match parse_yaml(id, files) {
        Ok(root) => root,
        Err(error) => {
            diagnostics.push(*error);
            return;
        }
    };
    let name = files.name(id).to_owned();
    let Some(entries) = root.as_map() else {
        diagnostics.push(wrong_type(&root, "a test file", "a map"));
        return;
    };
    let before = diagnostics.len();
    for entry in entries {
        if !FILE_KEYS.contains(&entry.key.as_str()) {
            diagnostics.push(unknown_key(entry, FILE_KEYS, "a test file"));
        }
    }
    let version = root.get("version").map(Node::to_json);
    if version.as_ref().and_then(Value::as_u64) != Some(1) {
        let span = root
            .get("version")
            .map_or(root.span.part(0, 0), |node| node.span);
        diagnostics.push(
            Diagnostic::error("unknown-version", span, "a test file says its version")
                .label("write `version: 1`"),
        );
    }
    let options = selection(root.get("events"), diagnostics);
    let cases = cases(root.get("tests"), diagnostics);
    if diagnostics.len() > before {
        return;
    }
    let mapping_node = root.get("mappings");
    let (text, span) = match mapping_node.map(|node| (node.as_str(), node.span)) {
        Some((Some(text), span)) => (text.to_owned(), Some(span)),
        Some((None, span)) => {
            diagnostics.push(Diagnostic::error(
                "wrong-type",
                span,
                "`mappings` must be a text",
            ));
            return;
        }
        None => (".".to_owned(), None),
    };
    let text = match file {
        TestFile::Builtin(_) if !text.starts_with("builtin:") => {
            let path = super::import::normal(&folder.join(&text));
            format!("builtin:{}", path.display())
        }
        _ => text,
    };
    let key = (
        folder.join(&text).to_string_lossy().into_owned(),
        options.include.clone(),
        options.exclude.clone(),
    );
    let reference = Reference {
        text,
        base: folder,
        span,
    };
    let mapping = loaded
        .entry(key)
        .or_insert_with(|| load(&[reference], files, None, options, diagnostics));
    let Some(mapping) = mapping else { return };
    for case in cases {
        let is_wanted =
            filter.is_none_or(|filter| case.name.contains(filter) || name.contains(filter));
        if is_wanted {
            report
                .cases
                .extend(run_case(&case, &name, mapping, diagnostics));
        }
    }
}

fn selection(node: Option<&Node>, diagnostics: &mut Vec<Diagnostic>) -> Options {
    let mut options = Options::default();
    let Some(node) = node else { return options };
    let Some(entries) = node.as_map() else {
        diagnostics.push(wrong_type(
            node,
            "`events`",
            "a map such as `{include: […]}`",
        ));
        return options;
    };
    for entry in entries {
        let list = || {
            texts(&entry.value, "it", &mut Vec::new())
                .into_iter()
                .map(|(text, _)| text)
        };
        match entry.key.as_str() {
            "include" => options.include = list().collect(),
            "exclude" => options.exclude = list().collect(),
            _ => diagnostics.push(unknown_key(entry, &["include", "exclude"], "`events`")),
        }
    }
    options
}

/// One event and what is expected of it.
struct Case<'a> {
    name: String,
    span: Span,
    rule: Option<&'a str>,
    sample: Option<&'a Node>,
    event: Option<&'a Node>,
    with: Vec<&'a Node>,
    outcome: &'a Entry,
}

fn cases<'a>(node: Option<&'a Node>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Case<'a>> {
    let mut found = Vec::new();
    let Some(entries) = node.and_then(Node::as_map) else {
        return found;
    };
    for entry in entries {
        let test = &entry.value;
        let Some(keys) = test.as_map() else {
            diagnostics.push(wrong_type(test, "a test", "a map"));
            continue;
        };
        let before = diagnostics.len();
        for key in keys {
            if !CASE_KEYS.contains(&key.key.as_str()) {
                diagnostics.push(unknown_key(key, CASE_KEYS, "a test"));
            }
        }
        if test.get("sample").is_some() == test.get("event").is_some() {
            diagnostics.push(Diagnostic::error(
                "no-event",
                entry.key_span,
                "a test needs `sample` or `event`, one of the two",
            ));
        }
        if diagnostics.len() > before {
            continue;
        }
        let rows: Vec<(String, Span, Option<&Node>)> = match test.get("rows") {
            None => vec![(entry.key.clone(), entry.key_span, None)],
            Some(rows) => rows
                .as_list()
                .unwrap_or_default()
                .iter()
                .enumerate()
                .map(|(at, row)| (format!("{} {}", entry.key, at + 1), row.span, Some(row)))
                .collect(),
        };
        for (name, span, row) in rows {
            for key in row.and_then(Node::as_map).unwrap_or_default() {
                if !ROW_KEYS.contains(&key.key.as_str()) {
                    diagnostics.push(unknown_key(key, ROW_KEYS, "a row"));
                }
            }
            let outcomes = |node: &'a Node| {
                OUTCOMES
                    .iter()
                    .filter_map(|key| node.entry(key))
                    .collect::<Vec<_>>()
            };
            let mut expected = row.map(outcomes).unwrap_or_default();
            if expected.is_empty() {
                expected = outcomes(test);
            }
            let [outcome] = expected.as_slice() else {
                diagnostics.push(Diagnostic::error(
                    "no-outcome",
                    span,
                    format!("a test expects one of {}", OUTCOMES.join(", ")),
                ));
                continue;
            };
            found.push(Case {
                name,
                span,
                rule: row
                    .and_then(|row| row.get("rule"))
                    .or_else(|| test.get("rule"))
                    .and_then(Node::as_str),
                sample: test.get("sample"),
                event: test.get("event"),
                with: [test.get("with"), row.and_then(|row| row.get("with"))]
                    .into_iter()
                    .flatten()
                    .collect(),
                outcome,
            });
        }
    }
    found
}

fn run_case(
    case: &Case<'_>,
    file: &str,
    mapping: &Mapping,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<CaseResult> {
    let mut event = match (case.sample, case.event) {
        (Some(sample), _) => sample_event(sample, mapping, diagnostics)?,
        (None, Some(event)) => event.to_json(),
        (None, None) => return None,
    };
    for with in &case.with {
        lay_over(&mut event, with);
    }
    let event_type = event
        .get("event_type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let outcome = mapping.map(&event);
    let rule = match &outcome {
        Mapped::Documents(documents) => documents.first().map(|one| one.rule.to_string()),
        Mapped::Skipped { rule, .. } | Mapped::Dead { rule, .. } => rule.clone(),
        Mapped::Unmapped | Mapped::NotSelected => None,
    };
    let failure = match case.rule {
        Some(wanted) if rule.as_deref() != Some(wanted) => Some(format!(
            "expected the rule `{wanted}` to run, but {}",
            rule.as_ref()
                .map_or_else(|| said(&outcome), |rule| format!("`{rule}` did"))
        )),
        _ => compare(case.outcome, &outcome),
    };
    Some(CaseResult {
        name: case.name.clone(),
        file: file.to_owned(),
        place: case.span,
        passed: failure.is_none(),
        failure,
        rule,
        event_type,
    })
}

fn sample_event(
    node: &Node,
    mapping: &Mapping,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Value> {
    let Some(name) = node.as_str() else {
        diagnostics.push(wrong_type(node, "`sample`", "an event type"));
        return None;
    };
    let Some(catalogue) = mapping.target().catalogue else {
        diagnostics.push(
            Diagnostic::error(
                "no-catalogue",
                node.span,
                "these mappings do not say which source they are for",
            )
            .label("add `for: {source: …}` to a mapping file, or give the `event`"),
        );
        return None;
    };
    let Some(event) = catalogue.event(name) else {
        diagnostics.push(
            Diagnostic::error(
                "unknown-type",
                node.span,
                format!("there is no event type `{name}`"),
            )
            .label(did_you_mean(
                name,
                catalogue.events.iter().map(|event| event.name.as_str()),
            )),
        );
        return None;
    };
    Some(event.sample())
}

fn lay_over(event: &mut Value, with: &Node) {
    let Some(entries) = with.as_map() else {
        *event = with.to_json();
        return;
    };
    if !event.is_object() {
        *event = Value::Object(serde_json::Map::new());
    }
    let Some(members) = event.as_object_mut() else {
        return;
    };
    for entry in entries {
        if is_omit(&entry.value) {
            members.shift_remove(&entry.key);
        } else {
            lay_over(
                members.entry(entry.key.clone()).or_insert(Value::Null),
                &entry.value,
            );
        }
    }
}

fn said(outcome: &Mapped) -> String {
    match outcome {
        Mapped::Documents(documents) => format!("it became {} document(s)", documents.len()),
        Mapped::Skipped { reason, .. } => format!("it was skipped: {reason}"),
        Mapped::Dead { reason, detail, .. } => format!("it was a dead letter: {reason} ({detail})"),
        Mapped::Unmapped => "no rule is on it".to_owned(),
        Mapped::NotSelected => "its type is not selected".to_owned(),
    }
}

fn compare(expected: &Entry, outcome: &Mapped) -> Option<String> {
    let value = &expected.value;
    let reason = |wanted: &str, got: &str| {
        (wanted != got).then(|| format!("expected the reason `{wanted}`, got `{got}`"))
    };
    match (expected.key.as_str(), outcome) {
        ("expect", Mapped::Documents(got)) => one(&value.to_json(), got, true),
        ("exactly", Mapped::Documents(got)) => one(&value.to_json(), got, false),
        ("documents", Mapped::Documents(got)) => {
            let wanted = value.as_list().unwrap_or_default();
            if wanted.len() != got.len() {
                return Some(format!(
                    "expected {} documents, got {}",
                    wanted.len(),
                    got.len()
                ));
            }
            wanted
                .iter()
                .zip(got)
                .enumerate()
                .find_map(|(at, (wanted, got))| {
                    difference(&wanted.to_json(), &body(got), &format!("[{at}]"), true)
                })
        }
        ("skip", Mapped::Skipped { reason: got, .. })
        | ("dead_letter", Mapped::Dead { reason: got, .. }) => {
            reason(value.as_str().unwrap_or_default(), got)
        }
        ("unmapped", Mapped::Unmapped | Mapped::NotSelected) => None,
        (wanted, outcome) => Some(format!("expected `{wanted}`, but {}", said(outcome))),
    }
}

fn body(document: &super::MappedDocument) -> Value {
    serde_json::from_slice(&document.body).unwrap_or_default()
}

fn one(wanted: &Value, got: &[super::MappedDocument], is_partial: bool) -> Option<String> {
    match got {
        [one] => difference(wanted, &body(one), "", is_partial),
        many => Some(format!("expected one document, got {}", many.len())),
    }
}

/// The first place where two documents part. Partial: objects may have more members; null is "not there".
fn difference(wanted: &Value, got: &Value, path: &str, is_partial: bool) -> Option<String> {
    let (Value::Object(left), Value::Object(right)) = (wanted, got) else {
        return (!equals(wanted, got)).then(|| {
            let path = if path.is_empty() {
                "the document"
            } else {
                path
            };
            format!("{path}: expected {wanted}, got {got}")
        });
    };
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    for (key, value) in left {
        match right.get(key) {
            Some(other) => {
                if let Some(found) = difference(value, other, &below(key), is_partial) {
                    return Some(found);
                }
            }
            None if is_partial && value.is_null() => {}
            None => {
                return Some(format!(
                    "{}: expected {value}, but it is not there",
                    below(key)
                ));
            }
        }
    }
    if is_partial {
        return None;
    }
    right
        .iter()
        .find(|(key, _)| !left.contains_key(*key))
        .map(|(key, value)| format!("{}: not expected, got {value}", below(key)))
}

fn untested(loaded: &Loaded, report: &mut TestReport) {
    let ran: HashSet<&str> = report
        .cases
        .iter()
        .filter_map(|case| case.rule.as_deref())
        .collect();
    let brought: HashSet<&str> = report
        .cases
        .iter()
        .map(|case| case.event_type.as_str())
        .collect();
    let mut rules = BTreeSet::new();
    let mut types = BTreeSet::new();
    for mapping in loaded.values().flatten() {
        // What a folder imports is tested where it stands.
        for rule in mapping.rules.iter().filter(|rule| rule.depth == 0) {
            if !ran.contains(&*rule.name) {
                rules.insert(rule.name.to_string());
            }
            let is_named = rule.on.iter().any(|pattern| pattern.text != "*");
            let catalogue = mapping.target.catalogue.filter(|_| is_named);
            if let (Some(catalogue), Action::Emit(_)) = (catalogue, &rule.action) {
                types.extend(
                    check::types_of(rule, catalogue)
                        .into_iter()
                        .map(|event| event.name.clone())
                        .filter(|name| !brought.contains(name.as_str())),
                );
            }
        }
    }
    report.untested_rules = rules.into_iter().collect();
    report.untested_types = types.into_iter().collect();
}
