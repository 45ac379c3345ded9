//! Plain texts that stand where a field of the event may be meant: `properties.url`, `$time`.
//!
//! A text without `$` is told only where a type of the rule has the field, or one that it can be a
//! slip of: names with dots in them, hosts and versions are ordinary constants. So is a name in
//! braces; a path in braces is told always.

use sluice_sdk::catalogue::EventType;

use super::events::{FieldUses, knows};
use crate::diagnostics::{Diagnostic, Span, nearest};
use crate::mapping::OPERATORS;
use crate::mapping::paths::is_path;

/// Look at all texts of all rules.
pub fn texts(texts: &FieldUses<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for ((span, text, _), types) in &texts.uses {
        if text.contains('{') {
            diagnostics.extend(in_braces(*span, text, types));
            continue;
        }
        let behind_sign = text.strip_prefix('$');
        let dotted = behind_sign.unwrap_or(text);
        if OPERATORS.contains(&text.as_str())
            && !types
                .iter()
                .any(|event| event.fields.iter().any(|field| field.path == dotted))
        {
            diagnostics.push(operator(*span, text));
            continue;
        }
        let mut field = field_meant(dotted, types);
        if behind_sign.is_some() && field.is_none() {
            let all = types.iter().flat_map(|event| &event.fields);
            field = nearest(dotted, all.map(|one| one.path.as_str())).map(str::to_owned);
        }
        let (make, what): (fn(_, _, _) -> _, _) = match (behind_sign, &field) {
            (None, None) => continue,
            (None, Some(_)) => (Diagnostic::warning, "the same for every event"),
            (Some(_), None) => (Diagnostic::warning, "a path begins with `$.`"),
            (Some(_), Some(_)) => (Diagnostic::error, "a path begins with `$.`"),
        };
        let meant = field.unwrap_or_else(|| dotted.to_owned());
        diagnostics.push(
            make(
                "text-like-path",
                *span,
                format!("this is the text `{text}`; {what}"),
            )
            .label(format!("did you mean `$.{meant}`?"))
            .note(format!(
                "if the text itself is meant: `{{ $const: {text} }}`"
            )),
        );
    }
}

/// An operator without its braces.
fn operator(span: Span, text: &str) -> Diagnostic {
    let value = if text == "$omit" { "true" } else { "…" };
    Diagnostic::warning(
        "text-like-path",
        span,
        format!("this is the text `{text}`; an operator stands in braces"),
    )
    .label(format!("write `{{ {text}: {value} }}`"))
    .note(format!(
        "if the text itself is meant: `{{ $const: {text} }}`"
    ))
}

/// A text with a path in braces, as `$text` has it and other languages have it everywhere.
fn in_braces(span: Span, text: &str, types: &[&EventType]) -> Option<Diagnostic> {
    let (mut meant, mut rest, mut count) = (String::new(), text, 0);
    while let Some(open) = rest.find('{') {
        let inside = rest[open..].trim_start_matches('{');
        let Some(len) = inside.find('}') else { break };
        let behind = inside[len..].trim_start_matches('}');
        let (path, default) = match inside[..len].split_once('|') {
            Some((path, default)) => (path.trim(), format!(" | {}", default.trim())),
            None => (inside[..len].trim(), String::new()),
        };
        let path = if is_path(path) {
            Some(path.to_owned())
        } else {
            let name = path.strip_prefix('$').unwrap_or(path);
            field_meant(name, types).map(|field| format!("$.{field}"))
        };
        let whole = &rest[open..rest.len() - behind.len()];
        let before = rest[..open].replace('}', "}}");
        if let Some(path) = path {
            // `${path}`, as a shell has it.
            meant.push_str(before.strip_suffix('$').unwrap_or(&before));
            meant.push_str(&format!("{{{path}{default}}}"));
            count += 1;
        } else {
            meant.push_str(&before);
            meant.push_str(&whole.replace('{', "{{").replace('}', "}}"));
        }
        rest = behind;
    }
    if count == 0 {
        return None;
    }
    meant.push_str(&rest.replace('{', "{{").replace('}', "}}"));
    let message = format!("this is the text `{text}`, the same for every event");
    Some(
        Diagnostic::warning("text-like-path", span, message)
            .label(format!(
                "write `{{ $text: {} }}`",
                serde_json::Value::from(meant)
            ))
            .note(format!(
                "if the text itself is meant: `{{ $const: {} }}`",
                serde_json::Value::from(text)
            )),
    )
}

/// The field that a dotted name means: one that some type has, or one beside it of a similar name.
fn field_meant(dotted: &str, types: &[&EventType]) -> Option<String> {
    let types = types.iter().filter(|event| !event.fields.is_empty());
    if types.clone().any(|event| knows(event, dotted)) {
        return Some(dotted.to_owned());
    }
    let (parent, name) = dotted.rsplit_once('.').unwrap_or(("", dotted));
    let beside = types.flat_map(|event| &event.fields).filter_map(|field| {
        match field.path.rsplit_once('.') {
            Some((above, name)) => (above == parent).then_some(name),
            None => parent.is_empty().then_some(field.path.as_str()),
        }
    });
    let near = nearest(name, beside)?;
    Some(match parent {
        "" => near.to_owned(),
        parent => format!("{parent}.{near}"),
    })
}
