//! The way of an event: source → journal → select → map → check → batch → sink → account.
//!
//! The engine knows plugins by the registry only, and no system by name. Its invariants:
//!
//! - an event is acknowledged to a source only after the journal has it on disk ([`intake`]);
//! - an event is settled exactly once, with cursor and account in one atomic step ([`connector`]);
//! - only [`delivery`] decides what follows from a sink's answer;
//! - one connector that stands still slows neither another nor the source.

pub mod account;
pub mod connector;
pub mod cursor;
pub mod dead_letters;
pub mod delivery;
pub mod demo;
pub mod gate;
pub mod intake;
pub mod prepare;
mod run;
pub mod status;
#[cfg(test)]
mod tests;

pub use run::{RunOptions, Running, Shared, StartError, asked_to_stop, read_status, run_command};
