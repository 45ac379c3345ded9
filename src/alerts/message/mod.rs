//! What a person reads at night: what has happened, since when, whether anything is lost, what to
//! do now and with which commands. No secrets, no event, no personal data.

mod config;
mod connector;
mod letters;
mod source;
mod storage;
#[cfg(test)]
mod tests;
mod words;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::policy::{FILLING, NEARLY_FULL, News, Notice, STALLED, State, Topic, WELL};
use crate::config::{DeadLettersConfig, WhenFull};
use crate::engine::status::Status;
use words::{cut, rfc3339, span, time, wavered};

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
    /// How long dead letters stay.
    pub letters: &'a DeadLettersConfig,
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
            (Topic::Config, News::State { state, .. }) => {
                self.config_files(*state == WELL, &notice.news)
            }
            (Topic::LeavingLetters(owner), News::State { .. }) => {
                self.leaving_letters(owner, &notice.news)
            }
            (Topic::ExpiredLetters(owner), News::Grown { by, since_ms }) => {
                self.expired_letters(owner, by, *since_ms)
            }
            (_, News::State { state, .. }) => self.journal(*state, &notice.news),
            // Conditions do not grow; should one, its numbers are told as they are.
            (_, News::Grown { by, since_ms }) => self.gone("journal", true, by, *since_ms),
        }
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
        format!(
            "{} {arguments} --config {}",
            sluice_sdk::program_name(),
            self.config.display()
        )
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

fn state_name(topic: &Topic, state: State) -> &'static str {
    match (topic, state) {
        (_, WELL) => "well",
        (Topic::Connector(_), STALLED) => "stalled",
        (Topic::Connector(_), _) => "held",
        (Topic::Source(_), _) => "silent",
        (Topic::Disk, _) => "refuses",
        (Topic::Config, _) => "refused",
        (Topic::LeavingLetters(_), _) => "leaving",
        (_, FILLING) => "filling",
        (_, NEARLY_FULL) => "nearly_full",
        _ => "full",
    }
}
