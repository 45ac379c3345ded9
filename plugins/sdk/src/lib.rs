#![doc = include_str!("../README.md")]
//!
//! ## Where to look
//!
//! | you write | you implement | you register with |
//! | --- | --- | --- |
//! | a sink | [`Sink`] | [`register_sink!`] |
//! | a source | [`Source`] | [`register_source!`] |
//! | a stand-in of the other side | [`Double`], [`Upstream`], [`Feeder`] | `double:`, `test_double:`, `upstream:`, `feed:` there |
//! | a command of your own | a function | [`register_command!`] |
//! | mapping files in the program | | [`register_mappings!`] |
//! | a demo | | [`register_demo!`] |
//!
//! Tests of a plugin call the kit in the module `conformance` (cargo feature `conformance`).

#![deny(missing_docs)]

pub mod catalogue;
mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
#[doc(hidden)]
pub mod debug_form;
mod document;
mod event;
pub mod json;
mod program;
mod registry;
mod secret;
mod sink;
mod source;
mod stand_in;
mod units;

pub use config::{ConfigError, PathStep, parse_config};
pub use document::{Document, DocumentKind, DocumentSpec, ValueRule};
pub use event::{EventMark, EventPlaces, MalformedMark, Submission};
#[doc(hidden)]
pub use program::set_program;
pub use program::{program_name, typed};
pub use registry::{
    CommandPlugin, DemoScenario, MappingSet, Reasons, SDK_VERSION, SinkPlugin, SourcePlugin,
    commands, demo_scenarios, mapping_sets, name_clashes, sinks, sources,
};
pub use secret::{Secret, SecretError};
pub use sink::{Batch, CheckError, Delivery, DynSink, Limits, Outcome, Rejection, Sink};
pub use source::{DynSource, Intake, IntakeBackend, IntakeError, Source, SourceError, Stop};

pub use stand_in::{
    Behaviour, BoxFuture, Double, Feed, Feeder, Flow, ReceivedDocument, StartDouble, StartUpstream,
    Upstream,
};

pub use units::ByteSize;

pub use bytes::Bytes;
#[doc(hidden)]
pub use inventory;
pub use schemars;
pub use schemars::JsonSchema;
pub use serde;
pub use serde_json;
