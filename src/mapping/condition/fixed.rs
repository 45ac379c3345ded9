//! Parts of an expression that are the same for every event: a text where a path belongs.

use super::tokens::{Kind, Token, arguments, tokens, unquoted};
use crate::mapping::paths::{Path, is_dotted};

/// A part with its place, what is wrong with it, and what to write.
pub(super) struct Fixed {
    pub at: usize,
    pub len: usize,
    pub message: String,
    pub label: String,
}

/// All of them in an expression that can be read.
pub(super) fn find(text: &str) -> Vec<Fixed> {
    let mut inside = 0;
    let mut found = Vec::new();
    for token in tokens(text) {
        if token.at < inside {
            continue;
        }
        let own = token.text(text);
        match token.kind {
            Kind::Function if matches!(own, "match" | "search") => {
                if let Some((arguments, end)) = arguments(text, token.end()) {
                    found.extend(call(text, &token, &arguments, end));
                    inside = end;
                }
            }
            Kind::Quoted => {
                let path = unquoted(own);
                if path.starts_with("@.") && is_path(&path) {
                    found.push(Fixed {
                        at: token.at,
                        len: token.len,
                        message: format!("this is the text `{path}`, the same for every event"),
                        label: format!("write `{path}`, without the quotes"),
                    });
                }
            }
            _ => {}
        }
    }
    found
}

fn call(text: &str, token: &Token, arguments: &[(usize, usize)], end: usize) -> Option<Fixed> {
    let name = token.text(text);
    let [(at, len), (other_at, other_len)] = arguments else {
        return None;
    };
    let (first, second) = (&text[*at..at + len], &text[*other_at..other_at + other_len]);
    if !first.starts_with(['\'', '"']) {
        return None;
    }
    let said = unquoted(first);
    if second.starts_with('@') {
        return Some(Fixed {
            at: token.at,
            len: end - token.at,
            message: format!("`{name}` looks in its first argument, and that is a fixed text"),
            label: format!("write `{name}({second}, {first})`"),
        });
    }
    let path = match said.strip_prefix("$.") {
        Some(rest) => format!("@.{rest}"),
        None if is_dotted(&said) => format!("@.{said}"),
        None => said,
    };
    Some(Fixed {
        at: *at,
        len: *len,
        message: format!("`{name}` looks in its first argument, and this is a fixed text"),
        label: match is_path(&path) {
            true => format!("write `{path}`, without the quotes"),
            false => format!("write the path of a field: `{name}(@.path, 'pattern')`"),
        },
    })
}

fn is_path(text: &str) -> bool {
    text.strip_prefix('@')
        .is_some_and(|rest| rest.len() > 1 && Path::parse(&format!("${rest}")).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_the_place_of_a_path_is_known() {
        for (text, place, label) in [
            (
                "@.b && search('/sale', @.a)",
                "search('/sale', @.a)",
                "write `search(@.a, '/sale')`",
            ),
            (
                "match('@.a', 'x')",
                "'@.a'",
                "write `@.a`, without the quotes",
            ),
            (
                "search('a.b', 'x')",
                "'a.b'",
                "write `@.a.b`, without the quotes",
            ),
            ("'@.a' == 'x'", "'@.a'", "write `@.a`, without the quotes"),
            (
                "search('x', 'y')",
                "'x'",
                "write the path of a field: `search(@.path, 'pattern')`",
            ),
        ] {
            let found = find(text);
            let [one] = found.as_slice() else {
                panic!("{text}: {}", found.len());
            };
            assert_eq!(&text[one.at..one.at + one.len], place, "{text}");
            assert_eq!(one.label, label, "{text}");
        }
        for text in [
            "search(@.a, '@.b')",
            "search(@.a, @.b)",
            "@.a == '@ home' || '@' == @.b",
        ] {
            assert!(find(text).is_empty(), "{text}");
        }
    }
}
