//! Before a replay: what it would do, and what a person should know.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chunk::Chunk;
use super::pick::Picker;
use super::play::missing;
use super::{Origin, ReplayAccount, ReplayError, Replays};
use crate::clock::Clock;

/// Events of a dry run that are mapped together.
const DRY_CHUNK: usize = 100;

/// What a replay would do, without sending anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DryRun {
    /// Through which connector.
    pub connector: String,
    /// As if the sink took everything: `delivered` would be sent.
    pub account: ReplayAccount,
    /// What the journal no longer has.
    pub note: Option<String>,
    /// What to know before it is done.
    pub warning: Option<String>,
}

impl Replays {
    /// What [`Replays::start`] would do. Reads and maps everything; sends nothing.
    ///
    /// # Errors
    /// As for [`Replays::start`].
    pub fn dry_run(&self, connector: &str, origin: Origin) -> Result<DryRun, ReplayError> {
        let replay = self.plan(connector, origin, None)?;
        let way = self
            .way(connector)
            .ok_or_else(|| ReplayError::NotFound(connector.to_owned()))?;
        let courier = way
            .courier()
            .map_err(|problem| ReplayError::Failed(problem.to_string()))?;
        let mut picker = Picker::new(&replay, self.letters(), &way).map_err(ReplayError::Failed)?;
        let mut account = ReplayAccount::default();
        loop {
            let mut picked = Vec::new();
            while picked.len() < DRY_CHUNK
                && let Some(event) = picker.next().map_err(ReplayError::Failed)?
            {
                picked.push(event);
            }
            if picked.is_empty() {
                break;
            }
            account.replayed += picked.len() as u64;
            Chunk::prepare(picked, &way, &courier).assume_delivered(&mut account);
        }
        Ok(DryRun {
            connector: connector.to_owned(),
            account,
            note: missing(&replay.origin, picker.oldest()),
            warning: self.warning(connector, &replay.origin)?,
        })
    }

    /// What to know before: the sink no longer recognises what it may have had.
    ///
    /// # Errors
    /// As for [`Replays::start`].
    pub fn warning(&self, connector: &str, origin: &Origin) -> Result<Option<String>, ReplayError> {
        let Some(way) = self.way(connector) else {
            return Ok(None);
        };
        let courier = way
            .courier()
            .map_err(|problem| ReplayError::Failed(problem.to_string()))?;
        let Some(window) = courier.limits.deduplicates_for else {
            return Ok(Some(format!(
                "the sink of `{connector}` recognises no document that it has had: what was delivered before is there twice after a replay"
            )));
        };
        let Ok(since) = Clock::default().now().checked_sub(window) else {
            return Ok(None);
        };
        let oldest = match origin {
            Origin::Journal(_) => {
                let replay = self.plan(connector, origin.clone(), None)?;
                let picker = Picker::new(&replay, self.letters(), &way);
                let mut picker = picker.map_err(ReplayError::Failed)?;
                let first = picker.next().map_err(ReplayError::Failed)?;
                first.and(picker.received()).unwrap_or(Timestamp::MAX)
            }
            Origin::DeadLetters { filter } => {
                let mut oldest = Timestamp::MAX;
                let filter = filter.of_connector(connector);
                self.letters().for_each(&filter, None, |_, letter| {
                    oldest = oldest.min(letter.at);
                    oldest >= since
                })?;
                oldest
            }
        };
        let hours = window.as_secs() / 3600;
        Ok((oldest < since).then(|| format!("some of it is older than the {hours} h for which the sink of `{connector}` recognises what it has had: what was delivered then and goes again now is there twice")))
    }
}
