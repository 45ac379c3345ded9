//! The process itself ends, at a bad moment.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::{Load, Sent, Settings, World, assert_balanced, count};
use crate::support::{self, RUN, Sluice};

/// Kills in the short form; more by hand: `SLUICE_TEST_KILLS=300 cargo test --test faults kill`.
const KILLS: u32 = 25;
/// Longest time between a start and the next kill.
const LIFE_MS: u64 = 250;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_at_random_moments_loses_nothing_that_was_acknowledged() {
    let seed = number("SLUICE_TEST_SEED").unwrap_or_else(|| rand::rng().random());
    eprintln!("SLUICE_TEST_SEED={seed}");
    let kills = number("SLUICE_TEST_KILLS").unwrap_or(u64::from(KILLS));
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new(Settings::default()).await;
    let mut sluice = world.start();
    let load = Load::start(&sluice, 3);
    for n in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..LIFE_MS))).await;
        let acknowledged = load.acknowledged();
        sluice.kill();
        // Every other time the next start finds what the kill left, without a reader before it.
        if n % 2 == 0 {
            let status = support::status(&world.config);
            assert_balanced(&status);
            let received = count(&status["connectors"]["braze-to-segment"]["events"]["received"]);
            assert!(received >= acknowledged, "{received} of {acknowledged}");
        }
        sluice = world.start();
        load.follow(&sluice);
    }
    let sent = Sent::below(load.finish().await.0);
    assert!(sent.all() > 0);
    world.arrives(sent.delivered).await;
    world.ends_with(sluice, &sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_ends_cleanly_and_loses_nothing() {
    let world = World::new(Settings::default()).await;
    let mut sluice = world.start();
    let load = Load::start(&sluice, 3);
    for _ in 0..4 {
        let before = load.acknowledged();
        support::eventually("some more bodies are taken", || {
            load.acknowledged() > before + 300
        })
        .await;
        assert_eq!(sluice.stop(), Some(0), "a clean stop");
        assert_balanced(&support::status(&world.config));
        sluice = world.start();
        load.follow(&sluice);
    }
    let sent = Sent::below(load.finish().await.0);
    world.arrives(sent.delivered).await;
    world.ends_with(sluice, &sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_refused_with_the_first_ones_id_and_harms_nothing() {
    let world = World::new(Settings::default()).await;
    let sluice: Sluice = world.start();
    let load = Load::start(&sluice, 1);
    let second = support::program()
        .args(RUN)
        .arg(&world.config)
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("pid {}", sluice.pid())), "{text}");
    assert!(text.contains("in use by another process"), "{text}");
    let sent = Sent::below(load.finish().await.0);
    world.arrives(sent.delivered).await;
    world.ends_with(sluice, &sent);
}
