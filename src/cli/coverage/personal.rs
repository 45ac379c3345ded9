//! `sluice coverage --personal`: personal fields that leave as they are.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Args, output};
use crate::cli::output::Shape;
use crate::config::Mode;
use crate::diagnostics::{Files, Format, has_errors};
use crate::engine::prepare::prepare;
use crate::mapping::{Exposure, Mapping};

/// The rules of one connector, or those that were named.
struct Checked {
    connector: Option<String>,
    mapping: Mapping,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let checked = match &args.config {
        Some(config) => of_config(config, &mut files, &mut diagnostics),
        None => match args.choice.references() {
            Ok(references) => args
                .choice
                .load(&references, &mut files, &mut diagnostics)
                .map(|mapping| {
                    let connector = None;
                    vec![Checked { connector, mapping }]
                }),
            Err(message) => return output::wrong_use(&message),
        },
    };
    let Some(checked) = checked.filter(|_| !has_errors(&diagnostics)) else {
        return output::report(&diagnostics, &files, Format::Human, false);
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

fn of_config(
    path: &Path,
    files: &mut Files,
    diagnostics: &mut Vec<crate::diagnostics::Diagnostic>,
) -> Option<Vec<Checked>> {
    let env = |name: &str| std::env::var(name).ok();
    let prepared = prepare(path, Mode::Validate, &env, files, diagnostics)?;
    let connectors = prepared.connectors.into_iter();
    Some(
        connectors
            .map(|one| Checked {
                connector: Some(one.name),
                mapping: one.mapping,
            })
            .collect(),
    )
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
                output::number(count, "place"),
                output::number(rules.len(), "rule"),
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
