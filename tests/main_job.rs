//! The main job with the real program: webhook in, built-in rules, the sink's double behind it.

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{Sluice, catalogue, double, eventually, write_config};

const BODY: usize = 100;

/// `count` events, all types in turn; every one with an id of the customer's own.
fn events(seed: u64, count: u64) -> Vec<Value> {
    let types = &catalogue().events;
    (0..count)
        .map(|n| {
            let event_type = &types[usize::try_from(n).expect("small") % types.len()];
            let mut event = event_type.synthesize(seed, n);
            if event["user"].is_object() {
                event["user"]["external_user_id"] = json!(format!("cust-{}", n % 997));
            }
            event
        })
        .collect()
}

/// Ids of the events that the built-in rules send by default.
fn sent_ids(events: &[Value]) -> BTreeSet<String> {
    let mut files = sluice::diagnostics::Files::default();
    let mut diagnostics = Vec::new();
    let reference = sluice::mapping::Reference {
        text: "builtin:braze_to_segment".to_owned(),
        base: ".".into(),
        span: None,
    };
    let mapping = sluice::mapping::load(
        &[reference],
        &mut files,
        None,
        sluice::mapping::Options::default(),
        &mut diagnostics,
    )
    .expect("the built-in rules are right");
    events
        .iter()
        .filter(|event| matches!(mapping.map(event), sluice::mapping::Mapped::Documents(_)))
        .map(|event| event["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_arrives_once_though_the_process_is_killed_in_the_middle() {
    let folder = tempfile::tempdir().expect("a folder");
    let double = double().await;
    let config = write_config(folder.path(), &*double);
    // More by hand: SLUICE_TEST_EVENTS=100000 cargo test --release --test main_job
    let count = std::env::var("SLUICE_TEST_EVENTS")
        .ok()
        .and_then(|count| count.parse().ok());
    let events = events(11, count.unwrap_or(6_000));
    let bodies: Vec<Vec<String>> = events
        .chunks(BODY)
        .map(|body| body.iter().map(Value::to_string).collect())
        .collect();

    let mut sluice = Sluice::start(&config);
    let mut feeder = sluice.feeder();
    for (n, body) in bodies.iter().enumerate() {
        if n % 17 == 16 {
            sluice.kill();
            sluice = Sluice::start(&config);
            feeder = sluice.feeder();
        }
        // Sent again until acknowledged, as the upstream does; half of the bodies come twice anyway.
        while feeder.send(body.clone()).await.is_err() {}
        if n % 2 == 0 {
            feeder.send(body.clone()).await.expect("a second time");
        }
    }
    let expected = sent_ids(&events);
    assert!(
        expected.len() > 5_000,
        "most types are sent: {}",
        expected.len()
    );
    eventually("all documents are at the double", || {
        double.accepted() >= expected.len() as u64
    })
    .await;
    // The double keeps the last 10,000 documents whole. Beyond that its count of distinct valid
    // ids says the same: nothing else was sent to it.
    let is_kept = expected.len() <= 10_000;
    for id in expected.iter().filter(|_| is_kept) {
        assert!(double.document(id).is_some(), "{id} did not arrive");
    }
    assert_eq!(double.accepted(), expected.len() as u64);
    let invalid: Vec<_> = double
        .dropped()
        .into_iter()
        .filter(|(reason, _)| reason != "duplicate")
        .collect();
    assert!(invalid.is_empty(), "{invalid:?}");

    assert_eq!(sluice.stop(), Some(0), "a clean stop");
    let status = support::status(&config);
    let balance = &status["connectors"]["braze-to-segment"]["events"];
    let sum = |part: &Value| {
        part.as_object()
            .expect("reasons")
            .values()
            .filter_map(Value::as_u64)
            .sum::<u64>()
    };
    let received = balance["received"].as_u64().expect("a number");
    assert!(received >= events.len() as u64, "{balance}");
    assert_eq!(balance["waiting"], 0, "{balance}");
    assert_eq!(balance["delivered"], expected.len() as u64, "{balance}");
    assert_eq!(
        received,
        balance["delivered"].as_u64().expect("a number")
            + sum(&balance["skipped"])
            + sum(&balance["dead"]),
        "{balance}"
    );
}

/// Everything odd that real traffic has, in one body: nothing may refuse its neighbours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_events_are_mapped_skipped_or_set_aside_by_name_and_never_harm_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let double = double().await;
    let config = write_config(folder.path(), &*double);
    let sluice = Sluice::start(&config);
    let open = catalogue()
        .event("users.messages.email.Open")
        .expect("known")
        .sample();
    let event = |id: &str, change: Value| {
        let mut event = open.clone();
        event["id"] = json!(id);
        merge(&mut event, &change);
        event.to_string()
    };
    let body = vec![
        event("good-1", json!({})),
        event("no-user", json!({"user": null})),
        event(
            "empty-user",
            json!({"user": {"external_user_id": null, "user_id": null}}),
        ),
        event("far-future", json!({"time": 2_051_222_400})),
        event(
            "unknown-type",
            json!({"event_type": "users.messages.hologram.Seen"}),
        ),
        event(
            "unknown-field",
            json!({"properties": {"brand_new": {"deep": [1, null]}}}),
        ),
        event(
            "huge",
            json!({"properties": {"campaign_name": "x".repeat(40_000)}}),
        ),
        event("bad-time", json!({"time": "yesterday"})),
        "17".to_owned(),
        "null".to_owned(),
        r#"{"event_type":"users.messages.email.Open","user":{}}"#.to_owned(),
        r#"{"id":"no-type","user":{}}"#.to_owned(),
        event(
            "good-2",
            json!({"properties": {"campaign_id": null, "email_address": null}}),
        ),
    ];
    sluice
        .feeder()
        .send(body)
        .await
        .expect("200 for the whole body");
    eventually("the good ones arrive", || {
        double.document("good-1").is_some() && double.document("good-2").is_some()
    })
    .await;
    assert!(double.document("far-future").is_some() && double.document("unknown-field").is_some());
    let document = double.document("far-future").expect("arrived").body;
    assert_eq!(document["timestamp"], "2035-01-01T00:00:00.000Z");
    assert!(double.document("huge").is_none());
    let told = sluice.wait_for_line("cannot be sent: too-large");
    assert!(
        told.contains("huge") && told.contains("dead-letters list --connector braze-to-segment"),
        "{told}"
    );
    sluice.wait_for_line("bad-time");
    let log = sluice.log();
    assert!(
        !log.iter()
            .any(|line| line.contains("yesterday") || line.contains("xxxx")),
        "{log:?}"
    );
    assert_eq!(sluice.stop(), Some(0));

    let status = support::status(&config);
    let types = &status["connectors"]["braze-to-segment"]["types"];
    let opens = &types["users.messages.email.Open"];
    assert_eq!(opens["skipped"]["no external_user_id"], 2, "{opens}");
    assert_eq!(opens["dead"]["too-large"], 1, "{opens}");
    assert_eq!(
        opens["dead"].as_object().expect("reasons").len(),
        2,
        "the size and the time: {opens}"
    );
    assert_eq!(
        types["users.messages.hologram.Seen"]["skipped"]["unmapped"], 1,
        "{types}"
    );
    let malformed = status["sources"]["braze"]["malformed"]
        .as_object()
        .expect("reasons");
    assert_eq!(
        malformed.values().filter_map(Value::as_u64).sum::<u64>(),
        4,
        "{malformed:?}"
    );
}

fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}
