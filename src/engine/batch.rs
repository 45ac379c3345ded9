//! A batch's id: what all log lines and dead letters of one batch have in common.
//!
//! `4be1c0927f` is a batch, `4be1c0927f.2` the second half of it after a split, and `4be1c0927f.2.1`
//! the first half of that. So one text finds the whole life of a batch, and the longer one what became
//! of a part.

use std::fmt;
use std::sync::Arc;

use tracing::Span;

use super::delivery::Item;

/// Bits of an id: short enough to read aloud; of a million batches hardly two have the same.
const ID_BITS: u32 = 40;

/// The id of a batch or of a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchId(Arc<str>);

impl BatchId {
    /// One that no other batch has.
    pub fn random() -> Self {
        let bits = rand::random::<u64>() >> (u64::BITS - ID_BITS);
        Self(Arc::from(format!("{bits:010x}")))
    }

    /// Of both halves.
    fn halves(&self) -> (Self, Self) {
        let half = |n: u8| Self(Arc::from(format!("{self}.{n}")));
        (half(1), half(2))
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Documents that travel in one request, and what that took so far.
pub(super) struct Part {
    pub id: BatchId,
    pub items: Vec<Item>,
    /// Tries so far.
    pub tries: u32,
}

impl Part {
    /// A whole batch that was not tried yet.
    pub fn whole(items: Vec<Item>) -> Self {
        Self {
            id: BatchId::random(),
            items,
            tries: 0,
        }
    }

    /// What is logged within it, also by the sink's plugin, says which batch it is about.
    pub fn span(&self, connector: &str) -> Span {
        // At the highest level, so that the id is there whatever level is shown.
        tracing::error_span!("delivery", connector, batch = %self.id)
    }

    /// Cut into two of half the size.
    pub fn split(mut self, tries: u32) -> (Self, Self) {
        let items = self.items.split_off(self.items.len() / 2);
        let (first, second) = self.id.halves();
        tracing::debug!(first = %first, second = %second, "split");
        self.id = first;
        self.tries = tries;
        let second = Self {
            id: second,
            items,
            tries,
        };
        (self, second)
    }
}
