//! Values as YAML text, for what the program writes for people: rules to paste, expectations.
//!
//! What is written here is read back by `parse_yaml` as the same value; a test holds this.

use std::fmt::Write as _;

use serde_json::Value;

/// On one line: `{ type: track, items: [1, 2] }`.
pub fn yaml_flow(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(yaml_flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}: {}", key(name), yaml_flow(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::String(value) => text(value),
        other => other.to_string(),
    }
}

/// One member a line, `indent` spaces in, each line with its end. Lists and operators (keys that begin
/// with `$`) stand on one line.
pub fn yaml_block(members: &serde_json::Map<String, Value>, indent: usize) -> String {
    let mut out = String::new();
    for (name, value) in members {
        let _ = write!(out, "{:indent$}{}:", "", key(name));
        match value {
            Value::Object(inner) if inner.keys().any(|key| !key.starts_with('$')) => {
                out.push('\n');
                out.push_str(&yaml_block(inner, indent + 2));
            }
            other => {
                let _ = writeln!(out, " {}", yaml_flow(other));
            }
        }
    }
    out
}

/// A rule's own `on` is what people write.
fn key(name: &str) -> String {
    match name {
        "on" => name.to_owned(),
        name => text(name),
    }
}

/// Without quotes where nobody could take it for anything but this text, here or in a block.
fn text(value: &str) -> String {
    let is_word = |char: char| char.is_ascii_alphanumeric() || "_./-".contains(char);
    let is_plain = value.starts_with(|first: char| first.is_ascii_alphabetic() || first == '$')
        && value
            .chars()
            .all(|char| is_word(char) || char == ' ' || char == '$')
        && !value.ends_with(' ')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&value.to_ascii_lowercase().as_str());
    if is_plain {
        value.to_owned()
    } else {
        // A JSON text is a YAML text.
        Value::from(value).to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::diagnostics::{Files, parse_yaml};

    fn read(text: &str) -> Value {
        let mut files = Files::default();
        let id = files.add("written", None, text.to_owned());
        parse_yaml(id, &files)
            .unwrap_or_else(|problem| panic!("{text}\n{problem:?}"))
            .to_json()
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~äö\\n\\t]{0,12}".prop_map(Value::from),
            prop_oneof![
                Just("no"),
                Just("$.a.b"),
                Just("012"),
                Just("a: b"),
                Just("- x")
            ]
            .prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z$. :#é]{1,6}", inner, 0..4)
                    .prop_map(|all| Value::Object(all.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_as_the_same(value in any_value()) {
            let value = json!({ "value": value });
            let members = value.as_object().expect("an object");
            prop_assert_eq!(&read(&yaml_flow(&value)), &value);
            prop_assert_eq!(&read(&yaml_block(members, 0)), &value);
        }
    }

    #[test]
    fn words_need_no_quotes_and_what_could_be_misread_has_them() {
        let value = json!({"event": "Email Opened", "on": "no", "id": "12", "path": "$.user.id"});
        assert_eq!(
            yaml_flow(&value),
            r#"{ event: Email Opened, on: "no", id: "12", path: $.user.id }"#
        );
    }
}
