//! Each source and sink of the crate, used as the engine uses it.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_braze as _;
use sluice_sdk::{
    Batch, BoxFuture, Delivery, Document, Intake, IntakeBackend, IntakeError, Outcome, Stop,
    Submission,
};
use sluice_standard as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[derive(Default)]
struct Double {
    taken: Mutex<Vec<Submission>>,
    /// Says `Full` this many times first.
    full: Mutex<u32>,
}

impl IntakeBackend for Double {
    fn accept(&self, submission: Submission) -> BoxFuture<'_, Result<(), IntakeError>> {
        let mut full = self.full.lock().unwrap();
        let answer = if *full > 0 {
            *full -= 1;
            Err(IntakeError::Full {
                retry_after: Duration::from_millis(1),
            })
        } else {
            self.taken.lock().unwrap().push(submission);
            Ok(())
        };
        Box::pin(async { answer })
    }
    fn ready(&self, _: &str) {}
    fn note(&self, _: &'static str) {}
}

/// Run a source to its end; ids and types, and reasons of what was set aside.
async fn run(name: &str, settings: Value) -> (Vec<(String, String)>, Vec<String>) {
    let double = Arc::new(Double {
        full: Mutex::new(2),
        ..Double::default()
    });
    let plugin = sluice_sdk::sources()
        .into_iter()
        .find(|p| p.name == name)
        .unwrap();
    let source = (plugin.build)(settings).unwrap();
    let intake = Intake::new(Arc::clone(&double) as Arc<dyn IntakeBackend>);
    source.run(intake, Stop::default()).await.unwrap();
    let (mut events, mut reasons) = (vec![], vec![]);
    for submission in double.taken.lock().unwrap().drain(..) {
        for event in submission.events {
            let slice = &submission.body[event.start as usize..event.end as usize];
            assert!(serde_json::from_slice::<Value>(slice).unwrap().is_object());
            events.push((event.id, event.event_type));
        }
        reasons.extend(submission.malformed.into_iter().map(|mark| mark.reason));
    }
    (events, reasons)
}

async fn deliver(name: &str, settings: Value, bodies: &[&str]) -> Delivery {
    let plugin = sluice_sdk::sinks()
        .into_iter()
        .find(|p| p.name == name)
        .unwrap();
    let sink = (plugin.build)(settings).unwrap();
    let documents = bodies
        .iter()
        .map(|body| Document {
            event_id: "1".to_owned(),
            event_type: "a".to_owned(),
            body: body.to_string().into(),
        })
        .collect();
    sink.deliver(&Batch {
        documents,
        attempt: 0,
    })
    .await
}

#[tokio::test]
async fn generate_makes_the_wanted_number_of_different_events() {
    let settings = json!({"catalogue": "braze_webhook", "count": 250, "rate": 100_000});
    let (events, reasons) = run("generate", settings.clone()).await;
    assert_eq!(events.len(), 250);
    assert!(reasons.is_empty());
    let ids: std::collections::HashSet<_> = events.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 250);
    assert_eq!(
        run("generate", settings).await.0,
        events,
        "the same seed, the same events"
    );
}

#[tokio::test]
async fn generate_makes_only_the_types_that_are_named() {
    let types = json!({"users.messages.email.*": 1});
    let (events, _) = run(
        "generate",
        json!({"catalogue": "braze_webhook", "count": 20, "types": types}),
    )
    .await;
    assert_eq!(events.len(), 20);
    assert!(
        events
            .iter()
            .all(|(_, name)| name.starts_with("users.messages.email."))
    );
}

#[tokio::test]
async fn a_file_is_read_to_its_end_and_bad_lines_are_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    let text = "{\"id\":\"1\",\"meta\":{\"kind\":\"a\"}}\n\nnonsense\n[]\n{\"id\":\"2\"}\n{\"meta\":{\"kind\":\"b\"}}\r\n{\"id\":3,\"meta\":{\"kind\":\"b\"}}";
    std::fs::write(&path, text).unwrap();
    let (events, reasons) = run("file", json!({"path": path, "event_type": "meta.kind"})).await;
    let expected = [("1", "a"), ("3", "b")].map(|(id, kind)| (id.to_owned(), kind.to_owned()));
    assert_eq!(events, expected);
    assert_eq!(reasons, ["not JSON", "not an object", "no type", "no id"]);
}

#[tokio::test]
async fn the_file_sink_appends_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ndjson");
    for _ in 0..2 {
        let delivery = deliver("file", json!({"path": path}), &["{\"a\":1}", "{}"]).await;
        assert_eq!(delivery, Delivery::All(Outcome::Delivered));
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "{\"a\":1}\n{}\n{\"a\":1}\n{}\n"
    );
    let missing = folder.path().join("no/out.ndjson");
    let delivery = deliver("file", json!({"path": missing}), &["{}"]).await;
    assert!(matches!(delivery, Delivery::All(Outcome::Retry { .. })));
}

/// Answers one request with `status`; gives back the request.
async fn answer_once(status: &str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 {status} x\r\nretry-after: 7\r\nlocation: /\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        loop {
            let mut chunk = [0; 4096];
            let count = stream.read(&mut chunk).await.unwrap();
            request.extend_from_slice(&chunk[..count]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let complete = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .unwrap();
                body.len() >= length.parse().unwrap()
            });
            if complete || count == 0 {
                stream.write_all(answer.as_bytes()).await.unwrap();
                return text;
            }
        }
    });
    (url, task)
}

#[tokio::test]
async fn http_answers_become_outcomes() {
    for (status, expected) in [
        ("200", "delivered"),
        ("202", "delivered"),
        ("400", "rejected"),
        ("413", "rejected"),
        ("422", "rejected"),
        ("302", "hold"),
        ("401", "hold"),
        ("403", "hold"),
        ("404", "hold"),
        ("408", "retry"),
        ("429", "retry"),
        ("500", "retry"),
        ("503", "retry"),
    ] {
        let (url, request) = answer_once(status).await;
        let found = match deliver("http", json!({"url": url}), &["{}"]).await {
            Delivery::All(Outcome::Delivered) => "delivered",
            Delivery::All(Outcome::Retry { after, .. }) => {
                assert_eq!(after, Some(Duration::from_secs(7)));
                "retry"
            }
            Delivery::All(Outcome::Hold { .. }) => "hold",
            Delivery::BatchRejected { .. } => "rejected",
            other => panic!("{status}: {other:?}"),
        };
        assert_eq!(found, expected, "{status}");
        request.await.unwrap();
    }
    let nobody = json!({"url": "http://127.0.0.1:1/"});
    let delivery = deliver("http", nobody, &["{}"]).await;
    assert!(matches!(delivery, Delivery::All(Outcome::Retry { .. })));
}

#[tokio::test]
async fn http_sends_documents_in_the_wanted_form() {
    for (format, body) in [("array", "[{\"a\":1},{}]"), ("ndjson", "{\"a\":1}\n{}\n")] {
        let (url, request) = answer_once("200").await;
        let settings = json!({"url": url, "format": format, "headers": {"X-Key": "s3cret"}});
        deliver("http", settings, &["{\"a\":1}", "{}"]).await;
        let request = request.await.unwrap();
        assert!(request.ends_with(body), "{request}");
        assert!(request.contains("x-key: s3cret"), "{request}");
    }
}

/// Whatever is wrong, with the settings or with the other side, nobody reads it in a log.
#[tokio::test]
async fn the_value_of_a_header_is_in_no_debug_output_and_no_reason() {
    const KEY: &str = "k3y-that-nobody-sees";
    let sinks = sluice_sdk::sinks();
    let http = sinks.iter().find(|plugin| plugin.name == "http").unwrap();
    let headers = json!({"Authorization": format!("Bearer {KEY}"), "X-Other": "open"});
    let settings = json!({"url": "http://127.0.0.1:1/", "headers": headers});
    let text = (http.debug)(settings).unwrap();
    assert!(
        text.contains("Authorization") && !text.contains(KEY),
        "{text}"
    );

    for headers in [
        json!(KEY),
        json!([KEY]),
        json!({"X-Key": [KEY]}),
        json!({"X-Key": {"fil": KEY}}),
        json!({"X-Key": {"file": {"x": KEY}}}),
    ] {
        let settings = json!({"url": "http://127.0.0.1:1/", "headers": headers});
        let problem = (http.validate)(settings).unwrap_err();
        let text = format!("{problem} {problem:?}");
        assert!(!text.contains(KEY), "{headers}: {text}");
    }

    // Nobody is there, nothing a header may hold, a refusal.
    let broken = json!({"X-Key": format!("{KEY}\n")});
    let (url, request) = answer_once("401").await;
    for (url, headers) in [
        ("http://127.0.0.1:1/", &headers),
        ("http://127.0.0.1:1/", &broken),
        (url.as_str(), &headers),
    ] {
        let settings = json!({"url": url, "headers": headers});
        let delivery = format!("{:?}", deliver("http", settings, &["{}"]).await);
        assert!(
            delivery.contains("reason") && !delivery.contains(KEY),
            "{delivery}"
        );
    }
    assert!(
        request.await.unwrap().contains(KEY),
        "it was sent all the same"
    );
}

#[test]
fn wrong_settings_name_the_setting() {
    let sinks = sluice_sdk::sinks();
    let http = sinks.iter().find(|plugin| plugin.name == "http").unwrap();
    for settings in [
        json!({"url": "ftp://x"}),
        json!({"url": "http://x", "batch": 0}),
        json!({"url": "http://x", "headers": {"a b": "c"}}),
        json!({"url": "http://x", "hedders": {}}),
    ] {
        assert!((http.validate)(settings.clone()).is_err(), "{settings}");
    }
}

#[test]
fn every_example_works_and_every_setting_is_described() {
    let sources = sluice_sdk::sources();
    let sources = sources
        .iter()
        .map(|p| (p.name, p.example, p.validate, p.schema));
    let sinks = sluice_sdk::sinks();
    let sinks = sinks
        .iter()
        .map(|p| (p.name, p.example, p.validate, p.schema));
    for (name, example, validate, schema) in sources.chain(sinks) {
        let settings: Value = serde_yaml::from_str(example).unwrap();
        validate(settings).unwrap_or_else(|error| panic!("{name}: {error}"));
        let schema = schema().to_value();
        for (key, setting) in schema["properties"].as_object().into_iter().flatten() {
            let described = setting["description"].is_string() || setting["$ref"].is_string();
            assert!(described, "{name}.{key} has no description");
        }
    }
}
