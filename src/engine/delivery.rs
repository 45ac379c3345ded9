//! One batch on its way: tries, pauses, splits and holds until every document has its outcome.
//!
//! The sink says what became of one request; what follows from it is decided here and nowhere else.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use sluice_sdk::{Batch, CheckError, Delivery, Document, DynSink, Limits, Outcome, Stop, typed};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Level, debug, error, info, warn};

use super::batch::{BatchId, Part};
use super::gate::{CHECK_TIMEOUT, Gate, Leave};
use super::masked::masked;
use super::pace::Pace;
use crate::clock::Clock;

/// First pause after a failed try; doubled each time, drawn at random below that (full jitter).
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// Longest pause of our own.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Longest pause that a sink can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// Tries after which a batch that fails while its neighbours pass is split.
const TRIES_BEFORE_SPLIT: u32 = 4;
/// Documents refused in a row, none taken between, after which it is not the content.
const REFUSED_IN_A_ROW_MAX: u32 = 25;
/// Longest time that one `prepare` of a sink may take: it is a look at a document, no request.
const PREPARE_TIME_MAX: Duration = Duration::from_secs(30);
/// The reason of a document that the sink was sent and does not take.
pub(super) const REFUSED: &str = "refused by the sink";
/// The reason of a document above the sink's limit.
pub(super) const TOO_LARGE: &str = "too-large";
/// How often that is looked at.
const PREPARE_LOOK: Duration = Duration::from_secs(1);

/// One document on its way, with what it needs to be settled.
#[derive(Debug, Clone)]
pub struct Item {
    /// Number of its event.
    pub sequence: u64,
    /// Number of the first event of the body it came in; none for what comes from a dead letter.
    pub body: Option<u64>,
    /// The event as it came, for the dead letter.
    pub event: Bytes,
    /// What travels.
    pub document: Document,
    /// The rule that made it.
    pub rule: Arc<str>,
    /// Its name, where the rule makes several.
    pub part: Option<Arc<str>>,
}

/// What finally became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Final {
    /// At the sink.
    Delivered,
    /// It can never go.
    Dead {
        /// The sink's answer.
        answer: String,
        /// Tries it took.
        tries: u32,
        /// The request that was refused.
        batch: BatchId,
    },
}

/// What the deliveries of one connector share.
pub struct Courier {
    /// Name of the connector, for messages.
    pub connector: String,
    /// The way out.
    pub sink: Box<dyn DynSink>,
    /// Its limits, asked once.
    pub limits: Limits,
    /// Whether sending is allowed.
    pub gate: Gate,
    /// Documents refused in a row after which it is not the content, and the gate holds.
    refused_in_a_row_max: u32,
    /// How much may be in flight.
    pub pace: Pace,
    /// Requested when no further try is to be made: what is in flight ends, nothing else begins.
    pub closing: Stop,
    refused_in_a_row: AtomicU32,
    /// Documents refused since the start.
    refused: AtomicU64,
    passed: AtomicU64,
    /// Why the last request was not taken; nothing once one was.
    trouble: Mutex<Option<String>>,
    /// Grows by one when the sink's `prepare` is called and when it comes back; odd in between.
    prepares: AtomicU64,
    /// Requests tried again, for status and metrics.
    pub retries: AtomicU64,
    /// Requests made.
    pub requests: AtomicU64,
}

impl Courier {
    /// For one connector; the clock stamps its holds.
    pub fn new(connector: String, sink: Box<dyn DynSink>, clock: Clock) -> Self {
        let limits = sink.limits();
        Self {
            connector,
            sink,
            gate: Gate::new(clock),
            refused_in_a_row_max: REFUSED_IN_A_ROW_MAX,
            pace: Pace::new(limits.concurrency),
            closing: Stop::default(),
            limits,
            refused_in_a_row: AtomicU32::new(0),
            refused: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            trouble: Mutex::default(),
            prepares: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        }
    }

    /// For documents that were refused before: however many are refused again, it is the content.
    pub fn expects_refusals(mut self) -> Self {
        self.refused_in_a_row_max = u32::MAX;
        self
    }

    /// Check a document and give what is to be sent; or reason and detail of why it cannot go.
    pub fn prepare(&self, document: Bytes) -> Result<Bytes, (String, String)> {
        self.prepares.fetch_add(1, Ordering::Relaxed);
        let body = self.sink.prepare(document);
        self.prepares.fetch_add(1, Ordering::Relaxed);
        let body = body.map_err(|rejection| (rejection.code.to_owned(), rejection.detail))?;
        let max = self.limits.document_bytes_max;
        if body.len() > max {
            let detail = format!("{} bytes; the sink takes {max}", body.len());
            return Err((TOO_LARGE.to_owned(), detail));
        }
        Ok(body)
    }

    /// Hold the connector while its sink does not come back from one `prepare`. Returns at `stop`.
    pub async fn watch_prepare(&self, stop: &Stop) {
        let mut seen = (0, Instant::now());
        loop {
            tokio::select! {
                () = stop.requested() => return,
                () = tokio::time::sleep(PREPARE_LOOK) => {}
            }
            let now = self.prepares.load(Ordering::Relaxed);
            if now != seen.0 {
                seen = (now, Instant::now());
            } else if now % 2 == 1 && seen.1.elapsed() >= PREPARE_TIME_MAX {
                self.hold_stuck();
            }
        }
    }

    fn hold_stuck(&self) {
        let reason = format!(
            "the sink plugin has not come back from `prepare` for {} s; restart, and report this to the plugin's author",
            PREPARE_TIME_MAX.as_secs()
        );
        if self.gate.hold(reason.clone()) {
            error!(connector = %self.connector, "held: {reason}. The other connectors go on; nothing is dropped.");
        }
    }

    /// Hold for good: the plugin has panicked.
    pub fn hold_crashed(&self, what: &str) {
        self.gate.hold(format!(
            "{what}; restart, and report this to the plugin's author"
        ));
        error!(connector = %self.connector, "{what}. The connector stands still, its events stay in the journal; the others go on.");
    }

    /// Ask the sink once at the start; a refusal holds the connector before it sends anything.
    pub async fn first_check(&self) {
        let connector = &self.connector;
        match timeout(CHECK_TIMEOUT, self.sink.check()).await {
            Ok(Ok(())) => {}
            Ok(Err(CheckError::Refused(reason))) => {
                self.gate.hold(reason.clone());
                error!(%connector, "held at the start: {reason}. Nothing is dropped; it goes on when the check passes.");
            }
            Ok(Err(CheckError::Unreachable(reason))) => {
                warn!(%connector, "the sink is not reachable at the start: {reason}; trying as events come");
            }
            Err(_) => {
                let reason = format!(
                    "the sink's check has not come back for {} s",
                    CHECK_TIMEOUT.as_secs()
                );
                warn!(%connector, "{reason}; trying as events come");
                if self.passed.load(Ordering::Relaxed) == 0 {
                    self.set_trouble(Some(reason));
                }
            }
        }
    }

    /// Send until every document has its outcome, as long as it takes; outcomes go to `settled` as
    /// soon as they are known, so that one stalled document does not keep its neighbours waiting.
    /// Ends early once `closing` is requested. That, or dropping the future, loses nothing: what is
    /// not settled is read from the journal again.
    pub async fn deliver(&self, items: Vec<Item>, settled: &mpsc::Sender<Vec<(Item, Final)>>) {
        let mut done = Vec::with_capacity(items.len());
        let whole = Part::whole(items);
        let planned = whole.span(&self.connector);
        planned.in_scope(|| note_planned(&whole.items));
        // Parts still to send; the last one first. A split adds two for one, so it stays short.
        let mut parts = vec![whole];
        while let Some(part) = parts.pop() {
            if !done.is_empty() && settled.send(std::mem::take(&mut done)).await.is_err() {
                return;
            }
            let span = part.span(&self.connector);
            let request = self.request(part, &mut parts, &mut done);
            if !request.instrument(span).await {
                return;
            }
        }
        // The receiver is gone only when the connector ends, and then everything is read again.
        let _ = settled.send(done).await;
    }

    /// One request; what it leaves to do is among the parts afterwards. False: none is to be made.
    async fn request(
        &self,
        mut part: Part,
        parts: &mut Vec<Part>,
        done: &mut Vec<(Item, Final)>,
    ) -> bool {
        let passed_before = self.passed.load(Ordering::Relaxed);
        // The turn first: who waits for one must still see a gate that closes meanwhile.
        let enter = async {
            let turn = self.pace.turn().await;
            (turn, self.gate.enter(&*self.sink).await)
        };
        let (turn, leave) = tokio::select! {
            biased;
            () = self.closing.requested() => return false,
            entered = enter => entered,
        };
        let delivery = self.attempt(&part).await;
        drop(turn);
        part.tries += 1;
        match delivery {
            Delivery::All(Outcome::Delivered) => {
                self.note_passed(leave);
                debug!(
                    documents = part.items.len(),
                    tries = part.tries,
                    "delivered"
                );
                done.extend(part.items.into_iter().map(|item| (item, Final::Delivered)));
            }
            Delivery::All(Outcome::Retry { reason, after }) => {
                drop(leave);
                let tries = part.tries;
                self.note_retry(&part.items, tries, &reason);
                let neighbours_pass = self.passed.load(Ordering::Relaxed) > passed_before;
                if tries >= TRIES_BEFORE_SPLIT && neighbours_pass && part.items.len() > 1 {
                    split(parts, part, tries);
                } else {
                    parts.push(part);
                }
                self.pause(tries, after).await;
            }
            Delivery::All(Outcome::Hold { reason }) => {
                drop(leave);
                self.hold(&part.items, reason);
                parts.push(part);
            }
            Delivery::All(Outcome::Rejected { reason }) | Delivery::BatchRejected { reason } => {
                drop(leave);
                self.refuse(parts, done, part, reason);
            }
            Delivery::Each(outcomes) => {
                self.each(parts, done, leave, part, outcomes).await;
            }
        }
        true
    }

    async fn attempt(&self, part: &Part) -> Delivery {
        let items = &part.items;
        let batch = Batch {
            documents: items.iter().map(|item| item.document.clone()).collect(),
            attempt: part.tries,
        };
        debug!(documents = items.len(), tries = part.tries, "trying");
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent = timeout(self.limits.deliver_timeout, self.sink.deliver(&batch));
        let delivery = sent.await.unwrap_or_else(|_| {
            Delivery::All(Outcome::Retry {
                reason: format!("no answer within {:?}", self.limits.deliver_timeout),
                after: None,
            })
        });
        match delivery {
            Delivery::Each(outcomes) if outcomes.len() != items.len() => {
                error!(
                    "the sink gave {} outcomes for {} documents; the batch is sent again. Report this to the plugin's author.",
                    outcomes.len(),
                    items.len()
                );
                Delivery::All(Outcome::Retry {
                    reason: "outcomes do not match the batch".to_owned(),
                    after: None,
                })
            }
            delivery => delivery,
        }
    }

    async fn each(
        &self,
        parts: &mut Vec<Part>,
        done: &mut Vec<(Item, Final)>,
        leave: Leave<'_>,
        part: Part,
        outcomes: Vec<Outcome>,
    ) {
        let Part { id, items, tries } = part;
        let mut delivered = 0_usize;
        let mut again = Vec::new();
        let mut pause = None;
        let mut hold = None;
        let mut leave = Some(leave);
        for (item, outcome) in items.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Delivered => {
                    if let Some(leave) = leave.take() {
                        self.note_passed(leave);
                    }
                    delivered += 1;
                    done.push((item, Final::Delivered));
                }
                Outcome::Rejected { reason } => {
                    self.bury(done, item, reason, tries, &id);
                }
                Outcome::Retry { reason, after } => {
                    pause = Some((reason, after));
                    again.push(item);
                }
                Outcome::Hold { reason } => {
                    hold = Some(reason);
                    again.push(item);
                }
            }
        }
        drop(leave);
        if delivered > 0 {
            debug!(documents = delivered, tries, "delivered");
        }
        if let Some(reason) = hold {
            self.hold(&again, reason);
        }
        if let Some((reason, after)) = pause {
            self.note_retry(&again, tries, &reason);
            self.pause(tries, after).await;
        }
        if !again.is_empty() {
            let items = again;
            parts.push(Part { id, items, tries });
        }
    }

    /// The request was refused for its content: halve it down to the document, unless nothing at
    /// all is taken any more, which no content explains.
    fn refuse(
        &self,
        parts: &mut Vec<Part>,
        done: &mut Vec<(Item, Final)>,
        mut part: Part,
        reason: String,
    ) {
        if part.items.len() > 1 {
            debug!(
                documents = part.items.len(),
                "refused: {}",
                shown(&reason, &part.items)
            );
            split(parts, part, 0);
            return;
        }
        let refused = self.refused_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        if refused > self.refused_in_a_row_max {
            self.hold(
                &part.items,
                format!("everything is refused, the last {refused} documents in a row: {reason}"),
            );
            // The next trial is another part: if that is taken, this one was the content after all.
            parts.insert(0, part);
            return;
        }
        if let Some(item) = part.items.pop() {
            self.bury(done, item, reason, part.tries, &part.id);
        }
    }

    fn bury(
        &self,
        done: &mut Vec<(Item, Final)>,
        item: Item,
        reason: String,
        tries: u32,
        batch: &BatchId,
    ) {
        self.note_refused(&item, &reason);
        let batch = batch.clone();
        let dead = Final::Dead {
            answer: reason,
            tries,
            batch,
        };
        done.push((item, dead));
    }

    /// The first one, and then less and less often: a wrong rule is refused with every event.
    fn note_refused(&self, item: &Item, reason: &str) {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        // Made for a line that is written, and for no other: it reads the document.
        let reason = || shown(reason, std::slice::from_ref(item));
        if refused.is_power_of_two() {
            warn!(
                event = %item.document.event_id, rule = %item.rule, refused,
                "refused by the sink: {}; it is in the dead letters. See {}.",
                reason(), typed("dead-letters list"),
            );
        } else {
            debug!(event = %item.document.event_id, rule = %item.rule, refused, "refused by the sink: {}", reason());
        }
    }

    /// Whether the sink has taken anything since the start.
    pub fn has_passed(&self) -> bool {
        self.passed.load(Ordering::Relaxed) > 0
    }

    /// Why the last request was not taken; nothing once one was.
    pub fn trouble(&self) -> Option<String> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn note_passed(&self, leave: Leave<'_>) {
        self.set_trouble(None);
        self.pace.taken();
        self.passed.fetch_add(1, Ordering::Relaxed);
        self.refused_in_a_row.store(0, Ordering::Relaxed);
        if self.gate.passed(leave) {
            info!("delivering again");
        }
    }

    fn note_retry(&self, items: &[Item], tries: u32, reason: &str) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        self.pace.not_taken();
        let reason = shown(reason, items);
        self.set_trouble(Some(reason.clone()));
        if tries == 1 || tries.is_power_of_two() {
            let first = items.first().map_or("", |item| &item.document.event_id);
            warn!(
                event = %first, documents = items.len(), tries,
                "not taken: {reason}; trying again, nothing is lost"
            );
        }
    }

    fn hold(&self, items: &[Item], reason: String) {
        let reason = shown(&reason, items);
        let first = items.first().map_or("", |item| &item.document.event_id);
        if self.gate.hold(reason.clone()) {
            error!(
                event = %first,
                "held: {reason}. Nothing is dropped; it goes on by itself when the sink lets us in again."
            );
        }
    }

    async fn pause(&self, tries: u32, after: Option<Duration>) {
        match after {
            // A wish of no time at all would make this a busy loop.
            Some(after) => self
                .gate
                .pause(after.clamp(jittered(tries), RETRY_AFTER_MAX)),
            None => tokio::select! {
                () = self.closing.requested() => {}
                () = tokio::time::sleep(jittered(tries)) => {}
            },
        }
    }
}

/// A sink's reason for what it made of these documents, as others may see it.
fn shown(reason: &str, items: &[Item]) -> String {
    masked(reason, items.iter().map(|item| &*item.document.body))
}

fn split(parts: &mut Vec<Part>, part: Part, tries: u32) {
    let (first, second) = part.split(tries);
    parts.push(second);
    parts.push(first);
}

/// From which bodies a batch has its documents: a body is logged under the same number.
fn note_planned(items: &[Item]) {
    if !tracing::enabled!(Level::DEBUG) {
        return;
    }
    debug!(documents = items.len(), "planned");
    for of_body in items.chunk_by(|one, next| one.body == next.body) {
        match of_body[0].body {
            Some(body) => debug!(body, documents = of_body.len(), "from the events of a body"),
            None => debug!(documents = of_body.len(), "from dead letters"),
        }
    }
}

fn jittered(tries: u32) -> Duration {
    let ceiling = BACKOFF_MIN
        .saturating_mul(1 << tries.saturating_sub(1).min(16))
        .min(BACKOFF_MAX);
    ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
}
