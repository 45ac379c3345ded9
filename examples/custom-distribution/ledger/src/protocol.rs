//! What the ledger is told and what it answers: bytes in, values out.
//!
//! ```text
//! POST /v1/entries                          {"book": "main", "entries": [{…}, {…}]}
//! 200   {"results": [{"status": "ok"}, {"status": "invalid", "reason": "unknown_account"}]}
//! ```
//!
//! | answer | what becomes of the entries |
//! | --- | --- |
//! | 200 `ok` | delivered |
//! | 200 `invalid` | never goes: dead letter |
//! | 200 `busy` | tried again |
//! | 400, 413, 422 | something in the request is refused: the engine looks for it |
//! | 408, 429, 5xx | tried again, not before `Retry-After` |
//! | 401, 403 and all others | a person must act: held |

use std::time::Duration;

use serde::Deserialize;
use sluice_sdk::{Bytes, Delivery, Document, Outcome};

/// Bytes of a request that are neither entries nor the book's name.
pub const ENVELOPE_BYTES: usize = r#"{"book":"","entries":[]}"#.len();
/// Longest part of the ledger's own words in a reason.
const REASON_CHARS_MAX: usize = 80;

/// What the ledger answered.
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Bytes,
}

#[derive(Deserialize)]
struct Results {
    results: Vec<EntryResult>,
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum EntryResult {
    Ok,
    Invalid { reason: String },
    Busy,
}

/// The body of a request.
pub fn request(book: &str, documents: &[Document]) -> Vec<u8> {
    let book = serde_json::Value::from(book);
    let mut body = format!(r#"{{"book":{book},"entries":["#).into_bytes();
    for (n, document) in documents.iter().enumerate() {
        if n > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&document.body);
    }
    body.extend_from_slice(b"]}");
    body
}

/// What the answer to a request of `count` entries means for them.
pub fn delivery(answer: &Answer, count: usize) -> Delivery {
    let status = answer.status;
    let reason = format!("the ledger answered {status}");
    match status {
        200..=299 => each(&answer.body, count),
        400 | 413 | 422 => Delivery::BatchRejected { reason },
        408 | 429 | 500..=599 => Delivery::All(Outcome::Retry {
            reason,
            after: answer.retry_after,
        }),
        401 | 403 => Delivery::All(Outcome::Hold {
            reason: format!("{reason}: it refuses our `key`"),
        }),
        _ => Delivery::All(Outcome::Hold {
            reason: format!("{reason}; is `url` the ledger?"),
        }),
    }
}

/// A yes that cannot be read is no yes; the ledger knows entries that come twice.
fn each(body: &[u8], count: usize) -> Delivery {
    match serde_json::from_slice::<Results>(body) {
        Ok(answer) if answer.results.len() == count => {
            Delivery::Each(answer.results.into_iter().map(outcome).collect())
        }
        _ if count == 0 => Delivery::All(Outcome::Delivered),
        _ => Delivery::All(Outcome::Retry {
            reason: format!("the ledger did not answer with {count} results"),
            after: None,
        }),
    }
}

fn outcome(result: EntryResult) -> Outcome {
    match result {
        EntryResult::Ok => Outcome::Delivered,
        EntryResult::Invalid { reason } => Outcome::Rejected {
            reason: reason.chars().take(REASON_CHARS_MAX).collect(),
        },
        EntryResult::Busy => Outcome::Retry {
            reason: "the ledger is busy".to_owned(),
            after: None,
        },
    }
}

/// The amount of an entry, where it has one.
pub fn amount(entry: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Entry {
        amount_cents: Option<i64>,
    }
    serde_json::from_slice::<Entry>(entry).ok()?.amount_cents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str, count: usize) -> Delivery {
        let answer = Answer {
            status,
            retry_after: Some(Duration::from_secs(3)),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        delivery(&answer, count)
    }

    #[test]
    fn each_entry_has_its_own_result() {
        let body = r#"{"results":[{"status":"ok"},{"status":"invalid","reason":"unknown_account"},{"status":"busy"}]}"#;
        let Delivery::Each(outcomes) = answered(200, body, 3) else {
            panic!("each entry was answered");
        };
        assert_eq!(outcomes[0], Outcome::Delivered);
        assert_eq!(
            outcomes[1],
            Outcome::Rejected {
                reason: "unknown_account".to_owned()
            }
        );
        assert!(matches!(outcomes[2], Outcome::Retry { .. }));
    }

    #[test]
    fn a_yes_that_cannot_be_read_is_tried_again() {
        for body in [
            "",
            "ok",
            r#"{"results":[]}"#,
            r#"{"results":[{"status":"?"}]}"#,
        ] {
            let delivery = answered(200, body, 1);
            assert!(
                matches!(delivery, Delivery::All(Outcome::Retry { .. })),
                "{body}: {delivery:?}"
            );
        }
    }

    #[test]
    fn a_refused_key_holds_and_a_sick_ledger_says_when_to_come_again() {
        assert!(matches!(
            answered(401, "", 1),
            Delivery::All(Outcome::Hold { .. })
        ));
        let Delivery::All(Outcome::Retry { after, .. }) = answered(503, "", 1) else {
            panic!("503 is tried again");
        };
        assert_eq!(after, Some(Duration::from_secs(3)));
    }
}
