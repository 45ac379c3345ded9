//! Trees of a file become plans: each operator read, each path and expression compiled.
//!
//! Every mistake is said where it stands. A wrong value becomes `Unknown`, so that one mistake makes
//! one message.
//!
//! | room | what is read there |
//! | --- | --- |
//! | `spreads` | `$copy` and `$rest` |
//! | `operators` | objects with `$` keys, their policies and tables |
//! | `conversions` | `$as` |
//! | `text` | `$text` and what else is written inside a text |

mod conversions;
mod operators;
mod spreads;
mod text;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

pub use self::operators::OPERATORS;
use super::condition;
use super::expression::Expression;
use super::merge::{is_omit, is_plain};
use super::paths::{Path, PathError, Root, bracketed, is_dotted, is_like_path, is_path};
use super::plan::{Action, Expr, Member, Object};
use crate::diagnostics::{Diagnostic, Entry, Kind, Node, Span};

/// Tables by name.
pub type Tables = HashMap<String, Arc<HashMap<String, Value>>>;

/// A place where a field of the event is named, or seems to be.
#[derive(Debug, Clone)]
pub struct FieldUse {
    /// Dotted place in the event; of a text, the text.
    pub dotted: String,
    /// Where it is named.
    pub span: Span,
    /// What the path begins with there: `$`, or `@` in an expression.
    pub root: char,
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
    /// Texts that a path may be meant by.
    pub texts: Vec<FieldUse>,
    /// Keys taken out so far.
    pub omits: Vec<OmitUse>,
    /// Tables asked for.
    pub used_tables: HashSet<String>,
    /// Inside `$each`, or in a template that may be used there.
    pub item_is_known: bool,
}

impl<'a> Compiler<'a> {
    /// Nothing read yet.
    pub fn new(tables: &'a Tables, diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        Self {
            tables,
            diagnostics,
            fields: Vec::new(),
            texts: Vec::new(),
            omits: Vec::new(),
            used_tables: HashSet::new(),
            item_is_known: false,
        }
    }
}

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
                "this rule does not say what becomes of its events",
            )
            .label("add `emit`, `emit_each` or `skip`"),
        );
        None
    }

    fn document(&mut self, node: &Node) -> Option<Object> {
        node.as_map()?;
        if let Some(unknown) = operators::unknown_operator(node.as_map().unwrap_or_default()) {
            self.diagnostics.push(unknown);
            return None;
        }
        if !is_plain(node) {
            self.error(
                "wrong-type",
                node.span,
                "a document must be a plain object, not an operator",
            );
            return None;
        }
        let mut object = self.object(node, "");
        super::rests::settle_rests(&mut object);
        Some(object)
    }

    /// An expression of a text; of the event, its fields are named by it.
    pub fn condition(&mut self, node: &Node) -> Option<Expression> {
        let expression = condition::read(node, self.diagnostics)?;
        // In the items of an `$each`, `@` is the item.
        if !self.item_is_known {
            self.fields.extend(condition::fields(&expression, node));
        }
        Some(expression)
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
                        root: '$',
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
                if is_like_path(value) || is_dotted(value) || value.contains('{') {
                    self.texts.push(FieldUse {
                        dotted: value.clone(),
                        span: node.span,
                        root: '$',
                    });
                }
                Expr::Const(Value::String(value.clone()))
            }
            Kind::List(items) => {
                Expr::List(items.iter().map(|item| self.expr(item, about)).collect())
            }
            Kind::Map(entries) if entries.is_empty() => Expr::Const(node.to_json()),
            Kind::Map(entries) => {
                if let Some(key) = path_in_braces(entries) {
                    let message = format!("this is a map with the empty member `{}`", key.key);
                    self.diagnostics.push(
                        Diagnostic::error("text-like-path", node.span, message)
                            .label(format!("a path stands without braces: `$.{}`", key.key)),
                    );
                    return Expr::Unknown;
                }
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
}

/// `{properties.url}`, as other languages fill in a value: in YAML a map whose only member has none.
fn path_in_braces(entries: &[Entry]) -> Option<&Entry> {
    match entries {
        [entry] if matches!(entry.value.kind, Kind::Null) && is_dotted(&entry.key) => Some(entry),
        _ => None,
    }
}

/// A table as data.
pub fn table_of(node: &Node) -> HashMap<String, Value> {
    node.as_map()
        .unwrap_or_default()
        .iter()
        .map(|entry| (entry.key.clone(), entry.value.to_json()))
        .collect()
}
