//! Which events of the journal have dead letters already, so that a replay which fails makes no
//! second one of them.

use super::Replay;
use crate::engine::dead_letters::{Filter, Letters, LettersError};
use crate::journal::DeadLetterKey;

/// The letters of a connector by the events that they are about.
#[derive(Default)]
pub(super) struct Known {
    connector: String,
    /// Numbers of event and letter, sorted.
    numbers: Vec<(u64, u64)>,
}

impl Known {
    /// Those about the events that this replay has still to look at. Reads every letter of the
    /// connector.
    pub(super) fn read(replay: &Replay, letters: &Letters) -> Result<Self, LettersError> {
        let mut numbers = Vec::new();
        let filter = Filter::default().of_connector(&replay.connector);
        letters.for_each(&filter, None, |key, letter| {
            if (replay.next..replay.end).contains(&letter.sequence) {
                numbers.push((letter.sequence, key.number));
            }
            true
        })?;
        numbers.sort_unstable();
        Ok(Self {
            connector: replay.connector.clone(),
            numbers,
        })
    }

    /// Those about one event.
    pub(super) fn about(&self, sequence: u64) -> impl Iterator<Item = DeadLetterKey> {
        let first = self.numbers.partition_point(|(event, _)| *event < sequence);
        let about = self.numbers[first..].iter();
        about
            .take_while(move |(event, _)| *event == sequence)
            .map(|(_, number)| DeadLetterKey {
                connector: self.connector.clone(),
                number: *number,
            })
    }
}
