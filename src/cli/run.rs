//! `sluice run`: the config, until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use sluice_sdk::typed;

use super::output;
use crate::engine::{RunOptions, run_command};
use crate::observe::{LogFormat, start_log};

/// Run a config until SIGTERM or Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice run                                   sluice.yaml of this folder
  sluice run --config /etc/sluice/sluice.yaml --log-format json

A new config is put to work without a stop; a wrong one is told and not taken.
It stops cleanly on SIGTERM and Ctrl-C: what is under way is finished, the rest stays in the journal.
Exit codes: 0 stopped or all sources ended, 1 not started or a source failed, 2 wrong use.")]
pub struct RunArgs {
    /// What stands where no argument belongs.
    #[arg(hide = true)]
    file: Option<PathBuf>,
    /// The config file.
    #[arg(short, long, default_value = "sluice.yaml", value_name = "FILE")]
    config: PathBuf,
    /// Reload when the config or a mapping file changes. SIGHUP and `sluice reload` do it once.
    #[arg(long)]
    watch: bool,
    /// How log lines are written.
    #[arg(long, value_enum, default_value = "human")]
    log_format: LogFormat,
    /// The least level that is logged: error, warn, info or debug; RUST_LOG wins over it.
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    log_level: String,
}

/// Run the command.
pub fn run(args: RunArgs, colour: bool) -> ExitCode {
    if let Some(file) = &args.file {
        return output::wrong_use(&format!(
            "the config is named by `--config`: {}",
            typed(&format!("run --config {}", file.display()))
        ));
    }
    start_log(args.log_format, &args.log_level);
    run_command(&RunOptions {
        config: args.config,
        colour,
        watch: args.watch,
    })
}
