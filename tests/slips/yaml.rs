//! What is no YAML, told where it was opened.

use super::{ask, over_the_set, told, with, with_member};

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
fn a_comment_that_was_meant_as_text_and_curly_quotes_are_told() {
    let lines = "rules:\n  c:\n    on: users.messages.email.Click\n";
    for (rest, place, hint) in [
        ("    skip: #no\n", "6:11", "write `skip: \"#no\"`"),
        (
            "    emit: { a: b, event: Sale #1, c: [d] }\n",
            "6:31",
            "write `event: \"Sale #1\"`",
        ),
        (
            "    emit: { event: ${NAME}, b: c }\n",
            "6:20",
            "write `event: \"${NAME}\"`",
        ),
        ("    skip: “no”\n", "6:11", "write straight ones"),
        (
            "    emit: { event: ‘Sale, now’ }\n",
            "6:20",
            "write straight ones",
        ),
    ] {
        let (found, said) = told(over_the_set(&format!("{lines}{rest}")).path());
        assert_eq!(found, [format!("{place} yaml-syntax")], "{said}");
        assert!(said.contains(hint), "`{hint}` is not in:\n{said}");
    }
    for fine in [
        "    skip: no #2\n",
        "    skip: no\n    description: # said later\n      here\n",
        "    skip: \"“no”\"\n",
        "    skip: |\n      “no”\n",
        "    skip: no\n  # d: #1\n",
    ] {
        let (found, said) = told(over_the_set(&format!("{lines}{fine}")).path());
        assert_eq!(found, ["4:3 unreachable-rule"], "{said}");
    }
    for secret in ["“hunter2”", "#hunter2"] {
        let (_, said) = ask(with("\"${BRAZE_TOKEN}\"", secret).path(), &["validate"]);
        assert!(said.contains("error[yaml-syntax]"), "{said}");
        assert!(!said.contains("hunter"), "{said}");
    }
}
