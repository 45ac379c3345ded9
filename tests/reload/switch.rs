//! A good config takes over while it runs: rules, keys, addresses, and the ways to ask for it.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{BODY, KEY, Load, Sent, Settings};
use crate::support::{RUN, Sluice, eventually, program};
use crate::{CONNECTOR, EVENTS, Reloads, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_rules_under_load_lose_and_double_nothing() {
    let reloads = Reloads::new(Settings::default()).await;
    let world = &reloads.world;
    let sluice = reloads.start();
    let load = Load::start(&sluice, 2);
    for round in 0..5 {
        let before = world.double.accepted();
        eventually("documents come", || world.double.accepted() > before).await;
        reloads.rule(&format!("Opened{round}"));
        let answer = reloads.reload().await;
        assert_eq!(answer["changed"], json!([CONNECTOR]), "{answer}");
        assert_eq!(answer["version"], round + 2, "{answer}");
    }
    let answer = reloads.reload().await;
    assert_eq!(answer["unchanged"], json!([CONNECTOR]), "{answer}");
    let first_after = load.finish().await.0;
    send(&sluice, first_after..first_after + BODY).await;
    let sent = Sent::below(first_after + BODY);
    world.arrives(sent.delivered).await;
    assert_eq!(reloads.name_of(0), "Opened");
    assert_eq!(reloads.name_of(first_after), "Opened4");
    assert_eq!(world.duplicates(), 0, "nothing went twice");
    world.ends_with(sluice, &sent);
}

/// The sink refuses the key; the connector holds, and its events wait.
async fn start_with_a_dead_key(reloads: &Reloads) -> Sluice {
    reloads
        .world
        .fault(json!({"mode": "status", "status": 401, "contains": KEY, "times": 0}))
        .await;
    let sluice = reloads.start();
    send(&sluice, 0..EVENTS).await;
    sluice.wait_for_line("held: ");
    sluice
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_in_the_config_lets_a_held_connector_go_on() {
    let reloads = Reloads::new(Settings::default()).await;
    let world = &reloads.world;
    let sluice = start_with_a_dead_key(&reloads).await;
    reloads.edit(KEY, "another-key-of-the-same-source");
    reloads.reload().await;
    let sent = Sent::below(EVENTS);
    world.arrives(sent.delivered).await;
    assert_eq!(
        reloads.status().await["connectors"][CONNECTOR]["held"],
        Value::Null
    );
    world.ends_with(sluice, &sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_in_the_secret_file_lets_a_held_connector_go_on_without_a_reload() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("segment.key");
    std::fs::write(&file, KEY).expect("a writable folder");
    let key = format!("{{ file: \"{}\" }}", file.display());
    let reloads = Reloads::new(Settings {
        key: Some(key),
        ..Settings::default()
    })
    .await;
    let world = &reloads.world;
    let sluice = start_with_a_dead_key(&reloads).await;
    assert_eq!(world.double.accepted(), 0);
    std::fs::write(&file, "another-key-of-the-same-source").expect("a writable folder");
    let sent = Sent::below(EVENTS);
    world.arrives(sent.delivered).await;
    assert_eq!(reloads.status().await["config"]["version"], 1);
    world.ends_with(sluice, &sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_in_retry_goes_to_the_new_address() {
    let reloads = Reloads::new(Settings::default()).await;
    let world = &reloads.world;
    let good = world.double.settings()["endpoint"]
        .as_str()
        .expect("an address")
        .to_owned();
    // Bound and not listened on for HTTP: a connection gets no answer and is closed.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", dead.local_addr().expect("an address"));
    drop(dead);
    reloads.edit(&good, &address);
    let sluice = reloads.start();
    send(&sluice, 0..EVENTS).await;
    loop {
        let status = reloads.status().await;
        if status["connectors"][CONNECTOR]["state"] == "retrying" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    reloads.edit(&address, &good);
    reloads.reload().await;
    let sent = Sent::below(EVENTS);
    world.arrives(sent.delivered).await;
    assert_eq!(world.duplicates(), 0);
    world.ends_with(sluice, &sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_and_a_changed_file_reload() {
    let reloads = Reloads::new(Settings::default()).await;
    let world = &reloads.world;
    let mut command = program();
    command.args(RUN).arg(&world.config).arg("--watch");
    let sluice = Sluice::start_by(command);
    reloads.rule("ByWatch");
    sluice.wait_for_line("a file has changed");
    sluice.wait_for_line("\"version\":2");
    send(&sluice, 0..BODY).await;
    world.arrives(Sent::below(BODY).delivered).await;
    assert_eq!(reloads.name_of(0), "ByWatch");
    assert_eq!(sluice.stop(), Some(0));

    let sluice = reloads.start();
    reloads.rule("ByHangup");
    let killed = Command::new("kill")
        .args(["-HUP", &sluice.pid().to_string()])
        .status();
    assert!(killed.expect("kill runs").success());
    sluice.wait_for_line("again: SIGHUP");
    sluice.wait_for_line("the new config runs");
    send(&sluice, BODY..2 * BODY).await;
    let sent = Sent::below(2 * BODY);
    world.arrives(sent.delivered).await;
    assert_eq!(reloads.name_of(BODY), "ByHangup");
    world.ends_with(sluice, &sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_waits_for_a_restart_is_said_to() {
    let reloads = Reloads::new(Settings::default()).await;
    let sluice = reloads.start();
    reloads.edit("path: data,", "path: data, dead_letters: { retain: 30d },");
    let answer = reloads.reload().await;
    assert_eq!(answer["needs_restart"], json!([]), "{answer}");
    assert_eq!(answer["alerts_changed"], false, "{answer}");
    reloads.edit("admin:", "alerts: { interval: 2h }\nadmin:");
    let answer = reloads.reload().await;
    assert_eq!(answer["needs_restart"], json!([]), "{answer}");
    assert_eq!(answer["alerts_changed"], true, "{answer}");
    reloads.edit("path: data,", "path: data, retain: 3d,");
    let answer = reloads.reload().await;
    let told = &answer["needs_restart"];
    assert_eq!(told, &json!(["journal: its settings have changed"]));
    assert_eq!(sluice.stop(), Some(0));
}
