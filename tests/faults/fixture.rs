//! What an older version wrote is read, shown and sent by today's.
//!
//! `tests/fixtures/journal-VERSION/` is a data folder as that version left it after `kill -9`:
//! delivered events behind the cursor, waiting ones before it, dead letters of the connector and of
//! the source, seen ids. `expected.json` beside it is what was true then. A folder is made once, by
//! the version itself, and never again:
//!
//! ```console
//! $ cargo test --test faults -- --ignored write_the_fixture_of_this_version
//! ```

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Settings, World, assert_balanced, envelope, post, small};
use crate::support::eventually;

/// Every released version.
const VERSIONS: [&str; 1] = ["0.1.0"];
/// Events that were delivered, and those that wait.
const DELIVERED: u64 = 20;
const WAITING: u64 = 10;
/// Zeros that stay behind the last record: enough to be there, few enough to be committed.
const ZEROS_KEPT: usize = 64;

fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(format!("journal-{version}"))
}

fn events(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers
        .map(|n| small(&format!("old-{n}")).to_string())
        .collect()
}

/// No event, a dead one, and one that is skipped.
fn odd_ones() -> [String; 3] {
    let with = |id, member: &str, value: &str| {
        let mut event = small(id);
        event[member] = value.into();
        event.to_string()
    };
    [
        r#"{"id":"no type"}"#.to_owned(),
        with("old-dead", "time", "yesterday"),
        with("old-unmapped", "event_type", "users.messages.hologram.Seen"),
    ]
}

fn account(world: &World) -> Value {
    let status = world.status();
    json!({
        "connectors": {"braze-to-segment": {
            "events": status["connectors"]["braze-to-segment"]["events"],
            "documents": status["connectors"]["braze-to-segment"]["documents"],
        }},
        "malformed": status["sources"]["braze"]["malformed"],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_data_folder_of_every_released_version_is_read_and_drained() {
    for version in VERSIONS {
        let world = World::new(Settings::default()).await;
        copy(&folder(version).join("data"), &world.data());
        let text = std::fs::read_to_string(folder(version).join("expected.json"));
        let expected: Value = serde_json::from_str(&text.expect("a file")).expect("JSON");
        assert_holds(&account(&world), &expected["account"]);
        let letters: Vec<Value> = world.dead_letters();
        assert_holds(&json!(letters), &expected["dead_letters"]);

        let sluice = world.start();
        let documents = expected["documents_left"].as_u64().expect("a number");
        world.arrives(documents).await;
        // Ids of that time are known: nothing of it is sent again.
        let again = envelope(&events(0..DELIVERED + WAITING));
        let (status, _) = post(&sluice.endpoint, again).await;
        assert_eq!(status, 200);
        let (status, _) = post(&sluice.endpoint, envelope(&[small("new").to_string()])).await;
        assert_eq!(status, 200);
        eventually("the new one", || world.double.document("new").is_some()).await;
        assert_eq!(sluice.stop(), Some(0));
        assert_eq!(world.double.accepted(), documents + 1, "{version}");

        let status = world.status();
        assert_balanced(&status);
        let account = &status["connectors"]["braze-to-segment"]["events"];
        assert_eq!(account["waiting"], 0);
        assert_eq!(account["skipped"]["duplicate"], DELIVERED + WAITING);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes tests/fixtures; run once for each release"]
async fn write_the_fixture_of_this_version() {
    let target = folder(env!("CARGO_PKG_VERSION"));
    assert!(
        !target.exists(),
        "{} is there and stays as it is",
        target.display()
    );
    let world = World::new(Settings::default()).await;
    let sluice = world.start();
    let first = [events(0..DELIVERED), odd_ones().to_vec()].concat();
    assert_eq!(post(&sluice.endpoint, envelope(&first)).await.0, 200);
    world.arrives(DELIVERED).await;
    // A stop saves the cursor; the next process is killed with events that wait.
    assert_eq!(sluice.stop(), Some(0));
    world
        .fault(json!({"mode": "status", "status": 503, "times": 0}))
        .await;
    let sluice = world.start();
    let second = events(DELIVERED..DELIVERED + WAITING);
    assert_eq!(post(&sluice.endpoint, envelope(&second)).await.0, 200);
    sluice.wait_for_line("trying again");
    sluice.kill();
    copy(&world.data(), &target.join("data"));
    let expected = json!({
        "account": account(&world),
        "dead_letters": world.dead_letters(),
        "documents_left": WAITING,
    });
    let text = serde_json::to_string_pretty(&expected).expect("plain data");
    std::fs::write(target.join("expected.json"), text + "\n").expect("a writable folder");
}

/// All that was known then is there, as it was; today's version may say more.
fn assert_holds(now: &Value, then: &Value) {
    match (now, then) {
        (Value::Object(_), Value::Object(members)) => {
            for (name, value) in members {
                assert_holds(&now[name], value);
            }
        }
        (Value::Array(now), Value::Array(then)) => {
            assert_eq!(now.len(), then.len());
            for (now, then) in now.iter().zip(then) {
                assert_holds(now, then);
            }
        }
        _ => assert_eq!(now, then),
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a writable folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            let mut bytes = std::fs::read(entry.path()).expect("a file");
            if target.extension().is_some_and(|ending| ending == "log") {
                let end = bytes
                    .iter()
                    .rposition(|byte| *byte != 0)
                    .map_or(0, |at| at + 1);
                bytes.truncate(end + ZEROS_KEPT);
            }
            std::fs::write(target, bytes).expect("a writable folder");
        }
    }
}
