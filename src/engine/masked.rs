//! A sink's answer as it may be shown: without what it repeats of people.
//!
//! An answer may quote the document it refuses, and logs, status and consoles are read by more people
//! than the data. The dead letters keep the answer whole: they hold the event itself.

use serde_json::Value;

/// What stands in the place of a value.
const MASK: &str = "***";
/// Shorter texts are masked only as part of a longer one: words of the sink look like them.
const TEXT_CHARS_MIN: usize = 4;
/// Shorter numbers are counts and codes.
const NUMBER_CHARS_MIN: usize = 5;

/// This text without mail addresses and without any value of `documents` (JSON each).
pub fn masked<'a>(text: &str, documents: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut quoted = Vec::new();
    for document in documents {
        if let Ok(document) = serde_json::from_slice(document) {
            find_quoted(&document, text, &mut quoted);
        }
    }
    // A value may be part of another one.
    quoted.sort_by_key(|value: &String| std::cmp::Reverse(value.len()));
    quoted.dedup();
    let mut text = text.to_owned();
    for value in &quoted {
        text = without(&text, value);
    }
    without_addresses(&text)
}

/// Values that stand in the text, or begin where it was cut.
fn find_quoted(value: &Value, text: &str, found: &mut Vec<String>) {
    match value {
        Value::String(value) if value.chars().count() >= TEXT_CHARS_MIN => {
            if text.contains(value.as_str()) {
                found.push(value.clone());
            } else if let Some(begin) = beginning_at_end(value, text) {
                found.push(begin.to_owned());
            }
        }
        Value::Number(number) => {
            let number = number.to_string();
            if number.len() >= NUMBER_CHARS_MIN && text.contains(&number) {
                found.push(number);
            }
        }
        Value::Array(items) => items.iter().for_each(|it| find_quoted(it, text, found)),
        Value::Object(members) => members.values().for_each(|it| find_quoted(it, text, found)),
        _ => {}
    }
}

/// How much of a value the text ends with.
fn beginning_at_end<'a>(value: &'a str, text: &str) -> Option<&'a str> {
    let ends = value.char_indices().map(|(at, _)| at).skip(TEXT_CHARS_MIN);
    let begins = ends.filter_map(|end| value.get(..end));
    begins.filter(|begin| text.ends_with(begin)).last()
}

/// Each place where the value stands by itself is masked.
fn without(text: &str, value: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(value) {
        let (before, from) = rest.split_at(at);
        let (it, after) = from.split_at(value.len());
        out.push_str(before);
        let goes_on = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_part = goes_on(out.chars().next_back()) || goes_on(after.chars().next());
        out.push_str(if is_part { it } else { MASK });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn without_addresses(text: &str) -> String {
    let is_of_address = |c: char| c.is_alphanumeric() || "@._%+-".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_of_address) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c| !is_of_address(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        let is_address = word
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
        out.push_str(before);
        out.push_str(if is_address { MASK } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, document: &str, expected: &str) {
        assert_eq!(masked(text, [document.as_bytes()]), expected);
    }

    #[test]
    fn what_an_answer_repeats_of_a_document_is_masked() {
        let document =
            r#"{"user":"cust-1001","n":4930123456,"traits":{"name":"Jo Privät","city":"Ulm"}}"#;
        check("400: no user cust-1001", document, "400: no user ***");
        check(
            r#"{"error":"bad name","name":"Jo Privät"}"#,
            document,
            r#"{"error":"bad name","name":"***"}"#,
        );
        check("phone 4930123456 is wrong", document, "phone *** is wrong");
        check("in the end it is Jo Pri", document, "in the end it is ***");
    }

    #[test]
    fn addresses_are_masked_wherever_they_come_from() {
        check(
            "status 400: <jo.private+x@mail.example.com>, twice",
            "{}",
            "status 400: <***>, twice",
        );
        check(
            "an @ alone, 3@ and @4 stay",
            "no JSON",
            "an @ alone, 3@ and @4 stay",
        );
    }

    #[test]
    fn words_of_the_sink_stay() {
        let document = r#"{"type":"track","n":12,"on":true,"short":"bad"}"#;
        check(
            "bad request 12, tracking is true",
            document,
            "bad request 12, tracking is true",
        );
    }
}
