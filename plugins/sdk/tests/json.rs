//! The scanner takes what serde_json takes, and nothing else.

use serde_json::Value;
use sluice_sdk::json::{self, Refused, Scanner};

fn is_taken(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.space();
    scanner.skip(0).is_ok() && {
        scanner.space();
        scanner.finish().is_ok()
    }
}

const NUMBERS: &str = "0 -0 1 -1 12 0.5 1.50 1e5 1E+5 1e-5 1e999 -1e999 123456789012345678901234567890 \
    01 -01 00 + +1 - -a 1. .5 1.e5 1e 1e+ 1ee5 0x10 1_000 NaN Infinity -Infinity nan 1f 1n";

const WORDS: &str = "true false null True FALSE nul nulll truefalse undefined tru";

const TEXTS: &[&str] = &[
    r#""""#,
    r#""a""#,
    r#""ü€🙂""#,
    r#""\" \\ \/ \b \f \n \r \t""#,
    r#""\u00e4""#,
    r#""\ud83d\ude42""#,
    r#""\ud83d""#,
    r#""\ude42""#,
    r#""\ud83d\u0041""#,
    r#""\ud83dx""#,
    r#""\u12""#,
    r#""\u12g4""#,
    r#""\x41""#,
    r#""\a""#,
    r#""\""#,
    r#"""#,
    r#""a"#,
    r"'a'",
    "\"\u{0}\"",
    "\"\t\"",
    "\"\n\"",
    "\"\u{1f}\"",
    "\"\u{7f}\"",
    "\"12345678\u{1}\"",
    "\"1234567\\\"89\"",
];

const SHAPES: &[&str] = &[
    "",
    " ",
    "{}",
    "[]",
    " { } ",
    "\t[\n]\r",
    "[1,2]",
    "[1 , 2]",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1",
    "1]",
    "[}",
    "{\"a\":1}",
    "{\"a\" : 1 , \"b\":[{}]}",
    "{\"a\":1,}",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{a:1}",
    "{1:1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":1}}",
    "{\"a\":1} x",
    "[1] // no",
    "[/* no */]",
    "\u{feff}{}",
    "\u{a0}{}",
    "\u{b}{}",
];

#[test]
fn the_scanner_takes_what_serde_json_takes() {
    let texts = NUMBERS
        .split_whitespace()
        .chain(WORDS.split_whitespace())
        .chain(TEXTS.iter().copied())
        .chain(SHAPES.iter().copied());
    let mut taken = 0;
    for text in texts {
        let inside = format!("{{\"a\":[{text}]}}");
        for text in [text, &inside] {
            let expected = serde_json::from_str::<Value>(text).is_ok();
            assert_eq!(is_taken(text), expected, "{text:?}");
            taken += u32::from(expected);
        }
    }
    assert!(taken > 50, "{taken}");
}

#[test]
fn lists_are_nested_as_deep_as_serde_json_takes_them() {
    for depth in [1, 126, 127, 128, 5_000] {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let expected = serde_json::from_str::<Value>(&text).is_ok();
        assert_eq!(is_taken(&text), expected, "{depth}");
    }
}

#[test]
fn members_come_in_their_order_each_time_they_are_there() {
    let mut found = Vec::new();
    let object = r#" { "a" : 1.0 , "\u0061":[ 2 ],"a":"x"} "#;
    let read = json::members(object, |name, value| {
        found.push((name, value));
        Ok::<_, Refused>(())
    });
    assert_eq!(read, Ok(()));
    assert_eq!(found, [("a", "1.0"), (r"\u0061", "[ 2 ]"), ("a", "\"x\"")]);
}
