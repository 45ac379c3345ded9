//! Stand-ins for the systems on both sides of a plugin: for `demo`, for tests, for the conformance
//! kit. They live in the plugin's crate, as only its author knows how the real system behaves.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use serde_json::Value;

use crate::sink::DynSink;
use crate::source::DynSource;

/// A future in a box, as object-safe traits need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Opens a way to send events to a running source. The arguments are what the source gave to
/// [`Intake::ready`](crate::Intake::ready) and the source's settings.
pub type Feed = fn(endpoint: String, settings: Value) -> Box<dyn Feeder>;

/// Sends events to a source as its upstream would.
pub trait Feeder: Send + Sync {
    /// Send these events (JSON texts) as one request. `Ok` when the source has acknowledged them,
    /// and for a source that acknowledges nothing, when they lie where it reads.
    fn send(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), String>>;
}

/// Starts an [`Upstream`].
pub type StartUpstream = fn() -> BoxFuture<'static, io::Result<Box<dyn Upstream>>>;

/// How events come to a source, and how it acknowledges them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flow {
    /// The upstream sends a request and is answered when its events are safe: HTTP, a socket, a queue.
    Answered,
    /// The source reads what lies there, such as a file, and nobody is answered. What was not taken
    /// lies there still after a crash, and comes again.
    Read,
    /// The source reads what passes once, such as standard input; nobody is answered, and nothing
    /// that was read before a crash can come again.
    Stream,
    /// The source makes its events itself.
    Made,
}

/// What stands before a source in tests. The conformance kit drives a source by it.
pub trait Upstream: Send + Sync {
    /// Settings that lead the source to this upstream; laid over the example of the plugin. A
    /// listener takes port 0.
    fn settings(&self) -> Value;

    /// How events come.
    fn flow(&self) -> Flow;

    /// Event number `n` as this upstream sends it, one JSON object on one line; each `n` has an id
    /// of its own. Not asked of [`Flow::Made`].
    fn event(&self, n: u64) -> String;

    /// Sends events to the source that said `ready(endpoint)`. Not asked of [`Flow::Made`].
    fn feeder(&self, endpoint: String) -> Box<dyn Feeder>;

    /// The source itself, where it cannot be led here by settings because its upstream belongs to
    /// the process, such as standard input. `None`: it is built from the settings.
    fn wired(&self) -> Option<Box<dyn DynSource>> {
        None
    }
}

/// Starts a double on a free port of the loopback, or in a temporary folder.
pub type StartDouble = fn() -> BoxFuture<'static, io::Result<Box<dyn Double>>>;

/// A running stand-in for the system behind a sink.
pub trait Double: Send + Sync {
    /// Settings that lead a sink to it; laid over the sink's section of the config.
    fn settings(&self) -> Value;

    /// Distinct documents it took as valid so far.
    fn accepted(&self) -> u64;

    /// Documents that it, like the real system, would have dropped after saying yes, by reason.
    /// None, for a system that keeps what it says yes to.
    fn dropped(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    /// The document with this identity, if it came; none, where documents have no identity.
    fn document(&self, identity: &str) -> Option<ReceivedDocument> {
        let _ = identity;
        None
    }

    /// Document number `n` as a rule would make it for this sink, one that it takes; each `n` with
    /// an identity of its own. The conformance kit cannot do without; `demo` can.
    fn sample(&self, n: u64) -> Option<String> {
        let _ = n;
        None
    }

    /// Behave like this from now on. `false` when it cannot: the kit then leaves that out and says so.
    fn behave(&self, behaviour: Behaviour) -> bool {
        let _ = behaviour;
        false
    }

    /// Requests that reached it so far, refused ones too; `None` when it does not count them.
    fn requests(&self) -> Option<u64> {
        None
    }

    /// The sink itself, where it cannot be led here by settings because its other side belongs to
    /// the process, such as standard output. `None`: it is built from the settings.
    fn wired(&self) -> Option<Box<dyn DynSink>> {
        None
    }
}

/// How a [`Double`] is to behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behaviour {
    /// As usual: takes what is right.
    Well,
    /// It is there, but cannot take anything at the moment (HTTP 503, a full disk).
    Unwell,
    /// As [`Behaviour::Unwell`], and it says after what time to come again (HTTP 429 with Retry-After).
    Later(Duration),
    /// It refuses what the request holds (HTTP 400).
    RefuseContent,
    /// It lets us not in: a wrong key, no right (HTTP 401). A person must act.
    RefuseUs,
    /// It takes the request and never answers.
    Silent,
    /// It breaks off, or answers what nobody understands.
    Broken,
}

/// One document as the double got it.
#[derive(Debug, Clone)]
pub struct ReceivedDocument {
    /// For people, such as `track · Email Opened`.
    pub title: String,
    /// The whole.
    pub body: Value,
}
