//! Finished documents to the body of Segment's batch call, plain and compressed, as the sink makes it.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput};
use jiff::Timestamp;
use sluice::diagnostics::Files;
use sluice::mapping::{Mapped, Mapper, Options, Reference, load};
use sluice_sdk::{Bytes, Document};
use sluice_segment::pack::Packers;
use sluice_segment::{prepare, protocol};

use crate::events;

const KEY: &str = "0123456789abcdef0123456789abcdef";

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch");
    for count in [1, 100, full()] {
        let documents = documents(count);
        let bodies: Vec<Bytes> = documents.iter().map(|it| it.body.clone()).collect();
        let mut plain = Vec::new();
        protocol::write_batch(&mut plain, &bodies, Timestamp::UNIX_EPOCH, KEY);
        let packers = Packers::default();
        let pack = || {
            packers
                .pack(black_box(&bodies), Timestamp::UNIX_EPOCH, KEY)
                .expect("room")
        };
        let packed = pack();
        println!(
            "batch of {count}: {} bytes, {} with gzip",
            plain.len(),
            packed.len()
        );
        assert!(plain.len() <= protocol::BATCH_BYTES_MAX);
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("prepare", count), |bench| {
            bench.iter(|| {
                for document in &documents {
                    prepare::prepare(black_box(document.body.clone()), &[])
                        .expect("a good document");
                }
            });
        });
        group.bench_function(BenchmarkId::new("plain", count), |bench| {
            bench.iter(|| {
                let mut body = Vec::new();
                protocol::write_batch(&mut body, black_box(&bodies), Timestamp::UNIX_EPOCH, KEY);
                body
            });
        });
        group.bench_function(BenchmarkId::new("gzip", count), |bench| bench.iter(pack));
    }
    group.finish();
}

/// How many documents fill a batch.
fn full() -> u64 {
    let one = documents(1)[0].body.len() + 1;
    ((protocol::BATCH_BYTES_MAX - protocol::ENVELOPE_BYTES) / (one + 64)) as u64
}

/// By the built-in rules.
fn documents(count: u64) -> Vec<Document> {
    let references = [Reference {
        text: "builtin:braze_to_segment".to_owned(),
        base: PathBuf::from("."),
        span: None,
    }];
    let mapping = load(
        &references,
        &mut Files::default(),
        None,
        Options::default(),
        &mut Vec::new(),
    );
    let mut mapper = Mapper::new(Arc::new(mapping.expect("the built-in rules are good")));
    (0..count)
        .map(
            |n| match mapper.map(events::TYPE, events::event(n).as_bytes()) {
                Mapped::Documents(mut documents) => Document {
                    event_id: n.to_string(),
                    event_type: events::TYPE.to_owned(),
                    body: documents.remove(0).body,
                },
                other => panic!("a document was expected: {other:?}"),
            },
        )
        .collect()
}
