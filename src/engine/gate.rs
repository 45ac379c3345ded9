//! Whether a connector may send: open, waiting for a while, held until a person has acted, or paused
//! because a person has asked for it.
//!
//! A hold drops nothing. While it lasts the sink's `check` is tried with growing pauses; when it
//! passes, one batch goes alone, and only its success opens the gate again.

use std::time::Duration;

use jiff::Timestamp;
use sluice_sdk::{CheckError, DynSink};
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;

use super::status::Held;
use crate::clock::Clock;

/// First pause between two checks of a held connector.
const HOLD_PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause; a mended key is noticed at the latest after it.
const HOLD_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Longest time that a sink's `check` may take.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// What a connector is allowed to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateState {
    /// Batches go.
    Open,
    /// A person must act.
    Held {
        /// What happened and what to do.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
}

/// The gate of one connector, shared by all its deliveries.
pub struct Gate {
    state: watch::Sender<GateState>,
    /// A person has asked that nothing be sent.
    paused: watch::Sender<Option<Timestamp>>,
    /// Nobody sends before this moment (Retry-After of the sink).
    not_before: watch::Sender<Option<Instant>>,
    /// Held by the one delivery that tries while the gate is held.
    trial: Mutex<u32>,
    /// Ends the pause before the next check.
    nudged: Notify,
    /// Stamps holds.
    clock: Clock,
}

/// Leave to send one attempt. While the gate is held only one exists at a time.
pub struct Leave<'a> {
    trial: Option<tokio::sync::MutexGuard<'a, u32>>,
}

impl Gate {
    /// An open one.
    pub fn new(clock: Clock) -> Self {
        Self {
            state: watch::Sender::new(GateState::Open),
            paused: watch::Sender::new(None),
            not_before: watch::Sender::new(None),
            trial: Mutex::new(0),
            nudged: Notify::new(),
            clock,
        }
    }

    /// What a person sees.
    pub fn state(&self) -> GateState {
        self.state.borrow().clone()
    }

    /// Why it is held and since when, if it is.
    pub fn held(&self) -> Option<Held> {
        match self.state() {
            GateState::Open => None,
            GateState::Held { reason, since } => Some(Held {
                reason,
                since: since.to_string(),
            }),
        }
    }

    /// Wakes whoever waits for it at each change of [`Gate::held`].
    pub fn watch(&self) -> watch::Receiver<GateState> {
        self.state.subscribe()
    }

    /// Since when a person has it send nothing, if one has.
    pub fn paused(&self) -> Option<Timestamp> {
        *self.paused.borrow()
    }

    /// Send nothing since then, or go on. What is in flight ends by itself.
    pub fn set_paused(&self, since: Option<Timestamp>) {
        self.paused.send_replace(since);
    }

    /// Something has changed: if it is held, try at once.
    pub fn nudge(&self) {
        if !self.is_open() {
            self.nudged.notify_one();
        }
    }

    fn is_open(&self) -> bool {
        *self.state.borrow() == GateState::Open
    }

    /// Wait until an attempt may be made. Cancel-safe.
    pub async fn enter(&self, sink: &dyn DynSink) -> Leave<'_> {
        loop {
            if self.paused().is_some() {
                resumes(&mut self.paused.subscribe()).await;
            }
            let until = *self.not_before.borrow();
            if let Some(until) = until
                && until > Instant::now()
            {
                tokio::time::sleep_until(until).await;
                continue;
            }
            if self.is_open() {
                return Leave { trial: None };
            }
            let mut opened = self.state.subscribe();
            tokio::select! {
                mut tries = self.trial.lock() => {
                    if self.is_open() {
                        continue;
                    }
                    let pause = HOLD_PAUSE_MIN.saturating_mul(1 << (*tries).min(6)).min(HOLD_PAUSE_MAX);
                    tokio::select! {
                        () = self.nudged.notified() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                    *tries = tries.saturating_add(1);
                    match tokio::time::timeout(CHECK_TIMEOUT, sink.check()).await {
                        Err(_) => {
                            self.hold("the check gave no answer".to_owned());
                        }
                        Ok(Ok(())) if self.paused().is_some() => {}
                        Ok(Ok(())) => return Leave { trial: Some(tries) },
                        Ok(Err(CheckError::Refused(reason) | CheckError::Unreachable(reason))) => {
                            self.hold(reason);
                        }
                    }
                }
                () = opens(&mut opened) => {}
            }
        }
    }

    /// Close the gate; an earlier hold keeps its beginning. Returns whether it was open before.
    pub fn hold(&self, reason: String) -> bool {
        let mut was_open = false;
        self.state.send_modify(|state| match state {
            GateState::Open => {
                was_open = true;
                *state = GateState::Held {
                    reason,
                    since: self.clock.now(),
                };
            }
            GateState::Held { reason: before, .. } => *before = reason,
        });
        was_open
    }

    /// The attempt with this leave was taken: open the gate if it was held. Returns whether it was.
    pub fn passed(&self, leave: Leave<'_>) -> bool {
        // One that was sent before the hold says nothing about now.
        let Some(mut tries) = leave.trial else {
            return false;
        };
        *tries = 0;
        self.state.send_if_modified(|state| {
            let was_held = *state != GateState::Open;
            *state = GateState::Open;
            was_held
        })
    }

    /// Let nobody send for a while.
    pub fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        self.not_before.send_modify(|before| {
            if before.is_none_or(|before| before < until) {
                *before = Some(until);
            }
        });
    }
}

async fn resumes(paused: &mut watch::Receiver<Option<Timestamp>>) {
    let _ = paused.wait_for(Option::is_none).await;
}

/// The guard that `wait_for` gives must not live on beside other futures.
async fn opens(state: &mut watch::Receiver<GateState>) {
    let _ = state.wait_for(|state| *state == GateState::Open).await;
}
