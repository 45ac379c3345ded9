//! What the double remembers: counts of everything, the ids of 24 hours, the last documents.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sluice_sdk::Bytes;

use super::fault::Fault;
use super::verdict;

/// Documents kept in full.
const DOCUMENTS_MAX: usize = 10_000;
/// Their bytes together.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;
/// Ids kept, about 48 bytes each; beyond it the oldest go before their 24 hours are over.
const IDS_MAX: usize = 2_000_000;
/// Requests kept in full, for tests.
const REQUESTS_MAX: usize = 8;
/// Segment keeps ids at least this long.
const ID_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// One document and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// When it came, by the double's clock.
    #[serde(serialize_with = "as_text")]
    pub received_at: Timestamp,
    /// `us` or `eu`.
    pub region: &'static str,
    /// Which write key: `source-1` for the first one seen, and so on. The key itself is not shown.
    pub source: String,
    /// track, identify, …
    pub kind: String,
    /// The event's or page's name.
    pub event: String,
    /// userId or anonymousId.
    pub user: String,
    /// As sent, or assigned if it had none.
    pub message_id: String,
    /// `accepted`, `duplicate`, or a code of Segment's Delivery Overview.
    pub verdict: &'static str,
    /// The time a destination would see, corrected by the sender's clock.
    pub delivered_timestamp: Option<String>,
    #[serde(skip)]
    text: Box<str>,
}

impl Entry {
    /// The document as sent, with what the batch said for all.
    pub fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// Such as `track · Email Opened`.
    pub fn title(&self) -> String {
        if self.event.is_empty() {
            self.kind.clone()
        } else {
            format!("{} · {}", self.kind, self.event)
        }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct SeenRequest {
    /// Such as `/v1/batch`.
    pub path: String,
    /// Whether it came compressed.
    pub is_gzip: bool,
    /// `X-Retry-Count`.
    pub retry_count: Option<String>,
    /// `User-Agent`.
    pub user_agent: String,
    /// The user of the Basic header, which is the key.
    pub basic_user: Option<String>,
    /// After decompression.
    pub body: Bytes,
}

/// What comes with every document of a request.
pub struct Arrival<'a> {
    pub region: &'static str,
    pub key: &'a str,
    pub sent_at: Option<Timestamp>,
    /// What all documents of the request share, if they are dropped for it.
    pub verdict: Option<&'static str>,
}

pub struct Store {
    pub faults: VecDeque<Fault>,
    counts: BTreeMap<&'static str, u64>,
    calls: u64,
    received: u64,
    refused: u64,
    sources: HashMap<u128, usize>,
    ids: HashMap<u128, Timestamp>,
    ids_in_order: VecDeque<(Timestamp, u128)>,
    documents: VecDeque<Entry>,
    document_bytes: usize,
    requests: VecDeque<SeenRequest>,
    ahead: Duration,
    rate: Option<u32>,
    tokens: f64,
    tokens_at: Timestamp,
}

impl Store {
    pub fn new(rate: Option<u32>) -> Self {
        Self {
            faults: VecDeque::new(),
            counts: BTreeMap::new(),
            calls: 0,
            received: 0,
            refused: 0,
            sources: HashMap::new(),
            ids: HashMap::new(),
            ids_in_order: VecDeque::new(),
            documents: VecDeque::new(),
            document_bytes: 0,
            requests: VecDeque::new(),
            ahead: Duration::ZERO,
            rate,
            tokens: f64::from(rate.unwrap_or(0)),
            tokens_at: Timestamp::now(),
        }
    }

    /// Forget all but the planned faults and the clock.
    pub fn reset(&mut self) {
        let fresh = Self {
            ahead: self.ahead,
            ..Self::new(self.rate)
        };
        let faults = std::mem::take(&mut self.faults);
        *self = fresh;
        self.faults = faults;
    }

    pub fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        now.checked_add(self.ahead).unwrap_or(now)
    }

    pub fn advance(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add(by);
    }

    /// The trouble for this call, if there is some; `body` is what came after decompression.
    pub fn next_fault(&mut self, is_gzip: bool, body: &[u8]) -> Option<Fault> {
        let place = self
            .faults
            .iter()
            .position(|fault| fault.concerns(is_gzip, body))?;
        let planned = &mut self.faults[place];
        let fault = planned.clone();
        match planned.times {
            0 => {}
            1 => drop(self.faults.remove(place)),
            _ => planned.times -= 1,
        }
        Some(fault)
    }

    /// Take `count` documents from the bucket, or say how many seconds to wait. A request larger than
    /// the bucket passes when there is anything in it, and the next ones wait the longer.
    pub fn take_tokens(&mut self, count: usize) -> Option<u64> {
        let rate = f64::from(self.rate?);
        let now = self.now();
        let passed = Duration::try_from(now.duration_since(self.tokens_at)).unwrap_or_default();
        self.tokens = (self.tokens + passed.as_secs_f64() * rate).min(rate);
        self.tokens_at = now;
        if self.tokens <= 0.0 {
            return Some(((-self.tokens / rate).ceil() as u64).max(1));
        }
        self.tokens -= count as f64;
        None
    }

    pub fn saw(&mut self, request: SeenRequest) {
        self.calls += 1;
        if self.requests.len() == REQUESTS_MAX {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    pub fn refused(&mut self) -> u64 {
        self.refused += 1;
        self.refused
    }

    /// Judge one document and remember it.
    pub fn receive(
        &mut self,
        document: Map<String, Value>,
        kind: &str,
        arrival: &Arrival,
    ) -> Entry {
        let now = self.now();
        self.received += 1;
        let text = |name: &str| {
            document
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let message_id = match text("messageId") {
            id if id.is_empty() => format!("assigned-{}", self.received),
            id => id,
        };
        let verdict = arrival
            .verdict
            .or_else(|| verdict::fault_of(&document, kind))
            .or_else(|| {
                self.is_duplicate(&message_id, now)
                    .then_some(verdict::DUPLICATE)
            })
            .unwrap_or(verdict::ACCEPTED);
        *self.counts.entry(verdict).or_default() += 1;
        let next_source = self.sources.len() + 1;
        let source = *self.sources.entry(hash(arrival.key)).or_insert(next_source);
        let entry = Entry {
            received_at: now,
            region: arrival.region,
            source: format!("source-{source}"),
            kind: kind.to_owned(),
            event: if kind == "track" {
                text("event")
            } else {
                text("name")
            },
            user: match text("userId") {
                user if user.is_empty() => text("anonymousId"),
                user => user,
            },
            message_id,
            verdict,
            delivered_timestamp: delivered(now, arrival.sent_at, &text("timestamp")),
            text: Value::Object(document).to_string().into(),
        };
        self.keep(entry.clone());
        entry
    }

    fn is_duplicate(&mut self, id: &str, now: Timestamp) -> bool {
        while let Some((at, old)) = self.ids_in_order.front().copied() {
            let is_over =
                Duration::try_from(now.duration_since(at)).is_ok_and(|age| age >= ID_WINDOW);
            if !is_over && self.ids_in_order.len() < IDS_MAX {
                break;
            }
            self.ids_in_order.pop_front();
            self.ids.remove(&old);
        }
        let id = hash(id);
        if self.ids.contains_key(&id) {
            return true;
        }
        self.ids.insert(id, now);
        self.ids_in_order.push_back((now, id));
        false
    }

    fn keep(&mut self, entry: Entry) {
        self.document_bytes += entry.text.len();
        self.documents.push_back(entry);
        while self.documents.len() > DOCUMENTS_MAX || self.document_bytes > DOCUMENT_BYTES_MAX {
            let Some(oldest) = self.documents.pop_front() else {
                break;
            };
            self.document_bytes -= oldest.text.len();
        }
    }

    pub fn count(&self, verdict: &str) -> u64 {
        self.counts.get(verdict).copied().unwrap_or(0)
    }

    pub fn verdicts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.counts
            .iter()
            .map(|(verdict, count)| (*verdict, *count))
    }

    /// The newest accepted document of this id, else the newest of any verdict.
    pub fn find(&self, message_id: &str) -> Option<&Entry> {
        let mut found = self
            .documents
            .iter()
            .rev()
            .filter(|entry| entry.message_id == message_id);
        let newest = found.next()?;
        if newest.verdict == verdict::ACCEPTED {
            return Some(newest);
        }
        found
            .find(|entry| entry.verdict == verdict::ACCEPTED)
            .or(Some(newest))
    }

    /// Newest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.documents.iter().rev()
    }

    pub fn requests(&self) -> Vec<SeenRequest> {
        self.requests.iter().cloned().collect()
    }

    pub fn summary(&self) -> Value {
        json!({
            "requests": self.calls,
            "refused_requests": self.refused,
            "received": self.received,
            "accepted": self.count(verdict::ACCEPTED),
            "verdicts": self.counts,
            "sources": self.sources.len(),
            "distinct_ids_24h": self.ids.len(),
            "documents_kept": self.documents.len(),
        })
    }
}

/// `receivedAt − (sentAt − timestamp)`.
fn delivered(now: Timestamp, sent_at: Option<Timestamp>, timestamp: &str) -> Option<String> {
    let original: Timestamp = timestamp.parse().ok()?;
    let age = sent_at?.duration_since(original);
    now.checked_sub(age).ok().map(|time| format!("{time:.3}"))
}

fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// 16 bytes are enough to tell ids apart, and shorter than the ids.
fn hash(text: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, text).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    (half(1) << 64) | half(2)
}
