//! Where a config holds secrets: so that no message shows them.

use serde_json::Value;

use super::{expected, schema};
use crate::diagnostics::{Entry, FileId, Files, Kind, Node, Span, key_meant};

/// Every value that stands where a schema says Secret, or may be one. `written` is the file as it
/// stands, `root` and `mended` what its misspelt keys were read as: what somebody calls a secret is
/// one, whatever the key was taken for.
pub(super) fn find<'a>(root: &'a Node, written: &'a Node, mended: &'a [Entry]) -> Vec<&'a Node> {
    let mut found = Vec::new();
    let top = schema::root_schema();
    let known = known_keys();
    let visitor = Visitor { known: &known };
    visitor.visit(&top, &top, root, &mut found);
    let sources: Vec<(&str, Value)> = sluice_sdk::sources()
        .into_iter()
        .map(|plugin| (plugin.name, schema::source_schema(plugin)))
        .collect();
    let sinks = sink_schemas();
    let entries = |key: &str| root.get(key).and_then(Node::as_map).unwrap_or_default();
    for entry in entries("sources") {
        visitor.section(&sources, &entry.value, &mut found);
    }
    for entry in entries("connectors") {
        if let Some(sink) = entry.value.get("sink") {
            visitor.section(&sinks, sink, &mut found);
        }
    }
    let names = all_secret_keys();
    by_name(root, &names, &mut found);
    by_name(written, &names, &mut found);
    for entry in mended {
        let mut all = Vec::new();
        scalars(&entry.value, &mut all);
        found.extend(all.into_iter().filter(|node| looks_random(node)));
    }
    found
}

/// A secret that a schema knows, as it is written.
pub(super) struct Written<'a> {
    /// The text, or `{file: path}`.
    pub node: &'a Node,
    /// The key it stands under.
    pub key: &'a str,
    /// The schema has this key; otherwise it takes any, as for headers.
    pub is_named: bool,
}

/// The values of all keys that are secrets, without what a wrong key might have been.
pub(super) fn written(root: &Node) -> Vec<Written<'_>> {
    let mut found = Vec::new();
    let top = schema::root_schema();
    walk(&top, &top, root, &mut found);
    let is_of =
        |section: &Node, name: &str| section.get("type").and_then(Node::as_str) == Some(name);
    let entries = |key: &str| root.get(key).and_then(Node::as_map).unwrap_or_default();
    for source in entries("sources").iter().map(|entry| &entry.value) {
        let all = sluice_sdk::sources().into_iter();
        for known in all.filter(|known| is_of(source, known.name)) {
            let schema = schema::source_schema(known);
            walk(&schema, &schema, source, &mut found);
        }
    }
    for (name, schema) in sink_schemas() {
        let sinks = entries("connectors")
            .iter()
            .filter_map(|entry| entry.value.get("sink"));
        for sink in sinks.filter(|sink| is_of(sink, name)) {
            walk(&schema, &schema, sink, &mut found);
        }
    }
    found
}

fn walk<'a>(root: &Value, schema: &Value, node: &'a Node, found: &mut Vec<Written<'a>>) {
    let named = expected::properties(root, schema);
    for entry in node.as_map().unwrap_or_default() {
        let Some(property) = expected::property(root, schema, &entry.key) else {
            continue;
        };
        if !is_secret(root, property, 0) {
            walk(root, property, &entry.value, found);
            continue;
        }
        let one = std::slice::from_ref(&entry.value);
        found.extend(
            entry
                .value
                .as_list()
                .unwrap_or(one)
                .iter()
                .map(|node| Written {
                    node,
                    key: &entry.key,
                    is_named: named.contains(&entry.key),
                }),
        );
    }
}

/// Whether a value is like what machines make for secrets: long, of letters and digits in one word.
fn looks_random(node: &Node) -> bool {
    const CHARS_MIN: usize = 16;
    node.as_str().is_some_and(|text| {
        text.len() >= CHARS_MIN
            && text.chars().any(|char| char.is_ascii_digit())
            && text.chars().any(char::is_alphabetic)
            && !text.contains(|char: char| char.is_whitespace() || "${}:".contains(char))
    })
}

/// Values under the name of a secret wherever they stand: the section around may be misspelt.
fn by_name<'a>(node: &'a Node, names: &[String], found: &mut Vec<&'a Node>) {
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                let is_one = !is_map(&entry.value) && sounds_secret(&entry.key);
                if names.contains(&entry.key) || is_one {
                    scalars(&entry.value, found);
                } else {
                    by_name(&entry.value, names, found);
                }
            }
        }
        Kind::List(items) => items.iter().for_each(|item| by_name(item, names, found)),
        _ => {}
    }
}

fn is_map(node: &Node) -> bool {
    matches!(node.kind, Kind::Map(_))
}

/// Whether a key that no schema knows is likely to hold a secret.
pub(super) fn sounds_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let words = [
        "secret",
        "token",
        "password",
        "passphrase",
        "pwd",
        "credential",
        "bearer",
        "private",
        "auth",
        "_key",
        "apikey",
    ];
    words.iter().any(|word| key.contains(word))
        || ["pass", "pw", "pat", "pin", "psk", "key"].contains(&key.as_str())
}

/// The paths of secrets that are in files.
pub(super) fn files(root: &Node) -> Vec<&Node> {
    let mut found = Vec::new();
    paths(root, &all_secret_keys(), &mut found);
    found
}

fn paths<'a>(node: &'a Node, names: &[String], found: &mut Vec<&'a Node>) {
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                if names.contains(&entry.key) {
                    files_in(&entry.value, found);
                } else {
                    paths(&entry.value, names, found);
                }
            }
        }
        Kind::List(items) => items.iter().for_each(|item| paths(item, names, found)),
        _ => {}
    }
}

/// `{file: path}`, or those of a list.
fn files_in<'a>(node: &'a Node, found: &mut Vec<&'a Node>) {
    match &node.kind {
        Kind::List(items) => items.iter().for_each(|item| files_in(item, found)),
        Kind::Map(entries) if entries.len() == 1 => found.extend(node.get("file")),
        _ => {}
    }
}

fn all_secret_keys() -> Vec<String> {
    let mut keys = secret_keys(&schema::root_schema());
    for plugin in sluice_sdk::sources() {
        keys.extend(secret_keys(&schema::source_schema(plugin)));
    }
    for (_, schema) in sink_schemas() {
        keys.extend(secret_keys(&schema));
    }
    keys
}

fn sink_schemas() -> Vec<(&'static str, Value)> {
    sluice_sdk::sinks()
        .into_iter()
        .map(|plugin| (plugin.name, schema::sink_schema(plugin)))
        .collect()
}

/// All keys that a config may have somewhere.
fn known_keys() -> Vec<String> {
    fn walk(schema: &Value, keys: &mut Vec<String>) {
        match schema {
            Value::Object(map) => {
                if let Some(Value::Object(properties)) = map.get("properties") {
                    keys.extend(properties.keys().cloned());
                }
                map.values().for_each(|part| walk(part, keys));
            }
            Value::Array(items) => items.iter().for_each(|part| walk(part, keys)),
            _ => {}
        }
    }
    let mut keys = Vec::new();
    walk(&schema::config_schema(), &mut keys);
    keys
}

/// Hide the secrets that are written out.
pub(super) fn hide(secrets: &[&Node], files: &mut Files) {
    for node in secrets {
        match node.as_str().filter(|text| text.contains("${")) {
            None => files.hide(node.span),
            Some(text) => {
                for (at, len) in written_out(text) {
                    files.hide(node.text_part(at, len));
                }
            }
        }
    }
}

/// What stands in a text besides names of variables: their defaults, and all around them.
fn written_out(text: &str) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        parts.push((at, found));
        let end = text[start..]
            .find('}')
            .map_or(text.len(), |len| start + len);
        if let Some(default) = text[start..end].find(":-") {
            let default = start + default + 2;
            parts.push((default, end - default));
        }
        at = (end + 1).min(text.len());
    }
    parts.push((at, text.len() - at));
    parts.retain(|(_, len)| *len > 0);
    parts
}

/// The same for a text that is no YAML: what stands behind the name of a secret, to the end of the
/// line and in the deeper lines below it.
pub(super) fn hide_in_text(file: FileId, files: &mut Files) {
    let keys = all_secret_keys();
    let mut spans = Vec::new();
    let mut start = 0;
    // How deep the line stands whose secret may go on below it.
    let mut above: Option<usize> = None;
    for line in files.text(file).split_inclusive('\n') {
        let depth = line.len() - line.trim_start().len();
        above = above.filter(|above| line.trim().is_empty() || depth > *above);
        let value = behind_name(line, &keys).filter(|at| !is_variable(&line[*at..]));
        if value.is_some() {
            above = above.or(Some(depth));
        }
        if let Some(at) = value.or(above.map(|_| 0)) {
            let at = at
                + line[at..]
                    .find(|char: char| !": \"'".contains(char))
                    .unwrap_or(0);
            let bytes = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            spans.push(Span {
                file,
                start: bytes(start + at),
                end: bytes(start + line.len()),
            });
        }
        start += line.len();
    }
    for span in spans {
        files.hide(span);
    }
}

/// The byte behind the first word of a line that is the name of a secret, or a slip of one.
fn behind_name(line: &str, keys: &[String]) -> Option<usize> {
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let is_part = |char: char| char.is_alphanumeric() || "_-".contains(char);
    let mut at = 0;
    line.split_inclusive(|char: char| !is_part(char))
        .find_map(|word| {
            at += word.len();
            let name = word.trim_end_matches(|char: char| !is_part(char));
            let is_one = !name.is_empty()
                && (keys.contains(&name)
                    || sounds_secret(name)
                    || key_meant(name, &keys).is_some());
            is_one.then_some(at - (word.len() - name.len()))
        })
}

/// Whether the rest of a line is a variable without a default.
fn is_variable(rest: &str) -> bool {
    rest.contains("${") && !rest.contains(":-")
}

/// Names of the keys of a schema, at any depth, whose values are secrets.
fn secret_keys(root: &Value) -> Vec<String> {
    fn walk(root: &Value, schema: &Value, keys: &mut Vec<String>) {
        match schema {
            Value::Object(map) => {
                if let Some(Value::Object(properties)) = map.get("properties") {
                    keys.extend(
                        properties
                            .iter()
                            .filter(|(_, property)| is_secret(root, property, 0))
                            .map(|(key, _)| key.clone()),
                    );
                }
                map.values().for_each(|part| walk(root, part, keys));
            }
            Value::Array(items) => items.iter().for_each(|part| walk(root, part, keys)),
            _ => {}
        }
    }
    let mut keys = Vec::new();
    walk(root, root, &mut keys);
    keys
}

fn is_secret_reference(schema: &Value) -> bool {
    schema
        .get("$ref")
        .and_then(Value::as_str)
        .is_some_and(|target| target == "#/$defs/Secret")
}

/// Whether a value of this schema is a secret or a list of them.
fn is_secret(root: &Value, schema: &Value, depth: usize) -> bool {
    if is_secret_reference(schema) {
        return true;
    }
    let schema = expected::follow(root, schema);
    depth < 8
        && (expected::branches(schema).any(|branch| is_secret(root, branch, depth + 1))
            || schema
                .get("items")
                .is_some_and(|items| is_secret(root, items, depth + 1)))
}

struct Visitor<'k> {
    known: &'k [String],
}

impl Visitor<'_> {
    fn section<'a>(&self, schemas: &[(&str, Value)], node: &'a Node, found: &mut Vec<&'a Node>) {
        let name = node.get("type").and_then(Node::as_str).unwrap_or_default();
        let is_known = schemas.iter().any(|(known, _)| *known == name);
        for (known, schema) in schemas {
            if !is_known || *known == name {
                self.visit(schema, schema, node, found);
            }
        }
    }

    fn visit<'a>(&self, root: &Value, schema: &Value, node: &'a Node, found: &mut Vec<&'a Node>) {
        if is_secret(root, schema, 0) {
            scalars(node, found);
            return;
        }
        match &node.kind {
            Kind::Map(entries) => {
                let known = expected::properties(root, schema);
                let holds_secrets = known.iter().any(|key| {
                    expected::property(root, schema, key).is_some_and(|it| is_secret(root, it, 0))
                });
                for entry in entries {
                    if let Some(property) = expected::property(root, schema, &entry.key) {
                        self.visit(root, property, &entry.value, found);
                    } else if holds_secrets && !self.is_elsewhere(entry) {
                        scalars(&entry.value, found);
                    }
                }
            }
            Kind::List(items) => {
                if let Some(schema) = expected::property(root, schema, "0") {
                    for item in items {
                        self.visit(root, schema, item, found);
                    }
                }
            }
            _ => {}
        }
    }

    /// A key of another section that stands here by mistake; its value is shown unless it is like a
    /// secret. What nobody knows may be one.
    fn is_elsewhere(&self, entry: &Entry) -> bool {
        self.known.contains(&entry.key) && !looks_random(&entry.value)
    }
}

/// A text, or all texts of a list. The path in `{file: path}` is none.
fn scalars<'a>(node: &'a Node, found: &mut Vec<&'a Node>) {
    match &node.kind {
        Kind::List(items) => items.iter().for_each(|item| scalars(item, found)),
        Kind::Map(entries) => entries
            .iter()
            .filter(|entry| entry.key != "file")
            .for_each(|entry| scalars(&entry.value, found)),
        Kind::Null => {}
        Kind::Bool(_) | Kind::Number(_) | Kind::Text { .. } => found.push(node),
    }
}
