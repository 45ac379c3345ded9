//! Which personal fields leave as they are: by which rule, and where in its documents.
//!
//! Found in the plans, not by running events, so that it holds for every event. Where a path may
//! match many places, each personal field below its beginning counts: rather one too many than one
//! unseen. A look-up key and a condition do not leave; a hash is no personal field any more.

use sluice_sdk::catalogue::EventType;

use super::check::types_of;
use super::explain::{Part, outputs_with_parts};
use super::paths::{Path, Root, dotted};
use super::personal::Treatment;
use super::plan::{Expr, Object, Operator, Rule, Source, TextPart};
use super::run::Mapping;
use crate::diagnostics::Span;

/// A personal field on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// The rule.
    pub rule: String,
    /// The document's name in `emit_each`.
    pub document: Option<String>,
    /// Dotted place in the document; for a spread with the member's name.
    pub path: String,
    /// Dotted path of the field in the event.
    pub field: String,
    /// The event types it comes with.
    pub types: Vec<String>,
    /// The template that says so, if it is not the rule itself.
    pub template: Option<String>,
    /// Where it is said.
    pub place: Span,
}

impl Mapping {
    /// Every field that the catalogue marks as personal, that `personal_data` lets pass, and that a
    /// rule puts into a document without a hash. Empty without a catalogue.
    ///
    /// Rules that are not opted in count as if they were.
    pub fn exposures(&self) -> Vec<Exposure> {
        let Some(catalogue) = self.target().catalogue else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for rule in &self.rules {
            for event in types_of(rule, catalogue) {
                if self.is_wanted(&event.name) {
                    self.of_type(rule, event, &mut found);
                }
            }
        }
        found
    }

    fn of_type(&self, rule: &Rule, event: &EventType, found: &mut Vec<Exposure>) {
        let fields = event.fields.iter().filter(|field| field.personal);
        let fields: Vec<&str> = fields
            .map(|field| field.path.as_str())
            .filter(|path| self.personal.treatment(&event.name, path) == Treatment::Pass)
            .collect();
        if fields.is_empty() {
            return;
        }
        for (output, part) in outputs_with_parts(rule, &self.origin) {
            for field in &fields {
                let Some(path) = leaves_at(part, field, &output.path) else {
                    continue;
                };
                let made = Exposure {
                    rule: output.rule.clone(),
                    document: output.document.clone(),
                    path,
                    field: (*field).to_owned(),
                    types: Vec::new(),
                    template: output.template.clone(),
                    place: output.place,
                };
                add(made, &event.name, found);
            }
        }
    }
}

/// One line for each field and place, with all its types.
fn add(made: Exposure, event_type: &str, found: &mut Vec<Exposure>) {
    let same = |one: &&mut Exposure| {
        (&one.rule, &one.document, &one.path, &one.field)
            == (&made.rule, &made.document, &made.path, &made.field)
    };
    let types = match found.iter_mut().find(same) {
        Some(known) => &mut known.types,
        None => {
            found.push(made);
            &mut found.last_mut().expect("exposures: pushed just now").types
        }
    };
    if !types.iter().any(|known| known == event_type) {
        types.push(event_type.to_owned());
    }
}

/// Where in the document a part puts this field, if it does.
fn leaves_at(part: Part<'_>, field: &str, path: &str) -> Option<String> {
    let is_chosen = |from: &Path, name_for: &dyn Fn(&str) -> Option<String>| {
        let from = dotted(&from.steps).unwrap_or_default();
        match below(field, &from) {
            Some("") => Some(path.to_owned()),
            Some(rest) => {
                let (key, inner) = rest.split_once('.').unwrap_or((rest, ""));
                let name = name_for(key)?;
                let above = path.strip_suffix('*').unwrap_or(path);
                let dot = if inner.is_empty() { "" } else { "." };
                Some(format!("{above}{name}{dot}{inner}"))
            }
            // A part of an object that is personal as a whole.
            None => below(&from, field).map(|_| path.to_owned()),
        }
    };
    match part {
        Part::Copy(copy) => is_chosen(&copy.from, &|key| {
            copy.name_for(key, false).map(std::borrow::Cow::into_owned)
        }),
        Part::Rest(rest) => is_chosen(&rest.from, &|key| {
            rest.name_for(key, false).map(std::borrow::Cow::into_owned)
        }),
        Part::Value(expr) => plain_paths(expr)
            .into_iter()
            .any(|path| path.root == Root::Event && touches(path, field))
            .then(|| path.to_owned()),
    }
}

/// What is left of `path` below `above`; empty for the same place.
fn below<'a>(path: &'a str, above: &str) -> Option<&'a str> {
    if above.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(above)?;
    match rest.is_empty() {
        true => Some(rest),
        false => rest.strip_prefix('.'),
    }
}

fn touches(path: &Path, field: &str) -> bool {
    let start = dotted(&path.steps).unwrap_or_default();
    below(field, &start).is_some() || below(&start, field).is_some()
}

/// The paths whose values are in what becomes of a value, not hashed.
fn plain_paths(expr: &Expr) -> Vec<&Path> {
    match expr {
        Expr::Const(_) | Expr::Omit | Expr::Unknown => Vec::new(),
        Expr::Path(path) => vec![path],
        Expr::Object(object) => of_object(object),
        Expr::List(items) => items.iter().flat_map(plain_paths).collect(),
        Expr::Operator(operator) => of_operator(operator),
    }
}

fn of_object(object: &Object) -> Vec<&Path> {
    let members = object.members.iter().map(|member| &member.value);
    let spreads = object.copies.iter().map(|copy| &copy.from);
    let spreads = spreads.chain(object.rests.iter().map(|rest| &rest.from));
    members.flat_map(plain_paths).chain(spreads).collect()
}

fn of_operator(operator: &Operator) -> Vec<&Path> {
    let is_hashed = operator
        .conversions
        .iter()
        .any(|one| matches!(one.name, "sha256" | "hmac_sha256"));
    let mut all = match &operator.source {
        // `$default` is put in behind the conversions.
        _ if is_hashed => Vec::new(),
        Source::Const(_) => Vec::new(),
        Source::From { paths, .. } => paths.iter().collect(),
        Source::Lookup { default, .. } => default.iter().flat_map(plain_paths).collect(),
        Source::Text(parts) => parts
            .iter()
            .filter_map(|part| match part {
                TextPart::Value(path, _) => Some(path),
                TextPart::Plain(_) => None,
            })
            .collect(),
        Source::If {
            then, otherwise, ..
        } => then.iter().chain(otherwise).flat_map(plain_paths).collect(),
        Source::Each { items, emit } => {
            let mut inner = plain_paths(emit);
            // The items leave when something of `$item` does.
            if inner.iter().any(|path| path.root == Root::Item) {
                inner.extend(plain_paths(items));
            }
            inner.retain(|path| path.root == Root::Event);
            inner
        }
    };
    all.extend(operator.default.iter().flat_map(plain_paths));
    all
}
