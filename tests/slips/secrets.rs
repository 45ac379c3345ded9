//! Slips with secrets, and what is never shown of them.

use super::{ask, ask_with_token, expect, told, validated, with, write};

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
fn a_source_and_the_file_can_allow_what_is_told_of_their_secrets() {
    let secret = "token: \"${BRAZE_TOKEN}\"";
    let allow = "token: hunter2, allow: { plain-secret: a try }";
    let strict = ["validate", "--strict"];
    expect(with(secret, allow).path(), &strict, 0, &["1 allowed"]);
    let of_file = "allow: { plain-secret: a try }\nadmin: { token: hunter2 }\njournal:";
    expect(with("journal:", of_file).path(), &strict, 0, &["1 allowed"]);
    // A source speaks for itself alone, and for nothing that is not told.
    let told = [
        "sluice.yaml:9:17  warning[plain-secret]",
        "warning[unused-allow]",
    ];
    let folder = with(
        secret,
        "token: \"${BRAZE_TOKEN}\", allow: { plain-secret: a try }",
    );
    let path = folder.path().join("sluice.yaml");
    let text = std::fs::read_to_string(&path).expect("a config");
    write(
        folder.path(),
        "sluice.yaml",
        &text.replace("journal:", "admin: { token: hunter2 }\njournal:"),
    );
    expect(folder.path(), &strict, 1, &told);
}
