//! The journal fills, or the disk takes nothing.

use super::words::{plain, span};
use super::{Context, Text};
use crate::alerts::observe::percent;
use crate::alerts::policy::{FILLING, FULL, NEARLY_FULL, News, State, WELL};
use crate::config::{ByteSize, WhenFull};
use crate::wording::number;

impl Context<'_> {
    pub(super) fn journal(&self, state: State, news: &News) -> Text {
        let journal = &self.status.journal;
        let percent = percent(journal);
        if state == WELL {
            return Text {
                headline: format!("journal: has room again ({percent} % used)"),
                what: "The journal has room again. There is nothing to do.".to_owned(),
                facts: self.was(news),
                steps: Vec::new(),
            };
        }
        let expires = self.when_full == WhenFull::ExpireOldest;
        let word = match state {
            FILLING => "filling",
            NEARLY_FULL if expires => "nearly full, events will be LOST",
            NEARLY_FULL => "nearly full",
            _ if expires => "full, the oldest events are LOST",
            _ => "full, new events are refused",
        };
        let mut facts = self.since(news);
        facts.push((
            "Used",
            format!(
                "{percent} % of {} hold events that are not sent",
                ByteSize(journal.bytes_max)
            ),
        ));
        if let Some(full_in) = self.full_in.filter(|_| state != FULL) {
            facts.push(("Full in", format!("about {} at this speed", span(full_in))));
        }
        let waiting = self
            .status
            .connectors
            .iter()
            .filter(|(_, connector)| connector.events.waiting > 0)
            .map(|(name, connector)| {
                format!("{name} ({})", number(connector.events.waiting, "event"))
            })
            .collect::<Vec<_>>();
        facts.push(("Waiting", waiting.join(", ")));
        let lost = match (state, expires) {
            (FULL, true) => "Yes: the oldest events are removed unsent, as `when_full: \
                             expire_oldest` says."
                .to_owned(),
            (_, true) => "Not yet. When it is full the oldest events are removed unsent, as \
                          `when_full: expire_oldest` says."
                .to_owned(),
            (FULL, false) => "No. New events are refused, and the upstream keeps them and comes \
                              again; it will not do so for ever."
                .to_owned(),
            (_, false) => "No. When it is full new events are refused, and the upstream has to \
                           come again."
                .to_owned(),
        };
        facts.push(("Lost?", lost));
        Text {
            headline: format!("journal: {word} ({percent} %)"),
            what: "The journal holds many events that are not sent yet.".to_owned(),
            facts,
            steps: vec![
                format!(
                    "See which connector stands, and why: {}",
                    self.command("status")
                ),
                "Mend that first; then the journal empties by itself.".to_owned(),
                "To win time: raise `journal.max_size`, if the disk has room.".to_owned(),
            ],
        }
    }

    pub(super) fn disk(&self, is_well: bool, news: &News) -> Text {
        if is_well {
            return Text {
                headline: "disk: events are taken again".to_owned(),
                what: "The disk takes what is written again. There is nothing to do.".to_owned(),
                facts: self.was(news),
                steps: Vec::new(),
            };
        }
        let trouble = self
            .status
            .sources
            .values()
            .find_map(|source| source.trouble.clone())
            .unwrap_or_default();
        let mut facts = vec![("Reason", plain(&trouble))];
        facts.extend(self.since(news));
        facts.push((
            "Lost?",
            "No. New events are refused, and the upstream keeps them and comes again; it will not \
             do so for ever."
                .to_owned(),
        ));
        Text {
            headline: "disk: new events cannot be written and are refused".to_owned(),
            what: "The disk of the data folder does not take what is written.".to_owned(),
            facts,
            steps: vec![
                "Look whether it is full (`df -h`), and make room; or mend what the reason names."
                    .to_owned(),
                "Then it goes on by itself, without a restart.".to_owned(),
            ],
        }
    }
}
