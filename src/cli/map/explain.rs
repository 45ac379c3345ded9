//! `--explain` for people: which rules were tried, what stopped a document, where each field comes from.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::output;
use crate::diagnostics::{Files, yaml_flow};
use crate::mapping::{Explained, Field, LookedAt, Output, Read, Stopped};

/// Columns of a value; the rest of it is cut.
const VALUE_CHARS: usize = 44;

/// Everything, indented below the event's name.
pub fn human(explained: &Explained, files: &Files) -> String {
    let mut out = String::new();
    if !explained.rules.is_empty() {
        let _ = writeln!(out, "\n  {}", output::paint("1", "Rules tried"));
        for rule in &explained.rules {
            out.push_str(&looked_at(rule, files));
        }
    }
    for stopped in &explained.stopped {
        out.push_str(&stop(stopped, files));
    }
    if !explained.fields.is_empty() {
        let _ = writeln!(
            out,
            "\n  {}",
            output::paint("1", "Where each field comes from")
        );
        out.push_str(&fields(&explained.fields, files));
    }
    out
}

/// A value on one line, cut to a few words.
fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    output::cut(&yaml_flow(value), VALUE_CHARS)
}

fn looked_at(rule: &LookedAt, files: &Files) -> String {
    let colour = if rule.ran { "32" } else { "33" };
    let mut out = format!(
        "    {}  {}  {}\n",
        rule.rule,
        output::paint(colour, &rule.verdict),
        output::paint("2", &files.place(rule.place)),
    );
    if let Some(when) = &rule.when {
        let _ = writeln!(out, "        when  {}", when.trim().replace('\n', " "));
        out.push_str(&reads(&rule.reads));
    }
    out
}

fn reads(reads: &[Read]) -> String {
    let rows: Vec<Vec<String>> = reads
        .iter()
        .map(|read| {
            vec![
                format!("        {}", read.path),
                format!("= {}", shown(read.value.as_ref())),
            ]
        })
        .collect();
    output::table(&rows)
}

/// `template engagement` or `rule email_opened`.
fn said_by(output: &Output) -> String {
    match &output.template {
        Some(template) => format!("template {template}"),
        None => format!("rule {}", output.rule),
    }
}

fn stop(stopped: &Stopped, files: &Files) -> String {
    let what = if stopped.is_dead {
        "What made it a dead letter"
    } else {
        "What made it skipped"
    };
    let document = stopped.output.document.as_ref();
    let document = document.map_or_else(String::new, |name| format!(" of document {name}"));
    format!(
        "\n  {}\n    {}{document}  {}\n    {}  {}\n{}",
        output::paint("1", what),
        stopped.output.path,
        stopped.output.source,
        said_by(&stopped.output),
        output::paint("2", &files.place(stopped.output.place)),
        reads(&stopped.reads),
    )
}

/// Fields of one origin together, so that lines stay short.
fn fields(all: &[Field], files: &Files) -> String {
    let origin = |field: &Field| {
        let document = field.output.document.as_ref();
        let document = document.map_or_else(String::new, |name| format!("document {name}, "));
        let file = files.name(field.output.place.file);
        format!("{document}{}, {file}", said_by(&field.output))
    };
    let mut origins: Vec<String> = Vec::new();
    for field in all {
        let one = origin(field);
        if !origins.contains(&one) {
            origins.push(one);
        }
    }
    let rows: Vec<Vec<String>> = all.iter().map(|field| row(field, files)).collect();
    let table = output::table(&rows);
    let mut out = String::new();
    for one in &origins {
        let _ = writeln!(out, "    {}", output::paint("36", one));
        for (field, line) in all.iter().zip(table.lines()) {
            if origin(field) == *one {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// Field, value, what it is made of, line.
fn row(field: &Field, files: &Files) -> Vec<String> {
    let (line, _) = files.position(field.output.place.file, field.output.place.start);
    let from = match field.reads.as_slice() {
        // What a spread brought says which member it was.
        [one] if field.output.is_spread => {
            let (word, _) = field.output.source.split_once(' ').unwrap_or_default();
            format!("{} by {word}", one.path)
        }
        // A value that was changed is shown as it came.
        [one] if one.value.is_some() && one.value != field.value => {
            let was = shown(one.value.as_ref());
            format!("{}, was {was}", field.output.source)
        }
        _ => field.output.source.clone(),
    };
    let value = match &field.value {
        Some(value) => shown(Some(value)),
        None => "(left out)".to_owned(),
    };
    vec![
        format!("      {}", field.path),
        value,
        from,
        format!("line {line}"),
    ]
}
