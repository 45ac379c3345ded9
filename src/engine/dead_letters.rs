//! Dead letters as they are on disk: for listing and export while the process does not run.

use crate::config::Config;
use crate::journal::{DeadLetterKey, Journal, JournalOptions};

use super::connector::DeadLetter;
use super::run::StartError;

/// Letters read from the store at a time.
const PAGE: usize = 500;

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
