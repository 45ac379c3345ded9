//! The sink `http`: documents to any address.
//!
//! | answer | outcome, unless `answers` says otherwise |
//! | --- | --- |
//! | 2xx | delivered |
//! | 400, 413, 422 | the content is refused: the batch is split to find the bad document |
//! | 408, 425, 429, 5xx, no answer | tried again, not before Retry-After |
//! | all others (3xx, 401, 403, 404, …) | held: a person must act |

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use reqwest::{Certificate, Client, Response, redirect};
use sha2::{Digest, Sha256};
use sluice_sdk::{
    Batch, Bytes, CheckError, ConfigError, Delivery, Limits, Outcome, Rejection, Secret, Sink,
};
use url::{Host, Url};

use crate::http_config::{Answers, Format, HttpConfig, Meaning, Template};

/// Of a longer answer no more than this is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Time for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What `deliver` may take beyond the time-out of the request: packing, reading secrets.
const EXTRA_TIME: Duration = Duration::from_secs(10);

/// See [`HttpConfig`].
pub struct Http {
    config: HttpConfig,
    headers: Vec<(HeaderName, Secret)>,
    idempotency_header: Option<HeaderName>,
    template: Template,
    answers: Answers,
    client: Client,
}

impl Http {
    /// Check the settings; nothing is opened before the first delivery, apart from the file of `tls`.
    ///
    /// # Errors
    /// At the setting that cannot be used.
    pub fn new(config: HttpConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let header = |key: &str, name: &str| {
            HeaderName::try_from(name)
                .map_err(|_| ConfigError::at(key, format!("`{name}` is no header name")))
        };
        let headers = config.headers.iter();
        let headers = headers
            .map(|(name, value)| Ok((header("headers", name)?, value.clone())))
            .collect::<Result<_, ConfigError>>()?;
        let idempotency_header = config.idempotency_header.as_deref();
        let idempotency_header = idempotency_header
            .map(|name| header("idempotency_header", name))
            .transpose()?;
        Ok(Self {
            headers,
            idempotency_header,
            template: config.template()?,
            answers: Answers::new(&config.answers)?,
            client: client(&config)?,
            config,
        })
    }

    fn body(&self, batch: &Batch) -> Vec<u8> {
        let between: &[u8] = match self.config.format {
            Format::Ndjson => b"\n",
            Format::Array | Format::Single => b",",
        };
        let mut body = self.template.before.clone();
        for (n, document) in batch.documents.iter().enumerate() {
            if n > 0 {
                body.extend_from_slice(between);
            }
            body.extend_from_slice(&document.body);
        }
        body.extend_from_slice(&self.template.after);
        body
    }

    fn header_values(&self) -> Result<HeaderMap, String> {
        let mut values = HeaderMap::new();
        for (name, secret) in &self.headers {
            let value = secret.reveal().map_err(|error| error.to_string())?;
            let mut value = HeaderValue::try_from(value.as_ref()).map_err(|_| {
                format!("the value of header `{name}` has characters no header may have")
            })?;
            value.set_sensitive(true);
            values.append(name, value);
        }
        Ok(values)
    }

    async fn send(&self, headers: HeaderMap, body: Vec<u8>) -> Result<Delivery, reqwest::Error> {
        let mut request = self
            .client
            .request(self.config.method.into(), self.config.url.clone())
            .header(CONTENT_TYPE, self.config.format.content_type());
        if let Some(name) = &self.idempotency_header {
            // Of the documents, so that every repetition has the same.
            request = request.header(name, hash(&body));
        }
        let mut body = body;
        if self.config.gzip {
            body = tokio::task::spawn_blocking(move || gzip(&body))
                .await
                .unwrap_or_default();
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        // Last, so that a header of the config replaces one of ours.
        let mut answer = request.headers(headers).body(body).send().await?;
        let delivery = self.delivery(&answer);
        let mut length = 0;
        while length < ANSWER_BYTES_MAX {
            match answer.chunk().await {
                Ok(Some(chunk)) => length += chunk.len(),
                Ok(None) => break,
                // A yes that breaks off is no yes.
                Err(error) if delivery == Delivery::All(Outcome::Delivered) => return Err(error),
                Err(_) => break,
            }
        }
        Ok(delivery)
    }

    fn delivery(&self, answer: &Response) -> Delivery {
        let status = answer.status();
        let reason = format!("answered {status}");
        match self.answers.meaning(status.as_u16()) {
            Meaning::Delivered => Delivery::All(Outcome::Delivered),
            Meaning::Rejected => Delivery::BatchRejected { reason },
            Meaning::Retry => Delivery::All(Outcome::Retry {
                reason,
                after: wish(answer.headers()),
            }),
            Meaning::Hold => {
                let hint = if status.is_redirection() {
                    " (redirects are not followed)"
                } else {
                    ""
                };
                hold(format!("{reason}{hint}; check `url` and `headers`"))
            }
        }
    }
}

fn client(config: &HttpConfig) -> Result<Client, ConfigError> {
    let mut builder = Client::builder()
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(Duration::from_secs(config.timeout));
    if is_loopback(&config.url) {
        builder = builder.no_proxy();
    }
    if let Some(file) = config.tls.as_ref().and_then(|tls| tls.ca.as_ref()) {
        let wrong = |error: &dyn std::fmt::Display| {
            ConfigError::at(
                "tls",
                format!(
                    "ca file {} cannot be used: {error}; expected PEM",
                    file.display()
                ),
            )
        };
        let text = std::fs::read(file).map_err(|error| wrong(&error))?;
        let certificates = Certificate::from_pem_bundle(&text).map_err(|error| wrong(&error))?;
        if certificates.is_empty() {
            return Err(wrong(&"there is no certificate in it"));
        }
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder
        .build()
        .map_err(|error| ConfigError::at("tls", error.to_string()))
}

impl Sink for Http {
    fn limits(&self) -> Limits {
        Limits {
            batch_documents_max: match self.config.format {
                Format::Single => 1,
                Format::Array | Format::Ndjson => self.config.batch,
            },
            concurrency: self.config.concurrency,
            envelope_bytes: self.template.before.len() + self.template.after.len(),
            deliver_timeout: Duration::from_secs(self.config.timeout) + EXTRA_TIME,
            ..Limits::default()
        }
    }

    fn prepare(&self, document: Bytes) -> Result<Bytes, Rejection> {
        // A newline would make two lines of one document.
        if self.config.format == Format::Ndjson && document.contains(&b'\n') {
            return Err(Rejection {
                code: "line-break",
                detail: "a document with a line break cannot go as one line".to_owned(),
            });
        }
        Ok(document)
    }

    /// Sends nothing: an address that takes documents has no question that all of them answer.
    async fn check(&self) -> Result<(), CheckError> {
        self.header_values().map(drop).map_err(CheckError::Refused)
    }

    async fn deliver(&self, batch: &Batch) -> Delivery {
        let headers = match self.header_values() {
            Ok(headers) => headers,
            // Like a bad key: nothing is dropped, and it is tried again until the file is there.
            Err(problem) => return hold(problem),
        };
        match self.send(headers, self.body(batch)).await {
            Ok(delivery) => delivery,
            Err(error) => Delivery::All(Outcome::Retry {
                reason: describe(error),
                after: None,
            }),
        }
    }
}

fn hold(reason: String) -> Delivery {
    Delivery::All(Outcome::Hold { reason })
}

/// The error with what it comes from, without the address: that may hold a key.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Retry-After, in seconds or as a date.
fn wish(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(date.duration_since(Timestamp::now())).ok()
}

fn hash(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish())
        .expect("writing to memory does not fail")
}

/// Whether this address stays on this machine: no proxy is asked for it then.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

sluice_sdk::register_sink!(
    "http",
    HttpConfig => Http::new,
    summary: "Documents to any address: as a JSON list, lines, one by one, or in an envelope.",
    example: "url: https://api.example.com/events\nheaders: { Authorization: \"Bearer ${API_TOKEN}\" }\n",
    reasons: &[("line-break", "With `format: ndjson` each document is a line, and this one has a line break in it, as only a document does that was written with spaces and lines.")],
    test_double: crate::http_double::start,
);
