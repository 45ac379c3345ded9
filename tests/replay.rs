//! Dead letters and the journal, sent once more by the real program.

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use sluice_sdk::Double;
use support::{Sluice, double, eventually, program, status};

const CONNECTOR: &str = "opens";

/// One way, with rules of its own and an admin listener on a free port.
struct World {
    folder: tempfile::TempDir,
    double: Box<dyn Double>,
    config: PathBuf,
}

impl World {
    async fn new(rule: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let double = double().await;
        let endpoint = double.settings()["endpoint"].clone();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let config = folder.path().join("sluice.yaml");
        let text = format!(
            "version: 1
sources:
  braze: {{ type: braze_webhook, listen: \"127.0.0.1:0\", token: test-token }}
connectors:
  {CONNECTOR}:
    source: braze
    mappings: rules.yaml
    batch: {{ flush_after: 50ms }}
    sink: {{ type: segment, endpoint: {endpoint}, write_key: 0123456789abcdef0123456789abcdef }}
journal: {{ path: data }}
admin: {{ listen: \"127.0.0.1:{port}\" }}
"
        );
        std::fs::write(&config, text).expect("a writable folder");
        let world = Self {
            folder,
            double,
            config,
        };
        world.rule(rule);
        world
    }

    /// Put another rule in the place of the one there is.
    fn rule(&self, user: &str) {
        let text = format!(
            "version: 1
rules:
  opened:
    on: users.messages.email.Open
    emit: {{ type: track, event: Opened, messageId: $.id, userId: {user} }}
"
        );
        let path = self.folder.path().join("rules.yaml");
        std::fs::write(path, text).expect("a writable folder");
    }

    /// Run a command on this config, and say how it ended.
    fn sluice(&self, arguments: &[&str]) -> Output {
        let output = program()
            .args(arguments)
            .arg("--config")
            .arg(&self.config)
            .stdin(std::process::Stdio::null())
            .output();
        output.expect("the program starts")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.sluice(&[arguments, &["--format", "json"]].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn letters(&self) -> Vec<Value> {
        let list = self.json(&["dead-letters", "list"]);
        list["letters"].as_array().expect("a list").clone()
    }

    /// Feed opens with these numbers, and wait until all are settled.
    async fn feed(&self, sluice: &Sluice, numbers: std::ops::Range<u64>) {
        let feeder = sluice.feeder();
        for body in numbers.clone().collect::<Vec<_>>().chunks(100) {
            let body = body.iter().map(|n| open(*n).to_string()).collect();
            feeder.send(body).await.expect("taken");
        }
        eventually("all are settled", || {
            let events = &status(&self.config)["connectors"][CONNECTOR]["events"];
            events["waiting"] == 0 && events["received"] == numbers.end
        })
        .await;
    }

    fn assert_all_arrived(&self, numbers: std::ops::Range<u64>) {
        for n in numbers {
            let document = self.double.document(&id(n));
            let document = document.unwrap_or_else(|| panic!("{} is not at the double", id(n)));
            assert_eq!(document.body["userId"], json!(format!("cust-{n}")));
        }
    }
}

fn id(n: u64) -> String {
    format!("open-{n}")
}

fn open(n: u64) -> Value {
    json!({
        "event_type": "users.messages.email.Open",
        "id": id(n),
        "time": 1_770_000_000 + n,
        "user": {"user_id": "b1", "external_user_id": format!("cust-{n}")},
        "properties": {"email_address": "ada@example.com"},
    })
}

/// No event has this field, so that every one is a dead letter.
const BAD: &str = "{ $from: $.user.timezone, $missing: { dead_letter: no user } }";
const GOOD: &str = "{ $from: $.user.external_user_id, $missing: { skip: no user } }";

fn assert_letters_balance(config: &Path) -> Value {
    let letters = status(config)["dead_letters"][CONNECTOR].clone();
    let sum = |counts: &Value| -> u64 {
        let counts = counts.as_object().expect("counts by reason");
        counts.values().filter_map(Value::as_u64).sum()
    };
    let number = |name: &str| letters[name].as_u64().expect("a number");
    assert_eq!(
        number("ever"),
        number("held")
            + number("delivered")
            + sum(&letters["skipped"])
            + sum(&letters["dropped"])
            + sum(&letters["expired"]),
        "{letters}"
    );
    letters
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mended_rule_and_a_replay_bring_dead_letters_to_the_sink_under_their_own_ids() {
    let world = World::new(BAD).await;
    let sluice = Sluice::start(&world.config);
    world.feed(&sluice, 0..60).await;
    assert_eq!(world.letters().len(), 60, "asked of the running process");
    assert_eq!(world.double.accepted(), 0);

    // Nothing is mended yet: they fail again, and stay with what is known now.
    let again = world.sluice(&["dead-letters", "replay", "--rate", "1000", "--limit", "2"]);
    assert_eq!(again.status.code(), Some(1));
    let letters = world.letters();
    assert_eq!(letters.len(), 60);
    assert_eq!(
        (&letters[0]["replays"], &letters[2]["replays"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(sluice.stop(), Some(0));

    // Mended, with the process down …
    world.rule(GOOD);
    let dry = world.json(&["dead-letters", "replay", "--dry-run"]);
    assert_eq!(dry["dry_runs"][0]["account"]["delivered"], 60);
    assert_eq!(world.double.accepted(), 0, "a dry run sends nothing");
    let half = world.sluice(&["dead-letters", "replay", "--rate", "1000", "--limit", "20"]);
    assert!(
        half.status.success(),
        "{}",
        String::from_utf8_lossy(&half.stderr)
    );
    world.assert_all_arrived(0..20);
    assert_eq!(world.letters().len(), 40);

    // … and up.
    let sluice = Sluice::start(&world.config);
    let rest = world.json(&["dead-letters", "replay", "--rate", "1000"]);
    assert_eq!(rest["replays"][0]["account"]["delivered"], 40, "{rest}");
    world.assert_all_arrived(0..60);
    assert_eq!(world.double.accepted(), 60);
    assert_eq!(world.letters().len(), 0);
    let letters = assert_letters_balance(&world.config);
    assert_eq!(
        (&letters["ever"], &letters["delivered"]),
        (&json!(60), &json!(60))
    );
    let events = status(&world.config)["connectors"][CONNECTOR]["events"].clone();
    assert_eq!(
        events["dead"],
        json!({"no user": 60}),
        "what happened stays told"
    );
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_no_event_is_mended_in_a_file_and_submitted() {
    let world = World::new(GOOD).await;
    let sluice = Sluice::start(&world.config);
    let mut nameless = open(1);
    nameless.as_object_mut().expect("an object").remove("id");
    let body = vec![nameless.to_string()];
    sluice.feeder().send(body).await.expect("taken");
    assert_eq!(world.letters()[0]["letter"], "source:braze/0");
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let refused = world.sluice(&["dead-letters", "replay"]);
    for command in [
        "dead-letters export --raw --connector source:braze > mended.json`",
        "dead-letters submit mended.json --source braze`",
    ] {
        assert!(said(&refused).contains(command), "{}", said(&refused));
    }

    let raw = world.sluice(&["dead-letters", "export", "--raw"]).stdout;
    assert_eq!(
        serde_json::from_slice::<Value>(&raw).expect("JSON"),
        nameless
    );
    let file = world.folder.path().join("mended.json");
    std::fs::write(&file, &raw).expect("a writable folder");
    let submit = ["dead-letters", "submit", file.to_str().expect("text")];
    let again = world.sluice(&submit);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert!(
        said(&again).contains("1 part of what came was set aside"),
        "{}",
        said(&again)
    );

    std::fs::write(&file, open(1).to_string()).expect("a writable folder");
    let mended = world.sluice(&submit);
    assert_eq!(mended.status.code(), Some(0), "{}", said(&mended));
    let left = "`sluice dead-letters drop --connector source:braze` gives them up";
    assert!(said(&mended).contains(left), "{}", said(&mended));
    eventually("it is at the double", || world.double.accepted() == 1).await;
    world.assert_all_arrived(1..2);

    assert!(
        world
            .sluice(&["dead-letters", "drop", "--yes"])
            .status
            .success()
    );
    assert_eq!(world.letters().len(), 0);
    assert_eq!(sluice.stop(), Some(0));
    let nobody = world.sluice(&submit);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        said(&nobody).contains("nothing was sent"),
        "{}",
        said(&nobody)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_dropped_only_on_a_clear_word_and_counted() {
    let world = World::new(BAD).await;
    let sluice = Sluice::start(&world.config);
    world.feed(&sluice, 0..10).await;
    let asked = world.sluice(&["dead-letters", "drop", "--id", "open-3"]);
    assert_eq!(asked.status.code(), Some(2), "nobody said yes");
    assert_eq!(world.letters().len(), 10);
    let dry = world.json(&["dead-letters", "drop", "--dry-run"]);
    assert_eq!((&dry["dry_run"], &dry["count"]), (&json!(true), &json!(10)));
    let dropped = world.sluice(&["dead-letters", "drop", "--id", "open-3", "--yes"]);
    assert!(dropped.status.success());
    let left: Vec<Value> = world
        .letters()
        .iter()
        .map(|one| one["event_id"].clone())
        .collect();
    assert_eq!(left.len(), 9);
    assert!(!left.contains(&json!("open-3")), "{left:?}");
    let letters = assert_letters_balance(&world.config);
    assert_eq!(letters["dropped"], json!({"no user": 1}));
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_killed_in_the_middle_goes_on_and_loses_nothing() {
    let world = World::new(BAD).await;
    let sluice = Sluice::start(&world.config);
    world.feed(&sluice, 0..400).await;
    assert_eq!(sluice.stop(), Some(0));
    world.rule(GOOD);
    let mut sluice = Sluice::start(&world.config);
    let begun = world.sluice(&["dead-letters", "replay", "--rate", "200", "--no-wait"]);
    assert!(
        begun.status.success(),
        "{}",
        String::from_utf8_lossy(&begun.stderr)
    );
    for kill in 0..2 {
        eventually("some have gone", || world.double.accepted() > 100 * kill).await;
        sluice.kill();
        assert_letters_balance(&world.config);
        sluice = Sluice::start(&world.config);
    }
    eventually("the replay is done", || {
        status(&world.config)["replays"][0]["phase"] == "done"
    })
    .await;
    world.assert_all_arrived(0..400);
    let replay = status(&world.config)["replays"][0].clone();
    assert_eq!(replay["account"]["replayed"], 400, "{replay}");
    assert_eq!(replay["account"]["delivered"], 400, "{replay}");
    let letters = assert_letters_balance(&world.config);
    assert_eq!(
        (&letters["held"], &letters["delivered"]),
        (&json!(0), &json!(400))
    );
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_is_replayed_beside_live_events_with_an_account_of_its_own() {
    let world = World::new(GOOD).await;
    let sluice = Sluice::start(&world.config);
    world.feed(&sluice, 0..50).await;
    let live = status(&world.config)["connectors"][CONNECTOR]["events"].clone();
    let typed = ["replay", "--connector", CONNECTOR, "--type", "users.*.Open"];
    let done = world.json(&[&typed[..], &["--rate", "1000/s"]].concat());
    let account = &done["replays"][0]["account"];
    assert_eq!(
        (&account["replayed"], &account["delivered"]),
        (&json!(50), &json!(50))
    );
    assert_eq!(world.double.accepted(), 50, "the same ids once more");
    let other = world.json(&[
        "replay",
        "--connector",
        CONNECTOR,
        "--type",
        "users.*.Click",
    ]);
    assert_eq!(other["replays"][0]["account"]["replayed"], 0);
    let early = world.json(&["replay", "--connector", CONNECTOR, "--to", "1h"]);
    assert_eq!(early["replays"][0]["account"]["replayed"], 0);
    let now = status(&world.config)["connectors"][CONNECTOR]["events"].clone();
    assert_eq!(now, live, "the live account knows nothing of it");
    let whole = world.json(&["replay", "--connector", CONNECTOR, "--from", "30d"]);
    let note = &whole["replays"][0]["note"];
    assert!(note.is_null(), "nothing came before: {note}");
    assert_eq!(whole["warnings"], json!([]), "all is of a moment ago");
    let dry = world.sluice(&["replay", "--connector", CONNECTOR, "--dry-run"]);
    assert_eq!(String::from_utf8_lossy(&dry.stderr), "");
    world.rule(BAD);
    let dry = world.sluice(&["replay", "--connector", CONNECTOR, "--dry-run"]);
    let told = String::from_utf8_lossy(&dry.stderr).into_owned();
    let stale = "warning: the files have changed since the running process read them";
    assert!(told.starts_with(stale), "{told}");
    assert!(told.contains("`sluice reload` first"), "{told}");
    world.rule(GOOD);

    // A slow one, ended by a person.
    let slow = [
        "replay",
        "--connector",
        CONNECTOR,
        "--rate",
        "2",
        "--no-wait",
    ];
    assert!(world.sluice(&slow).status.success());
    let list = world.json(&["replay", "list"]);
    let id = list["replays"]
        .as_array()
        .and_then(|all| all.last())
        .expect("one")["id"]
        .to_string();
    assert!(world.sluice(&["replay", "cancel", &id]).status.success());
    eventually("it has ended", || {
        let replays = status(&world.config)["replays"].clone();
        replays.as_array().and_then(|all| all.last()).expect("one")["phase"] == "cancelled"
    })
    .await;
    let unknown = world.sluice(&["replay", "--connector", "other"]);
    assert_eq!(unknown.status.code(), Some(1));
    let told = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(told.contains("there is no connector `other`"), "{told}");
    assert_eq!(sluice.stop(), Some(0));
}
