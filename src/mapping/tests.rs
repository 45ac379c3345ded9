use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_sdk::catalogue::Catalogue;
use sluice_sdk::{DocumentKind, DocumentSpec, ValueRule};

mod messages;
mod operators;
mod paths;
mod personal;
mod rules;
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
