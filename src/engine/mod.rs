//! The way of an event: source → journal → select → map → check → batch → sink → account.
//!
//! The engine knows plugins by the registry only, and no system by name. Its invariants:
//!
//! - an event is acknowledged to a source only after the journal has it on disk ([`intake`]);
//! - an event is settled exactly once, with cursor and account in one atomic step ([`connector`]);
//! - only [`delivery`] decides what follows from a sink's answer;
//! - one connector that stands still slows neither another nor the source.

pub mod account;
pub mod batch;
mod command;
pub mod connector;
pub mod cursor;
pub mod dead_letters;
pub mod delivery;
pub mod gate;
pub mod intake;
pub mod keeper;
mod lanes;
mod masked;
mod pace;
mod places;
pub mod prepare;
mod reload;
pub mod replay;
mod run;
mod shared;
mod signals;
mod state;
pub mod status;
#[cfg(test)]
mod tests;
mod watch;

pub use command::{RunOptions, run_command};
pub use lanes::{Lanes, PauseError};
pub use masked::masked;
pub use reload::{Asked, Changes, Refused, Reloader};
pub use run::Running;
pub use shared::Shared;
pub use signals::asked_to_stop;
pub use state::{StartError, read_status, replays_at_rest, save_paused};
