//! What a mapping says about an event, for the engine and for people.

use std::sync::Arc;

use bytes::Bytes;

use crate::diagnostics::Span;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapped {
    /// At least one document.
    Documents(Vec<MappedDocument>),
    /// Knowingly nothing.
    Skipped {
        /// Why; counted, without values.
        reason: String,
        /// The rule that said so.
        rule: Option<String>,
    },
    /// It should have become a document and could not.
    Dead {
        /// Short, without values.
        reason: String,
        /// For people, without values.
        detail: String,
        /// The rule that ran.
        rule: Option<String>,
    },
    /// No rule is on it.
    Unmapped,
    /// The connector does not want its type.
    NotSelected,
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedDocument {
    /// The rule that made it.
    pub rule: Arc<str>,
    /// Its name in `emit_each`.
    pub name: Option<Arc<str>>,
    /// Compact JSON.
    pub body: Bytes,
    /// What the sink knows it by.
    pub identity: Option<String>,
}

/// A rule, for lists and counts.
#[derive(Debug, Clone)]
pub struct RuleInfo {
    /// Its name.
    pub name: String,
    /// Types and globs.
    pub on: Vec<String>,
    /// Where it stands.
    pub place: Span,
    /// `opt_in`
    pub opt_in: Option<String>,
    /// `skip`
    pub skip: Option<String>,
}

/// How an event was mapped.
#[derive(Debug, Clone)]
pub struct Explained {
    /// What [`Mapping::map`] says.
    pub outcome: Mapped,
    /// Rules on the event's type, in the order they were tried.
    pub rules: Vec<LookedAt>,
    /// Where the parts of the documents come from.
    pub outputs: Vec<Output>,
}

/// A rule that was tried.
#[derive(Debug, Clone)]
pub struct LookedAt {
    /// Its name.
    pub rule: String,
    /// Where it stands.
    pub place: Span,
    /// Whether it ran.
    pub ran: bool,
    /// What came of it, in words.
    pub verdict: String,
}

/// A part of a document.
#[derive(Debug, Clone)]
pub struct Output {
    /// The rule.
    pub rule: String,
    /// The document's name in `emit_each`.
    pub document: Option<String>,
    /// Dotted place in the document; ends in `*` for a spread.
    pub path: String,
    /// Path in the event, or what it is made of.
    pub source: String,
    /// Where the rule says so.
    pub place: Span,
}
