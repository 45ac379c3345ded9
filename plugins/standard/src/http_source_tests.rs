//! What is taken from a body, and whose signature counts.

use serde_json::{Value, json};
use sluice_sdk::Submission;

use super::*;

fn source(more: Value) -> HttpSource {
    let mut settings = json!({"allow_unauthenticated": true});
    let all = settings.as_object_mut().expect("an object");
    all.extend(more.as_object().expect("an object").clone());
    HttpSource::new(sluice_sdk::parse_config(settings).expect("settings")).expect("a source")
}

/// The ids of the events, and the reasons of what was set aside.
fn split(settings: Value, body: &str) -> (Vec<String>, Vec<String>) {
    let found = source(settings).events.split(Bytes::from(body.to_owned()));
    let Submission {
        body,
        events,
        malformed,
    } = found.unwrap_or_default();
    for event in &events {
        let slice = &body[event.start as usize..event.end as usize];
        let value: Value = serde_json::from_slice(slice).expect("the event as it stood");
        assert_eq!(value["id"], event.id.as_str());
    }
    for mark in &malformed {
        assert!(REASONS.iter().any(|(known, _)| *known == mark.reason));
    }
    (
        events.into_iter().map(|event| event.id).collect(),
        malformed.into_iter().map(|mark| mark.reason).collect(),
    )
}

#[test]
fn events_stand_alone_in_a_list_or_inside() {
    let inside = json!({"events": "data.items"});
    for (settings, body, ids, reasons) in [
        (json!({}), r#"{"id":"1","event_type":"a"}"#, "1", ""),
        (
            json!({}),
            r#" [ {"id":"1","event_type":"a"} , {"id":"2"}, 7 ]"#,
            "1",
            "no type,not an object",
        ),
        (json!({}), "[]", "", ""),
        (json!({}), "hello", "", "not JSON"),
        (
            json!({"default_type": "m"}),
            r#"[{"id":"1"},{"x":1}]"#,
            "1",
            "no id",
        ),
        (
            inside.clone(),
            r#"{"data":{"items":[{"id":"é","event_type":"a"},{"id":"2","event_type":"a"}]}}"#,
            "é,2",
            "",
        ),
        (
            inside.clone(),
            r#"{"data":{"items":{"id":"1","event_type":"a"}}}"#,
            "1",
            "",
        ),
        (inside, r#"{"data":{}}"#, "", "no events at their place"),
    ] {
        let (found, aside) = split(settings, body);
        assert_eq!(
            (found.join(",").as_str(), aside.join(",").as_str()),
            (ids, reasons),
            "{body}"
        );
    }
}

/// The known answer is test case 2 of RFC 4231.
#[test]
fn only_the_signature_over_this_body_counts() {
    let hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    let base64 = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=";
    let body = b"what do ya want for nothing?";
    for (encoding, secret, value, expected) in [
        ("hex", json!("Jefe"), format!("v1={hex}"), true),
        (
            "hex",
            json!("Jefe"),
            format!("v1={}", hex.to_uppercase()),
            true,
        ),
        ("hex", json!(["old", "Jefe"]), format!("v1={hex}"), true),
        ("base64", json!("Jefe"), format!("v1={base64}"), true),
        ("hex", json!("Jefe"), hex.to_owned(), false),
        ("hex", json!("other"), format!("v1={hex}"), false),
        ("hex", json!("Jefe"), "v1=".to_owned(), false),
    ] {
        let signature =
            json!({"secret": secret, "header": "X-Sign", "prefix": "v1=", "encoding": encoding});
        let events = source(json!({"signature": signature})).events;
        let mut headers = HeaderMap::new();
        assert!(events.verify(&headers, body).is_err(), "without a header");
        headers.insert("x-sign", value.parse().expect("a header"));
        assert_eq!(events.verify(&headers, body).is_ok(), expected, "{value}");
        assert!(events.verify(&headers, b"another body").is_err(), "{value}");
    }
}
