//! `sluice validate`: is it right? Needs no network and no secrets.

use std::path::Path;
use std::process::ExitCode;

use sluice_sdk::typed;

use super::{mappings, output};
use crate::config::{ConnectorConfig, Mode};
use crate::diagnostics::{Diagnostic, Files, Format, has_errors, parse_yaml};
use crate::engine::prepare::{PreparedConnector, prepare};
use crate::mapping::Options;

/// Check a config with its mappings, or mappings alone. Needs no network and no secrets.
///
/// A variable that is not set stands for a value of the right type.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice validate                          sluice.yaml and the mappings it names
  sluice validate eu.yaml us.yaml
  sluice validate mappings/my_set          mappings alone: a folder, a file or builtin:SET
  sluice validate --format github --strict for pull requests")]
pub struct Args {
    /// Config files, mapping files, folders of either, or `builtin:SET`.
    #[arg(value_name = "PATH", default_value = "sluice.yaml")]
    paths: Vec<String>,
    /// Warnings count as problems too.
    #[arg(long)]
    strict: bool,
    /// How messages are written.
    #[arg(long, default_value = "human")]
    format: Format,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let mut summaries = Vec::new();
    let paths: Vec<String> = args
        .paths
        .iter()
        .flat_map(|path| configs_in(path))
        .collect();
    if let Some(test) = paths.iter().find(|path| is_test(path)) {
        return output::wrong_use(&format!(
            "{test} holds tests of mappings; {} runs them",
            typed(&format!("test {test}"))
        ));
    }
    for path in &paths {
        let mut found = Vec::new();
        let summary = if is_mapping(path) {
            check_mapping(path, &mut files, &mut found)
        } else {
            check_config(Path::new(path), &mut files, &mut found)
        };
        if !has_errors(&found) {
            summaries.extend(summary.map(|text| format!("{path} is valid: {text}\n")));
        }
        diagnostics.append(&mut found);
    }
    output::without_repeats(&mut diagnostics, &files);
    let code = output::report(&diagnostics, &files, args.format, args.strict);
    if args.format == Format::Human {
        output::print(&summaries.concat());
    }
    code
}

/// The configs of a folder that holds some; else what was given.
fn configs_in(path: &str) -> Vec<String> {
    let folder = Path::new(path);
    let mut configs: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(folder.join(entry.ok()?.file_name())))
        .filter(|file| {
            file.extension()
                .is_some_and(|it| it == "yaml" || it == "yml")
                && is_config(file)
        })
        .map(|file| {
            let file = file.strip_prefix(".").unwrap_or(&file);
            file.display().to_string()
        })
        .collect();
    configs.sort();
    if configs.is_empty() {
        configs.push(path.to_owned());
    }
    configs
}

fn is_config(path: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else {
        return false;
    };
    let mut files = Files::default();
    let file = files.add("", None, text);
    parse_yaml(file, &files)
        .is_ok_and(|root| root.get("sources").is_some() || root.get("connectors").is_some())
}

fn is_test(path: &str) -> bool {
    let is_named = |end: &str| path.ends_with(end);
    (is_named(".test.yaml") || is_named(".test.yml")) && Path::new(path).is_file()
}

/// A folder, a built-in set, or a file with a mapping's keys.
fn is_mapping(path: &str) -> bool {
    if path.starts_with("builtin:") || Path::new(path).is_dir() {
        return true;
    }
    let Ok(text) = std::fs::read_to_string(path) else {
        return false;
    };
    let mut files = Files::default();
    let file = files.add(path, Some(Path::new(path)), text);
    parse_yaml(file, &files).is_ok_and(|root| {
        ["rules", "templates", "tables", "import", "for"]
            .iter()
            .any(|key| root.get(key).is_some())
            && root.get("sources").is_none()
            && root.get("connectors").is_none()
    })
}

fn check_mapping(
    path: &str,
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let references = [path.to_owned()];
    let mapping = mappings::load(&references, None, Options::default(), files, diagnostics)?;
    Some(output::number(mapping.rules().len(), "rule"))
}

fn check_config(
    path: &Path,
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let env = |name: &str| std::env::var(name).ok();
    let prepared = prepare(path, Mode::Validate, &env, files, diagnostics)?;
    let config = &prepared.config;
    let rules = prepared
        .connectors
        .iter()
        .map(|connector| connector.mapping.rules().len())
        .sum();
    let connectors: String = prepared
        .connectors
        .iter()
        .map(|one| line(&config.connectors[&one.name], one))
        .collect();
    Some(format!(
        "{}, {}, {}{connectors}",
        output::number(config.sources.len(), "source"),
        output::number(config.connectors.len(), "connector"),
        output::number(rules, "rule")
    ))
}

/// Which way a connector goes, and by whose rules.
fn line(connector: &ConnectorConfig, prepared: &PreparedConnector) -> String {
    let mappings: Vec<&str> = connector
        .mappings
        .iter()
        .map(|(text, _)| text.as_str())
        .collect();
    format!(
        "\n  {}: {} to {} by {} ({})",
        prepared.name,
        connector.source,
        connector.sink.plugin.name,
        mappings.join(", "),
        output::number(prepared.mapping.rules().len(), "rule")
    )
}
