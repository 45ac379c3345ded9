//! Deliver documents to Segment's batch call.
//!
//! The story of one batch: read the key, wrap the documents as they are, compress, send once, say
//! what the status means. Only 2xx counts as delivered, and no redirect is followed: Segment's own
//! Node client takes a 301 for a yes and loses everything behind such a proxy.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, redirect};
use sluice_sdk::{
    Batch, Bytes, CheckError, ConfigError, Delivery, Limits, Outcome, Rejection, Sink,
};
use tokio::sync::Semaphore;
use url::Url;

use crate::config::{SegmentConfig, is_loopback};
use crate::look_up::LookUp;
use crate::pack::Packers;
use crate::prepare::prepare;
use crate::protocol;

/// Below this, compressing costs more than it saves.
const GZIP_BYTES_MIN: usize = 1024;
/// Segment's addresses change: a client, and with it connections and DNS answers, lives no longer.
const CLIENT_AGE_MAX: Duration = Duration::from_secs(300);
/// The same after a 5xx, when Segment asks to resolve its name again.
const CLIENT_AGE_MAX_UNWELL: Duration = Duration::from_secs(30);
/// Answers are 16 bytes; of a longer one no more than this is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Shorter keys get 400 from Segment, which speaks of content elsewhere: one typing slip would send
/// everything to the dead letters. Longer wrong ones get 200.
const KEY_CHARS_MIN: usize = 10;

/// The sink `segment`.
pub struct SegmentSink {
    config: SegmentConfig,
    url: Url,
    look_up: Option<LookUp>,
    client: Mutex<Option<(Instant, Client)>>,
    packers: Arc<Packers>,
    /// Turns at compressing: more at once than there are processors would only wait for each other,
    /// each with a megabyte of buffers.
    packing: Semaphore,
    gzip_is_on: AtomicBool,
    gzip_is_proven: AtomicBool,
    key_was_warned: AtomicBool,
}

/// What came back of one request.
struct Answer {
    status: u16,
    after: Option<Duration>,
    excerpt: String,
}

impl SegmentSink {
    /// Make the sink; nothing is opened before the first delivery.
    ///
    /// # Errors
    /// When settings do not fit together.
    pub fn new(config: SegmentConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            url: config.batch_url()?,
            look_up: config.look_up_url()?.map(LookUp::new),
            client: Mutex::new(None),
            packers: Arc::default(),
            packing: Semaphore::new(
                std::thread::available_parallelism().map_or(2, NonZeroUsize::get),
            ),
            gzip_is_on: AtomicBool::new(config.gzip),
            gzip_is_proven: AtomicBool::new(false),
            key_was_warned: AtomicBool::new(false),
            config,
        })
    }

    /// The key, or what a person has to do to have one.
    fn write_key(&self) -> Result<String, String> {
        let key = self
            .config
            .write_key
            .reveal()
            .map_err(|error| format!("write_key: {error}"))?;
        let key = key.trim();
        if key.is_empty() {
            return Err(
                "write_key is empty: set it to the write key of the Segment source".to_owned(),
            );
        }
        if key.len() < KEY_CHARS_MIN {
            let mend = match self.config.write_key.is_file() {
                true => "put the whole key into its file",
                false => "set the whole key and start sluice anew",
            };
            return Err(format!(
                "write_key has {} characters, Segment's have 32: with one this short every call is refused; {mend}",
                key.len()
            ));
        }
        let looks_right = key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !looks_right && !self.key_was_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "write_key is not 32 letters and digits as Segment's keys are; Segment answers 200 \
                 to a wrong key and drops the data: look into the source's Debugger"
            );
        }
        Ok(key.to_owned())
    }

    /// A client that is not too old.
    fn client(&self, age_max: Duration) -> Result<Client, String> {
        let mut slot = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, client)) = slot.as_ref()
            && made.elapsed() < age_max
        {
            return Ok(client.clone());
        }
        let mut builder = Client::builder()
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .timeout(self.config.request_timeout())
            .pool_idle_timeout(Duration::from_secs(60));
        let looks_up_here = self
            .look_up
            .as_ref()
            .is_none_or(|it| is_loopback(it.base()));
        if is_loopback(&self.url) && looks_up_here {
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?;
        *slot = Some((Instant::now(), client.clone()));
        Ok(client)
    }

    /// One request, one answer. `Err` is anything on the way: no whole answer came.
    async fn send(
        &self,
        client: &Client,
        body: Bytes,
        is_gzip: bool,
        attempt: u32,
        key: &str,
    ) -> Result<Answer, String> {
        let mut request = client
            .post(self.url.clone())
            .basic_auth(key, Some(""))
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        if is_gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        if attempt > 0 {
            request = request.header("X-Retry-Count", attempt);
        }
        let mut response = request.send().await.map_err(describe)?;
        let status = response.status();
        let after = wish(response.headers());
        let mut said = Vec::new();
        while said.len() < ANSWER_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => said.extend_from_slice(&chunk),
                Ok(None) => break,
                // A yes that breaks off is no yes: the same ids go again and Segment knows them.
                Err(error) if status.is_success() => return Err(describe(error)),
                Err(_) => break,
            }
        }
        let encoded = BASE64_STANDARD.encode(format!("{key}:"));
        let excerpt = protocol::excerpt(&said, &[key, &encoded]);
        Ok(Answer {
            status: status.as_u16(),
            after,
            excerpt,
        })
    }

    /// Send compressed where that works, else plain. A refused compressed request goes once more plain,
    /// until one compressed request was taken: from then on a 400 speaks of the content.
    async fn send_packed(
        &self,
        client: &Client,
        batch: &Batch,
        key: &str,
    ) -> Result<Answer, String> {
        let sent_at = Timestamp::now();
        let documents: Vec<Bytes> = batch.documents.iter().map(|it| it.body.clone()).collect();
        let plain = || {
            let mut body = Vec::new();
            protocol::write_batch(&mut body, &documents, sent_at, key);
            self.send(client, body.into(), false, batch.attempt, key)
        };
        let bytes: usize = documents.iter().map(Bytes::len).sum();
        if bytes <= GZIP_BYTES_MIN || !self.gzip_is_on.load(Ordering::Relaxed) {
            return plain().await;
        }
        let (packers, same, key_there) =
            (Arc::clone(&self.packers), documents.clone(), key.to_owned());
        let packed = {
            // Never closed.
            let _turn = self.packing.acquire().await;
            tokio::task::spawn_blocking(move || packers.pack(&same, sent_at, &key_there)).await
        };
        let Ok(Some(packed)) = packed else {
            return plain().await;
        };
        let answer = self.send(client, packed, true, batch.attempt, key).await?;
        let is_refused = answer.status == 415
            || (answer.status == 400 && !self.gzip_is_proven.load(Ordering::Relaxed));
        if !is_refused {
            if (200..300).contains(&answer.status) {
                self.gzip_is_proven.store(true, Ordering::Relaxed);
            }
            return Ok(answer);
        }
        let plain = plain().await?;
        if (200..300).contains(&plain.status) {
            self.gzip_is_on.store(false, Ordering::Relaxed);
            tracing::warn!(
                status = answer.status,
                "compressed requests are refused and plain ones taken; going on without gzip \
                 (`gzip: false` in the sink's settings makes it so from the start)"
            );
        }
        Ok(plain)
    }
}

impl Sink for SegmentSink {
    fn limits(&self) -> Limits {
        // A refused compressed one is followed by a plain one; the key may be looked up before.
        let requests = if self.look_up.is_some() { 3 } else { 2 };
        Limits {
            document_bytes_max: protocol::DOCUMENT_BYTES_MAX,
            batch_bytes_max: protocol::BATCH_BYTES_MAX,
            batch_documents_max: protocol::BATCH_DOCUMENTS_MAX,
            envelope_bytes: protocol::ENVELOPE_BYTES,
            concurrency: self.config.concurrency,
            deliver_timeout: self.config.request_timeout() * requests + Duration::from_secs(5),
            deduplicates_for: Some(Duration::from_secs(24 * 60 * 60)),
        }
    }

    fn prepare(&self, document: Bytes) -> Result<Bytes, Rejection> {
        prepare(document, &self.config.oversize.drop)
    }

    /// Whether there is a key, and where the config asks for it, whether it is known. No document is
    /// sent: Segment answers 200 to any key and any source.
    async fn check(&self) -> Result<(), CheckError> {
        let key = self.write_key().map_err(CheckError::Refused)?;
        if let Some(look_up) = &self.look_up {
            let client = self.client(CLIENT_AGE_MAX).map_err(CheckError::Refused)?;
            let known = look_up.check(&client, &key).await;
            known.map_err(CheckError::Refused)?;
        }
        Ok(())
    }

    async fn deliver(&self, batch: &Batch) -> Delivery {
        let key = match self.write_key() {
            Ok(key) => key,
            Err(reason) => return Delivery::All(Outcome::Hold { reason }),
        };
        let client = match self.client(CLIENT_AGE_MAX) {
            Ok(client) => client,
            Err(reason) => return Delivery::All(Outcome::Hold { reason }),
        };
        if let Some(look_up) = &self.look_up
            && let Err(reason) = look_up.check_at_times(&client, &key).await
        {
            return Delivery::All(Outcome::Hold { reason });
        }
        match self.send_packed(&client, batch, &key).await {
            Ok(answer) => {
                if answer.status >= 500 {
                    self.forget_client();
                }
                protocol::delivery(answer.status, answer.after, &answer.excerpt)
            }
            Err(reason) => {
                self.forget_client();
                Delivery::All(Outcome::Retry {
                    reason,
                    after: None,
                })
            }
        }
    }
}

impl SegmentSink {
    /// Let the next batch resolve the name anew, unless this client is quite young.
    fn forget_client(&self) {
        let mut slot = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if slot
            .as_ref()
            .is_some_and(|(made, _)| made.elapsed() > CLIENT_AGE_MAX_UNWELL)
        {
            *slot = None;
        }
    }
}

fn wish(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    protocol::retry_after(
        text(RETRY_AFTER.as_str()),
        text("x-ratelimit-reset"),
        Timestamp::now(),
    )
}

/// An error of the way with its causes, and who was asked. Of the address no more, since a path may
/// have a key in it.
pub(crate) fn describe(error: reqwest::Error) -> String {
    let mut text = match error.url() {
        Some(url) => format!("{}: ", url.origin().ascii_serialization()),
        None => String::new(),
    };
    let error = error.without_url();
    text.push_str(&error.to_string());
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
