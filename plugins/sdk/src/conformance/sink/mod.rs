//! The kit's side of a sink: each answer of the other side must become its outcome.

mod answers;
mod bad;
mod bench;
mod documents;
mod good;

use std::sync::Arc;

use super::Report;
use super::patience::call;
use super::settings::{self, Subject, panicked};
use crate::registry::SinkPlugin;
use crate::stand_in::Double;
use bench::Bench;

pub async fn check(plugin: &SinkPlugin) -> Report {
    let mut report = Report::new("sink", plugin.name);
    let subject = Subject {
        schema: (plugin.schema)().to_value(),
        example: plugin.example,
        validate: plugin.validate,
        debug: plugin.debug,
    };
    let Some(mut settings) = settings::check(&subject, &mut report) else {
        return report;
    };
    let Some(double) = start_double(plugin, &mut report).await else {
        return report;
    };
    settings::lay_over(&mut settings, &double.settings());
    let secrets = settings::secrets(&subject, &settings);
    settings::hide(&subject, &settings, &secrets, &mut report);
    let sink = match double.wired() {
        Some(sink) => sink,
        None => match call(|| (plugin.build)(settings)) {
            Ok(Ok(sink)) => sink,
            Ok(Err(problem)) => {
                report.fault(
                    "example",
                    format!("the sink cannot be made from its example and the double's settings: {problem}"),
                    "`Double::settings` is laid over `example:`; together they must be settings that work.",
                );
                return report;
            }
            Err(trouble) => {
                panicked(&trouble, "being made", &mut report);
                return report;
            }
        },
    };
    let mut bench = Bench {
        limits: sink.limits(),
        sink: Arc::from(sink),
        double,
        secrets,
        report,
        next: 0,
    };
    if bench.limits_make_sense() && bench.good_case().await {
        bench.full_batch().await;
        bench.side_by_side().await;
        bench.bad_cases().await;
        bench.cancelled().await;
        bench.odd_documents();
        bench.nothing_was_dropped();
    }
    bench.report
}

async fn start_double(plugin: &SinkPlugin, report: &mut Report) -> Option<Box<dyn Double>> {
    const MEND: &str = "Write a stand-in of the other side (`impl sluice_sdk::Double`: settings, accepted, sample, behave, requests) and register it: `double: start` where `sluice demo` may end in it, else `test_double: start`.";
    let Some(start) = plugin.double.or(plugin.test_double) else {
        report.fault(
            "nothing-to-test-with",
            "it has no double, so nobody knows what it does",
            MEND,
        );
        return None;
    };
    match start().await {
        Ok(double) if double.sample(0).is_some() => Some(double),
        Ok(_) => {
            report.fault(
                "nothing-to-test-with",
                "its double has no `sample`: a document to send",
                MEND,
            );
            None
        }
        Err(problem) => {
            report.fault(
                "nothing-to-test-with",
                format!("its double does not start: {problem}"),
                MEND,
            );
            None
        }
    }
}
