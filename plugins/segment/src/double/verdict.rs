//! What Segment thinks of a document after it said 200. The codes are those of its Delivery Overview.

use serde_json::{Map, Value};

/// The document goes on.
pub const ACCEPTED: &str = "accepted";
/// Its id was there before.
pub const DUPLICATE: &str = "duplicate";
/// It stood behind the 2,500th.
pub const BEYOND_2500: &str = "beyond_2500";
/// The key is one of the other region.
pub const WRONG_REGION: &str = "wrong_region";
/// No source has this key.
pub const UNKNOWN_SOURCE: &str = "unknown_source";

/// Why Segment drops this document, if it does.
pub fn fault_of(document: &Map<String, Value>, kind: &str) -> Option<&'static str> {
    let member = |name: &str| document.get(name).filter(|value| !value.is_null());
    let has_text = |name: &str| {
        member(name)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    for id in ["userId", "anonymousId", "messageId"] {
        if member(id).is_some_and(|value| !value.is_string()) {
            return Some("id_not_string");
        }
    }
    if !has_text("userId") && !has_text("anonymousId") {
        return Some("no_user_anon_id");
    }
    for (name, code) in [
        ("properties", "properties_not_object"),
        ("traits", "traits_not_object"),
        ("context", "bad_request"),
        ("integrations", "bad_request"),
    ] {
        if member(name).is_some_and(|value| !value.is_object()) {
            return Some(code);
        }
    }
    if advertising_id(document).is_some_and(|id| !id.is_string()) {
        return Some("device_advertisingid_should_be_string");
    }
    match kind {
        "track" => match member("event") {
            None => Some("event_not_defined"),
            Some(Value::String(event)) if event.is_empty() => Some("event_not_defined"),
            Some(Value::String(_)) => None,
            Some(_) => Some("event_not_string"),
        },
        "page" | "screen" => [
            ("name", "name_not_string"),
            ("category", "category_not_string"),
        ]
        .into_iter()
        .find(|(name, _)| member(name).is_some() && !has_text(name))
        .map(|(_, code)| code),
        "group" if !has_text("groupId") => Some("id_required"),
        "alias" if !has_text("userId") || !has_text("previousId") => Some("id_required"),
        "identify" | "group" | "alias" => None,
        _ => Some("bad_request"),
    }
}

fn advertising_id(document: &Map<String, Value>) -> Option<&Value> {
    document.get("context")?.get("device")?.get("advertisingId")
}
