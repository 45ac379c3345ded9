//! The sink's side: one batch in, one honest answer out.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::document::Document;
use crate::stand_in::BoxFuture;

/// A way out of sluice.
///
/// Built from its settings at the start, and anew by a reload that changes its connector. The engine
/// calls `prepare` once for each document before its first attempt, `deliver` for each attempt at a batch, several
/// at the same time, and drops the future of a call to cancel it; a dropped `deliver` counts as not
/// delivered and is sent again.
///
/// Each call has a time limit: `deliver` its [`Limits::deliver_timeout`], `check` a minute, `prepare`
/// half a minute. A connector whose `prepare` does not come back is held, with the reason in the
/// status. A panic holds its connector until a restart. The others go on in each case, but for one
/// thing: `check` and `deliver` run on threads that all share, so they wait with `.await` and never
/// block.
///
/// ```
/// use std::time::Duration;
/// use sluice_sdk::{Batch, Bytes, CheckError, Delivery, Limits, Outcome, Rejection, Sink};
///
/// /// The other side, as this example sees it: answers a status for a request.
/// struct Api(fn(&[u8]) -> u16);
///
/// impl Sink for Api {
///     fn limits(&self) -> Limits {
///         Limits {
///             document_bytes_max: 32_000,
///             batch_documents_max: 100,
///             ..Limits::default()
///         }
///     }
///
///     fn prepare(&self, document: Bytes) -> Result<Bytes, Rejection> {
///         // It would take this and forget it.
///         if document.as_ref() == b"{}" {
///             let detail = "expected an object with members".to_owned();
///             return Err(Rejection { code: "empty", detail });
///         }
///         Ok(document)
///     }
///
///     async fn check(&self) -> Result<(), CheckError> {
///         match (self.0)(b"") {
///             401 => Err(CheckError::Refused("the key is refused; look at `key`".to_owned())),
///             500.. => Err(CheckError::Unreachable("it is unwell".to_owned())),
///             _ => Ok(()),
///         }
///     }
///
///     async fn deliver(&self, batch: &Batch) -> Delivery {
///         let lines: Vec<&[u8]> = batch.documents.iter().map(|it| it.body.as_ref()).collect();
///         let status = (self.0)(&lines.join(&b'\n'));
///         let reason = format!("it answered {status}");
///         match status {
///             200 => Delivery::All(Outcome::Delivered),
///             400 | 413 | 422 => Delivery::BatchRejected { reason },
///             429 => Delivery::All(Outcome::Retry { reason, after: Some(Duration::from_secs(5)) }),
///             408 | 500.. => Delivery::All(Outcome::Retry { reason, after: None }),
///             _ => Delivery::All(Outcome::Hold { reason: format!("{reason}; look at `key`") }),
///         }
///     }
/// }
/// # use sluice_sdk::Document;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let document = Document { event_id: "1".into(), event_type: "a".into(), body: "{\"n\":1}".into() };
/// # let batch = Batch { documents: vec![document.clone(), document], attempt: 0 };
/// # let api = Api(|body| if body == b"{\"n\":1}\n{\"n\":1}" { 200 } else { 401 });
/// # assert_eq!(api.deliver(&batch).await, Delivery::All(Outcome::Delivered));
/// # assert!(matches!(api.check().await, Err(CheckError::Refused(_))));
/// # assert_eq!(api.prepare("{}".into()).unwrap_err().code, "empty");
/// # }
/// ```
pub trait Sink: Send + Sync + 'static {
    /// What one request may hold. Asked once, before anything else.
    fn limits(&self) -> Limits;

    /// Check a document before it is batched, and give back what is to be sent; the place for what
    /// the other side would accept and then silently drop.
    ///
    /// Called one document after another, on a thread that belongs to the connector, and again for
    /// the same document after a restart: the same document must give the same answer. What comes
    /// back counts for the [`Limits`].
    ///
    /// # Errors
    /// `Rejection` sends the document to the dead letters with its reason.
    fn prepare(&self, document: Bytes) -> Result<Bytes, Rejection> {
        Ok(document)
    }

    /// Are we let in? Called at the start and to leave a hold, one call at a time. Sends no documents.
    /// The default says yes: then a held connector goes on with its next try.
    ///
    /// # Errors
    /// At the start [`CheckError::Refused`] holds the connector, [`CheckError::Unreachable`] does not.
    /// A held connector stays so by both, and is tried again after longer and longer pauses.
    fn check(&self) -> impl Future<Output = Result<(), CheckError>> + Send {
        async { Ok(()) }
    }

    /// Send one batch, once. No retry, no sleep: say what happened.
    ///
    /// Called for at most [`Limits::concurrency`] batches at the same time. When its future is dropped
    /// (a stop, the time limit), the batch counts as not delivered and comes again, though the other
    /// side may have it.
    fn deliver(&self, batch: &Batch) -> impl Future<Output = Delivery> + Send;
}

/// Limits of one request, counted on uncompressed bytes. Write `..Limits::default()` at the end, as
/// limits may be added.
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

/// What became of a batch. A case here would change what the engine does with data: the enum is
/// complete, as is [`Outcome`].
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

mod sealed {
    pub trait Sealed {}
    impl<T: super::Sink> Sealed for T {}
}

/// [`Sink`] in the form that a registry can hold; implemented for every `Sink`, and by nobody else.
pub trait DynSink: sealed::Sealed + Send + Sync {
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
