//! The sink's side: one batch in, one honest answer out.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::document::Document;
use crate::stand_in::BoxFuture;

/// A way out of sluice.
///
/// The engine calls `prepare` once for each document, `deliver` for each attempt at a batch, several
/// at the same time, and drops the future of a call to cancel it; a dropped `deliver` counts as not
/// delivered and is sent again.
///
/// Each call has a time limit: `deliver` its [`Limits::deliver_timeout`], `check` a minute, `prepare`
/// half a minute. A connector whose `prepare` does not come back is held, with the reason in the
/// status. A panic holds its connector until a restart. The others go on in each case, but for one
/// thing: `check` and `deliver` run on threads that all share, so they wait with `.await` and never
/// block.
pub trait Sink: Send + Sync + 'static {
    /// What one request may hold. Asked once.
    fn limits(&self) -> Limits;

    /// Check a document before it is batched, and give back what is to be sent; the place for what
    /// the other side would accept and then silently drop.
    ///
    /// Called one document after another, on a thread that belongs to the connector.
    ///
    /// # Errors
    /// `Rejection` sends the document to the dead letters with its reason.
    fn prepare(&self, document: Bytes) -> Result<Bytes, Rejection> {
        Ok(document)
    }

    /// Are we let in? Called at the start and to leave a hold. Sends no documents.
    fn check(&self) -> impl Future<Output = Result<(), CheckError>> + Send {
        async { Ok(()) }
    }

    /// Send one batch, once. No retry, no sleep: say what happened.
    fn deliver(&self, batch: &Batch) -> impl Future<Output = Delivery> + Send;
}

/// Limits of one request, counted on uncompressed bytes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest document, in bytes.
    pub document_bytes_max: usize,
    /// Longest request, in bytes, envelope included.
    pub batch_bytes_max: usize,
    /// Most documents in a request.
    pub batch_documents_max: usize,
    /// Bytes of the request that are not documents, and of what stands around each document.
    pub envelope_bytes: usize,
    /// Requests at the same time that the sink stands well.
    pub concurrency: usize,
    /// How long one `deliver` may take before the engine gives up on it and counts a retry.
    pub deliver_timeout: Duration,
    /// How long the sink itself recognises a document that comes twice, where it does.
    pub deduplicates_for: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes_max: 1 << 20,
            batch_bytes_max: 4 << 20,
            batch_documents_max: 500,
            envelope_bytes: 2,
            concurrency: 4,
            deliver_timeout: Duration::from_secs(60),
            deduplicates_for: None,
        }
    }
}

/// Documents of one request.
#[derive(Debug, Clone)]
pub struct Batch {
    /// At least one; within the sink's [`Limits`].
    pub documents: Vec<Document>,
    /// 0 at the first try of these documents, then 1, 2, …
    pub attempt: u32,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The same for every document.
    All(Outcome),
    /// One outcome for each document, in order. A list of another length counts as a retry and is reported.
    Each(Vec<Outcome>),
    /// The request was refused for its content, without telling which document: the engine splits it.
    BatchRejected {
        /// What the sink answered, shortened, without personal data.
        reason: String,
    },
}

/// What became of one document. Nothing else can become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The sink has it.
    Delivered,
    /// It can never go; the reason travels to the dead letters.
    Rejected {
        /// What the sink answered.
        reason: String,
    },
    /// The sink is unwell. Tried again, not before `after`.
    Retry {
        /// What happened.
        reason: String,
        /// The sink's own wish (Retry-After).
        after: Option<Duration>,
    },
    /// A person must act (bad key). Nothing is dropped; `check` is tried until it passes.
    Hold {
        /// What happened and what to do.
        reason: String,
    },
}

/// Why a document cannot go, found before it travels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Rejection {
    /// Short and stable, counted by: `too-large`, `no-user`, …
    pub code: &'static str,
    /// What was found and expected; no personal values.
    pub detail: String,
}

/// Why `check` did not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A person must act.
    #[error("{0}")]
    Refused(String),
    /// Not reachable at the moment.
    #[error("{0}")]
    Unreachable(String),
}

/// [`Sink`] in the form that a registry can hold; implemented for every `Sink`.
pub trait DynSink: Send + Sync {
    /// See [`Sink::limits`].
    fn limits(&self) -> Limits;
    /// See [`Sink::prepare`].
    ///
    /// # Errors
    /// See there.
    fn prepare(&self, document: Bytes) -> Result<Bytes, Rejection>;
    /// See [`Sink::check`].
    fn check(&self) -> BoxFuture<'_, Result<(), CheckError>>;
    /// See [`Sink::deliver`].
    fn deliver<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Delivery>;
}

impl<T: Sink> DynSink for T {
    fn limits(&self) -> Limits {
        Sink::limits(self)
    }

    fn prepare(&self, document: Bytes) -> Result<Bytes, Rejection> {
        Sink::prepare(self, document)
    }

    fn check(&self) -> BoxFuture<'_, Result<(), CheckError>> {
        Box::pin(Sink::check(self))
    }

    fn deliver<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Delivery> {
        Box::pin(Sink::deliver(self, batch))
    }
}
