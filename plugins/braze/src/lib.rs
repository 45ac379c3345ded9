//! Braze Currents: events come in over the "Custom Currents Export" webhook.
//!
//! The answers follow from what Braze makes of them: after a 2xx it never sends again, after a 400
//! it splits and then drops for good, after 401 or 404 it stops. So a request is answered 200 only
//! when its events are safe, and trouble of our own is always 503.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `config` | the settings |
//! | `webhook` | the source |
//! | `split` | one body: where in it each event stands (pure) |
//! | `catalogue` | the event types of Currents |
//! | `feed` | sends events as Braze would, for `demo` and tests |

#![deny(missing_docs)]

mod catalogue;
mod config;
mod feed;
mod split;
mod webhook;

pub use catalogue::catalogue;
pub use config::BrazeWebhookConfig;
pub use split::split;
pub use webhook::BrazeWebhook;

const EXAMPLE: &str = "\
listen: 127.0.0.1:8080
path: /currents
token: ${BRAZE_CURRENTS_TOKEN}
";

sluice_sdk::register_source!(
    "braze_webhook",
    BrazeWebhookConfig => BrazeWebhook::new,
    summary: "Braze Currents over its custom HTTP export.",
    example: EXAMPLE,
    catalogue: catalogue,
    reasons: split::REASONS,
    feed: feed::feed,
    upstream: feed::upstream,
);
