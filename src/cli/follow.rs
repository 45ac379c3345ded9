//! The sluice.yaml that a command follows which looks at events: whose rules run, and where the source
//! finds the type of an event. So `map`, `test` and `coverage` say what `run` would do.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sluice_sdk::{EventPlaces, PathStep, typed};

use super::output;
use crate::config::{self, Config, ConnectorConfig, FILE_DEFAULT, Mode, SourceConfig};
use crate::diagnostics::{Files, Format, did_you_mean, has_errors};

/// `--config`, `--connector`: the same for every command that follows a config.
#[derive(clap::Args, Debug)]
pub struct FollowArgs {
    /// The config to follow: the rules of its connectors, and how its sources tell the type of an
    /// event. Default: `sluice.yaml` here, if there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The connector of the config that is meant, where it has several.
    #[arg(long, value_name = "NAME")]
    pub connector: Option<String>,
}

/// A good config, and which part of it is meant.
pub struct Followed {
    /// The file, as it was named.
    pub path: PathBuf,
    /// All of it.
    pub config: Config,
    /// `--connector`; it exists.
    chosen: Option<String>,
}

impl FollowArgs {
    /// The file to follow, if there is one.
    pub fn path(&self) -> Option<&Path> {
        let here = Path::new(FILE_DEFAULT);
        let found = || here.is_file().then_some(here);
        self.config.as_deref().or_else(found)
    }

    /// Read it. `Ok(None)`: there is none to follow. `Err`: what is wrong was told, and the command
    /// ends with this.
    pub fn read(&self, files: &mut Files) -> Result<Option<Followed>, ExitCode> {
        let Some(path) = self.path() else {
            return match &self.connector {
                Some(_) => Err(output::wrong_use(
                    "--connector names a connector of a config, and there is no sluice.yaml here; say `--config FILE`",
                )),
                None => Ok(None),
            };
        };
        let mut diagnostics = Vec::new();
        let env = |name: &str| std::env::var(name).ok();
        let config = config::load(path, Mode::Validate, &env, files, &mut diagnostics);
        let Some(config) = config.filter(|_| !has_errors(&diagnostics)) else {
            if self.config.is_some() || self.connector.is_some() {
                return Err(output::report(&diagnostics, files, Format::Human, false));
            }
            output::tell(&format!(
                "warning: {} has errors and is not followed; {} tells them\n",
                path.display(),
                typed("validate")
            ));
            return Ok(None);
        };
        let followed = Followed {
            path: path.to_owned(),
            config,
            chosen: self.connector.clone(),
        };
        followed
            .check_chosen()
            .map_err(|text| output::wrong_use(&text))?;
        Ok(Some(followed))
    }
}

impl Followed {
    /// A config with all of its connectors.
    pub fn whole(path: &Path, config: Config) -> Self {
        Self {
            path: path.to_owned(),
            config,
            chosen: None,
        }
    }

    fn check_chosen(&self) -> Result<(), String> {
        let connectors = &self.config.connectors;
        match &self.chosen {
            Some(name) if !connectors.contains_key(name) => Err(format!(
                "{} has no connector `{name}`, {}",
                self.path.display(),
                match did_you_mean(name, connectors.keys().map(String::as_str)) {
                    hint if hint.is_empty() => format!("it has {}", self.names()),
                    hint => hint,
                }
            )),
            _ => Ok(()),
        }
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.config.connectors.keys().map(String::as_str).collect();
        names.join(", ")
    }

    /// The connectors that are meant: the one that was named, otherwise all.
    pub fn connectors(&self) -> impl Iterator<Item = (&str, &ConnectorConfig)> {
        let all = self.config.connectors.iter();
        all.filter(|(name, _)| self.chosen.as_ref().is_none_or(|chosen| chosen == *name))
            .map(|(name, connector)| (name.as_str(), connector))
    }

    /// The one connector whose rules run.
    ///
    /// # Errors
    /// A sentence for the user, when there are several and none is named.
    pub fn connector(&self) -> Result<(&str, &ConnectorConfig), String> {
        let mut meant = self.connectors();
        match (meant.next(), meant.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(format!(
                "{} has several connectors; say which: `--connector NAME` with one of {}, or name the rules with `--mappings REF`",
                self.path.display(),
                self.names()
            )),
        }
    }

    /// Where the events of a connector say type and id.
    pub fn places(&self, connector: &ConnectorConfig) -> EventPlaces {
        let source = self.config.sources.get(&connector.source);
        source.map(places_of).unwrap_or_default()
    }

    /// Where events say type and id, for a command that runs other rules than the config's. Says so
    /// where it matters; connectors that differ among themselves have no say.
    pub fn read_as(&self) -> EventPlaces {
        let mut all = self.connectors().map(|(_, one)| self.places(one));
        let first = all.next().unwrap_or_default();
        if !all.all(|one| one == first) {
            output::tell(&format!(
                "the sources of {} find the type of an event at different places: `--connector NAME` says which to follow\n",
                self.path.display()
            ));
            return EventPlaces::default();
        }
        if first != EventPlaces::default() {
            output::tell(&format!(
                "follows {} for where events say their type: `{}`\n",
                self.path.display(),
                written(&first.event_type)
            ));
        }
        first
    }

    /// Say in one line whose rules run.
    pub fn tell_rules(&self, name: &str, connector: &ConnectorConfig) {
        let mappings: Vec<&str> = connector
            .mappings
            .iter()
            .map(|(text, _)| text.as_str())
            .collect();
        output::tell(&format!(
            "follows {}: connector {name}, mappings {}\n",
            self.path.display(),
            mappings.join(", ")
        ));
    }
}

fn places_of(source: &SourceConfig) -> EventPlaces {
    let places = source.plugin.places;
    places
        .and_then(|places| places(source.settings.clone()))
        .unwrap_or_default()
}

/// A way down as it is written in a config: `meta.kind`.
pub fn written(way: &[PathStep]) -> String {
    let mut text = String::new();
    for step in way {
        match step {
            PathStep::Key(name) if text.is_empty() => text.push_str(name),
            PathStep::Key(name) => text.push_str(&format!(".{name}")),
            PathStep::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}
