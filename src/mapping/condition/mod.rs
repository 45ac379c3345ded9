//! An expression where it stands in a file: its fields with their places, and what to write where
//! it is none, or is one that cannot be meant.

mod fixed;
mod slips;
mod tokens;

use self::slips::Slip;
use self::tokens::{Kind, tokens};
use super::compile::FieldUse;
use super::expression::{Expression, INVALID};
use super::paths::Path;
use crate::diagnostics::{Diagnostic, Node};
use crate::mapping::syntax::wrong_type;

/// Read the expression of a text.
pub fn read(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Expression> {
    let Some(text) = node.as_str() else {
        diagnostics.push(wrong_type(node, "a condition", "a text: an expression"));
        return None;
    };
    let read = Expression::parse(text);
    let slip = slips::find(text);
    let (slip, message) = match (read, slip) {
        (Ok(expression), None) => {
            diagnostics.extend(fixed::find(text).into_iter().map(|part| {
                let place = node.text_part(part.at, part.len);
                Diagnostic::error("fixed-text", place, part.message).label(part.label)
            }));
            return Some(expression);
        }
        // The grammar takes words with blanks between them for one name.
        (Ok(_), Some(slip)) => (slip, INVALID.to_owned()),
        (Err(error), Some(slip)) => (slip, error.message),
        (Err(error), None) => (Slip::of(&error, text), error.message),
    };
    let place = node.text_part(slip.at, slip.len);
    diagnostics.push(Diagnostic::error("bad-expression", place, message).label(slip.label));
    None
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

#[cfg(test)]
mod tests {
    use super::*;

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
