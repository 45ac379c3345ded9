//! What an event became, as one JSON object.

use serde_json::{Map, Value, json};

use crate::diagnostics::Files;
use crate::mapping::{Explained, Field, LookedAt, Mapped, Read, Stopped, Target};

/// The line of one event.
pub fn line(
    (event_type, id): (Option<&str>, &str),
    explained: &Explained,
    explain: bool,
    target: &Target,
    files: &Files,
) -> Value {
    let mut all = json!({
        "event_type": event_type,
        "id": (!id.is_empty()).then_some(id),
        "outcome": word(&explained.outcome),
    });
    match &explained.outcome {
        Mapped::Documents(documents) => {
            all["documents"] = documents
                .iter()
                .map(|document| {
                    json!({
                        "rule": document.rule.as_ref(),
                        "name": document.name.as_deref(),
                        "identity": document.identity(target.document),
                        "document": serde_json::from_slice::<Value>(&document.body)
                            .unwrap_or_default(),
                    })
                })
                .collect();
        }
        Mapped::Skipped { reason, rule } => {
            all["reason"] = json!(reason);
            all["rule"] = json!(rule);
        }
        Mapped::Dead {
            reason,
            detail,
            rule,
        } => {
            all["reason"] = json!(reason);
            all["detail"] = json!(detail);
            all["rule"] = json!(rule);
        }
        Mapped::Unmapped | Mapped::NotSelected => {}
    }
    if explain {
        all["rules"] = explained.rules.iter().map(|one| rule(one, files)).collect();
        all["fields"] = explained
            .fields
            .iter()
            .map(|one| field(one, files))
            .collect();
        all["stopped"] = explained
            .stopped
            .iter()
            .map(|one| stopped(one, files))
            .collect();
    }
    all
}

/// The outcome in one word.
pub fn word(outcome: &Mapped) -> &'static str {
    match outcome {
        Mapped::Documents(_) => "documents",
        Mapped::Skipped { .. } => "skipped",
        Mapped::Dead { .. } => "dead_letter",
        Mapped::Unmapped => "unmapped",
        Mapped::NotSelected => "not_selected",
    }
}

fn reads(reads: &[Read]) -> Value {
    let members: Map<String, Value> = reads
        .iter()
        .map(|read| (read.path.clone(), read.value.clone().unwrap_or_default()))
        .collect();
    Value::Object(members)
}

fn rule(rule: &LookedAt, files: &Files) -> Value {
    json!({"rule": rule.rule, "ran": rule.ran, "verdict": rule.verdict, "when": rule.when,
           "reads": reads(&rule.reads), "place": files.place(rule.place)})
}

fn field(field: &Field, files: &Files) -> Value {
    json!({"field": field.path, "value": field.value, "source": field.output.source,
           "conversions": field.output.conversions, "reads": reads(&field.reads),
           "rule": field.output.rule, "document": field.output.document,
           "template": field.output.template, "place": files.place(field.output.place)})
}

fn stopped(stopped: &Stopped, files: &Files) -> Value {
    json!({"reason": stopped.reason, "dead_letter": stopped.is_dead, "field": stopped.output.path,
           "source": stopped.output.source, "reads": reads(&stopped.reads),
           "rule": stopped.output.rule, "document": stopped.output.document,
           "template": stopped.output.template, "place": files.place(stopped.output.place)})
}
