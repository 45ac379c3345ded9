//! Every message has a code, every code a wrong and a right example; docs/diagnostics.md shows both.
//!
//! `UPDATE_DOCS=1 cargo test --test diagnostics` writes the page anew.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sluice::diagnostics::codes::CODES;
use sluice::diagnostics::{Files, parse_yaml};

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

/// What `validate` (or the example's own `command`) says of one form of it, in a format.
fn said(example: &Value, form: &str, format: &str) -> String {
    let text = example[form].as_str().expect(form);
    if example.get("language").is_some() {
        return example["said"]
            .as_str()
            .filter(|_| form == "wrong")
            .unwrap_or_default()
            .to_owned();
    }
    let folder = tempfile::tempdir().expect("a folder");
    let is_config = text.contains("sources:") || text.starts_with('#');
    // A right config would run until it is stopped.
    let command = match example["command"].as_str() {
        Some("run") if form == "right" => "validate",
        Some(command) => command,
        None => "validate",
    };
    let name = match command {
        "test" => "mapping.test.yaml",
        _ if is_config => "sluice.yaml",
        _ => "mapping.yaml",
    };
    let folder_name = if example["folder"] == true {
        "mappings"
    } else {
        "."
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(folder_name).join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, bytes).expect("written");
    };
    let is_latin = form == "wrong" && example["encoding"] == "Latin-1";
    if is_latin {
        let latin: Vec<u8> = text
            .chars()
            .map(|char| u8::try_from(char).expect("Latin-1"))
            .collect();
        write(name, &latin);
    } else {
        write(name, text.as_bytes());
    }
    for (name, text) in example["files"].as_object().into_iter().flatten() {
        write(name, text.as_str().expect("a text").as_bytes());
    }
    if example["shell"] == true {
        std::fs::remove_file(folder.path().join(name)).expect("no file of the example");
    }
    let path = if example["folder"] == true {
        "mappings"
    } else {
        name
    };
    let arguments: Vec<&str> = match command {
        _ if example["shell"] == true => text.split_whitespace().skip(1).collect(),
        "run" => vec!["run", "--config", path],
        "test" => vec!["test", path],
        _ => vec!["validate", path, "--format", format],
    };
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .current_dir(folder.path())
        .args(arguments)
        .output()
        .expect("sluice runs");
    // What keeps `run` from starting goes to stderr.
    let said = match command {
        "run" => output.stderr,
        _ => output.stdout,
    };
    String::from_utf8(said).expect("UTF-8")
}

fn codes(answer: &str) -> Vec<String> {
    let Ok(all) = serde_json::from_str::<Vec<Value>>(answer) else {
        // Of a command that speaks to people.
        let after = answer.split("error[").skip(1);
        return after
            .filter_map(|rest| Some(rest.split_once(']')?.0.to_owned()))
            .collect();
    };
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
        let found = codes(&said(example, "wrong", "json"));
        if found != [code.as_str()] {
            wrong.push(format!("{code}: the wrong one gives {found:?}"));
        }
        let found = codes(&said(example, "right", "json"));
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
        "# Messages\n\nWhat each message about a file means, with a wrong example, what is said of it, and \
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
        if let Some(command) = example["command"].as_str() {
            page.push_str(&format!("`sluice {command}` tells it.\n"));
        }
        assert!(!example.is_null(), "{} has no example", code.name);
        for (name, text) in example["files"].as_object().into_iter().flatten() {
            let text = text.as_str().expect("a text");
            page.push_str(&format!("\n`{name}`:\n\n```yaml\n{text}```\n"));
        }
        let form = |form: &str| example[form].as_str().expect("a text");
        let said = said(example, "wrong", "human");
        let said = said.split("\n\n1 error").next().unwrap_or_default();
        let said = said.split("\n\n0 errors").next().unwrap_or_default();
        let (language, prompt, end) = match example["language"].as_str() {
            _ if example["shell"] == true => ("console", "$ ", "\n"),
            Some(language) => (language, "", ""),
            None => ("yaml", "", ""),
        };
        let saved = example["encoding"].as_str();
        let saved = saved.map_or_else(String::new, |encoding| format!(", saved as {encoding}"));
        page.push_str(&format!(
            "\nWrong{saved}:\n\n```{language}\n{prompt}{}{end}```\n\n```text\n{}\n```\n\nRight:\n\n\
             ```{language}\n{prompt}{}{end}```\n",
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
