//! Settings that every source behind HTTP has. The doc comments are the user's reference.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use sluice_sdk::{ByteSize, ConfigError, PathStep};

use crate::tokens::Tokens;

/// Largest `max_body`: places in a body are kept in 32 bits, and a body is held in memory.
const MAX_BODY_BYTES_MAX: u64 = 192 << 20;

/// Largest `connections_max`; ports end before it.
const CONNECTIONS_MAX: usize = 100_000;

/// Where to listen and whom to let in. A source makes it from its own settings, which have a key of
/// the same name for each field.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of the source, for messages.
    pub name: &'static str,
    /// Address and port.
    pub listen: SocketAddr,
    /// The only path that is answered.
    pub path: String,
    /// Bearer tokens that are all valid; none: nobody is asked for one.
    pub token: Option<Tokens>,
    /// Largest body, after decompression.
    pub max_body: ByteSize,
    /// HTTPS, if wanted.
    pub tls: Option<TlsConfig>,
    /// Networks that may send; empty: all.
    pub allow_networks: Vec<IpNet>,
    /// Believe the last entry of `X-Forwarded-For`.
    pub trust_forwarded_for: bool,
    /// What peers may claim at most.
    pub limits: LimitsConfig,
}

impl Settings {
    /// What the types cannot say.
    ///
    /// # Errors
    /// The first setting that does not fit, at its key.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.path.starts_with('/') || self.path.contains(['?', '#']) {
            return Err(ConfigError::at(
                "path",
                "expected a path that begins with `/`, without `?` and `#`, such as /events",
            ));
        }
        if self
            .token
            .as_ref()
            .is_some_and(|tokens| tokens.0.is_empty())
        {
            return Err(ConfigError::at(
                "token",
                "the list is empty; give at least one token, such as ${WEBHOOK_TOKEN}",
            ));
        }
        if self.max_body.0 == 0 || self.max_body.0 > MAX_BODY_BYTES_MAX {
            return Err(ConfigError::at(
                "max_body",
                "expected 1 byte to 192MiB: the body is kept in memory and in one record of the journal",
            ));
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.limits.connections_max) {
            return Err(ConfigError {
                path: ["limits", "connections_max"]
                    .map(|key| PathStep::Key(key.to_owned()))
                    .to_vec(),
                message: format!("expected 1 to {CONNECTIONS_MAX} connections"),
            });
        }
        Ok(())
    }
}

/// Default of `listen`: only this machine, as a reverse proxy with TLS usually stands in front.
pub fn listen_default() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

/// Default of `max_body`, 32 MiB.
pub fn max_body_default() -> ByteSize {
    ByteSize(32 << 20)
}

/// What peers may claim at most.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Connections at the same time. Default 512: half of the open files that most systems allow a
    /// process. When all are taken, the one that has been without a request for longest makes room.
    #[schemars(range(min = 1, max = 100_000), example = 512)]
    pub connections_max: usize,
    /// Seconds that a connection may be without a complete head of a request: at its beginning, with
    /// TLS, and between two requests. Default 30.
    pub head_timeout: Seconds,
    /// Seconds for a body to arrive, from its head on. Default 30; after it the answer is 408.
    pub body_timeout: Seconds,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            connections_max: 512,
            head_timeout: Seconds(Duration::from_secs(30)),
            body_timeout: Seconds(Duration::from_secs(30)),
        }
    }
}

/// A time in seconds, more than 0 and at most 600; fractions are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub Duration);

/// Files for HTTPS, read at the start.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with the certificate, followed by the certificates between it and the root.
    #[schemars(example = "/etc/sluice/fullchain.pem", extend("format" = "file"))]
    pub certificate: PathBuf,
    /// PEM file with the private key.
    #[schemars(example = "/etc/sluice/key.pem", extend("format" = "file"))]
    pub key: PathBuf,
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if seconds > 0.0 && seconds <= 600.0 {
            Ok(Self(Duration::from_secs_f64(seconds)))
        } else {
            Err(serde::de::Error::custom(
                "expected seconds, more than 0 and at most 600, such as 30",
            ))
        }
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time in seconds, at most 600.",
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 600,
            "examples": [30]
        })
    }
}
