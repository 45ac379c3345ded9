//! What is linked into this program. Plugins put themselves here at link time; the engine looks here
//! and nowhere else.

use std::ffi::OsString;
use std::process::ExitCode;

use schemars::Schema;
use serde_json::Value;

use crate::catalogue::Catalogue;
use crate::config::ConfigError;
use crate::document::DocumentSpec;
use crate::event::EventPlaces;
use crate::sink::DynSink;
use crate::source::DynSource;
use crate::stand_in::{Feed, StartDouble, StartUpstream};

/// Version of this SDK. A program holds one copy of it: cargo refuses a second one.
pub const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why something becomes a dead letter: the reasons as they are counted, and what each means and what to
/// do. `sluice explain-code` shows them.
pub type Reasons = &'static [(&'static str, &'static str)];

/// A registered source. Made by [`register_source!`](crate::register_source).
pub struct SourcePlugin {
    /// The text after `type:` in a config.
    pub name: &'static str,
    /// One sentence for `sluice plugins`.
    pub summary: &'static str,
    /// Name of the plugin's crate.
    pub package: &'static str,
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
    /// Where events say their type and id, for settings that are good. Without it, or with `None`:
    /// at [`EventPlaces::default`].
    pub places: Option<fn(Value) -> Option<EventPlaces>>,
    /// The settings in `Debug` form, if their type has one: the conformance kit looks for secrets in it.
    pub debug: fn(Value) -> Option<String>,
    /// The reasons that parts of requests are set aside for.
    pub reasons: Option<Reasons>,
    /// Sends events to such a source as its upstream would; for `demo` and tests.
    pub feed: Option<Feed>,
    /// Starts what stands before such a source; for the conformance kit.
    pub upstream: Option<StartUpstream>,
}

/// A registered sink. Made by [`register_sink!`](crate::register_sink).
pub struct SinkPlugin {
    /// The text after `type:` in a config.
    pub name: &'static str,
    /// One sentence for `sluice plugins`.
    pub summary: &'static str,
    /// Name of the plugin's crate.
    pub package: &'static str,
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
    /// The codes of its rejections.
    pub reasons: Option<Reasons>,
    /// The settings in `Debug` form, if their type has one: the conformance kit looks for secrets in it.
    pub debug: fn(Value) -> Option<String>,
    /// Starts a local stand-in of the system behind it; for `demo` and tests.
    pub double: Option<StartDouble>,
    /// The same for the conformance kit only, where it stands for no system that `demo` could show.
    pub test_double: Option<StartDouble>,
}

/// A command of a plugin's own: `sluice NAME …`.
pub struct CommandPlugin {
    /// The word after `sluice`.
    pub name: &'static str,
    /// One sentence for `sluice --help`.
    pub summary: &'static str,
    /// Name of the plugin's crate.
    pub package: &'static str,
    /// Version of the plugin's crate.
    pub version: &'static str,
    /// Runs with the arguments after the name.
    pub run: fn(Vec<OsString>) -> ExitCode,
}

/// Registered mapping files: `mappings: builtin:NAME` in a config, `import: [builtin:NAME]` in mappings
/// of one's own. Made by [`register_mappings!`](crate::register_mappings).
pub struct MappingSet {
    /// The text after `builtin:`.
    pub name: &'static str,
    /// One sentence for `sluice plugins`.
    pub summary: &'static str,
    /// Name of the crate.
    pub package: &'static str,
    /// Version of the crate.
    pub version: &'static str,
    /// Path and text of each file, tests (`*.test.yaml`) included. A file in a folder, such as
    /// `strict/overlay.yaml`, is found as `builtin:NAME/strict` and not as a part of `builtin:NAME`.
    pub files: fn() -> Vec<(&'static str, &'static str)>,
}

/// A registered config for `sluice demo NAME`. Made by [`register_demo!`](crate::register_demo).
pub struct DemoScenario {
    /// The word after `sluice demo`.
    pub name: &'static str,
    /// One sentence for `sluice plugins`.
    pub summary: &'static str,
    /// Name of the crate.
    pub package: &'static str,
    /// Version of the crate.
    pub version: &'static str,
    /// A whole sluice.yaml. Its mappings are `builtin:`, its first source has a feeder and a
    /// catalogue, its sinks have doubles. `${DEMO_FOLDER}` is a folder that is there meanwhile.
    pub config: &'static str,
}

inventory::collect!(MappingSet);
inventory::collect!(DemoScenario);
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

/// All linked mapping sets, by name.
pub fn mapping_sets() -> Vec<&'static MappingSet> {
    let mut found: Vec<_> = inventory::iter::<MappingSet>.into_iter().collect();
    found.sort_by_key(|set| set.name);
    found
}

/// All linked demo scenarios, by name.
pub fn demo_scenarios() -> Vec<&'static DemoScenario> {
    let mut found: Vec<_> = inventory::iter::<DemoScenario>.into_iter().collect();
    found.sort_by_key(|demo| demo.name);
    found
}

/// A plugin without anything: the macros fill in what is given, so that a new field breaks no plugin.
#[doc(hidden)]
impl SourcePlugin {
    pub const NONE: Self = Self {
        name: "",
        summary: "",
        package: "",
        version: "",
        schema: || Schema::default(),
        validate: |_| Ok(()),
        build: |_| Err(ConfigError::at("type", "no plugin")),
        example: "",
        catalogue: None,
        places: None,
        debug: |_| None,
        reasons: None,
        feed: None,
        upstream: None,
    };
}

/// As [`SourcePlugin::NONE`].
#[doc(hidden)]
impl SinkPlugin {
    pub const NONE: Self = Self {
        name: "",
        summary: "",
        package: "",
        version: "",
        schema: || Schema::default(),
        validate: |_| Ok(()),
        build: |_| Err(ConfigError::at("type", "no plugin")),
        example: "",
        document: None,
        reasons: None,
        debug: |_| None,
        double: None,
        test_double: None,
    };
}

/// Names that are taken twice, each as a sentence that names both crates; empty when all is well.
/// The program looks before it does anything, as it could not tell which of the two a config means.
pub fn name_clashes() -> Vec<String> {
    macro_rules! named {
        ($registered:expr) => {
            $registered
                .into_iter()
                .map(|it| (it.name, it.package, it.version))
                .collect()
        };
    }
    let mut clashes = twice("source", named!(sources()));
    clashes.extend(twice("sink", named!(sinks())));
    clashes.extend(twice("command", named!(commands())));
    clashes.extend(twice("mapping set", named!(mapping_sets())));
    clashes.extend(twice("demo", named!(demo_scenarios())));
    clashes
}

/// `registered` has name, crate and version of each, in the order of names.
fn twice(kind: &str, registered: Vec<(&str, &str, &str)>) -> Vec<String> {
    let same = registered.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    same.map(|pair| {
        let (name, one, version) = pair[0];
        let (_, other, other_version) = pair[1];
        format!(
            "the {kind} `{name}` is registered twice, by {one} {version} and by {other} {other_version}: leave one of the two crates out of this program, or give one another name in its register macro"
        )
    })
    .collect()
}

/// Register a source: its name, its config type, and how the source is made from it.
///
/// `Acme::new` is `fn(AcmeConfig) -> Result<Acme, ConfigError>`. It is called for every check of a
/// config, so it touches nothing outside: no port, no file, no request. After `summary` and
/// `example`, which every plugin has, come the optional fields of [`SourcePlugin`]: `catalogue`,
/// `places`, `feed`, `upstream`.
///
/// ```
/// use sluice_sdk::serde::Deserialize;
/// use sluice_sdk::{ConfigError, Intake, JsonSchema, Source, SourceError, Stop};
///
/// /// Listens to the doorbell.
/// #[derive(Debug, Deserialize, JsonSchema)]
/// #[serde(crate = "sluice_sdk::serde", deny_unknown_fields)]
/// #[schemars(crate = "sluice_sdk::schemars")]
/// pub struct DoorbellConfig {
///     /// The pin that the button is wired to.
///     pub pin: u8,
/// }
///
/// pub struct Doorbell(DoorbellConfig);
///
/// impl Doorbell {
///     pub fn new(config: DoorbellConfig) -> Result<Self, ConfigError> {
///         if config.pin > 27 {
///             return Err(ConfigError::at("pin", "expected 0 to 27"));
///         }
///         Ok(Self(config))
///     }
/// }
///
/// impl Source for Doorbell {
///     async fn run(self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
///         intake.ready(&format!("pin {}", self.0.pin));
///         stop.requested().await;
///         Ok(())
///     }
/// }
///
/// sluice_sdk::register_source!("doorbell", DoorbellConfig => Doorbell::new,
///     summary: "One event each time somebody rings.", example: "pin: 17");
///
/// # fn main() {
/// let doorbell = sluice_sdk::sources().into_iter().find(|plugin| plugin.name == "doorbell");
/// let wrong = sluice_sdk::serde_json::json!({"pin": 99});
/// let problem = (doorbell.unwrap().validate)(wrong).unwrap_err();
/// assert_eq!(problem.to_string(), "expected 0 to 27");
/// # }
/// ```
#[macro_export]
macro_rules! register_source {
    ($($plugin:tt)*) => {
        $crate::inventory::submit! { $crate::__plugin!(SourcePlugin, DynSource, $($plugin)*) }
    };
}

/// Register a sink: its name, its config type, and how the sink is made from it.
///
/// As [`register_source!`](crate::register_source); the optional fields are those of
/// [`SinkPlugin`]: `document`, `reasons`, `double`, `test_double`.
///
/// ```
/// use sluice_sdk::serde::Deserialize;
/// use sluice_sdk::{Batch, ConfigError, Delivery, JsonSchema, Limits, Outcome, Sink};
///
/// /// Forgets documents.
/// #[derive(Debug, Deserialize, JsonSchema)]
/// #[serde(crate = "sluice_sdk::serde", deny_unknown_fields)]
/// #[schemars(crate = "sluice_sdk::schemars")]
/// pub struct NowhereConfig {}
///
/// pub struct Nowhere;
///
/// impl Nowhere {
///     pub fn new(_: NowhereConfig) -> Result<Self, ConfigError> {
///         Ok(Self)
///     }
/// }
///
/// impl Sink for Nowhere {
///     fn limits(&self) -> Limits {
///         Limits::default()
///     }
///
///     async fn deliver(&self, _: &Batch) -> Delivery {
///         Delivery::All(Outcome::Delivered)
///     }
/// }
///
/// sluice_sdk::register_sink!("nowhere", NowhereConfig => Nowhere::new,
///     summary: "Forgets documents, for measurements.", example: "{}");
///
/// # fn main() {
/// assert!(sluice_sdk::sinks().iter().any(|plugin| plugin.name == "nowhere"));
/// # }
/// ```
#[macro_export]
macro_rules! register_sink {
    ($($plugin:tt)*) => {
        $crate::inventory::submit! { $crate::__plugin!(SinkPlugin, DynSink, $($plugin)*) }
    };
}

/// A [`SourcePlugin`] or [`SinkPlugin`] as a value: what the register macros put into the registry.
#[doc(hidden)]
#[macro_export]
macro_rules! __plugin {
    ($plugin:ident, $object:ident, $name:literal, $config:ty => $build:expr,
        summary: $summary:expr, example: $example:expr $(, $key:ident: $value:expr)* $(,)?) => {
        {
            #[allow(clippy::needless_update, clippy::let_and_return, reason = "some plugins have all that is optional; expressions take no attribute")]
            let plugin = $crate::$plugin {
                name: $name,
                summary: $summary,
                package: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                schema: || $crate::schemars::schema_for!($config),
                validate: |value| {
                    let config = $crate::parse_config::<$config>(value)?;
                    ($build)(config).map(|_| ())
                },
                build: |value| {
                    let config = $crate::parse_config::<$config>(value)?;
                    let plugin = ($build)(config)?;
                    Ok(Box::new(plugin) as Box<dyn $crate::$object>)
                },
                example: $example,
                debug: |value| {
                    #[allow(unused_imports, reason = "one of the two is used, by whether the type has Debug")]
                    use $crate::debug_form::{WithDebug as _, WithoutDebug as _};
                    let config = $crate::parse_config::<$config>(value).ok()?;
                    (&$crate::debug_form::Of(&config)).debug_form()
                },
                $($key: Some($value),)*
                ..$crate::$plugin::NONE
            };
            plugin
        }
    };
}

/// Register a command: `sluice NAME …` calls the function with the arguments after the name.
///
/// ```
/// use std::ffi::OsString;
/// use std::process::ExitCode;
///
/// fn run(arguments: Vec<OsString>) -> ExitCode {
///     println!("{} arguments", arguments.len());
///     ExitCode::SUCCESS
/// }
///
/// sluice_sdk::register_command!("count", "Counts its arguments.", run);
///
/// # fn main() {
/// assert_eq!(sluice_sdk::commands()[0].name, "count");
/// # }
/// ```
#[macro_export]
macro_rules! register_command {
    ($name:literal, $summary:literal, $run:expr) => {
        $crate::inventory::submit! {
            $crate::CommandPlugin {
                name: $name,
                summary: $summary,
                package: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                run: $run,
            }
        }
    };
}

/// Register mapping files that are part of the program: a set that configs and mappings of users name
/// as `builtin:NAME`.
///
/// `files` is a function from nothing to path and text of each file; `include_str!` puts them into the
/// program. Tests beside them run with `sluice test builtin:NAME`.
///
/// ```
/// sluice_sdk::register_mappings!("doorbell_to_log",
///     summary: "Who rang and when.",
///     files: || vec![("rings.yaml", "version: 1\nrules: { ring: { on: ring, emit: { at: $.time } } }\n")]);
///
/// # fn main() {
/// let set = sluice_sdk::mapping_sets()[0];
/// assert_eq!((set.name, (set.files)()[0].0), ("doorbell_to_log", "rings.yaml"));
/// # }
/// ```
#[macro_export]
macro_rules! register_mappings {
    ($name:literal, summary: $summary:expr, files: $files:expr $(,)?) => {
        $crate::inventory::submit! {
            $crate::MappingSet {
                name: $name,
                summary: $summary,
                package: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                files: $files,
            }
        }
    };
}

/// Register a config for `sluice demo NAME`: the source's own feeder sends synthetic events of its
/// catalogue, the sink's double takes what they became. See [`DemoScenario`](crate::DemoScenario) for
/// what the config must be.
///
/// ```
/// sluice_sdk::register_demo!("doorbell",
///     summary: "Rings to a log.",
///     config: "version: 1\nsources: { door: { type: doorbell, pin: 17 } }\n");
///
/// # fn main() {
/// assert_eq!(sluice_sdk::demo_scenarios()[0].name, "doorbell");
/// # }
/// ```
#[macro_export]
macro_rules! register_demo {
    ($name:literal, summary: $summary:expr, config: $config:expr $(,)?) => {
        $crate::inventory::submit! {
            $crate::DemoScenario {
                name: $name,
                summary: $summary,
                package: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                config: $config,
            }
        }
    };
}
