//! The command line: one file a command.
//!
//! Exit codes are a promise to scripts: 0 all is well, 1 the command found problems, 2 it was used
//! in a wrong way. What a command prints for machines (`--format json`) goes to stdout alone.

mod alerts;
mod completions;
mod coverage;
mod dead_letters;
mod demo;
mod diff;
mod events;
mod explain_code;
mod follow;
mod generated;
mod init;
mod man;
mod map;
mod mappings;
mod naming;
pub(crate) mod output;
mod pause;
mod plugins;
mod reach;
mod reload;
mod replay;
mod run;
mod schema;
mod status;
mod test;
mod validate;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{self, Config, Mode};
use crate::diagnostics::{Files, Format, has_errors, render};

/// Sync event streams to APIs by declarative mapping rules.
///
/// Sources bring events, connectors map them by YAML rules and deliver them to sinks. Everything
/// between is durable: what was taken in is delivered, skipped for a reason, or kept for a person
/// to look at.
#[derive(Parser)]
#[command(
    name = "sluice",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  sluice demo                      see it work, without account or config
  sluice init my-sync              write a folder to begin with
  sluice validate                  check sluice.yaml and its mappings
  sluice test                      run the tests beside the mappings
  sluice map --sample TYPE         what does this event become?
  sluice run                       start

Exit codes: 0 all is well, 1 problems found, 2 wrong use."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::RunArgs),
    Demo(demo::DemoArgs),
    Init(init::Args),
    Validate(validate::Args),
    Test(test::Args),
    Map(map::Args),
    Coverage(coverage::Args),
    Diff(diff::Args),
    Schema(schema::Args),
    ExplainCode(explain_code::Args),
    Plugins(plugins::Args),
    Reload(reload::Args),
    Pause(pause::PauseArgs),
    Resume(pause::ResumeArgs),
    Status(status::StatusArgs),
    DeadLetters(dead_letters::DeadLettersArgs),
    Replay(replay::ReplayArgs),
    Alerts(alerts::AlertsArgs),
    Completions(completions::Args),
    Man(man::Args),
}

/// The whole command line, with the commands of the linked plugins and the name of this program.
pub(crate) fn command() -> clap::Command {
    let command = sluice_sdk::commands()
        .into_iter()
        .fold(Cli::command(), |all, plugin| {
            all.subcommand(
                clap::Command::new(plugin.name)
                    .about(plugin.summary)
                    .disable_help_flag(true)
                    .arg(
                        Arg::new("arguments")
                            .num_args(0..)
                            .trailing_var_arg(true)
                            .allow_hyphen_values(true)
                            .value_parser(clap::value_parser!(OsString)),
                    ),
            )
        });
    naming::help(command)
}

/// What was linked into this program and does not go together.
fn misfits() -> Vec<String> {
    let own = Cli::command();
    let taken = |name| name == "help" || own.find_subcommand(name).is_some();
    let hidden = sluice_sdk::commands()
        .into_iter()
        .filter(|it| taken(it.name));
    let hidden = hidden.map(|it| {
        format!(
            "the command `{}` of {} {} has the name of one of the program's own: give it another name in its register macro",
            it.name, it.package, it.version
        )
    });
    sluice_sdk::name_clashes()
        .into_iter()
        .chain(hidden)
        .collect()
}

/// Read the arguments, run the command.
pub fn main() -> ExitCode {
    sluice_sdk::set_program(std::env::args_os().next());
    let misfits = misfits();
    if !misfits.is_empty() {
        for misfit in misfits {
            output::tell(&format!("error: {misfit}\n"));
        }
        return ExitCode::from(1);
    }
    let matches = command().get_matches();
    if let Some((name, inner)) = matches.subcommand()
        && let Some(plugin) = sluice_sdk::commands()
            .into_iter()
            .find(|plugin| plugin.name == name)
        && inner.ids().all(|id| id.as_str() == "arguments")
    {
        let arguments = inner
            .get_many::<OsString>("arguments")
            .map(|all| all.cloned().collect())
            .unwrap_or_default();
        return (plugin.run)(arguments);
    }
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let colour = output::has_colour();
    match cli.command {
        Command::Run(args) => run::run(args, colour),
        Command::Demo(args) => demo::run(args, colour),
        Command::Init(args) => init::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Map(args) => map::run(&args),
        Command::Coverage(args) => coverage::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::ExplainCode(args) => explain_code::run(&args),
        Command::Plugins(args) => plugins::run(&args),
        Command::Reload(args) => reload::run(&args, colour),
        Command::Pause(args) => pause::pause(&args, colour),
        Command::Resume(args) => pause::resume(&args, colour),
        Command::Status(args) => status::run(&args, colour),
        Command::DeadLetters(args) => dead_letters::run(&args, colour),
        Command::Replay(args) => replay::run(&args, colour),
        Command::Alerts(args) => alerts::run(&args, colour),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

/// Read a config for a command that looks at its data folder: no variable needs a value, and the
/// settings of plugins may be wrong.
fn load_config(path: &Path, colour: bool) -> Option<Config> {
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let environment = |name: &str| std::env::var(name).ok();
    let config = config::load(
        path,
        Mode::Inspect,
        &environment,
        &mut files,
        &mut diagnostics,
    );
    if has_errors(&diagnostics) {
        output::tell(&render(&diagnostics, &files, Format::Human, colour));
    }
    config
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
