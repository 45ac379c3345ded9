//! Appending to the journal: each commit is on disk (fdatasync) before it counts.
//!
//! With several writers the ones that wait share a sync; how many did stands behind each figure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use sluice::journal::{EventMark, Journal, JournalOptions, Log};
use tokio::task::JoinSet;

use crate::{events, runtime};

/// So that the disk does not fill: what is passed goes at once, segment by segment.
const SEGMENT_BYTES: u64 = 16 << 20;

pub fn bench(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("journal");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    for writers in [1, 8] {
        for events in [1, 10, 100, 1_000] {
            let folder = tempfile::tempdir().expect("a folder");
            let journal = Journal::open(JournalOptions {
                segment_bytes: SEGMENT_BYTES,
                retain: Duration::ZERO,
                ..JournalOptions::new(folder.path())
            });
            let log = journal
                .and_then(|journal| journal.log("bench"))
                .expect("a log");
            let commit = Commit::new(events);
            let commits = AtomicU64::new(0);
            let syncs_before = log.sync_count();
            group.throughput(Throughput::Elements(events));
            let id = BenchmarkId::new(format!("{writers}_writers"), format!("{events}_events"));
            group.bench_function(id, |bench| {
                bench.iter_custom(|count| {
                    commits.fetch_add(count, Ordering::Relaxed);
                    let took = runtime.block_on(append(&log, &commit, writers, count));
                    log.release(log.next_sequence(), i64::MAX);
                    took
                });
            });
            let syncs = log.sync_count() - syncs_before;
            let commits = commits.load(Ordering::Relaxed);
            println!(
                "journal/{writers}_writers/{events}_events: {commits} commits, {syncs} syncs, {:.2} commits a sync\n",
                commits as f64 / syncs as f64
            );
        }
    }
    group.finish();
}

/// What is appended: the body of a request with the places of its events.
#[derive(Clone)]
struct Commit {
    events: Arc<[EventMark]>,
    body: Bytes,
}

impl Commit {
    fn new(events: u64) -> Self {
        let submission =
            sluice_braze::split(Bytes::from(events::body(0, events))).expect("it holds events");
        let events = submission.events.into_iter();
        let events = events
            .map(|event| EventMark {
                start: event.start,
                end: event.end,
                event_type: event.event_type,
                id: event.id,
                time_ms: event.time_ms,
                duplicate: false,
            })
            .collect();
        Self {
            events,
            body: submission.body,
        }
    }
}

/// So many commits by so many writers at a time.
async fn append(log: &Arc<Log>, commit: &Commit, writers: u64, count: u64) -> Duration {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for writer in 0..writers {
        let (log, commit) = (Arc::clone(log), commit.clone());
        running.spawn(async move {
            for _ in (writer..count).step_by(writers as usize) {
                log.append(0, commit.events.to_vec(), Vec::new(), commit.body.clone())
                    .await
                    .expect("appended");
            }
        });
    }
    running.join_all().await;
    began.elapsed()
}
