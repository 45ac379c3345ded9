//! Settings of a plugin: from the JSON value of a config section to the plugin's own type, with the
//! path of what is wrong, so that the engine can point at file, line and column.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// One step into a config section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathStep {
    /// A key of a map.
    Key(String),
    /// A place in a list, from 0.
    Index(usize),
}

impl PathStep {
    /// The value at the end of a way, if it leads somewhere.
    pub fn find<'a>(way: &[Self], value: &'a Value) -> Option<&'a Value> {
        way.iter().try_fold(value, |value, step| match step {
            Self::Key(name) => value.get(name),
            Self::Index(index) => value.get(index),
        })
    }
}

/// A setting that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// Where in the plugin's section; empty for the section as a whole.
    pub path: Vec<PathStep>,
    /// What was found, what was expected, what to do. Never a secret's value.
    pub message: String,
}

impl ConfigError {
    /// An error at one setting, named by its key.
    pub fn at(key: &str, message: impl Into<String>) -> Self {
        Self {
            path: vec![PathStep::Key(key.to_owned())],
            message: message.into(),
        }
    }
}

/// Read `value` as `T`; the error carries the path of the first thing that does not fit.
///
/// # Errors
/// What serde says, with the path to it; of a value that has the wrong type only the type, as it may
/// be a secret in the wrong place.
pub fn parse_config<T: DeserializeOwned>(value: Value) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        use serde_path_to_error::Segment;
        let path = error
            .path()
            .iter()
            .filter_map(|step| match step {
                Segment::Seq { index } => Some(PathStep::Index(*index)),
                Segment::Map { key } => Some(PathStep::Key(key.clone())),
                Segment::Enum { .. } | Segment::Unknown => None,
            })
            .collect();
        ConfigError {
            path,
            message: without_value(error.into_inner().to_string()),
        }
    })
}

/// `invalid type: string "hunter2", expected a map` without what stands between.
fn without_value(message: String) -> String {
    let parts = || {
        let found = message.strip_prefix("invalid type: ")?;
        let kind = found.split(['"', '`', ',']).next()?.trim_end();
        let (_, expected) = found.rsplit_once(", expected ")?;
        Some(format!("expected {expected}, found {kind}"))
    };
    parts().unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_value_of_the_wrong_type_is_not_shown() {
        type Numbers = BTreeMap<String, Vec<u8>>;
        for (value, path, message) in [
            (
                serde_json::json!("a, expected b"),
                "",
                "expected a map, found string",
            ),
            (
                serde_json::json!({"n": true}),
                "n",
                "expected a sequence, found boolean",
            ),
            (
                serde_json::json!({"n": null}),
                "n",
                "expected a sequence, found null",
            ),
            (
                serde_json::json!({"n": ["hunter2\""]}),
                "n",
                "expected u8, found string",
            ),
        ] {
            let error = parse_config::<Numbers>(value.clone()).expect_err("a wrong type");
            assert_eq!(error.to_string(), message, "{value}");
            let key = PathStep::Key(path.to_owned());
            assert_eq!(error.path.contains(&key), !path.is_empty(), "{value}");
        }
    }
}
