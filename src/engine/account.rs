//! The account of one connector, in events by type, with documents beside it.
//!
//! `received = delivered + skipped + dead + expired + waiting` at any moment: `received` comes from the
//! journal, the settled parts are kept here and persisted with the cursor in one atomic step,
//! `waiting` is what is left. So no number can drift from another.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use super::status::Held;

/// Everything a connector remembers over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorState {
    /// The source whose events the cursor counts; empty in a state of before this was kept.
    #[serde(default)]
    pub source: String,
    /// What is settled.
    pub cursor: Cursor,
    /// How it was settled.
    pub account: Account,
    /// Events of each type in the journal that lie before this connector's beginning.
    pub before: BTreeMap<String, u64>,
    /// Why it was held when this was saved, for who looks after the process has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

/// How events were settled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// By event type.
    pub types: BTreeMap<String, TypeAccount>,
    /// In documents.
    pub documents: DocumentAccount,
}

/// Settled events of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeAccount {
    /// Every document of the event is at the sink.
    pub delivered: u64,
    /// Knowingly not sent, by reason.
    #[serde(default)]
    pub skipped: BTreeMap<String, u64>,
    /// In the dead letters, by reason.
    #[serde(default)]
    pub dead: BTreeMap<String, u64>,
    /// Removed from a full journal before they were sent (`when_full: expire_oldest`).
    #[serde(default)]
    pub expired: u64,
}

/// Documents of all events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentAccount {
    /// At the sink.
    pub delivered: u64,
    /// In the dead letters.
    pub dead: u64,
}

/// How one event was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// All documents are at the sink.
    Delivered,
    /// Knowingly not sent.
    Skipped(String),
    /// In the dead letters.
    Dead(String),
    /// Removed from a full journal before it was sent.
    Expired,
}

impl TypeAccount {
    /// All settled events of the type.
    pub fn settled(&self) -> u64 {
        self.delivered
            + self.skipped.values().sum::<u64>()
            + self.dead.values().sum::<u64>()
            + self.expired
    }
}

impl Account {
    /// Count one event.
    pub fn settle(&mut self, event_type: &str, settled: &Settled) {
        let account = match self.types.get_mut(event_type) {
            Some(account) => account,
            None => self.types.entry(event_type.to_owned()).or_default(),
        };
        match settled {
            Settled::Delivered => account.delivered += 1,
            Settled::Skipped(reason) => add_one(&mut account.skipped, reason),
            Settled::Dead(reason) => add_one(&mut account.dead, reason),
            Settled::Expired => account.expired += 1,
        }
    }
}

fn add_one(counts: &mut BTreeMap<String, u64>, reason: &str) {
    match counts.get_mut(reason) {
        Some(count) => *count += 1,
        None => {
            counts.insert(reason.to_owned(), 1);
        }
    }
}
