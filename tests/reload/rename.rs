//! A connector under another name is the same one.

use serde_json::json;

use crate::harness::{Load, Sent, Settings, assert_balanced, body, envelope, post, small};
use crate::support::eventually;
use crate::{CONNECTOR, EVENTS, Reloads};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_connector_goes_on_where_it_was_with_its_account() {
    let reloads = Reloads::new(Settings::default()).await;
    let world = &reloads.world;
    let sluice = reloads.start();
    let load = Load::start(&sluice, 2);
    eventually("documents come", || world.double.accepted() > EVENTS).await;
    reloads.edit(
        &format!("  {CONNECTOR}:"),
        &format!("  renamed:\n    renamed_from: {CONNECTOR}"),
    );
    let answer = reloads.reload().await;
    assert_eq!(answer["added"], json!(["renamed"]), "{answer}");
    assert_eq!(answer["removed"], json!([CONNECTOR]), "{answer}");
    let sent = Sent::below(load.finish().await.0);
    world.arrives(sent.delivered).await;
    assert_eq!(world.duplicates(), 0, "nothing went twice");
    assert_eq!(sluice.stop(), Some(0));
    let status = world.status();
    assert_balanced(&status);
    let events = &status["connectors"]["renamed"]["events"];
    assert_eq!(events["delivered"], sent.delivered, "{events}");
    assert_eq!(events["received"], sent.all(), "{events}");
    let letters = world.dead_letters();
    assert_eq!(letters.len() as u64, sent.oversize);
    assert!(
        letters
            .iter()
            .all(|letter| letter["connector"] == "renamed")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_connector_takes_the_account_of_its_dead_letters_along() {
    let reloads = Reloads::new(Settings::default()).await;
    let world = &reloads.world;
    let sluice = reloads.start();
    let mut events = vec![small("a"), small("b"), small("c")];
    for event in &mut events {
        event["properties"]["campaign_name"] = json!("x".repeat(40_000));
    }
    let (status, _) = post(&sluice.endpoint, envelope(&body(events))).await;
    assert_eq!(status, 200);
    while reloads.status().await["dead_letters"][CONNECTOR]["held"] != 3 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(sluice.stop(), Some(0));
    let drop = ["dead-letters", "drop", "--limit", "2", "--yes"];
    world.says(&drop);
    reloads.edit(
        &format!("  {CONNECTOR}:"),
        &format!("  renamed:\n    renamed_from: {CONNECTOR}"),
    );
    assert_eq!(reloads.start().stop(), Some(0));
    let status = world.status();
    let mut letters = status["dead_letters"].clone();
    letters["renamed"]["bytes"] = json!("some");
    letters["renamed"]["oldest"] = json!("some");
    let expected = json!({
        "ever": 3, "held": 1, "bytes": "some", "oldest": "some",
        "delivered": 0, "skipped": {}, "dropped": {"too-large": 2}, "expired": {},
    });
    assert_eq!(letters, json!({"renamed": expected}));
}
