//! What of a status is worth telling somebody: from the engine's numbers to conditions and counts.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::policy::{
    FILLING, FULL, HELD, LEAVING, NEARLY_FULL, Observation, REFUSED, REFUSES, SILENT, STALLED,
    State, Topic, WELL,
};
use crate::config::DeadLettersConfig;
use crate::engine::status::{ConfigStatus, ConnectorStatus, JournalStatus, SourceStatus, Status};

/// A connector that gets nothing through for this long is told of, though it tries by itself.
const STALLED_AFTER: Duration = Duration::from_secs(15 * 60);
/// Share of the limit, in percent, from which the journal is called filling.
pub const FILLING_PERCENT: u64 = 70;
/// Share of the limit, in percent, from which it is called nearly full.
pub const NEARLY_FULL_PERCENT: u64 = 90;
/// Share of the limit, in percent, from which it is full: the last bit is less than one request.
const FULL_PERCENT: u64 = 99;
/// It must fall this far below a mark before that is over, in percent of the limit.
const FALL_PERCENT: u64 = 10;
/// Dead letters are told of when this part of their time is left, …
const LEAVING_PART: u32 = 4;
/// … and not earlier than this long before they leave.
const LEAVING_BEFORE_MAX: Duration = Duration::from_secs(3 * 86_400);
/// Share of their limit, in percent, from which dead letters are about to leave by size.
const LEAVING_PERCENT: u64 = 90;
/// How far back the speed of the journal is looked at, and how often.
const TREND_SAMPLES_MAX: usize = 16;
const TREND_EVERY_MS: i64 = 60_000;

/// Sees conditions that only show over time.
#[derive(Default)]
pub struct Observer {
    connectors: BTreeMap<String, Progress>,
    journal: State,
    trend: VecDeque<(i64, u64)>,
}

struct Progress {
    delivered: u64,
    delivered_at_start: u64,
    /// When it last delivered something, or had nothing to deliver.
    moved_ms: i64,
}

impl Observer {
    /// Look at one status.
    pub fn observe(
        &mut self,
        status: &Status,
        letters: &DeadLettersConfig,
        now_ms: i64,
    ) -> Observation {
        let mut seen = Observation::default();
        for (owner, of_owner) in &status.dead_letters {
            let state = match leaving(status, letters, owner, now_ms) {
                Some(_) => LEAVING,
                None => WELL,
            };
            seen.conditions
                .insert(Topic::LeavingLetters(owner.clone()), state);
            let expired = of_owner.left.expired.clone();
            seen.counts
                .insert(Topic::ExpiredLetters(owner.clone()), expired);
        }
        for (name, connector) in &status.connectors {
            let state = self.connector(name, connector, now_ms);
            if let Some(state) = state {
                seen.conditions
                    .insert(Topic::Connector(name.clone()), state);
            }
            let events = &connector.events;
            seen.counts
                .insert(Topic::DeadLetters(name.clone()), events.dead.clone());
            let expired = BTreeMap::from([("expired".to_owned(), events.expired)]);
            seen.counts.insert(Topic::Expired(name.clone()), expired);
        }
        for (name, source) in &status.sources {
            if let Some(state) = silence(source) {
                seen.conditions.insert(Topic::Source(name.clone()), state);
            }
            seen.counts
                .insert(Topic::SetAside(name.clone()), source.malformed.clone());
            let lost = BTreeMap::from([("damage".to_owned(), source.lost)]);
            seen.counts.insert(Topic::Lost(name.clone()), lost);
        }
        self.note_trend(&status.journal, now_ms);
        let is_full = status.sources.values().any(|source| source.is_full);
        self.journal = fill(&status.journal, is_full, self.journal);
        seen.conditions.insert(Topic::Journal, self.journal);
        if let Some(state) = disk(status) {
            seen.conditions.insert(Topic::Disk, state);
        }
        if let Some(state) = config(&status.config) {
            seen.conditions.insert(Topic::Config, state);
        }
        seen
    }

    /// `None` while nobody can know.
    fn connector(&mut self, name: &str, connector: &ConnectorStatus, now_ms: i64) -> Option<State> {
        let delivered = connector.documents.delivered;
        let progress = self.connectors.entry(name.to_owned()).or_insert(Progress {
            delivered,
            delivered_at_start: delivered,
            moved_ms: now_ms,
        });
        // The clock may have been set back.
        progress.moved_ms = progress.moved_ms.min(now_ms);
        if delivered > progress.delivered || connector.events.waiting == 0 {
            progress.delivered = delivered;
            progress.moved_ms = now_ms;
        }
        if connector.held.is_some() {
            return Some(HELD);
        }
        let stood_ms = now_ms - progress.moved_ms;
        let is_stalled = u128::try_from(stood_ms).unwrap_or(0) > STALLED_AFTER.as_millis();
        if connector.trouble.is_some() && is_stalled {
            return Some(STALLED);
        }
        // Open is not yet well: right after a start nothing has been tried.
        let has_proof = delivered > progress.delivered_at_start || connector.events.waiting == 0;
        (connector.trouble.is_none() && has_proof).then_some(WELL)
    }

    fn note_trend(&mut self, journal: &JournalStatus, now_ms: i64) {
        // Times that are yet to come say nothing: the clock was set back.
        self.trend.retain(|(at_ms, _)| *at_ms <= now_ms);
        let is_due = self
            .trend
            .back()
            .is_none_or(|(last_ms, _)| now_ms - last_ms >= TREND_EVERY_MS);
        if is_due {
            self.trend.push_back((now_ms, journal.unsettled_bytes));
            if self.trend.len() > TREND_SAMPLES_MAX {
                self.trend.pop_front();
            }
        }
    }

    /// When the journal reaches its limit if it goes on as in the last quarter of an hour. `None`
    /// when it does not grow, or too little is known.
    pub fn full_in(&self, journal: &JournalStatus) -> Option<Duration> {
        let (first_ms, first) = *self.trend.front()?;
        let (last_ms, last) = *self.trend.back()?;
        let grown = last.checked_sub(first).filter(|grown| *grown > 0)?;
        let took_ms = u64::try_from(last_ms - first_ms)
            .ok()
            .filter(|ms| *ms > 0)?;
        let room = journal.bytes_max.saturating_sub(journal.unsettled_bytes);
        let left_ms = u128::from(room) * u128::from(took_ms) / u128::from(grown);
        Some(Duration::from_millis(u64::try_from(left_ms).ok()?))
    }
}

/// A source says something of itself only when an event came since the start, or none for too long.
fn silence(source: &SourceStatus) -> Option<State> {
    match (source.is_silent, source.silent_for_seconds) {
        (true, _) => Some(SILENT),
        (false, Some(_)) => Some(WELL),
        (false, None) => None,
    }
}

/// With what was before, so that a level which wavers at a mark is no change each time.
fn fill(journal: &JournalStatus, is_full: bool, before: State) -> State {
    if journal.bytes_max == 0 {
        return WELL;
    }
    let percent = percent(journal);
    let reaches = |state: State, mark: u64| {
        let mark = if before >= state {
            mark - FALL_PERCENT
        } else {
            mark
        };
        percent >= mark
    };
    if is_full || reaches(FULL, FULL_PERCENT) {
        FULL
    } else if reaches(NEARLY_FULL, NEARLY_FULL_PERCENT) {
        NEARLY_FULL
    } else if reaches(FILLING, FILLING_PERCENT) {
        FILLING
    } else {
        WELL
    }
}

/// How much of the limit holds events that are not settled.
pub fn percent(journal: &JournalStatus) -> u64 {
    share(journal.unsettled_bytes, journal.bytes_max)
}

/// A part of a whole in percent.
fn share(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * 100 / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(100)
}

/// Why dead letters are removed soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// The oldest leaves then, milliseconds since 1970.
    ByAge(i64),
    /// All letters together take this much of their limit, in percent; these are the most.
    BySize(u64),
}

/// Whether, and why, letters of this owner leave soon.
pub fn leaving(
    status: &Status,
    limits: &DeadLettersConfig,
    owner: &str,
    now_ms: i64,
) -> Option<Leaving> {
    let of_owner = status.dead_letters.get(owner)?;
    let oldest = of_owner.oldest?;
    if let Some(retain) = limits.retain {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let leaves_ms = oldest.as_millisecond().saturating_add(millis(retain));
        let before = (retain / LEAVING_PART).min(LEAVING_BEFORE_MAX);
        if leaves_ms.saturating_sub(now_ms) <= millis(before) {
            return Some(Leaving::ByAge(leaves_ms));
        }
    }
    let all = || status.dead_letters.values().map(|letters| letters.bytes);
    let percent = share(all().sum(), limits.max_size);
    let has_most = all().max() == Some(of_owner.bytes);
    (has_most && percent >= LEAVING_PERCENT).then_some(Leaving::BySize(percent))
}

/// What somebody was answered is no news, and does not change what was told.
fn config(config: &ConfigStatus) -> Option<State> {
    match (&config.problem, config.is_unanswered) {
        (None, _) => Some(WELL),
        (Some(_), true) => Some(REFUSED),
        (Some(_), false) => None,
    }
}

/// A full journal is no trouble of the disk; that is told by how full it is.
fn disk(status: &Status) -> Option<State> {
    let mut sources = status.sources.values();
    if sources
        .clone()
        .any(|source| source.trouble.is_some() && !source.is_full)
    {
        return Some(REFUSES);
    }
    // One that took an event since the start has shown that it can.
    sources
        .any(|source| source.silent_for_seconds.is_some())
        .then_some(WELL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::dead_letters::LettersStatus;
    use crate::engine::status::Held;

    fn connector(waiting: u64, delivered: u64) -> ConnectorStatus {
        let mut connector = ConnectorStatus::default();
        connector.events.waiting = waiting;
        connector.documents.delivered = delivered;
        connector
    }

    fn state(observer: &mut Observer, connector: &ConnectorStatus, now_ms: i64) -> Option<State> {
        let mut status = Status::default();
        status
            .connectors
            .insert("orders".to_owned(), connector.clone());
        let seen = observer.observe(&status, &DeadLettersConfig::default(), now_ms);
        seen.conditions
            .get(&Topic::Connector("orders".to_owned()))
            .copied()
    }

    #[test]
    fn a_connector_is_well_only_when_it_has_shown_it() {
        let mut observer = Observer::default();
        assert_eq!(state(&mut observer, &connector(7, 10), 0), None);
        assert_eq!(state(&mut observer, &connector(7, 11), 1), Some(WELL));
        let mut held = connector(7, 11);
        held.held = Some(Held {
            reason: "401".to_owned(),
            since: String::new(),
        });
        assert_eq!(state(&mut observer, &held, 2), Some(HELD));
    }

    #[test]
    fn one_that_tries_in_vain_for_a_quarter_of_an_hour_stalls() {
        let mut observer = Observer::default();
        let mut trying = connector(7, 10);
        trying.trouble = Some("503".to_owned());
        assert_eq!(state(&mut observer, &trying, 0), None);
        assert_eq!(state(&mut observer, &trying, 15 * 60_000), None);
        assert_eq!(
            state(&mut observer, &trying, 15 * 60_000 + 1),
            Some(STALLED)
        );
        trying.documents.delivered = 11;
        assert_eq!(state(&mut observer, &trying, 15 * 60_000 + 2), None);
    }

    #[test]
    fn a_clock_that_is_set_back_hides_no_connector_that_stalls() {
        const HOUR: i64 = 3_600_000;
        let mut observer = Observer::default();
        let mut trying = connector(7, 10);
        trying.trouble = Some("503".to_owned());
        assert_eq!(state(&mut observer, &trying, 9 * HOUR), None);
        assert_eq!(state(&mut observer, &trying, 2 * HOUR), None);
        assert_eq!(state(&mut observer, &trying, 3 * HOUR), Some(STALLED));
    }

    #[test]
    fn the_journal_fills_by_what_is_not_settled_and_does_not_waver() {
        let at = |percent, before| {
            let journal = JournalStatus {
                bytes: 100,
                unsettled_bytes: percent,
                bytes_max: 100,
            };
            fill(&journal, false, before)
        };
        assert_eq!(
            (at(69, WELL), at(70, WELL), at(90, WELL), at(99, WELL)),
            (0, 1, 2, 3)
        );
        assert_eq!((at(61, FILLING), at(59, FILLING)), (FILLING, WELL));
        assert_eq!(
            (at(85, NEARLY_FULL), at(79, NEARLY_FULL)),
            (NEARLY_FULL, FILLING)
        );
    }

    /// Letters of two owners: the oldest of `orders` came at 0, `other` has fewer.
    fn letters(bytes: u64) -> Status {
        let of = |bytes| LettersStatus {
            bytes,
            oldest: Some(jiff::Timestamp::UNIX_EPOCH),
            ..LettersStatus::default()
        };
        let mut status = Status::default();
        status.dead_letters.insert("orders".to_owned(), of(bytes));
        status.dead_letters.insert("other".to_owned(), of(1));
        status
    }

    #[test]
    fn dead_letters_leave_soon_when_a_quarter_of_their_time_or_three_days_are_left() {
        const HOUR: i64 = 3_600_000;
        let at = |retain_hours: u64, now_ms| {
            let limits = DeadLettersConfig {
                retain: Some(Duration::from_secs(retain_hours * 3600)),
                max_size: 1 << 30,
            };
            leaving(&letters(5), &limits, "orders", now_ms)
        };
        assert_eq!(at(4, 3 * HOUR - 1), None);
        assert_eq!(at(4, 3 * HOUR), Some(Leaving::ByAge(4 * HOUR)));
        assert_eq!(at(90 * 24, 87 * 24 * HOUR - 1), None);
        assert_eq!(
            at(90 * 24, 87 * 24 * HOUR),
            Some(Leaving::ByAge(90 * 24 * HOUR))
        );
    }

    #[test]
    fn dead_letters_near_their_limit_leave_where_there_are_most() {
        let limits = DeadLettersConfig {
            retain: None,
            max_size: 100,
        };
        let of = |owner, bytes| leaving(&letters(bytes), &limits, owner, 0);
        assert_eq!(of("orders", 88), None);
        assert_eq!(of("orders", 89), Some(Leaving::BySize(90)));
        assert_eq!(of("other", 89), None);
    }

    #[test]
    fn a_refused_config_is_news_only_when_nobody_was_answered() {
        let of = |problem: Option<&str>, is_unanswered| {
            config(&ConfigStatus {
                problem: problem.map(str::to_owned),
                is_unanswered,
                ..ConfigStatus::default()
            })
        };
        assert_eq!(of(None, false), Some(WELL));
        assert_eq!(of(Some("x"), true), Some(REFUSED));
        assert_eq!(of(Some("x"), false), None);
    }

    #[test]
    fn the_time_until_the_journal_is_full_follows_from_its_growth() {
        let mut observer = Observer::default();
        let journal = |unsettled_bytes| JournalStatus {
            bytes: unsettled_bytes,
            unsettled_bytes,
            bytes_max: 1_000,
        };
        observer.note_trend(&journal(100), 0);
        assert_eq!(observer.full_in(&journal(100)), None);
        observer.note_trend(&journal(200), 60_000);
        // 100 bytes a minute, 800 to go.
        assert_eq!(
            observer.full_in(&journal(200)),
            Some(Duration::from_secs(480))
        );
        observer.note_trend(&journal(50), 120_000);
        assert_eq!(observer.full_in(&journal(50)), None);
    }
}
