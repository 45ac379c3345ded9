//! One case: its event made and mapped, the outcome compared.

use serde_json::Value;
use sluice_sdk::EventPlaces;
use sluice_sdk::catalogue::EventType;

use super::super::check::knows;
use super::super::merge::is_omit;
use super::super::run::NOT_OPTED_IN;
use super::super::syntax::wrong_type;
use super::super::{Explained, Mapped, Mapping};
use super::compare::compare;
use super::file::{Case, Given};
use super::{Difference, json_of};
use crate::diagnostics::{Diagnostic, Node, did_you_mean};

/// What came of a case.
pub struct Tried {
    /// The event's type.
    pub event_type: String,
    /// What it became, and how.
    pub explained: Explained,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Where that is not what was expected.
    pub differences: Vec<Difference>,
}

impl Tried {
    /// What may be the matter.
    pub fn hint(&self) -> Option<String> {
        let Mapped::Skipped { reason, .. } = &self.explained.outcome else {
            return None;
        };
        let is_opt_in = reason.starts_with(NOT_OPTED_IN) && !self.differences.is_empty();
        is_opt_in.then(|| {
            format!(
                "to opt in, put `events: {{ include: [{}] }}` at the top of the test file",
                self.event_type
            )
        })
    }
}

/// Run a case. `None` comes with an error: its event cannot be made.
pub fn try_out(
    case: &Case<'_>,
    mapping: &Mapping,
    places: &EventPlaces,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Tried> {
    let mut event = match case.given {
        Given::Sample(node) => {
            let event = sample_type(node, mapping, diagnostics)?;
            for with in &case.with {
                unknown_fields(with, "", event, diagnostics);
            }
            event.sample()
        }
        Given::Event(node) => json_of(node),
    };
    for with in &case.with {
        lay_over(&mut event, with);
    }
    let event_type = match case.given {
        Given::Sample(_) => EventPlaces::default().type_of(&event),
        Given::Event(_) => places.type_of(&event),
    };
    let event_type = event_type.unwrap_or_default();
    let explained = mapping.map_explained(&event_type, &event);
    let rule = match &explained.outcome {
        Mapped::Documents(documents) => documents.first().map(|one| one.rule.to_string()),
        Mapped::Skipped { rule, .. } | Mapped::Dead { rule, .. } => rule.clone(),
        Mapped::Unmapped | Mapped::NotSelected => None,
    };
    let differences = compare(case, rule.as_deref(), &explained.outcome);
    Some(Tried {
        event_type,
        explained,
        rule,
        differences,
    })
}

/// A case that wants a rule which is not there can never pass.
pub fn check_rule(case: &Case<'_>, mapping: &Mapping, diagnostics: &mut Vec<Diagnostic>) {
    let names = || mapping.rules().iter().map(|rule| rule.name.as_str());
    let Some(node) = case.rule else { return };
    let Some(wanted) = node.as_str() else { return };
    if !names().any(|name| name == wanted) {
        diagnostics.push(
            Diagnostic::error(
                "wrong-value",
                node.span,
                format!("there is no rule `{wanted}`"),
            )
            .label(did_you_mean(wanted, names())),
        );
    }
}

/// Fields laid over a sample that events of its type do not have.
fn unknown_fields(with: &Node, above: &str, event: &EventType, diagnostics: &mut Vec<Diagnostic>) {
    for entry in with.as_map().unwrap_or_default() {
        let path = match above {
            "" => entry.key.clone(),
            above => format!("{above}.{}", entry.key),
        };
        if knows(event, &path) {
            if !is_omit(&entry.value) {
                unknown_fields(&entry.value, &path, event, diagnostics);
            }
            continue;
        }
        let beside = event.fields.iter().filter_map(|field| {
            let rest = match above {
                "" => field.path.as_str(),
                above => field.path.strip_prefix(above)?.strip_prefix('.')?,
            };
            rest.split('.').next()
        });
        diagnostics.push(
            Diagnostic::warning(
                "unknown-field",
                entry.key_span,
                format!("no field `{path}` in {}", event.name),
            )
            .label(did_you_mean(&entry.key, beside)),
        );
    }
}

fn sample_type(
    node: &Node,
    mapping: &Mapping,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'static EventType> {
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
    Some(event)
}

/// Objects member by member; `{$omit: true}` takes a member away; all else is replaced.
fn lay_over(event: &mut Value, with: &Node) {
    let Some(entries) = with.as_map() else {
        *event = json_of(with);
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
