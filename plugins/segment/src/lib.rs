//! Segment: a sink for its HTTP Tracking API, and a local double of that API.
//!
//! Segment answers 200 for much that it drops later, so what it would refuse is refused here, before
//! it travels. The double does the same as the real one, and tells on a side channel what became of
//! each document.
//!
//! Where to read: [`sink`] is the story of one batch, [`prepare`] the check of one document,
//! [`look_up`] the question for a key, [`protocol`] the pure parts, [`double`] the stand-in, `sandbox`
//! its command.

#![deny(missing_docs)]

pub mod config;
pub mod document;
pub mod double;
pub mod look_up;
pub mod pack;
pub mod prepare;
pub mod protocol;
mod sandbox;
pub mod sink;

pub use config::{Oversize, Region, SegmentConfig};
pub use double::{Fault, Options, Sandbox};
pub use sink::SegmentSink;

sluice_sdk::register_sink!("segment", SegmentConfig => SegmentSink::new,
    summary: "Calls (track, identify, page, screen, group, alias) to Segment's Tracking API, US or EU.",
    example: "region: us # or eu: where the workspace lives\nwrite_key: ${SEGMENT_WRITE_KEY}\n",
    document: &document::SPEC,
    reasons: prepare::REASONS,
    double: double::start);

sluice_sdk::register_command!(
    "sandbox",
    "Run a local Segment that behaves like the real one and shows what it would have dropped.",
    sandbox::run
);
