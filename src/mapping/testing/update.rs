//! `sluice test --update`: what came out is written where the test says something else.
//!
//! Edits are as small as they can be, so that comments and layout stay: where both sides have a value,
//! only that value is replaced; where members come or go, the one expectation is written anew.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::Mapped;
use super::case::Tried;
use super::compare::body;
use super::file::Case;
use crate::diagnostics::{Entry, Kind, Node, Span, yaml_block, yaml_flow};

/// A replacement in a test file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced.
    pub span: Span,
    /// By what.
    pub text: String,
}

/// What to write so that a failed case passes; empty if that cannot be said.
pub fn edits(case: &Case<'_>, tried: &Tried, text: &str) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut is_small = true;
    for difference in &tried.differences {
        if difference.path == "rule" && case.rule.is_some_and(|node| node.span == difference.place)
        {
            edits.extend(tried.rule.as_ref().map(|rule| Edit {
                span: difference.place,
                text: yaml_flow(&json!(rule)),
            }));
            continue;
        }
        match small(case, difference, text) {
            Some(edit) => edits.push(edit),
            None => is_small = false,
        }
    }
    if !is_small {
        edits.retain(|edit| case.rule.is_some_and(|node| node.span == edit.span));
        edits.extend(whole(case.outcome, &tried.explained.outcome, text));
    }
    edits
}

/// Replace one value. `None` where a member must come or go, or all is different.
fn small(case: &Case<'_>, difference: &super::Difference, text: &str) -> Option<Edit> {
    let is_outcome = difference.path.is_empty();
    let found = match (&difference.expected, &difference.found) {
        _ if is_outcome => return None,
        (None, _) => return None,
        (Some(_), Some(found)) => found.clone(),
        // In a part of a document, null is "not there".
        (Some(_), None) if case.outcome.key != "exactly" => Value::Null,
        (Some(_), None) => return None,
    };
    let node = node_at(&case.outcome.value, difference.place)?;
    Some(Edit {
        span: extent(node, text),
        text: yaml_flow(&found),
    })
}

/// The whole expectation, key and value.
fn whole(entry: &Entry, outcome: &Mapped, text: &str) -> Option<Edit> {
    let (key, value) = match outcome {
        Mapped::Documents(documents) => match documents.as_slice() {
            [one] => ("exactly", body(one)),
            many => ("documents", many.iter().map(body).collect()),
        },
        Mapped::Skipped { reason, .. } => ("skip", json!(reason)),
        Mapped::Dead { reason, .. } => ("dead_letter", json!(reason)),
        Mapped::Unmapped | Mapped::NotSelected => ("unmapped", json!(true)),
    };
    let start = entry.key_span.start as usize;
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let before = &text[line_start..start];
    let is_block = before.chars().all(|char| char == ' ' || char == '-');
    let written = if is_block {
        let members = Map::from_iter([(key.to_owned(), value)]);
        let indent = before.chars().count();
        yaml_block(&members, indent).trim().to_owned()
    } else {
        format!("{key}: {}", yaml_flow(&value))
    };
    Some(Edit {
        span: Span {
            end: extent(&entry.value, text).end,
            ..entry.key_span
        },
        text: written,
    })
}

fn node_at(node: &Node, span: Span) -> Option<&Node> {
    if node.span == span {
        return Some(node);
    }
    match &node.kind {
        Kind::Map(entries) => entries.iter().find_map(|entry| node_at(&entry.value, span)),
        Kind::List(items) => items.iter().find_map(|item| node_at(item, span)),
        _ => None,
    }
}

/// The bytes of a value without the space and comments behind it: a block's own span goes on to the
/// next token.
fn extent(node: &Node, text: &str) -> Span {
    let is_flow = text[node.span.start as usize..].starts_with(['{', '[']);
    let last = match &node.kind {
        Kind::Map(entries) if !is_flow => entries.last().map(|entry| &entry.value),
        Kind::List(items) if !is_flow => items.last(),
        _ => None,
    };
    let end = last.map_or(node.span.end, |last| extent(last, text).end);
    let written = &text[node.span.start as usize..end as usize];
    Span {
        end: node.span.start + u32::try_from(written.trim_end().len()).unwrap_or(0),
        ..node.span
    }
}

/// A text with edits done; edits of the same place must say the same.
///
/// # Errors
/// The place of two edits that contradict each other: rows that share one expectation.
pub fn apply(text: &str, edits: &[Edit]) -> Result<String, Span> {
    let mut all: BTreeMap<u32, &Edit> = BTreeMap::new();
    for edit in edits {
        match all.insert(edit.span.start, edit) {
            Some(other) if other != edit => return Err(edit.span),
            _ => {}
        }
    }
    let mut out = text.to_owned();
    let mut limit = u32::MAX;
    for edit in all.values().rev() {
        if edit.span.end > limit {
            return Err(edit.span);
        }
        out.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
        limit = edit.span.start;
    }
    Ok(out)
}
