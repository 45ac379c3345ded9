//! Trouble on demand: `POST /_sandbox/faults` with one of these, or a list of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One kind of trouble, for the next `times` calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What happens.
    pub mode: FaultMode,
    /// For how many calls. Default: 1; 0: until the faults are cleared.
    #[serde(default = "one")]
    pub times: u32,
    /// The status, for `status`, `redirect` and `refuse_gzip`.
    #[serde(default)]
    pub status: Option<u16>,
    /// `Retry-After`: seconds or an HTTP date.
    #[serde(default)]
    pub retry_after: Option<Value>,
    /// `X-RateLimit-Reset`, seconds.
    #[serde(default)]
    pub rate_limit_reset: Option<u64>,
    /// The body of the answer, for `status`.
    #[serde(default)]
    pub body: Option<String>,
    /// How long to wait, for `slow`. Default: 1,000.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// Only for requests with this text in their body, after decompression: a document's id, a key.
    /// Others pass and do not count. Default: for all.
    #[serde(default)]
    pub contains: Option<String>,
}

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultMode {
    /// Another status; nothing is stored.
    Status,
    /// A redirect (default 307) to a place that takes everything; nothing is stored.
    Redirect,
    /// The connection is reset before anything is stored.
    ResetBefore,
    /// Everything is stored, then the connection is reset: the answer is lost.
    ResetAfter,
    /// Everything is stored, then the answer is late.
    Slow,
    /// Everything is stored, then half of the answer comes.
    HalfResponse,
    /// Compressed requests get a status (default 415). Plain ones pass and do not count.
    RefuseGzip,
}

fn one() -> u32 {
    1
}

impl Fault {
    /// Trouble of this kind, once.
    pub fn new(mode: FaultMode) -> Self {
        Self {
            mode,
            times: 1,
            status: None,
            retry_after: None,
            rate_limit_reset: None,
            body: None,
            delay_ms: None,
            contains: None,
        }
    }

    /// Whether this request has the trouble.
    pub(super) fn concerns(&self, is_gzip: bool, body: &[u8]) -> bool {
        let has_text = self.contains.as_ref().is_none_or(|text| {
            body.windows(text.len().max(1))
                .any(|part| part == text.as_bytes())
        });
        has_text && (is_gzip || self.mode != FaultMode::RefuseGzip)
    }

    /// Answer with this status, once.
    pub fn status(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::new(FaultMode::Status)
        }
    }
}
