//! One mapping file as its parts: imports, templates, tables, rules, each with its place.
//!
//! Checks what can be said of one file alone: keys, types, version. What needs other files (merging,
//! templates, paths) comes later.

use super::merge::is_omit;
use super::sets;
pub use crate::diagnostics::unknown_key;
use crate::diagnostics::{Allows, Diagnostic, Entry, Kind, Node, Span, mend_keys};

/// A named part of a file.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Place of the name.
    pub span: Span,
    /// What stands under it.
    pub node: Node,
}

/// One file.
#[derive(Debug, Clone, Default)]
pub struct Module {
    /// `import`
    pub imports: Vec<(String, Span)>,
    /// `for.source`
    pub source: Option<(String, Span)>,
    /// `for.sink`
    pub sink: Option<(String, Span)>,
    /// `templates`
    pub templates: Vec<Named>,
    /// `tables`
    pub tables: Vec<Named>,
    /// `rules`
    pub rules: Vec<Named>,
    /// `allow` and `$allow`, wherever they stand.
    pub allows: Allows,
}

const KEYS: &[&str] = &[
    "version",
    "import",
    "for",
    "templates",
    "tables",
    "rules",
    "allow",
];
/// Keys of a rule.
pub const RULE_KEYS: &[&str] = &[
    "on",
    "when",
    "emit",
    "emit_each",
    "skip",
    "first",
    "continue",
    "opt_in",
    "description",
    "allow",
];

/// A value of the wrong type.
pub fn wrong_type(node: &Node, what: &str, expected: &str) -> Diagnostic {
    Diagnostic::error(
        "wrong-type",
        node.span,
        format!("{what} must be {expected}, found {}", node.describe()),
    )
}

/// Read the parts of a file.
pub fn module(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Module {
    let mut module = Module::default();
    let mut node = node.clone();
    mend(&mut node, diagnostics);
    take_allows(&mut node, &mut module.allows, diagnostics);
    let node = &node;
    let Some(entries) = node.as_map() else {
        diagnostics
            .push(wrong_type(node, "a mapping file", "a map").label("begin with `version: 1`"));
        return module;
    };
    for entry in entries {
        let value = &entry.value;
        match entry.key.as_str() {
            "version" => version(value, diagnostics),
            "import" => module.imports = texts(value, "`import`", diagnostics),
            "for" => target(value, &mut module, diagnostics),
            "templates" => module.templates = named(value, "`templates`", diagnostics),
            "tables" => {
                module.tables = named(value, "`tables`", diagnostics);
                for table in &module.tables {
                    if table.node.as_map().is_none() {
                        diagnostics.push(wrong_type(
                            &table.node,
                            "a table",
                            "a map from text to value",
                        ));
                    }
                }
            }
            "rules" => {
                module.rules = named(value, "`rules`", diagnostics);
                for named in &module.rules {
                    rule(named, diagnostics);
                }
            }
            // Read before all else.
            "allow" => {}
            _ => diagnostics.push(unknown_key(entry, KEYS, "a mapping file")),
        }
    }
    if node.get("version").is_none() {
        let start = Span {
            end: node.span.start,
            ..node.span
        };
        diagnostics.push(
            Diagnostic::error(
                "missing-version",
                start,
                "this file does not say its version",
            )
            .label("add `version: 1`"),
        );
    }
    module
}

/// Misspelt keys of the file and of its rules, read as what they were meant to be.
fn mend(file: &mut Node, diagnostics: &mut Vec<Diagnostic>) {
    mend_keys(file, KEYS, "a mapping file", diagnostics);
    let Kind::Map(parts) = &mut file.kind else {
        return;
    };
    for part in parts.iter_mut().filter(|part| part.key == "rules") {
        if let Kind::Map(rules) = &mut part.value.kind {
            for rule in rules {
                mend_keys(&mut rule.value, RULE_KEYS, "a rule", diagnostics);
            }
        }
    }
}

/// Take `$allow` out of everything that is language, and read `allow` of the file and of rules.
fn take_allows(file: &mut Node, allows: &mut Allows, diagnostics: &mut Vec<Diagnostic>) {
    if let Some(allow) = file.get("allow") {
        let whole = Span {
            start: 0,
            end: u32::MAX,
            ..file.span
        };
        allows.read(allow, Some(whole), diagnostics);
    }
    for key in ["templates", "rules"] {
        let Kind::Map(parts) = &mut file.kind else {
            return;
        };
        let Some(part) = parts.iter_mut().find(|entry| entry.key == key) else {
            continue;
        };
        let Kind::Map(named) = &mut part.value.kind else {
            continue;
        };
        for entry in named {
            if key == "rules"
                && let Some(allow) = entry.value.get("allow")
            {
                allows.read(allow, Some(scope(entry)), diagnostics);
            }
            take(entry, allows, diagnostics);
        }
    }
}

/// From the key to the end of the value.
fn scope(entry: &Entry) -> Span {
    Span {
        end: entry.value.span.end.max(entry.key_span.end),
        ..entry.key_span
    }
}

fn take(entry: &mut Entry, allows: &mut Allows, diagnostics: &mut Vec<Diagnostic>) {
    if entry.key == "$const" {
        return;
    }
    let scope = scope(entry);
    let mut below = vec![&mut entry.value];
    while let Some(node) = below.pop() {
        match &mut node.kind {
            Kind::List(items) => below.extend(items),
            Kind::Map(entries) => {
                let is_allow = |entry: &Entry| entry.key == "$allow";
                if let Some(allow) = entries.iter().find(|entry| is_allow(entry)) {
                    allows.read(&allow.value, Some(scope), diagnostics);
                }
                entries.retain(|entry| !is_allow(entry));
                for entry in entries {
                    take(entry, allows, diagnostics);
                }
            }
            _ => {}
        }
    }
}

fn version(node: &Node, diagnostics: &mut Vec<Diagnostic>) {
    if node.to_json().as_u64() != Some(1) {
        diagnostics.push(
            Diagnostic::error(
                "unknown-version",
                node.span,
                "this version is not known here",
            )
            .label("write `version: 1`"),
        );
    }
}

fn target(node: &Node, module: &mut Module, diagnostics: &mut Vec<Diagnostic>) {
    let Some(entries) = node.as_map() else {
        diagnostics.push(wrong_type(
            node,
            "`for`",
            "a map such as `{source: …, sink: …}`",
        ));
        return;
    };
    for entry in entries {
        let slot = match entry.key.as_str() {
            "source" => &mut module.source,
            "sink" => &mut module.sink,
            _ => {
                diagnostics.push(unknown_key(entry, &["source", "sink"], "`for`"));
                continue;
            }
        };
        match entry.value.as_str() {
            Some(name) => *slot = Some((name.to_owned(), entry.value.span)),
            None => diagnostics.push(wrong_type(&entry.value, "it", "the name of a plugin")),
        }
    }
}

/// A text or a list of texts.
pub fn texts(node: &Node, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<(String, Span)> {
    let one = |node: &Node, diagnostics: &mut Vec<Diagnostic>| match node.as_str() {
        Some(text) => Some((text.to_owned(), node.span)),
        None => {
            let wrong = wrong_type(node, what, "a text or a list of texts");
            diagnostics.push(match sets::in_map(node) {
                Some(set) => wrong.label(format!("without the space behind the colon: `{set}`")),
                None => wrong,
            });
            None
        }
    };
    match &node.kind {
        Kind::List(items) => items
            .iter()
            .filter_map(|item| one(item, diagnostics))
            .collect(),
        _ => one(node, diagnostics).into_iter().collect(),
    }
}

fn named(node: &Node, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<Named> {
    match &node.kind {
        Kind::Map(entries) => entries
            .iter()
            .map(|entry| Named {
                name: entry.key.clone(),
                span: entry.key_span,
                node: entry.value.clone(),
            })
            .collect(),
        Kind::Null => Vec::new(),
        _ => {
            diagnostics.push(wrong_type(node, what, "a map by name"));
            Vec::new()
        }
    }
}

/// A template for a whole rule, which there is not.
pub fn is_extends(entry: &Entry) -> bool {
    matches!(entry.key.as_str(), "extends" | "$extends")
}

fn rule(rule: &Named, diagnostics: &mut Vec<Diagnostic>) {
    let Some(entries) = rule.node.as_map() else {
        diagnostics.push(wrong_type(
            &rule.node,
            "a rule",
            "a map with `on` and `emit`",
        ));
        return;
    };
    let mut outcome: Option<&Entry> = None;
    for entry in entries {
        let value = &entry.value;
        let what = format!("`{}`", entry.key);
        if !RULE_KEYS.contains(&entry.key.as_str()) {
            let unknown = unknown_key(entry, RULE_KEYS, "a rule");
            diagnostics.push(match is_extends(entry) {
                true => unknown.label("it belongs to the document: `emit: { $extends: … }`"),
                false => unknown,
            });
            continue;
        }
        if is_omit(value) {
            continue;
        }
        match entry.key.as_str() {
            // Read before all else.
            "allow" => {}
            "on" => {
                texts(value, "`on`", diagnostics);
            }
            "first" | "continue" => {
                if !matches!(value.kind, Kind::Bool(_)) {
                    diagnostics.push(wrong_type(value, &what, "true or false"));
                }
            }
            "emit" => {
                if value.as_map().is_none() {
                    diagnostics.push(wrong_type(value, &what, "a map: the document"));
                }
            }
            "emit_each" => match value.as_map() {
                None => diagnostics.push(wrong_type(value, &what, "a map of documents by name")),
                Some(documents) => {
                    for document in documents {
                        if document.value.as_map().is_none() {
                            diagnostics.push(wrong_type(&document.value, "a document", "a map"));
                        }
                    }
                }
            },
            _ => {
                if value.as_str().is_none() {
                    diagnostics.push(wrong_type(value, &what, "a text"));
                }
            }
        }
        if matches!(entry.key.as_str(), "emit" | "emit_each" | "skip") {
            if let Some(first) = outcome {
                diagnostics.push(
                    Diagnostic::error(
                        "two-outcomes",
                        entry.key_span,
                        format!(
                            "a rule has one outcome; `{}` stands here already",
                            first.key
                        ),
                    )
                    .label("remove one of the two")
                    .related(first.key_span, "first here"),
                );
            }
            outcome = Some(entry);
        }
    }
}
