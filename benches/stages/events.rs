//! What is sent: clicks as Braze writes them, about 1 KB each, in bodies as Braze sends them.

use bytes::Bytes;
use serde_json::json;
use sluice_sdk::catalogue::Catalogue;

/// Events in a body of Braze.
pub const BODY: u64 = 100;
/// The type of all of them.
pub const TYPE: &str = "users.messages.email.Click";

const ID_DIGITS: usize = 12;
const ID_HEAD: &[u8] = br#""id":""#;

/// A body with events whose ids count on from `first`.
pub fn body(first: u64, events: u64) -> Vec<u8> {
    let events: Vec<String> = (first..first + events).map(event).collect();
    format!(r#"{{"events":[{}]}}"#, events.join(",")).into_bytes()
}

/// Event number `n`, with the number as its id.
pub fn event(n: u64) -> String {
    let click = catalogue().event(TYPE).expect("the type is known");
    let mut event = click.synthesize_with_nulls(n, n, 0.0);
    event["id"] = json!(format!("{n:0ID_DIGITS$}"));
    event.to_string()
}

fn catalogue() -> &'static Catalogue {
    let braze = sluice_sdk::sources()
        .into_iter()
        .find_map(|source| source.catalogue)
        .expect("a source with a catalogue");
    braze()
}

/// A body that becomes another one by new ids in their places, so that sending costs little.
pub struct Renewed {
    body: Vec<u8>,
    ids: Vec<usize>,
}

impl Renewed {
    pub fn new(events: u64) -> Self {
        let body = body(0, events);
        let submission = sluice_braze::split(Bytes::from(body.clone())).expect("it holds events");
        let ids = submission
            .events
            .iter()
            .map(|event| {
                let text = &body[event.start as usize..event.end as usize];
                let at = text.windows(ID_HEAD.len()).position(|part| part == ID_HEAD);
                event.start as usize + at.expect("an id") + ID_HEAD.len()
            })
            .collect();
        Self { body, ids }
    }

    /// The body with ids that count on from `first`.
    pub fn from(&mut self, first: u64) -> &[u8] {
        for (n, at) in self.ids.iter().enumerate() {
            let id = format!("{:0ID_DIGITS$}", first + n as u64);
            self.body[*at..at + ID_DIGITS].copy_from_slice(id.as_bytes());
        }
        &self.body
    }
}
