//! Another config while everything runs: checked whole first, then put to work connector by connector.
//!
//! What cannot be changed in a running process is told, each time, until a restart: sources, the
//! journal, the admin listener's address.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use super::lanes::{Lane, Lanes, Launch, print_of};
use super::prepare::{Prepared, prepare};
use super::state::{StartError, late, left_state};
use crate::config::{Config, JournalConfig, Mode};
use crate::diagnostics::{Files, Format, has_errors, render};

/// Reads the config again and puts it to work.
pub struct Reloader {
    path: PathBuf,
    lanes: Arc<Lanes>,
    /// What the process was started with; for what a restart alone can change.
    started: Arc<Config>,
    /// One reload at a time, and the files that the last one read.
    read: Mutex<Vec<PathBuf>>,
}

/// What a reload did. Names are those of connectors.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Changes {
    /// Number of the config that runs now.
    pub version: u64,
    /// The same for the same texts.
    pub hash: String,
    /// Started; they were not there before.
    pub added: Vec<String>,
    /// Exchanged: rules, sink or settings are new.
    pub changed: Vec<String>,
    /// Stopped. Their place stays, in case they come back.
    pub removed: Vec<String>,
    /// Not touched.
    pub unchanged: Vec<String>,
    /// Not started, and why. Their events wait.
    pub failed: BTreeMap<String, String>,
    /// What to know of where connectors begin.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Alerts go out by new settings.
    #[serde(default)]
    pub alerts_changed: bool,
    /// What only a restart puts to work.
    pub needs_restart: Vec<String>,
}

/// Who wants a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Somebody who waits for the answer.
    Admin,
    /// SIGHUP: nobody gets an answer.
    Hangup,
    /// A file has changed: nobody gets an answer.
    Watch,
}

/// A config that was not taken; the one before goes on.
#[derive(Debug, Clone)]
pub struct Refused {
    /// For a person: each problem with its place.
    pub text: String,
    /// The problems of the files for a machine; empty when it is something else.
    pub problems: Vec<Value>,
}

impl Reloader {
    /// For the config at `path`, which runs.
    pub fn new(path: PathBuf, lanes: Arc<Lanes>, read: Vec<PathBuf>) -> Self {
        Self {
            path,
            started: lanes.shared().config(),
            lanes,
            read: Mutex::new(read),
        }
    }

    /// What runs.
    pub fn lanes(&self) -> &Arc<Lanes> {
        &self.lanes
    }

    /// The files that the last reading took.
    pub async fn files(&self) -> Vec<PathBuf> {
        self.read.lock().await.clone()
    }

    /// Read, check, and switch.
    ///
    /// # Errors
    /// When the config is wrong, or a connector cannot go on under it: nothing was changed then.
    pub async fn reload(&self, asked: Asked) -> Result<Changes, Refused> {
        let mut read = self.read.lock().await;
        info!("reading {} again: {}", self.path.display(), asked.why());
        let (prepared, files) = self.prepared().await;
        if !files.is_empty() {
            *read = files;
        }
        let switched = match prepared {
            Ok(prepared) => self.switch(prepared).await,
            Err(refused) => Err(refused),
        };
        match &switched {
            Ok(changes) => told(changes),
            Err(refused) => {
                self.lanes
                    .shared()
                    .refused_config(refused.text.clone(), asked != Asked::Admin);
                error!(
                    "the new config is not taken, the one before goes on:\n{}",
                    refused.text.trim_end()
                );
            }
        }
        switched
    }

    /// Whether the files say something else than what runs.
    pub async fn has_changed(&self) -> bool {
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || {
            let environment = |name: &str| std::env::var(name).ok();
            let (mut files, mut diagnostics) = (Files::default(), Vec::new());
            prepare(&path, Mode::Run, &environment, &mut files, &mut diagnostics)
        });
        let running = self.lanes.shared().config_status().hash;
        done.await
            .is_ok_and(|prepared| prepared.is_none_or(|prepared| prepared.hash != running))
    }

    async fn prepared(&self) -> (Result<Prepared, Refused>, Vec<PathBuf>) {
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut files = Files::default();
            let mut diagnostics = Vec::new();
            let environment = |name: &str| std::env::var(name).ok();
            let prepared = prepare(&path, Mode::Run, &environment, &mut files, &mut diagnostics);
            let text = render(&diagnostics, &files, Format::Human, false);
            if prepared.is_some() && !text.is_empty() && !has_errors(&diagnostics) {
                warn!("in the new config:\n{}", text.trim_end());
            }
            let problems = render(&diagnostics, &files, Format::Json, false);
            let refused = Refused {
                text,
                problems: serde_json::from_str(&problems).unwrap_or_default(),
            };
            (prepared.ok_or(refused), paths(&files))
        });
        done.await
            .unwrap_or_else(|failure| (Err(Refused::of(&failure)), Vec::new()))
    }

    /// Make all that is new first, so that a mistake there changes nothing; then one after another.
    async fn switch(&self, prepared: Prepared) -> Result<Changes, Refused> {
        let shared = self.lanes.shared();
        let mut running = self.lanes.lock().await;
        if self.lanes.is_closed() {
            return Err(Refused::of(&"the program is stopping"));
        }
        let mut changes = Changes {
            needs_restart: self.needs_restart(&prepared.config),
            alerts_changed: prepared.config.alerts != shared.config().alerts,
            ..Changes::default()
        };
        let config = Arc::new(prepared.config);
        let mut launches = Vec::new();
        for ready in prepared.connectors {
            let settings = &config.connectors[&ready.name];
            for name in settings.renamed_from.iter().chain([&ready.name]) {
                left_state(&shared.journal, name, settings).map_err(|it| Refused::of(&it))?;
            }
            if !shared.sources.contains_key(&settings.source) {
                changes.needs_restart.push(format!(
                    "connector `{}`: it reads the new source `{}`",
                    ready.name, settings.source
                ));
                continue;
            }
            let print = print_of(settings, &ready.rules_hash);
            if running
                .get(&ready.name)
                .is_some_and(|lane| lane.print() == print)
            {
                let late = late(&shared.journal, &ready.name, settings);
                if let Some(told) = late.map_err(|it| Refused::of(&it))? {
                    warn!(connector = %ready.name, "{told}");
                    changes.warnings.push(format!("{}: {told}", ready.name));
                }
                changes.unchanged.push(ready.name);
                continue;
            }
            launches.push(Launch::new(ready, &config).map_err(|it| Refused::of(&it))?);
        }
        let gone: Vec<String> = shared
            .connectors()
            .into_keys()
            .filter(|name| !config.connectors.contains_key(name))
            .collect();
        for name in &gone {
            if let Err(problem) = self.lanes.stop(&mut running, name).await {
                error!("{problem}");
            }
        }
        for launch in launches {
            let name = launch.name().to_owned();
            let is_new = !running.contains_key(&name);
            match self.exchange(&mut running, launch).await {
                Ok(told) => {
                    let told = told.map(|told| format!("{name}: {told}"));
                    changes.warnings.extend(told);
                    let list = match is_new {
                        true => &mut changes.added,
                        false => &mut changes.changed,
                    };
                    list.push(name);
                }
                Err(problem) => {
                    error!(connector = %name, "not started with the new config: {problem}. Its events wait; mend it and reload, or restart.");
                    changes.failed.insert(name, problem.to_string());
                }
            }
        }
        for name in gone {
            // Until its place was handed over, the journal keeps what lies behind it.
            let is_wanted = changes
                .failed
                .keys()
                .any(|failed| config.connectors[failed].renamed_from.as_ref() == Some(&name));
            if !is_wanted {
                shared.set_connector(&name, None);
            }
            shared.replays.remove_way(&name);
            changes.removed.push(name);
        }
        for name in &changes.unchanged {
            if let Some(connector) = shared.connectors().get(name) {
                connector.courier.gate.nudge();
            }
        }
        shared.set_config(config, prepared.hash, changes.needs_restart.clone());
        let status = shared.config_status();
        (changes.version, changes.hash) = (status.version, status.hash);
        Ok(changes)
    }

    async fn exchange(
        &self,
        running: &mut BTreeMap<String, Lane>,
        launch: Launch,
    ) -> Result<Option<String>, StartError> {
        let name = launch.name().to_owned();
        let started = match self.lanes.stop(running, &name).await {
            Ok(()) => self.lanes.start(running, launch).await,
            Err(problem) => Err(problem),
        };
        if let (Err(problem), Some(view)) = (&started, self.lanes.shared().connectors().get(&name))
        {
            view.courier
                .gate
                .hold(format!("not started with the new config: {problem}"));
        }
        started
    }

    /// What of the new config a running process cannot take.
    fn needs_restart(&self, new: &Config) -> Vec<String> {
        let old = &self.started;
        let mut told = Vec::new();
        for (name, source) in &new.sources {
            match old.sources.get(name) {
                None => told.push(format!("source `{name}`: it is new")),
                Some(before) if !source.is_same(before) => {
                    told.push(format!("source `{name}`: its settings have changed"));
                }
                Some(_) => {}
            }
        }
        for name in old.sources.keys() {
            if !new.sources.contains_key(name) {
                told.push(format!(
                    "source `{name}`: it is gone from the config, and still up"
                ));
            }
        }
        let journal = JournalConfig {
            // Read anew each time that they are used.
            dead_letters: old.journal.dead_letters.clone(),
            ..new.journal.clone()
        };
        if journal != old.journal {
            told.push("journal: its settings have changed".to_owned());
        }
        if new.admin.listen != old.admin.listen {
            told.push("admin: its address has changed".to_owned());
        }
        told
    }
}

impl Asked {
    fn why(self) -> &'static str {
        match self {
            Self::Admin => "asked by the admin API",
            Self::Hangup => "SIGHUP",
            Self::Watch => "a file has changed",
        }
    }
}

impl Refused {
    fn of(problem: &dyn std::fmt::Display) -> Self {
        Self {
            text: problem.to_string(),
            problems: Vec::new(),
        }
    }
}

/// The files on disk among these.
pub fn paths(files: &Files) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = files
        .ids()
        .filter_map(|file| files.path(file).map(std::path::Path::to_owned))
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

fn told(changes: &Changes) {
    let names = |names: &[String]| {
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    info!(
        version = changes.version,
        hash = %changes.hash,
        "the new config runs. Changed: {}; added: {}; removed: {}; untouched: {}",
        names(&changes.changed),
        names(&changes.added),
        names(&changes.removed),
        names(&changes.unchanged),
    );
    if changes.alerts_changed {
        info!("alerts go out by the new settings");
    }
    for part in &changes.needs_restart {
        warn!("needs a restart to be put to work: {part}");
    }
}
