//! From a config file to everything that is needed to run: config, and each connector's rules,
//! checked against what its source brings and its sink takes. Touches neither network nor journal, but
//! for the names of the connectors that have a place there.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::places;
use crate::config::{self, Config, ConnectorConfig, MessageId, Mode};
use crate::diagnostics::{Diagnostic, Files, did_you_mean, forget_used, has_errors};
use crate::mapping::{self, Mapping, Options, Reference, RuleInfo, Target, TypePattern};

/// All that `run` needs.
pub struct Prepared {
    /// The config.
    pub config: Config,
    /// One for each connector, in the order of the config.
    pub connectors: Vec<PreparedConnector>,
    /// The same for the same texts of all files.
    pub hash: String,
}

/// Characters of [`Prepared::hash`]: enough to tell versions apart.
const HASH_CHARS: usize = 12;

/// One connector's rules.
pub struct PreparedConnector {
    /// Its name.
    pub name: String,
    /// The rules.
    pub mapping: Mapping,
    /// The same for the same texts of all files that the rules come from.
    pub rules_hash: String,
}

/// Read and check everything. `None` when there are errors; all are in `diagnostics`.
pub fn prepare(
    path: &Path,
    mode: Mode,
    environment: &dyn Fn(&str) -> Option<String>,
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Prepared> {
    let Some(config) = config::load(path, mode, environment, files, diagnostics) else {
        // Problems of the mappings are told in the same run, as far as the config can be read.
        let mut told_already = Vec::new();
        if let Some(config) =
            config::load(path, Mode::Inspect, environment, files, &mut told_already)
        {
            connectors(&config, files, diagnostics);
            dedupe(diagnostics);
        }
        return None;
    };
    let connectors = connectors(&config, files, diagnostics);
    if mode == Mode::Validate {
        // What runs says it when it gives the places.
        diagnostics.extend(places::check(&config));
    }
    let mut allows = config.allows.clone();
    allows.apply(diagnostics);
    allows.report_unused(diagnostics);
    dedupe(diagnostics);
    (!has_errors(diagnostics)).then(|| Prepared {
        config,
        connectors,
        hash: hash_since(files, 0).chars().take(HASH_CHARS).collect(),
    })
}

/// Of the texts of all files but the first `known`.
fn hash_since(files: &Files, known: usize) -> String {
    let mut hasher = Sha256::new();
    for file in files.ids().skip(known) {
        let text = files.text(file);
        hasher.update(files.name(file));
        hasher.update([0]);
        hasher.update(text.len().to_le_bytes());
        hasher.update(text);
    }
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The rules of each connector that has good ones.
fn connectors(
    config: &Config,
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<PreparedConnector> {
    let mut connectors = Vec::new();
    let mut allowed_already: Vec<Diagnostic> = diagnostics
        .iter()
        .filter(|one| one.allowed.is_some())
        .cloned()
        .collect();
    let mut told: Vec<Vec<Diagnostic>> = Vec::new();
    for (name, connector) in &config.connectors {
        let known = files.ids().count();
        let mut found = Vec::new();
        let mapping = rules(config, name, connector, files, &mut found);
        if let Some(mapping) = &mapping {
            unknown_outputs(connector, mapping, &mut found);
        }
        told.push(found);
        if let Some(mapping) = mapping {
            connectors.push(PreparedConnector {
                name: name.clone(),
                mapping,
                rules_hash: hash_since(files, known),
            });
        }
    }
    if let Some(first) = told.first_mut() {
        first.extend(unread_mappings(config, files));
    }
    for (connector, mut found) in config.connectors.values().zip(told) {
        // What the connector allowed of the config is used as well.
        let mut allows = connector.allows.clone();
        allows.apply(&mut found);
        allows.apply(&mut allowed_already);
        allows.report_unused(&mut found);
        diagnostics.append(&mut found);
    }
    connectors
}

/// Parts of documents that the sink's settings name, and that no rule makes.
fn unknown_outputs(
    connector: &ConnectorConfig,
    mapping: &Mapping,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if connector.document_paths.is_empty() {
        return;
    }
    let is_opted_in = |rule: &RuleInfo| {
        let include = &connector.events.include;
        let names = |on: &String| {
            include
                .iter()
                .any(|name| TypePattern::new(on, None).matches(name))
        };
        rule.opt_in.is_none() || rule.on.iter().any(names)
    };
    let rules = mapping.rules().iter().filter(|rule| is_opted_in(rule));
    let outputs: Vec<String> = rules
        .flat_map(|rule| mapping.outputs_of(&rule.name))
        .map(|output| output.path)
        .collect();
    for (path, span) in &connector.document_paths {
        // A part, what is in a part that comes whole from the event, or what has parts.
        let is_part = |output: &String| {
            let output = output.trim_end_matches('*').trim_end_matches('.');
            let is_in = |whole: &str, part: &str| {
                let rest = part.strip_prefix(whole);
                whole.is_empty() || rest.is_some_and(|it| it.is_empty() || it.starts_with('.'))
            };
            is_in(output, path) || is_in(path, output)
        };
        if !outputs.iter().any(is_part) {
            let message = format!("no rule of this connector makes `{path}`");
            diagnostics.push(
                Diagnostic::warning("unknown-output", *span, message)
                    .label(did_you_mean(path, outputs.iter().map(String::as_str)))
                    .note("as it is, the setting has no effect"),
            );
        }
    }
}

/// The folder for mappings of one's own beside the config, when nothing of it was read.
fn unread_mappings(config: &Config, files: &Files) -> Option<Diagnostic> {
    let folder = mapping::normal(&config.folder.join(mapping::FOLDER));
    let own = mapping::files_in(&folder);
    let mut named = config.connectors.values().flat_map(|one| &one.mappings);
    if named.any(|(text, _)| mapping::normal(&config.folder.join(text)) == folder) {
        return None;
    }
    let is_read = |path: &PathBuf| files.ids().any(|id| files.path(id) == Some(path));
    if own.is_empty() || own.iter().any(is_read) {
        return None;
    }
    let (_, span) = config.connectors.values().next()?.mappings.first()?;
    let message = format!(
        "no connector names the folder {}, so its rules do not run",
        folder.display()
    );
    Some(
        Diagnostic::warning("unread-folder", *span, message)
            .label(format!("to run them say `mappings: {}`", mapping::FOLDER)),
    )
}

/// The rules of one connector, against what its source brings and its sink takes. `None` comes with an
/// error.
pub fn rules(
    config: &Config,
    name: &str,
    connector: &ConnectorConfig,
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Mapping> {
    let references: Vec<Reference> = connector
        .mappings
        .iter()
        .map(|(text, span)| Reference {
            text: text.clone(),
            base: config.folder.clone(),
            span: Some(*span),
        })
        .collect();
    let target = Target {
        catalogue: config
            .sources
            .get(&connector.source)
            .and_then(|source| source.plugin.catalogue)
            .map(|catalogue| catalogue()),
        document: connector.sink.plugin.document,
    };
    let when = connector
        .when
        .as_ref()
        .and_then(|node| Some((mapping::read_condition(node, diagnostics)?, node.clone())));
    let options = Options {
        include: connector.events.include.clone(),
        exclude: connector.events.exclude.clone(),
        when_place: when.as_ref().map(|(_, node)| node.clone()),
        when: when.map(|(when, _)| when),
        identity_suffix: (connector.message_id == MessageId::Connector).then(|| name.to_owned()),
        personal: connector.personal.clone(),
        is_for_sink: true,
    };
    mapping::load(&references, files, Some(target), options, diagnostics)
}

/// Connectors that share mapping files would report the same problem once each.
fn dedupe(diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: Vec<Diagnostic> = Vec::new();
    diagnostics.retain(|diagnostic| {
        let is_new = !seen.contains(diagnostic);
        if is_new {
            seen.push(diagnostic.clone());
        }
        is_new
    });
    forget_used(diagnostics);
}
