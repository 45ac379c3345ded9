//! Wrong files: what is said of them, where, and what to write instead.

use super::*;

/// Wrong files: each gives exactly one message, at its place.
#[test]
fn wrong_files_give_one_message_each_at_its_place() {
    let rule = |body: &str| format!("version: 1\nrules:\n  r:\n    on: mail.Open\n    {body}\n");
    let emit = |value: &str| {
        rule(&format!(
            "emit: {{ type: identify, person: u, a: {value} }}"
        ))
    };
    let cases: Vec<(String, &str, &str)> = vec![
        ("version: 1\nrulez: {}\nrules: {r: {on: mail.Open, skip: x}}".into(), "unknown-key", "2:1"),
        ("rules: {r: {on: mail.Open, skip: x}}".into(), "missing-version", "1:1"),
        ("version: 2\nrules: {r: {on: mail.Open, skip: x}}".into(), "unknown-version", "1:10"),
        ("version: 1".into(), "no-rules", ""),
        ("version: 1\nrules: []".into(), "wrong-type", "2:8"),
        ("version: 1\nimport: [b.yml]\nrules: {r: {on: mail.Open, skip: x}}".into(), "missing-file", "2:10"),
        ("version: 1\nimport: [builtin:nothing]\nrules: {r: {on: mail.Open, skip: x}}".into(), "unknown-builtin", "2:10"),
        ("version: 1\nimport: [a.yaml]\nrules: {r: {on: mail.Open, skip: x}}".into(), "import-cycle", "2:10"),
        ("version: 1\nrules: {r: {on: mail.Open, skip: x}, r: {}}".into(), "duplicate-key", "2:38"),
        (rule("emitt: {}\n    skip: x"), "unknown-key", "5:5"),
        (rule("when: '@.id'"), "no-outcome", "3:3"),
        ("version: 1\nrules: {r: {skip: x}}".into(), "missing-on", "2:9"),
        (rule("skip: x\n    emit: {type: identify, person: u}"), "two-outcomes", "6:5"),
        (rule("continue: maybe\n    skip: x"), "wrong-type", "5:15"),
        (rule("when: '@.id =='\n    skip: x"), "bad-expression", "5:19"),
        (rule("when: 'length(@.id)'\n    skip: x"), "bad-expression", "5:12"),
        (rule("when: '$.id == 1'\n    skip: x"), "bad-expression", "5:12"),
        (rule("when: '@.idd'\n    skip: x"), "unknown-field", "5:12"),
        ("version: 1\nrules: {r: {on: mail.Opne, skip: x}}".into(), "unknown-type", "2:17"),
        (emit("$.properties.email_adress"), "unknown-field", "5:43"),
        (emit("'$.a['"), "bad-path", "5:48"),
        (emit("'$.properties.a-b'"), "bad-path", "5:58"),
        (rule("when: '@.id = 1'\n    skip: x"), "bad-expression", "5:17"),
        (emit("$properties.email_address"), "text-like-path", "5:43"),
        (emit("{ $if: '@.id', $then: [$id] }"), "text-like-path", "5:66"),
        (rule("emit: { type: $kind, person: u }"), "text-like-path", "5:19"),
        (rule("emit: { type: track, person: u, event: e, timestamp: $time }"), "text-like-path", "5:58"),
        (emit("{ b: { $omit: true } }"), "omit-nothing", "5:45"),
        (emit("{ $from: $id }"), "not-a-path", "5:52"),
        (emit("{ $form: $.id }"), "unknown-operator", "5:45"),
        (emit("{ $from: $.id, b: 1 }"), "mixed-operator", "5:58"),
        (emit("{ $as: string }"), "no-source", "5:45"),
        (emit("{ $from: $.id, $text: x }"), "two-sources", "5:58"),
        (emit("{ $from: id }"), "not-a-path", "5:52"),
        (emit("{ $from: $.id, $as: sting }"), "unknown-conversion", "5:63"),
        (emit("{ $from: $.id, $as: round }"), "bad-conversion", "5:63"),
        (emit("{ $from: $.id, $as: { replace: { pattern: '(', with: x } } }"), "bad-conversion", "5:74"),
        (emit("{ $from: $.id, $missing: never }"), "wrong-value", "5:68"),
        (emit("{ $lookup: { key: $.id, table: names } }"), "unknown-table", "5:74"),
        (emit("{ $lookup: { key: $.id } }"), "missing-key", "5:54"),
        (emit("{ $text: 'a {$.idd}' }"), "unknown-field", "5:56"),
        (emit("{ $text: 'a {$.id' }"), "bad-text", "5:55"),
        (emit("{ $each: $.properties.custom.x }"), "missing-key", "5:45"),
        (emit("$item.x"), "item-outside-each", "5:43"),
        (emit("{ $if: '@.id', $than: x }"), "unknown-operator", "5:58"),
        (emit("{ $extends: base }"), "unknown-template", "5:55"),
        (emit("{ $rest: { form: $.id } }"), "unknown-key", "5:54"),
        (emit("{ $rest: $.properties.* }"), "path-matches-many", "5:52"),
        ("version: 1\ntemplates: {t: {$extends: t}}\nrules: {r: {on: mail.Open, emit: {type: identify, person: u, a: {$extends: t}}}}".into(), "extends-cycle", "2:27"),
        ("version: 1\ntemplates: {t: {a: {$x: 1}}}\nrules: {r: {on: mail.Open, emit: {type: identify, person: u, a: {$extends: t}}, continue: true}, s: {on: mail.Open, emit: {type: identify, person: u, a: {$extends: t}}}}".into(), "unknown-operator", "2:21"),
        ("version: 1\ntemplates: {t: {a: 1}}\nrules: {r: {on: mail.Open, skip: x}}".into(), "unused-template", "2:13"),
        ("version: 1\ntables: {t: {a: 1}}\nrules: {r: {on: mail.Open, skip: x}}".into(), "unused-table", "2:10"),
        ("version: 1\nrules: {r: {on: 'sms.*', skip: x}}".into(), "glob-matches-nothing", "2:17"),
        ("version: 1\nrules: {a: {on: '*', skip: x}, b: {on: mail.Open, skip: x}}".into(), "unreachable-rule", "2:32"),
        (rule("emit: { type: track, person: u }"), "missing-member", "3:3"),
        (rule("emit: { type: track, person: u, evnt: e }"), "unknown-member", "5:37"),
        (rule("emit: { typ: track, person: u, event: e }"), "unknown-member", "5:13"),
        (rule("emit: { type: identify, person: u, propertis: { a: 1 } }"), "unknown-member", "5:40"),
        ("version: 1\ntemplates: {t: {person: u, evnt: e, $rest: $.properties}}\nrules: {r: {on: mail.Open, emit_each: {x: {type: track, $extends: t}, y: {type: identify, $extends: t}}}}".into(), "unknown-member", "2:28"),
        (rule("emit: { type: trakc, person: u }"), "unknown-kind", "5:19"),
        (rule("emit: { type: track, person: u, event: 5 }"), "wrong-member", "5:44"),
        (rule("emit: { type: track, person: u, event: e, timestamp: 5 }"), "wrong-member", "5:58"),
    ];
    let target = Target {
        catalogue: Some(catalogue()),
        document: Some(&SPEC),
    };
    let mut wrong = Vec::new();
    for (text, code, place) in cases {
        let (_, diagnostics, files) = load_one(&text, target, Options::default());
        let got: Vec<(&str, String)> = diagnostics
            .iter()
            .map(|one| {
                (
                    one.code,
                    one.span.map_or_else(String::new, |span| {
                        files
                            .place(span)
                            .rsplit_once("a.yaml:")
                            .expect("a.yaml")
                            .1
                            .to_owned()
                    }),
                )
            })
            .collect();
        if got != [(code, place.to_owned())] {
            wrong.push(format!("{text}\nexpected {code} at {place}, got {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What a message says beside its place: what to write instead.
#[test]
fn messages_say_what_to_write_instead() {
    let emit = |value: &str| {
        format!(
            "version: 1\nrules: {{r: {{on: mail.Open, emit: {{type: identify, person: u, {value}}}}}}}"
        )
    };
    let cases: Vec<(String, &str, &str)> = vec![
        (
            emit("propertis: {a: 1}"),
            "an `identify` has no member `propertis`",
            "did you mean `properties`?",
        ),
        (
            emit("a: $properties.x"),
            "this is the text `$properties.x`; a path begins with `$.`",
            "did you mean `$.properties.x`?",
        ),
        (
            emit("a: {$from: $properties.x}"),
            "a path is expected here, such as `$.properties.url`",
            "did you mean `$.properties.x`?",
        ),
        (
            emit("a: $.properties.a-b.c"),
            "this is not a valid JSONPath (RFC 9535)",
            "write `$.properties['a-b'].c`",
        ),
        (
            emit("a: '$.properties[0].a-b'"),
            "this is not a valid JSONPath (RFC 9535)",
            "write `$.properties[0]['a-b']`",
        ),
        (
            emit("a: $.properties.0"),
            "this is not a valid JSONPath (RFC 9535)",
            "write `$.properties[0]`",
        ),
        (
            emit("a: '$.properties.a-b['"),
            "this is not a valid JSONPath (RFC 9535)",
            "here",
        ),
        (
            emit("a: {$if: \"@.id = 'a'\", $then: 1}"),
            "this is not a valid expression (RFC 9535)",
            "write `==`",
        ),
        (
            emit("a: {$if: \"@.id == 'a=b' &&\", $then: 1}"),
            "this is not a valid expression (RFC 9535)",
            "here",
        ),
    ];
    let target = Target {
        catalogue: Some(catalogue()),
        document: Some(&SPEC),
    };
    for (text, message, label) in cases {
        let (_, diagnostics, _) = load_one(&text, target, Options::default());
        let got: Vec<(&str, &str)> = diagnostics
            .iter()
            .map(|one| (one.message.as_str(), one.label.as_str()))
            .collect();
        assert_eq!(got, [(message, label)], "{text}");
    }
}

#[test]
fn a_rule_without_on_is_told_which_imported_rule_it_may_be_meant_for() {
    let base = "version: 1\nrules: {mail_opened: {on: mail.Open, emit: {type: track, person: u, event: e}}}";
    let cases = [
        (
            "mail_opend: {emit: {event: x}}",
            "did you mean to lay it over `mail_opened`?",
        ),
        (
            "mail_opend: {when: '@.id'}",
            "did you mean to lay it over `mail_opened`?",
        ),
        (
            "other: {emit: {event: x}}",
            "add `on:` with event types, or a pattern such as `orders.*`",
        ),
        // Its neighbour here is none that it could lie over.
        (
            "others: {on: mail.Click, skip: x}, other: {skip: x}",
            "add `on:` with event types, or a pattern such as `orders.*`",
        ),
    ];
    let target = Target {
        catalogue: Some(catalogue()),
        document: Some(&SPEC),
    };
    for (rules, label) in cases {
        let over = format!("version: 1\nimport: [b.yaml]\nrules: {{{rules}}}");
        let parts = [("b.yaml", base), ("a.yaml", over.as_str())];
        let (_, diagnostics, _) = load_files(&parts, "a.yaml", target, Options::default());
        let got: Vec<(&str, &str)> = diagnostics
            .iter()
            .map(|one| (one.code, one.label.as_str()))
            .collect();
        assert_eq!(got, [("missing-on", label)], "{rules}");
    }
}

#[test]
fn an_omit_that_takes_out_nothing_is_told_which_key_may_be_meant() {
    let templates = "t: {type: track, title: $.t, extra: {size: 1}}, no: {title: {$omit: true}}";
    let cases: [(&str, Option<&str>); 13] = [
        ("{$extends: t, title: {$omit: true}}", None),
        (
            "{$extends: t, titel: {$omit: true}}",
            Some("did you mean `title`?"),
        ),
        ("{$extends: t, far: {$omit: true}}", Some("")),
        ("{$extends: t, extra: {size: {$omit: true}}}", None),
        (
            "{$extends: t, extra: {sise: {$omit: true}}}",
            Some("did you mean `size`?"),
        ),
        ("{$extends: t, size: {$omit: true}}", Some("")),
        ("{$extends: [t, no]}", None),
        ("{$extends: [no, t]}", None),
        ("{$extends: t, extra: {$omit: true}}", None),
        ("{titel: {$omit: true}, $copy: $.p}", None),
        ("{titel: {$omit: true}, $rest: $.p}", None),
        (
            "{x: {titel: {$omit: true}, title: 1}, $rest: $.p}",
            Some("did you mean `title`?"),
        ),
        (
            "{x: {$each: $.l, $emit: {titel: {$omit: true}, title: 1}}}",
            Some("did you mean `title`?"),
        ),
    ];
    let labels = |diagnostics: &[Diagnostic]| -> Vec<String> {
        diagnostics
            .iter()
            .filter(|one| one.code != "unused-template")
            .map(|one| format!("{} {}", one.code, one.label))
            .collect()
    };
    for (emit, label) in cases {
        let text = format!(
            "version: 1\ntemplates: {{{templates}}}\nrules: {{r: {{on: x, emit: {emit}}}}}"
        );
        let (_, diagnostics, _) = load_one(&text, Target::default(), Options::default());
        let expected: Vec<String> = label
            .map(|label| format!("omit-nothing {label}"))
            .into_iter()
            .collect();
        assert_eq!(labels(&diagnostics), expected, "{emit}");
    }
    // Over an imported rule and template.
    let base = "version: 1\ntemplates: {t: {a: 1, size: 2}}\nrules: {r: {on: x, emit_each: {one: {$extends: t, title: 1}, two: {a: 1}}}}";
    for (over, expected) in [
        (
            "rules: {r: {emit_each: {one: {title: {$omit: true}}, two: {$omit: true}}}}",
            vec![],
        ),
        ("templates: {t: {size: {$omit: true}}}", vec![]),
        (
            "templates: {t: {sise: {$omit: true}}}",
            vec!["omit-nothing did you mean `size`?"],
        ),
        (
            "rules: {r: {emit_each: {one: {size: {$omit: true}}}}}",
            vec![],
        ),
        (
            "rules: {r: {emit_each: {twa: {$omit: true}}}}",
            vec!["omit-nothing did you mean `two`?"],
        ),
    ] {
        let over = format!("version: 1\nimport: [b.yaml]\n{over}");
        let parts = [("b.yaml", base), ("a.yaml", over.as_str())];
        let (_, diagnostics, _) =
            load_files(&parts, "a.yaml", Target::default(), Options::default());
        assert_eq!(labels(&diagnostics), expected, "{over}");
    }
}

#[test]
fn the_same_name_in_two_files_of_a_folder_is_an_error_with_both_places() {
    let rule = "version: 1\nrules: {r: {on: a, skip: x}}";
    let (_, diagnostics, files) = load_files(
        &[("m/a.yaml", rule), ("m/b.yaml", rule)],
        "m",
        Target::default(),
        Options::default(),
    );
    assert_eq!(diagnostics.len(), 1);
    assert_eq!(diagnostics[0].code, "duplicate-name");
    assert!(
        files
            .place(diagnostics[0].span.expect("place"))
            .ends_with("b.yaml:2:9")
    );
    assert!(
        files
            .place(diagnostics[0].related[0].0)
            .ends_with("a.yaml:2:9")
    );
}

#[test]
fn files_of_a_folder_may_import_one_another() {
    let parts = [
        (
            "m/a.yaml",
            "version: 1\nimport: [t.yaml]\nrules: {r: {on: x, emit: {$extends: t}}}",
        ),
        ("m/t.yaml", "version: 1\ntemplates: {t: {a: 1}}"),
    ];
    for entry in ["m", "m/a.yaml", "m/*.yaml"] {
        let (mapping, diagnostics, _) =
            load_files(&parts, entry, Target::default(), Options::default());
        assert!(diagnostics.is_empty(), "{entry}: {diagnostics:?}");
        assert_eq!(
            body_of(&mapping.expect("good").map(&json!({"event_type": "x"}))),
            r#"{"a":1}"#
        );
    }
}
