//! Slips on the command line.

use super::{ask, ask_with_token, expect, with, write};

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
