//! One event to its document, from bytes to bytes, on one core: the compiled evaluator, the plain one,
//! and typed structs as a good engineer writes them by hand for one rule.
//!
//! `cargo bench --bench mapping`. The ratios of one run count; the times are the machine's.

mod cases;
mod typed;

use std::hint::black_box;
use std::sync::Arc;

use cases::document;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sluice::mapping::Mapper;

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn rules(criterion: &mut Criterion) {
    let mapping = cases::typical();
    let mut mapper = Mapper::new(Arc::clone(&mapping));
    for rule in cases::RULES {
        let (event_type, event) = cases::event(rule);
        let fast = document(mapper.map(&event_type, event.as_bytes()));
        let plain = document(mapping.map_bytes(&event_type, event.as_bytes()));
        assert_eq!(fast, plain, "both make the same");

        let mut group = criterion.benchmark_group(rule);
        group.throughput(Throughput::Elements(1));
        group.bench_function("compiled", |bench| {
            bench.iter(|| mapper.map(&event_type, black_box(event.as_bytes())));
        });
        group.bench_function("plain", |bench| {
            bench.iter(|| mapping.map_bytes(&event_type, black_box(event.as_bytes())));
        });
        if rule == "copy" {
            assert_eq!(typed::map(event.as_bytes()).expect("a click"), fast);
            group.bench_function("typed", |bench| {
                bench.iter(|| typed::map(black_box(event.as_bytes())).expect("a click"));
            });
            group.bench_function("parse_only", |bench| {
                bench.iter(|| {
                    serde_json::from_slice::<serde::de::IgnoredAny>(black_box(event.as_bytes()))
                });
            });
        }
        group.finish();
    }
}

/// Every type of the catalogue once, by the built-in rules.
fn built_in(criterion: &mut Criterion) {
    let mapping = cases::mapping("builtin:braze_to_segment", ".");
    let catalogue = mapping.target().catalogue.expect("a catalogue");
    let events: Vec<(String, String)> = catalogue
        .events
        .iter()
        .map(|event| (event.name.clone(), event.synthesize(1, 1).to_string()))
        .collect();
    let mut mapper = Mapper::new(Arc::clone(&mapping));
    let mut group = criterion.benchmark_group("built_in");
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("compiled", |bench| {
        bench.iter(|| {
            for (event_type, event) in &events {
                black_box(mapper.map(event_type, event.as_bytes()));
            }
        });
    });
    group.bench_function("plain", |bench| {
        bench.iter(|| {
            for (event_type, event) in &events {
                black_box(mapping.map_bytes(event_type, event.as_bytes()));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, rules, built_in);
criterion_main!(benches);
