//! Where the parts of documents come from, and why there is no document.

use std::collections::BTreeSet;

use serde_json::Value;

use super::evaluate::{self, Scope, Stop};
use super::expression::Expression;
use super::load::Origin;
use super::outcome::{Explained, Field, LookedAt, Mapped, Output, Read, Stopped};
use super::paths::{Path, Root};
use super::plan::{Action, Copy, Expr, Object, Operator, Policy, Rest, Rule, Source, TextPart};
use crate::diagnostics::Span;

/// How `outcome` came to be; `rules` are those that were tried.
pub fn explain(
    event: &Value,
    outcome: Mapped,
    mut looked_at: Vec<LookedAt>,
    rules: &[Rule],
    origin: &Origin,
) -> Explained {
    let mut fields = Vec::new();
    let mut stopped = Vec::new();
    for looked in &mut looked_at {
        let Some(rule) = rules.iter().find(|rule| *rule.name == looked.rule) else {
            continue;
        };
        looked.when = rule.when_text.clone();
        looked.reads = rule
            .when
            .iter()
            .flat_map(|when| condition_reads(when, event))
            .collect();
        let Action::Emit(documents) = &rule.action else {
            continue;
        };
        for (name, plan) in documents.iter().filter(|_| looked.ran) {
            let around = Around {
                rule,
                document: name.as_deref(),
                origin,
            };
            match evaluate::document(plan, event) {
                Ok(_) => {
                    let body = body_of(&outcome, rule, name.as_deref());
                    fields.extend(around.fields(plan, event, &body));
                }
                Err(stop) => stopped.extend(around.stopped(plan, event, &stop)),
            }
        }
    }
    Explained {
        outcome,
        rules: looked_at,
        fields,
        stopped,
    }
}

/// Everything that a rule may put into its documents.
pub fn outputs(rule: &Rule, origin: &Origin) -> Vec<Output> {
    let all = outputs_with_parts(rule, origin);
    all.into_iter().map(|(output, _)| output).collect()
}

/// The same, each with its plan.
pub fn outputs_with_parts<'a>(rule: &'a Rule, origin: &'a Origin) -> Vec<(Output, Part<'a>)> {
    let Action::Emit(documents) = &rule.action else {
        return Vec::new();
    };
    documents
        .iter()
        .flat_map(|(name, plan)| {
            let around = Around {
                rule,
                document: name.as_deref(),
                origin,
            };
            around.outputs(plan)
        })
        .collect()
}

/// As it was made, with its final identity; empty if the event has no documents in the end.
fn body_of(outcome: &Mapped, rule: &Rule, name: Option<&str>) -> Value {
    let Mapped::Documents(documents) = outcome else {
        return Value::Null;
    };
    documents
        .iter()
        .find(|one| *one.rule == *rule.name && one.name.as_deref() == name)
        .and_then(|one| serde_json::from_slice(&one.body).ok())
        .unwrap_or_default()
}

/// What a value comes from.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// A member.
    Value(&'a Expr),
    /// `$copy`
    Copy(&'a Copy),
    /// `$rest`
    Rest(&'a Rest),
}

/// One document of one rule.
struct Around<'a> {
    rule: &'a Rule,
    document: Option<&'a str>,
    origin: &'a Origin,
}

impl Around<'_> {
    fn outputs<'a>(&self, plan: &'a Object) -> Vec<(Output, Part<'a>)> {
        let mut found = Vec::new();
        self.collect(plan, &[], &mut found);
        found
    }

    fn collect<'a>(
        &self,
        object: &'a Object,
        above: &[String],
        found: &mut Vec<(Output, Part<'a>)>,
    ) {
        let below = |key: &str| [above, &[key.to_owned()]].concat();
        for member in &object.members {
            let steps = below(&member.key);
            match &member.value {
                Expr::Object(inner) => self.collect(inner, &steps, found),
                Expr::Omit | Expr::Unknown => {}
                value => {
                    let part = Part::Value(value);
                    found.push((self.output(steps, part, member.span), part));
                }
            }
        }
        let copies = object.copies.iter().map(|one| (Part::Copy(one), one.span));
        let rests = object.rests.iter().map(|one| (Part::Rest(one), one.span));
        for (part, span) in copies.chain(rests) {
            found.push((self.output(below("*"), part, span), part));
        }
    }

    fn output(&self, steps: Vec<String>, part: Part<'_>, place: Span) -> Output {
        let (source, conversions) = match part {
            Part::Value(expr) => (said(expr), conversions(expr)),
            Part::Copy(copy) => (format!("$copy of {}", copy.from.text), Vec::new()),
            Part::Rest(rest) => (format!("$rest of {}", rest.from.text), Vec::new()),
        };
        let mut paths = BTreeSet::new();
        match part {
            Part::Value(expr) => collect_paths(expr, &mut paths),
            Part::Copy(Copy { from, .. }) | Part::Rest(Rest { from, .. }) => {
                paths.insert(from.text.clone());
            }
        }
        Output {
            rule: self.rule.name.to_string(),
            document: self.document.map(str::to_owned),
            path: steps.join("."),
            steps,
            source,
            conversions,
            reads: paths.into_iter().collect(),
            is_spread: !matches!(part, Part::Value(_)),
            template: self.origin.template_at(place).map(str::to_owned),
            place,
        }
    }

    /// The fields of a document that was made, each with its value and what was read for it.
    fn fields(&self, plan: &Object, event: &Value, body: &Value) -> Vec<Field> {
        let all = self.outputs(plan);
        let is_explicit = |steps: &[String]| {
            all.iter()
                .any(|(one, part)| matches!(part, Part::Value(_)) && one.steps.starts_with(steps))
        };
        let mut taken: BTreeSet<Vec<String>> = BTreeSet::new();
        let mut fields = Vec::new();
        for (output, part) in &all {
            if let Part::Value(expr) = part {
                fields.push(Field {
                    path: output.path.clone(),
                    value: at(body, &output.steps).cloned(),
                    reads: reads(expr, event),
                    output: output.clone(),
                });
                continue;
            }
            let above = &output.steps[..output.steps.len() - 1];
            let Some(Value::Object(members)) = at(body, above) else {
                continue;
            };
            for (key, value) in members {
                let steps = [above, std::slice::from_ref(key)].concat();
                let Some(from) = spread_source(*part, key, event)
                    .filter(|_| !is_explicit(&steps) && !taken.contains(&steps))
                else {
                    continue;
                };
                fields.push(Field {
                    path: steps.join("."),
                    value: Some(value.clone()),
                    reads: vec![from],
                    output: output.clone(),
                });
                taken.insert(steps);
            }
        }
        fields
    }

    /// What stopped a document: the member whose value decided so.
    fn stopped(&self, plan: &Object, event: &Value, stop: &Stop) -> Option<Stopped> {
        let (output, part) = self.outputs(plan).into_iter().find(|(_, part)| {
            matches!(part, Part::Value(expr)
                if evaluate::value(expr, Scope { event, item: None }).as_ref() == Err(stop))
        })?;
        let Part::Value(expr) = part else { return None };
        Some(Stopped {
            reason: match stop {
                Stop::Skip(reason) | Stop::Dead { reason, .. } => reason.clone(),
            },
            is_dead: matches!(stop, Stop::Dead { .. }),
            reads: reads(expr, event),
            output,
        })
    }
}

fn at<'v>(body: &'v Value, steps: &[String]) -> Option<&'v Value> {
    steps.iter().try_fold(body, |here, step| here.get(step))
}

/// Where a spread took the member from, if it did.
fn spread_source(part: Part<'_>, name: &str, event: &Value) -> Option<Read> {
    let (from, key) = match part {
        Part::Value(_) => return None,
        Part::Copy(copy) => {
            let renamed = copy.rename.iter().find(|(_, new)| *new == name);
            let key = match renamed {
                Some((old, _)) => old.as_str(),
                None => name.strip_prefix(copy.prefix.as_str())?,
            };
            (&copy.from, key)
        }
        Part::Rest(rest) => (&rest.from, name.strip_prefix(rest.prefix.as_str())?),
    };
    let value = from.find(event)?.get(key)?;
    Some(Read {
        path: format!("{}.{key}", from.text),
        value: Some(value.clone()),
    })
}

fn condition_reads(when: &Expression, event: &Value) -> Vec<Read> {
    let mut fields = when.fields();
    fields.dedup();
    fields
        .into_iter()
        .map(|dotted| Read {
            value: dotted
                .split('.')
                .try_fold(event, |here, step| here.get(step))
                .filter(|value| !value.is_null())
                .cloned(),
            path: format!("@.{dotted}"),
        })
        .collect()
}

/// The paths of a value with what is there. Those that begin at an item have many values or none.
fn reads(expr: &Expr, event: &Value) -> Vec<Read> {
    let mut paths = Vec::new();
    walk(expr, &mut |path| paths.push(path.clone()), &mut |_| {});
    let mut found: Vec<Read> = Vec::new();
    for path in paths.iter().filter(|path| path.root == Root::Event) {
        let read = Read {
            path: path.text.clone(),
            value: Scope { event, item: None }.at(path, false),
        };
        if !found.contains(&read) {
            found.push(read);
        }
    }
    walk(expr, &mut |_| {}, &mut |condition| {
        found.extend(condition_reads(condition, event));
    });
    found
}

fn collect_paths(expr: &Expr, found: &mut BTreeSet<String>) {
    let mut conditions = Vec::new();
    walk(
        expr,
        &mut |path| {
            found.insert(path.text.clone());
        },
        &mut |condition| conditions.extend(condition.fields()),
    );
    found.extend(conditions.into_iter().map(|dotted| format!("$.{dotted}")));
}

/// Every path and every condition of a value.
fn walk(expr: &Expr, path: &mut dyn FnMut(&Path), condition: &mut dyn FnMut(&Expression)) {
    match expr {
        Expr::Const(_) | Expr::Omit | Expr::Unknown => {}
        Expr::Path(one) => path(one),
        Expr::Object(object) => {
            for member in &object.members {
                walk(&member.value, path, condition);
            }
            object.copies.iter().for_each(|copy| path(&copy.from));
            object.rests.iter().for_each(|rest| path(&rest.from));
        }
        Expr::List(items) => items.iter().for_each(|one| walk(one, path, condition)),
        Expr::Operator(operator) => {
            walk_source(&operator.source, path, condition);
            if let Some(default) = &operator.default {
                walk(default, path, condition);
            }
        }
    }
}

fn walk_source(
    source: &Source,
    path: &mut dyn FnMut(&Path),
    condition: &mut dyn FnMut(&Expression),
) {
    match source {
        Source::Const(_) => {}
        Source::From { paths, .. } => paths.iter().for_each(path),
        Source::Lookup { key, default, .. } => {
            walk(key, path, condition);
            default.iter().for_each(|one| walk(one, path, condition));
        }
        Source::Text(parts) => {
            for part in parts {
                if let TextPart::Value(one, _) = part {
                    path(one);
                }
            }
        }
        Source::If {
            condition: question,
            then,
            otherwise,
        } => {
            condition(question);
            let branches = then.iter().chain(otherwise);
            branches.for_each(|one| walk(one, path, condition));
        }
        Source::Each { items, emit } => {
            walk(items, path, condition);
            walk(emit, path, condition);
        }
    }
}

fn conversions(expr: &Expr) -> Vec<&'static str> {
    match expr {
        Expr::Operator(operator) => operator.conversions.iter().map(|one| one.name).collect(),
        _ => Vec::new(),
    }
}

/// What a value is made of, in words.
fn said(expr: &Expr) -> String {
    match expr {
        Expr::Const(_) => "constant".to_owned(),
        Expr::Path(path) => path.text.clone(),
        Expr::List(items) => {
            let items: Vec<String> = items.iter().map(said).collect();
            format!("[{}]", items.join(", "))
        }
        Expr::Object(_) => "object".to_owned(),
        Expr::Omit | Expr::Unknown => String::new(),
        Expr::Operator(operator) => operator_said(operator),
    }
}

fn operator_said(operator: &Operator) -> String {
    let mut words = match &operator.source {
        Source::From { paths, .. } => {
            let paths: Vec<&str> = paths.iter().map(|path| path.text.as_str()).collect();
            paths.join(" or ")
        }
        Source::Const(_) => "constant".to_owned(),
        Source::Lookup { key, .. } => format!("$lookup of {}", said(key)),
        Source::Text(parts) => {
            let parts: Vec<String> = parts
                .iter()
                .map(|part| match part {
                    TextPart::Plain(text) => text.clone(),
                    TextPart::Value(path, None) => format!("{{{}}}", path.text),
                    TextPart::Value(path, Some(text)) => format!("{{{} | {text}}}", path.text),
                })
                .collect();
            format!("$text {}", parts.concat())
        }
        Source::If { .. } => "$if".to_owned(),
        Source::Each { items, .. } => format!("$each of {}", said(items)),
    };
    for conversion in &operator.conversions {
        words.push_str(" as ");
        words.push_str(conversion.name);
    }
    match (&operator.default, &operator.missing) {
        (Some(Expr::Const(value)), _) => words.push_str(&format!(", else {value}")),
        (Some(default), _) => words.push_str(&format!(", else {}", said(default))),
        (None, Policy::Skip(_)) => words.push_str(", else skip"),
        (None, Policy::Dead(_)) => words.push_str(", else dead letter"),
        (None, Policy::Omit) => {}
    }
    words
}
