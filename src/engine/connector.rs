//! One connector: from the journal through selection and mapping to batches, and back to the account.
//!
//! A single task owns cursor, account and batch, so nothing here is locked. Deliveries run beside it
//! and send their outcomes back. What is not settled when the process ends is read again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::RandomState;
use sluice_sdk::{Document, Stop, typed};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{error, warn};

use super::account::{ConnectorState, Settled};
use super::batch::BatchId;
use super::dead_letters::DeadLetter;
use super::delivery::{Courier, Final, Item, REFUSED};
use crate::clock::Clock;
use crate::config::Unmapped;
use crate::journal::{DAMAGED_TYPE, EventMark, Log, Record, Store, StoreCommit};
use crate::mapping::{Mapped, Mapper, Mapping};

/// Cursor and account are written at least this often while anything moves.
const COMMIT_AFTER: Duration = Duration::from_millis(250);
/// … or when this many events were settled since the last time.
const COMMIT_EVENTS: usize = 20_000;
/// Bytes of documents and their events, on their way or waiting for a batch; reading pauses above it.
const WAITING_BYTES_MAX: usize = 12 << 20;
/// Bytes of dead letters that wait for a commit; above it they are committed at once.
const DEAD_BYTES_MAX: usize = 4 << 20;
/// Time that deliveries under way get at a stop.
pub(super) const DRAIN_TIME: Duration = Duration::from_secs(10);

/// What a connector needs to run.
pub struct Connector {
    /// Its name in the config.
    pub name: String,
    /// Its source's name.
    pub source: String,
    /// The rules.
    pub mapping: Arc<Mapping>,
    /// What happens to events without a rule.
    pub unmapped: Unmapped,
    /// The way out.
    pub courier: Arc<Courier>,
    /// How long a batch that is not full waits for more.
    pub flush_after: Duration,
    /// Most documents in a batch; the sink's limit applies as well.
    pub documents_max: usize,
    /// The source's log.
    pub log: Arc<Log>,
    /// Where cursor, account and dead letters go.
    pub store: Arc<Store>,
    /// Stamps dead letters.
    pub clock: Clock,
    /// What others see of it; brought up to date at every commit.
    pub view: Arc<RwLock<ConnectorState>>,
}

struct Pending {
    event_type: String,
    documents_left: u32,
    delivered: u64,
    dead: Option<String>,
    /// Kept until the event is settled, so that a restart in between makes no second one.
    letters: Vec<Vec<u8>>,
}

struct Pump {
    connector: Connector,
    mapper: Mapper,
    state: ConnectorState,
    pending: HashMap<u64, Pending, RandomState>,
    current: Vec<Item>,
    current_bytes: usize,
    current_since: Option<Instant>,
    ready: VecDeque<Vec<Item>>,
    waiting_bytes: usize,
    dead_letters: Vec<Vec<u8>>,
    unsaved: usize,
    dead_bytes: usize,
    store_fails: bool,
    last_commit: Instant,
    /// Events and documents that were dead letters before they could be sent, since the start.
    unfit: HashMap<String, u64>,
    /// The number that the next record should begin with.
    next: u64,
}

impl Connector {
    /// Run until `stop`; then drain what is under way for a bounded time and save.
    pub async fn run(self, state: ConnectorState, stop: Stop) {
        let mut reader = self.log.reader(state.cursor.prefix());
        let concurrency = self.courier.limits.concurrency.max(1);
        let (outcomes_in, mut outcomes) = mpsc::channel::<Vec<(Item, Final)>>(concurrency);
        let mut deliveries = JoinSet::new();
        let mut pump = Pump {
            next: state.cursor.prefix(),
            mapper: Mapper::new(Arc::clone(&self.mapping)),
            connector: self,
            state,
            pending: HashMap::default(),
            current: Vec::new(),
            current_bytes: 0,
            current_since: None,
            ready: VecDeque::new(),
            waiting_bytes: 0,
            dead_letters: Vec::new(),
            unsaved: 0,
            dead_bytes: 0,
            store_fails: false,
            last_commit: Instant::now(),
            unfit: HashMap::new(),
        };
        let mut crashed = false;
        let mut hold = pump.connector.courier.gate.watch();
        loop {
            while deliveries.len() < concurrency
                && let Some(items) = pump.ready.pop_front()
            {
                let courier = Arc::clone(&pump.connector.courier);
                let outcomes = outcomes_in.clone();
                deliveries.spawn(async move { courier.deliver(items, &outcomes).await });
            }
            let has_room = !pump.store_fails
                && pump.ready.is_empty()
                && pump.waiting_bytes < WAITING_BYTES_MAX;
            let flush_at = pump
                .current_since
                .map(|since| since + pump.connector.flush_after);
            let commit_at = (pump.unsaved > 0).then(|| pump.last_commit + COMMIT_AFTER);
            tokio::select! {
                biased;
                () = stop.requested() => break,
                Some(done) = outcomes.recv() => pump.settle_all(done),
                Some(joined) = deliveries.join_next(), if !deliveries.is_empty() => {
                    if let Err(failure) = joined && failure.is_panic() {
                        crashed = true;
                        break;
                    }
                }
                Ok(()) = hold.changed() => pump.commit(),
                () = sleep_until(flush_at), if flush_at.is_some() => pump.flush(),
                () = sleep_until(commit_at), if commit_at.is_some() => pump.commit(),
                record = reader.next(), if has_room => match record {
                    Ok(record) => pump.take(&record),
                    Err(problem) => {
                        error!(connector = %pump.connector.name, "the journal cannot be read: {problem}. Trying again; nothing is dropped.");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                },
            }
            let is_much = pump.unsaved >= COMMIT_EVENTS || pump.dead_bytes >= DEAD_BYTES_MAX;
            if is_much && !pump.store_fails {
                pump.commit();
            }
        }
        pump.drain(&mut deliveries, &mut outcomes).await;
        pump.commit();
        deliveries.shutdown().await;
        if crashed {
            pump.connector
                .courier
                .hold_crashed("the sink plugin crashed");
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Pump {
    fn take(&mut self, record: &Record) {
        self.pass_over_gap(record.first_sequence);
        self.next = record.end_sequence().max(self.next);
        for (sequence, mark) in (record.first_sequence..).zip(&record.events) {
            if self.state.cursor.contains(sequence) {
                continue;
            }
            if mark.duplicate {
                self.settle(
                    sequence,
                    &mark.event_type,
                    &Settled::Skipped("duplicate".to_owned()),
                );
                continue;
            }
            let event = record.event_bytes(mark);
            self.take_event(sequence, record.first_sequence, mark, event);
        }
    }

    fn take_event(&mut self, sequence: u64, body: u64, mark: &EventMark, event: Bytes) {
        let (event_type, id) = (mark.event_type.as_str(), mark.id.as_str());
        let skipped = |reason: &str| Settled::Skipped(reason.to_owned());
        match self.mapper.map(event_type, &event) {
            Mapped::NotSelected => self.settle(sequence, event_type, &skipped("not selected")),
            Mapped::Skipped { reason, .. } => self.settle(sequence, event_type, &skipped(&reason)),
            Mapped::Unmapped => match self.connector.unmapped {
                Unmapped::Skip => self.settle(sequence, event_type, &skipped("unmapped")),
                Unmapped::DeadLetter => {
                    let dead = self.dead_event(
                        sequence,
                        event_type,
                        id,
                        &event,
                        "unmapped",
                        "no rule is on this type",
                    );
                    self.bury(sequence, event_type, dead);
                }
            },
            Mapped::Dead {
                reason,
                detail,
                rule,
            } => {
                let mut dead = self.dead_event(sequence, event_type, id, &event, &reason, &detail);
                dead.rule = rule;
                self.bury(sequence, event_type, dead);
            }
            Mapped::Documents(documents) => {
                // A slice would keep the whole window of the reader in memory.
                let event = Bytes::copy_from_slice(&event);
                self.pending.insert(
                    sequence,
                    Pending {
                        event_type: event_type.to_owned(),
                        documents_left: u32::try_from(documents.len()).unwrap_or(u32::MAX),
                        delivered: 0,
                        dead: None,
                        letters: Vec::new(),
                    },
                );
                for document in documents {
                    let item = Item {
                        sequence,
                        body: Some(body),
                        event: event.clone(),
                        document: Document {
                            event_id: id.to_owned(),
                            event_type: event_type.to_owned(),
                            body: document.body,
                        },
                        rule: document.rule,
                        part: document.name,
                    };
                    self.batch(item);
                }
            }
        }
    }

    /// Check a document and put it into the current batch.
    fn batch(&mut self, mut item: Item) {
        let courier = &self.connector.courier;
        let body = match courier.prepare(item.document.body.clone()) {
            Ok(body) => body,
            Err((reason, detail)) => return self.settle_dead(&item, reason, detail, None),
        };
        let limits = &courier.limits;
        item.document.body = body;
        let bytes = item.document.body.len() + 1;
        let documents_max = limits
            .batch_documents_max
            .min(self.connector.documents_max)
            .max(1);
        let bytes_max = limits.batch_bytes_max.saturating_sub(limits.envelope_bytes);
        if self.current_bytes + bytes > bytes_max {
            self.flush();
        }
        self.current_bytes += bytes;
        self.waiting_bytes += bytes + item.event.len();
        self.current.push(item);
        self.current_since.get_or_insert_with(Instant::now);
        if self.current.len() >= documents_max {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.current.is_empty() {
            self.ready.push_back(std::mem::take(&mut self.current));
        }
        self.current_bytes = 0;
        self.current_since = None;
    }

    fn settle_all(&mut self, done: Vec<(Item, Final)>) {
        for (item, outcome) in done {
            self.waiting_bytes = self
                .waiting_bytes
                .saturating_sub(item.document.body.len() + 1 + item.event.len());
            match outcome {
                Final::Delivered => {
                    self.document_done(item.sequence, None);
                }
                Final::Dead {
                    answer,
                    tries,
                    batch,
                } => {
                    let reason = REFUSED.to_owned();
                    self.settle_dead(&item, reason, answer, Some((batch, tries)));
                }
            }
        }
    }

    /// `sent`: in which request, and after how many tries.
    fn settle_dead(
        &mut self,
        item: &Item,
        reason: String,
        detail: String,
        sent: Option<(BatchId, u32)>,
    ) {
        let document = &item.document;
        let mut dead = self.dead_event(
            item.sequence,
            &document.event_type,
            &document.event_id,
            &item.event,
            &reason,
            &detail,
        );
        dead.rule = Some(item.rule.to_string());
        dead.part = item.part.as_deref().map(str::to_owned);
        match sent {
            // The courier has said so.
            Some((batch, tries)) => {
                dead.batch = Some(batch.to_string());
                dead.tries = tries;
            }
            None => self.note_unfit(&dead),
        }
        dead.document = Some(String::from_utf8_lossy(&document.body).into_owned());
        let letter = dead.to_bytes();
        self.document_done(item.sequence, Some((reason, letter)));
    }

    fn document_done(&mut self, sequence: u64, dead: Option<(String, Vec<u8>)>) {
        let Some(pending) = self.pending.get_mut(&sequence) else {
            return;
        };
        pending.documents_left = pending.documents_left.saturating_sub(1);
        match dead {
            None => pending.delivered += 1,
            Some((reason, letter)) => {
                pending.dead = Some(reason);
                pending.letters.push(letter);
            }
        }
        if pending.documents_left == 0
            && let Some(pending) = self.pending.remove(&sequence)
        {
            let documents = &mut self.state.account.documents;
            documents.delivered += pending.delivered;
            documents.dead += pending.letters.len() as u64;
            self.dead_bytes += pending.letters.iter().map(Vec::len).sum::<usize>();
            self.dead_letters.extend(pending.letters);
            let settled = pending.dead.map_or(Settled::Delivered, Settled::Dead);
            self.settle(sequence, &pending.event_type, &settled);
        }
    }

    fn settle(&mut self, sequence: u64, event_type: &str, settled: &Settled) {
        self.state.cursor.insert(sequence);
        self.state.account.settle(event_type, settled);
        self.unsaved += 1;
    }

    fn bury(&mut self, sequence: u64, event_type: &str, dead: DeadLetter) {
        self.note_unfit(&dead);
        self.keep(&dead);
        self.settle(sequence, event_type, &Settled::Dead(dead.reason));
    }

    /// The first one of each reason, and then less and less often. Without the detail, which may have the
    /// event's values.
    fn note_unfit(&mut self, dead: &DeadLetter) {
        let unfit = self.unfit.entry(dead.reason.clone()).or_default();
        *unfit += 1;
        if unfit.is_power_of_two() {
            let rule = dead.rule.as_deref().unwrap_or_default();
            warn!(
                connector = %dead.connector, event = %dead.event_id, event_type = %dead.event_type, %rule,
                unfit = *unfit,
                "cannot be sent: {}; it is in the dead letters. See {}.",
                dead.reason,
                typed(&format!("dead-letters list --connector {}", dead.connector)),
            );
        }
    }

    fn keep(&mut self, dead: &DeadLetter) {
        let letter = dead.to_bytes();
        self.dead_bytes += letter.len();
        self.dead_letters.push(letter);
    }

    fn dead_event(
        &self,
        sequence: u64,
        event_type: &str,
        id: &str,
        event: &Bytes,
        reason: &str,
        detail: &str,
    ) -> DeadLetter {
        let named = (event_type, id);
        DeadLetter::of_event(
            self.connector.clock.now(),
            &self.connector.name,
            sequence,
            named,
            event,
            (reason, detail),
        )
    }

    /// Put into the state whether it is held. True when that is new.
    fn note_hold(&mut self) -> bool {
        let courier = &self.connector.courier;
        let held = courier.gate.held();
        // Open is no proof that what held it before is mended.
        let is_known = held.is_some() || courier.has_passed();
        let has_news = is_known && held != self.state.held;
        if has_news {
            self.state.held = held;
        }
        has_news
    }

    /// Save cursor, account and dead letters in one step. A failure is tried again at the next one.
    fn commit(&mut self) {
        self.last_commit = Instant::now();
        let has_news = self.note_hold();
        if self.unsaved == 0 && self.dead_letters.is_empty() && !has_news {
            return;
        }
        let state = serde_json::to_vec(&self.state).expect("a connector's state is plain data");
        let commit = StoreCommit {
            connector: self.connector.name.clone(),
            state: Some(state),
            dead_letters: self.dead_letters.clone(),
            ..StoreCommit::default()
        };
        if let Err(problem) = self.connector.store.commit(&commit) {
            error!(
                connector = %self.connector.name,
                "the cursor cannot be saved: {problem}. Trying again; after a restart some documents would be sent once more."
            );
            self.store_fails = true;
            return;
        }
        self.dead_letters.clear();
        self.dead_bytes = 0;
        self.store_fails = false;
        self.unsaved = 0;
        if let Ok(mut view) = self.connector.view.write() {
            view.clone_from(&self.state);
        }
    }

    /// Numbers that the journal cannot give any more are settled as what they are, so that the cursor
    /// can go on and the account shows them: expired from a full journal, or lost to damage.
    fn pass_over_gap(&mut self, first: u64) {
        if first <= self.next {
            return;
        }
        let expired_below = self.connector.log.oldest_sequence();
        let (mut expired, mut lost) = (0_u64, 0_u64);
        let expired_end = first.min(expired_below).max(self.next);
        for (numbers, event_type) in self.connector.log.expired_types(self.next..expired_end) {
            for sequence in numbers {
                if !self.state.cursor.contains(sequence) {
                    expired += 1;
                    self.settle(sequence, &event_type, &Settled::Expired);
                }
            }
        }
        for sequence in expired_end..first {
            if !self.state.cursor.contains(sequence) {
                lost += 1;
                let lost = Settled::Dead("lost to damage of the journal".to_owned());
                self.settle(sequence, DAMAGED_TYPE, &lost);
            }
        }
        if expired + lost > 0 {
            error!(
                connector = %self.connector.name,
                "{expired} events expired from the full journal and {lost} were lost to damage before they were sent; both are counted"
            );
        }
    }

    async fn drain(
        &mut self,
        deliveries: &mut JoinSet<()>,
        outcomes: &mut mpsc::Receiver<Vec<(Item, Final)>>,
    ) {
        self.connector.courier.closing.request();
        let deadline = Instant::now() + DRAIN_TIME;
        while !deliveries.is_empty() {
            tokio::select! {
                biased;
                Some(done) = outcomes.recv() => self.settle_all(done),
                _ = deliveries.join_next() => {}
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        while let Ok(done) = outcomes.try_recv() {
            self.settle_all(done);
        }
        deliveries.abort_all();
    }
}
