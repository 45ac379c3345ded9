//! Slips in `when`: what another language says otherwise, and what is the same for every event.

use super::{rules_give, told, with};

/// What is said of this condition, at its column from 1, and how the hint ends.
fn gives(when: &str, column: usize, code: &str, hint: &str) {
    let rules = format!(
        "rules:\n  c:\n    on: users.messages.email.Click\n    when: \"{when}\"\n    skip: no\n"
    );
    let place = format!("6:{} {code}", 11 + column);
    rules_give(&rules, &[&place], &[&format!("^ {hint}\n")]);
}

#[test]
fn swapped_arguments_and_paths_in_quotes_are_told() {
    for (when, column, hint) in [
        (
            "@.id && search('/sale', @.properties.url)",
            9,
            "write `search(@.properties.url, '/sale')`",
        ),
        (
            "search('@.properties.url', '/sale')",
            8,
            "write `@.properties.url`, without the quotes",
        ),
        (
            "match('properties.url', 'sale')",
            7,
            "write `@.properties.url`, without the quotes",
        ),
        (
            "'@.properties.url' == 'x'",
            1,
            "write `@.properties.url`, without the quotes",
        ),
    ] {
        gives(when, column, "fixed-text", hint);
    }
    // A connector's own condition is told the same way.
    let when = "source: braze\n    when: \"search('/sale', @.properties.url)\"\n";
    let folder = with("source: braze\n", when);
    let (found, said) = told(folder.path());
    assert_eq!(found[0], "7:12 fixed-text", "{said}");
}

#[test]
fn a_search_in_the_words_of_another_language_is_told_in_ours() {
    for (when, column, meant) in [
        ("contains(@.properties.url, 'sale')", 1, "'sale'"),
        ("@.id && @.properties.url like '%sale'", 9, "'sale$'"),
        ("@.properties.url =~ /sale/", 1, "'sale'"),
        ("@.properties.url.startsWith('sale')", 1, "'^sale'"),
    ] {
        let hint = format!("write `search(@.properties.url, {meant})`");
        gives(when, column, "bad-expression", &hint);
    }
    let each = "name each: `@.id == 'one' || @.id == 'other'`";
    gives("@.id in ['a', 'b']", 6, "bad-expression", each);
    let missing = "an operator is missing before this: `==`, `&&` or another";
    gives("@.properties.url foo", 18, "bad-expression", missing);
    let curly = "these quotes are curly; write `'a'` with straight ones";
    gives("@.id == “a”", 9, "bad-expression", curly);
}

#[test]
fn a_pattern_that_is_none_is_told_at_its_place() {
    gives(
        "@.id && search(@.properties.url, '(sale')",
        34,
        "bad-expression",
        "this is the pattern",
    );
}
