//! What the log says of one batch: a person who has a line or a dead letter finds all the others.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Settings, World, body, envelope, event, post};
use crate::support::{self, Sluice, eventually};

/// Events of the one body: two are unmapped, one is too large, one will be refused.
const EVENTS: u64 = 20;
/// Documents of them that travel.
const DOCUMENTS: u64 = 17;

/// A sink that is unwell at first, and then refuses one document.
async fn world() -> World {
    let world = World::new(Settings::default()).await;
    world
        .fault(json!([
            {"mode": "status", "status": 503, "times": 1},
            {"mode": "status", "status": 400, "body": "bad", "contains": "\"event-5\"", "times": 0},
        ]))
        .await;
    world
}

async fn send(world: &World, sluice: &Sluice) {
    let events = body((0..EVENTS).map(event));
    assert_eq!(post(&sluice.endpoint, envelope(&events)).await.0, 200);
    world.arrives(DOCUMENTS - 1).await;
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).expect("a line is JSON")
}

fn with<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    let is_it = |line: &&Value| {
        let text = line["message"].as_str();
        text.is_some_and(|text| text.starts_with(message))
    };
    lines.iter().filter(is_it).collect()
}

fn sum(lines: &[&Value], field: &str) -> u64 {
    lines.iter().filter_map(|line| line[field].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_finds_the_whole_life_of_a_batch_that_was_split() {
    let mut world = world().await;
    world.enter = vec!["env".to_owned(), "RUST_LOG=info,sluice=debug".to_owned()];
    let sluice = world.start();
    send(&world, &sluice).await;
    let mut lines = Vec::new();
    eventually("the log says what became of each document", || {
        lines = sluice.log().iter().map(|line| parsed(line)).collect();
        sum(&with(&lines, "delivered"), "documents") == DOCUMENTS - 1
    })
    .await;
    assert_eq!(sluice.stop(), Some(0));

    let planned = with(&lines, "planned");
    assert_eq!(planned.len(), 1, "{planned:?}");
    let batch = planned[0]["span"]["batch"].as_str().expect("an id");
    let life: Vec<Value> = lines
        .iter()
        .filter(|line| {
            let of = line["span"]["batch"].as_str().unwrap_or_default();
            of == batch || of.starts_with(&format!("{batch}."))
        })
        .cloned()
        .collect();
    assert!(
        life.iter()
            .all(|line| line["span"]["connector"] == "braze-to-segment"),
        "{life:?}"
    );

    // Where it came from.
    let taken = with(&lines, "a body is on disk");
    let from = with(&life, "from the events of a body");
    assert_eq!((taken.len(), from.len()), (1, 1), "{taken:?} {from:?}");
    assert_eq!(taken[0]["source"], "braze");
    assert_eq!(taken[0]["events"], EVENTS);
    assert!(taken[0]["body"].is_u64(), "{taken:?}");
    assert_eq!(taken[0]["body"], from[0]["body"]);
    assert_eq!(planned[0]["documents"], DOCUMENTS);

    // The tries, and why each was not taken.
    let again = with(&life, "not taken");
    assert_eq!(again.len(), 1, "{again:?}");
    assert_eq!(again[0]["level"], "WARN");
    assert_eq!(again[0]["span"]["batch"], batch);
    let splits = with(&life, "split");
    assert!(!splits.is_empty());
    assert_eq!(splits[0]["first"], format!("{batch}.1"));
    assert_eq!(splits[0]["second"], format!("{batch}.2"));
    let requests = with(&life, "trying").len();
    let ends = with(&life, "delivered").len() + with(&life, "refused").len() + again.len();
    assert_eq!(requests, ends, "each request has its outcome");

    // What became of each document.
    assert_eq!(sum(&with(&life, "delivered"), "documents"), DOCUMENTS - 1);
    let refused = with(&life, "refused by the sink");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["event"], "event-5");
    let part = refused[0]["span"]["batch"].as_str().expect("an id");
    assert!(part.starts_with(&format!("{batch}.")), "{part}");
    let letters = world.dead_letters();
    let of = |id: &str| letters.iter().find(|letter| letter["event_id"] == id);
    assert_eq!(of("event-5").expect("a dead letter")["batch"], part);
    let never_sent = of("event-7").expect("a dead letter");
    assert_eq!(never_sent.get("batch"), None, "{never_sent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lines_for_people_name_the_batch_as_well() {
    let world = world().await;
    let mut command: Command = support::program();
    command.args(["run", "--config"]).arg(&world.config);
    let sluice = Sluice::start_by(command);
    send(&world, &sluice).await;
    let line = sluice.wait_for_line("not taken: ");
    let (_, id) = line.split_once("batch=").expect("the batch");
    let id: String = id.chars().take_while(char::is_ascii_hexdigit).collect();
    let refused = sluice.wait_for_line("refused by the sink");
    assert!(
        id.len() == 10 && refused.contains(&format!("batch={id}.")),
        "{line}\n{refused}"
    );
    assert_eq!(sluice.stop(), Some(0));
}
