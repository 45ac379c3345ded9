//! Where the parts of a rule's documents come from, in words.

use super::Output;
use super::plan::{Action, Expr, Object, Rule, Source};
use crate::diagnostics::Span;

/// Where the parts of a rule's documents come from.
pub fn outputs(rule: &Rule) -> Vec<Output> {
    let mut found = Vec::new();
    if let Action::Emit(documents) = &rule.action {
        for (name, object) in documents {
            let mut add = |path: String, source: String, place: Span| {
                found.push(Output {
                    rule: rule.name.to_string(),
                    document: name.as_ref().map(ToString::to_string),
                    path,
                    source,
                    place,
                });
            };
            object_outputs(object, "", &mut add);
        }
    }
    found
}

fn object_outputs(object: &Object, prefix: &str, add: &mut dyn FnMut(String, String, Span)) {
    for member in &object.members {
        let path = format!("{prefix}{}", member.key);
        match &member.value {
            Expr::Object(inner) => object_outputs(inner, &format!("{path}."), add),
            Expr::Omit | Expr::Unknown => {}
            other => add(path, describe(other), member.span),
        }
    }
    for copy in &object.copies {
        add(
            format!("{prefix}*"),
            format!("$copy of {}", copy.from.text),
            copy.span,
        );
    }
    for rest in &object.rests {
        add(
            format!("{prefix}*"),
            format!("$rest of {}", rest.from.text),
            rest.span,
        );
    }
}

fn describe(expr: &Expr) -> String {
    match expr {
        Expr::Const(_) => "constant".to_owned(),
        Expr::Path(path) => path.text.clone(),
        Expr::List(_) => "list".to_owned(),
        Expr::Object(_) => "object".to_owned(),
        Expr::Omit | Expr::Unknown => String::new(),
        Expr::Operator(operator) => match &operator.source {
            Source::From { paths, .. } => paths
                .iter()
                .map(|path| path.text.as_str())
                .collect::<Vec<_>>()
                .join(" or "),
            Source::Const(_) => "constant".to_owned(),
            Source::Lookup { key, .. } => format!("$lookup of {}", describe(key)),
            Source::Text(_) => "$text".to_owned(),
            Source::If { .. } => "$if".to_owned(),
            Source::Each { items, .. } => format!("$each of {}", describe(items)),
        },
    }
}
