//! What people write who know another language, or slip: found in a text that is no expression, or
//! is one by chance.

use regex::escape;

use super::tokens::{Kind, Token, arguments, in_quotes, tokens, unquoted};
use crate::mapping::expression::pattern_problem;
use crate::mapping::paths::{PathError, is_dotted};

/// Words of other languages, and what stands for them here.
const WORDS: &[(&str, &str)] = &[("and", "&&"), ("or", "||"), ("not", "!")];

/// The functions there are.
const FUNCTIONS: &[&str] = &["length", "count", "match", "search", "value"];

/// What is wrong, and what to write.
pub(super) struct Slip {
    pub at: usize,
    pub len: usize,
    pub label: String,
}

impl Slip {
    pub fn of(error: &PathError, text: &str) -> Self {
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

    fn at(token: &Token, label: impl Into<String>) -> Self {
        Self {
            at: token.at,
            len: token.len,
            label: label.into(),
        }
    }

    fn write(token: &Token, label: &str) -> Self {
        Self::at(token, format!("write `{label}`"))
    }
}

/// The first slip of a text.
pub(super) fn find(text: &str) -> Option<Slip> {
    let tokens = tokens(text);
    (0..tokens.len()).find_map(|at| {
        let line = Line {
            text,
            tokens: &tokens,
            at,
        };
        line.slip()
    })
}

/// A token among the others.
struct Line<'t> {
    text: &'t str,
    tokens: &'t [Token],
    at: usize,
}

impl Line<'_> {
    fn slip(&self) -> Option<Slip> {
        let (text, token) = (self.text, &self.tokens[self.at]);
        let own = token.text(text);
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
                "=~" | "~" | "~=" | "~~" => Some(self.infix("regex").unwrap_or_else(asked(token))),
                _ => None,
            },
            Kind::Path => {
                if let Some(called) = self.method() {
                    return Some(called);
                }
                let name = own.strip_prefix('@')?;
                name.starts_with(char::is_alphabetic)
                    .then(|| Slip::write(token, &format!("@.{name}")))
            }
            Kind::Word => self.word(token, own),
            Kind::Function if !FUNCTIONS.contains(&own) => Some(self.function(token, own)),
            Kind::Function => self.pattern(token, own),
            Kind::Curly => {
                let inside = own.trim_matches(|sign: char| "“”„‘’‚".contains(sign));
                Some(match own.len() == text.trim().len() {
                    true => Slip::at(
                        token,
                        format!("these quotes are curly; write `\"{inside}\"` with straight ones"),
                    ),
                    false => Slip::at(
                        token,
                        format!("these quotes are curly; write `'{inside}'` with straight ones"),
                    ),
                })
            }
            Kind::Quoted => bad_escape(token, own),
        }
    }

    fn before(&self) -> Option<&Token> {
        self.tokens.get(self.at.checked_sub(1)?)
    }

    fn after(&self) -> Option<&Token> {
        self.tokens.get(self.at + 1)
    }

    fn word(&self, token: &Token, own: &str) -> Option<Slip> {
        let word = WORDS
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(own));
        if let Some((_, sign)) = word {
            return Some(Slip::write(token, sign));
        }
        if self.is_behind_value() {
            return Some(self.operator(token, own));
        }
        if matches!(own, "true" | "false" | "null") {
            return None;
        }
        let is_compared = self.before().is_some_and(|it| it.kind == Kind::Comparer);
        Some(match is_compared && !is_dotted(own) {
            true => Slip::write(token, &format!("'{own}'")),
            false => Slip::write(token, &format!("@.{own}")),
        })
    }

    /// Whether nothing but white space is between a path or text and this.
    fn is_behind_value(&self) -> bool {
        let at = self.tokens[self.at].at;
        self.before().is_some_and(|before| {
            matches!(before.kind, Kind::Path | Kind::Quoted)
                && self.text[before.end()..at].trim().is_empty()
        })
    }

    /// A word where an operator is expected.
    fn operator(&self, token: &Token, own: &str) -> Slip {
        let is_not = self
            .after()
            .is_some_and(|next| next.text(self.text).eq_ignore_ascii_case("not"));
        match own.to_lowercase().as_str() {
            "is" | "eq" | "equals" | "equal" if !is_not => return Slip::write(token, "=="),
            "is" => {
                let end = self.after().map_or(token.end(), Token::end);
                return Slip {
                    at: token.at,
                    len: end - token.at,
                    label: "write `!=`".to_owned(),
                };
            }
            "ne" | "neq" => return Slip::write(token, "!="),
            "lt" => return Slip::write(token, "<"),
            "gt" => return Slip::write(token, ">"),
            "exists" | "present" => {
                return Slip::at(
                    token,
                    "leave it out: a path alone asks whether the field is there",
                );
            }
            "in" | "nin" => return self.one_of(token),
            _ => {}
        }
        match is_search(own) {
            true => self.infix(own).unwrap_or_else(asked(token)),
            false => Slip::at(
                token,
                "an operator is missing before this: `==`, `&&` or another",
            ),
        }
    }

    fn one_of(&self, token: &Token) -> Slip {
        let path = self.before().map_or("@.path", |it| it.text(self.text));
        Slip::at(
            token,
            format!("name each: `{path} == 'one' || {path} == 'other'`"),
        )
    }

    /// `@.path like 'text'`, `@.path =~ /text/`.
    fn infix(&self, word: &str) -> Option<Slip> {
        let path = self.before().filter(|it| it.kind == Kind::Path)?;
        let token = &self.tokens[self.at];
        let rest = &self.text[token.end()..];
        let blank = rest.len() - rest.trim_start().len();
        let (pattern, end) = match rest.trim_start().strip_prefix('/') {
            Some(rest) => {
                let len = rest.find('/')?;
                (rest[..len].to_owned(), token.end() + blank + len + 2)
            }
            None => {
                let next = self.after().filter(|it| it.kind == Kind::Quoted)?;
                (unquoted(next.text(self.text)), next.end())
            }
        };
        Some(Slip {
            at: path.at,
            len: end - path.at,
            label: format!("write `{}`", search(word, path.text(self.text), &pattern)),
        })
    }

    /// `@.path.contains('text')`.
    fn method(&self) -> Option<Slip> {
        let token = &self.tokens[self.at];
        let (path, name) = token.text(self.text).rsplit_once('.')?;
        if !self.text[token.end()..].starts_with('(') {
            return None;
        }
        let (found, end) = arguments(self.text, token.end())?;
        let label = match (FUNCTIONS.contains(&name), found.as_slice()) {
            (true, _) => format!("write `{name}({path}…)`: functions stand in front"),
            (false, [(at, len)]) if is_search(name) => {
                let literal = &self.text[*at..at + len];
                match literal.starts_with(['\'', '"']) {
                    true => format!("write `{}`", search(name, path, &unquoted(literal))),
                    false => ASKED.to_owned(),
                }
            }
            _ => format!("there are the functions {}", FUNCTIONS.join(", ")),
        };
        Some(Slip {
            at: token.at,
            len: end - token.at,
            label,
        })
    }

    /// A function that is not there.
    fn function(&self, token: &Token, own: &str) -> Slip {
        if matches!(own, "in" | "nin") && self.is_behind_value() {
            return self.one_of(token);
        }
        let word = WORDS
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(own));
        if let Some((_, sign)) = word {
            return Slip::write(token, sign);
        }
        if !is_search(own) {
            let lower = own.to_lowercase();
            let label = match lower.as_str() {
                "exists" | "has" | "defined" | "isset" | "is_set" => {
                    "leave it out: a path alone asks whether the field is there".to_owned()
                }
                "len" | "size" | "strlen" => "write `length`".to_owned(),
                _ => format!("there are the functions {}", FUNCTIONS.join(", ")),
            };
            return Slip::at(token, label);
        }
        let Some((found, end)) = arguments(self.text, token.end()) else {
            return asked(token)();
        };
        let parts: Vec<&str> = found
            .iter()
            .map(|(at, len)| &self.text[*at..at + len])
            .collect();
        let label = match parts.as_slice() {
            [path, literal] | [literal, path]
                if path.starts_with('@') && literal.starts_with(['\'', '"']) =>
            {
                format!("write `{}`", search(own, path, &unquoted(literal)))
            }
            _ => ASKED.to_owned(),
        };
        Slip {
            at: token.at,
            len: end - token.at,
            label,
        }
    }

    /// A pattern that is none.
    fn pattern(&self, token: &Token, own: &str) -> Option<Slip> {
        if !matches!(own, "match" | "search") {
            return None;
        }
        let (found, _) = arguments(self.text, token.end())?;
        let [_, (at, len)] = found.as_slice() else {
            return None;
        };
        let literal = &self.text[*at..at + len];
        let is_wrong = literal.starts_with(['\'', '"'])
            && bad_escape(token, literal).is_none()
            && pattern_problem(&unquoted(literal)).is_some();
        is_wrong.then(|| Slip {
            at: *at,
            len: *len,
            label: "this is the pattern".to_owned(),
        })
    }
}

const ASKED: &str = "a pattern is asked for by `search(@.path, 'pattern')`";

fn asked(token: &Token) -> impl Fn() -> Slip {
    let token = *token;
    move || Slip::at(&token, ASKED)
}

/// Words of other languages that look for a part of a text.
fn is_search(word: &str) -> bool {
    const SEARCHES: &[&str] = &[
        "contain", "include", "start", "begin", "end", "prefix", "suffix", "like", "match", "reg",
        "test", "similar",
    ];
    let word = word.to_lowercase();
    SEARCHES.iter().any(|one| word.contains(one))
}

/// The search that a word of another language means.
fn search(word: &str, path: &str, text: &str) -> String {
    let word = word.to_lowercase();
    let is = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    let pattern = if is(&["start", "begin", "prefix"]) {
        format!("^{}", escape(text))
    } else if is(&["end", "suffix"]) {
        format!("{}$", escape(text))
    } else if is(&["contain", "include"]) {
        escape(text)
    } else if is(&["like"]) {
        let inside = text.trim_matches('%');
        let begins = if text.starts_with('%') { "" } else { "^" };
        let ends = if text.ends_with('%') { "" } else { "$" };
        format!("{begins}{}{ends}", escape(inside).replace('%', ".*"))
    } else {
        let slashes = text
            .strip_prefix('/')
            .and_then(|text| text.strip_suffix('/'));
        slashes.unwrap_or(text).to_owned()
    };
    format!("search({path}, {})", in_quotes(&pattern))
}

/// A backslash before a sign that is not to be escaped.
fn bad_escape(token: &Token, own: &str) -> Option<Slip> {
    let mut signs = own.char_indices();
    while let Some((at, sign)) = signs.next() {
        if sign != '\\' {
            continue;
        }
        let Some((_, escaped)) = signs.next() else {
            break;
        };
        if !"bfnrt/\\u'\"".contains(escaped) {
            let class = match escaped {
                'd' => ", or `[0-9]`",
                's' => ", or `[ ]`",
                '.' => ", or `[.]`",
                _ => "",
            };
            return Some(Slip {
                at: token.at + at,
                len: 1 + escaped.len_utf8(),
                label: format!("a backslash is doubled here: `\\\\{escaped}`{class}"),
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::expression::Expression;

    #[test]
    fn what_people_write_who_know_another_language_is_known() {
        for (text, place, label) in [
            ("$.a.b == 1", "$.a.b", "write `@.a.b`"),
            ("@.x && $item.b", "$item.b", "write `@.b`"),
            ("@.a = 'b'", "=", "write `==`"),
            ("@.a === 'b=c'", "===", "write `==`"),
            ("@.a == 'x' and @.b", "and", "write `&&`"),
            ("not @.a", "not", "write `!`"),
            ("not(@.a)", "not", "write `!`"),
            ("@a.b == 1", "@a.b", "write `@.a.b`"),
            ("a.b == 'x'", "a.b", "write `@.a.b`"),
            ("@.a == ios", "ios", "write `'ios'`"),
            ("kind == 'x'", "kind", "write `@.kind`"),
            ("@.a['x=y'] = 1", "=", "write `==`"),
            ("@.a is null", "is", "write `==`"),
            ("@.a is not null", "is not", "write `!=`"),
            (
                "@.a in ('x', 'y')",
                "in",
                "name each: `@.a == 'one' || @.a == 'other'`",
            ),
            ("len(@.a) > 2", "len", "write `length`"),
            (
                "@.a == “x”",
                "“x”",
                "these quotes are curly; write `'x'` with straight ones",
            ),
            (
                "“@.a”",
                "“@.a”",
                "these quotes are curly; write `\"@.a\"` with straight ones",
            ),
        ] {
            let slip = find(text).expect(text);
            assert_eq!(&text[slip.at..slip.at + slip.len], place, "{text}");
            assert_eq!(slip.label, label, "{text}");
            assert!(
                Expression::parse(text).is_err() || text.contains(" i"),
                "{text}"
            );
        }
        for text in [
            "@.a == 'b c'",
            "!(@.a && @.b) || search(@.c, 'a=b')",
            "length(@.a) >= 2",
            "@.größe_☺a == null && true != @.b",
            "search(@.c, '\\\\d\\'“')",
            "@.a\n  .b[0] ['c'] == 1",
        ] {
            assert!(find(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_looks_for_a_part_of_a_text_is_said_with_search() {
        for (text, place, meant) in [
            (
                "@.x && contains(@.a, 'b.c')",
                "contains(@.a, 'b.c')",
                r"'b\\.c'",
            ),
            ("contains('b', @.a)", "contains('b', @.a)", "'b'"),
            ("@.a contains 'b'", "@.a contains 'b'", "'b'"),
            ("@.a.startsWith('b')", "@.a.startsWith('b')", "'^b'"),
            ("ends_with(@.a, 'b')", "ends_with(@.a, 'b')", "'b$'"),
            ("@.a like '%b%'", "@.a like '%b%'", "'b'"),
            ("@.a LIKE 'b%c'", "@.a LIKE 'b%c'", "'^b.*c$'"),
            ("@.a =~ '^b'", "@.a =~ '^b'", "'^b'"),
            ("@.a =~ /^b c/ && @.d", "@.a =~ /^b c/", "'^b c'"),
            ("regex(@.a, '/b/')", "regex(@.a, '/b/')", "'b'"),
        ] {
            let slip = find(text).expect(text);
            assert_eq!(&text[slip.at..slip.at + slip.len], place, "{text}");
            let meant = format!("search(@.a, {meant})");
            assert_eq!(slip.label, format!("write `{meant}`"), "{text}");
            assert!(Expression::parse(&meant).is_ok(), "{meant}");
        }
        let slip = find("@.a =~ b").expect("a slip");
        assert_eq!((slip.at, slip.label.as_str()), (4, ASKED));
    }

    #[test]
    fn a_bad_pattern_has_its_place() {
        for (text, place) in [
            ("@.b && search(@.a, '(b')", "'(b'"),
            ("match(@['a)'], '[b') || @.c", "'[b'"),
            ("search(@.a, 'x\\d')", "\\d"),
        ] {
            let slip = find(text).expect(text);
            assert_eq!(&text[slip.at..slip.at + slip.len], place, "{text}");
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }
}
