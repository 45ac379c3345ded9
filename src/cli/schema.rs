//! `sluice schema`: JSON Schemas of the files that people write, for editors and validators.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;
use sluice_sdk::{SinkPlugin, SourcePlugin, typed};

use super::generated::{self, Generated};
use super::output;
use crate::diagnostics::did_you_mean;
use crate::mapping::schema::mapping_schema_for;

/// Print the JSON Schema of a kind of file, with everything the linked plugins know.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice schema config
  sluice schema mapping --sink SINK --source SOURCE   with the sink's members and the source's types
  sluice schema --write schema     for editors: mapping.schema.json and others
  sluice schema --check schema     exit 1 if they are not up to date")]
pub struct Args {
    /// Which file.
    #[arg(required_unless_present_any = ["write", "check"])]
    kind: Option<Kind>,
    /// mapping: complete and check the members of this sink's documents.
    #[arg(long, value_name = "SINK", requires = "kind")]
    sink: Option<String>,
    /// mapping: complete and check the event types of this source.
    #[arg(long, value_name = "SOURCE", requires = "kind")]
    source: Option<String>,
    /// Write all schemas into this folder.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kind", "check"])]
    write: Option<PathBuf>,
    /// Say whether the schemas in this folder are up to date.
    #[arg(long, value_name = "DIR", conflicts_with = "kind")]
    check: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// sluice.yaml
    Config,
    /// Mapping files.
    Mapping,
    /// Test files (*.test.yaml).
    Test,
    /// Event catalogues of source plugins.
    Catalogue,
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Config => crate::config::config_schema(),
            Self::Mapping => crate::mapping::schema::mapping_schema(),
            Self::Test => crate::mapping::schema::test_schema(),
            Self::Catalogue => sluice_sdk::catalogue::file_schema(),
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Config => "sluice.schema.json",
            Self::Mapping => "mapping.schema.json",
            Self::Test => "test.schema.json",
            Self::Catalogue => "catalogue.schema.json",
        }
    }
}

const KINDS: [Kind; 4] = [Kind::Config, Kind::Mapping, Kind::Test, Kind::Catalogue];

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    if let Some(folder) = &args.write {
        return match write_all(folder) {
            Ok(()) => output::good(),
            Err(error) => output::cannot_write(folder, &error),
        };
    }
    if let Some(folder) = &args.check {
        return generated::check(folder, &files(), &[], "schema");
    }
    match args.kind {
        Some(Kind::Mapping) => match specialised(args) {
            Ok(schema) => {
                output::print(&output::json(&schema));
                output::good()
            }
            Err(message) => output::wrong_use(&message),
        },
        Some(_) if args.sink.is_some() || args.source.is_some() => output::wrong_use(&format!(
            "`--sink` and `--source` are for {}",
            typed("schema mapping")
        )),
        Some(kind) => {
            output::print(&output::json(&kind.schema()));
            output::good()
        }
        None => output::wrong_use("say which schema: config, mapping or test"),
    }
}

fn specialised(args: &Args) -> Result<Value, String> {
    let (sinks, sources) = (sluice_sdk::sinks(), sluice_sdk::sources());
    let unknown = |what: &str, name: &str, known: Vec<&'static str>| {
        let hint = did_you_mean(name, known.iter().copied());
        format!("there is no {what} `{name}` in this build; {hint}")
    };
    let mut document = None;
    if let Some(name) = &args.sink {
        let found = sinks.iter().find(|plugin| plugin.name == name);
        let known = || sinks.iter().map(|plugin| plugin.name).collect();
        document = found
            .ok_or_else(|| unknown("sink", name, known()))?
            .document;
    }
    let mut catalogue = None;
    if let Some(name) = &args.source {
        let found = sources.iter().find(|plugin| plugin.name == name);
        let known = || sources.iter().map(|plugin| plugin.name).collect();
        let found = found.ok_or_else(|| unknown("source", name, known()))?;
        catalogue = found.catalogue.map(|catalogue| catalogue());
    }
    Ok(mapping_schema_for(document, catalogue))
}

/// The schema file for mappings from this source to this sink; the general one if they say nothing.
pub fn mapping_file(source: &SourcePlugin, sink: &SinkPlugin) -> String {
    match (source.catalogue, sink.document) {
        (Some(_), Some(_)) => format!("mapping.{}.{}.schema.json", source.name, sink.name),
        _ => Kind::Mapping.file().to_owned(),
    }
}

/// The files that [`write_all`] writes.
pub fn file_names() -> impl Iterator<Item = String> {
    files().into_iter().map(|file| file.name)
}

/// Write every schema into a folder.
pub fn write_all(folder: &Path) -> std::io::Result<()> {
    generated::write(folder, &files())
}

/// One a kind, and for mappings one for each source and sink that say what they have.
fn files() -> Vec<Generated> {
    let mut files: Vec<Generated> = KINDS
        .into_iter()
        .map(|kind| Generated {
            name: kind.file().to_owned(),
            text: output::json(&kind.schema()),
        })
        .collect();
    for source in sluice_sdk::sources() {
        for sink in sluice_sdk::sinks() {
            if let (Some(catalogue), Some(document)) = (source.catalogue, sink.document) {
                files.push(Generated {
                    name: mapping_file(source, sink),
                    text: output::json(&mapping_schema_for(Some(document), Some(catalogue()))),
                });
            }
        }
    }
    files
}
