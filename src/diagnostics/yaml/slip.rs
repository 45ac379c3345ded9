//! What a person may have meant where the text is not YAML: an error of the parser, retold at the
//! place of the slip, which is often not the place where the parser noticed it.
//!
//! Values are repeated in labels only, so that whoever hides a secret can drop the label.

use super::scan::{Opened, scan};
use crate::diagnostics::{Diagnostic, FileId, Span};

/// Lines around the parser's place in which a tab is looked for.
const LINES_AROUND: usize = 2;

/// The error of a parser that stopped at byte `at` with these words.
pub(super) fn explain(file: FileId, text: &str, at: usize, info: &str) -> Diagnostic {
    let slip = Slip {
        file,
        text,
        at: at.min(text.len()),
        info,
    };
    slip.tab()
        .or_else(|| slip.unquoted())
        .or_else(|| slip.quote())
        .or_else(|| slip.bracket())
        .or_else(|| slip.colon())
        .or_else(|| slip.indentation())
        .unwrap_or_else(|| slip.error(at, 0, format!("this is not valid YAML: {info}")))
}

/// What to write for a value that YAML does not take as it stands: with its key, in quotes.
pub(super) fn in_quotes(text: &str, at: usize) -> String {
    let is_in_brackets = !scan(&text[..at]).brackets.is_empty();
    keyed(text, at, value_at(text, at, is_in_brackets))
}

/// The value that begins at a byte, with its key, in quotes.
fn keyed(text: &str, at: usize, value: &str) -> String {
    let start = line_start(text, at);
    let value = quoted(value);
    let before = text[start..at].trim_end();
    let key = before.strip_suffix(':').map(|before| {
        let start = before.rfind([' ', '{', '[', ',']).map_or(0, |at| at + 1);
        &before[start..]
    });
    match key {
        Some(key) => format!("write `{key}: {value}`"),
        None => format!("write `{value}`"),
    }
}

/// A key in braces that has its value in it, `{ path:data }`: for YAML a name with a colon, and no value.
pub(super) fn glued(text: &str, key: &str, span: Span) -> Option<Diagnostic> {
    let (name, value) = key.split_once(':')?;
    let has_colon = text[span.end as usize..].trim_start().starts_with(':');
    if has_colon || name.is_empty() || value.is_empty() {
        return None;
    }
    let message = format!("`{name}` has no value: a space is missing behind the colon");
    Some(
        Diagnostic::error("yaml-syntax", span.part(0, name.len() + 1), message)
            .label(format!("write `{name}: {value}`")),
    )
}

/// A key whose value was taken for a comment, `skip: #1`.
pub(super) fn commented(text: &str, key: &str, span: Span) -> Option<Diagnostic> {
    let end = span.end as usize;
    let rest = text[end..].trim_start().strip_prefix(':')?;
    let line = rest.lines().next()?;
    let value = line.trim();
    // A space behind the sign is how comments are written.
    let is_meant = value.strip_prefix('#')?.starts_with(char::is_alphanumeric);
    let at = text.len() - rest.len() + (line.len() - line.trim_start().len());
    let message = format!("`{key}` has no value: what follows `#` is a comment");
    let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let place = Span {
        start: byte(at),
        end: byte(at + value.len()),
        ..span
    };
    is_meant.then(|| Diagnostic::error("yaml-syntax", place, message).label(keyed(text, at, value)))
}

struct Slip<'a> {
    file: FileId,
    text: &'a str,
    at: usize,
    info: &'a str,
}

impl Slip<'_> {
    fn error(&self, at: usize, len: usize, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error("yaml-syntax", self.span(at, len), message)
    }

    fn span(&self, at: usize, len: usize) -> Span {
        let byte = |at: usize| u32::try_from(at.min(self.text.len())).unwrap_or(u32::MAX);
        Span {
            file: self.file,
            start: byte(at),
            end: byte(at + len),
        }
    }

    fn next(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn line_of(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    /// The line that holds a byte, and where it starts.
    fn line(&self, at: usize) -> (usize, &str) {
        let start = line_start(self.text, at);
        let line = self.text[start..].lines().next().unwrap_or_default();
        (start, line)
    }

    /// The last line above a byte's own that has more than white space and a comment.
    fn line_above(&self, at: usize) -> Option<(usize, &str)> {
        let mut start = line_start(self.text, at);
        while start > 0 {
            let (above, line) = self.line(start - 1);
            if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                return Some((above, line));
            }
            start = above;
        }
        None
    }

    fn tab(&self) -> Option<Diagnostic> {
        let (own, line) = self.line(self.at);
        let indented = |start: usize| {
            let (_, line) = self.line(start);
            let lead = line.len() - line.trim_start().len();
            line[..lead].find('\t').map(|tab| start + tab)
        };
        if self.info.contains("tab") {
            let first = self.line_of(own).saturating_sub(LINES_AROUND);
            let starts = std::iter::once(0)
                .chain(self.text.match_indices('\n').map(|(at, _)| at + 1))
                .skip(first.saturating_sub(1))
                .take(2 * LINES_AROUND + 1);
            if let Some(tab) = starts.filter_map(indented).next() {
                return Some(self.tab_at(tab, "a tab indents this line; YAML takes spaces only"));
            }
        }
        if let Some(tab) = indented(own).filter(|_| scan(&self.text[..own]).quote.is_none()) {
            return Some(self.tab_at(tab, "a tab indents this line; YAML takes spaces only"));
        }
        let is_behind = self.info.contains("whitespace") || self.info.contains("tab");
        let tab = line.find('\t').filter(|_| is_behind)?;
        Some(self.tab_at(
            own + tab,
            "a tab separates nothing here; YAML takes a space",
        ))
    }

    fn tab_at(&self, tab: usize, message: &str) -> Diagnostic {
        let rest = &self.text[tab..];
        let len = rest.len() - rest.trim_start_matches('\t').len();
        self.error(tab, len, message).label("write spaces here")
    }

    /// A value begins with a sign that has a meaning in YAML.
    fn unquoted(&self) -> Option<Diagnostic> {
        let sign = self.next()?;
        let is_reserved = self.info.starts_with("unexpected character");
        let is_anchor = self.info.contains("anchor");
        let is_block = self.info.contains("block scalar");
        let message = match sign {
            '`' if is_reserved => "YAML keeps the backtick for itself".to_owned(),
            '@' | '%' if is_reserved => format!("YAML keeps `{sign}` for itself"),
            '*' if is_anchor => "an unquoted `*` is an alias in YAML".to_owned(),
            '&' if is_anchor => "an unquoted `&` is an anchor in YAML".to_owned(),
            '|' | '>' if is_block => {
                format!("an unquoted `{sign}` begins a text of several lines in YAML")
            }
            '?' => "an unquoted `?` begins a key in YAML".to_owned(),
            _ => return None,
        };
        let is_in_brackets = !scan(&self.text[..self.at]).brackets.is_empty();
        let len = value_at(self.text, self.at, is_in_brackets).len();
        let message = format!("{message}; a value that begins with it goes in quotes");
        Some(
            self.error(self.at, len.max(1), message)
                .label(in_quotes(self.text, self.at)),
        )
    }

    fn quote(&self) -> Option<Diagnostic> {
        let sign = self.next();
        let is_open = self.info.contains("quoted scalar") && matches!(sign, Some('"' | '\''));
        if self.info.contains("escape") && sign == Some('"') {
            let inside = &self.text[self.at + 1..];
            let known = "0abtnvfre \"/\\N_LPxuU\n\t";
            let mut signs = inside.char_indices();
            while let Some((at, sign)) = signs.next() {
                if sign == '\\' && signs.next().is_some_and(|(_, next)| !known.contains(next)) {
                    let place = self.at + 1 + at;
                    let message = "this `\\` is no escape that YAML has in double quotes";
                    return Some(self.error(place, 2, message).label(
                        "single quotes take it as it stands; in double ones it is written `\\\\`",
                    ));
                }
            }
        }
        if is_open {
            let message = "this quote is not closed on its line";
            let label = format!("write the closing `{}`", sign.unwrap_or('"'));
            return Some(self.error(self.at, 1, message).label(label));
        }
        if !self.info.contains("trailing content") {
            return None;
        }
        let (start, end) = scan(&self.text[..self.at]).quoted?;
        let (first, last) = (self.line_of(start), self.line_of(end));
        if first != last {
            let message = format!("this quote closes only in line {last}");
            return Some(
                self.error(start, 1, message)
                    .label("a closing quote is missing behind it")
                    .related(self.span(end - 1, 1), "closed here"),
            );
        }
        let message = "the text in quotes ends before this";
        let raw = value_at(self.text, start, false);
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        let is_whole = raw.len() > 2 && raw.starts_with('\'') && raw.ends_with('\'');
        let label = if is_whole && !inner.contains('"') {
            format!("quotes inside are of the other kind: `{}`", quoted(inner))
        } else {
            "one pair of quotes goes around the whole value; inside, use the other kind".to_owned()
        };
        Some(self.error(self.at, 1, message).label(label))
    }

    fn bracket(&self) -> Option<Diagnostic> {
        let open = scan(&self.text[..self.at]).brackets;
        let found = self.next();
        let innermost = open.last()?;
        let closing = innermost.closing();
        match found {
            Some(closer @ (']' | '}')) if closer != closing => {
                let is_of_outer = open.iter().any(|one| one.closing() == closer);
                if is_of_outer {
                    return Some(self.unclosed(innermost).related(
                        self.span(self.at, 1),
                        format!("here `{closing}` was expected"),
                    ));
                }
                let message = format!("`{closer}` closes no bracket");
                let place = self.line_of(innermost.at);
                return Some(
                    self.error(self.at, 1, message)
                        .label(format!("the `{}` of line {place} is open", innermost.sign)),
                );
            }
            None => return Some(self.unclosed(innermost)),
            Some(_) => {}
        }
        // A line that stands no deeper than the one with the bracket goes on below it.
        let (start, line) = self.line(self.at);
        let depth = |line: &str| line.len() - line.trim_start().len();
        let (opened, opening) = self.line(innermost.at);
        if start != opened && depth(line) <= depth(opening) {
            return Some(self.unclosed(innermost));
        }
        if !self.info.contains("','") {
            return None;
        }
        let ends_word = |char: char| char.is_whitespace() || ",[]{}".contains(char);
        let word = self.text[..self.at]
            .trim_end_matches(|char| !ends_word(char))
            .len();
        if self.text[word..self.at].ends_with('$') && found == Some('{') {
            let value = until_bracket(self.line(word).1.get(word - start..).unwrap_or_default());
            let message = "in brackets a value with a variable goes in quotes";
            return Some(
                self.error(word, value.len(), message)
                    .label(keyed(self.text, word, value)),
            );
        }
        let message = format!("expected `,` or `{closing}` in these brackets");
        Some(
            self.error(word, self.at - word, message)
                .label("is a `,` missing before this?"),
        )
    }

    /// A ` #` behind a bracket, in a comment that holds what would close it.
    fn comment(&self, open: &Opened) -> Option<Diagnostic> {
        let (start, line) = self.line(open.at);
        let behind = &line[open.at - start..];
        let is_comment = |at: &usize| {
            let before = &self.text[..open.at + at];
            behind[at + 1..].contains(open.closing()) && scan(before).quote.is_none()
        };
        let sign = behind
            .match_indices(" #")
            .map(|(at, _)| at + 1)
            .find(is_comment)?;
        let value = behind[..sign].rfind(": ").map_or(1, |at| at + 2);
        let value = value + behind[value..].len() - behind[value..].trim_start().len();
        let whole = until_bracket(&behind[value..]);
        let message = format!(
            "` #` begins a comment, and the `{}` is in it",
            open.closing()
        );
        let len = behind.trim_end().len() - sign;
        let label = keyed(self.text, open.at + value, whole);
        Some(self.error(open.at + sign, len, message).label(label))
    }

    fn unclosed(&self, open: &Opened) -> Diagnostic {
        if let Some(comment) = self.comment(open) {
            return comment;
        }
        let message = format!("this `{}` is not closed", open.sign);
        let line = self.line_of(self.at);
        let diagnostic = self
            .error(open.at, 1, message)
            .label(format!("a `{}` is missing", open.closing()));
        match self.next() {
            Some(_) if line != self.line_of(open.at) => {
                diagnostic.note(format!("noticed in line {line}"))
            }
            _ => diagnostic,
        }
    }

    /// Too many colons on a line, or none.
    fn colon(&self) -> Option<Diagnostic> {
        if self.info.contains("simple key expect") {
            let (start, line) = self.line_above(self.at)?;
            let told = line.trim();
            let place = start + (line.len() - line.trim_start().len());
            let label = match told.split_once(':') {
                Some((key, value)) if !key.contains(' ') && !value.starts_with(' ') => {
                    format!("a space is missing: `{key}: {value}`")
                }
                _ => "a `:` is missing: `key: value`".to_owned(),
            };
            let message = "this line is no key with a value";
            return Some(self.error(place, told.len(), message).label(label));
        }
        if !self.info.contains("mapping values are not allowed") {
            return None;
        }
        let (start, line) = self.line(self.at);
        let before = &line[..self.at - start];
        if let Some(first) = before.find(": ") {
            let lead = line[first + 1..].len() - line[first + 1..].trim_start().len();
            let value = start + first + 1 + lead;
            let message = "a `:` with a space behind it begins a value, and this text has one";
            return Some(
                self.error(self.at, 1, message)
                    .label(in_quotes(self.text, value)),
            );
        }
        let (_, above) = self.line_above(self.at)?;
        let message = "this key stands below a line that has its value already";
        let lead = line.len() - line.trim_start().len();
        let indent = above.len() - above.trim_start().len();
        Some(
            self.error(start + lead, before.trim().len(), message)
                .label(format!(
                    "indented by {lead} spaces, and the line above by {indent}"
                )),
        )
    }

    fn indentation(&self) -> Option<Diagnostic> {
        if !self.info.contains("did not find expected key")
            && !self.info.contains("expected '-' indicator")
        {
            return None;
        }
        let (start, line) = self.line(self.at);
        let lead = line.len() - line.trim_start().len();
        let (_, above) = self.line_above(self.at)?;
        let indent = above.len() - above.trim_start().len();
        if self.info.contains("'-'") {
            let message = "a list goes on above, and this is no item of it";
            return Some(
                self.error(start + lead, line.trim().len(), message)
                    .label("begin an item with `- `, or indent this less"),
            );
        }
        let message = "this line belongs to nothing above it";
        Some(
            self.error(start + lead, line.trim().len(), message)
                .label(format!(
                    "indented by {lead} spaces, and the line above by {indent}"
                )),
        )
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |end| end + 1)
}

/// The value that begins at a byte, as a person sees it: to the end of the line or, in brackets, to
/// what ends it there.
fn value_at(text: &str, at: usize, is_in_brackets: bool) -> &str {
    let line = text[at..].lines().next().unwrap_or_default();
    let line = line.split(" #").next().unwrap_or_default();
    match is_in_brackets {
        true => until_bracket(line),
        false => line.trim_end(),
    }
}

/// A value in brackets, to what ends it.
fn until_bracket(line: &str) -> &str {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, sign) in line.char_indices() {
        match (quote, sign) {
            (Some(open), sign) if open == sign => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(sign),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ',' | ']' | '}') if depth == 0 => return line[..at].trim_end(),
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    line.trim_end()
}

fn quoted(value: &str) -> String {
    if value.contains(['"', '\\']) {
        format!("'{}'", value.replace('\'', "''"))
    } else {
        format!("\"{value}\"")
    }
}
