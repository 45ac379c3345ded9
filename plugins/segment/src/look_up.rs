//! Whether Segment knows a write key: asked where its own clients get the settings of their source.
//!
//! ```text
//! GET https://cdn.segment.com/v1/projects/KEY/settings
//! ```
//!
//! The batch call answers 200 to any key. This address answers 404 with "Invalid path or write key
//! provided." to one that it does not know; that is seen in public code and reports, not promised.
//! The reports also have a 404 for a key that works, so this is off unless the config asks for it.
//! Only a plain no counts: whatever else happens here stops nothing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Client;
use url::Url;

/// A key that was known is looked up again after this long: its source may be gone meanwhile.
const AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// Looks keys up; remembers the last one that was not refused.
pub struct LookUp {
    base: Url,
    last: Mutex<Option<(Instant, String)>>,
}

/// What the address says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Its source is there.
    Yes,
    /// No source has it.
    No,
    /// It says nothing about the key.
    Unclear,
}

impl LookUp {
    /// At this base address.
    pub fn new(base: Url) -> Self {
        Self {
            base,
            last: Mutex::default(),
        }
    }

    /// Where it asks, without the key.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Look a key up.
    ///
    /// # Errors
    /// What a person has to do, when the key is not known.
    pub async fn check(&self, client: &Client, key: &str) -> Result<(), String> {
        let asked = self.ask(client, key).await;
        match asked {
            Ok((_, Known::Yes)) => {}
            Ok((status, Known::No)) => {
                return Err(format!(
                    "no Segment source has this write_key: {} answers {status}. Set write_key to that \
                     of the source; if data does arrive with it, leave out look_up_key_at",
                    self.base
                ));
            }
            Ok((status, Known::Unclear)) => {
                tracing::warn!(
                    status,
                    "write_key cannot be looked up at {}; going on without",
                    self.base
                );
            }
            Err(error) => {
                let error = crate::sink::describe(error);
                tracing::warn!(
                    "write_key cannot be looked up at {}: {error}; going on without",
                    self.base
                );
            }
        }
        *self.last() = Some((Instant::now(), key.to_owned()));
        Ok(())
    }

    /// The same, unless it was looked up a short while ago.
    ///
    /// # Errors
    /// As for [`LookUp::check`].
    pub async fn check_at_times(&self, client: &Client, key: &str) -> Result<(), String> {
        let is_fresh = self
            .last()
            .as_ref()
            .is_some_and(|(at, of)| of == key && at.elapsed() < AGAIN_AFTER);
        if is_fresh {
            return Ok(());
        }
        self.check(client, key).await
    }

    async fn ask(&self, client: &Client, key: &str) -> Result<(u16, Known), reqwest::Error> {
        let answer = client.get(self.url(key)).send().await?;
        let status = answer.status().as_u16();
        Ok((status, known(status)))
    }

    fn url(&self, key: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend(["v1", "projects", key, "settings"]);
        }
        url
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<(Instant, String)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 403 is how stores behind such an address say that nothing is there.
fn known(status: u16) -> Known {
    match status {
        200..=299 => Known::Yes,
        400 | 401 | 403 | 404 | 410 => Known::No,
        _ => Known::Unclear,
    }
}
