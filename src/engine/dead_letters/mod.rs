//! What could not be delivered: how it is kept, chosen, sent again, dropped and let go.
//!
//! A letter leaves in one of four ways, each counted in the [`LetterAccount`] of its connector in the
//! same step: delivered or knowingly skipped by a replay, dropped by a person, expired by age or
//! size. So `ever = held + delivered + skipped + dropped + expired` at any moment.

mod desk;
mod filter;
pub mod reasons;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::masked::masked;
use crate::journal::DeadLetterKey;

pub use desk::{DropOrder, Dropped, Failed, Fate, Letters, LettersError, LettersStatus, Retention};
pub use filter::{Filter, Matcher};

/// A dead letter as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was put here.
    pub at: Timestamp,
    /// The connector, or `source:NAME` for what was no event.
    pub connector: String,
    /// The event's number in the journal.
    pub sequence: u64,
    /// Its type; empty where unknown.
    pub event_type: String,
    /// Its id; empty where unknown.
    pub event_id: String,
    /// Short and stable, as counted in the account.
    pub reason: String,
    /// More about it: what was found, or the sink's answer.
    pub detail: String,
    /// The rule, if one ran.
    pub rule: Option<String>,
    /// The document's name, where the rule makes several; the others may be at the sink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Tries at the sink, those of replays included.
    pub tries: u32,
    /// The request that was refused, as the log calls it; none for what was never sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// How often it was replayed and failed again.
    #[serde(default)]
    pub replays: u32,
    /// When it failed again for the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_at: Option<Timestamp>,
    /// The event as it came; what is no UTF-8 is replaced here and kept whole in `event_bytes`.
    pub event: String,
    /// The bytes, where `event` does not have them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_bytes: Option<Vec<u8>>,
    /// The document that was refused, if one was made.
    pub document: Option<String>,
}

impl DeadLetter {
    /// Of an event that a connector could not deliver.
    pub fn of_event(
        at: Timestamp,
        connector: &str,
        sequence: u64,
        (event_type, event_id): (&str, &str),
        event: &[u8],
        (reason, detail): (&str, &str),
    ) -> Self {
        Self {
            at,
            connector: connector.to_owned(),
            sequence,
            event_type: event_type.to_owned(),
            event_id: event_id.to_owned(),
            reason: reason.to_owned(),
            detail: detail.to_owned(),
            rule: None,
            part: None,
            tries: 0,
            batch: None,
            replays: 0,
            replayed_at: None,
            event: String::from_utf8_lossy(event).into_owned(),
            event_bytes: std::str::from_utf8(event).is_err().then(|| event.to_vec()),
            document: None,
        }
    }

    /// What a source was sent and is no event.
    pub fn of_source(at: Timestamp, source: &str, reason: &str, raw: &[u8]) -> Self {
        let detail = format!("{} bytes", raw.len());
        Self::of_event(
            at,
            &owner_of_source(source),
            0,
            ("", ""),
            raw,
            (reason, &detail),
        )
    }

    /// The same in the place of the letter that was there before it was replayed.
    #[must_use]
    pub fn again(self, before: &Self) -> Self {
        Self {
            replayed_at: Some(self.at),
            at: before.at,
            replays: before.replays + 1,
            tries: before.tries + self.tries,
            ..self
        }
    }

    /// Whether both are about the same document of an event.
    fn is_about_same(&self, other: &Self) -> bool {
        self.rule == other.rule && self.part == other.part
    }

    /// The event's bytes as they came.
    pub fn event_bytes(&self) -> &[u8] {
        self.event_bytes.as_deref().unwrap_or(self.event.as_bytes())
    }

    /// As it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a dead letter is plain data")
    }

    /// Whether it is something that a source set aside, and no event of a connector.
    pub fn is_of_source(&self) -> bool {
        source_of(&self.connector).is_some()
    }
}

/// What stands before a source's name where others have a connector's.
const SOURCE_PREFIX: &str = "source:";

/// Under which name the store keeps what a source set aside: its dead letters and their account.
pub fn owner_of_source(source: &str) -> String {
    format!("{SOURCE_PREFIX}{source}")
}

/// The source, if dead letters of this owner are a source's and no connector's.
pub fn source_of(owner: &str) -> Option<&str> {
    owner.strip_prefix(SOURCE_PREFIX)
}

/// A dead letter without what may be personal: for lists.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LetterSummary {
    /// `CONNECTOR/NUMBER`
    pub letter: String,
    /// When it was put here.
    pub at: Timestamp,
    /// The event's type; empty where unknown.
    pub event_type: String,
    /// Its id; empty where unknown.
    pub event_id: String,
    /// Short and stable.
    pub reason: String,
    /// More about it, without what it repeats of the event.
    pub detail: String,
    /// The rule, if one ran.
    pub rule: Option<String>,
    /// Tries at the sink.
    pub tries: u32,
    /// How often it was replayed and failed again.
    pub replays: u32,
    /// When that was for the last time.
    pub replayed_at: Option<Timestamp>,
}

impl LetterSummary {
    /// Of a letter under its key.
    pub fn of(key: &DeadLetterKey, letter: &DeadLetter) -> Self {
        let document = letter.document.as_deref().unwrap_or_default().as_bytes();
        Self {
            letter: key.to_string(),
            at: letter.at,
            event_type: letter.event_type.clone(),
            event_id: letter.event_id.clone(),
            reason: letter.reason.clone(),
            detail: masked(&letter.detail, [letter.event_bytes(), document]),
            rule: letter.rule.clone(),
            tries: letter.tries,
            replays: letter.replays,
            replayed_at: letter.replayed_at,
        }
    }
}

/// One page of letters.
#[derive(Debug, Serialize, Deserialize)]
pub struct Page<T> {
    /// The oldest first within a connector.
    pub letters: Vec<T>,
    /// Where the next page begins (`after`); nothing on the last one.
    pub next: Option<String>,
}

/// A letter under its name.
#[derive(Debug, Serialize, Deserialize)]
pub struct WholeLetter {
    /// `CONNECTOR/NUMBER`
    pub letter: String,
    /// All of it.
    #[serde(flatten)]
    pub whole: DeadLetter,
}
