//! The way from a message to its reader: one queue a channel, tried again with growing pauses, and
//! given up in the end. Nothing here keeps anything else waiting.

use std::sync::Arc;
use std::time::Duration;

use sluice_sdk::{Secret, Stop, typed};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{error, info};

use super::message::Message;
use super::{smtp, webhook};
use crate::config::{AlertsConfig, MailAddress, SmtpConfig};
use crate::engine::Shared;
use crate::engine::status::AlertChannelStatus;

/// Messages of one channel that are not sent yet; more are given up at once.
const QUEUE_MAX: usize = 100;
/// Tries of one message: with the pauses below, some two hours.
const TRIES_MAX: u32 = 18;
/// First pause after a failed try; doubled each time.
const PAUSE_MIN: Duration = Duration::from_secs(5);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// Longest time of one try, name look-up and all.
const TRY_TIMEOUT: Duration = Duration::from_secs(60);

/// A way of telling people.
#[derive(Debug, Clone)]
pub enum Channel {
    /// Mail to one contact a message.
    Mail(SmtpConfig),
    /// A webhook that is told everything.
    Webhook(Secret),
}

/// One message to one reader.
#[derive(Debug, Clone)]
pub struct Letter {
    /// For mail.
    pub to: Option<MailAddress>,
    /// What it says.
    pub message: Arc<Message>,
}

impl Channel {
    /// Those that the config names.
    pub fn all(config: &AlertsConfig) -> Vec<Channel> {
        let mail = config.smtp.clone().map(Channel::Mail);
        let webhook = config.webhook.clone().map(Channel::Webhook);
        mail.into_iter().chain(webhook).collect()
    }

    /// In status and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mail(_) => "mail",
            Self::Webhook(_) => "webhook",
        }
    }

    /// Try once.
    ///
    /// # Errors
    /// A sentence without any secret.
    pub async fn send(&self, letter: &Letter) -> Result<(), String> {
        let sent = async {
            match (self, &letter.to) {
                (Self::Mail(smtp), Some(to)) => smtp::send(smtp, to, &letter.message).await,
                (Self::Mail(_), None) => Ok(()),
                (Self::Webhook(url), _) => webhook::send(url, &letter.message).await,
            }
        };
        tokio::time::timeout(TRY_TIMEOUT, sent)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", TRY_TIMEOUT.as_secs())))
    }
}

/// The queue of one channel.
pub struct Post {
    channel: Channel,
    letters: mpsc::Receiver<Letter>,
    waiting: Vec<Waiting>,
    status: AlertChannelStatus,
    shared: Arc<Shared>,
}

struct Waiting {
    letter: Letter,
    tries: u32,
    due: Instant,
}

impl Post {
    /// The queue and its entrance. The entrance refuses when the queue is full; count that with
    /// what the status says.
    pub fn new(channel: Channel, shared: Arc<Shared>) -> (mpsc::Sender<Letter>, Self) {
        let (entrance, letters) = mpsc::channel(QUEUE_MAX);
        let post = Self {
            channel,
            letters,
            waiting: Vec::new(),
            status: AlertChannelStatus::default(),
            shared,
        };
        post.publish();
        (entrance, post)
    }

    /// Send until told to stop. What is not sent then is told again after the next start.
    pub async fn run(mut self, stop: Stop) {
        loop {
            let due = self.waiting.iter().map(|waiting| waiting.due).min();
            tokio::select! {
                () = stop.requested() => return,
                letter = self.letters.recv(), if self.waiting.len() < QUEUE_MAX => {
                    let Some(letter) = letter else { return };
                    self.waiting.push(Waiting { letter, tries: 0, due: Instant::now() });
                    self.publish();
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    tokio::select! {
                        () = stop.requested() => return,
                        () = self.try_next() => {}
                    }
                }
            }
        }
    }

    async fn try_next(&mut self) {
        let next = self.waiting.iter().enumerate().min_by_key(|(_, it)| it.due);
        let Some(at) = next.map(|(at, _)| at) else {
            return;
        };
        let sent = self.channel.send(&self.waiting[at].letter).await;
        let name = self.channel.name();
        match sent {
            Ok(()) => {
                let letter = self.waiting.swap_remove(at).letter;
                self.status.sent += 1;
                self.status.trouble = None;
                info!(
                    channel = name,
                    to = letter.reader(),
                    "told: {}",
                    letter.message.subject
                );
            }
            Err(problem) => {
                self.status.failed_tries += 1;
                self.status.trouble = Some(problem.clone());
                let waiting = &mut self.waiting[at];
                waiting.tries += 1;
                let subject = &waiting.letter.message.subject;
                let to = waiting.letter.reader();
                if waiting.tries >= TRIES_MAX {
                    error!(
                        channel = name,
                        to,
                        "nobody was told, given up after {TRIES_MAX} tries: {subject}: {problem}. Mend `alerts` and try {}.",
                        typed("alerts test")
                    );
                    self.waiting.swap_remove(at);
                    self.status.given_up += 1;
                } else {
                    if waiting.tries == 1 {
                        error!(
                            channel = name,
                            to, "nobody was told yet, trying again: {subject}: {problem}"
                        );
                    }
                    waiting.due = Instant::now() + pause(waiting.tries);
                }
            }
        }
        self.publish();
    }

    fn publish(&self) {
        let status = AlertChannelStatus {
            waiting: (self.waiting.len() + self.letters.len()) as u64,
            ..self.status.clone()
        };
        self.shared.set_alert_channel(self.channel.name(), status);
    }
}

impl Letter {
    fn reader(&self) -> &str {
        self.to.as_ref().map_or("", MailAddress::as_str)
    }
}

fn pause(tries: u32) -> Duration {
    PAUSE_MIN
        .saturating_mul(1 << tries.saturating_sub(1).min(16))
        .min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_ten_minutes_and_tries_end() {
        assert_eq!(pause(1), Duration::from_secs(5));
        assert_eq!(pause(3), Duration::from_secs(20));
        assert_eq!(pause(TRIES_MAX), PAUSE_MAX);
        let all: Duration = (1..TRIES_MAX).map(pause).sum();
        assert!(
            all > Duration::from_secs(90 * 60) && all < Duration::from_secs(180 * 60),
            "{all:?}"
        );
    }
}
