//! `sluice alerts test`: does a message reach the contacts?

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::output;
use crate::alerts::{Channel, Letter, host, test_message};
use crate::config::{self, Config, MailAddress, Mode};
use crate::diagnostics::{Files, Format, did_you_mean, has_errors, render};

/// Who is told when something is wrong.
#[derive(Debug, Args)]
pub struct AlertsArgs {
    #[command(subcommand)]
    command: AlertsCommand,
}

#[derive(Debug, Subcommand)]
enum AlertsCommand {
    Test(TestArgs),
}

/// Send a test message to the contacts and say what happened.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice alerts test                            to the contacts of all connectors
  sluice alerts test --connector my-connector   to those of one

Needs the variables of the config, as `sluice run` does; touches neither journal nor sinks.
Exit codes: 0 every message was taken, 1 one was not or there is nobody to tell, 2 wrong use.")]
struct TestArgs {
    /// The config file.
    #[arg(short, long, default_value = "sluice.yaml", value_name = "FILE")]
    config: PathBuf,
    /// Only the contacts of this connector.
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
}

/// Run the command.
pub fn run(args: &AlertsArgs, colour: bool) -> ExitCode {
    let AlertsCommand::Test(args) = &args.command;
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let environment = |name: &str| std::env::var(name).ok();
    let config = config::load(
        &args.config,
        Mode::Run,
        &environment,
        &mut files,
        &mut diagnostics,
    );
    if has_errors(&diagnostics) {
        output::tell(&render(&diagnostics, &files, Format::Human, colour));
    }
    let Some(config) = config else {
        return output::problems();
    };
    if let Some(name) = &args.connector
        && !config.connectors.contains_key(name)
    {
        let known = config.connectors.keys().map(String::as_str);
        let hint = did_you_mean(name, known);
        return output::wrong_use(format!("no connector is called `{name}` {hint}").trim_end());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(test(args, &config)),
        Err(problem) => {
            output::tell(&format!("error: {problem}\n"));
            output::problems()
        }
    }
}

async fn test(args: &TestArgs, config: &Config) -> ExitCode {
    let letters = letters(args, config);
    if letters.is_empty() {
        output::tell(
            "error: there is nobody to tell: the config has no `alerts: { smtp: … }` with a `contact`, and no `alerts: { webhook: … }`\n",
        );
        return output::problems();
    }
    let mut is_good = true;
    for (channel, letter) in letters {
        let reader = letter.to.as_ref().map_or("", MailAddress::as_str);
        let reader = format!("{} {reader}", channel.name());
        match channel.send(&letter).await {
            Ok(()) => output::print(&format!("sent      {}\n", reader.trim_end())),
            Err(problem) => {
                is_good = false;
                output::print(&format!("not sent  {}: {problem}\n", reader.trim_end()));
            }
        }
    }
    if is_good {
        output::good()
    } else {
        output::problems()
    }
}

/// One mail a contact, naming the connectors it is of, and one for the webhook.
fn letters(args: &TestArgs, config: &Config) -> Vec<(Channel, Letter)> {
    let mut all: Vec<&str> = Vec::new();
    let mut by_contact: BTreeMap<&MailAddress, Vec<&str>> = BTreeMap::new();
    for (name, connector) in &config.connectors {
        if args.connector.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        all.push(name);
        for contact in &connector.contacts {
            by_contact.entry(contact).or_default().push(name);
        }
    }
    let config_path = std::path::absolute(&args.config).unwrap_or_else(|_| args.config.clone());
    let host = host();
    let message = |names: &[&str]| Arc::new(test_message(names, &host, &config_path));
    let mut letters = Vec::new();
    for channel in Channel::all(&config.alerts) {
        match channel {
            Channel::Mail(_) => letters.extend(by_contact.iter().map(|(contact, names)| {
                let letter = Letter {
                    to: Some((*contact).clone()),
                    message: message(names),
                };
                (channel.clone(), letter)
            })),
            Channel::Webhook(_) => {
                let letter = Letter {
                    to: None,
                    message: message(&all),
                };
                letters.push((channel, letter));
            }
        }
    }
    letters
}
