//! The tools for people who write mappings, as they meet them: `test`, `map`, `coverage`, `diff`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sluice as _;

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

fn ask(folder: &Path, arguments: &[&str]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("sluice starts");
    Answer {
        code: output.status.code().expect("an exit code"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.stdout).expect("JSON alone on stdout")
}

/// A folder with an overlay of its own and a test.
fn folder(overlay: &str, tests: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mappings = folder.path().join("mappings");
    std::fs::create_dir(&mappings).expect("a folder");
    std::fs::write(mappings.join("ours.yaml"), overlay).expect("written");
    std::fs::write(mappings.join("ours.test.yaml"), tests).expect("written");
    folder
}

const OVERLAY: &str = "\
version: 1
import: [builtin:braze_to_segment]
rules:
  email_opened: { emit: { event: Newsletter Opened, properties: { list: weekly } } }
  email_sent: { skip: too many }
";

const TESTS: &str = "\
version: 1
tests:
  an_open_has_our_name:
    sample: users.messages.email.Open
    expect: { event: Opened } # a comment
";

#[test]
fn a_failed_test_shows_both_sides_and_update_mends_it() {
    let folder = folder(OVERLAY, TESTS);
    let answer = ask(folder.path(), &["test"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    let shown = "\
mappings/ours.test.yaml:3:3  failed: an_open_has_our_name
  event  (line 5, column 22)
    expected  Opened
    found     Newsletter Opened
";
    assert!(answer.stdout.starts_with(shown), "{}", answer.stdout);
    let answer = ask(folder.path(), &["test", "--update"]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    let path = folder.path().join("mappings/ours.test.yaml");
    let text = std::fs::read_to_string(path).expect("a file");
    assert_eq!(text, TESTS.replace("Opened }", "Newsletter Opened }"));
    assert_eq!(ask(folder.path(), &["test"]).code, 0);
}

#[test]
fn what_has_no_test_is_listed_and_fails_below_the_wanted_share() {
    let good = TESTS.replace("Opened }", "Newsletter Opened }");
    let folder = folder(OVERLAY, &good);
    let answer = ask(folder.path(), &["test", "--fail-under", "50"]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    let answer = ask(folder.path(), &["test", "--fail-under", "100"]);
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    for line in [
        "rules             1 of    2   50.0 %",
        "  rule   email_sent ",
        "  type   users.messages.email.Send ",
        "  field  properties.list ",
    ] {
        assert!(answer.stdout.contains(line), "{line}\n{}", answer.stdout);
    }
    let report = json(&ask(folder.path(), &["test", "--format", "json"]));
    assert_eq!(
        report["coverage"]["rules"]["untested"][0]["name"],
        "email_sent"
    );
    assert_eq!(report["passed"], 1);
}

#[test]
fn a_report_for_ci_systems_is_xml_with_each_failure() {
    let folder = folder(OVERLAY, TESTS);
    let answer = ask(folder.path(), &["test", "--format", "junit"]);
    assert_eq!(answer.code, 1);
    assert!(
        answer
            .stdout
            .contains("<testsuites tests=\"1\" failures=\"1\">"),
        "{}",
        answer.stdout
    );
    assert!(
        answer
            .stdout
            .contains("event: expected Opened, found Newsletter Opened</failure>"),
        "{}",
        answer.stdout
    );
}
