//! JSON Schemas of mapping files and test files, for editors and for validators other than ours.
//!
//! They say the shape of a file and explain each key; what needs more than the shape (paths, names of
//! templates, types of fields) is for `sluice validate`.

mod special;

use serde_json::{Value, json};

use super::convert;
use crate::diagnostics::codes::CODES;

pub use self::special::mapping_schema_for;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const PATH: &str = "A JSONPath (RFC 9535) into the event, such as `$.properties.url`.";
const EXPRESSION: &str = "An RFC 9535 logical expression; `@` is the event. Null counts as absent.";

/// The schema of a mapping file.
pub fn mapping_schema() -> Value {
    json!({
        "$schema": DIALECT,
        "title": "sluice mapping file",
        "description": "Rules that say which events become which documents.",
        "type": "object",
        "required": ["version"],
        "additionalProperties": false,
        "properties": {
            "version": version(),
            "import": {
                "description": "Files, folders or built-in sets (`builtin:NAME`) to build on. What stands here is merged over them.",
                "examples": [["builtin:my_set"], ["templates.yaml"]],
                "type": "array",
                "items": {"type": "string"}
            },
            "for": {
                "description": "Which plugins the rules are written for, where no sluice.yaml says it: their catalogue and document schema are checked against.",
                "examples": [{"source": "my_source", "sink": "my_sink"}],
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "source": {"description": "Name of a source plugin.", "type": "string", "examples": ["my_source"]},
                    "sink": {"description": "Name of a sink plugin.", "type": "string", "examples": ["my_sink"]}
                }
            },
            "templates": {
                "description": "Parts of documents by name, taken with `$extends: NAME`.",
                "examples": [{"campaign": {"campaign_id": "$.properties.campaign_id"}}],
                "type": "object",
                "additionalProperties": {"$ref": "#/$defs/value"}
            },
            "tables": {
                "description": "Look-up tables by name, used with `$lookup`.",
                "examples": [{"plans": {"p1": "Basic", "p2": "Pro"}}],
                "type": "object",
                "additionalProperties": {"type": "object"}
            },
            "rules": {
                "description": "Rules by name, tried in this order; the first whose `on` and `when` hold runs.",
                "examples": [{"opened": {"on": "message.Open", "emit": {"event": "Opened"}}}],
                "type": "object",
                "additionalProperties": {"$ref": "#/$defs/rule"}
            },
            "allow": allow()
        },
        "$defs": {"rule": rule(), "value": value(), "spread": spread(), "conversion": conversion(), "when_absent": when_absent()}
    })
}

fn version() -> Value {
    json!({"description": "Version of the language: 1.", "const": 1, "examples": [1]})
}

fn rule() -> Value {
    json!({
        "description": "What becomes of some events.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "on": {
                "description": "Event types: one, a glob (`*` matches any characters, dots too), or a list of these.",
                "examples": ["message.Open", "message.*", ["message.Open", "message.Click"]],
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
            },
            "when": {"description": EXPRESSION, "examples": ["@.properties.is_bot != true"], "type": "string"},
            "emit": {"description": "The document, in the shape of the sink's own call.", "$ref": "#/$defs/value"},
            "emit_each": {
                "description": "Several documents, by name; the name becomes part of their identity.",
                "examples": [{"track": {"type": "track"}, "identify": {"type": "identify"}}],
                "type": "object",
                "additionalProperties": {"$ref": "#/$defs/value"}
            },
            "skip": {"description": "Knowingly not sent; the reason is counted and shown.", "examples": ["too many"], "type": "string"},
            "first": {"description": "Tried before all rules that do not say so, also before those of an overlay: for what must not get past it, such as test events. Default: false.", "examples": [true], "type": "boolean"},
            "continue": {"description": "Let the rules after this one run as well. Default: false.", "examples": [true], "type": "boolean"},
            "opt_in": {"description": "Runs only for types that `events.include` names exactly; otherwise the event is skipped with this reason.", "examples": ["often comes from elsewhere"], "type": "string"},
            "description": {"description": "For people.", "examples": ["Opens, without machine opens."], "type": "string"},
            "allow": allow()
        }
    })
}

fn allow() -> Value {
    let codes: serde_json::Map<String, Value> = CODES
        .iter()
        .filter(|code| code.is_allowable)
        .map(|code| {
            (
                code.name.to_owned(),
                json!({"description": code.says, "type": "string"}),
            )
        })
        .collect();
    json!({
        "description": "Messages that are known and meant at this place, by code with the reason.",
        "examples": [{"unused-template": "kept for the summer"}],
        "type": "object",
        "additionalProperties": false,
        "properties": codes
    })
}

fn value() -> Value {
    json!({
        "description": "A constant, a path (`$.…`), a list, an object, or an object with `$` keys, which compute a value.",
        "anyOf": [
            {"type": ["string", "number", "boolean", "null"]},
            {"type": "array", "items": {"$ref": "#/$defs/value"}},
            {
                "type": "object",
                "properties": {
                    "$from": {"description": format!("{PATH} Of a list, the first that is present."), "examples": ["$.user.id", ["$.a", "$.b"]],
                        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
                    "$as": {"description": "Convert the value; a list is applied in order.", "examples": ["string", ["trim", "lowercase"]],
                        "anyOf": [{"$ref": "#/$defs/conversion"}, {"type": "array", "items": {"$ref": "#/$defs/conversion"}}]},
                    "$default": {"description": "The value when absent.", "examples": ["none"], "$ref": "#/$defs/value"},
                    "$missing": {"description": "What happens when absent and no default: leave the key out (`omit`, the default), skip the document, or put it into the dead letters.", "examples": [{"skip": "no user id"}], "$ref": "#/$defs/when_absent"},
                    "$invalid": {"description": "What happens when a conversion fails. Default: dead letter.", "examples": ["omit"], "$ref": "#/$defs/when_absent"},
                    "$null": {"description": "`keep` sends null instead of leaving the key out.", "examples": ["keep"], "enum": ["keep"]},
                    "$lookup": {
                        "description": "Look a value up in a table.",
                        "examples": [{"key": "$.plan", "table": "plans", "default": "Unknown"}],
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["key", "table"],
                        "properties": {
                            "key": {"description": "What is looked up.", "examples": ["$.plan"], "$ref": "#/$defs/value"},
                            "table": {"description": "A table's name, or the table itself.", "examples": ["plans"], "type": ["string", "object"]},
                            "default": {"description": "When the table does not have it.", "examples": ["Unknown"], "$ref": "#/$defs/value"}
                        }
                    },
                    "$text": {"description": "Text with values in it: `{$.path}` or `{$.path | default}`.", "examples": ["{$.first} {$.last | ?}"], "type": "string"},
                    "$if": {"description": EXPRESSION, "examples": ["@.properties.amount > 100"], "type": "string"},
                    "$then": {"description": "The value if it holds.", "examples": ["large"], "$ref": "#/$defs/value"},
                    "$else": {"description": "The value if not.", "examples": ["small"], "$ref": "#/$defs/value"},
                    "$each": {"description": "A path to an array; `$emit` is made for each item.", "examples": ["$.properties.items"], "type": "string"},
                    "$emit": {"description": "One item of the new array; `$item` is the current one.", "examples": ["$item.name"], "$ref": "#/$defs/value"},
                    "$rest": {"description": "All members that this document has not put elsewhere.", "examples": [{"from": "$.properties"}],
                        "anyOf": [{"$ref": "#/$defs/spread"}, {"type": "array", "items": {"$ref": "#/$defs/spread"}}]},
                    "$copy": {"description": "Members of an object, used elsewhere or not.", "examples": [{"from": "$.properties", "only": ["a"]}],
                        "anyOf": [{"$ref": "#/$defs/spread"}, {"type": "array", "items": {"$ref": "#/$defs/spread"}}]},
                    "$const": {"description": "Data that is not read as language.", "examples": [{"$from": "as it is"}]},
                    "$extends": {"description": "Templates to merge in; what stands here wins.", "examples": ["campaign", ["campaign", "canvas"]],
                        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
                    "$omit": {"description": "Takes this key out, inherited and copied ones too.", "examples": [true], "const": true},
                    "$allow": allow()
                },
                "patternProperties": {"^[^$]": {"$ref": "#/$defs/value"}, "^\\$$": false},
                "additionalProperties": false
            }
        ]
    })
}

fn spread() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "from": {"description": PATH, "examples": ["$.properties"], "type": "string"},
            "only": {"description": "Only these members.", "examples": [["a", "b"]], "type": "array", "items": {"type": "string"}},
            "except": {"description": "Not these members.", "examples": [["secret"]], "type": "array", "items": {"type": "string"}},
            "rename": {"description": "New names by old names.", "examples": [{"url": "link_url"}], "type": "object", "additionalProperties": {"type": "string"}},
            "prefix": {"description": "Put before each name.", "examples": ["event_"], "type": "string"},
            "null": {"description": "`keep` sends members that are null.", "examples": ["keep"], "enum": ["keep"]},
            "$null": {"description": "`keep` sends members that are null.", "examples": ["keep"], "enum": ["keep"]},
            "$omit": {"description": "Takes an inherited spread out.", "examples": [true], "const": true}
        }
    })
}

fn conversion() -> Value {
    let (with, plain): (Vec<_>, Vec<_>) =
        convert::ROWS.iter().partition(|row| row.takes_settings());
    let explained: Vec<Value> = plain
        .iter()
        .map(|row| json!({"const": row.name, "description": row.says}))
        .collect();
    let settings: serde_json::Map<String, Value> = with
        .iter()
        .map(|row| {
            (
                row.name.to_owned(),
                json!({"description": format!("{}: `{}`.", row.says, row.example)}),
            )
        })
        .collect();
    let mut all = explained;
    all.push(json!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": false,
        "properties": settings
    }));
    json!({"description": "How a value is converted.", "anyOf": all})
}

fn when_absent() -> Value {
    json!({
        "anyOf": [
            {"const": "omit", "description": "Leave the key out."},
            {"type": "object", "additionalProperties": false, "required": ["skip"],
             "properties": {"skip": {"description": "Skip the document; the reason is counted.", "examples": ["no user id"], "type": "string"}}},
            {"type": "object", "additionalProperties": false, "required": ["dead_letter"],
             "properties": {"dead_letter": {"description": "Into the dead letters, with this reason.", "examples": ["no amount"], "type": "string"}}}
        ]
    })
}

/// The schema of a test file.
pub fn test_schema() -> Value {
    let row = json!({
        "sample": {"description": "An event type of the source's catalogue: its sample, every field filled.", "examples": ["message.Open"], "type": "string"},
        "event": {"description": "The event in full.", "examples": [{"event_type": "message.Open", "id": "1"}], "type": "object"},
        "expect": {"description": "The one document, in part: what stands here must be in it.", "examples": [{"event": "Opened"}], "type": "object"},
        "exactly": {"description": "The one document, whole.", "examples": [{"event": "Opened"}], "type": "object"},
        "documents": {"description": "All documents in order, each in part.", "examples": [[{"event": "A"}, {"event": "B"}]], "type": "array", "items": {"type": "object"}},
        "skip": {"description": "Skipped with this reason.", "examples": ["no user id"], "type": "string"},
        "dead_letter": {"description": "Put into the dead letters with this reason.", "examples": ["invalid timestamp"], "type": "string"},
        "unmapped": {"description": "No rule is on it.", "examples": [true], "const": true},
        "rule": {"description": "The rule that must be the one that ran.", "examples": ["opened"], "type": "string"},
        "with": {"description": "Laid over the event: null sets null, `{$omit: true}` takes a member away.", "examples": [{"user": {"id": null}}], "type": "object"},
        "description": {"description": "For people.", "examples": ["Opens of machines."], "type": "string"}
    });
    let mut case = row.clone();
    case["rows"] = json!({
        "description": "The same test with several events, changes and outcomes; what a row says wins over what the test says.",
        "examples": [[{"with": {"a": 1}, "expect": {"a": 1}}]],
        "type": "array",
        "items": {"type": "object", "additionalProperties": false, "properties": row}
    });
    json!({
        "$schema": DIALECT,
        "title": "sluice test file",
        "description": "Tests of mapping rules: an event, and what it must become.",
        "type": "object",
        "required": ["version", "tests"],
        "additionalProperties": false,
        "properties": {
            "version": version(),
            "mappings": {"description": "The mappings under test: a file or folder relative to this file, or `builtin:NAME`. Default: this folder.", "examples": [".", "builtin:my_set"], "type": "string"},
            "events": {
                "description": "Event selection, as a connector has it.",
                "examples": [{"include": ["purchase"]}],
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "include": {"description": "Types or globs that are wanted.", "examples": [["message.*"]], "type": "array", "items": {"type": "string"}},
                    "exclude": {"description": "Types or globs that are not.", "examples": [["message.Send"]], "type": "array", "items": {"type": "string"}}
                }
            },
            "tests": {
                "description": "Tests by name; the name is the sentence that is proved.",
                "examples": [{"an_open_keeps_its_name": {"sample": "message.Open", "expect": {"event": "Opened"}}}],
                "type": "object",
                "additionalProperties": {
                    "description": "One test: an event, and what it must become.",
                    "type": "object",
                    "additionalProperties": false,
                    "properties": case
                }
            }
        }
    })
}
