//! The usual body in one pass: checked and split at once, nothing built.
//!
//! Whatever is not as it usually is (an escape in a key or in an id, a time with a fraction, a doubled
//! list, bytes that are not UTF-8, anything that is not JSON) is left to the careful way, which is
//! slower and knows what to set aside. Where this way has an answer, it is the careful one's.

use bytes::Bytes;
use sluice_sdk::json::{Refused, Scanner};
use sluice_sdk::{EventMark, Submission};

use super::place;

/// Places of all events of a usual body that has some.
pub fn split(body: &Bytes) -> Option<Submission> {
    let text = simdutf8::basic::from_utf8(body).ok()?;
    let events = envelope(text).ok()?.filter(|events| !events.is_empty())?;
    Some(Submission {
        body: body.clone(),
        events,
        malformed: Vec::new(),
    })
}

fn envelope(text: &str) -> Result<Option<Vec<EventMark>>, Refused> {
    let mut scanner = Scanner::new(text);
    let mut events = None;
    scanner.space();
    scanner.sequence(b'{', b'}', |scanner| {
        let (start, end) = scanner.name()?;
        match &text[start..end] {
            "events" if events.is_none() => {
                let mut found = Vec::new();
                scanner.sequence(b'[', b']', |scanner| {
                    found.push(event(scanner, text)?);
                    Ok::<_, Refused>(())
                })?;
                events = Some(found);
                Ok(())
            }
            "events" => Err(Refused),
            name if name.contains('\\') => Err(Refused),
            _ => scanner.skip(1),
        }
    })?;
    scanner.finish()?;
    Ok(events)
}

fn event(scanner: &mut Scanner<'_>, text: &str) -> Result<EventMark, Refused> {
    let start = scanner.at();
    let (mut event_type, mut id, mut time) = ("", "", None);
    scanner.sequence(b'{', b'}', |scanner| {
        let (from, to) = scanner.name()?;
        let value = scanner.at();
        // An event's depth counts from itself.
        scanner.skip(1)?;
        let value = &text[value..scanner.at()];
        match &text[from..to] {
            "event_type" => event_type = plain(value)?,
            "id" => id = plain(value)?,
            "time" => time = Some(value.parse::<i64>().map_err(|_| Refused)?),
            name if name.contains('\\') => return Err(Refused),
            _ => {}
        }
        Ok::<_, Refused>(())
    })?;
    if event_type.is_empty() || id.is_empty() {
        return Err(Refused);
    }
    Ok(EventMark {
        start: place(start),
        end: place(scanner.at()),
        event_type: event_type.to_owned(),
        id: id.to_owned(),
        time_ms: time.and_then(|seconds| seconds.checked_mul(1000)),
    })
}

/// A text without escapes.
fn plain(raw: &str) -> Result<&str, Refused> {
    raw.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|text| !text.contains('\\'))
        .ok_or(Refused)
}
