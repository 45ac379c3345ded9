//! What the engine says of itself: one snapshot, for `status`, `/status`, metrics and the demo.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::account::{ConnectorState, DocumentAccount};
use super::dead_letters::LettersStatus;
use super::replay::ReplayStatus;

/// Everything at one moment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// The config that runs.
    #[serde(default)]
    pub config: ConfigStatus,
    /// By name.
    pub sources: BTreeMap<String, SourceStatus>,
    /// By name.
    pub connectors: BTreeMap<String, ConnectorStatus>,
    /// What waits for connectors whose source is gone from the config: a sentence for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stranded: Vec<String>,
    /// By connector, or `source:NAME`, for each that ever had one.
    #[serde(default)]
    pub dead_letters: BTreeMap<String, LettersStatus>,
    /// Those that run and the last that have ended.
    #[serde(default)]
    pub replays: Vec<ReplayStatus>,
    /// The disk that all of them share.
    #[serde(default)]
    pub journal: JournalStatus,
    /// How telling people goes, by channel (`mail`, `webhook`); none without `alerts`.
    #[serde(default)]
    pub alerts: BTreeMap<String, AlertChannelStatus>,
}

/// The journals of all sources together.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JournalStatus {
    /// Bytes on disk.
    pub bytes: u64,
    /// Those of events that some connector has not settled; the rest leaves when room is needed.
    pub unsettled_bytes: u64,
    /// Most bytes, as the config says.
    pub bytes_max: u64,
}

/// One way of telling people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertChannelStatus {
    /// Messages sent since the start.
    pub sent: u64,
    /// Messages given up since the start, after many tries.
    pub given_up: u64,
    /// Failed tries since the start.
    pub failed_tries: u64,
    /// Messages not sent yet.
    pub waiting: u64,
    /// Why the last try failed; nothing once one went through.
    pub trouble: Option<String>,
}

/// Which config runs, and what became of later ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigStatus {
    /// 1 at the start, one more with every reload.
    pub version: u64,
    /// The same for the same texts of config and mappings.
    pub hash: String,
    /// Since when it runs, ISO 8601.
    pub since: String,
    /// Reloads that were taken.
    pub reloads: u64,
    /// Reloads that were refused: the config before went on.
    pub reloads_failed: u64,
    /// What the last reload was refused for, until one is taken.
    pub problem: Option<String>,
    /// That one was asked for by nobody who got the answer: by SIGHUP or a changed file.
    #[serde(default)]
    pub is_unanswered: bool,
    /// What the files say otherwise and only a restart puts to work.
    pub needs_restart: Vec<String>,
}

/// One source.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SourceStatus {
    /// `starting`, `running`, `stopping`, `ended`; `stopped` when no process runs.
    #[serde(default)]
    pub state: String,
    /// Where it listens or reads; nothing before it is up.
    pub endpoint: Option<String>,
    /// Events taken, duplicates included.
    pub taken: u64,
    /// Events that had been taken before.
    pub duplicates: u64,
    /// Parts that were no events, by reason; in the dead letters.
    pub malformed: BTreeMap<String, u64>,
    /// Requests that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Seconds since the last event, if one came since the start.
    pub silent_for_seconds: Option<u64>,
    /// Nothing came for longer than `expect_every`.
    #[serde(default)]
    pub is_silent: bool,
    /// Why the journal did not take the last request; nothing once it took one.
    #[serde(default)]
    pub trouble: Option<String>,
    /// That trouble is a full journal, not the disk.
    #[serde(default)]
    pub is_full: bool,
    /// Bytes of its journal with events that some connector has not settled.
    #[serde(default)]
    pub unsettled_bytes: u64,
    /// Bytes of its journal on disk.
    pub journal_bytes: u64,
    /// Events that the journal lost to damage of the disk.
    pub lost: u64,
}

/// One connector.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ConnectorStatus {
    /// Its source.
    pub source: String,
    /// `delivering`, `retrying`, `held`, `paused` or `stopped`.
    pub state: String,
    /// Since when a person has it send nothing, ISO 8601.
    #[serde(default)]
    pub paused: Option<String>,
    /// Why the last request was not taken, while it is tried again.
    #[serde(default)]
    pub trouble: Option<String>,
    /// Why it is held and since when.
    pub held: Option<Held>,
    /// Why it was held when the process ended; nothing while one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was_held: Option<Held>,
    /// Totals over all types.
    pub events: Balance,
    /// Documents.
    pub documents: DocumentAccount,
    /// By event type.
    pub types: BTreeMap<String, Balance>,
    /// Requests made since the start.
    pub requests: u64,
    /// Requests tried again since the start.
    pub retries: u64,
    /// Requests that may be in flight at the moment: fewer while the sink is unwell.
    #[serde(default)]
    pub concurrency: u64,
    /// … and when it is well.
    #[serde(default)]
    pub concurrency_max: u64,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What happened and what to do.
    pub reason: String,
    /// Since when, ISO 8601.
    pub since: String,
}

/// `received = delivered + skipped + dead + expired + waiting`, in events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// In the journal since this connector began.
    pub received: u64,
    /// At the sink.
    pub delivered: u64,
    /// Knowingly not sent, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// In the dead letters, by reason.
    pub dead: BTreeMap<String, u64>,
    /// Removed from a full journal before they were sent.
    #[serde(default)]
    pub expired: u64,
    /// Not settled yet.
    pub waiting: u64,
}

impl Balance {
    /// All skipped events.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// All events that are not waiting.
    pub fn settled(&self) -> u64 {
        self.delivered + self.skipped_total() + self.dead_total() + self.expired
    }

    /// All dead events.
    pub fn dead_total(&self) -> u64 {
        self.dead.values().sum()
    }

    fn add(&mut self, other: &Balance) {
        self.received += other.received;
        self.delivered += other.delivered;
        self.expired += other.expired;
        for (reason, count) in &other.skipped {
            *self.skipped.entry(reason.clone()).or_default() += count;
        }
        for (reason, count) in &other.dead {
            *self.dead.entry(reason.clone()).or_default() += count;
        }
    }
}

/// The balance of all and of each type: `received` is what the journal counted, less what lay
/// there before the connector began. What damage took from the journal may be counted under
/// another type than it was received under; the sums are right.
pub fn balances(
    received: &BTreeMap<String, u64>,
    state: &ConnectorState,
) -> (Balance, BTreeMap<String, Balance>) {
    let mut types: BTreeMap<String, Balance> = BTreeMap::new();
    for (event_type, count) in received {
        let before = state.before.get(event_type).copied().unwrap_or(0);
        let received = count.saturating_sub(before);
        if received > 0 {
            types.entry(event_type.clone()).or_default().received = received;
        }
    }
    for (event_type, settled) in &state.account.types {
        let balance = types.entry(event_type.clone()).or_default();
        balance.delivered = settled.delivered;
        balance.expired = settled.expired;
        balance.skipped.clone_from(&settled.skipped);
        balance.dead.clone_from(&settled.dead);
    }
    let mut total = Balance::default();
    for balance in types.values_mut() {
        balance.waiting = balance.received.saturating_sub(balance.settled());
        total.add(balance);
    }
    total.waiting = total.received.saturating_sub(total.settled());
    (total, types)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::account::Settled;

    #[test]
    fn what_is_not_settled_is_waiting() {
        let mut state = ConnectorState::default();
        state.before.insert("a".to_owned(), 2);
        state.account.settle("a", &Settled::Delivered);
        state
            .account
            .settle("a", &Settled::Skipped("no id".to_owned()));
        let received = BTreeMap::from([("a".to_owned(), 7), ("b".to_owned(), 1)]);
        let (total, types) = balances(&received, &state);
        assert_eq!(
            (
                total.received,
                total.delivered,
                total.skipped_total(),
                total.waiting
            ),
            (6, 1, 1, 4)
        );
        assert_eq!((types["a"].waiting, types["b"].waiting), (3, 1));
    }

    #[test]
    fn events_lost_under_an_unknown_type_balance_in_the_sum() {
        let mut state = ConnectorState::default();
        state
            .account
            .settle("(damaged)", &Settled::Dead("lost".to_owned()));
        let (total, _) = balances(&BTreeMap::from([("a".to_owned(), 1)]), &state);
        assert_eq!(
            (total.received, total.dead_total(), total.waiting),
            (1, 1, 0)
        );
    }
}
