//! Sources and connectors, each with its plugin: the plugin's own settings are checked by the plugin.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::{Map, Value};
use sluice_sdk::{SinkPlugin, SourcePlugin};

use super::super::model::{ConnectorConfig, ConnectorKeys, SinkConfig, SourceConfig, SourceKeys};
use super::super::shape::Section;
use super::super::{Mode, expected, schema};
use super::{Loader, accept, escape, report_setting};
use crate::diagnostics::{Allows, Diagnostic, Entry, Kind, Node, Span, did_you_mean};
use crate::mapping::PersonalRules;

/// What stands for a plugin that is not linked where only the rest of a config matters.
static UNKNOWN_SOURCE: SourcePlugin = SourcePlugin::NONE;
static UNKNOWN_SINK: SinkPlugin = SinkPlugin::NONE;

impl Loader<'_> {
    /// Every source that is written, `None` where it is wrong.
    pub(super) fn sources(&mut self) -> IndexMap<String, Option<SourceConfig>> {
        let entries = self.entries("sources");
        self.at_least_one("sources", "source", entries.is_empty());
        let mut sources = IndexMap::new();
        for entry in entries {
            self.check_name(&entry, "source");
            let source = self.source(&entry);
            sources.insert(entry.key, source);
        }
        sources
    }

    fn source(&mut self, entry: &Entry) -> Option<SourceConfig> {
        entry.value.as_map()?;
        let known = sluice_sdk::sources();
        let names: Vec<&str> = known.iter().map(|plugin| plugin.name).collect();
        let name = self.plugin_name(entry, "source", &entry.key, &names)?;
        let plugin = known.into_iter().find(|plugin| plugin.name == name);
        if self.mode == Mode::Inspect {
            return Some(SourceConfig {
                plugin: plugin.unwrap_or(&UNKNOWN_SOURCE),
                settings: Value::Null,
                unset: BTreeSet::new(),
                expect_every: None,
                deduplicate: None,
                span: entry.key_span,
            });
        }
        let plugin = plugin?;
        let pointer = format!("/sources/{}", escape(&entry.key));
        let mut settings: Map<String, Value> = self.section(
            &pointer,
            format!("source `{}`", entry.key),
            &schema::source_schema(plugin),
        )?;
        let mut keys = Map::new();
        for key in ["expect_every", "deduplicate", "allow"] {
            if let Some(value) = settings.shift_remove(key) {
                keys.insert(key.to_owned(), value);
            }
        }
        settings.shift_remove("type");
        let settings = Value::Object(settings);
        let section = Section {
            root: self.root,
            pointer,
            name: format!("source `{}`", entry.key),
            resolved: &self.resolved,
        };
        let schema = schema::source_schema(plugin);
        let checked = (plugin.validate)(settings.clone());
        let keys = sluice_sdk::parse_config::<SourceKeys>(Value::Object(keys));
        let is_good = accept(&section, &schema, checked, self.diagnostics);
        let keys = match keys {
            Ok(keys) => keys,
            Err(error) => {
                report_setting(&section, &schema, &error, self.diagnostics);
                return None;
            }
        };
        is_good.then_some(SourceConfig {
            plugin,
            settings,
            unset: section.unset(),
            expect_every: keys.expect_every.map(|period| period.0),
            deduplicate: keys.deduplicate.0,
            span: entry.key_span,
        })
    }

    /// Every connector that is written with the source it names, `None` where it is wrong.
    pub(super) fn connectors(
        &mut self,
        sources: &IndexMap<String, Option<SourceConfig>>,
    ) -> IndexMap<String, (String, Option<ConnectorConfig>)> {
        let entries = self.entries("connectors");
        self.at_least_one("connectors", "connector", entries.is_empty());
        let mut connectors = IndexMap::new();
        for entry in entries {
            self.check_name(&entry, "connector");
            let connector = self.connector(&entry, sources);
            let source = entry.value.get("source").and_then(Node::as_str);
            let source = source.unwrap_or_default().to_owned();
            connectors.insert(entry.key, (source, connector));
        }
        connectors
    }

    fn connector(
        &mut self,
        entry: &Entry,
        sources: &IndexMap<String, Option<SourceConfig>>,
    ) -> Option<ConnectorConfig> {
        entry.value.as_map()?;
        let pointer = format!("/connectors/{}", escape(&entry.key));
        let called = format!("connector `{}`", entry.key);
        let keys: Option<ConnectorKeys> =
            self.section(&pointer, called, &schema::connector_schema());
        let sink = self.sink(entry, &pointer);
        let is_known = self.check_source(entry, &pointer, sources);
        let keys = keys?;
        if let Some(Some(source)) = sources.get(&keys.source) {
            self.check_types(entry, source);
        }
        let place = |key: &str| entry.value.get(key).map_or(entry.key_span, |it| it.span);
        let mappings = keys
            .mappings
            .0
            .into_iter()
            .enumerate()
            .map(|(at, text)| {
                let items = entry.value.get("mappings").and_then(Node::as_list);
                let span = items
                    .and_then(|items| items.get(at))
                    .map_or_else(|| place("mappings"), |item| item.span);
                (text, span)
            })
            .collect();
        let mut allows = Allows::default();
        if let Some(allow) = entry.value.get("allow") {
            allows.read(allow, None, self.diagnostics);
        }
        let named = entry
            .value
            .get("personal_data")
            .and_then(|it| it.get("fields"));
        let personal = PersonalRules {
            default: keys.personal_data.default,
            fields: keys
                .personal_data
                .fields
                .into_iter()
                .map(|(name, treatment)| {
                    let span = named.and_then(|it| it.entry(&name)).map(|it| it.key_span);
                    (name, treatment, span)
                })
                .collect(),
        };
        is_known.then_some(ConnectorConfig {
            contacts: keys.contact.0,
            source: keys.source,
            events: keys.events,
            when: keys.when.map(|text| filled(text, entry, "when")),
            mappings,
            unmapped: keys.unmapped,
            message_id: keys.message_id,
            start: keys.start,
            renamed_from: keys.renamed_from,
            batch: keys.batch,
            personal,
            allows,
            sink: sink?,
            document_paths: document_paths(entry),
            span: entry.key_span,
        })
    }

    fn sink(&mut self, entry: &Entry, pointer: &str) -> Option<SinkConfig> {
        let sink = entry.value.entry("sink")?.clone();
        sink.value.as_map()?;
        let known = sluice_sdk::sinks();
        let names: Vec<&str> = known.iter().map(|plugin| plugin.name).collect();
        let name = self.plugin_name(&sink, "sink", &entry.key, &names)?;
        let plugin = known.into_iter().find(|plugin| plugin.name == name);
        if self.mode == Mode::Inspect {
            return Some(SinkConfig {
                plugin: plugin.unwrap_or(&UNKNOWN_SINK),
                settings: Value::Null,
            });
        }
        let plugin = plugin?;
        let pointer = format!("{pointer}/sink");
        let called = format!("the sink of `{}`", entry.key);
        let mut settings: Map<String, Value> =
            self.section(&pointer, called.clone(), &schema::sink_schema(plugin))?;
        settings.shift_remove("type");
        let settings = Value::Object(settings);
        let section = Section {
            root: self.root,
            pointer,
            name: called,
            resolved: &self.resolved,
        };
        let schema = schema::sink_schema(plugin);
        let checked = (plugin.validate)(settings.clone());
        accept(&section, &schema, checked, self.diagnostics)
            .then_some(SinkConfig { plugin, settings })
    }

    fn plugin_name(
        &mut self,
        entry: &Entry,
        kind: &str,
        owner: &str,
        names: &[&str],
    ) -> Option<String> {
        let linked = format!("linked {kind}s: {}", names.join(", "));
        let Some(node) = entry.value.get("type") else {
            self.diagnostics.push(
                Diagnostic::error(
                    "missing-key",
                    entry.key_span,
                    format!("the {kind} of `{owner}` needs the key `type`"),
                )
                .label("add `type:` with the name of a plugin")
                .note(linked),
            );
            return None;
        };
        let found = node.as_str().unwrap_or_default();
        if names.contains(&found) || self.mode == Mode::Inspect {
            return Some(found.to_owned());
        }
        let label = if found.contains("${") {
            "a plugin's name is written out, without a variable".to_owned()
        } else {
            did_you_mean(found, names.iter().copied())
        };
        self.diagnostics.push(
            Diagnostic::error(
                "unknown-plugin",
                node.span,
                format!("there is no {kind} plugin `{found}`"),
            )
            .label(label)
            .note(linked),
        );
        None
    }
}

/// Parts of documents that the settings of a connector's sink name.
fn document_paths(connector: &Entry) -> Vec<(String, Span)> {
    let sink = connector.value.get("sink");
    let name = sink
        .and_then(|sink| sink.get("type"))
        .and_then(Node::as_str);
    let plugin = sluice_sdk::sinks()
        .into_iter()
        .find(|one| Some(one.name) == name);
    let mut found = Vec::new();
    if let (Some(sink), Some(plugin)) = (sink, plugin) {
        let schema = schema::sink_schema(plugin);
        expected::of_format(&schema, &schema, sink, "document-paths", &mut found);
    }
    let texts = found
        .into_iter()
        .filter_map(|node| Some((node.as_str()?, node.span)));
    texts
        .filter(|(text, _)| !text.contains("${"))
        .map(|(text, span)| (text.to_owned(), span))
        .collect()
}

/// A text at the place of its key; what came from the environment does not stand there.
fn filled(text: String, entry: &Entry, key: &str) -> Node {
    let written = entry.value.get(key);
    if let Some(node) = written.filter(|node| node.as_str() == Some(&text)) {
        return node.clone();
    }
    Node {
        span: written.map_or(entry.key_span, |node| node.span),
        kind: Kind::Text {
            value: text,
            inset: None,
        },
    }
}
