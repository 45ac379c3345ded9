//! What no test looks at: rules, event types, output fields.
//!
//! A rule is touched when a case ran it, an event type when a case brought it. An output field is
//! touched when an expectation speaks of what its line in the mapping made, so that a template's line
//! needs one test, whichever rule it is used by. What a folder imports is measured where it stands.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;

use super::super::explain::outputs;
use super::super::plan::Rule;
use super::super::{Mapped, Mapping, Output, check};
use super::case::Tried;
use super::file::Case;
use super::json_of;
use crate::diagnostics::{Files, Node};

/// How much of some mappings their tests look at.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// Rules that a case ran.
    pub rules: Measure,
    /// Types that rules name and a case brought.
    pub types: Measure,
    /// Fields of documents that an expectation speaks of.
    pub fields: Measure,
}

/// One line of it.
#[derive(Debug, Clone, Default)]
pub struct Measure {
    /// How many there are.
    pub total: usize,
    /// Those without a test.
    pub untouched: Vec<Untouched>,
}

/// A thing that no test looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Untouched {
    /// `file:line:column` of what says it; for a type, of the rule on it.
    pub place: String,
    /// The rule it belongs to; itself for a rule.
    pub rule: String,
    /// The rule's name, the type, or the dotted field.
    pub name: String,
}

impl Measure {
    /// Share with a test, 0 to 100, rounded down to a tenth so that 100 means all.
    pub fn percent(&self) -> f64 {
        if self.total == 0 {
            return 100.0;
        }
        let touched = self.total - self.untouched.len();
        (touched as f64 / self.total as f64 * 1000.0).floor() / 10.0
    }
}

/// What all cases looked at. Places are texts: two selections of one folder read its files twice.
#[derive(Default)]
pub struct Seen {
    rules: HashSet<String>,
    types: HashSet<String>,
    fields: HashSet<String>,
}

impl Seen {
    /// Take in one case.
    pub fn add(&mut self, case: &Case<'_>, tried: &Tried, mapping: &Mapping, files: &Files) {
        let known = mapping
            .target()
            .catalogue
            .and_then(|catalogue| catalogue.event(&tried.event_type));
        let name = known.map_or(tried.event_type.as_str(), |event| event.name.as_str());
        self.types.insert(name.to_owned());
        for rule in tried.explained.rules.iter().filter(|rule| rule.ran) {
            self.rules.insert(files.place(rule.place));
        }
        if let Mapped::Documents(documents) = &tried.explained.outcome {
            for (at, document) in documents.iter().enumerate() {
                let Some(expected) = expected(case, at) else {
                    continue;
                };
                let mine: Vec<&Output> = tried
                    .explained
                    .fields
                    .iter()
                    .map(|field| &field.output)
                    .filter(|output| {
                        *output.rule == *document.rule
                            && output.document.as_deref() == document.name.as_deref()
                    })
                    .collect();
                let names: HashSet<&str> = mine.iter().map(|one| one.path.as_str()).collect();
                let is_whole = case.outcome.key == "exactly";
                let touched = mine
                    .iter()
                    .filter(|one| is_whole || speaks_of(&expected, &one.path, "", &names));
                self.fields
                    .extend(touched.map(|one| files.place(one.place)));
            }
        }
    }
}

/// What the case says of document number `at`.
fn expected(case: &Case<'_>, at: usize) -> Option<Value> {
    match case.outcome.key.as_str() {
        "expect" | "exactly" => Some(json_of(&case.outcome.value)),
        "documents" => case.outcome.value.as_list()?.get(at).map(Node::to_json),
        _ => None,
    }
}

/// Whether an expectation says something of the output at `path` (dotted, relative to `expected`).
/// A spread (`*`) is spoken of by any member that no other output explains.
fn speaks_of(expected: &Value, path: &str, prefix: &str, explicit: &HashSet<&str>) -> bool {
    let Value::Object(members) = expected else {
        return true;
    };
    if path == "*" {
        return members.keys().any(|key| {
            let full = format!("{prefix}{key}");
            !explicit.iter().any(|name| {
                *name == full
                    || name
                        .strip_prefix(full.as_str())
                        .is_some_and(|rest| rest.starts_with('.'))
            })
        });
    }
    members.iter().any(|(key, value)| {
        path == key
            || path
                .strip_prefix(key.as_str())
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|rest| speaks_of(value, rest, &format!("{prefix}{key}."), explicit))
    })
}

/// Hold what there is against what was seen.
pub fn measure<'a>(
    mappings: impl Iterator<Item = &'a Mapping>,
    seen: &Seen,
    files: &Files,
) -> Coverage {
    let mut rules = BTreeMap::new();
    let mut types = BTreeMap::new();
    let mut fields = BTreeMap::new();
    for mapping in mappings {
        for rule in &mapping.rules {
            for output in outputs(rule, &mapping.origin) {
                if mapping.origin.own_files.contains(&output.place.file) {
                    fields.insert(files.place(output.place), (output.path, output.rule));
                }
            }
            if rule.depth > 0 {
                continue;
            }
            let place = files.place(rule.place);
            for name in types_named(rule, mapping) {
                types.insert(name, (place.clone(), rule.name.to_string()));
            }
            rules.insert(place, rule.name.to_string());
        }
    }
    Coverage {
        rules: measured(
            rules.iter().map(|(place, name)| (place, name, name)),
            &seen.rules,
            |one| &one.place,
        ),
        types: measured(
            types
                .iter()
                .map(|(name, (place, rule))| (place, rule, name)),
            &seen.types,
            |one| &one.name,
        ),
        fields: measured(
            fields
                .iter()
                .map(|(place, (path, rule))| (place, rule, path)),
            &seen.fields,
            |one| &one.place,
        ),
    }
}

fn measured<'a>(
    all: impl Iterator<Item = (&'a String, &'a String, &'a String)>,
    seen: &HashSet<String>,
    key: fn(&Untouched) -> &String,
) -> Measure {
    let all: BTreeSet<Untouched> = all
        .map(|(place, rule, name)| Untouched {
            place: place.clone(),
            rule: rule.clone(),
            name: name.clone(),
        })
        .collect();
    Measure {
        total: all.len(),
        untouched: all
            .into_iter()
            .filter(|one| !seen.contains(key(one)))
            .collect(),
    }
}

/// Types of the catalogue that a rule is on; a rule on everything names none.
fn types_named(rule: &Rule, mapping: &Mapping) -> Vec<String> {
    let Some(catalogue) = mapping.target.catalogue else {
        return Vec::new();
    };
    if rule.on.iter().all(|pattern| pattern.text == "*") {
        return Vec::new();
    }
    check::types_of(rule, catalogue)
        .into_iter()
        .map(|event| event.name.clone())
        .collect()
}
