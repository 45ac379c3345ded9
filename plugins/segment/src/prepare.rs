//! Check one document before it travels.
//!
//! Segment takes a request with bad documents, says 200, and drops them; only its Delivery Overview
//! tells. So each of its rules is held here. The members are looked at as slices of the document:
//! what passes goes on byte by byte as it came.
//!
//! Source of the rules: Segment docs, "HTTP API source", "Common fields", delivery overview ("Failed
//! on ingest").

use std::borrow::Cow;

use serde_json::Value;
use sluice_sdk::{Bytes, Rejection, json};

use crate::protocol::{DOCUMENT_BYTES_MAX, MESSAGE_ID_CHARS_MAX};

/// A member's value as it stands in the document; null counts as absent.
type Raw<'a> = Option<&'a str>;

/// The members that Segment has rules for.
#[derive(Default)]
struct Call<'a> {
    kind: Raw<'a>,
    user_id: Raw<'a>,
    anonymous_id: Raw<'a>,
    event: Raw<'a>,
    name: Raw<'a>,
    category: Raw<'a>,
    group_id: Raw<'a>,
    previous_id: Raw<'a>,
    message_id: Raw<'a>,
    timestamp: Raw<'a>,
    properties: Raw<'a>,
    traits: Raw<'a>,
    context: Raw<'a>,
    integrations: Raw<'a>,
}

impl<'a> Call<'a> {
    fn of(document: &'a str) -> Result<Self, Rejection> {
        let mut call = Self::default();
        members(document, "the document", |name, value| {
            let member = match name {
                "type" => &mut call.kind,
                "userId" => &mut call.user_id,
                "anonymousId" => &mut call.anonymous_id,
                "event" => &mut call.event,
                "name" => &mut call.name,
                "category" => &mut call.category,
                "groupId" => &mut call.group_id,
                "previousId" => &mut call.previous_id,
                "messageId" => &mut call.message_id,
                "timestamp" => &mut call.timestamp,
                "properties" => &mut call.properties,
                "traits" => &mut call.traits,
                "context" => &mut call.context,
                "integrations" => &mut call.integrations,
                _ => return Ok(()),
            };
            set(member, value)
        })?;
        Ok(call)
    }
}

/// What is wrong with an object.
enum Broken {
    NotJson,
    Twice,
}

impl From<json::Refused> for Broken {
    fn from(_: json::Refused) -> Self {
        Self::NotJson
    }
}

fn set<'a>(member: &mut Raw<'a>, value: &'a str) -> Result<(), Broken> {
    if member.replace(value).is_some() {
        return Err(Broken::Twice);
    }
    Ok(())
}

/// Calls `each` with name and value of every member that is not null.
fn members<'a>(
    object: &'a str,
    what: &str,
    mut each: impl FnMut(&str, &'a str) -> Result<(), Broken>,
) -> Result<(), Rejection> {
    json::members(object, |name, value| match value {
        "null" => Ok(()),
        _ if name.contains('\\') => {
            let name: String =
                serde_json::from_str(&format!("\"{name}\"")).map_err(|_| Broken::NotJson)?;
            each(&name, value)
        }
        _ => each(name, value),
    })
    .map_err(|broken| {
        let problem = match broken {
            Broken::NotJson => "not a JSON object, or nested too deep",
            Broken::Twice => "a member is there twice",
        };
        rejection("not-json", format!("{what}: {problem}"))
    })
}

/// What each code means.
pub const REASONS: sluice_sdk::Reasons = &[
    (
        "not-json",
        "The document is no JSON object, nested too deep, or has a member twice.",
    ),
    (
        "no-type",
        "The call says no `type`. Give the rule `type: track` or another kind of call.",
    ),
    (
        "unknown-type",
        "The call's `type` is none of track, identify, page, screen, group, alias.",
    ),
    (
        "no-user",
        "The call has neither `userId` nor `anonymousId` (an alias has no `userId`), and Segment drops it. Where events have no user, skip them: `userId: { $from: $.user.id, $missing: { skip: no user } }`.",
    ),
    (
        "id-not-string",
        "`userId` or `anonymousId` is no text, and Segment drops the call. Put `$as: string` on it.",
    ),
    (
        "no-event",
        "A track call has no name: `event` is missing or empty.",
    ),
    ("no-group", "A group call has no `groupId`."),
    ("no-previous-id", "An alias call has no `previousId`."),
    (
        "bad-name",
        "`name` or `category` of a page or screen call is empty or no text. Leave out what is empty: `$as: non_empty`, `$missing: omit`.",
    ),
    (
        "not-an-object",
        "A member that must be an object (properties, traits, context, integrations, context.device, context.traits) is something else.",
    ),
    (
        "bad-advertising-id",
        "`context.device.advertisingId` is no text.",
    ),
    (
        "bad-message-id",
        "`messageId` is empty, no text, or longer than the 100 characters by which Segment recognises a call.",
    ),
    (
        "bad-timestamp",
        "`timestamp` is no ISO 8601 time with a zone. Put `$as: timestamp` on it.",
    ),
    (
        "too-large",
        "The call has more than the 32,000 bytes that Segment takes. Leave fields out in the rule, or name in `oversize.drop` of the sink what may be left out.",
    ),
];

/// The document, if Segment would take it; with the members at `drop` left out if it is too long.
///
/// # Errors
/// The first rule that does not hold. Details name members, never values.
pub fn prepare(document: Bytes, drop: &[String]) -> Result<Bytes, Rejection> {
    check(&document)?;
    if document.len() <= DOCUMENT_BYTES_MAX {
        return Ok(document);
    }
    shorten(document, drop)
}

fn check(document: &[u8]) -> Result<(), Rejection> {
    let text =
        simdutf8::basic::from_utf8(document).map_err(|_| rejection("not-json", "not UTF-8"))?;
    let call = Call::of(text)?;
    let Some(kind) = text_member(call.kind, "type", "no-type")? else {
        return Err(rejection("no-type", "type is missing"));
    };
    let user_id = text_member(call.user_id, "userId", "id-not-string")?;
    let anonymous_id = text_member(call.anonymous_id, "anonymousId", "id-not-string")?;
    let is_alias = kind == "alias";
    if is_empty(&user_id) && (is_alias || is_empty(&anonymous_id)) {
        let wanted = if is_alias {
            "userId"
        } else {
            "userId or anonymousId"
        };
        return Err(rejection(
            "no-user",
            format!("{wanted} is missing or empty"),
        ));
    }
    check_kind(&kind, &call)?;
    for (member, name) in [
        (call.properties, "properties"),
        (call.traits, "traits"),
        (call.context, "context"),
        (call.integrations, "integrations"),
    ] {
        check_object(member, name)?;
    }
    check_context(call.context)?;
    check_message_id(call.message_id)?;
    check_timestamp(call.timestamp)
}

fn check_kind(kind: &str, call: &Call) -> Result<(), Rejection> {
    match kind {
        "track" => needed(call.event, "event", "no-event"),
        "group" => needed(call.group_id, "groupId", "no-group"),
        "alias" => needed(call.previous_id, "previousId", "no-previous-id"),
        "page" | "screen" => {
            for (member, name) in [(call.name, "name"), (call.category, "category")] {
                if text_member(member, name, "bad-name")?.is_some_and(|text| text.is_empty()) {
                    return Err(rejection(
                        "bad-name",
                        format!("{name} is empty: leave it out"),
                    ));
                }
            }
            Ok(())
        }
        "identify" => Ok(()),
        _ => Err(rejection(
            "unknown-type",
            "type is none of track, identify, page, screen, group, alias",
        )),
    }
}

fn check_context(context: Raw) -> Result<(), Rejection> {
    let Some(context) = context else {
        return Ok(());
    };
    let (mut traits, mut device) = (None, None);
    members(context, "context", |name, value| match name {
        "traits" => set(&mut traits, value),
        "device" => set(&mut device, value),
        _ => Ok(()),
    })?;
    check_object(traits, "context.traits")?;
    check_object(device, "context.device")?;
    let Some(device) = device else {
        return Ok(());
    };
    let mut advertising_id = None;
    members(device, "context.device", |name, value| match name {
        "advertisingId" => set(&mut advertising_id, value),
        _ => Ok(()),
    })?;
    let name = "context.device.advertisingId";
    text_member(advertising_id, name, "bad-advertising-id").map(|_| ())
}

fn check_message_id(member: Raw) -> Result<(), Rejection> {
    let Some(id) = text_member(member, "messageId", "bad-message-id")? else {
        return Ok(());
    };
    match id.chars().count() {
        0 => Err(rejection("bad-message-id", "messageId is empty")),
        1..=MESSAGE_ID_CHARS_MAX => Ok(()),
        count => Err(rejection(
            "bad-message-id",
            format!("messageId has {count} characters, Segment keeps {MESSAGE_ID_CHARS_MAX}"),
        )),
    }
}

fn check_timestamp(member: Raw) -> Result<(), Rejection> {
    let Some(text) = text_member(member, "timestamp", "bad-timestamp")? else {
        return Ok(());
    };
    let has_shape = text.as_bytes().get(10) == Some(&b'T') && !text.contains('[');
    if has_shape && text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(());
    }
    Err(rejection(
        "bad-timestamp",
        "timestamp is not ISO 8601 with a zone, such as 2026-09-01T12:00:00.000Z",
    ))
}

fn needed(member: Raw, name: &str, code: &'static str) -> Result<(), Rejection> {
    if is_empty(&text_member(member, name, code)?) {
        return Err(rejection(code, format!("{name} is missing or empty")));
    }
    Ok(())
}

fn is_empty(text: &Option<Cow<'_, str>>) -> bool {
    text.as_ref().is_none_or(|text| text.is_empty())
}

/// The text of a member that must be a string where it is there; null counts as absent.
fn text_member<'a>(
    member: Raw<'a>,
    name: &str,
    code: &'static str,
) -> Result<Option<Cow<'a, str>>, Rejection> {
    let Some(raw) = member else {
        return Ok(None);
    };
    if !raw.starts_with('"') {
        return Err(rejection(code, format!("{name} is not a string")));
    }
    if raw.contains('\\') {
        let text = serde_json::from_str(raw)
            .map_err(|_| rejection("not-json", format!("{name} is not a JSON text")))?;
        return Ok(Some(Cow::Owned(text)));
    }
    Ok(Some(Cow::Borrowed(&raw[1..raw.len() - 1])))
}

fn check_object(member: Raw, name: &str) -> Result<(), Rejection> {
    match member {
        Some(raw) if !raw.starts_with('{') => Err(rejection(
            "not-an-object",
            format!("{name} is not an object"),
        )),
        _ => Ok(()),
    }
}

fn shorten(document: Bytes, drop: &[String]) -> Result<Bytes, Rejection> {
    let too_large = |bytes: usize| {
        rejection(
            "too-large",
            format!(
                "{bytes} bytes, Segment takes {DOCUMENT_BYTES_MAX}: map less, or name what may be \
                 left out in `oversize.drop` of the sink, such as \
                 `sink: {{ …, oversize: {{ drop: [properties.x] }} }}`"
            ),
        )
    };
    if drop.is_empty() {
        return Err(too_large(document.len()));
    }
    let mut value: Value =
        serde_json::from_slice(&document).map_err(|_| rejection("not-json", "not JSON"))?;
    let mut dropped: Vec<Value> = Vec::new();
    let mut bytes = document.len();
    for path in drop {
        if !remove(&mut value, path) {
            continue;
        }
        dropped.push(path.as_str().into());
        note(&mut value, &dropped);
        let text = value.to_string();
        if text.len() <= DOCUMENT_BYTES_MAX {
            return Ok(text.into());
        }
        bytes = text.len();
    }
    Err(too_large(bytes))
}

fn remove(value: &mut Value, path: &str) -> bool {
    let Some((parents, last)) = path.rsplit_once('.') else {
        return false;
    };
    let parent = parents
        .split('.')
        .try_fold(value, |here, step| here.get_mut(step));
    parent
        .and_then(Value::as_object_mut)
        .is_some_and(|object| object.shift_remove(last).is_some())
}

fn note(value: &mut Value, dropped: &[Value]) {
    let mut here = value;
    for step in ["context", "sluice"] {
        if !here.is_object() {
            return;
        }
        here = &mut here[step];
        if !here.is_object() {
            *here = Value::Object(serde_json::Map::new());
        }
    }
    here["dropped"] = Value::Array(dropped.to_vec());
}

fn rejection(code: &'static str, detail: impl Into<String>) -> Rejection {
    Rejection {
        code,
        detail: detail.into(),
    }
}
