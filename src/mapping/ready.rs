//! A rule to paste for an event type that no rule is on yet.
//!
//! It is made after the rules that are there: the template that most of them begin with, and the
//! member into which they put plain fields. Where there is nothing to learn from, the sink's own
//! description says what a document needs, and fields of a like name fill it.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};
use sluice_sdk::catalogue::{EventType, Field, FieldType};
use sluice_sdk::{DocumentKind, DocumentSpec, ValueRule};

use super::explain::outputs;
use super::{Mapping, Output};
use crate::diagnostics::yaml_block;

/// The text of a rule under its name, indented as below `rules:`.
pub fn rule_for(event: &EventType, mapping: &Mapping) -> String {
    let habits = Habits::of(mapping);
    let mut rule = Map::from_iter([("on".to_owned(), json!(event.name))]);
    match emit(event, mapping.target().document, &habits) {
        Ok(emit) => rule.insert("emit".to_owned(), Value::Object(emit)),
        Err(lacks) => rule.insert("skip".to_owned(), json!(format!("carries no {lacks}"))),
    };
    let named = Map::from_iter([(rule_name(&event.name), Value::Object(rule))]);
    yaml_block(&named, 2)
}

/// What the rules that are there do.
#[derive(Default)]
struct Habits {
    /// The template that brings a document's kind, or else most of the outermost members.
    template: Option<String>,
    /// Outermost members that this template brings.
    members: HashSet<String>,
    /// Paths that it reads.
    reads: HashSet<String>,
    /// The member that fields of the event go into under their own names.
    bag: Option<String>,
}

impl Habits {
    fn of(mapping: &Mapping) -> Self {
        let all: Vec<Output> = mapping
            .rules
            .iter()
            .flat_map(|rule| outputs(rule, &mapping.origin))
            .collect();
        let outermost = all.iter().filter(|one| one.steps.len() == 1);
        let template = most(outermost.filter_map(|one| one.template.clone()));
        let is_theirs = |one: &&Output| template.is_some() && one.template == template;
        // `properties.url` made of `$.….url`.
        let bag = most(all.iter().filter_map(|one| match one.steps.as_slice() {
            [bag, name] if one.source.rsplit('.').next() == Some(name) => Some(bag.clone()),
            _ => None,
        }));
        Self {
            members: all
                .iter()
                .filter(is_theirs)
                .map(|one| one.steps[0].clone())
                .collect(),
            reads: all
                .iter()
                .filter(is_theirs)
                .flat_map(|one| one.reads.iter().cloned())
                .collect(),
            bag,
            template,
        }
    }
}

/// The most frequent one; of several the first by name.
fn most(all: impl Iterator<Item = String>) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    let highest = *counts.values().max()?;
    counts
        .into_iter()
        .find(|(_, count)| *count == highest)
        .map(|(name, _)| name)
}

/// The document; `Err` says what the event does not have.
fn emit(
    event: &EventType,
    spec: Option<&DocumentSpec>,
    habits: &Habits,
) -> Result<Map<String, Value>, String> {
    let mut emit = Map::new();
    let mut used: HashSet<String> = habits.reads.clone();
    used.insert("$.event_type".to_owned());
    if let Some(template) = &habits.template {
        emit.insert("$extends".to_owned(), json!(template));
    }
    let kind = spec.and_then(|spec| spec.kinds.first());
    if let (Some(spec), Some(kind)) = (spec, kind) {
        let mut members = Members {
            event,
            habits,
            emit: &mut emit,
            used: &mut used,
        };
        members.needed(spec, kind)?;
    }
    let bag = habits.bag.clone().or_else(|| object_of(kind));
    let mut rest = Map::new();
    for field in event.fields.iter().filter(|field| !field.storage_only) {
        let path = format!("$.{}", field.path);
        if !used.contains(&path) {
            let name = field.path.rsplit('.').next().unwrap_or_default();
            let name = match rest.contains_key(name) {
                true => field.path.replace('.', "_"),
                false => name.to_owned(),
            };
            rest.insert(name, json!(path));
        }
    }
    match bag {
        Some(bag) if !rest.is_empty() => drop(emit.insert(bag, Value::Object(rest))),
        Some(_) => {}
        None => emit.extend(rest),
    }
    Ok(emit)
}

/// The first member of a kind that must be an object.
fn object_of(kind: Option<&DocumentKind>) -> Option<String> {
    let members = kind?.members;
    let found = members.iter().find(|(_, rule)| *rule == ValueRule::Object);
    found.map(|(name, _)| (*name).to_owned())
}

struct Members<'a> {
    event: &'a EventType,
    habits: &'a Habits,
    emit: &'a mut Map<String, Value>,
    used: &'a mut HashSet<String>,
}

impl Members<'_> {
    /// What the sink wants and the template does not bring.
    fn needed(&mut self, spec: &DocumentSpec, kind: &DocumentKind) -> Result<(), String> {
        if !self.has(spec.kind_member) {
            let name = json!(kind.name);
            self.emit.insert(spec.kind_member.to_owned(), name);
        }
        for alternatives in kind.required {
            if let Some(title) = alternatives.iter().find(|name| spec.title.contains(name)) {
                // The template's own title would be that of another event.
                self.emit
                    .insert((*title).to_owned(), json!(title_of(&self.event.name)));
                continue;
            }
            if alternatives.iter().any(|name| self.has(name)) {
                continue;
            }
            let found = alternatives
                .iter()
                .find_map(|name| Some((*name, self.field_like(name, FieldType::String)?)));
            let Some((name, field)) = found else {
                return Err(alternatives.join(" or "));
            };
            let value = json!({"$from": field, "$missing": {"skip": format!("no {name}")}});
            self.emit.insert(name.to_owned(), value);
            self.used.insert(field);
        }
        if let Some(identity) = spec.identity.filter(|name| !self.has(name))
            && let Some(field) = self.field_like("id", FieldType::String)
        {
            self.emit.insert(identity.to_owned(), json!(field));
            self.used.insert(field);
        }
        let time = kind
            .members
            .iter()
            .find(|(_, rule)| *rule == ValueRule::Time);
        if let Some((name, _)) = time.filter(|(name, _)| !self.has(name))
            && let Some(field) = self.field_like("time", FieldType::Timestamp)
        {
            let value = json!({"$from": field, "$as": "timestamp"});
            self.emit.insert((*name).to_owned(), value);
            self.used.insert(field);
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.habits.members.contains(name)
    }

    /// The path of a field whose own name is this one, written in whatever way.
    fn field_like(&self, name: &str, kind: FieldType) -> Option<String> {
        let plain = |text: &str| text.to_lowercase().replace('_', "");
        let is_like = |field: &&Field| {
            let own = field.path.rsplit('.').next().unwrap_or_default();
            !field.storage_only && field.kind == kind && plain(own) == plain(name)
        };
        let field = self.event.fields.iter().find(is_like)?;
        Some(format!("$.{}", field.path))
    }
}

/// `users.messages.email.Open` as a name that a rule can have.
fn rule_name(event_type: &str) -> String {
    event_type
        .to_lowercase()
        .replace(|char: char| !char.is_ascii_alphanumeric(), "_")
}

/// `users.messages.email.TokenChange` becomes `Email Token Change`.
fn title_of(event_type: &str) -> String {
    let parts: Vec<&str> = event_type.split('.').collect();
    let mut title = String::new();
    for part in &parts[parts.len().saturating_sub(2)..] {
        let mut was_lower = false;
        for (at, char) in part.chars().enumerate() {
            if at == 0 || (char.is_uppercase() && was_lower) {
                if !title.is_empty() {
                    title.push(' ');
                }
                title.extend(char.to_uppercase());
            } else {
                title.push(char);
            }
            was_lower = char.is_lowercase();
        }
    }
    title
}
