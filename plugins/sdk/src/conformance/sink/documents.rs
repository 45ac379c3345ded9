//! Documents that no rule should make, and those that the other side would forget.

use bytes::Bytes;
use serde_json::Value;

use super::super::PERSON;
use super::bench::Bench;

impl Bench {
    /// What no rule should make, and yet comes: no panic, and no personal value in the refusal.
    pub(super) fn odd_documents(&mut self) {
        let sample = self.double.sample(self.next).unwrap_or_default();
        let mut odd: Vec<Bytes> = ["", "{", "[]", "null", "\"text\"", "{}", "{\"a\":1e999}"]
            .map(Bytes::from)
            .to_vec();
        odd.push("[".repeat(100_000).into());
        odd.push(Bytes::from_static(b"{\"a\":\"\xff\"}"));
        let whole: Value = serde_json::from_str(&sample).unwrap_or_default();
        for member in whole
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
        {
            for value in [
                Value::from(PERSON),
                serde_json::json!({ PERSON: PERSON }),
                Value::Null,
            ] {
                let mut document = whole.clone();
                document[member] = value;
                odd.push(document.to_string().into());
            }
        }
        for document in odd {
            let Some(Err(rejection)) = self.prepare(document) else {
                continue;
            };
            if rejection.to_string().contains(PERSON) {
                self.report.fault(
                    "prepare",
                    format!("a rejection ({}) quotes a value of the document", rejection.code),
                    "Values may be personal, and reasons go to logs: name the member and its type, not what is in it.",
                );
            }
            let is_short = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if rejection.code.is_empty() || !rejection.code.chars().all(is_short) {
                self.report.fault(
                    "prepare",
                    format!("the rejection code `{}` is no short name", rejection.code),
                    "Codes are counted and searched for: small letters and dashes, such as `too-large`.",
                );
            }
        }
    }

    pub(super) fn nothing_was_dropped(&mut self) {
        let dropped = self.double.dropped();
        // The kit itself sends nothing twice, apart from what was cut off.
        let lost: Vec<_> = dropped
            .iter()
            .filter(|(why, _)| why != "duplicate")
            .collect();
        if !lost.is_empty() {
            self.report.fault(
                "prepare",
                format!("the other side would have dropped documents behind its yes: {lost:?}"),
                "Refuse in `prepare` what is accepted and then dropped: there it becomes a dead letter with a reason.",
            );
        }
    }
}
