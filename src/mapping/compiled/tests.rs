//! Both evaluators say the same of every event: generated, mutated, broken.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_sdk::catalogue::EventType;
use sluice_sdk::{DocumentSpec, sources};

use super::*;
use crate::diagnostics::Files;
use crate::mapping::{Expression, Options, Reference, Target, builtin_sets, load};

static SPEC: DocumentSpec = DocumentSpec {
    identity: Some("id"),
    identity_chars_max: 20,
    title: &[],
    schema: || json!({}),
    kinds: &[],
    kind_member: "kind",
};

/// Every operator and conversion, in places of every kind.
const RULES: &str = r#"
version: 1
tables:
  names: { "1": one, a: { b: [1, null] }, "true": yes, "1.0": float }
rules:
  first:
    on: mail.*
    when: "@.a != 1 || length(@.b) > 2 || search(@.c, @.d) || count(@..e) > 1"
    continue: true
    emit_each:
      left:
        id: $.a
        kind: left
        b: { $from: $.b, $as: string, $invalid: omit }
        same: { deep: { x: 1, y: [true] }, none: {} }
        c: { $from: [$.c.d, '$.c["e"]', $.a], $null: keep }
        d: { $from: $.d, $as: [string, uppercase], $default: { $text: '{$.a}-{$.c.a | none}' }, $invalid: omit }
        e: { $lookup: { key: $.e, table: names, default: { $from: $.a } } }
        f: [$.a, { $from: $.b, $as: integer, $invalid: { skip: no b } }, 7, [$.c.a]]
      right:
        id: { $from: $.b, $as: [string, non_empty], $invalid: omit }
        kind: right
        $copy: { from: $.c, except: [a], rename: { b: kind, c: "quoted \" key" }, prefix: c_ }
        list: { $each: $.d, $emit: { x: $item.a, y: { $text: "<{$item.b}>" }, z: { $if: "@.c == 'a'", $then: $.a, $else: $item } }, $invalid: omit }
  second:
    on: mail.*
    when: "@.a == 'a' || @.b >= 2 && !(@.c.d == null) || match(@.e, '[a-c]*')"
    emit:
      id: $.c.a
      number: { $from: $.a, $as: number, $invalid: omit }
      flag: { $from: $.b, $as: boolean, $invalid: omit }
      time: { $from: $.c.b, $as: timestamp, $invalid: omit }
      hash: { $from: $.d, $as: sha256, $invalid: { dead_letter: no text } }
      whole: { $from: $.e, $as: integer, $invalid: omit, $missing: { skip: no e } }
      many: $..a
      last: $.d[-1].b
      each: { $each: $.b, $emit: { $each: $item.a, $emit: { v: $item, w: $.e } , $invalid: omit }, $invalid: omit }
      $rest: { from: $, prefix: r_, except: [event_type] }
  third:
    on: mail.*
    emit: { kind: rest, c: { $rest: { from: $.c }, a: $.a }, n: { $copy: { from: $.c, $null: keep, only: [a, b, c] } } }
"#;

fn mapping(rules: &str, options: Options) -> Arc<Mapping> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), rules).expect("written");
    let target = Target {
        catalogue: None,
        document: Some(&SPEC),
    };
    let mapping = read(".", folder.path(), target, options);
    Arc::new(mapping)
}

fn read(text: &str, base: &Path, target: Target, options: Options) -> Mapping {
    let (mut files, mut diagnostics) = (Files::default(), Vec::new());
    let reference = Reference {
        text: text.to_owned(),
        base: base.to_owned(),
        span: None,
    };
    let mapping = load(
        &[reference],
        &mut files,
        Some(target),
        options,
        &mut diagnostics,
    );
    let format = crate::diagnostics::Format::Human;
    mapping.unwrap_or_else(|| {
        panic!(
            "{}",
            crate::diagnostics::render(&diagnostics, &files, format, false)
        )
    })
}

/// With bodies read, so that spaces and escapes of moved values do not count.
fn comparable(mapped: &Mapped) -> Value {
    match mapped {
        Mapped::Documents(documents) => documents
            .iter()
            .map(|document| {
                let body: Value =
                    serde_json::from_slice(&document.body).expect("a document is JSON");
                json!([
                    &*document.rule,
                    document.name.as_deref(),
                    document.identity(Some(&SPEC)),
                    body
                ])
            })
            .collect(),
        other => json!(format!("{other:?}")),
    }
}

fn assert_same(mapper: &mut Mapper, event_type: &str, event: &[u8]) {
    let fast = comparable(&mapper.map(event_type, event));
    let plain = comparable(&mapper.mapping().map_bytes(event_type, event));
    assert_eq!(fast, plain, "{}", String::from_utf8_lossy(event));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_i64..4_000_000_000).prop_map(Value::from),
        (0_i64..4).prop_map(Value::from),
        (0_u64..60).prop_map(|bits| Value::from(1_u64 << bits)),
        any::<f64>().prop_map(|number| json!(number)),
        "[a-c\"\\\\é\n]{0,3}".prop_map(Value::from),
        "-?[0-9]{1,40}(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,4})?"
            .prop_map(|text| serde_json::from_str(&text).unwrap_or(Value::Null)),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-e]|\"|é", inner), 0..6)
                .prop_map(|all| Value::Object(all.into_iter().collect())),
        ]
    })
}

/// JSON with names that are there twice, spaces and escapes: what a tree would not keep.
fn raw(value: &Value, twice: bool) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| raw(item, twice)).collect();
            format!("[ {}]", items.join(" ,\n"))
        }
        Value::Object(members) => {
            let mut parts: Vec<String> = members
                .iter()
                .map(|(key, value)| {
                    let key = Value::from(key.as_str())
                        .to_string()
                        .replace('b', "\\u0062");
                    format!("{key} : {}", raw(value, twice))
                })
                .collect();
            if let (true, Some(first)) = (twice, parts.first()) {
                parts.push(first.replace('1', "2"));
            }
            format!("{{{}}}", parts.join(", "))
        }
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_event_becomes_the_same(
        event in prop::collection::vec(("[a-e]", any_json()), 0..8),
        as_written in any::<bool>(),
        twice in any::<bool>(),
        cut in prop::option::weighted(0.1, 0_usize..400),
    ) {
        thread_local! {
            static MAPPER: std::cell::RefCell<Mapper> = std::cell::RefCell::new(Mapper::new(mapping(RULES, Options {
                exclude: vec!["mail.excluded".to_owned()],
                when: Some(Expression::parse("@.a != 'c'").expect("an expression")),
                identity_suffix: Some("suffix".to_owned()),
                ..Options::default()
            })));
        }
        let event = Value::Object(event.into_iter().collect());
        let mut text = if as_written { event.to_string() } else { raw(&event, twice) };
        if let Some(at) = cut
            && at < text.len()
            && text.is_char_boundary(at)
        {
            text.truncate(at);
        }
        MAPPER.with_borrow_mut(|mapper| {
            for event_type in ["mail.open", "mail.excluded", "other"] {
                assert_same(mapper, event_type, text.as_bytes());
            }
        });
    }
}

#[test]
fn moved_values_keep_their_bytes() {
    let rules = "version: 1\nrules:\n  r: { on: x, emit: { n: $.n, s: $.s, o: $.o } }\n";
    let mut mapper = Mapper::new(mapping(rules, Options::default()));
    let event = br#" {"o": {"k" : 1E+2},"n":1.50,"s":"\u00e9\/"} "#;
    let Mapped::Documents(documents) = mapper.map("x", event) else {
        panic!("a document was expected");
    };
    assert_eq!(
        documents[0].body,
        br#"{"n":1.50,"s":"\u00e9\/","o":{"k" : 1E+2}}"#.as_slice()
    );
}

/// A small random number generator, so that a failure can be repeated by its number.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).expect("below the limit")
    }
}

/// An event of the catalogue with up to three changes of its bytes.
fn mutated(event: &EventType, number: u64) -> Vec<u8> {
    let mut random = Random(number);
    let mut bytes = event
        .synthesize_with_nulls(number, number, 0.3)
        .to_string()
        .into_bytes();
    const PIECES: [&[u8]; 12] = [
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"null",
        b"1e9",
        b"\\u00e9",
        b"\xff",
        b"\"id\":7,",
    ];
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] = u8::try_from(random.below(256)).expect("a byte"),
            1 => {
                bytes.remove(at);
            }
            2 => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            // A part that is there twice.
            _ => {
                let end = (at + random.below(60)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// `SLUICE_TEST_EVENTS=1000000` for the long form.
#[test]
fn mutated_events_of_the_built_in_sets_become_the_same() {
    let events: u64 = std::env::var("SLUICE_TEST_EVENTS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(20_000);
    let mut tried = 0;
    let catalogues: Vec<_> = sources()
        .into_iter()
        .filter_map(|source| source.catalogue.map(|catalogue| catalogue()))
        .collect();
    let sinks = sluice_sdk::sinks();
    let sets = builtin_sets();
    assert!(!catalogues.is_empty() && !sets.is_empty());
    for catalogue in catalogues {
        for set in &sets {
            for document in sinks.iter().filter_map(|sink| sink.document) {
                let target = Target {
                    catalogue: Some(catalogue),
                    document: Some(document),
                };
                let mapping = read(
                    &format!("builtin:{set}"),
                    Path::new("."),
                    target,
                    Options::default(),
                );
                let mut mapper = Mapper::new(Arc::new(mapping));
                let share = events / (sets.len() as u64) / (catalogue.events.len() as u64) + 1;
                for event in &catalogue.events {
                    let good = event.synthesize(1, 1).to_string();
                    let fast = mapper.map_text(&event.name, &good);
                    assert!(
                        fast.is_ok(),
                        "{} is left to the plain evaluator",
                        event.name
                    );
                    for number in 0..share {
                        assert_same(&mut mapper, &event.name, &mutated(event, number));
                        tried += 1;
                    }
                }
            }
        }
    }
    assert!(tried >= events);
}
