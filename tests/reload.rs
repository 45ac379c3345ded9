//! Another config while the real program runs, and connectors that a person pauses.

#[path = "faults/harness.rs"]
mod harness;
mod support;

use std::ops::Range;
use std::process::Output;

use harness::{BODY, Load, Sent, Settings, World, body, event, post};
use serde_json::{Value, json};
use support::{Sluice, eventually, program};

const CONNECTOR: &str = "braze-to-segment";
const TOKEN: &str = "admin-token-of-the-test";
/// Events of a test that needs some batches.
const EVENTS: u64 = 1_000;

/// The world of the fault tests, with rules of its own and an admin listener with a token.
struct Reloads {
    world: World,
    admin: String,
}

impl Reloads {
    async fn new(settings: Settings) -> Self {
        let world = World::new(settings).await;
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let reloads = Self {
            world,
            admin: format!("http://127.0.0.1:{port}"),
        };
        reloads.edit("builtin:braze_to_segment", "rules.yaml");
        reloads.edit(
            "listen: \"off\"",
            &format!("listen: \"127.0.0.1:{port}\", token: {TOKEN}"),
        );
        reloads.rule("Opened");
        reloads
    }

    /// Replace a part of the config file.
    fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(&self.world.config).expect("a config");
        assert!(text.contains(from), "`{from}` is not in\n{text}");
        std::fs::write(&self.world.config, text.replace(from, to)).expect("a writable folder");
    }

    /// From now on the file says that documents have this name.
    fn rule(&self, name: &str) {
        let text = format!(
            "version: 1
rules:
  opened:
    on: users.messages.email.Open
    emit:
      type: track
      event: {name}
      messageId: $.id
      userId: {{ $from: $.user.external_user_id, $missing: {{ skip: no user }} }}
      properties: {{ campaign: $.properties.campaign_name }}
"
        );
        let path = self.world.config.with_file_name("rules.yaml");
        std::fs::write(path, text).expect("a writable folder");
    }

    /// Ask the admin listener; gives the status and the answer.
    async fn ask(&self, method: &str, path: &str, token: Option<&str>) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let mut request = reqwest::Client::new().request(method, format!("{}{path}", self.admin));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.expect("an answer");
        let code = answer.status().as_u16();
        let text = answer.text().await.expect("a text");
        (code, serde_json::from_str(&text).unwrap_or(json!(text)))
    }

    async fn reload(&self) -> Value {
        let (code, answer) = self.ask("POST", "/reload", Some(TOKEN)).await;
        assert_eq!(code, 200, "{answer}");
        answer
    }

    async fn status(&self) -> Value {
        let (code, status) = self.ask("GET", "/status", Some(TOKEN)).await;
        assert_eq!(code, 200, "{status}");
        status
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let output = program()
            .args(arguments)
            .arg("--config")
            .arg(&self.world.config)
            .output();
        output.expect("the program starts")
    }

    fn name_of(&self, number: u64) -> Value {
        let document = self.world.double.document(&format!("event-{number}"));
        document.expect("it is at the double").body["event"].clone()
    }
}

async fn send(sluice: &Sluice, numbers: Range<u64>) {
    for first in numbers.clone().step_by(BODY as usize) {
        let events = body((first..numbers.end.min(first + BODY)).map(event));
        let (code, _) = post(&sluice.endpoint, harness::envelope(&events)).await;
        assert_eq!(code, 200);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_rules_under_load_lose_and_double_nothing() {
    let reloads = Reloads::new(Settings::default()).await;
    let world = &reloads.world;
    let sluice = world.start();
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
    let sluice = world.start();
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
    let sluice = world.start();
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
    let sluice = world.start();
    let sent = Sent::below(EVENTS);
    world.arrives(sent.delivered).await;
    world.ends_with(sluice, &sent);
}
