//! `${NAME}` and `${NAME:-default}` in texts: from a tree with places to JSON with values.

use serde_json::{Map, Value};

use super::Mode;
use crate::diagnostics::{Diagnostic, Kind, Node, Span};

/// JSON with the values filled in, and what is known of the places where they stood.
pub(super) struct Resolved {
    /// Empty keys (`contact:` with nothing behind) count as not given and are left out.
    pub value: Value,
    /// JSON pointers of texts whose value is not known; the text stands there as it is.
    pub open: Vec<String>,
    /// Variables that have no value, each with the JSON pointer of the text that names it.
    pub unset: Vec<(String, String)>,
    /// JSON pointers of texts that came from the environment. Their values are never shown.
    pub filled: Vec<String>,
}

struct Resolver<'a> {
    mode: Mode,
    env: &'a dyn Fn(&str) -> Option<String>,
    /// Values that are secrets.
    secrets: &'a [&'a Node],
    open: Vec<String>,
    unset: Vec<(String, String)>,
    filled: Vec<String>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

/// Fill in what the environment has.
pub(super) fn resolve(
    node: &Node,
    mode: Mode,
    env: &dyn Fn(&str) -> Option<String>,
    secrets: &[&Node],
    diagnostics: &mut Vec<Diagnostic>,
) -> Resolved {
    let mut resolver = Resolver {
        mode,
        env,
        secrets,
        open: Vec::new(),
        unset: Vec::new(),
        filled: Vec::new(),
        diagnostics,
    };
    let value = resolver.node(node, "");
    Resolved {
        value,
        open: resolver.open,
        unset: resolver.unset,
        filled: resolver.filled,
    }
}

/// What a text became.
enum Text {
    Plain(String),
    Filled(String),
    Open,
}

impl Resolver<'_> {
    fn node(&mut self, node: &Node, pointer: &str) -> Value {
        match &node.kind {
            // Nobody needs it, so it may be missing, empty or wrong. The token of the admin listener is
            // needed, to ask the process.
            Kind::Text { value, .. }
                if self.mode == Mode::Inspect
                    && self.is_secret(node)
                    && !pointer.starts_with("/admin/") =>
            {
                self.open.push(pointer.to_owned());
                Value::String(value.clone())
            }
            Kind::Text { value, .. }
                if self.is_secret(node) && self.is_without_braces(node, value) =>
            {
                self.open.push(pointer.to_owned());
                Value::String(value.clone())
            }
            Kind::Text { value, .. } => match self.text(node, value, pointer) {
                Text::Plain(text) => Value::String(text),
                // Told as an empty secret, not as a missing key.
                Text::Filled(text)
                    if text.is_empty() && self.is_secret(node) && !value.contains(":-") =>
                {
                    self.open.push(pointer.to_owned());
                    Value::String(value.clone())
                }
                Text::Filled(text) if text.is_empty() => Value::Null,
                Text::Filled(text) => {
                    self.filled.push(pointer.to_owned());
                    Value::String(text)
                }
                Text::Open => {
                    self.open.push(pointer.to_owned());
                    Value::String(value.clone())
                }
            },
            Kind::List(items) => Value::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| self.node(item, &format!("{pointer}/{at}")))
                    .collect(),
            ),
            Kind::Map(entries) if self.is_without_dollar(node) => {
                self.open.push(pointer.to_owned());
                Value::String(format!("${{{}}}", entries[0].key))
            }
            Kind::Map(entries) => {
                let mut map = Map::new();
                for entry in entries {
                    let step = entry.key.replace('~', "~0").replace('/', "~1");
                    let value = self.node(&entry.value, &format!("{pointer}/{step}"));
                    if !value.is_null() {
                        map.insert(entry.key.clone(), value);
                    }
                }
                Value::Object(map)
            }
            Kind::Null | Kind::Bool(_) | Kind::Number(_) => node.to_json(),
        }
    }

    fn text(&mut self, node: &Node, text: &str, pointer: &str) -> Text {
        let mut out = String::new();
        let mut at = 0;
        let mut is_filled = false;
        let mut is_open = false;
        while let Some(found) = text[at..].find("${") {
            let start = at + found;
            if text[..start].ends_with('$') && start > at {
                out.push_str(&text[at..start - 1]);
                out.push_str("${");
                at = start + 2;
                continue;
            }
            out.push_str(&text[at..start]);
            let Some(len) = text[start..].find('}') else {
                self.bad(node, start, text.len() - start, "it has no closing `}`");
                return Text::Open;
            };
            let inside = &text[start + 2..start + len];
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            if !is_name(name) {
                let why = "a variable's name has letters, digits and `_` only";
                self.bad(node, start, len + 1, why);
                return Text::Open;
            }
            let found = (self.env)(name).filter(|value| default.is_none() || !value.is_empty());
            match found.or_else(|| default.map(str::to_owned)) {
                Some(value) => {
                    out.push_str(&value);
                    is_filled = true;
                }
                None => {
                    is_open = true;
                    self.unset.push((pointer.to_owned(), name.to_owned()));
                    if self.mode == Mode::Run {
                        self.missing(node, name, start, len + 1);
                    }
                }
            }
            at = start + len + 1;
        }
        out.push_str(&text[at..]);
        match (is_open, is_filled) {
            (true, _) => Text::Open,
            (false, true) => Text::Filled(out),
            (false, false) => Text::Plain(out),
        }
    }

    /// `$NAME`, or what other programs write for it, where a secret stands; told.
    fn is_without_braces(&mut self, node: &Node, text: &str) -> bool {
        let Some(name) = variable_meant(text) else {
            return false;
        };
        let message = format!("`{text}` is taken as it stands here");
        self.meant(node.span, message, name);
        true
    }

    /// `{NAME}`, which YAML reads as a map; told.
    fn is_without_dollar(&mut self, node: &Node) -> bool {
        let Some([entry]) = node.as_map() else {
            return false;
        };
        let is_shouted = |name: &str| is_name(name) && !name.contains(|c: char| c.is_lowercase());
        if !matches!(entry.value.kind, Kind::Null) || !is_shouted(&entry.key) {
            return false;
        }
        let message = format!("`{{{}}}` is a map in YAML", entry.key);
        self.meant(node.span, message, &entry.key);
        true
    }

    fn meant(&mut self, span: Span, message: String, name: &str) {
        self.diagnostics.push(
            Diagnostic::error("bad-placeholder", span, message)
                .label(format!("did you mean `${{{name}}}`?")),
        );
    }

    fn is_secret(&self, node: &Node) -> bool {
        self.secrets.iter().any(|secret| secret.span == node.span)
    }

    fn missing(&mut self, node: &Node, name: &str, offset: usize, len: usize) {
        let label = if self.is_secret(node) {
            "set it in the environment".to_owned()
        } else {
            format!("set it in the environment, or give a default: `${{{name}:-default}}`")
        };
        self.diagnostics.push(
            Diagnostic::error(
                "missing-variable",
                node.text_part(offset, len),
                format!("the environment variable `{name}` is not set"),
            )
            .label(label),
        );
    }

    fn bad(&mut self, node: &Node, offset: usize, len: usize, why: &str) {
        self.diagnostics.push(
            Diagnostic::error(
                "bad-placeholder",
                node.text_part(offset, len),
                format!("this is no `${{NAME}}` or `${{NAME:-default}}`: {why}"),
            )
            .label("a plain `${` is written `$${`"),
        );
    }
}

/// The variable of a text that some other program would replace: `$NAME`, `$(NAME)`, `{NAME}`,
/// `{{NAME}}`, `env:NAME`.
pub(super) fn variable_meant(text: &str) -> Option<&str> {
    const FORMS: [(&str, &str); 5] = [
        ("$(", ")"),
        ("$", ""),
        ("{{", "}}"),
        ("{", "}"),
        ("env:", ""),
    ];
    FORMS.iter().find_map(|(before, after)| {
        let name = text.strip_prefix(before)?.strip_suffix(after)?.trim();
        is_name(name).then_some(name)
    })
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())
        && name
            .chars()
            .all(|char| char == '_' || char.is_ascii_alphanumeric())
}
