//! What is written inside a text: the holes of `$text`.

use super::Compiler;
use crate::diagnostics::{Diagnostic, Node};
use crate::mapping::paths::{Path, is_path};
use crate::mapping::plan::TextPart;

impl Compiler<'_> {
    /// `text {path} {path | default} {{`
    pub(super) fn text(&mut self, node: &Node, text: &str) -> Option<Vec<TextPart>> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(character) = text[at..].chars().next() {
            let rest = &text[at..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                plain.push(character);
                at += 2;
            } else if character == '{' {
                let Some(len) = hole(&rest[1..]) else {
                    self.error(
                        "bad-text",
                        node.text_part(at, 1),
                        "this `{` is never closed; a brace itself is written `{{`",
                    );
                    return None;
                };
                let inside = &rest[1..=len];
                let (path, default) = match bar(inside) {
                    Some(bar) => (&inside[..bar], Some(inside[bar + 1..].trim().to_owned())),
                    None => (inside, None),
                };
                let lead = path.len() - path.trim_start().len();
                let path = path.trim();
                if !is_path(path) {
                    let name = path.strip_prefix('$').unwrap_or(path);
                    let label = match Path::parse(&format!("$.{name}")) {
                        Ok(_) => format!("did you mean `{{$.{name}}}`?"),
                        Err(_) => "a brace itself is written `{{`".to_owned(),
                    };
                    self.diagnostics.push(
                        Diagnostic::error(
                            "not-a-path",
                            node.text_part(at + 1 + lead, path.len()),
                            "a path is expected in the braces, such as `{$.properties.url}`",
                        )
                        .label(label)
                        .note("a brace itself is written `{{`"),
                    );
                    return None;
                }
                let path = self.path(node, path, at + 1 + lead)?;
                if !plain.is_empty() {
                    parts.push(TextPart::Plain(std::mem::take(&mut plain)));
                }
                parts.push(TextPart::Value(path, default));
                at += len + 2;
            } else {
                plain.push(character);
                at += character.len_utf8();
            }
        }
        if !plain.is_empty() || parts.is_empty() {
            parts.push(TextPart::Plain(plain));
        }
        Some(parts)
    }
}

/// Bytes up to the brace that closes a hole; braces in quotes do not count.
fn hole(text: &str) -> Option<usize> {
    outside_quotes(text)
        .find(|(_, character, depth)| *character == '}' && *depth == 0)
        .map(|(at, _, _)| at)
}

/// The `|` before a default; `||` in a filter stands in brackets.
fn bar(text: &str) -> Option<usize> {
    outside_quotes(text)
        .find(|(_, character, depth)| *character == '|' && *depth == 0)
        .map(|(at, _, _)| at)
}

fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char, usize)> + '_ {
    let mut quote: Option<char> = None;
    let mut depth = 0_usize;
    let mut escaped = false;
    text.char_indices().filter_map(move |(at, character)| {
        if let Some(open) = quote {
            if escaped {
                escaped = false;
            } else if character == '\\' {
                escaped = true;
            } else if character == open {
                quote = None;
            }
            return None;
        }
        match character {
            // Quotes are syntax inside brackets only; a default may hold an apostrophe.
            '\'' | '"' if depth > 0 => {
                quote = Some(character);
                return None;
            }
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        Some((at, character, depth))
    })
}
