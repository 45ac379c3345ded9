//! `sluice coverage`: for each event type of the catalogue, what the rules make of it.

mod personal;

use std::process::ExitCode;

use serde_json::{Value, json};
use sluice_sdk::DocumentSpec;
use sluice_sdk::catalogue::EventType;

use super::mappings::{Choice, catalogues};
use super::output::{self, Shape};
use crate::mapping::{Mapped, Mapping, Output, rule_for};
use crate::wording::number;

/// Show each event type of the source with the rule on it, what it becomes, and which of its fields
/// go nowhere.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice coverage
  sluice coverage --unmapped               types that no rule is on, each with a rule to paste
  sluice coverage --strict                 exit 1 if there is a type without a rule
  sluice coverage --fields                 with the fields that go nowhere
  sluice coverage --personal               personal fields that leave without a hash
  sluice coverage --config eu.yaml --connector NAME
  sluice coverage --mappings mappings/my_set --format json")]
pub struct Args {
    #[command(flatten)]
    choice: Choice,
    /// Only types that no rule is on, each with a rule to paste.
    #[arg(long)]
    unmapped: bool,
    /// Exit with 1 if there is a type without a rule.
    #[arg(long)]
    strict: bool,
    /// Show for each type the fields that its rule does not use.
    #[arg(long)]
    fields: bool,
    /// Show instead which personal fields rules put into documents as they are, without a hash.
    #[arg(long, conflicts_with_all = ["unmapped", "strict", "fields"])]
    personal: bool,
    /// How it is shown.
    #[arg(long, default_value = "human")]
    format: Shape,
}

/// One event type and what becomes of it.
struct Row<'a> {
    event: &'a EventType,
    rules: Vec<String>,
    becomes: String,
    unused: Vec<&'a str>,
    /// For a type without a rule.
    to_paste: Option<String>,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    if args.personal {
        return personal::run(args);
    }
    let mapping = match args.choice.load() {
        Ok(chosen) => chosen.mapping,
        Err(code) => return code,
    };
    let Some(catalogue) = mapping.target().catalogue.or_else(|| catalogues().next()) else {
        return output::wrong_use(
            "no catalogue: say in a mapping file which source it is for (`for: {source: PLUGIN}`)",
        );
    };
    let mut rows: Vec<Row<'_>> = catalogue
        .events
        .iter()
        .map(|event| row(event, &mapping))
        .collect();
    let total = rows.len();
    let unmapped = rows.iter().filter(|row| row.to_paste.is_some()).count();
    if args.unmapped {
        rows.retain(|row| row.to_paste.is_some());
    }
    match args.format {
        Shape::Json => output::print(&output::json(&json!({
            "catalogue": catalogue.version,
            "event_types": total,
            "unmapped": unmapped,
            "types": machine(&rows),
        }))),
        Shape::Human => {
            output::print(&human(&rows, args.fields));
            if args.unmapped {
                output::print(&to_paste(&rows));
            }
            output::print(&format!(
                "\n{} of {}, {unmapped} without a rule{}\n",
                number(total, "event type"),
                catalogue.version,
                match unmapped {
                    0 => "",
                    _ if args.unmapped => "",
                    _ => " (`--unmapped` shows a rule to paste for each)",
                }
            ));
        }
    }
    if args.strict && unmapped > 0 {
        return output::problems();
    }
    output::good()
}

fn row<'a>(event: &'a EventType, mapping: &Mapping) -> Row<'a> {
    let explained = mapping.map_explained(&event.name, &event.sample());
    let mut rules: Vec<String> = explained
        .rules
        .iter()
        .filter(|rule| rule.ran)
        .map(|rule| rule.rule.clone())
        .collect();
    let becomes = match &explained.outcome {
        Mapped::Documents(documents) => documents
            .iter()
            .map(|document| {
                let body: Value = serde_json::from_slice(&document.body).unwrap_or_default();
                title(&body, mapping.target().document)
            })
            .collect::<Vec<_>>()
            .join(", "),
        Mapped::Skipped { reason, rule } => {
            // One that is not opted in decides as well.
            rules.extend(rule.clone().filter(|rule| !rules.contains(rule)));
            format!("skipped: {reason}")
        }
        Mapped::Dead { reason, .. } => format!("dead letter: {reason}"),
        Mapped::Unmapped => "no rule".to_owned(),
        Mapped::NotSelected => "not selected".to_owned(),
    };
    let is_unmapped = explained.outcome == Mapped::Unmapped;
    Row {
        event,
        unused: unused(event, &rules, mapping),
        rules,
        becomes,
        to_paste: is_unmapped.then(|| rule_for(event, mapping)),
    }
}

/// Name of a document for people, such as `track · Email Opened`.
pub fn title(body: &Value, spec: Option<&DocumentSpec>) -> String {
    let members = spec.map(|spec| spec.title).unwrap_or_default();
    let parts: Vec<&str> = members
        .iter()
        .filter_map(|member| body[*member].as_str())
        .collect();
    if parts.is_empty() {
        "a document".to_owned()
    } else {
        parts.join(" · ")
    }
}

/// Fields that none of these rules reads for a document. A rule that is not opted in counts as if it
/// were; one that skips reads nothing.
fn unused<'a>(event: &'a EventType, rules: &[String], mapping: &Mapping) -> Vec<&'a str> {
    let outputs: Vec<Output> = rules
        .iter()
        .flat_map(|rule| mapping.outputs_of(rule))
        .collect();
    if outputs.is_empty() {
        return Vec::new();
    }
    let uses = |path: &str| {
        let wanted = format!("$.{path}");
        outputs.iter().any(|output| {
            output.reads.iter().any(|read| {
                *read == wanted
                    // A spread uses all that is below its path.
                    || (output.is_spread && wanted.starts_with(&format!("{read}.")))
                    || read.starts_with(&format!("{wanted}."))
            })
        })
    };
    event
        .fields
        .iter()
        .filter(|field| !field.storage_only && !uses(&field.path))
        .map(|field| field.path.as_str())
        .collect()
}

fn to_paste(rows: &[Row<'_>]) -> String {
    let rules: String = rows
        .iter()
        .filter_map(|row| row.to_paste.as_deref())
        .collect();
    match rules.is_empty() {
        true => String::new(),
        false => format!(
            "\nTo send them, paste what you want under `rules:` in a file of your own:\n\n{rules}"
        ),
    }
}

fn human(rows: &[Row<'_>], show_fields: bool) -> String {
    let mut out = String::new();
    let mut groups: Vec<&str> = Vec::new();
    for row in rows {
        if !groups.contains(&row.event.group.as_str()) {
            groups.push(&row.event.group);
        }
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                format!("  {}", row.event.name),
                row.rules.join(", "),
                row.becomes.clone(),
            ]
        })
        .collect();
    let table = output::table(&cells);
    let lines: Vec<&str> = table.lines().collect();
    for group in groups {
        out.push_str(&format!("{}\n", output::paint("1", group)));
        for (row, line) in rows.iter().zip(&lines) {
            if row.event.group != group {
                continue;
            }
            out.push_str(line);
            out.push('\n');
            if show_fields && !row.unused.is_empty() {
                out.push_str(&format!("      goes nowhere: {}\n", row.unused.join(", ")));
            }
        }
    }
    out
}

fn machine(rows: &[Row<'_>]) -> Value {
    rows.iter()
        .map(|row| {
            json!({
                "type": row.event.name,
                "group": row.event.group,
                "documented": row.event.documented,
                "rules": row.rules,
                "becomes": row.becomes,
                "unmapped": row.to_paste.is_some(),
                "unused_fields": row.unused,
                "rule_to_paste": row.to_paste,
            })
        })
        .collect()
}
