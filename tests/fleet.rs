//! What every linked plugin must keep, whoever wrote it: a new one is covered by being linked.

use sluice as _;
use sluice_sdk::conformance::{Report, check_sink, check_source};

fn assert_all(reports: &[Report]) {
    let wrong: Vec<String> = reports
        .iter()
        .filter(|report| !report.faults.is_empty())
        .map(ToString::to_string)
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sink_keeps_the_contract() {
    let mut reports = Vec::new();
    for plugin in sluice_sdk::sinks() {
        reports.push(check_sink(plugin).await);
    }
    assert!(reports.len() >= 4, "{} sinks are linked", reports.len());
    assert_all(&reports);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_source_keeps_the_contract() {
    let mut reports = Vec::new();
    for plugin in sluice_sdk::sources() {
        reports.push(check_source(plugin).await);
    }
    assert!(reports.len() >= 4, "{} sources are linked", reports.len());
    assert_all(&reports);
}

#[test]
fn no_name_is_taken_twice() {
    assert_eq!(sluice_sdk::name_clashes(), Vec::<String>::new());
}
