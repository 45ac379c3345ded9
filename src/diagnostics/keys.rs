//! Keys that a map does not have, and what they were meant to be: a slip of the finger, or another
//! word for the same.

use super::{Diagnostic, Entry, Kind, Node, nearest};

/// Words that people write for one another; one that is known is suggested for the others.
///
/// A word stands for its kinds as well: `key` for `signing_key`. It may stand in several groups. Where a group has two that are known, its first is meant.
const SYNONYMS: &[&[&str]] = &[
    // Of mappings and their tests.
    &[
        "when",
        "if",
        "where",
        "filter",
        "filters",
        "condition",
        "conditions",
        "only_if",
    ],
    &[
        "on",
        "sample",
        "events",
        "type",
        "types",
        "event",
        "event_type",
        "event_types",
        "trigger",
        "match",
        "matches",
        "for",
    ],
    &[
        "emit", "send", "output", "document", "then", "to", "body", "payload", "do",
    ],
    &["emit_each", "documents", "outputs"],
    &["skip", "exclude", "drop", "ignore", "discard", "reject"],
    &["continue", "fallthrough", "next", "proceed"],
    &["description", "comment", "title", "note", "notes"],
    &[
        "import", "imports", "include", "includes", "use", "uses", "extends", "base", "require",
    ],
    &["tables", "lookups", "lookup", "maps"],
    &["rules", "mappings", "mapping", "events"],
    &["expect", "expected", "output", "result", "then", "emit"],
    &["$from", "$path", "$field", "$get", "$source"],
    &["$as", "$type", "$cast", "$convert", "$format"],
    &["$default", "$fallback", "$else", "$or"],
    &["$lookup", "$table", "$map"],
    &[
        "$text",
        "$template",
        "$concat",
        "$join",
        "$string",
        "$format",
    ],
    &["$if", "$when", "$switch", "$case"],
    &["$each", "$map", "$for", "$foreach", "$loop"],
    &["$omit", "$remove", "$delete", "$unset", "$drop"],
    &["$const", "$literal", "$value", "$raw"],
    &["$copy", "$spread", "$merge", "$all"],
    // Of configs.
    &["type", "kind", "plugin"],
    &["sources", "inputs"],
    &["connectors", "connections", "pipelines", "routes", "flows"],
    &["source", "from", "input", "in"],
    &["sink", "destination", "target", "output", "to", "out"],
    &["mappings", "rules", "mapping", "map"],
    &["include", "only", "select", "allow"],
    &["listen", "address", "addr", "bind", "host", "port"],
    &["endpoint", "url", "uri", "address", "host"],
    &["path", "folder", "directory", "dir", "file"],
    &[
        "token", "key", "api_key", "secret", "bearer", "auth", "password",
    ],
    &["retain", "retention", "keep", "ttl", "max_age"],
    &["max_size", "size", "limit", "size_limit"],
    &["contact", "email", "mail", "owner", "notify"],
];

/// The known key that an unknown one was meant to be.
pub fn key_meant<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = found.to_lowercase();
    let same = || {
        let groups = SYNONYMS
            .iter()
            .filter(|group| group.contains(&lower.as_str()));
        let words = groups.flat_map(|group| group.iter());
        let mut words = words.filter(|word| **word != found);
        words.find_map(|word| {
            let is_kind_of =
                |known: &str| known.strip_suffix(word).is_some_and(|it| it.ends_with('_'));
            let mut all = known.iter().copied();
            all.clone()
                .find(|known| known == word)
                .or_else(|| all.find(|known| is_kind_of(known)))
        })
    };
    nearest(found, known.iter().copied()).or_else(same)
}

/// A key that does not belong where it stands.
pub fn unknown_key(entry: &Entry, known: &[&str], place: &str) -> Diagnostic {
    let meant = key_meant(&entry.key, known);
    Diagnostic::error(
        "unknown-key",
        entry.key_span,
        format!("{place} has no key `{}`", entry.key),
    )
    .label(meant.map_or_else(String::new, |meant| format!("did you mean `{meant}`?")))
    .note(format!("known here: {}", known.join(", ")))
}

/// Read unknown keys as those that they were meant to be, where these are free, and say so: nothing
/// is told then that would only follow from the slip. Gives what was renamed, with its new name.
pub fn mend_keys(
    node: &mut Node,
    known: &[&str],
    place: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Entry> {
    let Kind::Map(entries) = &mut node.kind else {
        return Vec::new();
    };
    let mut mended = Vec::new();
    for at in 0..entries.len() {
        let entry = &entries[at];
        if known.contains(&entry.key.as_str()) {
            continue;
        }
        let meant = key_meant(&entry.key, known);
        let is_taken = |name: &str| entries.iter().any(|other| excludes(&other.key, name));
        if let Some(meant) = meant.filter(|meant| !is_taken(meant)) {
            diagnostics.push(unknown_key(entry, known, place));
            meant.clone_into(&mut entries[at].key);
            mended.push(entries[at].clone());
        }
    }
    mended
}

/// Whether a key cannot stand beside another: of a rule's outcomes there is one.
fn excludes(key: &str, other: &str) -> bool {
    const OUTCOMES: &[&str] = &["emit", "emit_each", "skip"];
    key == other || OUTCOMES.contains(&key) && OUTCOMES.contains(&other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_word_for_a_key_is_known_and_a_slip_comes_first() {
        let rule = ["on", "when", "emit", "skip", "description"];
        for (found, meant) in [
            ("if", Some("when")),
            ("Where", Some("when")),
            ("event_type", Some("on")),
            ("emitt", Some("emit")),
            ("drop", Some("skip")),
            ("colour", None),
        ] {
            assert_eq!(key_meant(found, &rule), meant, "{found}");
        }
        let config = ["type", "token", "path", "listen"];
        assert_eq!(key_meant("types", &config), Some("type"));
        assert_eq!(key_meant("port", &config), Some("listen"));
        assert_eq!(
            key_meant("secret", &["url", "signing_key"]),
            Some("signing_key")
        );
    }
}
