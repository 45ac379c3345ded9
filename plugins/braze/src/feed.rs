//! Send events to the webhook as Braze would; for `demo` and tests.

use std::io;

use serde_json::{Value, json};
use sluice_sdk::{BoxFuture, Feeder, Flow, Secret, Upstream};

use crate::catalogue::catalogue;

struct BrazeFeeder {
    client: reqwest::Client,
    endpoint: String,
    token: Option<Secret>,
}

/// A feeder for the source at `endpoint`, with the first token of its settings.
pub fn feed(endpoint: String, settings: Value) -> Box<dyn Feeder> {
    let token = match settings.get("token") {
        Some(Value::Array(tokens)) => tokens.first(),
        other => other,
    };
    Box::new(BrazeFeeder {
        client: reqwest::Client::new(),
        endpoint,
        token: token.and_then(|token| serde_json::from_value(token.clone()).ok()),
    })
}

impl Feeder for BrazeFeeder {
    fn send(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let mut request = self
                .client
                .post(&self.endpoint)
                .header("content-type", "application/json")
                .header("braze-currents-version", "1")
                .body(format!("{{\"events\":[{}]}}", events.join(",")));
            if let Some(token) = &self.token {
                let token = token.reveal().map_err(|error| error.to_string())?;
                request = request.bearer_auth(token);
            }
            let answer = request.send().await.map_err(|error| error.to_string())?;
            let status = answer.status();
            // Read to the end, so that the connection is used again.
            let text = answer.text().await.map_err(|error| error.to_string())?;
            if status == 200 {
                Ok(())
            } else {
                Err(format!("the webhook answered {status}: {text}"))
            }
        })
    }
}

/// Braze for the conformance kit: one token, events of the first type of the catalogue.
struct Braze;

/// Start it; there is nothing to start.
pub fn upstream() -> BoxFuture<'static, io::Result<Box<dyn Upstream>>> {
    Box::pin(async { Ok(Box::new(Braze) as Box<dyn Upstream>) })
}

impl Upstream for Braze {
    fn settings(&self) -> Value {
        json!({"listen": "127.0.0.1:0", "token": "token-of-the-kit"})
    }

    fn flow(&self) -> Flow {
        Flow::Answered
    }

    fn event(&self, n: u64) -> String {
        catalogue().events[0].synthesize(1, n).to_string()
    }

    fn feeder(&self, endpoint: String) -> Box<dyn Feeder> {
        feed(endpoint, self.settings())
    }
}
