//! What is refused before it travels, settings that are refused, and the pure parts.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::{Value, json};
use sluice_sdk::{Bytes, PathStep, parse_config};
use sluice_segment::prepare::{REASONS, prepare};
use sluice_segment::protocol::{excerpt, retry_after};
use sluice_segment::{SegmentConfig, SegmentSink};

fn refused(document: &str) -> &'static str {
    match prepare(Bytes::from(document.to_owned()), &[]) {
        Ok(bytes) => {
            assert_eq!(bytes, document.as_bytes(), "what passes is not changed");
            "passes"
        }
        Err(rejection) => {
            let mut known = REASONS.iter().map(|(code, _)| *code);
            assert!(known.any(|code| code == rejection.code), "{rejection}");
            rejection.code
        }
    }
}

#[test]
fn documents_that_segment_would_drop_are_refused() {
    let long_id = "x".repeat(101);
    let most = "ü".repeat(100);
    for (document, expected) in [
        (r#"{"type":"track","userId":"u","event":"E"}"#, "passes"),
        (
            r#"{"type":"track","anonymousId":"a","userId":null,"event":"E","properties":{},"context":{"device":{"advertisingId":"x"}},"integrations":{"All":true}}"#,
            "passes",
        ),
        (
            r#"{"type":"identify","userId":"u","traits":{"age":3}}"#,
            "passes",
        ),
        (r#"{"type":"page","userId":"u"}"#, "passes"),
        (r#"{"type":"screen","userId":"u","name":"Home"}"#, "passes"),
        (r#"{"type":"group","userId":"u","groupId":"g"}"#, "passes"),
        (
            r#"{"type":"alias","userId":"u","previousId":"p"}"#,
            "passes",
        ),
        ("not json", "not-json"),
        ("[]", "not-json"),
        (r#"{"type":"track","type":"track"}"#, "not-json"),
        (
            r#"{"type":"identify","userId":"u","context":{"traits":{},"traits":{}}}"#,
            "not-json",
        ),
        (r#"{"type":"identify","userId":"u""#, "not-json"),
        (r#"{"type":"identify","userId":"\ud800"}"#, "not-json"),
        (
            r#"{"t\u0079pe":"identify","user\u0049d":3}"#,
            "id-not-string",
        ),
        (r#"{"type":"identify","userId":"\u0075"}"#, "passes"),
        (r#"{"type":"ident\u0069fy","userId":"u"}"#, "passes"),
        (r#"{"userId":"u"}"#, "no-type"),
        (r#"{"type":1,"userId":"u"}"#, "no-type"),
        (r#"{"type":"tracks","userId":"u"}"#, "unknown-type"),
        (r#"{"type":"track","event":"E"}"#, "no-user"),
        (r#"{"type":"track","event":"E","userId":""}"#, "no-user"),
        (
            r#"{"type":"track","event":"E","userId":7}"#,
            "id-not-string",
        ),
        (
            r#"{"type":"track","event":"E","userId":"u","anonymousId":{}}"#,
            "id-not-string",
        ),
        (r#"{"type":"track","userId":"u"}"#, "no-event"),
        (r#"{"type":"track","userId":"u","event":""}"#, "no-event"),
        (r#"{"type":"track","userId":"u","event":5}"#, "no-event"),
        (r#"{"type":"group","userId":"u"}"#, "no-group"),
        (
            r#"{"type":"alias","anonymousId":"u","previousId":"p"}"#,
            "no-user",
        ),
        (r#"{"type":"alias","userId":"u"}"#, "no-previous-id"),
        (r#"{"type":"page","userId":"u","name":""}"#, "bad-name"),
        (r#"{"type":"screen","userId":"u","category":1}"#, "bad-name"),
        (
            r#"{"type":"track","userId":"u","event":"E","properties":[]}"#,
            "not-an-object",
        ),
        (
            r#"{"type":"identify","userId":"u","traits":"x"}"#,
            "not-an-object",
        ),
        (
            r#"{"type":"identify","userId":"u","context":[]}"#,
            "not-an-object",
        ),
        (
            r#"{"type":"identify","userId":"u","context":{"device":3}}"#,
            "not-an-object",
        ),
        (
            r#"{"type":"identify","userId":"u","integrations":true}"#,
            "not-an-object",
        ),
        (
            r#"{"type":"identify","userId":"u","context":{"device":{"advertisingId":3}}}"#,
            "bad-advertising-id",
        ),
        (
            r#"{"type":"identify","userId":"u","messageId":3}"#,
            "bad-message-id",
        ),
        (
            &format!(r#"{{"type":"identify","userId":"u","messageId":"{long_id}"}}"#),
            "bad-message-id",
        ),
        (
            &format!(r#"{{"type":"identify","userId":"u","messageId":"{most}"}}"#),
            "passes",
        ),
        (
            r#"{"type":"identify","userId":"u","timestamp":"2026-09-01T12:00:00.000Z"}"#,
            "passes",
        ),
        (
            r#"{"type":"identify","userId":"u","timestamp":"2026-09-01T12:00:00+02:00"}"#,
            "passes",
        ),
        (
            r#"{"type":"identify","userId":"u","timestamp":"2026-09-01T12:00:00"}"#,
            "bad-timestamp",
        ),
        (
            r#"{"type":"identify","userId":"u","timestamp":"2026-09-01"}"#,
            "bad-timestamp",
        ),
        (
            r#"{"type":"identify","userId":"u","timestamp":1788264000}"#,
            "bad-timestamp",
        ),
    ] {
        assert_eq!(refused(document), expected, "{document}");
    }
}

#[test]
fn a_rejection_names_no_value() {
    let document = r#"{"type":"track","userId":"someone@example.com","event":"E","timestamp":"someone@example.com"}"#;
    let rejection = prepare(Bytes::from_static(document.as_bytes()), &[]).unwrap_err();
    assert!(!rejection.to_string().contains("someone"), "{rejection}");
}

fn of_length(bytes: usize) -> String {
    let head = r#"{"type":"track","userId":"u","event":"E","properties":{"keep":1.50,"log":""#;
    let tail = r#""}}"#;
    format!(
        "{head}{}{tail}",
        "x".repeat(bytes - head.len() - tail.len())
    )
}

#[test]
fn exactly_32000_bytes_pass_and_one_more_does_not() {
    assert_eq!(refused(&of_length(32_000)), "passes");
    assert_eq!(refused(&of_length(32_001)), "too-large");
}

#[test]
fn what_may_be_left_out_is_and_is_listed() {
    let drop = [
        "properties.nothing".to_owned(),
        "properties.log".to_owned(),
        "properties.keep".to_owned(),
    ];
    let bytes = prepare(of_length(40_000).into(), &drop).unwrap();
    assert_eq!(
        std::str::from_utf8(&bytes).unwrap(),
        r#"{"type":"track","userId":"u","event":"E","properties":{"keep":1.50},"context":{"sluice":{"dropped":["properties.log"]}}}"#
    );
    let error = prepare(of_length(40_000).into(), &["properties.keep".to_owned()]).unwrap_err();
    assert_eq!(error.code, "too-large");
}

fn config_error(settings: Value) -> String {
    let config = parse_config::<SegmentConfig>(settings);
    match config.and_then(SegmentSink::new) {
        Ok(_) => "good".to_owned(),
        Err(error) => {
            let steps: Vec<String> = error
                .path
                .iter()
                .map(|step| match step {
                    PathStep::Key(key) => key.clone(),
                    PathStep::Index(index) => index.to_string(),
                })
                .collect();
            format!("at {}", steps.join("."))
        }
    }
}

#[test]
fn settings_that_do_not_fit_are_told_at_their_key() {
    for (more, expected) in [
        (json!({"region": "us"}), "good"),
        (
            json!({"region": null, "endpoint": "http://127.0.0.1:1"}),
            "good",
        ),
        (
            json!({"endpoint": "https://proxy.example.com/segment/v1/"}),
            "good",
        ),
        (json!({}), "at "),
        (
            json!({"region": "us", "endpoint": "https://x.example"}),
            "at endpoint",
        ),
        (json!({"region": "asia"}), "at region"),
        (json!({"endpoint": "ftp://x.example"}), "at endpoint"),
        (json!({"endpoint": "https://key@x.example"}), "at endpoint"),
        (json!({"endpoint": "nonsense"}), "at endpoint"),
        (json!({"region": "us", "concurrency": 0}), "at concurrency"),
        (json!({"region": "us", "timeout": 0}), "at timeout"),
        (
            json!({"region": "us", "oversize": {"drop": ["properties.a", "userId"]}}),
            "at oversize.drop.1",
        ),
    ] {
        let mut settings = json!({"write_key": "${KEY}"});
        settings
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        assert_eq!(config_error(settings.clone()), expected, "{settings}");
    }
    let typo = parse_config::<SegmentConfig>(json!({"region": "us", "writekey": "x"})).unwrap_err();
    assert!(typo.to_string().contains("writekey"), "{typo}");
}

#[test]
fn the_batch_address_follows_from_region_or_endpoint() {
    for (key, value, expected) in [
        ("region", "us", "https://api.segment.io/v1/batch"),
        (
            "region",
            "eu",
            "https://events.eu1.segmentapis.com/v1/batch",
        ),
        (
            "endpoint",
            "https://p.example",
            "https://p.example/v1/batch",
        ),
        (
            "endpoint",
            "https://p.example/v1",
            "https://p.example/v1/batch",
        ),
        (
            "endpoint",
            "https://p.example/v1/",
            "https://p.example/v1/batch",
        ),
        (
            "endpoint",
            "https://p.example/a/",
            "https://p.example/a/v1/batch",
        ),
        (
            "endpoint",
            "https://p.example/v1/batch",
            "https://p.example/v1/batch",
        ),
    ] {
        let config: SegmentConfig = parse_config(json!({key: value, "write_key": "k"})).unwrap();
        assert_eq!(config.batch_url().unwrap().as_str(), expected);
    }
}

#[test]
fn a_wish_to_wait_comes_in_three_forms() {
    let now = "2026-09-01T12:00:00Z".parse().unwrap();
    let check = |after: Option<&str>, reset: Option<&str>, seconds: Option<u64>| {
        assert_eq!(
            retry_after(after, reset, now),
            seconds.map(Duration::from_secs),
            "{after:?} {reset:?}"
        );
    };
    check(Some("2"), None, Some(2));
    check(Some("Tue, 01 Sep 2026 12:00:09 GMT"), None, Some(9));
    check(Some("Tue, 01 Sep 2026 11:00:00 GMT"), None, None);
    check(None, Some("3"), Some(3));
    check(Some("5"), Some("3"), Some(5));
    check(Some("nonsense"), Some("3"), Some(3));
    check(Some("0"), None, None);
    check(Some("100000"), None, Some(300));
    check(Some("Wed, 01 Sep 2027 12:00:00 GMT"), None, Some(300));
    check(Some("-1"), None, None);
    check(None, None, None);
}

#[test]
fn an_excerpt_is_one_short_line_without_the_key() {
    assert_eq!(excerpt(b"bad\nkey sesame", &["sesame", ""]), "bad key ***");
    assert_eq!(
        excerpt("ü".repeat(500).as_bytes(), &[]).chars().count(),
        200
    );
    assert_eq!(excerpt(b"\xff", &[]), "\u{fffd}");
}

#[test]
fn the_schema_asks_for_what_prepare_asks_for() {
    let schema = sluice_segment::document::schema();
    assert_eq!(schema["properties"]["messageId"]["maxLength"], 100);
    for kind in sluice_segment::document::SPEC.kinds {
        let kinds = schema["properties"]["type"]["enum"].as_array().unwrap();
        assert!(kinds.contains(&json!(kind.name)), "{}", kind.name);
    }
}
