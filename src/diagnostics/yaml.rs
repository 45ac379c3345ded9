//! YAML, read once into a tree with a span on every node.
//!
//! Stricter than YAML allows, where YAML surprises: duplicate keys, merge keys (`<<`), tags, keys that
//! are no plain text and second documents are refused with a place. Only `true`/`false`, `null`/`~`
//! and JSON-like numbers are anything else than text (YAML 1.2 core, without octal and friends), so
//! `no`, `012` and `1_000` stay text. Limits keep hostile files from costing more than a message.

#![allow(
    clippy::result_large_err,
    reason = "an error ends the reading of its file: there is one, and speed is no matter"
)]

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as ParserSpan};
use serde_json::{Map, Number, Value};

use super::read::BYTES_MAX;
use super::{Diagnostic, FileId, Files, Span};

/// Deepest nesting; deeper is a mistake or an attack.
const DEPTH_MAX: usize = 64;
/// Most nodes of one file, aliases expanded.
const NODES_MAX: usize = 200_000;

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, its text kept.
    Number(Number),
    /// Text. `plain` when written without quotes or block, so that places inside it can be shown.
    Text {
        /// The text itself.
        value: String,
        /// Bytes between the span's start and the text's first byte, if the text stands literally.
        inset: Option<usize>,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
}

/// One key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// The key's place.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The entries, if it is a map.
    pub fn as_map(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value under a key, if it is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key, if it is a map that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.as_map()?.iter().find(|entry| entry.key == key)
    }

    /// "a text", "a map", … for messages.
    pub fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text { .. } => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// The same without places.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(value) => Value::Number(value.clone()),
            Kind::Text { value, .. } => Value::String(value.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// The node at a JSON pointer (`/rules/a/on`), or the nearest one above it that exists.
    pub fn at_pointer(&self, pointer: &str) -> &Node {
        let mut here = self;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match &here.kind {
                Kind::Map(_) => here.get(&step),
                Kind::List(items) => step.parse::<usize>().ok().and_then(|at| items.get(at)),
                _ => None,
            };
            match next {
                Some(node) => here = node,
                None => return here,
            }
        }
        here
    }

    /// The place of `len` bytes, `offset` bytes into a text's value; the whole text where it is
    /// quoted with escapes or written as a block.
    pub fn text_part(&self, offset: usize, len: usize) -> Span {
        match &self.kind {
            Kind::Text {
                inset: Some(inset), ..
            } => self.span.part(inset + offset, len),
            _ => self.span,
        }
    }
}

/// Read one file. `None` comes with at least one error.
pub fn parse_yaml(file: FileId, files: &Files) -> Result<Node, Box<Diagnostic>> {
    let text = files.text(file);
    let start = Span {
        file,
        start: 0,
        end: 0,
    };
    if text.len() > BYTES_MAX {
        return Err(Box::new(Diagnostic::error(
            "yaml-limit",
            start,
            format!(
                "this file has {} bytes; at most {BYTES_MAX} are read",
                text.len()
            ),
        )));
    }
    let mut reader = Reader {
        file,
        text,
        offsets: (!text.is_ascii()).then(|| {
            text.char_indices()
                .map(|(at, _)| at)
                .chain(std::iter::once(text.len()))
                .collect()
        }),
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    reader.document().map_err(Box::new)
}

struct Reader<'a> {
    file: FileId,
    text: &'a str,
    /// Byte offset of each character, where the text is not ASCII (the parser counts characters).
    offsets: Option<Vec<usize>>,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

type Read<T> = Result<T, Diagnostic>;

impl<'a> Reader<'a> {
    fn byte(&self, index: usize) -> u32 {
        let byte = match &self.offsets {
            Some(offsets) => offsets.get(index).copied().unwrap_or(self.text.len()),
            None => index.min(self.text.len()),
        };
        u32::try_from(byte).unwrap_or(u32::MAX)
    }

    fn span(&self, span: ParserSpan) -> Span {
        let start = self.byte(span.start.index());
        let end = self.byte(span.end.index()).max(start);
        // The parser's spans of blocks and plain texts reach over the white space behind them.
        let text = &self.text[start as usize..end as usize];
        let end = start + u32::try_from(text.trim_end().len()).unwrap_or(0);
        Span {
            file: self.file,
            start,
            end,
        }
    }

    fn next(&mut self) -> Read<(Event<'a>, Span)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.span(span))),
            Some(Err(error)) => {
                let at = self.byte(error.marker().index());
                let span = Span {
                    file: self.file,
                    start: at,
                    end: at,
                };
                Err(Diagnostic::error(
                    "yaml-syntax",
                    span,
                    format!("this is not valid YAML: {}", error.info()),
                ))
            }
            None => Ok((
                Event::StreamEnd,
                Span {
                    file: self.file,
                    start: 0,
                    end: 0,
                },
            )),
        }
    }

    fn document(&mut self) -> Read<Node> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd | Event::DocumentEnd => {
                    return Ok(Node {
                        span,
                        kind: Kind::Null,
                    });
                }
                event => {
                    let node = self.node(event, span, 0)?;
                    self.expect_end()?;
                    return Ok(node);
                }
            }
        }
    }

    fn expect_end(&mut self) -> Read<()> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(_) => {
                    return Err(Diagnostic::error(
                        "yaml-documents",
                        span,
                        "a second YAML document begins here; a file holds one",
                    )
                    .label("put it into a file of its own"));
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Read<Node> {
        self.count(span, 1)?;
        if depth > DEPTH_MAX {
            return Err(Diagnostic::error(
                "yaml-limit",
                span,
                format!("nested more than {DEPTH_MAX} levels deep"),
            ));
        }
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                (anchor, self.scalar(&text, style, span))
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                (anchor, self.list(span, depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                (anchor, self.map(span, depth)?)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Diagnostic::error(
                        "yaml-alias",
                        span,
                        "this alias stands inside its own anchor",
                    ));
                };
                self.count(span, size(&node))?;
                return Ok(Node {
                    span,
                    kind: node.kind,
                });
            }
            _ => return Err(Diagnostic::error("yaml-syntax", span, "expected a value")),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, span: Span, nodes: usize) -> Read<()> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return Err(Diagnostic::error(
                "yaml-limit",
                span,
                format!("this file has more than {NODES_MAX} values (aliases count each time)"),
            ));
        }
        Ok(())
    }

    fn refuse_tag(&self, tagged: bool, span: Span) -> Read<()> {
        if tagged {
            return Err(Diagnostic::error(
                "yaml-tag",
                span,
                "YAML tags (`!name`) have no meaning here",
            )
            .label("write the value without the tag"));
        }
        Ok(())
    }

    fn scalar(&self, text: &str, style: ScalarStyle, span: Span) -> Node {
        let kind = if style == ScalarStyle::Plain {
            plain(text)
        } else {
            Kind::Text {
                value: text.to_owned(),
                inset: None,
            }
        };
        let kind = match kind {
            Kind::Text { value, .. } => {
                let raw = &self.text[span.start as usize..span.end as usize];
                let quoted = usize::from(style != ScalarStyle::Plain);
                let inset = raw
                    .get(quoted..)
                    .filter(|raw| raw.starts_with(value.as_str()))
                    .map(|_| quoted);
                Kind::Text { value, inset }
            }
            kind => kind,
        };
        Node { span, kind }
    }

    fn list(&mut self, start: Span, depth: usize) -> Read<Node> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                let end = items
                    .last()
                    .map_or(start.end, |node: &Node| node.span.end)
                    .max(span.end.min(span.start + 1));
                return Ok(Node {
                    span: Span {
                        end: end.max(start.end),
                        ..start
                    },
                    kind: Kind::List(items),
                });
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, start: Span, depth: usize) -> Read<Node> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, Span> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            let (key, key_span) = match event {
                Event::MappingEnd => {
                    let start = entries.first().map_or(start, |first| Span {
                        start: start.start.min(first.key_span.start),
                        ..start
                    });
                    let end = entries
                        .last()
                        .map_or(start.end, |entry| entry.value.span.end)
                        .max(span.end.min(span.start + 1));
                    return Ok(Node {
                        span: Span {
                            end: end.max(start.end),
                            ..start
                        },
                        kind: Kind::Map(entries),
                    });
                }
                Event::Scalar(text, _, _, tag) => {
                    self.refuse_tag(tag.is_some(), span)?;
                    (text.into_owned(), span)
                }
                _ => {
                    return Err(
                        Diagnostic::error("yaml-key", span, "a key must be a plain text")
                            .label("if this is a value with braces, put it in quotes"),
                    );
                }
            };
            if key == "<<" {
                return Err(Diagnostic::error(
                    "yaml-merge-key",
                    key_span,
                    "YAML merge keys (`<<`) are not used here",
                )
                .label("use `$extends: template` in mappings, or write the keys out"));
            }
            if let Some(first) = seen.insert(key.clone(), key_span) {
                return Err(Diagnostic::error(
                    "duplicate-key",
                    key_span,
                    format!("the key `{key}` stands here twice"),
                )
                .label("one of the two would be lost; remove or rename it")
                .related(first, "first here"));
            }
            let (event, span) = self.next()?;
            let mut value = self.node(event, span, depth + 1)?;
            if matches!(value.kind, Kind::Null) && value.span.start == value.span.end {
                value.span = key_span;
            }
            entries.push(Entry {
                key,
                key_span,
                value,
            });
        }
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::List(items) => items.iter().map(size).sum(),
        Kind::Map(entries) => entries.iter().map(|entry| size(&entry.value)).sum(),
        _ => 0,
    }
}

fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" => Kind::Null,
        "true" => Kind::Bool(true),
        "false" => Kind::Bool(false),
        _ if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
            serde_json::from_str::<Number>(text).map_or_else(
                |_| Kind::Text {
                    value: text.to_owned(),
                    inset: None,
                },
                Kind::Number,
            )
        }
        _ => Kind::Text {
            value: text.to_owned(),
            inset: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Node, Files), (Diagnostic, Files)> {
        let mut files = Files::default();
        let file = files.add("a.yaml", None, text.to_owned());
        match parse_yaml(file, &files) {
            Ok(node) => Ok((node, files)),
            Err(error) => Err((*error, files)),
        }
    }

    fn place_of(text: &str, pointer: &str) -> String {
        let (node, files) = read(text).expect("valid YAML");
        let span = node.at_pointer(pointer).span;
        format!(
            "{} {}",
            files.place(span),
            &files.text(span.file)[span.start as usize..span.end as usize]
        )
    }

    #[test]
    fn every_value_keeps_its_place() {
        let text = "a: 1\nb:\n  c: [x, 'y z']\n  ü: { d: $.e }\n";
        assert_eq!(place_of(text, "/b/c/1"), "a.yaml:3:10 'y z'");
        assert_eq!(place_of(text, "/b/ü/d"), "a.yaml:4:11 $.e");
        assert_eq!(place_of(text, "/b/ü"), "a.yaml:4:6 { d: $.e }");
        assert_eq!(place_of(text, "/b/c"), "a.yaml:3:6 [x, 'y z']");
    }

    #[test]
    fn only_json_scalars_are_not_text() {
        let (node, _) = read("[no, 012, 1_000, 1.10, true, ~, 0x1f, -5, 1e3, -x]").expect("valid");
        assert_eq!(
            serde_json::to_string(&node.to_json()).expect("json"),
            r#"["no","012","1_000",1.10,true,null,"0x1f",-5,1e+3,"-x"]"#
        );
    }

    #[test]
    fn surprises_of_yaml_are_refused_with_their_place() {
        for (text, code, place) in [
            ("a: 1\nb: 2\na: 3\n", "duplicate-key", "a.yaml:3:1"),
            (
                "a: &x {b: 1}\nc:\n  <<: *x\n",
                "yaml-merge-key",
                "a.yaml:3:3",
            ),
            ("a: !env X\n", "yaml-tag", "a.yaml:1:4"),
            ("a: 1\n---\nb: 2\n", "yaml-documents", "a.yaml:2:1"),
            ("a: [1, 2\nb: 3\n", "yaml-syntax", "a.yaml:2:2"),
            ("a:\n\t- b\n", "yaml-syntax", "a.yaml:2:2"),
        ] {
            let (error, files) = read(text).expect_err(text);
            assert_eq!(
                (error.code, files.place(error.span.expect("place")).as_str()),
                (code, place),
                "{text}: {}",
                error.message
            );
        }
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = level - 1;
            let row = vec![format!("*a{below}"); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{row}]\n"));
        }
        assert_eq!(read(&text).expect_err("a bomb").0.code, "yaml-limit");
    }

    #[test]
    fn hostile_files_get_a_message_and_cost_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.yaml");
        let giant = vec![b'a'; BYTES_MAX + 1];
        let scalar = format!("a: {}\n", "x".repeat(BYTES_MAX));
        for (bytes, code, says) in [
            (giant.as_slice(), "yaml-limit", "at most 8388608 are read"),
            (scalar.as_bytes(), "yaml-limit", "at most 8388608 are read"),
            (
                b"a: 1\nb: \xff\n",
                "yaml-encoding",
                "the first wrong byte is in line 2",
            ),
        ] {
            std::fs::write(&path, bytes).expect("written");
            let problem = crate::diagnostics::read_text(&path).expect_err(says);
            assert_eq!(problem.code, code);
            assert!(problem.message.contains(says), "{}", problem.message);
        }
        for (text, code) in [
            ("a:\n\tb: 1\n".to_owned(), "yaml-syntax"),
            (format!("{}1", "a: {".repeat(1_000)), "yaml-limit"),
            ("- ".repeat(1_000), "yaml-limit"),
            ("x: [a, ".repeat(100_000), "yaml-limit"),
            ("a: &a [*a]".to_owned(), "yaml-alias"),
        ] {
            let code_found = read(&text).expect_err(code).0.code;
            assert!(
                code_found == code || code_found == "yaml-syntax",
                "{code_found}"
            );
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(4_000))]

        #[test]
        fn no_text_makes_the_reader_panic(
            text in proptest::prop_oneof![
                "\\PC{0,60}",
                "[-:,?&*!|>{}\\[\\]#'\"%@ \\n\\ta-c0-2]{0,80}",
            ]
        ) {
            if let Ok((node, files)) = read(&text) {
                files.place(node.span);
                node.to_json();
            }
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = format!("a: {}{}", "[".repeat(300), "]".repeat(300));
        let code = read(&text).expect_err("too deep").0.code;
        assert!(code == "yaml-limit" || code == "yaml-syntax", "{code}");
    }
}
