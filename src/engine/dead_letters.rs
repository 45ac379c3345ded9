//! What could not be delivered, as it is kept, and how it is read while the process does not run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::StartError;
use crate::config::Config;
use crate::journal::{DeadLetterKey, Journal, JournalOptions};

/// Letters read from the store at a time.
const PAGE: usize = 500;

/// A dead letter as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was put here.
    pub at: Timestamp,
    /// The connector, or `source:NAME` for what was no event.
    pub connector: String,
    /// The event's number in the journal.
    pub sequence: u64,
    /// Its type; empty where unknown.
    pub event_type: String,
    /// Its id; empty where unknown.
    pub event_id: String,
    /// Short and stable, as counted in the account.
    pub reason: String,
    /// More about it: what was found, or the sink's answer.
    pub detail: String,
    /// The rule, if one ran.
    pub rule: Option<String>,
    /// Tries at the sink.
    pub tries: u32,
    /// The event as it came; what is no UTF-8 is replaced here and kept whole in `event_bytes`.
    pub event: String,
    /// The bytes, where `event` does not have them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_bytes: Option<Vec<u8>>,
    /// The document that was refused, if one was made.
    pub document: Option<String>,
}

impl DeadLetter {
    /// What a source was sent and is no event.
    pub fn of_source(source: &str, reason: &str, raw: &[u8]) -> Self {
        Self {
            at: Timestamp::now(),
            connector: format!("source:{source}"),
            sequence: 0,
            event_type: String::new(),
            event_id: String::new(),
            reason: reason.to_owned(),
            detail: format!("{} bytes", raw.len()),
            rule: None,
            tries: 0,
            event: String::from_utf8_lossy(raw).into_owned(),
            event_bytes: std::str::from_utf8(raw).is_err().then(|| raw.to_vec()),
            document: None,
        }
    }
}

/// Which dead letters.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this connector's (or `source:NAME`, what a source set aside).
    pub connector: Option<String>,
    /// Only events of this type.
    pub event_type: Option<String>,
    /// Only letters whose reason contains this.
    pub reason: Option<String>,
}

impl Filter {
    fn takes(&self, letter: &DeadLetter) -> bool {
        let fits = |wanted: &Option<String>, value: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == value)
        };
        fits(&self.connector, &letter.connector)
            && fits(&self.event_type, &letter.event_type)
            && self
                .reason
                .as_ref()
                .is_none_or(|part| letter.reason.contains(part.as_str()))
    }
}

/// Give every dead letter that fits to `each`, oldest first, until it answers `false`.
///
/// # Errors
/// When the data folder cannot be used, for example because the process runs.
pub fn for_each_dead_letter(
    config: &Config,
    filter: &Filter,
    mut each: impl FnMut(&DeadLetterKey, &DeadLetter) -> bool,
) -> Result<(), StartError> {
    if !config.journal.path.exists() {
        return Ok(());
    }
    let journal = Journal::open(JournalOptions::new(&config.journal.path))?;
    let state = |problem: &dyn std::fmt::Display| StartError::State(problem.to_string());
    let mut after: Option<DeadLetterKey> = None;
    loop {
        let page = journal
            .store()
            .dead_letters(None, after.as_ref(), PAGE)
            .map_err(|problem| state(&problem))?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        for (key, bytes) in &page {
            let letter: DeadLetter =
                serde_json::from_slice(bytes).map_err(|problem| state(&problem))?;
            if filter.takes(&letter) && !each(key, &letter) {
                return Ok(());
            }
        }
    }
}
