//! `sluice demo`: the whole way on this machine, with no account and no config.

mod scenario;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use sluice_sdk::{DemoScenario, program_name};

use self::scenario::{DemoConfig, DemoOptions, demo_command};
use super::output;
use crate::diagnostics::did_you_mean;
use crate::observe::{LogFormat, start_log};

/// Show the whole way with synthetic events and a local double; needs no account and no config.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice demo                       5,000 events of all known types
  sluice demo --events 100000 --rate 2000
  sluice demo --keep-running        leave source and double up to try things on")]
pub struct DemoArgs {
    /// How many events are sent.
    #[arg(long, default_value_t = 5_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Events a second; as fast as it goes without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Seed of the synthetic events: the same seed makes the same events.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Stay up after the report, until Ctrl-C.
    #[arg(long)]
    keep_running: bool,
    /// Which demo, where this program has several; `plugins` lists them.
    #[arg(value_name = "NAME", conflicts_with = "config")]
    name: Option<String>,
    /// A config of your own; its sink is led to a local double, its source must have a feeder.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Run the command.
pub fn run(args: DemoArgs, colour: bool) -> ExitCode {
    let config = match args.config {
        Some(path) => DemoConfig::File(path),
        None => match choose(args.name.as_deref()) {
            Ok(scenario) => DemoConfig::Registered(scenario),
            Err(problem) => return output::wrong_use(&problem),
        },
    };
    start_log(LogFormat::Human, "warn");
    demo_command(&DemoOptions {
        config,
        events: args.events,
        rate: args.rate,
        seed: args.seed,
        keep_running: args.keep_running,
        colour,
    })
}

/// The linked demo of this name; without a name the only one.
fn choose(name: Option<&str>) -> Result<&'static DemoScenario, String> {
    let all = sluice_sdk::demo_scenarios();
    match (name, all.as_slice()) {
        (Some(name), all) => all
            .iter()
            .copied()
            .find(|it| it.name == name)
            .ok_or_else(|| {
                let hint = did_you_mean(name, all.iter().map(|it| it.name));
                format!("there is no demo `{name}`; {hint}{}", list(all))
            }),
        (None, [one]) => Ok(one),
        (None, []) => Err(
            "no demo is linked into this program; `--config FILE` shows one of yours".to_owned(),
        ),
        (None, all) => Err(format!("there are several demos, say which:{}", list(all))),
    }
}

fn list(demos: &[&DemoScenario]) -> String {
    let line = |demo: &&DemoScenario| {
        format!(
            "\n  {} demo {}: {}",
            program_name(),
            demo.name,
            demo.summary
        )
    };
    demos.iter().map(line).collect()
}
