//! Every message has a code, every code a wrong and a right example; docs/diagnostics.md shows both.
//!
//! `UPDATE_DOCS=1 cargo test --test diagnostics` writes the page anew.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sluice::diagnostics::codes::CODES;
use sluice::diagnostics::{Files, parse_yaml};

/// Codes that no small example brings about, or only a command other than `validate`.
const WITHOUT_EXAMPLE: &[&str] = &[
    "yaml-encoding",
    "unreadable-file",
    "too-large",
    "bad-schema",
    "missing-variable",
    "unreadable-secret",
    "no-tests",
    "no-event",
    "no-catalogue",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn examples() -> Value {
    let text = std::fs::read_to_string(root().join("docs/diagnostics.yaml")).expect("examples");
    let mut files = Files::default();
    let file = files.add("docs/diagnostics.yaml", None, text);
    match parse_yaml(file, &files) {
        Ok(node) => node.to_json(),
        Err(problem) => panic!(
            "{}: {}",
            files.place(problem.span.expect("place")),
            problem.message
        ),
    }
}

/// What `validate` says of one form of an example, in a format.
fn validate(example: &Value, form: &str, format: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let text = example[form].as_str().expect(form);
    let is_config = text.contains("sources:") || text.starts_with('#');
    let name = if is_config {
        "sluice.yaml"
    } else {
        "mapping.yaml"
    };
    let folder_name = if example["folder"] == true {
        "mappings"
    } else {
        "."
    };
    let write = |name: &str, text: &str| {
        let path = folder.path().join(folder_name).join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("written");
    };
    write(name, text);
    for (name, text) in example["files"].as_object().into_iter().flatten() {
        write(name, text.as_str().expect("a text"));
    }
    let path = if example["folder"] == true {
        "mappings"
    } else {
        name
    };
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .current_dir(folder.path())
        .args(["validate", path, "--format", format])
        .output()
        .expect("sluice runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn codes(answer: &str) -> Vec<String> {
    let all: Vec<Value> = serde_json::from_str(answer).expect(answer);
    all.iter()
        .filter(|one| one["severity"] != "allowed")
        .map(|one| one["code"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn each_wrong_example_gives_its_one_message_and_no_right_one_does() {
    let examples = examples();
    let mut wrong = Vec::new();
    for (code, example) in examples.as_object().expect("a map") {
        let found = codes(&validate(example, "wrong", "json"));
        if found != [code.as_str()] {
            wrong.push(format!("{code}: the wrong one gives {found:?}"));
        }
        let found = codes(&validate(example, "right", "json"));
        if !found.is_empty() {
            wrong.push(format!("{code}: the right one gives {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_of_codes_is_fresh_and_has_every_code() {
    let examples = examples();
    let mut page = String::from(
        "# Messages\n\nWhat each message of `sluice validate` means, with a wrong example, what is said of it, and \
         the right form. In the terminal: `sluice explain-code CODE`.\n\nA code that may be allowed is taken off by \
         `allow: { CODE: reason }` on a rule, a file or a connector, and by `$allow` inside a document or a template \
         (see [the mapping language](mapping-language.md#allow)).\n\n<!-- Made from src/diagnostics/codes.rs and \
         docs/diagnostics.yaml: UPDATE_DOCS=1 cargo test --test diagnostics -->\n",
    );
    let known: Vec<&str> = CODES.iter().map(|code| code.name).collect();
    for name in examples.as_object().expect("a map").keys() {
        assert!(known.contains(&name.as_str()), "{name} is no code");
    }
    for code in CODES {
        page.push_str(&format!("\n## {}\n\n{}\n", code.name, code.says));
        if code.is_allowable {
            page.push_str("It may be allowed.\n");
        }
        let example = &examples[code.name];
        if example.is_null() {
            assert!(
                WITHOUT_EXAMPLE.contains(&code.name),
                "{} has no example",
                code.name
            );
            continue;
        }
        for (name, text) in example["files"].as_object().into_iter().flatten() {
            let text = text.as_str().expect("a text");
            page.push_str(&format!("\n`{name}`:\n\n```yaml\n{text}```\n"));
        }
        let form = |form: &str| example[form].as_str().expect("a text");
        let said = validate(example, "wrong", "human");
        let said = said.split("\n\n1 error").next().unwrap_or_default();
        let said = said.split("\n\n0 errors").next().unwrap_or_default();
        page.push_str(&format!(
            "\nWrong:\n\n```yaml\n{}```\n\n```text\n{}\n```\n\nRight:\n\n```yaml\n{}```\n",
            form("wrong"),
            said.trim_end(),
            form("right")
        ));
    }
    let path = root().join("docs/diagnostics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let written = std::fs::read_to_string(&path).expect("the page");
    assert!(
        written == page,
        "docs/diagnostics.md is stale: UPDATE_DOCS=1 cargo test --test diagnostics"
    );
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_message_has_a_code_that_is_not_in_the_table() {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    let makers = [
        "Diagnostic::error(",
        "Diagnostic::warning(",
        "Diagnostic::global(",
        "self.error(",
        "fail(",
    ];
    let (mut unknown, mut count) = (Vec::new(), 0);
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a text");
        for maker in makers {
            for part in text.split(maker).skip(1) {
                let Some(rest) = part.trim_start().strip_prefix('"') else {
                    continue;
                };
                let code = rest.split('"').next().unwrap_or_default();
                count += 1;
                if code.contains('-') && !CODES.iter().any(|known| known.name == code) {
                    unknown.push(format!("{}: {code}", path.display()));
                }
            }
        }
    }
    assert!(count > 60, "only {count} messages were found");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}
