//! What sluice.yaml says. The doc comments are the user's reference: they go into the generated JSON
//! Schema, which editors show while one types.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use sluice_sdk::catalogue::Catalogue;
use sluice_sdk::{Secret, SinkPlugin, SourcePlugin};

use super::ByteSize;
use super::address;
use super::alerts::{AlertsConfig, Contacts, MailAddress};
use super::units::{Period, PeriodOrOff};
use crate::diagnostics::{Allows, Node, Span};
use crate::mapping::{PersonalRules, Treatment};

/// A config that was checked whole: it can run.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the file; relative paths in it were resolved against this.
    pub folder: PathBuf,
    /// The entrances, by name, in the order of the file.
    pub sources: IndexMap<String, SourceConfig>,
    /// The ways out, by name, in the order of the file.
    pub connectors: IndexMap<String, ConnectorConfig>,
    /// Where events wait.
    pub journal: JournalConfig,
    /// Health, metrics, status.
    pub admin: AdminConfig,
    /// How contacts are reached.
    pub alerts: AlertsConfig,
    /// What is known and meant: at the top of the file of all messages about it, on a source of those
    /// about the source.
    pub allows: Allows,
}

impl Config {
    /// The catalogues that its sources have.
    pub fn catalogues(&self) -> impl Iterator<Item = &'static Catalogue> {
        let plugins = self.sources.values().map(|source| source.plugin);
        plugins.filter_map(|plugin| Some((plugin.catalogue?)()))
    }
}

/// One source.
#[derive(Clone)]
pub struct SourceConfig {
    /// The plugin that `type` names.
    pub plugin: &'static SourcePlugin,
    /// The plugin's own settings; `plugin.validate` has said yes to them.
    pub settings: Value,
    /// Variables that the settings name and that have no value: stand-ins are in their places.
    pub unset: BTreeSet<String>,
    /// Warn when no event came for this long.
    pub expect_every: Option<Duration>,
    /// How long an event's id is remembered; `None`: duplicates pass.
    pub deduplicate: Option<Duration>,
    /// The name in the file.
    pub span: Span,
}

/// One connector.
#[derive(Debug, Clone)]
pub struct ConnectorConfig {
    /// Who hears of it when it stops delivering; may be nobody.
    pub contacts: Vec<MailAddress>,
    /// The source's name; it exists.
    pub source: String,
    /// Selection by type.
    pub events: EventsConfig,
    /// Selection by content, with its place.
    pub when: Option<Node>,
    /// Mapping references as written, each with its place; paths are relative to [`Config::folder`].
    pub mappings: Vec<(String, Span)>,
    /// What becomes of events that no rule is on.
    pub unmapped: Unmapped,
    /// What identifies a document to the sink.
    pub message_id: MessageId,
    /// Where a new connector begins.
    pub start: Start,
    /// Its name before this one.
    pub renamed_from: Option<String>,
    /// How documents are put together for one request.
    pub batch: BatchConfig,
    /// What rules may see of personal fields.
    pub personal: PersonalRules,
    /// What is known and meant, of all messages about this connector.
    pub allows: Allows,
    /// Where documents go.
    pub sink: SinkConfig,
    /// Parts of documents that the sink's settings name, dotted, each where it stands.
    pub document_paths: Vec<(String, Span)>,
    /// The name in the file.
    pub span: Span,
}

/// The sink of a connector.
#[derive(Clone)]
pub struct SinkConfig {
    /// The plugin that `type` names.
    pub plugin: &'static SinkPlugin,
    /// The plugin's own settings; `plugin.validate` has said yes to them.
    pub settings: Value,
}

impl SourceConfig {
    /// Whether a source of the other settings would do the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.plugin.name == other.plugin.name
            && self.settings == other.settings
            && self.expect_every == other.expect_every
            && self.deduplicate == other.deduplicate
    }
}

impl std::fmt::Debug for SourceConfig {
    /// Without the settings, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceConfig")
            .field("plugin", &self.plugin.name)
            .field("expect_every", &self.expect_every)
            .field("deduplicate", &self.deduplicate)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SinkConfig {
    /// Without the settings, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkConfig")
            .field("plugin", &self.plugin.name)
            .finish_non_exhaustive()
    }
}

/// Settings of sluice: where events come in, where they go, and what becomes of them on the way.
///
/// Every text may hold `${NAME}` or `${NAME:-default}`, taken from the environment when sluice runs;
/// `$${` is a plain `${`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "sluice.yaml")]
pub(super) struct ConfigKeys {
    /// Version of this format. Always 1.
    #[allow(dead_code, reason = "checked by its schema, read by nothing else")]
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// Entrances, each under a name of your choice (a-z, 0-9, `-`, `_`). `sluice plugins` lists the types.
    #[allow(dead_code, reason = "read section by section")]
    pub sources: BTreeMap<String, Map<String, Value>>,
    /// Ways from one source to one sink through a set of mappings, each under a name of your choice.
    /// The name stays with the connector's place in the journal: renaming it makes a new connector.
    #[allow(dead_code, reason = "read section by section")]
    pub connectors: BTreeMap<String, Map<String, Value>>,
    /// Where events wait on disk until every connector has delivered them.
    #[serde(default)]
    pub journal: JournalConfig,
    /// Health, metrics and status over HTTP.
    #[serde(default)]
    pub admin: AdminConfig,
    /// How the contacts of connectors are reached. Without it problems are only logged.
    #[serde(default)]
    pub alerts: AlertsConfig,
    /// Messages about this file that are known and meant, by the code in their brackets with the
    /// reason. Default: none. A source and a connector can say it for themselves.
    #[serde(default)]
    #[allow(dead_code, reason = "read with its places")]
    #[schemars(extend("examples" = [{"plain-secret": "a try on this machine"}]))]
    pub allow: BTreeMap<String, String>,
}

/// The engine's keys of a source; all other keys are the plugin's.
#[derive(Deserialize, JsonSchema)]
pub(super) struct SourceKeys {
    /// Warn when no event came for this long, such as `1h`. Default: never, because only you know
    /// how often events should come.
    pub expect_every: Option<Period>,
    /// How long an event's id is remembered, so that an event which comes twice is taken once.
    /// Default `7d`, as upstreams repeat requests for days; `off` lets duplicates pass.
    #[serde(default = "deduplicate_default")]
    #[schemars(extend("default" = "7d"))]
    pub deduplicate: PeriodOrOff,
    /// Messages about this source that are known and meant, by the code in their brackets with the
    /// reason. Default: none.
    #[serde(default)]
    #[allow(dead_code, reason = "read with its places")]
    #[schemars(extend("examples" = [{"plain-secret": "a try on this machine"}]))]
    pub allow: BTreeMap<String, String>,
}

fn deduplicate_default() -> PeriodOrOff {
    PeriodOrOff(Some(Duration::from_secs(7 * 86_400)))
}

/// The keys of a connector; `sink` is read by itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectorKeys {
    /// Who hears of it when this connector stops delivering: a mail address such as
    /// `data-team@example.com`, or a list of them. Default: nobody; `alerts` says how they are
    /// reached.
    #[serde(default)]
    pub contact: Contacts,
    /// Name of the source to read, one of `sources`.
    pub source: String,
    /// Selection by event type. Default: every type that the mappings name.
    #[serde(default)]
    pub events: EventsConfig,
    /// Selection by content: an RFC 9535 logical expression, `@` is the event, such as
    /// `"@.properties.amount"` or `"@.user.country == 'DE'"`. Default: every event.
    pub when: Option<String>,
    /// Mapping files: a file, a folder, `builtin:SET`, or a list of them, such as
    /// `mappings/my_set`. Paths are relative to this file.
    pub mappings: OneOrMany,
    /// What becomes of a selected event that no rule is on. Default `skip`: new event types appear
    /// without notice and are counted.
    #[serde(default)]
    pub unmapped: Unmapped,
    /// What identifies a document to the sink, which drops the second one of the same identity.
    /// Default `event`.
    #[serde(default)]
    pub message_id: MessageId,
    /// Where a connector begins that has not run before: at the `oldest` event that the journal has,
    /// `now`, or at a time such as `2026-09-01T00:00:00Z`. Default `oldest`.
    #[serde(default)]
    #[schemars(with = "String", extend("default" = "oldest", "examples" = ["oldest", "now", "2026-09-01T00:00:00Z"]))]
    pub start: Start,
    /// The name that this connector had before. Its place in the journal, its account and its dead
    /// letters come along, once; then the line may go. Default: none.
    pub renamed_from: Option<String>,
    /// How documents are put together for one request. Default: as much as the sink takes, at
    /// latest after a second.
    #[serde(default)]
    pub batch: BatchConfig,
    /// What happens to personal data on the way, wherever a rule puts it. Default: it goes as it is.
    #[serde(default)]
    pub personal_data: PersonalKeys,
    /// Messages about this connector that are known and meant, by the code in their brackets with
    /// the reason. Default: none.
    #[serde(default)]
    #[allow(dead_code, reason = "read with its places")]
    #[schemars(extend("examples" = [{"unused-template": "kept for the summer"}]))]
    pub allow: BTreeMap<String, String>,
    /// Where documents go. `sluice plugins` lists the types.
    #[allow(dead_code, reason = "read by itself, with the plugin's schema")]
    pub sink: Map<String, Value>,
}

/// What happens to personal data on the way. The source's catalogue says which fields are personal.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonalKeys {
    /// For every field that the catalogue marks as personal: `pass` (the default), `hash` (SHA-256 of
    /// the text, trimmed and in small letters) or `drop`.
    #[serde(default)]
    pub default: Treatment,
    /// For single fields, marked or not: the last part of their path or the whole of it. Default:
    /// none.
    #[serde(default)]
    #[schemars(extend("examples" = [{"email_address": "hash"}]))]
    pub fields: BTreeMap<String, Treatment>,
}

/// Selection by event type. In globs `*` stands for any characters, dots too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsConfig {
    /// Types or globs to take. Default: every type that the mappings name. Rules marked `opt_in`
    /// run only for types named here exactly.
    #[serde(default)]
    #[schemars(extend("examples" = [["orders.*"]]))]
    pub include: Vec<String>,
    /// Types or globs to leave out; stronger than `include`. Default: none.
    #[serde(default)]
    #[schemars(extend("examples" = [["orders.draft.*"]]))]
    pub exclude: Vec<String>,
}

/// What becomes of a selected event that no rule is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unmapped {
    /// Counted by type and passed over.
    #[default]
    Skip,
    /// Kept with the dead letters, to be sent once a rule is there.
    DeadLetter,
}

/// What identifies a document to the sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageId {
    /// The event's own id: running beside another connector of the same data doubles nothing.
    #[default]
    Event,
    /// The event's id and the connector's name: for two connectors that both send the same events.
    Connector,
}

/// Where a new connector begins: `oldest`, `now` or a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Start {
    /// At the oldest event that the journal still has.
    #[default]
    Oldest,
    /// At the first event that comes after it is there.
    Now,
    /// At the first event that the source took at this time or later.
    At(Timestamp),
}

impl TryFrom<String> for Start {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "oldest" => Ok(Self::Oldest),
            "now" => Ok(Self::Now),
            time => time.parse().map(Self::At).map_err(|_| {
                format!(
                    "`{time}` is none of `oldest`, `now` or a time such as 2026-09-01T00:00:00Z"
                )
            }),
        }
    }
}

/// How documents are put together for one request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Most documents in one request. Default: what the sink takes. Smaller is for tests.
    #[schemars(range(min = 1))]
    pub documents_max: Option<usize>,
    /// How long a document waits for company before the request goes. Default `1s`.
    #[serde(deserialize_with = "period")]
    #[schemars(with = "Period", extend("default" = "1s"))]
    pub flush_after: Duration,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            documents_max: None,
            flush_after: Duration::from_secs(1),
        }
    }
}

/// Where events wait on disk until every connector has delivered them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Folder of the journal, relative to this file. Default `data`. One running sluice a folder.
    #[schemars(with = "String", extend("default" = "data"))]
    pub path: PathBuf,
    /// How long delivered events are kept for replay. Default `7d`. What is not delivered yet never
    /// leaves by age.
    #[serde(deserialize_with = "period")]
    #[schemars(with = "Period", extend("default" = "7d"))]
    pub retain: Duration,
    /// Most bytes on disk. Default `10GiB`. Delivered events leave early when it is reached.
    #[serde(deserialize_with = "size")]
    #[schemars(with = "ByteSize", extend("default" = "10GiB"))]
    pub max_size: u64,
    /// What happens when `max_size` is reached with events that are not delivered. Default
    /// `push_back`, because nothing is lost by it.
    pub when_full: WhenFull,
    /// How long dead letters stay.
    pub dead_letters: DeadLettersConfig,
}

/// How long dead letters stay. What leaves is counted as expired and told as an error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLettersConfig {
    /// Dead letters older than this leave. Default `90d`; `off` keeps them at any age.
    #[serde(deserialize_with = "period_or_off")]
    #[schemars(with = "PeriodOrOff", extend("default" = "90d"))]
    pub retain: Option<Duration>,
    /// Most bytes of dead letters, all connectors together. Default `1GiB`. Above it the oldest
    /// leave.
    #[serde(deserialize_with = "size")]
    #[schemars(with = "ByteSize", extend("default" = "1GiB"))]
    pub max_size: u64,
}

impl Default for DeadLettersConfig {
    fn default() -> Self {
        Self {
            retain: Some(Duration::from_secs(90 * 86_400)),
            max_size: 1 << 30,
        }
    }
}

/// What happens when the journal is full of events that are not delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Sources refuse new events (HTTP 503), so that the upstream keeps them and comes again.
    #[default]
    PushBack,
    /// The oldest undelivered events expire; they are counted and told, but lost.
    ExpireOldest,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("data"),
            retain: Duration::from_secs(7 * 86_400),
            max_size: 10 << 30,
            when_full: WhenFull::PushBack,
            dead_letters: DeadLettersConfig::default(),
        }
    }
}

/// Health (`/healthz`), metrics (`/metrics`) and status (`/status`) over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Address and port, or `off`. Default `127.0.0.1:9090`. An address that other machines reach
    /// needs a `token`.
    #[serde(deserialize_with = "listen")]
    #[schemars(with = "String", extend("default" = "127.0.0.1:9090", "examples" = ["127.0.0.1:9090", "off"], "pattern" = "^off$|^(\\[[0-9a-fA-F:.]+\\]|[0-9.]+):[0-9]{1,5}$"))]
    pub listen: Option<SocketAddr>,
    /// What a request must carry as `Authorization: Bearer …`; `/healthz` and `/readyz` answer without.
    /// `{file: path}` is read anew at each request. Default: none, for this machine only.
    pub token: Option<Secret>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 9090))),
            token: None,
        }
    }
}

/// One text or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(one) => Ok(Self(vec![one])),
            many => serde_json::from_value(many)
                .map(Self)
                .map_err(|_| serde::de::Error::custom("expected a text or a list of texts")),
        }
    }
}

impl JsonSchema for OneOrMany {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}
            ],
            "examples": ["mappings/my_set", ["mappings/base", "mappings/ours.yaml"]]
        })
    }
}

pub(super) fn period<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Period::deserialize(deserializer).map(|period| period.0)
}

fn period_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    PeriodOrOff::deserialize(deserializer).map(|period| period.0)
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    ByteSize::deserialize(deserializer).map(|size| size.0)
}

fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "off" {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| serde::de::Error::custom(format!("{}, or `off`", address::EXPECTED)))
}
