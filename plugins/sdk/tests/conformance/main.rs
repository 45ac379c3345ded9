//! The kit finds what it is there for: plugins that are wrong on purpose, each in one way, and a
//! right one of each kind.
#![allow(clippy::unwrap_used)]

mod sinks;
mod sources;

use sluice_sdk::conformance::Report;

/// The plugin breaks this rule; what is said about it holds the part. It may break others by it.
fn assert_fault(report: &Report, rule: &str, part: &str) {
    let told = report.faults.iter().any(|fault| {
        fault.rule == rule && format!("{} {}", fault.found, fault.mend).contains(part)
    });
    assert!(told, "no `{rule}` with \"{part}\" in:\n{report}");
}
