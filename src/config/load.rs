//! Read a sluice.yaml and check all of it: shape, names, plugins' own settings, what fits together.

use std::path::Path;

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sluice_sdk::{ConfigError, PathStep, typed};

use super::alerts::{SmtpConfig, SmtpTls};
use super::model::{
    Config, ConfigKeys, ConnectorConfig, ConnectorKeys, SinkConfig, SourceConfig, SourceKeys,
};
use super::shape::Section;
use super::{Mode, overlap, placeholders, schema, secrets, shape};
use crate::diagnostics::{
    Allows, Diagnostic, Entry, Files, Kind, Node, Span, did_you_mean, has_errors, nearest,
    parse_yaml, read_text,
};
use crate::mapping::PersonalRules;

/// The config of a command that is given none.
pub const FILE_DEFAULT: &str = "sluice.yaml";

/// Read the config at `path`. `None` comes with at least one error in `diagnostics`.
///
/// `env` gives the value of an environment variable.
pub fn load(
    path: &Path,
    mode: Mode,
    env: &dyn Fn(&str) -> Option<String>,
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Config> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(problem) => {
            let hint = (path == Path::new(FILE_DEFAULT)).then(|| {
                format!(
                    "name the config, or {} writes one to begin with",
                    typed("init FOLDER")
                )
            });
            diagnostics.push((*problem).label(hint.unwrap_or_default()));
            return None;
        }
    };
    let file = files.add(path.display().to_string(), Some(path), text);
    let root = match parse_yaml(file, files) {
        Ok(root) => root,
        Err(error) => {
            secrets::hide_in_text(file, files);
            diagnostics.push(*error);
            return None;
        }
    };
    if matches!(root.kind, Kind::Null) {
        diagnostics.push(
            Diagnostic::error(
                "empty-config",
                root.span,
                "this config is empty; expected `version`, `sources`, `connectors`",
            )
            .label(format!("{} writes a starter", typed("init FOLDER"))),
        );
        return None;
    }
    let secrets = secrets::find(&root);
    secrets::hide(&secrets, files);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut found = Vec::new();
    let config = Loader {
        root: &root,
        mode,
        resolved: placeholders::resolve(&root, mode, env, &secrets, &mut found),
        diagnostics: &mut found,
    }
    .config(folder);
    allow(&root, &mut found);
    let is_good = !has_errors(&found);
    diagnostics.append(&mut found);
    config.filter(|_| is_good)
}

/// What connectors allow of the messages about themselves.
fn allow(root: &Node, found: &mut [Diagnostic]) {
    let entries = root.get("connectors").and_then(Node::as_map);
    for entry in entries.unwrap_or_default() {
        if let Some(allow) = entry.value.get("allow") {
            let scope = Span {
                end: entry.value.span.end.max(entry.key_span.end),
                ..entry.key_span
            };
            let mut allows = Allows::default();
            allows.read(allow, Some(scope), &mut Vec::new());
            allows.apply(found);
        }
    }
}

struct Loader<'a> {
    root: &'a Node,
    mode: Mode,
    resolved: placeholders::Resolved,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Loader<'_> {
    fn config(&mut self, folder: &Path) -> Option<Config> {
        let keys: Option<ConfigKeys> =
            self.section("", "this file".to_owned(), &schema::root_schema());
        let sources = self.sources();
        let connectors = self.connectors(&sources);
        self.unused_sources(&connectors);
        let mut keys = keys?;
        if keys.journal.path.is_relative() {
            keys.journal.path = folder.join(&keys.journal.path);
        }
        let config = Config {
            folder: folder.to_owned(),
            sources: sources
                .into_iter()
                .filter_map(|(name, source)| Some((name, source?)))
                .collect(),
            connectors: connectors
                .into_iter()
                .filter_map(|(name, (_, connector))| Some((name, connector?)))
                .collect(),
            journal: keys.journal,
            admin: keys.admin,
            alerts: keys.alerts,
        };
        overlap::check(&config, self.diagnostics);
        self.contacts(&config);
        self.admin(&config);
        self.renamed(&config);
        Some(config)
    }

    /// Who can reach the admin listener can stop deliveries and read dead letters.
    fn admin(&mut self, config: &Config) {
        let is_open = config
            .admin
            .listen
            .is_some_and(|listen| !listen.ip().is_loopback());
        if !is_open || config.admin.token.is_some() || self.mode == Mode::Inspect {
            return;
        }
        let listen = self.root.get("admin").and_then(|admin| admin.get("listen"));
        let span = listen.map_or(self.root.span, |node| node.span);
        self.diagnostics.push(
            Diagnostic::error(
                "admin-without-token",
                span,
                "other machines can reach this address, and there is no token",
            )
            .label("add `token:` beside it, or listen on 127.0.0.1"),
        );
    }

    /// A name that is still in use has nothing to hand over.
    fn renamed(&mut self, config: &Config) {
        for (name, connector) in &config.connectors {
            let Some(from) = &connector.renamed_from else {
                continue;
            };
            if !config.connectors.contains_key(from) {
                continue;
            }
            let entry = self.root.get("connectors").and_then(|all| all.get(name));
            let node = entry.and_then(|entry| entry.get("renamed_from"));
            self.diagnostics.push(
                Diagnostic::error(
                    "renamed-from-existing",
                    node.map_or(connector.span, |node| node.span),
                    format!("`{from}` is a connector of this file: it keeps its own place"),
                )
                .label("name a connector that is gone, or take this line out"),
            );
        }
    }

    /// Check one section by its schema, then read it.
    fn section<T: DeserializeOwned>(
        &mut self,
        pointer: &str,
        name: String,
        schema: &Value,
    ) -> Option<T> {
        let section = Section {
            root: self.root,
            pointer: pointer.to_owned(),
            name,
            resolved: &self.resolved,
        };
        let value = section.check(schema, self.diagnostics)?;
        match sluice_sdk::parse_config(value) {
            Ok(read) => Some(read),
            Err(error) => {
                report_setting(&section, schema, &error, self.diagnostics);
                None
            }
        }
    }

    fn entries(&self, key: &str) -> Vec<Entry> {
        self.root
            .get(key)
            .and_then(Node::as_map)
            .map(<[Entry]>::to_vec)
            .unwrap_or_default()
    }

    /// Every source that is written, `None` where it is wrong.
    fn sources(&mut self) -> IndexMap<String, Option<SourceConfig>> {
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
        let plugin = known.into_iter().find(|plugin| plugin.name == name)?;
        if self.mode == Mode::Inspect {
            return Some(SourceConfig {
                plugin,
                settings: Value::Null,
                expect_every: None,
                deduplicate: None,
                span: entry.key_span,
            });
        }
        let pointer = format!("/sources/{}", escape(&entry.key));
        let mut settings: Map<String, Value> = self.section(
            &pointer,
            format!("source `{}`", entry.key),
            &schema::source_schema(plugin),
        )?;
        let mut keys = Map::new();
        for key in ["expect_every", "deduplicate"] {
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
            expect_every: keys.expect_every.map(|period| period.0),
            deduplicate: keys.deduplicate.0,
            span: entry.key_span,
        })
    }

    /// Every connector that is written with the source it names, `None` where it is wrong.
    fn connectors(
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
            when: keys.when.map(|text| (text, place("when"))),
            mappings,
            unmapped: keys.unmapped,
            message_id: keys.message_id,
            start: keys.start,
            renamed_from: keys.renamed_from,
            batch: keys.batch,
            personal,
            allows,
            sink: sink?,
            span: entry.key_span,
        })
    }

    fn sink(&mut self, entry: &Entry, pointer: &str) -> Option<SinkConfig> {
        let sink = entry.value.entry("sink")?.clone();
        sink.value.as_map()?;
        let known = sluice_sdk::sinks();
        let names: Vec<&str> = known.iter().map(|plugin| plugin.name).collect();
        let name = self.plugin_name(&sink, "sink", &entry.key, &names)?;
        let plugin = known.into_iter().find(|plugin| plugin.name == name)?;
        if self.mode == Mode::Inspect {
            return Some(SinkConfig {
                plugin,
                settings: Value::Null,
            });
        }
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
        if names.contains(&found) {
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

    fn check_source(
        &mut self,
        entry: &Entry,
        pointer: &str,
        sources: &IndexMap<String, Option<SourceConfig>>,
    ) -> bool {
        let Some(node) = entry.value.get("source") else {
            return false;
        };
        let Some(found) = self.resolved.value.pointer(&format!("{pointer}/source")) else {
            return false;
        };
        let Some(found) = found.as_str() else {
            return false;
        };
        if sources.contains_key(found) || self.resolved.open.contains(&format!("{pointer}/source"))
        {
            return true;
        }
        let is_said = self
            .root
            .get("sources")
            .and_then(Node::as_map)
            .is_some_and(<[Entry]>::is_empty);
        if is_said {
            return false;
        }
        let names: Vec<&str> = sources.keys().map(String::as_str).collect();
        let note = if names.is_empty() {
            String::new()
        } else {
            format!("sources of this file: {}", names.join(", "))
        };
        self.diagnostics.push(
            Diagnostic::error(
                "unknown-source",
                node.span,
                format!("there is no source `{found}`"),
            )
            .label(did_you_mean(found, names))
            .note(note),
        );
        false
    }

    /// Types that the source's catalogue does not know are a warning: they may be new.
    fn check_types(&mut self, entry: &Entry, source: &SourceConfig) {
        let Some(catalogue) = source.plugin.catalogue else {
            return;
        };
        let catalogue = catalogue();
        for key in ["include", "exclude"] {
            let patterns = entry
                .value
                .get("events")
                .and_then(|events| events.get(key))
                .and_then(Node::as_list);
            for node in patterns.into_iter().flatten() {
                let Some(pattern) = node.as_str().filter(|text| !text.contains("${")) else {
                    continue;
                };
                let is_known = if pattern.contains('*') {
                    catalogue
                        .events
                        .iter()
                        .any(|event| overlap::matches(pattern.as_bytes(), event.name.as_bytes()))
                } else {
                    catalogue.event(pattern).is_some()
                };
                if is_known {
                    continue;
                }
                let names = catalogue.events.iter().map(|event| event.name.as_str());
                self.diagnostics.push(
                    Diagnostic::warning(
                        "unknown-event-type",
                        node.span,
                        format!("no event type of {} is `{pattern}`", source.plugin.name),
                    )
                    .label(nearest(pattern, names).map_or_else(
                        || "fine if it is new or your own".to_owned(),
                        |name| format!("did you mean `{name}`?"),
                    )),
                );
            }
        }
    }

    fn check_name(&mut self, entry: &Entry, kind: &str) {
        let is_good = !entry.key.is_empty()
            && entry.key.len() <= 64
            && entry.key.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
            });
        if !is_good {
            self.diagnostics.push(
                Diagnostic::error(
                    "bad-name",
                    entry.key_span,
                    format!("`{}` cannot be the name of a {kind}", entry.key),
                )
                .label("at most 64 of a-z, 0-9, `-` and `_`: it names files and metrics too"),
            );
        }
    }

    fn at_least_one(&mut self, key: &str, kind: &str, is_empty: bool) {
        let Some(entry) = self.root.entry(key).filter(|_| is_empty) else {
            return;
        };
        // A wrong type is told by the schema; nothing at all is told as a missing key.
        if entry.value.as_map().is_none() {
            return;
        }
        let code = if kind == "source" {
            "no-sources"
        } else {
            "no-connectors"
        };
        self.diagnostics.push(
            Diagnostic::error(code, entry.key_span, format!("there is no {kind} in it"))
                .label(format!("give at least one {kind} a name and its settings")),
        );
    }

    fn unused_sources(&mut self, connectors: &IndexMap<String, (String, Option<ConnectorConfig>)>) {
        if connectors.is_empty() || self.resolved.open.iter().any(|it| it.ends_with("/source")) {
            return;
        }
        for entry in self.entries("sources") {
            if !connectors.values().any(|(source, _)| {
                *source == entry.key || nearest(source, [entry.key.as_str()]).is_some()
            }) {
                self.diagnostics.push(
                    Diagnostic::warning(
                        "unused-source",
                        entry.key_span,
                        format!("no connector reads the source `{}`", entry.key),
                    )
                    .label("its events are kept, and go nowhere"),
                );
            }
        }
    }

    fn contacts(&mut self, config: &Config) {
        let is_open = self
            .resolved
            .open
            .iter()
            .any(|it| it.starts_with("/alerts"));
        if config.alerts.is_reachable() || is_open {
            self.nobody_to_tell(config, is_open);
            return;
        }
        for entry in self.entries("connectors") {
            if let Some(contact) = entry.value.get("contact") {
                let place: Span = contact.span;
                self.diagnostics.push(
                    Diagnostic::warning(
                        "contact-without-alerts",
                        place,
                        "there is no way to reach this contact: problems are only logged",
                    )
                    .label(
                        "add `alerts: { smtp: { host: …, from: … } }` or `alerts: { webhook: … }`",
                    ),
                );
            }
        }
    }

    /// Mails need somebody they go to; a webhook is told everything.
    fn nobody_to_tell(&mut self, config: &Config, is_open: bool) {
        let smtp = self
            .root
            .get("alerts")
            .and_then(|alerts| alerts.entry("smtp"));
        let Some(place) = smtp.map(|smtp| smtp.key_span) else {
            return;
        };
        if let Some(smtp) = &config.alerts.smtp {
            self.check_login(smtp, place);
        }
        if config.alerts.webhook.is_some() || is_open {
            return;
        }
        for entry in self.entries("connectors") {
            if entry.value.get("contact").is_none() {
                self.diagnostics.push(
                    Diagnostic::warning(
                        "alerts-without-contact",
                        entry.key_span,
                        format!("nobody is told when `{}` stops delivering", entry.key),
                    )
                    .label("add `contact: data-team@example.com`"),
                );
            }
        }
    }

    fn check_login(&mut self, smtp: &SmtpConfig, place: Span) {
        if smtp.username.is_some() != smtp.password.is_some() {
            self.diagnostics.push(
                Diagnostic::error(
                    "incomplete-login",
                    place,
                    "`username` and `password` of a mail server go together",
                )
                .label("give both, or neither"),
            );
        }
        if smtp.password.is_some() && smtp.tls == SmtpTls::None {
            self.diagnostics.push(
                Diagnostic::warning(
                    "password-in-the-clear",
                    place,
                    "the password of the mail server goes over the network as it is",
                )
                .label("use `tls: starttls` or `tls: tls`"),
            );
        }
    }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn accept(
    section: &Section<'_>,
    schema: &Value,
    checked: Result<(), ConfigError>,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    match checked {
        Ok(()) => true,
        Err(error) => report_setting(section, schema, &error, diagnostics),
    }
}

/// Say what a plugin (or serde) has against a setting. True when it is against a stand-in only.
fn report_setting(
    section: &Section<'_>,
    schema: &Value,
    error: &ConfigError,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    let pointer: String = error
        .path
        .iter()
        .map(|step| match step {
            PathStep::Key(key) => format!("/{}", escape(key)),
            PathStep::Index(at) => format!("/{at}"),
        })
        .collect();
    if section.is_open(&pointer) {
        return true;
    }
    // A text that cannot be read at all is helped by an example; a plugin's own words say enough.
    let is_unread = error.message.starts_with("invalid ");
    let example = shape::schema_at(schema, &pointer)
        .filter(|_| is_unread && !pointer.is_empty())
        .map(|at| shape::forms(schema, at))
        .unwrap_or_default();
    diagnostics.push(
        Diagnostic::error(
            "invalid-setting",
            section.place(&pointer),
            error.message.clone(),
        )
        .label(example),
    );
    false
}
