//! What is handed over: marks, identities, what is set aside.

use std::sync::Arc;

use serde_json::Value;

use super::super::PERSON;
use super::super::intake::{Answer, Recorder, slice};
use super::super::patience::{PATIENCE, join, until};
use super::bench::{Bench, Running};
use super::taken::{contains, count, count_in};
use crate::stand_in::Flow;

impl Bench<'_> {
    pub(super) async fn good_case(&mut self) -> bool {
        let recorder = Recorder::new(Answer::Take);
        let Some(mut running) = self.start(Arc::clone(&recorder)).await else {
            return false;
        };
        if self.upstream.flow() == Flow::Made {
            let came = until(|| recorder.events().len() >= 3).await;
            self.look_at_marks(&recorder);
            if !came {
                self.report.fault(
                    "again",
                    "no three events came",
                    "A source with `Flow::Made` makes events until it is stopped; give it such settings.",
                );
            }
            self.end(&mut running).await;
            return came;
        }
        let events = self.events(3);
        let mut sending = running.send(&self.upstream, events.clone());
        let sent = join(&mut sending, PATIENCE).await;
        let came = until(|| contains(&recorder, &events)).await;
        if !came || !matches!(sent, Ok(Ok(()))) {
            self.report.fault(
                "marks",
                format!("of three good events {} came through; the upstream was told: {sent:?}", count(&recorder, &events)),
                "Each mark gives first byte and end of one event's JSON object in `body`, as the upstream sent it.",
            );
        }
        self.look_at_marks(&recorder);
        if came {
            self.same_again(&running, &events).await;
        }
        self.end(&mut running).await;
        came
    }

    fn look_at_marks(&mut self, recorder: &Recorder) {
        let recorded = recorder.recorded();
        for submission in &recorded.taken {
            for mark in &submission.events {
                let text = slice(&submission.body, mark.start, mark.end);
                if !serde_json::from_slice::<Value>(&text).is_ok_and(|it| it.is_object()) {
                    self.report.fault(
                        "marks",
                        format!("a mark from {} to {} of a body with {} bytes holds no JSON object", mark.start, mark.end, submission.body.len()),
                        "Each mark gives first byte and end of one event's JSON object in `body`. What is none goes into `malformed`.",
                    );
                }
                if mark.id.is_empty() || mark.event_type.is_empty() {
                    self.report.fault(
                        "marks",
                        "an event was handed over without an id or without a type",
                        "Rules are chosen by the type and duplicates found by the id: put an event that lacks one into `malformed`, or give it a default.",
                    );
                }
            }
        }
    }

    /// An upstream that saw no answer sends again; the id must tell.
    async fn same_again(&mut self, running: &Running, events: &[String]) {
        let before = running.recorder.events().len();
        let mut sending = running.send(&self.upstream, events.to_vec());
        let _ = join(&mut sending, PATIENCE).await;
        let recorder = &running.recorder;
        if !until(|| recorder.events().len() >= before + events.len()).await {
            return;
        }
        let recorded = recorder.recorded();
        let mut ids: Vec<&str> = recorded
            .taken
            .iter()
            .flat_map(|it| &it.events)
            .map(|mark| mark.id.as_str())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() != events.len() {
            let found = format!(
                "{} different events, sent twice, had {} different ids",
                events.len(),
                ids.len()
            );
            self.report.fault(
                "identity",
                found,
                "The id must be the same whenever the upstream sends the event, and no other event may have it: de-duplication goes by it, and drops what only looks the same.",
            );
        }
    }

    /// Something that is no event between two good ones.
    pub(super) async fn set_aside(&mut self) {
        let recorder = Recorder::new(Answer::Take);
        let Some(mut running) = self.start(Arc::clone(&recorder)).await else {
            return;
        };
        let good = self.events(2);
        let mixed = vec![good[0].clone(), format!("\"{PERSON}\""), good[1].clone()];
        let mut sending = running.send(&self.upstream, mixed);
        let sent = join(&mut sending, PATIENCE).await;
        if matches!(sent, Ok(Ok(()))) {
            let came = until(|| contains(&recorder, &good)).await;
            let recorded = recorder.recorded();
            let malformed: Vec<_> = recorded.taken.iter().flat_map(|it| &it.malformed).collect();
            if !came || malformed.is_empty() {
                let found = format!(
                    "of two good events and one part that is none, all acknowledged, {} events came and {} parts were set aside",
                    count_in(&recorded.taken, &good),
                    malformed.len()
                );
                self.report.fault(
                    "set-aside",
                    found,
                    "Acknowledged is acknowledged: hand over the good ones as events, and what is none in `malformed`; it goes to the dead letters, where a person finds it.",
                );
            }
            if malformed
                .iter()
                .any(|it| it.reason.contains(PERSON) || it.reason.is_empty())
            {
                self.report.fault(
                    "set-aside",
                    "the reason of a malformed part is empty, or quotes what was in it",
                    "A short reason without content, such as `no id`: reasons are counted and logged.",
                );
            }
        }
        self.end(&mut running).await;
    }
}
