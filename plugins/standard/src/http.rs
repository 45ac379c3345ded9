//! The sink `http`: POST documents to any address.
//!
//! | answer | outcome |
//! | --- | --- |
//! | 2xx | delivered |
//! | 400, 413, 422 | the content is refused: the batch is split to find the bad document |
//! | 408, 429, 5xx, no answer | tried again, not before Retry-After |
//! | all others (3xx, 401, 403, 404, …) | held: a person must act |

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, redirect};
use schemars::JsonSchema;
use serde::Deserialize;
use sluice_sdk::{Batch, ConfigError, Delivery, Limits, Outcome, Secret, Sink};
use url::Url;

/// Posts documents to an address of your own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where to post. Redirects are not followed.
    #[schemars(with = "String", example = "https://api.example.com/events")]
    pub url: Url,
    /// Headers of each request; values are secrets, as in `{ Authorization: "Bearer ${API_TOKEN}" }`.
    /// Default: none besides `Content-Type`.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// How documents stand in a request. Default `array`.
    #[serde(default)]
    pub format: Format,
    /// Most documents in a request. Default 500; with `single` always 1.
    #[serde(default = "batch_default")]
    pub batch: usize,
    /// Requests at the same time. Default 4; 1 keeps the source's order.
    #[serde(default = "concurrency_default")]
    pub concurrency: usize,
}

/// How documents stand in a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A JSON list.
    #[default]
    Array,
    /// One document a line.
    Ndjson,
    /// One document, as it is.
    Single,
}

fn batch_default() -> usize {
    500
}
fn concurrency_default() -> usize {
    4
}

/// See [`HttpConfig`].
pub struct Http {
    config: HttpConfig,
    headers: Vec<(HeaderName, Secret)>,
    client: Client,
}

impl Http {
    /// Check the settings.
    ///
    /// # Errors
    /// An address that is not HTTP, a header name that is none.
    pub fn new(config: HttpConfig) -> Result<Self, ConfigError> {
        if !matches!(config.url.scheme(), "http" | "https") {
            return Err(ConfigError::at("url", "expected http:// or https://"));
        }
        if config.batch == 0 {
            return Err(ConfigError::at("batch", "expected at least 1"));
        }
        if config.concurrency == 0 {
            return Err(ConfigError::at("concurrency", "expected at least 1"));
        }
        let headers = config
            .headers
            .iter()
            .map(|(name, value)| match HeaderName::try_from(name.as_str()) {
                Ok(name) => Ok((name, value.clone())),
                Err(_) => Err(ConfigError::at(
                    "headers",
                    format!("`{name}` is no header name"),
                )),
            })
            .collect::<Result<_, _>>()?;
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .build()
            .map_err(|error| ConfigError::at("url", error.to_string()))?;
        Ok(Self {
            config,
            headers,
            client,
        })
    }

    fn body(&self, batch: &Batch) -> Vec<u8> {
        let (open, between, close): (&[u8], &[u8], &[u8]) = match self.config.format {
            Format::Array => (b"[", b",", b"]"),
            Format::Ndjson => (b"", b"\n", b"\n"),
            Format::Single => (b"", b"", b""),
        };
        let mut body = open.to_vec();
        for (n, document) in batch.documents.iter().enumerate() {
            if n > 0 {
                body.extend_from_slice(between);
            }
            body.extend_from_slice(&document.body);
        }
        body.extend_from_slice(close);
        body
    }
}

impl Sink for Http {
    fn limits(&self) -> Limits {
        Limits {
            batch_documents_max: match self.config.format {
                Format::Single => 1,
                Format::Array | Format::Ndjson => self.config.batch,
            },
            concurrency: self.config.concurrency,
            ..Limits::default()
        }
    }

    async fn deliver(&self, batch: &Batch) -> Delivery {
        let mut request = self.client.post(self.config.url.clone());
        let content_type = match self.config.format {
            Format::Ndjson => "application/x-ndjson",
            Format::Array | Format::Single => "application/json",
        };
        request = request.header(CONTENT_TYPE, content_type);
        for (name, value) in &self.headers {
            let value = match value.reveal() {
                Ok(value) => HeaderValue::try_from(value.as_ref()),
                // Like a bad key: nothing is dropped, and it is tried again until the file is there.
                Err(error) => return hold(error.to_string()),
            };
            let Ok(mut value) = value else {
                return hold(format!(
                    "the value of header `{name}` has characters no header may have"
                ));
            };
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        match request.body(self.body(batch)).send().await {
            Ok(answer) => delivery(&answer),
            Err(error) => Delivery::All(Outcome::Retry {
                reason: error.without_url().to_string(),
                after: None,
            }),
        }
    }
}

fn hold(reason: String) -> Delivery {
    Delivery::All(Outcome::Hold { reason })
}

fn delivery(answer: &Response) -> Delivery {
    let status = answer.status();
    let reason = format!("answered {status}");
    match status.as_u16() {
        200..=299 => Delivery::All(Outcome::Delivered),
        400 | 413 | 422 => Delivery::BatchRejected { reason },
        408 | 429 | 500..=599 => Delivery::All(Outcome::Retry {
            reason,
            after: answer
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| value.parse().ok())
                .map(Duration::from_secs),
        }),
        _ => hold(format!(
            "{reason}; check `url` and `headers`{}",
            hint(status)
        )),
    }
}

fn hint(status: StatusCode) -> &'static str {
    if status.is_redirection() {
        " (redirects are not followed)"
    } else {
        ""
    }
}

sluice_sdk::register_sink!(
    "http",
    HttpConfig => Http::new,
    summary: "POST documents to any address, as a JSON list, lines, or one by one.",
    example: "url: https://api.example.com/events\nheaders: { Authorization: \"Bearer ${API_TOKEN}\" }\n",
);
