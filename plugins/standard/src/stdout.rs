//! The sink `stdout`: one JSON document a line.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_sdk::{
    Batch, Behaviour, BoxFuture, ConfigError, Delivery, Double, DynSink, Limits, Outcome, Sink,
};

/// Writes one JSON document a line to standard output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdoutConfig {}

/// See [`StdoutConfig`].
pub struct Stdout(Arc<Mutex<dyn Write + Send>>);

impl Stdout {
    /// Nothing to check.
    ///
    /// # Errors
    /// None.
    pub fn new(_: StdoutConfig) -> Result<Self, ConfigError> {
        Ok(Self(Arc::new(Mutex::new(io::stdout()))))
    }
}

impl Sink for Stdout {
    fn limits(&self) -> Limits {
        one_at_a_time()
    }

    async fn deliver(&self, batch: &Batch) -> Delivery {
        let (text, out) = (lines(batch), Arc::clone(&self.0));
        let written = tokio::task::spawn_blocking(move || {
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            out.write_all(&text).and_then(|()| out.flush())
        });
        let written = written
            .await
            .unwrap_or_else(|_| Err(io::Error::other("the writer ended")));
        Delivery::All(match written {
            Ok(()) => Outcome::Delivered,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Outcome::Hold {
                reason: "nobody reads standard output any more; start the reading program again, and sluice with it".to_owned(),
            },
            Err(error) => Outcome::Retry {
                reason: format!("standard output cannot be written: {error}"),
                after: None,
            },
        })
    }
}

/// For sinks that write to one place: a batch has its end before the next one begins.
pub fn one_at_a_time() -> Limits {
    Limits {
        document_bytes_max: 15 << 20,
        batch_bytes_max: 16 << 20,
        concurrency: 1,
        ..Limits::default()
    }
}

/// The documents, each with a newline; within the documents there is none, as they are compact JSON.
pub fn lines(batch: &Batch) -> Vec<u8> {
    let mut text = Vec::new();
    for document in &batch.documents {
        text.extend_from_slice(&document.body);
        text.push(b'\n');
    }
    text
}

/// Counts lines instead of writing them, for the conformance kit.
#[derive(Clone, Default)]
struct Counter {
    lines: Arc<AtomicU64>,
    is_well: Arc<Mutex<bool>>,
}

fn double() -> BoxFuture<'static, io::Result<Box<dyn Double>>> {
    Box::pin(async {
        let counter = Counter::default();
        *counter
            .is_well
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        Ok(Box::new(counter) as Box<dyn Double>)
    })
}

impl Write for Counter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if !*self.is_well.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        self.lines.fetch_add(lines as u64, Ordering::Relaxed);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Double for Counter {
    fn settings(&self) -> Value {
        json!({})
    }

    fn accepted(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    fn sample(&self, n: u64) -> Option<String> {
        Some(json!({"n": n}).to_string())
    }

    fn behave(&self, behaviour: Behaviour) -> bool {
        let is_well = match behaviour {
            Behaviour::Well => true,
            Behaviour::Unwell => false,
            _ => return false,
        };
        *self.is_well.lock().unwrap_or_else(PoisonError::into_inner) = is_well;
        true
    }

    fn wired(&self) -> Option<Box<dyn DynSink>> {
        Some(Box::new(Stdout(Arc::new(Mutex::new(self.clone())))))
    }
}

sluice_sdk::register_sink!(
    "stdout",
    StdoutConfig => Stdout::new,
    summary: "One JSON document a line on standard output.",
    example: "{}\n",
    test_double: double,
);
