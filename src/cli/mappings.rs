//! Which mappings a command speaks of when nobody says so.

use std::path::{Path, PathBuf};

use sluice_sdk::catalogue::Catalogue;

use crate::diagnostics::{Diagnostic, Files};
use crate::mapping::{self, Mapping, Options, Reference, Target};

/// `--mappings`, `--include`: the same for every command that runs rules.
#[derive(clap::Args, Debug)]
pub struct Choice {
    /// Mapping files: a file, a folder, or `builtin:SET`. Default: the folder `mappings` here, or the
    /// built-in set.
    #[arg(long, short, value_name = "REF")]
    pub mappings: Vec<String>,
    /// Event types or globs to take, as `events.include` of a connector. Types named exactly here
    /// are opted in.
    #[arg(long, value_name = "TYPE")]
    pub include: Vec<String>,
}

impl Choice {
    /// What is meant, in words for messages; `Err` is a sentence for the user.
    pub fn references(&self) -> Result<Vec<String>, String> {
        if !self.mappings.is_empty() {
            return Ok(self.mappings.clone());
        }
        default_reference().map(|reference| vec![reference])
    }

    /// Read and check them.
    pub fn load(
        &self,
        references: &[String],
        files: &mut Files,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Mapping> {
        let options = Options {
            include: self.include.clone(),
            ..Options::default()
        };
        load(references, None, options, files, diagnostics)
    }
}

/// Read references that are relative to where we are.
pub fn load(
    references: &[String],
    target: Option<Target>,
    options: Options,
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Mapping> {
    let references: Vec<Reference> = references
        .iter()
        .map(|text| Reference {
            text: text.clone(),
            base: PathBuf::from("."),
            span: None,
        })
        .collect();
    mapping::load(&references, files, target, options, diagnostics)
}

/// Where mappings and their tests are when nothing is said.
pub const FOLDER: &str = "mappings";

/// The folder `mappings` if it holds mapping files, otherwise the only built-in set.
fn default_reference() -> Result<String, String> {
    if holds_mappings(Path::new(FOLDER)) {
        return Ok(FOLDER.to_owned());
    }
    let sets = top_sets();
    match sets.as_slice() {
        [one] => Ok(format!("builtin:{one}")),
        [] => Err(
            "there is no folder `mappings` here and no built-in set; say `--mappings REF`"
                .to_owned(),
        ),
        many => Err(format!(
            "say which mappings: `--mappings builtin:SET` with one of {}",
            many.join(", ")
        )),
    }
}

/// Catalogues of all linked sources.
pub fn catalogues() -> impl Iterator<Item = &'static Catalogue> {
    sluice_sdk::sources()
        .into_iter()
        .filter_map(|plugin| plugin.catalogue)
        .map(|catalogue| catalogue())
}

/// Built-in sets, without overlays.
pub fn top_sets() -> Vec<String> {
    sluice_sdk::mapping_sets()
        .into_iter()
        .map(|set| set.name.to_owned())
        .collect()
}

/// Whether a folder has mapping files directly in it.
pub fn holds_mappings(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            (name.ends_with(".yaml") || name.ends_with(".yml")) && !name.contains(".test.")
        })
    })
}
