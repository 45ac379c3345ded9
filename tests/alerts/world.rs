//! One world of a test: a folder, a config with contacts, the sink's double, a mail server.

use std::path::{Path, PathBuf};

use serde_json::json;
use sluice_sdk::Double;

use crate::mail::MailServer;
use crate::support::{self, Sluice, double};

/// What differs from the plain config. Each text is YAML inside the braces of its section.
#[derive(Default)]
pub struct Settings {
    pub source: &'static str,
    pub journal: &'static str,
}

pub struct World {
    pub folder: tempfile::TempDir,
    pub double: Box<dyn Double>,
    pub mail: MailServer,
    pub config: PathBuf,
}

impl World {
    /// `more` is YAML of `alerts:`.
    pub async fn new(more: &str) -> Self {
        Self::with(more, &Settings::default()).await
    }

    pub async fn with(more: &str, settings: &Settings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let double = double().await;
        let mail = MailServer::start();
        let config = write(folder.path(), &*double, mail.port, more, settings);
        Self {
            folder,
            double,
            mail,
            config,
        }
    }

    fn endpoint(&self) -> String {
        let settings = self.double.settings();
        settings["endpoint"]
            .as_str()
            .expect("an endpoint")
            .to_owned()
    }

    pub async fn refuse(&self) {
        let fault = json!({"mode": "status", "status": 401, "times": 0}).to_string();
        let url = format!("{}/_sandbox/faults", self.endpoint());
        let sent = reqwest::Client::new().post(url).body(fault).send().await;
        assert_eq!(sent.expect("the double answers").status(), 204);
    }

    pub async fn mend(&self) {
        let url = format!("{}/_sandbox/faults", self.endpoint());
        let sent = reqwest::Client::new().delete(url).send().await;
        assert_eq!(sent.expect("the double answers").status(), 204);
    }
}

fn write(folder: &Path, double: &dyn Double, port: u16, more: &str, own: &Settings) -> PathBuf {
    let settings = double.settings();
    let endpoint = settings["endpoint"].as_str().expect("an endpoint");
    let Settings { source, journal } = own;
    let text = format!(
        "version: 1
sources:
  braze: {{ type: braze_webhook, listen: \"127.0.0.1:0\", token: secret-token, {source} }}
connectors:
  braze-to-segment:
    contact: [data-team@example.com, on-call@example.com]
    source: braze
    mappings: builtin:braze_to_segment
    batch: {{ flush_after: 50ms }}
    sink: {{ type: segment, endpoint: \"{endpoint}\", write_key: 0123456789abcdef0123456789abcdef }}
journal: {{ path: data, {journal} }}
admin: {{ listen: \"off\" }}
alerts:
  smtp: {{ host: 127.0.0.1, port: {port}, from: Sluice <sluice@example.com>, tls: none }}
  {more}
"
    );
    let path = folder.join("sluice.yaml");
    std::fs::write(&path, text).expect("a writable folder");
    path
}

/// An event that the built-in rules send, of somebody with an address; `fill` makes it too large.
pub fn event(id: &str, fill: usize) -> String {
    json!({
        "id": id,
        "event_type": "users.messages.email.Click",
        "time": 1_777_777_777,
        "user": {"user_id": "braze-1", "external_user_id": "cust-1"},
        "properties": {"email_address": "jo.private@example.com", "url": "x".repeat(fill)},
    })
    .to_string()
}

pub async fn feed(sluice: &Sluice, events: Vec<String>) {
    let settings = json!({"token": "secret-token"});
    let feeder = support::source("braze_webhook").feed.expect("a feeder");
    let feeder = feeder(sluice.endpoint.clone(), settings);
    feeder.send(events).await.expect("taken");
}
