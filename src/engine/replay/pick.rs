//! Choose, in order, what a replay sends: from the dead letters or from the journal.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use globset::{Glob, GlobMatcher};
use jiff::Timestamp;

use super::{Origin, Range, Replay, Way};
use crate::engine::dead_letters::{DeadLetter, Filter, Letters};
use crate::journal::{DeadLetterKey, Reader, Record};

/// Letters read at a time.
const LETTERS_AT_A_TIME: u64 = 64;

/// One event to replay.
pub(super) struct Picked {
    /// Its number in the journal.
    pub sequence: u64,
    /// Number of the first event of the body it came in, where the journal still has that.
    pub body: Option<u64>,
    pub event_type: String,
    pub event_id: String,
    pub event: Bytes,
    /// It was known as a duplicate when it came.
    pub is_duplicate: bool,
    /// The letter that holds it.
    pub letter: Option<(DeadLetterKey, DeadLetter)>,
}

/// Gives the events of a replay one by one. Reads wait for the disk.
pub(super) enum Picker {
    Letters(Box<LettersPicker>),
    Journal(Box<JournalPicker>),
}

pub(super) struct LettersPicker {
    letters: Arc<Letters>,
    filter: Filter,
    after: Option<DeadLetterKey>,
    end: u64,
    left: u64,
    read: VecDeque<(DeadLetterKey, DeadLetter)>,
}

pub(super) struct JournalPicker {
    reader: Reader,
    from: Timestamp,
    to: Timestamp,
    types: Vec<GlobMatcher>,
    next: u64,
    end: u64,
    /// The record being read, and the place of its next event.
    record: Option<(Arc<Record>, usize)>,
    /// When the record being read came.
    received: Timestamp,
    /// When the oldest record came, if the journal had others before it.
    oldest: Option<Timestamp>,
    is_first: bool,
}

impl Picker {
    /// From where the replay is.
    pub(super) fn new(replay: &Replay, letters: &Arc<Letters>, way: &Way) -> Result<Self, String> {
        match &replay.origin {
            Origin::DeadLetters { filter } => Ok(Self::Letters(Box::new(LettersPicker {
                letters: Arc::clone(letters),
                filter: filter.of_connector(&replay.connector),
                after: replay.next.checked_sub(1).map(|number| DeadLetterKey {
                    connector: replay.connector.clone(),
                    number,
                }),
                end: replay.end,
                left: filter.limit.map_or(u64::MAX, |limit| {
                    limit.saturating_sub(replay.account.settled())
                }),
                read: VecDeque::new(),
            }))),
            Origin::Journal(range) => Ok(Self::Journal(Box::new(JournalPicker {
                reader: way.log.reader(replay.next),
                from: range.from.unwrap_or(Timestamp::MIN),
                to: range.to.unwrap_or(Timestamp::MAX),
                types: globs(range)?,
                next: replay.next,
                end: replay.end,
                record: None,
                received: Timestamp::MIN,
                oldest: None,
                is_first: true,
            }))),
        }
    }

    /// The next event, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<Picked>, String> {
        match self {
            Self::Letters(picker) => picker.next(),
            Self::Journal(picker) => picker.next(),
        }
    }

    /// Every event or letter below this number was given or is none of the chosen.
    pub(super) fn place(&self) -> u64 {
        match self {
            Self::Letters(picker) => picker.after.as_ref().map_or(0, |key| key.number + 1),
            Self::Journal(picker) => picker.next,
        }
    }

    /// When the event that was given last came, if it is of the journal.
    pub(super) fn received(&self) -> Option<Timestamp> {
        match self {
            Self::Letters(_) => None,
            Self::Journal(picker) => Some(picker.received),
        }
    }

    /// When the oldest event that the journal has came, once one was read; nothing when none was before it.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        match self {
            Self::Letters(_) => None,
            Self::Journal(picker) => picker.oldest,
        }
    }
}

/// The types of a range.
///
/// # Errors
/// A sentence for the first that is no glob.
pub(super) fn globs(range: &Range) -> Result<Vec<GlobMatcher>, String> {
    let compile = |text: &String| {
        Glob::new(text)
            .map(|glob| glob.compile_matcher())
            .map_err(|problem| format!("`{text}` is no event type and no glob: {}", problem.kind()))
    };
    range.types.iter().map(compile).collect()
}

impl LettersPicker {
    fn next(&mut self) -> Result<Option<Picked>, String> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.read.is_empty() {
            let filter = Filter {
                limit: Some(LETTERS_AT_A_TIME),
                ..self.filter.clone()
            };
            let (read, end) = (&mut self.read, self.end);
            self.letters
                .for_each(&filter, self.after.as_ref(), |key, letter| {
                    let is_in = key.number < end;
                    if is_in {
                        read.push_back((key.clone(), letter));
                    }
                    is_in
                })
                .map_err(|problem| problem.to_string())?;
        }
        let Some((key, letter)) = self.read.pop_front() else {
            return Ok(None);
        };
        self.after = Some(key.clone());
        self.left -= 1;
        Ok(Some(Picked {
            sequence: letter.sequence,
            body: None,
            event_type: letter.event_type.clone(),
            event_id: letter.event_id.clone(),
            event: Bytes::copy_from_slice(letter.event_bytes()),
            is_duplicate: false,
            letter: Some((key, letter)),
        }))
    }
}

impl JournalPicker {
    fn next(&mut self) -> Result<Option<Picked>, String> {
        loop {
            if self.next >= self.end {
                return Ok(None);
            }
            let Some((record, at)) = &mut self.record else {
                match self
                    .reader
                    .try_next()
                    .map_err(|problem| problem.to_string())?
                {
                    Some(record) => self.enter(record),
                    None => return Ok(None),
                }
                continue;
            };
            let Some(mark) = record.events.get(*at) else {
                self.record = None;
                continue;
            };
            let sequence = record.first_sequence + *at as u64;
            *at += 1;
            if sequence < self.next || sequence >= self.end {
                self.next = self.next.max(sequence);
                continue;
            }
            self.next = sequence + 1;
            let is_of_type = self.types.is_empty()
                || self
                    .types
                    .iter()
                    .any(|glob| glob.is_match(&mark.event_type));
            if is_of_type {
                return Ok(Some(Picked {
                    sequence,
                    body: Some(record.first_sequence),
                    event_type: mark.event_type.clone(),
                    event_id: mark.id.clone(),
                    // A slice would keep the whole window of the reader in memory.
                    event: Bytes::copy_from_slice(&record.event_bytes(mark)),
                    is_duplicate: mark.duplicate,
                    letter: None,
                }));
            }
        }
    }

    fn enter(&mut self, record: Arc<Record>) {
        let received =
            Timestamp::from_millisecond(record.received_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        if std::mem::take(&mut self.is_first) && record.first_sequence > 0 {
            self.oldest = Some(received);
        }
        self.received = received;
        if received >= self.from && received < self.to {
            self.record = Some((record, 0));
        } else {
            self.next = self.next.max(record.end_sequence().min(self.end));
        }
    }
}
