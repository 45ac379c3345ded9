//! The mapping language: from YAML rules to documents.
//!
//! | room | what happens there |
//! | --- | --- |
//! | `syntax` | one file as its parts, keys and types checked |
//! | `import` | which files, and how they lie over one another |
//! | `merge` | `import` and `$extends` |
//! | `compile` | trees become plans; every path, expression, conversion read |
//! | `condition` | an expression at its place, and what to write where it is none |
//! | `kinds` | what a value may be before any event is there |
//! | `check` | plans against catalogue, documents and one another |
//! | `load` | all of the above, in order |
//! | `rests` | what `$rest` leaves out |
//! | `plan` | what is left of a mapping when it is loaded |
//! | `personal` | what rules may see of personal fields |
//! | `evaluate` | a plan and an event become a document: the plain way, right first |
//! | `compiled` | the fast way, from bytes to bytes |
//! | `run` | which rules run on an event, and what comes of them together |
//! | `exposure` | personal fields that leave as they are |
//! | `explain` | where the parts of a document come from |
//! | `ready` | a rule to paste for a type that has none |
//! | `testing` | `*.test.yaml` |
//! | `schema` | JSON Schema of the files, for editors |
//!
//! Nothing here knows a source or a sink by name: catalogues and document specs come from outside.

mod check;
mod compile;
mod compiled;
mod condition;
mod convert;
mod evaluate;
mod explain;
mod exposure;
mod expression;
mod import;
mod kinds;
mod load;
mod merge;
mod outcome;
mod paths;
mod personal;
mod plan;
mod ready;
mod rests;
mod run;
pub mod schema;
mod sets;
mod syntax;
pub mod testing;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use sluice_sdk::DocumentSpec;
use sluice_sdk::catalogue::Catalogue;

use crate::diagnostics::{Node, Span};

pub use self::compile::OPERATORS;
pub use self::compiled::Mapper;
pub use self::condition::read as read_condition;
pub use self::convert::ROWS as CONVERSIONS;
pub use self::exposure::Exposure;
pub use self::expression::Expression;
pub use self::import::{FOLDER, files_in, normal};
pub use self::load::load;
pub use self::outcome::{
    Explained, Field, LookedAt, Mapped, MappedDocument, Output, Read, RuleInfo, Stopped,
};
pub use self::personal::{PersonalRules, Treatment};
pub use self::plan::TypePattern;
pub use self::ready::rule_for;
pub use self::run::{Mapping, NOT_OPTED_IN};
pub use self::sets::{builtin_sets, in_map as set_in_map, made_for};

/// Something that names mapping files.
#[derive(Debug, Clone)]
pub struct Reference {
    /// A file, a folder, a glob, or `builtin:SET`.
    pub text: String,
    /// The folder it is relative to.
    pub base: PathBuf,
    /// Where it is named.
    pub span: Option<Span>,
}

/// What rules are checked against.
#[derive(Clone, Copy, Default)]
pub struct Target {
    /// Events that may come.
    pub catalogue: Option<&'static Catalogue>,
    /// Documents that the sink takes.
    pub document: Option<&'static DocumentSpec>,
}

/// What a connector says about its events.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Types or globs; empty is all that the rules name.
    pub include: Vec<String>,
    /// Types or globs that are not wanted.
    pub exclude: Vec<String>,
    /// The connector's own condition on events of all types.
    pub when: Option<Expression>,
    /// Put behind every identity.
    pub identity_suffix: Option<String>,
    /// `when` as it stands in the config.
    pub when_place: Option<Node>,
    /// What rules may see of personal fields.
    pub personal: PersonalRules,
    /// Whether the documents go to the sink as they are: a connector's do, those of mappings that
    /// are looked at alone may be completed by what is laid over them.
    pub is_for_sink: bool,
}
