//! `sluice plugins`: what is linked into this program, and the reference of its settings.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::output::{self, Shape};
use crate::diagnostics::did_you_mean;

/// List the linked plugins, or show all settings of one.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice plugins
  sluice plugins show NAME
  sluice plugins show NAME --format json")]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// How they are shown.
    #[arg(long, global = true, default_value = "human")]
    format: Shape,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List them.
    List,
    /// Show every setting of one, with an example.
    Show {
        /// The plugin's name.
        name: String,
    },
}

/// What sources, sinks and commands have in common.
struct Plugin {
    kind: &'static str,
    name: &'static str,
    version: &'static str,
    summary: &'static str,
    example: &'static str,
    schema: Option<Value>,
    facts: Vec<String>,
}

fn all() -> Vec<Plugin> {
    let sources = sluice_sdk::sources().into_iter().map(|plugin| Plugin {
        kind: "source",
        name: plugin.name,
        version: plugin.version,
        summary: plugin.summary,
        example: plugin.example,
        schema: Some(crate::config::source_schema(plugin)),
        facts: plugin
            .catalogue
            .map(|catalogue| {
                let catalogue = catalogue();
                let types = output::number(catalogue.events.len(), "event type");
                format!("Knows {types}: {}.", catalogue.version)
            })
            .into_iter()
            .collect(),
    });
    let sinks = sluice_sdk::sinks().into_iter().map(|plugin| Plugin {
        kind: "sink",
        name: plugin.name,
        version: plugin.version,
        summary: plugin.summary,
        example: plugin.example,
        schema: Some(crate::config::sink_schema(plugin)),
        facts: plugin
            .document
            .map(|document| {
                let kinds: Vec<&str> = document.kinds.iter().map(|kind| kind.name).collect();
                format!("Takes documents of the kinds {}.", kinds.join(", "))
            })
            .into_iter()
            .collect(),
    });
    let commands = sluice_sdk::commands().into_iter().map(|plugin| Plugin {
        kind: "command",
        name: plugin.name,
        version: "",
        summary: plugin.summary,
        example: "",
        schema: None,
        facts: vec![format!(
            "Run `sluice {} --help` for its arguments.",
            plugin.name
        )],
    });
    sources.chain(sinks).chain(commands).collect()
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let plugins = all();
    match &args.action {
        None | Some(Action::List) => list(&plugins, args.format),
        Some(Action::Show { name }) => {
            let found: Vec<&Plugin> = plugins.iter().filter(|it| it.name == name).collect();
            if found.is_empty() {
                let names = plugins.iter().map(|plugin| plugin.name);
                let hint = did_you_mean(name, names);
                let hint = if hint.is_empty() {
                    "`sluice plugins` lists them all".to_owned()
                } else {
                    hint
                };
                return output::wrong_use(&format!("there is no plugin `{name}`; {hint}"));
            }
            match args.format {
                Shape::Human => {
                    let texts: Vec<String> = found.iter().map(|plugin| show(plugin)).collect();
                    output::print(&texts.join("\n"));
                }
                Shape::Json => {
                    let all: Vec<Value> = found.iter().map(|plugin| machine(plugin)).collect();
                    output::print(&output::json(&json!(all)));
                }
            }
            output::good()
        }
    }
}

fn list(plugins: &[Plugin], format: Shape) -> ExitCode {
    if format == Shape::Json {
        let all: Vec<Value> = plugins.iter().map(machine).collect();
        output::print(&output::json(&json!(all)));
        return output::good();
    }
    let rows: Vec<Vec<String>> = plugins
        .iter()
        .map(|plugin| {
            [plugin.name, plugin.kind, plugin.version, plugin.summary]
                .map(str::to_owned)
                .to_vec()
        })
        .collect();
    output::print(&output::table(&rows));
    output::print("\n`sluice plugins show NAME` explains every setting.\n");
    output::good()
}

fn machine(plugin: &Plugin) -> Value {
    json!({
        "kind": plugin.kind,
        "name": plugin.name,
        "version": plugin.version,
        "summary": plugin.summary,
        "example": plugin.example,
        "schema": plugin.schema,
    })
}

fn show(plugin: &Plugin) -> String {
    let name = output::paint("1", plugin.name);
    let mut out = format!("{name} ({}) {}\n", plugin.kind, plugin.version);
    let _ = writeln!(out, "{}", plugin.summary);
    for fact in &plugin.facts {
        let _ = writeln!(out, "{fact}");
    }
    if let Some(schema) = &plugin.schema {
        let _ = writeln!(out, "\nSettings:");
        settings(&mut out, schema, schema, 1);
    }
    if !plugin.example.trim().is_empty() {
        let _ = writeln!(out, "\nExample:");
        let (head, indent) = match plugin.kind {
            "source" => ("sources:\n  my-source:\n", "    "),
            _ => ("    sink:\n", "      "),
        };
        let _ = writeln!(out, "{head}{indent}type: {}", plugin.name);
        for line in plugin.example.trim_end().lines() {
            let _ = writeln!(out, "{indent}{line}");
        }
    }
    out
}

/// One entry for each setting, and below it the settings in it.
fn settings(out: &mut String, root: &Value, schema: &Value, depth: usize) {
    // Deeper nesting says less than the description; it also ends recursive schemas.
    const DEPTH_MAX: usize = 4;
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let indent = "  ".repeat(depth);
    for (name, outer) in schema["properties"].as_object().into_iter().flatten() {
        if name == "type" && depth == 1 {
            continue;
        }
        let inner = inner(root, outer);
        let mut notes = vec![kind(root, outer)];
        if required.contains(&name.as_str()) {
            notes.push("required".to_owned());
        }
        let default = [outer, inner]
            .into_iter()
            .find_map(|it| it.get("default").filter(|value| !value.is_null()));
        if let Some(default) = default {
            let text = default.as_str().map_or(default.to_string(), str::to_owned);
            notes.push(format!("default {text}"));
        }
        notes.retain(|note| !note.is_empty());
        let shown = output::paint("1", name);
        let _ = writeln!(out, "{indent}{shown} ({})", notes.join(", "));
        let description = outer.get("description").or(inner.get("description"));
        for line in description.and_then(Value::as_str).unwrap_or("").lines() {
            let _ = writeln!(out, "{indent}    {line}");
        }
        if depth < DEPTH_MAX {
            settings(out, root, inner, depth + 1);
        }
    }
}

/// Behind `$ref` and behind "or null".
fn inner<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..8 {
        let target = schema["$ref"]
            .as_str()
            .and_then(|text| text.strip_prefix('#'))
            .and_then(|pointer| root.pointer(pointer));
        let only = schema["anyOf"].as_array().and_then(|branches| {
            let mut real = branches.iter().filter(|it| it["type"] != "null");
            real.next().filter(|_| real.next().is_none())
        });
        match target.or(only) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

fn kind(root: &Value, schema: &Value) -> String {
    let schema = inner(root, schema);
    let choices: Vec<String> = ["enum", "oneOf"]
        .iter()
        .filter_map(|keyword| schema[*keyword].as_array())
        .flatten()
        .filter_map(|choice| choice.as_str().or(choice["const"].as_str()))
        .map(str::to_owned)
        .collect();
    if !choices.is_empty() {
        return choices.join(" | ");
    }
    let names: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => {
            let branches = schema["anyOf"].as_array().into_iter().flatten();
            let mut kinds: Vec<String> = branches.map(|branch| kind(root, branch)).collect();
            kinds.dedup();
            return kinds.join(" or ");
        }
    };
    names
        .into_iter()
        .filter(|name| *name != "null")
        .map(|name| match name {
            "string" => "text",
            "integer" => "whole number",
            "boolean" => "true or false",
            "array" => "list",
            "object" => "map",
            other => other,
        })
        .collect::<Vec<_>>()
        .join(" or ")
}
