//! `sluice pause` and `sluice resume`: a connector that sends nothing while a person wants it so.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;

use super::reach::Reach;
use super::{load_config, output};
use crate::clock::Clock;
use crate::config::Config;
use crate::diagnostics::did_you_mean;
use crate::engine::save_paused;

/// Let a connector send nothing until `sluice resume`, over restarts too.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Its events wait in the journal meanwhile, and the source goes on. Asks the running process, or writes
it into the data folder for the next start.
Exit codes: 0 it is paused, 1 it could not be done, 2 wrong use.")]
pub struct PauseArgs {
    #[command(flatten)]
    which: Which,
}

/// Let a paused connector go on.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Exit codes: 0 it is not paused, 1 it could not be done, 2 wrong use.")]
pub struct ResumeArgs {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, ClapArgs)]
struct Which {
    /// The connector.
    #[arg(value_name = "CONNECTOR")]
    connector: Option<String>,
    /// The config file.
    #[arg(short, long, default_value = "sluice.yaml", value_name = "FILE")]
    config: PathBuf,
}

/// Run `sluice pause`.
pub fn pause(args: &PauseArgs, colour: bool) -> ExitCode {
    run(&args.which, true, colour)
}

/// Run `sluice resume`.
pub fn resume(args: &ResumeArgs, colour: bool) -> ExitCode {
    run(&args.which, false, colour)
}

fn run(which: &Which, is_paused: bool, colour: bool) -> ExitCode {
    let Some(config) = load_config(&which.config, colour) else {
        return output::problems();
    };
    let known: Vec<&str> = config.connectors.keys().map(String::as_str).collect();
    let Some(name) = &which.connector else {
        return output::wrong_use(&format!(
            "which connector? {} has `{}`",
            which.config.display(),
            known.join("`, `")
        ));
    };
    if !config.connectors.contains_key(name) {
        let near = did_you_mean(name, known.iter().copied());
        return output::wrong_use(&format!(
            "there is no connector `{name}`; there is `{}`. {near}",
            known.join("`, `")
        ));
    }
    match set(&config, name, is_paused) {
        Ok(done) => {
            output::print(&format!("{name}: {done}\n"));
            output::good()
        }
        Err(problem) => {
            output::tell(&format!("error: {problem}\n"));
            output::problems()
        }
    }
}

fn set(config: &Config, name: &str, is_paused: bool) -> Result<&'static str, String> {
    let (what, path) = if is_paused {
        ("paused; its events wait", "pause")
    } else {
        ("goes on", "resume")
    };
    match Reach::find(config)? {
        Reach::Running(admin) => {
            let path = format!("/connectors/{name}/{path}");
            admin.json::<serde_json::Value>("POST", &path, None)?;
            Ok(what)
        }
        Reach::Folder(journal) => {
            let since = is_paused.then(|| Clock::default().now());
            save_paused(&journal, name, since).map_err(|problem| problem.to_string())?;
            Ok(if is_paused {
                "no process runs; paused from its next start on"
            } else {
                "no process runs; goes on with its next start"
            })
        }
        Reach::Nothing => Err(format!(
            "nothing has run with the data folder {} yet",
            config.journal.path.display()
        )),
    }
}
