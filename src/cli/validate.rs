//! `sluice validate`: is it right? Needs no network and no secrets.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sluice_sdk::typed;

use super::events::file_kind;
use super::follow::Followed;
use super::{mappings, output, test};
use crate::config::{ConnectorConfig, FILE_DEFAULT, Mode};
use crate::diagnostics::{Diagnostic, FileKind, Files, Format, has_errors, is_test_file};
use crate::engine::prepare::{Prepared, PreparedConnector, prepare};
use crate::mapping::Options;
use crate::mapping::testing::{Checked, check_tests};
use crate::wording::number;

/// Check a config with its mappings and their tests, or mappings alone. Needs no network and no secrets.
///
/// A variable that is not set stands for a value of the right type. Tests are read, not run.
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
    /// The same as PATH, as other commands have it.
    #[arg(short, long, value_name = "FILE", conflicts_with = "paths")]
    config: Option<String>,
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
    let named = args.config.as_ref().map(std::slice::from_ref);
    let paths: Vec<String> = named
        .unwrap_or(&args.paths)
        .iter()
        .flat_map(|path| configs_in(path))
        .collect();
    for path in &paths {
        let mut found = Vec::new();
        let summary = match kind_of(path) {
            FileKind::Config => check_config(Path::new(path), &mut files, &mut found),
            FileKind::Mapping => check_mapping(path, &mut files, &mut found),
            FileKind::Tests => check_test(path, &mut files, &mut found),
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
                && file_kind(file) == Some(FileKind::Config)
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

/// What is to be checked: a folder and a built-in set hold mappings, a file says it by its keys. What
/// says nothing is read as a config.
fn kind_of(path: &str) -> FileKind {
    if path.starts_with("builtin:") || Path::new(path).is_dir() {
        return FileKind::Mapping;
    }
    if is_test_file(Path::new(path)) {
        return FileKind::Tests;
    }
    file_kind(Path::new(path)).unwrap_or(FileKind::Config)
}

fn check_mapping(
    path: &str,
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let references = [path.to_owned()];
    let mapping = mappings::load(&references, None, Options::default(), files, diagnostics)?;
    let rules = number(mapping.rules().len(), "rule");
    let roots = match Path::new(path).is_dir() {
        true => vec![PathBuf::from(path).into()],
        false => Vec::new(),
    };
    Some(rules + &tests(&check_tests(&roots, files, diagnostics), "test"))
}

fn check_test(path: &str, files: &mut Files, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    let checked = check_tests(&[PathBuf::from(path).into()], files, diagnostics);
    Some(format!(
        "{}, not run; {} runs what is in it",
        number(checked.cases, "case"),
        typed(&format!("test {path}"))
    ))
}

/// What was read of the tests, and what was not done with them.
fn tests(checked: &Checked, command: &str) -> String {
    if checked.files == 0 {
        return String::new();
    }
    format!(
        "\n  tests: {} in {}, read but not run; {} runs them",
        number(checked.cases, "case"),
        number(checked.files, "file"),
        typed(command)
    )
}

fn check_config(
    path: &Path,
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let env = |name: &str| std::env::var(name).ok();
    let Prepared {
        config, connectors, ..
    } = prepare(path, Mode::Validate, &env, files, diagnostics)?;
    let rules: usize = connectors
        .iter()
        .map(|connector| connector.mapping.rules().len())
        .sum();
    let lines: String = connectors
        .iter()
        .map(|one| line(&config.connectors[&one.name], one))
        .collect();
    let counts = format!(
        "{}, {}, {}",
        number(config.sources.len(), "source"),
        number(config.connectors.len(), "connector"),
        number(rules, "rule")
    );
    let followed = Followed::whole(path, config);
    let checked = check_tests(&test::of_config(&followed), files, diagnostics);
    let command = match path == Path::new(FILE_DEFAULT) {
        true => "test".to_owned(),
        false => format!("test --config {}", path.display()),
    };
    Some(counts + &lines + &tests(&checked, &command))
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
        number(prepared.mapping.rules().len(), "rule")
    )
}
