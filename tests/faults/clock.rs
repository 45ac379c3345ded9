//! The clock is set back by hours while events wait and dead letters are there. The engine runs in
//! this process, by a clock of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::config::Mode;
use sluice::diagnostics::Files;
use sluice::engine::prepare::prepare;
use sluice::engine::{Running, Shared};

use crate::harness::{Settings, World, assert_balanced, body, envelope, post, small};
use crate::support::eventually;

const HOUR_MS: i64 = 3_600_000;
/// More than the pause between two looks for what may leave.
const HOUSEKEEPING: Duration = Duration::from_secs(31);

struct Engine {
    running: Running,
    shared: Arc<Shared>,
    endpoint: String,
    ahead_ms: Arc<AtomicI64>,
}

impl Engine {
    async fn start(world: &World) -> Self {
        let (mut files, mut found) = (Files::default(), Vec::new());
        let prepared = prepare(&world.config, Mode::Run, &|_| None, &mut files, &mut found);
        let prepared = prepared.expect("a good config");
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let clock = Clock::moved_by(Arc::clone(&ahead_ms));
        let running = Running::start_by(prepared, clock).await.expect("it starts");
        let shared = running.shared();
        let endpoint = shared.endpoint("braze").await.expect("it listens");
        Self {
            running,
            shared,
            endpoint,
            ahead_ms,
        }
    }

    fn set_clock(&self, hours: i64) {
        self.ahead_ms.store(hours * HOUR_MS, Ordering::SeqCst);
    }

    async fn send(&self, events: impl IntoIterator<Item = Value>) {
        let (status, _) = post(&self.endpoint, envelope(&body(events))).await;
        assert_eq!(status, 200);
    }

    fn status(&self) -> Value {
        serde_json::to_value(self.shared.status()).expect("JSON")
    }

    /// Send an event until its id is forgotten, and it is the `delivered`-th one. Gives how often it was
    /// a duplicate before.
    async fn until_taken_anew(&self, id: &str, delivered: u64) -> u64 {
        let duplicates = || {
            let status = self.status();
            status
                .pointer(&format!("{EVENTS}/skipped/duplicate"))
                .and_then(Value::as_u64)
        };
        let first = duplicates();
        for tries in 0..1_000 {
            let before = duplicates();
            self.send([small(id)]).await;
            let is_delivered = || {
                let status = self.status();
                status.pointer(&format!("{EVENTS}/delivered")) == Some(&json!(delivered))
            };
            eventually("it is settled", || is_delivered() || duplicates() > before).await;
            if is_delivered() {
                assert_eq!(duplicates(), first.map(|first| first + tries));
                return tries;
            }
        }
        panic!("{id} is never forgotten");
    }

    /// Wait for a number at this place.
    async fn shows(&self, place: &str, number: u64) {
        let shown = || self.status().pointer(place).and_then(Value::as_u64);
        eventually(&format!("{place} is {number}"), || shown() == Some(number)).await;
    }
}

/// Let this much time pass for every wait, at once.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn plain(numbers: std::ops::Range<u32>) -> impl Iterator<Item = Value> {
    numbers.map(|n| small(&format!("event-{n}")))
}

fn oversize(id: &str) -> Value {
    let mut event = small(id);
    event["properties"]["campaign_name"] = json!("x".repeat(40_000));
    event
}

const EVENTS: &str = "/connectors/braze-to-segment/events";
const LETTERS: &str = "/dead_letters/braze-to-segment";

#[tokio::test]
async fn a_clock_that_is_set_back_loses_nothing_and_forgets_nothing_early() {
    let world = World::new(Settings {
        source: "deduplicate: 1h, expect_every: 30m",
        journal: "retain: 1h, dead_letters: { retain: 1h }",
        ..Settings::default()
    })
    .await;
    world
        .fault(json!({"mode": "status", "status": 503, "times": 0}))
        .await;
    let engine = Engine::start(&world).await;
    engine.send(plain(0..10).chain([oversize("large-1")])).await;
    engine.shows(&format!("{EVENTS}/waiting"), 10).await;
    engine.shows(&format!("{LETTERS}/held"), 1).await;

    engine.set_clock(-5);
    engine
        .send(plain(0..20).chain([oversize("large-1"), oversize("large-2")]))
        .await;
    engine.shows(&format!("{EVENTS}/waiting"), 20).await;
    engine.shows(&format!("{LETTERS}/held"), 2).await;
    engine
        .shows(&format!("{EVENTS}/skipped/duplicate"), 11)
        .await;
    pass(HOUSEKEEPING).await;
    world.mend().await;
    engine.shows(&format!("{EVENTS}/delivered"), 20).await;
    engine.shows(&format!("{LETTERS}/held"), 2).await;

    // Two hours later by the new clock: the ids that it stamped have had their time, those of the old
    // one have not; letters leave in their order, never before their time.
    engine.set_clock(-3);
    pass(HOUSEKEEPING).await;
    let tries = engine.until_taken_anew("event-10", 21).await;
    engine.send([small("event-0")]).await;
    engine
        .shows(&format!("{EVENTS}/skipped/duplicate"), 11 + tries + 1)
        .await;
    engine.shows(&format!("{EVENTS}/delivered"), 21).await;
    engine.shows(&format!("{LETTERS}/held"), 2).await;
    assert_eq!(engine.status()["sources"]["braze"]["is_silent"], false);
    pass(Duration::from_secs(31 * 60)).await;
    assert_eq!(engine.status()["sources"]["braze"]["is_silent"], true);

    // Set right again: the rest leaves too.
    engine.set_clock(2);
    pass(HOUSEKEEPING).await;
    engine
        .shows(&format!("{LETTERS}/expired/too-large"), 2)
        .await;
    engine.running.shutdown().await;
    drop(engine.shared);
    let status = world.status();
    assert_balanced(&status);
    assert_eq!(
        status.pointer(&format!("{EVENTS}/waiting")),
        Some(&json!(0))
    );
    assert_eq!(world.double.accepted(), 20);
    assert_eq!(world.duplicates(), 1, "the one whose id was forgotten");
}
