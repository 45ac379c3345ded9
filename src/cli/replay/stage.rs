//! Where a replay is done: in the running process, or here when none runs.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use sluice_sdk::typed;

use super::{How, line};
use crate::cli::output::{self, Shape};
use crate::cli::reach::{Admin, Reach};
use crate::clock::Clock;
use crate::config::{Config, Mode};
use crate::diagnostics::{Files, Format, render};
use crate::engine::dead_letters::Letters;
use crate::engine::prepare::prepare;
use crate::engine::replay::{Answer, DryRun, Phase, ReplayError, ReplayStatus, Replays};
use crate::engine::{asked_to_stop, replays_at_rest};
use crate::journal::Journal;
use crate::wording::number;

/// How often the progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where replays run.
pub enum Stage {
    /// In the process behind this.
    Running(Admin),
    /// Here; the data folder is held meanwhile.
    Here {
        replays: Arc<Replays>,
        runtime: Runtime,
        _journal: Journal,
    },
}

impl Stage {
    /// Find the running process; where there is none, get ready to do it here.
    ///
    /// # Errors
    /// A sentence with what helps.
    pub fn open(config: &Config, path: &Path, colour: bool) -> Result<Self, String> {
        // The folder is let go: it is opened again with all that is needed.
        match Reach::find(config)? {
            Reach::Running(admin) => return Ok(Self::Running(admin)),
            Reach::Folder(_) | Reach::Nothing => {}
        }
        let mut files = Files::default();
        let mut diagnostics = Vec::new();
        let environment = |name: &str| std::env::var(name).ok();
        let prepared = prepare(path, Mode::Run, &environment, &mut files, &mut diagnostics);
        if !diagnostics.is_empty() {
            output::tell(&render(&diagnostics, &files, Format::Human, colour));
        }
        let prepared =
            prepared.ok_or("the config cannot run, so nothing was replayed".to_owned())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|problem| format!("no threads to run on: {problem}"))?;
        // The journal's writer and the tasks of replays belong to this runtime.
        let (journal, replays) = {
            let _entered = runtime.enter();
            replays_at_rest(prepared).map_err(|problem| problem.to_string())?
        };
        Ok(Self::Here {
            replays,
            runtime,
            _journal: journal,
        })
    }

    /// Give an order, and its answer.
    ///
    /// # Errors
    /// What was said against it.
    pub fn ask(
        &self,
        path: &str,
        body: &Value,
        here: impl FnOnce(&Arc<Replays>) -> Result<Answer, ReplayError>,
    ) -> Result<Answer, String> {
        match self {
            Self::Running(admin) => admin.json("POST", path, Some(body)),
            Self::Here {
                replays, runtime, ..
            } => {
                let _entered = runtime.enter();
                here(replays).map_err(|problem| problem.to_string())
            }
        }
    }

    /// Say what follows, wait for the end of what was started, and give the exit code.
    ///
    /// # Errors
    /// When the running process does not answer any more.
    pub fn follow(self, answer: Answer, how: &How) -> Result<ExitCode, String> {
        for warning in &answer.warnings {
            output::tell(&format!("warning: {warning}\n"));
        }
        for not in &answer.not_replayed {
            let letters = number(not.count, "dead letter");
            output::tell(&format!(
                "not replayed: {letters} of {}: {}\n",
                not.connector, not.why
            ));
        }
        if how.dry_run {
            show_dry_runs(&answer.dry_runs, how.format);
            return Ok(code(answer.not_replayed.is_empty()));
        }
        let is_here = matches!(self, Self::Here { .. });
        let replays = if how.no_wait && !is_here {
            answer.replays
        } else {
            self.wait(&answer.replays)?
        };
        if how.format == Shape::Json {
            output::print(&output::json(&json!({
                "replays": replays,
                "warnings": answer.warnings,
                "not_replayed": answer.not_replayed,
            })));
        } else {
            for replay in &replays {
                output::print(&format!("{}\n", line(replay)));
            }
        }
        let is_well = |status: &ReplayStatus| {
            let (replay, account) = (&status.replay, &status.replay.account);
            let has_ended = replay.phase == Phase::Done || (how.no_wait && !is_here);
            has_ended && account.dead_total() == 0 && account.gone == 0
        };
        Ok(code(
            replays.iter().all(is_well) && answer.not_replayed.is_empty(),
        ))
    }

    fn wait(self, started: &[ReplayStatus]) -> Result<Vec<ReplayStatus>, String> {
        let ids: Vec<u64> = started.iter().map(|status| status.replay.id).collect();
        let ours = |all: Vec<ReplayStatus>| -> Vec<ReplayStatus> {
            all.into_iter()
                .filter(|status| ids.contains(&status.replay.id))
                .collect()
        };
        let bar = progress_bar();
        match self {
            Self::Running(admin) => loop {
                let replays = ours(admin.json("GET", "/replays", None)?);
                if advance(&bar, &replays) {
                    return Ok(replays);
                }
                std::thread::sleep(LOOK_EVERY);
            },
            Self::Here {
                replays, runtime, ..
            } => runtime.block_on(async {
                let stopped = asked_to_stop();
                tokio::pin!(stopped);
                loop {
                    tokio::select! {
                        () = &mut stopped => {
                            output::tell(&format!("stopped; it goes on at the next start, and {} ends it\n", typed("replay cancel")));
                            break;
                        }
                        () = tokio::time::sleep(LOOK_EVERY) => {}
                    }
                    if advance(&bar, &ours(replays.list())) {
                        break;
                    }
                }
                replays.shutdown().await;
                Ok(ours(replays.list()))
            }),
        }
    }
}

/// All replays of a data folder.
///
/// # Errors
/// When it cannot be had.
pub fn list(config: &Config) -> Result<Vec<ReplayStatus>, String> {
    match Reach::find(config)? {
        Reach::Running(admin) => admin.json("GET", "/replays", None),
        Reach::Folder(journal) => Ok(at_rest(&journal)?.list()),
        Reach::Nothing => Ok(Vec::new()),
    }
}

/// End a replay.
///
/// # Errors
/// When there is none of this number, or it has ended.
pub fn cancel(config: &Config, id: u64) -> Result<ReplayStatus, String> {
    match Reach::find(config)? {
        Reach::Running(admin) => admin.json("DELETE", &format!("/replays/{id}"), None),
        Reach::Folder(journal) => at_rest(&journal)?
            .cancel_at_rest(id)
            .map_err(|problem| problem.to_string()),
        Reach::Nothing => Err(format!("there is no replay {id}")),
    }
}

fn at_rest(journal: &Journal) -> Result<Arc<Replays>, String> {
    let letters = Arc::new(Letters::new(Arc::clone(journal.store())));
    Replays::open(Arc::clone(journal.store()), letters, Clock::default())
        .map_err(|problem| problem.to_string())
}

fn code(is_well: bool) -> ExitCode {
    ExitCode::from(u8::from(!is_well))
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len}  {per_sec}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

/// Whether all have ended.
fn advance(bar: &ProgressBar, replays: &[ReplayStatus]) -> bool {
    let sum = |of: fn(&ReplayStatus) -> u64| replays.iter().map(of).sum::<u64>();
    bar.set_length(sum(|status| status.replay.account.replayed));
    bar.set_position(sum(|status| status.replay.account.settled()));
    let waits_for = replays.iter().find_map(|status| status.waits_for.clone());
    bar.set_message(waits_for.unwrap_or_default());
    let has_ended = replays.iter().all(|status| status.replay.phase.is_final());
    if has_ended {
        bar.finish_and_clear();
    }
    has_ended
}

fn show_dry_runs(dry_runs: &[DryRun], format: Shape) {
    if format == Shape::Json {
        output::print(&output::json(&json!({"dry_runs": dry_runs})));
        return;
    }
    for dry_run in dry_runs {
        let account = &dry_run.account;
        output::print(&format!(
            "{}: {} would be replayed = {} sent + {} skipped + {} dead\n",
            dry_run.connector,
            account.replayed,
            account.delivered,
            account.skipped_total(),
            account.dead_total()
        ));
        for (what, counts) in [("skipped", &account.skipped), ("dead", &account.dead)] {
            for (reason, count) in counts {
                output::print(&format!("  {count} {what}: {reason}\n"));
            }
        }
        if let Some(note) = &dry_run.note {
            output::print(&format!("  {note}\n"));
        }
    }
}
