//! `sluice dead-letters submit`: events that a person has mended, to their source as its upstream
//! would send them.
//!
//! What a source set aside was no event, so nothing can replay it. Mended it is a new event: it comes
//! in by the front door, and is known by its id like any other.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use sluice_sdk::{Feed, Feeder, typed};

use crate::cli::events::Events;
use crate::cli::output;
use crate::cli::reach::Admin;
use crate::config::{self, Config, Mode, SourceConfig};
use crate::diagnostics::{Files, Format, did_you_mean, has_errors, render};
use crate::engine::dead_letters::owner_of_source;
use crate::engine::status::Status;
use crate::wording::number;

/// Events in one request.
const REQUEST_EVENTS: usize = 100;

/// See [`super::Action::Submit`].
#[derive(Debug, Args)]
pub struct Submit {
    /// The events: a file (JSON objects, lists, {"events": [...]}), a folder of files, or `-` for stdin.
    #[arg(value_name = "EVENTS")]
    input: String,
    /// The source they are for, where the config has several.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Where the source is reached. Default: where it listens, as the running process says.
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// The config file.
    #[arg(short, long, default_value = "sluice.yaml", value_name = "FILE")]
    pub config: PathBuf,
}

/// Run it. `running` is the config as commands read it that ask a process.
///
/// # Errors
/// A sentence with what helps.
pub fn run(args: &Submit, running: &Config, colour: bool) -> Result<ExitCode, String> {
    let events = read(&args.input)?;
    let config = with_settings(args, colour)?;
    let (name, source, feed) = choose(&config, args.source.as_deref())?;
    if !source.unset.is_empty() {
        let names: Vec<&str> = source.unset.iter().map(String::as_str).collect();
        return Err(format!(
            "nothing was sent: the source `{name}` needs {} here as for {}, and the environment has no value for it",
            names.join(", "),
            typed("run")
        ));
    }
    let before = status(running);
    let endpoint = match (&args.to, &before) {
        (Some(to), _) => to.clone(),
        (None, Ok(status)) => status
            .sources
            .get(name)
            .and_then(|source| source.endpoint.clone())
            .ok_or_else(|| format!("the source `{name}` is not up, so nothing was sent"))?,
        (None, Err(problem)) => {
            return Err(format!(
                "nothing was sent: {problem}; start it with {}, or say `--to URL`",
                typed("run")
            ));
        }
    };
    let sent = send(feed(endpoint, source.settings.clone()), &events);
    let aside = |status: Result<Status, String>| {
        let status = status.ok()?;
        Some(status.sources.get(name)?.malformed.values().sum::<u64>())
    };
    let again = aside(status(running))
        .zip(aside(before))
        .map_or(0, |(after, before)| after.saturating_sub(before));
    sent.map_err(|problem| {
        format!(
            "the source `{name}` did not take them all ({problem}); what it took before is recognised when it comes again"
        )
    })?;
    output::tell(&format!(
        "{} sent to the source {name}\n",
        number(events.len(), "event")
    ));
    let owner = owner_of_source(name);
    if again > 0 {
        let again = number(again, "part");
        output::tell(&format!(
            "warning: meanwhile {again} of what came was set aside; {} shows why\n",
            typed(&format!("dead-letters list --connector {owner}"))
        ));
        return Ok(output::problems());
    }
    output::tell(&format!(
        "the dead letters they were made of are there still: {} gives them up\n",
        typed(&format!("dead-letters drop --connector {owner}"))
    ));
    Ok(output::good())
}

fn read(input: &str) -> Result<Vec<String>, String> {
    let mut events = Vec::new();
    Events::of(input)?.for_each(&mut |given| {
        events.push(given.text.to_owned());
        true
    })?;
    match events.is_empty() {
        true => Err(format!("{input} holds no event")),
        false => Ok(events),
    }
}

/// The config with the settings of its sources. Most variables in it are none of the source's, and may
/// have no value here.
fn with_settings(args: &Submit, colour: bool) -> Result<Config, String> {
    let (mut files, mut diagnostics) = (Files::default(), Vec::new());
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mode = Mode::Validate;
    let config = config::load(&args.config, mode, &env, &mut files, &mut diagnostics);
    if has_errors(&diagnostics) {
        output::tell(&render(&diagnostics, &files, Format::Human, colour));
    }
    config.ok_or_else(|| "the config has errors, so nothing was sent".to_owned())
}

/// The source that is meant, with its way in.
fn choose<'a>(
    config: &'a Config,
    wanted: Option<&str>,
) -> Result<(&'a str, &'a SourceConfig, Feed), String> {
    let with_way = |(name, source): (&'a String, &'a SourceConfig)| {
        source.plugin.feed.map(|feed| (name.as_str(), source, feed))
    };
    if let Some(wanted) = wanted {
        let names = config.sources.keys().map(String::as_str);
        let found = config.sources.get_key_value(wanted);
        let found = found.ok_or_else(|| {
            let hint = did_you_mean(wanted, names);
            format!("the config has no source `{wanted}` {hint}")
        })?;
        return with_way(found).ok_or_else(|| {
            let kind = found.1.plugin.name;
            format!("events cannot be sent to a source of the type {kind}: put them where it reads")
        });
    }
    let all: Vec<_> = config.sources.iter().filter_map(with_way).collect();
    match <[_; 1]>::try_from(all) {
        Ok([one]) => Ok(one),
        Err(all) if all.is_empty() => {
            Err("no source of the config can be sent events: put them where it reads".to_owned())
        }
        Err(all) => {
            let names: Vec<&str> = all.iter().map(|one| one.0).collect();
            Err(format!(
                "which source? `--source NAME` with one of {}",
                names.join(", ")
            ))
        }
    }
}

fn status(config: &Config) -> Result<Status, String> {
    let admin = Admin::of(config).ok_or("the admin listener is off in this config")?;
    admin.json("GET", "/status", None)
}

fn send(feeder: Box<dyn Feeder>, events: &[String]) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|problem| format!("no thread to send on: {problem}"))?;
    runtime.block_on(async {
        for request in events.chunks(REQUEST_EVENTS) {
            feeder.send(request.to_vec()).await?;
        }
        Ok(())
    })
}
