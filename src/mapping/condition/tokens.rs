//! The parts of an expression with their places, as far as slips and fields need them.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `@` and what belongs to it.
    Path,
    /// `$` and what belongs to it.
    Root,
    /// A name, not that of a function.
    Word,
    /// The name of a function.
    Function,
    /// A text in quotes.
    Quoted,
    /// A text in quotes that are none here, `“a”`.
    Curly,
    /// Signs that compare.
    Comparer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub at: usize,
    pub len: usize,
}

impl Token {
    pub fn text<'t>(&self, text: &'t str) -> &'t str {
        &text[self.at..self.end()]
    }

    pub fn end(&self) -> usize {
        self.at + self.len
    }
}

/// The parts of an expression; numbers, signs and white space are left out.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(sign) = text[at..].chars().next() {
        let rest = &text[at..];
        let run =
            |is_in: fn(char) -> bool| rest.find(|char: char| !is_in(char)).unwrap_or(rest.len());
        let (kind, len) = match sign {
            '\'' | '"' => (Some(Kind::Quoted), quoted(rest)),
            '@' => (Some(Kind::Path), segments(rest)),
            '$' => (Some(Kind::Root), path(rest)),
            '=' | '!' | '<' | '>' if rest.starts_with("!(") || rest.starts_with("!@") => (None, 1),
            '=' | '<' | '>' | '~' => (Some(Kind::Comparer), run(|char| "=<>~".contains(char))),
            '!' if rest[1..].starts_with('=') => (
                Some(Kind::Comparer),
                1 + rest[1..].len() - rest[1..].trim_start_matches('=').len(),
            ),
            _ if is_curly(sign) => (Some(Kind::Curly), curly(rest)),
            _ if is_name(sign) && !sign.is_ascii_digit() => {
                let name = run(is_name);
                match rest[name..].trim_start().starts_with('(') {
                    true => (Some(Kind::Function), name),
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

/// Places of the arguments in the parentheses that open at or behind `from`, and where these end.
pub(super) fn arguments(text: &str, from: usize) -> Option<(Vec<(usize, usize)>, usize)> {
    let open = from + text[from..].find('(')?;
    let (mut depth, mut at, mut start) = (0_usize, open, open + 1);
    let mut found = Vec::new();
    while let Some(sign) = text[at..].chars().next() {
        let mut len = sign.len_utf8();
        match sign {
            '\'' | '"' => len = quoted(&text[at..]),
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_end = sign == ')' && depth == 0;
        if is_end || sign == ',' && depth == 1 {
            let part = &text[start..at];
            let blank = part.len() - part.trim_start().len();
            found.push((start + blank, part.trim().len()));
            start = at + 1;
        }
        at += len;
        if is_end {
            return Some((found, at));
        }
    }
    None
}

/// What a text in quotes says.
pub(super) fn unquoted(text: &str) -> String {
    let mut signs = text.chars();
    signs.next();
    signs.next_back();
    let mut said = String::new();
    let mut inside = signs.as_str().chars();
    while let Some(sign) = inside.next() {
        match sign {
            '\\' => said.extend(inside.next()),
            sign => said.push(sign),
        }
    }
    said
}

/// A text in quotes, as an expression has it.
pub(super) fn in_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// As in names of members: letters, digits, `_`, and all that is beyond ASCII.
fn is_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_' || !char.is_ascii() && !is_curly(char)
}

fn is_curly(char: char) -> bool {
    "“”„‘’‚".contains(char)
}

/// Bytes of a text in quotes that are none here.
fn curly(text: &str) -> usize {
    let mut signs = text.char_indices().skip(1);
    let close = signs.find(|(_, sign)| is_curly(*sign));
    close.map_or(text.len(), |(at, sign)| at + sign.len_utf8())
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

/// Bytes of a path whose parts may have white space between them.
fn segments(text: &str) -> usize {
    let mut len = path(text);
    loop {
        let rest = text[len..].trim_start();
        let next = text.len() - rest.len();
        if next == len || !rest.starts_with(['.', '[']) {
            return len;
        }
        len = next + path(rest);
    }
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
    fn arguments_have_their_places() {
        let text = "!search( @.a['x,y'] , 'b)(\\'c' ) && x()";
        let (found, end) = arguments(text, 1).expect("a call");
        let told: Vec<&str> = found.iter().map(|(at, len)| &text[*at..at + len]).collect();
        assert_eq!(told, ["@.a['x,y']", "'b)(\\'c'"]);
        assert_eq!(&text[..end], "!search( @.a['x,y'] , 'b)(\\'c' )");
        assert_eq!(unquoted(told[1]), "b)('c");
        assert_eq!(arguments("f('a'", 0), None);
    }
}
