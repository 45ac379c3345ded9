//! Settings with a unit.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A number of bytes, written `10GiB`, `32MiB`, `64KiB`, `5MB`, or plainly as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(
    /// In bytes.
    pub u64,
);

const SIZE_PATTERN: &str = "^[0-9]{1,12} ?(B|KiB|MiB|GiB|TiB|KB|kB|MB|GB|TB)?$";

impl ByteSize {
    /// From text; `None` when it has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = text.get(..digits)?.parse().ok()?;
        let factor = match text[digits..].trim_start() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            "KB" | "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return None,
        };
        Some(Self(number.checked_mul(factor)?))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as `10GiB`, `32MiB`, or a number of bytes")
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                ByteSize::parse(text)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "size",
            "description": "A size: a number of bytes, or a number with KiB, MiB, GiB, TiB (powers of 1024) or KB, MB, GB, TB.",
            "type": ["string", "integer"],
            "minimum": 0,
            "pattern": SIZE_PATTERN,
            "examples": ["32MiB", "10GiB", 1_048_576]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [
            ("10GiB", Some(10 << 30)),
            ("32 MiB", Some(32 << 20)),
            ("5MB", Some(5_000_000)),
            ("77", Some(77)),
            ("500KB", Some(500_000)),
            ("1TiB", Some(1 << 40)),
            ("", None),
            ("-1", None),
            ("1 mb", None),
            ("99999999999TiB", None),
            ("1.5GiB", None),
            ("GiB", None),
        ] {
            assert_eq!(ByteSize::parse(text).map(|size| size.0), bytes, "{text}");
        }
        assert_eq!(ByteSize(10 << 30).to_string(), "10GiB");
    }

    #[test]
    fn a_setting_is_a_text_or_a_number() {
        let parse = crate::parse_config::<ByteSize>;
        assert_eq!(parse("32MiB".into()).ok(), Some(ByteSize(32 << 20)));
        assert_eq!(parse(4096.into()).ok(), Some(ByteSize(4096)));
        for wrong in [
            serde_json::json!(-1),
            serde_json::json!("much"),
            serde_json::json!([]),
        ] {
            let message = parse(wrong).expect_err("no size").to_string();
            assert!(message.contains("32MiB"), "{message}");
        }
    }
}
