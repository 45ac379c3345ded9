//! sluice.yaml: what it may say (`model`), how it is read and checked (`load`), and the JSON Schema
//! that editors use (`schema`).
//!
//! Everything that is wrong is told at once, each at its place. Checking needs neither the network
//! nor the secrets: in [`Mode::Validate`] a `${…}` without a value stands for one of the right type.

mod address;
mod alerts;
mod expected;
mod load;
mod mend;
mod model;
mod overlap;
mod placeholders;
mod schema;
mod secrets;
mod shape;
#[cfg(test)]
mod tests;
mod units;
mod weak_secrets;

pub use alerts::{AlertsConfig, MailAddress, SmtpConfig, SmtpTls};
pub use load::{FILE_DEFAULT, load};
pub use model::{
    AdminConfig, BatchConfig, Config, ConnectorConfig, DeadLettersConfig, EventsConfig,
    JournalConfig, MessageId, SinkConfig, SourceConfig, Start, Unmapped, WhenFull,
};
pub use schema::{config_schema, sink_schema, source_schema};
pub use sluice_sdk::ByteSize;
pub use units::{Period, PeriodOrOff};

/// What a config is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To say whether it is right. Variables that are not set are no error.
    Validate,
    /// To look at what a run left behind. The settings of plugins do not matter, and are not read.
    Inspect,
    /// To run it. Every variable must have a value.
    Run,
}
