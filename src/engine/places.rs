//! Which connectors have a place in the data folder, and what it means that the config does not name
//! one any more: most often it has a new name now, and nobody said `renamed_from`.
//!
//! The names stand in a file beside the store as well, a line each: `CONNECTOR SOURCE`. `validate`
//! reads that one, for it must not open the store: a process may hold it, and opening writes.

use std::collections::BTreeMap;
use std::path::Path;

use tracing::warn;

use super::account::ConnectorState;
use super::state::{StartError, load_state};
use crate::config::{Config, ConnectorConfig, Start};
use crate::diagnostics::{Diagnostic, did_you_mean};
use crate::journal::{Journal, Log};
use crate::wording::{agree, number};

/// In the data folder.
const FILE: &str = "CONNECTORS";

/// What is in the store for each connector that has a place.
pub(super) fn placed(journal: &Journal) -> Result<BTreeMap<String, ConnectorState>, StartError> {
    let names = journal.store().connectors();
    let names = names.map_err(|problem| StartError::State(problem.to_string()))?;
    let mut placed = BTreeMap::new();
    // What else is kept has a `:` in its name, which a connector's cannot have.
    for name in names.into_iter().filter(|name| !name.contains(':')) {
        if let Some(state) = load_state(journal, &name)? {
            placed.insert(name, state);
        }
    }
    Ok(placed)
}

/// Say in [`FILE`] who has a place now. Nothing but a warning of `validate` depends on it.
pub(super) fn write(journal: &Journal) -> Result<(), StartError> {
    let lines: String = placed(journal)?
        .into_iter()
        .map(|(name, state)| format!("{name} {}\n", state.source))
        .collect();
    let path = journal.options().path.join(FILE);
    let new = path.with_extension("new");
    if let Err(problem) = std::fs::write(&new, lines).and_then(|()| std::fs::rename(&new, &path)) {
        warn!("{} is not written: {problem}", path.display());
    }
    Ok(())
}

fn read(data: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(data.join(FILE)).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .map(|(name, source)| (name.to_owned(), source.to_owned()))
        .collect()
}

/// Whether a connector that has a place is in the config no more, under no name.
fn is_gone(name: &str, config: &Config) -> bool {
    let mut connectors = config.connectors.iter();
    !connectors.any(|(other, it)| other == name || it.renamed_from.as_deref() == Some(name))
}

/// What waits in the data folder for a connector whose source is gone from the config, so that nothing
/// sends it: a sentence for each.
pub(super) fn stranded(journal: &Journal, config: &Config) -> Result<Vec<String>, StartError> {
    let mut told = Vec::new();
    for (name, state) in placed(journal)? {
        let source = &state.source;
        if source.is_empty() || config.sources.contains_key(source) || !journal.has_log(source) {
            continue;
        }
        let log = journal.log(source)?;
        let there = log.oldest_sequence()..log.next_sequence();
        let waiting = (there.end - there.start).saturating_sub(state.cursor.count_in(there));
        if waiting > 0 {
            told.push(format!(
                "{} of the source `{source}`, which is gone from the config, {} in the data folder for `{name}`, and nothing sends {}: put both back under these names until nothing waits",
                number(waiting, "event"),
                agree(&waiting, "waits", "wait"),
                agree(&waiting, "it", "them"),
            ));
        }
    }
    Ok(told)
}

/// `renamed_from` where the connector has run under its new name already.
pub(super) fn too_late(name: &str, before: &str) -> String {
    format!(
        "`renamed_from: {before}` comes too late: `{name}` has a place of its own by now. A name that is new takes over what `{before}` had"
    )
}

/// Places that nobody takes over, as far as [`FILE`] knows.
pub(super) fn check(config: &Config) -> Vec<Diagnostic> {
    let places = read(&config.journal.path);
    let connectors = config.connectors.iter();
    connectors
        .filter_map(|(name, it)| left_behind(&places, config, name, it))
        .collect()
}

fn left_behind(
    places: &BTreeMap<String, String>,
    config: &Config,
    name: &str,
    it: &ConnectorConfig,
) -> Option<Diagnostic> {
    let warning = |message| Diagnostic::warning("place-left-behind", it.span, message);
    let before = it.renamed_from.as_deref();
    let before = before.filter(|before| places.contains_key(*before));
    if let Some(source) = places.get(name).filter(|source| **source != it.source) {
        let message = format!("`{name}` has read the source `{source}` so far");
        return Some(
            Diagnostic::error("other-source", it.span, message).label(format!(
                "its place there means nothing in `{}`: give it a new name to begin anew, or its source back",
                it.source
            )),
        );
    }
    match (places.contains_key(name), before) {
        (true, Some(before)) => return Some(warning(too_late(name, before))),
        (true, None) | (false, Some(_)) => return None,
        (false, None) => {}
    }
    if let Some(unknown) = &it.renamed_from
        && !places.is_empty()
    {
        let message =
            format!("`renamed_from: {unknown}`: nothing of that name is in the data folder");
        let known = places.keys().map(String::as_str);
        let known = known.filter(|known| !config.connectors.contains_key(*known));
        return Some(warning(message).label(did_you_mean(unknown, known)));
    }
    let reads_it = |(_, source): &(&String, &String)| **source == it.source;
    let mut gone = places.iter().filter(|(gone, _)| is_gone(gone, config));
    let Some((gone, _)) = gone.clone().find(reads_it) else {
        let (gone, source) = gone.find(|(_, source)| !config.sources.contains_key(*source))?;
        let message = format!(
            "`{gone}` is gone from the config, and so is the source `{source}` that it has read: what waits there is not sent"
        );
        return Some(
            warning(message).label("put both back until `status` says that nothing waits"),
        );
    };
    let begins = match it.start {
        Start::Oldest => {
            format!("begins at the oldest event there is, so what `{gone}` has sent goes again")
        }
        Start::Now => {
            format!("begins with what comes from now on, so what `{gone}` has not sent is not sent")
        }
        Start::At(time) => format!("begins at {time}, wherever `{gone}` was"),
    };
    let message = format!(
        "`{name}` has no place in the data folder yet and {begins}; `{gone}` has read the same source and is gone from the config"
    );
    Some(warning(message).label(format!(
        "the same by another name? `renamed_from: {gone}` goes on where that was"
    )))
}

/// What a person should know of a connector that begins at this number: which one is gone that read
/// the same source, and what goes again or not at all because the place of that is not taken over.
pub(super) fn beside(
    placed: &BTreeMap<String, ConnectorState>,
    config: &Config,
    log: &Log,
    (source, begins): (&str, u64),
) -> Option<String> {
    let gone = placed
        .iter()
        .filter(|(name, state)| state.source == source && is_gone(name, config));
    // Of several the one that was there last.
    let (gone, state) = gone.max_by_key(|(_, state)| state.cursor.end())?;
    let again = state.cursor.count_in(begins..log.next_sequence());
    let before = log.oldest_sequence()..begins;
    let passed_over =
        (before.end.saturating_sub(before.start)).saturating_sub(state.cursor.count_in(before));
    let follows = match (again, passed_over) {
        (0, 0) => String::new(),
        (0, missed) => format!(
            ": {} that it had not sent {} not sent",
            number(missed, "event"),
            agree(&missed, "is", "are")
        ),
        (again, _) => format!(
            ": {} that it has settled {} once more",
            number(again, "event"),
            agree(&again, "goes", "go")
        ),
    };
    Some(format!(
        "begins anew, and not where `{gone}` was, which has read the same source and is gone from the config{follows}. If this is that one by another name, give it one that is new again, with `renamed_from: {gone}`, and reload: then it takes place, account and dead letters over"
    ))
}
