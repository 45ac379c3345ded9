//! One strict pass over the bytes of an event: is it JSON, and where do the wanted members stand?
//!
//! The grammar is the one of [`sluice_sdk::json`]. A member is found as the span of its raw bytes. Of
//! two members of one name the last one counts.

use sluice_sdk::json::{DEPTH_MAX, Refused, Scanner};

use super::trie::{NodeId, Trie};

/// Members of one object whose heads are remembered …
const HEADS_MAX: usize = 64;
/// … those that are no longer than this, in bytes.
const HEAD_BYTES_MAX: usize = 64;
/// Remembered members that are passed over in search of the next one.
const ABSENT_MAX: usize = 4;

/// The bytes of one value in the text that was scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// No such member.
    pub const ABSENT: Self = Self { start: 0, end: 0 };

    fn new(start: usize, end: usize) -> Self {
        Self {
            start: u32::try_from(start).unwrap_or(0),
            end: u32::try_from(end).unwrap_or(0),
        }
    }

    /// Whether the member was there, as null or as anything else.
    pub fn is_present(self) -> bool {
        self.end != 0
    }

    /// The raw value; empty if it is absent.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// How members were written before: events of one type have the same names in the same order, so
/// that a name is compared with what is likely there instead of being read and looked up.
#[derive(Debug, Default)]
pub struct Habits {
    /// For each node, in the order of the text.
    heads: Vec<Vec<Head>>,
}

/// A member up to its value: the name in quotes, the colon, spaces.
#[derive(Debug)]
struct Head {
    raw: Box<[u8]>,
    child: Option<NodeId>,
}

impl Habits {
    fn of(&mut self, node: NodeId) -> &mut Vec<Head> {
        if self.heads.len() <= node.index() {
            self.heads.resize_with(node.index() + 1, Vec::new);
        }
        &mut self.heads[node.index()]
    }

    /// The head that the text goes on with, and its place; `next` is the place of the likely one.
    fn find(&self, node: NodeId, next: usize, rest: &[u8]) -> Option<(usize, &Head)> {
        let heads = self.heads.get(node.index())?;
        (next..heads.len().min(next + ABSENT_MAX))
            .map(|at| (at, &heads[at]))
            .find(|(_, head)| rest.starts_with(&head.raw))
    }

    fn remember(&mut self, node: NodeId, next: usize, raw: &[u8], child: Option<NodeId>) {
        let heads = self.of(node);
        if raw.len() > HEAD_BYTES_MAX {
            return;
        }
        if heads.len() >= HEADS_MAX {
            heads.clear();
        }
        let raw = raw.into();
        heads.insert(next.min(heads.len()), Head { raw, child });
    }
}

/// Find the members of `trie` in `text`. `spans` has one place for each node and is set anew.
/// `habits` belong to the trie.
///
/// # Errors
/// When the text is not exactly one JSON value, or is longer than 4 GiB.
pub fn scan(
    text: &str,
    trie: &Trie,
    habits: &mut Habits,
    spans: &mut Vec<Span>,
) -> Result<(), Refused> {
    spans.clear();
    spans.resize(trie.len(), Span::ABSENT);
    if u32::try_from(text.len()).is_err() {
        return Err(Refused);
    }
    let mut scanner = Scanner::new(text);
    let mut wanted = Wanted {
        trie,
        habits,
        spans,
    };
    scanner.space();
    wanted.value(&mut scanner, Trie::ROOT, 0)?;
    scanner.finish()
}

struct Wanted<'a> {
    trie: &'a Trie,
    habits: &'a mut Habits,
    spans: &'a mut [Span],
}

impl Wanted<'_> {
    /// A value of which some members are wanted.
    fn value(
        &mut self,
        scanner: &mut Scanner<'_>,
        node: NodeId,
        depth: u32,
    ) -> Result<(), Refused> {
        let start = scanner.at();
        if scanner.peek() == Some(b'{') && self.trie.has_children(node) {
            if depth >= DEPTH_MAX {
                return Err(Refused);
            }
            let mut next = 0;
            scanner.sequence(b'{', b'}', |scanner| {
                let child = self.head(scanner, node, &mut next)?;
                let Some(child) = child else {
                    return scanner.skip(depth + 1);
                };
                if self.spans[child.index()].is_present() {
                    self.spans[self.trie.below(child)].fill(Span::ABSENT);
                }
                self.value(scanner, child, depth + 1)
            })?;
        } else {
            scanner.skip(depth)?;
        }
        self.spans[node.index()] = Span::new(start, scanner.at());
        Ok(())
    }

    /// A member up to its value: the node that it is.
    #[inline]
    fn head(
        &mut self,
        scanner: &mut Scanner<'_>,
        node: NodeId,
        next: &mut usize,
    ) -> Result<Option<NodeId>, Refused> {
        let rest = scanner.rest();
        if let Some((place, head)) = self.habits.find(node, *next, rest) {
            *next = place + 1;
            scanner.advance(head.raw.len());
            scanner.space();
            return Ok(head.child);
        }
        let from = scanner.at();
        let (start, end) = scanner.name()?;
        let child = self.trie.child(node, &rest[start - from..end - from]);
        self.habits
            .remember(node, *next, &rest[..scanner.at() - from], child);
        *next += 1;
        Ok(child)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn trie() -> Trie {
        let mut trie = Trie::builder();
        for path in [&["a"][..], &["b", "c"], &["b", "d"], &["é"]] {
            trie.insert(path.iter().copied());
        }
        trie.finish().0
    }

    fn accepts(text: &str) -> bool {
        scan(text, &trie(), &mut Habits::default(), &mut Vec::new()).is_ok()
    }

    #[test]
    fn what_serde_json_refuses_is_refused() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let deep_object =
            |levels: usize| format!("{}1{}", "{\"b\":".repeat(levels), "}".repeat(levels));
        let mut texts: Vec<String> = [
            "",
            " ",
            "{",
            "{}",
            "{} ",
            "{}x",
            "[1,]",
            "[,1]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "01",
            "-",
            "-0",
            "1.",
            ".5",
            "1.5e",
            "1e+5",
            "1E-5",
            "+1",
            "nul",
            "nulll",
            "true",
            "\"\u{1}\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12G4\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"\\ud83d\\ude00\"",
            "\"\\u+123\"",
            "\"abcdefghijklmnop",
            "\"abcdefg\\\"\"",
            "\"\u{7f}\u{80}\"",
            "\u{feff}{}",
            "[1 2]",
            "\u{b}1",
        ]
        .map(str::to_owned)
        .to_vec();
        for levels in [126, 127, 128, 129, 5000] {
            texts.push(deep(levels));
            texts.push(deep_object(levels));
            texts.push(format!("{{\"a\":{}}}", deep(levels)));
        }
        for text in texts {
            let expected = serde_json::from_str::<Value>(&text).is_ok();
            assert_eq!(accepts(&text), expected, "{text:.80}");
        }
    }

    #[test]
    fn the_last_of_two_members_counts_with_all_that_is_in_it() {
        let trie = {
            let mut trie = Trie::builder();
            trie.insert(["b", "c"].into_iter());
            trie.finish().0
        };
        let mut spans = Vec::new();
        let text = r#"{"b":{"c":1},"\u0062":{"d":2}}"#;
        scan(text, &trie, &mut Habits::default(), &mut spans).expect("it is JSON");
        let found: Vec<&str> = spans.iter().map(|span| span.of(text)).collect();
        assert_eq!(found, [text, r#"{"d":2}"#, ""]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn mutated_json_is_taken_exactly_when_serde_json_takes_it(
            seed in 0_usize..4, at in 0_usize..200, byte in any::<u8>(), cut in any::<bool>()
        ) {
            let samples = [
                r#"{"a":"x\u00e9\ud83d\ude00\n","b":{"c":[1,-2.5e+3,{"q":null}],"d":true},"é":false}"#,
                r#"{ "b" : { "d" : "a longer text, with \"quotes\" and \\ in it" , "c":0 } , "a" :[ ] }"#,
                r#"[[],{},"",0.0,1E2,"\/\b\f\r\t"]"#,
                r#"{"a":12345678901234567890,"a":"second","b":{"c":1,"c":{}}}"#,
            ];
            let mut bytes = samples[seed].as_bytes().to_vec();
            let at = at % bytes.len();
            if cut { bytes.remove(at); } else { bytes[at] = byte; }
            if let Ok(text) = std::str::from_utf8(&bytes) {
                prop_assert_eq!(accepts(text), serde_json::from_str::<Value>(text).is_ok(), "{}", text);
            }
        }
    }
}
