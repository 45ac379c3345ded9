//! What differs, for people and machines.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::compare::{Change, Differences, Seen};
use crate::cli::output;
use crate::diagnostics::yaml_flow;
use crate::wording::number;

/// Columns of a value; the rest of it is cut.
const VALUE_CHARS: usize = 60;

/// A count of documents, then each kind of difference with its number and an example.
pub fn human(all: &Differences<'_>, old: &str, new: &str) -> String {
    let mut out = format!(
        "{} mapped by {old} and by {new}\n\n",
        number(all.events, "event")
    );
    let rows: Vec<Vec<String>> = [
        ("same", all.same),
        ("changed", all.changed),
        ("new", all.added),
        ("gone", all.gone),
    ]
    .into_iter()
    .map(|(word, count)| vec![format!("  documents {word}"), format!("{count:>10}")])
    .collect();
    out.push_str(&output::table(&rows));
    if !all.outcomes.is_empty() {
        let _ = writeln!(
            out,
            "\n{}",
            output::paint("1", "Events that become something else")
        );
        for ((was, is), seen) in by_count(all.outcomes.iter()) {
            let _ = writeln!(
                out,
                "{:>10}  {} → {}\n{:12}{}",
                seen.count,
                output::paint("31", was),
                output::paint("32", is),
                "",
                example(seen)
            );
        }
    }
    if !all.changes.is_empty() {
        let _ = writeln!(out, "\n{}", output::paint("1", "Documents that change"));
        for (change, seen) in by_count(all.changes.iter()) {
            let _ = writeln!(
                out,
                "{:>10}  {}  by {}\n{:12}{} → {}\n{:12}{}",
                seen.count,
                output::paint("1", &change.path),
                made_by(change),
                "",
                output::paint("31", &shown(seen.old.as_ref())),
                output::paint("32", &shown(seen.new.as_ref())),
                "",
                example(seen)
            );
        }
    }
    if all.others > 0 {
        let _ = writeln!(out, "\n{} more differences of other kinds", all.others);
    }
    if all.is_same() {
        out.push_str("\nAll documents are the same.\n");
    }
    out
}

/// The most frequent first.
fn by_count<'d, K>(all: impl Iterator<Item = (&'d K, &'d Seen)>) -> Vec<(&'d K, &'d Seen)> {
    let mut sorted: Vec<_> = all.collect();
    sorted.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.count));
    sorted
}

fn made_by(change: &Change) -> String {
    match &change.document {
        Some(name) => format!("rule {}, document {name}", change.rule),
        None => format!("rule {}", change.rule),
    }
}

fn example(seen: &Seen) -> String {
    let text = format!("for example {} {}", seen.event_type, seen.event_id);
    output::paint("2", text.trim_end())
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    output::cut(&yaml_flow(value), VALUE_CHARS)
}

/// The same as JSON.
pub fn machine(all: &Differences<'_>) -> Value {
    let changes: Vec<Value> = all
        .changes
        .iter()
        .map(|(change, seen)| {
            json!({"rule": change.rule, "document": change.document, "path": change.path,
                   "count": seen.count, "example": {"event_type": seen.event_type,
                   "event_id": seen.event_id, "old": seen.old, "new": seen.new}})
        })
        .collect();
    let outcomes: Vec<Value> = all
        .outcomes
        .iter()
        .map(|((was, is), seen)| {
            json!({"old": was, "new": is, "count": seen.count, "example":
                   {"event_type": seen.event_type, "event_id": seen.event_id}})
        })
        .collect();
    json!({
        "events": all.events,
        "documents": {"same": all.same, "changed": all.changed, "new": all.added,
                      "gone": all.gone},
        "outcomes": outcomes,
        "changes": changes,
        "others": all.others,
    })
}
