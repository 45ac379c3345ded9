//! An intake that takes, waits or refuses as told, and remembers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::event::Submission;
use crate::source::{Intake, IntakeBackend, IntakeError};
use crate::stand_in::BoxFuture;

/// What a source is told to wait while there is no room.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// What `accept` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Take,
    /// Neither yes nor no until told otherwise.
    Wait,
    Full,
    Io,
    Stopping,
}

/// What was handed over.
#[derive(Default)]
pub struct Recorded {
    pub taken: Vec<Submission>,
    pub asked: u64,
    pub endpoint: Option<String>,
    pub position: Option<Bytes>,
}

pub struct Recorder {
    recorded: Mutex<Recorded>,
    answer: Mutex<Answer>,
    changed: Notify,
}

impl Recorder {
    pub fn new(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            recorded: Mutex::default(),
            answer: Mutex::new(answer),
            changed: Notify::new(),
        })
    }

    pub fn intake(self: &Arc<Self>) -> Intake {
        Intake::new(Arc::clone(self) as Arc<dyn IntakeBackend>)
    }

    pub fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        self.changed.notify_waiters();
    }

    /// The texts of all events taken so far.
    pub fn events(&self) -> Vec<Bytes> {
        let recorded = self.recorded();
        let submissions = recorded.taken.iter();
        submissions
            .flat_map(|it| {
                it.events
                    .iter()
                    .map(|mark| slice(&it.body, mark.start, mark.end))
            })
            .collect()
    }

    async fn take(&self, submission: Submission) -> Result<(), IntakeError> {
        self.recorded().asked += 1;
        loop {
            let changed = self.changed.notified();
            let answer = *self.answer.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Answer::Take => {
                    self.recorded().taken.push(submission);
                    return Ok(());
                }
                Answer::Wait => changed.await,
                Answer::Full => {
                    return Err(IntakeError::Full {
                        retry_after: RETRY_AFTER,
                    });
                }
                Answer::Io => return Err(IntakeError::Io("no space left".to_owned())),
                Answer::Stopping => return Err(IntakeError::Stopping),
            }
        }
    }
}

/// The bytes of a mark; nothing where it points outside of the body.
pub fn slice(body: &Bytes, start: u32, end: u32) -> Bytes {
    let (start, end) = (start as usize, end as usize);
    if start <= end && end <= body.len() {
        body.slice(start..end)
    } else {
        Bytes::new()
    }
}

impl IntakeBackend for Recorder {
    fn accept(&self, submission: Submission) -> BoxFuture<'_, Result<(), IntakeError>> {
        Box::pin(self.take(submission))
    }

    fn ready(&self, endpoint: &str) {
        self.recorded().endpoint = Some(endpoint.to_owned());
    }

    fn note(&self, _: &'static str) {}

    fn load(&self) -> BoxFuture<'_, Result<Option<Bytes>, IntakeError>> {
        Box::pin(async { Ok(self.recorded().position.clone()) })
    }

    fn save(&self, position: Bytes) -> BoxFuture<'_, Result<(), IntakeError>> {
        self.recorded().position = Some(position);
        Box::pin(async { Ok(()) })
    }
}
