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
/// What serde says, with the path to it.
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
            message: error.into_inner().to_string(),
        }
    })
}
