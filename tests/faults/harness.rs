//! One world of a test: a folder, the sink's double with its switches, the real process, a load.

#![allow(dead_code, reason = "each program that has it uses its own part")]

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_sdk::Double;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{self, RUN, Sluice, double, eventually, source};

/// Events in one request, as many as the upstream sends.
pub const BODY: u64 = 100;
/// Every so many events one has a type that no rule is on …
const UNMAPPED_EVERY: u64 = 10;
/// … which is this …
pub const UNMAPPED: &str = "users.messages.hologram.Seen";
/// … and one is larger than the sink takes.
const OVERSIZE_EVERY: u64 = 50;
/// Stops until nothing waits: more than a double has troubles planned.
const STOPS_MAX: u32 = 20;
/// The key that all documents are sent with, unless the test says otherwise.
pub const KEY: &str = "0123456789abcdef0123456789abcdef";

/// What differs from the plain config. Each text is YAML inside the braces of its section.
#[derive(Default)]
pub struct Settings {
    pub source: &'static str,
    pub sink: &'static str,
    pub journal: &'static str,
    /// YAML of the write key; default [`KEY`].
    pub key: Option<String>,
    /// Where the documents go; default the double.
    pub endpoint: Option<String>,
}

pub struct World {
    folder: tempfile::TempDir,
    pub double: Box<dyn Double>,
    pub config: PathBuf,
    /// What stands before the program's path to run it where the data folder is seen.
    pub enter: Vec<String>,
    double_url: String,
    http: reqwest::Client,
}

impl World {
    pub async fn new(settings: Settings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let double = double().await;
        let double_url = double.settings()["endpoint"]
            .as_str()
            .expect("the double has an endpoint")
            .to_owned();
        let Settings {
            source,
            sink,
            journal,
            key,
            endpoint,
        } = settings;
        let key = key.unwrap_or_else(|| KEY.to_owned());
        let endpoint = endpoint.unwrap_or_else(|| double_url.clone());
        let text = format!(
            "version: 1
sources:
  braze: {{ type: braze_webhook, listen: \"127.0.0.1:0\", token: test-token, {source} }}
connectors:
  braze-to-segment:
    source: braze
    mappings: builtin:braze_to_segment
    batch: {{ flush_after: 50ms }}
    sink: {{ type: segment, endpoint: \"{endpoint}\", write_key: {key}, {sink} }}
journal: {{ path: data, {journal} }}
admin: {{ listen: \"off\" }}
"
        );
        let config = folder.path().join("sluice.yaml");
        std::fs::write(&config, text).expect("a writable folder");
        Self {
            folder,
            double,
            config,
            enter: Vec::new(),
            double_url,
            http: reqwest::Client::new(),
        }
    }

    pub fn start(&self) -> Sluice {
        let mut command = self.program();
        command.args(RUN).arg(&self.config);
        Sluice::start_by(command)
    }

    fn program(&self) -> Command {
        let program = support::program();
        let Some((first, more)) = self.enter.split_first() else {
            return program;
        };
        let mut command = Command::new(first);
        command.args(more).arg(program.get_program());
        command
    }

    pub fn status(&self) -> Value {
        support::status_by(self.program(), &self.config)
    }

    /// Every dead letter, from the data folder of a stopped process.
    pub fn dead_letters(&self) -> Vec<Value> {
        let text = self.says(&["dead-letters", "export"]);
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line is a dead letter"))
            .collect()
    }

    /// How many different events they hold. One at a time: a long run has more of them than memory.
    pub fn dead_events(&self) -> u64 {
        let mut program = self.program();
        program.args(["dead-letters", "export", "--config"]);
        program.arg(&self.config).stdout(Stdio::piped());
        let mut child = program.spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut ids = HashSet::new();
        for line in lines {
            let letter: Value = serde_json::from_str(&line.expect("a text")).expect("JSON");
            let id = letter["event_id"].as_str().expect("an id");
            assert!(ids.insert(id.to_owned()), "{id} is kept twice");
        }
        assert!(child.wait().expect("it ends").success());
        ids.len() as u64
    }

    /// The same as a person sees them.
    pub fn list_dead_letters(&self) -> String {
        self.says(&["dead-letters", "list"])
    }

    pub fn says(&self, arguments: &[&str]) -> String {
        let mut program = self.program();
        program.args(arguments).arg("--config").arg(&self.config);
        let output = program.output().expect("the program starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("a text")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Let the double have this trouble, after what is planned already.
    pub async fn fault(&self, fault: Value) {
        let answer = self
            .http
            .post(format!("{}/_sandbox/faults", self.double_url))
            .body(fault.to_string())
            .send()
            .await
            .expect("the double answers");
        assert_eq!(
            answer.status(),
            204,
            "{}",
            answer.text().await.unwrap_or_default()
        );
    }

    /// All is well at the double again.
    pub async fn mend(&self) {
        let answer = self
            .http
            .delete(format!("{}/_sandbox/faults", self.double_url))
            .send()
            .await
            .expect("the double answers");
        assert_eq!(answer.status(), 204);
    }

    pub fn duplicates(&self) -> u64 {
        self.dropped("duplicate")
    }

    fn dropped(&self, verdict: &str) -> u64 {
        let dropped = self.double.dropped();
        let found = dropped.iter().find(|(reason, _)| reason == verdict);
        found.map_or(0, |(_, count)| *count)
    }

    /// Wait until the double has as many distinct valid documents, for as long as more arrive.
    pub async fn arrives(&self, documents: u64) {
        while self.double.accepted() < documents {
            let before = self.double.accepted();
            eventually(
                &format!("more than {before} of {documents} documents"),
                || self.double.accepted() > before,
            )
            .await;
        }
    }

    /// Stop and compare: every event of `sent` has its one end, in the account and at the double.
    /// What the double has and did not answer for still waits; it goes again after the next start.
    pub fn ends_with(&self, mut sluice: Sluice, sent: &Sent) -> Value {
        for _ in 0..STOPS_MAX {
            assert_eq!(sluice.stop(), Some(0), "a clean stop");
            let status = self.status();
            let waiting = count(&status["connectors"]["braze-to-segment"]["events"]["waiting"]);
            if waiting == 0 {
                break;
            }
            let again = self.duplicates() + waiting;
            sluice = self.start();
            let until = Instant::now() + support::PATIENCE;
            while self.duplicates() < again && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.balances_with(sent)
    }

    /// The same, where the process has ended already.
    pub fn balances_with(&self, sent: &Sent) -> Value {
        let status = self.status();
        assert_balanced(&status);
        let events = &status["connectors"]["braze-to-segment"]["events"];
        assert_eq!(events["waiting"], 0, "{events}");
        assert_eq!(events["delivered"], sent.delivered, "{events}");
        assert_eq!(
            count(&events["skipped"]["unmapped"]),
            sent.unmapped,
            "{events}"
        );
        assert_eq!(
            count(&events["dead"]["too-large"]),
            sent.oversize,
            "{events}"
        );
        assert_eq!(
            sum(&events["dead"]),
            sent.oversize + sent.refused,
            "{events}"
        );
        assert_eq!(
            self.dead_events(),
            sent.oversize + sent.refused,
            "each dead event is kept once"
        );
        assert_eq!(self.double.accepted(), sent.delivered, "distinct documents");
        let odd: Vec<_> = self
            .double
            .dropped()
            .into_iter()
            .filter(|(verdict, _)| verdict != "duplicate")
            .collect();
        assert!(odd.is_empty(), "documents the sink drops: {odd:?}");
        status
    }
}

/// What was sent and acknowledged, each event counted once however often it was sent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sent {
    pub delivered: u64,
    pub unmapped: u64,
    pub oversize: u64,
    /// Those that the double was told to refuse.
    pub refused: u64,
}

impl Sent {
    pub fn all(&self) -> u64 {
        self.delivered + self.unmapped + self.oversize + self.refused
    }

    /// The events below `end`.
    pub fn below(end: u64) -> Self {
        let mut sent = Self::default();
        for n in 0..end {
            match kind(n) {
                Kind::Plain => sent.delivered += 1,
                Kind::Unmapped => sent.unmapped += 1,
                Kind::Oversize => sent.oversize += 1,
            }
        }
        sent
    }
}

enum Kind {
    Plain,
    Unmapped,
    Oversize,
}

fn kind(n: u64) -> Kind {
    if n % UNMAPPED_EVERY == 3 {
        Kind::Unmapped
    } else if n % OVERSIZE_EVERY == 7 {
        Kind::Oversize
    } else {
        Kind::Plain
    }
}

/// Event number `n`: mostly one that is delivered as one document.
pub fn event(n: u64) -> Value {
    let mut event = small(&format!("event-{n}"));
    match kind(n) {
        Kind::Plain => {}
        Kind::Unmapped => event["event_type"] = json!(UNMAPPED),
        Kind::Oversize => event["properties"]["campaign_name"] = json!("x".repeat(40_000)),
    }
    event
}

/// A short event with this id that is delivered as one document of the same id.
pub fn small(id: &str) -> Value {
    json!({
        "id": id,
        "event_type": "users.messages.email.Open",
        "time": 1_788_264_000,
        "user": {"external_user_id": "cust-1001"},
        "properties": {"campaign_id": "c-1", "campaign_name": "May sale"},
    })
}

/// Send one request as the upstream does; gives the answer's status and Retry-After.
pub async fn post(endpoint: &str, body: impl Into<reqwest::Body>) -> (u16, Option<String>) {
    let answer = reqwest::Client::new()
        .post(endpoint)
        .bearer_auth("test-token")
        .body(body)
        .send()
        .await
        .expect("an answer");
    let after = answer.headers().get("retry-after");
    let after = after.map(|after| after.to_str().expect("a text").to_owned());
    (answer.status().as_u16(), after)
}

/// The body of a request with these events.
pub fn envelope(events: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let events: Vec<&[u8]> = events.iter().map(AsRef::as_ref).collect();
    [br#"{"events":["#.as_slice(), &events.join(&b','), b"]}"].concat()
}

pub fn body(events: impl IntoIterator<Item = Value>) -> Vec<String> {
    events.into_iter().map(|event| event.to_string()).collect()
}

/// Several senders that send until told to stop, each body again until it is acknowledged, as the
/// upstream does. They follow the process to its next address.
pub struct Load {
    endpoint: watch::Sender<String>,
    progress: Arc<Progress>,
    senders: JoinSet<()>,
}

#[derive(Default)]
struct Progress {
    stop: AtomicBool,
    next: AtomicU64,
    acknowledged: AtomicU64,
    repeated: AtomicU64,
}

impl Load {
    pub fn start(sluice: &Sluice, senders: usize) -> Self {
        Self::repeating(u64::MAX, sluice, senders)
    }

    /// Every so many-th body is sent once more after it was acknowledged.
    pub fn repeating(every: u64, sluice: &Sluice, senders: usize) -> Self {
        let mut load = Self {
            endpoint: watch::Sender::new(sluice.endpoint.clone()),
            progress: Arc::default(),
            senders: JoinSet::new(),
        };
        for _ in 0..senders {
            let (progress, endpoint) = (Arc::clone(&load.progress), load.endpoint.subscribe());
            load.senders.spawn(async move {
                while !progress.stop.load(Ordering::SeqCst) {
                    let first = progress.next.fetch_add(BODY, Ordering::SeqCst);
                    let body = body((first..first + BODY).map(event));
                    send_until_taken(&endpoint, &body).await;
                    progress.acknowledged.fetch_add(BODY, Ordering::SeqCst);
                    if first / BODY % every == every - 1 {
                        send_until_taken(&endpoint, &body).await;
                        progress.repeated.fetch_add(BODY, Ordering::SeqCst);
                    }
                }
            });
        }
        load
    }

    pub fn follow(&self, sluice: &Sluice) {
        self.endpoint.send_replace(sluice.endpoint.clone());
    }

    /// Events acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.progress.acknowledged.load(Ordering::SeqCst)
    }

    /// Let every sender finish its body; gives the number behind the last event, and how many
    /// events were sent once more.
    pub async fn finish(mut self) -> (u64, u64) {
        self.progress.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.senders.join_next().await {
            ended.expect("a sender ends well");
        }
        let end = self.progress.next.load(Ordering::SeqCst);
        (end, self.progress.repeated.load(Ordering::SeqCst))
    }
}

async fn send_until_taken(endpoint: &watch::Receiver<String>, body: &[String]) {
    let plugin = source("braze_webhook");
    let settings = json!({"token": "test-token"});
    loop {
        let address = endpoint.borrow().clone();
        let feeder = plugin.feed.expect("a feeder")(address, settings.clone());
        let answer = tokio::time::timeout(support::PATIENCE, feeder.send(body.to_vec())).await;
        if matches!(answer, Ok(Ok(()))) {
            return;
        }
        // The process is away or refuses: come again soon, not at once.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Received is the sum of its parts, for the connector, for each type of event, and in documents.
pub fn assert_balanced(status: &Value) {
    let connectors = status["connectors"].as_object().expect("connectors");
    assert!(!connectors.is_empty(), "{status}");
    for connector in connectors.values() {
        let types = connector["types"].as_object().expect("types");
        let mut received_by_type = 0;
        for balance in types.values().chain([&connector["events"]]) {
            let parts = count(&balance["delivered"])
                + sum(&balance["skipped"])
                + sum(&balance["dead"])
                + count(&balance["expired"])
                + count(&balance["waiting"]);
            assert_eq!(count(&balance["received"]), parts, "{balance}");
        }
        for balance in types.values() {
            received_by_type += count(&balance["received"]);
        }
        assert_eq!(count(&connector["events"]["received"]), received_by_type);
    }
}

pub fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

pub fn sum(reasons: &Value) -> u64 {
    reasons
        .as_object()
        .map_or(0, |reasons| reasons.values().map(count).sum())
}
