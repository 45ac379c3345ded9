//! `sluice run`: start.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

/// Start: take events in, deliver documents, until told to stop.
///
/// SIGTERM and Ctrl-C stop cleanly; what is under way is delivered or goes again at the next start.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice run
  sluice run --config eu.yaml --log-format json")]
pub struct Args {
    /// The config file.
    #[arg(long, short, value_name = "FILE", default_value = "sluice.yaml")]
    pub config: PathBuf,
    /// How log lines are written.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `sluice::engine=debug`.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Run it.
pub fn run(args: Args) -> ExitCode {
    crate::engine::run_command(args)
}
