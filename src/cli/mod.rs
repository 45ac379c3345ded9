//! The commands, one file each. Exit codes: 0 good, 1 problems found, 2 wrong use.

mod dead_letters;
mod demo;
mod run;
mod status;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Config, Mode};
use crate::diagnostics::{Files, Format, has_errors, render};

#[derive(Debug, Parser)]
#[command(name = "sluice", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Demo(demo::DemoArgs),
    Status(status::StatusArgs),
    DeadLetters(dead_letters::DeadLettersArgs),
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match cli.command {
        Command::Run(args) => run::run(args, colour),
        Command::Demo(args) => demo::run(args, colour),
        Command::Status(args) => status::run(&args, colour),
        Command::DeadLetters(args) => dead_letters::run(args, colour),
    }
}

/// Read a config for a command that does not run it: no variable needs a value.
fn load_config(path: &Path, colour: bool) -> Option<Config> {
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let environment = |name: &str| std::env::var(name).ok();
    let config = config::load(path, Mode::Validate, &environment, &mut files, &mut diagnostics);
    if has_errors(&diagnostics) {
        eprint!("{}", render(&diagnostics, &files, Format::Human, colour));
    }
    config
}
