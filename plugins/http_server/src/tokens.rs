//! Who may send: bearer tokens, compared in a time that tells nothing.

use std::borrow::Cow;

use hyper::header::{self, HeaderMap, HeaderValue};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use sluice_sdk::Secret;
use subtle::{Choice, ConstantTimeEq};

/// One secret, or several that are valid at the same time.
#[derive(Debug, Clone)]
pub struct Tokens(
    /// All of them are valid.
    pub Vec<Secret>,
);

/// What a comparison with all secrets says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// One of them fits.
    Good,
    /// None fits.
    Wrong,
    /// None of those that can be read fits, and not all can be read.
    Unreadable,
}

impl Tokens {
    /// Whether `given` is what `expected` makes of one of the secrets. All of them are compared, in a
    /// time that does not depend on which one fits or how far.
    pub fn compare(&self, given: &[u8], expected: impl Fn(&str) -> String) -> Verdict {
        let mut fits = Choice::from(0);
        let mut unreadable = false;
        for secret in &self.0 {
            match secret.reveal() {
                Ok(secret) if secret.is_empty() => unreadable = true,
                Ok(secret) => fits |= expected(&secret).as_bytes().ct_eq(given),
                Err(error) => {
                    tracing::error!(%error, "a secret of a webhook cannot be read; put the file back");
                    unreadable = true;
                }
            }
        }
        if bool::from(fits) {
            Verdict::Good
        } else if unreadable {
            Verdict::Unreadable
        } else {
            Verdict::Wrong
        }
    }

    /// Compare the token in the header `Authorization`.
    pub(crate) fn compare_bearer(&self, headers: &HeaderMap) -> Verdict {
        headers
            .get(header::AUTHORIZATION)
            .map(HeaderValue::as_bytes)
            .filter(|value| value.len() > 7 && value[..7].eq_ignore_ascii_case(b"bearer "))
            .map_or(Verdict::Wrong, |value| {
                self.compare(value[7..].trim_ascii(), str::to_owned)
            })
    }
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
            "examples": ["${WEBHOOK_TOKEN}"]
        })
    }
}
