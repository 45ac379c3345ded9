//! A local stand-in for Segment's Tracking API.
//!
//! It answers as the real one does: 200 for nearly everything, and then drops what it does not like.
//! What became of each document is told only on a side channel, the paths under `/_sandbox` (the real
//! one has its Delivery Overview). It also knows trouble, on demand: see [`Fault`].
//!
//! | the request | the answer |
//! | --- | --- |
//! | any JSON, any key of ten characters or more | `200 {"success":true}`, then a verdict for each document |
//! | more than 2,500 documents | 200, those beyond are dropped |
//! | no JSON, more than 500 KB, a document of 32 KB, a key that is missing or very short | 400, the body in changing forms |
//! | above the rate | 429 with Retry-After and X-RateLimit-Reset |
//!
//! It shares no check with the sink, so that a mistake there shows here.

mod connection;
mod fault;
mod server;
mod store;
mod verdict;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_sdk::{Behaviour, BoxFuture, Double, ReceivedDocument};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Region;
pub use fault::{Fault, FaultMode};
use store::Store;
pub use store::{Entry, SeenRequest};

/// The key that [`start`] tells a sink to use: 32 characters, and plainly no real one.
pub const WRITE_KEY: &str = "sandboxsandboxsandboxsandbox0000";

/// How the double is to behave.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the US side listens.
    pub us: SocketAddr,
    /// Where the EU side listens, if it is wanted.
    pub eu: Option<SocketAddr>,
    /// Documents a second before it answers 429; `None` for no limit.
    pub rate: Option<u32>,
    /// Which keys exist and where. Empty: all keys, in both regions.
    pub keys: HashMap<String, Region>,
    /// The status for a key of the other region; `None`: 200 and a drop, as Segment's page says.
    pub wrong_region_status: Option<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            us: SocketAddr::from(([127, 0, 0, 1], 0)),
            eu: None,
            rate: None,
            keys: HashMap::new(),
            wrong_region_status: None,
        }
    }
}

/// A running double. Stops when dropped.
pub struct Sandbox {
    shared: Arc<Shared>,
    us: SocketAddr,
    eu: Option<SocketAddr>,
    _stop: DropGuard,
}

/// What the listeners have in common.
pub(crate) struct Shared {
    options: Options,
    store: Mutex<Store>,
    lines: broadcast::Sender<Entry>,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sandbox {
    /// Open the listeners and serve until the value is dropped.
    ///
    /// # Errors
    /// When an address is not to be had.
    pub async fn start(options: Options) -> io::Result<Self> {
        let us_listener = TcpListener::bind(options.us).await?;
        let eu_listener = match options.eu {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let us = us_listener.local_addr()?;
        let eu = eu_listener
            .as_ref()
            .map(TcpListener::local_addr)
            .transpose()?;
        let (lines, _) = broadcast::channel(4096);
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::new(options.rate)),
            options,
            lines,
        });
        let stop = CancellationToken::new();
        server::serve(us_listener, Region::Us, Arc::clone(&shared), stop.clone());
        if let Some(listener) = eu_listener {
            server::serve(listener, Region::Eu, Arc::clone(&shared), stop.clone());
        }
        Ok(Self {
            shared,
            us,
            eu,
            _stop: stop.drop_guard(),
        })
    }

    /// Base address of the US side.
    pub fn us_url(&self) -> String {
        format!("http://{}", self.us)
    }

    /// Base address of the EU side, where there is one.
    pub fn eu_url(&self) -> Option<String> {
        self.eu.map(|address| format!("http://{address}"))
    }

    /// Have trouble, after the trouble that is planned already.
    pub fn fault(&self, fault: Fault) {
        self.shared.store().faults.push_back(fault);
    }

    /// Move its clock on: ids are forgotten after 24 hours, the rate limit fills up.
    pub fn advance(&self, by: Duration) {
        self.shared.store().advance(by);
    }

    /// Counts, as at `/_sandbox/summary`.
    pub fn summary(&self) -> Value {
        self.shared.store().summary()
    }

    /// How many documents got this verdict.
    pub fn count(&self, verdict: &str) -> u64 {
        self.shared.store().count(verdict)
    }

    /// The last requests (at most eight), oldest first, with their bodies after decompression.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared.store().requests()
    }

    /// Documents as they come.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Entry> {
        self.shared.lines.subscribe()
    }
}

impl Double for Sandbox {
    fn settings(&self) -> Value {
        json!({"region": null, "endpoint": self.us_url(), "write_key": WRITE_KEY})
    }

    fn accepted(&self) -> u64 {
        self.count(verdict::ACCEPTED)
    }

    fn dropped(&self) -> Vec<(String, u64)> {
        let store = self.shared.store();
        store
            .verdicts()
            .filter(|(verdict, _)| *verdict != verdict::ACCEPTED)
            .map(|(verdict, count)| (verdict.to_owned(), count))
            .collect()
    }

    fn document(&self, identity: &str) -> Option<ReceivedDocument> {
        let entry = self.shared.store().find(identity)?.clone();
        Some(ReceivedDocument {
            title: entry.title(),
            body: entry.body(),
        })
    }

    fn sample(&self, n: u64) -> Option<String> {
        let document = json!({
            "type": "track", "userId": format!("user-{n}"), "event": "Email Opened",
            "messageId": format!("sample-{n}"), "timestamp": "2026-09-01T12:00:00.000Z",
            "properties": {"campaign_name": "May sale"}
        });
        Some(document.to_string())
    }

    fn behave(&self, behaviour: Behaviour) -> bool {
        let fault = match behaviour {
            Behaviour::Well => None,
            Behaviour::Unwell => Some(Fault::status(503)),
            Behaviour::Later(after) => Some(Fault {
                retry_after: Some(after.as_secs().into()),
                ..Fault::status(429)
            }),
            Behaviour::RefuseContent => Some(Fault::status(400)),
            Behaviour::RefuseUs => Some(Fault::status(401)),
            Behaviour::Silent => Some(Fault {
                delay_ms: Some(60_000),
                ..Fault::new(FaultMode::Slow)
            }),
            Behaviour::Broken => Some(Fault::new(FaultMode::HalfResponse)),
            _ => return false,
        };
        let mut store = self.shared.store();
        store.faults.clear();
        // For all requests, until it behaves otherwise.
        store
            .faults
            .extend(fault.map(|fault| Fault { times: 0, ..fault }));
        true
    }

    fn requests(&self) -> Option<u64> {
        self.summary()["requests"].as_u64()
    }
}

/// Start one on a free port of the loopback, for `demo` and tests.
pub fn start() -> BoxFuture<'static, io::Result<Box<dyn Double>>> {
    Box::pin(async {
        let sandbox = Sandbox::start(Options::default()).await?;
        Ok(Box::new(sandbox) as Box<dyn Double>)
    })
}
