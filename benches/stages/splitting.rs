//! A request's body to the places of its events, with type, id and time of each.

use std::borrow::Cow;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::events;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("splitting");
    for count in [1, 100, 1_000] {
        let body = Bytes::from(events::body(0, count));
        let ours = sluice_braze::split(body.clone()).expect("it holds events");
        let theirs = raw_values(&body).expect("it is JSON");
        assert!(ours.malformed.is_empty());
        assert!(
            ours.events
                .iter()
                .map(|event| &*event.id)
                .eq(theirs.iter().map(|(_, head)| &*head.id)),
            "both find the same"
        );
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("split", count), |bench| {
            bench.iter(|| sluice_braze::split(black_box(body.clone())));
        });
        group.bench_function(BenchmarkId::new("raw_values", count), |bench| {
            bench.iter(|| raw_values(black_box(&body)));
        });
    }
    group.finish();
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read because the source reads it")]
struct Head<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    time: i64,
}

/// The reference: serde's structs as one writes them by hand. It refuses a body as a whole for one bad event.
fn raw_values(body: &[u8]) -> serde_json::Result<Vec<(&RawValue, Head<'_>)>> {
    let envelope: Envelope<'_> = serde_json::from_slice(body)?;
    envelope
        .events
        .into_iter()
        .map(|raw| Ok((raw, serde_json::from_str(raw.get())?)))
        .collect()
}
