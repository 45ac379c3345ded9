//! The shape of Segment's six calls, for editors, `validate` and the checks of rules.

use serde_json::{Value, json};
use sluice_sdk::{DocumentKind, DocumentSpec, ValueRule};

use ValueRule::{Object, Text, Time};

/// What rules for the sink `segment` are checked against.
pub static SPEC: DocumentSpec = DocumentSpec {
    identity: Some("messageId"),
    identity_chars_max: 99,
    title: &["type", "event"],
    schema,
    kinds: &[
        DocumentKind {
            name: "track",
            required: &[USER, &["event"]],
            members: MEMBERS,
        },
        DocumentKind {
            name: "identify",
            required: &[USER],
            members: MEMBERS,
        },
        DocumentKind {
            name: "page",
            required: &[USER],
            members: MEMBERS,
        },
        DocumentKind {
            name: "screen",
            required: &[USER],
            members: MEMBERS,
        },
        DocumentKind {
            name: "group",
            required: &[USER, &["groupId"]],
            members: MEMBERS,
        },
        DocumentKind {
            name: "alias",
            required: &[&["userId"], &["previousId"]],
            members: MEMBERS,
        },
    ],
    kind_member: "type",
};

const USER: &[&str] = &["userId", "anonymousId"];

const MEMBERS: &[(&str, ValueRule)] = &[
    ("event", Text),
    ("name", Text),
    ("category", Text),
    ("userId", Text),
    ("anonymousId", Text),
    ("groupId", Text),
    ("previousId", Text),
    ("messageId", Text),
    ("timestamp", Time),
    ("properties", Object),
    ("traits", Object),
    ("integrations", Object),
    ("context", Object),
    ("context.traits", Object),
    ("context.device", Object),
    ("context.device.advertisingId", Text),
];

/// The JSON Schema of one finished call.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Segment call",
        "type": "object",
        "additionalProperties": false,
        "required": ["type"],
        "properties": {
            "type": {"enum": ["track", "identify", "page", "screen", "group", "alias"],
                "description": "Which of the six calls this is."},
            "event": text("track: the name of what the user did. Tracking Plans tell upper from lower case."),
            "name": text("page, screen: its name."),
            "category": text("page, screen: its category."),
            "userId": text("The user's id in your own database. This or anonymousId is needed; always a string."),
            "anonymousId": text("An id for a user who is not known by userId."),
            "groupId": text("group: the id of the group."),
            "previousId": text("alias: the id that userId replaces."),
            "messageId": {"type": "string", "minLength": 1, "maxLength": 100,
                "description": "Segment drops an id that it has seen in the last 24 hours, in any source of any workspace."},
            "timestamp": {"type": "string", "format": "date-time",
                "description": "When it happened: ISO 8601 with a zone, such as 2026-09-01T12:00:00.000Z."},
            "properties": {"type": "object",
                "description": "track, page, screen: what else is known of it. revenue, currency and value have a meaning of their own."},
            "traits": traits("identify, group: what is known of the user or the group."),
            "integrations": {"type": "object",
                "description": "Destinations by name, true or false (or their settings); `All` for the rest. Names are case-sensitive.",
                "additionalProperties": {"type": ["boolean", "object"]}},
            "context": context()
        },
        "allOf": [
            needs(&["track"], &["event"]),
            needs(&["group"], &["groupId"]),
            needs(&["alias"], &["userId", "previousId"]),
            {"anyOf": [{"required": ["userId"]}, {"required": ["anonymousId"]}]}
        ]
    })
}

fn context() -> Value {
    json!({
        "type": "object",
        "description": "The circumstances. Members that are not listed here are kept as they are.",
        "properties": {
            "active": {"type": "boolean", "description": "false: this call says nothing about when the user was last seen."},
            "app": object("The app.", &["name", "version", "build", "namespace"]),
            "campaign": object("Where the user came from (UTM).", &["name", "source", "medium", "term", "content"]),
            "device": device(),
            "groupId": text("The group the user acted for."),
            "ip": text("The user's IP address. Segment fills in none for server calls."),
            "library": object("What sends this.", &["name", "version"]),
            "locale": text("Such as en-US."),
            "network": {"type": "object", "description": "bluetooth, carrier, cellular, wifi."},
            "os": object("The operating system.", &["name", "version"]),
            "page": object("The page the user was on.", &["path", "referrer", "search", "title", "url"]),
            "referrer": object("What led the user here.", &["id", "type", "name", "url", "link"]),
            "screen": {"type": "object", "description": "density, height, width."},
            "timezone": text("A tz name, such as Europe/Berlin."),
            "traits": traits("The user's traits, on calls other than identify; the e-mail address of an e-mail event belongs here. Does not update a profile."),
            "userAgent": text("The browser's or client's own name.")
        }
    })
}

fn device() -> Value {
    let mut device = object(
        "The device.",
        &[
            "id",
            "advertisingId",
            "manufacturer",
            "model",
            "name",
            "type",
            "token",
            "version",
        ],
    );
    device["properties"]["advertisingId"]["description"] =
        json!("The advertising id (IDFA, GAID). Segment drops the call if it is no string.");
    device["properties"]["adTrackingEnabled"] =
        json!({"type": "boolean", "description": "Whether the user lets ads track."});
    device
}

fn traits(description: &str) -> Value {
    let mut traits = object(
        description,
        &[
            "avatar",
            "description",
            "email",
            "firstName",
            "gender",
            "id",
            "lastName",
            "name",
            "phone",
            "title",
            "username",
            "website",
        ],
    );
    traits["properties"]["address"] =
        json!({"type": "object", "description": "city, country, postalCode, state, street."});
    traits
}

fn text(description: &str) -> Value {
    json!({"type": "string", "minLength": 1, "description": description})
}

fn object(description: &str, names: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({"type": "string"})))
        .collect();
    json!({"type": "object", "description": description, "properties": properties})
}

fn needs(kinds: &[&str], members: &[&str]) -> Value {
    json!({
        "if": {"properties": {"type": {"enum": kinds}}, "required": ["type"]},
        "then": {"required": members}
    })
}
