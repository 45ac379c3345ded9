//! Before a replay: what it would do, and what a person should know.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chunk::Chunk;
use super::pick::{Picked, Picker};
use super::play::missing;
use super::{Origin, ReplayAccount, ReplayError, Replays};
use crate::engine::delivery::Courier;

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
            .courier(&self.clock)
            .map_err(|problem| ReplayError::Failed(problem.to_string()))?;
        let mut picker = Picker::new(&replay, self.letters(), &way).map_err(ReplayError::Failed)?;
        let mut account = ReplayAccount::default();
        let mut oldest = Timestamp::MAX;
        loop {
            let mut picked = Vec::new();
            while picked.len() < DRY_CHUNK
                && let Some(event) = picker.next().map_err(ReplayError::Failed)?
            {
                oldest = oldest.min(came(&event, &picker));
                picked.push(event);
            }
            if picked.is_empty() {
                break;
            }
            account.replayed += picked.len() as u64;
            Chunk::prepare(picked, &way, &courier, &self.clock).assume_delivered(&mut account);
        }
        Ok(DryRun {
            connector: connector.to_owned(),
            account,
            note: missing(&replay.origin, picker.oldest()),
            warning: self.doubles(connector, &courier, |since| Ok(oldest < since))?,
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
            .courier(&self.clock)
            .map_err(|problem| ReplayError::Failed(problem.to_string()))?;
        let replay = self.plan(connector, origin.clone(), None)?;
        self.doubles(connector, &courier, |since| {
            let mut picker =
                Picker::new(&replay, self.letters(), &way).map_err(ReplayError::Failed)?;
            while let Some(event) = picker.next().map_err(ReplayError::Failed)? {
                if came(&event, &picker) < since {
                    return Ok(true);
                }
                if let Origin::Journal(_) = replay.origin {
                    // All others came later.
                    break;
                }
            }
            Ok(false)
        })
    }

    /// What to say of documents that would be there twice. `has_older` tells whether anything is of a
    /// time before this one.
    fn doubles(
        &self,
        connector: &str,
        courier: &Courier,
        has_older: impl FnOnce(Timestamp) -> Result<bool, ReplayError>,
    ) -> Result<Option<String>, ReplayError> {
        let Some(window) = courier.limits.deduplicates_for else {
            return Ok(Some(format!(
                "the sink of `{connector}` recognises no document that it has had: what was delivered before is there twice after a replay"
            )));
        };
        let Ok(since) = self.clock.now().checked_sub(window) else {
            return Ok(None);
        };
        let hours = window.as_secs() / 3600;
        Ok(has_older(since)?.then(|| format!("some of it is older than the {hours} h for which the sink of `{connector}` recognises what it has had: what was delivered then and goes again now is there twice")))
    }
}

/// When it came, or became a dead letter.
fn came(picked: &Picked, picker: &Picker) -> Timestamp {
    let letter = picked.letter.as_ref().map(|(_, letter)| letter.at);
    letter.or(picker.received()).unwrap_or(Timestamp::MAX)
}
