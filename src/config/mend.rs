//! Misspelt keys of a config, read as what they were meant to be, so that one slip is told once.

use serde_json::Value;

use super::{Mode, expected, schema};
use crate::diagnostics::{Diagnostic, Entry, Kind, Node, mend_keys};

/// Mend all keys that can be; each is told, but for settings of plugins where these do not matter.
/// Gives what was renamed, with its new name.
pub(super) fn mend(root: &mut Node, mode: Mode, diagnostics: &mut Vec<Diagnostic>) -> Vec<Entry> {
    let mut mender = Mender {
        mode,
        diagnostics,
        mended: Vec::new(),
    };
    mender.section(&schema::root_schema(), root, "this file");
    each(root, "sources", |entry| {
        mender.plugin(entry, &|name| {
            let plugins = sluice_sdk::sources();
            let plugin = plugins.into_iter().find(|one| one.name == name)?;
            Some(schema::source_schema(plugin))
        });
    });
    each(root, "connectors", |entry| {
        let called = format!("connector `{}`", entry.key);
        mender.section(&schema::connector_schema(), &mut entry.value, &called);
        let name = entry.key.clone();
        each_of(&mut entry.value, |sink| {
            if sink.key == "sink" {
                mender.plugin_of(&mut sink.value, &format!("the sink of `{name}`"), &|name| {
                    let plugins = sluice_sdk::sinks();
                    let plugin = plugins.into_iter().find(|one| one.name == name)?;
                    Some(schema::sink_schema(plugin))
                });
            }
        });
    });
    mender.mended
}

fn each(root: &mut Node, key: &str, mut act: impl FnMut(&mut Entry)) {
    each_of(root, |entry| {
        if entry.key == key {
            each_of(&mut entry.value, &mut act);
        }
    });
}

fn each_of(node: &mut Node, act: impl FnMut(&mut Entry)) {
    if let Kind::Map(entries) = &mut node.kind {
        entries.iter_mut().for_each(act);
    }
}

struct Mender<'a> {
    mode: Mode,
    diagnostics: &'a mut Vec<Diagnostic>,
    mended: Vec<Entry>,
}

impl Mender<'_> {
    fn plugin(&mut self, entry: &mut Entry, schema_of: &dyn Fn(&str) -> Option<Value>) {
        let called = format!("source `{}`", entry.key);
        self.plugin_of(&mut entry.value, &called, schema_of);
    }

    fn plugin_of(
        &mut self,
        node: &mut Node,
        called: &str,
        schema_of: &dyn Fn(&str) -> Option<Value>,
    ) {
        let told = self.diagnostics.len();
        if node.get("type").is_none() {
            self.keys(node, &["type"], called);
        }
        let name = node.get("type").and_then(Node::as_str).map(str::to_owned);
        if let Some(schema) = name.and_then(|name| schema_of(&name)) {
            self.section(&schema, node, called);
        }
        if self.mode == Mode::Inspect {
            self.diagnostics.truncate(told);
        }
    }

    fn section(&mut self, schema: &Value, node: &mut Node, name: &str) {
        self.level(schema, schema, node, "", name);
    }

    fn level(&mut self, root: &Value, schema: &Value, node: &mut Node, path: &str, name: &str) {
        match &node.kind {
            Kind::Map(_) if is_closed(root, schema) => {
                let known = expected::properties(root, schema);
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let called = match path {
                    "" => name.to_owned(),
                    path => format!("`{path}` of {name}"),
                };
                self.keys(node, &known, &called);
            }
            _ => {}
        }
        let below = |step: &str| match path {
            "" => step.to_owned(),
            path => format!("{path}.{step}"),
        };
        match &mut node.kind {
            Kind::Map(entries) => {
                for entry in entries {
                    if let Some(schema) = expected::property(root, schema, &entry.key) {
                        self.level(root, schema, &mut entry.value, &below(&entry.key), name);
                    }
                }
            }
            Kind::List(items) => {
                if let Some(schema) = expected::property(root, schema, "0") {
                    for (at, item) in items.iter_mut().enumerate() {
                        self.level(root, schema, item, &below(&at.to_string()), name);
                    }
                }
            }
            _ => {}
        }
    }

    fn keys(&mut self, node: &mut Node, known: &[&str], called: &str) {
        let mended = mend_keys(node, known, called, self.diagnostics);
        self.mended.extend(mended);
    }
}

/// Whether a map of this schema takes no other keys than it names.
fn is_closed(root: &Value, schema: &Value) -> bool {
    let schema = expected::follow(root, schema);
    ["additionalProperties", "unevaluatedProperties"]
        .iter()
        .any(|keyword| schema.get(keyword) == Some(&Value::Bool(false)))
        || expected::branches(schema).any(|branch| is_closed(root, branch))
}
