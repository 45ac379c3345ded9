//! Faults, with the real process between a real upstream and the sink's double. After each of them:
//! what was acknowledged has its one end, the account adds up, documents came twice only under the
//! same identity.
//!
//! | what goes wrong | proved in |
//! | --- | --- |
//! | `kill -9` at random moments, SIGTERM under load, two processes on one folder | `process` |
//! | the sink: down, slow, 429, 401, resets, half answers, one bad document | `sink` |
//! | no room on the disk | `disk` |
//! | one bad event among a hundred | `events` |
//! | ten thousand open connections, packed bombs, huge heads | `connections` |
//! | the clock is set back by hours | `clock` |
//! | what the log says of a batch that was refused and split | `trace` |
//!
//! Proved elsewhere, and not again here:
//!
//! | what goes wrong | proved in |
//! | --- | --- |
//! | all event types, killed after every 17th body | `tests/main_job.rs` |
//! | the last record torn at every byte, flipped bits, lost segments | `src/journal/tests.rs` |
//! | three days of 401, a sink down for days: on a clock that is moved | `src/engine/tests.rs` |
//! | each kind of peer that is slow, silent or too large | `plugins/braze/tests/limits.rs` |
//! | all of it for as long as one likes | `cargo run --example soak` |

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod connections;
mod disk;
mod events;
mod fixture;
mod harness;
mod process;
mod sink;
mod trace;
