//! Objects with `$` keys: where a value comes from and what is done with it.

use std::sync::Arc;

use super::{Compiler, table_of};
use crate::diagnostics::{Diagnostic, Entry, Kind, Node, did_you_mean, key_meant};
use crate::mapping::merge::is_omit;
use crate::mapping::paths::{is_like_path, is_path};
use crate::mapping::plan::{Expr, Operator, Policy, Source};
use crate::mapping::sets;
use crate::mapping::syntax::{unknown_key, wrong_type};

const SOURCES: &[&str] = &["$from", "$const", "$lookup", "$text", "$if", "$each"];
/// Every key with `$` that the language has.
pub const OPERATORS: &[&str] = &[
    "$from", "$as", "$default", "$missing", "$invalid", "$null", "$lookup", "$text", "$if",
    "$then", "$else", "$each", "$emit", "$rest", "$copy", "$const", "$extends", "$omit",
];

/// The first key that is like an operator and none.
pub(super) fn unknown_operator(entries: &[Entry]) -> Option<Diagnostic> {
    let unknown = entries
        .iter()
        .find(|entry| entry.key.starts_with('$') && !OPERATORS.contains(&entry.key.as_str()))?;
    let key = &unknown.key;
    let label = if is_path(key) {
        format!("a path stands without braces: `{key}`")
    } else if let Some(meant) = key_meant(key, OPERATORS) {
        format!("did you mean `{meant}`?")
    } else if is_like_path(key) {
        format!("a path stands without braces: `$.{}`", &key[1..])
    } else {
        String::new()
    };
    Some(
        Diagnostic::error(
            "unknown-operator",
            unknown.key_span,
            format!("there is no operator `{key}`"),
        )
        .label(label)
        .note("data that must not be read as language goes into `$const: …`"),
    )
}

impl Compiler<'_> {
    pub(super) fn operator(&mut self, node: &Node, entries: &[Entry], about: &str) -> Expr {
        if let Some(unknown) = unknown_operator(entries) {
            self.diagnostics.push(unknown);
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
                        "this does not say where the value comes from; add one of {}",
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
            span: source_entry.key_span,
        }))
    }

    pub(super) fn source(&mut self, node: &Node, entry: &Entry, about: &str) -> Option<Source> {
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

    pub(super) fn lookup(&mut self, node: &Node, about: &str) -> Option<Source> {
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
                            .label(
                                match did_you_mean(value, self.tables.keys().map(String::as_str)) {
                                    hint if hint.is_empty() => sets::import_of("tables", value),
                                    hint => hint,
                                },
                            ),
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

    pub(super) fn policy(&mut self, node: &Node, what: &str) -> Policy {
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
}
