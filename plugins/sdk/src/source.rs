//! The source's side: hand over, wait until it is safe, only then acknowledge upstream.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::event::Submission;
use crate::stand_in::BoxFuture;

/// A way into sluice.
///
/// Built from its settings at the start of the process and `run` once: a reload does not touch it. It
/// has a task of its own beside the other sources; inside of it, it may take several things at the
/// same time and call [`Intake::accept`] for each.
///
/// ```
/// use sluice_sdk::{EventMark, Intake, Source, SourceError, Stop, Submission};
/// use tokio::sync::{mpsc, oneshot};
///
/// /// A text that somebody brought, and where he waits for the word that it is safe.
/// struct Letter {
///     text: String,
///     answer: oneshot::Sender<bool>,
/// }
///
/// struct Mailbox(mpsc::Receiver<Letter>);
///
/// impl Source for Mailbox {
///     async fn run(mut self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
///         intake.ready("mailbox");
///         loop {
///             let letter = tokio::select! {
///                 () = stop.requested() => return Ok(()),
///                 letter = self.0.recv() => letter,
///             };
///             let Some(Letter { text, answer }) = letter else {
///                 return Ok(()); // The upstream has ended.
///             };
///             let event: sluice_sdk::serde_json::Value =
///                 text.parse().map_err(|_| SourceError("no JSON in the mailbox".to_owned()))?;
///             let mark = EventMark {
///                 start: 0,
///                 end: text.len() as u32,
///                 event_type: "letter".to_owned(),
///                 id: event["id"].to_string(),
///                 time_ms: None,
///             };
///             let submission = Submission {
///                 body: text.into(),
///                 events: vec![mark],
///                 malformed: vec![],
///             };
///             // Acknowledged only when it is safe; otherwise he comes again.
///             let _ = answer.send(intake.accept(submission).await.is_ok());
///         }
///     }
/// }
/// # use sluice_sdk::{BoxFuture, IntakeBackend, IntakeError};
/// # struct Taken(std::sync::Mutex<Vec<String>>);
/// # impl IntakeBackend for Taken {
/// #     fn accept(&self, submission: Submission) -> BoxFuture<'_, Result<(), IntakeError>> {
/// #         self.0.lock().unwrap().extend(submission.events.into_iter().map(|it| it.id));
/// #         Box::pin(async { Ok(()) })
/// #     }
/// #     fn ready(&self, _: &str) {}
/// #     fn note(&self, _: &'static str) {}
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let taken = std::sync::Arc::new(Taken(Default::default()));
/// # let (bring, box_) = mpsc::channel(1);
/// # let run = Source::run(Box::new(Mailbox(box_)), Intake::new(taken.clone()), Stop::default());
/// # let run = tokio::spawn(run);
/// # let (answer, safe) = oneshot::channel();
/// # bring.send(Letter { text: r#"{"id":7}"#.to_owned(), answer }).await.ok().unwrap();
/// # assert!(safe.await.unwrap());
/// # drop(bring);
/// # run.await.unwrap().unwrap();
/// # assert_eq!(*taken.0.lock().unwrap(), ["7"]);
/// # }
/// ```
pub trait Source: Send + 'static {
    /// Take events from upstream and give them to `intake` until `stop` is called.
    ///
    /// Returns `Ok` when stopped cleanly, or when the upstream has ended (a file read to its end).
    /// After `stop` requests under way are finished, new ones are refused. A source that has not
    /// returned a minute later is left behind: the process ends, and what was not acknowledged is the
    /// upstream's to send again. The future may be dropped at any await: then what was accepted is
    /// safe, and what was not acknowledged comes again. It waits with `.await` and never blocks, as
    /// it shares its threads with all others. A panic counts as an error of the source.
    ///
    /// # Errors
    /// What keeps it from going on for good, such as a taken port or a file that may not be read, with
    /// what to do. A connection that breaks is no reason to return.
    fn run(
        self: Box<Self>,
        intake: Intake,
        stop: Stop,
    ) -> impl Future<Output = Result<(), SourceError>> + Send;
}

/// Why a source cannot go on; the process says so and ends with an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// Tells a source to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// Returns when it is time to stop; at once if it was before.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Whether it is time to stop.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Ask to stop. The engine's call.
    pub fn request(&self) {
        self.0.cancel();
    }
}

/// Where a source hands over its events. Cheap to clone.
#[derive(Clone)]
pub struct Intake(Arc<dyn IntakeBackend>);

/// Why events were not taken. None of these is the upstream's fault: let it send again, for reasons
/// that you do not know too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    /// No room. Push back (HTTP 503 with Retry-After).
    #[error("no room in the journal")]
    Full {
        /// A good time to come again.
        retry_after: Duration,
    },
    /// The process is about to end.
    #[error("stopping")]
    Stopping,
    /// The disk refuses.
    #[error("{0}")]
    Io(String),
}

impl Intake {
    /// For the engine and for tests.
    pub fn new(backend: Arc<dyn IntakeBackend>) -> Self {
        Self(backend)
    }

    /// Hand over one body. Returns when its events are on disk; acknowledge upstream only then.
    ///
    /// May be called for several bodies at the same time, which then share a write to the disk. The
    /// events of one call keep their order; of two calls at the same time either may be first. All
    /// events of a body are taken or none. It waits for the disk only, and answers
    /// [`IntakeError::Full`] at once when there is no room.
    ///
    /// Dropping the future may leave the events written: a source that does not see `Ok` lets its
    /// upstream send them again.
    ///
    /// # Errors
    /// See [`IntakeError`].
    pub async fn accept(&self, submission: Submission) -> Result<(), IntakeError> {
        self.0.accept(submission).await
    }

    /// Say that the source is up, and where its upstream finds it (an address, a path). Once, as soon
    /// as events can come.
    pub fn ready(&self, endpoint: &str) {
        self.0.ready(endpoint);
    }

    /// Count something that the operator should see and that holds no events, such as a request
    /// with a wrong token. `what` is short and stable.
    pub fn note(&self, what: &'static str) {
        self.0.note(what);
    }

    /// What this source gave to [`Intake::save`] last, also in an earlier run. `None` at the first
    /// start, and where nothing is kept.
    ///
    /// # Errors
    /// `Io` when the state cannot be read.
    pub async fn load(&self) -> Result<Option<Bytes>, IntakeError> {
        self.0.load().await
    }

    /// Keep a position for the next start, such as how far a file was read; the format is the
    /// source's own, a few kilobytes at most. Call it **after** `accept` returned for everything
    /// before that position, never earlier: what lies before it is not read again.
    ///
    /// It survives the end of the process at any moment. After a power cut an older one may come
    /// back; then some events come twice, and their ids recognise them.
    ///
    /// # Errors
    /// `Io` when it cannot be kept. Go on: the position of the next call takes its place.
    pub async fn save(&self, position: Bytes) -> Result<(), IntakeError> {
        self.0.save(position).await
    }
}

/// What stands behind an [`Intake`]: the engine, or a double in a test. A plugin only calls `Intake`.
pub trait IntakeBackend: Send + Sync {
    /// See [`Intake::accept`].
    fn accept(&self, submission: Submission) -> BoxFuture<'_, Result<(), IntakeError>>;
    /// See [`Intake::ready`].
    fn ready(&self, endpoint: &str);
    /// See [`Intake::note`].
    fn note(&self, what: &'static str);

    /// See [`Intake::load`].
    fn load(&self) -> BoxFuture<'_, Result<Option<Bytes>, IntakeError>> {
        Box::pin(async { Ok(None) })
    }

    /// See [`Intake::save`].
    fn save(&self, position: Bytes) -> BoxFuture<'_, Result<(), IntakeError>> {
        let _ = position;
        Box::pin(async { Err(IntakeError::Io("this intake keeps no position".to_owned())) })
    }
}

mod sealed {
    pub trait Sealed {}
    impl<T: super::Source> Sealed for T {}
}

/// [`Source`] in the form that a registry can hold; implemented for every `Source`, and by nobody else.
pub trait DynSource: sealed::Sealed + Send {
    /// See [`Source::run`].
    fn run(
        self: Box<Self>,
        intake: Intake,
        stop: Stop,
    ) -> BoxFuture<'static, Result<(), SourceError>>;
}

impl<T: Source> DynSource for T {
    fn run(
        self: Box<Self>,
        intake: Intake,
        stop: Stop,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(Source::run(self, intake, stop))
    }
}
