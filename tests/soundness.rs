//! The built-in sets against the real catalogue and the real sink: what a rule makes of any event
//! that fits the catalogue, the sink takes.

use std::path::PathBuf;

use serde_json::Value;
use sluice::diagnostics::Files;
use sluice::mapping::{Mapped, Mapper, Mapping, Options, Reference, builtin_sets, load};
use sluice_sdk::catalogue::{EventType, FieldType};

/// Events of each type and share of absent values.
const EVENTS: u64 = 24;

/// Shares of optional fields without a value: all there, some, many, none there.
const NULLS: [f64; 4] = [0.0, 0.3, 0.7, 1.0];

/// The only refusal that no rule can prevent: texts of an event have any length.
const TOO_LARGE: &str = "too-large";

fn set(name: &str, include: Vec<String>) -> Mapping {
    let reference = Reference {
        text: format!("builtin:{name}"),
        base: PathBuf::new(),
        span: None,
    };
    let options = Options {
        include,
        ..Options::default()
    };
    let (mut files, mut diagnostics) = (Files::default(), Vec::new());
    load(&[reference], &mut files, None, options, &mut diagnostics).expect(name)
}

/// What every event has: without it the sink could not tell two apart, refuses, and there is a dead letter.
const FILLED: &str = "id";

/// Makes texts empty: none, all, or one in so many.
fn empty_texts(event: &EventType, n: u64, made: &mut Value) {
    let texts = event
        .fields
        .iter()
        .filter(|field| field.kind == FieldType::String && field.path != FILLED);
    for (at, field) in (0_u64..).zip(texts) {
        let is_empty = match n % 4 {
            0 => false,
            1 => true,
            share => (at + n).is_multiple_of(share),
        };
        let pointer = format!("/{}", field.path.replace('.', "/"));
        if let Some(text) = made
            .pointer_mut(&pointer)
            .filter(|text| is_empty && text.is_string())
        {
            *text = Value::from("");
        }
    }
}

#[tokio::test]
async fn what_the_built_in_sets_make_is_never_refused_by_the_sink() {
    let sinks = sluice_sdk::sinks();
    let plugin = sinks.iter().find(|plugin| plugin.name == "segment");
    let plugin = plugin.expect("the sink of the built-in sets");
    let double = plugin.double.expect("it has a double")().await;
    let settings = double.expect("the double starts").settings();
    let sink = (plugin.build)(settings).expect("the double's settings are complete");
    let (mut refused, mut documents) = (Vec::new(), 0_u64);
    for name in builtin_sets() {
        let catalogue = set(&name, Vec::new()).target().catalogue;
        let catalogue = catalogue.expect("a set says what it is for");
        // Named one by one, so that rules that must be opted in to run too.
        let all = catalogue.events.iter().map(|event| event.name.clone());
        let mut mapper = Mapper::new(set(&name, all.collect()).into());
        for event in &catalogue.events {
            for (seed, nulls) in (1..).zip(NULLS) {
                for n in 0..EVENTS {
                    let mut made = event.synthesize_with_nulls(seed, n, nulls);
                    empty_texts(event, n, &mut made);
                    let bytes = made.to_string();
                    let outcome = mapper.map(&event.name, bytes.as_bytes());
                    let found = match outcome {
                        Mapped::Documents(found) => found,
                        Mapped::Dead { reason, .. } => {
                            refused.push(format!("{name}: {}: dead: {reason}", event.name));
                            continue;
                        }
                        _ => continue,
                    };
                    for document in found {
                        documents += 1;
                        let rule = document.rule.clone();
                        if let Err(why) = sink.prepare(document.body)
                            && why.code != TOO_LARGE
                        {
                            refused.push(format!("{name}: {rule}: {why}\n  {bytes}"));
                        }
                    }
                }
            }
        }
    }
    assert!(documents > 10_000, "only {documents} documents");
    refused.dedup();
    let shown = &refused[..refused.len().min(10)];
    assert!(
        refused.is_empty(),
        "{} refused, such as\n{}",
        refused.len(),
        shown.join("\n")
    );
}
