//! A source with its upstream: how it starts, what it is sent, how it ends.

use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinHandle;

use super::super::Report;
use super::super::intake::Recorder;
use super::super::patience::{PATIENCE, Trouble, call, join, until};
use super::super::settings::{look, panicked};
use crate::registry::SourcePlugin;
use crate::source::{DynSource, SourceError, Stop};
use crate::stand_in::Upstream;

pub(super) struct Bench<'a> {
    pub(super) plugin: &'a SourcePlugin,
    pub(super) upstream: Arc<dyn Upstream>,
    pub(super) settings: Value,
    pub(super) secrets: Vec<String>,
    pub(super) report: Report,
    /// Number of the next event.
    pub(super) next: u64,
}

/// A source that runs.
pub(super) struct Running {
    pub(super) task: JoinHandle<Result<(), SourceError>>,
    pub(super) stop: Stop,
    pub(super) recorder: Arc<Recorder>,
    pub(super) endpoint: String,
}

pub(super) type Sending = JoinHandle<Result<(), String>>;

impl Running {
    pub(super) fn send(&self, upstream: &Arc<dyn Upstream>, events: Vec<String>) -> Sending {
        let feeder = upstream.feeder(self.endpoint.clone());
        tokio::spawn(async move { feeder.send(events).await })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bench<'_> {
    pub(super) fn build(&mut self) -> Option<Box<dyn DynSource>> {
        if let Some(source) = self.upstream.wired() {
            return Some(source);
        }
        match call(|| (self.plugin.build)(self.settings.clone())) {
            Ok(Ok(source)) => Some(source),
            Ok(Err(problem)) => {
                self.report.fault(
                    "example",
                    format!("the source cannot be made from its example and the upstream's settings: {problem}"),
                    "`Upstream::settings` is laid over `example:`; together they must be settings that work.",
                );
                None
            }
            Err(trouble) => {
                panicked(&trouble, "being made", &mut self.report);
                None
            }
        }
    }

    /// Start it and wait until it is up.
    pub(super) async fn start(&mut self, recorder: Arc<Recorder>) -> Option<Running> {
        let source = self.build()?;
        let stop = Stop::default();
        let mut running = Running {
            task: tokio::spawn(source.run(recorder.intake(), stop.clone())),
            stop,
            recorder,
            endpoint: String::new(),
        };
        let is_up =
            until(|| running.recorder.recorded().endpoint.is_some() || running.task.is_finished());
        let is_up = is_up.await;
        let endpoint = running.recorder.recorded().endpoint.clone();
        match endpoint {
            Some(endpoint) => running.endpoint = endpoint,
            None if is_up => {
                self.end(&mut running).await;
                self.report.fault(
                    "ready",
                    "it ended before it was up",
                    "Call `intake.ready(address)` when it is up. A `SourceError` ends the whole program, so it is for what no waiting mends.",
                );
                return None;
            }
            None => {
                self.report.fault(
                    "ready",
                    "it never says that it is up",
                    "Call `intake.ready(address)` once it can take events: `status` shows it, and deployments wait for it.",
                );
                return None;
            }
        }
        Some(running)
    }

    pub(super) fn events(&mut self, count: u64) -> Vec<String> {
        let events = (self.next..self.next + count).map(|n| self.upstream.event(n));
        let events = events.collect();
        self.next += count;
        events
    }

    /// Stop it and look how it ends.
    pub(super) async fn end(&mut self, running: &mut Running) {
        running.stop.request();
        match join(&mut running.task, PATIENCE).await {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => {
                look(&problem.to_string(), &self.secrets, "the error of the source", &mut self.report);
                self.report.fault(
                    "stop",
                    format!("asked to stop, it ended with an error: {problem}"),
                    "Return Ok after a stop: an error makes the program end as failed.",
                );
            }
            Err(Trouble::Late) => self.report.fault(
                "stop",
                format!("asked to stop, it did not end within {} s", PATIENCE.as_secs()),
                "Wait for `stop.requested()` beside everything else that is waited for (`tokio::select!`), refuse new requests then, and give those under way a time limit.",
            ),
            Err(trouble) => panicked(&trouble, "running", &mut self.report),
        }
    }
}
