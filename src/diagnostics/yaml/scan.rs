//! A rough reading of YAML that never fails: which brackets and quotes are open after some text.

/// A bracket that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    /// Where it stands.
    pub at: usize,
    /// `[` or `{`.
    pub sign: char,
}

impl Opened {
    /// What closes it.
    pub fn closing(&self) -> char {
        if self.sign == '[' { ']' } else { '}' }
    }
}

/// What is open at the end of a text.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Brackets, the innermost last.
    pub brackets: Vec<Opened>,
    /// Where the quote stands that is open.
    pub quote: Option<usize>,
    /// The last text in quotes: its first byte, and the one behind it.
    pub quoted: Option<(usize, usize)>,
}

/// Read the text to its end.
pub(super) fn scan(text: &str) -> Open {
    let mut open = Open::default();
    let mut signs = text.char_indices().peekable();
    // Where a value may begin: quotes and, outside of brackets, brackets are signs only there.
    let mut may_begin = true;
    let mut is_behind_space = true;
    while let Some((at, sign)) = signs.next() {
        let is_value_start = may_begin;
        let followed_by_space = || {
            let next = text[at + sign.len_utf8()..].chars().next();
            next.is_none_or(char::is_whitespace)
        };
        match sign {
            '\n' => may_begin = true,
            _ if sign.is_whitespace() => {}
            '#' if is_behind_space => {
                while signs.peek().is_some_and(|(_, next)| *next != '\n') {
                    signs.next();
                }
            }
            '"' | '\'' if is_value_start => {
                open.quote = Some(at);
                while let Some((end, next)) = signs.next() {
                    let is_twice = || text[end + 1..].starts_with('\'');
                    match next {
                        '\\' if sign == '"' => drop(signs.next()),
                        '\'' if sign == '\'' && is_twice() => drop(signs.next()),
                        _ if next == sign => {
                            open.quote = None;
                            open.quoted = Some((at, end + 1));
                            break;
                        }
                        _ => {}
                    }
                }
                may_begin = false;
            }
            '[' | '{' if is_value_start || !open.brackets.is_empty() => {
                open.brackets.push(Opened { at, sign });
                may_begin = true;
            }
            ']' | '}' if !open.brackets.is_empty() => {
                if open
                    .brackets
                    .last()
                    .is_some_and(|one| one.closing() == sign)
                {
                    open.brackets.pop();
                }
                may_begin = false;
            }
            ',' if !open.brackets.is_empty() => may_begin = true,
            ':' if !open.brackets.is_empty() || followed_by_space() => may_begin = true,
            '-' | '?' if is_value_start && followed_by_space() => {}
            '|' | '>' if is_value_start && open.brackets.is_empty() => {
                let end = at + block(text, at);
                while signs.next_if(|(at, _)| *at < end).is_some() {}
                may_begin = true;
            }
            _ => may_begin = false,
        }
        is_behind_space = sign.is_whitespace();
    }
    open
}

/// Bytes of a text of several lines whose `|` or `>` stands at `at`.
fn block(text: &str, at: usize) -> usize {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let depth = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let own = depth(&text[start..at]);
    let mut lines = text[at..].split_inclusive('\n');
    let head = lines.next().map_or(0, str::len);
    let is_inside = |line: &&str| line.trim().is_empty() || depth(line) > own;
    head + lines.take_while(is_inside).map(str::len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_known_behind_texts_comments_and_blocks() {
        for (text, brackets, quote) in [
            ("a: { b: [1, 2", "{[", false),
            ("a: { b: [1, 2] }\nc: [", "[", false),
            ("a: it's [ not\nb: {", "{", false),
            ("a: 'it''s [' # {\nb: \"\\\"[\"", "", false),
            ("a: |\n  { [\n\n  \"\nb: [", "[", false),
            ("a: x[0\nb: {$.a", "{", false),
            ("- [a\n- b", "[", false),
            ("a: \"b\nc: d", "", true),
            ("a: $.b[?@.c == '{", "", false),
            ("a: [x-y: {", "[{", false),
        ] {
            let open = scan(text);
            let signs: String = open.brackets.iter().map(|one| one.sign).collect();
            assert_eq!(
                (signs.as_str(), open.quote.is_some()),
                (brackets, quote),
                "{text}"
            );
        }
    }
}
