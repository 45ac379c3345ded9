//! `sluice reload`: let the running process take the config that is in the file now.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::Value;

use sluice_sdk::typed;

use super::load_config;
use super::output::{self, Shape};
use super::reach::{Answer, Reach};
use crate::config::Config;
use crate::engine::Changes;

/// Let the running process read its config and mappings again. A wrong one is refused whole.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Connectors whose rules or settings have changed are exchanged one by one; sources stay up, and nothing
that waits is lost. SIGHUP does the same; `sluice run --watch` does it by itself.
Exit codes: 0 the new config runs, 1 it was refused, a connector did not start, or no process runs, 2 wrong use.")]
pub struct Args {
    /// The config file.
    #[arg(short, long, default_value = "sluice.yaml", value_name = "FILE")]
    config: PathBuf,
    /// human or json.
    #[arg(long, value_enum, default_value = "human")]
    format: Shape,
}

/// Run the command.
pub fn run(args: &Args, colour: bool) -> ExitCode {
    let Some(config) = load_config(&args.config, colour) else {
        return output::problems();
    };
    match ask(&config) {
        Ok(answer) => tell(&answer, args.format),
        Err(problem) => {
            output::tell(&format!("error: {problem}\n"));
            output::problems()
        }
    }
}

fn ask(config: &Config) -> Result<Answer, String> {
    match Reach::find(config)? {
        Reach::Running(admin) => admin.ask("POST", "/reload", None),
        Reach::Folder(_) | Reach::Nothing => Err(format!(
            "no process runs on the data folder {}; {} takes the config as it is when it starts",
            config.journal.path.display(),
            typed("run")
        )),
    }
}

fn tell(answer: &Answer, format: Shape) -> ExitCode {
    if answer.code == 401 {
        output::tell(
            "error: the running process wants another `admin.token` than this config has. Send it SIGHUP: that reloads too.\n",
        );
        return output::problems();
    }
    if format == Shape::Json {
        output::print(&format!("{}\n", answer.body.trim_end()));
    }
    let is_human = format == Shape::Human;
    match serde_json::from_str::<Changes>(&answer.body) {
        Ok(changes) if answer.code == 200 => {
            if is_human {
                output::print(&human(&changes));
            }
            ExitCode::from(u8::from(!changes.failed.is_empty()))
        }
        _ => {
            if is_human {
                output::tell(&format!(
                    "error: the new config is not taken, the one before goes on:\n{}\n",
                    refusal(&answer.body)
                ));
            }
            output::problems()
        }
    }
}

fn refusal(body: &str) -> String {
    let told: Option<Value> = serde_json::from_str(body).ok();
    let told = told.as_ref().and_then(|told| told["error"].as_str());
    told.unwrap_or(body).trim_end().to_owned()
}

fn human(changes: &Changes) -> String {
    let mut out = format!("config {} runs ({})\n", changes.version, changes.hash);
    for (what, names) in [
        ("added", &changes.added),
        ("changed", &changes.changed),
        ("removed", &changes.removed),
        ("untouched", &changes.unchanged),
    ] {
        if !names.is_empty() {
            out.push_str(&format!("  {what}: {}\n", names.join(", ")));
        }
    }
    for (name, why) in &changes.failed {
        out.push_str(&format!("  not started: {name}: {why}. Its events wait.\n"));
    }
    for warning in &changes.warnings {
        out.push_str(&format!("  warning: {warning}\n"));
    }
    if changes.alerts_changed {
        out.push_str("  alerts: go out by the new settings\n");
    }
    for part in &changes.needs_restart {
        out.push_str(&format!("  needs a restart: {part}\n"));
    }
    out
}
