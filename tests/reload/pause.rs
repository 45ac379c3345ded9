//! Connectors that a person pauses.

use serde_json::Value;

use crate::harness::{Sent, Settings, assert_balanced};
use crate::{CONNECTOR, EVENTS, Reloads, TOKEN, send, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_connector_sends_nothing_until_it_is_resumed_over_restarts_too() {
    let reloads = Reloads::new(Settings::default()).await;
    let world = &reloads.world;
    let sluice = reloads.start();
    let output = reloads.command(&["pause", CONNECTOR]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    send(&sluice, 0..EVENTS).await;
    // A changed rule exchanges it and leaves it paused.
    reloads.rule("Later");
    reloads.reload().await;
    let status = reloads.status().await;
    assert_eq!(status["connectors"][CONNECTOR]["state"], "paused");
    sluice.kill();

    let sluice = reloads.start();
    send(&sluice, EVENTS..2 * EVENTS).await;
    let status = reloads.status().await;
    let connector = &status["connectors"][CONNECTOR];
    assert_eq!(connector["state"], "paused", "{connector}");
    assert_balanced(&status);
    let (_, metrics) = reloads.ask("GET", "/metrics", Some(TOKEN)).await;
    let line = format!("sluice_connector_paused{{connector=\"{CONNECTOR}\"}} 1");
    assert!(
        metrics.as_str().expect("a text").contains(&line),
        "{metrics}"
    );
    let shown = text(&reloads.command(&["status"]).stdout);
    assert!(
        shown.contains(&format!("connector {CONNECTOR}: paused")),
        "{shown}"
    );
    assert!(shown.contains("sluice resume"), "{shown}");
    assert_eq!(world.double.accepted(), 0);

    let output = reloads.command(&["resume", CONNECTOR]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let sent = Sent::below(2 * EVENTS);
    world.arrives(sent.delivered).await;
    assert_eq!(reloads.name_of(0), "Later");
    world.ends_with(sluice, &sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_and_resume_work_on_the_folder_of_a_stopped_process() {
    let reloads = Reloads::new(Settings::default()).await;
    let world = &reloads.world;
    let output = reloads.command(&["pause", CONNECTOR]);
    assert_eq!(output.status.code(), Some(1), "nothing has run yet");
    assert_eq!(world.start().stop(), Some(0));
    let output = reloads.command(&["pause", "braze-to-segmnt"]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(
        told.contains(&format!("did you mean `{CONNECTOR}`?")),
        "{told}"
    );
    let output = reloads.command(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("no process runs"),
        "{}",
        text(&output.stderr)
    );

    assert_eq!(
        reloads.command(&["pause", CONNECTOR]).status.code(),
        Some(0)
    );
    assert_ne!(
        world.status()["connectors"][CONNECTOR]["paused"],
        Value::Null
    );
    let sluice = reloads.start();
    sluice.wait_for_line("paused since");
    send(&sluice, 0..EVENTS).await;
    assert_eq!(
        reloads.status().await["connectors"][CONNECTOR]["state"],
        "paused"
    );
    assert_eq!(sluice.stop(), Some(0));
    assert_eq!(world.double.accepted(), 0);
    assert_eq!(
        reloads.command(&["resume", CONNECTOR]).status.code(),
        Some(0)
    );
    let sluice = reloads.start();
    let sent = Sent::below(EVENTS);
    world.arrives(sent.delivered).await;
    world.ends_with(sluice, &sent);
}
