//! `sluice map`: what does this event become?

use std::fmt::Write as _;
use std::io::Read;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::mappings::Choice;
use super::output::{self, Shape};
use crate::diagnostics::{Files, Format, did_you_mean, has_errors};
use crate::mapping::{Explained, Mapped, Mapping};

/// Show what events become: the rule that runs, and the documents it makes.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice map --sample TYPE                 an example event of this type
  sluice map --sample TYPE --explain       which path of the event each field comes from
  sluice map events.ndjson                 one event a line, or {\"events\": [...]}
  cat event.json | sluice map - --mappings mappings/my_set --format json

Exit code 1 when an event cannot be mapped (it would be a dead letter).")]
pub struct Args {
    /// File of events: one JSON object a line, a JSON list, or {"events": [...]}; `-` is stdin.
    #[arg(value_name = "FILE", required_unless_present = "sample")]
    input: Option<String>,
    /// Take the catalogue's example event of this type.
    #[arg(long, value_name = "TYPE", conflicts_with = "input")]
    sample: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    /// Show the rules that were tried, and where each field comes from.
    #[arg(long)]
    explain: bool,
    /// How results are shown; json: one object a line.
    #[arg(long, default_value = "human")]
    format: Shape,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let references = match args.choice.references() {
        Ok(references) => references,
        Err(message) => return output::wrong_use(&message),
    };
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let mapping = args.choice.load(&references, &mut files, &mut diagnostics);
    let Some(mapping) = mapping.filter(|_| !has_errors(&diagnostics)) else {
        return output::report(&diagnostics, &files, Format::Human, false);
    };
    let events = match events(args, &mapping) {
        Ok(events) => events,
        Err(message) => return output::wrong_use(&message),
    };
    let mut is_good = true;
    for event in &events {
        let explained = mapping.map_explained(event);
        is_good &= !matches!(explained.outcome, Mapped::Dead { .. });
        let text = match args.format {
            Shape::Human => human(event, &explained, args.explain, &files),
            Shape::Json => format!("{}\n", machine(event, &explained, args.explain, &files)),
        };
        output::print(&text);
    }
    if is_good {
        output::good()
    } else {
        output::problems()
    }
}

fn events(args: &Args, mapping: &Mapping) -> Result<Vec<Value>, String> {
    let Some(input) = &args.input else {
        return args
            .sample
            .iter()
            .map(|name| sample(name, mapping))
            .collect();
    };
    let mut text = String::new();
    if input == "-" {
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| format!("stdin cannot be read: {error}"))?;
    } else {
        text = std::fs::read_to_string(input)
            .map_err(|error| format!("{input} cannot be read: {error}"))?;
    }
    let mut events = Vec::new();
    for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        let value = value.map_err(|error| format!("{input} is not JSON: {error}"))?;
        match value {
            Value::Array(all) => events.extend(all),
            Value::Object(mut map) if map.get("events").is_some_and(Value::is_array) => {
                if let Some(Value::Array(all)) = map.shift_remove("events") {
                    events.extend(all);
                }
            }
            one => events.push(one),
        }
    }
    if events.is_empty() {
        return Err(format!("{input} holds no event"));
    }
    Ok(events)
}

fn sample(name: &str, mapping: &Mapping) -> Result<Value, String> {
    let own = mapping.target().catalogue;
    let linked = sluice_sdk::sources()
        .into_iter()
        .filter_map(|plugin| plugin.catalogue)
        .map(|catalogue| catalogue());
    let mut names = Vec::new();
    for catalogue in own.into_iter().chain(linked) {
        if let Some(event) = catalogue.event(name) {
            return Ok(event.sample());
        }
        names.extend(catalogue.events.iter().map(|event| event.name.as_str()));
    }
    Err(format!(
        "no catalogue knows the event type `{name}`; {}",
        match did_you_mean(name, names) {
            hint if hint.is_empty() => "`sluice coverage` lists them".to_owned(),
            hint => hint,
        }
    ))
}

fn event_type(event: &Value) -> &str {
    event["event_type"].as_str().unwrap_or("event without type")
}

/// The outcome in one word, for machines.
pub fn word(outcome: &Mapped) -> &'static str {
    match outcome {
        Mapped::Documents(_) => "documents",
        Mapped::Skipped { .. } => "skipped",
        Mapped::Dead { .. } => "dead_letter",
        Mapped::Unmapped => "unmapped",
        Mapped::NotSelected => "not_selected",
    }
}

fn by(rule: Option<&String>) -> String {
    rule.map_or_else(String::new, |rule| format!(" (rule {rule})"))
}

fn human(event: &Value, explained: &Explained, explain: bool, files: &Files) -> String {
    let mut out = format!("{}\n", output::paint("1", event_type(event)));
    match &explained.outcome {
        Mapped::Documents(documents) => {
            for document in documents {
                let name = document.name.as_ref();
                let name = name.map_or_else(String::new, |name| format!(", document {name}"));
                let rule = output::paint("32", &format!("rule {}{name}", document.rule));
                let _ = writeln!(out, "  becomes by {rule}");
                let body: Value = serde_json::from_slice(&document.body).unwrap_or_default();
                for line in output::json(&body).lines() {
                    let _ = writeln!(out, "  {line}");
                }
            }
        }
        Mapped::Skipped { reason, rule } => {
            let _ = writeln!(out, "  is skipped: {reason}{}", by(rule.as_ref()));
        }
        Mapped::Dead {
            reason,
            detail,
            rule,
        } => {
            let text = output::paint("31", &format!("is a dead letter: {reason}"));
            let _ = writeln!(out, "  {text}{}\n  {detail}", by(rule.as_ref()));
        }
        Mapped::Unmapped => {
            let _ = writeln!(out, "  no rule is on it");
        }
        Mapped::NotSelected => {
            let _ = writeln!(out, "  is not selected");
        }
    }
    if explain {
        let _ = writeln!(out, "\n  Rules tried:");
        let rows: Vec<Vec<String>> = explained
            .rules
            .iter()
            .map(|rule| {
                let place = files.place(rule.place);
                vec![format!("    {}", rule.rule), rule.verdict.clone(), place]
            })
            .collect();
        out.push_str(&output::table(&rows));
        if !explained.outputs.is_empty() {
            let _ = writeln!(out, "\n  Where each field comes from:");
            let rows: Vec<Vec<String>> = explained
                .outputs
                .iter()
                .map(|one| {
                    let document = one.document.as_ref();
                    let prefix = document.map_or_else(String::new, |name| format!("{name}: "));
                    vec![
                        format!("    {prefix}{}", one.path),
                        one.source.clone(),
                        files.place(one.place),
                    ]
                })
                .collect();
            out.push_str(&output::table(&rows));
        }
    }
    out.push('\n');
    out
}

fn machine(event: &Value, explained: &Explained, explain: bool, files: &Files) -> Value {
    let mut all = json!({
        "event_type": event["event_type"],
        "id": event["id"],
        "outcome": word(&explained.outcome),
    });
    match &explained.outcome {
        Mapped::Documents(documents) => {
            all["documents"] = documents
                .iter()
                .map(|document| {
                    json!({
                        "rule": document.rule.as_ref(),
                        "name": document.name.as_deref(),
                        "identity": document.identity,
                        "document": serde_json::from_slice::<Value>(&document.body)
                            .unwrap_or_default(),
                    })
                })
                .collect();
        }
        Mapped::Skipped { reason, rule } => {
            all["reason"] = json!(reason);
            all["rule"] = json!(rule);
        }
        Mapped::Dead {
            reason,
            detail,
            rule,
        } => {
            all["reason"] = json!(reason);
            all["detail"] = json!(detail);
            all["rule"] = json!(rule);
        }
        Mapped::Unmapped | Mapped::NotSelected => {}
    }
    if explain {
        all["rules"] = explained
            .rules
            .iter()
            .map(|rule| {
                json!({"rule": rule.rule, "ran": rule.ran, "verdict": rule.verdict,
                       "place": files.place(rule.place)})
            })
            .collect();
        all["fields"] = explained
            .outputs
            .iter()
            .map(|one| {
                json!({"rule": one.rule, "document": one.document, "field": one.path,
                       "source": one.source, "place": files.place(one.place)})
            })
            .collect();
    }
    all
}
