//! Settings of `braze_webhook`. The doc comments are the user's reference.

use std::net::SocketAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use sluice_http_server::{
    LimitsConfig, Settings, TlsConfig, Tokens, listen_default, max_body_default,
};
use sluice_sdk::{ByteSize, ConfigError};

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

impl BrazeWebhookConfig {
    /// What of it every source behind HTTP has, checked.
    pub(crate) fn settings(self) -> Result<Settings, ConfigError> {
        if self.token.is_none() && !self.allow_unauthenticated {
            return Err(ConfigError::at(
                "token",
                "no token: set `token: ${BRAZE_CURRENTS_TOKEN}`, or `allow_unauthenticated: true` to take events from anybody",
            ));
        }
        let settings = Settings {
            name: "braze_webhook",
            listen: self.listen,
            path: self.path,
            token: self.token,
            max_body: self.max_body,
            tls: self.tls,
            allow_networks: self.allow_networks,
            trust_forwarded_for: self.trust_forwarded_for,
            limits: self.limits,
        };
        settings.check()?;
        Ok(settings)
    }
}

fn path_default() -> String {
    "/currents".to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(value: Value) -> Result<(), String> {
        sluice_sdk::parse_config::<BrazeWebhookConfig>(value)
            .and_then(|config| config.settings().map(drop))
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
