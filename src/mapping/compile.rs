//! Trees of a file become plans: each operator read, each path and expression compiled.
//!
//! Every mistake is said where it stands. A wrong value becomes `Unknown`, so that one mistake makes
//! one message.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::convert::{self, Conversion};
use super::expression::Expression;
use super::merge::{is_omit, is_plain};
use super::paths::{Path, PathError, Root, bracketed, is_like_path, is_path};
use super::plan::{
    Action, Copy, Expr, Member, Object, Operator, Policy, Rest, Source, Taken, TextPart,
};
use super::syntax::{unknown_key, wrong_type};
use crate::diagnostics::{Diagnostic, Entry, Kind, Node, Span, did_you_mean};

/// Tables by name.
pub type Tables = HashMap<String, Arc<HashMap<String, Value>>>;

/// A place where a field of the event is named.
#[derive(Debug, Clone)]
pub struct FieldUse {
    /// Dotted place in the event.
    pub dotted: String,
    /// Where it is named.
    pub span: Span,
}

/// A place where something is taken out.
#[derive(Debug, Clone)]
pub struct OmitUse {
    /// Its name.
    pub key: String,
    /// Place of the name.
    pub key_span: Span,
    /// Place of the `{$omit: true}`.
    pub span: Span,
    /// What else is there.
    pub others: Vec<String>,
}

impl OmitUse {
    /// Those of a map. What a spread brings is not known before the event is.
    fn all(node: &Node) -> impl Iterator<Item = Self> + '_ {
        let entries = node.as_map().unwrap_or_default();
        let is_spread = |entry: &Entry| {
            matches!(entry.key.as_str(), "$copy" | "$rest") && !is_omit(&entry.value)
        };
        let omits = entries.iter().filter(|entry| is_omit(&entry.value));
        omits
            .filter(move |_| !entries.iter().any(is_spread))
            .map(move |omit| Self {
                key: omit.key.clone(),
                key_span: omit.key_span,
                span: omit.value.span,
                others: entries
                    .iter()
                    .filter(|entry| !is_omit(&entry.value) && !entry.key.starts_with('$'))
                    .map(|entry| entry.key.clone())
                    .collect(),
            })
    }
}

/// Reads trees.
pub struct Compiler<'a> {
    /// All tables.
    pub tables: &'a Tables,
    /// All problems.
    pub diagnostics: &'a mut Vec<Diagnostic>,
    /// Fields named so far.
    pub fields: Vec<FieldUse>,
    /// Keys taken out so far.
    pub omits: Vec<OmitUse>,
    /// Tables asked for.
    pub used_tables: HashSet<String>,
    /// Inside `$each`, or in a template that may be used there.
    pub item_is_known: bool,
}

const SOURCES: &[&str] = &["$from", "$const", "$lookup", "$text", "$if", "$each"];
const OPERATORS: &[&str] = &[
    "$from", "$as", "$default", "$missing", "$invalid", "$null", "$lookup", "$text", "$if",
    "$then", "$else", "$each", "$emit", "$rest", "$copy", "$const", "$extends", "$omit",
];

impl Compiler<'_> {
    fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> Expr {
        self.diagnostics
            .push(Diagnostic::error(code, span, message));
        Expr::Unknown
    }

    /// The outcome of a merged rule.
    pub fn action(&mut self, rule: &Node, name_span: Span) -> Option<Action> {
        if let Some(skip) = rule.entry("skip").filter(|entry| !is_omit(&entry.value)) {
            return Some(Action::Skip(
                skip.value.as_str().unwrap_or_default().to_owned(),
            ));
        }
        if let Some(emit) = rule.entry("emit").filter(|entry| !is_omit(&entry.value)) {
            return Some(Action::Emit(vec![(None, self.document(&emit.value)?)]));
        }
        if let Some(each) = rule
            .entry("emit_each")
            .filter(|entry| !is_omit(&entry.value))
        {
            let mut documents = Vec::new();
            self.omits.extend(OmitUse::all(&each.value));
            for entry in each.value.as_map()? {
                if !is_omit(&entry.value) {
                    documents.push((
                        Some(Arc::from(entry.key.as_str())),
                        self.document(&entry.value)?,
                    ));
                }
            }
            if documents.is_empty() {
                self.error(
                    "empty-emit-each",
                    each.key_span,
                    "`emit_each` has no documents",
                );
                return None;
            }
            return Some(Action::Emit(documents));
        }
        self.diagnostics.push(
            Diagnostic::error(
                "no-outcome",
                name_span,
                "this rule says not what becomes of its events",
            )
            .label("add `emit`, `emit_each` or `skip`"),
        );
        None
    }

    fn document(&mut self, node: &Node) -> Option<Object> {
        node.as_map()?;
        if !is_plain(node) {
            self.error(
                "wrong-type",
                node.span,
                "a document must be a plain object, not an operator",
            );
            return None;
        }
        let mut object = self.object(node, "");
        super::plan::settle_rests(&mut object);
        Some(object)
    }

    /// An expression of a text.
    pub fn condition(&mut self, node: &Node) -> Option<Expression> {
        let Some(text) = node.as_str() else {
            self.diagnostics
                .push(wrong_type(node, "a condition", "a text: an expression"));
            return None;
        };
        match Expression::parse(text) {
            Ok(expression) => Some(expression),
            Err(error) => {
                match single_equals(text) {
                    Some(at) => {
                        let error = PathError { at, ..error };
                        self.path_error("bad-expression", node, text, 0, &error, "use `==`");
                    }
                    None => self.path_error("bad-expression", node, text, 0, &error, "here"),
                }
                None
            }
        }
    }

    fn path_error(
        &mut self,
        code: &'static str,
        node: &Node,
        text: &str,
        offset: usize,
        error: &PathError,
        label: &str,
    ) {
        let at = error.at.min(text.len());
        let len = text
            .get(at..)
            .and_then(|rest| rest.chars().next())
            .map_or(0, char::len_utf8);
        let span = if error.at == 0 {
            node.text_part(offset, text.len())
        } else {
            node.text_part(offset + at, len.max(1))
        };
        self.diagnostics
            .push(Diagnostic::error(code, span, error.message.clone()).label(label));
    }

    fn path(&mut self, node: &Node, text: &str, offset: usize) -> Option<Path> {
        match Path::parse(text) {
            Ok(path) => {
                if path.root == Root::Item && !self.item_is_known {
                    self.diagnostics.push(
                        Diagnostic::error(
                            "item-outside-each",
                            node.text_part(offset, text.len()),
                            "`$item` has a meaning only in the `$emit` of an `$each`",
                        )
                        .label("a path into the event begins with `$.`"),
                    );
                    return None;
                }
                if let Some(dotted) = path.dotted() {
                    self.fields.push(FieldUse {
                        dotted,
                        span: node.text_part(offset, text.len()),
                    });
                }
                Some(path)
            }
            Err(error) => {
                let label = bracketed(text)
                    .map_or_else(|| "here".to_owned(), |path| format!("write `{path}`"));
                self.path_error("bad-path", node, text, offset, &error, &label);
                None
            }
        }
    }

    /// Any value.
    pub fn expr(&mut self, node: &Node, about: &str) -> Expr {
        match &node.kind {
            Kind::Null | Kind::Bool(_) | Kind::Number(_) => Expr::Const(node.to_json()),
            Kind::Text { value, .. } if is_path(value) => {
                self.path(node, value, 0).map_or(Expr::Unknown, Expr::Path)
            }
            Kind::Text { value, .. } => {
                if is_like_path(value) {
                    self.diagnostics.push(
                        Diagnostic::warning(
                            "text-like-path",
                            node.span,
                            "this is plain text; a path begins with `$.`",
                        )
                        .label(format!("did you mean `$.{}`?", &value[1..]))
                        .note("use `{ $const: … }` for the text itself"),
                    );
                }
                Expr::Const(Value::String(value.clone()))
            }
            Kind::List(items) => {
                Expr::List(items.iter().map(|item| self.expr(item, about)).collect())
            }
            Kind::Map(entries) if entries.is_empty() => Expr::Const(node.to_json()),
            Kind::Map(entries) => {
                if is_plain(node) {
                    Expr::Object(self.object(node, about))
                } else {
                    self.operator(node, entries, about)
                }
            }
        }
    }

    fn object(&mut self, node: &Node, about: &str) -> Object {
        let mut object = Object::default();
        self.omits.extend(OmitUse::all(node));
        for entry in node.as_map().unwrap_or_default() {
            match entry.key.as_str() {
                "$copy" => object.copies = self.spreads(&entry.value, Self::copy),
                "$rest" => object.rests = self.spreads(&entry.value, Self::rest),
                // Unresolvable ones were reported by the resolver.
                "$extends" => {}
                key => {
                    let about = if about.is_empty() {
                        key.to_owned()
                    } else {
                        format!("{about}.{key}")
                    };
                    object.members.push(Member {
                        key: key.to_owned(),
                        value: self.expr(&entry.value, &about),
                        span: entry.value.span,
                        key_span: entry.key_span,
                    });
                }
            }
        }
        object
    }

    fn spreads<T>(&mut self, node: &Node, read: fn(&mut Self, &Node) -> Option<T>) -> Vec<T> {
        if is_omit(node) {
            return Vec::new();
        }
        match &node.kind {
            Kind::List(items) => items.iter().filter_map(|item| read(self, item)).collect(),
            _ => read(self, node).into_iter().collect(),
        }
    }

    fn spread_from(&mut self, node: &Node, name: &str, keys: &[&str]) -> Option<Path> {
        let from = match &node.kind {
            Kind::Text { .. } => node,
            Kind::Map(entries) => {
                let mut is_wrong = false;
                for entry in entries {
                    if !keys.contains(&entry.key.as_str()) {
                        self.diagnostics.push(unknown_key(entry, keys, name));
                        is_wrong = true;
                    }
                }
                match node.get("from") {
                    Some(from) => from,
                    None => {
                        if !is_wrong {
                            self.diagnostics.push(
                                Diagnostic::error(
                                    "missing-key",
                                    node.span,
                                    format!("{name} needs `from`"),
                                )
                                .label("such as `from: $.properties`"),
                            );
                        }
                        return None;
                    }
                }
            }
            _ => {
                self.diagnostics.push(wrong_type(
                    node,
                    name,
                    "a map such as `{from: $.properties}`",
                ));
                return None;
            }
        };
        let Some(text) = from.as_str().filter(|text| is_path(text)) else {
            self.not_a_path(from);
            return None;
        };
        let path = self.path(from, text, 0)?;
        if !path.is_singular() {
            self.error(
                "path-matches-many",
                from.span,
                format!("{name} takes a path to one object; this one can match many places"),
            );
            return None;
        }
        Some(path)
    }

    fn not_a_path(&mut self, node: &Node) {
        let label = match node.as_str() {
            Some(text) if !text.starts_with('$') => format!("did you mean `$.{text}`?"),
            Some(text) if is_like_path(text) => format!("did you mean `$.{}`?", &text[1..]),
            _ => String::new(),
        };
        self.diagnostics.push(
            Diagnostic::error(
                "not-a-path",
                node.span,
                "a path is expected here, such as `$.properties.url`",
            )
            .label(label),
        );
    }

    fn names(&mut self, node: Option<&Node>, what: &str) -> HashSet<String> {
        node.map(|node| {
            super::syntax::texts(node, what, self.diagnostics)
                .into_iter()
                .map(|(name, _)| name)
                .collect()
        })
        .unwrap_or_default()
    }

    fn plain_text(&mut self, node: Option<&Node>, what: &str) -> String {
        match node {
            None => String::new(),
            Some(node) => match node.as_str() {
                Some(text) => text.to_owned(),
                None => {
                    self.diagnostics.push(wrong_type(node, what, "a text"));
                    String::new()
                }
            },
        }
    }

    fn keeps_null(&mut self, node: Option<&Node>) -> bool {
        match node {
            None => false,
            Some(node) => {
                if node.as_str() != Some("keep") {
                    self.diagnostics.push(Diagnostic::error(
                        "wrong-value",
                        node.span,
                        "`$null` knows one word: `keep`",
                    ));
                }
                true
            }
        }
    }

    fn copy(&mut self, node: &Node) -> Option<Copy> {
        const KEYS: &[&str] = &[
            "from", "only", "except", "rename", "prefix", "null", "$null",
        ];
        let from = self.spread_from(node, "`$copy`", KEYS)?;
        let only = node.get("only");
        let mut rename = HashMap::new();
        if let Some(node) = node.get("rename") {
            match node.as_map() {
                None => self.diagnostics.push(wrong_type(
                    node,
                    "`rename`",
                    "a map from old to new name",
                )),
                Some(entries) => {
                    for entry in entries {
                        let name = self.plain_text(Some(&entry.value), "a new name");
                        rename.insert(entry.key.clone(), name);
                    }
                }
            }
        }
        Some(Copy {
            from,
            only: only.map(|_| self.names(only, "`only`")),
            except: self.names(node.get("except"), "`except`"),
            rename,
            prefix: self.plain_text(node.get("prefix"), "`prefix`"),
            keeps_null: self.keeps_null(node.get("null").or(node.get("$null"))),
            span: node.span,
        })
    }

    fn rest(&mut self, node: &Node) -> Option<Rest> {
        const KEYS: &[&str] = &["from", "except", "prefix", "null", "$null"];
        let from = self.spread_from(node, "`$rest`", KEYS)?;
        Some(Rest {
            from,
            except: self.names(node.get("except"), "`except`"),
            prefix: self.plain_text(node.get("prefix"), "`prefix`"),
            keeps_null: self.keeps_null(node.get("null").or(node.get("$null"))),
            taken: Taken::default(),
            span: node.span,
        })
    }

    fn operator(&mut self, node: &Node, entries: &[Entry], about: &str) -> Expr {
        if let Some(unknown) = entries
            .iter()
            .find(|entry| entry.key.starts_with('$') && !OPERATORS.contains(&entry.key.as_str()))
        {
            self.diagnostics.push(
                Diagnostic::error(
                    "unknown-operator",
                    unknown.key_span,
                    format!("there is no operator `{}`", unknown.key),
                )
                .label(did_you_mean(&unknown.key, OPERATORS.iter().copied()))
                .note("data that must not be read as language goes into `$const: …`"),
            );
            return Expr::Unknown;
        }
        if let Some(omit) = node.entry("$omit") {
            if !is_omit(node) {
                return self.error(
                    "wrong-value",
                    omit.key_span,
                    "`$omit` is written `{ $omit: true }`",
                );
            }
            return Expr::Omit;
        }
        if let Some(member) = entries.iter().find(|entry| {
            !entry.key.starts_with('$') || matches!(entry.key.as_str(), "$rest" | "$copy")
        }) {
            let operator = entries
                .iter()
                .find(|entry| {
                    entry.key.starts_with('$') && !matches!(entry.key.as_str(), "$rest" | "$copy")
                })
                .map_or("", |entry| entry.key.as_str());
            return self.error(
                "mixed-operator",
                member.key_span,
                format!(
                    "the member `{}` cannot stand beside the operator `{operator}`",
                    member.key
                ),
            );
        }
        let sources: Vec<&Entry> = entries
            .iter()
            .filter(|entry| SOURCES.contains(&entry.key.as_str()))
            .collect();
        let source_entry = match sources.as_slice() {
            [one] => *one,
            [] => {
                let span = entries.first().map_or(node.span, |entry| entry.key_span);
                return self.error(
                    "no-source",
                    span,
                    format!(
                        "this says not where the value comes from; add one of {}",
                        SOURCES.join(", ")
                    ),
                );
            }
            [_, second, ..] => {
                return self.error(
                    "two-sources",
                    second.key_span,
                    "a value has one source; put one inside the other",
                );
            }
        };
        let allowed: &[&str] = match source_entry.key.as_str() {
            "$from" => &["$null"],
            "$if" => &["$then", "$else"],
            "$each" => &["$emit"],
            _ => &[],
        };
        for entry in entries {
            let key = entry.key.as_str();
            let is_known = key == source_entry.key
                || allowed.contains(&key)
                || matches!(key, "$as" | "$default" | "$missing" | "$invalid");
            if !is_known {
                return self.error(
                    "mixed-operator",
                    entry.key_span,
                    format!("`{key}` has no meaning beside `{}`", source_entry.key),
                );
            }
        }
        let before = self.diagnostics.len();
        let source = self.source(node, source_entry, about);
        let conversions = node
            .get("$as")
            .map(|node| self.conversions(node))
            .unwrap_or_default();
        let default = node.get("$default").map(|node| self.expr(node, about));
        let missing = node
            .get("$missing")
            .map_or(Policy::Omit, |node| self.policy(node, "`$missing`"));
        let invalid = node
            .get("$invalid")
            .map(|node| self.policy(node, "`$invalid`"));
        let Some(source) = source else {
            return Expr::Unknown;
        };
        if crate::diagnostics::has_errors(&self.diagnostics[before..]) {
            return Expr::Unknown;
        }
        let from = match &source {
            Source::From { paths, .. } => paths
                .iter()
                .map(|path| path.text.as_str())
                .collect::<Vec<_>>()
                .join(" or "),
            _ => source_entry.key.clone(),
        };
        Expr::Operator(Box::new(Operator {
            source,
            conversions,
            default,
            missing,
            invalid,
            about: format!("{about} (from {from})"),
        }))
    }

    fn source(&mut self, node: &Node, entry: &Entry, about: &str) -> Option<Source> {
        let value = &entry.value;
        match entry.key.as_str() {
            "$const" => Some(Source::Const(value.to_json())),
            "$from" => {
                let items = value.as_list().unwrap_or(std::slice::from_ref(value));
                let mut paths = Vec::new();
                for item in items {
                    match item.as_str().filter(|text| is_path(text)) {
                        Some(text) => paths.push(self.path(item, text, 0)),
                        None => {
                            self.not_a_path(item);
                            paths.push(None);
                        }
                    }
                }
                if paths.is_empty() {
                    self.error("wrong-type", value.span, "`$from` needs at least one path");
                }
                Some(Source::From {
                    paths: paths.into_iter().collect::<Option<Vec<_>>>()?,
                    keeps_null: self.keeps_null(node.get("$null")),
                })
            }
            "$lookup" => self.lookup(value, about),
            "$text" => match value.as_str() {
                Some(text) => self.text(value, text).map(Source::Text),
                None => {
                    self.diagnostics
                        .push(wrong_type(value, "`$text`", "a text"));
                    None
                }
            },
            "$if" => {
                if node.get("$then").is_none() && node.get("$else").is_none() {
                    self.error(
                        "missing-key",
                        entry.key_span,
                        "`$if` needs `$then`, `$else` or both",
                    );
                    return None;
                }
                let condition = self.condition(value);
                let then = node.get("$then").map(|node| self.expr(node, about));
                let otherwise = node.get("$else").map(|node| self.expr(node, about));
                Some(Source::If {
                    condition: condition?,
                    then,
                    otherwise,
                })
            }
            _ => {
                let items = self.expr(value, about);
                let Some(emit) = node.get("$emit") else {
                    self.error("missing-key", entry.key_span, "`$each` needs `$emit`");
                    return None;
                };
                let outer = std::mem::replace(&mut self.item_is_known, true);
                let emit = self.expr(emit, about);
                self.item_is_known = outer;
                Some(Source::Each { items, emit })
            }
        }
    }

    fn lookup(&mut self, node: &Node, about: &str) -> Option<Source> {
        const KEYS: &[&str] = &["key", "table", "default"];
        let Some(entries) = node.as_map() else {
            self.diagnostics.push(wrong_type(
                node,
                "`$lookup`",
                "a map such as `{key: $.x, table: name}`",
            ));
            return None;
        };
        let mut is_wrong = false;
        for entry in entries {
            if !KEYS.contains(&entry.key.as_str()) {
                self.diagnostics.push(unknown_key(entry, KEYS, "`$lookup`"));
                is_wrong = true;
            }
        }
        let (Some(key), Some(table)) = (node.get("key"), node.get("table")) else {
            if !is_wrong {
                self.error(
                    "missing-key",
                    node.span,
                    "`$lookup` needs `key` and `table`",
                );
            }
            return None;
        };
        let key = self.expr(key, about);
        let default = node.get("default").map(|node| self.expr(node, about));
        let table = match &table.kind {
            Kind::Map(_) => Arc::new(table_of(table)),
            Kind::Text { value, .. } => {
                self.used_tables.insert(value.clone());
                match self.tables.get(value) {
                    Some(table) => Arc::clone(table),
                    None => {
                        self.diagnostics.push(
                            Diagnostic::error(
                                "unknown-table",
                                table.span,
                                format!("there is no table `{value}`"),
                            )
                            .label(did_you_mean(value, self.tables.keys().map(String::as_str))),
                        );
                        return None;
                    }
                }
            }
            _ => {
                self.diagnostics.push(wrong_type(
                    table,
                    "`table`",
                    "the name of a table, or a map",
                ));
                return None;
            }
        };
        Some(Source::Lookup {
            key,
            table,
            default,
        })
    }

    fn conversions(&mut self, node: &Node) -> Vec<Conversion> {
        let items = node.as_list().unwrap_or(std::slice::from_ref(node));
        let mut found = Vec::new();
        for item in items {
            let (name, name_span, argument) = match &item.kind {
                Kind::Text { value, .. } => (value.as_str(), item.span, None),
                Kind::Map(entries) if entries.len() == 1 => (
                    entries[0].key.as_str(),
                    entries[0].key_span,
                    Some(&entries[0].value),
                ),
                _ => {
                    self.diagnostics.push(wrong_type(
                        item,
                        "a conversion",
                        "a name, or a map with one name and its argument",
                    ));
                    continue;
                }
            };
            let Some(row) = convert::ROWS.iter().find(|row| row.name == name) else {
                let names = || convert::ROWS.iter().map(|row| row.name);
                self.diagnostics.push(
                    Diagnostic::error(
                        "unknown-conversion",
                        name_span,
                        format!("there is no conversion `{name}`"),
                    )
                    .label(did_you_mean(name, names()))
                    .note(format!(
                        "there are: {}",
                        names().collect::<Vec<_>>().join(", ")
                    )),
                );
                continue;
            };
            match convert::make(row, argument) {
                Ok(conversion) => found.push(conversion),
                Err(message) => {
                    let span = argument.map_or(item.span, |argument| argument.span);
                    self.error("bad-conversion", span, message);
                }
            }
        }
        found
    }

    fn policy(&mut self, node: &Node, what: &str) -> Policy {
        if node.as_str() == Some("omit") {
            return Policy::Omit;
        }
        if let Some([entry]) = node.as_map()
            && let Some(reason) = entry.value.as_str()
        {
            match entry.key.as_str() {
                "skip" => return Policy::Skip(reason.to_owned()),
                "dead_letter" => return Policy::Dead(reason.to_owned()),
                _ => {}
            }
        }
        self.error(
            "wrong-value",
            node.span,
            format!("{what} is `omit`, `{{skip: reason}}` or `{{dead_letter: reason}}`"),
        );
        Policy::Omit
    }

    /// `text {path} {path | default} {{`
    fn text(&mut self, node: &Node, text: &str) -> Option<Vec<TextPart>> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(character) = text[at..].chars().next() {
            let rest = &text[at..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                plain.push(character);
                at += 2;
            } else if character == '{' {
                let Some(len) = hole(&rest[1..]) else {
                    self.error(
                        "bad-text",
                        node.text_part(at, 1),
                        "this `{` is never closed; a brace itself is written `{{`",
                    );
                    return None;
                };
                let inside = &rest[1..=len];
                let (path, default) = match bar(inside) {
                    Some(bar) => (&inside[..bar], Some(inside[bar + 1..].trim().to_owned())),
                    None => (inside, None),
                };
                let lead = path.len() - path.trim_start().len();
                let path = path.trim();
                if !is_path(path) {
                    self.diagnostics.push(
                        Diagnostic::error(
                            "not-a-path",
                            node.text_part(at + 1 + lead, path.len()),
                            "a path is expected in the braces, such as `{$.properties.url}`",
                        )
                        .label("a brace itself is written `{{`"),
                    );
                    return None;
                }
                let path = self.path(node, path, at + 1 + lead)?;
                if !plain.is_empty() {
                    parts.push(TextPart::Plain(std::mem::take(&mut plain)));
                }
                parts.push(TextPart::Value(path, default));
                at += len + 2;
            } else {
                plain.push(character);
                at += character.len_utf8();
            }
        }
        if !plain.is_empty() || parts.is_empty() {
            parts.push(TextPart::Plain(plain));
        }
        Some(parts)
    }
}

/// Where an expression has a `=` that is no comparison, outside quotes.
fn single_equals(text: &str) -> Option<usize> {
    let mut quote: Option<char> = None;
    let mut escaped = false;
    text.char_indices()
        .filter(|(_, character)| {
            match quote {
                Some(_) if escaped => escaped = false,
                Some(_) if *character == '\\' => escaped = true,
                Some(open) if *character == open => quote = None,
                Some(_) => {}
                None if matches!(character, '\'' | '"') => quote = Some(*character),
                None => return *character == '=',
            }
            false
        })
        .map(|(at, _)| at)
        .find(|at| {
            !text[..*at].ends_with(['=', '!', '<', '>'])
                && !text[at + 1..].starts_with(['=', '~', '<', '>'])
        })
}

/// Bytes up to the brace that closes a hole; braces in quotes do not count.
fn hole(text: &str) -> Option<usize> {
    outside_quotes(text)
        .find(|(_, character, depth)| *character == '}' && *depth == 0)
        .map(|(at, _, _)| at)
}

/// The `|` before a default; `||` in a filter stands in brackets.
fn bar(text: &str) -> Option<usize> {
    outside_quotes(text)
        .find(|(_, character, depth)| *character == '|' && *depth == 0)
        .map(|(at, _, _)| at)
}

fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char, usize)> + '_ {
    let mut quote: Option<char> = None;
    let mut depth = 0_usize;
    let mut escaped = false;
    text.char_indices().filter_map(move |(at, character)| {
        if let Some(open) = quote {
            if escaped {
                escaped = false;
            } else if character == '\\' {
                escaped = true;
            } else if character == open {
                quote = None;
            }
            return None;
        }
        match character {
            // Quotes are syntax inside brackets only; a default may hold an apostrophe.
            '\'' | '"' if depth > 0 => {
                quote = Some(character);
                return None;
            }
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        Some((at, character, depth))
    })
}

/// A table as data.
pub fn table_of(node: &Node) -> HashMap<String, Value> {
    node.as_map()
        .unwrap_or_default()
        .iter()
        .map(|entry| (entry.key.clone(), entry.value.to_json()))
        .collect()
}
