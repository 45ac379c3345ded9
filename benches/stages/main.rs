//! The stages of an event's way, each by itself.
//!
//! ```console
//! $ cargo bench --bench stages                 all of them
//! $ cargo bench --bench stages -- journal      one: splitting, journal, ingest, batch
//! ```
//!
//! Elements are events (in `batch`: documents). Mapping has a bench of its own, the whole way is
//! `end_to_end`. The ratios of one run count; the times are the machine's.

mod batch;
mod events;
mod ingest;
mod journal;
mod splitting;

use criterion::{criterion_group, criterion_main};
use sluice as _;

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As the program runs: one thread a core.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime")
}

criterion_group!(
    benches,
    splitting::bench,
    journal::bench,
    ingest::bench,
    batch::bench
);
criterion_main!(benches);
