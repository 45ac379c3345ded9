//! A connector under another name is the same one.

use serde_json::json;

use crate::harness::{Load, Sent, Settings, assert_balanced, body, envelope, post, small};
use crate::support::{Sluice, eventually, program};
use crate::{CONNECTOR, EVENTS, Reloads, text};

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

/// Events that are delivered, each as one document.
async fn plain(sluice: &Sluice, numbers: std::ops::Range<u64>) {
    let events = numbers.map(|number| small(&format!("event-{number}")));
    let (code, _) = post(&sluice.endpoint, envelope(&body(events))).await;
    assert_eq!(code, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_name_without_the_old_one_is_told_with_what_goes_again_and_can_be_mended() {
    let reloads = Reloads::new(Settings::default()).await;
    let world = &reloads.world;
    let sluice = reloads.start();
    plain(&sluice, 0..40).await;
    world.arrives(40).await;
    let renamed = |from: &str, to: &str| reloads.edit(&format!("  {from}:"), &format!("  {to}:"));
    renamed(CONNECTOR, "renamed");
    let path = world.config.display().to_string();
    let validate = || {
        text(
            &program()
                .args(["validate", &path])
                .output()
                .expect("it starts")
                .stdout,
        )
    };
    let said = validate();
    assert!(said.contains("warning[place-left-behind]"), "{said}");
    assert!(
        said.contains(&format!(
            "`renamed_from: {CONNECTOR}` goes on where that was"
        )),
        "{said}"
    );

    let answer = reloads.reload().await;
    let told = answer["warnings"][0].as_str().expect("a warning");
    assert!(told.starts_with("renamed: begins anew, "), "{told}");
    assert!(
        told.contains("40 events that it has settled go once more"),
        "{told}"
    );
    assert!(
        told.contains(&format!("`renamed_from: {CONNECTOR}`")),
        "{told}"
    );
    sluice.wait_for_line("40 events that it has settled go once more");
    assert!(
        !validate().contains("place-left-behind"),
        "it has a place now"
    );

    reloads.edit(
        "  renamed:",
        &format!("  renamed:\n    renamed_from: {CONNECTOR}"),
    );
    let answer = reloads.reload().await;
    let told = answer["warnings"][0].as_str().expect("a warning");
    assert!(told.contains("comes too late"), "{told}");
    renamed("renamed", "another");
    let answer = reloads.reload().await;
    assert_eq!(answer["warnings"], json!([]), "{answer}");
    assert_eq!(
        reloads.status().await["connectors"]["another"]["events"]["delivered"],
        40
    );
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_name_that_begins_now_is_told_what_it_does_not_send() {
    let reloads = Reloads::new(Settings::default()).await;
    let world = &reloads.world;
    let sluice = reloads.start();
    plain(&sluice, 0..10).await;
    world.arrives(10).await;
    assert!(reloads.command(&["pause", CONNECTOR]).status.success());
    plain(&sluice, 10..17).await;
    reloads.edit(&format!("  {CONNECTOR}:"), "  renamed:\n    start: now");
    let answer = reloads.reload().await;
    let told = answer["warnings"][0].as_str().expect("a warning");
    assert!(
        told.contains("7 events that it had not sent are not sent"),
        "{told}"
    );
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_source_that_is_gone_are_told_until_it_is_back() {
    let reloads = Reloads::new(Settings::default()).await;
    let world = &reloads.world;
    let sluice = reloads.start();
    assert!(reloads.command(&["pause", CONNECTOR]).status.success());
    plain(&sluice, 0..7).await;
    assert_eq!(sluice.stop(), Some(0));
    let validate = || {
        text(
            &program()
                .arg("validate")
                .arg(&world.config)
                .output()
                .expect("it starts")
                .stdout,
        )
    };
    let waits = "7 events of the source `braze`, which is gone from the config, wait";

    reloads.edit("\n  braze:", "\n  currents:");
    reloads.edit("source: braze", "source: currents");
    let said = validate();
    assert!(said.contains("error[other-source]"), "{said}");
    let said = text(&reloads.command(&["status"]).stdout);
    assert!(said.contains(waits), "{said}");
    assert!(said.contains("0 received = 0 delivered"), "{said}");

    reloads.edit(&format!("  {CONNECTOR}:"), "  renamed:");
    let said = validate();
    assert!(said.contains("warning[place-left-behind]"), "{said}");
    assert!(said.contains("so is the source `braze`"), "{said}");
    let one_off = CONNECTOR.replace("segment", "segmnt");
    reloads.edit(
        "  renamed:",
        &format!("  renamed:\n    renamed_from: {one_off}"),
    );
    let said = validate();
    assert!(
        said.contains("nothing of that name is in the data folder"),
        "{said}"
    );
    assert!(
        said.contains(&format!("did you mean `{CONNECTOR}`?")),
        "{said}"
    );
    reloads.edit(&format!("\n    renamed_from: {one_off}"), "");

    let sluice = reloads.start();
    sluice.wait_for_line(waits);
    let stranded = &reloads.status().await["stranded"];
    assert!(
        stranded[0].as_str().is_some_and(|it| it.starts_with(waits)),
        "{stranded}"
    );
    assert_eq!(sluice.stop(), Some(0));

    reloads.edit("\n  currents:", "\n  braze:");
    reloads.edit("source: currents", "source: braze");
    reloads.edit("  renamed:", &format!("  {CONNECTOR}:"));
    let sluice = reloads.start();
    assert_eq!(reloads.status().await.get("stranded"), None);
    assert!(reloads.command(&["resume", CONNECTOR]).status.success());
    world.arrives(7).await;
    assert_eq!(sluice.stop(), Some(0));
}
