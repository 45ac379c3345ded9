//! Durations as people write them: `7d`, `1h30m`, `500ms`. Sizes are the SDK's.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A stretch of time, written `500ms`, `30s`, `5m`, `1h`, `7d`, or several of them: `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// A period, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodOrOff(pub Option<Duration>);

const PERIOD_PATTERN: &str = "^([0-9]{1,9}(ms|s|m|h|d))+$";

/// Units of time, the longer name first where one begins with the other.
const PERIODS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl Period {
    /// From text; `None` when it has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest.get(..digits)?.parse().ok()?;
            rest = &rest[digits..];
            let (unit, factor) = PERIODS.iter().find(|(unit, _)| rest.starts_with(unit))?;
            rest = &rest[unit.len()..];
            total = total.checked_add(number.checked_mul(*factor)?)?;
        }
        (!text.is_empty()).then_some(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, factor) = PERIODS
            .iter()
            .rev()
            .find(|(_, factor)| all > 0 && all % factor == 0)
            .unwrap_or(&PERIODS[0]);
        write!(f, "{}{unit}", all / factor)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom("expected a duration such as `30s`, `1h` or `7d`"))
    }
}

impl<'de> Deserialize<'de> for PeriodOrOff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "off" {
            return Ok(Self(None));
        }
        Period::parse(&text)
            .map(|period| Self(Some(period.0)))
            .ok_or_else(|| de::Error::custom("expected a duration such as `7d`, or `off`"))
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "duration",
            "description": "A duration: a number with ms, s, m, h or d; several may follow each other (`1h30m`).",
            "type": "string",
            "pattern": PERIOD_PATTERN,
            "examples": ["30s", "1h", "7d"]
        })
    }
}

impl JsonSchema for PeriodOrOff {
    fn schema_name() -> Cow<'static, str> {
        "PeriodOrOff".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "duration or off",
            "description": "A duration such as `7d`, or `off`.",
            "type": "string",
            "pattern": format!("^off$|{PERIOD_PATTERN}"),
            "examples": ["7d", "1h", "off"]
        })
    }
}

/// What to write instead of a text that is no value of this title, where it can be seen.
pub(super) fn meant(title: &str, text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.find(|sign: char| !sign.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    if number.is_empty() {
        return None;
    }
    let unit = unit.trim().to_lowercase();
    match title {
        "size" => {
            let (first, rest) = (unit.get(..1)?, unit.get(1..)?);
            let letter = ["k", "m", "g", "t"].iter().find(|one| **one == first)?;
            let letter = letter.to_uppercase();
            match rest {
                "" => Some(format!(
                    "write `{number}{letter}iB` (of 1024) or `{number}{letter}B` (of 1000)"
                )),
                "b" => Some(format!("write `{number}{letter}B`")),
                "ib" => Some(format!("write `{number}{letter}iB`")),
                _ => None,
            }
        }
        "duration" | "duration or off" => {
            let unit = match unit.as_str() {
                "" => {
                    return Some(format!(
                        "a unit is missing: `{number}s`, or another of ms, s, m, h, d"
                    ));
                }
                "w" | "week" | "weeks" => {
                    let days = number.parse::<u64>().ok()?.checked_mul(7)?;
                    return Some(format!("write `{days}d`"));
                }
                "ms" | "msec" | "millis" | "milliseconds" => "ms",
                "s" | "sec" | "secs" | "second" | "seconds" => "s",
                "m" | "min" | "mins" | "minute" | "minutes" => "m",
                "h" | "hr" | "hrs" | "hour" | "hours" => "h",
                "d" | "day" | "days" => "d",
                _ => return None,
            };
            Some(format!("write `{number}{unit}`"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_by_other_units_is_told() {
        for (title, text, told) in [
            (
                "size",
                "10G",
                Some("write `10GiB` (of 1024) or `10GB` (of 1000)"),
            ),
            ("size", "10 gb", Some("write `10GB`")),
            ("size", "10Gib", Some("write `10GiB`")),
            ("size", "1.5GiB", None),
            ("duration", "7 days", Some("write `7d`")),
            ("duration", "1w", Some("write `7d`")),
            ("duration or off", "7D", Some("write `7d`")),
            (
                "duration",
                "30",
                Some("a unit is missing: `30s`, or another of ms, s, m, h, d"),
            ),
            ("duration", "soon", None),
            ("other", "10G", None),
        ] {
            assert_eq!(meant(title, text).as_deref(), told, "{title} {text}");
        }
    }

    #[test]
    fn periods_read_as_people_write_them() {
        for (text, millis) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("1h30m", Some(5_400_000)),
            ("7d", Some(604_800_000)),
            ("7", None),
            ("7 d", None),
            ("d", None),
            ("", None),
            ("-1s", None),
        ] {
            let period = Period::parse(text).map(|period| period.0.as_millis());
            assert_eq!(period, millis, "{text}");
        }
        assert_eq!(Period(Duration::from_secs(604_800)).to_string(), "7d");
    }
}
