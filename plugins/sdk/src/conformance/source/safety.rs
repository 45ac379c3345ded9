//! Nothing is acknowledged before it is safe, nothing is lost when there is no room.

use std::sync::Arc;

use super::super::intake::{Answer, Recorder};
use super::super::patience::{GRACE, PATIENCE, Trouble, join, until};
use super::LOST;
use super::bench::Bench;
use super::taken::contains;
use crate::stand_in::Flow;

/// Askings within [`GRACE`] that are no busy loop; the intake asks for 20 ms between them.
const ASKED_MAX: u64 = 40;

impl Bench<'_> {
    /// While `accept` waits for the disk, the upstream must wait too.
    pub(super) async fn not_early(&mut self) {
        let recorder = Recorder::new(Answer::Wait);
        let Some(mut running) = self.start(Arc::clone(&recorder)).await else {
            return;
        };
        let events = self.events(2);
        let mut sending = running.send(&self.upstream, events.clone());
        let asked = until(|| recorder.recorded().asked > 0 || sending.is_finished()).await;
        let early = join(&mut sending, GRACE).await;
        if matches!(early, Ok(Ok(()))) {
            self.report.fault(
                "early",
                "the upstream was told yes before `accept` returned",
                "Answer only after `accept(…).await` returned Ok: a crash in between would lose the events.",
            );
        } else if !asked {
            self.report.fault(
                "early",
                "neither `accept` was called nor the upstream answered",
                "Hand events over as they come.",
            );
        }
        recorder.answer(Answer::Take);
        if matches!(early, Err(Trouble::Late)) {
            let sent = join(&mut sending, PATIENCE).await;
            if !matches!(sent, Ok(Ok(()))) || !contains(&recorder, &events) {
                let found = format!("`accept` returned Ok, and the upstream was told: {sent:?}");
                self.report.fault("early", found, "Answer yes as soon as `accept` has returned Ok, or the upstream sends everything again.");
            }
        }
        self.end(&mut running).await;
    }

    /// No room: the upstream hears no, or waits; told yes are only events that were taken.
    pub(super) async fn pushes_back(&mut self, refusal: Answer) {
        let recorder = Recorder::new(refusal);
        let Some(mut running) = self.start(Arc::clone(&recorder)).await else {
            return;
        };
        let events = self.events(2);
        let mut sending = running.send(&self.upstream, events.clone());
        until(|| recorder.recorded().asked > 0 || sending.is_finished()).await;
        let told = join(&mut sending, GRACE).await;
        if matches!(told, Ok(Ok(()))) {
            let found = format!("the intake answered {refusal:?}, and the upstream was told yes");
            self.report.fault("push-back", found, LOST);
        }
        recorder.answer(Answer::Take);
        let sent = match told {
            // It waits, as we do.
            Err(Trouble::Late) => join(&mut sending, PATIENCE).await,
            told => told,
        };
        if !matches!(sent, Ok(Ok(()))) && !running.task.is_finished() {
            let mut again = running.send(&self.upstream, events.clone());
            let sent = join(&mut again, PATIENCE).await;
            if !matches!(sent, Ok(Ok(()))) || !contains(&recorder, &events) {
                let found = format!(
                    "there is room again after {refusal:?}, and the upstream was told: {sent:?}"
                );
                self.report.fault(
                    "push-back",
                    found,
                    "No refusal of the intake is for good: take events again as soon as it does.",
                );
            }
        }
        if running.task.is_finished() {
            let found = format!("it ended when the intake answered {refusal:?}");
            self.report.fault("push-back", found, "A refusal of the intake passes: push back and go on. A source that ends takes the whole program down.");
            return;
        }
        self.end(&mut running).await;
    }

    /// No room for a source that nobody can ask to send again: it must ask again itself.
    pub(super) async fn waits_for_room(&mut self) {
        let recorder = Recorder::new(Answer::Full);
        let Some(mut running) = self.start(Arc::clone(&recorder)).await else {
            return;
        };
        let events = match self.upstream.flow() {
            Flow::Made => Vec::new(),
            _ => self.events(2),
        };
        if !events.is_empty() {
            let mut sending = running.send(&self.upstream, events.clone());
            let _ = join(&mut sending, PATIENCE).await;
        }
        until(|| recorder.recorded().asked > 0).await;
        tokio::time::sleep(GRACE).await;
        let asked = recorder.recorded().asked;
        if asked > ASKED_MAX {
            self.report.fault(
                "push-back",
                format!("while there was no room it asked {asked} times within {GRACE:?}"),
                "Wait for the `retry_after` of `IntakeError::Full` before asking again.",
            );
        }
        recorder.answer(Answer::Take);
        let came = until(|| contains(&recorder, &events) && !recorder.recorded().taken.is_empty());
        if !came.await {
            self.report.fault(
                "push-back",
                "events that found no room did not come again",
                LOST,
            );
        }
        self.end(&mut running).await;
    }

    /// Events that were read and not taken come again after a restart.
    pub(super) async fn comes_again(&mut self) {
        let recorder = Recorder::new(Answer::Full);
        let Some(running) = self.start(Arc::clone(&recorder)).await else {
            return;
        };
        let events = self.events(2);
        let mut sending = running.send(&self.upstream, events.clone());
        let _ = join(&mut sending, PATIENCE).await;
        until(|| recorder.recorded().asked > 0).await;
        tokio::time::sleep(GRACE).await;
        // As a crash does.
        drop(running);
        recorder.answer(Answer::Take);
        let Some(mut running) = self.start(Arc::clone(&recorder)).await else {
            return;
        };
        if !until(|| contains(&recorder, &events)).await {
            self.report.fault(
                "again",
                "events that were read, and not taken before a restart, never came",
                LOST,
            );
        }
        self.end(&mut running).await;
    }
}
