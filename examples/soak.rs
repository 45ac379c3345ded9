//! Faults at random for as long as one likes: nothing may be lost.
//!
//! ```console
//! $ cargo run --release --example soak -- --minutes 10
//! $ cargo run --example soak -- --kills 20 --events 20000
//! ```
//!
//! The real process runs between an upstream that repeats itself and a sink that answers 429, 500,
//! 401, half, late or not at all. Meanwhile the process is killed (`kill -9`) and stopped (SIGTERM) at
//! random moments. It runs until each of the given numbers is reached, then everything is drained and
//! compared. Exit code 1 when an event is missing or the account does not add up.

#[path = "../tests/faults/harness.rs"]
mod harness;
#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use harness::{Load, Sent, Settings, World, assert_balanced, count, sum};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use support::Sluice;

/// Requests at the same time from the upstream.
const SENDERS: usize = 3;
/// Longest time between two acts.
const ACT_MS_MAX: u64 = 1_200;
/// How often a line of progress comes.
const PROGRESS: Duration = Duration::from_secs(10);
/// The upstream sends every so many-th body again after it was acknowledged.
const REPEAT_EVERY: u64 = 7;

#[derive(Parser)]
#[command(name = "soak", about = "Faults at random, for as long as one likes.")]
struct Args {
    /// At least so many minutes.
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    /// At least so many events.
    #[arg(long, default_value_t = 0)]
    events: u64,
    /// At least so many `kill -9`.
    #[arg(long, default_value_t = 20)]
    kills: u64,
    /// Seed of the random moments and troubles; printed, so that a run can be had again, as far as
    /// the machine's own timing allows. Default: another one each time.
    #[arg(long)]
    seed: Option<u64>,
}

/// What happened so far.
#[derive(Default)]
struct Tally {
    kills: u64,
    stops: u64,
    starts: u64,
    looks: u64,
    troubles: BTreeMap<String, u64>,
    peak_memory: u64,
}

fn main() -> ExitCode {
    if std::env::var_os(support::AS_PROGRAM).is_some() {
        return sluice::main();
    }
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // A broken expectation is a panic in there, and has said why.
    match runtime.block_on(async { tokio::spawn(soak(args)).await }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => {
            println!("FAILED");
            ExitCode::FAILURE
        }
    }
}

async fn soak(args: Args) {
    let seed = args.seed.unwrap_or_else(|| rand::rng().random());
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new(Settings {
        sink: "timeout: 1",
        // Each dead letter is counted in the end, so none may leave by size.
        journal: "max_size: 1TiB, dead_letters: { max_size: 1TiB }",
        ..Settings::default()
    })
    .await;
    let mut tally = Tally::default();
    let began = Instant::now();
    let mut told = began;
    let mut sluice = start(&world, &mut tally);
    let load = Load::repeating(REPEAT_EVERY, &sluice, SENDERS);
    while began.elapsed() < Duration::from_secs(args.minutes * 60)
        || load.acknowledged() < args.events
        || tally.kills < args.kills
    {
        if random.random_ratio(1, 2) {
            let trouble = trouble(&mut random);
            *tally.troubles.entry(name_of(&trouble)).or_default() += 1;
            world.fault(trouble).await;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..ACT_MS_MAX))).await;
        sluice = act(sluice, &world, &load, &mut tally, &mut random);
        load.follow(&sluice);
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            println!(
                "{:>5} s  {}",
                began.elapsed().as_secs(),
                line(&world, &load, &tally)
            );
        }
    }
    let (end, repeated) = load.finish().await;
    let sent = Sent::below(end);
    world.mend().await;
    world.arrives(sent.delivered).await;
    tally.peak_memory = tally.peak_memory.max(sluice.peak_memory());
    let status = world.ends_with(sluice, &sent);
    println!(
        "\n{}",
        table(&world, &status, &sent, repeated, &tally, began.elapsed())
    );
}

fn start(world: &World, tally: &mut Tally) -> Sluice {
    tally.starts += 1;
    world.start()
}

/// Kill it, stop it, or leave it alone.
fn act(
    sluice: Sluice,
    world: &World,
    load: &Load,
    tally: &mut Tally,
    random: &mut StdRng,
) -> Sluice {
    tally.peak_memory = tally.peak_memory.max(sluice.peak_memory());
    let acknowledged = load.acknowledged();
    match random.random_range(0..10) {
        0..7 => {
            sluice.kill();
            tally.kills += 1;
        }
        7 => {
            assert_eq!(sluice.stop(), Some(0), "a clean stop");
            tally.stops += 1;
        }
        _ => return sluice,
    }
    // Not each time: this look mends a torn end, and the start must be able to do so itself.
    if random.random_ratio(1, 3) {
        let status = world.status();
        assert_balanced(&status);
        let received = count(&status["connectors"]["braze-to-segment"]["events"]["received"]);
        assert!(
            received >= acknowledged,
            "{received} of {acknowledged} acknowledged events"
        );
        tally.looks += 1;
    }
    start(world, tally)
}

fn trouble(random: &mut StdRng) -> Value {
    let times = random.random_range(1..6);
    match random.random_range(0..9) {
        0 => json!({"mode": "status", "status": 429, "retry_after": 1, "times": times}),
        1 => json!({"mode": "status", "status": 429, "times": times}),
        2 => json!({"mode": "status", "status": 500, "times": times}),
        3 => json!({"mode": "status", "status": 503, "retry_after": 1, "times": times}),
        4 => json!({"mode": "status", "status": 401, "times": 1}),
        5 => json!({"mode": "reset_before", "times": times}),
        6 => json!({"mode": "reset_after", "times": times}),
        7 => json!({"mode": "half_response", "times": times}),
        _ => json!({"mode": "slow", "delay_ms": random.random_range(100..1_500), "times": times}),
    }
}

fn name_of(trouble: &Value) -> String {
    let mode = trouble["mode"].as_str().unwrap_or_default();
    trouble["status"]
        .as_u64()
        .map_or_else(|| mode.to_owned(), |status| status.to_string())
}

fn line(world: &World, load: &Load, tally: &Tally) -> String {
    format!(
        "{} events acknowledged, {} documents at the sink, {} kills, {} stops",
        load.acknowledged(),
        world.double.accepted(),
        tally.kills,
        tally.stops
    )
}

fn table(
    world: &World,
    status: &Value,
    sent: &Sent,
    repeated: u64,
    tally: &Tally,
    took: Duration,
) -> String {
    let events = &status["connectors"]["braze-to-segment"]["events"];
    let lost = sent.all().saturating_sub(
        world.double.accepted() + sum(&events["dead"]) + count(&events["skipped"]["unmapped"]),
    );
    let troubles: Vec<String> = tally
        .troubles
        .iter()
        .map(|(name, times)| format!("{name} {times}"))
        .collect();
    let rows = [
        ("time", format!("{} s", took.as_secs())),
        (
            "events",
            format!("{}, and {repeated} of them sent again", sent.all()),
        ),
        (
            "documents",
            format!("{} at the sink", world.double.accepted()),
        ),
        (
            "came again",
            format!("{} documents, under the same id", world.duplicates()),
        ),
        ("lost", lost.to_string()),
        ("kill -9", tally.kills.to_string()),
        ("SIGTERM", tally.stops.to_string()),
        ("starts", tally.starts.to_string()),
        (
            "looks",
            format!("{} at the account after an end; it added up", tally.looks),
        ),
        ("trouble", troubles.join(", ")),
        ("memory", format!("{} MiB at most", tally.peak_memory >> 20)),
        (
            "account",
            format!(
                "{} received = {} delivered + {} skipped + {} dead + {} expired + {} waiting",
                events["received"],
                events["delivered"],
                sum(&events["skipped"]),
                sum(&events["dead"]),
                events["expired"],
                events["waiting"]
            ),
        ),
    ];
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<12} {value}");
        text
    })
}
