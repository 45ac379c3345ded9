//! The webhook over real connections: for everything that can come, the answer and what is kept.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use sluice_sdk::{Intake, IntakeBackend, IntakeError, Stop};
use support::{batch, event, gzip, plugin, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Name, body, answer, ids of events taken, reasons of what was set aside.
type Row<'a> = (&'a str, &'a str, u16, &'a [&'a str], &'a [&'a str]);

#[tokio::test]
async fn every_body_gets_its_answer() {
    let webhook = start(json!({"token": "good", "max_body": 2000})).await;
    let long = batch(&["x"; 40]);
    let rows: [Row<'_>; 11] = [
        ("good", &batch(&["1", "2"]), 200, &["1", "2"], &[]),
        ("empty", "", 200, &[], &[]),
        ("empty object", "{}", 200, &[], &[]),
        ("no events", r#"{"events":[]}"#, 200, &[], &[]),
        (
            "list of envelopes",
            &format!("[{},{}]", batch(&["1"]), batch(&["2"])),
            200,
            &["1", "2"],
            &[],
        ),
        ("no JSON", "events=1", 200, &[], &["not JSON"]),
        ("cut off", r#"{"events":[{"#, 200, &[], &["not JSON"]),
        (
            "other shape",
            r#"{"hello":1}"#,
            200,
            &[],
            &["no `events` list"],
        ),
        (
            "one without id",
            &format!(r#"{{"events":[{},{{"event_type":"a"}}]}}"#, event("1")),
            200,
            &["1"],
            &["no id"],
        ),
        (
            "not an object",
            &format!(r#"{{"events":[7,{}]}}"#, event("1")),
            200,
            &["1"],
            &["not an object"],
        ),
        ("too large", &long, 413, &[], &[]),
    ];
    for (name, body, status, ids, reasons) in rows {
        let (answer, text) = webhook.post(body.to_owned()).await;
        assert_eq!(answer, status, "{name}: {text}");
        let taken = webhook.taken();
        assert_eq!(taken.0, ids, "{name}");
        assert_eq!(taken.1, reasons, "{name}");
    }
    webhook.end().await;
}

#[tokio::test]
async fn gzip_is_inflated_and_bounded() {
    let webhook = start(json!({"token": "good", "max_body": "1MiB"})).await;
    let zipped = |body: Vec<u8>, encoding: &'static str| {
        webhook.send(move |request| {
            request
                .bearer_auth("good")
                .header("content-encoding", encoding)
                .body(body)
        })
    };
    assert_eq!(zipped(gzip(batch(&["1"]).as_bytes()), "gzip").await.0, 200);
    assert_eq!(webhook.taken().0, ["1"]);
    assert_eq!(
        zipped(gzip(&vec![b' '; 64 << 20]), "gzip").await.0,
        413,
        "bomb"
    );
    assert_eq!(zipped(vec![], "gzip").await.0, 200, "probe");
    assert_eq!(zipped(b"plain".to_vec(), "gzip").await.0, 200);
    assert_eq!(webhook.taken().1, ["gzip cannot be read"]);
    assert_eq!(zipped(b"x".to_vec(), "br").await.0, 200);
    assert_eq!(webhook.taken().1, ["content encoding not known"]);
    webhook.end().await;
}

#[tokio::test]
async fn only_a_right_token_lets_in() {
    let webhook = start(json!({"token": ["old", "good"]})).await;
    for (authorization, status) in [
        ("Bearer good", 200),
        ("bearer old", 200),
        ("Bearer goo", 401),
        ("Bearer goodd", 401),
        ("Bearer ", 401),
        ("Basic good", 401),
        ("good", 401),
        ("", 401),
    ] {
        let answer = webhook
            .send(|request| request.header("authorization", authorization).body("{}"))
            .await;
        assert_eq!(answer.0, status, "{authorization}");
    }
    assert_eq!(
        webhook.send(|request| request.body(batch(&["1"]))).await.0,
        401
    );
    assert!(webhook.taken().0.is_empty());
    assert!(
        webhook
            .double
            .notes
            .lock()
            .unwrap()
            .contains(&"wrong token")
    );
    webhook.end().await;
}

#[tokio::test]
async fn a_wrong_token_is_answered_before_the_body_comes() {
    let webhook = start(json!({"token": "good"})).await;
    let address = webhook
        .url
        .strip_prefix("http://")
        .unwrap()
        .replace("/currents", "");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /currents HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    webhook.end().await;
}

#[tokio::test]
async fn a_token_file_is_read_anew_and_its_loss_is_our_own_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "good\n").unwrap();
    let webhook = start(json!({"token": {"file": file}})).await;
    assert_eq!(webhook.post(batch(&["1"])).await.0, 200);
    std::fs::write(&file, "new").unwrap();
    assert_eq!(webhook.post(batch(&["2"])).await.0, 401);
    std::fs::write(&file, "").unwrap();
    assert_eq!(webhook.post(batch(&["3"])).await.0, 503);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(webhook.post(batch(&["4"])).await.0, 503);
    std::fs::write(&file, "good").unwrap();
    assert_eq!(webhook.post(batch(&["5"])).await.0, 200);
    assert_eq!(webhook.taken().0, ["1", "5"]);
    webhook.end().await;
}

#[tokio::test]
async fn trouble_of_our_own_is_503() {
    let webhook = start(json!({"token": "good"})).await;
    for error in [
        IntakeError::Full {
            retry_after: Duration::from_secs(7),
        },
        IntakeError::Stopping,
        IntakeError::Io("disk on fire".to_owned()),
    ] {
        *webhook.double.answer.lock().unwrap() = Err(error);
        assert_eq!(webhook.post(batch(&["1"])).await.0, 503);
        assert_eq!(
            webhook.post("no JSON").await.0,
            503,
            "set aside safely or not at all"
        );
        assert_eq!(webhook.post("{}").await.0, 200, "a probe needs no room");
    }
    webhook.end().await;
}

#[tokio::test]
async fn other_paths_and_methods_are_told_the_way() {
    let webhook = start(json!({"token": "good"})).await;
    let client = Client::new();
    let get = client.get(&webhook.url).send().await.unwrap();
    assert_eq!(
        (get.status().as_u16(), &get.headers()["allow"] == "POST"),
        (405, true)
    );
    let other = client
        .post(format!("{}x", webhook.url))
        .send()
        .await
        .unwrap();
    assert_eq!(other.status(), 404);
    assert!(other.text().await.unwrap().contains("/currents"));
    let query = client
        .post(format!("{}?workspace=a", webhook.url))
        .bearer_auth("good");
    assert_eq!(query.send().await.unwrap().status(), 200);
    webhook.end().await;
}

#[tokio::test]
async fn networks_are_checked_and_the_proxy_believed_only_if_said() {
    for (settings, forwarded, status) in [
        (json!({"allow_networks": ["127.0.0.0/8"]}), None, 200),
        (json!({"allow_networks": ["10.0.0.0/8"]}), None, 503),
        (
            json!({"allow_networks": ["10.0.0.0/8"]}),
            Some("10.1.1.1"),
            503,
        ),
        (
            json!({"allow_networks": ["10.0.0.0/8"], "trust_forwarded_for": true}),
            Some("10.1.1.1"),
            200,
        ),
        (
            json!({"allow_networks": ["10.0.0.0/8"], "trust_forwarded_for": true}),
            Some("10.1.1.1, 11.1.1.1"),
            503,
        ),
        (
            json!({"allow_networks": ["127.0.0.0/8"], "trust_forwarded_for": true}),
            Some("what"),
            503,
        ),
    ] {
        let mut all = settings.clone();
        all["token"] = json!("good");
        let webhook = start(all).await;
        let answer = webhook
            .send(|mut request| {
                if let Some(list) = forwarded {
                    request = request.header("x-forwarded-for", list);
                }
                request.bearer_auth("good").body("{}")
            })
            .await;
        assert_eq!(answer.0, status, "{settings} {forwarded:?}");
        webhook.end().await;
    }
}

#[tokio::test]
async fn a_stop_finishes_the_request_under_way_and_takes_no_new_one() {
    let webhook = start(json!({"token": "good"})).await;
    let closed = webhook.double.open.acquire_many(100).await.unwrap();
    let url = webhook.url.clone();
    let waiting = tokio::spawn(
        Client::new()
            .post(&url)
            .bearer_auth("good")
            .body(batch(&["1"]))
            .send(),
    );
    // 100 permits are taken: wait until the request stands in the queue for one.
    tokio::time::sleep(Duration::from_millis(300)).await;
    webhook.stop.request();
    while Client::new().post(&url).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!webhook.task.is_finished());
    drop(closed);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    assert_eq!(webhook.taken().0, ["1"]);
    webhook.end().await;
}

#[tokio::test]
async fn a_taken_port_is_named_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let source = (plugin().build)(json!({"token": "x", "listen": address})).unwrap();
    let webhook = start(json!({"token": "x"})).await;
    let intake = Intake::new(Arc::clone(&webhook.double) as Arc<dyn IntakeBackend>);
    let error = source.run(intake, Stop::default()).await.unwrap_err().0;
    assert!(
        error.contains(&address) && error.contains("another port"),
        "{error}"
    );
    webhook.end().await;
}

#[tokio::test]
async fn https_with_a_certificate_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let webhook = start(json!({
        "token": "good", "tls": {"certificate": certificate, "key": key}
    }))
    .await;
    assert!(webhook.url.starts_with("https://"));
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = Client::builder().tls_certs_only([root]).build().unwrap();
    let answer = client
        .post(&webhook.url)
        .bearer_auth("good")
        .body(batch(&["1"]))
        .send()
        .await;
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(webhook.taken().0, ["1"]);
    webhook.end().await;

    let source = (plugin().build)(json!({
        "token": "x", "listen": "127.0.0.1:0", "tls": {"certificate": "/no/such.pem", "key": key}
    }))
    .unwrap();
    let webhook = start(json!({"token": "x"})).await;
    let intake = Intake::new(Arc::clone(&webhook.double) as Arc<dyn IntakeBackend>);
    let error = source.run(intake, Stop::default()).await.unwrap_err().0;
    assert!(error.contains("/no/such.pem"), "{error}");
    webhook.end().await;
}

#[tokio::test]
async fn the_feeder_sends_as_braze_does() {
    let settings = json!({"token": ["good", "other"]});
    let webhook = start(settings.clone()).await;
    let feed = plugin().feed.unwrap();
    let feeder = feed(webhook.url.clone(), settings);
    feeder.send(vec![event("1"), event("2")]).await.unwrap();
    assert_eq!(webhook.taken().0, ["1", "2"]);
    let wrong = feed(webhook.url.clone(), json!({"token": "bad"}));
    assert!(
        wrong
            .send(vec![event("3")])
            .await
            .unwrap_err()
            .contains("401")
    );
    webhook.end().await;
}

#[test]
fn the_example_works() {
    let example: Value = serde_yaml::from_str(plugin().example).unwrap();
    (plugin().validate)(example).unwrap();
}
