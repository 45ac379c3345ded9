//! One mail to one contact, over SMTP.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::message::Message;
use crate::config::{MailAddress, SmtpConfig, SmtpTls};

/// Longest wait for one answer of the mail server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Send one mail over a connection of its own; they are rare. The password is read anew each time.
///
/// # Errors
/// A sentence with the mail server's answer.
pub async fn send(config: &SmtpConfig, to: &MailAddress, message: &Message) -> Result<(), String> {
    let mail = builder(config.from.mailbox(), to.mailbox())
        .subject(&message.subject)
        .header(ContentType::TEXT_PLAIN)
        .body(message.body.clone())
        .map_err(|problem| format!("the mail cannot be written: {problem}"))?;
    let transport: AsyncSmtpTransport<Tokio1Executor> = transport(config)?.build();
    transport
        .send(mail)
        .await
        .map(|_| ())
        .map_err(|problem| format!("{}:{}: {problem}", config.host, config.port()))
}

fn builder(from: Mailbox, to: Mailbox) -> MessageBuilder {
    lettre::Message::builder()
        .from(from)
        .to(to)
        .message_id(None)
        // So that out-of-office answers do not come back.
        .header(AutoSubmitted)
}

fn transport(config: &SmtpConfig) -> Result<AsyncSmtpTransportBuilder, String> {
    type Smtp = AsyncSmtpTransport<Tokio1Executor>;
    let builder = match config.tls {
        SmtpTls::Starttls => Smtp::starttls_relay(&config.host),
        SmtpTls::Tls => Smtp::relay(&config.host),
        SmtpTls::None => Ok(Smtp::builder_dangerous(&config.host)),
    };
    let mut builder = builder
        .map_err(|problem| format!("{}: {problem}", config.host))?
        .port(config.port())
        .timeout(Some(ANSWER_TIMEOUT));
    if let (Some(username), Some(password)) = (&config.username, &config.password) {
        let password = password.reveal().map_err(|problem| problem.to_string())?;
        builder = builder.credentials(Credentials::new(username.clone(), password.into_owned()));
    }
    Ok(builder)
}

/// `Auto-Submitted: auto-generated` (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
