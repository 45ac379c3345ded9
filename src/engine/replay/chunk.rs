//! One chunk of a replay: mapped, sent, and what became of each event.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_sdk::{Document, Limits};
use tokio::sync::mpsc;

use super::known::Known;
use super::pick::Picked;
use super::way::Step;
use super::{ReplayAccount, Way};
use crate::clock::Clock;
use crate::engine::batch::BatchId;
use crate::engine::dead_letters::{DeadLetter, Failed, Fate};
use crate::engine::delivery::{Courier, Final, Item, REFUSED};
use crate::journal::DeadLetterKey;
use crate::mapping::MappedDocument;

/// Outcomes that may wait to be looked at.
const OUTCOMES_MAX: usize = 8;

/// Events on their way together.
pub(super) struct Chunk {
    connector: Arc<str>,
    /// Stamps dead letters.
    clock: Clock,
    events: Vec<Underway>,
    items: Vec<Item>,
}

struct Underway {
    connector: Arc<str>,
    clock: Clock,
    picked: Picked,
    /// Documents without an outcome.
    left: usize,
    delivered: u64,
    dead: Vec<DeadLetter>,
    skipped: Option<String>,
}

/// What is to be committed of a chunk.
#[derive(Default)]
pub(super) struct Settled {
    /// For the letters that were replayed, and those about events that were.
    pub fates: Vec<(DeadLetterKey, Fate)>,
    /// Events of the journal that cannot go.
    pub failed: Vec<Failed>,
    /// Number of the first event or letter that is not settled.
    pub unsettled: Option<u64>,
}

impl Chunk {
    /// Run the rules and the sink's own check on every event.
    pub(super) fn prepare(
        picked: Vec<Picked>,
        way: &Way,
        courier: &Courier,
        clock: &Clock,
    ) -> Self {
        let mut chunk = Self {
            connector: Arc::from(way.connector.as_str()),
            clock: clock.clone(),
            events: Vec::with_capacity(picked.len()),
            items: Vec::new(),
        };
        for picked in picked {
            chunk.add(picked, way, courier);
        }
        chunk
    }

    fn add(&mut self, picked: Picked, way: &Way, courier: &Courier) {
        let at = self.events.len() as u64;
        let mut event = Underway {
            connector: Arc::clone(&self.connector),
            clock: self.clock.clone(),
            left: 0,
            delivered: 0,
            dead: Vec::new(),
            skipped: None,
            picked,
        };
        let step = match event.picked.is_duplicate {
            true => Step::Skipped("duplicate".to_owned()),
            false => way.map(&event.picked.event_type, &event.picked.event),
        };
        match step {
            Step::Skipped(reason) => event.skipped = Some(reason),
            Step::Dead {
                reason,
                detail,
                rule,
            } => {
                let mut letter = event.letter(&reason, &detail);
                letter.rule = rule;
                event.dead.push(letter);
            }
            Step::Documents(documents) => {
                for document in event.wanted(documents) {
                    let mut item = event.item(at, document);
                    match courier.prepare(item.document.body.clone()) {
                        Ok(body) => {
                            item.document.body = body;
                            event.left += 1;
                            self.items.push(item);
                        }
                        Err((reason, detail)) => event.bury(&item, &reason, &detail, None),
                    }
                }
            }
        }
        self.events.push(event);
    }

    /// Send what there is. Dropping the future is safe: what has no outcome stays unsettled.
    pub(super) async fn send(&mut self, courier: &Courier, documents_max: usize) {
        let items = std::mem::take(&mut self.items);
        for batch in batches(items, &courier.limits, documents_max) {
            let (settled_in, mut settled) = mpsc::channel(OUTCOMES_MAX);
            let delivery = async move { courier.deliver(batch, &settled_in).await };
            let outcomes = async {
                while let Some(some) = settled.recv().await {
                    for (item, outcome) in some {
                        self.settle(&item, outcome);
                    }
                }
            };
            tokio::join!(delivery, outcomes);
        }
    }

    fn settle(&mut self, item: &Item, outcome: Final) {
        let at = usize::try_from(item.sequence).unwrap_or(usize::MAX);
        let Some(event) = self.events.get_mut(at) else {
            return;
        };
        event.left = event.left.saturating_sub(1);
        match outcome {
            Final::Delivered => event.delivered += 1,
            Final::Dead {
                answer,
                tries,
                batch,
            } => event.bury(item, REFUSED, &answer, Some((batch, tries))),
        }
    }

    /// Count what is settled and give what is to be committed. What is not settled is left for
    /// another time, together with all that follows if `in_order`. The number of the first such event
    /// is the place to go on from. `known` are the letters about events of the journal.
    pub(super) fn finish(
        self,
        account: &mut ReplayAccount,
        in_order: bool,
        known: &Known,
    ) -> Settled {
        let mut settled = Settled::default();
        for event in self.events {
            let is_left = event.left > 0 || (in_order && settled.unsettled.is_some());
            if is_left {
                settled.unsettled.get_or_insert(event.number());
            } else {
                event.count(account, &mut settled, known);
            }
        }
        settled
    }

    /// Count as if every document were taken: for a dry run.
    pub(super) fn assume_delivered(mut self, account: &mut ReplayAccount) {
        for item in std::mem::take(&mut self.items) {
            self.settle(&item, Final::Delivered);
        }
        self.finish(account, true, &Known::default());
    }
}

impl Underway {
    /// By what its origin counts.
    fn number(&self) -> u64 {
        match &self.picked.letter {
            Some((key, _)) => key.number,
            None => self.picked.sequence,
        }
    }

    /// A letter of one refused document asks for that document alone: its neighbours are at the
    /// sink. All of them when today's rules make no such document.
    fn wanted(&self, documents: Vec<MappedDocument>) -> Vec<MappedDocument> {
        let Some((_, letter)) = &self.picked.letter else {
            return documents;
        };
        let is_it = |document: &MappedDocument| {
            letter.rule.as_deref() == Some(&*document.rule)
                && letter.part.as_deref() == document.name.as_deref()
        };
        if letter.document.is_some() && documents.iter().any(is_it) {
            documents.into_iter().filter(is_it).collect()
        } else {
            documents
        }
    }

    fn item(&self, at: u64, document: MappedDocument) -> Item {
        Item {
            sequence: at,
            body: self.picked.body,
            event: self.picked.event.clone(),
            document: Document {
                event_id: self.picked.event_id.clone(),
                event_type: self.picked.event_type.clone(),
                body: document.body,
            },
            rule: document.rule,
            part: document.name,
        }
    }

    /// A letter about this event.
    fn letter(&self, reason: &str, detail: &str) -> DeadLetter {
        let named = (
            self.picked.event_type.as_str(),
            self.picked.event_id.as_str(),
        );
        let (sequence, event) = (self.picked.sequence, &self.picked.event);
        DeadLetter::of_event(
            self.clock.now(),
            &self.connector,
            sequence,
            named,
            event,
            (reason, detail),
        )
    }

    /// `sent`: in which request, and after how many tries.
    fn bury(&mut self, item: &Item, reason: &str, detail: &str, sent: Option<(BatchId, u32)>) {
        let mut letter = self.letter(reason, detail);
        letter.rule = Some(item.rule.to_string());
        letter.part = item.part.as_deref().map(str::to_owned);
        if let Some((batch, tries)) = sent {
            letter.batch = Some(batch.to_string());
            letter.tries = tries;
        }
        letter.document = Some(String::from_utf8_lossy(&item.document.body).into_owned());
        self.dead.push(letter);
    }

    fn count(self, account: &mut ReplayAccount, settled: &mut Settled, known: &Known) {
        account.documents.delivered += self.delivered;
        account.documents.dead += self
            .dead
            .iter()
            .filter(|letter| letter.document.is_some())
            .count() as u64;
        let fate = match (self.dead.last(), self.skipped) {
            (Some(letter), _) => {
                plus_one(&mut account.dead, letter.reason.clone());
                None
            }
            (None, Some(reason)) => {
                plus_one(&mut account.skipped, reason.clone());
                Some(Fate::Skipped(reason))
            }
            (None, None) => {
                account.delivered += 1;
                Some(Fate::Delivered)
            }
        };
        let known = known.about(self.picked.sequence);
        match (self.picked.letter, fate) {
            (Some((key, _)), Some(fate)) => settled.fates.push((key, fate)),
            (Some((key, _)), None) => settled.fates.push((key, Fate::Stays(self.dead))),
            (None, Some(fate)) => settled.fates.extend(known.map(|key| (key, fate.clone()))),
            (None, None) => settled.failed.push(Failed {
                before: known.collect(),
                letters: self.dead,
            }),
        }
    }
}

fn plus_one(counts: &mut BTreeMap<String, u64>, reason: String) {
    *counts.entry(reason).or_default() += 1;
}

/// Cut into requests that the sink takes.
fn batches(items: Vec<Item>, limits: &Limits, documents_max: usize) -> Vec<Vec<Item>> {
    let documents_max = limits.batch_documents_max.min(documents_max).max(1);
    let bytes_max = limits.batch_bytes_max.saturating_sub(limits.envelope_bytes);
    let mut batches: Vec<Vec<Item>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let size = item.document.body.len() + 1;
        match batches.last_mut() {
            Some(batch) if batch.len() < documents_max && bytes + size <= bytes_max => {
                bytes += size;
                batch.push(item);
            }
            _ => {
                bytes = size;
                batches.push(vec![item]);
            }
        }
    }
    batches
}
