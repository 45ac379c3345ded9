//! `sluice schema`: JSON Schemas of the files that people write, for editors and validators.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use super::generated::{self, Generated};
use super::output;

/// Print the JSON Schema of a kind of file, with everything the linked plugins know.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice schema config
  sluice schema --write schema     for editors: mapping.schema.json and others
  sluice schema --check schema     exit 1 if they are not up to date")]
pub struct Args {
    /// Which file.
    #[arg(required_unless_present_any = ["write", "check"])]
    kind: Option<Kind>,
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
        return generated::check(folder, &files(), &[], "sluice schema");
    }
    match args.kind {
        Some(kind) => {
            output::print(&output::json(&kind.schema()));
            output::good()
        }
        None => output::wrong_use("say which schema: config, mapping or test"),
    }
}

/// The files that [`write_all`] writes.
pub fn file_names() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().map(Kind::file)
}

/// Write every schema into a folder.
pub fn write_all(folder: &Path) -> std::io::Result<()> {
    generated::write(folder, &files())
}

fn files() -> Vec<Generated> {
    KINDS
        .into_iter()
        .map(|kind| Generated {
            name: kind.file().to_owned(),
            text: output::json(&kind.schema()),
        })
        .collect()
}
