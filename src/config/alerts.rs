//! `alerts:` and `contact:`: who is told when something is wrong, and how they are reached.

use std::borrow::Cow;
use std::time::Duration;

use lettre::message::Mailbox;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use sluice_sdk::Secret;

use super::model::period;
use super::units::Period;

/// How the contacts of connectors are reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsConfig {
    /// Mail to the contacts. Default: none.
    pub smtp: Option<SmtpConfig>,
    /// URL that gets every alert as JSON, `{"text": …}` with structured fields beside it, as chats
    /// take it; such as `${ALERT_WEBHOOK:-}`; empty means none.
    pub webhook: Option<Secret>,
    /// How long nothing more is told of the same state of the same thing; changes meanwhile are
    /// gathered in the next message. Default `1h`.
    #[serde(deserialize_with = "period")]
    #[schemars(with = "Period", extend("default" = "1h"))]
    pub interval: Duration,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            smtp: None,
            webhook: None,
            interval: Duration::from_secs(3600),
        }
    }
}

impl AlertsConfig {
    /// Whether there is any way to reach a contact.
    pub fn is_reachable(&self) -> bool {
        self.smtp.is_some() || self.webhook.is_some()
    }
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// Name of the mail server, such as `mail.example.com`. Its certificate must be for this name.
    pub host: String,
    /// Port of the mail server. Default: 587 with `starttls`, 465 with `tls`, 25 with `none`.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// Sender of the mails, such as `sluice@example.com` or `Sluice <sluice@example.com>`.
    pub from: MailAddress,
    /// User name, if the server wants one; then `password` is needed as well.
    pub username: Option<String>,
    /// Password, if the server wants one.
    pub password: Option<Secret>,
    /// How the connection is encrypted. Default `starttls`.
    #[serde(default)]
    pub tls: SmtpTls,
}

impl SmtpConfig {
    /// The port that is written, or the usual one of `tls`.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            SmtpTls::Starttls => 587,
            SmtpTls::Tls => 465,
            SmtpTls::None => 25,
        })
    }
}

/// How the connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// Begins in the clear and must change to TLS before anything is said; refused otherwise.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Not encrypted: for a mail server on this machine.
    None,
}

/// A mail address, with or without a name: `data-team@example.com`, `Data <data@example.com>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MailAddress(String);

impl MailAddress {
    /// From text.
    ///
    /// # Errors
    /// A sentence, when it has another form.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.parse::<Mailbox>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(
                "this is no mail address; expected for example `data-team@example.com`".to_owned(),
            ),
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As the mail library wants it.
    pub fn mailbox(&self) -> Mailbox {
        self.0
            .parse()
            .expect("config: the address was checked in parse()")
    }
}

impl<'de> Deserialize<'de> for MailAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for MailAddress {
    fn schema_name() -> Cow<'static, str> {
        "MailAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "mail address",
            "description": "A mail address, with or without a name in front.",
            "type": "string",
            "pattern": "^[^@]+@[^@]+$",
            "examples": ["data-team@example.com", "Data Team <data-team@example.com>"]
        })
    }
}

/// One mail address or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Contacts(pub Vec<MailAddress>);

impl<'de> Deserialize<'de> for Contacts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = match Value::deserialize(deserializer)? {
            Value::Array(many) => many,
            one => vec![one],
        };
        let mut contacts = Vec::with_capacity(texts.len());
        for text in texts {
            let contact: MailAddress = serde_json::from_value(text).map_err(de::Error::custom)?;
            if !contacts.contains(&contact) {
                contacts.push(contact);
            }
        }
        Ok(Self(contacts))
    }
}

impl JsonSchema for Contacts {
    fn schema_name() -> Cow<'static, str> {
        "Contacts".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let address = generator.subschema_for::<MailAddress>();
        json_schema!({
            "anyOf": [
                address,
                {"type": "array", "items": address, "minItems": 1}
            ],
            "examples": ["data-team@example.com", ["data-team@example.com", "on-call@example.com"]]
        })
    }
}
