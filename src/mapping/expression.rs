//! `when` and `$if`: RFC 9535 logical expressions, with `@` for the event (or the item in `$each`).
//!
//! The grammar is jsonpath-rust's (the expression is read as the filter `$[?…]`); the meaning is
//! ours in one point: null counts as absent, so `@.a == null` holds for a member that is not there.

use std::cmp::Ordering;

use jsonpath_rust::parser::model::{
    Comparable, Comparison, Filter, FilterAtom, FnArg, JpQuery, Literal, Segment, Selector,
    SingularQuery, SingularQuerySegment, Test, TestFunction,
};
use jsonpath_rust::parser::parse_json_path;
use regex::Regex;
use serde_json::Value;

use super::paths::{self, PathError, Step};

/// Said of what cannot be read.
pub const INVALID: &str = "this is not a valid expression (RFC 9535)";

/// A compiled expression.
#[derive(Debug, Clone)]
pub enum Expression {
    /// `||`
    Or(Vec<Expression>),
    /// `&&`
    And(Vec<Expression>),
    /// `!`
    Not(Box<Expression>),
    /// A path that is there.
    Exists(Nodes),
    /// A comparison.
    Compare(Operand, Comparer, Operand),
    /// `match()` and `search()`.
    Pattern {
        /// The text.
        text: Operand,
        /// The pattern.
        pattern: Pattern,
        /// `match()`: the whole text.
        whole: bool,
    },
}

/// A pattern, compiled at load if it is a literal.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// Known at load.
    Fixed(Regex),
    /// From the event.
    Dynamic(Box<Operand>),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparer {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A path relative to `@`.
#[derive(Debug, Clone)]
pub enum Nodes {
    /// One place.
    One(Vec<Step>),
    /// Any number.
    Many(JpQuery),
}

/// One side of a comparison.
#[derive(Debug, Clone)]
pub enum Operand {
    /// A literal.
    Literal(Value),
    /// The value at a path.
    At(Vec<Step>),
    /// `length()`
    Length(Box<Operand>),
    /// `count()`
    Count(Nodes),
    /// `value()`
    Value(Nodes),
}

impl Expression {
    /// Read an expression.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        const HEAD: usize = "$[?".len();
        let wrapped = format!("$[?{text}]");
        let fail = |at: usize, message: String| PathError { at, message };
        let query = parse_json_path(&wrapped).map_err(|error| {
            let (at, _) = paths::explain(&error);
            let message = match &error {
                jsonpath_rust::parser::errors::JsonPathError::InvalidJsonPath(message) => {
                    message.clone()
                }
                _ => INVALID.to_owned(),
            };
            fail(at.saturating_sub(HEAD).min(text.len()), message)
        })?;
        let [Segment::Selector(Selector::Filter(filter))] = query.segments.as_slice() else {
            return Err(fail(0, INVALID.to_owned()));
        };
        if paths::uses_root(filter) {
            return Err(fail(
                text.find('$').unwrap_or(0),
                "`$` has no meaning in an expression; write `@` for the event".to_owned(),
            ));
        }
        paths::filter_is_valid(filter).map_err(|message| fail(0, message))?;
        lower(filter).map_err(|message| fail(0, message))
    }

    /// Whether it holds. `here` is what `@` stands for.
    pub fn holds(&self, here: &Value) -> bool {
        match self {
            Self::Or(all) => all.iter().any(|one| one.holds(here)),
            Self::And(all) => all.iter().all(|one| one.holds(here)),
            Self::Not(one) => !one.holds(here),
            Self::Exists(nodes) => nodes.exist(here),
            Self::Compare(left, how, right) => {
                how.compare(left.value(here).as_ref(), right.value(here).as_ref())
            }
            Self::Pattern {
                text,
                pattern,
                whole,
            } => {
                let Some(Value::String(text)) = text.value(here) else {
                    return false;
                };
                match pattern {
                    Pattern::Fixed(regex) => regex.is_match(&text),
                    Pattern::Dynamic(pattern) => match pattern.value(here) {
                        Some(Value::String(pattern)) => {
                            compile(&pattern, *whole).is_ok_and(|regex| regex.is_match(&text))
                        }
                        _ => false,
                    },
                }
            }
        }
    }

    /// Dotted names of the fields it looks at, for checks against a catalogue.
    pub fn fields(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect(&self, found: &mut Vec<String>) {
        match self {
            Self::Or(all) | Self::And(all) => all.iter().for_each(|one| one.collect(found)),
            Self::Not(one) => one.collect(found),
            Self::Exists(nodes) => nodes.collect(found),
            Self::Compare(left, _, right) => {
                left.collect(found);
                right.collect(found);
            }
            Self::Pattern { text, pattern, .. } => {
                text.collect(found);
                if let Pattern::Dynamic(pattern) = pattern {
                    pattern.collect(found);
                }
            }
        }
    }
}

impl Nodes {
    fn new(segments: &[Segment]) -> Self {
        if paths::singular(segments) {
            Self::One(
                segments
                    .iter()
                    .filter_map(|segment| match segment {
                        Segment::Selector(Selector::Name(name)) => Some(Step::Name(name.clone())),
                        Segment::Selector(Selector::Index(index)) => Some(Step::Index(*index)),
                        _ => None,
                    })
                    .collect(),
            )
        } else {
            Self::Many(JpQuery::new(segments.to_vec()))
        }
    }

    fn all<'a>(&self, here: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::One(steps) => paths::walk(here, steps)
                .filter(|value| !value.is_null())
                .into_iter()
                .collect(),
            Self::Many(query) => paths::nodes(query, here)
                .into_iter()
                .filter(|value| !value.is_null())
                .collect(),
        }
    }

    fn exist(&self, here: &Value) -> bool {
        match self {
            Self::One(steps) => paths::walk(here, steps).is_some_and(|value| !value.is_null()),
            Self::Many(_) => !self.all(here).is_empty(),
        }
    }

    fn collect(&self, found: &mut Vec<String>) {
        if let Self::One(steps) = self {
            collect_steps(steps, found);
        }
    }
}

fn collect_steps(steps: &[Step], found: &mut Vec<String>) {
    found.extend(paths::dotted(steps));
}

impl Operand {
    fn value(&self, here: &Value) -> Option<Value> {
        match self {
            Self::Literal(Value::Null) => None,
            Self::Literal(value) => Some(value.clone()),
            Self::At(steps) => paths::walk(here, steps)
                .filter(|value| !value.is_null())
                .cloned(),
            Self::Length(inner) => match inner.value(here)? {
                Value::String(text) => Some(Value::from(text.chars().count())),
                Value::Array(items) => Some(Value::from(items.len())),
                Value::Object(members) => Some(Value::from(members.len())),
                _ => None,
            },
            Self::Count(nodes) => Some(Value::from(nodes.all(here).len())),
            Self::Value(nodes) => match nodes.all(here).as_slice() {
                [one] => Some((*one).clone()),
                _ => None,
            },
        }
    }

    fn collect(&self, found: &mut Vec<String>) {
        match self {
            Self::Literal(_) => {}
            Self::At(steps) => collect_steps(steps, found),
            Self::Length(inner) => inner.collect(found),
            Self::Count(nodes) | Self::Value(nodes) => nodes.collect(found),
        }
    }
}

impl Comparer {
    /// Whether it is so of two values; `None` is absent.
    pub fn compare(self, left: Option<&Value>, right: Option<&Value>) -> bool {
        let equal = || match (left, right) {
            (None, None) => true,
            (Some(left), Some(right)) => equals(left, right),
            _ => false,
        };
        let order = || match (left, right) {
            (Some(Value::Number(left)), Some(Value::Number(right))) => number_order(left, right),
            (Some(Value::String(left)), Some(Value::String(right))) => Some(left.cmp(right)),
            _ => None,
        };
        match self {
            Self::Equal => equal(),
            Self::Unequal => !equal(),
            Self::Less => order() == Some(Ordering::Less),
            Self::Greater => order() == Some(Ordering::Greater),
            Self::LessOrEqual => order() == Some(Ordering::Less) || equal(),
            Self::GreaterOrEqual => order() == Some(Ordering::Greater) || equal(),
        }
    }
}

fn number_order(left: &serde_json::Number, right: &serde_json::Number) -> Option<Ordering> {
    match (
        left.to_string().parse::<i128>(),
        right.to_string().parse::<i128>(),
    ) {
        (Ok(left), Ok(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// Equality of JSON values: numbers by value, not by text.
pub fn equals(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => number_order(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equals(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| equals(value, other)))
        }
        _ => left == right,
    }
}

/// An I-Regexp; the dot does not match line ends, `match()` is anchored.
fn compile(pattern: &str, whole: bool) -> Result<Regex, regex::Error> {
    if whole {
        Regex::new(&format!("^(?:{pattern})$"))
    } else {
        Regex::new(pattern)
    }
}

/// What is wrong with a pattern, if it is none.
pub fn pattern_problem(pattern: &str) -> Option<String> {
    let said = Regex::new(pattern).err()?.to_string();
    let (_, reason) = said.rsplit_once("error: ").unwrap_or(("", &said));
    let message = format!("`{pattern}` is not a valid regular expression");
    Some(match reason.contains('\n') {
        true => message,
        false => format!("{message}: {reason}"),
    })
}

fn lower(filter: &Filter) -> Result<Expression, String> {
    Ok(match filter {
        Filter::Or(all) => Expression::Or(all.iter().map(lower).collect::<Result<_, _>>()?),
        Filter::And(all) => Expression::And(all.iter().map(lower).collect::<Result<_, _>>()?),
        Filter::Atom(FilterAtom::Filter { expr, not }) => negate(lower(expr)?, *not),
        Filter::Atom(FilterAtom::Test { expr, not }) => negate(lower_test(expr)?, *not),
        Filter::Atom(FilterAtom::Comparison(comparison)) => {
            let (left, right) = comparison.vals();
            let how = match **comparison {
                Comparison::Eq(..) => Comparer::Equal,
                Comparison::Ne(..) => Comparer::Unequal,
                Comparison::Gt(..) => Comparer::Greater,
                Comparison::Gte(..) => Comparer::GreaterOrEqual,
                Comparison::Lt(..) => Comparer::Less,
                Comparison::Lte(..) => Comparer::LessOrEqual,
            };
            Expression::Compare(operand(left)?, how, operand(right)?)
        }
    })
}

fn negate(expression: Expression, not: bool) -> Expression {
    if not {
        Expression::Not(Box::new(expression))
    } else {
        expression
    }
}

fn lower_test(test: &Test) -> Result<Expression, String> {
    match test {
        Test::RelQuery(segments) => Ok(Expression::Exists(Nodes::new(segments))),
        Test::AbsQuery(_) => Err("`$` has no meaning in an expression".to_owned()),
        Test::Function(function) => match &**function {
            TestFunction::Match(text, pattern) => lower_pattern(text, pattern, true),
            TestFunction::Search(text, pattern) => lower_pattern(text, pattern, false),
            other => Err(format!(
                "`{other}` cannot stand here; compare it with something"
            )),
        },
    }
}

fn lower_pattern(text: &FnArg, pattern: &FnArg, whole: bool) -> Result<Expression, String> {
    let pattern = match argument(pattern)? {
        Operand::Literal(Value::String(pattern)) => {
            if let Some(problem) = pattern_problem(&pattern) {
                return Err(problem);
            }
            Pattern::Fixed(compile(&pattern, whole).map_err(|error| error.to_string())?)
        }
        other => Pattern::Dynamic(Box::new(other)),
    };
    Ok(Expression::Pattern {
        text: argument(text)?,
        pattern,
        whole,
    })
}

fn operand(side: &Comparable) -> Result<Operand, String> {
    match side {
        Comparable::Literal(literal) => Ok(Operand::Literal(literal_value(literal))),
        Comparable::SingularQuery(SingularQuery::Current(steps)) => Ok(Operand::At(
            steps
                .iter()
                .map(|step| match step {
                    SingularQuerySegment::Name(name) => Step::Name(name.clone()),
                    SingularQuerySegment::Index(index) => Step::Index(*index),
                })
                .collect(),
        )),
        Comparable::SingularQuery(SingularQuery::Root(_)) => {
            Err("`$` has no meaning in an expression".to_owned())
        }
        Comparable::Function(function) => function_operand(function),
    }
}

fn function_operand(function: &TestFunction) -> Result<Operand, String> {
    match function {
        TestFunction::Length(inner) => Ok(Operand::Length(Box::new(argument(inner)?))),
        TestFunction::Count(inner) => Ok(Operand::Count(nodes(inner)?)),
        TestFunction::Value(inner) => Ok(Operand::Value(nodes(inner)?)),
        other => Err(format!("`{other}` cannot be compared")),
    }
}

fn argument(argument: &FnArg) -> Result<Operand, String> {
    match argument {
        FnArg::Literal(literal) => Ok(Operand::Literal(literal_value(literal))),
        FnArg::Test(test) => match &**test {
            Test::RelQuery(segments) => match Nodes::new(segments) {
                Nodes::One(steps) => Ok(Operand::At(steps)),
                many => Ok(Operand::Value(many)),
            },
            Test::AbsQuery(_) => Err("`$` has no meaning in an expression".to_owned()),
            Test::Function(function) => function_operand(function),
        },
        FnArg::Filter(_) => Err("an expression cannot be an argument".to_owned()),
    }
}

fn nodes(argument: &FnArg) -> Result<Nodes, String> {
    match argument {
        FnArg::Test(test) => match &**test {
            Test::RelQuery(segments) => Ok(Nodes::new(segments)),
            _ => Err("a path is expected as argument".to_owned()),
        },
        _ => Err("a path is expected as argument".to_owned()),
    }
}

fn literal_value(literal: &Literal) -> Value {
    match literal {
        Literal::Int(number) => Value::from(*number),
        Literal::Float(number) => Value::from(*number),
        Literal::String(text) => Value::from(text.as_str()),
        Literal::Bool(flag) => Value::from(*flag),
        Literal::Null => Value::Null,
    }
}
