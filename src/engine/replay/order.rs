//! What a person asks for, from the command line or the admin API, and what is answered.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use sluice_sdk::typed;

use super::{DryRun, Origin, Range, ReplayError, ReplayStatus, Replays};
use crate::engine::dead_letters::{Filter, source_of};

/// Replay dead letters.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LettersOrder {
    /// Which.
    pub filter: Filter,
    /// Events a second.
    pub rate: Option<u32>,
    /// Say what would happen; send nothing.
    pub dry_run: bool,
}

/// Replay events of the journal.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalOrder {
    /// Through which connector.
    pub connector: String,
    /// Received at this moment or later.
    pub from: Option<jiff::Timestamp>,
    /// Received before this moment.
    pub to: Option<jiff::Timestamp>,
    /// Types or globs.
    #[serde(rename = "type")]
    pub types: Vec<String>,
    /// Events a second.
    pub rate: Option<u32>,
    /// Say what would happen; send nothing.
    pub dry_run: bool,
}

/// What follows from an order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Replays that were started.
    pub replays: Vec<ReplayStatus>,
    /// … or what they would do.
    pub dry_runs: Vec<DryRun>,
    /// What to know.
    pub warnings: Vec<String>,
    /// Letters that fit and cannot be replayed.
    pub not_replayed: Vec<NotReplayed>,
}

/// Letters that fit and cannot be replayed; they stay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NotReplayed {
    /// The connector or `source:NAME`.
    pub connector: String,
    /// How many.
    pub count: u64,
    /// Why, and what to do.
    pub why: String,
}

impl Replays {
    /// Replay dead letters: one replay for each connector that has letters which fit.
    ///
    /// # Errors
    /// As for [`Replays::start`]; those that were started before go on.
    pub fn replay_letters(self: &Arc<Self>, order: LettersOrder) -> Result<Answer, ReplayError> {
        let mut answer = Answer::default();
        for (connector, count) in self.letters().counts(&order.filter)? {
            let filter = Filter {
                // Counted over all connectors, the oldest first.
                limit: order.filter.limit.map(|_| count),
                ..order.filter.of_connector(&connector)
            };
            if let Some(why) = self.why_not(&connector) {
                answer.not_replayed.push(NotReplayed {
                    connector,
                    count,
                    why,
                });
                continue;
            }
            let origin = Origin::DeadLetters { filter };
            self.take(&mut answer, &connector, origin, order.rate, order.dry_run)?;
        }
        Ok(answer)
    }

    /// Replay events of the journal.
    ///
    /// # Errors
    /// As for [`Replays::start`].
    pub fn replay_journal(self: &Arc<Self>, order: JournalOrder) -> Result<Answer, ReplayError> {
        let mut answer = Answer::default();
        let origin = Origin::Journal(Range {
            from: order.from,
            to: order.to,
            types: order.types,
        });
        let connector = &order.connector;
        self.take(&mut answer, connector, origin, order.rate, order.dry_run)?;
        Ok(answer)
    }

    fn take(
        self: &Arc<Self>,
        answer: &mut Answer,
        connector: &str,
        origin: Origin,
        rate: Option<u32>,
        is_dry: bool,
    ) -> Result<(), ReplayError> {
        if is_dry {
            let dry_run = self.dry_run(connector, origin)?;
            answer.warnings.extend(dry_run.warning.clone());
            answer.dry_runs.push(dry_run);
        } else {
            let warning = self.warning(connector, &origin)?;
            answer.replays.push(self.start(connector, origin, rate)?);
            answer.warnings.extend(warning);
        }
        Ok(())
    }

    fn why_not(&self, connector: &str) -> Option<String> {
        if let Some(source) = source_of(connector) {
            return Some(format!(
                "these were no events when they came, so no rule can run on them. Take them out with {}, mend the file, and send it with {}",
                typed(&format!(
                    "dead-letters export --raw --connector {connector} > mended.json"
                )),
                typed(&format!(
                    "dead-letters submit mended.json --source {source}"
                ))
            ));
        }
        self.way(connector)
            .is_none()
            .then(|| "the config has no such connector any more".to_owned())
    }
}
