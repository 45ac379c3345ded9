//! Reading a test file: its cases, each with the one thing that is expected of it.

use super::super::Options;
use super::super::syntax::{texts, unknown_key, wrong_type};
use crate::diagnostics::{Diagnostic, Entry, Kind, Node, Span};

const FILE_KEYS: &[&str] = &["version", "mappings", "events", "tests"];
/// What may become of an event; a case expects one of them.
pub const OUTCOMES: &[&str] = &[
    "expect",
    "exactly",
    "documents",
    "skip",
    "dead_letter",
    "unmapped",
];
/// What a case and a row of it may say besides the outcome.
const ROW_KEYS: &[&str] = &["description", "rule", "sample", "event", "with"];

/// One test file.
pub struct Suite<'a> {
    /// `mappings`
    pub mappings: Option<&'a Node>,
    /// `events`
    pub options: Options,
    /// All cases; a table gives one a row.
    pub cases: Vec<Case<'a>>,
}

/// One event and what is expected of it.
pub struct Case<'a> {
    /// For people; a row has its number behind it.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// The rule that must be the one that runs.
    pub rule: Option<&'a Node>,
    /// The event.
    pub given: Given<'a>,
    /// Laid over the event, one after the other.
    pub with: Vec<&'a Node>,
    /// One of [`OUTCOMES`].
    pub outcome: &'a Entry,
}

/// Where the event of a case comes from.
pub enum Given<'a> {
    /// The catalogue's sample of this type.
    Sample(&'a Node),
    /// As it stands.
    Event(&'a Node),
}

/// The parts of a test file. `None` comes with at least one error.
pub fn read<'a>(root: &'a Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Suite<'a>> {
    let Some(entries) = root.as_map() else {
        diagnostics.push(wrong_type(root, "a test file", "a map"));
        return None;
    };
    let before = diagnostics.len();
    for entry in entries {
        if !FILE_KEYS.contains(&entry.key.as_str()) {
            diagnostics.push(unknown_key(entry, FILE_KEYS, "a test file"));
        }
    }
    let version = root.get("version");
    if version.and_then(|node| node.to_json().as_u64()) != Some(1) {
        let span = version.map_or(root.span.part(0, 0), |node| node.span);
        diagnostics.push(
            Diagnostic::error("unknown-version", span, "a test file says its version")
                .label("write `version: 1`"),
        );
    }
    let suite = Suite {
        mappings: root.get("mappings"),
        options: selection(root.get("events"), diagnostics),
        cases: cases(root.get("tests"), diagnostics),
    };
    (diagnostics.len() == before).then_some(suite)
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
        let chosen = match entry.key.as_str() {
            "include" => &mut options.include,
            "exclude" => &mut options.exclude,
            _ => {
                diagnostics.push(unknown_key(entry, &["include", "exclude"], "`events`"));
                continue;
            }
        };
        let what = format!("`{}`", entry.key);
        let found = texts(&entry.value, &what, diagnostics);
        chosen.extend(found.into_iter().map(|(text, _)| text));
    }
    options
}

fn cases<'a>(node: Option<&'a Node>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Case<'a>> {
    let mut found = Vec::new();
    let Some(node) = node else { return found };
    let Some(entries) = node.as_map() else {
        diagnostics.push(wrong_type(node, "`tests`", "tests by name"));
        return found;
    };
    for entry in entries {
        test(entry, &mut found, diagnostics);
    }
    found
}

/// One test: a case, or one a row.
fn test<'a>(entry: &'a Entry, found: &mut Vec<Case<'a>>, diagnostics: &mut Vec<Diagnostic>) {
    let test = &entry.value;
    if test.as_map().is_none() {
        diagnostics.push(wrong_type(test, "a test", "a map"));
        return;
    }
    let before = diagnostics.len();
    check_keys(test, &["rows"], "a test", diagnostics);
    let Some(rows) = test.get("rows") else {
        if diagnostics.len() == before {
            found.extend(case(
                entry.key.clone(),
                entry.key_span,
                test,
                None,
                diagnostics,
            ));
        }
        return;
    };
    let Some(rows) = rows.as_list().filter(|rows| !rows.is_empty()) else {
        diagnostics.push(wrong_type(rows, "`rows`", "a list of at least one row"));
        return;
    };
    for (at, row) in rows.iter().enumerate() {
        if row.as_map().is_none() {
            diagnostics.push(wrong_type(row, "a row", "a map"));
            continue;
        }
        check_keys(row, &[], "a row", diagnostics);
        if diagnostics.len() == before {
            let name = format!("{} {}", entry.key, at + 1);
            found.extend(case(name, row.span, test, Some(row), diagnostics));
        }
    }
}

fn check_keys(node: &Node, more: &[&str], what: &str, diagnostics: &mut Vec<Diagnostic>) {
    let known: Vec<&str> = [ROW_KEYS, OUTCOMES, more].concat();
    let mut outcome: Option<&Entry> = None;
    for entry in node.as_map().unwrap_or_default() {
        let key = entry.key.as_str();
        if !known.contains(&key) {
            diagnostics.push(unknown_key(entry, &known, what));
            continue;
        }
        check_value(entry, diagnostics);
        if !OUTCOMES.contains(&key) {
            continue;
        }
        if let Some(first) = outcome {
            let message = format!(
                "{what} has one outcome; `{}` stands here already",
                first.key
            );
            diagnostics.push(
                Diagnostic::error("two-outcomes", entry.key_span, message)
                    .label("remove one of the two")
                    .related(first.key_span, "first here"),
            );
        }
        outcome = Some(entry);
    }
}

/// That a value is of the kind that its key takes.
fn check_value(entry: &Entry, diagnostics: &mut Vec<Diagnostic>) {
    let value = &entry.value;
    let (fits, wanted) = match entry.key.as_str() {
        "expect" | "exactly" => (value.as_map().is_some(), "a map: the document"),
        "documents" => (value.as_list().is_some(), "a list of documents"),
        "event" => (value.as_map().is_some(), "a map: the event"),
        "with" => (
            value.as_map().is_some(),
            "a map: what is other in the event",
        ),
        "rule" => (value.as_str().is_some(), "the name of a rule"),
        "skip" | "dead_letter" => (value.as_str().is_some(), "a text: the reason"),
        "unmapped" => (matches!(value.kind, Kind::Bool(true)), "`true`"),
        _ => return,
    };
    if !fits {
        diagnostics.push(wrong_type(value, &format!("`{}`", entry.key), wanted));
    }
}

/// A case; what the row says wins over what the test says.
fn case<'a>(
    name: String,
    span: Span,
    test: &'a Node,
    row: Option<&'a Node>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Case<'a>> {
    let levels = || row.into_iter().chain([test]);
    let first = |key: &str| levels().find_map(|node| node.get(key));
    let outcomes = |node: &'a Node| -> Vec<&'a Entry> {
        OUTCOMES.iter().filter_map(|key| node.entry(key)).collect()
    };
    let given = levels().find_map(|node| match (node.get("sample"), node.get("event")) {
        (None, None) => None,
        (Some(sample), None) => Some(Ok(Given::Sample(sample))),
        (None, Some(event)) => Some(Ok(Given::Event(event))),
        (Some(_), Some(_)) => Some(Err(())),
    });
    let Some(Ok(given)) = given else {
        diagnostics.push(Diagnostic::error(
            "no-event",
            span,
            "a test needs `sample` or `event`, one of the two",
        ));
        return None;
    };
    let expected = levels()
        .map(outcomes)
        .find(|found| !found.is_empty())
        .unwrap_or_default();
    let [outcome] = expected.as_slice() else {
        diagnostics.push(Diagnostic::error(
            "no-outcome",
            span,
            format!("a test expects one of {}", OUTCOMES.join(", ")),
        ));
        return None;
    };
    Some(Case {
        name,
        span,
        rule: first("rule"),
        given,
        with: [Some(test), row]
            .into_iter()
            .flatten()
            .filter_map(|node| node.get("with"))
            .collect(),
        outcome,
    })
}
