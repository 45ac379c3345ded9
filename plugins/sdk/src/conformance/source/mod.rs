//! The kit's side of a source: nothing is acknowledged before it is safe, nothing is lost.

mod bench;
mod marks;
mod safety;
mod stop;
mod taken;

use std::sync::Arc;

use super::Report;
use super::intake::Answer;
use super::settings::{self, Subject};
use crate::registry::SourcePlugin;
use crate::stand_in::{Flow, Upstream};
use bench::Bench;

const LOST: &str = "Acknowledge, or move the own position, only after `accept` returned Ok. On every error let the upstream send again, or hand the same events over again after `retry_after`.";

pub async fn check(plugin: &SourcePlugin) -> Report {
    let mut report = Report::new("source", plugin.name);
    let subject = Subject {
        schema: (plugin.schema)().to_value(),
        example: plugin.example,
        validate: plugin.validate,
        debug: plugin.debug,
    };
    let Some(mut settings) = settings::check(&subject, &mut report) else {
        return report;
    };
    let Some(upstream) = start_upstream(plugin, &mut report).await else {
        return report;
    };
    settings::lay_over(&mut settings, &upstream.settings());
    let secrets = settings::secrets(&subject, &settings);
    settings::hide(&subject, &settings, &secrets, &mut report);
    let mut bench = Bench {
        plugin,
        upstream: Arc::from(upstream),
        settings,
        secrets,
        report,
        next: 0,
    };
    if bench.good_case().await {
        match bench.upstream.flow() {
            Flow::Answered => {
                bench.set_aside().await;
                bench.not_early().await;
                bench.pushes_back(Answer::Full).await;
                bench.pushes_back(Answer::Io).await;
                bench.stops_under_way().await;
            }
            Flow::Read => {
                bench.set_aside().await;
                bench.waits_for_room().await;
                bench.comes_again().await;
            }
            Flow::Stream => {
                bench.set_aside().await;
                bench.waits_for_room().await;
            }
            Flow::Made => bench.waits_for_room().await,
        }
        bench.stops_at_once().await;
        bench.stops_when_refused().await;
        bench.cancelled().await;
    }
    bench.report
}

async fn start_upstream(plugin: &SourcePlugin, report: &mut Report) -> Option<Box<dyn Upstream>> {
    const MEND: &str = "Write what stands before it (`impl sluice_sdk::Upstream`: settings, flow, event, feeder) and register it: `upstream: start`.";
    let Some(start) = plugin.upstream else {
        report.fault(
            "nothing-to-test-with",
            "it has no upstream, so nobody knows what it does",
            MEND,
        );
        return None;
    };
    match start().await {
        Ok(upstream) => Some(upstream),
        Err(problem) => {
            let found = format!("its upstream does not start: {problem}");
            report.fault("nothing-to-test-with", found, MEND);
            None
        }
    }
}
