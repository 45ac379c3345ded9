//! When is something told? Pure: what was seen and the time come in, what is to be told goes out.
//!
//! Two kinds of things are watched. A *condition* (a connector, a source, the disk) is in one state
//! at a time: told at its change, but each state of it at most once in `interval`. A *count* (dead
//! letters) only grows: told when it has grown, at most once in `interval`. What happens inside an
//! interval is gathered: the next message says how often it changed, or by how much it grew.
//!
//! The clock may be set back. What was noted at a time that is yet to come was noted just now:
//! otherwise nothing would be told until the clock is there again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What lasts longer than this is told once more.
const REMIND_AFTER: Duration = Duration::from_secs(24 * 3600);
/// A count that begins to grow is given this long, so that the first message has the whole of it.
const GATHER: Duration = Duration::from_secs(10);
/// After a restart nothing is said to be well before this; the parts need a moment to know.
const STARTUP_GRACE: Duration = Duration::from_secs(30);

/// What is watched; the names are those of the config.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "of", content = "name", rename_all = "snake_case")]
pub enum Topic {
    /// A connector: [`WELL`], [`STALLED`] or [`HELD`].
    Connector(String),
    /// Dead letters of a connector, by reason: a count.
    DeadLetters(String),
    /// Whether dead letters are about to be removed by age or size: [`WELL`] or [`LEAVING`]. The name
    /// is a connector or `source:NAME`, as everywhere with dead letters.
    LeavingLetters(String),
    /// Dead letters that were removed by age or size, by reason: a count. Named as above.
    ExpiredLetters(String),
    /// Events of a connector that were removed from a full journal: a count.
    Expired(String),
    /// A source from which events should come: [`WELL`] or [`SILENT`].
    Source(String),
    /// Parts of requests to a source that were no events, by reason: a count.
    SetAside(String),
    /// Events that damage of the disk took from the journal of a source: a count.
    Lost(String),
    /// How full the journal is: [`WELL`], [`FILLING`], [`NEARLY_FULL`] or [`FULL`].
    Journal,
    /// Whether the disk takes what is written: [`WELL`] or [`REFUSES`].
    Disk,
    /// The config in the files, which a reload should have put to work: [`WELL`] or [`REFUSED`].
    Config,
}

/// A state of a condition; a higher one is worse.
pub type State = u8;
/// All is well.
pub const WELL: State = 0;
/// Of a connector: tried again and again without success.
pub const STALLED: State = 1;
/// Of a connector: waits for a person.
pub const HELD: State = 2;
/// Of a source: nothing comes.
pub const SILENT: State = 1;
/// Of the journal: 70 % of its limit hold events that are not settled.
pub const FILLING: State = 1;
/// Of the journal: 90 %.
pub const NEARLY_FULL: State = 2;
/// Of the journal: new events are refused, or the oldest expire.
pub const FULL: State = 3;
/// Of the disk: it does not take what is written.
pub const REFUSES: State = 1;
/// Of dead letters: some are removed soon.
pub const LEAVING: State = 1;
/// Of the config: it is wrong, the one before goes on.
pub const REFUSED: State = 1;

/// What was seen at one moment.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// Conditions; one that cannot be known just now is left out, and stays as it was.
    pub conditions: BTreeMap<Topic, State>,
    /// Counts, by reason.
    pub counts: BTreeMap<Topic, Counts>,
}

/// A count by reason.
pub type Counts = BTreeMap<String, u64>;

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Of what.
    pub topic: Topic,
    /// What is the case.
    pub news: News,
}

/// What is the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A condition has another state than was told, or the same again after changes.
    State {
        /// The state now.
        state: State,
        /// The state that was told before.
        before: State,
        /// Since when it is so, milliseconds since 1970.
        since_ms: i64,
        /// When it stopped being well; for a condition that is well again.
        trouble_since_ms: i64,
        /// Changes since the last message; 1 for a plain one, 0 for a reminder.
        changes: u32,
    },
    /// A count has grown.
    Grown {
        /// By this much since the last message, by reason.
        by: Counts,
        /// Since when, milliseconds since 1970.
        since_ms: i64,
    },
}

/// What is remembered over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    conditions: Vec<(Topic, Condition)>,
    counts: Vec<(Topic, Count)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Condition {
    state: State,
    since_ms: i64,
    trouble_since_ms: i64,
    told: State,
    /// When each state was told last.
    told_ms: BTreeMap<State, i64>,
    /// Since the last message.
    changes: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    told: Counts,
    told_ms: Option<i64>,
    /// When it began to be more than was told.
    grown_ms: Option<i64>,
}

/// Decides what is told when.
pub struct Policy {
    interval_ms: i64,
    started_ms: i64,
    conditions: BTreeMap<Topic, Condition>,
    counts: BTreeMap<Topic, Count>,
}

impl Policy {
    /// With what an earlier process remembered.
    pub fn new(interval: Duration, memory: Memory, now_ms: i64) -> Self {
        Self {
            interval_ms: millis(interval),
            started_ms: now_ms,
            conditions: memory.conditions.into_iter().collect(),
            counts: memory.counts.into_iter().collect(),
        }
    }

    /// What a later process should know.
    pub fn memory(&self) -> Memory {
        Memory {
            conditions: self.conditions.clone().into_iter().collect(),
            counts: self.counts.clone().into_iter().collect(),
        }
    }

    /// Let no time that was noted be later than now.
    fn is_not_before(&mut self, now_ms: i64) {
        let conditions = self.conditions.values_mut().flat_map(Condition::times);
        let counts = self.counts.values_mut().flat_map(Count::times);
        for noted_ms in conditions.chain(counts).chain([&mut self.started_ms]) {
            *noted_ms = now_ms.min(*noted_ms);
        }
    }

    /// Look once; what this gives counts as told.
    pub fn look(&mut self, seen: &Observation, now_ms: i64) -> Vec<Notice> {
        self.is_not_before(now_ms);
        let mut notices = Vec::new();
        for (topic, state) in &seen.conditions {
            let known = self.conditions.get(topic);
            let is_early = now_ms - self.started_ms < millis(STARTUP_GRACE);
            let remembered = known.filter(|known| known.since_ms < self.started_ms);
            if is_early && remembered.is_some_and(|known| *state < known.state) {
                continue;
            }
            let condition = self.conditions.entry(topic.clone()).or_default();
            condition.see(*state, now_ms);
            if let Some(news) = condition.due(self.interval_ms, now_ms) {
                let topic = topic.clone();
                notices.push(Notice { topic, news });
            }
        }
        for (topic, counts) in &seen.counts {
            let count = self.counts.entry(topic.clone()).or_default();
            if let Some(news) = count.due(counts, self.interval_ms, now_ms) {
                let topic = topic.clone();
                notices.push(Notice { topic, news });
            }
        }
        notices
    }
}

impl Condition {
    fn times(&mut self) -> impl Iterator<Item = &mut i64> {
        [&mut self.since_ms, &mut self.trouble_since_ms]
            .into_iter()
            .chain(self.told_ms.values_mut())
    }

    fn see(&mut self, state: State, now_ms: i64) {
        if state == self.state {
            return;
        }
        if self.state == WELL {
            self.trouble_since_ms = now_ms;
        }
        self.state = state;
        self.since_ms = now_ms;
        self.changes = self.changes.saturating_add(1);
    }

    fn due(&mut self, interval_ms: i64, now_ms: i64) -> Option<News> {
        let told_ms = self.told_ms.get(&self.state).copied();
        let is_news = self.changes > 0;
        let has_passed = |pause: i64| told_ms.is_none_or(|told_ms| now_ms - told_ms >= pause);
        let is_reminder =
            !is_news && self.state != WELL && has_passed(millis(REMIND_AFTER).max(interval_ms));
        if !(is_news && has_passed(interval_ms) || is_reminder) {
            return None;
        }
        let news = News::State {
            state: self.state,
            before: self.told,
            since_ms: self.since_ms,
            trouble_since_ms: self.trouble_since_ms,
            changes: self.changes,
        };
        self.told = self.state;
        self.told_ms.insert(self.state, now_ms);
        self.changes = 0;
        Some(news)
    }
}

impl Count {
    fn times(&mut self) -> impl Iterator<Item = &mut i64> {
        self.told_ms.iter_mut().chain(&mut self.grown_ms)
    }

    fn due(&mut self, seen: &Counts, interval_ms: i64, now_ms: i64) -> Option<News> {
        // What was counted and is not any more (sent again, say) may be counted anew.
        self.told.retain(|reason, told| {
            *told = (*told).min(seen.get(reason).copied().unwrap_or(0));
            *told > 0
        });
        let by: Counts = seen
            .iter()
            .map(|(reason, count)| {
                let told = self.told.get(reason).copied().unwrap_or(0);
                (reason.clone(), count - told)
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        if by.is_empty() {
            self.grown_ms = None;
            return None;
        }
        let since_ms = *self.grown_ms.get_or_insert(now_ms);
        let is_gathered = now_ms - since_ms >= millis(GATHER).min(interval_ms);
        let has_passed = self
            .told_ms
            .is_none_or(|told_ms| now_ms - told_ms >= interval_ms);
        if !is_gathered || !has_passed {
            return None;
        }
        self.told.clone_from(seen);
        self.told_ms = Some(now_ms);
        self.grown_ms = None;
        Some(News::Grown { by, since_ms })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const MINUTE: i64 = 60_000;

    fn policy() -> Policy {
        Policy::new(Duration::from_secs(3600), Memory::default(), 0)
    }

    fn connector() -> Topic {
        Topic::Connector("orders".to_owned())
    }

    /// Look at one connector; gives `state/changes` when it is told.
    fn look(policy: &mut Policy, state: State, now_ms: i64) -> Option<String> {
        let seen = Observation {
            conditions: BTreeMap::from([(connector(), state)]),
            ..Observation::default()
        };
        let mut notices = policy.look(&seen, now_ms);
        assert!(notices.len() <= 1, "{notices:?}");
        notices.pop().map(|notice| match notice.news {
            News::State { state, changes, .. } => format!("{state}/{changes}"),
            News::Grown { .. } => panic!("a condition does not grow"),
        })
    }

    fn dead(policy: &mut Policy, count: u64, now_ms: i64) -> Option<u64> {
        let counts = Counts::from([("too-large".to_owned(), count)]);
        let seen = Observation {
            counts: BTreeMap::from([(Topic::DeadLetters("orders".to_owned()), counts)]),
            ..Observation::default()
        };
        policy
            .look(&seen, now_ms)
            .pop()
            .map(|notice| match notice.news {
                News::Grown { by, .. } => by["too-large"],
                News::State { .. } => panic!("a count has no state"),
            })
    }

    #[test]
    fn a_hold_and_its_end_are_told_at_once_and_once() {
        let mut policy = policy();
        assert_eq!(look(&mut policy, WELL, 0), None);
        assert_eq!(look(&mut policy, HELD, MINUTE), Some("2/1".to_owned()));
        assert_eq!(look(&mut policy, HELD, 2 * MINUTE), None);
        assert_eq!(look(&mut policy, HELD, 5 * HOUR), None);
        assert_eq!(
            look(&mut policy, WELL, 5 * HOUR + 1),
            Some("0/1".to_owned())
        );
        assert_eq!(look(&mut policy, WELL, 9 * HOUR), None);
    }

    #[test]
    fn flapping_makes_one_message_a_state_in_an_interval() {
        let mut policy = policy();
        let mut told = Vec::new();
        for minute in 0..60 {
            let state = if minute % 2 == 0 { HELD } else { WELL };
            told.extend(look(&mut policy, state, minute * MINUTE));
        }
        assert_eq!(told, ["2/1", "0/1"]);
        assert_eq!(look(&mut policy, WELL, 60 * MINUTE), None);
        // Each state's own hour is over, and what happened in it is gathered.
        assert_eq!(
            look(&mut policy, WELL, 61 * MINUTE),
            Some("0/58".to_owned())
        );
    }

    #[test]
    fn what_gets_worse_is_told_inside_the_interval() {
        let mut policy = policy();
        assert_eq!(look(&mut policy, STALLED, MINUTE), Some("1/1".to_owned()));
        assert_eq!(look(&mut policy, HELD, 2 * MINUTE), Some("2/1".to_owned()));
    }

    #[test]
    fn what_lasts_is_told_again_after_a_day() {
        let mut policy = policy();
        assert_eq!(look(&mut policy, HELD, 0), Some("2/1".to_owned()));
        assert_eq!(look(&mut policy, HELD, 23 * HOUR), None);
        assert_eq!(look(&mut policy, HELD, 24 * HOUR), Some("2/0".to_owned()));
        assert_eq!(look(&mut policy, HELD, 25 * HOUR), None);
    }

    #[test]
    fn a_restart_neither_repeats_a_hold_nor_says_too_early_that_all_is_well() {
        let mut before = policy();
        look(&mut before, HELD, MINUTE);
        let text = serde_json::to_vec(&before.memory()).expect("plain data");
        let memory = serde_json::from_slice(&text).expect("what was written");
        let mut policy = Policy::new(Duration::from_secs(3600), memory, 2 * MINUTE);
        assert_eq!(look(&mut policy, WELL, 2 * MINUTE), None);
        assert_eq!(look(&mut policy, HELD, 2 * MINUTE + 5_000), None);
        assert_eq!(look(&mut policy, WELL, 3 * MINUTE), Some("0/1".to_owned()));
    }

    #[test]
    fn what_is_not_known_stays_as_it_was() {
        let mut policy = policy();
        look(&mut policy, HELD, 0);
        assert_eq!(policy.look(&Observation::default(), HOUR), []);
        assert_eq!(look(&mut policy, HELD, 2 * HOUR), None);
    }

    #[test]
    fn dead_letters_are_gathered_and_told_with_what_was_added() {
        let mut policy = policy();
        assert_eq!(dead(&mut policy, 0, 0), None);
        assert_eq!(dead(&mut policy, 1, MINUTE), None);
        assert_eq!(dead(&mut policy, 40, MINUTE + 10_000), Some(40));
        assert_eq!(dead(&mut policy, 45, 2 * MINUTE), None);
        assert_eq!(dead(&mut policy, 60, MINUTE + 10_000 + HOUR), Some(20));
        assert_eq!(dead(&mut policy, 60, 9 * HOUR), None);
    }

    #[test]
    fn a_clock_that_is_set_back_delays_nothing() {
        let mut policy = policy();
        assert_eq!(look(&mut policy, HELD, 10 * HOUR), Some("2/1".to_owned()));
        dead(&mut policy, 5, 10 * HOUR);
        // Seven hours back: what was told at 10 was told just now.
        assert_eq!(dead(&mut policy, 5, 3 * HOUR), None);
        assert_eq!(dead(&mut policy, 5, 3 * HOUR + 10_000), Some(5));
        assert_eq!(look(&mut policy, WELL, 3 * HOUR), Some("0/1".to_owned()));
        assert_eq!(look(&mut policy, HELD, 3 * HOUR), None);
        assert_eq!(look(&mut policy, HELD, 4 * HOUR), Some("2/1".to_owned()));
    }

    #[test]
    fn dead_letters_that_were_sent_again_may_come_back() {
        let mut policy = policy();
        dead(&mut policy, 5, 0);
        assert_eq!(dead(&mut policy, 5, 10_000), Some(5));
        assert_eq!(dead(&mut policy, 0, HOUR), None);
        dead(&mut policy, 3, 2 * HOUR);
        assert_eq!(dead(&mut policy, 3, 2 * HOUR + 10_000), Some(3));
    }
}
