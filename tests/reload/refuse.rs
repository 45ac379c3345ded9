//! What is not let in: a wrong config, and who has no token.

use serde_json::Value;

use crate::harness::{Sent, Settings};
use crate::{CONNECTOR, EVENTS, Reloads, TOKEN, send, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_config_changes_nothing_and_is_told_with_its_place() {
    let reloads = Reloads::new(Settings::default()).await;
    let sluice = reloads.start();
    let rules = reloads.world.config.with_file_name("rules.yaml");
    let good = std::fs::read_to_string(&rules).expect("rules");
    std::fs::write(&rules, good.replace("userId", "userIdd")).expect("a writable folder");

    let (code, answer) = reloads.ask("POST", "/reload", Some(TOKEN)).await;
    assert_eq!(code, 422, "{answer}");
    let told = answer["error"].as_str().expect("a text");
    assert!(told.contains("rules.yaml:9:7"), "{told}");
    assert!(
        answer["problems"].to_string().contains("userIdd"),
        "{answer}"
    );

    let output = reloads.command(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("rules.yaml:9:7"), "{told}");
    assert!(told.contains("the one before goes on"), "{told}");

    let status = reloads.status().await;
    assert_eq!(status["config"]["version"], 1);
    assert_eq!(status["config"]["reloads_failed"], 2);
    let sent = Sent::below(EVENTS);
    send(&sluice, 0..EVENTS).await;
    reloads.world.arrives(sent.delivered).await;
    assert_eq!(reloads.name_of(0), "Opened");

    std::fs::write(&rules, good.replace("Opened", "Again")).expect("a writable folder");
    let output = reloads.command(&["reload"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    assert!(told.contains("config 2 runs"), "{told}");
    assert!(told.contains(&format!("changed: {CONNECTOR}")), "{told}");
    assert_eq!(reloads.status().await["config"]["problem"], Value::Null);
    reloads.world.ends_with(sluice, &sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_listener_lets_in_who_has_the_token() {
    let reloads = Reloads::new(Settings::default()).await;
    let sluice = reloads.start();
    let pause = format!("/connectors/{CONNECTOR}/pause");
    for (method, path) in [
        ("GET", "/status"),
        ("GET", "/metrics"),
        ("GET", "/dead-letters"),
        ("POST", "/reload"),
        ("POST", pause.as_str()),
    ] {
        for token in [None, Some(""), Some("another-token"), Some(&TOKEN[1..])] {
            let (code, answer) = reloads.ask(method, path, token).await;
            assert_eq!(code, 401, "{method} {path} {token:?}: {answer}");
            assert!(!answer.to_string().contains(TOKEN), "{answer}");
        }
        let (code, answer) = reloads.ask(method, path, Some(TOKEN)).await;
        assert_eq!(code, 200, "{method} {path}: {answer}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(reloads.ask("GET", path, None).await.0, 200, "{path}");
    }
    let (code, answer) = reloads
        .ask("POST", "/connectors/nobody/pause", Some(TOKEN))
        .await;
    assert_eq!(code, 404, "{answer}");
    // A new token counts from the reload on; the command says what to do with the old process.
    reloads.edit(TOKEN, "another-token");
    let output = reloads.command(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("SIGHUP"),
        "{}",
        text(&output.stderr)
    );
    reloads.reload().await;
    let (code, _) = reloads.ask("GET", "/status", Some("another-token")).await;
    assert_eq!(code, 200);
    assert_eq!(sluice.stop(), Some(0));
}
