//! `sluice coverage`: for each event type of the catalogue, what the rules make of it.

use std::process::ExitCode;

use serde_json::{Value, json};
use sluice_sdk::DocumentSpec;
use sluice_sdk::catalogue::EventType;

use super::mappings::{Choice, catalogues};
use super::output::{self, Shape};
use crate::diagnostics::{Files, Format, has_errors};
use crate::mapping::{Explained, Mapped, Mapping};

/// Show each event type of the source with the rule on it and what it becomes.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice coverage
  sluice coverage --unmapped               only types that no rule is on
  sluice coverage --fields                 with the fields that go nowhere
  sluice coverage --mappings mappings/my_set --format json")]
pub struct Args {
    #[command(flatten)]
    choice: Choice,
    /// Only types that no rule is on.
    #[arg(long)]
    unmapped: bool,
    /// Show for each type the fields that its rule does not use.
    #[arg(long)]
    fields: bool,
    /// How it is shown.
    #[arg(long, default_value = "human")]
    format: Shape,
}

/// One event type and what becomes of it.
struct Row<'a> {
    event: &'a EventType,
    rules: Vec<String>,
    becomes: String,
    is_unmapped: bool,
    unused: Vec<&'a str>,
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
    let unmapped = rows.iter().filter(|row| row.is_unmapped).count();
    if args.unmapped {
        rows.retain(|row| row.is_unmapped);
    }
    match args.format {
        Shape::Json => output::print(&output::json(&machine(&rows))),
        Shape::Human => {
            output::print(&human(&rows, args.fields));
            output::print(&format!(
                "\n{} of {}, {} without a rule\n",
                output::number(rows.len(), "event type"),
                catalogue.version,
                unmapped
            ));
        }
    }
    output::good()
}

fn row<'a>(event: &'a EventType, mapping: &Mapping) -> Row<'a> {
    let explained = mapping.map_explained(&event.sample());
    let rules: Vec<String> = explained
        .rules
        .iter()
        .filter(|rule| rule.ran || explained.rules.len() == 1)
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
        Mapped::Skipped { reason, .. } => format!("skipped: {reason}"),
        Mapped::Dead { reason, .. } => format!("dead letter: {reason}"),
        Mapped::Unmapped => "no rule".to_owned(),
        Mapped::NotSelected => "not selected".to_owned(),
    };
    Row {
        event,
        rules,
        becomes,
        is_unmapped: explained.outcome == Mapped::Unmapped,
        unused: unused(event, &explained),
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

/// Fields whose path stands in no output of the rules that ran.
fn unused<'a>(event: &'a EventType, explained: &Explained) -> Vec<&'a str> {
    if !matches!(explained.outcome, Mapped::Documents(_)) {
        return Vec::new();
    }
    let uses = |path: &str| {
        let wanted = format!("$.{path}");
        explained.fields.iter().any(|field| {
            field.output.reads.iter().any(|read| {
                // A spread uses all that is below its path.
                let is_spread = field.output.is_spread;
                *read == wanted
                    || (is_spread && wanted.starts_with(&format!("{read}.")))
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
                "unmapped": row.is_unmapped,
                "unused_fields": row.unused,
            })
        })
        .collect()
}
