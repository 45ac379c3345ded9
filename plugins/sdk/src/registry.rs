//! What is linked into this program. Plugins put themselves here at link time; the engine looks here
//! and nowhere else.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::ExitCode;

use schemars::Schema;
use serde_json::Value;

use crate::catalogue::Catalogue;
use crate::config::ConfigError;
use crate::document::DocumentSpec;
use crate::sink::DynSink;
use crate::source::DynSource;

/// Version of this SDK, kept in every registration.
pub const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// A future in a box, as object-safe traits need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A registered source. Made by [`register_source!`](crate::register_source).
pub struct SourcePlugin {
    /// The text after `type:` in a config.
    pub name: &'static str,
    /// One sentence for `sluice plugins`.
    pub summary: &'static str,
    /// Version of the plugin's crate.
    pub version: &'static str,
    /// JSON Schema of its settings.
    pub schema: fn() -> Schema,
    /// Check settings without side effects (no port, no file).
    pub validate: fn(Value) -> Result<(), ConfigError>,
    /// Make the source; still no side effects.
    pub build: fn(Value) -> Result<Box<dyn DynSource>, ConfigError>,
    /// Settings that work, as YAML.
    pub example: &'static str,
    /// The event types it may bring, if known.
    pub catalogue: Option<fn() -> &'static Catalogue>,
    /// Sends events to such a source as its upstream would; for `demo` and tests.
    pub feed: Option<Feed>,
}

/// A registered sink. Made by [`register_sink!`](crate::register_sink).
pub struct SinkPlugin {
    /// The text after `type:` in a config.
    pub name: &'static str,
    /// One sentence for `sluice plugins`.
    pub summary: &'static str,
    /// Version of the plugin's crate.
    pub version: &'static str,
    /// JSON Schema of its settings.
    pub schema: fn() -> Schema,
    /// Check settings without side effects.
    pub validate: fn(Value) -> Result<(), ConfigError>,
    /// Make the sink; still no side effects.
    pub build: fn(Value) -> Result<Box<dyn DynSink>, ConfigError>,
    /// Settings that work, as YAML.
    pub example: &'static str,
    /// The shape of documents it takes, if it is particular.
    pub document: Option<&'static DocumentSpec>,
    /// Starts a local stand-in of the system behind it; for `demo` and tests.
    pub double: Option<StartDouble>,
}

/// A command of a plugin's own: `sluice NAME …`.
pub struct CommandPlugin {
    /// The word after `sluice`.
    pub name: &'static str,
    /// One sentence for `sluice --help`.
    pub summary: &'static str,
    /// Version of the plugin's crate.
    pub version: &'static str,
    /// Runs with the arguments after the name.
    pub run: fn(Vec<OsString>) -> ExitCode,
}

/// Opens a way to send events to a running source. The argument is what the source gave to
/// [`Intake::ready`](crate::Intake::ready) and the source's settings.
pub type Feed = fn(endpoint: String, settings: Value) -> Box<dyn Feeder>;

/// Sends events to a source as its upstream would.
pub trait Feeder: Send + Sync {
    /// Send these events (JSON texts) as one request and wait for the answer.
    fn send(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), String>>;
}

/// Starts a double on a free port of the loopback.
pub type StartDouble = fn() -> BoxFuture<'static, io::Result<Box<dyn Double>>>;

/// A running stand-in for the system behind a sink.
pub trait Double: Send + Sync {
    /// Settings that lead a sink to it; laid over the sink's section of the config.
    fn settings(&self) -> Value;
    /// Distinct documents it took as valid so far.
    fn accepted(&self) -> u64;
    /// Documents that it, like the real system, would have dropped after saying yes, by reason.
    fn dropped(&self) -> Vec<(String, u64)>;
    /// The document with this identity, if it came.
    fn document(&self, identity: &str) -> Option<ReceivedDocument>;
}

/// One document as the double got it.
pub struct ReceivedDocument {
    /// For people, such as `track · Email Opened`.
    pub title: String,
    /// The whole.
    pub body: Value,
}

inventory::collect!(SourcePlugin);
inventory::collect!(SinkPlugin);
inventory::collect!(CommandPlugin);

/// All linked sources, by name.
pub fn sources() -> Vec<&'static SourcePlugin> {
    let mut found: Vec<_> = inventory::iter::<SourcePlugin>.into_iter().collect();
    found.sort_by_key(|plugin| plugin.name);
    found
}

/// All linked sinks, by name.
pub fn sinks() -> Vec<&'static SinkPlugin> {
    let mut found: Vec<_> = inventory::iter::<SinkPlugin>.into_iter().collect();
    found.sort_by_key(|plugin| plugin.name);
    found
}

/// All linked commands, by name.
pub fn commands() -> Vec<&'static CommandPlugin> {
    let mut found: Vec<_> = inventory::iter::<CommandPlugin>.into_iter().collect();
    found.sort_by_key(|plugin| plugin.name);
    found
}

/// Register a source: its name, its config type, and how the source is made from it.
///
/// `Acme::new` is `fn(AcmeConfig) -> Result<Acme, ConfigError>` and touches nothing outside.
///
/// ```ignore
/// register_source!("acme", AcmeConfig => Acme::new,
///     summary: "Events of Acme's queue.", example: "url: https://acme.example");
/// ```
#[macro_export]
macro_rules! register_source {
    ($name:literal, $config:ty => $build:expr, summary: $summary:expr, example: $example:expr
        $(, catalogue: $catalogue:expr)? $(, feed: $feed:expr)? $(,)?) => {
        $crate::inventory::submit! {
            $crate::SourcePlugin {
                name: $name,
                summary: $summary,
                version: env!("CARGO_PKG_VERSION"),
                schema: || $crate::schemars::schema_for!($config),
                validate: |value| {
                    let config = $crate::parse_config::<$config>(value)?;
                    ($build)(config).map(|_| ())
                },
                build: |value| {
                    let config = $crate::parse_config::<$config>(value)?;
                    let source = ($build)(config)?;
                    Ok(Box::new(source) as Box<dyn $crate::DynSource>)
                },
                example: $example,
                catalogue: $crate::__option!($($catalogue)?),
                feed: $crate::__option!($($feed)?),
            }
        }
    };
}

/// Register a sink: its name, its config type, and how the sink is made from it.
///
/// ```ignore
/// register_sink!("acme", AcmeConfig => Acme::new,
///     summary: "Documents to Acme's API.", example: "url: https://acme.example");
/// ```
#[macro_export]
macro_rules! register_sink {
    ($name:literal, $config:ty => $build:expr, summary: $summary:expr, example: $example:expr
        $(, document: $document:expr)? $(, double: $double:expr)? $(,)?) => {
        $crate::inventory::submit! {
            $crate::SinkPlugin {
                name: $name,
                summary: $summary,
                version: env!("CARGO_PKG_VERSION"),
                schema: || $crate::schemars::schema_for!($config),
                validate: |value| {
                    let config = $crate::parse_config::<$config>(value)?;
                    ($build)(config).map(|_| ())
                },
                build: |value| {
                    let config = $crate::parse_config::<$config>(value)?;
                    let sink = ($build)(config)?;
                    Ok(Box::new(sink) as Box<dyn $crate::DynSink>)
                },
                example: $example,
                document: $crate::__option!($($document)?),
                double: $crate::__option!($($double)?),
            }
        }
    };
}

/// Register a command: `sluice NAME …` calls the function with the arguments after the name.
#[macro_export]
macro_rules! register_command {
    ($name:literal, $summary:literal, $run:expr) => {
        $crate::inventory::submit! {
            $crate::CommandPlugin {
                name: $name,
                summary: $summary,
                version: env!("CARGO_PKG_VERSION"),
                run: $run,
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __option {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}
