//! The source `http`: any system that posts JSON to an address of ours.
//!
//! Connections, tokens, limits and answers are those of every source behind HTTP
//! (`sluice-http-server`). Here is what this one adds: a signature over the body, and where in the
//! body the events stand.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::Sha256;
use sluice_http_server::{
    BAD_GZIP, HeaderMap, LimitsConfig, Protocol, Refusal, Settings, TlsConfig, Tokens,
    UNKNOWN_ENCODING, listen_default, max_body_default, set_aside,
};
use sluice_sdk::{ByteSize, ConfigError, Intake, PathStep, Source, SourceError, Stop, Submission};

use crate::place::{
    NO_ID, NO_TYPE, NOT_AN_OBJECT, NOT_JSON, Place, Places, event_places, id_default, places_of,
    time_default, type_default,
};

/// Takes JSON events that another system posts: one event a request, a list of them, or either of
/// these somewhere inside the body. What is no event is set aside with its reason and answered 200,
/// as the sender could not mend it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSourceConfig {
    /// Address and port to listen on. Default `127.0.0.1:8080`: only this machine, as a reverse
    /// proxy with TLS usually stands in front. `0.0.0.0:8080` listens on all addresses.
    #[serde(default = "listen_default")]
    #[schemars(with = "String", example = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Path of the URL that is given to the sender. Default `/events`. A query string is ignored.
    #[serde(default = "path_default")]
    #[schemars(example = "/events")]
    pub path: String,
    /// The token that the sender shows (`Authorization: Bearer …`), or a list of tokens that are all
    /// valid, for changing one without a gap. Required, unless there is a `signature` or
    /// `allow_unauthenticated` is true; with both, both must be right.
    #[serde(default)]
    pub token: Option<Tokens>,
    /// The sender signs each body with a secret that only it and sluice know. Default: no signature
    /// is asked for.
    #[serde(default)]
    pub signature: Option<SignatureConfig>,
    /// Take events from anybody who can reach the port. Default false.
    #[serde(default)]
    pub allow_unauthenticated: bool,
    /// Where in the body the events stand: an event or a list of events. Default: the body itself.
    #[serde(default)]
    #[schemars(example = &"data.items")]
    pub events: Option<Place>,
    /// Where the event has its id. Default `id`.
    #[serde(default = "id_default")]
    #[schemars(example = &"id")]
    pub id: Place,
    /// Where the event has its type, which the rules name in `on:`. Default `event_type`.
    #[serde(default = "type_default")]
    #[schemars(example = &"event_type")]
    pub event_type: Place,
    /// Where the event has its time: unix seconds, unix milliseconds or ISO 8601. Default `time`; it
    /// may be missing.
    #[serde(default = "time_default")]
    #[schemars(example = &"time")]
    pub time: Place,
    /// The type of events that name none. Default: none, such events are set aside.
    #[serde(default)]
    #[schemars(example = &"message")]
    pub default_type: Option<String>,
    /// Largest body in bytes, after decompression. Default 32 MiB; a larger one gets 413.
    #[serde(default = "max_body_default")]
    pub max_body: ByteSize,
    /// Certificate and key, for HTTPS without a proxy. Default: plain HTTP.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Networks that may send. Default: all. Others get 503, so that they try again until the list
    /// is corrected.
    #[serde(default)]
    #[schemars(with = "Vec<String>", example = ["192.0.2.0/24"])]
    pub allow_networks: Vec<IpNet>,
    /// Believe the last entry of `X-Forwarded-For` when `allow_networks` is checked. Default false.
    /// Set it only when every request comes through a proxy of yours, as anybody can write that header.
    #[serde(default)]
    pub trust_forwarded_for: bool,
    /// What peers may claim at most. Default: enough for most senders.
    #[serde(default)]
    pub limits: LimitsConfig,
}

/// HMAC-SHA256 over the body as it was sent, before decompression.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureConfig {
    /// What it is made with; a list while the secret is changed.
    pub secret: Tokens,
    /// The header that carries it.
    #[schemars(example = &"X-Signature")]
    pub header: String,
    /// What stands before it in the header, such as `sha256=`. Default: nothing.
    #[serde(default)]
    #[schemars(example = &"sha256=")]
    pub prefix: String,
    /// How its bytes are written. Default `hex`.
    #[serde(default)]
    pub encoding: SignatureEncoding,
}

/// How the bytes of a signature are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignatureEncoding {
    /// Two digits a byte.
    #[default]
    Hex,
    /// Base64 with `+`, `/` and padding.
    Base64,
}

impl SignatureConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, message: &str| {
            Err(ConfigError {
                path: ["signature", key]
                    .map(|key| PathStep::Key(key.to_owned()))
                    .to_vec(),
                message: message.to_owned(),
            })
        };
        if self.secret.0.is_empty() {
            return wrong("secret", "the list is empty; give at least one secret");
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.header.is_empty() || !self.header.chars().all(is_name) {
            return wrong(
                "header",
                "expected the name of a header, such as X-Signature",
            );
        }
        Ok(())
    }

    /// The value of the header for `body`, in the form that is compared.
    pub(crate) fn sign(&self, secret: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(body);
        let bytes = mac.finalize().into_bytes();
        match self.encoding {
            SignatureEncoding::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            SignatureEncoding::Base64 => STANDARD.encode(bytes),
        }
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let given = headers
            .get(self.header.as_str())
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.trim().strip_prefix(self.prefix.as_str()))
            .ok_or(Refusal::WrongSignature)?;
        let given = match self.encoding {
            SignatureEncoding::Hex => given.to_ascii_lowercase(),
            SignatureEncoding::Base64 => given.to_owned(),
        };
        let verdict = self
            .secret
            .compare(given.as_bytes(), |secret| self.sign(secret, body));
        Refusal::unless_good(verdict, Refusal::WrongSignature)
    }
}

/// See [`HttpSourceConfig`].
pub struct HttpSource {
    settings: Settings,
    events: Events,
}

impl HttpSource {
    /// Check the settings; nothing is opened yet.
    ///
    /// # Errors
    /// Settings that do not fit together.
    pub fn new(config: HttpSourceConfig) -> Result<Self, ConfigError> {
        if config.token.is_none() && config.signature.is_none() && !config.allow_unauthenticated {
            return Err(ConfigError::at(
                "token",
                "nothing tells who sends: set `token: ${WEBHOOK_TOKEN}` or `signature`, or `allow_unauthenticated: true` to take events from anybody",
            ));
        }
        if let Some(signature) = &config.signature {
            signature.check()?;
        }
        let settings = Settings {
            name: "http",
            listen: config.listen,
            path: config.path,
            token: config.token,
            max_body: config.max_body,
            tls: config.tls,
            allow_networks: config.allow_networks,
            trust_forwarded_for: config.trust_forwarded_for,
            limits: config.limits,
        };
        settings.check()?;
        Ok(Self {
            settings,
            events: Events {
                signature: config.signature,
                inside: config.events,
                places: Places::new(
                    event_places(config.event_type, config.id, config.default_type),
                    config.time,
                ),
            },
        })
    }
}

impl Source for HttpSource {
    async fn run(self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
        sluice_http_server::serve(self.settings, self.events, intake, stop).await
    }
}

struct Events {
    signature: Option<SignatureConfig>,
    inside: Option<Place>,
    places: Places,
}

impl Protocol for Events {
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        match &self.signature {
            Some(signature) => signature.verify(headers, body),
            None => Ok(()),
        }
    }

    fn split(&self, body: Bytes) -> Option<Submission> {
        let mut submission = Submission {
            body: body.clone(),
            ..Submission::default()
        };
        if let Err(reason) = self.mark(&body, &mut submission) {
            return Some(set_aside(body, reason));
        }
        let is_empty = submission.events.is_empty() && submission.malformed.is_empty();
        (!is_empty).then_some(submission)
    }
}

impl Events {
    fn mark(&self, body: &[u8], submission: &mut Submission) -> Result<(), &'static str> {
        let whole: &RawValue = serde_json::from_slice(body).map_err(|_| NOT_JSON.0)?;
        let found = match &self.inside {
            None => whole,
            Some(place) => place.find_raw(whole).ok_or(NO_EVENTS.0)?,
        };
        let one = [found];
        let list;
        let events = if found.get().starts_with('[') {
            list = serde_json::from_str::<Vec<&RawValue>>(found.get()).map_err(|_| NOT_JSON.0)?;
            list.as_slice()
        } else {
            &one
        };
        for event in events {
            let text = event.get().as_bytes();
            // Both lie in the body; the distance is the place.
            let start = text.as_ptr().addr() - body.as_ptr().addr();
            self.places.mark(submission, text, start);
        }
        Ok(())
    }
}

fn path_default() -> String {
    "/events".to_owned()
}

const NO_EVENTS: (&str, &str) = (
    "no events at their place",
    "The request has nothing where `events` of the source says that its events stand.",
);

const REASONS: sluice_sdk::Reasons = &[
    NOT_JSON,
    NO_EVENTS,
    NOT_AN_OBJECT,
    NO_TYPE,
    NO_ID,
    UNKNOWN_ENCODING,
    BAD_GZIP,
];

const EXAMPLE: &str = "\
listen: 127.0.0.1:8080
path: /events
signature: { secret: \"${WEBHOOK_SECRET}\", header: X-Signature, prefix: \"sha256=\" }
";

sluice_sdk::register_source!(
    "http",
    HttpSourceConfig => HttpSource::new,
    summary: "JSON events that another system posts, with a token or a signature.",
    example: EXAMPLE,
    places: places_of,
    reasons: REASONS,
    feed: crate::http_feed::feed,
    upstream: crate::http_feed::upstream,
);

#[cfg(test)]
#[path = "http_source_tests.rs"]
mod tests;
