//! `sluice dead-letters`: what could not be delivered, and why.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{load_config, output};
use crate::engine::StartError;
use crate::engine::dead_letters::{Filter, for_each_dead_letter};
use crate::journal::OpenError;

/// Columns of the reason in a list.
const DETAIL_CHARS: usize = 100;

/// List, show or export dead letters. The process must not run: it holds the data folder.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice dead-letters list --connector NAME
  sluice dead-letters show NAME/17
  sluice dead-letters export --reason too-large > too-large.ndjson")]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// One line a letter: its name, event type, event id, reason.
    List(Selection),
    /// One letter, whole. It holds personal data: mind where it goes.
    Show {
        /// CONNECTOR/NUMBER, as `list` writes it.
        letter: String,
        /// The config file.
        #[arg(short, long, default_value = "sluice.yaml", value_name = "FILE")]
        config: PathBuf,
    },
    /// All that fit, one JSON object a line. They hold personal data: mind where they go.
    Export(Selection),
}

#[derive(Debug, Args)]
struct Selection {
    /// The config file.
    #[arg(short, long, default_value = "sluice.yaml", value_name = "FILE")]
    config: PathBuf,
    /// Only of this connector; `source:NAME` is what a source set aside.
    #[arg(long)]
    connector: Option<String>,
    /// Only events of this type.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only letters whose reason contains this.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Run the command. Exit code 1 when `show` finds nothing.
pub fn run(args: DeadLettersArgs, colour: bool) -> ExitCode {
    let (config_path, filter, wanted) = match &args.action {
        Action::List(selection) | Action::Export(selection) => (
            &selection.config,
            Filter {
                connector: selection.connector.clone(),
                event_type: selection.event_type.clone(),
                reason: selection.reason.clone(),
            },
            None,
        ),
        Action::Show { letter, config } => (config, Filter::default(), Some(letter)),
    };
    let Some(config) = load_config(config_path, colour) else {
        return ExitCode::from(1);
    };
    let mut count = 0_u64;
    let mut is_read = true;
    let mut write = |text: &str| {
        is_read = output::write(text);
        is_read
    };
    let done = for_each_dead_letter(&config, &filter, |key, letter| match &args.action {
        Action::List(_) => {
            count += 1;
            let detail: String = letter.detail.chars().take(DETAIL_CHARS).collect();
            write(&format!(
                "{key}  {}  {}  {}: {detail}\n",
                letter.event_type, letter.event_id, letter.reason
            ))
        }
        Action::Export(_) => {
            count += 1;
            let text = serde_json::to_string(letter).unwrap_or_default();
            write(&format!("{text}\n"))
        }
        Action::Show { .. } => {
            let is_it = wanted.is_some_and(|wanted| *wanted == key.to_string());
            if is_it {
                count += 1;
                let text = serde_json::to_string_pretty(letter).unwrap_or_default();
                write(&format!("{text}\n"));
            }
            !is_it
        }
    });
    if let Err(problem) = done {
        output::tell(&format!("error: {}\n", explained(&problem)));
        return output::problems();
    }
    if !is_read {
        return output::good();
    }
    match (&args.action, count) {
        (Action::List(_), count) => output::tell(&format!(
            "{}\n",
            output::number(usize::try_from(count).unwrap_or(usize::MAX), "dead letter")
        )),
        (Action::Show { letter, .. }, 0) => {
            output::tell(&format!(
                "error: there is no dead letter `{letter}`; `sluice dead-letters list` has them all\n"
            ));
            return ExitCode::from(1);
        }
        _ => {}
    }
    ExitCode::SUCCESS
}

/// Why they cannot be read, and what helps.
fn explained(problem: &StartError) -> String {
    let StartError::Journal(OpenError::Locked { path, holder }) = problem else {
        return problem.to_string();
    };
    let holder = holder.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    format!(
        "a running process{holder} holds the data folder {}; stop the process first (`sluice \
         status` counts dead letters while it runs), or take a snapshot of the folder and name it \
         as `journal.path` in a copy of the config",
        path.display()
    )
}
