//! Another config while the real program runs, and connectors that a person pauses.

#[path = "../faults/harness.rs"]
mod harness;
mod metrics;
mod pause;
mod refuse;
mod rename;
#[path = "../support/mod.rs"]
mod support;
mod switch;

use std::ops::Range;
use std::process::Output;

use harness::{BODY, Settings, World, body, event, post};
use serde_json::{Value, json};
use support::{Sluice, program};

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

    /// The process, when its admin listener is up too.
    fn start(&self) -> Sluice {
        let sluice = self.world.start();
        sluice.wait_for_line(concat!("sluice ", env!("CARGO_PKG_VERSION"), " runs"));
        sluice
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
