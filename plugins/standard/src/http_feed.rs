//! A system that posts events to the source `http`, for `demo`, the conformance kit and tests.

use std::io;

use serde_json::{Value, json};
use sluice_http_server::Tokens;
use sluice_sdk::{BoxFuture, Feeder, Flow, Upstream};

use crate::http_source::SignatureConfig;
use crate::place::Place;

struct Sender {
    client: reqwest::Client,
    endpoint: String,
    token: Option<Tokens>,
    signature: Option<SignatureConfig>,
    /// Where in the body the source looks for events.
    events: Option<Place>,
}

/// Sends lists of events to `endpoint`, with the first token and the first secret of `settings`.
pub fn feed(endpoint: String, settings: Value) -> Box<dyn Feeder> {
    let setting = |key: &str| settings.get(key).cloned();
    Box::new(Sender {
        client: reqwest::Client::new(),
        endpoint,
        token: setting("token").and_then(|token| serde_json::from_value(token).ok()),
        signature: setting("signature").and_then(|it| serde_json::from_value(it).ok()),
        events: setting("events").and_then(|place| serde_json::from_value(place).ok()),
    })
}

fn first(tokens: &Tokens) -> Result<String, String> {
    let secret = tokens.0.first().ok_or("no secret")?;
    let text = secret.reveal().map_err(|error| error.to_string())?;
    Ok(text.into_owned())
}

impl Feeder for Sender {
    fn send(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let list = format!("[{}]", events.join(","));
            let body = match &self.events {
                Some(place) => place.around(list),
                None => list,
            };
            let mut request = self
                .client
                .post(&self.endpoint)
                .header("content-type", "application/json");
            if let Some(token) = &self.token {
                request = request.bearer_auth(first(token)?);
            }
            if let Some(signature) = &self.signature {
                let signed = signature.sign(&first(&signature.secret)?, body.as_bytes());
                let value = format!("{}{signed}", signature.prefix);
                request = request.header(&signature.header, value);
            }
            let answer = request
                .body(body)
                .send()
                .await
                .map_err(|error| error.to_string())?;
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

struct System;

/// Start it; there is nothing to start.
pub fn upstream() -> BoxFuture<'static, io::Result<Box<dyn Upstream>>> {
    Box::pin(async { Ok(Box::new(System) as Box<dyn Upstream>) })
}

impl Upstream for System {
    fn settings(&self) -> Value {
        json!({
            "listen": "127.0.0.1:0",
            "signature": {
                "secret": "secret-of-the-kit",
                "header": "X-Signature",
                "prefix": "sha256="
            }
        })
    }

    fn flow(&self) -> Flow {
        Flow::Answered
    }

    fn event(&self, n: u64) -> String {
        json!({"id": n, "event_type": "message"}).to_string()
    }

    fn feeder(&self, endpoint: String) -> Box<dyn Feeder> {
        feed(endpoint, self.settings())
    }
}
