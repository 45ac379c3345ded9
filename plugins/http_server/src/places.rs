//! Places for connections: a fixed number, and whoever uses none of it makes room.
//!
//! A connection without a request under way is idle, from its first moment on. When all places are
//! taken, the connection that has been idle for longest gives its place to the next one, though not
//! before [`IDLE_MIN`]. So peers that hold connections open, or send a head byte by byte, keep nobody
//! out for long; a body is only waited for after the token was found good.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sluice_sdk::Stop;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// What every connection gets for its head, handshake included, before it has to make room.
const IDLE_MIN: Duration = Duration::from_millis(250);

/// All places of a listener.
pub struct Places {
    free: Arc<Semaphore>,
    idle: Mutex<Idle>,
    became_idle: Notify,
}

#[derive(Default)]
struct Idle {
    /// By the order in which they became idle.
    connections: BTreeMap<u64, (Instant, CancellationToken)>,
    next: u64,
}

/// The place of one connection; given back when dropped.
pub struct Place {
    places: Arc<Places>,
    use_: Mutex<Use>,
    give_up: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

struct Use {
    requests: usize,
    /// Its key among the idle ones, and since when.
    idle: Option<(u64, Instant)>,
}

/// A request under way; over when dropped.
pub struct Busy(Arc<Place>);

impl Places {
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(max)),
            idle: Mutex::default(),
            became_idle: Notify::new(),
        })
    }

    /// Wait for a place, at the cost of an idle connection if there is one. Cancel-safe.
    pub async fn take(self: &Arc<Self>) -> Arc<Place> {
        loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                return Place::new(Arc::clone(self), permit);
            }
            let next = self.close_longest_idle();
            tokio::select! {
                permit = Arc::clone(&self.free).acquire_owned() => {
                    let permit = permit.expect("places: the semaphore is never closed");
                    return Place::new(Arc::clone(self), permit);
                }
                () = self.became_idle.notified(), if next.is_none() => {}
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Gives the moment at which the next one can be closed; `None` when none is idle.
    fn close_longest_idle(&self) -> Option<Instant> {
        let mut idle = lock(&self.idle);
        let longest = idle.connections.first_entry()?;
        let until = longest.get().0 + IDLE_MIN;
        if until > Instant::now() {
            return Some(until);
        }
        longest.remove().1.cancel();
        let (since, _) = idle.connections.first_key_value()?.1;
        Some(*since + IDLE_MIN)
    }
}

impl Place {
    fn new(places: Arc<Places>, permit: OwnedSemaphorePermit) -> Arc<Self> {
        let place = Self {
            places,
            use_: Mutex::new(Use {
                requests: 0,
                idle: None,
            }),
            give_up: CancellationToken::new(),
            _permit: permit,
        };
        place.rest(&mut lock(&place.use_));
        Arc::new(place)
    }

    /// A request begins.
    pub fn begin(self: &Arc<Self>) -> Busy {
        let mut used = lock(&self.use_);
        used.requests += 1;
        if let Some((key, _)) = used.idle.take() {
            lock(&self.places.idle).connections.remove(&key);
        }
        drop(used);
        Busy(Arc::clone(self))
    }

    /// Returns when the connection must go: idle for `idle_max` or at the stop, or its place is
    /// wanted. Not at a stop with a request under way.
    pub async fn must_go(&self, idle_max: Duration, stop: &Stop) {
        let mut is_stopping = false;
        loop {
            let since = self.idle_since();
            let until = since.unwrap_or_else(Instant::now) + idle_max;
            tokio::select! {
                () = self.give_up.cancelled() => return,
                () = sleep_until(until) => {}
                () = stop.requested(), if !is_stopping => is_stopping = true,
            }
            let is_over = is_stopping || Instant::now() >= until;
            if since.is_some() && since == self.idle_since() && is_over {
                return;
            }
        }
    }

    fn idle_since(&self) -> Option<Instant> {
        lock(&self.use_).idle.map(|(_, since)| since)
    }

    fn rest(&self, used: &mut Use) {
        let mut idle = lock(&self.places.idle);
        let key = idle.next;
        idle.next += 1;
        let now = Instant::now();
        idle.connections.insert(key, (now, self.give_up.clone()));
        used.idle = Some((key, now));
        drop(idle);
        self.places.became_idle.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((key, _)) = lock(&self.use_).idle {
            lock(&self.places.idle).connections.remove(&key);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut used = lock(&self.0.use_);
        used.requests -= 1;
        if used.requests == 0 {
            self.0.rest(&mut used);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
