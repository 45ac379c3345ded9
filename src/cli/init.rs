//! `sluice init`: a folder to begin with, made of what is linked into this program.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use sluice_sdk::catalogue::EventType;
use sluice_sdk::{SinkPlugin, SourcePlugin};

use super::{coverage, mappings, output, schema};
use crate::diagnostics::{Files, yaml_flow};
use crate::mapping::{Mapped, MappedDocument, Mapping, Options};

/// Write a folder to begin with: a config, mappings of your own with a test, editor settings.
///
/// Nothing that exists is overwritten.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice init my-sync
  cd my-sync && sluice validate && sluice test")]
pub struct Args {
    /// The folder; made if it is not there.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let (Some(source), Some(sink)) = (pick_source(), pick_sink()) else {
        return output::wrong_use("this build has no source or no sink plugin");
    };
    let files = starter(source, sink);
    let existing: Vec<String> = files
        .iter()
        .map(|(name, _)| args.folder.join(name))
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect();
    if !existing.is_empty() {
        return output::wrong_use(&format!(
            "nothing was written, because this is there already: {}",
            existing.join(", ")
        ));
    }
    for (name, text) in &files {
        if let Err(error) = write(&args.folder.join(name), text) {
            output::tell(&format!("error: {name} cannot be written: {error}\n"));
            return output::problems();
        }
    }
    if let Err(error) = schema::write_all(&args.folder.join("schema")) {
        output::tell(&format!("error: schema cannot be written: {error}\n"));
        return output::problems();
    }
    let schemas = schema::file_names().map(|name| format!("schema/{name}"));
    for name in files.into_iter().map(|(name, _)| name).chain(schemas) {
        output::print(&format!("wrote {}\n", args.folder.join(name).display()));
    }
    let folder = args.folder.display();
    output::print(&format!(
        "\nNow:\n  cd {folder}\n  sluice validate\n  sluice test\n"
    ));
    output::good()
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

/// A source that knows its events is the best to begin with.
fn pick_source() -> Option<&'static SourcePlugin> {
    let all = sluice_sdk::sources();
    all.iter()
        .find(|plugin| plugin.catalogue.is_some())
        .or(all.first())
        .copied()
}

/// A sink that can be tried out on this machine is the best to begin with.
fn pick_sink() -> Option<&'static SinkPlugin> {
    let all = sluice_sdk::sinks();
    all.iter()
        .find(|plugin| plugin.double.is_some())
        .or(all.first())
        .copied()
}

fn starter(source: &SourcePlugin, sink: &SinkPlugin) -> Vec<(String, String)> {
    let set = mappings::top_sets().into_iter().next();
    let mut files = vec![
        ("sluice.yaml".to_owned(), config(source, sink)),
        (
            "mappings/ours.yaml".to_owned(),
            overlay(set.as_deref(), source, sink),
        ),
        (".vscode/settings.json".to_owned(), editor(source, sink)),
        (".vscode/extensions.json".to_owned(), EXTENSIONS.to_owned()),
        (".gitignore".to_owned(), "/data/\n".to_owned()),
        ("README.md".to_owned(), README.to_owned()),
    ];
    if let Some(test) = set.and_then(|set| test(&set)) {
        files.push(("mappings/ours.test.yaml".to_owned(), test));
    }
    files
}

fn indent(text: &str, spaces: usize) -> String {
    let space = " ".repeat(spaces);
    text.trim_end()
        .lines()
        .map(|line| format!("{space}{line}\n"))
        .collect()
}

fn config(source: &SourcePlugin, sink: &SinkPlugin) -> String {
    format!(
        "\
# yaml-language-server: $schema=schema/sluice.schema.json
# `sluice plugins show {source}` and `sluice plugins show {sink}` explain every setting.
version: 1
sources:
  {source}:
    type: {source}
{source_settings}connectors:
  {source}-to-{sink}:
    source: {source}
    mappings: mappings
    sink:
      type: {sink}
{sink_settings}journal: {{ path: data, retain: 7d, max_size: 10GiB }}
",
        source = source.name,
        sink = sink.name,
        source_settings = indent(source.example, 4),
        sink_settings = indent(sink.example, 6),
    )
}

fn overlay(set: Option<&str>, source: &SourcePlugin, sink: &SinkPlugin) -> String {
    let schema = schema::mapping_file(source, sink);
    let head = format!("# yaml-language-server: $schema=../schema/{schema}\n");
    let Some(set) = set else {
        return format!(
            "{head}version: 1\nfor: {{ source: {}, sink: {} }}\nrules:\n  everything:\n    \
             on: \"*\"\n    emit: {{ id: $.id }}\n",
            source.name, sink.name
        );
    };
    let mapping = load(set);
    let sent = mapping.as_ref().and_then(first_sent);
    let rule = sent.map_or_else(
        || "a_rule".to_owned(),
        |(_, document)| document.rule.to_string(),
    );
    format!(
        "{head}\
version: 1
import: [builtin:{set}]

# A rule of the same name is laid over the imported one; all else stays. `sluice coverage` shows
# every rule, `sluice map --sample TYPE --explain` what it does. To leave a type out, for example:
#
# rules:
#   {rule}: {{ skip: not needed }}
"
    )
}

fn load(set: &str) -> Option<Mapping> {
    let references = [format!("builtin:{set}")];
    mappings::load(
        &references,
        None,
        Options::default(),
        &mut Files::default(),
        &mut Vec::new(),
    )
}

/// The first event type of the catalogue that becomes one document, and that document.
fn first_sent(mapping: &Mapping) -> Option<(&'static EventType, MappedDocument)> {
    let catalogue = mapping.target().catalogue?;
    catalogue.events.iter().find_map(|event| {
        let Mapped::Documents(documents) = mapping.map(&event.sample()) else {
            return None;
        };
        let [document] = <[MappedDocument; 1]>::try_from(documents).ok()?;
        Some((event, document))
    })
}

/// A test of it.
fn test(set: &str) -> Option<String> {
    let mapping = load(set)?;
    let target = *mapping.target();
    let (event, document) = first_sent(&mapping)?;
    let members = target.document.map(|spec| spec.title).unwrap_or_default();
    let body: Value = serde_json::from_slice(&document.body).ok()?;
    let expected: serde_json::Map<String, Value> = members
        .iter()
        .filter(|member| body[**member].is_string())
        .map(|member| ((*member).to_owned(), body[*member].clone()))
        .collect();
    if expected.is_empty() {
        return None;
    }
    let name = coverage::title(&body, target.document);
    Some(format!(
        "\
# yaml-language-server: $schema=../schema/test.schema.json
# `sluice test` runs it. The sample is the catalogue's example event, every field filled.
version: 1
tests:
  # {name}
  {rule}_is_sent:
    sample: {kind}
    expect: {expected}
",
        rule = document.rule,
        kind = event.name,
        expected = yaml_flow(&Value::Object(expected))
    ))
}

fn editor(source: &SourcePlugin, sink: &SinkPlugin) -> String {
    output::json(&json!({
        "yaml.schemas": {
            "./schema/sluice.schema.json": "sluice.yaml",
            format!("./schema/{}", schema::mapping_file(source, sink)): "mappings/**/!(*.test).yaml",
            "./schema/test.schema.json": "mappings/**/*.test.yaml",
        }
    }))
}

const EXTENSIONS: &str = r#"{
  "recommendations": ["redhat.vscode-yaml"]
}
"#;

const README: &str = "\
# Our sync

| file | what it says |
| --- | --- |
| `sluice.yaml` | where events come in, where they go |
| `mappings/ours.yaml` | what becomes of them: our own rules over the built-in ones |
| `mappings/*.test.yaml` | examples that must hold |
| `schema/` | for the editor; `sluice schema --write schema` makes them anew |

```
sluice validate               # check all of it
sluice test                   # run the tests
sluice map --sample TYPE      # what does this event become?
sluice coverage               # every event type and its rule
sluice run                    # start; set the variables that sluice.yaml names first
```

In CI: `sluice validate --strict --format github && sluice test --fail-under 100`.

Editors: completion, descriptions and errors come from the YAML language server. VS Code offers the
extension by itself when it opens this folder; in others (Neovim, Helix, Zed, Emacs, JetBrains)
switch the server `yaml-language-server` on. The first line of each file tells it the schema, so
there is nothing else to set.
";
