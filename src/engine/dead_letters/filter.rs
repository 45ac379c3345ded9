//! Which dead letters: the same choice for the command line, the admin API and a stored replay.

use globset::{Glob, GlobMatcher};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::DeadLetter;
use crate::journal::DeadLetterKey;

/// Which dead letters; what is left out takes all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only this connector's (or `source:NAME`, what a source set aside).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// Only events of this type; `*` stands for any characters.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Only letters whose reason contains this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only letters that were put here at this moment or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only letters that were put here before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only these: `CONNECTOR/NUMBER` or the id of an event.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub id: Vec<String>,
    /// The oldest so many of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// A [`Filter`] ready to be asked.
pub struct Matcher {
    filter: Filter,
    event_type: Option<GlobMatcher>,
}

impl Filter {
    /// Read the glob.
    ///
    /// # Errors
    /// A sentence, when the type is no glob.
    pub fn matcher(&self) -> Result<Matcher, String> {
        let event_type = self
            .event_type
            .as_deref()
            .map(|text| {
                Glob::new(text)
                    .map(|glob| glob.compile_matcher())
                    .map_err(|problem| {
                        format!("`{text}` is no event type and no glob: {}", problem.kind())
                    })
            })
            .transpose()?;
        Ok(Matcher {
            filter: self.clone(),
            event_type,
        })
    }

    /// The same, for one connector.
    pub fn of_connector(&self, connector: &str) -> Self {
        Self {
            connector: Some(connector.to_owned()),
            ..self.clone()
        }
    }
}

impl Matcher {
    /// Whether the filter takes this letter; the limit is for the caller to count.
    pub fn takes(&self, key: &DeadLetterKey, letter: &DeadLetter) -> bool {
        let filter = &self.filter;
        let by_id = |id: &String| *id == letter.event_id || *id == key.to_string();
        filter
            .connector
            .as_ref()
            .is_none_or(|wanted| *wanted == key.connector)
            && self
                .event_type
                .as_ref()
                .is_none_or(|glob| glob.is_match(&letter.event_type))
            && filter
                .reason
                .as_ref()
                .is_none_or(|part| letter.reason.contains(part.as_str()))
            && filter.since.is_none_or(|since| letter.at >= since)
            && filter.until.is_none_or(|until| letter.at < until)
            && (filter.id.is_empty() || filter.id.iter().any(by_id))
    }
}
