//! Read a sluice.yaml and check all of it: shape, names, plugins' own settings, what fits together.

mod ends;
mod fit;
mod reach;

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sluice_sdk::{ConfigError, PathStep, Secret, typed};

use super::model::{Config, ConfigKeys};
use super::shape::Section;
use super::{Mode, address, expected, mend, overlap, placeholders, schema, secrets, weak_secrets};
use crate::diagnostics::{
    Allows, Diagnostic, Entry, FileKind, Files, Kind, Node, Span, has_errors, other_kind,
    parse_yaml, read_text,
};

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
            diagnostics.push(match hint {
                Some(hint) if problem.label.is_empty() => (*problem).label(hint),
                _ => *problem,
            });
            return None;
        }
    };
    let file = files.add(path.display().to_string(), Some(path), text);
    let mut root = match parse_yaml(file, files) {
        Ok(root) => root,
        Err(error) => {
            secrets::hide_in_text(file, files);
            diagnostics.push(without_secret(*error, files));
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
    if let Some(problem) = other_kind(&root, FileKind::Config, files.name(file)) {
        diagnostics.push(problem);
        return None;
    }
    let mut found = Vec::new();
    let written = root.clone();
    let mended = mend::mend(&mut root, mode, &mut found);
    let secrets = secrets::find(&root, &written, &mended);
    secrets::hide(&secrets, files);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let config = Loader {
        root: &root,
        mode,
        resolved: placeholders::resolve(&root, mode, env, &secrets, &mut found),
        diagnostics: &mut found,
    }
    .config(folder);
    weak_secrets::check(&root, mode, env, &mut found);
    if mode == Mode::Run {
        unreadable_secrets(&root, env, &mut found);
        unreadable_files(&root, env, &mut found);
    }
    let allows = allow(&root, &mut found);
    let config = config.map(|config| Config { allows, ..config });
    let is_good = !has_errors(&found);
    diagnostics.append(&mut found);
    config.filter(|_| is_good)
}

/// What to write instead repeats the value; beside one that is hidden it does not.
fn without_secret(error: Diagnostic, files: &Files) -> Diagnostic {
    let is_hidden = error.span.is_some_and(|span| {
        let (line, _) = files.position(span.file, span.start);
        files.shown_line(span.file, line) != files.line(span.file, line)
    });
    if is_hidden && !error.label.is_empty() {
        return error
            .label("put the value in quotes, or see that each bracket and quote is closed");
    }
    error
}

/// Secrets in files that cannot be read: told at the start, not by the first request that needs one.
fn unreadable_secrets(
    root: &Node,
    env: &dyn Fn(&str) -> Option<String>,
    found: &mut Vec<Diagnostic>,
) {
    for node in secrets::files(root) {
        // What is wrong with the text itself was told.
        let path = placeholders::resolve(node, Mode::Run, env, &[], &mut Vec::new()).value;
        let secret = serde_json::from_value::<Secret>(json!({ "file": path }));
        if let Some(problem) = secret.ok().and_then(|secret| secret.reveal().err()) {
            found.push(
                Diagnostic::error("unreadable-secret", node.span, problem.to_string())
                    .label("it must be there, with the secret in it, for the user that runs this"),
            );
        }
    }
}

/// Files that plugins read at the start, for which their settings have the format `file`.
fn unreadable_files(
    root: &Node,
    env: &dyn Fn(&str) -> Option<String>,
    found: &mut Vec<Diagnostic>,
) {
    let entries = root.get("sources").and_then(Node::as_map);
    for entry in entries.unwrap_or_default() {
        let name = entry.value.get("type").and_then(Node::as_str);
        let plugins = sluice_sdk::sources();
        let Some(plugin) = plugins.into_iter().find(|one| Some(one.name) == name) else {
            continue;
        };
        let schema = schema::source_schema(plugin);
        let mut nodes = Vec::new();
        expected::of_format(&schema, &schema, &entry.value, "file", &mut nodes);
        for node in nodes {
            // What is wrong with the text itself was told.
            let path = placeholders::resolve(node, Mode::Run, env, &[], &mut Vec::new()).value;
            let Some(path) = path.as_str().map(Path::new) else {
                continue;
            };
            if let Err(error) = std::fs::File::open(path) {
                let message = format!("the file {} cannot be read: {error}", path.display());
                let label = match path.is_relative() {
                    true => {
                        "looked for in the folder where the program starts, not beside this file"
                    }
                    false => "it must be there, for the user that runs this",
                };
                found.push(Diagnostic::error("unreadable-file", node.span, message).label(label));
            }
        }
    }
}

/// What the file and its sources allow, to be applied to all that is told later; and what is allowed,
/// by them and by connectors, of what is told so far.
fn allow(root: &Node, found: &mut Vec<Diagnostic>) -> Allows {
    let mut own = Allows::default();
    if let Some(allow) = root.get("allow") {
        own.read(allow, Some(root.span), found);
    }
    let entries = |key: &str| root.get(key).and_then(Node::as_map).unwrap_or_default();
    let scope = |entry: &Entry| Span {
        end: entry.value.span.end.max(entry.key_span.end),
        ..entry.key_span
    };
    for source in entries("sources") {
        if let Some(allow) = source.value.get("allow") {
            own.read(allow, Some(scope(source)), found);
        }
    }
    let mut all = own.clone();
    for connector in entries("connectors") {
        if let Some(allow) = connector.value.get("allow") {
            // What is wrong with it was told with the connector.
            all.read(allow, Some(scope(connector)), &mut Vec::new());
        }
    }
    all.apply(found);
    own
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
            allows: Allows::default(),
        };
        overlap::check(&config, self.diagnostics);
        self.room(&config);
        self.contacts(&config);
        self.admin(&config);
        self.listeners(&config);
        self.renamed(&config);
        Some(config)
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
    // As the standard library says it, of every plugin that reads one.
    let message = match error.message.as_str() {
        "invalid socket address syntax" => address::EXPECTED,
        message => message,
    };
    // A text that cannot be read at all is helped by an example; a plugin's own words say enough.
    let is_unread = message.starts_with("invalid ");
    let label = match message.starts_with(address::EXPECTED) {
        true => section.address_meant(&pointer),
        false => expected::schema_at(schema, &pointer)
            .filter(|_| is_unread && !pointer.is_empty())
            .map(|at| expected::forms(schema, at))
            .unwrap_or_default(),
    };
    diagnostics
        .push(Diagnostic::error("invalid-setting", section.place(&pointer), message).label(label));
    false
}
