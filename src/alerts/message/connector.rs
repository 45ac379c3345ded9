//! A connector stands, or delivers again.

use std::fmt::Write as _;

use super::words::{plain, span};
use super::{Context, Text};
use crate::alerts::observe::percent;
use crate::alerts::policy::{HELD, News, State};
use crate::config::ByteSize;
use crate::wording::number;

impl Context<'_> {
    pub(super) fn connector_stands(&self, name: &str, state: State, news: &News) -> Text {
        let connector = self.status.connectors.get(name);
        let waiting = connector.map_or(0, |connector| connector.events.waiting);
        let (word, what, reason) = if state == HELD {
            let reason = connector.and_then(|it| it.held.as_ref());
            (
                "held, needs a person",
                format!("{name} is held: it has stopped delivering until a person has acted."),
                reason.map(|held| held.reason.clone()),
            )
        } else {
            (
                "not delivering",
                format!("{name} has delivered nothing for a while. It keeps trying by itself."),
                connector.and_then(|it| it.trouble.clone()),
            )
        };
        let mut facts = vec![("Reason", plain(&reason.unwrap_or_default()))];
        facts.extend(self.since(news));
        facts.push((
            "Waiting",
            format!("{}, safe on disk", number(waiting, "event")),
        ));
        facts.push(("Lost?", self.nothing_is_lost()));
        let mut steps = Vec::new();
        if state == HELD {
            steps.push(
                "Mend what the reason names: usually a key that was changed or revoked, or an \
                 address."
                    .to_owned(),
            );
            steps.push(format!(
                "A key from a file is read again by itself, a changed config by {}; a key from \
                     the environment takes a restart of sluice.",
                sluice_sdk::typed("reload")
            ));
        } else {
            steps.push(
                "Look whether the receiving side reports an outage; if so, there is nothing to do \
                 but wait."
                    .to_owned(),
            );
        }
        steps.push(format!("See how it stands: {}", self.command("status")));
        steps.push(
            "It tries again at least every five minutes. You are told when it delivers again."
                .to_owned(),
        );
        Text {
            headline: format!("{name}: {word}; nothing is lost"),
            what,
            facts,
            steps,
        }
    }

    pub(super) fn connector_is_well(&self, name: &str, news: &News) -> Text {
        let waiting = self
            .status
            .connectors
            .get(name)
            .map_or(0, |connector| connector.events.waiting);
        let mut facts = self.was(news);
        let rest = match waiting {
            0 => "nothing, all is sent".to_owned(),
            some => format!("{}, being sent now", number(some, "event")),
        };
        facts.push(("Waiting", rest));
        facts.push(("Lost?", "No.".to_owned()));
        Text {
            headline: format!("{name}: delivering again"),
            what: format!("{name} delivers again. There is nothing to do."),
            facts,
            steps: Vec::new(),
        }
    }

    fn nothing_is_lost(&self) -> String {
        let percent = percent(&self.status.journal);
        let limit = ByteSize(self.status.journal.bytes_max);
        let mut text = format!("No. Events wait in the journal, {percent} % of {limit} is used");
        if let Some(full_in) = self.full_in {
            let _ = write!(
                text,
                "; at this speed it is full in about {}",
                span(full_in)
            );
        }
        text.push('.');
        text
    }
}
