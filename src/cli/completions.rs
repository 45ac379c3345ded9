//! `sluice completions`: scripts for the shell's completion.

use std::process::ExitCode;

use sluice_sdk::program_name;

use super::output;

/// Print a completion script for a shell.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice completions bash > /etc/bash_completion.d/sluice
  sluice completions zsh > ~/.zfunc/_sluice
  sluice completions fish > ~/.config/fish/completions/sluice.fish")]
pub struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let mut script = Vec::new();
    let mut command = super::command();
    clap_complete::generate(args.shell, &mut command, program_name(), &mut script);
    output::print(&String::from_utf8_lossy(&script));
    output::good()
}
