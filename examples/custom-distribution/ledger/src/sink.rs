//! One batch to the ledger, once, and the truth about what became of it.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, Url, redirect};
use sluice_sdk::{
    Batch, Bytes, CheckError, ConfigError, Delivery, Limits, Outcome, Rejection, Secret, Sink,
};

use crate::config::LedgerConfig;
use crate::protocol::{self, Answer};

/// Longest wait for an answer; then the engine tries again.
const PATIENCE: Duration = Duration::from_secs(20);
/// Entries in a request: what the ledger takes.
const ENTRIES_MAX: usize = 100;
/// Bytes of an entry: what the ledger takes.
const ENTRY_BYTES_MAX: usize = 16 << 10;

/// See [`LedgerConfig`].
pub struct Ledger {
    url: Url,
    key: Secret,
    book: String,
    concurrency: usize,
    client: Client,
}

impl Ledger {
    /// Check the settings. Touches nothing outside: no port, no file, no request.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(config: LedgerConfig) -> Result<Self, ConfigError> {
        let url = Url::parse(&format!("{}/v1/entries", config.url.trim_end_matches('/')))
            .map_err(|problem| ConfigError::at("url", format!("no web address: {problem}")))?;
        // A redirect is an answer here, not something to follow with a body.
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .map_err(|problem| ConfigError::at("url", problem.to_string()))?;
        Ok(Self {
            url,
            key: config.key,
            book: config.book,
            concurrency: config.concurrency,
            client,
        })
    }

    /// Send a request with our key; a reason to hold when there is no key to send.
    async fn send(&self, request: RequestBuilder) -> Result<Answer, Delivery> {
        let key = match self.key.reveal() {
            Ok(key) => key,
            Err(problem) => {
                return Err(Delivery::All(Outcome::Hold {
                    reason: problem.to_string(),
                }));
            }
        };
        let unwell = |problem: reqwest::Error| {
            Delivery::All(Outcome::Retry {
                reason: problem.without_url().to_string(),
                after: None,
            })
        };
        let response = request.bearer_auth(key).send().await.map_err(unwell)?;
        read(response).await.map_err(unwell)
    }
}

async fn read(response: Response) -> reqwest::Result<Answer> {
    let wish = response.headers().get(RETRY_AFTER);
    let seconds = wish.and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(Answer {
        status: response.status().as_u16(),
        retry_after: seconds.map(Duration::from_secs),
        body: response.bytes().await?,
    })
}

impl Sink for Ledger {
    fn limits(&self) -> Limits {
        Limits {
            document_bytes_max: ENTRY_BYTES_MAX,
            batch_documents_max: ENTRIES_MAX,
            envelope_bytes: protocol::ENVELOPE_BYTES + self.book.len(),
            concurrency: self.concurrency,
            deliver_timeout: PATIENCE,
            // The ledger takes an `id` once, whenever it comes again.
            deduplicates_for: Some(Duration::MAX),
            ..Limits::default()
        }
    }

    /// The ledger answers "ok" to entries of nothing and then forgets them: better to know.
    fn prepare(&self, document: Bytes) -> Result<Bytes, Rejection> {
        if protocol::amount(&document) == Some(0) {
            return Err(Rejection {
                code: "nothing-to-book",
                detail: "`amount_cents` is 0, and the ledger keeps no such entries".to_owned(),
            });
        }
        Ok(document)
    }

    /// A request without entries: the ledger looks at the key and does nothing else.
    async fn check(&self) -> Result<(), CheckError> {
        let answer = self.send(self.client.get(self.url.clone())).await;
        match answer.map(|answer| protocol::delivery(&answer, 0)) {
            Ok(Delivery::All(Outcome::Hold { reason }))
            | Err(Delivery::All(Outcome::Hold { reason })) => Err(CheckError::Refused(reason)),
            Ok(Delivery::All(Outcome::Retry { reason, .. }))
            | Err(Delivery::All(Outcome::Retry { reason, .. })) => {
                Err(CheckError::Unreachable(reason))
            }
            _ => Ok(()),
        }
    }

    async fn deliver(&self, batch: &Batch) -> Delivery {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(protocol::request(&self.book, &batch.documents));
        match self.send(request).await {
            Ok(answer) => protocol::delivery(&answer, batch.documents.len()),
            Err(delivery) => delivery,
        }
    }
}
