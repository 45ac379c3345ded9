//! What rules may see of personal fields.

use super::*;

/// SHA-256 of `kim@example.org`.
const KIM: &str = "1b8d24966640ed8bce3bc38740387ac29ec37f665830fb435e29c31e44f2f4f0";

fn marked() -> &'static Catalogue {
    static CATALOGUE: std::sync::OnceLock<Catalogue> = std::sync::OnceLock::new();
    CATALOGUE.get_or_init(|| {
        serde_json::from_value(json!({"version": "1", "events": [
            {"type": "open", "group": "g", "fields": [
                {"path": "p.mail", "type": "string", "personal": true},
                {"path": "p.names", "type": "string_array", "personal": true},
                {"path": "p.plan", "type": "string"}]},
            {"type": "quiet", "group": "g", "fields": [{"path": "p.plan", "type": "string"}]},
        ]}))
        .expect("catalogue")
    })
}

fn protected(rules: PersonalRules) -> Mapping {
    let target = Target {
        catalogue: Some(marked()),
        document: None,
    };
    let options = Options {
        personal: rules,
        ..Options::default()
    };
    good(
        "version: 1
rules:
  r:
    on: '*'
    when: \"search(@.p.mail, 'example')\"
    emit:
      path: $.p.mail
      text: { $text: '<{$.p.mail}>' }
      many: { $from: '$..mail' }
      found: { $lookup: { key: $.p.mail, table: { 'kim@example.org': plain } } }
      each: { $each: $.p.names, $emit: $item }
      copied: { $copy: $.p }
      rest: { $rest: { from: $.p, except: [names] } }
      whole: { $from: $, $as: json_string }
",
        target,
        options,
    )
}

fn event(kind: &str) -> Value {
    json!({"event_type": kind, "p": {"mail": " kim@example.org", "names": ["kim@example.org"], "plan": "pro"}})
}

fn made(rules: PersonalRules, kind: &str) -> String {
    let event = event(kind);
    let mapping = protected(rules);
    let plain = mapping.map(&event);
    let bytes = event.to_string();
    let mut mapper = compiled::Mapper::new(std::sync::Arc::new(mapping));
    assert_eq!(plain, mapper.map(kind, bytes.as_bytes()), "both evaluators");
    body_of(&plain)
}

#[test]
fn a_hashed_field_leaves_by_no_way_as_it_is() {
    let rules = PersonalRules {
        default: Treatment::Hash,
        fields: Vec::new(),
    };
    for kind in ["open", "not.in.the.catalogue"] {
        let body = made(rules.clone(), kind);
        assert!(!body.contains("kim") && !body.contains("plain"), "{body}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["path"], KIM);
        assert_eq!(body["each"], json!([KIM]));
        assert_eq!(body["copied"]["plan"], "pro");
    }
}

#[test]
fn what_the_source_says_is_the_type_counts_and_not_a_member_of_the_event() {
    let mapping = protected(PersonalRules {
        default: Treatment::Hash,
        fields: Vec::new(),
    });
    let bytes = event("quiet").to_string();
    let plain = mapping.map_bytes("open", bytes.as_bytes());
    let mut mapper = compiled::Mapper::new(std::sync::Arc::new(mapping));
    assert_eq!(plain, mapper.map("open", bytes.as_bytes()));
    assert!(!body_of(&plain).contains("kim"), "{}", body_of(&plain));
}

#[test]
fn a_dropped_field_is_absent_and_one_that_is_named_passes() {
    let rules = PersonalRules {
        default: Treatment::Drop,
        fields: vec![("names".to_owned(), Treatment::Pass, None)],
    };
    assert_eq!(
        made(rules, "open"),
        r#"{"each":["kim@example.org"],"copied":{"names":["kim@example.org"],"plan":"pro"},"whole":"{\"event_type\":\"open\",\"p\":{\"names\":[\"kim@example.org\"],\"plan\":\"pro\"}}"}"#
    );
}

#[test]
fn an_unmarked_field_is_hashed_by_its_name_and_explained() {
    let rules = PersonalRules {
        default: Treatment::Pass,
        fields: vec![("p.mail".to_owned(), Treatment::Hash, None)],
    };
    let explained = protected(rules).map_explained("open", &event("open"));
    let path = explained
        .fields
        .iter()
        .find(|field| field.output.path == "path")
        .expect("the field");
    assert_eq!(path.output.conversions, ["personal_data: hash"]);
}

#[test]
fn what_is_dropped_cannot_be_what_the_sink_needs() {
    let target = Target {
        catalogue: Some(catalogue()),
        document: Some(&SPEC),
    };
    let options = Options {
        personal: PersonalRules {
            default: Treatment::Pass,
            fields: vec![("id".to_owned(), Treatment::Drop, None)],
        },
        ..Options::default()
    };
    let text = "version: 1\nrules: {r: {on: mail.Open, emit: {type: identify, person: $.id}}}";
    assert!(load_one(text, target, Options::default()).1.is_empty());
    let (_, diagnostics, _) = load_one(text, target, options);
    let codes: Vec<&str> = diagnostics.iter().map(|one| one.code).collect();
    assert_eq!(codes, ["may-be-missing"]);
}
