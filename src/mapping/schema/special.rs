//! The schema of a mapping file for one sink and one source: inside `emit` the members of the sink's
//! documents, in `on` the source's event types.
//!
//! A finished document's schema says of each member what its value is. In a rule any value may be a
//! path or an operator instead, and any member may come from a template, so nothing is required.

use serde_json::{Map, Value, json};
use sluice_sdk::DocumentSpec;
use sluice_sdk::catalogue::Catalogue;

use super::mapping_schema;

/// A text that is not a path must be what the sink wants; this is what a path looks like.
const PATH_PATTERN: &str = r"^\$(\.|\[|item|$)";

/// The schema of mapping files for this sink and this source.
pub fn mapping_schema_for(spec: Option<&DocumentSpec>, catalogue: Option<&Catalogue>) -> Value {
    let mut schema = mapping_schema();
    if let Some(spec) = spec {
        schema["$defs"]["operator"] = operator(&schema);
        schema["$defs"]["document"] = document(&(spec.schema)());
        let rule = &mut schema["$defs"]["rule"]["properties"];
        let each = &mut rule["emit_each"]["additionalProperties"];
        *each = json!({"$ref": "#/$defs/document"});
        rule["emit"]["$ref"] = json!("#/$defs/document");
    }
    if let Some(catalogue) = catalogue {
        schema["$defs"]["event_type"] = event_type(catalogue);
        let on = &mut schema["$defs"]["rule"]["properties"]["on"];
        let one = json!({"$ref": "#/$defs/event_type"});
        on["anyOf"] = json!([one, {"type": "array", "items": one, "minItems": 1}]);
        if let Some(first) = catalogue.events.first() {
            on["examples"] = json!([first.name]);
        }
    }
    schema
}

fn event_type(catalogue: &Catalogue) -> Value {
    let names: Vec<&str> = catalogue
        .events
        .iter()
        .flat_map(|event| {
            let aliases = event.aliases.iter().map(String::as_str);
            std::iter::once(event.name.as_str()).chain(aliases)
        })
        .collect();
    json!({
        "description": format!("An event type of {}, or a glob: `*` matches any characters, dots too.", catalogue.version),
        "anyOf": [
            {"enum": names},
            {"type": "string", "pattern": "\\*", "description": "A glob."}
        ]
    })
}

/// The operators, as they stand in the schema of a value.
fn operator(schema: &Value) -> Value {
    let alternatives = schema["$defs"]["value"]["anyOf"].as_array();
    let object = alternatives
        .into_iter()
        .flatten()
        .find(|one| one["type"] == "object");
    let members = object.and_then(|one| one["properties"].as_object());
    json!({"properties": members.cloned().unwrap_or_default()})
}

fn document(finished: &Value) -> Value {
    let mut document = loosened(finished);
    document["description"] = json!("The document, in the shape of the sink's own call.");
    document
}

/// What a value may be in a rule, where the finished one must be this.
fn loosened(finished: &Value) -> Value {
    let mut loose = Map::new();
    if let Some(description) = finished.get("description") {
        loose.insert("description".to_owned(), description.clone());
    }
    if let Some(choices) = finished.get("enum") {
        let others = json!({"type": ["string", "object", "null"], "pattern": PATH_PATTERN,
                            "allOf": [{"$ref": "#/$defs/operator"}],
                            "patternProperties": {"^[^$]": false}});
        loose.insert("anyOf".to_owned(), json!([{"enum": choices}, others]));
        return Value::Object(loose);
    }
    let wanted = types(finished);
    let is_object = wanted.iter().any(|name| name == "object");
    let is_text = wanted.iter().any(|name| name == "string");
    let mut all = wanted.clone();
    for name in ["string", "object", "null"] {
        if !all.iter().any(|one| one == name) {
            all.push(name.to_owned());
        }
    }
    if all.iter().any(|one| one == "boolean") || is_text || is_object {
        loose.insert("type".to_owned(), json!(all));
    }
    if !is_text {
        loose.insert("pattern".to_owned(), json!(PATH_PATTERN));
    }
    let operators = json!([{"$ref": "#/$defs/operator"}]);
    loose.insert("allOf".to_owned(), operators);
    if is_object {
        object(finished, &mut loose);
    } else {
        // Nothing but operators.
        loose.insert("patternProperties".to_owned(), json!({"^[^$]": false}));
    }
    Value::Object(loose)
}

fn object(finished: &Value, loose: &mut Map<String, Value>) {
    let known: Map<String, Value> = finished["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, member)| (name.clone(), loosened(member)))
        .collect();
    loose.insert("properties".to_owned(), Value::Object(known));
    loose.insert("patternProperties".to_owned(), json!({"^\\$": true}));
    let others = match finished.get("additionalProperties") {
        Some(Value::Bool(false)) => json!(false),
        Some(Value::Object(other)) => loosened(&Value::Object(other.clone())),
        _ => json!({"$ref": "#/$defs/value"}),
    };
    loose.insert("additionalProperties".to_owned(), others);
}

fn types(schema: &Value) -> Vec<String> {
    match &schema["type"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => all
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}
