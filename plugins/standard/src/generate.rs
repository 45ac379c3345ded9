//! The source `generate`: events made from the catalogue of another source.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use globset::{Glob, GlobMatcher};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_sdk::catalogue::EventType;
use sluice_sdk::{
    BoxFuture, ConfigError, EventMark, Feeder, Flow, Intake, Source, SourceError, Stop, Submission,
    Upstream, typed,
};
use tokio::time::{Instant, sleep_until};

use crate::lines::hand_over;

/// Makes events up, as many and as fast as wanted; the same ones for the same seed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateConfig {
    /// The source whose event types are made, by its plugin's name.
    #[schemars(example = &"braze_webhook")]
    pub catalogue: String,
    /// Other events for another seed. Default 1. The ids depend on it as well, so that a second run
    /// with the same seed brings duplicates.
    #[serde(default = "one")]
    pub seed: u64,
    /// How many events; then the source ends. Default: no end.
    #[serde(default)]
    pub count: Option<u64>,
    /// Events a second. Default: as fast as they are taken.
    #[serde(default)]
    pub rate: Option<u32>,
    /// Events handed over together. Default 100, as Braze sends.
    #[serde(default = "batch_default")]
    pub batch: u32,
    /// Types to make, by name or glob, with a weight. Default: all types alike.
    /// Example: `{"users.messages.email.*": 5, users.behaviors.Purchase: 1}`
    #[serde(default)]
    pub types: BTreeMap<String, u32>,
    /// Share of nullable fields that have no value, 0.0 to 1.0: the ids of anonymous users and all
    /// else that may be missing. Default 0.2.
    #[serde(default = "share_default")]
    pub anonymous_share: f64,
}

fn one() -> u64 {
    1
}
fn batch_default() -> u32 {
    100
}
fn share_default() -> f64 {
    0.2
}

/// See [`GenerateConfig`].
pub struct Generate {
    config: GenerateConfig,
    types: Vec<(GlobMatcher, u32)>,
}

impl Generate {
    /// Check the settings.
    ///
    /// # Errors
    /// A glob, share or size that cannot be used.
    pub fn new(config: GenerateConfig) -> Result<Self, ConfigError> {
        if config.batch == 0 || config.batch > 10_000 {
            return Err(ConfigError::at("batch", "expected 1 to 10000"));
        }
        if config.rate == Some(0) {
            return Err(ConfigError::at(
                "rate",
                "expected at least 1; leave it out for no limit",
            ));
        }
        if !(0.0..=1.0).contains(&config.anonymous_share) {
            return Err(ConfigError::at("anonymous_share", "expected 0.0 to 1.0"));
        }
        let types = config
            .types
            .iter()
            .map(|(glob, weight)| match Glob::new(glob) {
                Ok(glob) => Ok((glob.compile_matcher(), *weight)),
                Err(error) => Err(ConfigError::at("types", error.to_string())),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { config, types })
    }

    /// Each type as often as its weight says.
    fn choices(&self) -> Result<Vec<&'static EventType>, SourceError> {
        let name = &self.config.catalogue;
        let catalogue = sluice_sdk::sources()
            .into_iter()
            .find(|plugin| plugin.name == name)
            .and_then(|plugin| plugin.catalogue)
            .ok_or_else(|| {
                SourceError(format!(
                    "generate: no source `{name}` with a catalogue; {} lists the sources",
                    typed("plugins")
                ))
            })?();
        let mut choices = Vec::new();
        for event in &catalogue.events {
            let weight = if self.types.is_empty() {
                1
            } else {
                self.types
                    .iter()
                    .filter(|(glob, _)| glob.is_match(&event.name))
                    .map(|(_, weight)| (*weight).min(1_000))
                    .max()
                    .unwrap_or(0)
            };
            choices.extend((0..weight).map(|_| event));
        }
        if choices.is_empty() {
            return Err(SourceError(format!(
                "generate: `types` names no event type of `{name}`; {} lists them",
                typed("coverage")
            )));
        }
        Ok(choices)
    }

    fn submission(&self, choices: &[&EventType], from: u64, count: u64) -> Submission {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut body = String::new();
        let mut events = Vec::new();
        for n in from..from + count {
            // A step that has no factor in common with most lengths mixes the types evenly.
            let choice =
                (n.wrapping_mul(7_919).wrapping_add(self.config.seed)) % choices.len() as u64;
            let event_type = choices[choice as usize];
            let mut event =
                event_type.synthesize_with_nulls(self.config.seed, n, self.config.anonymous_share);
            event["time"] = json!(now);
            let id = match &event["id"] {
                Value::String(id) => id.clone(),
                _ => {
                    let id = format!("generated-{}-{n}", self.config.seed);
                    event["id"] = json!(id);
                    id
                }
            };
            let start = body.len();
            body.push_str(&event.to_string());
            events.push(EventMark {
                start: start as u32,
                end: body.len() as u32,
                event_type: event_type.name.clone(),
                id,
                time_ms: i64::try_from(now * 1000).ok(),
            });
            body.push('\n');
        }
        Submission {
            body: body.into(),
            events,
            malformed: Vec::new(),
        }
    }
}

impl Source for Generate {
    async fn run(self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
        let choices = self.choices()?;
        intake.ready("generate");
        let begun = Instant::now();
        let mut made = 0_u64;
        while !stop.is_requested() {
            let left = self.config.count.map_or(u64::MAX, |count| count - made);
            let count = left.min(u64::from(self.config.batch));
            if count == 0 {
                return Ok(());
            }
            if let Some(rate) = self.config.rate {
                let due = begun + Duration::from_secs_f64(made as f64 / f64::from(rate));
                tokio::select! {
                    () = stop.requested() => return Ok(()),
                    () = sleep_until(due) => {}
                }
            }
            if !hand_over(&intake, &stop, self.submission(&choices, made, count)).await? {
                return Ok(());
            }
            made += count;
        }
        Ok(())
    }
}

/// The first linked catalogue, without end, for the conformance kit.
struct FirstCatalogue(&'static str);

fn upstream() -> BoxFuture<'static, io::Result<Box<dyn Upstream>>> {
    Box::pin(async {
        let found = sluice_sdk::sources()
            .into_iter()
            .find(|plugin| plugin.catalogue.is_some());
        let plugin =
            found.ok_or_else(|| io::Error::other("no source with a catalogue is linked"))?;
        Ok(Box::new(FirstCatalogue(plugin.name)) as Box<dyn Upstream>)
    })
}

impl Upstream for FirstCatalogue {
    fn settings(&self) -> Value {
        json!({"catalogue": self.0, "count": null, "rate": 1_000, "batch": 10})
    }

    fn flow(&self) -> Flow {
        Flow::Made
    }

    fn event(&self, _: u64) -> String {
        String::new()
    }

    fn feeder(&self, _: String) -> Box<dyn Feeder> {
        unreachable!("generate: nobody sends to a source that makes its events")
    }
}

sluice_sdk::register_source!(
    "generate",
    GenerateConfig => Generate::new,
    summary: "Made-up events of a source's catalogue, for tries and load.",
    example: "catalogue: braze_webhook\ncount: 1000\nrate: 100\n",
    upstream: upstream,
);
