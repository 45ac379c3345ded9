//! Can two connectors send one event to the same system under the same identity?
//!
//! Such systems drop the second document of an identity, over all their sources and workspaces:
//! a silent loss. So it is refused where it is certain, and told where it is possible.

use super::model::{Config, ConnectorConfig, MessageId};
use crate::diagnostics::Diagnostic;

/// One message for each pair of connectors that can.
pub(super) fn check(config: &Config, diagnostics: &mut Vec<Diagnostic>) {
    let all: Vec<(&String, &ConnectorConfig)> = config.connectors.iter().collect();
    for (at, (second_name, second)) in all.iter().enumerate() {
        for (first_name, first) in &all[..at] {
            if !same_way(first, second) || !share_events(first, second) {
                continue;
            }
            let text = format!(
                "the connectors `{first_name}` and `{second_name}` can both send one event to {} \
                 under the same identity, and it drops the second",
                second.sink.plugin.name
            );
            // Two different conditions may well exclude each other; nobody can tell from outside.
            let may_differ = match (&first.when, &second.when) {
                (Some(one), Some(other)) => one.as_str() != other.as_str(),
                _ => false,
            };
            let message = if may_differ {
                Diagnostic::warning("same-identity", second.span, text)
                    .note("this is fine if the two `when` never hold for the same event")
            } else {
                Diagnostic::error("same-identity", second.span, text)
            };
            diagnostics.push(
                message
                    .label("set `message_id: connector` here, or select other events")
                    .related(first.span, "the other one"),
            );
        }
    }
}

fn same_way(first: &ConnectorConfig, second: &ConnectorConfig) -> bool {
    let both_event = first.message_id == MessageId::Event && second.message_id == MessageId::Event;
    let has_identity = second
        .sink
        .plugin
        .document
        .is_some_and(|document| document.identity.is_some());
    both_event
        && has_identity
        && first.source == second.source
        && first.sink.plugin.name == second.sink.plugin.name
}

fn share_events(first: &ConnectorConfig, second: &ConnectorConfig) -> bool {
    let everything = ["*".to_owned()];
    let of = |connector: &'_ ConnectorConfig| -> Vec<String> {
        if connector.events.include.is_empty() {
            everything.to_vec()
        } else {
            connector.events.include.clone()
        }
    };
    let excluded = |pattern: &str| {
        first
            .events
            .exclude
            .iter()
            .chain(&second.events.exclude)
            .any(|exclude| covers(exclude, pattern))
    };
    let second_patterns = of(second);
    of(first)
        .iter()
        .filter(|pattern| !excluded(pattern))
        .any(|one| {
            second_patterns
                .iter()
                .filter(|pattern| !excluded(pattern))
                .any(|other| intersect(one.as_bytes(), other.as_bytes()))
        })
}

/// Whether every text that `inner` matches is matched by `outer` as well. A `*` of `inner` is
/// taken as a letter that only a `*` of `outer` matches, so a yes is certain.
fn covers(outer: &str, inner: &str) -> bool {
    matches(outer.as_bytes(), inner.as_bytes())
}

/// Whether a glob matches a text; `*` stands for any characters.
pub(super) fn matches(glob: &[u8], text: &[u8]) -> bool {
    match glob.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        Some((first, rest)) => text.split_first().is_some_and(|(letter, text)| {
            letter == first && *letter != b'*' && matches(rest, text)
        }),
    }
}

/// Whether there is a text that both globs match.
fn intersect(one: &[u8], other: &[u8]) -> bool {
    match (one.split_first(), other.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            intersect(rest, other) || (!other.is_empty() && intersect(one, &other[1..]))
        }
        (_, Some((b'*', rest))) => {
            intersect(one, rest) || (!one.is_empty() && intersect(&one[1..], other))
        }
        (Some((a, one)), Some((b, other))) => a == b && intersect(one, other),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_meet_where_a_text_matches_both() {
        for (one, other, meet) in [
            ("a.*", "a.b", true),
            ("a.*", "*.b", true),
            ("a.*", "b.*", false),
            ("a", "a", true),
            ("a", "b", false),
            ("*", "x", true),
            ("a*c", "ab*", true),
            ("a*c", "*d", false),
        ] {
            assert_eq!(
                intersect(one.as_bytes(), other.as_bytes()),
                meet,
                "{one} {other}"
            );
        }
        assert!(covers("a.*", "a.b.*"));
        assert!(!covers("a.b", "a.*"));
        assert!(covers("*", "*"));
    }
}
