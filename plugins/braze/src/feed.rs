//! Send events to the webhook as Braze would; for `demo` and tests.

use serde_json::Value;
use sluice_sdk::{BoxFuture, Feeder, Secret};

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
