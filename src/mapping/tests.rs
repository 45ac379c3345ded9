use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_sdk::catalogue::Catalogue;
use sluice_sdk::{DocumentKind, DocumentSpec, ValueRule};

mod paths;
mod personal;
mod soundness;

use super::*;
use crate::diagnostics::render;
use crate::diagnostics::{Diagnostic, Files};

static SPEC: DocumentSpec = DocumentSpec {
    identity: Some("messageId"),
    identity_chars_max: 99,
    title: &["type", "event"],
    schema: || {
        json!({"additionalProperties": false, "properties": {
            "type": {}, "event": {}, "person": {}, "visitorName": {}, "messageId": {},
            "timestamp": {}, "properties": {}, "a": {}}})
    },
    kinds: &[
        DocumentKind {
            name: "track",
            required: &[&["event"], &["person", "visitorName"]],
            members: &[
                ("event", ValueRule::Text),
                ("timestamp", ValueRule::Time),
                ("properties", ValueRule::Object),
            ],
        },
        DocumentKind {
            name: "identify",
            required: &[&["person", "visitorName"]],
            members: &[],
        },
    ],
    kind_member: "type",
};

fn catalogue() -> &'static Catalogue {
    static CATALOGUE: std::sync::OnceLock<Catalogue> = std::sync::OnceLock::new();
    CATALOGUE.get_or_init(|| {
        serde_json::from_value(json!({"version": "1", "events": [
            {"type": "mail.Open", "group": "mail", "fields": [
                {"path": "id", "type": "string"}, {"path": "time", "type": "timestamp"},
                {"path": "properties.email_address", "type": "string"},
                {"path": "properties.custom", "type": "object"}]},
            {"type": "mail.Click", "group": "mail", "aliases": ["mail.Clicked"], "fields": [
                {"path": "id", "type": "string"}, {"path": "properties.url", "type": "string"}]},
        ]}))
        .expect("catalogue")
    })
}

fn write(folder: &Path, parts: &[(&str, &str)]) {
    for (name, text) in parts {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        std::fs::write(path, text).expect("write");
    }
}

fn load_files(
    parts: &[(&str, &str)],
    entry: &str,
    target: Target,
    options: Options,
) -> (Option<Mapping>, Vec<Diagnostic>, Files) {
    let folder = tempfile::tempdir().expect("folder");
    write(folder.path(), parts);
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let reference = Reference {
        text: entry.to_owned(),
        base: folder.path().to_owned(),
        span: None,
    };
    let mapping = load(
        &[reference],
        &mut files,
        Some(target),
        options,
        &mut diagnostics,
    );
    (mapping, diagnostics, files)
}

fn load_one(
    text: &str,
    target: Target,
    options: Options,
) -> (Option<Mapping>, Vec<Diagnostic>, Files) {
    load_files(&[("a.yaml", text)], "a.yaml", target, options)
}

fn good(text: &str, target: Target, options: Options) -> Mapping {
    let (mapping, diagnostics, files) = load_one(text, target, options);
    mapping.unwrap_or_else(|| {
        panic!(
            "{}",
            render(
                &diagnostics,
                &files,
                crate::diagnostics::Format::Human,
                false
            )
        )
    })
}

fn indented(text: &str, by: usize) -> String {
    text.lines()
        .map(|line| format!("{}{line}\n", " ".repeat(by)))
        .collect()
}

fn outcome(emit: &str, event: &str) -> Mapped {
    let yaml = format!(
        "version: 1\nrules:\n  r:\n    on: '*'\n    emit:\n{}",
        indented(emit, 6)
    );
    let event: Value = serde_json::from_str(event).expect("event");
    good(&yaml, Target::default(), Options::default()).map(&event)
}

fn body_of(mapped: &Mapped) -> String {
    match mapped {
        Mapped::Documents(documents) => {
            String::from_utf8(documents[0].body.to_vec()).expect("UTF-8")
        }
        other => format!("{other:?}"),
    }
}

/// The body of a rule's `emit`, an event, the document, byte for byte.
#[track_caller]
fn check(emit: &str, event: &str, document: &str) {
    assert_eq!(body_of(&outcome(emit, event)), document, "{emit}");
}

#[track_caller]
fn dead(emit: &str, event: &str, reason: &str) {
    match outcome(emit, event) {
        Mapped::Dead { reason: got, .. } => assert_eq!(got, reason, "{emit}"),
        other => panic!("{emit}: {other:?}"),
    }
}

#[track_caller]
fn skipped(emit: &str, event: &str, reason: &str) {
    match outcome(emit, event) {
        Mapped::Skipped { reason: got, .. } => assert_eq!(got, reason, "{emit}"),
        other => panic!("{emit}: {other:?}"),
    }
}

#[test]
fn values_and_paths() {
    for (emit, event, document) in [
        (
            "a: 1\nb: text\nc: true\nd: 1.50",
            "{}",
            r#"{"a":1,"b":"text","c":true,"d":1.50}"#,
        ),
        ("a: $.x", r#"{"x":1.10}"#, r#"{"a":1.10}"#),
        (
            "a: $.x",
            r#"{"x":12345678901234567890123}"#,
            r#"{"a":12345678901234567890123}"#,
        ),
        ("a: $.x.y\nb: 1", r#"{"x":{"y":null}}"#, r#"{"b":1}"#),
        ("a: { b: { c: $.x } }\nd: 1", "{}", r#"{"d":1}"#),
        ("a: {}", "{}", r#"{"a":{}}"#),
        ("a: $.x", r#"{"x":{}}"#, r#"{"a":{}}"#),
        (
            "a: $5\nb: $USD\nc: $items",
            "{}",
            r#"{"a":"$5","b":"$USD","c":"$items"}"#,
        ),
        (
            "a: $.x[-1]\nb: $['x'][0]",
            r#"{"x":[1,2]}"#,
            r#"{"a":2,"b":1}"#,
        ),
        (
            "a: $.x[*].n",
            r#"{"x":[{"n":1},{"n":null},{"m":3},{"n":"z"}]}"#,
            r#"{"a":[1,"z"]}"#,
        ),
        ("a: $.x[*].n\nb: 1", r#"{"x":[]}"#, r#"{"b":1}"#),
        (
            "a: \"$.x[?@.k == 'a'].n\"",
            r#"{"x":[{"k":"a","n":1},{"k":"b","n":2}]}"#,
            r#"{"a":[1]}"#,
        ),
        ("a: [$.x, two, $.y]", r#"{"x":1}"#, r#"{"a":[1,"two"]}"#),
        ("a: $", r#"{"x":1}"#, r#"{"a":{"x":1}}"#),
    ] {
        check(emit, event, document);
    }
}

#[test]
fn operators() {
    for (emit, event, document) in [
        ("a: { $from: $.x }", r#"{"x":1}"#, r#"{"a":1}"#),
        (
            "a: { $from: [$.x, $.y, $.z] }",
            r#"{"x":null,"y":2,"z":3}"#,
            r#"{"a":2}"#,
        ),
        ("a: { $from: $.x, $default: none }", "{}", r#"{"a":"none"}"#),
        (
            "a: { $from: $.x, $default: $.y }",
            r#"{"y":2}"#,
            r#"{"a":2}"#,
        ),
        (
            "a: { $from: $.x, $null: keep }",
            r#"{"x":null}"#,
            r#"{"a":null}"#,
        ),
        (
            "a: { $from: [$.x, $.y], $null: keep }",
            r#"{"x":null,"y":1}"#,
            r#"{"a":1}"#,
        ),
        (
            "a: { $const: { $from: $.x } }",
            "{}",
            r#"{"a":{"$from":"$.x"}}"#,
        ),
        (
            "a: { $lookup: { key: $.x, table: { ios: iOS } } }",
            r#"{"x":"ios"}"#,
            r#"{"a":"iOS"}"#,
        ),
        (
            "a: { $lookup: { key: $.x, table: { '1': one } } }",
            r#"{"x":1}"#,
            r#"{"a":"one"}"#,
        ),
        (
            "a: { $lookup: { key: $.x, table: { ios: iOS }, default: $.x } }",
            r#"{"x":"web"}"#,
            r#"{"a":"web"}"#,
        ),
        (
            "a: { $lookup: { key: { $from: $.x, $as: lowercase }, table: { ios: iOS } } }",
            r#"{"x":"IOS"}"#,
            r#"{"a":"iOS"}"#,
        ),
        (
            "a: { $text: \"{$.x} / {$.y | none}\" }",
            r#"{"x":"A"}"#,
            r#"{"a":"A / none"}"#,
        ),
        (
            "a: { $text: \"{$.x} / {$.y}\" }\nb: 1",
            r#"{"x":"A"}"#,
            r#"{"b":1}"#,
        ),
        (
            "a: { $text: \"{{{$.x}}} it's {$.y | don't}\" }",
            r#"{"x":1.0}"#,
            r#"{"a":"{1.0} it's don't"}"#,
        ),
        (
            "a: { $text: \"{$['a}|b']}\" }",
            r#"{"a}|b":"ok"}"#,
            r#"{"a":"ok"}"#,
        ),
        (
            "a: { $if: \"@.x == 1\", $then: one, $else: $.y }",
            r#"{"x":1.0}"#,
            r#"{"a":"one"}"#,
        ),
        (
            "a: { $if: \"@.x == 1\", $then: one, $else: $.y }",
            r#"{"y":2}"#,
            r#"{"a":2}"#,
        ),
        (
            "a: { $if: \"@.x\", $then: { b: $.x } }\nc: 1",
            "{}",
            r#"{"c":1}"#,
        ),
        (
            "a: { $each: $.x, $emit: { n: $item.n, t: $.t } }",
            r#"{"t":9,"x":[{"n":1},{"n":2}]}"#,
            r#"{"a":[{"n":1,"t":9},{"n":2,"t":9}]}"#,
        ),
        (
            "a: { $each: $.x, $emit: $item }",
            r#"{"x":[]}"#,
            r#"{"a":[]}"#,
        ),
        (
            "a: { $each: { $from: $.x, $as: json }, $emit: $item.n }",
            r#"{"x":"[{\"n\":1},{}]"}"#,
            r#"{"a":[1]}"#,
        ),
        (
            "a: { $each: $.x, $emit: { $if: \"@.n > 1\", $then: $item.n } }",
            r#"{"x":[{"n":1},{"n":2}]}"#,
            r#"{"a":[2]}"#,
        ),
        (
            "a: { $each: $.x, $emit: { n: $item.n, r: { $rest: $item } } }",
            r#"{"x":[{"n":1,"m":2}]}"#,
            r#"{"a":[{"n":1,"r":{"m":2}}]}"#,
        ),
    ] {
        check(emit, event, document);
    }
    skipped(
        "a: { $from: $.x, $missing: { skip: no x } }",
        r#"{"x":null}"#,
        "no x",
    );
    dead(
        "a: { $from: $.x, $missing: { dead_letter: no x } }",
        "{}",
        "no x",
    );
    dead(
        "a: { $from: $.x, $as: integer }",
        r#"{"x":"a"}"#,
        "invalid integer",
    );
    dead(
        "a: { $each: $.x, $emit: $item }",
        r#"{"x":1}"#,
        "invalid $each",
    );
    skipped(
        "a: { $from: $.x, $as: integer, $invalid: { skip: odd x } }",
        r#"{"x":"a"}"#,
        "odd x",
    );
    check(
        "a: { $from: $.x, $as: integer, $invalid: omit }\nb: 1",
        r#"{"x":"a"}"#,
        r#"{"b":1}"#,
    );
}

#[test]
fn conversions() {
    for (conversion, value, expected) in [
        ("string", "1.50", r#""1.50""#),
        ("string", "true", r#""true""#),
        ("integer", r#""42""#, "42"),
        ("integer", "3.0", "3"),
        ("number", r#""1.50""#, "1.50"),
        ("boolean", r#""TRUE""#, "true"),
        ("boolean", "0", "false"),
        ("timestamp", "1788264000", r#""2026-09-01T12:00:00.000Z""#),
        (
            "timestamp",
            "1788264000.1239",
            r#""2026-09-01T12:00:00.124Z""#,
        ),
        (
            "timestamp",
            r#""1788264000""#,
            r#""2026-09-01T12:00:00.000Z""#,
        ),
        (
            "timestamp",
            r#""2026-09-01T14:00:00.9999+02:00""#,
            r#""2026-09-01T12:00:00.999Z""#,
        ),
        (
            "timestamp",
            r#""2026-09-01 12:00:00""#,
            r#""2026-09-01T12:00:00.000Z""#,
        ),
        (
            "timestamp_ms",
            "1788264000123",
            r#""2026-09-01T12:00:00.123Z""#,
        ),
        ("date", "1788264000", r#""2026-09-01""#),
        ("json", r#""{\"a\":1.0}""#, r#"{"a":1.0}"#),
        ("json_string", r#"{"a":1}"#, r#""{\"a\":1}""#),
        ("lowercase", r#""AbC""#, r#""abc""#),
        ("uppercase", r#""AbC""#, r#""ABC""#),
        ("trim", r#""  a ""#, r#""a""#),
        ("non_empty", r#"" ""#, r#"" ""#),
        ("[string, non_empty]", r#""a""#, r#""a""#),
        ("[string, non_empty]", "7", r#""7""#),
        (
            "sha256",
            r#""abc""#,
            r#""ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad""#,
        ),
        (
            "{ hmac_sha256: { key: key } }",
            r#""The quick brown fox jumps over the lazy dog""#,
            r#""f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8""#,
        ),
        ("{ round: 2 }", "3.14159", "3.14"),
        ("{ round: 0 }", "2.5", "3"),
        ("{ round: 2 }", "5", "5"),
        ("{ split: ',' }", r#""a, b,c""#, r#"["a","b","c"]"#),
        (
            "{ replace: { pattern: '[0-9]+', with: '#' } }",
            r#""a12b3""#,
            r##""a#b#""##,
        ),
        (
            "[trim, lowercase, sha256]",
            r#"" ABC ""#,
            r#""ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad""#,
        ),
    ] {
        check(
            &format!("a: {{ $from: $.x, $as: {conversion} }}"),
            &format!(r#"{{"x":{value}}}"#),
            &format!(r#"{{"a":{expected}}}"#),
        );
    }
    for (conversion, value) in [
        ("integer", "1.5"),
        ("number", r#""x""#),
        ("boolean", r#""yes""#),
        ("timestamp", "1e30"),
        ("timestamp", "999999999999999999999999"),
        ("timestamp", "true"),
        ("timestamp", r#""soon""#),
        ("timestamp", "-99999999999999"),
        ("timestamp", "253402300800"),
        ("json", r#""{""#),
        ("string", "{}"),
        ("lowercase", "1"),
        ("non_empty", "1"),
        ("sha256", "[]"),
    ] {
        let name = conversion;
        dead(
            &format!("a: {{ $from: $.x, $as: {conversion} }}"),
            &format!(r#"{{"x":{value}}}"#),
            &format!("invalid {name}"),
        );
    }
}

#[test]
fn spreads() {
    let event = r#"{"p":{"a":1,"b":2,"c":null,"d":{"e":5}},"q":{"a":9}}"#;
    for (emit, document) in [
        ("p: { $rest: $.p }", r#"{"p":{"a":1,"b":2,"d":{"e":5}}}"#),
        (
            "x: $.p.a\np: { $rest: { from: $.p } }",
            r#"{"x":1,"p":{"b":2,"d":{"e":5}}}"#,
        ),
        (
            "x: $.p.d.e\np: { $rest: { from: $.p, except: [a] } }",
            r#"{"x":5,"p":{"b":2,"d":{"e":5}}}"#,
        ),
        (
            "p: { $rest: { from: $.p, prefix: p_, null: keep } }",
            r#"{"p":{"p_a":1,"p_b":2,"p_c":null,"p_d":{"e":5}}}"#,
        ),
        (
            "x: { $if: \"@.p.a == 1\", $then: yes }\np: { $rest: $.p }",
            r#"{"x":"yes","p":{"a":1,"b":2,"d":{"e":5}}}"#,
        ),
        (
            "x: { $text: \"{$.p.a}\" }\np: { $rest: $.p }",
            r#"{"x":"1","p":{"b":2,"d":{"e":5}}}"#,
        ),
        (
            "x: $.p\ny: { $rest: $.p }",
            r#"{"x":{"a":1,"b":2,"c":null,"d":{"e":5}}}"#,
        ),
        (
            "p: { a: $.q.a, $rest: $.p }",
            r#"{"p":{"a":9,"b":2,"d":{"e":5}}}"#,
        ),
        (
            "p: { $copy: { from: $.p, only: [a, c] }, z: { $rest: $.p } }",
            r#"{"p":{"z":{"b":2,"d":{"e":5}},"a":1}}"#,
        ),
        (
            "p: { $copy: { from: $.p, except: [d], rename: { a: aa }, prefix: x_ } }",
            r#"{"p":{"aa":1,"x_b":2}}"#,
        ),
        (
            "p: { $copy: { from: $.p }, a: { $omit: true } }",
            r#"{"p":{"b":2,"d":{"e":5}}}"#,
        ),
        (
            "p: { $copy: [{ from: $.q }, { from: $.p, only: [a, b] }] }",
            r#"{"p":{"a":9,"b":2}}"#,
        ),
        ("p: { $rest: $.nothing }\nz: 1", r#"{"z":1}"#),
        ("p: { $rest: $.p.a }\nz: 1", r#"{"z":1}"#),
    ] {
        check(emit, event, document);
    }
}

#[test]
fn templates_merge_deeply_and_what_is_here_wins() {
    let yaml = "version: 1
templates:
  base: { a: 1, o: { x: 1, y: 2 }, l: [1, 2], v: { $from: $.v, $default: none } }
  more: { $extends: base, o: { y: 3, z: $.z } }
  value: { $from: $.v, $as: uppercase }
tables:
  names: { a: Alpha }
rules:
  r:
    on: '*'
    emit:
      $extends: more
      a: { $omit: true }
      o: { $extends: base, x: 9 }
      l: [3]
      n: { $lookup: { key: $.k, table: names } }
      v: { $extends: value }
";
    let mapping = good(yaml, Target::default(), Options::default());
    let event = json!({"z": 7, "v": "v", "k": "a"});
    assert_eq!(
        body_of(&mapping.map(&event)),
        r#"{"o":{"x":9,"y":3,"z":7,"a":1,"o":{"x":1,"y":2},"l":[1,2],"v":"v"},"l":[3],"v":"V","n":"Alpha"}"#
    );
}

#[test]
fn expressions() {
    for (when, event, holds) in [
        ("@.a", r#"{"a":false}"#, true),
        ("@.a", r#"{"a":null}"#, false),
        ("!@.a", r#"{"a":null}"#, true),
        ("@.a == null", "{}", true),
        ("@.a != null", r#"{"a":null}"#, false),
        ("@.a != true", "{}", true),
        ("@.a == 'x' && @.b > 1", r#"{"a":"x","b":2}"#, true),
        ("@.a == 'x' || @.b > 1", r#"{"a":"y","b":1}"#, false),
        ("!(@.a == 1)", r#"{"a":2}"#, true),
        ("@.a == 1", r#"{"a":1.0}"#, true),
        ("@.a < 'b'", r#"{"a":"a"}"#, true),
        ("@.a < 1", r#"{"a":"a"}"#, false),
        ("match(@.a, 'x+')", r#"{"a":"xxy"}"#, false),
        ("search(@.a, 'x+')", r#"{"a":"xxy"}"#, true),
        ("length(@.a) > 2", r#"{"a":"xxy"}"#, true),
        ("count(@.a[*]) == 2", r#"{"a":[1,2]}"#, true),
        ("value(@.a[?@.b]) == 1", r#"{"a":[1]}"#, false),
        ("@.a[?@.b == 2]", r#"{"a":[{"b":2}]}"#, true),
        ("@.a == @.b", "{}", true),
        ("@['a b'] == \"it's\"", r#"{"a b":"it's"}"#, true),
    ] {
        let event: Value = serde_json::from_str(event).expect("event");
        assert_eq!(
            Expression::parse(when).expect(when).holds(&event),
            holds,
            "{when} on {event}"
        );
    }
    for wrong in [
        "",
        "@.a ==",
        "length(@.a)",
        "match(@.a, 'x') == true",
        "count(@.a)",
        "$.a == 1",
        "@.a[?$.b]",
        "foo(@.a)",
        "in(@.a, @.b)",
        "match(@.a, '(')",
        "length(@.*) > 1",
        "@.a] || [?@.b",
        "1",
    ] {
        assert!(Expression::parse(wrong).is_err(), "{wrong}");
    }
}

fn names(mapped: &Mapped) -> String {
    match mapped {
        Mapped::Documents(all) => all
            .iter()
            .map(|one| {
                format!(
                    "{}/{}={}",
                    one.rule,
                    one.name.as_deref().unwrap_or("-"),
                    one.identity(Some(&SPEC)).as_deref().unwrap_or("-")
                )
            })
            .collect::<Vec<_>>()
            .join(" "),
        Mapped::Skipped { reason, .. } => format!("skipped {reason}"),
        Mapped::Dead { reason, .. } => format!("dead {reason}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_first_rule_that_holds_runs_and_continue_lets_the_next_run() {
    let yaml = "version: 1
rules:
  odd: { on: 'mail.*', when: '@.odd', skip: odd one }
  all: { on: '*', when: '@.all', continue: true, emit: { type: track, event: All, person: $.u, messageId: $.id } }
  opted: { on: mail.Click, opt_in: ask first, emit: { type: track, event: C, person: $.u, messageId: $.id } }
  two:
    on: mail.Open
    emit_each:
      track: { type: track, event: O, person: { $from: $.u, $missing: { skip: no user } }, messageId: $.id }
      who: { type: identify, person: { $from: $.v, $missing: { skip: no v }, $as: integer }, messageId: $.id }
";
    let target = Target {
        catalogue: None,
        document: Some(&SPEC),
    };
    let run = |options: Options, event: Value| names(&good(yaml, target, options).map(&event));
    let plain = Options::default;
    assert_eq!(
        run(plain(), json!({"event_type": "mail.Open", "odd": 1})),
        "skipped odd one"
    );
    assert_eq!(
        run(
            plain(),
            json!({"event_type": "mail.Open", "u": "u", "v": 1, "id": "i"})
        ),
        "two/track=i:track two/who=i:who"
    );
    assert_eq!(
        run(
            plain(),
            json!({"event_type": "mail.Open", "u": "u", "id": "i"})
        ),
        "two/track=i:track"
    );
    assert_eq!(
        run(plain(), json!({"event_type": "mail.Open", "id": "i"})),
        "skipped no user"
    );
    assert_eq!(
        run(
            plain(),
            json!({"event_type": "mail.Open", "u": "u", "v": "x", "id": "i"})
        ),
        "dead invalid integer"
    );
    assert_eq!(
        run(
            plain(),
            json!({"event_type": "mail.Open", "all": 1, "u": "u", "v": 1, "id": "i"})
        ),
        "all/-=i two/track=i:track:two two/who=i:who:two"
    );
    assert_eq!(
        run(
            plain(),
            json!({"event_type": "mail.Click", "all": 1, "u": "u", "id": "i"})
        ),
        "all/-=i"
    );
    assert_eq!(
        run(
            plain(),
            json!({"event_type": "mail.Click", "u": "u", "id": "i"})
        ),
        "skipped not opted in: ask first"
    );
    assert_eq!(run(plain(), json!({"event_type": "other"})), "Unmapped");
    assert_eq!(run(plain(), json!([1])), "dead not an object");
    let include = |names: &[&str]| Options {
        include: names.iter().map(|one| (*one).to_owned()).collect(),
        ..Options::default()
    };
    assert_eq!(
        run(
            include(&["mail.Click"]),
            json!({"event_type": "mail.Click", "u": "u", "id": "i"})
        ),
        "opted/-=i"
    );
    assert_eq!(
        run(
            include(&["mail.*"]),
            json!({"event_type": "mail.Click", "u": "u"})
        ),
        "skipped not opted in: ask first"
    );
    assert_eq!(
        run(include(&["mail.Click"]), json!({"event_type": "mail.Open"})),
        "NotSelected"
    );
    let suffix = Options {
        identity_suffix: Some("c".to_owned()),
        ..Options::default()
    };
    assert_eq!(
        run(
            suffix.clone(),
            json!({"event_type": "mail.Open", "u": "u", "id": "i"})
        ),
        "two/track=i:track:c"
    );
    let long = run(
        suffix,
        json!({"event_type": "x", "all": 1, "u": "u", "id": "i".repeat(99)}),
    );
    assert_eq!(long.len(), "all/-=".len() + 64);
    assert_eq!(
        names(&good(yaml, target, plain()).map_bytes("x", b"{")),
        "dead not JSON"
    );
}

#[test]
fn an_overlay_changes_and_adds() {
    let base = "version: 1
templates:
  engagement: { type: track, person: $.u, properties: { a: $.p.a } }
rules:
  opened: { on: mail.Open, emit: { $extends: engagement, event: Opened } }
  clicked: { on: mail.Click, emit: { $extends: engagement, event: Clicked } }
  third: { on: mail.Third, skip: nothing }
";
    let over = "version: 1
import: [../base]
templates:
  engagement: { properties: { $rest: { from: $.p } } }
rules:
  opened: { emit: { event: Newsletter Opened } }
  clicked: { skip: too many }
  third: { emit: { type: track } }
  first: { on: mail.Open, when: '@.first', skip: first }
";
    let parts = [
        ("base/b.yaml", base),
        ("over/o.yaml", over),
        ("base/x.test.yaml", "not: read"),
    ];
    let (mapping, diagnostics, _) =
        load_files(&parts, "over", Target::default(), Options::default());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let mapping = mapping.expect("good");
    let order: Vec<&str> = mapping
        .rules()
        .iter()
        .map(|rule| rule.name.as_str())
        .collect();
    assert_eq!(order, ["first", "opened", "clicked", "third"]);
    assert_eq!(
        body_of(&mapping.map(&json!({"event_type": "mail.Open", "u": "u", "p": {"a": 1, "b": 2}}))),
        r#"{"type":"track","person":"u","properties":{"a":1,"b":2},"event":"Newsletter Opened"}"#
    );
    assert_eq!(
        names(&mapping.map(&json!({"event_type": "mail.Click"}))),
        "skipped too many"
    );
    assert_eq!(
        names(&mapping.map(&json!({"event_type": "mail.Third"}))),
        "third/-=-"
    );
}

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
        (rule("when: '@.idd'\n    skip: x"), "unknown-field", "5:11"),
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
            "this is plain text; a path begins with `$.`",
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
            "use `==`",
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
        ("other: {emit: {event: x}}", "add `on: a.type.or.*`"),
        // Its neighbour here is none that it could lie over.
        (
            "others: {on: mail.Click, skip: x}, other: {skip: x}",
            "add `on: a.type.or.*`",
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

#[test]
fn an_alias_of_a_type_is_the_type() {
    let target = Target {
        catalogue: Some(catalogue()),
        document: None,
    };
    let mapping = good(
        "version: 1\nrules: {r: {on: mail.Click, emit: {a: 1}}}",
        target,
        Options::default(),
    );
    assert_eq!(
        body_of(&mapping.map(&json!({"event_type": "mail.Clicked"}))),
        r#"{"a":1}"#
    );
    assert!(mapping.selects("mail.Clicked") && !mapping.selects("mail.Open"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(Value::from),
        "-?[0-9]{1,40}(\\.[0-9]{1,5})?(e[0-9]{1,4})?"
            .prop_map(|text| serde_json::from_str(&text).unwrap_or(Value::Null)),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-e]", inner), 0..5)
                .prop_map(|all| Value::Object(all.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_event_makes_the_evaluator_panic(event in any_json()) {
        static MAPPING: std::sync::OnceLock<Mapping> = std::sync::OnceLock::new();
        let mapping = MAPPING.get_or_init(|| good("version: 1
rules:
  r:
    on: '*'
    when: \"@.a != 1 || length(@.b) > 2 || search(@.c, @.d) || count(@..e) > 1\"
    emit:
      a: { $from: [$.a, '$.b[-1]', $.c.d], $as: [string, timestamp], $invalid: omit }
      b: { $from: $..a, $as: json_string }
      c: { $from: $.b, $as: { round: 3 }, $invalid: omit }
      d: { $each: $.c, $emit: { x: $item.a, $rest: $item }, $invalid: omit }
      e: { $text: '{$.a | x}{$.d}' }
      f: { $from: $.d, $as: [integer, timestamp_ms], $invalid: omit }
      g: { $from: $.e, $as: date, $invalid: omit }
      $rest: { from: $, prefix: r_ }
", Target::default(), Options::default()));
        let event = if event.is_object() { event } else { json!({"a": event.clone(), "b": event.clone(), "d": event.clone(), "e": event}) };
        let first = mapping.map(&event);
        prop_assert_eq!(&first, &mapping.map(&event));
        if let Mapped::Documents(documents) = first {
            prop_assert!(serde_json::from_slice::<Value>(&documents[0].body).is_ok());
        }
    }
}

#[test]
fn every_built_in_set_is_checked_without_a_message() {
    let mut wrong = Vec::new();
    for set in builtin_sets() {
        let (mut files, mut diagnostics) = (Files::default(), Vec::new());
        let reference = Reference {
            text: format!("builtin:{set}"),
            base: std::path::PathBuf::new(),
            span: None,
        };
        let options = Options::default();
        assert!(load(&[reference], &mut files, None, options, &mut diagnostics).is_some());
        let format = crate::diagnostics::Format::Human;
        wrong.push(render(&diagnostics, &files, format, false));
    }
    assert_eq!(wrong.concat(), "");
}
