//! Every example of the documentation does what it says.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sluice::diagnostics::{Files, Format, parse_yaml, render};
use sluice::mapping::{CONVERSIONS, Mapped, OPERATORS, Options, Reference, load};

const PAGES: &[&str] = &["mapping-language.md", "mapping-cookbook.md"];

/// A fenced block of a page.
struct Block {
    /// `docs/PAGE:LINE` of its fence.
    place: String,
    /// What stands behind the fence.
    kind: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut found = Vec::new();
    for page in PAGES {
        let text = std::fs::read_to_string(docs.join(page)).expect("a page");
        let mut open: Option<Block> = None;
        for (at, line) in text.lines().enumerate() {
            match (&mut open, line.trim().strip_prefix("```")) {
                (None, Some(kind)) => {
                    open = Some(Block {
                        place: format!("docs/{page}:{}", at + 1),
                        kind: kind.to_owned(),
                        text: String::new(),
                    });
                }
                (None, None) => {}
                (Some(_), Some(_)) => found.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
        }
        assert!(open.is_none(), "docs/{page}: a block without an end");
    }
    found
}

fn examples() -> Vec<Block> {
    let mut blocks = blocks();
    blocks.retain(|block| block.kind == "yaml example");
    blocks
}

fn read(block: &str) -> Result<Value, String> {
    let mut files = Files::default();
    let id = files.add("example", None, block.to_owned());
    parse_yaml(id, &files)
        .map(|node| node.to_json())
        .map_err(|problem| render(&[*problem], &files, Format::Human, false))
}

/// Run one block; what came instead of what it says.
fn run(block: &str) -> Result<(), String> {
    let example = read(block)?;
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
    let examples = examples();
    let wrong: Vec<String> = examples
        .iter()
        .filter_map(|block| {
            let problem = run(&block.text).err()?;
            Some(format!("{}\n{problem}", block.place))
        })
        .collect();
    assert!(examples.len() >= 35, "only {} examples", examples.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Operators and conversions that a value of the language uses.
fn words(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| words(item, found)),
        Value::Object(members) => {
            for (key, value) in members {
                if key.starts_with('$') {
                    found.insert(key.clone());
                }
                match key.as_str() {
                    "$as" => conversions(value, found),
                    "$const" | "event" | "document" | "documents" => {}
                    _ => words(value, found),
                }
            }
        }
        _ => {}
    }
}

fn conversions(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(name) => {
            found.insert(name.clone());
        }
        Value::Array(all) => all.iter().for_each(|one| conversions(one, found)),
        Value::Object(with_settings) => found.extend(with_settings.keys().cloned()),
        _ => {}
    }
}

#[test]
fn every_operator_and_every_conversion_has_an_example_that_is_executed() {
    let mut shown = BTreeSet::new();
    for block in examples() {
        words(&read(&block.text).expect("YAML"), &mut shown);
    }
    let without: Vec<&str> = OPERATORS
        .iter()
        .copied()
        .chain(CONVERSIONS.iter().map(|row| row.name))
        .filter(|word| !shown.contains(*word))
        .collect();
    assert!(without.is_empty(), "no example for {without:?}");
}

/// `sluice` in this folder, with the variables that the pages name; what it said when it did not succeed.
fn sluice(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .current_dir(folder)
        .env("HASH_KEY", "example-key")
        .output()
        .expect("sluice starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("sluice {}\n{said}", arguments.join(" "))),
    }
}

/// A file of these parts, with those of `head` that it does not have itself.
fn with_head(text: &str, head: &[&str]) -> String {
    let has = |line: &str| {
        let key = line.split(':').next().unwrap_or_default();
        text.lines()
            .any(|line| line.starts_with(&format!("{key}:")))
    };
    let missing = head.iter().filter(|line| !has(line));
    missing.map(|line| format!("{line}\n")).collect::<String>() + text
}

const SET: &str = "import: [builtin:braze_to_segment]";
const SOURCE: &str =
    "sources: { braze: { type: braze_webhook, listen: 127.0.0.1:8080, token: example } }";

#[test]
fn every_recipe_is_valid_and_passes_its_tests() {
    let mut wrong = Vec::new();
    let mut tested = 0;
    let mut folder = tempfile::tempdir().expect("a folder");
    for block in blocks() {
        let result = match block.kind.as_str() {
            "yaml overlay" => {
                folder = tempfile::tempdir().expect("a folder");
                let text = with_head(&block.text, &["version: 1", SET]);
                std::fs::write(folder.path().join("ours.yaml"), text).expect("written");
                sluice(folder.path(), &["validate", "--strict", "."])
            }
            "yaml test" => {
                tested += 1;
                let text = with_head(&block.text, &["version: 1"]);
                std::fs::write(folder.path().join("ours.test.yaml"), text).expect("written");
                sluice(folder.path(), &["test", "."])
            }
            "yaml config" => {
                let folder = tempfile::tempdir().expect("a folder");
                let text = with_head(&block.text, &["version: 1", SOURCE]);
                std::fs::write(folder.path().join("sluice.yaml"), text).expect("written");
                sluice(folder.path(), &["validate"])
            }
            _ => continue,
        };
        if let Err(problem) = result {
            wrong.push(format!("{}\n{problem}", block.place));
        }
    }
    assert!(tested >= 12, "only {tested} recipes have tests");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
