//! Plain texts that stand where a field of the event may be meant: `properties.url`, `$time`.
//!
//! A text without `$` is told only where a type of the rule has the field, or one that it can be a
//! slip of: names with dots in them, hosts and versions are ordinary constants.

use sluice_sdk::catalogue::EventType;

use super::events::{FieldUses, knows};
use crate::diagnostics::{Diagnostic, nearest};

/// Look at all texts of all rules.
pub fn texts(texts: &FieldUses<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for ((span, text, _), types) in &texts.uses {
        let behind_sign = text.strip_prefix('$');
        let dotted = behind_sign.unwrap_or(text);
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
