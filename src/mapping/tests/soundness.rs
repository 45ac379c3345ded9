//! What `validate` passes never makes a document that the sink's schema refuses.
//!
//! Rules and events are made at random between a catalogue and a document spec that have something
//! of everything; a rule that has no message must make good documents of every event that fits.

use std::sync::OnceLock;

use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

/// Rules made.
const RULES: usize = 600;
/// Events of each type for each rule that passes.
const EVENTS: usize = 24;

static SINK: DocumentSpec = DocumentSpec {
    identity: Some("key"),
    identity_chars_max: 99,
    title: &["type"],
    schema: || {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["type"],
            "properties": {
                "type": {"enum": ["call", "note"]},
                "key": {"type": "string", "minLength": 1},
                "person": {"type": "string", "minLength": 1},
                "visitor": {"type": "string", "minLength": 1},
                "at": {"type": "string", "format": "date-time"},
                "size": {"type": "integer"},
                "ratio": {"type": "number"},
                "tags": {"type": "array"},
                "more": {"type": "object"},
                "flags": {"type": "object", "additionalProperties": {"type": ["boolean", "object"]}},
                "around": {
                    "type": "object",
                    "required": ["lang"],
                    "properties": {
                        "active": {"type": "boolean"},
                        "lang": {"type": "string"},
                        "device": {"type": "object", "properties": {"id": {"type": "string", "minLength": 1}}}
                    }
                }
            }
        })
    },
    kinds: &[
        DocumentKind {
            name: "call",
            required: &[&["person", "visitor"], &["at"]],
            members: &[("key", ValueRule::Text), ("at", ValueRule::Time)],
        },
        DocumentKind {
            name: "note",
            required: &[&["key"]],
            members: &[("more", ValueRule::Object)],
        },
    ],
    kind_member: "type",
};

fn source() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        serde_json::from_value(json!({"version": "1", "events": [
            {"type": "one", "group": "g", "fields": [
                {"path": "id", "type": "string"}, {"path": "time", "type": "timestamp"},
                {"path": "user.a", "type": "string", "nullable": true},
                {"path": "user.b", "type": "string", "nullable": true},
                {"path": "p.n", "type": "integer"}, {"path": "p.f", "type": "number", "nullable": true},
                {"path": "p.yes", "type": "boolean"}, {"path": "p.o", "type": "object", "nullable": true},
                {"path": "p.l", "type": "string_array"}, {"path": "p.j", "type": "json_string"},
                {"path": "p.id", "type": "string", "nullable": true},
                {"path": "q.lang", "type": "string"}, {"path": "q.active", "type": "boolean", "nullable": true}]},
            {"type": "two", "group": "g", "fields": [
                {"path": "id", "type": "string", "nullable": true}, {"path": "ms", "type": "timestamp_ms"},
                {"path": "time", "type": "timestamp", "nullable": true},
                {"path": "user.a", "type": "string"}, {"path": "p.n", "type": "string"},
                {"path": "p.o", "type": "object"}, {"path": "p.l", "type": "string_array", "nullable": true},
                {"path": "p.id", "type": "string"}, {"path": "q.lang", "type": "integer"},
                {"path": "q.active", "type": "string", "storage_only": true}]},
        ]}))
        .expect("catalogue")
    })
}

const PATHS: &[&str] = &[
    "$.id",
    "$.time",
    "$.ms",
    "$.user.a",
    "$.user.b",
    "$.user",
    "$.p.n",
    "$.p.f",
    "$.p.yes",
    "$.p.o",
    "$.p.o.x",
    "$.p.o.x.y",
    "$.p.l",
    "$.p.l[0]",
    "$.p.l[*]",
    "$.p.j",
    "$.p",
    "$.p.id",
    "$.q",
    "$.q.lang",
    "$.q.active",
    "$",
    "$.event_type",
    "$.p.o.l[1]",
    "$..x",
    "$.id.x",
];

fn path() -> impl Strategy<Value = Value> {
    prop::sample::select(PATHS).prop_map(Value::from)
}

fn conversion() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => Just(json!("string")),
        3 => Just(json!("timestamp")),
        2 => Just(json!(["string", "non_empty"])),
        6 => prop::sample::select(vec![
            "timestamp_ms", "integer", "number", "boolean", "json", "json_string", "lowercase",
            "trim", "sha256", "date", "non_empty",
        ]).prop_map(Value::from),
        1 => Just(json!({"round": 1})),
        1 => Just(json!({"split": ","})),
        1 => Just(json!({"replace": {"pattern": "[a-z]", "with": ""}})),
    ]
}

fn policy() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(json!("omit")),
        3 => Just(json!({"skip": "none"})),
        1 => Just(json!({"dead_letter": "none"})),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        "@.user.a",
        "!@.user.a",
        "@.user.a || @.user.b",
        "@.p.n == 1",
        "@.user.b != null",
        "@.p.f < 3",
        "!(@.time == null)",
        "search(@.p.id, 'a')",
        "@.p.yes",
        "@.q.active",
    ])
    .prop_map(Value::from)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => path(),
        1 => Just(json!("text")),
        1 => Just(json!("")),
        1 => Just(json!("2026-09-01T12:00:00Z")),
        1 => Just(json!(5)),
        1 => Just(json!(1.5)),
        1 => Just(json!(true)),
        1 => Just(json!(null)),
        1 => Just(json!({"$const": {"active": 1, "lang": "de"}})),
        1 => Just(json!({"$const": ["a"]})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            5 => (
                prop::collection::vec(path(), 1..3),
                prop::collection::vec(conversion(), 0..3),
                prop::option::of(inner.clone()),
                prop::option::of(policy()),
                prop::option::of(policy()),
                prop::bool::weighted(0.1),
            )
                .prop_map(|(from, conversions, default, missing, invalid, keep)| {
                    let mut made = json!({"$from": from});
                    if !conversions.is_empty() {
                        made["$as"] = json!(conversions);
                    }
                    for (key, value) in [("$default", default), ("$missing", missing), ("$invalid", invalid)] {
                        if let Some(value) = value {
                            made[key] = value;
                        }
                    }
                    if keep {
                        made["$null"] = json!("keep");
                    }
                    made
                }),
            1 => (condition(), inner.clone(), prop::option::of(inner.clone())).prop_map(|(when, yes, no)| {
                let mut made = json!({"$if": when, "$then": yes});
                if let Some(no) = no {
                    made["$else"] = no;
                }
                made
            }),
            1 => prop::sample::select(vec![
                "{$.id}", "a {$.user.b | }", "{$.user.b | none}", "{$.p.o}{$.p.l | }", "{$.user.b | }", "x",
            ])
            .prop_map(|text| json!({"$text": text})),
            1 => (path(), prop::option::of(inner.clone())).prop_map(|(key, default)| {
                let mut lookup = json!({"key": key, "table": {"1": "one", "2": "two", "text": "call"}});
                if let Some(default) = default {
                    lookup["default"] = default;
                }
                json!({"$lookup": lookup})
            }),
            1 => (path(), Just(json!("$item"))).prop_map(|(list, emit)| json!({"$each": list, "$emit": emit})),
            1 => prop::collection::vec((prop::sample::select(vec!["active", "lang", "device", "id", "x"]), inner), 1..3)
                .prop_map(|all| Value::Object(all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
        ]
    })
}

fn spread() -> impl Strategy<Value = Value> {
    (
        prop::sample::select(vec!["$.p", "$.p.o", "$.q", "$.user", "$"]),
        prop::option::of(prop::sample::select(vec!["id", "x", "lang", "active"])),
        prop::option::of(Just("e_")),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(from, only, prefix, keep)| {
            let mut made = json!({"from": from});
            if let Some(only) = only {
                made["only"] = json!([only]);
            }
            if let Some(prefix) = prefix {
                made["prefix"] = json!(prefix);
            }
            if keep {
                made["null"] = json!("keep");
            }
            made
        })
}

fn document() -> impl Strategy<Value = Value> {
    // Half of the members are likely good, so that enough rules pass with one that is not.
    let member = |key: &'static str, share: f64, likely: Vec<Value>| {
        let likely = prop::sample::select(likely);
        let any = prop_oneof![14 => likely, 1 => value()];
        prop::option::weighted(share, any).prop_map(move |value| value.map(|value| (key, value)))
    };
    let text = json!({"$from": "$.user.a", "$missing": {"skip": "none"}});
    let around = prop_oneof![
        1 => value(),
        4 => (prop_oneof![Just(json!("$.p.yes")), value()], prop::option::weighted(0.3, spread())).prop_map(|(active, spread)| {
            let mut made = json!({"lang": {"$from": "$.q.lang", "$as": "string"}, "active": active});
            if let Some(spread) = spread {
                made["$copy"] = spread;
            }
            made
        }),
    ];
    let members = (
        member(
            "person",
            0.7,
            vec![
                text.clone(),
                json!("$.user.a"),
                json!({"$from": ["$.user.b", "$.user.a"]}),
            ],
        ),
        member(
            "visitor",
            0.5,
            vec![
                text,
                json!("$.user.b"),
                json!({"$if": "@.user.b", "$then": "$.user.b", "$else": "x"}),
            ],
        ),
        member(
            "key",
            0.95,
            vec![
                json!("$.id"),
                json!({"$from": "$.id", "$default": "$.p.id"}),
            ],
        ),
        member(
            "at",
            0.9,
            vec![
                json!({"$from": "$.time", "$as": "timestamp", "$missing": {"skip": "x"}}),
                json!({"$from": ["$.time", "$.id"], "$as": "timestamp", "$default": "2026-09-01T12:00:00Z"}),
            ],
        ),
        member(
            "size",
            0.2,
            vec![json!({"$from": "$.p.n", "$as": "integer"}), json!(3)],
        ),
        member(
            "ratio",
            0.2,
            vec![
                json!("$.p.f"),
                json!({"$from": "$.p.f", "$as": {"round": 1}}),
            ],
        ),
        member(
            "tags",
            0.2,
            vec![json!("$.p.l"), json!("$.p.l[*]"), json!(["$.p.n", "x"])],
        ),
        member(
            "flags",
            0.2,
            vec![json!({"a": "$.p.yes"}), json!({"$copy": "$.p.o"})],
        ),
        prop::option::weighted(0.2, around).prop_map(|value| value.map(|value| ("around", value))),
        prop::option::weighted(
            0.5,
            prop_oneof![
                value(),
                spread().prop_map(|spread| json!({"$rest": spread}))
            ],
        )
        .prop_map(|value| value.map(|value| ("more", value))),
    );
    let kind = prop_oneof![
        4 => Just(json!("note")),
        4 => Just(json!("call")),
        1 => Just(json!({"$if": "@.user.a", "$then": "call", "$else": "note"})),
        1 => Just(json!({"$lookup": {"key": "$.p.n", "table": {"1": "call"}, "default": "note"}})),
    ];
    (kind, members, prop::option::weighted(0.05, spread())).prop_map(
        |(kind, (a, b, c, d, e, f, g, h, i, j), spread)| {
            let mut made = json!({"type": kind});
            for (key, value) in [a, b, c, d, e, f, g, h, i, j].into_iter().flatten() {
                made[key] = value;
            }
            if let Some(spread) = spread {
                made["$copy"] = spread;
            }
            made
        },
    )
}

fn rules() -> impl Strategy<Value = Value> {
    let on = prop::sample::select(vec![json!("one"), json!("two"), json!("*")]);
    (
        on,
        document(),
        prop::option::weighted(0.3, condition()),
        prop::option::weighted(0.3, condition()),
    )
        .prop_map(|(on, emit, when, first)| {
            let mut rules = json!({});
            if let Some(first) = first {
                rules["first"] = json!({"on": "*", "when": first, "skip": "first"});
            }
            rules["rule"] = json!({"on": on, "emit": emit});
            if let Some(when) = when {
                rules["rule"]["when"] = when;
            }
            json!({"version": 1, "rules": rules})
        })
}

/// An event that fits the catalogue: any optional field absent or null, any object with any members.
fn event(event: &sluice_sdk::catalogue::EventType, runner: &mut TestRunner) -> Value {
    use sluice_sdk::catalogue::FieldType;
    let mut made = json!({"event_type": event.name});
    let mut draw =
        |strategy: BoxedStrategy<Value>| strategy.new_tree(runner).expect("a value").current();
    let text = || {
        prop::sample::select(vec![
            "a",
            "Kim",
            " 17",
            "2026-09-01T12:00:00Z",
            "true",
            "1.5",
            "a b,c",
        ])
        .prop_map(Value::from)
        .boxed()
    };
    for field in &event.fields {
        if field.nullable || field.storage_only {
            match draw((0..3_u8).prop_map(Value::from).boxed()).as_u64() {
                Some(0) => continue,
                Some(1) => {
                    put(&mut made, &field.path, Value::Null);
                    continue;
                }
                _ => {}
            }
        }
        let members = || {
            let key = prop::sample::select(vec![
                "x", "id", "lang", "active", "l", "device", "key", "e_id",
            ]);
            prop::collection::vec((key, any_json()), 0..5).prop_map(|all| {
                Value::Object(
                    all.into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                )
            })
        };
        let value = draw(match field.kind {
            FieldType::String => text(),
            FieldType::Integer => any::<i64>().prop_map(Value::from).boxed(),
            FieldType::Number => prop_oneof![
                any::<i32>().prop_map(Value::from),
                (-1e6..1e6).prop_map(|it| json!(it))
            ]
            .boxed(),
            FieldType::Boolean => any::<bool>().prop_map(Value::from).boxed(),
            FieldType::Object => members().boxed(),
            FieldType::StringArray => {
                prop::collection::vec(prop_oneof![text(), Just(json!("")).boxed()], 0..3)
                    .prop_map(Value::from)
                    .boxed()
            }
            FieldType::JsonString => any_json()
                .prop_map(|value| Value::from(value.to_string()))
                .boxed(),
            FieldType::Timestamp => (0..4_000_000_000_i64).prop_map(Value::from).boxed(),
            FieldType::TimestampMs => (0..4_000_000_000_000_i64).prop_map(Value::from).boxed(),
        });
        put(&mut made, &field.path, value);
    }
    made
}

fn put(event: &mut Value, path: &str, value: Value) {
    let mut here = event;
    for step in path.split('.') {
        here = &mut here[step];
    }
    *here = value;
}

fn refusal(schema: &jsonschema::Validator, document: &Value) -> Option<String> {
    if let Err(error) = schema.validate(document) {
        return Some(error.to_string());
    }
    let kind = SINK
        .kinds
        .iter()
        .find(|kind| kind.name == document["type"])?;
    let missing = kind
        .required
        .iter()
        .find(|group| group.iter().all(|name| document.get(*name).is_none()));
    missing.map(|group| format!("{} is missing", group.join(" and ")))
}

#[test]
fn rules_that_pass_make_no_document_that_the_sink_refuses() {
    let schema = jsonschema::options()
        .should_validate_formats(true)
        .build(&(SINK.schema)())
        .expect("a schema");
    let target = Target {
        catalogue: Some(source()),
        document: Some(&SINK),
    };
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    let (mut passed, mut documents) = (0, 0);
    let strategy = rules();
    for _ in 0..RULES {
        let rules = strategy.new_tree(&mut runner).expect("rules").current();
        let (mapping, diagnostics, _) = load_one(&rules.to_string(), target, Options::default());
        let Some(mapping) = mapping.filter(|_| diagnostics.is_empty()) else {
            continue;
        };
        passed += 1;
        for kind in &source().events {
            for _ in 0..EVENTS {
                let event = event(kind, &mut runner);
                let Mapped::Documents(made) = mapping.map(&event) else {
                    continue;
                };
                for document in made {
                    documents += 1;
                    let body: Value = serde_json::from_slice(&document.body).expect("JSON");
                    if let Some(why) = refusal(&schema, &body) {
                        panic!("{why}\nrules: {rules:#}\nevent: {event:#}\ndocument: {body:#}");
                    }
                }
            }
        }
    }
    println!("{passed} of {RULES} rules passed and made {documents} documents");
    assert!(passed * 10 > RULES, "{passed} rules passed");
    assert!(documents > RULES, "{documents} documents");
}
