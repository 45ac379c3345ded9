//! The source `http` over real connections: what a sender is answered, and what is kept.
//!
//! Connections, tokens, networks and TLS are the same as for `braze_webhook`, and tested there.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use sha2::Sha256;
use sluice_sdk::{Intake, SourceError, Stop};
use sluice_standard as _;
use support::Journal;
use tokio::task::JoinHandle;

const SECRET: &str = "s3cret-of-the-sender";

struct Running {
    journal: Journal,
    url: String,
    stop: Stop,
    task: JoinHandle<Result<(), SourceError>>,
}

impl Running {
    async fn start(more: Value) -> Self {
        let mut settings = json!({
            "listen": "127.0.0.1:0",
            "signature": {"secret": SECRET, "header": "X-Signature", "prefix": "sha256="},
        });
        let all = settings.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        let sources = sluice_sdk::sources();
        let plugin = sources.iter().find(|it| it.name == "http").unwrap();
        let source = (plugin.build)(settings).unwrap();
        let (journal, stop) = (Journal::default(), Stop::default());
        let intake = Intake::new(Arc::new(journal.clone()));
        let task = tokio::spawn(source.run(intake, stop.clone()));
        let url = loop {
            if let Some(url) = journal.0.lock().unwrap().endpoint.clone() {
                break url;
            }
            assert!(!task.is_finished(), "the source did not start");
            tokio::task::yield_now().await;
        };
        Self {
            journal,
            url,
            stop,
            task,
        }
    }

    /// As a sender with this secret.
    async fn post(&self, secret: &str, body: &[u8], encoding: &str) -> Response {
        let request = Client::new()
            .post(&self.url)
            .header("x-signature", format!("sha256={}", sign(secret, body)))
            .header("content-encoding", encoding)
            .body(body.to_vec());
        request.send().await.unwrap()
    }

    /// What came since the last call: ids, reasons of what was set aside, notes.
    fn taken(&self) -> [String; 3] {
        let kept = &mut *self.journal.0.lock().unwrap();
        let reasons: Vec<String> = kept.aside.drain(..).map(|(reason, _)| reason).collect();
        let ids = std::mem::take(&mut kept.ids).join(" ");
        [
            ids,
            reasons.join(","),
            std::mem::take(&mut kept.notes).join(","),
        ]
    }

    async fn end(self) {
        self.stop.request();
        self.task.await.unwrap().unwrap();
    }
}

fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn events(ids: &[&str]) -> Vec<u8> {
    let events: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "event_type": "a"}))
        .collect();
    json!({"data": {"items": events}}).to_string().into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn every_request_gets_its_answer() {
    let source = Running::start(json!({"events": "data.items", "max_body": 2000})).await;
    let (good, large) = (events(&["1", "2"]), events(&["x"; 200]));
    let torn = &good[..good.len() - 9];
    for (name, secret, body, encoding, status, expected) in [
        (
            "good",
            SECRET,
            good.as_slice(),
            "identity",
            200,
            ["1 2", "", ""],
        ),
        (
            "gzip, signed as it travels",
            SECRET,
            &gzip(&good),
            "gzip",
            200,
            ["1 2", "", ""],
        ),
        (
            "wrong secret",
            "other",
            &good,
            "identity",
            401,
            ["", "", "wrong signature"],
        ),
        (
            "too large",
            SECRET,
            &large,
            "identity",
            413,
            ["", "", "body too large"],
        ),
        (
            "too large inside",
            SECRET,
            &gzip(&large),
            "gzip",
            413,
            ["", "", "body too large"],
        ),
        (
            "cut off",
            SECRET,
            torn,
            "identity",
            200,
            ["", "not JSON", ""],
        ),
        (
            "no gzip",
            SECRET,
            &good,
            "gzip",
            200,
            ["", "gzip cannot be read", ""],
        ),
        (
            "other encoding",
            SECRET,
            &good,
            "br",
            200,
            ["", "content encoding not known", ""],
        ),
        (
            "no events",
            SECRET,
            b"{}",
            "identity",
            200,
            ["", "no events at their place", ""],
        ),
        (
            "nothing in it",
            SECRET,
            &events(&[]),
            "identity",
            200,
            ["", "", ""],
        ),
    ] {
        let answer = source.post(secret, body, encoding).await;
        assert_eq!(answer.status(), status, "{name}");
        let text = answer.text().await.unwrap();
        assert!(
            !text.contains(SECRET) && !text.contains(&sign(SECRET, body)),
            "{name}: {text}"
        );
        assert_eq!(source.taken(), expected, "{name}");
    }
    source.end().await;
}

#[tokio::test]
async fn a_request_without_a_signature_is_401() {
    let source = Running::start(json!({})).await;
    let request = Client::new().post(&source.url).body(events(&["1"]));
    assert_eq!(request.send().await.unwrap().status(), 401);
    assert_eq!(source.taken(), ["", "", "wrong signature"]);
    source.end().await;
}

#[tokio::test]
async fn with_a_token_and_a_signature_both_must_be_right() {
    let settings = json!({"token": "t0ken", "events": "data.items"});
    let source = Running::start(settings).await;
    for (token, secret, status) in [
        ("t0ken", SECRET, 200),
        ("t0ken", "other", 401),
        ("other", SECRET, 401),
    ] {
        let body = events(&["1"]);
        let request = Client::new()
            .post(&source.url)
            .bearer_auth(token)
            .header("x-signature", format!("sha256={}", sign(secret, &body)))
            .body(body);
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    assert_eq!(source.taken(), ["1", "", "wrong signature,wrong token"]);
    source.end().await;
}

#[tokio::test]
async fn while_there_is_no_room_the_sender_is_told_when_to_come_again() {
    let source = Running::start(json!({"events": "data.items"})).await;
    source.journal.0.lock().unwrap().is_full = true;
    let answer = source.post(SECRET, &events(&["1"]), "identity").await;
    assert_eq!(answer.status(), 503);
    let after = answer.headers()["retry-after"].to_str().unwrap();
    assert!(after.parse::<u64>().unwrap() >= 1, "{after}");
    assert_eq!(source.taken(), ["", "", "no room"]);
    source.journal.0.lock().unwrap().is_full = false;
    let answer = source.post(SECRET, &events(&["1"]), "identity").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(source.taken(), ["1", "", ""]);
    source.end().await;
}

#[tokio::test]
async fn other_methods_and_paths_are_told_the_way() {
    let source = Running::start(json!({"path": "/in"})).await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let request = Client::new().request(method, &source.url);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 405);
        assert_eq!(answer.headers()["allow"], "POST");
    }
    let elsewhere = source.url.replace("/in", "/elsewhere");
    let answer = Client::new().post(elsewhere).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert!(answer.text().await.unwrap().contains("/in"));
    assert_eq!(source.taken()[0], "");
    source.end().await;
}
