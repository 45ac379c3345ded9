//! An expression where it stands in a file: its fields with their places, and what to write where
//! it is none.

use super::compile::FieldUse;
use super::expression::Expression;
use super::paths::{Path, PathError, is_dotted};
use crate::diagnostics::{Diagnostic, Node};
use crate::mapping::syntax::wrong_type;

/// Words of other languages, and what stands for them here.
const WORDS: &[(&str, &str)] = &[("and", "&&"), ("or", "||"), ("not", "!")];

/// Read the expression of a text.
pub fn read(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Expression> {
    let Some(text) = node.as_str() else {
        diagnostics.push(wrong_type(node, "a condition", "a text: an expression"));
        return None;
    };
    match Expression::parse(text) {
        Ok(expression) => Some(expression),
        Err(error) => {
            let slip = slip(text).unwrap_or_else(|| Slip::of(&error, text));
            diagnostics.push(
                Diagnostic::error(
                    "bad-expression",
                    node.text_part(slip.at, slip.len),
                    error.message,
                )
                .label(slip.label),
            );
            None
        }
    }
}

/// The fields that an expression looks at, each where it stands.
pub fn fields(expression: &Expression, node: &Node) -> Vec<FieldUse> {
    let text = node.as_str().unwrap_or_default();
    let mut places: Vec<(String, usize, usize)> = tokens(text)
        .into_iter()
        .filter(|token| token.kind == Kind::Path)
        .filter_map(|token| {
            let path = Path::parse(&token.text(text).replacen('@', "$", 1)).ok()?;
            Some((path.dotted()?, token.at, token.len))
        })
        .collect();
    expression
        .fields()
        .into_iter()
        .map(|dotted| {
            let found = places.iter().position(|(name, ..)| *name == dotted);
            let span = match found.map(|at| places.remove(at)) {
                Some((_, at, len)) => node.text_part(at, len),
                None => node.span,
            };
            FieldUse {
                dotted,
                span,
                root: '@',
            }
        })
        .collect()
}

/// What is wrong, and what to write.
struct Slip {
    at: usize,
    len: usize,
    label: String,
}

impl Slip {
    fn of(error: &PathError, text: &str) -> Self {
        let at = error.at.min(text.len());
        if at == 0 {
            return Self {
                at,
                len: text.len(),
                label: String::new(),
            };
        }
        Self {
            at,
            len: text[at..].chars().next().map_or(1, char::len_utf8),
            label: "here".to_owned(),
        }
    }

    fn write(token: &Token, label: &str) -> Self {
        Self {
            at: token.at,
            len: token.len,
            label: format!("write `{label}`"),
        }
    }
}

/// The first thing that people write who know another language.
fn slip(text: &str) -> Option<Slip> {
    let tokens = tokens(text);
    tokens.iter().enumerate().find_map(|(at, token)| {
        let own = token.text(text);
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let is_compared = before.is_some_and(|before| before.kind == Kind::Comparer);
        match token.kind {
            Kind::Root => {
                let rest = own.strip_prefix("$item").unwrap_or(&own[1..]);
                let dot = if rest.starts_with(char::is_alphabetic) {
                    "."
                } else {
                    ""
                };
                Some(Slip::write(token, &format!("@{dot}{rest}")))
            }
            Kind::Comparer => match own {
                "=" => Some(Slip::write(token, "==")),
                "===" => Some(Slip::write(token, "==")),
                "!==" | "<>" => Some(Slip::write(token, "!=")),
                "=~" => Some(Slip {
                    at: token.at,
                    len: token.len,
                    label: "a pattern is asked for by `search(@.path, 'pattern')`".to_owned(),
                }),
                _ => None,
            },
            Kind::Path => {
                let name = own.strip_prefix('@')?;
                name.starts_with(char::is_alphabetic)
                    .then(|| Slip::write(token, &format!("@.{name}")))
            }
            Kind::Word => {
                let word = WORDS
                    .iter()
                    .find(|(word, _)| word.eq_ignore_ascii_case(own));
                if let Some((_, sign)) = word {
                    return Some(Slip::write(token, sign));
                }
                if matches!(own, "true" | "false" | "null") {
                    return None;
                }
                Some(match is_compared && !is_dotted(own) {
                    true => Slip::write(token, &format!("'{own}'")),
                    false => Slip::write(token, &format!("@.{own}")),
                })
            }
            Kind::Other => None,
        }
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `@` and what belongs to it.
    Path,
    /// `$` and what belongs to it.
    Root,
    /// A name, not that of a function.
    Word,
    /// Signs that compare.
    Comparer,
    /// Anything else.
    Other,
}

#[derive(Debug)]
struct Token {
    kind: Kind,
    at: usize,
    len: usize,
}

impl Token {
    fn text<'t>(&self, text: &'t str) -> &'t str {
        &text[self.at..self.at + self.len]
    }
}

/// The parts of an expression; texts in quotes and white space are left out.
fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(sign) = text[at..].chars().next() {
        let rest = &text[at..];
        let run =
            |is_in: fn(char) -> bool| rest.find(|char: char| !is_in(char)).unwrap_or(rest.len());
        let (kind, len) = match sign {
            '\'' | '"' => (None, quoted(rest)),
            '@' => (Some(Kind::Path), path(rest)),
            '$' => (Some(Kind::Root), path(rest)),
            '=' | '!' | '<' | '>' if rest.starts_with("!(") || rest.starts_with("!@") => (None, 1),
            '=' | '<' | '>' => (Some(Kind::Comparer), run(|char| "=<>~".contains(char))),
            '!' if rest[1..].starts_with('=') => (
                Some(Kind::Comparer),
                1 + rest[1..].len() - rest[1..].trim_start_matches('=').len(),
            ),
            _ if is_name(sign) && !sign.is_ascii_digit() => {
                let name = run(is_name);
                match rest[name..].trim_start().starts_with('(') {
                    true => (Some(Kind::Other), name),
                    false => (Some(Kind::Word), path(rest)),
                }
            }
            _ if sign.is_ascii_digit() => (None, run(|char| is_name(char) || char == '.')),
            _ => (None, sign.len_utf8()),
        };
        found.extend(kind.map(|kind| Token { kind, at, len }));
        at += len;
    }
    found
}

fn is_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Bytes of a text in quotes.
fn quoted(text: &str) -> usize {
    let open = text.chars().next();
    let mut signs = text.char_indices().skip(1);
    while let Some((at, sign)) = signs.next() {
        if sign == '\\' {
            signs.next();
        } else if Some(sign) == open {
            return at + 1;
        }
    }
    text.len()
}

/// Bytes of a path: its first sign, then names, dots and what is in brackets.
fn path(text: &str) -> usize {
    let mut at = text.chars().next().map_or(0, char::len_utf8);
    while let Some(sign) = text[at..].chars().next() {
        match sign {
            '[' => {
                let mut depth = 0_usize;
                while let Some(sign) = text[at..].chars().next() {
                    match sign {
                        '\'' | '"' => {
                            at += quoted(&text[at..]);
                            continue;
                        }
                        '[' => depth += 1,
                        ']' => depth -= 1,
                        _ => {}
                    }
                    at += sign.len_utf8();
                    if depth == 0 {
                        break;
                    }
                }
            }
            '.' => {
                at += 1;
                if text[at..].starts_with('*') {
                    at += 1;
                }
            }
            _ if is_name(sign) => at += sign.len_utf8(),
            _ => break,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_who_know_another_language_is_known() {
        for (text, place, label) in [
            ("$.a.b == 1", "$.a.b", "write `@.a.b`"),
            ("@.x && $item.b", "$item.b", "write `@.b`"),
            ("@.a = 'b'", "=", "write `==`"),
            ("@.a === 'b=c'", "===", "write `==`"),
            ("@.a == 'x' and @.b", "and", "write `&&`"),
            ("not @.a", "not", "write `!`"),
            ("@a.b == 1", "@a.b", "write `@.a.b`"),
            ("a.b == 'x'", "a.b", "write `@.a.b`"),
            ("@.a == ios", "ios", "write `'ios'`"),
            ("kind == 'x'", "kind", "write `@.kind`"),
            ("@.a['x=y'] = 1", "=", "write `==`"),
        ] {
            let slip = slip(text).expect(text);
            assert_eq!(&text[slip.at..slip.at + slip.len], place, "{text}");
            assert_eq!(slip.label, label, "{text}");
            assert!(Expression::parse(text).is_err(), "{text}");
        }
        for text in [
            "@.a == 'b c'",
            "!(@.a && @.b) || search(@.c, 'a=b')",
            "length(@.a) >= 2",
        ] {
            assert!(slip(text).is_none(), "{text}");
        }
    }

    #[test]
    fn each_field_of_an_expression_has_its_own_place() {
        let text = "@.a == 1 && (!@['b'].c || search(@.d.e, '@.f') || count(@.g[?@.h]) > @.a)";
        let expression = Expression::parse(text).expect(text);
        let span = crate::diagnostics::Span {
            file: crate::diagnostics::Files::default().add("a", None, text.to_owned()),
            start: 0,
            end: u32::try_from(text.len()).expect("short"),
        };
        let kind = crate::diagnostics::Kind::Text {
            value: text.to_owned(),
            inset: Some(0),
        };
        let node = Node { span, kind };
        let found: Vec<(String, &str)> = fields(&expression, &node)
            .into_iter()
            .map(|one| {
                let place = one.span.start as usize..one.span.end as usize;
                (one.dotted, &text[place])
            })
            .collect();
        let told: Vec<(&str, &str)> = found.iter().map(|(a, b)| (a.as_str(), *b)).collect();
        assert_eq!(
            told,
            [
                ("a", "@.a"),
                ("b.c", "@['b'].c"),
                ("d.e", "@.d.e"),
                ("a", "@.a")
            ]
        );
    }
}
