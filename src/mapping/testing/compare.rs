//! Expectation against result: every place where the two part.

use serde_json::Value;

use super::super::expression::equals;
use super::super::{Mapped, MappedDocument};
use super::file::Case;
use super::{Difference, json_of};
use crate::diagnostics::{Node, Span};

/// All that is not as the case expects.
pub fn compare(case: &Case<'_>, rule: Option<&str>, outcome: &Mapped) -> Vec<Difference> {
    let mut found = Vec::new();
    if let Some(wanted) = case.rule
        && rule.is_none_or(|rule| wanted.as_str() != Some(rule))
    {
        let came = rule.map_or_else(|| format!("none: {}", said(outcome)), str::to_owned);
        found.push(Difference {
            path: "rule".to_owned(),
            expected: Some(json_of(wanted)),
            found: Some(Value::String(came)),
            place: wanted.span,
        });
    }
    compare_outcome(case, outcome, &mut found);
    found
}

fn compare_outcome(case: &Case<'_>, outcome: &Mapped, found: &mut Vec<Difference>) {
    let key = case.outcome.key.as_str();
    let wanted = &case.outcome.value;
    let mut documents = Comparison {
        is_partial: key != "exactly",
        found,
    };
    match (key, outcome) {
        ("expect" | "exactly", Mapped::Documents(got)) if got.len() == 1 => {
            documents.value(wanted, &body(&got[0]), "");
        }
        ("documents", Mapped::Documents(got)) => match wanted.as_list() {
            Some(list) if list.len() == got.len() => {
                for (at, (wanted, got)) in list.iter().zip(got).enumerate() {
                    documents.value(wanted, &body(got), &format!("[{at}]"));
                }
            }
            list => {
                let expected = format!("{} documents", list.map_or(1, <[Node]>::len));
                found.push(in_words(expected, outcome, case.outcome.key_span));
            }
        },
        ("skip", Mapped::Skipped { reason, .. }) | ("dead_letter", Mapped::Dead { reason, .. })
            if wanted.as_str() != Some(reason) =>
        {
            found.push(Difference {
                path: key.to_owned(),
                expected: Some(json_of(wanted)),
                found: Some(Value::String(reason.clone())),
                place: wanted.span,
            });
        }
        ("skip", Mapped::Skipped { .. })
        | ("dead_letter", Mapped::Dead { .. })
        | ("unmapped", Mapped::Unmapped | Mapped::NotSelected) => {}
        _ => {
            let expected = match (key, wanted.as_str()) {
                ("skip", Some(reason)) => format!("skipped: {reason}"),
                ("dead_letter", Some(reason)) => format!("a dead letter: {reason}"),
                ("unmapped", _) => "that no rule is on it".to_owned(),
                ("documents", _) => "documents".to_owned(),
                _ => "one document".to_owned(),
            };
            found.push(in_words(expected, outcome, case.outcome.key_span));
        }
    }
}

fn in_words(expected: String, outcome: &Mapped, place: Span) -> Difference {
    Difference {
        path: String::new(),
        expected: Some(Value::String(expected)),
        found: Some(Value::String(said(outcome))),
        place,
    }
}

/// What became of an event, in words.
fn said(outcome: &Mapped) -> String {
    match outcome {
        Mapped::Documents(documents) if documents.len() == 1 => "one document".to_owned(),
        Mapped::Documents(documents) => format!("{} documents", documents.len()),
        Mapped::Skipped { reason, .. } => format!("skipped: {reason}"),
        Mapped::Dead { reason, detail, .. } => format!("a dead letter: {reason} ({detail})"),
        Mapped::Unmapped => "that no rule is on it".to_owned(),
        Mapped::NotSelected => "that its type is not selected".to_owned(),
    }
}

/// A document as JSON.
pub fn body(document: &MappedDocument) -> Value {
    serde_json::from_slice(&document.body).unwrap_or_default()
}

struct Comparison<'a> {
    /// Objects may have more members than expected, and null is "not there".
    is_partial: bool,
    found: &'a mut Vec<Difference>,
}

impl Comparison<'_> {
    fn add(&mut self, path: &str, expected: Option<Value>, found: Option<Value>, place: Span) {
        let path = match path {
            "" => "the document".to_owned(),
            path => path.to_owned(),
        };
        self.found.push(Difference {
            path,
            expected,
            found,
            place,
        });
    }

    fn value(&mut self, wanted: &Node, got: &Value, path: &str) {
        let (Some(entries), Value::Object(members)) = (wanted.as_map(), got) else {
            let expected = json_of(wanted);
            if !equals(&expected, got) {
                self.add(path, Some(expected), Some(got.clone()), wanted.span);
            }
            return;
        };
        let below = |key: &str| match path {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        for entry in entries {
            let path = below(&entry.key);
            match members.get(&entry.key) {
                Some(other) => self.value(&entry.value, other, &path),
                None if self.is_partial && json_of(&entry.value).is_null() => {}
                None => {
                    let expected = Some(json_of(&entry.value));
                    self.add(&path, expected, None, entry.value.span);
                }
            }
        }
        if self.is_partial {
            return;
        }
        for (key, value) in members {
            if wanted.get(key).is_none() {
                self.add(&below(key), None, Some(value.clone()), wanted.span);
            }
        }
    }
}
