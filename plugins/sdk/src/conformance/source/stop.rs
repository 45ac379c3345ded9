//! A clean end in time, and one at any await.

use std::sync::Arc;
use std::time::Duration;

use super::super::intake::{Answer, Recorder};
use super::super::patience::{GRACE, PATIENCE, POLLS_MAX, cut, join, until};
use super::LOST;
use super::bench::{Bench, Running};
use super::taken::contains;
use crate::source::Stop;
use crate::stand_in::Flow;

impl Bench<'_> {
    pub(super) async fn stops_under_way(&mut self) {
        let recorder = Recorder::new(Answer::Wait);
        let Some(mut running) = self.start(Arc::clone(&recorder)).await else {
            return;
        };
        let events = self.events(1);
        let mut sending = running.send(&self.upstream, events.clone());
        until(|| recorder.recorded().asked > 0 || sending.is_finished()).await;
        running.stop.request();
        tokio::time::sleep(GRACE).await;
        recorder.answer(Answer::Take);
        let sent = join(&mut sending, PATIENCE).await;
        if matches!(sent, Ok(Ok(()))) && !contains(&recorder, &events) {
            self.report.fault(
                "stop",
                "a request under way at the stop was told yes, and its events were not taken",
                LOST,
            );
        } else if !matches!(sent, Ok(Ok(()))) {
            self.report.fault(
                "stop",
                format!("a request under way at the stop, whose events were taken, was told: {sent:?}"),
                "Finish requests under way before `run` returns, or their upstream sends everything again at each restart.",
            );
        }
        self.end(&mut running).await;
    }

    pub(super) async fn stops_at_once(&mut self) {
        let Some(source) = self.build() else { return };
        let stop = Stop::default();
        stop.request();
        let recorder = Recorder::new(Answer::Take);
        let mut running = Running {
            task: tokio::spawn(source.run(recorder.intake(), stop.clone())),
            stop,
            recorder,
            endpoint: String::new(),
        };
        self.end(&mut running).await;
    }

    pub(super) async fn stops_when_refused(&mut self) {
        let recorder = Recorder::new(Answer::Stopping);
        let Some(mut running) = self.start(Arc::clone(&recorder)).await else {
            return;
        };
        if self.upstream.flow() != Flow::Made {
            let events = self.events(1);
            let mut sending = running.send(&self.upstream, events);
            let sent = join(&mut sending, PATIENCE).await;
            if matches!(sent, Ok(Ok(()))) && self.upstream.flow() == Flow::Answered {
                self.report.fault(
                    "push-back",
                    "the intake answered Stopping, and the upstream was told yes",
                    LOST,
                );
            }
        }
        self.end(&mut running).await;
    }

    /// The source is dropped at its first await, at its second, …; what was acknowledged was taken.
    pub(super) async fn cancelled(&mut self) {
        for polls in 1..=POLLS_MAX {
            let Some(source) = self.build() else { return };
            let recorder = Recorder::new(Answer::Take);
            let run = cut(source.run(recorder.intake(), Stop::default()), polls);
            let events = match self.upstream.flow() {
                Flow::Made => Vec::new(),
                _ => self.events(1),
            };
            let upstream = Arc::clone(&self.upstream);
            let feed = async {
                until(|| recorder.recorded().endpoint.is_some()).await;
                let endpoint = recorder.recorded().endpoint.clone().unwrap_or_default();
                if !events.is_empty() {
                    return upstream.feeder(endpoint).send(events.clone()).await;
                }
                std::future::pending().await
            };
            let sent = tokio::select! {
                _ = run => None,
                sent = tokio::time::timeout(Duration::from_secs(2), feed) => sent.ok(),
            };
            let is_answered = self.upstream.flow() == Flow::Answered;
            if is_answered && matches!(sent, Some(Ok(()))) && !contains(&recorder, &events) {
                self.report.fault(
                    "cancel",
                    "dropped half way, it had acknowledged an event that was not taken",
                    LOST,
                );
            }
            if sent.is_some() {
                break;
            }
        }
        let recorder = Recorder::new(Answer::Take);
        if let Some(mut running) = self.start(recorder).await {
            self.end(&mut running).await;
        }
    }
}
