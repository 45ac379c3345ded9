//! The time of day, the one way in.
//!
//! It stamps what comes in and says what is old enough to leave. It may be set back or ahead at any
//! moment, so nothing waits by it: waits and pauses are on the runtime's clock, which only goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// Tells the time of day: the system's by default, or one that a test moves.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    ahead_ms: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's clock, ahead by so many milliseconds; less than zero is behind. It can be changed
    /// at any time.
    pub fn moved_by(ahead_ms: Arc<AtomicI64>) -> Self {
        Self {
            ahead_ms: Some(ahead_ms),
        }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        match &self.ahead_ms {
            None => now,
            Some(ahead_ms) => {
                let ahead = SignedDuration::from_millis(ahead_ms.load(Ordering::Relaxed));
                now.saturating_add(ahead).unwrap_or(now)
            }
        }
    }

    /// Now, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }
}
