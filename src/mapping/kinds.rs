//! What a value may be before any event is there: a set of JSON kinds and a few things beside.
//!
//! Types flow from the catalogue's fields through conversions to the sink's documents. A type that is
//! not known fits everywhere, so that one mistake makes one message.

use serde_json::Value;

/// A set of JSON kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Nothing at all.
    pub const NONE: Self = Self(0);
    /// null, where `$null: keep` lets it through.
    pub const NULL: Self = Self(1);
    /// true or false.
    pub const BOOLEAN: Self = Self(2);
    /// A whole number.
    pub const INTEGER: Self = Self(4);
    /// A number with a fraction.
    pub const FRACTION: Self = Self(8);
    /// A text.
    pub const TEXT: Self = Self(16);
    /// A list.
    pub const LIST: Self = Self(32);
    /// An object.
    pub const OBJECT: Self = Self(64);
    /// Any number.
    pub const NUMBER: Self = Self::INTEGER.or(Self::FRACTION);
    /// What has a plain text.
    pub const SCALAR: Self = Self::BOOLEAN.or(Self::NUMBER).or(Self::TEXT);
    /// All but null.
    pub const ANY: Self = Self::SCALAR.or(Self::LIST).or(Self::OBJECT);

    /// Those of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// These, but not those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of these are in the other.
    pub const fn fits(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether there is none.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The kind of a value.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(number) if number.to_string().parse::<i128>().is_ok() => Self::INTEGER,
            Value::Number(_) => Self::FRACTION,
            Value::String(_) => Self::TEXT,
            Value::Array(_) => Self::LIST,
            Value::Object(_) => Self::OBJECT,
        }
    }

    /// "a text", "a number or a list", … for messages.
    pub fn describe(self) -> String {
        let numbers = if self.and(Self::FRACTION).is_none() {
            (Self::INTEGER, "a whole number")
        } else {
            (Self::NUMBER, "a number")
        };
        let named = [
            (Self::TEXT, "a text"),
            numbers,
            (Self::BOOLEAN, "true or false"),
            (Self::LIST, "a list"),
            (Self::OBJECT, "an object"),
            (Self::NULL, "null"),
        ];
        let words: Vec<&str> = named
            .iter()
            .filter(|(kind, _)| !self.and(*kind).is_none())
            .map(|(_, word)| *word)
            .collect();
        match words.as_slice() {
            [] => "nothing".to_owned(),
            [one] => (*one).to_owned(),
            [all @ .., last] => format!("{} or {last}", all.join(", ")),
        }
    }
}

/// What is known of a value that a rule makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    /// What it may be when it is there.
    pub kinds: Kinds,
    /// It may be absent.
    pub is_optional: bool,
    /// Every text that it may be is a moment: ISO 8601 with a zone.
    pub is_time: bool,
    /// No text that it may be is empty.
    pub is_filled: bool,
    /// All values that it may have, if they stand in the rule.
    pub values: Option<Vec<Value>>,
    /// Nothing is known, and so nothing is said.
    pub is_unknown: bool,
}

impl Type {
    /// A value of these kinds that is there; texts in it have at least a letter.
    pub fn of(kinds: Kinds) -> Self {
        Self {
            kinds,
            is_optional: false,
            is_time: false,
            is_filled: true,
            values: None,
            is_unknown: false,
        }
    }

    /// Never there.
    pub fn absent() -> Self {
        Self::of(Kinds::NONE).optional(true)
    }

    /// Whatever an object of unknown members may hold.
    pub fn anything() -> Self {
        Self {
            is_filled: false,
            ..Self::of(Kinds::ANY).optional(true)
        }
    }

    /// Nothing is known of it.
    pub fn unknown() -> Self {
        Self {
            is_unknown: true,
            ..Self::of(Kinds::ANY)
        }
    }

    /// A value that stands in the rule.
    pub fn constant(value: &Value) -> Self {
        Self {
            is_time: value.as_str().is_some_and(is_time),
            is_filled: value.as_str() != Some(""),
            values: Some(vec![value.clone()]),
            ..Self::of(Kinds::of(value))
        }
    }

    /// The same, absent or not.
    #[must_use]
    pub fn optional(mut self, is_optional: bool) -> Self {
        self.is_optional = is_optional;
        self
    }

    /// One or the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        // What is never there adds nothing to what it may be.
        let (a, b) = (self.kinds.is_none(), other.kinds.is_none());
        let text = |one: &Self| !one.kinds.and(Kinds::TEXT).is_none();
        let values = match (self.values.clone(), other.values.clone()) {
            (Some(mut one), Some(two)) => {
                one.extend(two);
                Some(one)
            }
            (Some(one), None) if b => Some(one),
            (None, Some(two)) if a => Some(two),
            _ => None,
        };
        Self {
            kinds: self.kinds.or(other.kinds),
            is_optional: self.is_optional || other.is_optional,
            is_time: (self.is_time || !text(&self)) && (other.is_time || !text(&other)),
            is_filled: (self.is_filled || !text(&self)) && (other.is_filled || !text(&other)),
            values,
            is_unknown: self.is_unknown || other.is_unknown,
        }
    }
}

/// Whether a text is a moment as sinks understand one: date, `T`, time, zone.
pub fn is_time(text: &str) -> bool {
    text.as_bytes().get(10) == Some(&b'T')
        && !text.contains('[')
        && text.parse::<jiff::Timestamp>().is_ok()
}
