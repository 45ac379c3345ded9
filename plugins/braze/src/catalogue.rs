//! The event types of Currents, from `catalogue.yaml`.
//!
//! The file names groups of fields once (`groups`) and each type says which it has (`use`), since
//! nearly all types share most fields.

use std::sync::OnceLock;

use sluice_sdk::catalogue::Catalogue;

/// The catalogue, read at the first call.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        serde_yaml::from_str(include_str!("../catalogue.yaml"))
            .expect("braze: catalogue.yaml is part of the program and read by a test")
    })
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
}
