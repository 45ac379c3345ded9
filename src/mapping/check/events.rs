//! Event types and fields that rules name, against the source's catalogue.

use std::collections::BTreeMap;

use sluice_sdk::catalogue::{Catalogue, EventType, FieldType};

use super::facts;
use super::findings::some;
use super::flow::is_below;
use crate::diagnostics::{Diagnostic, Span, did_you_mean, nearest};
use crate::mapping::compile::FieldUse;
use crate::mapping::expression::Expression;
use crate::mapping::plan::Rule;

/// The catalogue's types that a rule is on.
pub fn types_of<'c>(rule: &Rule, catalogue: &'c Catalogue) -> Vec<&'c EventType> {
    catalogue
        .events
        .iter()
        .filter(|event| is_on(rule, event))
        .collect()
}

/// Whether a rule is on a type, under whichever of its names.
pub fn is_on(rule: &Rule, event: &EventType) -> bool {
    rule.on.iter().any(|pattern| {
        pattern.matches(&event.name) || event.aliases.iter().any(|alias| pattern.matches(alias))
    })
}

/// Types that a rule names and the catalogue does not know.
pub fn unknown_types(rule: &Rule, catalogue: &Catalogue, diagnostics: &mut Vec<Diagnostic>) {
    for pattern in &rule.on {
        let Some(span) = pattern.span else { continue };
        if pattern.glob.is_none() && catalogue.event(&pattern.text).is_none() {
            diagnostics.push(
                Diagnostic::error(
                    "unknown-type",
                    span,
                    format!("there is no event type `{}` in the catalogue", pattern.text),
                )
                .label(did_you_mean(
                    &pattern.text,
                    catalogue.events.iter().map(|event| event.name.as_str()),
                ))
                .note("a type newer than the catalogue can be named by a glob, such as `….Open*`"),
            );
        } else if pattern.glob.is_some()
            && !catalogue
                .events
                .iter()
                .any(|event| pattern.matches(&event.name))
        {
            diagnostics.push(Diagnostic::warning(
                "glob-matches-nothing",
                span,
                format!("no event type in the catalogue is like `{}`", pattern.text),
            ));
        }
    }
}

/// Whether a rule names a type in full, and not by a glob.
pub fn is_named(rule: &Rule, event: &EventType) -> bool {
    rule.on
        .iter()
        .filter(|pattern| pattern.glob.is_none())
        .any(|pattern| pattern.text == event.name || event.aliases.contains(&pattern.text))
}

/// Whether events of this type can have something at this place.
pub fn knows(event: &EventType, dotted: &str) -> bool {
    // A type that is known by name only says nothing about its fields.
    dotted == "event_type"
        || event.fields.is_empty()
        || event.fields.iter().any(|field| {
            field.path == dotted
                || is_below(&field.path, dotted)
                || (field.kind == FieldType::Object && is_below(dotted, &field.path))
        })
}

/// A condition that can never hold for some of the types it is asked about, as they lack the field.
///
/// Where no type has it, the field itself is wrong, which is said elsewhere.
pub fn check_when(
    when: &Expression,
    span: Span,
    types: &[&EventType],
    whose: &str,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for clause in facts::when_holds(when) {
        let (with, without): (Vec<&EventType>, Vec<&EventType>) = types
            .iter()
            .partition(|event| clause.iter().any(|path| knows(event, path)));
        if with.is_empty() || without.is_empty() {
            continue;
        }
        let fields: Vec<String> = clause.iter().map(|path| format!("`{path}`")).collect();
        let names: Vec<String> = without.iter().map(|event| event.name.clone()).collect();
        let (all, count) = (types.len(), names.len());
        diagnostics.push(
            Diagnostic::warning(
                "when-never-holds",
                span,
                format!(
                    "{whose} needs {}, which {count} of the {all} types do not have",
                    fields.join(" or ")
                ),
            )
            .label("it never holds for these; leave them out, or ask for another field")
            .note(format!("without it: {}", some(&names))),
        );
    }
}

/// Where fields are named, with all types of all rules that come by there.
#[derive(Default)]
pub struct FieldUses<'c> {
    pub(super) uses: BTreeMap<(Span, String, char), Vec<&'c EventType>>,
}

impl<'c> FieldUses<'c> {
    /// Take in what one rule names.
    pub fn add(&mut self, fields: &[FieldUse], types: &[&'c EventType]) {
        for field in fields {
            let known = self
                .uses
                .entry((field.span, field.dotted.clone(), field.root))
                .or_default();
            for event in types {
                if !known.iter().any(|one| one.name == event.name) {
                    known.push(event);
                }
            }
        }
    }

    /// A field is wrong where no type that comes by has it: a template serves many types.
    pub fn check(&self, diagnostics: &mut Vec<Diagnostic>) {
        for ((span, dotted, root), types) in &self.uses {
            if types.is_empty() || types.iter().any(|event| knows(event, dotted)) {
                continue;
            }
            let fields = || {
                types
                    .iter()
                    .flat_map(|event| &event.fields)
                    .map(|field| field.path.as_str())
            };
            let place = match types.as_slice() {
                [one] => one.name.clone(),
                many => format!("any of the {} types that use it", many.len()),
            };
            let label = nearest(dotted, fields())
                .map_or_else(String::new, |near| format!("did you mean `{root}.{near}`?"));
            let mut known: Vec<&str> = fields()
                .filter(|path| {
                    path.rsplit_once('.').map(|(parent, _)| parent)
                        == dotted.rsplit_once('.').map(|(parent, _)| parent)
                })
                .map(|path| path.rsplit('.').next().unwrap_or(path))
                .collect();
            known.sort_unstable();
            known.dedup();
            let more = if known.len() > 12 { ", …" } else { "" };
            known.truncate(12);
            let note = if known.is_empty() {
                String::new()
            } else {
                format!("known here: {}{more}", known.join(", "))
            };
            diagnostics.push(
                Diagnostic::error(
                    "unknown-field",
                    *span,
                    format!("no field `{dotted}` in {place}"),
                )
                .label(label)
                .note(note)
                .note("a field newer than the catalogue comes along by `$rest`, or by `$copy` with `only`"),
            );
        }
    }
}
