//! What each answer of Segment becomes, against the double on loopback.

#![allow(clippy::unwrap_used)]

use std::io::Read as _;
use std::time::Duration;

use flate2::read::GzDecoder;
use jiff::Timestamp;
use serde_json::{Value, json};
use sluice_sdk::{
    Batch, Bytes, CheckError, Delivery, Document, Double as _, Outcome, Sink as _, parse_config,
};
use sluice_segment::double::{FaultMode, WRITE_KEY};
use sluice_segment::pack::Packers;
use sluice_segment::protocol::write_batch;
use sluice_segment::{Fault, Options, Region, Sandbox, SegmentSink};

fn sink_at(url: &str, more: Value) -> SegmentSink {
    let mut settings = json!({"endpoint": url, "write_key": WRITE_KEY, "timeout": 1});
    settings
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    SegmentSink::new(parse_config(settings).unwrap()).unwrap()
}

async fn start() -> (Sandbox, SegmentSink) {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let sink = sink_at(&sandbox.us_url(), json!({}));
    (sandbox, sink)
}

fn document(id: &str) -> Document {
    let body = format!(
        r#"{{"type":"track","userId":"u-1","event":"Email Opened","messageId":"{id}","properties":{{"n":1.50}}}}"#
    );
    Document {
        event_id: id.to_owned(),
        event_type: "test".to_owned(),
        body: body.into(),
    }
}

fn batch(ids: &[&str], attempt: u32) -> Batch {
    Batch {
        documents: ids.iter().map(|id| document(id)).collect(),
        attempt,
    }
}

fn many() -> Batch {
    let ids: Vec<String> = (0..30).map(|n| format!("id-{n}")).collect();
    batch(&ids.iter().map(String::as_str).collect::<Vec<_>>(), 0)
}

fn kind(delivery: &Delivery) -> &'static str {
    match delivery {
        Delivery::All(Outcome::Delivered) => "delivered",
        Delivery::All(Outcome::Retry { .. }) => "retry",
        Delivery::All(Outcome::Hold { .. }) => "hold",
        Delivery::All(Outcome::Rejected { .. }) => "rejected",
        Delivery::BatchRejected { .. } => "batch rejected",
        Delivery::Each(_) => "each",
    }
}

#[tokio::test]
async fn each_status_becomes_its_outcome() {
    let (sandbox, sink) = start().await;
    for (statuses, expected) in [
        (&[200, 201, 202, 204][..], "delivered"),
        (
            &[301, 302, 304, 307, 308, 401, 403, 404, 405, 415, 418, 451],
            "hold",
        ),
        (&[400, 413, 422], "batch rejected"),
        (
            &[408, 410, 425, 429, 460, 500, 501, 502, 503, 504, 511, 529],
            "retry",
        ),
    ] {
        for status in statuses {
            sandbox.fault(Fault::status(*status));
            let delivery = sink.deliver(&batch(&["a"], 0)).await;
            assert_eq!(kind(&delivery), expected, "status {status}: {delivery:?}");
        }
    }
    assert_eq!(sandbox.accepted(), 0, "a planned status stores nothing");
}

#[tokio::test]
async fn trouble_may_concern_one_document_alone() {
    let (sandbox, sink) = start().await;
    sandbox.fault(Fault {
        contains: Some("\"b\"".to_owned()),
        times: 0,
        ..Fault::status(400)
    });
    assert_eq!(
        kind(&sink.deliver(&batch(&["a", "c"], 0)).await),
        "delivered"
    );
    assert_eq!(
        kind(&sink.deliver(&batch(&["a", "b"], 0)).await),
        "batch rejected"
    );
    assert_eq!(kind(&sink.deliver(&batch(&["d"], 0)).await), "delivered");
    assert_eq!(sandbox.count("accepted"), 3);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (sandbox, sink) = start().await;
    sandbox.fault(Fault::new(FaultMode::Redirect));
    let delivery = sink.deliver(&batch(&["a"], 0)).await;
    assert_eq!(kind(&delivery), "hold");
    assert_eq!(sandbox.requests().len(), 1);
    assert_eq!(sandbox.accepted(), 0);
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_document() {
    for mode in [FaultMode::ResetAfter, FaultMode::HalfResponse] {
        let (sandbox, sink) = start().await;
        sandbox.fault(Fault::new(mode));
        assert_eq!(
            kind(&sink.deliver(&batch(&["a", "b"], 0)).await),
            "retry",
            "{mode:?}"
        );
        assert_eq!(
            kind(&sink.deliver(&batch(&["a", "b"], 1)).await),
            "delivered",
            "{mode:?}"
        );
        assert_eq!(sandbox.accepted(), 2, "{mode:?}");
        assert_eq!(sandbox.dropped(), [("duplicate".to_owned(), 2)], "{mode:?}");
        assert_eq!(sandbox.requests()[1].retry_count.as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn a_reset_before_storing_is_a_retry() {
    let (sandbox, sink) = start().await;
    sandbox.fault(Fault::new(FaultMode::ResetBefore));
    assert_eq!(kind(&sink.deliver(&batch(&["a"], 0)).await), "retry");
    assert_eq!(sandbox.accepted(), 0);
    assert_eq!(kind(&sink.deliver(&batch(&["a"], 1)).await), "delivered");
    assert_eq!(sandbox.accepted(), 1);
}

#[tokio::test]
async fn an_answer_later_than_the_timeout_is_a_retry() {
    let (sandbox, sink) = start().await;
    sandbox.fault(Fault {
        delay_ms: Some(60_000),
        ..Fault::new(FaultMode::Slow)
    });
    assert_eq!(kind(&sink.deliver(&batch(&["a"], 0)).await), "retry");
    assert_eq!(kind(&sink.deliver(&batch(&["a"], 1)).await), "delivered");
    assert_eq!(sandbox.accepted(), 1);
}

#[tokio::test]
async fn nobody_listening_is_a_retry_that_names_who_was_asked_and_no_path() {
    let (sandbox, sink) = start().await;
    drop(sandbox);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    drop(sink);
    let sink = sink_at(&format!("http://{free}/of-mine"), json!({}));
    let delivery = sink.deliver(&batch(&["a"], 0)).await;
    assert_eq!(kind(&delivery), "retry");
    let said = format!("{delivery:?}");
    assert!(said.contains(&format!("http://{free}: ")), "{said}");
    assert!(!said.contains("of-mine"), "{said}");
}

#[tokio::test]
async fn the_wish_to_wait_is_passed_on() {
    let (sandbox, sink) = start().await;
    sandbox.fault(Fault {
        retry_after: Some(json!(7)),
        ..Fault::status(503)
    });
    let Delivery::All(Outcome::Retry { after, .. }) = sink.deliver(&batch(&["a"], 0)).await else {
        panic!("503 is a retry");
    };
    assert_eq!(after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn above_the_rate_the_double_asks_to_wait() {
    let sandbox = Sandbox::start(Options {
        rate: Some(2),
        ..Options::default()
    })
    .await
    .unwrap();
    let sink = sink_at(&sandbox.us_url(), json!({}));
    assert_eq!(
        kind(&sink.deliver(&batch(&["a", "b", "c", "d"], 0)).await),
        "delivered"
    );
    let delivery = sink.deliver(&batch(&["e"], 0)).await;
    assert!(
        matches!(
            delivery,
            Delivery::All(Outcome::Retry { after: Some(_), .. })
        ),
        "{delivery:?}"
    );
    sandbox.advance(Duration::from_secs(5));
    assert_eq!(kind(&sink.deliver(&batch(&["e"], 1)).await), "delivered");
}

#[tokio::test]
async fn the_body_holds_the_documents_byte_by_byte() {
    let (sandbox, sink) = start().await;
    let batch = batch(&["a", "b"], 0);
    sink.deliver(&batch).await;
    let request = &sandbox.requests()[0];
    let text = std::str::from_utf8(&request.body).unwrap();
    let documents = format!(
        "{},{}",
        std::str::from_utf8(&batch.documents[0].body).unwrap(),
        std::str::from_utf8(&batch.documents[1].body).unwrap()
    );
    let rest = text
        .strip_prefix(&format!(r#"{{"batch":[{documents}],"sentAt":""#))
        .unwrap();
    let (sent_at, rest) = rest.split_once('"').unwrap();
    assert!(sent_at.ends_with('Z') && sent_at.len() == 24, "{sent_at}");
    assert_eq!(rest, format!(r#","writeKey":"{WRITE_KEY}"}}"#));
    assert_eq!(request.path, "/v1/batch");
    assert_eq!(request.basic_user.as_deref(), Some(WRITE_KEY));
    assert_eq!(request.retry_count, None);
    assert!(request.user_agent.starts_with("sluice/"));
    assert!(!request.is_gzip, "too small to compress");
}

#[tokio::test]
async fn large_requests_are_compressed() {
    let (sandbox, sink) = start().await;
    assert_eq!(kind(&sink.deliver(&many()).await), "delivered");
    assert!(sandbox.requests()[0].is_gzip);
    assert_eq!(sandbox.accepted(), 30);

    let sink = sink_at(&sandbox.us_url(), json!({"gzip": false}));
    sink.deliver(&many()).await;
    assert!(!sandbox.requests()[1].is_gzip);
}

#[tokio::test]
async fn refused_compression_is_switched_off() {
    for status in [400, 415] {
        let (sandbox, sink) = start().await;
        sandbox.fault(Fault {
            status: Some(status),
            times: 0,
            ..Fault::new(FaultMode::RefuseGzip)
        });
        assert_eq!(kind(&sink.deliver(&many()).await), "delivered", "{status}");
        assert_eq!(kind(&sink.deliver(&many()).await), "delivered", "{status}");
        let gzip: Vec<bool> = sandbox
            .requests()
            .iter()
            .map(|request| request.is_gzip)
            .collect();
        assert_eq!(gzip, [true, false, false], "{status}");
    }
}

#[tokio::test]
async fn a_400_after_good_compressed_requests_speaks_of_the_content() {
    let (sandbox, sink) = start().await;
    sink.deliver(&many()).await;
    sandbox.fault(Fault::status(400));
    assert_eq!(kind(&sink.deliver(&many()).await), "batch rejected");
    assert_eq!(sandbox.requests().len(), 2);
}

#[tokio::test]
async fn the_wrong_region_says_yes_and_drops() {
    let options = Options {
        eu: Some(([127, 0, 0, 1], 0).into()),
        keys: [(WRITE_KEY.to_owned(), Region::Eu)].into(),
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let us = sink_at(&sandbox.us_url(), json!({}));
    let eu = sink_at(&sandbox.eu_url().unwrap(), json!({}));
    assert_eq!(kind(&us.deliver(&batch(&["a"], 0)).await), "delivered");
    assert_eq!(sandbox.dropped(), [("wrong_region".to_owned(), 1)]);
    assert_eq!(kind(&eu.deliver(&batch(&["a"], 0)).await), "delivered");
    assert_eq!(sandbox.accepted(), 1);
}

#[tokio::test]
async fn a_yes_to_2501_documents_drops_the_last() {
    let (sandbox, sink) = start().await;
    let ids: Vec<String> = (0..2501).map(|n| format!("id-{n}")).collect();
    let batch = batch(&ids.iter().map(String::as_str).collect::<Vec<_>>(), 0);
    assert_eq!(kind(&sink.deliver(&batch).await), "delivered");
    assert_eq!(sandbox.accepted(), 2500);
    assert_eq!(sandbox.count("beyond_2500"), 1);
}

#[tokio::test]
async fn ids_are_forgotten_after_a_day() {
    let (sandbox, sink) = start().await;
    sink.deliver(&batch(&["a"], 0)).await;
    sandbox.advance(Duration::from_secs(23 * 3600));
    sink.deliver(&batch(&["a"], 0)).await;
    assert_eq!(sandbox.accepted(), 1);
    sandbox.advance(Duration::from_secs(3600));
    sink.deliver(&batch(&["a"], 0)).await;
    assert_eq!(sandbox.accepted(), 2);
}

#[tokio::test]
async fn the_key_is_in_no_reason_and_no_debug_output() {
    let (sandbox, sink) = start().await;
    sandbox.fault(Fault {
        body: Some(format!("bad key {WRITE_KEY}\n{}", "x".repeat(999))),
        ..Fault::status(401)
    });
    let delivery = sink.deliver(&batch(&["a"], 0)).await;
    let Delivery::All(Outcome::Hold { reason }) = delivery else {
        panic!("401 holds")
    };
    assert!(
        !reason.contains(WRITE_KEY) && reason.contains("bad key ***"),
        "{reason}"
    );
    assert!(reason.len() < 350, "{reason}");
    let config: sluice_segment::SegmentConfig =
        parse_config(json!({"region": "us", "write_key": WRITE_KEY})).unwrap();
    assert!(!format!("{config:?}").contains(WRITE_KEY));
}

#[tokio::test]
async fn a_key_that_cannot_be_read_holds() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    for key in [
        json!({"file": "/does/not/exist"}),
        json!(""),
        json!("  "),
        json!("abc123"),
    ] {
        let sink = sink_at(&sandbox.us_url(), json!({"write_key": key}));
        assert_eq!(
            kind(&sink.deliver(&batch(&["a"], 0)).await),
            "hold",
            "{key}"
        );
        assert!(
            matches!(sink.check().await, Err(CheckError::Refused(_))),
            "{key}"
        );
    }
    assert!(sandbox.requests().is_empty());
}

#[tokio::test]
async fn a_key_that_is_too_short_is_told_how_it_is_mended() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "abc123").unwrap();
    for (key, mend) in [
        (json!("abc123"), "set the whole key and start sluice anew"),
        (
            json!({"file": file.path()}),
            "put the whole key into its file",
        ),
    ] {
        let sink = sink_at("http://127.0.0.1:9", json!({"write_key": key}));
        let Err(CheckError::Refused(reason)) = sink.check().await else {
            panic!("not refused");
        };
        assert!(reason.ends_with(mend), "{reason}");
        assert!(!reason.contains("abc"), "{reason}");
    }
}

#[tokio::test]
async fn the_double_leads_a_sink_to_itself() {
    let double = sluice_segment::double::start().await.unwrap();
    let mut settings = json!({"region": "eu", "write_key": "other"});
    settings
        .as_object_mut()
        .unwrap()
        .extend(double.settings().as_object().unwrap().clone());
    let sink = SegmentSink::new(parse_config(settings).unwrap()).unwrap();
    let bad = Document {
        body: Bytes::from_static(br#"{"type":"track","event":"X"}"#),
        ..document("b")
    };
    let batch = Batch {
        documents: vec![document("a"), bad],
        attempt: 0,
    };
    assert_eq!(kind(&sink.deliver(&batch).await), "delivered");
    assert_eq!(double.accepted(), 1);
    assert_eq!(double.dropped(), [("no_user_anon_id".to_owned(), 1)]);
    let received = double.document("a").unwrap();
    assert_eq!(received.title, "track · Email Opened");
    assert_eq!(received.body["userId"], "u-1");
    assert!(double.document("c").is_none());
}

#[test]
fn what_is_sent_with_gzip_is_smaller() {
    let documents = vec![Bytes::from_static(br#"{"type":"track","event":"Email Opened"}"#); 100];
    let mut plain = Vec::new();
    write_batch(&mut plain, &documents, Timestamp::UNIX_EPOCH, "key");
    let packers = Packers::default();
    // The second has what the first left in the buffers.
    for _ in 0..2 {
        let packed = packers
            .pack(&documents, Timestamp::UNIX_EPOCH, "key")
            .expect("there is room");
        assert!(packed.len() * 5 < plain.len(), "{} bytes", packed.len());
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed[..])
            .read_to_end(&mut unpacked)
            .expect("a whole gzip");
        assert_eq!(unpacked, plain);
    }
    let one = packers.pack(&documents[..1], Timestamp::UNIX_EPOCH, "key");
    let mut unpacked = Vec::new();
    GzDecoder::new(&one.expect("there is room")[..])
        .read_to_end(&mut unpacked)
        .expect("a whole gzip");
    assert_eq!(
        unpacked,
        br#"{"batch":[{"type":"track","event":"Email Opened"}],"sentAt":"1970-01-01T00:00:00.000Z","writeKey":"key"}"#
    );
}

#[tokio::test]
async fn trouble_that_the_sandbox_does_not_know_is_answered_with_what_it_knows() {
    let (sandbox, _) = start().await;
    let faults = format!("{}/_sandbox/faults", sandbox.us_url());
    let post = async |body: &'static str| {
        let client = reqwest::Client::new();
        let answer = client.post(&faults).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, said) = post(r#" {"mode":"statsu","times":2}"#).await;
    assert_eq!(status, 400);
    assert!(said.contains("unknown variant `statsu`"), "{said}");
    assert!(said.contains("`half_response`"), "{said}");
    let (status, said) = post(r#"[{"mode":"slow","delay":5}]"#).await;
    assert_eq!(status, 400);
    assert!(said.contains("unknown field `delay`"), "{said}");
    assert_eq!(post(r#"[{"mode":"slow"}]"#).await.0, 204);
    assert_eq!(post(r#"{"mode":"slow"}"#).await.0, 204);
}
