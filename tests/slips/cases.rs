//! Slips in the tests of mappings, and files in the place of others.

use super::{ask, expect, with, write};

const RULES: &str = "version: 1\nfor: { source: braze_webhook, sink: segment }\nimport: [builtin:braze_to_segment]\n";

const TEST: &str = "version: 1\ntests:\n  opened: { sample: users.messages.email.Open, expect: { event: Email Opened } }\n";

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

#[test]
fn tests_in_a_folder_of_their_own_are_told_how_they_are_run() {
    let folder = with("builtin:braze_to_segment", "mappings");
    write(folder.path(), "mappings/ours.yaml", RULES);
    write(folder.path(), "tests/ours.test.yaml", TEST);
    let told = [
        "error[no-tests]",
        "some lie in `tests`",
        "`sluice test tests` does",
    ];
    expect(folder.path(), &["test"], 1, &told);
    let told = [
        "tests/ours.test.yaml:2:1  error[missing-file]",
        "`mappings: ../mappings`",
        "1 error",
    ];
    expect(folder.path(), &["test", "tests"], 1, &told);
    let mended = TEST.replace("tests:", "mappings: ../mappings\ntests:");
    write(folder.path(), "tests/ours.test.yaml", &mended);
    expect(folder.path(), &["test", "tests"], 0, &["1 passed"]);

    write(folder.path(), "mappings/tests/ours.test.yaml", TEST);
    expect(
        folder.path(),
        &["validate"],
        1,
        &["say at the top where they are: `mappings: ..`"],
    );
}
