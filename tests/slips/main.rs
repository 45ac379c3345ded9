//! Slips that a person makes in the first hour, and what is said of each: the place, and what to do.

mod cases;
mod commands;
mod conditions;
mod config;
mod rules;
mod secrets;
mod values;
mod yaml;

use std::path::Path;
use std::process::Command;

/// Exit code, and everything that was said.
fn ask(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("BRAZE_TOKEN")
        .output()
        .expect("sluice starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("text");
    (output.status.code().expect("an exit code"), said)
}

fn expect(folder: &Path, arguments: &[&str], code: i32, parts: &[&str]) {
    let (found, said) = ask(folder, arguments);
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
    assert_eq!(found, code, "{said}");
}

const CONFIG: &str = "\
version: 1
sources:
  braze: { type: braze_webhook, token: \"${BRAZE_TOKEN}\" }
connectors:
  braze-to-segment:
    source: braze
    mappings: builtin:braze_to_segment
    sink: { type: segment, region: us, write_key: \"${SEGMENT_WRITE_KEY}\" }
journal: { path: data }
";

/// A folder with a config in which one text is another.
fn with(from: &str, to: &str) -> tempfile::TempDir {
    assert!(CONFIG.contains(from), "{from}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sluice.yaml");
    std::fs::write(path, CONFIG.replacen(from, to, 1)).expect("written");
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, text).expect("written");
}

/// What `validate` says when one text of the config is another.
fn validated(from: &str, to: &str, code: i32, parts: &[&str]) {
    expect(with(from, to).path(), &["validate"], code, parts);
}

/// Exit code, and everything that was said, with the token's variable set.
fn ask_with_token(folder: &Path, arguments: &[&str], token: &str) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .current_dir(folder)
        .env("BRAZE_TOKEN", token)
        .output()
        .expect("sluice starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("text");
    (output.status.code().expect("an exit code"), said)
}

/// A folder whose connector runs `mappings/ours.yaml`: the set, and these rules over it.
fn over_the_set(rules: &str) -> tempfile::TempDir {
    let folder = with("builtin:braze_to_segment", "mappings");
    let text = format!("version: 1\nimport: [builtin:braze_to_segment]\n{rules}");
    write(folder.path(), "mappings/ours.yaml", &text);
    folder
}

/// Each problem that `validate` tells, as `place code`, and all that it says.
fn told(folder: &Path) -> (Vec<String>, String) {
    let (_, said) = ask(folder, &["validate"]);
    let problems = said.lines().filter_map(|line| {
        let (place, rest) = line.split_once("  ")?;
        let (_, rest) = rest.split_once('[').filter(|_| !place.is_empty())?;
        let (code, _) = rest.split_once("]: ")?;
        let place = place.rsplit_once("yaml:").map_or(place, |(_, place)| place);
        Some(format!("{place} {code}"))
    });
    (problems.collect(), said.clone())
}

/// Rules over the set give these problems and no other, and all these words.
fn rules_give(rules: &str, problems: &[&str], words: &[&str]) {
    let folder = over_the_set(rules);
    let (found, said) = told(folder.path());
    assert_eq!(found, problems, "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in:\n{said}");
    }
}

/// What `validate` says of a rule of one's own with this member, over the built-in rules.
fn with_member(member: &str) -> (i32, String) {
    let folder = with("builtin:braze_to_segment", "mappings");
    let rule = format!(
        "version: 1\nrules:\n  ours:\n    on: users.messages.email.Click\n    emit:\n      type: track\n      messageId: $.id\n      userId: $.user.user_id\n      {member}\n"
    );
    write(folder.path(), "mappings/ours.yaml", &rule);
    ask(folder.path(), &["validate", "--strict"])
}
