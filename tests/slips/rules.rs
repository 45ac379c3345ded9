//! Slips in rules, what they are on and what they import.

use super::{ask, expect, over_the_set, rules_give, told, with, write};

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
fn a_plugin_that_a_mapping_names_wrongly_is_guessed() {
    let folder = with("builtin:braze_to_segment", "mappings");
    let rules = "version: 1\nfor: { source: braze_webhook, sink: segmnt }\nrules: { r: { on: users.messages.email.Open, skip: no } }\n";
    write(folder.path(), "mappings/ours.yaml", rules);
    let told = [
        "mappings/ours.yaml:2:37  error[unknown-plugin]",
        "did you mean `segment`?",
        "1 error, 0 warnings",
    ];
    expect(folder.path(), &["validate"], 1, &told);
    // A plugin of another build stays a warning.
    write(
        folder.path(),
        "mappings/ours.yaml",
        &rules.replace("segmnt", "warehouse"),
    );
    let told = ["warning[other-target]", "the connector's own counts"];
    expect(folder.path(), &["validate"], 0, &told);
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
            "import: [braze_to_segment]\n",
            "2:10 missing-file",
            "the built-in set is named `builtin:braze_to_segment`",
        ),
        (
            "import: [builtin: braze_to_segment]\n",
            "2:10 wrong-type",
            "without the space behind the colon: `builtin:braze_to_segment`",
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
fn a_template_in_another_form_is_told_where_and_how_it_is_named() {
    let rule = |member: &str| {
        format!(
            "rules:\n  c:\n    on: users.messages.email.Click\n    when: \"@.id\"\n    {member}\n"
        )
    };
    for (member, problem, hint) in [
        (
            "emit: { extends: engagement, event: A }",
            "7:13 unknown-member",
            "begin with `$`: `$extends`",
        ),
        (
            "emit: { $extend: engagement, event: A }",
            "7:13 unknown-operator",
            "did you mean `$extends`?",
        ),
        (
            "emit: { $extends: builtin:engagement, event: A }",
            "7:23 unknown-template",
            "a template is named alone: `$extends: engagement`",
        ),
        (
            "$extends: engagement\n    emit: { event: A }",
            "7:5 unknown-key",
            "it belongs to the document: `emit: { $extends: … }`",
        ),
    ] {
        rules_give(&rule(member), &[problem], &[hint]);
    }
}
