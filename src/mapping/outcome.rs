//! What a mapping says about an event, for the engine and for people.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use sluice_sdk::DocumentSpec;

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
    /// JSON.
    pub body: Bytes,
}

impl MappedDocument {
    /// What the sink knows it by.
    pub fn identity(&self, spec: Option<&DocumentSpec>) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.get(spec?.identity?)?.as_str()?.to_owned())
    }
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
    /// What [`Mapping::map`](super::Mapping::map) says.
    pub outcome: Mapped,
    /// Rules on the event's type, in the order they were tried.
    pub rules: Vec<LookedAt>,
    /// Where the parts of the documents come from.
    pub fields: Vec<Field>,
    /// Documents that were not made, and what stopped them.
    pub stopped: Vec<Stopped>,
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
    /// Its `when`, as written.
    pub when: Option<String>,
    /// What the `when` looked at.
    pub reads: Vec<Read>,
}

/// A path and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// As written.
    pub path: String,
    /// The value; `None`: nothing, or null.
    pub value: Option<Value>,
}

/// A part of a document that a rule may make.
#[derive(Debug, Clone)]
pub struct Output {
    /// The rule.
    pub rule: String,
    /// The document's name in `emit_each`.
    pub document: Option<String>,
    /// Dotted place in the document; ends in `*` for a spread.
    pub path: String,
    /// The same, key by key.
    pub steps: Vec<String>,
    /// What it is made of, in words.
    pub source: String,
    /// Names of its conversions, in order.
    pub conversions: Vec<&'static str>,
    /// Paths into the event that it may read.
    pub reads: Vec<String>,
    /// Whether it brings all members of an object.
    pub is_spread: bool,
    /// The template that says so, if it is not the rule itself.
    pub template: Option<String>,
    /// Where it is said.
    pub place: Span,
}

/// A part of a document that was made from an event.
#[derive(Debug, Clone)]
pub struct Field {
    /// Dotted place in the document.
    pub path: String,
    /// What came; `None`: left out, because there was nothing.
    pub value: Option<Value>,
    /// What was read for it.
    pub reads: Vec<Read>,
    /// What says so.
    pub output: Output,
}

/// A document that was not made.
#[derive(Debug, Clone)]
pub struct Stopped {
    /// Why, as it is counted.
    pub reason: String,
    /// A dead letter; otherwise it is skipped.
    pub is_dead: bool,
    /// What was read.
    pub reads: Vec<Read>,
    /// The part that decided so.
    pub output: Output,
}
