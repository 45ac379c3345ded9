//! Documents of rules against what the sink takes.

use serde_json::Value;
use sluice_sdk::{DocumentKind, DocumentSpec, ValueRule};

use crate::diagnostics::{Diagnostic, Span, did_you_mean, nearest};
use crate::mapping::paths::is_like_path;
use crate::mapping::plan::{Action, Expr, Object, Rule, Source};

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
