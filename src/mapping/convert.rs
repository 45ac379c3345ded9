//! The conversions of `$as`: one table, one row each.
//!
//! A conversion takes a value that is there and gives one, or says in words without the value why it
//! cannot. Adding one is a row in [`ROWS`].

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use regex::Regex;
use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

use super::kinds::Kinds;
use crate::diagnostics::{Node, Span};

/// The work of a conversion.
pub type Convert = Arc<dyn Fn(Value) -> Result<Value, String> + Send + Sync>;

/// A conversion, ready to run.
#[derive(Clone)]
pub struct Conversion {
    /// Its name in the table.
    pub name: &'static str,
    /// Its row, which says what it takes and gives.
    pub row: &'static Row,
    /// Where it stands.
    pub span: Span,
    run: Convert,
}

impl std::fmt::Debug for Conversion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Conversion {
    /// Convert one value.
    ///
    /// # Errors
    /// A sentence without the value itself.
    pub fn apply(&self, value: Value) -> Result<Value, String> {
        (self.run)(value)
    }
}

/// How a row is made from its argument.
pub enum Make {
    /// `$as: name`
    Plain(fn(Value) -> Result<Value, String>),
    /// `$as: {name: argument}`. The error is a sentence about the argument.
    With(fn(&Node) -> Result<Convert, String>),
}

/// What a conversion gives, as far as it can be known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// These kinds; it never fails on what it takes.
    Always(Kinds),
    /// These kinds, if it does not fail.
    Perhaps(Kinds),
    /// A text that is empty only if the one it came from is.
    Text,
    /// A text that is not empty, or nothing.
    Filled,
    /// A text, or a list, which may be empty whatever came in.
    Other(Kinds),
    /// ISO 8601 with a zone, if it does not fail.
    Time,
}

/// One conversion.
pub struct Row {
    /// The word in the file.
    pub name: &'static str,
    /// One sentence for the reference.
    pub says: &'static str,
    /// How it is used, as YAML.
    pub example: &'static str,
    /// What it can take.
    pub takes: Kinds,
    /// What it gives.
    pub gives: Gives,
    /// The work.
    pub make: Make,
}

impl Row {
    /// Written as `{name: settings}`.
    pub fn takes_settings(&self) -> bool {
        matches!(self.make, Make::With(_))
    }
}

/// All conversions.
pub static ROWS: &[Row] = &[
    Row {
        name: "string",
        says: "numbers and true/false as text",
        example: "string",
        takes: Kinds::SCALAR,
        gives: Gives::Always(Kinds::TEXT),
        make: Make::Plain(string),
    },
    Row {
        name: "integer",
        says: "a whole number, from a number or its text",
        example: "integer",
        takes: Kinds::NUMBER.or(Kinds::TEXT),
        gives: Gives::Perhaps(Kinds::INTEGER),
        make: Make::Plain(integer),
    },
    Row {
        name: "number",
        says: "a number, from a number or its text",
        example: "number",
        takes: Kinds::NUMBER.or(Kinds::TEXT),
        gives: Gives::Perhaps(Kinds::NUMBER),
        make: Make::Plain(number),
    },
    Row {
        name: "boolean",
        says: "true or false, from \"true\", \"1\", 1, \"false\", \"0\", 0",
        example: "boolean",
        takes: Kinds::SCALAR,
        gives: Gives::Perhaps(Kinds::BOOLEAN),
        make: Make::Plain(boolean),
    },
    Row {
        name: "timestamp",
        says: "unix seconds or ISO 8601 to ISO 8601 in UTC with milliseconds",
        example: "timestamp",
        takes: Kinds::NUMBER.or(Kinds::TEXT),
        gives: Gives::Time,
        make: Make::Plain(|value| instant(value, 1).map(iso)),
    },
    Row {
        name: "timestamp_ms",
        says: "unix milliseconds or ISO 8601 to ISO 8601 in UTC with milliseconds",
        example: "timestamp_ms",
        takes: Kinds::NUMBER.or(Kinds::TEXT),
        gives: Gives::Time,
        make: Make::Plain(|value| instant(value, 1000).map(iso)),
    },
    Row {
        name: "date",
        says: "unix seconds or ISO 8601 to the day in UTC, such as 2026-09-01",
        example: "date",
        takes: Kinds::NUMBER.or(Kinds::TEXT),
        gives: Gives::Perhaps(Kinds::TEXT),
        make: Make::Plain(|value| instant(value, 1).map(day)),
    },
    Row {
        name: "json",
        says: "parse a text that holds JSON",
        example: "json",
        takes: Kinds::TEXT,
        gives: Gives::Perhaps(Kinds::ANY),
        make: Make::Plain(json),
    },
    Row {
        name: "json_string",
        says: "the value as a JSON text",
        example: "json_string",
        takes: Kinds::ANY,
        gives: Gives::Always(Kinds::TEXT),
        make: Make::Plain(|value| Ok(Value::String(value.to_string()))),
    },
    Row {
        name: "lowercase",
        says: "all letters small",
        example: "lowercase",
        takes: Kinds::TEXT,
        gives: Gives::Text,
        make: Make::Plain(|value| text(value, |text| text.to_lowercase())),
    },
    Row {
        name: "uppercase",
        says: "all letters capital",
        example: "uppercase",
        takes: Kinds::TEXT,
        gives: Gives::Text,
        make: Make::Plain(|value| text(value, |text| text.to_uppercase())),
    },
    Row {
        name: "trim",
        says: "without white space at both ends",
        example: "trim",
        takes: Kinds::TEXT,
        gives: Gives::Text,
        make: Make::Plain(|value| text(value, |text| text.trim().to_owned())),
    },
    Row {
        name: "non_empty",
        says: "an empty text counts as absent",
        example: "non_empty",
        takes: Kinds::TEXT,
        gives: Gives::Filled,
        make: Make::Plain(non_empty),
    },
    Row {
        name: "sha256",
        says: "SHA-256 of the text, in hexadecimal",
        example: "sha256",
        takes: Kinds::SCALAR,
        gives: Gives::Always(Kinds::TEXT),
        make: Make::Plain(|value| Ok(Value::String(sha256_hex(&plain_text(&value)?)))),
    },
    Row {
        name: "hmac_sha256",
        says: "HMAC-SHA-256 of the text under a key, in hexadecimal",
        example: "{hmac_sha256: {key: \"${HASH_KEY}\"}}",
        takes: Kinds::SCALAR,
        gives: Gives::Perhaps(Kinds::TEXT),
        make: Make::With(make_hmac),
    },
    Row {
        name: "round",
        says: "a number with so many digits after the point",
        example: "{round: 2}",
        takes: Kinds::NUMBER.or(Kinds::TEXT),
        gives: Gives::Perhaps(Kinds::NUMBER),
        make: Make::With(make_round),
    },
    Row {
        name: "split",
        says: "a list of texts, cut at a separator",
        example: "{split: \",\"}",
        takes: Kinds::TEXT,
        gives: Gives::Always(Kinds::LIST),
        make: Make::With(make_split),
    },
    Row {
        name: "replace",
        says: "replace all matches of a regular expression",
        example: "{replace: {pattern: \"\\\\s+\", with: \" \"}}",
        takes: Kinds::TEXT,
        gives: Gives::Other(Kinds::TEXT),
        make: Make::With(make_replace),
    },
];

/// Make the conversion of this row.
///
/// # Errors
/// A sentence about a wrong or missing argument.
pub fn make(row: &'static Row, argument: Option<&Node>, span: Span) -> Result<Conversion, String> {
    let run = match (&row.make, argument) {
        (Make::Plain(run), None) => Arc::new(*run) as Convert,
        (Make::Plain(_), Some(_)) => return Err(format!("`{}` takes no argument", row.name)),
        (Make::With(make), Some(argument)) => make(argument)?,
        (Make::With(_), None) => {
            return Err(format!(
                "`{}` needs an argument: `$as: {}`",
                row.name, row.example
            ));
        }
    };
    Ok(Conversion {
        name: row.name,
        row,
        span,
        run,
    })
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Text of a scalar.
pub fn plain_text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(format!("{} has no plain text", describe(other))),
    }
}

fn text(value: Value, work: impl Fn(&str) -> String) -> Result<Value, String> {
    match value {
        Value::String(text) => Ok(Value::String(work(&text))),
        other => Err(format!("expected a text, found {}", describe(&other))),
    }
}

/// Null, which is absent, for an empty text.
fn non_empty(value: Value) -> Result<Value, String> {
    match value {
        Value::String(text) if text.is_empty() => Ok(Value::Null),
        other => text(other, str::to_owned),
    }
}

fn string(value: Value) -> Result<Value, String> {
    plain_text(&value).map(Value::String)
}

fn read_number(text: &str) -> Option<Number> {
    serde_json::from_str::<Number>(text.trim()).ok()
}

fn number(value: Value) -> Result<Value, String> {
    match value {
        Value::Number(_) => Ok(value),
        Value::String(text) => read_number(&text)
            .map(Value::Number)
            .ok_or_else(|| "the text is not a number".to_owned()),
        other => Err(format!("expected a number, found {}", describe(&other))),
    }
}

fn integer(value: Value) -> Result<Value, String> {
    let Value::Number(number) = number(value)? else {
        return Err("not a number".to_owned());
    };
    if number.to_string().parse::<i128>().is_ok() {
        return Ok(Value::Number(number));
    }
    match number.as_f64() {
        // Beyond 2^53 a float no longer says which whole number is meant.
        Some(float) if float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 => {
            read_number(&format!("{float:.0}"))
                .map(Value::Number)
                .ok_or_else(|| "not a whole number".to_owned())
        }
        _ => Err("not a whole number".to_owned()),
    }
}

fn boolean(value: Value) -> Result<Value, String> {
    let word = match &value {
        Value::Bool(_) => return Ok(value),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_ascii_lowercase(),
        other => {
            return Err(format!("expected true or false, found {}", describe(other)));
        }
    };
    match word.as_str() {
        "true" | "1" => Ok(Value::Bool(true)),
        "false" | "0" => Ok(Value::Bool(false)),
        _ => Err("neither true nor false".to_owned()),
    }
}

fn json(value: Value) -> Result<Value, String> {
    match value {
        Value::String(text) => {
            serde_json::from_str(&text).map_err(|_| "the text is not JSON".to_owned())
        }
        other => Err(format!("expected a text, found {}", describe(&other))),
    }
}

/// A moment from unix time (`per_second` units) or ISO 8601; without a zone it is taken as UTC.
fn instant(value: Value, per_second: i64) -> Result<Timestamp, String> {
    let number = match &value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => read_number(text),
        other => return Err(format!("expected a time, found {}", describe(other))),
    };
    let moment = match (number, &value) {
        (Some(number), _) => unix(&number, per_second),
        (None, Value::String(text)) => iso_moment(text.trim()),
        _ => None,
    };
    moment
        .filter(|moment| (0..=9999).contains(&TimeZone::UTC.to_datetime(*moment).year()))
        .ok_or_else(|| "not a time".to_owned())
}

fn unix(number: &Number, per_second: i64) -> Option<Timestamp> {
    let nanos_each = i128::from(1_000_000_000 / per_second);
    let nanos = match number.to_string().parse::<i128>() {
        Ok(whole) => whole.checked_mul(nanos_each)?,
        // Rounded to milliseconds: all that is shown, and beyond it a float only adds noise.
        Err(_) => {
            let millis = (number.as_f64()? * (1000 / per_second) as f64).round();
            if millis.abs() > 1e15 {
                return None;
            }
            i128::from(millis as i64) * 1_000_000
        }
    };
    Timestamp::from_nanosecond(nanos).ok()
}

fn iso_moment(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let civil = text.parse::<DateTime>().ok()?;
        TimeZone::UTC.to_timestamp(civil).ok()
    })
}

fn iso(moment: Timestamp) -> Value {
    // Cut, not rounded: a moment never moves into the next second.
    let sub = i64::from(moment.subsec_nanosecond()).rem_euclid(1_000_000);
    let cut = moment
        .checked_sub(SignedDuration::from_nanos(sub))
        .unwrap_or(moment);
    Value::String(format!("{cut:.3}"))
}

fn day(moment: Timestamp) -> Value {
    Value::String(TimeZone::UTC.to_datetime(moment).date().to_string())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn make_hmac(argument: &Node) -> Result<Convert, String> {
    let form = || "`hmac_sha256` takes `{key: \"${NAME}\"}`".to_owned();
    let entries = argument.as_map().ok_or_else(form)?;
    let [entry] = entries else {
        return Err(form());
    };
    let key = match entry.value.as_str() {
        Some(key) if entry.key == "key" && !key.is_empty() => key,
        _ => return Err(form()),
    };
    // The variable is read at the first use, so that files can be checked without secrets.
    let name = key
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .map(str::to_owned);
    let key = key.to_owned();
    let resolved = std::sync::OnceLock::<Option<String>>::new();
    Ok(Arc::new(move |value| {
        let key = resolved.get_or_init(|| match &name {
            Some(name) => {
                let (name, default) = match name.split_once(":-") {
                    Some((name, default)) => (name, Some(default.to_owned())),
                    None => (name.as_str(), None),
                };
                std::env::var(name)
                    .ok()
                    .filter(|key| !key.is_empty())
                    .or(default)
            }
            None => Some(key.clone()),
        });
        let key = key
            .as_ref()
            .ok_or_else(|| "the environment variable of the key is not set".to_owned())?;
        let text = plain_text(&value)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
            .map_err(|_| "the key cannot be used".to_owned())?;
        mac.update(text.as_bytes());
        Ok(Value::String(hex(&mac.finalize().into_bytes())))
    }))
}

fn make_round(argument: &Node) -> Result<Convert, String> {
    let digits = argument
        .to_json()
        .as_u64()
        .filter(|digits| *digits <= 15)
        .and_then(|digits| i32::try_from(digits).ok())
        .ok_or_else(|| "`round` takes a whole number from 0 to 15".to_owned())?;
    Ok(Arc::new(move |value| {
        let Value::Number(number) = number(value)? else {
            return Err("not a number".to_owned());
        };
        if number.to_string().parse::<i128>().is_ok() {
            return Ok(Value::Number(number));
        }
        let float = number.as_f64().ok_or("not a number")?;
        let scale = 10_f64.powi(digits);
        let rounded = (float * scale).round() / scale;
        if !rounded.is_finite() {
            return Ok(Value::Number(number));
        }
        if digits == 0 {
            return Ok(read_number(&format!("{rounded:.0}")).map_or(Value::Null, Value::Number));
        }
        Ok(Number::from_f64(rounded).map_or(Value::Null, Value::Number))
    }))
}

fn make_split(argument: &Node) -> Result<Convert, String> {
    let separator = argument
        .as_str()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| "`split` takes a text, such as \",\"".to_owned())?
        .to_owned();
    Ok(Arc::new(move |value| match value {
        Value::String(text) if text.is_empty() => Ok(Value::Array(Vec::new())),
        Value::String(text) => Ok(Value::Array(
            text.split(&separator)
                .map(|part| Value::String(part.trim().to_owned()))
                .collect(),
        )),
        other => Err(format!("expected a text, found {}", describe(&other))),
    }))
}

fn make_replace(argument: &Node) -> Result<Convert, String> {
    let form = || "`replace` takes `{pattern: …, with: …}`".to_owned();
    if argument
        .as_map()
        .ok_or_else(form)?
        .iter()
        .any(|entry| !matches!(entry.key.as_str(), "pattern" | "with"))
    {
        return Err(form());
    }
    let pattern = argument
        .get("pattern")
        .and_then(Node::as_str)
        .ok_or_else(form)?;
    let with = argument
        .get("with")
        .and_then(Node::as_str)
        .ok_or_else(form)?
        .to_owned();
    let regex = Regex::new(pattern)
        .map_err(|_| "the pattern is not a valid regular expression".to_owned())?;
    Ok(Arc::new(move |value| {
        text(value, |text| {
            regex.replace_all(text, with.as_str()).into_owned()
        })
    }))
}
