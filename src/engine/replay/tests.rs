//! Replays between a real store and a sink in memory. Time is tokio's paused clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use sluice_sdk::{Batch, ConfigError, Delivery, DynSink, Limits, Outcome, Sink, SinkPlugin};

use super::{JournalOrder, LettersOrder, Phase, Replays, Way};
use crate::clock::Clock;
use crate::config::{SinkConfig, Unmapped};
use crate::engine::account::ConnectorState;
use crate::engine::cursor::Cursor;
use crate::engine::dead_letters::{DeadLetter, DropOrder, Filter, Letters};
use crate::engine::delivery::Courier;
use crate::journal::{EventMark, Journal, JournalOptions, StoreCommit};
use crate::mapping::{self, Mapping, Reference};

/// When the first event of a journal came.
const FIRST_EVENT_MS: i64 = 1_770_000_000_000;
/// Longest wait in the clock of the test.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Bodies that each sink of a test was sent, by the name in its settings.
static SENT: Mutex<BTreeMap<String, Vec<Value>>> = Mutex::new(BTreeMap::new());

static MEMORY: SinkPlugin = SinkPlugin {
    name: "memory",
    summary: "Keeps documents in memory.",
    build: |settings| Ok::<Box<dyn DynSink>, ConfigError>(Box::new(Memory { settings })),
    ..SinkPlugin::NONE
};

/// Refuses documents that have one of the `refuse` values as their `kind`.
struct Memory {
    settings: Value,
}

impl Sink for Memory {
    fn limits(&self) -> Limits {
        Limits {
            deduplicates_for: Some(Duration::from_secs(86_400)),
            ..Limits::default()
        }
    }

    async fn deliver(&self, batch: &Batch) -> Delivery {
        let name = self.settings["name"].as_str().unwrap_or_default();
        let refused = self.settings["refuse"].as_array();
        let mut sent = SENT.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = sent.entry(name.to_owned()).or_default();
        let outcome = |document: &sluice_sdk::Document| {
            let body: Value = serde_json::from_slice(&document.body).expect("JSON");
            let is_refused = refused.is_some_and(|refused| refused.contains(&body["kind"]));
            sent.push(body);
            match is_refused {
                true => Outcome::Rejected {
                    reason: "no such kind".to_owned(),
                },
                false => Outcome::Delivered,
            }
        };
        Delivery::Each(batch.documents.iter().map(outcome).collect())
    }
}

struct World {
    name: &'static str,
    folder: tempfile::TempDir,
    journal: Journal,
    replays: Arc<Replays>,
    live: Arc<Courier>,
    state: Arc<RwLock<ConnectorState>>,
    /// Milliseconds that its clock is ahead.
    ahead_ms: Arc<AtomicI64>,
}

impl World {
    /// A connector `c` with these rules, on a journal without events.
    fn new(name: &'static str, rules: &str, refuse: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = JournalOptions::new(folder.path().join("data"));
        options.segment_bytes = 1000;
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let clock = Clock::moved_by(Arc::clone(&ahead_ms));
        let journal = Journal::open(options).expect("a journal");
        let letters = Arc::new(Letters::new(Arc::clone(journal.store())));
        let replays =
            Replays::open(Arc::clone(journal.store()), letters, clock.clone()).expect("a store");
        let live = Box::new(Memory {
            settings: json!({}),
        });
        let world = Self {
            name,
            live: Arc::new(Courier::new("c".to_owned(), live, clock)),
            state: Arc::default(),
            ahead_ms,
            folder,
            journal,
            replays,
        };
        world.way(rules, refuse);
        world
    }

    /// Let the connector have other rules, and its sink refuse other kinds.
    fn way(&self, rules: &str, refuse: &[&str]) {
        let settings = json!({"name": self.name, "refuse": refuse});
        self.replays.set_way(Way {
            connector: "c".to_owned(),
            mapping: Arc::new(self.mapping(rules)),
            unmapped: Unmapped::Skip,
            sink: SinkConfig {
                plugin: &MEMORY,
                settings,
            },
            documents_max: usize::MAX,
            log: self.journal.log("s").expect("a log"),
            state: Arc::clone(&self.state),
            live: Some(Arc::clone(&self.live)),
        });
    }

    fn mapping(&self, rules: &str) -> Mapping {
        let path = self.folder.path().join("rules.yaml");
        std::fs::write(&path, format!("version: 1\nrules:\n{rules}")).expect("a file");
        let reference = Reference {
            text: "rules.yaml".to_owned(),
            base: self.folder.path().to_owned(),
            span: None,
        };
        let (mut files, mut problems) = (crate::diagnostics::Files::default(), Vec::new());
        let options = mapping::Options::default();
        mapping::load(&[reference], &mut files, None, options, &mut problems)
            .unwrap_or_else(|| panic!("{problems:?}"))
    }

    /// Put letters about events of type `a` there.
    fn bury(&self, letters: impl IntoIterator<Item = DeadLetter>) {
        let commit = StoreCommit {
            connector: "c".to_owned(),
            dead_letters: letters
                .into_iter()
                .map(|letter| letter.to_bytes())
                .collect(),
            ..StoreCommit::default()
        };
        self.journal.store().commit(&commit).expect("a commit");
    }

    /// Set its clock to so many seconds after the first event of [`World::journal`].
    fn set_clock(&self, seconds: i64) {
        let now = Clock::default().now_ms();
        let ahead_ms = FIRST_EVENT_MS + seconds * 1000 - now;
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }

    fn letters(&self) -> Vec<DeadLetter> {
        let mut all = Vec::new();
        let letters = self.replays.letters();
        letters
            .for_each(&Filter::default(), None, |_, letter| {
                all.push(letter);
                true
            })
            .expect("readable");
        all
    }

    /// Events of type `a` in the journal, all settled by the live connector.
    async fn journal(&self, count: u64) {
        let log = self.journal.log("s").expect("a log");
        for n in 0..count {
            let body = Bytes::from(event(n));
            let mark = EventMark {
                start: 0,
                end: u32::try_from(body.len()).expect("short"),
                event_type: "a".to_owned(),
                id: n.to_string(),
                time_ms: None,
                duplicate: false,
            };
            let received = FIRST_EVENT_MS + i64::try_from(n).expect("small") * 1000;
            log.append(received, vec![mark], Vec::new(), body)
                .await
                .expect("appended");
        }
        self.state.write().expect("not poisoned").cursor = Cursor::starting_at(count);
    }

    fn order_letters(&self) -> u64 {
        let order = LettersOrder::default();
        let answer = self.replays.replay_letters(order).expect("a replay");
        answer.replays[0].replay.id
    }

    async fn end(&self, id: u64) -> super::ReplayStatus {
        let ends = async {
            loop {
                let status = self.status(id);
                if status.replay.phase.is_final() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ends).await.expect("it ends")
    }

    fn status(&self, id: u64) -> super::ReplayStatus {
        let all = self.replays.list();
        let found = all.into_iter().find(|status| status.replay.id == id);
        found.expect("it is there")
    }

    fn sent(&self) -> Vec<Value> {
        let sent = SENT.lock().unwrap_or_else(PoisonError::into_inner);
        sent.get(self.name).cloned().unwrap_or_default()
    }
}

fn event(n: u64) -> String {
    json!({"type": "a", "id": n.to_string()}).to_string()
}

fn letter(n: u64) -> DeadLetter {
    let id = n.to_string();
    DeadLetter::of_event(
        Clock::default().now(),
        "c",
        n,
        ("a", &id),
        event(n).as_bytes(),
        ("no", "none"),
    )
}

const PLAIN: &str = "  r: { on: a, emit: { kind: plain, id: $.id } }\n";
const BOTH: &str =
    "  r: { on: a, emit_each: { one: { kind: one, id: $.id }, two: { kind: two, id: $.id } } }\n";

#[tokio::test(start_paused = true)]
async fn letters_that_are_all_refused_again_stay_and_hold_nobody() {
    let world = World::new("refused", PLAIN, &["plain"]);
    world.bury((0..90).map(letter));
    let status = world.end(world.order_letters()).await;
    assert_eq!(status.replay.phase, Phase::Done);
    assert_eq!(status.replay.account.dead["refused by the sink"], 90);
    let letters = world.letters();
    assert_eq!(letters.len(), 90);
    assert!(letters.iter().all(|letter| {
        letter.replays == 1 && letter.tries == 1 && letter.detail == "no such kind"
    }));
    assert_eq!(
        world.live.gate.state(),
        crate::engine::gate::GateState::Open
    );
}

#[tokio::test(start_paused = true)]
async fn of_an_event_with_two_documents_only_the_refused_one_goes_again() {
    let world = World::new("parts", BOTH, &[]);
    let mut dead = letter(7);
    dead.rule = Some("r".to_owned());
    dead.part = Some("two".to_owned());
    dead.document = Some("{}".to_owned());
    world.bury([dead]);
    let status = world.end(world.order_letters()).await;
    assert_eq!(status.replay.account.delivered, 1);
    assert_eq!(world.sent(), [json!({"kind": "two", "id": "7"})]);
    assert!(world.letters().is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_document_that_fails_is_a_letter_and_the_first_keeps_the_name() {
    let world = World::new("split", BOTH, &["one", "two"]);
    world.bury([letter(7)]);
    world.end(world.order_letters()).await;
    let parts: Vec<_> = world.letters().iter().map(|one| one.part.clone()).collect();
    assert_eq!(parts, [Some("one".to_owned()), Some("two".to_owned())]);
    let status = &world.replays.letters().status().expect("readable")["c"];
    assert_eq!((status.ever, status.held), (2, 2));
    // The other one was not there when it began.
    assert_eq!(world.sent().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_stands_still_while_the_live_connector_is_held_and_takes_new_rules_after() {
    let world = World::new("held", PLAIN, &["plain"]);
    world.bury((0..3).map(letter));
    world.live.gate.hold("401".to_owned());
    let id = world.order_letters();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let status = world.status(id);
    assert_eq!(
        status.waits_for.as_deref(),
        Some("the connector is held: 401")
    );
    assert_eq!((status.waiting, world.sent().len()), (3, 0));
    world.way("  r: { on: a, skip: not wanted }\n", &[]);
    let leave = world.live.gate.enter(&*world.live.sink).await;
    assert!(world.live.gate.passed(leave), "open again");
    let status = world.end(id).await;
    assert_eq!(status.replay.account.skipped["not wanted"], 3);
    let letters = &world.replays.letters().status().expect("readable")["c"];
    assert_eq!((letters.held, letters.left.skipped["not wanted"]), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn letters_dropped_meanwhile_are_gone_and_the_accounts_balance() {
    let world = World::new("dropped", PLAIN, &[]);
    world.bury((0..4).map(letter));
    world.live.gate.hold("401".to_owned());
    let id = world.order_letters();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let order = DropOrder {
        filter: Filter {
            id: vec!["2".to_owned()],
            ..Filter::default()
        },
        dry_run: false,
    };
    let dropped = world.replays.letters().drop_all(&order).expect("dropped");
    assert_eq!(dropped.by_reason["c"]["no"], 1);
    let leave = world.live.gate.enter(&*world.live.sink).await;
    world.live.gate.passed(leave);
    let account = world.end(id).await.replay.account;
    assert_eq!(
        (account.replayed, account.delivered, account.gone),
        (4, 3, 1)
    );
    let letters = &world.replays.letters().status().expect("readable")["c"];
    assert_eq!(
        (letters.ever, letters.held, letters.left.delivered),
        (4, 0, 3)
    );
}

#[tokio::test(start_paused = true)]
async fn the_journal_is_replayed_at_the_rate_that_was_asked_for() {
    let world = World::new("journal", PLAIN, &[]);
    world.journal(100).await;
    let start = tokio::time::Instant::now();
    let order = JournalOrder {
        connector: "c".to_owned(),
        from: Some("2026-02-02T02:40:10Z".parse().expect("a time")),
        rate: Some(10),
        ..JournalOrder::default()
    };
    let answer = world.replays.replay_journal(order).expect("a replay");
    let status = world.end(answer.replays[0].replay.id).await;
    assert_eq!(
        status.replay.account.delivered, 90,
        "the first ten came before"
    );
    assert_eq!(world.sent()[0]["id"], "10");
    assert!(
        start.elapsed() >= Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_the_sink_recognises_is_told_when_it_is_among_the_chosen() {
    let world = World::new("older", PLAIN, &[]);
    world.journal(2).await;
    let warnings = |kind: &str, dry_run| {
        let order = JournalOrder {
            connector: "c".to_owned(),
            types: vec![kind.to_owned()],
            dry_run,
            ..JournalOrder::default()
        };
        world.replays.replay_journal(order).expect("told").warnings
    };
    let day = 86_400;
    for is_dry in [true, false] {
        world.set_clock(day - 60);
        assert_eq!(warnings("a", is_dry), [""; 0]);
        world.set_clock(day + 60);
        let told = warnings("a", is_dry);
        assert!(
            told[0].starts_with("some of it is older than the 24 h"),
            "{told:?}"
        );
        assert_eq!(warnings("b", is_dry), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn of_dead_letters_each_is_looked_at_for_its_age() {
    let world = World::new("ages", PLAIN, &[]);
    world.set_clock(0);
    let aged = |n: u64, days: u64| {
        let mut letter = letter(n);
        letter.at = Timestamp::from_millisecond(FIRST_EVENT_MS).expect("a time")
            - Duration::from_secs(days * 86_400);
        letter
    };
    // A number says nothing about the age: a letter that failed again keeps its name.
    world.bury([aged(0, 0), aged(1, 2)]);
    for dry_run in [true, false] {
        let order = LettersOrder {
            dry_run,
            ..LettersOrder::default()
        };
        let told = world.replays.replay_letters(order).expect("told").warnings;
        assert!(
            told[0].starts_with("some of it is older than the 24 h"),
            "{told:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_journal_has_let_go_is_told_and_only_that() {
    let world = World::new("gone", PLAIN, &[]);
    world.journal(100).await;
    let note = || {
        let order = JournalOrder {
            connector: "c".to_owned(),
            from: Some("2026-01-01T00:00:00Z".parse().expect("a time")),
            dry_run: true,
            ..JournalOrder::default()
        };
        let answer = world.replays.replay_journal(order).expect("told");
        answer.dry_runs[0].note.clone()
    };
    assert_eq!(note(), None, "nothing came before the first event");
    let log = world.journal.log("s").expect("a log");
    log.release(50, 1_900_000_000_000);
    let told = note().expect("a note");
    assert!(told.ends_with("is not there any more."), "{told}");
}

#[tokio::test(start_paused = true)]
async fn replays_their_letters_and_holds_are_stamped_by_the_clock_that_was_handed_in() {
    let world = World::new("stamped", PLAIN, &["plain"]);
    world.journal(1).await;
    world.set_clock(3_600);
    let order = JournalOrder {
        connector: "c".to_owned(),
        ..JournalOrder::default()
    };
    let answer = world.replays.replay_journal(order).expect("a replay");
    let replay = world.end(answer.replays[0].replay.id).await.replay;
    world.live.gate.hold("401".to_owned());
    let held = world.live.gate.held().expect("held").since;
    let stamps = [
        replay.started,
        replay.ended.expect("it has ended"),
        world.letters()[0].at,
        held.parse().expect("a time"),
    ];
    for at in stamps {
        let seconds = (at.as_millisecond() - FIRST_EVENT_MS) / 1000;
        assert!((3_599..3_700).contains(&seconds), "{stamps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_of_the_journal_is_a_new_dead_letter() {
    let world = World::new("buried", PLAIN, &["plain"]);
    world.journal(2).await;
    let order = JournalOrder {
        connector: "c".to_owned(),
        ..JournalOrder::default()
    };
    let answer = world.replays.replay_journal(order).expect("a replay");
    let status = world.end(answer.replays[0].replay.id).await;
    assert_eq!(status.replay.account.dead["refused by the sink"], 2);
    let letters = world.letters();
    assert_eq!(letters.len(), 2);
    assert_eq!(
        (letters[0].event.as_str(), letters[0].replays),
        (&*event(0), 0)
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_of_the_journal_that_is_a_dead_letter_already_makes_no_second_one() {
    let world = World::new("known", BOTH, &["two"]);
    world.journal(3).await;
    let part = |n: u64, name: &str| {
        let mut dead = letter(n);
        dead.rule = Some("r".to_owned());
        dead.part = Some(name.to_owned());
        dead.tries = 1;
        dead
    };
    // The first event fails as before, the second by another document, the third by none before.
    world.bury([part(0, "one"), part(0, "two"), part(1, "one")]);
    let dropped = letter(2);
    world.bury([dropped]);
    let drop = DropOrder {
        filter: Filter {
            id: vec!["2".to_owned()],
            ..Filter::default()
        },
        dry_run: false,
    };
    world.replays.letters().drop_all(&drop).expect("dropped");
    let replayed = async |refuse: &[&str]| {
        world.way(BOTH, refuse);
        let order = JournalOrder {
            connector: "c".to_owned(),
            ..JournalOrder::default()
        };
        let answer = world.replays.replay_journal(order).expect("a replay");
        world.end(answer.replays[0].replay.id).await;
        let told = |it: &DeadLetter| {
            let part = it.part.clone().unwrap_or_default();
            format!("{}/{part}/{}/{}", it.event_id, it.replays, it.tries)
        };
        let letters = world.replays.letters().status().expect("readable")["c"].clone();
        assert_eq!(letters.ever, letters.held + letters.left.total());
        (
            world.letters().iter().map(told).collect::<Vec<_>>(),
            letters.left.delivered,
        )
    };
    let first = replayed(&["two"]).await;
    assert_eq!(
        first.0,
        ["0/one/0/1", "0/two/1/2", "1/two/1/2", "2/two/0/1"]
    );
    let again = replayed(&["two"]).await;
    assert_eq!(
        again.0,
        ["0/one/0/1", "0/two/2/3", "1/two/2/3", "2/two/1/2"]
    );
    assert_eq!(replayed(&[]).await, (Vec::new(), 4));
}

#[tokio::test(start_paused = true)]
async fn old_letters_and_those_without_room_leave_and_are_counted() {
    let world = World::new("retained", PLAIN, &[]);
    let now = Clock::default().now();
    let mut old = letter(0);
    old.at = now - Duration::from_secs(100 * 86_400);
    world.bury([old, letter(1), letter(2), letter(3)]);
    let letters = world.replays.letters();
    let mut retention = crate::engine::dead_letters::Retention {
        age: Some(Duration::from_secs(90 * 86_400)),
        bytes_max: u64::MAX,
    };
    letters.retain(&retention, now).expect("let go");
    let status = letters.status().expect("readable")["c"].clone();
    assert_eq!((status.held, status.left.expired["no"]), (3, 1));
    retention.bytes_max = status.bytes - 1;
    letters.retain(&retention, now).expect("let go");
    let ids: Vec<String> = world
        .letters()
        .iter()
        .map(|one| one.event_id.clone())
        .collect();
    assert_eq!(ids, ["2", "3"], "the oldest goes first");
    let status = letters.status().expect("readable")["c"].clone();
    assert_eq!(
        (status.ever, status.held, status.left.expired["no"]),
        (4, 2, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn orders_that_make_no_sense_are_refused_with_a_sentence() {
    let world = World::new("wrong", PLAIN, &[]);
    world.bury([letter(0)]);
    let order = |connector: &str, rate| JournalOrder {
        connector: connector.to_owned(),
        rate,
        ..JournalOrder::default()
    };
    let told = |order| {
        world
            .replays
            .replay_journal(order)
            .map(|_| ())
            .expect_err("refused")
            .to_string()
    };
    assert_eq!(
        told(order("d", None)),
        "there is no connector `d`; there is `c`"
    );
    assert!(told(order("c", Some(0))).starts_with("a rate is between 1 and "));
    world.live.gate.hold("401".to_owned());
    let id = world.order_letters();
    let again = world.replays.replay_letters(LettersOrder::default());
    let told = again.map(|_| ()).expect_err("refused").to_string();
    assert_eq!(
        told,
        format!("replay {id} sends dead letters of `c` already; wait for it or cancel it")
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.replays.cancel(id).expect("it runs");
    let status = world.end(id).await;
    assert_eq!((status.replay.phase, status.waiting), (Phase::Cancelled, 1));
    assert_eq!(world.letters().len(), 1, "what was not sent stays");
}
