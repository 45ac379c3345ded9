//! A connector under another name is the same one.

use serde_json::json;

use crate::harness::{Load, Sent, Settings, assert_balanced};
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
