//! The sink is unwell, slow, strict, or lets nobody in.

use std::time::Duration;

use serde_json::json;

use crate::harness::{BODY, Load, Sent, Settings, World, body, envelope, event, post, small};
use crate::support::eventually;

/// Events of one test here: some batches' worth.
const EVENTS: u64 = 2_000;

/// Send [`EVENTS`] events while the double has this trouble, then compare.
async fn survives(settings: Settings, trouble: serde_json::Value, at_least_twice: bool) {
    let world = World::new(settings).await;
    world.fault(trouble).await;
    let sluice = world.start();
    send(&sluice.endpoint, 0..EVENTS).await;
    let sent = Sent::below(EVENTS);
    world.arrives(sent.delivered).await;
    if at_least_twice {
        eventually("what got no answer goes again", || world.duplicates() > 0).await;
    }
    world.ends_with(sluice, &sent);
}

async fn send(endpoint: &str, numbers: std::ops::Range<u64>) {
    let plugin = crate::support::source("braze_webhook");
    let settings = json!({"token": "test-token"});
    let feeder = plugin.feed.expect("a feeder")(endpoint.to_owned(), settings);
    let mut first = numbers.start;
    while first < numbers.end {
        let end = (first + BODY).min(numbers.end);
        feeder
            .send(body((first..end).map(event)))
            .await
            .expect("taken");
        first = end;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_after_the_batch_was_stored_sends_it_again_under_the_same_ids() {
    survives(
        Settings::default(),
        json!({"mode": "reset_after", "times": 3}),
        true,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_an_answer_is_no_answer() {
    survives(
        Settings::default(),
        json!({"mode": "half_response", "times": 3}),
        true,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_slower_than_the_time_out_is_no_answer() {
    survives(
        Settings {
            sink: "timeout: 1",
            ..Settings::default()
        },
        json!({"mode": "slow", "delay_ms": 60_000, "times": 2}),
        true,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_429_costs_time_and_nothing_else() {
    survives(
        Settings::default(),
        json!([
            {"mode": "status", "status": 429, "retry_after": 1, "times": 6},
            {"mode": "status", "status": 429, "times": 3},
            {"mode": "status", "status": 429, "retry_after": "Thu, 01 Jan 1970 00:00:00 GMT", "times": 2},
            {"mode": "status", "status": 429, "rate_limit_reset": 1, "times": 2},
        ]),
        false,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_document_among_two_thousand_is_the_only_dead_letter() {
    let world = World::new(Settings::default()).await;
    world
        .fault(json!({"mode": "status", "status": 400, "body": "bad", "contains": "\"event-1234\"", "times": 0}))
        .await;
    let sluice = world.start();
    send(&sluice.endpoint, 0..EVENTS).await;
    let mut sent = Sent::below(EVENTS);
    sent.delivered -= 1;
    sent.refused += 1;
    world.arrives(sent.delivered).await;
    eventually("the dead letter is told", || {
        // Blocks until the line is there.
        sluice
            .wait_for_line("refused by the sink")
            .contains("event-1234")
    })
    .await;
    world.ends_with(sluice, &sent);
    let refused: Vec<_> = world
        .dead_letters()
        .into_iter()
        .filter(|letter| letter["event_id"] == "event-1234")
        .collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["reason"], "refused by the sink");
    assert!(refused[0].to_string().contains("400"), "{}", refused[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_holds_and_a_new_one_in_its_file_lets_everything_go() {
    let old = "0".repeat(32);
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key");
    std::fs::write(&key, &old).expect("a writable folder");
    let world = World::new(Settings {
        key: Some(format!("{{ file: \"{}\" }}", key.display())),
        ..Settings::default()
    })
    .await;
    world
        .fault(json!({"mode": "status", "status": 401, "contains": old, "times": 0}))
        .await;
    let sluice = world.start();
    send(&sluice.endpoint, 0..EVENTS).await;
    let line = sluice.wait_for_line("held: ");
    assert!(
        line.contains("401") && line.contains("braze-to-segment"),
        "{line}"
    );
    assert!(!line.contains(&old), "the key is in no line");
    assert_eq!(world.double.accepted(), 0);
    // The source goes on while the connector is held.
    send(&sluice.endpoint, EVENTS..2 * EVENTS).await;
    std::fs::write(&key, "1".repeat(32)).expect("a writable folder");
    let sent = Sent::below(2 * EVENTS);
    world.arrives(sent.delivered).await;
    sluice.wait_for_line("delivering again");
    world.ends_with(sluice, &sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_backlog_survives_a_kill_and_is_drained() {
    // More by hand, as many as one likes: `cargo bench --bench delivery -- --backlog N`.
    const BACKLOG: u64 = 20_000;
    let world = World::new(Settings::default()).await;
    world
        .fault(json!({"mode": "status", "status": 503, "times": 0}))
        .await;
    let sluice = world.start();
    let load = Load::start(&sluice, 3);
    eventually("the backlog is there", || load.acknowledged() >= BACKLOG).await;
    let sent = Sent::below(load.finish().await.0);
    assert_eq!(world.double.accepted(), 0);
    sluice.kill();
    let sluice = world.start();
    world.mend().await;
    world.arrives(sent.delivered).await;
    world.ends_with(sluice, &sent);
}

/// A sink that fails in all ways in turn, with the load going on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trouble_after_the_other_under_load_loses_nothing() {
    let world = World::new(Settings {
        sink: "timeout: 1",
        ..Settings::default()
    })
    .await;
    let sluice = world.start();
    let load = Load::start(&sluice, 2);
    for trouble in [
        json!({"mode": "reset_before", "times": 2}),
        json!({"mode": "status", "status": 500, "times": 2}),
        json!({"mode": "half_response", "times": 2}),
        json!({"mode": "redirect", "times": 1}),
        json!({"mode": "status", "status": 403, "times": 1}),
        json!({"mode": "slow", "delay_ms": 5_000, "times": 1}),
        json!({"mode": "refuse_gzip", "times": 2}),
    ] {
        world.fault(trouble).await;
        let before = world.double.accepted();
        eventually("it goes on", || world.double.accepted() > before).await;
        // Not a wait for anything: lets the next trouble meet another moment.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let sent = Sent::below(load.finish().await.0);
    world.arrives(sent.delivered).await;
    world.ends_with(sluice, &sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_answer_repeats_of_a_person_is_in_the_dead_letter_alone() {
    let world = World::new(Settings::default()).await;
    let answer = r#"{"message":"no jo.private@example.com, user cust-1001, Spring of Jo"}"#;
    for status in [503, 401, 400] {
        world
            .fault(json!({"mode": "status", "status": status, "times": 1, "body": answer}))
            .await;
    }
    let sluice = world.start();
    let mut event = small("event-1");
    event["properties"]["campaign_name"] = json!("Spring of Jo");
    assert_eq!(
        post(&sluice.endpoint, envelope(&body([event]))).await.0,
        200
    );
    let told = [
        sluice.wait_for_line("not taken: status 503"),
        sluice.wait_for_line("held: status 401"),
        sluice.wait_for_line("refused by the sink: status 400"),
    ];
    assert_eq!(sluice.stop(), Some(0));
    let letters = world.dead_letters();
    assert!(
        letters[0]["detail"]
            .to_string()
            .contains("jo.private@example.com"),
        "{letters:?}"
    );
    let list = world.list_dead_letters();
    for shown in told.iter().chain([&list]) {
        assert!(shown.contains("no ***, user ***, ***"), "{shown}");
        for personal in ["jo.private", "cust-1001", "Spring of Jo"] {
            assert!(!shown.contains(personal), "{personal}: {shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_a_connector_was_held_is_known_after_the_end_of_the_process() {
    let world = World::new(Settings::default()).await;
    world
        .fault(json!({"mode": "status", "status": 401, "times": 0}))
        .await;
    let was_held = || {
        let status = world.status();
        status["connectors"]["braze-to-segment"]["was_held"]["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let sluice = world.start();
    send(&sluice.endpoint, 0..BODY).await;
    sluice.wait_for_line("held: status 401");
    assert_eq!(sluice.stop(), Some(0));
    assert!(was_held().contains("check write_key"), "{}", was_held());
    let shown = world.says(&["status"]);
    assert!(shown.contains("was held since 20"), "{shown}");
    assert!(shown.contains("status 401"), "{shown}");

    world.mend().await;
    let sluice = world.start();
    let sent = Sent::below(BODY);
    world.arrives(sent.delivered).await;
    world.ends_with(sluice, &sent);
    assert_eq!(was_held(), "");
}
