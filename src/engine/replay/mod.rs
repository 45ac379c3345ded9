//! Events that go through a connector once more: dead letters, or what the journal still has.
//!
//! ```text
//! dead letters ─┐
//!               ├─► picker ─► the connector's rules of now ─► a courier of its own ─► sink
//! journal ──────┘                                                   │
//!                       record (place and account) + letters  ◄─────┘  one commit a chunk
//! ```
//!
//! A replay is a stream beside the live one, with its own account, rate and courier: refusals and
//! holds of a replay never touch live events, and it waits while the live connector is held or
//! retrying. It goes chunk after chunk; what a chunk became is committed in one step with the place
//! reached. After a crash the last chunk goes again, under the same identities; nothing is lost.

mod chunk;
mod desk;
mod known;
mod order;
mod pick;
mod play;
mod preview;
#[cfg(test)]
mod tests;
mod way;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::account::DocumentAccount;
use super::dead_letters::Filter;

pub use desk::{ReplayError, Replays};
pub use order::{Answer, JournalOrder, LettersOrder, NotReplayed};
pub use preview::DryRun;
pub use way::Way;

/// Events a second of a replay that names no rate: far below what live events reach.
pub const RATE_DEFAULT: u32 = 100;
/// Highest rate that can be asked for.
pub const RATE_MAX: u32 = 100_000;

/// What to replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Origin {
    /// Letters of the connector. Those that are delivered or skipped leave.
    DeadLetters {
        /// Which of them.
        filter: Filter,
    },
    /// Events that the journal still has and the connector has settled.
    Journal(Range),
}

/// Which events of the journal; what is left out takes all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Received at this moment or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Received before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Types or globs.
    #[serde(default, rename = "type", skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It looks how many there are.
    Counting,
    /// It sends.
    Running,
    /// All are settled.
    Done,
    /// A person stopped it; what waited then was not sent.
    Cancelled,
    /// It cannot go on; `note` says why.
    Failed,
}

impl Phase {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            Self::Counting | Self::Running => false,
            Self::Done | Self::Cancelled | Self::Failed => true,
        }
    }
}

/// `replayed = delivered + skipped + dead + gone + waiting`; in events, or in letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayAccount {
    /// All that were chosen.
    pub replayed: u64,
    /// Every document is at the sink.
    pub delivered: u64,
    /// Knowingly not sent, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// In the dead letters (again), by reason.
    pub dead: BTreeMap<String, u64>,
    /// Not there any more when it was their turn.
    pub gone: u64,
    /// Documents.
    pub documents: DocumentAccount,
}

impl ReplayAccount {
    /// Not settled yet.
    pub fn waiting(&self) -> u64 {
        self.replayed.saturating_sub(self.settled())
    }

    /// Settled.
    pub fn settled(&self) -> u64 {
        self.delivered + self.skipped_total() + self.dead_total() + self.gone
    }

    /// All skipped.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// All dead.
    pub fn dead_total(&self) -> u64 {
        self.dead.values().sum()
    }
}

/// A replay as it is kept over restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Its number.
    pub id: u64,
    /// Through which connector.
    pub connector: String,
    /// What.
    pub origin: Origin,
    /// Events a second.
    pub rate: u32,
    /// How far it is.
    pub phase: Phase,
    /// When it was asked for.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Number of the next event or letter to look at.
    pub next: u64,
    /// The first number that is not part of it.
    pub end: u64,
    /// What became of what.
    pub account: ReplayAccount,
    /// What a person should know: why it failed, or what the journal no longer has.
    pub note: Option<String>,
}

/// A replay as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayStatus {
    /// As it is kept.
    #[serde(flatten)]
    pub replay: Replay,
    /// Not settled yet.
    pub waiting: u64,
    /// Why it stands still at the moment, if it does.
    pub waits_for: Option<String>,
}
