//! The rules and events that are measured.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use sluice::diagnostics::{Files, Format, render};
use sluice::mapping::{Mapped, Mapping, Options, Reference, Target, load};

/// The rules of `rules.yaml`.
pub const RULES: [&str; 5] = ["copy", "conversions", "copies", "each", "filter"];

/// The five rules.
pub fn typical() -> Arc<Mapping> {
    mapping("rules.yaml", "benches/mapping")
}

/// The type and the event for one of the [`RULES`].
pub fn event(rule: &str) -> (String, String) {
    let event_type = format!("bench.{rule}");
    let mut event = click();
    event["event_type"] = json!(event_type);
    if rule == "each" {
        event["properties"]["items"] = (0..5)
            .map(|n| json!({"id": n, "title": "A thing to buy", "price": 9.99, "tags": ["new"]}))
            .collect();
    }
    (event_type, event.to_string())
}

/// Mappings, loaded.
pub fn mapping(text: &str, base: &str) -> Arc<Mapping> {
    let (mut files, mut diagnostics) = (Files::default(), Vec::new());
    let references = [Reference {
        text: text.to_owned(),
        base: Path::new(env!("CARGO_MANIFEST_DIR")).join(base),
        span: None,
    }];
    let options = Options::default();
    let target = (!text.starts_with("builtin:")).then(Target::default);
    let mapping = load(&references, &mut files, target, options, &mut diagnostics);
    Arc::new(
        mapping.unwrap_or_else(|| panic!("{}", render(&diagnostics, &files, Format::Human, false))),
    )
}

/// A click as Braze sends it: all fields of the catalogue, about 1 KB. The list is ours, for `$each`.
fn click() -> Value {
    let braze = sluice_sdk::sources()
        .into_iter()
        .find_map(|source| source.catalogue)
        .expect("a source with a catalogue");
    let mut event = braze()
        .event("users.messages.email.Click")
        .expect("the type is known")
        .synthesize_with_nulls(1, 1, 0.0);
    event["properties"]["url"] = json!("https://shop.example.com/spring?utm_source=mail");
    event["properties"]["link_alias"] = json!("two");
    event["properties"]["is_suspected_bot_click"] = json!(false);
    event
}

/// The one document.
pub fn document(mapped: Mapped) -> bytes::Bytes {
    match mapped {
        Mapped::Documents(mut documents) => documents.remove(0).body,
        other => panic!("a document was expected: {other:?}"),
    }
}
