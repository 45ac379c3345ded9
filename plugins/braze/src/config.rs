//! Settings of `braze_webhook`. The doc comments are the user's reference.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use sluice_sdk::{ConfigError, PathStep, Secret};

/// Largest `max_body`: places in a body are kept in 32 bits, and a body is held in memory.
const MAX_BODY_BYTES_MAX: u64 = 192 << 20;

/// Largest `connections_max`; ports end before it.
const CONNECTIONS_MAX: usize = 100_000;

/// Takes the events of Braze Currents over its "Custom Currents Export".
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BrazeWebhookConfig {
    /// Address and port to listen on. Default `127.0.0.1:8080`: only this machine, as a reverse
    /// proxy with TLS usually stands in front. `0.0.0.0:8080` listens on all addresses.
    #[serde(default = "listen_default")]
    #[schemars(with = "String", example = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Path of the URL that is given to Braze. Default `/currents`. A query string in the URL is
    /// allowed and ignored.
    #[serde(default = "path_default")]
    #[schemars(example = "/currents")]
    pub path: String,
    /// The token that Braze sends (`Authorization: Bearer …`), or a list of tokens that are all
    /// valid, for changing one without a gap. Required, unless `allow_unauthenticated` is true.
    #[serde(default)]
    pub token: Option<Tokens>,
    /// Take events from anybody who can reach the port. Default false; for tests, or behind a proxy
    /// that checks the sender itself.
    #[serde(default)]
    pub allow_unauthenticated: bool,
    /// Largest body in bytes, after decompression. Default 32 MiB: about 100 events of usual size
    /// need 0.1 MiB; a larger body gets 413, and Braze then sends it in parts.
    #[serde(default = "max_body_default")]
    pub max_body: ByteSize,
    /// Certificate and key, for HTTPS without a proxy. Default: plain HTTP.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Networks that may send, such as Braze's published addresses. Default: all. Others get 503,
    /// not 403: should Braze add an address, it then tries again until the list is corrected.
    #[serde(default)]
    #[schemars(with = "Vec<String>", example = ["52.58.142.242/32"])]
    pub allow_networks: Vec<IpNet>,
    /// Believe the last entry of `X-Forwarded-For` when `allow_networks` is checked. Default false.
    /// Set it only when every request comes through a proxy of yours, as anybody can write that header.
    #[serde(default)]
    pub trust_forwarded_for: bool,
    /// What peers may claim at most. The defaults suit Braze; lower them only for tests or a small
    /// machine.
    #[serde(default)]
    pub limits: LimitsConfig,
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
    /// Seconds for a body to arrive, from its head on. Default 30; after it the answer is 408 and
    /// Braze sends it again.
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
    #[schemars(example = "/etc/sluice/fullchain.pem")]
    pub certificate: PathBuf,
    /// PEM file with the private key.
    #[schemars(example = "/etc/sluice/key.pem")]
    pub key: PathBuf,
}

/// One token, or several that are valid at the same time.
#[derive(Debug, Clone)]
pub struct Tokens(pub Vec<Secret>);

/// A size in bytes: a number, or a text such as `32MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl BrazeWebhookConfig {
    /// What the types cannot say.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !self.path.starts_with('/') || self.path.contains(['?', '#']) {
            return Err(ConfigError::at(
                "path",
                "expected a path that begins with `/`, without `?` and `#`, such as /currents",
            ));
        }
        match &self.token {
            Some(tokens) if tokens.0.is_empty() => Err(ConfigError::at(
                "token",
                "the list is empty; give at least one token, such as ${BRAZE_CURRENTS_TOKEN}",
            )),
            None if !self.allow_unauthenticated => Err(ConfigError::at(
                "token",
                "no token: set `token: ${BRAZE_CURRENTS_TOKEN}`, or `allow_unauthenticated: true` to take events from anybody",
            )),
            _ if self.max_body.0 == 0 || self.max_body.0 > MAX_BODY_BYTES_MAX => {
                Err(ConfigError::at(
                    "max_body",
                    "expected 1 byte to 192MiB: the body is kept in memory and in one record of the journal",
                ))
            }
            _ if !(1..=CONNECTIONS_MAX).contains(&self.limits.connections_max) => {
                Err(ConfigError {
                    path: ["limits", "connections_max"]
                        .map(|key| PathStep::Key(key.to_owned()))
                        .to_vec(),
                    message: format!("expected 1 to {CONNECTIONS_MAX} connections"),
                })
            }
            _ => Ok(()),
        }
    }
}

fn listen_default() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

fn path_default() -> String {
    "/currents".to_owned()
}

fn max_body_default() -> ByteSize {
    ByteSize(32 << 20)
}

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Many(Vec<Secret>),
            One(Secret),
        }
        match Form::deserialize(deserializer) {
            Ok(Form::Many(tokens)) => Ok(Self(tokens)),
            Ok(Form::One(token)) => Ok(Self(vec![token])),
            Err(_) => Err(serde::de::Error::custom(
                "expected a secret, such as \"${NAME}\" or {file: path}, or a list of them",
            )),
        }
    }
}

impl JsonSchema for Tokens {
    fn schema_name() -> Cow<'static, str> {
        "Tokens".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let secret = generator.subschema_for::<Secret>();
        json_schema!({
            "description": "One token, or a list of tokens that are all valid.",
            "anyOf": [secret, {"type": "array", "items": secret, "minItems": 1}],
            "examples": ["${BRAZE_CURRENTS_TOKEN}"]
        })
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Bytes(u64),
            Text(String),
        }
        match Form::deserialize(deserializer) {
            Ok(Form::Bytes(bytes)) => Some(bytes),
            Ok(Form::Text(text)) => bytes_of(&text),
            Err(_) => None,
        }
        .map(Self)
        .ok_or_else(|| serde::de::Error::custom("expected a size, such as 32MiB, 500KB or 1048576"))
    }
}

fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let unit: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "kib" => 1 << 10,
        "mb" => 1_000_000,
        "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "size",
            "description": "A size in bytes: a number, or a text with KB, KiB, MB, MiB, GB or GiB.",
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": "^\\s*[0-9]+\\s*([kKmMgG][iI]?)?[bB]?\\s*$"}
            ],
            "examples": ["32MiB", 33_554_432]
        })
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(value: Value) -> Result<(), String> {
        sluice_sdk::parse_config::<BrazeWebhookConfig>(value)
            .and_then(|config| config.check())
            .map_err(|error| error.message)
    }

    #[test]
    fn settings_say_what_is_wrong() {
        assert_eq!(check(json!({"token": "x"})), Ok(()));
        assert_eq!(
            check(json!({"token": ["x", {"file": "/y"}], "max_body": "1MiB"})),
            Ok(())
        );
        assert_eq!(check(json!({"allow_unauthenticated": true})), Ok(()));
        for (value, part) in [
            (json!({}), "allow_unauthenticated"),
            (json!({"token": []}), "the list is empty"),
            (json!({"token": "x", "path": "currents"}), "begins with `/`"),
            (json!({"token": "x", "max_body": "9GiB"}), "192MiB"),
            (json!({"token": "x", "max_body": "many"}), "32MiB"),
            (json!({"token": "x", "tokn": 1}), "unknown field"),
            (
                json!({"token": "x", "limits": {"connections_max": 0}}),
                "1 to 100000",
            ),
            (
                json!({"token": "x", "limits": {"head_timeout": 0}}),
                "such as 30",
            ),
        ] {
            let error = check(value).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
