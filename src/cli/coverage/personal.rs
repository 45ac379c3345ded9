//! `sluice coverage --personal`: personal fields that leave as they are.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Args, output};
use crate::cli::mappings::Choice;
use crate::cli::output::Shape;
use crate::diagnostics::{Diagnostic, Files, Format, has_errors};
use crate::engine::prepare::rules;
use crate::mapping::{Exposure, Mapping};
use crate::wording::number;

/// The rules of one connector, or those that were named.
struct Checked {
    connector: Option<String>,
    mapping: Mapping,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let mut files = Files::default();
    let checked = match checked(&args.choice, &mut files) {
        Ok(checked) => checked,
        Err(code) => return code,
    };
    if checked.iter().any(|one| !one.knows_fields()) {
        return output::wrong_use(
            "no catalogue says which fields are personal: say in a mapping file which source it is \
             for (`for: {source: PLUGIN}`)",
        );
    }
    match args.format {
        Shape::Json => {
            let all: Vec<Value> = checked.iter().flat_map(|one| one.machine(&files)).collect();
            output::print(&output::json(&Value::from(all)));
        }
        Shape::Human => {
            for one in &checked {
                output::print(&one.human(&files));
            }
        }
    }
    output::good()
}

/// The rules that were named, otherwise those of every connector of the config.
fn checked(choice: &Choice, files: &mut Files) -> Result<Vec<Checked>, ExitCode> {
    let followed = match choice.mappings.is_empty() {
        true => choice.follow.read(files)?,
        false => None,
    };
    let Some(followed) = followed else {
        let references = choice
            .references()
            .map_err(|text| output::wrong_use(&text))?;
        let mut diagnostics = Vec::new();
        let mapping = choice.named(&references, files, &mut diagnostics);
        let checked = mapping.map(|mapping| Checked {
            connector: None,
            mapping,
        });
        return unless_wrong(checked.into_iter().collect(), &diagnostics, files);
    };
    let mut diagnostics = Vec::new();
    let mut all = Vec::new();
    for (name, connector) in followed.connectors() {
        followed.tell_rules(name, connector);
        let mapping = rules(&followed.config, name, connector, files, &mut diagnostics);
        all.extend(mapping.map(|mapping| Checked {
            connector: Some(name.to_owned()),
            mapping,
        }));
    }
    unless_wrong(all, &diagnostics, files)
}

fn unless_wrong(
    checked: Vec<Checked>,
    diagnostics: &[Diagnostic],
    files: &Files,
) -> Result<Vec<Checked>, ExitCode> {
    if has_errors(diagnostics) {
        return Err(output::report(diagnostics, files, Format::Human, false));
    }
    Ok(checked)
}

impl Checked {
    fn knows_fields(&self) -> bool {
        self.mapping.target().catalogue.is_some()
    }

    fn machine(&self, files: &Files) -> Vec<Value> {
        let all = self.mapping.exposures();
        all.iter()
            .map(|one| {
                json!({
                    "connector": self.connector,
                    "rule": one.rule,
                    "document": one.document,
                    "path": one.path,
                    "field": one.field,
                    "types": one.types,
                    "template": one.template,
                    "place": files.place(one.place),
                })
            })
            .collect()
    }

    fn human(&self, files: &Files) -> String {
        let all = self.mapping.exposures();
        let mut rows = Vec::new();
        for one in &all {
            rows.push(vec![
                format!("  {}", place_in_document(one)),
                one.field.clone(),
                files.place(one.place),
            ]);
        }
        let table = output::table(&rows);
        let mut text = String::new();
        if let Some(connector) = &self.connector {
            text.push_str(&format!("connector {}\n", output::paint("1", connector)));
        }
        let mut rule = "";
        for (one, line) in all.iter().zip(table.lines()) {
            if one.rule != rule {
                rule = &one.rule;
                text.push_str(&format!("{}\n", output::paint("1", rule)));
            }
            text.push_str(&format!("{line}\n"));
        }
        let rules: std::collections::BTreeSet<&str> =
            all.iter().map(|one| one.rule.as_str()).collect();
        text.push_str(&match all.len() {
            0 => "no personal field leaves as it is\n".to_owned(),
            count => format!(
                "\n{} of documents that a personal field reaches as it is, in {}; `personal_data` of \
                 a connector hashes or drops it\n",
                number(count, "place"),
                number(rules.len(), "rule"),
            ),
        });
        text
    }
}

fn place_in_document(one: &Exposure) -> String {
    match &one.document {
        Some(document) => format!("{document}: {}", one.path),
        None => one.path.clone(),
    }
}
