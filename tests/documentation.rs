//! Every example of the documentation does what it says.

use std::path::Path;

use serde_json::{Value, json};
use sluice::diagnostics::{Files, Format, parse_yaml, render};
use sluice::mapping::{Mapped, Options, Reference, load};

/// Blocks fenced as `yaml example`: line of the fence and text.
fn examples(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, line) in text.lines().enumerate() {
        match &mut open {
            None if line.trim() == "```yaml example" => open = Some((at + 1, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => found.extend(open.take()),
            Some((_, block)) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    found
}

/// Run one block; what came instead of what it says.
fn run(block: &str) -> Result<(), String> {
    let mut files = Files::default();
    let id = files.add("example", None, block.to_owned());
    let example = parse_yaml(id, &files)
        .map_err(|problem| render(&[*problem], &files, Format::Human, false))?
        .to_json();
    let mut mapping = json!({"version": 1});
    for part in ["templates", "tables", "rules"] {
        if let Some(value) = example.get(part) {
            mapping[part] = value.clone();
        }
    }
    if let Some(emit) = example.get("emit") {
        mapping["rules"] = json!({"example": {"on": "*", "emit": emit}});
    }
    let folder = tempfile::tempdir().map_err(|problem| problem.to_string())?;
    std::fs::write(folder.path().join("example.yaml"), mapping.to_string())
        .map_err(|problem| problem.to_string())?;
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let reference = Reference {
        text: "example.yaml".to_owned(),
        base: folder.path().to_owned(),
        span: None,
    };
    let mapping = load(
        &[reference],
        &mut files,
        None,
        Options::default(),
        &mut diagnostics,
    )
    .ok_or_else(|| render(&diagnostics, &files, Format::Human, false))?;
    let got = match mapping.map(&example["event"]) {
        Mapped::Documents(documents) => {
            let documents: Vec<Value> = documents
                .iter()
                .map(|document| serde_json::from_slice(&document.body).unwrap_or_default())
                .collect();
            match <[Value; 1]>::try_from(documents) {
                Ok([document]) => json!({"document": document}),
                Err(documents) => json!({"documents": documents}),
            }
        }
        Mapped::Skipped { reason, .. } => json!({"skip": reason}),
        Mapped::Dead { reason, .. } => json!({"dead_letter": reason}),
        Mapped::Unmapped | Mapped::NotSelected => json!({"unmapped": true}),
    };
    let wanted: serde_json::Map<String, Value> =
        ["document", "documents", "skip", "dead_letter", "unmapped"]
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), example.get(key)?.clone())))
            .collect();
    if got == Value::Object(wanted.clone()) {
        Ok(())
    } else {
        Err(format!(
            "came      {got}\nexpected  {}",
            Value::Object(wanted)
        ))
    }
}

#[test]
fn every_example_of_the_mapping_documentation_does_what_it_says() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in ["mapping-language.md", "mapping-cookbook.md"] {
        let text = std::fs::read_to_string(docs.join(file)).expect("a page");
        for (line, block) in examples(&text) {
            count += 1;
            if let Err(problem) = run(&block) {
                wrong.push(format!("docs/{file}:{line}\n{problem}"));
            }
        }
    }
    assert!(count >= 35, "only {count} examples were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
