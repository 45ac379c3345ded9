//! The source on a free port, with a double of the engine behind it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::Client;
use serde_json::{Value, json};
use sluice_braze as _;
use sluice_sdk::{
    BoxFuture, Intake, IntakeBackend, IntakeError, SourceError, SourcePlugin, Stop, Submission,
};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Keeps what was accepted; answers what the test wants.
pub struct Double {
    taken: Mutex<Vec<Submission>>,
    pub notes: Mutex<Vec<&'static str>>,
    endpoint: Mutex<Option<String>>,
    pub answer: Mutex<Result<(), IntakeError>>,
    /// `accept` waits for one of these.
    pub open: Semaphore,
    /// How many do.
    waiting: AtomicUsize,
}

impl IntakeBackend for Double {
    fn accept(&self, submission: Submission) -> BoxFuture<'_, Result<(), IntakeError>> {
        Box::pin(async move {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let _open = self.open.acquire().await.unwrap();
            self.answer.lock().unwrap().clone()?;
            self.taken.lock().unwrap().push(submission);
            Ok(())
        })
    }
    fn ready(&self, endpoint: &str) {
        *self.endpoint.lock().unwrap() = Some(endpoint.to_owned());
    }
    fn note(&self, what: &'static str) {
        self.notes.lock().unwrap().push(what);
    }
}

/// The running source.
pub struct Running {
    pub double: Arc<Double>,
    pub stop: Stop,
    pub task: JoinHandle<Result<(), SourceError>>,
    pub url: String,
}

pub fn plugin() -> &'static SourcePlugin {
    sluice_sdk::sources()
        .into_iter()
        .find(|plugin| plugin.name == "braze_webhook")
        .unwrap()
}

pub async fn start(mut settings: Value) -> Running {
    settings["listen"] = json!("127.0.0.1:0");
    let double = Arc::new(Double {
        taken: Mutex::default(),
        notes: Mutex::default(),
        endpoint: Mutex::default(),
        answer: Mutex::new(Ok(())),
        open: Semaphore::new(100),
        waiting: AtomicUsize::new(0),
    });
    let stop = Stop::default();
    let source = (plugin().build)(settings).unwrap();
    let intake = Intake::new(Arc::clone(&double) as Arc<dyn IntakeBackend>);
    let task = tokio::spawn(source.run(intake, stop.clone()));
    let url = loop {
        if let Some(url) = double.endpoint.lock().unwrap().clone() {
            break url;
        }
        assert!(!task.is_finished(), "the source did not start");
        tokio::task::yield_now().await;
    };
    Running {
        double,
        stop,
        task,
        url,
    }
}

impl Running {
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, String) {
        self.send(|request| request.bearer_auth("good").body(body))
            .await
    }

    pub async fn send(
        &self,
        with: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> (u16, String) {
        let answer = with(Client::new().post(&self.url)).send().await.unwrap();
        let status = answer.status().as_u16();
        if status == 503 {
            assert!(answer.headers().contains_key("retry-after"));
        }
        (status, answer.text().await.unwrap())
    }

    /// Ids of the events and reasons of what was set aside, since the last call.
    pub fn taken(&self) -> (Vec<String>, Vec<String>) {
        let (mut ids, mut reasons) = (vec![], vec![]);
        for submission in self.double.taken.lock().unwrap().drain(..) {
            for event in &submission.events {
                let slice = &submission.body[event.start as usize..event.end as usize];
                let value: Value = serde_json::from_slice(slice).unwrap();
                assert_eq!(value["event_type"], event.event_type.as_str());
                ids.push(event.id.clone());
            }
            reasons.extend(submission.malformed.into_iter().map(|mark| mark.reason));
        }
        (ids, reasons)
    }

    pub fn notes(&self) -> Vec<&'static str> {
        self.double.notes.lock().unwrap().clone()
    }

    /// From now on requests wait for their answer.
    pub fn hold_answers(&self) {
        let free = self.double.open.available_permits();
        self.double.open.forget_permits(free);
    }

    pub fn let_answers_go(&self) {
        self.double.open.add_permits(100);
    }

    /// Until so many requests wait for their answer.
    pub async fn waits_for(&self, requests: usize) {
        while self.double.waiting.load(Ordering::SeqCst) < requests {
            tokio::task::yield_now().await;
        }
    }

    pub async fn end(self) {
        self.stop.request();
        self.task.await.unwrap().unwrap();
    }
}

pub fn event(id: &str) -> String {
    format!(r#"{{"event_type":"users.messages.email.Open","id":"{id}","time":1788264000}}"#)
}

pub fn batch(ids: &[&str]) -> String {
    let events: Vec<String> = ids.iter().map(|id| event(id)).collect();
    format!(r#"{{"events":[{}]}}"#, events.join(","))
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
