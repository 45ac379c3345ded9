//! Who is told of problems, and whether anybody can be.

use super::super::alerts::{SmtpConfig, SmtpTls};
use super::super::model::Config;
use super::Loader;
use crate::diagnostics::{Diagnostic, Span};

impl Loader<'_> {
    pub(super) fn contacts(&mut self, config: &Config) {
        let is_open = self
            .resolved
            .open
            .iter()
            .any(|it| it.starts_with("/alerts"));
        if config.alerts.is_reachable() || is_open {
            self.nobody_to_tell(config, is_open);
            return;
        }
        for entry in self.entries("connectors") {
            if let Some(contact) = entry.value.get("contact") {
                let place: Span = contact.span;
                self.diagnostics.push(
                    Diagnostic::warning(
                        "contact-without-alerts",
                        place,
                        "there is no way to reach this contact: problems are only logged",
                    )
                    .label(
                        "add `alerts: { smtp: { host: …, from: … } }` or `alerts: { webhook: … }`",
                    ),
                );
            }
        }
    }

    /// Mails need somebody they go to; a webhook is told everything.
    fn nobody_to_tell(&mut self, config: &Config, is_open: bool) {
        let smtp = self
            .root
            .get("alerts")
            .and_then(|alerts| alerts.entry("smtp"));
        let Some(place) = smtp.map(|smtp| smtp.key_span) else {
            return;
        };
        if let Some(smtp) = &config.alerts.smtp {
            self.check_login(smtp, place);
        }
        if config.alerts.webhook.is_some() || is_open {
            return;
        }
        for entry in self.entries("connectors") {
            if entry.value.get("contact").is_none() {
                self.diagnostics.push(
                    Diagnostic::warning(
                        "alerts-without-contact",
                        entry.key_span,
                        format!("nobody is told when `{}` stops delivering", entry.key),
                    )
                    .label("add `contact: data-team@example.com`"),
                );
            }
        }
    }

    fn check_login(&mut self, smtp: &SmtpConfig, place: Span) {
        if smtp.username.is_some() != smtp.password.is_some() {
            self.diagnostics.push(
                Diagnostic::error(
                    "incomplete-login",
                    place,
                    "`username` and `password` of a mail server go together",
                )
                .label("give both, or neither"),
            );
        }
        if smtp.password.is_some() && smtp.tls == SmtpTls::None {
            self.diagnostics.push(
                Diagnostic::warning(
                    "password-in-the-clear",
                    place,
                    "the password of the mail server goes over the network as it is",
                )
                .label("use `tls: starttls` or `tls: tls`"),
            );
        }
    }
}
