//! Does the answer of the webhook depend on the sink, and the memory on the backlog?
//!
//! ```console
//! $ cargo bench --bench delivery                           answer times, as ratios of one run
//! $ cargo bench --bench delivery -- --backlog 10000000     memory while so many events wait
//! ```
//!
//! The real process, with the load and the sink's double in this one beside it. Nothing here fails by
//! its numbers: they belong to the machine; what a reader compares are the ratios.

#[path = "../tests/faults/harness.rs"]
mod harness;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use clap::Parser;
use harness::{BODY, Settings, World, envelope, small};
use serde_json::{Value, json};
use support::Sluice;
use tokio::task::JoinSet;

/// Requests of one measurement.
const REQUESTS: u64 = 2_000;
/// … and before it, so that connections and memory are there.
const WARM_UP: u64 = 200;
/// Requests at the same time.
const SENDERS: u64 = 4;
/// Lines of progress of the long form.
const PROGRESS_EVERY: u64 = 1_000_000;

#[derive(Parser)]
struct Args {
    /// Measure memory with so many events waiting, instead of the answer times.
    #[arg(long)]
    backlog: Option<u64>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        match args.backlog {
            Some(events) => backlog(events).await,
            None => answer_times().await,
        }
    });
}

async fn answer_times() {
    let sinks = [
        ("at once", json!([])),
        (
            "after 50 ms",
            json!({"mode": "slow", "delay_ms": 50, "times": 0}),
        ),
        (
            "401, held",
            json!({"mode": "status", "status": 401, "times": 0}),
        ),
        ("503", json!({"mode": "status", "status": 503, "times": 0})),
    ];
    println!(
        "{REQUESTS} requests of {BODY} events, {SENDERS} at a time, each on disk before its answer\n"
    );
    println!(
        "{:<14} {:>10} {:>10} {:>12} {:>12}",
        "sink answers", "p50 µs", "p99 µs", "p50 ratio", "p99 ratio"
    );
    let mut first = None;
    for (name, trouble) in sinks {
        let times = measure(trouble).await;
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
        let (p50, p99) = (at(0.5), at(0.99));
        let (base_50, base_99) = *first.get_or_insert((p50, p99));
        println!(
            "{name:<14} {p50:>10.0} {p99:>10.0} {:>12.2} {:>12.2}",
            p50 / base_50,
            p99 / base_99
        );
    }
}

/// Answer times, sorted.
async fn measure(trouble: Value) -> Vec<Duration> {
    let world = World::new(Settings::default()).await;
    world.fault(trouble).await;
    let sluice = world.start();
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let mut client = Client::new(&sluice);
        senders.spawn(async move {
            let mut times = Vec::new();
            for n in 0..(WARM_UP + REQUESTS) / SENDERS {
                let first = (n * SENDERS + sender) * BODY;
                let body = bodies(first);
                let began = Instant::now();
                client.send(body).await;
                if n >= WARM_UP / SENDERS {
                    times.push(began.elapsed());
                }
            }
            times
        });
    }
    let mut times: Vec<Duration> = senders.join_all().await.concat();
    times.sort_unstable();
    times
}

async fn backlog(events: u64) {
    let world = World::new(Settings::default()).await;
    world
        .fault(json!({"mode": "status", "status": 503, "times": 0}))
        .await;
    let sluice = world.start();
    let began = Instant::now();
    let tell = |what: &str, events: u64, sluice: &Sluice| {
        println!(
            "{:>6} s  {events:>10} {what}, {} MiB at most",
            began.elapsed().as_secs(),
            sluice.peak_memory() >> 20
        );
    };
    let mut client = Client::new(&sluice);
    for first in (0..events).step_by(BODY as usize) {
        client.send(bodies(first)).await;
        if (first + BODY).is_multiple_of(PROGRESS_EVERY) {
            tell("events wait", first + BODY, &sluice);
        }
    }
    tell("events wait, all of them", events, &sluice);
    // A start with the backlog there has to be as small.
    sluice.kill();
    let sluice = world.start();
    tell("events wait, started again", events, &sluice);
    world.mend().await;
    for documents in (0..events)
        .step_by(PROGRESS_EVERY as usize)
        .skip(1)
        .chain([events])
    {
        world.arrives(documents).await;
        tell("documents arrived", documents, &sluice);
    }
    assert_eq!(sluice.stop(), Some(0));
    assert_eq!(
        world.status()["connectors"]["braze-to-segment"]["events"]["delivered"],
        events
    );
}

fn bodies(first: u64) -> Vec<u8> {
    let events: Vec<String> = (first..first + BODY)
        .map(|n| small(&format!("event-{n}")).to_string())
        .collect();
    envelope(&events)
}

/// One connection that is kept.
struct Client {
    http: reqwest::Client,
    endpoint: String,
}

impl Client {
    fn new(sluice: &Sluice) -> Self {
        Self {
            http: reqwest::Client::new(),
            endpoint: sluice.endpoint.clone(),
        }
    }

    async fn send(&mut self, body: Vec<u8>) {
        let request = self
            .http
            .post(&self.endpoint)
            .bearer_auth("test-token")
            .body(body);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.bytes().await.expect("an answer");
    }
}
