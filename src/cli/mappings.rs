//! Which mappings a command speaks of when nobody says so.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sluice_sdk::EventPlaces;
use sluice_sdk::catalogue::Catalogue;

use super::follow::{FollowArgs, Followed};
use super::output;
use crate::diagnostics::{Diagnostic, Files, Format, did_you_mean, has_errors};
use crate::engine::prepare::rules;
use crate::mapping::{self, FOLDER, Mapping, Options, Reference, Target, TypePattern};

/// `--mappings`, `--include`, `--config`: the same for every command that runs rules.
#[derive(clap::Args, Debug)]
pub struct Choice {
    /// Mapping files: a file, a folder, or `builtin:SET`. Default: those of the connector in
    /// `sluice.yaml`; without one the folder `mappings` here, or the built-in set.
    #[arg(long, short, value_name = "REF")]
    pub mappings: Vec<String>,
    /// Event types or globs to take, as `events.include` of a connector. Types named exactly here
    /// are opted in. Default: what the connector says, if its mappings are taken.
    #[arg(long, value_name = "TYPE")]
    pub include: Vec<String>,
    #[command(flatten)]
    pub follow: FollowArgs,
}

/// The rules a command runs, and how it reads events.
pub struct Chosen {
    /// The rules.
    pub mapping: Mapping,
    /// Their files.
    pub files: Files,
    /// Where events say type and id.
    pub places: EventPlaces,
}

impl Choice {
    /// What is meant, when no config is followed; `Err` is a sentence for the user.
    pub fn references(&self) -> Result<Vec<String>, String> {
        if !self.mappings.is_empty() {
            return Ok(self.mappings.clone());
        }
        default_reference().map(|reference| vec![reference])
    }

    /// Find, read and check what is meant. `Err`: what is wrong was told, and the command ends with this.
    pub fn load(&self) -> Result<Chosen, ExitCode> {
        let wrong_use = |text: String| output::wrong_use(&text);
        let mut files = Files::default();
        let mut diagnostics = Vec::new();
        let followed = self.follow.read(&mut files)?;
        let (mapping, places) = match &followed {
            Some(followed) if self.mappings.is_empty() => {
                let (name, connector) = followed.connector().map_err(wrong_use)?;
                followed.tell_rules(name, connector);
                let mut connector = connector.clone();
                if !self.include.is_empty() {
                    connector.events.include.clone_from(&self.include);
                }
                let config = &followed.config;
                let mapping = rules(config, name, &connector, &mut files, &mut diagnostics);
                (mapping, followed.places(&connector))
            }
            followed => {
                let references = self.references().map_err(wrong_use)?;
                let mapping = self.named(&references, &mut files, &mut diagnostics);
                let places = followed
                    .as_ref()
                    .map_or_else(EventPlaces::default, Followed::read_as);
                (mapping, places)
            }
        };
        match mapping.filter(|_| !has_errors(&diagnostics)) {
            Some(mapping) => {
                tell_unknown_types(&self.include, mapping.target().catalogue);
                Ok(Chosen {
                    mapping,
                    files,
                    places,
                })
            }
            None => Err(output::report(&diagnostics, &files, Format::Human, false)),
        }
    }

    /// Rules that were named, without a config.
    pub fn named(
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

/// The folder `mappings` if it holds mapping files, otherwise the only built-in set.
fn default_reference() -> Result<String, String> {
    if !mapping::files_in(Path::new(FOLDER)).is_empty() {
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

/// Tell which of the event types and globs of a command line no catalogue at hand has. They count all
/// the same: a type may be newer than its catalogue.
pub fn tell_unknown_types(
    given: &[String],
    catalogues: impl IntoIterator<Item = &'static Catalogue>,
) {
    let catalogues: Vec<&Catalogue> = catalogues.into_iter().collect();
    if catalogues.is_empty() {
        return;
    }
    let names = || catalogues.iter().flat_map(|one| one.events.iter());
    for text in given {
        let pattern = TypePattern::new(text, None);
        let is_known = names().any(|event| {
            pattern.matches(&event.name) || event.aliases.iter().any(|name| pattern.matches(name))
        });
        if !is_known {
            let hint = did_you_mean(text, names().map(|event| event.name.as_str()));
            let hint = if hint.is_empty() {
                hint
            } else {
                format!("; {hint}")
            };
            output::tell(&format!(
                "warning: the catalogue has no event type `{text}`{hint}\n"
            ));
        }
    }
}

/// Built-in sets, without overlays.
pub fn top_sets() -> Vec<String> {
    sluice_sdk::mapping_sets()
        .into_iter()
        .map(|set| set.name.to_owned())
        .collect()
}
