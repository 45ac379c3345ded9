//! How many requests a connector has in flight: fewer when the sink asks for less, more while it takes them.
//!
//! Additive increase, multiplicative decrease: a request that is not taken halves the number, not
//! more than once in [`CUT_EVERY`] (what was in flight at the time of a cut fails for the same
//! reason); as many requests taken as are allowed at once add one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Shortest time between two cuts.
const CUT_EVERY: Duration = Duration::from_secs(1);

/// The pace of one connector.
pub struct Pace {
    most: usize,
    state: Mutex<State>,
    room: Notify,
}

struct State {
    allowed: usize,
    in_flight: usize,
    /// Requests taken since `allowed` last changed.
    taken: usize,
    cut_at: Option<Instant>,
}

/// Leave to have one request in flight.
pub struct Turn<'a>(&'a Pace);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
        self.0.room.notify_one();
    }
}

impl Pace {
    /// Begins with the most that the sink stands.
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            most,
            state: Mutex::new(State {
                allowed: most,
                in_flight: 0,
                taken: 0,
                cut_at: None,
            }),
            room: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that may be in flight at the moment.
    pub fn allowed(&self) -> usize {
        self.state().allowed
    }

    /// … and when the sink is well.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Wait for a turn. Cancel-safe.
    pub async fn turn(&self) -> Turn<'_> {
        loop {
            let room = self.room.notified();
            {
                let mut state = self.state();
                if state.in_flight < state.allowed {
                    state.in_flight += 1;
                    return Turn(self);
                }
            }
            room.await;
        }
    }

    /// A request was taken.
    pub fn taken(&self) {
        let mut state = self.state();
        state.taken += 1;
        if state.taken >= state.allowed && state.allowed < self.most {
            state.allowed += 1;
            state.taken = 0;
            drop(state);
            self.room.notify_one();
        }
    }

    /// A request was not taken.
    pub fn not_taken(&self) {
        let now = Instant::now();
        let mut state = self.state();
        if state.cut_at.is_some_and(|at| now < at + CUT_EVERY) {
            return;
        }
        state.cut_at = Some(now);
        state.allowed = (state.allowed / 2).max(1);
        state.taken = 0;
    }
}
