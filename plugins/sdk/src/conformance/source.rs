//! The kit's side of a source: nothing is acknowledged before it is safe, nothing is lost.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;

use super::Report;
use super::intake::{Answer, Recorder, slice};
use super::patience::{GRACE, PATIENCE, POLLS_MAX, Trouble, call, cut, join, until};
use super::settings::{self, Subject, look, panicked};
use crate::registry::SourcePlugin;
use crate::source::{DynSource, SourceError, Stop};
use crate::stand_in::{Flow, Upstream};

/// A value that stands for personal data.
const PERSON: &str = "canary-person@example.com";
/// Askings within [`GRACE`] that are no busy loop; the intake asks for 20 ms between them.
const ASKED_MAX: u64 = 40;

const LOST: &str = "Acknowledge, or move the own position, only after `accept` returned Ok. On every error let the upstream send again, or hand the same events over again after `retry_after`.";

pub async fn check(plugin: &SourcePlugin) -> Report {
    let mut report = Report::new("source", plugin.name);
    let subject = Subject {
        schema: (plugin.schema)().to_value(),
        example: plugin.example,
        validate: plugin.validate,
        debug: plugin.debug,
    };
    let Some(mut settings) = settings::check(&subject, &mut report) else {
        return report;
    };
    let Some(upstream) = start_upstream(plugin, &mut report).await else {
        return report;
    };
    settings::lay_over(&mut settings, &upstream.settings());
    let secrets = settings::secrets(&subject, &settings);
    settings::hide(&subject, &settings, &secrets, &mut report);
    let mut bench = Bench {
        plugin,
        upstream: Arc::from(upstream),
        settings,
        secrets,
        report,
        next: 0,
    };
    if bench.good_case().await {
        match bench.upstream.flow() {
            Flow::Answered => {
                bench.set_aside().await;
                bench.not_early().await;
                bench.pushes_back(Answer::Full).await;
                bench.pushes_back(Answer::Io).await;
                bench.stops_under_way().await;
            }
            Flow::Read => {
                bench.set_aside().await;
                bench.waits_for_room().await;
                bench.comes_again().await;
            }
            Flow::Stream => {
                bench.set_aside().await;
                bench.waits_for_room().await;
            }
            Flow::Made => bench.waits_for_room().await,
        }
        bench.stops_at_once().await;
        bench.stops_when_refused().await;
        bench.cancelled().await;
    }
    bench.report
}

async fn start_upstream(plugin: &SourcePlugin, report: &mut Report) -> Option<Box<dyn Upstream>> {
    const MEND: &str = "Write what stands before it (`impl sluice_sdk::Upstream`: settings, flow, event, feeder) and register it: `upstream: start`.";
    let Some(start) = plugin.upstream else {
        report.fault(
            "nothing-to-test-with",
            "it has no upstream, so nobody knows what it does",
            MEND,
        );
        return None;
    };
    match start().await {
        Ok(upstream) => Some(upstream),
        Err(problem) => {
            let found = format!("its upstream does not start: {problem}");
            report.fault("nothing-to-test-with", found, MEND);
            None
        }
    }
}

struct Bench<'a> {
    plugin: &'a SourcePlugin,
    upstream: Arc<dyn Upstream>,
    settings: Value,
    secrets: Vec<String>,
    report: Report,
    /// Number of the next event.
    next: u64,
}

/// A source that runs.
struct Running {
    task: JoinHandle<Result<(), SourceError>>,
    stop: Stop,
    recorder: Arc<Recorder>,
    endpoint: String,
}

type Sending = JoinHandle<Result<(), String>>;

impl Running {
    fn send(&self, upstream: &Arc<dyn Upstream>, events: Vec<String>) -> Sending {
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
    fn build(&mut self) -> Option<Box<dyn DynSource>> {
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
    async fn start(&mut self, recorder: Arc<Recorder>) -> Option<Running> {
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

    fn events(&mut self, count: u64) -> Vec<String> {
        let events = (self.next..self.next + count).map(|n| self.upstream.event(n));
        let events = events.collect();
        self.next += count;
        events
    }

    /// Stop it and look how it ends.
    async fn end(&mut self, running: &mut Running) {
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

    async fn good_case(&mut self) -> bool {
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
    async fn set_aside(&mut self) {
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

    /// While `accept` waits for the disk, the upstream must wait too.
    async fn not_early(&mut self) {
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
    async fn pushes_back(&mut self, refusal: Answer) {
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
    async fn waits_for_room(&mut self) {
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
    async fn comes_again(&mut self) {
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

    async fn stops_under_way(&mut self) {
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

    async fn stops_at_once(&mut self) {
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

    async fn stops_when_refused(&mut self) {
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
    async fn cancelled(&mut self) {
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

fn contains(recorder: &Recorder, events: &[String]) -> bool {
    count(recorder, events) == events.len()
}

fn count(recorder: &Recorder, events: &[String]) -> usize {
    count_in(&recorder.recorded().taken, events)
}

/// How many of the events are among those handed over, compared as JSON.
fn count_in(taken: &[crate::event::Submission], events: &[String]) -> usize {
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
