//! Types on their way from the event to the document: what a value of a plan may be for one event type.

use std::collections::BTreeSet;

use sluice_sdk::catalogue::{EventType, Field, FieldType};

use super::facts::{self, Clause};
use crate::diagnostics::Span;
use crate::mapping::convert::{Conversion, Gives};
use crate::mapping::kinds::{Kinds, Type};
use crate::mapping::paths::{Path, Root, Step, dotted};
use crate::mapping::personal::{PersonalData, Treatment};
use crate::mapping::plan::{Expr, Object, Operator, Policy, Source, TextPart};

/// A value that can never become what is asked of it.
#[derive(Debug, Clone)]
pub struct Impossible {
    /// Where it is asked.
    pub span: Span,
    /// The conversion or operator.
    pub name: &'static str,
    /// What it could take.
    pub takes: Kinds,
    /// What comes.
    pub found: Kinds,
    /// Where that comes from.
    pub from: String,
}

/// One event type under certain circumstances.
pub struct Flow<'a> {
    /// The type; `None` when the source has no catalogue.
    pub event: Option<&'a EventType>,
    /// What happens to personal fields before a rule sees them.
    pub personal: &'a PersonalData,
    /// What is known to be there.
    pub present: BTreeSet<String>,
    /// What `$item` is.
    item: Option<Type>,
    /// What cannot be, found so far.
    pub impossible: Vec<Impossible>,
    /// Conversions that hash what is hashed already.
    pub hashed_twice: Vec<Span>,
}

/// The type of a field's values as the source sends them.
pub fn kinds_of(kind: FieldType) -> Kinds {
    match kind {
        FieldType::String | FieldType::JsonString => Kinds::TEXT,
        FieldType::Integer => Kinds::INTEGER,
        FieldType::Number | FieldType::Timestamp | FieldType::TimestampMs => Kinds::NUMBER,
        FieldType::Boolean => Kinds::BOOLEAN,
        FieldType::Object => Kinds::OBJECT,
        FieldType::StringArray => Kinds::LIST,
    }
}

/// Whether `path` lies below `above`.
pub fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.starts_with('.'))
}

impl<'a> Flow<'a> {
    /// Nothing but the type known.
    pub fn new(event: Option<&'a EventType>, personal: &'a PersonalData) -> Self {
        Self {
            event,
            personal,
            present: BTreeSet::new(),
            item: None,
            impossible: Vec::new(),
            hashed_twice: Vec::new(),
        }
    }

    /// Take in facts that name one path each.
    pub fn know(&mut self, clauses: &[Clause]) {
        for clause in clauses.iter().filter(|clause| clause.len() == 1) {
            self.present.extend(clause.iter().cloned());
        }
    }

    fn is_present(&self, path: &str) -> bool {
        self.present
            .iter()
            .any(|known| known == path || is_below(known, path))
    }

    fn treatment(&self, field: &Field) -> Treatment {
        let name = self.event.map_or("", |event| event.name.as_str());
        self.personal.treatment(name, &field.path)
    }

    /// The type of a field when a rule sees it.
    pub fn field(&self, field: &Field) -> Type {
        let is_optional = (field.nullable || field.storage_only) && !self.is_present(&field.path);
        match self.treatment(field) {
            Treatment::Drop => Type::absent(),
            Treatment::Hash => Type::of(match kinds_of(field.kind) {
                kept @ (Kinds::LIST | Kinds::OBJECT) => kept,
                _ => Kinds::TEXT,
            })
            .optional(is_optional),
            Treatment::Pass => Type::of(kinds_of(field.kind)).optional(is_optional),
        }
    }

    /// The type at a path.
    pub fn path(&self, path: &Path) -> Type {
        if !path.is_singular() {
            return Type::of(Kinds::LIST).optional(true);
        }
        match path.root {
            Root::Event => self.steps(&path.steps),
            Root::Item => {
                let item = self.item.clone().unwrap_or_else(Type::anything);
                match path.steps.as_slice() {
                    [] => item,
                    _ if item.kinds.and(Kinds::LIST.or(Kinds::OBJECT)).is_none() => Type::absent(),
                    _ => Type::anything(),
                }
            }
        }
    }

    fn steps(&self, steps: &[Step]) -> Type {
        let Some(event) = self.event.filter(|event| !event.fields.is_empty()) else {
            return Type::unknown().optional(true);
        };
        let names = steps
            .iter()
            .take_while(|step| matches!(step, Step::Name(_)))
            .count();
        let Some(name) = dotted(&steps[..names]) else {
            return if steps.is_empty() {
                Type::of(Kinds::OBJECT)
            } else {
                Type::absent()
            };
        };
        let inner = names < steps.len();
        if name == "event_type" {
            return if inner {
                Type::absent()
            } else {
                Type::of(Kinds::TEXT)
            };
        }
        if let Some(field) = event.field(&name) {
            let own = self.field(field);
            return match field.kind {
                _ if !inner => own,
                // Objects have no places, lists of texts have texts in them.
                FieldType::StringArray if names + 1 == steps.len() && !own.kinds.is_none() => {
                    Type {
                        is_filled: false,
                        ..Type::of(Kinds::TEXT).optional(true)
                    }
                }
                _ => Type::absent(),
            };
        }
        let below: Vec<&Field> = event
            .fields
            .iter()
            .filter(|field| is_below(&field.path, &name))
            .collect();
        if !below.is_empty() {
            let is_there = below
                .iter()
                .any(|field| !(field.nullable || field.storage_only))
                || self.is_present(&name);
            return if inner {
                Type::absent()
            } else {
                Type::of(Kinds::OBJECT).optional(!is_there)
            };
        }
        let above = event
            .fields
            .iter()
            .find(|field| is_below(&name, &field.path));
        match above {
            Some(field) if field.kind == FieldType::Object => match self.treatment(field) {
                Treatment::Drop => Type::absent(),
                Treatment::Hash => {
                    Type::of(Kinds::TEXT.or(Kinds::LIST).or(Kinds::OBJECT)).optional(true)
                }
                Treatment::Pass => Type::anything().optional(inner || !self.is_present(&name)),
            },
            _ => Type::absent(),
        }
    }

    /// The type of any value.
    pub fn expr(&mut self, expr: &Expr) -> Type {
        match expr {
            Expr::Const(value) if value.is_null() => Type::absent(),
            Expr::Const(value) => Type::constant(value),
            Expr::Path(path) => self.path(path),
            Expr::Omit => Type::absent(),
            Expr::Unknown => Type::unknown(),
            Expr::Object(object) => self.object(object),
            Expr::List(items) => {
                let all: Vec<Type> = items.iter().map(|item| self.expr(item)).collect();
                let is_there = all.is_empty() || all.iter().any(|item| !item.is_optional);
                Type::of(Kinds::LIST).optional(!is_there)
            }
            Expr::Operator(operator) => self.operator(operator),
        }
    }

    fn object(&mut self, object: &Object) -> Type {
        let mut is_there = false;
        for member in &object.members {
            is_there |= !self.expr(&member.value).is_optional;
        }
        Type::of(Kinds::OBJECT).optional(!is_there)
    }

    fn operator(&mut self, operator: &Operator) -> Type {
        let mut here = self.source(operator);
        self.hashed_twice.extend(self.second_hash(operator));
        let mut can_fail = matches!(operator.source, Source::Each { .. });
        for conversion in &operator.conversions {
            let (made, fails) = self.convert(here, conversion, &operator.about);
            here = made;
            can_fail |= fails;
        }
        let default = operator.default.as_ref().map(|default| self.expr(default));
        if here.is_optional {
            if let Some(default) = default {
                let is_optional = default.is_optional;
                here = here.or(default).optional(is_optional);
            }
            if operator.missing != Policy::Omit {
                here.is_optional = false;
            }
        }
        // A failed conversion that is left out does not come to `$default` or `$missing` any more.
        if can_fail && operator.invalid == Some(Policy::Omit) {
            here.is_optional = true;
        }
        here
    }

    /// A hash of a field that the connector hashes.
    fn second_hash(&self, operator: &Operator) -> Option<Span> {
        let Source::From { paths, .. } = &operator.source else {
            return None;
        };
        let event = self.event?;
        let is_hashed = |path: &Path| {
            path.dotted()
                .is_some_and(|path| self.personal.treatment(&event.name, &path) == Treatment::Hash)
        };
        let mut conversions = operator.conversions.iter();
        let hash = conversions.find(|one| matches!(one.name, "sha256" | "hmac_sha256"))?;
        paths.iter().any(is_hashed).then_some(hash.span)
    }

    fn convert(&mut self, from: Type, conversion: &Conversion, about: &str) -> (Type, bool) {
        let row = conversion.row;
        let kinds = from.kinds.without(Kinds::NULL);
        let taken = kinds.and(row.takes);
        if !from.is_unknown && !kinds.is_none() && taken.is_none() {
            self.impossible.push(Impossible {
                span: conversion.span,
                name: conversion.name,
                takes: row.takes,
                found: kinds,
                from: about.to_owned(),
            });
            return (Type::unknown(), true);
        }
        let made = |kinds: Kinds| Type {
            // Nothing in, nothing out.
            kinds: if taken.is_none() { Kinds::NONE } else { kinds }
                .or(from.kinds.and(Kinds::NULL)),
            is_optional: from.is_optional,
            ..Type::of(Kinds::NONE)
        };
        let refuses = !kinds.fits(row.takes);
        match row.gives {
            Gives::Always(kinds) => {
                let is_filled = from.is_filled || kinds != Kinds::TEXT || row.name != "string";
                (
                    Type {
                        is_filled,
                        ..made(kinds)
                    },
                    refuses,
                )
            }
            // JSON may say null, which is absent, and texts in it may be empty.
            Gives::Perhaps(Kinds::ANY) => (
                Type {
                    is_filled: false,
                    ..made(Kinds::ANY).optional(true)
                },
                true,
            ),
            Gives::Perhaps(kinds) => (made(kinds), true),
            Gives::Time => (
                Type {
                    is_time: true,
                    ..made(Kinds::TEXT)
                },
                true,
            ),
            Gives::Text => (
                Type {
                    is_filled: from.is_filled,
                    ..made(Kinds::TEXT)
                },
                refuses,
            ),
            Gives::Filled => (
                Type {
                    is_filled: true,
                    ..made(Kinds::TEXT).optional(from.is_optional || !from.is_filled)
                },
                refuses,
            ),
            Gives::Other(kinds) => (
                Type {
                    is_filled: false,
                    ..made(kinds)
                },
                refuses,
            ),
        }
    }

    fn source(&mut self, operator: &Operator) -> Type {
        match &operator.source {
            Source::Const(value) => Type::constant(value),
            Source::From { paths, keeps_null } => self.first(paths, *keeps_null),
            Source::Lookup {
                key,
                table,
                default,
            } => {
                let key = self.expr(key);
                let mut found = table
                    .values()
                    .filter(|value| !value.is_null())
                    .map(Type::constant)
                    .fold(Type::absent(), Type::or)
                    .optional(true);
                if let Some(default) = default {
                    let default = self.expr(default);
                    let is_optional = default.is_optional;
                    found = found.or(default).optional(is_optional);
                }
                let is_optional = found.is_optional || key.is_optional;
                found.optional(is_optional)
            }
            Source::Text(parts) => self.text(parts),
            Source::If {
                condition,
                then,
                otherwise,
            } => {
                // Inside `$each`, `@` is the item, of which nothing is known.
                let is_event = self.item.is_none();
                let mut branch = |expr: &Option<Expr>, clauses: Vec<Clause>| {
                    let before = self.present.clone();
                    if is_event {
                        self.know(&clauses);
                    }
                    let found = expr
                        .as_ref()
                        .map_or_else(Type::absent, |expr| self.expr(expr));
                    self.present = before;
                    found
                };
                let yes = branch(then, facts::when_holds(condition));
                let no = branch(otherwise, facts::when_fails(condition));
                yes.or(no)
            }
            Source::Each { items, emit } => {
                let list = self.expr(items);
                if !list.is_unknown
                    && !list.kinds.is_none()
                    && list.kinds.and(Kinds::LIST).is_none()
                {
                    self.impossible.push(Impossible {
                        span: operator.span,
                        name: "$each",
                        takes: Kinds::LIST,
                        found: list.kinds,
                        from: operator.about.clone(),
                    });
                    return Type::unknown();
                }
                let item = self.item_of(items);
                let outer = self.item.replace(item);
                self.expr(emit);
                self.item = outer;
                Type::of(Kinds::LIST).optional(list.is_optional)
            }
        }
    }

    /// What the items of a list are.
    fn item_of(&self, items: &Expr) -> Type {
        let is_texts = match items {
            Expr::Path(path) if path.is_singular() && path.root == Root::Event => {
                dotted(&path.steps)
                    .filter(|_| path.steps.iter().all(|step| matches!(step, Step::Name(_))))
                    .and_then(|name| self.event?.field(&name))
                    .is_some_and(|field| field.kind == FieldType::StringArray)
            }
            _ => false,
        };
        let item = if is_texts {
            Type::of(Kinds::TEXT)
        } else {
            Type::anything()
        };
        Type {
            is_filled: false,
            ..item.optional(true)
        }
    }

    /// The first of several paths that is there.
    fn first(&self, paths: &[Path], keeps_null: bool) -> Type {
        let all: Vec<Type> = paths.iter().map(|path| self.path(path)).collect();
        let mut found = Type::absent();
        for one in all {
            let is_optional = found.is_optional && one.is_optional;
            let is_last = !one.is_optional;
            found = found.or(one).optional(is_optional);
            if is_last {
                break;
            }
        }
        if keeps_null && found.is_optional {
            found.kinds = found.kinds.or(Kinds::NULL);
            found.values = None;
        }
        found
    }

    fn text(&self, parts: &[TextPart]) -> Type {
        let mut is_optional = false;
        let mut is_filled = false;
        for part in parts {
            match part {
                TextPart::Plain(text) => is_filled |= !text.is_empty(),
                TextPart::Value(path, default) => {
                    let value = self.path(path);
                    let default_is_filled = default.as_ref().is_some_and(|text| !text.is_empty());
                    is_filled |= (value.is_filled || value.is_unknown)
                        && (default.is_none() || default_is_filled || !value.is_optional);
                    is_optional |= value.is_optional && default.is_none();
                }
            }
        }
        Type {
            is_filled,
            ..Type::of(Kinds::TEXT).optional(is_optional)
        }
    }
}
