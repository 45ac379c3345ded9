//! The program as a user meets it: exit codes, messages, no colour in a pipe.

use std::path::Path;
use std::process::{Command, Output};

use sluice as _;

fn sluice(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("sluice starts")
}

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

fn ask(folder: &Path, arguments: &[&str]) -> Answer {
    let output = sluice(folder, arguments);
    let answer = Answer {
        code: output.status.code().expect("an exit code"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    };
    let is_coloured = answer.stdout.contains('\u{1b}') || answer.stderr.contains('\u{1b}');
    assert!(!is_coloured, "no colour in a pipe: {arguments:?}");
    answer
}

fn starter() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let answer = ask(folder.path(), &["init", "."]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    folder
}

#[test]
fn every_command_has_help_with_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let help = ask(folder.path(), &["--help"]);
    assert_eq!(help.code, 0);
    for command in [
        "run",
        "demo",
        "init",
        "validate",
        "test",
        "map",
        "coverage",
        "diff",
        "schema",
        "plugins",
        "status",
        "reload",
        "pause",
        "resume",
        "completions",
        "man",
    ] {
        assert!(
            help.stdout.contains(&format!("\n  {command} ")),
            "{command}"
        );
        let answer = ask(folder.path(), &[command, "--help"]);
        assert_eq!(answer.code, 0, "{command}");
        assert!(answer.stdout.contains("Usage: sluice"), "{command}");
    }
}

#[test]
fn commands_of_plugins_are_listed_and_get_their_arguments() {
    let folder = tempfile::tempdir().expect("a folder");
    let help = ask(folder.path(), &["--help"]);
    for plugin in sluice_sdk::commands() {
        // Long lines are wrapped.
        let words: Vec<&str> = help.stdout.split_whitespace().collect();
        let start = plugin.summary.trim_end_matches('.');
        assert!(words.join(" ").contains(start), "{}", plugin.name);
        let answer = ask(folder.path(), &[plugin.name, "--help"]);
        assert_eq!(answer.code, 0, "{}: {}", plugin.name, answer.stderr);
    }
}

#[test]
fn wrong_use_is_2_and_a_slip_gets_a_suggestion() {
    let folder = tempfile::tempdir().expect("a folder");
    let answer = ask(folder.path(), &["validte"]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("'validate'"), "{}", answer.stderr);
    assert_eq!(ask(folder.path(), &[]).code, 2);
    assert_eq!(ask(folder.path(), &["init"]).code, 2);
    assert_eq!(ask(folder.path(), &["schema"]).code, 2);
    assert_eq!(ask(folder.path(), &["map", "no-such-file"]).code, 2);
    let answer = ask(folder.path(), &["map"]);
    assert_eq!(answer.code, 2);
    assert!(
        answer.stderr.contains("sluice map --sample TYPE"),
        "{}",
        answer.stderr
    );
    assert_eq!(ask(folder.path(), &["plugins", "show", "nobody"]).code, 2);
}

#[test]
fn a_starter_folder_is_valid_and_its_test_passes() {
    let folder = starter();
    let answer = ask(folder.path(), &["validate", "--strict"]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    assert!(
        answer.stdout.contains("sluice.yaml is valid: 1 source"),
        "{}",
        answer.stdout
    );
    let by_option = ask(folder.path(), &["validate", "-c", "sluice.yaml"]);
    assert_eq!((by_option.code, by_option.stdout), (0, answer.stdout));
    // As the README has it, and with a word where a choice is to be made.
    let config = std::fs::read_to_string(folder.path().join("sluice.yaml")).expect("a config");
    for line in [
        "  braze:\n    type: braze_webhook\n",
        "  braze-to-segment:\n    source: braze\n",
        "region: us # or eu",
    ] {
        assert!(config.contains(line), "{line}\n{config}");
    }
    let answer = ask(folder.path(), &["test"]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    assert!(
        answer.stdout.contains("1 case: 1 passed, 0 failed"),
        "{}",
        answer.stdout
    );
    assert_eq!(ask(folder.path(), &["schema", "--check", "schema"]).code, 0);
}

#[test]
fn init_overwrites_nothing() {
    let folder = starter();
    let path = folder.path().join("sluice.yaml");
    std::fs::write(&path, "mine").expect("written");
    let answer = ask(folder.path(), &["init", "."]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("sluice.yaml"), "{}", answer.stderr);
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "mine");
}

#[test]
fn a_broken_config_is_told_with_its_place_in_every_format() {
    let folder = starter();
    let path = folder.path().join("sluice.yaml");
    let text = std::fs::read_to_string(&path).expect("read");
    std::fs::write(&path, text.replace("    mappings:", "    mapings:")).expect("written");
    let human = ask(folder.path(), &["validate"]);
    assert_eq!(human.code, 1);
    assert!(
        human.stdout.contains("error[unknown-key]"),
        "{}",
        human.stdout
    );
    assert!(
        human.stdout.contains("did you mean `mappings`?"),
        "{}",
        human.stdout
    );
    let json = ask(folder.path(), &["validate", "--format", "json"]);
    assert_eq!(json.code, 1);
    let all: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON alone");
    assert!(
        all.as_array()
            .expect("a list")
            .iter()
            .any(|one| { one["code"] == "unknown-key" && one["place"]["file"] == "sluice.yaml" })
    );
    let github = ask(folder.path(), &["validate", "--format", "github"]);
    assert!(
        github.stdout.contains("::error file=sluice.yaml,line="),
        "{}",
        github.stdout
    );
    let missing = ask(folder.path(), &["validate", "nowhere.yaml"]);
    assert_eq!(missing.code, 1);
    assert!(
        !missing.stdout.contains("sluice init"),
        "{}",
        missing.stdout
    );
    for name in ["sluice.yaml", "eu.yaml"] {
        std::fs::write(folder.path().join(name), "").expect("written");
        let empty = ask(folder.path(), &["validate", name]);
        assert_eq!(empty.code, 1);
        assert!(empty.stdout.contains("`connectors`"), "{}", empty.stdout);
    }
    std::fs::remove_file(&path).expect("removed");
    let missing = ask(folder.path(), &["validate"]);
    assert_eq!(missing.code, 1);
    assert!(missing.stdout.contains("sluice init"), "{}", missing.stdout);
}

#[test]
fn a_folder_that_holds_a_config_is_validated_as_one() {
    let folder = starter();
    let answer = ask(folder.path(), &["validate", "."]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    assert!(
        answer.stdout.contains("sluice.yaml is valid: 1 source"),
        "{}",
        answer.stdout
    );
    let answer = ask(folder.path(), &["validate", "mappings"]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    assert!(
        answer.stdout.starts_with("mappings is valid"),
        "{}",
        answer.stdout
    );
}

#[test]
fn status_and_dead_letters_need_no_secret_and_no_good_plugin_settings() {
    let folder = starter();
    let path = folder.path().join("sluice.yaml");
    let text = std::fs::read_to_string(&path).expect("read");
    let text = text.replacen("    type:", "    nobody_knows: 1\n    type:", 1);
    std::fs::write(&path, text).expect("written");
    assert_eq!(ask(folder.path(), &["validate"]).code, 1);
    for arguments in [&["status"][..], &["dead-letters", "list"][..]] {
        let answer = ask(folder.path(), arguments);
        assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.stderr);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_a_closed_pipe_is_none() {
    use std::process::Stdio;
    let folder = starter();
    let temporary = tempfile::tempdir().expect("a folder");
    for arguments in [&["coverage"][..], &["status"], &["demo", "--events", "10"]] {
        for is_full in [true, false] {
            let stdout = if is_full {
                let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
                Stdio::from(full.expect("/dev/full"))
            } else {
                let (reader, writer) = std::io::pipe().expect("a pipe");
                drop(reader);
                Stdio::from(writer)
            };
            let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
                .args(arguments)
                .current_dir(folder.path())
                .env("TMPDIR", temporary.path())
                .stdout(stdout)
                .output()
                .expect("sluice starts");
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(!told.contains("panicked"), "{arguments:?}: {told}");
            assert_eq!(
                output.status.code(),
                Some(i32::from(is_full)),
                "{arguments:?}: {told}"
            );
            assert_eq!(told.contains("cannot be written"), is_full, "{told}");
        }
    }
    let left = std::fs::read_dir(temporary.path())
        .expect("a folder")
        .count();
    assert_eq!(left, 0, "the demo removes its folder");
}

#[test]
fn the_demo_shows_events_and_below_them_what_they_became() {
    let folder = tempfile::tempdir().expect("a folder");
    let answer = ask(folder.path(), &["demo", "--events", "212"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let pairs: Vec<&str> = answer.stdout.split("  the event\n").skip(1).collect();
    assert_eq!(pairs.len(), 3, "{}", answer.stdout);
    for pair in pairs {
        let (event, call) = pair.split_once("  became ").expect("what it became");
        assert!(event.contains("\n      external_user_id: "), "{pair}");
        assert!(call.contains("\n    userId: "), "{pair}");
    }
}

#[test]
fn the_rule_that_init_shows_leaves_a_type_out() {
    let folder = starter();
    let path = folder.path().join("mappings/ours.yaml");
    let text = std::fs::read_to_string(&path).expect("a file");
    let (head, example) = text.split_once("\n# rules:\n#").expect("an example");
    std::fs::write(&path, format!("{head}\nrules:\n{example}")).expect("written");
    let valid = ask(folder.path(), &["validate", "--strict"]);
    assert_eq!(valid.code, 0, "{}", valid.stderr);
    // The test beside it was about that type.
    let tested = ask(folder.path(), &["test"]);
    assert_eq!(tested.code, 1);
    assert!(tested.stdout.contains("not needed"), "{}", tested.stdout);
}

#[test]
fn a_stale_schema_is_found() {
    let folder = starter();
    let path = folder.path().join("schema/sluice.schema.json");
    std::fs::write(&path, "{}").expect("written");
    let answer = ask(folder.path(), &["schema", "--check", "schema"]);
    assert_eq!(answer.code, 1);
    assert!(
        answer
            .stdout
            .contains("sluice.schema.json is not up to date")
    );
    assert_eq!(ask(folder.path(), &["schema", "--write", "schema"]).code, 0);
    assert_eq!(ask(folder.path(), &["schema", "--check", "schema"]).code, 0);
}

#[test]
fn a_failing_test_is_1_and_says_what_differs() {
    let folder = starter();
    let path = folder.path().join("mappings/ours.test.yaml");
    let text = std::fs::read_to_string(&path).expect("read");
    let at = text.find("expect: {").expect("an expectation");
    let text = format!("{}expect: {{ nothing_of_the_kind: 1 }}\n", &text[..at]);
    std::fs::write(&path, text).expect("written");
    let answer = ask(folder.path(), &["test"]);
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    assert!(
        answer.stdout.contains("nothing_of_the_kind"),
        "{}",
        answer.stdout
    );
    let json = ask(folder.path(), &["test", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON alone");
    assert_eq!(report["failed"], 1);
}

#[test]
fn an_example_event_shows_what_it_becomes() {
    let folder = starter();
    let coverage = ask(folder.path(), &["coverage", "--format", "json"]);
    assert_eq!(coverage.code, 0, "{}", coverage.stderr);
    let rows: serde_json::Value = serde_json::from_str(&coverage.stdout).expect("JSON alone");
    let sent = rows["types"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|row| {
            row["becomes"]
                .as_str()
                .is_some_and(|text| text.contains(" · "))
        })
        .expect("a type that is sent");
    let kind = sent["type"].as_str().expect("its name");
    let arguments = ["map", "--sample", kind, "--explain", "--format", "human"];
    let human = ask(folder.path(), &arguments);
    assert_eq!(human.code, 0, "{}", human.stderr);
    assert!(human.stdout.contains("becomes by rule"), "{}", human.stdout);
    assert!(human.stdout.contains("$."), "{}", human.stdout);
    let json = ask(folder.path(), &["map", "--sample", kind]);
    let one: serde_json::Value = serde_json::from_str(&json.stdout).expect("one JSON object");
    assert_eq!(one["outcome"], "documents");
    let wrong = ask(folder.path(), &["map", "--sample", &format!("{kind}x")]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("did you mean"), "{}", wrong.stderr);
}

#[test]
fn events_come_from_a_file_in_every_form() {
    let folder = starter();
    let event = r#"{"event_type":"nobody.knows.this","id":"1"}"#;
    for text in [
        format!("{event}\n{event}\n"),
        format!("[{event},{event}]"),
        format!("{{\"events\":[{event},{event}]}}"),
    ] {
        std::fs::write(folder.path().join("events.json"), text).expect("written");
        let answer = ask(folder.path(), &["map", "events.json", "--format", "json"]);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        assert_eq!(
            answer.stdout.matches("\"unmapped\"").count(),
            2,
            "{}",
            answer.stdout
        );
    }
}

#[test]
fn run_names_the_variable_that_is_missing_and_its_line() {
    let folder = starter();
    let answer = ask(folder.path(), &["run"]);
    assert_eq!(answer.code, 1, "{}{}", answer.stdout, answer.stderr);
    let all = answer.stdout + &answer.stderr;
    assert!(
        all.contains("missing-variable") && all.contains("sluice.yaml:"),
        "{all}"
    );
}

#[test]
fn plugins_are_described_by_their_schema() {
    let folder = tempfile::tempdir().expect("a folder");
    for plugin in sluice_sdk::sinks() {
        let answer = ask(folder.path(), &["plugins", "show", plugin.name]);
        assert_eq!(answer.code, 0, "{}", plugin.name);
        assert!(answer.stdout.contains(plugin.summary), "{}", answer.stdout);
    }
    let json = ask(folder.path(), &["plugins", "--format", "json"]);
    serde_json::from_str::<serde_json::Value>(&json.stdout).expect("JSON alone");
}

#[test]
fn completions_and_the_manual_know_the_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [&["completions", "bash"][..], &["man"][..]] {
        let answer = ask(folder.path(), arguments);
        assert_eq!(answer.code, 0);
        assert!(answer.stdout.contains("validate"), "{arguments:?}");
    }
}

#[test]
fn problems_of_config_and_mappings_are_told_in_one_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "version: 1
sources: { b: { type: braze_webhook, token: t, listten: \"127.0.0.1:0\" } }
connectors:
  c: { source: b, mappings: builtin:braze_to_segmen, sink: { type: stdout } }
";
    std::fs::write(folder.path().join("sluice.yaml"), config).expect("writable");
    let answer = ask(folder.path(), &["validate"]);
    assert_eq!(answer.code, 1);
    for part in [
        "sluice.yaml:2:",
        "did you mean `listen`?",
        "sluice.yaml:4:",
        "did you mean `builtin:braze_to_segment`?",
    ] {
        let said = format!("{}{}", answer.stdout, answer.stderr);
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}

#[cfg(unix)]
#[test]
fn the_sandbox_ends_by_sigterm_as_by_ctrl_c_with_its_summary() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    for signal in ["-TERM", "-INT"] {
        let mut sandbox = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(["sandbox", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("sluice starts");
        let mut said = BufReader::new(sandbox.stdout.take().expect("a pipe"));
        let mut first = String::new();
        said.read_line(&mut first).expect("a line");
        assert!(first.contains("listening"), "{first}");
        let sent = Command::new("kill")
            .args([signal, &sandbox.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
        let mut rest = String::new();
        said.read_to_string(&mut rest).expect("text");
        assert!(rest.contains("0 documents"), "{signal}: {rest}");
        assert_eq!(sandbox.wait().expect("an end").code(), Some(0), "{signal}");
    }
}
