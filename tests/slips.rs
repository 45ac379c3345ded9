//! Slips that a person makes in the first hour, and what is said of each: the place, and what to do.

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

#[test]
fn a_variable_without_braces_or_without_dollar_is_no_text() {
    let hint = "did you mean `${BRAZE_TOKEN}`?";
    let place = "sluice.yaml:3:40  error[bad-placeholder]";
    validated(
        "\"${BRAZE_TOKEN}\"",
        "$BRAZE_TOKEN",
        1,
        &[place, hint, "1 error"],
    );
    validated(
        "\"${BRAZE_TOKEN}\"",
        "{BRAZE_TOKEN}",
        1,
        &[place, hint, "1 error"],
    );
    for other in ["{{ BRAZE_TOKEN }}", "env:BRAZE_TOKEN", "$(BRAZE_TOKEN)"] {
        let quoted = format!("\"{other}\"");
        let told = [place, hint, "1 error, 0 warnings"];
        validated("\"${BRAZE_TOKEN}\"", &quoted, 1, &told);
    }
}

#[test]
fn validate_shows_whose_rules_a_connector_runs() {
    let line = "braze-to-segment: braze to segment by builtin:braze_to_segment (";
    validated("version: 1", "version: 1", 0, &[line]);
}

#[test]
fn a_folder_of_rules_that_no_connector_names_is_told() {
    let folder = with("version: 1", "version: 1");
    let rules =
        "version: 1\nimport: [builtin:braze_to_segment]\nrules: { email_sent: { skip: no } }\n";
    write(folder.path(), "mappings/ours.yaml", rules);
    let told = [
        "sluice.yaml:7:15  warning[unread-folder]",
        "no connector names the folder mappings",
        "say `mappings: mappings`",
    ];
    expect(folder.path(), &["validate"], 0, &told);
    let named = CONFIG.replace("builtin:braze_to_segment", "mappings");
    write(folder.path(), "sluice.yaml", &named);
    expect(
        folder.path(),
        &["validate", "--strict"],
        0,
        &["by mappings ("],
    );
}

#[test]
fn a_document_that_would_count_twice_is_told() {
    let folder = with("builtin:braze_to_segment", "mappings");
    let rule = "  ours: { on: users.messages.email.Open, emit: { type: track, userId: $.user.user_id, event: Opened } }\n";
    let alone = format!("version: 1\nrules:\n{rule}");
    write(folder.path(), "mappings/ours.yaml", &alone);
    let told = [
        "mappings/ours.yaml:3:3  warning[no-identity]",
        "has no `messageId`",
    ];
    expect(folder.path(), &["validate"], 0, &told);
    // With the set below it, the template that brings it is named; following it ends the warning.
    let over = format!("version: 1\nimport: [builtin:braze_to_segment]\nrules:\n{rule}");
    write(folder.path(), "mappings/ours.yaml", &over);
    let (_, said) = ask(folder.path(), &["validate"]);
    let (_, rest) = said.split_once("`$extends: ").expect(&said);
    let template = rest.split('`').next().expect("a name");
    let mended = over.replace(
        "type: track, userId: $.user.user_id,",
        &format!("$extends: {template}, type: track,"),
    );
    write(folder.path(), "mappings/ours.yaml", &mended);
    let (_, said) = ask(folder.path(), &["validate"]);
    assert!(!said.contains("no-identity"), "{said}");
}

#[test]
fn a_secret_file_that_is_not_there_is_told_at_the_start_and_not_by_validate() {
    let folder = with("\"${BRAZE_TOKEN}\"", "{ file: nowhere/token }");
    let path = folder.path().join("sluice.yaml");
    let text = std::fs::read_to_string(&path).expect("a config");
    let text = text.replace("\"${SEGMENT_WRITE_KEY}\"", "{ file: write.key }");
    write(
        folder.path(),
        "write.key",
        "0123456789abcdef0123456789abcdef",
    );
    std::fs::write(path, text).expect("written");
    expect(folder.path(), &["validate", "--strict"], 0, &["is valid"]);
    let told = [
        "sluice.yaml:3:48  error[unreadable-secret]",
        "nowhere/token",
    ];
    expect(folder.path(), &["run"], 1, &told);
}

#[test]
fn an_opt_in_is_asked_for_where_it_belongs() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = "version: 1\nimport: [builtin:braze_to_segment]\n";
    write(folder.path(), "mappings/ours.yaml", rules);
    let test = "version: 1\ntests:\n  bought:\n    sample: users.behaviors.Purchase\n    expect: { type: track }\n";
    write(folder.path(), "mappings/ours.test.yaml", test);
    let line = "events: { include: [users.behaviors.Purchase] }";
    expect(folder.path(), &["test"], 1, &[line]);
    write(
        folder.path(),
        "mappings/ours.test.yaml",
        &test.replace("tests:", &format!("{line}\ntests:")),
    );
    expect(folder.path(), &["test"], 0, &["1 passed"]);

    let sample = [
        "map",
        "--sample",
        "users.behaviors.Purchase",
        "--format",
        "human",
    ];
    let flag = "--include users.behaviors.Purchase";
    expect(
        folder.path(),
        &sample,
        0,
        &["is skipped: not opted in", flag],
    );
    let opted = [&sample[..], &["--include", "users.behaviors.Purchase"]].concat();
    expect(folder.path(), &opted, 0, &["becomes by rule"]);
}

#[test]
fn a_rule_over_a_set_that_is_not_imported_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = "version: 1\nrules:\n  email_opened: { emit: { event: Opened } }\n";
    write(folder.path(), "ours.yaml", rules);
    let told = [
        "error[missing-on]",
        "say `import: [builtin:braze_to_segment]` at the top",
    ];
    expect(folder.path(), &["validate", "ours.yaml"], 1, &told);
}

#[test]
fn arguments_that_are_missing_or_elsewhere_are_named() {
    let folder = with("version: 1", "version: 1");
    let at = |arguments: &[&str], part: &str| expect(folder.path(), arguments, 2, &[part]);
    at(&["run", "sluice.yaml"], "`sluice run --config sluice.yaml`");
    at(
        &["pause"],
        "which connector? sluice.yaml has `braze-to-segment`",
    );
    at(
        &["resume"],
        "which connector? sluice.yaml has `braze-to-segment`",
    );
}

const RULES: &str = "version: 1\nfor: { source: braze_webhook, sink: segment }\nimport: [builtin:braze_to_segment]\n";
const TEST: &str = "version: 1\ntests:\n  opened: { sample: users.messages.email.Open, expect: { event: Email Opened } }\n";

#[test]
fn a_file_of_another_kind_is_told_what_it_is_and_where_it_goes() {
    let folder = with("builtin:braze_to_segment", "mappings");
    let (rules, test) = ("mappings/ours.yaml", "mappings/ours.test.yaml");
    write(folder.path(), rules, RULES);
    write(folder.path(), test, TEST);
    let told = |arguments: &[&str], code: i32, parts: &[&str]| {
        expect(folder.path(), arguments, code, parts);
    };
    let config = ["error[other-kind]: this is a config", "1 error, 0 warnings"];
    let way = "`sluice test --config sluice.yaml` runs the tests";
    told(&["test", "sluice.yaml"], 1, &[&config[..], &[way]].concat());
    let sample = ["--sample", "users.messages.email.Open"];
    let map = |file| [&["map", "-m", file][..], &sample].concat();
    let way = "follows it with `--config sluice.yaml`";
    told(&map("sluice.yaml"), 1, &[&config[..], &[way]].concat());

    let mapping = "error[other-kind]: this is a mapping file";
    told(&["test", rules], 1, &[mapping, "`sluice test mappings`"]);
    for command in ["run", "status"] {
        let way = "under `mappings:` of a connector";
        told(&[command, "--config", rules], 1, &[mapping, way]);
    }
    let tests = "error[other-kind]: this is a file of tests";
    let way = "`sluice test mappings/ours.test.yaml` runs it";
    told(&map(test), 1, &[tests, way]);
    told(&["run", "--config", test], 1, &[tests, way]);

    // Where events are wanted.
    let is_config = "sluice.yaml is a config, and events are wanted here";
    told(&["map", "sluice.yaml"], 2, &[is_config, "--config"]);
    told(
        &["map", rules],
        2,
        &[
            "is a mapping file",
            "`sluice map --mappings mappings/ours.yaml --sample TYPE`",
        ],
    );
    told(&["map", test], 2, &["is a file of tests", way]);

    told(
        &["test", "mapings"],
        1,
        &["there is no file or folder `mapings`", "`mappings`"],
    );
}

#[test]
fn validate_reads_the_tests_of_the_mappings_and_says_that_it_runs_none() {
    let folder = with("builtin:braze_to_segment", "mappings");
    let test = "mappings/ours.test.yaml";
    write(folder.path(), "mappings/ours.yaml", RULES);
    write(folder.path(), test, TEST);
    let ways: [(&[&str], &str); 3] = [
        (
            &["validate"],
            "tests: 1 case in 1 file, read but not run; `sluice test` runs them",
        ),
        (
            &["validate", "mappings"],
            "tests: 1 case in 1 file, read but not run",
        ),
        (
            &["validate", test],
            "1 case, not run; `sluice test mappings/ours.test.yaml` runs",
        ),
    ];
    for (arguments, said) in ways {
        expect(folder.path(), arguments, 0, &[said]);
    }
    // A case that fails is none of its business; one that cannot be run is.
    write(folder.path(), test, &TEST.replace("Email Opened", "Opened"));
    for (arguments, _) in ways {
        expect(folder.path(), arguments, 0, &["is valid"]);
    }
    write(folder.path(), test, &TEST.replace("expect:", "expct:"));
    for (arguments, _) in ways {
        expect(
            folder.path(),
            arguments,
            1,
            &[
                "mappings/ours.test.yaml:3:48  error[unknown-key]",
                "did you mean `expect`?",
                "1 error",
            ],
        );
    }
    write(
        folder.path(),
        test,
        &TEST.replace("email.Open", "email.Opn"),
    );
    expect(
        folder.path(),
        &["validate"],
        1,
        &["error[unknown-type]", "1 error"],
    );
}

#[test]
fn what_validate_says_of_mappings_does_not_depend_on_their_tests() {
    let folder = with("builtin:braze_to_segment", "mappings");
    let path = folder.path().join("sluice.yaml");
    let text = std::fs::read_to_string(&path).expect("a config");
    let allow = "    source: braze\n    allow: { unused-template: for the summer }\n";
    let text = text.replace("    source: braze\n", allow);
    std::fs::write(&path, text).expect("written");
    let unused = format!("{RULES}templates: {{ summer: {{ event: Summer }} }}\n");
    write(folder.path(), "mappings/ours.yaml", &unused);
    write(folder.path(), "mappings/ours.test.yaml", TEST);
    expect(
        folder.path(),
        &["validate", "--strict"],
        0,
        &["1 allowed", "1 case"],
    );
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

#[test]
fn an_empty_secret_is_told_before_anybody_is_refused() {
    let place = "sluice.yaml:3:40  error[empty-secret]: this secret is empty";
    let way = "write `${NAME}` and set NAME in the environment, or `{ file: ";
    validated("\"${BRAZE_TOKEN}\"", "\"\"", 1, &[place, way, "1 error"]);
    validated("\"${BRAZE_TOKEN}\"", "\" \"", 1, &[place, way, "1 error"]);

    // An empty variable: where configs are only checked, secrets are often not there.
    let folder = with("${SEGMENT_WRITE_KEY}", "${HOME}");
    let told = "[empty-secret]: the environment variable `BRAZE_TOKEN` is set, and empty";
    let (code, said) = ask_with_token(folder.path(), &["validate"], "");
    assert!(
        code == 0 && said.contains(&format!("warning{told}")),
        "{said}"
    );
    let (code, said) = ask_with_token(folder.path(), &["run"], "");
    assert!(
        code == 1 && said.contains(&format!("error{told}")),
        "{said}"
    );
    assert!(!said.contains("missing-key"), "{said}");
}

#[test]
fn the_word_bearer_in_a_token_is_told() {
    let told = [
        "sluice.yaml:3:41  warning[bearer-in-token]",
        "leave it out: whoever sends puts it before the token",
        "0 errors, 1 warning",
    ];
    validated("${BRAZE_TOKEN}", "Bearer ${BRAZE_TOKEN}", 0, &told);

    let folder = with("version: 1", "version: 1");
    let (_, said) = ask_with_token(folder.path(), &["validate"], "bearer hunter2");
    assert!(said.contains("warning[bearer-in-token]"), "{said}");
    assert!(!said.contains("hunter"), "{said}");

    // A header is sent as it is.
    let sink = "{ type: http, url: \"http://127.0.0.1:9/\", headers: { Authorization: \"Bearer ${KEY}\" } }";
    let whole = "{ type: segment, region: us, write_key: \"${SEGMENT_WRITE_KEY}\" }";
    let (_, said) = ask(with(whole, sink).path(), &["validate"]);
    assert!(!said.contains("bearer-in-token"), "{said}");
}

#[test]
fn a_blank_around_a_secret_is_told_without_showing_it() {
    let folder = with("${SEGMENT_WRITE_KEY}", "${HOME}");
    for token in [" hunter2", "hunter2 ", "hunter2\n"] {
        let (code, said) = ask_with_token(folder.path(), &["validate"], token);
        let told =
            "sluice.yaml:3:40  warning[blank-in-secret]: the value begins or ends with a blank";
        assert!(code == 0 && said.contains(told), "{said}");
        assert!(!said.contains("hunter"), "{said}");
    }
    let (_, said) = ask_with_token(folder.path(), &["validate"], "hunter2");
    assert!(!said.contains("blank-in-secret"), "{said}");
}

#[test]
fn submit_without_the_token_of_its_source_says_so_alone() {
    let folder = with("version: 1", "version: 1");
    write(folder.path(), "mended.json", "{}");
    let submit = ["dead-letters", "submit", "mended.json"];
    let (code, said) = ask(folder.path(), &submit);
    let told = "error: nothing was sent: the source `braze` needs BRAZE_TOKEN here as for `sluice run`, and the environment has no value for it\n";
    assert_eq!((code, &*said), (1, told));
    // What others lack is not asked for.
    let (_, said) = ask_with_token(folder.path(), &submit, "hunter2");
    assert!(!said.contains("needs"), "{said}");
}

#[test]
fn a_connector_that_nobody_knows_has_no_dead_letters() {
    let folder = with("version: 1", "version: 1");
    for action in ["list", "export", "drop", "replay"] {
        let arguments = ["dead-letters", action, "--connector", "braze-to-segmnt"];
        let hint = "did you mean `braze-to-segment`?";
        expect(folder.path(), &arguments, 2, &["`braze-to-segmnt`", hint]);
    }
    for known in ["braze-to-segment", "source:braze"] {
        let arguments = ["dead-letters", "list", "--connector", known];
        expect(folder.path(), &arguments, 0, &["0 dead letters"]);
    }
}

#[test]
fn a_secret_that_is_written_out_is_told_without_being_shown() {
    let way = "write `${NAME}` and set NAME in the environment, or `{ file: ";
    let key = "\"${SEGMENT_WRITE_KEY}\"";
    let place = "sluice.yaml:8:51  warning[plain-secret]";
    validated(key, "hunter2", 0, &[place, way, "0 errors, 1 warning"]);
    let (_, said) = ask(with(key, "hunter2").path(), &["validate"]);
    assert!(!said.contains("hunter"), "{said}");
    validated(
        "\"${BRAZE_TOKEN}\"",
        "hunter2",
        0,
        &["sluice.yaml:3:40  warning[plain-secret]"],
    );
    let admin = "admin: { token: hunter2 }\njournal:";
    validated("journal:", admin, 0, &["warning[plain-secret]"]);

    let sink = "{ type: http, url: \"http://127.0.0.1:9/\", headers: { Accept: text/plain, X-Api-Key: hunter2 } }";
    let whole = "{ type: segment, region: us, write_key: \"${SEGMENT_WRITE_KEY}\" }";
    let told = ["warning[plain-secret]", "1 warning"];
    validated(whole, sink, 0, &told);
}

#[test]
fn the_config_of_the_readme_is_the_one_that_init_writes() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).expect("a page");
    let blocks = readme.split("```yaml\n").skip(1);
    let shown = blocks
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| block)
        .find(|block| block.contains("\nconnectors:"))
        .expect("a config");
    let folder = tempfile::tempdir().expect("a folder");
    expect(folder.path(), &["init", "."], 0, &["wrote"]);
    let written = std::fs::read_to_string(folder.path().join("sluice.yaml")).expect("a config");
    let read = |text: &str| {
        let mut files = sluice::diagnostics::Files::default();
        let file = files.add("sluice.yaml", None, text.to_owned());
        sluice::diagnostics::parse_yaml(file, &files)
            .expect("YAML")
            .to_json()
    };
    assert_eq!(read(shown), read(&written));
}

#[test]
fn a_plugin_that_a_mapping_names_wrongly_is_guessed() {
    let folder = with("builtin:braze_to_segment", "mappings");
    let rules = "version: 1\nfor: { source: braze_webhook, sink: segmnt }\nrules: { r: { on: users.messages.email.Open, skip: no } }\n";
    write(folder.path(), "mappings/ours.yaml", rules);
    expect(
        folder.path(),
        &["validate"],
        0,
        &["warning[other-target]", "did you mean `segment`?"],
    );
}

#[test]
fn an_address_without_a_scheme_gets_one() {
    let part = "such as http://127.0.0.1:8765";
    validated("region: us", "endpoint: \"127.0.0.1:8765\"", 1, &[part]);
    validated(
        "region: us",
        "endpoint: \"localhost:8765\"",
        1,
        &["such as http://localhost:8765"],
    );
}

#[test]
fn a_key_on_another_level_is_told_where_it_belongs() {
    let too_low = "region: us, unmapped: dead_letter,";
    let part = "it belongs one level up, to connector `braze-to-segment`";
    validated("region: us,", too_low, 1, &["error[unknown-key]", part]);
    let too_high = "source: braze\n    flush_after: 1s";
    validated(
        "source: braze",
        too_high,
        1,
        &["error[unknown-key]", "it belongs under `batch`"],
    );
    let of_the_sink = "source: braze\n    oversize: { drop: [properties.x] }";
    validated(
        "source: braze",
        of_the_sink,
        1,
        &["error[unknown-key]", "it belongs under `sink`"],
    );
}

#[test]
fn a_plugin_that_is_not_there_hides_no_other_problem() {
    let folder = with("type: segment", "type: segmnt");
    let path = folder.path().join("sluice.yaml");
    let text = std::fs::read_to_string(&path).expect("a config");
    let text = text.replace(
        "builtin:braze_to_segment",
        "[rules.yaml, builtin:braze_to_segmen]",
    );
    std::fs::write(path, text).expect("written");
    let rules = "version: 1\nrules: { r: { on: users.messages.email.Open, emit: { a: \"$.properties[\" } } }\n";
    write(folder.path(), "rules.yaml", rules);
    let told = [
        "error[unknown-plugin]",
        "did you mean `segment`?",
        "error[unknown-builtin]",
        "rules.yaml:2:",
    ];
    expect(folder.path(), &["validate"], 1, &told);
}

#[test]
fn a_secret_under_a_key_that_nobody_knows_is_not_shown() {
    let folder = with(
        "journal:",
        "secret_key: ${X:-hunter2}\napi_token: hunter3\njournal:",
    );
    let (code, said) = ask(folder.path(), &["validate"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("has no key `secret_key`"), "{said}");
    assert!(!said.contains("hunter"), "{said}");
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

const CLICK: &str = "rules:
  c:
    on: users.messages.email.Click
    when: \"@.id\"
    emit: { $extends: engagement, event: Clicked, properties: { url: VALUE } }
";

#[test]
fn a_field_without_its_sign_is_no_constant() {
    let value = |text: &str| CLICK.replace("VALUE", text);
    rules_give(
        &value("properties.url"),
        &["7:70 text-like-path"],
        &[
            "warning[",
            "the text `properties.url`",
            "did you mean `$.properties.url`?",
        ],
    );
    rules_give(
        &value("properties.link_ids"),
        &["7:70 text-like-path"],
        &["did you mean `$.properties.link_id`?"],
    );
    rules_give(
        &value("$properties.url"),
        &["7:70 text-like-path"],
        &["error[", "did you mean `$.properties.url`?"],
    );
    for ordinary in [
        "braze.email",
        "https://user.example.com/properties.url",
        "1.2.3",
        "user.created",
        "{ $const: properties.url }",
        "\"see properties.url\"",
    ] {
        rules_give(&value(ordinary), &[], &[]);
    }
}

#[test]
fn another_word_for_a_key_of_a_rule_is_one_problem() {
    let rules = "rules:
  c: { on: users.messages.email.Click, IF: \"@.user.external_user_id\", emit: { type: track, userId: $.user.external_user_id, event: A, messageId: $.id } }
  d: { on: users.messages.email.Click, when: \"@.id\", skip: no }
";
    for (word, meant) in [
        ("if", "when"),
        ("where", "when"),
        ("filter", "when"),
        ("condition", "when"),
        ("wehn", "when"),
    ] {
        let hint = format!("did you mean `{meant}`?");
        rules_give(&rules.replace("IF", word), &["4:40 unknown-key"], &[&hint]);
    }
    for word in ["type", "event_type", "events"] {
        let rules = format!(
            "rules:\n  c: {{ {word}: users.messages.email.Click, when: \"@.id\", skip: no }}\n"
        );
        rules_give(&rules, &["4:8 unknown-key"], &["did you mean `on`?"]);
    }
    // What nobody can guess: nothing is said of what the rule may then lack.
    let strange = "rules:\n  c: { xyzzy: users.messages.email.Click, skip: no }\n";
    rules_give(strange, &["4:8 unknown-key"], &["known here: on, when"]);
}

#[test]
fn an_import_that_is_not_there_is_told_once() {
    let rules = "rules:
  email_opened: { emit: { event: A } }
  email_sent: { skip: no }
  c: { on: users.messages.email.Click, when: \"@.id\", emit: { $extends: engagement, event: B } }
";
    for (head, problem, hint) in [
        (
            "",
            "3:3 missing-on",
            "say `import: [builtin:braze_to_segment]` at the top",
        ),
        (
            "import: [builtin:braze_to_segmnt]\n",
            "2:10 unknown-builtin",
            "did you mean",
        ),
        (
            "improt: [builtin:braze_to_segment]\n",
            "2:1 unknown-key",
            "did you mean `import`?",
        ),
        (
            "include: builtin:braze_to_segment\n",
            "2:1 unknown-key",
            "did you mean `import`?",
        ),
    ] {
        let folder = over_the_set("");
        let text = format!("version: 1\n{head}{rules}");
        write(folder.path(), "mappings/ours.yaml", &text);
        let (found, said) = told(folder.path());
        assert_eq!(found, [problem], "{said}");
        assert!(said.contains(hint), "{said}");
    }
}

#[test]
fn what_is_open_or_unquoted_in_yaml_is_told_where_it_begins() {
    let lines = "rules:
  c:
    on: users.messages.email.Click
";
    for (rest, place, hint) in [
        (
            "    emit: { event: A\n  d: { skip: no }\n",
            "6:11",
            "a `}` is missing",
        ),
        ("    emit: { a: [1, 2 }\n", "6:16", "a `]` is missing"),
        (
            "    skip: \"no\n  d: { skip: no }\n",
            "6:11",
            "write the closing `\"`",
        ),
        ("    skip: 'no\n", "6:11", "write the closing `'`"),
        ("\tskip: no\n", "6:1", "write spaces here"),
        ("    emit:\n    \tevent: A\n", "7:5", "write spaces here"),
        (
            "    when: @.id == 'a' # comment\n",
            "6:11",
            "write `when: \"@.id == 'a'\"`",
        ),
        (
            "    when: @.id == \"a\"\n",
            "6:11",
            "write `when: '@.id == \"a\"'`",
        ),
        ("    when: !@.id\n", "6:11", "write `when: \"!@.id\"`"),
        ("    skip: `no`\n", "6:11", "write `skip: \"`no`\"`"),
        ("    skip: %no\n", "6:11", "write `skip: \"%no\"`"),
        ("    skip: *\n", "6:11", "write `skip: \"*\"`"),
        (
            "  d: { on: [a.*, *.Open], skip: no }\n",
            "6:18",
            "write `\"*.Open\"`",
        ),
        (
            "  d: { when: @.a == 1, skip: no }\n",
            "6:14",
            "write `when: \"@.a == 1\"`",
        ),
        (
            "    skip: no: really\n",
            "6:13",
            "write `skip: \"no: really\"`",
        ),
        (
            "    when: '@.id == 'a''\n",
            "6:21",
            "of the other kind: `\"@.id == 'a'\"`",
        ),
        (
            "    emit: { a: 1 b: 2 }\n",
            "6:18",
            "is a `,` missing before this?",
        ),
        ("    skip:no\n", "6:5", "a space is missing: `skip: no`"),
        (
            "   skip: no\n",
            "6:4",
            "indented by 3 spaces, and the line above by 4",
        ),
    ] {
        let folder = over_the_set(&format!("{lines}{rest}"));
        let (found, said) = told(folder.path());
        let code = if rest.contains('!') {
            "yaml-tag"
        } else {
            "yaml-syntax"
        };
        assert_eq!(found, [format!("{place} {code}")], "{rest}{said}");
        assert!(said.contains(hint), "`{hint}` is not in:\n{said}");
    }
}

#[test]
fn a_wrong_path_in_a_condition_is_told_at_the_path() {
    let rules = |when: &str| {
        format!(
            "rules:\n  c:\n    on: users.messages.email.Click\n    when: \"@.id && {when} == 'a'\"\n    skip: no\n"
        )
    };
    rules_give(
        &rules("@.properties.urll"),
        &["6:20 unknown-field"],
        &[" ^^^^^^^^^^^^^^^^^ did you mean `@.properties.url`?"],
    );
    for wrong in ["$.properties.url", "@properties.url", "properties.url"] {
        rules_give(
            &rules(wrong),
            &["6:20 bad-expression"],
            &["^ write `@.properties.url`"],
        );
    }
    // A connector's own condition is told the same way.
    let when = "source: braze\n    when: \"@.id && @.propertis.url == 'a'\"";
    let folder = with("source: braze\n", &format!("{when}\n"));
    let (found, said) = told(folder.path());
    assert_eq!(found, ["7:20 unknown-field"], "{said}");
    assert!(said.contains("did you mean `@.properties.url`?"), "{said}");
}

#[test]
fn a_misspelt_key_shows_its_harmless_value_and_hides_what_may_be_a_secret() {
    let listen = "type: braze_webhook, lisen: \"127.0.0.1:8080\"";
    let folder = with("type: braze_webhook", listen);
    let (found, said) = told(folder.path());
    assert_eq!(found, ["3:33 unknown-key"], "{said}");
    assert!(said.contains("lisen: \"127.0.0.1:8080\""), "{said}");
    for key in ["tokn", "pasword", "lisen", "xyzzy", "bearer", "key"] {
        let secret = format!("type: braze_webhook, {key}: k3yk3yk3yk3yk3yk3yk3y");
        let folder = with("type: braze_webhook", &secret);
        let (_, said) = ask(folder.path(), &["validate"]);
        assert!(said.contains(&format!("has no key `{key}`")), "{said}");
        assert!(!said.contains("k3y"), "{said}");
    }
    for key in ["tokn", "pasword", "xyzzy", "bearer", "auth"] {
        let folder = with(
            "type: braze_webhook",
            &format!("type: braze_webhook, {key}: hunter2"),
        );
        let (_, said) = ask(folder.path(), &["validate"]);
        assert!(!said.contains("hunter"), "{said}");
    }
}

#[test]
fn a_secret_in_a_config_that_is_no_yaml_is_not_shown() {
    for secret in [
        "@hunter2",
        "'hunter2",
        "hunter2: x",
        "*hunter2",
        "\n      @hunter2",
        "[hunter2",
    ] {
        for key in ["token", "tokn", "password"] {
            let config = format!(
                "version: 1\nsources:\n  braze:\n    type: braze_webhook\n    {key}: {secret}\n  other: {{ type: stdin }}\n"
            );
            let folder = tempfile::tempdir().expect("a folder");
            write(folder.path(), "sluice.yaml", &config);
            let (code, said) = ask(folder.path(), &["validate"]);
            assert_eq!(code, 1, "{said}");
            assert!(said.contains("error[yaml-syntax]"), "{said}");
            assert!(!said.contains("hunter"), "{said}");
        }
    }
}

#[test]
fn a_misspelt_key_of_a_config_is_told_without_its_consequences() {
    for (from, to, place) in [
        ("connectors:", "conectors:", "4:1"),
        ("sources:", "inputs:", "2:1"),
        ("    source:", "    sorce:", "6:5"),
        ("    sink:", "    destination:", "8:5"),
        ("{ type: segment", "{ tpye: segment", "8:13"),
        ("write_key:", "api_key:", "8:40"),
        ("mappings:", "rules:", "7:5"),
        ("{ path: data", "{ folder: data", "9:12"),
    ] {
        let folder = with(from, to);
        let (found, said) = told(folder.path());
        assert_eq!(found, [format!("{place} unknown-key")], "{said}");
        assert!(said.contains("did you mean `"), "{said}");
    }
}

#[test]
fn an_event_type_on_the_command_line_is_guessed() {
    let folder = with("version: 1", "version: 1");
    let guessed = "did you mean `users.messages.email.Open`?";
    for name in ["email.Open", "users.messages.email.open", "email.Opne"] {
        expect(folder.path(), &["map", "--sample", name], 2, &[guessed]);
        expect(
            folder.path(),
            &["coverage", "--include", name],
            0,
            &[guessed],
        );
        let letters = ["dead-letters", "list", "--type", name];
        let (_, said) = ask(folder.path(), &letters);
        assert!(said.contains(guessed), "{said}");
    }
    let known = ["coverage", "--include", "users.messages.email.*"];
    let (_, said) = ask(folder.path(), &known);
    assert!(!said.contains("has no event type"), "{said}");
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

#[test]
fn a_path_in_the_braces_of_a_plain_text_is_told_with_its_text() {
    let meant = "write `{ $text: \"Sale {$.properties.url}\" }`";
    for text in [
        "Sale {$.properties.url}",
        "Sale {{ $.properties.url }}",
        "Sale ${properties.url}",
        "Sale {properties.ulr}",
    ] {
        let (code, said) = with_member(&format!("event: \"{text}\""));
        assert_eq!(code, 1, "{said}");
        let place = "mappings/ours.yaml:9:14  warning[text-like-path]";
        assert!(said.contains(place), "{said}");
        assert!(said.contains(meant), "{said}");
    }
    let (_, said) = with_member("event: \"{a} {$.properties.url | none} }\"");
    let meant = "write `{ $text: \"{{a}} {$.properties.url | none} }}\" }`";
    assert!(said.contains(meant), "{said}");
    for text in [
        "\"Sale {of the year}\"",
        "\"a {\"",
        "{ $text: \"Sale {$.properties.url | none}\" }",
        "{ $const: \"Sale {$.properties.url}\" }",
    ] {
        let (code, said) = with_member(&format!("event: {text}"));
        assert_eq!(code, 0, "{said}");
    }
}

#[test]
fn an_operator_without_its_braces_is_told() {
    for (text, meant) in [
        ("$omit", "write `{ $omit: true }`"),
        ("$text", "write `{ $text: … }`"),
    ] {
        let (code, said) = with_member(&format!("event: {text}"));
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("an operator stands in braces"), "{said}");
        assert!(said.contains(meant), "{said}");
        assert!(!said.contains("`$.omit`"), "{said}");
    }
}

#[test]
fn a_missing_space_behind_a_colon_is_told() {
    let told = |place: &str, key: &str, meant: &str| {
        [
            format!("{place}  error[yaml-syntax]: `{key}` has no value"),
            "a space is missing behind the colon".to_owned(),
            format!("write `{meant}`"),
        ]
    };
    for (from, to, place, key, meant) in [
        (
            "path: data",
            "path:other, retain: 7d",
            "9:12",
            "path",
            "path: other",
        ),
        ("region: us", "region:us", "8:28", "region", "region: us"),
        (
            "type: braze_webhook",
            "type:stdin",
            "3:12",
            "type",
            "type: stdin",
        ),
    ] {
        let folder = with(from, to);
        let (code, said) = ask(folder.path(), &["validate"]);
        assert_eq!(code, 1, "{said}");
        for part in told(&format!("sluice.yaml:{place}"), key, meant) {
            // What stands beside a secret is not repeated.
            let is_hidden = key != "path" && part.starts_with("write");
            assert!(is_hidden || said.contains(&part), "{part}\n{said}");
        }
    }
    let (code, said) = with_member("properties: { a:b, c: d }");
    assert_eq!(code, 1, "{said}");
    for part in told("mappings/ours.yaml:9:21", "a", "a: b") {
        assert!(said.contains(&part), "{part}\n{said}");
    }
    let (code, said) = with_member("event: e\n      properties: { \"a:b\": 1, c:d: 2 }");
    assert_eq!(code, 0, "{said}");
}

#[test]
fn an_identity_that_is_the_same_for_every_event_is_told() {
    let folder = with("builtin:braze_to_segment", "mappings");
    let rules = "version: 1\nrules:\n  ours: { on: users.messages.email.Open, emit: { type: track, userId: $.user.user_id, event: Opened, messageId: sale-1 } }\n";
    write(folder.path(), "mappings/ours.yaml", rules);
    let told = [
        "mappings/ours.yaml:3:113  warning[no-identity]: this `messageId` is the same for every event",
        "takes all but the first for repetitions",
    ];
    expect(folder.path(), &["validate"], 0, &told);
    write(
        folder.path(),
        "mappings/ours.yaml",
        &rules.replace("sale-1", "$.id"),
    );
    expect(folder.path(), &["validate", "--strict"], 0, &[]);
}

#[test]
fn slips_in_a_test_are_told_before_it_runs() {
    let folder = with("builtin:braze_to_segment", "mappings");
    write(
        folder.path(),
        "mappings/ours.yaml",
        "version: 1\nimport: [builtin:braze_to_segment]\n",
    );
    let told = |case: &str, parts: &[&str]| {
        let test =
            format!("version: 1\ntests:\n  a: {{ sample: users.messages.email.Click, {case} }}\n");
        write(folder.path(), "mappings/ours.test.yaml", &test);
        let (code, said) = ask(folder.path(), &["validate", "--strict"]);
        assert_eq!(code, i32::from(!parts.is_empty()), "{case}\n{said}");
        for part in parts {
            assert!(said.contains(part), "{case}: {part}\n{said}");
        }
    };
    let field = "warning[unknown-field]";
    told(
        "with: { propertys: { url: x } }, expect: {}",
        &[field, "did you mean `properties`?"],
    );
    told(
        "with: { properties: { ulr: x } }, expect: {}",
        &[field, "`properties.ulr`", "did you mean `url`?"],
    );
    told(
        "with: { properties: { url: x, link_alias: { $omit: true } } }, expect: {}",
        &[],
    );
    told(
        "expect: text",
        &["error[wrong-type]: `expect` must be a map"],
    );
    told(
        "with: text, expect: {}",
        &["error[wrong-type]: `with` must be a map"],
    );
    told("skip: true", &["error[wrong-type]: `skip` must be a text"]);
    told(
        "rule: email_link_clickd, expect: {}",
        &[
            "error[wrong-value]: there is no rule",
            "did you mean `email_link_clicked`?",
        ],
    );
    told("rule: email_link_clicked, expect: {}", &[]);
    told(
        "expect: {}, skip: no",
        &["error[two-outcomes]: a test has one outcome; `expect` stands here already"],
    );
}

#[test]
fn a_file_of_tests_with_another_name_is_told_its_name() {
    let folder = with("builtin:braze_to_segment", "mappings");
    write(
        folder.path(),
        "mappings/ours.yaml",
        "version: 1\nimport: [builtin:braze_to_segment]\n",
    );
    let test = "version: 1\ntests:\n  a: { sample: users.messages.email.Click, expect: {} }\n";
    write(folder.path(), "mappings/ours.tests.yaml", test);
    let told = ["error[other-kind]", "name it `ours.test.yaml`"];
    expect(folder.path(), &["validate"], 1, &told);
    let (_, said) = ask(folder.path(), &["validate"]);
    assert!(!said.contains("runs it"), "{said}");
}
