//! What can be said of rules before any event is there: against the source's catalogue and the sink's
//! documents, and of one rule against the others.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use sluice_sdk::catalogue::{Catalogue, EventType, FieldType};
use sluice_sdk::{DocumentKind, DocumentSpec, ValueRule};

use super::compile::{FieldUse, OmitUse};
use super::merge::Omitted;
use super::paths::is_like_path;
use super::plan::{Action, Expr, Object, Rule, Source};
use crate::diagnostics::{Diagnostic, Span, did_you_mean, nearest};

/// The catalogue's types that a rule is on.
pub fn types_of<'c>(rule: &Rule, catalogue: &'c Catalogue) -> Vec<&'c EventType> {
    catalogue
        .events
        .iter()
        .filter(|event| {
            rule.on.iter().any(|pattern| {
                pattern.matches(&event.name)
                    || event.aliases.iter().any(|alias| pattern.matches(alias))
            })
        })
        .collect()
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

fn knows(event: &EventType, dotted: &str) -> bool {
    // A type that is known by name only says nothing about its fields.
    dotted == "event_type"
        || event.fields.is_empty()
        || event.fields.iter().any(|field| {
            field.path == dotted
                || field
                    .path
                    .strip_prefix(dotted)
                    .is_some_and(|rest| rest.starts_with('.'))
                || (field.kind == FieldType::Object
                    && dotted
                        .strip_prefix(field.path.as_str())
                        .is_some_and(|rest| rest.starts_with('.')))
        })
}

/// Where fields are named, with all types of all rules that come by there.
#[derive(Default)]
pub struct FieldUses<'c> {
    uses: BTreeMap<(Span, String), Vec<&'c EventType>>,
}

impl<'c> FieldUses<'c> {
    /// Take in what one rule names.
    pub fn add(&mut self, fields: &[FieldUse], types: &[&'c EventType]) {
        for field in fields {
            let known = self
                .uses
                .entry((field.span, field.dotted.clone()))
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
        for ((span, dotted), types) in &self.uses {
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
                .map_or_else(String::new, |near| format!("did you mean `$.{near}`?"));
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

/// Rules that can never run, since an earlier one always takes their events.
pub fn unreachable(
    rules: &[Rule],
    catalogue: Option<&Catalogue>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (at, rule) in rules.iter().enumerate() {
        let names: Vec<String> = match catalogue {
            Some(catalogue) => types_of(rule, catalogue)
                .into_iter()
                .map(|event| event.name.clone())
                .collect(),
            None => rule.on.iter().map(|pattern| pattern.text.clone()).collect(),
        };
        if names.is_empty() {
            continue;
        }
        let catcher = |name: &str| {
            rules[..at].iter().find(|earlier| {
                earlier.when.is_none()
                    && !earlier.goes_on
                    && earlier.on.iter().any(|pattern| pattern.matches(name))
            })
        };
        let caught: Vec<Option<&Rule>> = names.iter().map(|name| catcher(name)).collect();
        let Some(Some(first)) = caught.first() else {
            continue;
        };
        // An overlay's rule is meant to stand before the imported ones.
        if caught
            .iter()
            .any(|by| by.is_none_or(|by| by.depth < rule.depth))
        {
            continue;
        }
        diagnostics.push(
            Diagnostic::warning(
                "unreachable-rule",
                rule.place,
                format!(
                    "the rule `{}` can never run: `{}` takes all its events",
                    rule.name, first.name
                ),
            )
            .label("move it up, or give the other a `when`")
            .related(first.place, "this one comes first"),
        );
    }
}

/// The documents of a rule against what the sink takes.
pub fn documents(rule: &Rule, spec: &DocumentSpec, diagnostics: &mut Vec<Diagnostic>) {
    let Action::Emit(documents) = &rule.action else {
        return;
    };
    for (_, document) in documents {
        document_is_valid(rule, document, spec, diagnostics);
    }
}

fn document_is_valid(
    rule: &Rule,
    document: &Object,
    spec: &DocumentSpec,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let is_open = !document.copies.is_empty() || !document.rests.is_empty();
    let meant = unknown_members(document, spec, diagnostics);
    let is_meant = |name: &str| meant.iter().any(|one| one == name);
    let member = |name: &str| {
        document
            .members
            .iter()
            .find(|member| member.key == name && !is_nothing(&member.value))
    };
    if spec.kinds.is_empty() {
        return;
    }
    let kind: &DocumentKind = match member(spec.kind_member) {
        None if is_open || is_meant(spec.kind_member) => return,
        None => {
            diagnostics.push(
                Diagnostic::error(
                    "missing-member",
                    rule.place,
                    format!(
                        "the document of `{}` has no `{}`",
                        rule.name, spec.kind_member
                    ),
                )
                .label(format!("one of {}", kind_names(spec))),
            );
            return;
        }
        Some(found) => match &found.value {
            Expr::Const(Value::String(name)) => {
                match spec.kinds.iter().find(|kind| kind.name == name) {
                    Some(kind) => kind,
                    // A path was meant, as was said.
                    None if is_like_path(name) => return,
                    None => {
                        diagnostics.push(
                            Diagnostic::error(
                                "unknown-kind",
                                found.span,
                                format!("the sink takes no documents of the kind `{name}`"),
                            )
                            .label(did_you_mean(name, spec.kinds.iter().map(|kind| kind.name)))
                            .note(format!("it takes: {}", kind_names(spec))),
                        );
                        return;
                    }
                }
            }
            // From the event or unknown: seen when it is there.
            _ => return,
        },
    };
    for alternatives in kind.required {
        if !is_open
            && alternatives
                .iter()
                .all(|name| member(name).is_none() && !is_meant(name))
        {
            let names: Vec<String> = alternatives
                .iter()
                .map(|name| format!("`{name}`"))
                .collect();
            diagnostics.push(Diagnostic::error(
                "missing-member",
                rule.place,
                format!(
                    "the document of `{}` is a {} and needs {}",
                    rule.name,
                    kind.name,
                    names.join(" or ")
                ),
            ));
        }
    }
    for (path, value_rule) in kind.members {
        check_member(document, path, *value_rule, diagnostics);
    }
}

/// Members that the sink refuses in any document. Gives the names they were meant to be, so that a
/// misspelt one is not said to be missing as well.
fn unknown_members(
    document: &Object,
    spec: &DocumentSpec,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let schema = (spec.schema)();
    let (Some(Value::Bool(false)), Some(Value::Object(known))) =
        (schema.get("additionalProperties"), schema.get("properties"))
    else {
        return Vec::new();
    };
    let kind = document
        .members
        .iter()
        .find_map(|member| match &member.value {
            Expr::Const(Value::String(name)) if member.key == spec.kind_member => {
                spec.kinds.iter().find(|kind| kind.name == name)
            }
            _ => None,
        });
    let what = match kind {
        Some(kind) if kind.name.starts_with(['a', 'e', 'i', 'o', 'u']) => {
            format!("an `{}`", kind.name)
        }
        Some(kind) => format!("a `{}`", kind.name),
        None => "a document".to_owned(),
    };
    let mut meant = Vec::new();
    for member in &document.members {
        if known.contains_key(&member.key) || matches!(member.value, Expr::Omit) {
            continue;
        }
        let names = || known.keys().map(String::as_str);
        meant.extend(nearest(&member.key, names()).map(str::to_owned));
        diagnostics.push(
            Diagnostic::error(
                "unknown-member",
                member.key_span,
                format!("{what} has no member `{}`", member.key),
            )
            .label(did_you_mean(&member.key, names()))
            .note(format!(
                "it has: {}",
                names().collect::<Vec<_>>().join(", ")
            )),
        );
    }
    meant
}

fn kind_names(spec: &DocumentSpec) -> String {
    spec.kinds
        .iter()
        .map(|kind| kind.name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn is_nothing(expr: &Expr) -> bool {
    matches!(expr, Expr::Omit | Expr::Const(Value::Null))
}

fn check_member(object: &Object, path: &str, rule: ValueRule, diagnostics: &mut Vec<Diagnostic>) {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let Some(member) = object.members.iter().find(|member| member.key == first) else {
        return;
    };
    match (&member.value, rest) {
        (Expr::Object(inner), Some(rest)) => check_member(inner, rest, rule, diagnostics),
        (_, Some(_)) => {}
        (value, None) => check_value(value, member.span, path, rule, diagnostics),
    }
}

fn check_value(
    value: &Expr,
    span: Span,
    name: &str,
    rule: ValueRule,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let expected = match rule {
        ValueRule::Text => "a text that is not empty",
        ValueRule::Time => "an ISO 8601 time with zone",
        ValueRule::Object => "an object",
    };
    let is_wrong = match (value, rule) {
        (Expr::Const(Value::Null) | Expr::Omit | Expr::Unknown | Expr::Path(_), _) => false,
        // A path was meant, as was said.
        (Expr::Const(Value::String(text)), _) if is_like_path(text) => false,
        (Expr::Const(Value::String(text)), ValueRule::Text) => text.is_empty(),
        (Expr::Const(Value::String(text)), ValueRule::Time) => {
            text.parse::<jiff::Timestamp>().is_err()
        }
        (Expr::Const(Value::Object(_)) | Expr::Object(_), ValueRule::Object) => false,
        (Expr::Const(_) | Expr::Object(_) | Expr::List(_), _) => true,
        (Expr::Operator(operator), rule) => match &operator.source {
            Source::If {
                then, otherwise, ..
            } if operator.conversions.is_empty() => {
                for branch in then.iter().chain(otherwise) {
                    check_value(branch, span, name, rule, diagnostics);
                }
                false
            }
            Source::Text(_) => rule == ValueRule::Object && operator.conversions.is_empty(),
            Source::Each { .. } => operator.conversions.is_empty(),
            _ => false,
        },
    };
    if is_wrong {
        diagnostics.push(Diagnostic::error(
            "wrong-member",
            span,
            format!("`{name}` must be {expected}"),
        ));
    }
}

/// Keys that are taken out of where they are not: of a template that many rules use, in all of them.
pub fn omits(omits: &[OmitUse], omitted: &Omitted, diagnostics: &mut Vec<Diagnostic>) {
    let mut said = HashSet::new();
    for omit in omits {
        if omitted.contains(&omit.span) || !said.insert(omit.span) {
            continue;
        }
        diagnostics.push(
            Diagnostic::warning(
                "omit-nothing",
                omit.key_span,
                format!("there is no `{}` here to take out", omit.key),
            )
            .label(did_you_mean(
                &omit.key,
                omit.others.iter().map(String::as_str),
            ))
            .note("`$omit` takes out what a template, an imported rule or a spread put in the same place"),
        );
    }
}

/// Templates and tables of the user's own that nothing asks for.
pub fn unused(
    parts: &[super::import::Part],
    used: &HashSet<String>,
    what: &str,
    code: &'static str,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for part in parts {
        let top = part.top();
        let is_own = part
            .layers
            .iter()
            .all(|layer| layer.depth == 0 && !layer.is_builtin);
        if is_own && !used.contains(&part.name) {
            diagnostics.push(
                Diagnostic::warning(
                    code,
                    top.span,
                    format!("nothing uses the {what} `{}`", part.name),
                )
                .label("remove it, or use it"),
            );
        }
    }
}
