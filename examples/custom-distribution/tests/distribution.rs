//! The distribution as its users have it: the real program between a shop and a ledger.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ledger::double::{KEY, LocalLedger};
use serde_json::{Value, json};
use sluice_sdk::Feeder;

/// Longest wait for anything; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(90);
const PROGRAM: &str = env!("CARGO_BIN_EXE_our-sluice");

/// Our config and mappings in a folder of their own.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir(folder.path().join("mappings")).expect("writable");
    for file in ["sluice.yaml", "mappings/orders.yaml"] {
        std::fs::copy(here.join(file), folder.path().join(file)).expect("writable");
    }
    folder
}

fn ask(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the program starts")
}

/// `our-sluice run`; killed when dropped.
struct Running(Child);

impl Running {
    fn start(folder: &Path, ledger: &str, key: &str) -> Self {
        let child = Command::new(PROGRAM)
            .arg("run")
            .current_dir(folder)
            .env("LEDGER_URL", ledger)
            .env("LEDGER_KEY", key)
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("the program starts"))
    }

    /// `kill -9`.
    fn kill(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }

    /// SIGTERM, and the exit code.
    fn stop(mut self) -> Option<i32> {
        let sent = Command::new("kill").arg(self.0.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
        self.0.wait().expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn until(what: &str, mut is_done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_done() {
        assert!(Instant::now() < end, "not so after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Send until it is acknowledged, as the shop does.
async fn send(shop: &dyn Feeder, events: &[Value]) {
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    let end = Instant::now() + PATIENCE;
    while let Err(problem) = shop.send(lines.clone()).await {
        assert!(Instant::now() < end, "{problem}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn events(count: u64) -> Vec<Value> {
    let types = &shop_socket::catalogue().events;
    (0..count)
        .map(|n| types[n as usize % types.len()].synthesize(5, n))
        .collect()
}

/// What the mappings send on.
fn booked(events: &[Value]) -> Vec<String> {
    let mut ids: Vec<String> = events
        .iter()
        .filter(|event| event["event_type"] != "shop.order.shipped")
        .filter(|event| event["order"]["total_cents"] != 0)
        .map(|event| event["id"].as_str().expect("an id").to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_and_a_sick_ledger_lose_nothing() {
    let folder = folder();
    let ledger = LocalLedger::start("127.0.0.1:0").await.expect("a port");
    ledger.book.be_sick(3);
    let socket = folder.path().join("shop.sock");
    let shop = shop_socket::feed(socket.display().to_string(), json!({}));
    let events = events(2_000);

    let running = Running::start(folder.path(), ledger.url(), KEY);
    let (before, after) = events.split_at(900);
    for group in before.chunks(60) {
        send(&*shop, group).await;
    }
    running.kill();
    let running = Running::start(folder.path(), ledger.url(), KEY);
    for group in after.chunks(60) {
        send(&*shop, group).await;
    }
    // The shop did not hear the last answer and sends it all again.
    send(&*shop, &after[..60]).await;

    let expected = booked(&events);
    until("every entry is in the ledger", || {
        ledger.book.ids().len() >= expected.len()
    })
    .await;
    assert_eq!(ledger.book.ids(), expected);
    assert_eq!(running.stop(), Some(0), "a clean stop");
    assert!(!socket.exists(), "the socket is removed");

    let status = ask(folder.path(), &["status", "--format", "json"]);
    let status: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let account = &status["connectors"]["shop-to-ledger"]["events"];
    assert_eq!(account["received"], 2_060, "{account}");
    assert_eq!(account["delivered"], expected.len(), "{account}");
    assert_eq!(account["skipped"]["duplicate"], 60, "{account}");
    assert_eq!(account["waiting"], 0, "{account}");
    assert_eq!(account["dead"], json!({}), "{account}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_the_ledger_refuses_is_a_dead_letter_and_its_neighbours_arrive() {
    let folder = folder();
    let ledger = LocalLedger::start("127.0.0.1:0").await.expect("a port");
    let shop = shop_socket::feed(
        folder.path().join("shop.sock").display().to_string(),
        json!({}),
    );
    let mut events = events(1);
    events.push(shop_socket::catalogue().events[0].sample());
    events[0]["order"]["customer"] = json!("guest");
    events[0]["order"]["total_cents"] = json!(100);

    let running = Running::start(folder.path(), ledger.url(), KEY);
    send(&*shop, &events).await;
    until("the good one arrives", || ledger.book.ids() == ["ev-1001"]).await;
    assert_eq!(running.stop(), Some(0));
    let letters = ask(folder.path(), &["dead-letters", "list"]);
    let letters = String::from_utf8_lossy(&letters.stdout).into_owned();
    assert!(letters.contains("unknown_account"), "{letters}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_key_holds_everything_until_it_is_mended() {
    let folder = folder();
    let ledger = LocalLedger::start("127.0.0.1:0").await.expect("a port");
    let shop = shop_socket::feed(
        folder.path().join("shop.sock").display().to_string(),
        json!({}),
    );
    let events = events(30);

    let running = Running::start(folder.path(), ledger.url(), "revoked");
    send(&*shop, &events).await;
    until("the key is refused", || ledger.book.strangers() > 0).await;
    running.kill();
    assert!(ledger.book.ids().is_empty());

    let running = Running::start(folder.path(), ledger.url(), KEY);
    until("all arrive", || ledger.book.ids() == booked(&events)).await;
    assert_eq!(running.stop(), Some(0));
}

/// What `validate` says when `from` stands as `to` in the config, with the line of it.
fn validated(from: &str, to: &str) -> (usize, String) {
    let folder = folder();
    let path = folder.path().join("sluice.yaml");
    let config = std::fs::read_to_string(&path).expect("a config");
    let line = config.lines().position(|line| line.contains(from));
    std::fs::write(&path, config.replace(from, to)).expect("writable");
    let answer = ask(folder.path(), &["validate"]);
    assert_eq!(answer.status.code(), Some(1));
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    (1 + line.expect("a line of the config"), said)
}

#[test]
fn a_typo_in_our_own_settings_is_found_with_its_place() {
    let (line, said) = validated("      url:", "      ulr:");
    let place = format!("sluice.yaml:{line}:7  error[unknown-key]");
    assert!(said.contains(&place), "{place} is not in:\n{said}");
    assert!(said.contains("did you mean `url`?"), "{said}");
}

#[test]
fn a_value_that_our_own_settings_refuse_is_found_with_its_place() {
    let (line, said) = validated(
        "      url: ${LEDGER_URL:-http://127.0.0.1:8900}",
        "      url: ledger",
    );
    let place = format!("sluice.yaml:{line}:12  error");
    assert!(said.contains(&place), "{place} is not in:\n{said}");
    assert!(said.contains("no web address"), "{said}");
}

#[test]
fn a_rule_that_makes_no_whole_entry_is_found_with_its_place() {
    let folder = folder();
    let path = folder.path().join("mappings/orders.yaml");
    let rules = std::fs::read_to_string(&path).expect("rules");
    std::fs::write(&path, rules.replace(", kind: refund", ", kind: refnud")).expect("writable");
    let answer = ask(folder.path(), &["validate"]);
    assert_eq!(answer.status.code(), Some(1));
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert!(said.contains("did you mean `refund`?"), "{said}");
}

#[test]
fn every_command_that_is_suggested_can_be_typed() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["map", "--help"],
        &["plugins"],
        &["plugins", "show", "shop_socket"],
        &["validate"],
        &["explain-code", "no-such-code"],
        &["init", "starter"],
        &["sandbox", "--help"],
        &["completions", "bash"],
    ] {
        // Next to a folder without a config, so that some of them ask for one.
        let answer = ask(folder.path(), arguments);
        let said = [answer.stdout, answer.stderr].concat();
        let said = String::from_utf8_lossy(&said).replace("sluice.yaml", "");
        assert!(said.contains("our-sluice"), "{arguments:?}:\n{said}");
        for command in [
            "run",
            "init",
            "map",
            "validate",
            "plugins",
            "test",
            "demo",
            "explain-code",
        ] {
            let foreign = format!("sluice {command}");
            let count = said.matches(&foreign).count();
            let ours = said.matches(&format!("our-{foreign}")).count();
            assert_eq!(count, ours, "{arguments:?}:\n{said}");
        }
    }
    let readme = std::fs::read_to_string(folder.path().join("starter/README.md")).expect("a file");
    assert!(readme.contains("\nour-sluice validate "), "{readme}");
}

#[test]
fn init_begins_with_our_own_set_and_what_fits_it() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(ask(folder.path(), &["init", "."]).status.success());
    let config = std::fs::read_to_string(folder.path().join("sluice.yaml")).expect("a config");
    for line in [
        "  shop:\n    type: shop_socket\n",
        "  shop-to-ledger:\n    source: shop\n",
        "      type: ledger\n",
    ] {
        assert!(config.contains(line), "{line}\n{config}");
    }
    let answer = ask(folder.path(), &["validate", "--strict"]);
    let said = [answer.stdout, answer.stderr].concat();
    assert!(
        answer.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );

    let answer = ask(
        folder.path(),
        &["init", "standard", "--set", "braze_to_segment"],
    );
    assert!(answer.status.success());
    let config = folder.path().join("standard/sluice.yaml");
    let config = std::fs::read_to_string(config).expect("a config");
    assert!(config.contains("type: segment"), "{config}");
}

#[test]
fn our_own_demo_shows_the_whole_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let answer = ask(
        folder.path(),
        &["demo", "shop_to_ledger", "--events", "300"],
    );
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert_eq!(answer.status.code(), Some(0), "{said}");
    for part in [
        "connector shop-to-ledger",
        "shop.order.cancelled",
        "300 received = ",
        " 0 dead + 0 expired + 0 waiting",
        "the double took 200 documents as valid, none dropped",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}

#[test]
fn a_demo_that_is_not_named_or_not_there_is_answered_with_the_list() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [&["demo"][..], &["demo", "shop_to_legder"]] {
        let answer = ask(folder.path(), arguments);
        assert_eq!(answer.status.code(), Some(2));
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        for name in ["shop_to_ledger", "braze_to_segment"] {
            let line = format!(" demo {name}: ");
            assert!(said.contains(&line), "{line} is not in:\n{said}");
        }
    }
}

#[test]
fn our_rules_are_part_of_the_program_with_their_tests_and_can_be_laid_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let answer = ask(folder.path(), &["test", "builtin:shop_to_ledger"]);
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert!(said.starts_with("4 cases: 4 passed, 0 failed"), "{said}");

    let ours = "version: 1\nimport: [builtin:shop_to_ledger]\nrules:\n  order_cancelled: { skip: not for now }\n";
    std::fs::write(folder.path().join("ours.yaml"), ours).expect("writable");
    let sample = ["map", "-m", "ours.yaml", "--sample"];
    let map = |event_type| {
        let answer = ask(folder.path(), &[&sample[..], &[event_type]].concat());
        String::from_utf8_lossy(&answer.stdout).into_owned()
    };
    assert!(map("shop.order.cancelled").contains("not for now"));
    assert!(map("shop.order.placed").contains(r#""kind":"charge""#));
}
