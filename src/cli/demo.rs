//! `sluice demo`: see the whole way, without account or config.

use std::path::PathBuf;
use std::process::ExitCode;

/// See it work, without account or config: made-up events through the built-in mappings into a
/// local stand-in of the sink.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice demo
  sluice demo --events 100000
  sluice demo --rate 50 --keep-running")]
pub struct Args {
    /// How many events to send.
    #[arg(long, value_name = "N", default_value_t = 5000)]
    pub events: u64,
    /// Events a second. Default: as fast as they are taken.
    #[arg(long, value_name = "N")]
    pub rate: Option<u64>,
    /// Stay up afterwards, until Ctrl-C.
    #[arg(long)]
    pub keep_running: bool,
    /// The same number makes the same events.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Show this config instead of the built-in one; its sinks are replaced by stand-ins.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Run it.
pub fn run(args: Args) -> ExitCode {
    crate::engine::demo::run_command(args)
}
