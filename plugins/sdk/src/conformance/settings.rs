//! What is looked at without running the plugin: schema, example, types of secrets.

use serde_json::{Value, json};

use super::Report;
use super::patience::{Trouble, call};
use crate::config::ConfigError;

/// What sources and sinks have in common here.
pub struct Subject {
    pub schema: Value,
    pub example: &'static str,
    pub validate: fn(Value) -> Result<(), ConfigError>,
    pub debug: fn(Value) -> Option<String>,
}

/// Check schema and example. Gives the example as settings, secrets filled in.
pub fn check(subject: &Subject, report: &mut Report) -> Option<Value> {
    describe(&subject.schema, &subject.schema, "", report, 0);
    let mut settings: Value = match serde_yaml::from_str(subject.example) {
        Ok(Value::Null) => json!({}),
        Ok(settings) => settings,
        Err(problem) => {
            report.fault(
                "example",
                format!("`example:` is no YAML: {problem}"),
                "Write settings as they stand in sluice.yaml below `type:`, one to a line, without indentation.",
            );
            return None;
        }
    };
    fill(&mut settings);
    match call(|| (subject.validate)(settings.clone())) {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => report.fault(
            "example",
            format!("`example:` is refused by the plugin's own settings: {problem}"),
            "The example is shown to users as one that works: give every required setting a value that passes.",
        ),
        Err(trouble) => panicked(&trouble, "reading its example", report),
    }
    let mut unknown = settings.clone();
    unknown["sluice_conformance_unknown"] = json!(1);
    if let Ok(Ok(())) = call(|| (subject.validate)(unknown)) {
        report.fault(
            "unknown-setting",
            "a setting that does not exist is taken without a word",
            "Put `#[serde(deny_unknown_fields)]` on the config type, so that a typing slip is told with its place.",
        );
    }
    Some(settings)
}

/// The values that stand where the schema says `Secret`; they must show nowhere.
pub fn secrets(subject: &Subject, settings: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(&subject.schema, &subject.schema, settings, &mut found, 0);
    found.retain(|secret| secret.len() >= 4);
    found
}

/// No secret in the settings' `Debug` form, nor in the message about a wrong setting beside them.
pub fn hide(subject: &Subject, settings: &Value, secrets: &[String], report: &mut Report) {
    if let Some(text) = (subject.debug)(settings.clone()) {
        look(&text, secrets, "`Debug` of the settings", report);
    }
    let mut wrong = settings.clone();
    wrong["sluice_conformance_unknown"] = json!(1);
    if let Ok(Err(problem)) = call(|| (subject.validate)(wrong)) {
        look(&problem.to_string(), secrets, "a config error", report);
    }
}

/// A text of the plugin's that goes to logs, status or dead letters.
pub fn look(text: &str, secrets: &[String], place: &str, report: &mut Report) {
    if secrets.iter().any(|secret| text.contains(secret)) {
        report.fault(
            "secret-shown",
            format!("{place} holds the value of a secret"),
            "Give the setting the type `Secret`, reveal it where it is used, and keep it out of every text; cut answers of the other side that may repeat it.",
        );
    }
}

pub fn panicked(trouble: &Trouble, doing: &str, report: &mut Report) {
    if let Trouble::Panic(said) = trouble {
        report.fault(
            "panic",
            format!("it panicked while {doing}: {said}"),
            "A panic stops the connector until a restart. Return an error, or an outcome that says what happened.",
        );
    }
}

/// `${NAME}` becomes a value that is easy to find where it does not belong.
fn fill(value: &mut Value) {
    match value {
        Value::String(text) => {
            while let Some(start) = text.find("${")
                && let Some(length) = text[start..].find('}')
            {
                text.replace_range(start..=start + length, "conformance0canary0of0a0secret00");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(fill),
        Value::Object(members) => members.values_mut().for_each(fill),
        _ => {}
    }
}

/// Schemas refer to each other; deeper than this, one refers to itself.
const DEPTH_MAX: u32 = 12;

/// The schema behind references.
fn resolve<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..DEPTH_MAX {
        let target = schema["$ref"]
            .as_str()
            .and_then(|text| root.pointer(text.trim_start_matches('#')));
        match target {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

fn is_secret(schema: &Value) -> bool {
    let is_reference = schema["$ref"]
        .as_str()
        .is_some_and(|text| text.ends_with("/Secret"));
    is_reference || schema["title"] == "secret"
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf", "allOf"]
        .into_iter()
        .filter_map(|keyword| schema[keyword].as_array())
        .flatten()
}

fn describe(root: &Value, schema: &Value, place: &str, report: &mut Report, depth: u32) {
    if depth > DEPTH_MAX || is_secret(schema) {
        return;
    }
    let here = resolve(root, schema);
    for (name, property) in here["properties"].as_object().into_iter().flatten() {
        let path = format!("{place}{name}");
        let has_text = |it: &Value| it["description"].as_str().is_some_and(|it| !it.is_empty());
        if !has_text(property) && !has_text(resolve(root, property)) {
            report.fault(
                "described",
                format!("the setting `{path}` has no description"),
                "Write a doc comment on the field of the config type: what it does, its default and why. Editors and `sluice plugins show` show it.",
            );
        }
        let is_named_secret = ["password", "token", "secret", "api_key", "write_key"]
            .iter()
            .any(|word| name == word || name.ends_with(&format!("_{word}")));
        if is_named_secret && resolve(root, property)["type"] == "string" {
            report.fault(
                "secret-type",
                format!("the setting `{path}` is plain text"),
                "Give it the type `sluice_sdk::Secret`: it prints as ***, and users can keep it in a file.",
            );
        }
        describe(root, property, &format!("{path}."), report, depth + 1);
    }
    for part in branches(here).chain([&here["items"], &here["additionalProperties"]]) {
        describe(root, part, place, report, depth + 1);
    }
}

fn collect(root: &Value, schema: &Value, value: &Value, found: &mut Vec<String>, depth: u32) {
    if depth > DEPTH_MAX {
        return;
    }
    let here = resolve(root, schema);
    if is_secret(schema) || is_secret(here) {
        found.extend(value.as_str().map(str::to_owned));
        return;
    }
    for branch in branches(here) {
        collect(root, branch, value, found, depth + 1);
    }
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let property = here["properties"].get(name);
                let schema = property.unwrap_or(&here["additionalProperties"]);
                collect(root, schema, value, found, depth + 1);
            }
        }
        Value::Array(items) => {
            for value in items {
                collect(root, &here["items"], value, found, depth + 1);
            }
        }
        _ => {}
    }
}

/// Lay `above` over the settings, as `demo` does.
pub fn lay_over(settings: &mut Value, above: &Value) {
    let (Some(settings), Some(above)) = (settings.as_object_mut(), above.as_object()) else {
        return;
    };
    for (name, value) in above {
        settings.insert(name.clone(), value.clone());
    }
}
