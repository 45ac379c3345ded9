//! JSONPath: read at load, followed at run time.
//!
//! A path that can match one place only (names and indexes) becomes a list of steps; any other is
//! handed to jsonpath-rust, compiled once. Null counts as absent everywhere.

use jsonpath_rust::parser::errors::JsonPathError;
use jsonpath_rust::parser::model::{
    Comparable, Filter, FilterAtom, FnArg, JpQuery, Segment, Selector, SingularQuery, Test,
    TestFunction,
};
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

/// What a path starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// `$`: the event.
    Event,
    /// `$item`: the item at hand inside `$each`.
    Item,
}

/// One step of a singular path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member.
    Name(String),
    /// A place in a list; negative counts from the end.
    Index(i64),
}

/// A compiled path.
#[derive(Debug, Clone)]
pub struct Path {
    /// As written.
    pub text: String,
    /// What it starts from.
    pub root: Root,
    /// Its beginning up to the first step that may match many.
    pub steps: Vec<Step>,
    /// The whole query, if it may match many places.
    pub query: Option<JpQuery>,
}

/// A mistake in a path or expression: where (bytes into the text) and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathError {
    /// Bytes into the text.
    pub at: usize,
    /// One sentence.
    pub message: String,
}

/// Whether a text is a path and not plain text.
pub fn is_path(text: &str) -> bool {
    text == "$" || text.starts_with("$.") || text.starts_with("$[") || is_item(text)
}

/// Whether a text is plain but looks as if a path was meant: `$` and a letter.
pub fn is_like_path(text: &str) -> bool {
    !is_path(text)
        && text
            .strip_prefix('$')
            .is_some_and(|rest| rest.starts_with(char::is_alphabetic))
}

/// Whether a text without `$` has the form of a path: names behind one another, no white space.
pub fn is_dotted(text: &str) -> bool {
    let begins = |text: &str| text.starts_with(|first: char| first.is_alphabetic() || first == '_');
    begins(text)
        && text.contains('.')
        && !text.contains(char::is_whitespace)
        && Path::parse(&format!("$.{text}"))
            .is_ok_and(|path| path.dotted().is_some_and(|dotted| dotted.contains('.')))
}

/// The path with names in brackets that cannot stand after a dot, if that makes it valid.
pub fn bracketed(text: &str) -> Option<String> {
    let mut made = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = if first == '[' {
            // As it stands; a `]` in quotes makes no valid path here, and so no hint.
            rest.find(']')? + 1
        } else if first == '.' {
            let name = &rest[1..];
            let name = &name[..name.find(['.', '[']).unwrap_or(name.len())];
            let is_short = name
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || one == '_' || !one.is_ascii());
            if name.bytes().all(|one| one.is_ascii_digit()) && !name.is_empty() {
                made.push_str(&format!("[{name}]"));
            } else if name == "*" || is_short && !name.starts_with(|one: char| one.is_ascii_digit())
            {
                made.push_str(&rest[..=name.len()]);
            } else {
                if name != name.trim() || name.contains(['\'', '\\']) {
                    return None;
                }
                made.push_str(&format!("['{name}']"));
            }
            rest = &rest[1 + name.len()..];
            continue;
        } else {
            first.len_utf8()
        };
        made.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    (made != text && Path::parse(&made).is_ok()).then_some(made)
}

fn is_item(text: &str) -> bool {
    text.strip_prefix("$item")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with('['))
}

/// The steps of a path that is nothing but short names, as nearly all are; `None` for any other. A
/// set has over a thousand of them, and by the grammar they took half the time of reading it.
fn short_steps(rest: &str) -> Option<Vec<Step>> {
    let is_letter = |one: u8| one.is_ascii_alphabetic() || one == b'_';
    let step = |name: &str| {
        let is_short = name.bytes().next().is_some_and(is_letter)
            && name
                .bytes()
                .all(|one| is_letter(one) || one.is_ascii_digit());
        is_short.then(|| Step::Name(name.to_owned()))
    };
    rest.strip_prefix('.')?.split('.').map(step).collect()
}

impl Path {
    /// Read a path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let (root, prefix) = if is_item(text) {
            (Root::Item, "$item".len())
        } else {
            (Root::Event, 1)
        };
        let rest = text.get(prefix..).unwrap_or_default();
        if let Some(steps) = short_steps(rest) {
            return Ok(Self {
                text: text.to_owned(),
                root,
                steps,
                query: None,
            });
        }
        let query = format!("${rest}");
        if query != query.trim_end() {
            return Err(PathError {
                at: text.trim_end().len(),
                message: "a path must not end with white space".to_owned(),
            });
        }
        let query = parse_json_path(&query).map_err(|error| {
            let (at, message) = explain(&error);
            PathError {
                at: (at + prefix).saturating_sub(1).min(text.len()),
                message,
            }
        })?;
        segments_are_valid(&query.segments).map_err(|message| PathError { at: 0, message })?;
        let mut steps = Vec::new();
        for segment in &query.segments {
            match segment {
                Segment::Selector(Selector::Name(name)) => steps.push(Step::Name(name.clone())),
                Segment::Selector(Selector::Index(index)) => steps.push(Step::Index(*index)),
                _ => break,
            }
        }
        let singular = steps.len() == query.segments.len();
        Ok(Self {
            text: text.to_owned(),
            root,
            steps,
            query: (!singular).then_some(query),
        })
    }

    /// Whether it can match one place only.
    pub fn is_singular(&self) -> bool {
        self.query.is_none()
    }

    /// The one place, null included. `None` for paths that may match many.
    pub fn find<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        if self.query.is_some() {
            return None;
        }
        walk(root, &self.steps)
    }

    /// All places of a path that may match many, nulls left out.
    pub fn find_all<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        match &self.query {
            None => self
                .find(root)
                .filter(|value| !value.is_null())
                .into_iter()
                .collect(),
            Some(query) => nodes(query, root)
                .into_iter()
                .filter(|value| !value.is_null())
                .collect(),
        }
    }

    /// The dotted name of the place in the event, as catalogues write it; up to the first index.
    pub fn dotted(&self) -> Option<String> {
        dotted(&self.steps).filter(|_| self.root == Root::Event)
    }

    /// For a path that takes whole children of its beginning: their names, or `None` for all.
    pub fn children(&self) -> Option<Option<Vec<String>>> {
        let query = self.query.as_ref()?;
        if query.segments.len() != self.steps.len() + 1 {
            return None;
        }
        match query.segments.last()? {
            Segment::Selector(Selector::Wildcard) => Some(None),
            Segment::Selectors(all) => {
                if all.iter().any(|one| matches!(one, Selector::Wildcard)) {
                    return Some(None);
                }
                Some(Some(
                    all.iter()
                        .filter_map(|one| match one {
                            Selector::Name(name) => Some(name.clone()),
                            _ => None,
                        })
                        .collect(),
                ))
            }
            _ => None,
        }
    }
}

/// The dotted name that steps begin with, up to the first index.
pub fn dotted(steps: &[Step]) -> Option<String> {
    let names: Vec<&str> = steps
        .iter()
        .map_while(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Index(_) => None,
        })
        .collect();
    // A name with a dot in it is no field of a catalogue.
    let is_plain = !names.is_empty() && names.iter().all(|name| !name.contains('.'));
    is_plain.then(|| names.join("."))
}

/// Follow steps down a tree.
pub fn walk<'a>(root: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    let mut here = root;
    for step in steps {
        here = match step {
            Step::Name(name) => here.as_object()?.get(name)?,
            Step::Index(index) => {
                let items = here.as_array()?;
                let at = if *index < 0 {
                    items
                        .len()
                        .checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
                } else {
                    usize::try_from(*index).ok()?
                };
                items.get(at)?
            }
        };
    }
    Some(here)
}

/// All nodes of a query.
pub fn nodes<'a>(query: &JpQuery, root: &'a Value) -> Vec<&'a Value> {
    js_path_process(query, root)
        .map(|found| found.into_iter().map(|one| one.val).collect())
        .unwrap_or_default()
}

/// Place and sentence of a parser's error.
pub fn explain(error: &JsonPathError) -> (usize, String) {
    match error {
        JsonPathError::PestError(error) => {
            // The error's own type is not ours to name; its text begins with ` --> line:column`.
            let shown = error.to_string();
            let at = shown
                .split_once("--> 1:")
                .map(|(_, rest)| {
                    rest.chars()
                        .take_while(char::is_ascii_digit)
                        .collect::<String>()
                })
                .and_then(|column| column.parse::<usize>().ok())
                .map_or(0, |column| column.saturating_sub(1));
            (at, "this is not a valid JSONPath (RFC 9535)".to_owned())
        }
        JsonPathError::InvalidJsonPath(message) => (0, message.clone()),
        JsonPathError::MaxNestingDepthExceeded(most) => {
            (0, format!("nested more than {most} levels deep"))
        }
        _ => (0, "this is not a valid JSONPath (RFC 9535)".to_owned()),
    }
}

/// What RFC 9535 forbids and the parser takes: functions of other standards, results of the wrong kind.
pub fn segments_are_valid(segments: &[Segment]) -> Result<(), String> {
    segments.iter().try_for_each(|segment| match segment {
        Segment::Descendant(inner) => segments_are_valid(std::slice::from_ref(inner)),
        Segment::Selector(selector) => selector_is_valid(selector),
        Segment::Selectors(all) => all.iter().try_for_each(selector_is_valid),
    })
}

fn selector_is_valid(selector: &Selector) -> Result<(), String> {
    match selector {
        Selector::Filter(filter) => filter_is_valid(filter),
        _ => Ok(()),
    }
}

/// As [`segments_are_valid`], for a filter.
pub fn filter_is_valid(filter: &Filter) -> Result<(), String> {
    match filter {
        Filter::Or(all) | Filter::And(all) => all.iter().try_for_each(filter_is_valid),
        Filter::Atom(atom) => match atom {
            FilterAtom::Filter { expr, .. } => filter_is_valid(expr),
            FilterAtom::Test { expr, .. } => match &**expr {
                Test::RelQuery(segments) => segments_are_valid(segments),
                Test::AbsQuery(query) => segments_are_valid(&query.segments),
                Test::Function(function) => match &**function {
                    TestFunction::Search(..) | TestFunction::Match(..) => {
                        function_is_valid(function)
                    }
                    TestFunction::Custom(name, _) => Err(unknown_function(name)),
                    TestFunction::Length(_) => Err(uncompared("length")),
                    TestFunction::Value(_) => Err(uncompared("value")),
                    TestFunction::Count(_) => Err(uncompared("count")),
                },
            },
            FilterAtom::Comparison(comparison) => {
                let (left, right) = comparison.vals();
                [left, right].into_iter().try_for_each(|side| match side {
                    Comparable::Literal(_) | Comparable::SingularQuery(_) => Ok(()),
                    Comparable::Function(function) => match function {
                        TestFunction::Search(..) | TestFunction::Match(..) => Err(
                            "`match()` and `search()` are true or false and cannot be compared"
                                .to_owned(),
                        ),
                        TestFunction::Custom(name, _) => Err(unknown_function(name)),
                        _ => function_is_valid(function),
                    },
                })
            }
        },
    }
}

fn uncompared(name: &str) -> String {
    format!("the result of `{name}()` must be compared with something")
}

fn unknown_function(name: &str) -> String {
    format!(
        "there is no function `{name}()`; there are match(), search(), length(), count(), value()"
    )
}

fn function_is_valid(function: &TestFunction) -> Result<(), String> {
    match function {
        TestFunction::Custom(name, _) => Err(unknown_function(name)),
        TestFunction::Length(argument) => value_argument("length", argument),
        TestFunction::Value(argument) => nodes_argument("value", argument),
        TestFunction::Count(argument) => nodes_argument("count", argument),
        TestFunction::Search(left, right) => {
            value_argument("search", left).and_then(|()| value_argument("search", right))
        }
        TestFunction::Match(left, right) => {
            value_argument("match", left).and_then(|()| value_argument("match", right))
        }
    }
}

fn value_argument(name: &str, argument: &FnArg) -> Result<(), String> {
    let many = || format!("`{name}()` takes one value; this path can match many places");
    match argument {
        FnArg::Literal(_) => Ok(()),
        FnArg::Test(test) => match &**test {
            Test::RelQuery(segments) if singular(segments) => Ok(()),
            Test::AbsQuery(query) if singular(&query.segments) => Ok(()),
            Test::RelQuery(_) | Test::AbsQuery(_) => Err(many()),
            Test::Function(function) if function.is_comparable() => function_is_valid(function),
            Test::Function(_) => Err(format!("`{name}()` takes a value, not true or false")),
        },
        FnArg::Filter(_) => Err(format!("`{name}()` takes a value, not an expression")),
    }
}

fn nodes_argument(name: &str, argument: &FnArg) -> Result<(), String> {
    match argument {
        FnArg::Test(test) => match &**test {
            Test::RelQuery(segments) => segments_are_valid(segments),
            Test::AbsQuery(query) => segments_are_valid(&query.segments),
            Test::Function(_) => Err(format!("`{name}()` takes a path")),
        },
        _ => Err(format!("`{name}()` takes a path")),
    }
}

/// Whether segments can match one place only.
pub fn singular(segments: &[Segment]) -> bool {
    segments.iter().all(|segment| {
        matches!(
            segment,
            Segment::Selector(Selector::Name(_) | Selector::Index(_))
        )
    })
}

/// Whether `$` occurs anywhere in a filter.
pub fn uses_root(filter: &Filter) -> bool {
    fn in_segments(segments: &[Segment]) -> bool {
        segments.iter().any(|segment| match segment {
            Segment::Descendant(inner) => in_segments(std::slice::from_ref(inner)),
            Segment::Selector(one) => in_selector(one),
            Segment::Selectors(all) => all.iter().any(in_selector),
        })
    }
    fn in_selector(selector: &Selector) -> bool {
        matches!(selector, Selector::Filter(filter) if uses_root(filter))
    }
    fn in_test(test: &Test) -> bool {
        match test {
            Test::RelQuery(segments) => in_segments(segments),
            Test::AbsQuery(_) => true,
            Test::Function(function) => in_function(function),
        }
    }
    fn in_argument(argument: &FnArg) -> bool {
        match argument {
            FnArg::Literal(_) => false,
            FnArg::Test(test) => in_test(test),
            FnArg::Filter(filter) => uses_root(filter),
        }
    }
    fn in_function(function: &TestFunction) -> bool {
        match function {
            TestFunction::Custom(_, all) => all.iter().any(in_argument),
            TestFunction::Length(one) => in_argument(one),
            TestFunction::Value(one) | TestFunction::Count(one) => in_argument(one),
            TestFunction::Search(a, b) | TestFunction::Match(a, b) => {
                in_argument(a) || in_argument(b)
            }
        }
    }
    match filter {
        Filter::Or(all) | Filter::And(all) => all.iter().any(uses_root),
        Filter::Atom(FilterAtom::Filter { expr, .. }) => uses_root(expr),
        Filter::Atom(FilterAtom::Test { expr, .. }) => in_test(expr),
        Filter::Atom(FilterAtom::Comparison(comparison)) => {
            let (left, right) = comparison.vals();
            [left, right].into_iter().any(|side| match side {
                Comparable::Literal(_) => false,
                Comparable::Function(function) => in_function(function),
                Comparable::SingularQuery(query) => matches!(query, SingularQuery::Root(_)),
            })
        }
    }
}
