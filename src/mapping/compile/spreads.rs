//! `$copy` and `$rest`: a key that stands for many members.

use std::collections::{HashMap, HashSet};

use super::Compiler;
use crate::diagnostics::{Diagnostic, Kind, Node};
use crate::mapping::merge::is_omit;
use crate::mapping::paths::{Path, is_like_path, is_path};
use crate::mapping::plan::{Copy, Rest, Taken};
use crate::mapping::syntax::{self, unknown_key, wrong_type};

impl Compiler<'_> {
    pub(super) fn spreads<T>(
        &mut self,
        node: &Node,
        read: fn(&mut Self, &Node) -> Option<T>,
    ) -> Vec<T> {
        if is_omit(node) {
            return Vec::new();
        }
        match &node.kind {
            Kind::List(items) => items.iter().filter_map(|item| read(self, item)).collect(),
            _ => read(self, node).into_iter().collect(),
        }
    }

    pub(super) fn spread_from(&mut self, node: &Node, name: &str, keys: &[&str]) -> Option<Path> {
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

    pub(super) fn not_a_path(&mut self, node: &Node) {
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

    pub(super) fn names(&mut self, node: Option<&Node>, what: &str) -> HashSet<String> {
        node.map(|node| {
            syntax::texts(node, what, self.diagnostics)
                .into_iter()
                .map(|(name, _)| name)
                .collect()
        })
        .unwrap_or_default()
    }

    pub(super) fn plain_text(&mut self, node: Option<&Node>, what: &str) -> String {
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

    pub(super) fn keeps_null(&mut self, node: Option<&Node>) -> bool {
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

    pub(super) fn copy(&mut self, node: &Node) -> Option<Copy> {
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

    pub(super) fn rest(&mut self, node: &Node) -> Option<Rest> {
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
}
