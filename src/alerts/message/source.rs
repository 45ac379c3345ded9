//! A source from which events should come.

use std::time::Duration;

use super::words::span;
use super::{Context, Text};
use crate::alerts::policy::News;

impl Context<'_> {
    pub(super) fn source(&self, name: &str, is_well: bool, news: &News) -> Text {
        if is_well {
            return Text {
                headline: format!("source {name}: events come again"),
                what: format!("Events come to the source {name} again. There is nothing to do."),
                facts: self.was(news),
                steps: Vec::new(),
            };
        }
        let source = self.status.sources.get(name);
        let silent = source.and_then(|source| source.silent_for_seconds);
        let last = match silent {
            Some(seconds) => format!("{} ago", span(Duration::from_secs(seconds))),
            None => "none since sluice was started".to_owned(),
        };
        Text {
            headline: format!("source {name}: no events come"),
            what: format!(
                "No event has come to the source {name} for longer than its `expect_every` says."
            ),
            facts: vec![
                ("Last event", last),
                (
                    "Lost?",
                    "Nothing that was taken in. What the upstream does not send is not here."
                        .to_owned(),
                ),
            ],
            steps: vec![
                "Look in the upstream system whether it has switched its connector off; many do \
                 after repeated failures."
                    .to_owned(),
                "Look whether it still reaches this address: network, certificate, token."
                    .to_owned(),
                format!(
                    "See what was refused: {}",
                    self.command("status --format json")
                ),
            ],
        }
    }
}
