//! What stands behind a source in these tests, instead of the engine.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sluice_sdk::{BoxFuture, Bytes, IntakeBackend, IntakeError, Submission};

/// What was taken and noted, and the position, which outlives a run.
#[derive(Default)]
pub struct Kept {
    pub ids: Vec<String>,
    pub aside: Vec<(String, String)>,
    pub position: Option<Bytes>,
    /// How often a position was kept.
    pub saves: u32,
    pub is_full: bool,
    pub notes: Vec<&'static str>,
    pub endpoint: Option<String>,
}

#[derive(Clone, Default)]
pub struct Journal(pub Arc<Mutex<Kept>>);

impl IntakeBackend for Journal {
    fn accept(&self, submission: Submission) -> BoxFuture<'_, Result<(), IntakeError>> {
        let mut kept = self.0.lock().unwrap();
        if kept.is_full {
            let retry_after = Duration::from_millis(10);
            return Box::pin(async move { Err(IntakeError::Full { retry_after }) });
        }
        let text = |start, end| {
            let slice = submission.body.slice(start as usize..end as usize);
            String::from_utf8_lossy(&slice).into_owned()
        };
        for mark in &submission.events {
            let event: Value = serde_json::from_str(&text(mark.start, mark.end)).unwrap();
            assert_eq!(event["id"], mark.id.as_str());
            kept.ids.push(mark.id.clone());
        }
        let marks = submission.malformed.iter();
        kept.aside
            .extend(marks.map(|it| (it.reason.clone(), text(it.start, it.end))));
        Box::pin(async { Ok(()) })
    }

    fn ready(&self, endpoint: &str) {
        self.0.lock().unwrap().endpoint = Some(endpoint.to_owned());
    }

    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().notes.push(what);
    }

    fn load(&self) -> BoxFuture<'_, Result<Option<Bytes>, IntakeError>> {
        let position = self.0.lock().unwrap().position.clone();
        Box::pin(async { Ok(position) })
    }

    fn save(&self, position: Bytes) -> BoxFuture<'_, Result<(), IntakeError>> {
        let mut kept = self.0.lock().unwrap();
        kept.position = Some(position);
        kept.saves += 1;
        Box::pin(async { Ok(()) })
    }
}
