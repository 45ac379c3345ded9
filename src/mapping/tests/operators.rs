//! The operators of the language, a table each.

use super::*;

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
