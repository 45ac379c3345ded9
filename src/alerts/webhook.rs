//! One message to a webhook, as chats take it: `text`, with the same in fields beside it.

use std::time::Duration;

use serde_json::json;
use sluice_sdk::Secret;

use super::message::Message;

/// Longest wait for the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Post one message. The address is a secret and is read anew each time.
///
/// # Errors
/// A sentence, without the address.
pub async fn send(url: &Secret, message: &Message) -> Result<(), String> {
    let url = url.reveal().map_err(|problem| problem.to_string())?;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()
        .map_err(|problem| problem.without_url().to_string())?;
    let body = json!({
        "text": format!("*{}*\n{}", message.subject, message.body),
        "subject": message.subject,
        "version": env!("CARGO_PKG_VERSION"),
        "notices": message.notices,
    });
    let answer = client
        .post(&*url)
        .json(&body)
        .send()
        .await
        .map_err(|problem| explained(&problem.without_url()))?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(format!("the webhook answered {}", answer.status()))
}

/// With its causes: the outer one alone says that sending failed.
fn explained(problem: &dyn std::error::Error) -> String {
    let mut text = problem.to_string();
    let mut cause = problem.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
