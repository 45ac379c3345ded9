//! Values that must not be shown: in YAML a text (usually `${NAME}`), or `{file: path}`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// A secret of a config. Prints as `***` everywhere.
///
/// Given as `{file: path}` it is read anew at every [`Secret::reveal`], so that a rotated file is
/// taken up without a restart; files are small and calls are per request, not per event.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Origin);

#[derive(Clone, PartialEq, Eq)]
enum Origin {
    Text(String),
    File(PathBuf),
}

/// Why a secret cannot be had. Names the file, never the content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read.
    #[error("secret file {path} cannot be read: {error}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// There is nothing in it.
    #[error("secret file {path} is empty", path = .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Secret {
    /// A secret that is known already.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Origin::Text(text.into()))
    }

    /// Whether it is read anew each time: what stands in a file may change while the program runs,
    /// what came from the config or the environment does not.
    pub fn is_file(&self) -> bool {
        matches!(self.0, Origin::File(_))
    }

    /// The value, to be used at once and not kept. White space around a file's content is left out.
    ///
    /// # Errors
    /// When the file cannot be read or is empty: trouble of our own, never a reason to refuse data.
    pub fn reveal(&self) -> Result<Cow<'_, str>, SecretError> {
        match &self.0 {
            Origin::Text(text) => Ok(Cow::Borrowed(text)),
            Origin::File(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|error| SecretError::Unreadable {
                        path: path.clone(),
                        error,
                    })?;
                let text = text.trim();
                if text.is_empty() {
                    return Err(SecretError::Empty { path: path.clone() });
                }
                Ok(Cow::Owned(text.to_owned()))
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            // A map and no struct: that could be a list too, and a secret in it would become a path.
            File(BTreeMap<String, PathBuf>),
        }
        let origin = match Form::deserialize(deserializer) {
            Ok(Form::Text(text)) => Some(Origin::Text(text)),
            Ok(Form::File(mut form)) if form.len() == 1 => form.remove("file").map(Origin::File),
            _ => None,
        };
        origin.map(Self).ok_or_else(|| {
            serde::de::Error::custom(
                "expected a secret: a text such as \"${NAME}\", or {file: path}",
            )
        })
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "secret",
            "description": "A secret: `${NAME}` takes it from the environment, `{file: path}` from a file that is read again when it changes.",
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"file": {"type": "string", "description": "Path of the file that holds the secret."}},
                    "required": ["file"],
                    "additionalProperties": false
                }
            ],
            "examples": ["${API_KEY}", {"file": "/run/secrets/key"}]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows_in_debug_output() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }

    #[test]
    fn a_wrong_form_is_refused_without_its_value() {
        for text in [
            r#"{"fil":"hunter2"}"#,
            r#"{"file":"a","more":"hunter2"}"#,
            r#"["hunter2"]"#,
        ] {
            let error = serde_json::from_str::<Secret>(text);
            let error = error.expect_err("another form").to_string();
            assert!(error.contains("{file: path}"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
