//! From a plan to what is written straight from the bytes.
//!
//! What has no faster way stays a tree ([`Write::Tree`]): always right, and seldom met.

use serde_json::Value;

use super::plan::{
    Condition, Member, ObjectPlan, Place, Quick, Side, Source, Spread, TextPart, ValuePlan, Wanted,
    Write,
};
use super::trie::{Builder, Trie};
use crate::mapping::expression::{Expression, Nodes, Operand, Pattern};
use crate::mapping::paths::{Path, Root, Step};
use crate::mapping::plan::{self, Expr, Object, Operator};

/// Lowers the plans of one program and collects their paths.
pub struct Lowerer {
    event: Builder,
    item: Option<Builder>,
}

fn wanted(builder: Builder) -> Wanted {
    let (trie, nodes) = builder.finish();
    Wanted { trie, nodes }
}

impl Lowerer {
    /// No paths yet.
    pub fn new() -> Self {
        Self {
            event: Trie::builder(),
            item: None,
        }
    }

    /// All paths into the event.
    pub fn finish(self) -> Wanted {
        wanted(self.event)
    }

    /// A document. `None` if its identity may come from a spread, so that it has no place known before.
    pub fn document(&mut self, object: &Object, identity: Option<&str>) -> Option<ObjectPlan> {
        let is_spread = !object.copies.is_empty() || !object.rests.is_empty();
        if let Some(identity) = identity
            && is_spread
            && !object.members.iter().any(|member| member.key == identity)
        {
            return None;
        }
        self.object(object, identity)
    }

    /// A condition about the event or the item at hand.
    pub fn condition(&mut self, expression: &Expression) -> Condition {
        let tree = |this: &Self| Condition::Tree(this.here(), expression.clone());
        match expression {
            Expression::Or(all) => {
                Condition::Or(all.iter().map(|one| self.condition(one)).collect())
            }
            Expression::And(all) => {
                Condition::And(all.iter().map(|one| self.condition(one)).collect())
            }
            Expression::Not(one) => Condition::Not(Box::new(self.condition(one))),
            Expression::Exists(Nodes::One(steps)) => match self.here_at(steps) {
                Some(place) => Condition::Exists(place),
                None => tree(self),
            },
            Expression::Exists(Nodes::Many(_)) => tree(self),
            Expression::Compare(left, how, right) => match (self.side(left), self.side(right)) {
                (Some(left), Some(right)) => compare(left, *how, right),
                _ => tree(self),
            },
            Expression::Pattern {
                text: Operand::At(steps),
                pattern: Pattern::Fixed(regex),
                ..
            } => match self.here_at(steps) {
                Some(place) => Condition::Matches(place, regex.clone()),
                None => tree(self),
            },
            Expression::Pattern { .. } => tree(self),
        }
    }

    fn side(&mut self, operand: &Operand) -> Option<Side> {
        match operand {
            Operand::Literal(value) => {
                Some(Side::Literal((!value.is_null()).then(|| value.clone())))
            }
            Operand::At(steps) => self.here_at(steps).map(Side::At),
            Operand::Length(_) | Operand::Count(_) | Operand::Value(_) => None,
        }
    }

    /// What `@` stands for.
    fn here(&self) -> Root {
        match self.item {
            Some(_) => Root::Item,
            None => Root::Event,
        }
    }

    fn here_at(&mut self, steps: &[Step]) -> Option<Place> {
        self.at(self.here(), steps)
    }

    fn place(&mut self, path: &Path) -> Option<Place> {
        path.is_singular()
            .then(|| self.at(path.root, &path.steps))?
    }

    /// The place of a path of names; lists are looked into by the tree.
    fn at(&mut self, root: Root, steps: &[Step]) -> Option<Place> {
        let names: Vec<&str> = steps
            .iter()
            .map(|step| match step {
                Step::Name(name) => Some(name.as_str()),
                Step::Index(_) => None,
            })
            .collect::<Option<_>>()?;
        let builder = match root {
            Root::Event => &mut self.event,
            Root::Item => self.item.as_mut()?,
        };
        Some(Place {
            root,
            path: builder.insert(names.into_iter()),
        })
    }

    fn object(&mut self, object: &Object, identity: Option<&str>) -> Option<ObjectPlan> {
        let mut made = ObjectPlan::default();
        for member in &object.members {
            made.explicit.insert(member.key.clone());
            let key = format!("{}:", Value::from(member.key.as_str()));
            let is_identity = identity == Some(member.key.as_str());
            match (self.write(&member.value), made.members.last_mut()) {
                (Write::Absent, _) => {}
                (Write::Fixed(text), Some(Member::Fixed(fixed))) if !is_identity => {
                    fixed.push(',');
                    fixed.push_str(&key);
                    fixed.push_str(&text);
                }
                (Write::Fixed(text), _) if !is_identity => {
                    made.members.push(Member::Fixed(format!("{key}{text}")));
                }
                (value, _) => made.members.push(Member::Value {
                    key: key.into(),
                    value,
                    is_identity,
                }),
            }
        }
        for copy in &object.copies {
            made.spreads
                .push(Spread::Copy(self.place(&copy.from)?, copy.clone()));
        }
        for rest in &object.rests {
            made.spreads
                .push(Spread::Rest(self.place(&rest.from)?, rest.clone()));
        }
        Some(made)
    }

    fn write(&mut self, expr: &Expr) -> Write {
        match expr {
            Expr::Const(Value::Null) | Expr::Omit | Expr::Unknown => Write::Absent,
            Expr::Const(value) => Write::Fixed(value.to_string().into()),
            Expr::Path(path) => match self.place(path) {
                Some(place) => Write::Raw(place),
                None => Write::Tree(expr.clone()),
            },
            Expr::Object(object) => match self.object(object, None) {
                Some(made) => fold(made),
                None => Write::Tree(expr.clone()),
            },
            Expr::List(items) => Write::List(items.iter().map(|item| self.write(item)).collect()),
            Expr::Operator(operator) => match self.source(operator) {
                Some(source) => Write::Value(Box::new(ValuePlan {
                    source,
                    quick: quick(operator),
                    default: operator.default.as_ref().map(|default| self.write(default)),
                    operator: (**operator).clone(),
                })),
                None => Write::Tree(expr.clone()),
            },
        }
    }

    fn branch(&mut self, expr: Option<&Expr>) -> Write {
        expr.map_or(Write::Absent, |expr| self.write(expr))
    }

    fn source(&mut self, operator: &Operator) -> Option<Source> {
        Some(match &operator.source {
            plan::Source::Const(value) => Source::Write(Write::Fixed(value.to_string().into())),
            plan::Source::From { paths, keeps_null } => Source::First {
                places: paths
                    .iter()
                    .map(|path| self.place(path))
                    .collect::<Option<_>>()?,
                keeps_null: *keeps_null,
            },
            plan::Source::Lookup {
                key,
                table,
                default,
            } => {
                let Expr::Path(key) = key else {
                    return None;
                };
                Source::Lookup {
                    key: self.place(key)?,
                    table: table
                        .iter()
                        .filter(|(_, value)| !value.is_null())
                        .map(|(key, value)| (key.clone(), value.to_string().into()))
                        .collect(),
                    default: default.as_ref().map(|default| self.write(default)),
                }
            }
            plan::Source::Text(parts) => Source::Text(
                parts
                    .iter()
                    .map(|part| self.text_part(part))
                    .collect::<Option<_>>()?,
            ),
            plan::Source::If {
                condition,
                then,
                otherwise,
            } => Source::If {
                condition: self.condition(condition),
                then: self.branch(then.as_ref()),
                otherwise: self.branch(otherwise.as_ref()),
            },
            plan::Source::Each { items, emit } => {
                let Expr::Path(items) = items else {
                    return None;
                };
                let items = self.place(items)?;
                let outer = self.item.replace(Trie::builder());
                let emit = self.write(emit);
                let inner = std::mem::replace(&mut self.item, outer).unwrap_or_default();
                Source::Each {
                    items,
                    wanted: wanted(inner),
                    emit,
                }
            }
        })
    }

    fn text_part(&mut self, part: &plan::TextPart) -> Option<TextPart> {
        Some(match part {
            plan::TextPart::Plain(text) => TextPart::Plain(escaped(text)),
            plan::TextPart::Value(path, default) => {
                TextPart::Value(self.place(path)?, default.as_deref().map(escaped))
            }
        })
    }
}

/// A text as it stands between the quotes of JSON.
pub fn escaped(text: &str) -> String {
    let mut quoted = Value::from(text).to_string();
    quoted.pop();
    quoted.remove(0);
    quoted
}

/// An object of which nothing depends on the event is written once.
fn fold(object: ObjectPlan) -> Write {
    match object.members.as_slice() {
        _ if !object.spreads.is_empty() => Write::Object(object),
        [] => Write::Absent,
        [Member::Fixed(members)] => Write::Fixed(format!("{{{members}}}").into()),
        _ => Write::Object(object),
    }
}

fn compare(left: Side, how: crate::mapping::expression::Comparer, right: Side) -> Condition {
    use crate::mapping::expression::Comparer::{Equal, Unequal};
    let is = |place: Place, text: &str| Condition::Is(place, text.to_owned());
    match (&left, how, &right) {
        (Side::At(place), Equal, Side::Literal(Some(Value::String(text))))
        | (Side::Literal(Some(Value::String(text))), Equal, Side::At(place)) => is(*place, text),
        (Side::At(place), Unequal, Side::Literal(Some(Value::String(text))))
        | (Side::Literal(Some(Value::String(text))), Unequal, Side::At(place)) => {
            Condition::Not(Box::new(is(*place, text)))
        }
        _ => Condition::Compare(left, how, right),
    }
}

fn quick(operator: &Operator) -> Option<Quick> {
    let one = match operator.conversions.as_slice() {
        [one] => one,
        [first, then] if (first.name, then.name) == ("string", "non_empty") => {
            return Some(Quick::NonEmptyString);
        }
        _ => return None,
    };
    Some(match one.name {
        "string" => Quick::String,
        "number" => Quick::Number,
        "integer" => Quick::Integer,
        "boolean" => Quick::Boolean,
        "timestamp" => Quick::Timestamp,
        "sha256" => Quick::Sha256,
        _ => return None,
    })
}
