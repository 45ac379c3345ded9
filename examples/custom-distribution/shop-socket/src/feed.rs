//! Send events as the shop would; for `demo` and tests.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_sdk::{BoxFuture, Feeder, Flow, Upstream};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Longest wait for the answers to one group of events.
const PATIENCE: Duration = Duration::from_secs(30);

struct Shop {
    path: String,
}

/// A feeder for the source at the socket `path`.
pub fn feed(path: String, _settings: Value) -> Box<dyn Feeder> {
    Box::new(Shop { path })
}

impl Feeder for Shop {
    fn send(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            tokio::time::timeout(PATIENCE, send(&self.path, &events))
                .await
                .map_err(|_| format!("no answer in {} s", PATIENCE.as_secs()))?
        })
    }
}

/// The shop for the conformance kit, with a socket of its own.
pub fn upstream() -> BoxFuture<'static, io::Result<Box<dyn Upstream>>> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("shop-{}-{number}.sock", std::process::id());
    let path = std::env::temp_dir().join(name).display().to_string();
    Box::pin(async { Ok(Box::new(Shop { path }) as Box<dyn Upstream>) })
}

impl Upstream for Shop {
    fn settings(&self) -> Value {
        json!({"path": self.path})
    }

    fn flow(&self) -> Flow {
        Flow::Answered
    }

    fn event(&self, n: u64) -> String {
        crate::catalogue().events[0].synthesize(1, n).to_string()
    }

    fn feeder(&self, endpoint: String) -> Box<dyn Feeder> {
        feed(endpoint, self.settings())
    }
}

async fn send(path: &str, events: &[String]) -> Result<(), String> {
    let say = |problem: std::io::Error| format!("{path}: {problem}");
    let mut stream = UnixStream::connect(path).await.map_err(say)?;
    let (read, mut write) = stream.split();
    let body: String = events.iter().map(|event| format!("{event}\n")).collect();
    let write = async { write.write_all(body.as_bytes()).await.map_err(say) };
    let read = async {
        let mut answers = BufReader::new(read).lines();
        for n in 1..=events.len() {
            let answer = answers.next_line().await.map_err(say)?;
            let answer =
                answer.ok_or_else(|| format!("{path}: the connection ended before answer {n}"))?;
            if answer != format!("ok {n}") {
                return Err(format!("answered `{answer}`"));
            }
        }
        Ok(())
    };
    // Both at once: answers come while lines still go.
    tokio::try_join!(write, read).map(|_| ())
}
