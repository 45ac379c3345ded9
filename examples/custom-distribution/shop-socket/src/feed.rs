//! Send events as the shop would; for `demo` and tests.

use std::time::Duration;

use serde_json::Value;
use sluice_sdk::{BoxFuture, Feeder};
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
            let answer = answer.ok_or("the connection ended")?;
            if answer != format!("ok {n}") {
                return Err(format!("answered `{answer}`"));
            }
        }
        Ok(())
    };
    // Both at once: answers come while lines still go.
    tokio::try_join!(write, read).map(|_| ())
}
