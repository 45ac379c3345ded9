//! Personal data: what a connector lets its rules see of fields that the catalogue marks as personal.
//!
//! The event is changed before a rule makes a document of it, so that it does not matter by which way
//! a value gets there: path, spread, text, look-up key or list. Conditions of rules (`when`) look at
//! the event as it came; nothing of it goes into a document through them.
//!
//! A hash is SHA-256 of the text without white space at both ends and in small letters, in
//! hexadecimal: what `$as: [trim, lowercase, sha256]` gives, so that an address is one person however
//! it is written. A list or an object keeps its shape, each value in it is hashed.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use sluice_sdk::catalogue::Catalogue;

use super::convert::{plain_text, sha256_hex};
use crate::diagnostics::{Diagnostic, Span, did_you_mean};

/// What happens to a personal field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// It goes as it is.
    #[default]
    Pass,
    /// Its SHA-256 goes, of the text trimmed and in small letters.
    Hash,
    /// It is not there.
    Drop,
}

impl Treatment {
    /// For explanations, beside conversions.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "personal_data: pass",
            Self::Hash => "personal_data: hash",
            Self::Drop => "personal_data: drop",
        }
    }
}

/// What a connector says about personal data.
#[derive(Debug, Clone, Default)]
pub struct PersonalRules {
    /// For all fields that the catalogue marks.
    pub default: Treatment,
    /// For single fields, marked or not: the last part of their path or the whole of it, with its place.
    pub fields: Vec<(String, Treatment, Option<Span>)>,
}

/// The rules, resolved against a catalogue.
#[derive(Debug, Clone, Default)]
pub struct PersonalData {
    rules: PersonalRules,
    by_type: HashMap<String, BTreeMap<String, Treatment>>,
    /// For types that the catalogue does not know: all that it knows of others.
    others: BTreeMap<String, Treatment>,
}

impl PersonalData {
    /// Resolve rules; names that no field has are errors.
    pub fn new(
        rules: &PersonalRules,
        catalogue: Option<&Catalogue>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut made = Self {
            rules: rules.clone(),
            ..Self::default()
        };
        if made.is_idle() {
            return made;
        }
        let Some(catalogue) = catalogue else {
            let message = "this source has no catalogue that says which fields are personal";
            if let Some(span) = rules.fields.iter().find_map(|(_, _, span)| *span) {
                diagnostics.push(Diagnostic::error("no-personal-fields", span, message));
            } else {
                diagnostics.push(Diagnostic::global("no-personal-fields", message));
            }
            return made;
        };
        for event in &catalogue.events {
            let mut own = BTreeMap::new();
            for field in &event.fields {
                let chosen = made.chosen(&field.path);
                let treatment = match chosen {
                    Some(treatment) => treatment,
                    None if field.personal => rules.default,
                    None => continue,
                };
                own.insert(field.path.clone(), treatment);
                made.others.insert(field.path.clone(), treatment);
            }
            for name in std::iter::once(&event.name).chain(&event.aliases) {
                made.by_type.insert(name.clone(), own.clone());
            }
        }
        let fields = || catalogue.events.iter().flat_map(|event| &event.fields);
        for (name, _, span) in &rules.fields {
            let Some(span) = span else { continue };
            if fields().any(|field| is_named(&field.path, name)) {
                continue;
            }
            let known = fields()
                .flat_map(|field| [field.path.as_str(), last(&field.path)])
                .filter(|known| known.contains('.') == name.contains('.'));
            diagnostics.push(
                Diagnostic::error(
                    "unknown-personal-field",
                    *span,
                    format!("no event type has a field `{name}`"),
                )
                .label(did_you_mean(name, known)),
            );
        }
        made
    }

    /// Whether everything passes.
    pub fn is_idle(&self) -> bool {
        self.rules.default == Treatment::Pass
            && self
                .rules
                .fields
                .iter()
                .all(|(_, treatment, _)| *treatment == Treatment::Pass)
    }

    /// What is said of this very field; the whole path before its last part.
    fn chosen(&self, path: &str) -> Option<Treatment> {
        let find = |wanted: &str| {
            let found = self.rules.fields.iter().find(|(name, ..)| name == wanted);
            found.map(|(_, treatment, _)| *treatment)
        };
        find(path).or_else(|| find(last(path)))
    }

    fn of_type(&self, event_type: &str) -> &BTreeMap<String, Treatment> {
        self.by_type.get(event_type).unwrap_or(&self.others)
    }

    /// What happens to this field of this event type.
    pub fn treatment(&self, event_type: &str, path: &str) -> Treatment {
        self.of_type(event_type)
            .get(path)
            .copied()
            .unwrap_or_default()
    }

    /// The fields of this event type that do not go as they are.
    pub fn treated(&self, event_type: &str) -> impl Iterator<Item = (&str, Treatment)> {
        self.of_type(event_type)
            .iter()
            .filter(|(_, treatment)| **treatment != Treatment::Pass)
            .map(|(path, treatment)| (path.as_str(), *treatment))
    }

    /// An event of this type as documents may be made of it.
    pub fn protect(&self, event_type: &str, event: &mut Value) {
        for (path, treatment) in self.treated(event_type) {
            treat(event, path, treatment);
        }
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn is_named(path: &str, name: &str) -> bool {
    path == name || last(path) == name
}

fn treat(event: &mut Value, path: &str, treatment: Treatment) {
    let (above, name) = match path.rsplit_once('.') {
        Some((above, name)) => (Some(above), name),
        None => (None, path),
    };
    let parent = above
        .into_iter()
        .flat_map(|above| above.split('.'))
        .try_fold(event, |here, step| here.get_mut(step));
    let Some(parent) = parent.and_then(Value::as_object_mut) else {
        return;
    };
    match treatment {
        Treatment::Pass => {}
        Treatment::Drop => {
            parent.shift_remove(name);
        }
        Treatment::Hash => {
            if let Some(value) = parent.get_mut(name) {
                hash(value);
            }
        }
    }
}

fn hash(value: &mut Value) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter_mut().for_each(hash),
        Value::Object(members) => members.values_mut().for_each(hash),
        scalar => {
            let text = plain_text(scalar).unwrap_or_default();
            *scalar = Value::String(sha256_hex(&text.trim().to_lowercase()));
        }
    }
}
