//! `sluice init`: a folder to begin with, made of what is linked into this program.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use sluice_sdk::catalogue::EventType;
use sluice_sdk::{SinkPlugin, SourcePlugin, program_name};

use super::{coverage, mappings, output, schema};
use crate::diagnostics::{Files, did_you_mean, yaml_flow};
use crate::mapping::{Mapped, MappedDocument, Mapping, Options, made_for};

/// Write a folder to begin with: a config, mappings of your own with a test, editor settings.
///
/// Nothing that exists is overwritten.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice init my-sync
  sluice init my-sync --set SET      with another of the built-in mapping sets
  cd my-sync && sluice validate && sluice test")]
pub struct Args {
    /// The folder; made if it is not there.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The built-in mapping set to begin with, and with it source and sink. Default: the first that
    /// this program brings; `sluice plugins` lists them.
    #[arg(long, value_name = "SET")]
    set: Option<String>,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let start = match Start::pick(args.set.as_deref()) {
        Ok(start) => start,
        Err(message) => return output::wrong_use(&message),
    };
    let files = starter(&start);
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
        if let Err(error) = write(&args.folder.join(name), &super::naming::here(text)) {
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
    let (folder, program) = (args.folder.display(), program_name());
    output::print(&format!(
        "\nNow:\n  cd {folder}\n  {program} validate\n  {program} test\n"
    ));
    output::good()
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

/// What a folder begins with.
struct Start {
    source: &'static SourcePlugin,
    sink: &'static SinkPlugin,
    /// Mappings between the two.
    set: Option<String>,
}

impl Start {
    /// The set that was named; otherwise one that this program brings itself, otherwise one of the
    /// standard ones; without any a source and a sink alone.
    fn pick(wanted: Option<&str>) -> Result<Self, String> {
        let all = fitting_sets();
        if let Some(name) = wanted {
            let hint = match did_you_mean(name, all.iter().map(|one| one.0)) {
                hint if hint.is_empty() => {
                    let names: Vec<&str> = all.iter().map(|one| one.0).collect();
                    format!("there are {}", names.join(", "))
                }
                hint => hint,
            };
            let found = all.into_iter().find(|one| one.0 == name);
            return found
                .map(|one| one.1)
                .ok_or_else(|| format!("no mapping set `{name}` to begin with; {hint}"));
        }
        let first = all.into_iter().next().map(|one| one.1);
        first
            .or_else(Self::without_set)
            .ok_or_else(|| "this build has no source or no sink plugin".to_owned())
    }

    /// A source that knows its events and a sink that can be tried out here are the best.
    fn without_set() -> Option<Self> {
        let (sources, sinks) = (sluice_sdk::sources(), sluice_sdk::sinks());
        let source = sources.iter().find(|plugin| plugin.catalogue.is_some());
        let sink = sinks.iter().find(|plugin| plugin.double.is_some());
        Some(Self {
            source: source.or(sources.first())?,
            sink: sink.or(sinks.first())?,
            set: None,
        })
    }

    /// What the source is called in the config: `shop` of a set `shop_to_ledger`.
    fn source_name(&self) -> &str {
        let of_set = self.set.as_deref().and_then(|set| set.split_once("_to_"));
        of_set.map_or(self.source.name, |(source, _)| source)
    }

    fn connector_name(&self) -> String {
        match &self.set {
            Some(set) => set.replace('_', "-"),
            None => format!("{}-to-{}", self.source.name, self.sink.name),
        }
    }
}

/// The sets whose source and sink are linked, by name, those of a distribution first.
fn fitting_sets() -> Vec<(&'static str, Start)> {
    let mut sets = sluice_sdk::mapping_sets();
    sets.sort_by_key(|set| set.package == env!("CARGO_PKG_NAME"));
    sets.into_iter()
        .filter_map(|set| {
            let (source, sink) = made_for(set.name);
            let (source, sink) = (source?, sink?);
            let start = Start {
                source: sluice_sdk::sources()
                    .into_iter()
                    .find(|it| it.name == source)?,
                sink: sluice_sdk::sinks().into_iter().find(|it| it.name == sink)?,
                set: Some(set.name.to_owned()),
            };
            Some((set.name, start))
        })
        .collect()
}

fn starter(start: &Start) -> Vec<(String, String)> {
    let (source, sink) = (start.source, start.sink);
    let set = start.set.as_deref();
    let mut files = vec![
        ("sluice.yaml".to_owned(), config(start)),
        ("mappings/ours.yaml".to_owned(), overlay(set, source, sink)),
        (".vscode/settings.json".to_owned(), editor(source, sink)),
        (".vscode/extensions.json".to_owned(), EXTENSIONS.to_owned()),
        (".gitignore".to_owned(), "/data/\n".to_owned()),
        ("README.md".to_owned(), README.to_owned()),
    ];
    if let Some(test) = set.and_then(test) {
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

fn config(start: &Start) -> String {
    let Start { source, sink, .. } = start;
    format!(
        "\
# yaml-language-server: $schema=schema/sluice.schema.json
# `sluice plugins show {source}` and `sluice plugins show {sink}` explain every setting.
version: 1

sources:
  {name}:
    type: {source}
{source_settings}
connectors:
  {connector}:
    source: {name}
    mappings: mappings
    sink:
      type: {sink}
{sink_settings}
journal: {{ path: data, retain: 7d, max_size: 10GiB, when_full: push_back }}
admin: {{ listen: 127.0.0.1:9090 }}    # `sluice status`, health, metrics
",
        name = start.source_name(),
        connector = start.connector_name(),
        source = source.name,
        sink = sink.name,
        source_settings = indent(source.example, 4),
        sink_settings = indent(sink.example, 6),
    )
}

fn overlay(set: Option<&str>, source: &SourcePlugin, sink: &SinkPlugin) -> String {
    let schema = schema::mapping_file(source, sink);
    let head = format!(
        "# yaml-language-server: $schema=../schema/{schema}\nversion: 1\nfor: {{ source: {}, sink: {} }}\n",
        source.name, sink.name
    );
    let Some(set) = set else {
        return format!("{head}rules:\n  everything:\n    on: \"*\"\n    emit: {{ id: $.id }}\n");
    };
    let mapping = load(set);
    let sent = mapping.as_ref().and_then(first_sent);
    let rule = sent.map_or_else(
        || "a_rule".to_owned(),
        |(_, document)| document.rule.to_string(),
    );
    format!(
        "{head}\
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
