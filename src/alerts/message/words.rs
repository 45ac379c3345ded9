//! How texts say a time, a reason, a number.

use std::time::Duration;

use jiff::Timestamp;

use crate::alerts::policy::Counts;

/// Longest reason in a message, in characters; a sink's answer may be a page.
const REASON_CHARS_MAX: usize = 300;
/// Most reasons listed for one count.
const REASONS_MAX: usize = 8;

pub(super) fn wavered(changes: u32) -> Option<(&'static str, String)> {
    (changes > 1).then(|| {
        (
            "Mind",
            format!("it has changed {changes} times since the last message about it"),
        )
    })
}

/// The reasons of a count, most frequent first.
pub(super) fn reasons(by: &Counts) -> Vec<(&'static str, String)> {
    let mut sorted: Vec<(&String, &u64)> = by.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let left = sorted.len().saturating_sub(REASONS_MAX);
    let mut facts: Vec<(&'static str, String)> = sorted
        .iter()
        .take(REASONS_MAX)
        .map(|(reason, count)| ("Reason", format!("{count} x {}", plain(reason))))
        .collect();
    if left > 0 {
        facts.push(("Reason", format!("and {left} more reasons")));
    }
    facts
}

pub(super) fn total(by: &Counts) -> u64 {
    by.values().sum()
}

/// A reason on one line, cut, and without what looks like somebody's mail address: a sink's answer
/// may repeat what it was sent.
pub(super) fn plain(reason: &str) -> String {
    let words: Vec<&str> = reason
        .split(|char: char| char.is_whitespace() || char.is_control())
        .filter(|word| !word.is_empty())
        .map(|word| {
            if word.contains('@') {
                "(address)"
            } else {
                word
            }
        })
        .collect();
    cut(&words.join(" "), REASON_CHARS_MAX)
}

pub(super) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

pub(super) fn rfc3339(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .to_string()
}

/// `2026-05-04 03:12 UTC`.
pub(super) fn time(ms: i64) -> String {
    let text = rfc3339(ms);
    let day = text.get(..10).unwrap_or_default();
    let minute = text.get(11..16).unwrap_or_default();
    format!("{day} {minute} UTC")
}

/// The two largest units: `3 d 4 h`, `12 min`, `5 s`.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
