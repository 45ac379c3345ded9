//! The table of metrics in the documentation is what the running program shows.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::{Settings, body, envelope, event, post};
use crate::support::eventually;
use crate::{CONNECTOR, Reloads, TOKEN};

/// Kind and labels of each metric.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// The rows of the table: `| name | kind | labels | meaning |`.
fn documented() -> Metrics {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let rows = page.lines().filter(|line| line.starts_with("| `sluice_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels = cells[3]
            .split(',')
            .map(|label| label.trim().trim_matches('`'));
        let labels = labels.filter(|label| !label.is_empty()).map(str::to_owned);
        let name = cells[1].trim_matches('`').to_owned();
        (name, (cells[2].to_owned(), labels.collect()))
    })
    .collect()
}

/// What `/metrics` shows: only names that have a value.
fn shown(text: &str) -> Metrics {
    let kinds: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let mut shown = Metrics::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once('{').expect("a name");
        let (labels, _) = rest.rsplit_once('}').expect("labels");
        let names = labels
            .split("\",")
            .filter_map(|label| label.split_once('='))
            .map(|(name, _)| name.to_owned());
        let kind = kinds.get(name).copied().unwrap_or("without a kind");
        shown.insert(name.to_owned(), (kind.to_owned(), names.collect()));
    }
    shown
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_in_the_table_and_every_row_of_the_table_is_shown() {
    let reloads = Reloads::new(Settings::default()).await;
    let sluice = reloads.start();
    // Some delivered, some skipped, one too large for the sink, one no event.
    let mut events = body((0..20).map(event));
    events.push("7".to_owned());
    assert_eq!(post(&sluice.endpoint, envelope(&events)).await.0, 200);
    eventually("the dead letter is there", || {
        let list = reloads.command(&["dead-letters", "list", "--connector", CONNECTOR]);
        list.stdout.starts_with(CONNECTOR.as_bytes())
    })
    .await;
    let replayed = reloads.command(&["dead-letters", "replay", "--connector", CONNECTOR]);
    let said = String::from_utf8_lossy(&replayed.stdout).into_owned();
    let (code, answer) = reloads.ask("GET", "/metrics", Some(TOKEN)).await;
    assert_eq!(code, 200, "{answer}");
    let text = answer.as_str().expect("no JSON");
    assert_eq!(shown(text), documented(), "{text}\n{said}");
    assert_eq!(sluice.stop(), Some(0));
}
