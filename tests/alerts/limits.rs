//! What comes near a limit, or past it: the journal, the disk, the time since the last event, the
//! time that dead letters stay.

use std::process::Command;

use serde_json::Value;

use crate::support::{self, RUN, Sluice, eventually, program};
use crate::world::{Settings, World, event, feed};

/// Bytes of one event that fills the journal; small enough for the sink.
const FILL: usize = 20_000;

/// Send so many of them.
async fn fill(sluice: &Sluice, from: usize, to: usize) {
    for n in from..to {
        feed(sluice, vec![event(&format!("event-{n}"), FILL)]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_fills_is_told_at_its_marks_and_when_it_has_room_again() {
    let settings = Settings {
        journal: "max_size: 4MiB",
        ..Settings::default()
    };
    let world = World::with("interval: 1s", &settings).await;
    world.refuse().await;
    let sluice = Sluice::start(&world.config);

    // Three quarters of 4 MiB.
    fill(&sluice, 0, 155).await;
    let filling = world.mail.gets("journal: filling (7").await;
    for part in [
        "% of 4MiB hold events that are not sent",
        "Waiting  braze-to-segment (1",
        "Lost?    No. When it is full new events are refused",
    ] {
        assert!(filling.text.contains(part), "{part}: {}", filling.text);
    }
    let subjects = world.mail.subjects();
    assert!(
        !subjects.iter().any(|it| it.contains("nearly full")),
        "{subjects:?}"
    );

    fill(&sluice, 155, 192).await;
    let nearly = world.mail.gets("journal: nearly full (9").await;
    assert!(
        nearly.text.contains("braze-to-segment (1"),
        "{}",
        nearly.text
    );

    world.mend().await;
    let room = world.mail.gets("journal: has room again").await;
    assert!(room.text.contains("Lasted"), "{}", room.text);
    eventually("all of it arrives", || world.double.accepted() == 192).await;
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_nothing_is_told_and_its_end_too() {
    let world = World::new("interval: 1s").await;
    // An ignored signal stays ignored in what the shell becomes: writes fail instead of killing.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    command.arg(program().get_program()).args(RUN);
    command.arg(&world.config);
    let sluice = Sluice::start_by(command);
    let may_grow_to = |bytes: &str| {
        let done = Command::new("prlimit")
            .args(["--pid", &sluice.pid().to_string()])
            .arg(format!("--fsize={bytes}"))
            .status();
        assert!(done.expect("prlimit runs").success());
    };
    may_grow_to("4096:unlimited");
    let settings = serde_json::json!({"token": "secret-token"});
    let feeder = support::source("braze_webhook").feed.expect("a feeder");
    let feeder = feeder(sluice.endpoint.clone(), settings);
    let mut taken = 0;
    while feeder
        .send(vec![event(&format!("{taken}"), FILL)])
        .await
        .is_ok()
    {
        taken += 1;
        assert!(taken < 400, "the disk does not become full");
    }
    let told = world.mail.gets("disk: new events cannot be written").await;
    assert!(told.text.contains("df -h"), "{}", told.text);
    assert!(
        told.text.contains("the upstream keeps them"),
        "{}",
        told.text
    );

    may_grow_to("unlimited");
    eventually_fed(&sluice, &*feeder).await;
    world.mail.gets("disk: events are taken again").await;
    assert_eq!(sluice.stop(), Some(0));
}

/// Send one event again until it is taken.
async fn eventually_fed(sluice: &Sluice, feeder: &dyn sluice_sdk::Feeder) {
    for _ in 0..1_000 {
        if feeder.send(vec![event("again", 1)]).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it does not go on by itself: {:?}", sluice.log().last());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_from_which_nothing_comes_is_told_and_its_end_too() {
    let settings = Settings {
        source: "expect_every: 4s",
        ..Settings::default()
    };
    let world = World::with("interval: 1s", &settings).await;
    let sluice = Sluice::start(&world.config);
    let silent = world.mail.gets("source braze: no events come").await;
    for part in [
        "none since sluice was started",
        "longer than its `expect_every`",
        "Lost?       Nothing that was taken in",
    ] {
        assert!(silent.text.contains(part), "{part}: {}", silent.text);
    }
    feed(&sluice, vec![event("a", 1)]).await;
    world.mail.gets("source braze: events come again").await;
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_told_before_they_leave_and_when_they_have_left() {
    let settings = Settings {
        journal: "dead_letters: { retain: 8s }",
        ..Settings::default()
    };
    let world = World::with("interval: 1s", &settings).await;
    let sluice = Sluice::start(&world.config);
    feed(&sluice, vec![event("a", 40_000)]).await;
    let soon = world.mail.gets("dead letters will be LOST soon").await;
    for part in [
        "braze-to-segment",
        "Held   1 dead letter",
        "`journal.dead_letters.retain`",
        "dead-letters export --connector braze-to-segment",
        "Lost?  Not yet.",
    ] {
        assert!(soon.text.contains(part), "{part}: {}", soon.text);
    }
    let gone = world.mail.gets("1 dead letter is LOST").await;
    assert!(gone.text.contains("Yes, 1 dead letter,"), "{}", gone.text);
    assert_eq!(sluice.stop(), Some(0));
    let status: Value = support::status(&world.config);
    let left = &status["dead_letters"]["braze-to-segment"]["expired"];
    assert_eq!(left, &serde_json::json!({"too-large": 1}), "{status}");
}
