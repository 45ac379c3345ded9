//! Keys that are looked up: a plain no holds, and nothing else does.

#![allow(clippy::unwrap_used)]

use serde_json::json;
use sluice_sdk::{
    Batch, CheckError, Delivery, Document, Double as _, Outcome, Sink as _, parse_config,
};
use sluice_segment::{Options, Region, Sandbox, SegmentSink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const GOOD: &str = "aaaaaaaabbbbbbbbccccccccdddddddd";
const GONE: &str = "eeeeeeeeffffffff0000000011111111";

async fn sandbox() -> Sandbox {
    let options = Options {
        keys: [(GOOD.to_owned(), Region::Us)].into(),
        ..Options::default()
    };
    Sandbox::start(options).await.unwrap()
}

fn sink(sandbox: &Sandbox, key: serde_json::Value, look_up_at: &str) -> SegmentSink {
    let settings = json!({
        "endpoint": sandbox.us_url(), "write_key": key, "timeout": 1, "look_up_key_at": look_up_at,
    });
    SegmentSink::new(parse_config(settings).unwrap()).unwrap()
}

fn batch() -> Batch {
    let body = r#"{"type":"track","userId":"u-1","event":"Opened","messageId":"a"}"#;
    Batch {
        documents: vec![Document {
            event_id: "a".to_owned(),
            event_type: "test".to_owned(),
            body: body.into(),
        }],
        attempt: 0,
    }
}

#[tokio::test]
async fn a_key_that_no_source_has_holds_and_is_not_in_the_message() {
    let sandbox = sandbox().await;
    let sink = sink(&sandbox, json!(GONE), &sandbox.us_url());
    let Err(CheckError::Refused(reason)) = sink.check().await else {
        panic!("a key that no source has");
    };
    assert!(
        reason.contains("no Segment source has this write_key"),
        "{reason}"
    );
    assert!(reason.contains("answers 404"), "{reason}");
    assert!(reason.contains("leave out look_up_key_at"), "{reason}");
    assert!(!reason.contains(GONE), "{reason}");
    let delivery = sink.deliver(&batch()).await;
    assert!(
        matches!(delivery, Delivery::All(Outcome::Hold { .. })),
        "{delivery:?}"
    );
    assert_eq!(
        sandbox.dropped(),
        [],
        "nothing was sent, so nothing was dropped"
    );
}

#[tokio::test]
async fn without_the_look_up_such_a_key_gets_a_yes_and_the_data_is_dropped() {
    let sandbox = sandbox().await;
    let settings = json!({"endpoint": sandbox.us_url(), "write_key": GONE});
    let sink = SegmentSink::new(parse_config(settings).unwrap()).unwrap();
    assert_eq!(sink.check().await, Ok(()));
    let delivery = sink.deliver(&batch()).await;
    assert!(
        matches!(delivery, Delivery::All(Outcome::Delivered)),
        "{delivery:?}"
    );
    assert_eq!(sandbox.dropped(), [("unknown_source".to_owned(), 1)]);
}

#[tokio::test]
async fn a_key_from_a_file_that_is_mended_is_looked_up_anew_at_once() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, GOOD).unwrap();
    let sink = sink(&sandbox, json!({"file": file}), &sandbox.us_url());
    assert!(matches!(
        sink.deliver(&batch()).await,
        Delivery::All(Outcome::Delivered)
    ));
    std::fs::write(&file, GONE).unwrap();
    assert!(matches!(
        sink.deliver(&batch()).await,
        Delivery::All(Outcome::Hold { .. })
    ));
    std::fs::write(&file, GOOD).unwrap();
    assert_eq!(sink.check().await, Ok(()));
    assert!(matches!(
        sink.deliver(&batch()).await,
        Delivery::All(Outcome::Delivered)
    ));
}

/// An address that answers every request with this status.
async fn answering(status: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn an_address_that_says_nothing_of_the_key_stops_nothing() {
    let sandbox = sandbox().await;
    // Port 9 is nobody's here.
    for address in [
        "http://127.0.0.1:9".to_owned(),
        answering("503 Service Unavailable").await,
        answering("429 Too Many Requests").await,
        answering("302 Found").await,
    ] {
        let sink = sink(&sandbox, json!(GOOD), &address);
        assert_eq!(sink.check().await, Ok(()), "{address}");
        let delivery = sink.deliver(&batch()).await;
        assert!(
            matches!(delivery, Delivery::All(Outcome::Delivered)),
            "{address}: {delivery:?}"
        );
    }
}
