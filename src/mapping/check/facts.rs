//! What is known to be there once an expression holds, or does not hold.
//!
//! A fact is a set of paths of which at least one has a value; no conclusion is drawn beyond that.

use std::collections::BTreeSet;

use crate::mapping::expression::{Comparer, Expression, Nodes, Operand, Pattern};
use crate::mapping::paths::dotted;
use serde_json::Value;

/// Dotted paths of which at least one has a value.
pub type Clause = BTreeSet<String>;

/// More than this is not followed; real conditions have a handful.
const CLAUSES_MAX: usize = 64;

/// What is there when the expression holds.
pub fn when_holds(expression: &Expression) -> Vec<Clause> {
    match expression {
        Expression::And(all) => all.iter().flat_map(when_holds).collect(),
        Expression::Or(all) => either(all.iter().map(when_holds)),
        Expression::Not(one) => when_fails(one),
        Expression::Exists(Nodes::One(steps)) => there(steps),
        Expression::Exists(Nodes::Many(_)) => Vec::new(),
        Expression::Compare(left, how, right) => compared(left, *how, right),
        Expression::Pattern { text, pattern, .. } => {
            let mut all = operand(text);
            if let Pattern::Dynamic(pattern) = pattern {
                all.extend(operand(pattern));
            }
            all
        }
    }
}

/// What is there when the expression does not hold.
pub fn when_fails(expression: &Expression) -> Vec<Clause> {
    match expression {
        Expression::Or(all) => all.iter().flat_map(when_fails).collect(),
        Expression::And(all) => either(all.iter().map(when_fails)),
        Expression::Not(one) => when_holds(one),
        Expression::Compare(left, Comparer::Equal, right) => not_null(left, right),
        _ => Vec::new(),
    }
}

fn there(steps: &[crate::mapping::paths::Step]) -> Vec<Clause> {
    dotted(steps)
        .map(|path| Clause::from([path]))
        .into_iter()
        .collect()
}

fn operand(side: &Operand) -> Vec<Clause> {
    match side {
        Operand::At(steps) => there(steps),
        Operand::Length(inner) => operand(inner),
        Operand::Literal(_) | Operand::Count(_) | Operand::Value(_) => Vec::new(),
    }
}

/// `@.a != null`, or `!(@.a == null)`: something is there.
fn not_null(left: &Operand, right: &Operand) -> Vec<Clause> {
    match (left, right) {
        (side, Operand::Literal(Value::Null)) | (Operand::Literal(Value::Null), side) => {
            operand(side)
        }
        _ => Vec::new(),
    }
}

fn compared(left: &Operand, how: Comparer, right: &Operand) -> Vec<Clause> {
    let is_null = |side: &Operand| matches!(side, Operand::Literal(Value::Null));
    match how {
        Comparer::Unequal => not_null(left, right),
        Comparer::Less | Comparer::Greater => {
            let mut all = operand(left);
            all.extend(operand(right));
            all
        }
        // Two absent values are equal: only a literal says that something is there.
        Comparer::Equal | Comparer::LessOrEqual | Comparer::GreaterOrEqual => match (left, right) {
            (side, other @ Operand::Literal(_)) | (other @ Operand::Literal(_), side)
                if !is_null(other) =>
            {
                operand(side)
            }
            _ => Vec::new(),
        },
    }
}

/// One of several alternatives is true: one clause of each, joined.
fn either(all: impl Iterator<Item = Vec<Clause>>) -> Vec<Clause> {
    all.reduce(|one, other| {
        one.iter()
            .flat_map(|a| other.iter().map(move |b| a.union(b).cloned().collect()))
            .take(CLAUSES_MAX)
            .collect()
    })
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(clauses: &[Clause]) -> String {
        let each: Vec<String> = clauses
            .iter()
            .map(|clause| clause.iter().cloned().collect::<Vec<_>>().join("|"))
            .collect();
        each.join(" ")
    }

    #[test]
    fn a_condition_tells_what_is_there() {
        for (text, holds, fails) in [
            ("@.a", "a", ""),
            ("!@.a", "", "a"),
            ("@.a.b && @.c == 1", "a.b c", ""),
            ("@.a || @.b", "a|b", ""),
            ("!@.a && !@.b", "", "a|b"),
            ("!(@.a && @.b)", "", "a b"),
            ("@.a == null", "", "a"),
            ("@.a != null", "a", ""),
            ("@.a != 1", "", ""),
            ("@.a == @.b", "", ""),
            ("@.a < @.b", "a b", ""),
            ("@.a <= 3", "a", ""),
            ("search(@.a, 'x')", "a", ""),
            ("length(@.a) > 2", "a", ""),
            ("@.a[0]", "a", ""),
        ] {
            let expression = Expression::parse(text).expect(text);
            assert_eq!(told(&when_holds(&expression)), holds, "{text}");
            assert_eq!(told(&when_fails(&expression)), fails, "not {text}");
        }
    }
}
