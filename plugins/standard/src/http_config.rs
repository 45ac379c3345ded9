//! Settings of the sink `http`. The doc comments are the user's reference.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::Method as HttpMethod;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use sluice_sdk::{ConfigError, Secret};
use url::Url;

/// The text in `wrap` whose place the documents take.
const DOCUMENTS: &str = "$documents";

/// Sends documents to an address of your own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where documents go. Redirects are not followed.
    #[schemars(with = "String", example = "https://api.example.com/events")]
    pub url: Url,
    /// The method. Default `post`.
    #[serde(default)]
    pub method: Method,
    /// Headers of each request; values are secrets. Default: none of our own.
    #[serde(default)]
    #[schemars(example = serde_json::json!({"Authorization": "Bearer ${API_TOKEN}"}))]
    pub headers: BTreeMap<String, Secret>,
    /// How documents stand in a request. Default `array`.
    #[serde(default)]
    pub format: Format,
    /// What stands around the documents: JSON in which the text `$documents` is replaced by the list
    /// (with `single` by the document). Default: nothing. Not with `ndjson`.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, Value>", example = serde_json::json!({"source": "sluice", "events": "$documents"}))]
    pub wrap: Option<Value>,
    /// Most documents in a request. Default 500; with `single` always 1.
    #[serde(default = "batch_default")]
    #[schemars(range(min = 1), example = 100)]
    pub batch: usize,
    /// Requests at the same time. Default 4; 1 keeps the source's order.
    #[serde(default = "concurrency_default")]
    #[schemars(range(min = 1, max = 256), example = 4)]
    pub concurrency: usize,
    /// Seconds to wait for one answer, connection included. Default 30.
    #[serde(default = "timeout_default")]
    #[schemars(range(min = 1, max = 600), example = 30)]
    pub timeout: u64,
    /// Compress requests. Default false, as many addresses cannot read that.
    #[serde(default)]
    #[schemars(example = true)]
    pub gzip: bool,
    /// A header that is the same whenever the same documents are sent again, and other for others, so
    /// that the other side can recognise them. Default: none.
    #[serde(default)]
    #[schemars(example = &"Idempotency-Key")]
    pub idempotency_header: Option<String>,
    /// What the other side's answers mean, where that differs from what is usual. Default: what is usual.
    #[serde(default)]
    pub answers: AnswersConfig,
    /// Whom to trust with HTTPS. Default: the authorities that the system trusts.
    #[serde(default)]
    pub tls: Option<Tls>,
}

/// HTTP method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
}

impl From<Method> for HttpMethod {
    fn from(method: Method) -> Self {
        match method {
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
        }
    }
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

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Array | Self::Single => "application/json",
        }
    }
}

/// Statuses, as numbers or classes such as `5xx`; a number wins over its class. What stands nowhere
/// keeps its usual meaning.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswersConfig {
    /// The other side has the documents. Usual: 2xx.
    #[serde(default)]
    #[schemars(example = [Status::Number(409)])]
    pub delivered: Vec<Status>,
    /// It refuses what is in the request; the batch is split to find the bad document, which goes to
    /// the dead letters. Usual: 400, 413, 422.
    #[serde(default)]
    #[schemars(example = [Status::Number(400)])]
    pub rejected: Vec<Status>,
    /// It is unwell; tried again without end. Usual: 408, 425, 429, 5xx.
    #[serde(default)]
    #[schemars(example = [Status::Number(404)])]
    pub retry: Vec<Status>,
    /// A person must act; nothing is dropped. Usual: all others.
    #[serde(default)]
    #[schemars(example = [Status::Number(402)])]
    pub hold: Vec<Status>,
}

/// A status, or all of a class.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Status {
    /// One status.
    Number(#[schemars(range(min = 100, max = 599))] u16),
    /// A class: `2xx`, `3xx`, `4xx` or `5xx`.
    Class(#[schemars(regex(pattern = r"^[2-5]xx$"))] String),
}

/// Whom to trust.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with authorities that are trusted beside those of the system. Read at the start.
    /// Default: those of the system alone.
    #[serde(default)]
    #[schemars(example = &"/etc/sluice/ca.pem")]
    pub ca: Option<PathBuf>,
}

fn batch_default() -> usize {
    500
}
fn concurrency_default() -> usize {
    4
}
fn timeout_default() -> u64 {
    30
}

/// What stands before and behind the documents.
#[derive(Debug, Default)]
pub struct Template {
    pub before: Vec<u8>,
    pub after: Vec<u8>,
}

impl HttpConfig {
    /// What the types cannot say.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !matches!(self.url.scheme(), "http" | "https") {
            return Err(ConfigError::at("url", "expected http:// or https://"));
        }
        if !self.url.username().is_empty() || self.url.password().is_some() {
            return Err(ConfigError::at(
                "url",
                "leave user and password out of the address; put them into `headers`, as Authorization",
            ));
        }
        if self.batch == 0 {
            return Err(ConfigError::at("batch", "expected at least 1"));
        }
        if !(1..=256).contains(&self.concurrency) {
            return Err(ConfigError::at("concurrency", "expected 1 to 256 requests"));
        }
        if !(1..=600).contains(&self.timeout) {
            return Err(ConfigError::at("timeout", "expected 1 to 600 seconds"));
        }
        Ok(())
    }

    pub(crate) fn template(&self) -> Result<Template, ConfigError> {
        let (open, close): (&[u8], &[u8]) = match self.format {
            Format::Array => (b"[", b"]"),
            Format::Ndjson => (b"", b"\n"),
            Format::Single => (b"", b""),
        };
        let Some(wrap) = &self.wrap else {
            return Ok(Template {
                before: open.to_vec(),
                after: close.to_vec(),
            });
        };
        if self.format == Format::Ndjson {
            return Err(ConfigError::at(
                "wrap",
                "lines have nothing around them; use `format: array`",
            ));
        }
        let text = wrap.to_string();
        let parts: Vec<&str> = text.split(&format!("\"{DOCUMENTS}\"")).collect();
        let [before, after] = parts[..] else {
            return Err(ConfigError::at(
                "wrap",
                format!(
                    "expected the text `{DOCUMENTS}` once, as a value; found it {} times",
                    parts.len() - 1
                ),
            ));
        };
        Ok(Template {
            before: [before.as_bytes(), open].concat(),
            after: [close, after.as_bytes()].concat(),
        })
    }
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Delivered,
    Rejected,
    Retry,
    Hold,
}

/// The meaning of each status.
#[derive(Debug)]
pub struct Answers {
    numbers: BTreeMap<u16, Meaning>,
    /// By first digit.
    classes: BTreeMap<u16, Meaning>,
}

impl Answers {
    pub fn new(config: &AnswersConfig) -> Result<Self, ConfigError> {
        let mut answers = Self {
            numbers: BTreeMap::new(),
            classes: BTreeMap::new(),
        };
        for (meaning, statuses) in [
            (Meaning::Delivered, &config.delivered),
            (Meaning::Rejected, &config.rejected),
            (Meaning::Retry, &config.retry),
            (Meaning::Hold, &config.hold),
        ] {
            for status in statuses {
                answers.add(status, meaning)?;
            }
        }
        Ok(answers)
    }

    fn add(&mut self, status: &Status, meaning: Meaning) -> Result<(), ConfigError> {
        let (name, before) = match status {
            Status::Number(number) if (100..600).contains(number) => {
                (number.to_string(), self.numbers.insert(*number, meaning))
            }
            Status::Class(class) if matches!(class.as_str(), "2xx" | "3xx" | "4xx" | "5xx") => {
                let digit = u16::from(class.as_bytes()[0] - b'0');
                (class.clone(), self.classes.insert(digit, meaning))
            }
            Status::Number(_) | Status::Class(_) => {
                return Err(ConfigError::at(
                    "answers",
                    "expected statuses from 100 to 599, or 2xx, 3xx, 4xx, 5xx",
                ));
            }
        };
        match before {
            Some(before) if before != meaning => Err(ConfigError::at(
                "answers",
                format!("{name} is given two meanings, {before:?} and {meaning:?}"),
            )),
            _ => Ok(()),
        }
    }

    pub fn meaning(&self, status: u16) -> Meaning {
        let usual = match status {
            200..=299 => Meaning::Delivered,
            400 | 413 | 422 => Meaning::Rejected,
            408 | 425 | 429 | 500..=599 => Meaning::Retry,
            _ => Meaning::Hold,
        };
        let own = self
            .numbers
            .get(&status)
            .or_else(|| self.classes.get(&(status / 100)));
        own.copied().unwrap_or(usual)
    }
}
