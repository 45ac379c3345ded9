//! What a person reads at night: what has happened, since when, whether anything is lost, what to
//! do now and with which commands. No secrets, no event, no personal data.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::observe::percent;
use super::policy::{
    Counts, FILLING, FULL, HELD, NEARLY_FULL, News, Notice, STALLED, State, Topic, WELL,
};
use crate::config::{ByteSize, WhenFull};
use crate::engine::status::Status;

/// Longest reason in a message, in characters; a sink's answer may be a page.
const REASON_CHARS_MAX: usize = 300;
/// Most reasons listed for one count.
const REASONS_MAX: usize = 8;

/// What the texts need besides the notices.
pub struct Context<'a> {
    /// At this moment.
    pub status: &'a Status,
    /// Where the config lies, for commands.
    pub config: &'a Path,
    /// Name of the machine.
    pub host: &'a str,
    /// What happens to a full journal.
    pub when_full: WhenFull,
    /// When the journal is full at this speed.
    pub full_in: Option<Duration>,
    /// Milliseconds since 1970.
    pub now_ms: i64,
}

/// One message, whichever way it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// The same for machines, one object a notice.
    pub notices: Vec<Value>,
}

/// What one notice says.
struct Text {
    /// Name and state: `orders: held`.
    headline: String,
    /// A sentence that says it whole.
    what: String,
    /// Labelled lines.
    facts: Vec<(&'static str, String)>,
    /// What to do, in order.
    steps: Vec<String>,
}

/// The message that tells these notices.
pub fn compose(notices: &[Notice], context: &Context<'_>) -> Message {
    let texts: Vec<Text> = notices.iter().map(|notice| context.text(notice)).collect();
    let subject = match texts.as_slice() {
        [one] => format!("[sluice] {}", one.headline),
        many => {
            let all: Vec<&str> = many.iter().map(|text| text.headline.as_str()).collect();
            cut(&format!("[sluice] {}", all.join("; ")), 150)
        }
    };
    let mut body = String::new();
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            body.push_str("\n----------------------------------------\n\n");
        }
        text.write(&mut body);
    }
    let _ = write!(
        body,
        "\n-- \nsluice {} on {}, config {}\n",
        context.status.version,
        context.host,
        context.config.display()
    );
    Message {
        subject,
        body,
        notices: notices
            .iter()
            .map(|notice| context.fields(notice))
            .collect(),
    }
}

/// What `sluice alerts test` sends.
pub fn test_message(connectors: &[&str], host: &str, config: &Path) -> Message {
    let names = connectors.join(", ");
    Message {
        subject: format!("[sluice] test message for {names}"),
        body: format!(
            "This is a test: alerts of {names} arrive here.\n\nNothing has happened, and there is \
             nothing to do.\n\n-- \nsluice {} on {host}, config {}\n",
            env!("CARGO_PKG_VERSION"),
            config.display()
        ),
        notices: vec![json!({"kind": "test", "connectors": connectors})],
    }
}

impl Text {
    fn write(&self, body: &mut String) {
        let _ = writeln!(body, "{}\n", self.what);
        let width = self.facts.iter().map(|(label, _)| label.len()).max();
        for (label, fact) in &self.facts {
            let pad = " ".repeat(width.unwrap_or(0) + 2 - label.len());
            let _ = writeln!(body, "{label}{pad}{fact}");
        }
        if !self.steps.is_empty() {
            body.push_str("\nWhat to do now\n");
            for (at, step) in self.steps.iter().enumerate() {
                let _ = writeln!(body, "  {}. {step}", at + 1);
            }
        }
    }
}

impl Context<'_> {
    fn text(&self, notice: &Notice) -> Text {
        match (&notice.topic, &notice.news) {
            (Topic::Connector(name), News::State { state: WELL, .. }) => {
                self.connector_is_well(name, &notice.news)
            }
            (Topic::Connector(name), News::State { state, .. }) => {
                self.connector_stands(name, *state, &notice.news)
            }
            (Topic::Source(name), News::State { state, .. }) => {
                self.source(name, *state == WELL, &notice.news)
            }
            (Topic::Disk, News::State { state, .. }) => self.disk(*state == WELL, &notice.news),
            (Topic::DeadLetters(name) | Topic::SetAside(name), News::Grown { by, since_ms }) => {
                let is_source = matches!(notice.topic, Topic::SetAside(_));
                self.dead_letters(name, is_source, by, *since_ms)
            }
            (Topic::Expired(name) | Topic::Lost(name), News::Grown { by, since_ms }) => {
                let is_damage = matches!(notice.topic, Topic::Lost(_));
                self.gone(name, is_damage, by, *since_ms)
            }
            (_, News::State { state, .. }) => self.journal(*state, &notice.news),
            // Conditions do not grow; should one, its numbers are told as they are.
            (_, News::Grown { by, since_ms }) => self.gone("journal", true, by, *since_ms),
        }
    }

    fn connector_stands(&self, name: &str, state: State, news: &News) -> Text {
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
        facts.push(("Waiting", format!("{waiting} events, safe on disk")));
        facts.push(("Lost?", self.nothing_is_lost()));
        let mut steps = Vec::new();
        if state == HELD {
            steps.push(
                "Mend what the reason names: usually a key that was changed or revoked, or an \
                 address."
                    .to_owned(),
            );
            steps.push(
                "A key from a file is read again by itself, a changed config by `sluice reload`; a \
                 key from the environment takes a restart of sluice."
                    .to_owned(),
            );
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

    fn connector_is_well(&self, name: &str, news: &News) -> Text {
        let waiting = self
            .status
            .connectors
            .get(name)
            .map_or(0, |connector| connector.events.waiting);
        let mut facts = self.was(news);
        let rest = match waiting {
            0 => "nothing, all is sent".to_owned(),
            some => format!("{some} events, being sent now"),
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

    fn source(&self, name: &str, is_well: bool, news: &News) -> Text {
        if is_well {
            return Text {
                headline: format!("source {name}: events come again"),
                what: format!("Events come to the source {name} again. There is nothing to do."),
                facts: self.was(news),
                steps: Vec::new(),
            };
        }
        let source = self.status.sources.get(name);
        let silent = source.and_then(|source| source.silent_for_seconds);
        let last = match silent {
            Some(seconds) => format!("{} ago", span(Duration::from_secs(seconds))),
            None => "none since sluice was started".to_owned(),
        };
        Text {
            headline: format!("source {name}: no events come"),
            what: format!(
                "No event has come to the source {name} for longer than its `expect_every` says."
            ),
            facts: vec![
                ("Last event", last),
                (
                    "Lost?",
                    "Nothing that was taken in. What the upstream does not send is not here."
                        .to_owned(),
                ),
            ],
            steps: vec![
                "Look in the upstream system whether it has switched its connector off; many do \
                 after repeated failures."
                    .to_owned(),
                "Look whether it still reaches this address: network, certificate, token."
                    .to_owned(),
                format!(
                    "See what was refused: {}",
                    self.command("status --format json")
                ),
            ],
        }
    }

    fn dead_letters(&self, name: &str, is_source: bool, by: &Counts, since_ms: i64) -> Text {
        let count = total(by);
        let (what, key) = if is_source {
            let what = format!(
                "{count} parts of requests to the source {name} were no events and were set aside."
            );
            (what, format!("source:{name}"))
        } else {
            let what = format!("{count} events of {name} could not be sent and were set aside.");
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
                "{}{name}: {count} new dead letters",
                if is_source { "source " } else { "" }
            ),
            what,
            facts,
            steps: vec![
                format!(
                    "Look at them: {}",
                    self.command(&format!("dead-letters list --connector {key}"))
                ),
                "Mend the rule that the reasons point at.".to_owned(),
                format!(
                    "Send them again: {}",
                    self.command(&format!("dead-letters replay --connector {key}"))
                ),
            ],
        }
    }

    fn gone(&self, name: &str, is_damage: bool, by: &Counts, since_ms: i64) -> Text {
        let count = total(by);
        let (what, steps) = if is_damage {
            (
                format!("{count} events of the source {name} were lost to damage of the disk."),
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
                    "{count} events of {name} were removed unsent, as the journal was full and the \
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
            headline: format!("{name}: {count} events are LOST"),
            what,
            facts: vec![
                ("Since", self.at(since_ms)),
                ("Lost?", format!("Yes, {count} events.")),
            ],
            steps,
        }
    }

    fn journal(&self, state: State, news: &News) -> Text {
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
            .map(|(name, connector)| format!("{name} ({} events)", connector.events.waiting))
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

    fn disk(&self, is_well: bool, news: &News) -> Text {
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

    /// Since when, and whether it came and went meanwhile.
    fn since(&self, news: &News) -> Vec<(&'static str, String)> {
        let News::State {
            since_ms, changes, ..
        } = news
        else {
            return Vec::new();
        };
        let mut facts = vec![("Since", self.at(*since_ms))];
        facts.extend(wavered(*changes));
        facts
    }

    /// How long something that is over has lasted.
    fn was(&self, news: &News) -> Vec<(&'static str, String)> {
        let News::State {
            since_ms,
            trouble_since_ms,
            changes,
            ..
        } = news
        else {
            return Vec::new();
        };
        let lasted = u64::try_from(since_ms - trouble_since_ms).unwrap_or(0);
        let lasted = span(Duration::from_millis(lasted));
        let from = time(*trouble_since_ms);
        let mut facts = vec![("Lasted", format!("{lasted}, from {from} on"))];
        facts.extend(wavered(*changes));
        facts
    }

    fn at(&self, ms: i64) -> String {
        let ago = Duration::from_millis(u64::try_from(self.now_ms - ms).unwrap_or(0));
        if ago < Duration::from_secs(60) {
            return time(ms);
        }
        format!("{} ({} ago)", time(ms), span(ago))
    }

    fn command(&self, arguments: &str) -> String {
        format!("sluice {arguments} --config {}", self.config.display())
    }

    fn fields(&self, notice: &Notice) -> Value {
        let topic = serde_json::to_value(&notice.topic).unwrap_or_default();
        match &notice.news {
            News::State {
                state,
                since_ms,
                changes,
                ..
            } => json!({
                "topic": topic,
                "kind": "state",
                "state": state_name(&notice.topic, *state),
                "is_well": *state == WELL,
                "since": rfc3339(*since_ms),
                "changes": changes,
            }),
            News::Grown { by, since_ms } => json!({
                "topic": topic,
                "kind": "grown",
                "by": by,
                "since": rfc3339(*since_ms),
            }),
        }
    }
}

fn wavered(changes: u32) -> Option<(&'static str, String)> {
    (changes > 1).then(|| {
        (
            "Mind",
            format!("it has changed {changes} times since the last message about it"),
        )
    })
}

fn state_name(topic: &Topic, state: State) -> &'static str {
    match (topic, state) {
        (_, WELL) => "well",
        (Topic::Connector(_), STALLED) => "stalled",
        (Topic::Connector(_), _) => "held",
        (Topic::Source(_), _) => "silent",
        (Topic::Disk, _) => "refuses",
        (_, FILLING) => "filling",
        (_, NEARLY_FULL) => "nearly_full",
        _ => "full",
    }
}

/// The reasons of a count, most frequent first.
fn reasons(by: &BTreeMap<String, u64>) -> Vec<(&'static str, String)> {
    let mut sorted: Vec<(&String, &u64)> = by.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let left = sorted.len().saturating_sub(REASONS_MAX);
    let mut facts: Vec<(&'static str, String)> = sorted
        .iter()
        .take(REASONS_MAX)
        .map(|(reason, count)| ("Reason", format!("{count} x {}", plain(reason))))
        .collect();
    if left > 0 {
        facts.push(("Reason", format!("and {left} more reasons")));
    }
    facts
}

fn total(by: &Counts) -> u64 {
    by.values().sum()
}

/// A reason on one line, cut, and without what looks like somebody's mail address: a sink's answer
/// may repeat what it was sent.
fn plain(reason: &str) -> String {
    let words: Vec<&str> = reason
        .split(|char: char| char.is_whitespace() || char.is_control())
        .filter(|word| !word.is_empty())
        .map(|word| {
            if word.contains('@') {
                "(address)"
            } else {
                word
            }
        })
        .collect();
    cut(&words.join(" "), REASON_CHARS_MAX)
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn rfc3339(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .to_string()
}

/// `2026-05-04 03:12 UTC`.
fn time(ms: i64) -> String {
    let text = rfc3339(ms);
    let day = text.get(..10).unwrap_or_default();
    let minute = text.get(11..16).unwrap_or_default();
    format!("{day} {minute} UTC")
}

/// The two largest units: `3 d 4 h`, `12 min`, `5 s`.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::status::{ConnectorStatus, Held, JournalStatus};

    fn written(topic: Topic, news: News, when_full: WhenFull) -> Message {
        let mut status = Status {
            version: "1.2.3".to_owned(),
            journal: JournalStatus {
                bytes: 900,
                unsettled_bytes: 720,
                bytes_max: 1 << 10,
            },
            ..Status::default()
        };
        let mut connector = ConnectorStatus {
            held: Some(Held {
                reason: "the key is refused (401)\r\nBcc: a@example.com".to_owned(),
                since: String::new(),
            }),
            ..ConnectorStatus::default()
        };
        connector.events.waiting = 4_711;
        status.connectors.insert("orders".to_owned(), connector);
        let context = Context {
            status: &status,
            config: Path::new("/etc/sluice/sluice.yaml"),
            host: "gate-1",
            when_full,
            full_in: Some(Duration::from_secs(3 * 86_400 + 4 * 3600)),
            now_ms: 1_777_863_600_000,
        };
        compose(&[Notice { topic, news }], &context)
    }

    fn state(state: State) -> News {
        News::State {
            state,
            before: WELL,
            since_ms: 1_777_862_880_000,
            trouble_since_ms: 1_777_862_880_000,
            changes: 1,
        }
    }

    #[test]
    fn a_hold_says_what_since_when_whether_lost_and_what_to_do() {
        let topic = Topic::Connector("orders".to_owned());
        let message = written(topic, state(HELD), WhenFull::PushBack);
        insta::assert_snapshot!(format!("{}\n\n{}", message.subject, message.body), @r#"
        [sluice] orders: held, needs a person; nothing is lost

        orders is held: it has stopped delivering until a person has acted.

        Reason   the key is refused (401) Bcc: (address)
        Since    2026-05-04 02:48 UTC (12 min ago)
        Waiting  4711 events, safe on disk
        Lost?    No. Events wait in the journal, 70 % of 1KiB is used; at this speed it is full in about 3 d 4 h.

        What to do now
          1. Mend what the reason names: usually a key that was changed or revoked, or an address.
          2. A key from a file is read again by itself, a changed config by `sluice reload`; a key from the environment takes a restart of sluice.
          3. See how it stands: sluice status --config /etc/sluice/sluice.yaml
          4. It tries again at least every five minutes. You are told when it delivers again.

        -- 
        sluice 1.2.3 on gate-1, config /etc/sluice/sluice.yaml
        "#);
    }

    #[test]
    fn a_filling_journal_says_what_will_be_lost() {
        let message = written(Topic::Journal, state(FILLING), WhenFull::ExpireOldest);
        insta::assert_snapshot!(format!("{}\n\n{}", message.subject, message.body), @r#"
        [sluice] journal: filling (70 %)

        The journal holds many events that are not sent yet.

        Since    2026-05-04 02:48 UTC (12 min ago)
        Used     70 % of 1KiB hold events that are not sent
        Full in  about 3 d 4 h at this speed
        Waiting  orders (4711 events)
        Lost?    Not yet. When it is full the oldest events are removed unsent, as `when_full: expire_oldest` says.

        What to do now
          1. See which connector stands, and why: sluice status --config /etc/sluice/sluice.yaml
          2. Mend that first; then the journal empties by itself.
          3. To win time: raise `journal.max_size`, if the disk has room.

        -- 
        sluice 1.2.3 on gate-1, config /etc/sluice/sluice.yaml
        "#);
    }

    #[test]
    fn dead_letters_come_with_reasons_and_the_command_to_look() {
        let by = Counts::from([("too-large".to_owned(), 3), ("no-rule".to_owned(), 40)]);
        let news = News::Grown {
            by,
            since_ms: 1_777_863_590_000,
        };
        let topic = Topic::DeadLetters("orders".to_owned());
        let message = written(topic, news, WhenFull::PushBack);
        insta::assert_snapshot!(format!("{}\n\n{}", message.subject, message.body), @r#"
        [sluice] orders: 43 new dead letters

        43 events of orders could not be sent and were set aside.

        Since   2026-05-04 02:59 UTC
        Reason  40 x no-rule
        Reason  3 x too-large
        Lost?   No. They are kept as dead letters; everything else goes on.

        What to do now
          1. Look at them: sluice dead-letters list --connector orders --config /etc/sluice/sluice.yaml
          2. Mend the rule that the reasons point at.
          3. Send them again: sluice dead-letters replay --connector orders --config /etc/sluice/sluice.yaml

        -- 
        sluice 1.2.3 on gate-1, config /etc/sluice/sluice.yaml
        "#);
    }
}
