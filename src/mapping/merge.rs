//! Merging of trees: across `import` and `$extends`, nowhere else.
//!
//! Plain objects merge key by key and the spreads are keys like any other; value operators, scalars
//! and lists are replaced whole.

use std::collections::{HashMap, HashSet};

use super::sets::import_of;
use crate::diagnostics::{Diagnostic, Entry, Kind, Node, Span, did_you_mean};

/// Keys that stand among the members of a plain object.
pub const SPREADS: &[&str] = &["$extends", "$copy", "$rest"];

/// Most nodes of all templates and rules after `$extends`; more is a mistake or an attack.
const NODES_MAX: usize = 500_000;

/// Whether a node is a map without value operators.
pub fn is_plain(node: &Node) -> bool {
    node.as_map().is_some_and(|entries| {
        entries
            .iter()
            .all(|entry| !entry.key.starts_with('$') || SPREADS.contains(&entry.key.as_str()))
    })
}

/// Whether a node is `{$omit: true}`.
pub fn is_omit(node: &Node) -> bool {
    matches!(node.as_map(), Some([entry]) if entry.key == "$omit" && matches!(entry.value.kind, Kind::Bool(true)))
}

/// Whether a resolved node lacks a template: its `$extends` was left in it.
pub fn is_partial(node: &Node) -> bool {
    match &node.kind {
        Kind::List(items) => items.iter().any(is_partial),
        Kind::Map(entries) => entries.iter().any(|entry| {
            entry.key == "$extends" || entry.key != "$const" && is_partial(&entry.value)
        }),
        _ => false,
    }
}

/// Places of the `{$omit: true}` that took something out.
pub type Omitted = HashSet<Span>;

/// `over` laid over `base`.
pub fn merge(base: &Node, over: &Node, omitted: &mut Omitted) -> Node {
    let (Some(below), Some(above)) = (base.as_map(), over.as_map()) else {
        return over.clone();
    };
    if !is_plain(base) || !is_plain(over) {
        return over.clone();
    }
    let mut entries = below.to_vec();
    for entry in above {
        match entries.iter_mut().find(|one| one.key == entry.key) {
            Some(one) => {
                if is_omit(&entry.value)
                    && (!is_omit(&one.value) || omitted.contains(&one.value.span))
                {
                    omitted.insert(entry.value.span);
                }
                one.value = merge(&one.value, &entry.value, omitted);
                one.key_span = entry.key_span;
            }
            None => entries.push(entry.clone()),
        }
    }
    Node {
        span: over.span,
        kind: Kind::Map(entries),
    }
}

/// A rule laid over the imported one: documents merge, another outcome replaces, the rest is replaced.
pub fn merge_rule(base: &Node, over: &Node, omitted: &mut Omitted) -> Node {
    const OUTCOMES: &[&str] = &["emit", "emit_each", "skip"];
    let (Some(below), Some(above)) = (base.as_map(), over.as_map()) else {
        return over.clone();
    };
    let outcome = above
        .iter()
        .find(|entry| OUTCOMES.contains(&entry.key.as_str()))
        .map(|entry| entry.key.as_str());
    let mut entries: Vec<Entry> = below
        .iter()
        .filter(|entry| {
            outcome.is_none_or(|kept| entry.key == kept || !OUTCOMES.contains(&entry.key.as_str()))
        })
        .cloned()
        .collect();
    for entry in above {
        match entries.iter_mut().find(|one| one.key == entry.key) {
            Some(one) if matches!(entry.key.as_str(), "emit" | "emit_each") => {
                one.value = merge(&one.value, &entry.value, omitted);
                one.key_span = entry.key_span;
            }
            Some(one) => *one = entry.clone(),
            None => entries.push(entry.clone()),
        }
    }
    Node {
        span: over.span,
        kind: Kind::Map(entries),
    }
}

/// Puts templates in the place of `$extends`.
pub struct Resolver<'a> {
    templates: &'a HashMap<String, Node>,
    done: HashMap<String, Option<Node>>,
    stack: Vec<String>,
    nodes: usize,
    /// Names that were asked for.
    pub used: HashSet<String>,
    /// What took something out.
    pub omitted: Omitted,
}

impl<'a> Resolver<'a> {
    /// Over these templates.
    pub fn new(templates: &'a HashMap<String, Node>, omitted: Omitted) -> Self {
        Self {
            templates,
            done: HashMap::new(),
            stack: Vec::new(),
            nodes: 0,
            used: HashSet::new(),
            omitted,
        }
    }

    /// The node with all `$extends` in it replaced.
    pub fn resolve(&mut self, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Node {
        if !self.count(1, node.span, diagnostics) {
            return Node {
                span: node.span,
                kind: Kind::Null,
            };
        }
        match &node.kind {
            Kind::List(items) => Node {
                span: node.span,
                kind: Kind::List(
                    items
                        .iter()
                        .map(|item| self.resolve(item, diagnostics))
                        .collect(),
                ),
            },
            Kind::Map(entries) => self.map(node, entries, diagnostics),
            _ => node.clone(),
        }
    }

    /// Take in some values; false when they are too many, which is told once.
    fn count(&mut self, nodes: usize, span: Span, diagnostics: &mut Vec<Diagnostic>) -> bool {
        let before = self.nodes;
        self.nodes = before.saturating_add(nodes);
        if before <= NODES_MAX && self.nodes > NODES_MAX {
            diagnostics.push(Diagnostic::error(
                "too-large",
                span,
                format!("with all templates put in, there are more than {NODES_MAX} values"),
            ));
        }
        self.nodes <= NODES_MAX
    }

    fn map(&mut self, node: &Node, entries: &[Entry], diagnostics: &mut Vec<Diagnostic>) -> Node {
        let own: Vec<Entry> = entries
            .iter()
            .filter(|entry| entry.key != "$extends")
            .map(|entry| Entry {
                key: entry.key.clone(),
                key_span: entry.key_span,
                value: if matches!(entry.key.as_str(), "$const" | "$as") {
                    entry.value.clone()
                } else {
                    self.resolve(&entry.value, diagnostics)
                },
            })
            .collect();
        let here = Node {
            span: node.span,
            kind: Kind::Map(own),
        };
        let Some(extends) = entries.iter().find(|entry| entry.key == "$extends") else {
            return here;
        };
        if let Some(other) = entries
            .iter()
            .find(|entry| entry.key.starts_with('$') && !SPREADS.contains(&entry.key.as_str()))
        {
            diagnostics.push(
                Diagnostic::error(
                    "mixed-operator",
                    extends.key_span,
                    format!(
                        "`$extends` cannot stand beside the operator `{}`",
                        other.key
                    ),
                )
                .related(other.key_span, "the operator"),
            );
            return here;
        }
        let names = super::syntax::texts(&extends.value, "`$extends`", diagnostics);
        let mut base: Option<Node> = None;
        let mut here = here;
        for (name, span) in names {
            let Some(template) = self.template(&name, span, diagnostics) else {
                if let Kind::Map(own) = &mut here.kind
                    && own.iter().all(|entry| entry.key != "$extends")
                {
                    own.push(extends.clone());
                }
                continue;
            };
            base = Some(match base {
                Some(base) => merge(&base, &template, &mut self.omitted),
                None => template,
            });
        }
        match base {
            Some(base) if here.as_map().is_some_and(<[Entry]>::is_empty) => base,
            Some(base) => merge(&base, &here, &mut self.omitted),
            None => here,
        }
    }

    fn template(
        &mut self,
        name: &str,
        span: Span,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Node> {
        self.used.insert(name.to_owned());
        if self.stack.iter().any(|above| above == name) {
            diagnostics.push(
                Diagnostic::error(
                    "extends-cycle",
                    span,
                    format!("the template `{name}` extends itself"),
                )
                .note(format!("the way: {} → {name}", self.stack.join(" → "))),
            );
            return None;
        }
        if let Some(done) = self.done.get(name) {
            let done = done.clone();
            // Each use is values of its own.
            let nodes = done.as_ref().map_or(0, Node::size);
            return done.filter(|_| self.count(nodes, span, diagnostics));
        }
        let Some(template) = self.templates.get(name) else {
            diagnostics.push(
                Diagnostic::error(
                    "unknown-template",
                    span,
                    format!("there is no template `{name}`"),
                )
                .label(
                    match did_you_mean(name, self.templates.keys().map(String::as_str)) {
                        hint if hint.is_empty() => match name.rsplit([':', '.', '/']).next() {
                            Some(bare) if self.templates.contains_key(bare) => {
                                format!("a template is named alone: `$extends: {bare}`")
                            }
                            _ => import_of("templates", name),
                        },
                        hint => hint,
                    },
                ),
            );
            return None;
        };
        self.stack.push(name.to_owned());
        let resolved = self.resolve(template, diagnostics);
        self.stack.pop();
        self.done.insert(name.to_owned(), Some(resolved.clone()));
        Some(resolved)
    }
}
