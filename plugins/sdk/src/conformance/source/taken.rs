//! Which events were taken.

use serde_json::Value;

use super::super::intake::{Recorder, slice};
use crate::event::Submission;

pub(super) fn contains(recorder: &Recorder, events: &[String]) -> bool {
    count(recorder, events) == events.len()
}

pub(super) fn count(recorder: &Recorder, events: &[String]) -> usize {
    count_in(&recorder.recorded().taken, events)
}

/// How many of the events are among those handed over, compared as JSON.
pub(super) fn count_in(taken: &[Submission], events: &[String]) -> usize {
    let came: Vec<Value> = taken
        .iter()
        .flat_map(|it| {
            it.events
                .iter()
                .map(|mark| slice(&it.body, mark.start, mark.end))
        })
        .filter_map(|text| serde_json::from_slice(&text).ok())
        .collect();
    events
        .iter()
        .filter(|event| serde_json::from_str::<Value>(event).is_ok_and(|it| came.contains(&it)))
        .count()
}
