//! The event types of Currents, from `catalogue.yaml`.
//!
//! The file names groups of fields once (`groups`) and each type says which it has (`use`), since
//! nearly all types share most fields. A field of the type itself wins over one of a group.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;
use sluice_sdk::catalogue::{Catalogue, EventType, Field};

#[derive(Deserialize)]
struct File {
    version: String,
    #[serde(default)]
    groups: HashMap<String, Vec<Field>>,
    events: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    group: String,
    #[serde(default)]
    documented: bool,
    #[serde(default)]
    note: String,
    #[serde(default, rename = "use")]
    uses: Vec<String>,
    #[serde(default)]
    fields: Vec<Field>,
}

/// The catalogue, read at the first call.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        expand(include_str!("../catalogue.yaml"))
            .expect("braze: catalogue.yaml is part of the program and read by a test")
    })
}

fn expand(text: &str) -> Result<Catalogue, String> {
    let file: File = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let mut events = Vec::with_capacity(file.events.len());
    for entry in file.events {
        let mut fields: Vec<Field> = Vec::new();
        for name in &entry.uses {
            let group = file
                .groups
                .get(name)
                .ok_or_else(|| format!("{}: no group `{name}`", entry.name))?;
            for field in group {
                put(&mut fields, field.clone());
            }
        }
        for field in entry.fields {
            put(&mut fields, field);
        }
        events.push(EventType {
            name: entry.name,
            aliases: entry.aliases,
            group: entry.group,
            documented: entry.documented,
            note: entry.note,
            fields,
        });
    }
    Ok(Catalogue {
        version: file.version,
        events,
    })
}

fn put(fields: &mut Vec<Field>, field: Field) {
    match fields.iter_mut().find(|known| known.path == field.path) {
        Some(known) => *known = field,
        None => fields.push(field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_an_id_a_time_and_a_sample_that_the_webhook_would_take() {
        let catalogue = catalogue();
        for event in &catalogue.events {
            assert!(event.field("id").is_some(), "{}: no id", event.name);
            assert!(event.field("time").is_some(), "{}: no time", event.name);
            let body = serde_json::json!({"events": [event.sample()]}).to_string();
            let submission = crate::split(body.into()).expect("no probe");
            assert!(submission.malformed.is_empty(), "{}", event.name);
            assert_eq!(submission.events[0].event_type, event.name);
        }
    }

    #[test]
    fn a_type_is_there_once() {
        let mut names: Vec<_> = catalogue().events.iter().map(|event| &event.name).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_types_own_field_wins_over_the_groups() {
        let catalogue = expand(
            "version: '1'\ngroups: {core: [{path: id, type: string}]}\nevents:\n  - {type: a, group: g, use: [core], fields: [{path: id, type: integer}]}",
        )
        .expect("good");
        assert_eq!(catalogue.events[0].fields.len(), 1);
        assert_eq!(
            catalogue.events[0].fields[0].kind,
            sluice_sdk::catalogue::FieldType::Integer
        );
    }
}
