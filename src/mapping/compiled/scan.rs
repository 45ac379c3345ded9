//! One strict pass over the bytes of an event: is it JSON, and where do the wanted members stand?
//!
//! The grammar is RFC 8259 as serde_json reads it into a tree: what it refuses is refused here (bad
//! escapes and lone surrogates, control characters, numbers such as `01`, more than
//! [`DEPTH_MAX`] levels). Nothing is copied and nothing is parsed into a number or a text; a
//! member is found as the span of its raw bytes. Of two members of one name the last one counts.

use super::trie::{NodeId, Trie};

/// As deep as serde_json goes.
const DEPTH_MAX: u32 = 127;
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

/// Not JSON, or more than this pass takes; serde_json says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

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
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        at: 0,
    };
    let mut wanted = Wanted {
        trie,
        habits,
        spans,
    };
    scanner.space();
    scanner.wanted(&mut wanted, Trie::ROOT, 0)?;
    scanner.space();
    if scanner.at == scanner.bytes.len() {
        Ok(())
    } else {
        Err(Refused)
    }
}

/// Call `each` with the raw name (without its quotes) and the raw value of every member of an object.
///
/// `object` has been scanned before.
///
/// # Errors
/// When it is no object, or `each` refuses.
pub fn members<'a>(
    object: &'a str,
    mut each: impl FnMut(&'a str, &'a str) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut scanner = Scanner {
        bytes: object.as_bytes(),
        at: 0,
    };
    scanner.sequence(b'{', b'}', |scanner| {
        let (start, end) = scanner.name()?;
        let from = scanner.at;
        scanner.skip(0)?;
        each(&object[start..end], &object[from..scanner.at])
    })
}

/// Call `each` with the raw value of every item of a list.
///
/// # Errors
/// When it is no list, or `each` refuses.
pub fn items<'a, E: From<Refused>>(
    list: &'a str,
    mut each: impl FnMut(&'a str) -> Result<(), E>,
) -> Result<(), E> {
    let mut scanner = Scanner {
        bytes: list.as_bytes(),
        at: 0,
    };
    scanner.sequence(b'[', b']', |scanner| {
        let from = scanner.at;
        scanner.skip(0)?;
        each(&list[from..scanner.at])
    })
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

struct Wanted<'a> {
    trie: &'a Trie,
    habits: &'a mut Habits,
    spans: &'a mut [Span],
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Refused> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(Refused)
    }

    /// Everything between two brackets, `one` by one.
    fn sequence<E: From<Refused>>(
        &mut self,
        open: u8,
        close: u8,
        mut one: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(open)?;
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            one(self)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Refused.into()),
            }
            self.space();
        }
    }

    /// A member's name and the colon: where the name stands, without its quotes.
    fn name(&mut self) -> Result<(usize, usize), Refused> {
        self.expect(b'"')?;
        let start = self.at;
        self.string()?;
        let end = self.at - 1;
        self.space();
        self.expect(b':')?;
        self.space();
        Ok((start, end))
    }

    /// A value of which some members are wanted.
    fn wanted(&mut self, wanted: &mut Wanted<'_>, node: NodeId, depth: u32) -> Result<(), Refused> {
        let start = self.at;
        if self.peek() == Some(b'{') && wanted.trie.has_children(node) {
            if depth >= DEPTH_MAX {
                return Err(Refused);
            }
            let mut next = 0;
            self.sequence(b'{', b'}', |scanner| {
                let child = scanner.head(wanted, node, &mut next)?;
                let Some(child) = child else {
                    return scanner.skip(depth + 1);
                };
                if wanted.spans[child.index()].is_present() {
                    wanted.spans[wanted.trie.below(child)].fill(Span::ABSENT);
                }
                scanner.wanted(wanted, child, depth + 1)
            })?;
        } else {
            self.skip(depth)?;
        }
        wanted.spans[node.index()] = Span::new(start, self.at);
        Ok(())
    }

    /// A member up to its value: the node that it is.
    fn head(
        &mut self,
        wanted: &mut Wanted<'_>,
        node: NodeId,
        next: &mut usize,
    ) -> Result<Option<NodeId>, Refused> {
        let rest = &self.bytes[self.at..];
        if let Some((place, head)) = wanted.habits.find(node, *next, rest) {
            *next = place + 1;
            self.at += head.raw.len();
            self.space();
            return Ok(head.child);
        }
        let from = self.at;
        let (start, end) = self.name()?;
        let child = wanted.trie.child(node, &self.bytes[start..end]);
        let raw = &self.bytes[from..self.at];
        wanted.habits.remember(node, *next, raw, child);
        *next += 1;
        Ok(child)
    }

    /// A value of which nothing is wanted.
    fn skip(&mut self, depth: u32) -> Result<(), Refused> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string()
            }
            Some(b'{') if depth < DEPTH_MAX => self.sequence(b'{', b'}', |scanner| {
                scanner.name()?;
                scanner.skip(depth + 1)
            }),
            Some(b'[') if depth < DEPTH_MAX => {
                self.sequence(b'[', b']', |scanner| scanner.skip(depth + 1))
            }
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(Refused),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Refused> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(Refused)
    }

    fn digits(&mut self) -> Result<(), Refused> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err(Refused)
        }
    }

    fn number(&mut self) -> Result<(), Refused> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// The rest of a string, behind its first quote, up to behind its last.
    fn string(&mut self) -> Result<(), Refused> {
        loop {
            while let Some(eight) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
                let special = special_bytes(u64::from_le_bytes(*eight));
                if special != 0 {
                    self.at += special.trailing_zeros() as usize / 8;
                    break;
                }
                self.at += 8;
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                None | Some(0..0x20) => return Err(Refused),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Refused> {
        let letter = self.peek().ok_or(Refused)?;
        self.at += 1;
        match letter {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.code_unit()? {
                0xDC00..=0xDFFF => Err(Refused),
                0xD800..=0xDBFF => {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    match self.code_unit()? {
                        0xDC00..=0xDFFF => Ok(()),
                        _ => Err(Refused),
                    }
                }
                _ => Ok(()),
            },
            _ => Err(Refused),
        }
    }

    fn code_unit(&mut self) -> Result<u32, Refused> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Refused)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| {
            let digit = char::from(*digit).to_digit(16).ok_or(Refused)?;
            Ok(unit << 4 | digit)
        })
    }
}

/// The high bit of the first byte that is a quote, a backslash or below 0x20, in memory's order; bits
/// of later bytes may be wrong, 0 is right.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let zero_in = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = zero_in(word ^ (ONES * b'"' as u64));
    let backslash = zero_in(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGH
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
