//! Events that were set aside, and those that are lost.

use std::time::Duration;

use super::words::{reasons, span, time, total};
use super::{Context, Text};
use crate::alerts::observe::{Leaving, leaving};
use crate::alerts::policy::{Counts, News};
use crate::config::ByteSize;
use crate::engine::dead_letters::source_of;
use crate::wording::{agree, number};

impl Context<'_> {
    pub(super) fn dead_letters(
        &self,
        name: &str,
        is_source: bool,
        by: &Counts,
        since_ms: i64,
    ) -> Text {
        let count = total(by);
        let were = agree(&count, "was", "were");
        let events = agree(&count, "event", "events");
        let (what, key) = if is_source {
            let what = format!(
                "{} of requests to the source {name} {were} no {events} and {were} set aside.",
                number(count, "part"),
            );
            (what, format!("source:{name}"))
        } else {
            let what =
                format!("{count} {events} of {name} could not be sent and {were} set aside.");
            (what, name.to_owned())
        };
        let mut facts = vec![("Since", self.at(since_ms))];
        facts.extend(reasons(by));
        facts.push((
            "Lost?",
            "No. They are kept as dead letters; everything else goes on.".to_owned(),
        ));
        Text {
            headline: format!(
                "{}{name}: {}",
                if is_source { "source " } else { "" },
                number(count, "new dead letter"),
            ),
            what,
            facts,
            steps: self.with_letters("Look at them", &key),
        }
    }

    /// Dead letters that are about to be removed, or are not any more.
    pub(super) fn leaving_letters(&self, owner: &str, news: &News) -> Text {
        let name = shown(owner);
        let letters = self.status.dead_letters.get(owner);
        let held = letters.map_or(0, |letters| letters.held);
        let Some(leaving) = leaving(self.status, self.letters, owner, self.now_ms) else {
            let mut facts = self.was(news);
            facts.push(("Held", number(held, "dead letter")));
            return Text {
                headline: format!("{name}: no dead letters leave soon any more"),
                what: format!("No dead letters of {name} are about to be removed any more."),
                facts,
                steps: Vec::new(),
            };
        };
        let (when, limit) = match leaving {
            Leaving::ByAge(leaves_ms) => {
                let left =
                    Duration::from_millis(u64::try_from(leaves_ms - self.now_ms).unwrap_or(0));
                (
                    format!("from {} on, in {}", time(leaves_ms), span(left)),
                    "retain",
                )
            }
            Leaving::BySize(percent) => (
                format!(
                    "when new ones need the room: {percent} % of {} is used",
                    ByteSize(self.letters.max_size)
                ),
                "max_size",
            ),
        };
        Text {
            headline: format!("{name}: dead letters will be LOST soon"),
            what: format!(
                "The oldest dead letters of {name} are about to be removed for good, as \
                 `journal.dead_letters.{limit}` says."
            ),
            facts: vec![
                ("Held", number(held, "dead letter")),
                ("Leave", when),
                (
                    "Lost?",
                    "Not yet. What leaves was never sent and cannot be had back.".to_owned(),
                ),
            ],
            steps: self.before_they_leave(owner, limit),
        }
    }

    /// Dead letters that were removed by age or size.
    pub(super) fn expired_letters(&self, owner: &str, by: &Counts, since_ms: i64) -> Text {
        let (name, count) = (shown(owner), total(by));
        let letters = number(count, "dead letter");
        let mut facts = vec![("Since", self.at(since_ms))];
        facts.extend(reasons(by));
        facts.push(("Lost?", format!("Yes, {letters}, counted as expired.")));
        Text {
            headline: format!("{name}: {letters} {} LOST", agree(&count, "is", "are")),
            what: format!(
                "{letters} of {name} {} removed for good: `journal.dead_letters` says how long and how \
                 many stay.",
                agree(&count, "was", "were"),
            ),
            facts,
            steps: self.before_they_leave(owner, "retain` or `journal.dead_letters.max_size"),
        }
    }

    fn before_they_leave(&self, owner: &str, limit: &str) -> Vec<String> {
        let mut steps = self.with_letters("Look at those that are there", owner);
        if source_of(owner).is_none() {
            steps.push(format!(
                "Or keep them elsewhere: {}",
                self.on_letters("export", owner)
            ));
        }
        steps.push(format!(
            "To win time: raise `journal.dead_letters.{limit}` and reload."
        ));
        steps
    }

    /// What brings letters on their way: a mended rule, and for what was no event its own way in.
    fn with_letters(&self, look: &str, owner: &str) -> Vec<String> {
        let mut steps = vec![format!("{look}: {}", self.on_letters("list", owner))];
        if let Some(source) = source_of(owner) {
            steps.push(format!(
                "They were no events when they came, so no rule can run on them. Take them out: {} > mended.json",
                self.on_letters("export --raw", owner)
            ));
            steps.push(format!(
                "Mend the file, and who sends such things; send it: {}",
                self.command(&format!(
                    "dead-letters submit mended.json --source {source}"
                ))
            ));
        } else {
            steps.push("Mend the rule that the reasons point at.".to_owned());
            steps.push(format!(
                "Send them again: {}",
                self.on_letters("replay", owner)
            ));
        }
        steps
    }

    fn on_letters(&self, what: &str, owner: &str) -> String {
        self.command(&format!("dead-letters {what} --connector {owner}"))
    }

    pub(super) fn gone(&self, name: &str, is_damage: bool, by: &Counts, since_ms: i64) -> Text {
        let count = total(by);
        let (events, were) = (number(count, "event"), agree(&count, "was", "were"));
        let (what, steps) = if is_damage {
            (
                format!("{events} of the source {name} {were} lost to damage of the disk."),
                vec![
                    "Check the disk. What could not be read is in the folder `damaged` of the \
                     data folder."
                        .to_owned(),
                    "Ask the upstream to send the time in question again.".to_owned(),
                ],
            )
        } else {
            (
                format!(
                    "{events} of {name} {were} removed unsent, as the journal was full and the \
                     config says `when_full: expire_oldest`."
                ),
                vec![
                    "Mend what keeps the connector from delivering, or raise `journal.max_size`."
                        .to_owned(),
                    "Set `when_full: push_back` if the upstream can wait instead.".to_owned(),
                ],
            )
        };
        let mut steps = steps;
        steps.push(format!("See how it stands: {}", self.command("status")));
        Text {
            headline: format!("{name}: {events} {} LOST", agree(&count, "is", "are")),
            what,
            facts: vec![
                ("Since", self.at(since_ms)),
                ("Lost?", format!("Yes, {events}.")),
            ],
            steps,
        }
    }
}

/// `source:NAME` as the texts say it.
fn shown(owner: &str) -> String {
    owner.replacen("source:", "source ", 1)
}
