//! Where in a body of lines each event stands.

use std::borrow::Cow;

use serde::Deserialize;
use sluice_sdk::{Bytes, EventMark, MalformedMark, Submission};

/// What sluice must know of an event; the rest of it is for the mappings.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    /// Unix seconds.
    time: Option<i64>,
}

/// Mark the events in whole lines. What is no event is marked too, and goes to the dead letters of the
/// source: the shop cannot mend it, so sending it again would not help.
pub fn submission(body: Bytes) -> Submission {
    let mut found = Submission {
        body: body.clone(),
        ..Submission::default()
    };
    let mut start = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        // Bodies are far below 4 GiB: a line's limit and a buffer.
        let place = |at: usize| u32::try_from(at).expect("a body is shorter than 4 GiB");
        let (from, to) = (place(start), place(start + text.len()));
        start += line.len();
        match serde_json::from_slice::<Head>(text) {
            Ok(head) => found.events.push(EventMark {
                start: from,
                end: to,
                event_type: head.event_type.into_owned(),
                id: head.id.into_owned(),
                time_ms: head.time.and_then(|seconds| seconds.checked_mul(1000)),
            }),
            Err(_) if text.is_empty() => {}
            Err(problem) => found.malformed.push(MalformedMark {
                start: from,
                end: to,
                reason: if problem.is_data() {
                    "no `event_type` or no `id`".to_owned()
                } else {
                    "not JSON".to_owned()
                },
            }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_and_what_is_none_is_set_aside() {
        let event = r#"{"event_type":"a","id":"1","time":2}"#;
        let body = format!("{event}\r\n\nnonsense\n{{\"id\":\"2\"}}\n");
        let found = submission(Bytes::from(body.clone()));
        let [mark] = found.events.as_slice() else {
            panic!("one event: {:?}", found.events);
        };
        assert_eq!((mark.id.as_str(), mark.time_ms), ("1", Some(2000)));
        assert_eq!(&body[mark.start as usize..mark.end as usize], event);
        let reasons: Vec<&str> = found
            .malformed
            .iter()
            .map(|it| it.reason.as_str())
            .collect();
        assert_eq!(reasons, ["not JSON", "no `event_type` or no `id`"]);
    }

    #[test]
    fn every_sample_of_the_catalogue_is_an_event() {
        for event in &crate::catalogue().events {
            let found = submission(Bytes::from(format!("{}\n", event.sample())));
            assert!(found.malformed.is_empty(), "{}", event.name);
            assert_eq!(found.events[0].event_type, event.name);
        }
    }
}
