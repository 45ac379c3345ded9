//! Pure parts of the protocol: bytes and numbers in, values out; no clock, no network.
//!
//! ```text
//! {"batch":[DOCUMENT,DOCUMENT,…],"sentAt":"2026-09-01T12:00:00.000Z","writeKey":"KEY"}
//! ```
//!
//! `sentAt` is the time of the attempt, not of the event: Segment corrects every timestamp by the
//! difference between it and its own clock, so an old one shifts all documents into the future.

use std::time::Duration;

use jiff::Timestamp;
use sluice_sdk::{Bytes, Delivery, Outcome};

/// Longest document. Segment says 32 KB without saying of which kind; this is under both.
pub const DOCUMENT_BYTES_MAX: usize = 32_000;
/// Longest request, envelope included. Segment says 500 KB; its own careful client stops here.
pub const BATCH_BYTES_MAX: usize = 475_000;
/// Above this Segment answers 200 and drops.
pub const BATCH_DOCUMENTS_MAX: usize = 2_500;
/// Envelope with a long key; the commas between documents are covered by the reserve to 500 KB.
pub const ENVELOPE_BYTES: usize = 160;
/// Longest `messageId`, in characters.
pub const MESSAGE_ID_CHARS_MAX: usize = 100;
/// Segment's clients wait no longer than this for a Retry-After.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Add the body of the batch call: the documents as they are, when it was sent, and the key.
pub fn write_batch(body: &mut Vec<u8>, documents: &[Bytes], sent_at: Timestamp, write_key: &str) {
    let length: usize = documents.iter().map(|document| document.len() + 1).sum();
    body.reserve(length + ENVELOPE_BYTES);
    body.extend_from_slice(b"{\"batch\":[");
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(document);
    }
    body.extend_from_slice(format!("],\"sentAt\":\"{sent_at:.3}\",\"writeKey\":").as_bytes());
    body.extend_from_slice(serde_json::Value::from(write_key).to_string().as_bytes());
    body.push(b'}');
}

/// What an answer means for the batch. The body has no say: it only goes into the reason.
pub fn delivery(status: u16, after: Option<Duration>, body: &str) -> Delivery {
    let said = if body.is_empty() {
        String::new()
    } else {
        format!(": {body}")
    };
    match status {
        200..=299 => Delivery::All(Outcome::Delivered),
        400 | 413 | 422 => Delivery::BatchRejected {
            reason: format!("status {status}{said}"),
        },
        408 | 410 | 425 | 429 | 460 | 500.. => Delivery::All(Outcome::Retry {
            reason: format!("status {status}{said}"),
            after,
        }),
        _ => Delivery::All(Outcome::Hold {
            reason: format!("status {status}{said}; {}", advice(status)),
        }),
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        300..=399 => {
            "it leads elsewhere and is not followed: set region or endpoint to the final address"
        }
        401 | 403 => "check write_key, and whether the source wants OAuth",
        404 => "check region or endpoint: there is no Segment API at this address",
        _ => "an answer that Segment does not document: check region or endpoint",
    }
}

/// How long the other side wants to be left alone: `Retry-After` in seconds or as a date, else
/// `X-RateLimit-Reset` in seconds. Zero, the past and nonsense count as no wish.
pub fn retry_after(
    retry_after: Option<&str>,
    rate_limit_reset: Option<&str>,
    now: Timestamp,
) -> Option<Duration> {
    retry_after
        .and_then(|text| seconds(text).or_else(|| date(text, now)))
        .or_else(|| rate_limit_reset.and_then(seconds))
        .map(|wait| wait.min(RETRY_AFTER_MAX))
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: u64 = text.trim().parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn date(text: &str, now: Timestamp) -> Option<Duration> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text.trim())
        .ok()?;
    Duration::try_from(at.duration_since(now))
        .ok()
        .filter(|wait| !wait.is_zero())
}

/// The first 200 characters of an answer, on one line, without the key in any form it was sent in.
pub fn excerpt(body: &[u8], hidden: &[&str]) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    for secret in hidden.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    text.trim().chars().take(200).collect()
}
