//! The plain evaluator: a plan over a JSON tree. Right first; the reference for any faster one.
//!
//! Pure: the same event gives the same bytes. Nothing here panics, whatever the event is.

use serde_json::{Map, Value};

use super::convert::plain_text;
use super::paths::{Path, Root};
use super::plan::{Copy, Expr, Object, Operator, Policy, Rest, Source, TextPart};

/// Why a document did not come to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Left out knowingly.
    Skip(String),
    /// Cannot be made.
    Dead {
        /// Short, without values.
        reason: String,
        /// For people, without values.
        detail: String,
    },
}

/// What paths start from.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// `$`
    pub event: &'a Value,
    /// `$item`
    pub item: Option<&'a Value>,
}

impl<'a> Scope<'a> {
    fn root(self, path: &Path) -> Option<&'a Value> {
        match path.root {
            Root::Event => Some(self.event),
            Root::Item => self.item,
        }
    }

    /// The value at a path; null only if it is to be kept.
    pub fn at(self, path: &Path, keeps_null: bool) -> Option<Value> {
        let root = self.root(path)?;
        if path.is_singular() {
            return path
                .find(root)
                .filter(|value| keeps_null || !value.is_null())
                .cloned();
        }
        let found = path.find_all(root);
        (!found.is_empty()).then(|| Value::Array(found.into_iter().cloned().collect()))
    }
}

/// Make a document; an absent one is an empty object.
///
/// # Errors
/// When a value decides that there is no document.
pub fn document(plan: &Object, event: &Value) -> Result<Map<String, Value>, Stop> {
    let scope = Scope { event, item: None };
    members(plan, scope)
}

/// Make one value; `None` when there is nothing.
///
/// # Errors
/// When it decides that there is no document.
pub fn value(expr: &Expr, scope: Scope<'_>) -> Result<Option<Value>, Stop> {
    match expr {
        Expr::Const(Value::Null) | Expr::Omit | Expr::Unknown => Ok(None),
        Expr::Const(value) => Ok(Some(value.clone())),
        Expr::Path(path) => Ok(scope.at(path, false)),
        Expr::Object(object) => {
            let made = members(object, scope)?;
            Ok((!made.is_empty()).then_some(Value::Object(made)))
        }
        Expr::List(items) => {
            let mut made = Vec::with_capacity(items.len());
            for item in items {
                made.extend(value(item, scope)?);
            }
            Ok((items.is_empty() || !made.is_empty()).then_some(Value::Array(made)))
        }
        Expr::Operator(operator) => self::operator(operator, scope),
    }
}

fn members(object: &Object, scope: Scope<'_>) -> Result<Map<String, Value>, Stop> {
    let mut made = Map::new();
    for member in &object.members {
        if let Some(value) = value(&member.value, scope)? {
            made.insert(member.key.clone(), value);
        }
    }
    // An explicit key says what stands there, also when it is absent.
    let is_explicit = |key: &str| object.members.iter().any(|member| member.key == key);
    for copy in &object.copies {
        spread_copy(copy, scope, &mut made, is_explicit);
    }
    for rest in &object.rests {
        spread_rest(rest, scope, &mut made, is_explicit);
    }
    Ok(made)
}

fn spread_copy(
    copy: &Copy,
    scope: Scope<'_>,
    made: &mut Map<String, Value>,
    is_explicit: impl Fn(&str) -> bool,
) {
    let Some(Value::Object(source)) = scope.root(&copy.from).and_then(|root| copy.from.find(root))
    else {
        return;
    };
    for (key, value) in source {
        let Some(name) = copy.name_for(key, value.is_null()) else {
            continue;
        };
        if !is_explicit(&name) && !made.contains_key(&*name) {
            made.insert(name.into_owned(), value.clone());
        }
    }
}

fn spread_rest(
    rest: &Rest,
    scope: Scope<'_>,
    made: &mut Map<String, Value>,
    is_explicit: impl Fn(&str) -> bool,
) {
    let Some(Value::Object(source)) = scope.root(&rest.from).and_then(|root| rest.from.find(root))
    else {
        return;
    };
    for (key, value) in source {
        let Some(name) = rest.name_for(key, value.is_null()) else {
            continue;
        };
        if !is_explicit(&name) && !made.contains_key(&*name) {
            made.insert(name.into_owned(), value.clone());
        }
    }
}

fn operator(operator: &Operator, scope: Scope<'_>) -> Result<Option<Value>, Stop> {
    if let Some(value) = source(operator, scope)? {
        match convert(operator, value)? {
            Converted::Value(value) => return Ok(Some(value)),
            Converted::Absent => {}
            Converted::Omitted => return Ok(None),
        }
    }
    if let Some(default) = &operator.default
        && let Some(value) = value(default, scope)?
    {
        return Ok(Some(value));
    }
    missing(operator)
}

/// What conversions made of a value.
#[derive(Debug)]
pub enum Converted {
    /// A value.
    Value(Value),
    /// Nothing; a default may stand in.
    Absent,
    /// Nothing, by `$invalid: omit`; no default stands in.
    Omitted,
}

/// Run an operator's conversions. A null that is kept stays as it is.
///
/// # Errors
/// When `$invalid` decides that there is no document.
pub fn convert(operator: &Operator, mut value: Value) -> Result<Converted, Stop> {
    if value.is_null() {
        return Ok(Converted::Value(value));
    }
    for conversion in &operator.conversions {
        match conversion.apply(value) {
            Ok(Value::Null) => return Ok(Converted::Absent),
            Ok(made) => value = made,
            Err(why) => {
                invalid(operator, conversion.name, &why)?;
                return Ok(Converted::Omitted);
            }
        }
    }
    Ok(Converted::Value(value))
}

/// What `$missing` says. `Ok` is `None`: the key is left out.
///
/// # Errors
/// When it decides that there is no document.
pub fn missing(operator: &Operator) -> Result<Option<Value>, Stop> {
    policy(&operator.missing, || {
        format!("{}: there is no value", operator.about)
    })
}

/// What `$invalid` says of an `$each` over something that is no list. `Ok` is `None`.
///
/// # Errors
/// When it decides that there is no document.
pub fn not_a_list(operator: &Operator) -> Result<Option<Value>, Stop> {
    invalid(operator, "$each", "expected a list")
}

fn invalid(operator: &Operator, what: &str, why: &str) -> Result<Option<Value>, Stop> {
    let detail = || format!("{}: `{what}`: {why}", operator.about);
    match &operator.invalid {
        Some(chosen) => policy(chosen, detail),
        None => Err(Stop::Dead {
            reason: format!("invalid {what}"),
            detail: detail(),
        }),
    }
}

fn policy(policy: &Policy, detail: impl Fn() -> String) -> Result<Option<Value>, Stop> {
    match policy {
        Policy::Omit => Ok(None),
        Policy::Skip(reason) => Err(Stop::Skip(reason.clone())),
        Policy::Dead(reason) => Err(Stop::Dead {
            reason: reason.clone(),
            detail: detail(),
        }),
    }
}

fn source(operator: &Operator, scope: Scope<'_>) -> Result<Option<Value>, Stop> {
    match &operator.source {
        Source::Const(value) => Ok(Some(value.clone())),
        Source::From { paths, keeps_null } => {
            let present = paths.iter().find_map(|path| scope.at(path, false));
            Ok(match present {
                None if *keeps_null => paths.iter().find_map(|path| scope.at(path, true)),
                present => present,
            })
        }
        Source::Lookup {
            key,
            table,
            default,
        } => {
            let Some(key) = value(key, scope)? else {
                return Ok(None);
            };
            let found = plain_text(&key)
                .ok()
                .and_then(|key| table.get(&key))
                .filter(|value| !value.is_null());
            match (found, default) {
                (Some(value), _) => Ok(Some(value.clone())),
                (None, Some(default)) => value(default, scope),
                (None, None) => Ok(None),
            }
        }
        Source::Text(parts) => Ok(text(parts, scope).map(Value::String)),
        Source::If {
            condition,
            then,
            otherwise,
        } => {
            let here = scope.item.unwrap_or(scope.event);
            let chosen = if condition.holds(here) {
                then
            } else {
                otherwise
            };
            match chosen {
                Some(expr) => value(expr, scope),
                None => Ok(None),
            }
        }
        Source::Each { items, emit } => {
            let items = match value(items, scope)? {
                None => return Ok(None),
                Some(Value::Array(items)) => items,
                Some(_) => return not_a_list(operator),
            };
            let mut made = Vec::with_capacity(items.len());
            for item in &items {
                let scope = Scope {
                    item: Some(item),
                    ..scope
                };
                made.extend(value(emit, scope)?);
            }
            Ok(Some(Value::Array(made)))
        }
    }
}

fn text(parts: &[TextPart], scope: Scope<'_>) -> Option<String> {
    let mut made = String::new();
    for part in parts {
        match part {
            TextPart::Plain(text) => made.push_str(text),
            TextPart::Value(path, default) => match (scope.at(path, false), default) {
                (Some(value), _) => {
                    made.push_str(&plain_text(&value).unwrap_or_else(|_| value.to_string()));
                }
                (None, Some(default)) => made.push_str(default),
                (None, None) => return None,
            },
        }
    }
    Some(made)
}
