//! `sluice map`: what does this event become?

mod explain;
mod machine;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use serde_json::Value;
use sluice_sdk::{EventPlaces, typed};

use super::events::Events;
use super::follow::written;
use super::mappings::{self, Choice, Chosen};
use super::output::{self, Shape};
use crate::diagnostics::did_you_mean;
use crate::mapping::{Explained, Mapped, Mapping, NOT_OPTED_IN};

/// Show what events become: the rule that runs, and the documents it makes.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice map --sample TYPE                 an example event of this type
  sluice map --sample TYPE --explain       where each field comes from, or why nothing is sent
  sluice map events.ndjson                 one event a line, a list, or {\"events\": [...]}
  sluice map recorded/                     a folder of such files
  sluice map data                          what a sluice has in its journal
  sluice map events.ndjson --type TYPE     events that do not say their type
  cat event.json | sluice map - --mappings mappings/my_set

On a terminal for people, in a pipe one JSON object a line; --format says otherwise.
Exit code 1 when an event cannot be mapped (it would be a dead letter).")]
pub struct Args {
    /// Events: a file (JSON objects, lists, {"events": [...]}), a folder of files, the data folder of
    /// a sluice, or `-` for stdin.
    #[arg(value_name = "EVENTS")]
    input: Option<String>,
    /// Take the catalogue's example event of this type.
    #[arg(long, value_name = "TYPE", conflicts_with = "input")]
    sample: Vec<String>,
    /// The type of all events, whatever they say themselves.
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "sample")]
    r#type: Option<String>,
    #[command(flatten)]
    choice: Choice,
    /// Show where each field comes from, and which rules were tried.
    #[arg(long)]
    explain: bool,
    /// How results are shown; json: one object a line. Default: human on a terminal, json in a pipe.
    #[arg(long)]
    format: Option<Shape>,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    if args.input.is_none() && args.sample.is_empty() {
        return output::wrong_use(NO_EVENTS);
    }
    let chosen = match args.choice.load() {
        Ok(chosen) => chosen,
        Err(code) => return code,
    };
    let shape = args.format.unwrap_or_else(|| {
        if std::io::stdout().is_terminal() {
            Shape::Human
        } else {
            Shape::Json
        }
    });
    let mut show = Show {
        chosen: &chosen,
        all_are: args.r#type.as_deref(),
        shape,
        explain: args.explain,
        count: 0,
        is_good: true,
    };
    if let Err(message) = show.all(args) {
        return output::wrong_use(&message);
    }
    if show.is_good {
        output::good()
    } else {
        output::problems()
    }
}

const NO_EVENTS: &str = "\
which event? For example:
  sluice map --sample TYPE          an example event of this type; `sluice coverage` lists the types
  sluice map events.ndjson          events from a file, a folder, or the data folder of a sluice
  sluice map -                      events from standard input
Add --explain to see where each field comes from.";

const NOT_SELECTED: &str =
    "`events` of the connector, or `--include`, leaves this type out; `--include TYPE` takes it in";

struct Show<'a> {
    chosen: &'a Chosen,
    /// `--type`
    all_are: Option<&'a str>,
    shape: Shape,
    explain: bool,
    count: u64,
    is_good: bool,
}

impl Show<'_> {
    fn all(&mut self, args: &Args) -> Result<(), String> {
        for name in &args.sample {
            let event = sample(name, &self.chosen.mapping)?;
            let id = EventPlaces::default().id_of(&event).unwrap_or_default();
            self.event(&event, Some(name), &id);
        }
        let Some(input) = &args.input else {
            return Ok(());
        };
        let events = Events::of(input)?;
        events.for_each(
            &mut |given| match serde_json::from_str::<Value>(given.text) {
                Ok(event) => {
                    let (own, id) = given.named(|| Cow::Borrowed(&event), &self.chosen.places);
                    self.event(&event, self.all_are.or(own.as_deref()), &id)
                }
                Err(error) => {
                    output::tell(&format!("error: {} is not JSON: {error}\n", given.place));
                    self.is_good = false;
                    true
                }
            },
        )?;
        if self.count == 0 && self.is_good {
            return Err(format!("{input} holds no event"));
        }
        Ok(())
    }

    /// False when nobody reads on.
    fn event(&mut self, event: &Value, event_type: Option<&str>, id: &str) -> bool {
        self.count += 1;
        let Chosen { mapping, files, .. } = self.chosen;
        let explained = mapping.map_explained(event_type.unwrap_or_default(), event);
        self.is_good &= !matches!(explained.outcome, Mapped::Dead { .. });
        let text = match self.shape {
            Shape::Human => self.human(event_type, &explained),
            Shape::Json => {
                let named = (event_type, id);
                let value = machine::line(named, &explained, self.explain, mapping.target(), files);
                format!("{value}\n")
            }
        };
        output::write(&text)
    }

    fn human(&self, event_type: Option<&str>, explained: &Explained) -> String {
        let title = event_type.unwrap_or("event without type");
        let mut out = format!("{}\n", output::paint("1", title));
        match &explained.outcome {
            Mapped::Documents(documents) => {
                for document in documents {
                    let name = document.name.as_ref();
                    let name = name.map_or_else(String::new, |name| format!(", document {name}"));
                    let rule = output::paint("32", &format!("rule {}{name}", document.rule));
                    let _ = writeln!(out, "  becomes by {rule}");
                    let body: Value = serde_json::from_slice(&document.body).unwrap_or_default();
                    for line in output::json(&body).lines().filter(|_| !self.explain) {
                        let _ = writeln!(out, "  {line}");
                    }
                }
            }
            Mapped::Skipped { reason, rule } => {
                let text = output::paint("33", &format!("is skipped: {reason}"));
                let _ = writeln!(out, "  {text}{}", by(rule.as_ref()));
                if reason.starts_with(NOT_OPTED_IN) {
                    let _ = writeln!(
                        out,
                        "  `--include {title}` opts it in here, `events.include` of a connector for good"
                    );
                }
            }
            Mapped::Dead {
                reason,
                detail,
                rule,
            } => {
                let text = output::paint("31", &format!("is a dead letter: {reason}"));
                let _ = writeln!(out, "  {text}{}\n  {detail}", by(rule.as_ref()));
            }
            Mapped::NotSelected if event_type.is_some() => {
                let _ = writeln!(out, "  is not selected: {NOT_SELECTED}");
            }
            Mapped::Unmapped | Mapped::NotSelected => {
                let _ = writeln!(out, "  becomes nothing: {}", self.why_unmapped(event_type));
            }
        }
        if self.explain {
            out.push_str(&explain::human(explained, &self.chosen.files));
        }
        out.push('\n');
        out
    }

    fn why_unmapped(&self, event_type: Option<&str>) -> String {
        let Some(name) = event_type else {
            return format!(
                "it says no type at `{}`, by which rules are chosen; a config with its source (`--config FILE`) tells where else to look, `--type TYPE` what it is",
                written(&self.chosen.places.event_type)
            );
        };
        let catalogue = self.chosen.mapping.target().catalogue;
        let known = catalogue.map(|all| all.events.iter().map(|one| one.name.as_str()));
        match known {
            Some(known) if catalogue.is_some_and(|all| all.event(name).is_none()) => {
                let hint = did_you_mean(name, known);
                let hint = if hint.is_empty() {
                    String::new()
                } else {
                    format!("; {hint}")
                };
                format!("no rule is on it, and the catalogue does not know the type{hint}")
            }
            _ => "no rule is on it whose `when` holds".to_owned(),
        }
    }
}

fn sample(name: &str, mapping: &Mapping) -> Result<Value, String> {
    let own = mapping.target().catalogue;
    let mut names = Vec::new();
    for catalogue in own.into_iter().chain(mappings::catalogues()) {
        if let Some(event) = catalogue.event(name) {
            return Ok(event.sample());
        }
        names.extend(catalogue.events.iter().map(|event| event.name.as_str()));
    }
    Err(format!(
        "no catalogue knows the event type `{name}`; {}",
        match did_you_mean(name, names) {
            hint if hint.is_empty() => format!("{} lists them", typed("coverage")),
            hint => hint,
        }
    ))
}

fn by(rule: Option<&String>) -> String {
    rule.map_or_else(String::new, |rule| format!(" (rule {rule})"))
}
