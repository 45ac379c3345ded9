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

mod node;
mod scan;
mod slip;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as ParserSpan};
use serde_json::Number;

pub use self::node::{Entry, Kind, Node};
use super::read::BYTES_MAX;
use super::{Diagnostic, FileId, Files, Span};

/// Deepest nesting; deeper is a mistake or an attack.
const DEPTH_MAX: usize = 64;
/// Most nodes of one file, aliases expanded.
const NODES_MAX: usize = 200_000;

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
                let at = self.byte(error.marker().index()) as usize;
                Err(slip::explain(self.file, self.text, at, error.info()))
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
                self.refuse_curly(style, span)?;
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
                self.count(span, node.size())?;
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
            .label(self.tag_remedy(span)));
        }
        Ok(())
    }

    fn refuse_curly(&self, style: ScalarStyle, span: Span) -> Read<()> {
        let text = &self.text[span.start as usize..span.end as usize];
        let first = text.chars().next().filter(|_| style == ScalarStyle::Plain);
        match first.filter(|sign| "“”„‘’‚".contains(*sign)) {
            Some(sign) => Err(Diagnostic::error(
                "yaml-syntax",
                span.part(0, sign.len_utf8()),
                "a curly quote is no quote in YAML: it would be a part of the text",
            )
            .label("write straight ones, `\"` or `'`; around it all if the curly ones are meant")),
            None => Ok(()),
        }
    }

    /// `!reason text` loses its tag; `!@.x` was meant as a text.
    fn tag_remedy(&self, span: Span) -> String {
        let at = span.start as usize;
        let is_name = |sign: char| sign.is_alphanumeric() || sign == '!';
        if self.text[at..]
            .strip_prefix('!')
            .is_some_and(|rest| rest.starts_with(is_name))
        {
            return "write the value without the tag".to_owned();
        }
        slip::in_quotes(self.text, at)
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
            let (key, key_span, is_plain) = match event {
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
                Event::Scalar(text, style, _, tag) => {
                    self.refuse_tag(tag.is_some(), span)?;
                    self.refuse_curly(style, span)?;
                    (text.into_owned(), span, style == ScalarStyle::Plain)
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
            if is_plain
                && matches!(value.kind, Kind::Null)
                && let Some(slip) = slip::glued(self.text, &key, key_span)
            {
                return Err(slip);
            }
            if matches!(value.kind, Kind::Null) && value.span.start == value.span.end {
                if let Some(slip) = slip::commented(self.text, &key, key_span) {
                    return Err(slip);
                }
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
