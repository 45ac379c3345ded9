//! Documents of rules against what the sink takes: kinds and names of members.

use serde_json::Value;
use sluice_sdk::{DocumentKind, DocumentSpec};

use super::wants::Wants;
use crate::diagnostics::{Diagnostic, Span, did_you_mean, nearest};
use crate::mapping::OPERATORS;
use crate::mapping::plan::{Expr, Object, Rule};
use crate::mapping::sets::import_of;

/// Something is wrong about the kind of a document; what else is, depends on it.
pub struct Wrong;

/// The kind of a document, and what can be said of it whatever the event is: its kind is known, no
/// member is there that the sink does not know, none is missing altogether.
///
/// `None` when the kind comes from the event.
///
/// # Errors
/// When something is wrong about the kind itself, which is said.
pub fn document(
    rule: &Rule,
    document: &Object,
    wants: &Wants,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Option<&'static DocumentKind>, Wrong> {
    let spec = wants.spec;
    let is_open = !document.copies.is_empty() || !document.rests.is_empty();
    let meant = unknown_members(document, wants, diagnostics);
    let is_meant = |name: &str| meant.iter().any(|one| one == name);
    let member = |name: &str| {
        document
            .members
            .iter()
            .find(|member| member.key == name && !is_nothing(&member.value))
    };
    if spec.kinds.is_empty() {
        return Ok(None);
    }
    let kind: &DocumentKind = match member(spec.kind_member) {
        None if is_meant(spec.kind_member) || is_meant("$extends") => return Err(Wrong),
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
                .label(if is_open {
                    "write it out: nobody knows what a spread will bring".to_owned()
                } else {
                    match import_of("rules", &rule.name) {
                        hint if rule.depth > 0 || hint.is_empty() => {
                            format!("one of {}", kind_names(spec))
                        }
                        hint => hint,
                    }
                }),
            );
            return Err(Wrong);
        }
        Some(found) => match &found.value {
            Expr::Const(Value::String(name)) => {
                match spec.kinds.iter().find(|kind| kind.name == name) {
                    Some(kind) => kind,
                    // A path was meant, as was said.
                    None if said_as_path(diagnostics, found.span) => return Err(Wrong),
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
                        return Err(Wrong);
                    }
                }
            }
            // From the event, or wrong in itself.
            _ => return Ok(None),
        },
    };
    for alternatives in kind.required {
        if !is_open
            && !is_meant("$extends")
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
    Ok(Some(kind))
}

fn said_as_path(diagnostics: &[Diagnostic], span: Span) -> bool {
    diagnostics
        .iter()
        .any(|one| one.code == "text-like-path" && one.span == Some(span))
}

/// Members that the sink refuses in any document. Gives the names they were meant to be, so that a
/// misspelt one is not said to be missing as well.
fn unknown_members(
    document: &Object,
    Wants { spec, schema, .. }: &Wants,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<String> {
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
        let operator = format!("${}", member.key);
        if OPERATORS.contains(&operator.as_str()) {
            let message = format!("{what} has no member `{}`", member.key);
            diagnostics.push(
                Diagnostic::error("unknown-member", member.key_span, message).label(format!(
                    "the language's own keys begin with `$`: `{operator}`"
                )),
            );
            meant.push(operator);
            continue;
        }
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
