//! The rule `copy` as Rust, with serde's structs and borrowed texts.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Borrowed where it has no escapes. (In an `Option`, a bare `Cow` would be copied always.)
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    user: User<'a>,
    #[serde(borrow)]
    properties: Properties<'a>,
}

#[derive(Deserialize)]
struct User<'a> {
    #[serde(borrow)]
    user_id: Option<Text<'a>>,
    #[serde(borrow)]
    external_user_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Properties<'a> {
    #[serde(borrow)]
    email_address: Option<Text<'a>>,
    #[serde(borrow)]
    app_group_id: Option<Text<'a>>,
    #[serde(borrow)]
    campaign_id: Option<Text<'a>>,
    #[serde(borrow)]
    campaign_name: Option<Text<'a>>,
    #[serde(borrow)]
    canvas_id: Option<Text<'a>>,
    #[serde(borrow)]
    canvas_name: Option<Text<'a>>,
    #[serde(borrow)]
    dispatch_id: Option<Text<'a>>,
    #[serde(borrow)]
    link_id: Option<Text<'a>>,
    #[serde(borrow)]
    url: Option<Text<'a>>,
    #[serde(borrow)]
    user_agent: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Call<'a> {
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_id: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<Text<'a>>,
    event: &'a str,
    context: Context<'a>,
    properties: CallProperties<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    traits: Traits<'a>,
}

#[derive(Serialize)]
struct Traits<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<Text<'a>>,
}

#[derive(Serialize)]
struct CallProperties<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    app_group_id: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign_id: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign_name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canvas_id: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canvas_name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatch_id: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_id: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_url: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<Text<'a>>,
}

/// The call for a click.
///
/// # Errors
/// When the event is not JSON or of another shape.
pub fn map(event: &[u8]) -> serde_json::Result<Bytes> {
    let event: Event<'_> = serde_json::from_slice(event)?;
    let call = Call {
        r#type: "track",
        user_id: event.user.external_user_id,
        anonymous_id: event.user.user_id,
        message_id: event.id,
        event: "Email Link Clicked",
        context: Context {
            traits: Traits {
                email: event.properties.email_address,
            },
        },
        properties: CallProperties {
            app_group_id: event.properties.app_group_id,
            campaign_id: event.properties.campaign_id,
            campaign_name: event.properties.campaign_name,
            canvas_id: event.properties.canvas_id,
            canvas_name: event.properties.canvas_name,
            dispatch_id: event.properties.dispatch_id,
            link_id: event.properties.link_id,
            link_url: event.properties.url,
            user_agent: event.properties.user_agent,
        },
    };
    serde_json::to_vec(&call).map(Bytes::from)
}
