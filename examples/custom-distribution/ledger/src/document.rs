//! The shape of an entry. With it `validate` finds a missing member in a rule before any event comes.

use serde_json::{Value, json};
use sluice_sdk::{DocumentKind, DocumentSpec, ValueRule};

/// What every entry has.
const REQUIRED: &[&[&str]] = &[&["id"], &["account"], &["amount_cents"], &["at"]];
const MEMBERS: &[(&str, ValueRule)] = &[
    ("id", ValueRule::Text),
    ("account", ValueRule::Text),
    ("at", ValueRule::Time),
];

/// See the module.
pub static SPEC: DocumentSpec = DocumentSpec {
    identity: Some("id"),
    identity_chars_max: 64,
    title: &["kind", "account"],
    schema,
    kind_member: "kind",
    kinds: &[
        DocumentKind {
            name: "charge",
            required: REQUIRED,
            members: MEMBERS,
        },
        DocumentKind {
            name: "refund",
            required: REQUIRED,
            members: MEMBERS,
        },
    ],
};

fn schema() -> Value {
    json!({
        "title": "An entry of the ledger",
        "type": "object",
        "required": ["id", "kind", "account", "amount_cents", "at"],
        "additionalProperties": false,
        "properties": {
            "id": {"description": "Unique; the ledger takes it once.", "type": "string"},
            "kind": {"description": "What it is.", "enum": ["charge", "refund"]},
            "account": {"description": "The customer's account.", "type": "string"},
            "amount_cents": {"description": "In cents, never 0.", "type": "integer"},
            "at": {"description": "When it happened.", "type": "string", "format": "date-time"},
            "text": {"description": "For people.", "type": "string"}
        }
    })
}
