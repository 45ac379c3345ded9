//! A file to append to, for the conformance kit.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};
use sluice_sdk::{BoxFuture, Feeder, Flow, Upstream};

use crate::stand_in::Folder;

/// A file to append to, for the conformance kit.
struct Log(Folder);

pub fn start() -> BoxFuture<'static, io::Result<Box<dyn Upstream>>> {
    Box::pin(async {
        let log = Log(Folder::new()?);
        std::fs::write(log.path(), "")?;
        Ok(Box::new(log) as Box<dyn Upstream>)
    })
}

impl Log {
    fn path(&self) -> PathBuf {
        self.0.path().join("events.ndjson")
    }
}

impl Upstream for Log {
    fn settings(&self) -> Value {
        json!({"path": self.path(), "follow": true, "check_every_ms": 10})
    }

    fn flow(&self) -> Flow {
        Flow::Read
    }

    fn event(&self, n: u64) -> String {
        json!({"id": n, "event_type": "line"}).to_string()
    }

    fn feeder(&self, _: String) -> Box<dyn Feeder> {
        Box::new(Appender(self.path()))
    }
}

struct Appender(PathBuf);

impl Feeder for Appender {
    fn send(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            use std::io::Write as _;
            let file = std::fs::OpenOptions::new().append(true).open(&self.0);
            let mut file = file.map_err(|error| error.to_string())?;
            let text = events.join("\n") + "\n";
            file.write_all(text.as_bytes())
                .map_err(|error| error.to_string())
        })
    }
}
