//! Two outcomes of the same event, counted by what is different about them.
//!
//! What is kept does not grow with the number of events: a count and one example for each kind of
//! difference, and a limit on the kinds.

use std::collections::BTreeMap;

use globset::GlobSet;
use serde_json::Value;

use crate::mapping::{Mapped, MappedDocument, Mapping};

/// Most kinds of difference that are told apart; of all further ones only the number is kept.
const KINDS_MAX: usize = 2_000;

/// Everything that was found.
pub struct Differences<'a> {
    old: &'a Mapping,
    new: &'a Mapping,
    ignored: GlobSet,
    /// Events looked at.
    pub events: u64,
    /// Documents that are the same in both.
    pub same: u64,
    /// Documents with a difference.
    pub changed: u64,
    /// Documents that only the new mappings make.
    pub added: u64,
    /// Documents that only the old mappings made.
    pub gone: u64,
    /// Members of documents that differ.
    pub changes: BTreeMap<Change, Seen>,
    /// Events that become something else: what they became, what they become.
    pub outcomes: BTreeMap<(String, String), Seen>,
    /// Differences beyond [`KINDS_MAX`] kinds.
    pub others: u64,
}

/// One kind of difference between documents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The rule that makes the document now.
    pub rule: String,
    /// Its name in `emit_each`.
    pub document: Option<String>,
    /// Dotted place in the document.
    pub path: String,
}

/// How often, and one of them.
#[derive(Debug, Clone)]
pub struct Seen {
    /// How often.
    pub count: u64,
    /// The first event.
    pub event_type: String,
    /// Its id.
    pub event_id: String,
    /// What stood there; `None`: nothing.
    pub old: Option<Value>,
    /// What stands there now; `None`: nothing.
    pub new: Option<Value>,
}

/// Type and id of an event.
type Named<'e> = (&'e str, &'e str);

impl<'a> Differences<'a> {
    /// Nothing looked at yet.
    pub fn new(old: &'a Mapping, new: &'a Mapping, ignored: GlobSet) -> Self {
        Self {
            old,
            new,
            ignored,
            events: 0,
            same: 0,
            changed: 0,
            added: 0,
            gone: 0,
            changes: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            others: 0,
        }
    }

    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.changed + self.added + self.gone + self.others == 0 && self.outcomes.is_empty()
    }

    /// Take in one event, by its type and id and the JSON text.
    pub fn add(&mut self, event: Named<'_>, text: &str) {
        self.events += 1;
        let old = self.old.map_bytes(event.0, text.as_bytes());
        let new = self.new.map_bytes(event.0, text.as_bytes());
        if let (Mapped::Documents(old), Mapped::Documents(new)) = (&old, &new) {
            return self.documents(event, old, new);
        }
        for (outcome, count) in [(&old, &mut self.gone), (&new, &mut self.added)] {
            if let Mapped::Documents(documents) = outcome {
                *count += documents.len() as u64;
            }
        }
        let (was, is) = (said(&old), said(&new));
        if was != is {
            let others = &mut self.others;
            count(&mut self.outcomes, others, (was, is), || {
                (event, None, None)
            });
        }
    }

    /// Documents belong together by their name in `emit_each`, those of one name in order.
    fn documents(&mut self, event: Named<'_>, old: &[MappedDocument], new: &[MappedDocument]) {
        let mut left: Vec<&MappedDocument> = old.iter().collect();
        let mut added = Vec::new();
        for document in new {
            match left.iter().position(|one| one.name == document.name) {
                Some(at) => self.pair(event, left.remove(at), document),
                None => added.push(document),
            }
        }
        self.added += added.len() as u64;
        self.gone += left.len() as u64;
        let (was, is) = (listed(&left), listed(&added));
        if was != is {
            let others = &mut self.others;
            count(&mut self.outcomes, others, (was, is), || {
                (event, None, None)
            });
        }
    }

    fn pair(&mut self, event: Named<'_>, old: &MappedDocument, new: &MappedDocument) {
        if old.body == new.body {
            self.same += 1;
            return;
        }
        let (before, after) = (body(old), body(new));
        let mut found = Vec::new();
        different(Some(&before), Some(&after), String::new(), &mut found);
        found.retain(|(path, _, _)| !self.ignored.is_match(path));
        if found.is_empty() {
            self.same += 1;
            return;
        }
        self.changed += 1;
        for (path, was, is) in found {
            let change = Change {
                rule: new.rule.to_string(),
                document: new.name.as_deref().map(str::to_owned),
                path,
            };
            count(&mut self.changes, &mut self.others, change, || {
                (event, was.cloned(), is.cloned())
            });
        }
    }
}

fn count<'e, K: Ord>(
    kinds: &mut BTreeMap<K, Seen>,
    others: &mut u64,
    kind: K,
    example: impl FnOnce() -> (Named<'e>, Option<Value>, Option<Value>),
) {
    if let Some(seen) = kinds.get_mut(&kind) {
        seen.count += 1;
        return;
    }
    if kinds.len() >= KINDS_MAX {
        *others += 1;
        return;
    }
    let ((event_type, event_id), old, new) = example();
    let seen = Seen {
        count: 1,
        event_type: event_type.to_owned(),
        event_id: event_id.to_owned(),
        old,
        new,
    };
    kinds.insert(kind, seen);
}

fn body(document: &MappedDocument) -> Value {
    serde_json::from_slice(&document.body).unwrap_or_default()
}

/// What became of an event, in words that are the same for events alike.
fn said(outcome: &Mapped) -> String {
    match outcome {
        Mapped::Documents(documents) => listed(&documents.iter().collect::<Vec<_>>()),
        Mapped::Skipped { reason, .. } => format!("skipped: {reason}"),
        Mapped::Dead { reason, .. } => format!("dead letter: {reason}"),
        Mapped::Unmapped => "no rule on it".to_owned(),
        Mapped::NotSelected => "not selected".to_owned(),
    }
}

fn listed(documents: &[&MappedDocument]) -> String {
    let names: Vec<String> = documents
        .iter()
        .map(|document| match &document.name {
            Some(name) => format!("{} by {}", name, document.rule),
            None => format!("a document by {}", document.rule),
        })
        .collect();
    match names.is_empty() {
        true => "nothing more".to_owned(),
        false => names.join(", "),
    }
}

type Found<'v> = (String, Option<&'v Value>, Option<&'v Value>);

/// Every place where two values part. Objects are looked into, also one that has no other side; all
/// else is compared whole.
fn different<'v>(
    old: Option<&'v Value>,
    new: Option<&'v Value>,
    path: String,
    found: &mut Vec<Found<'v>>,
) {
    let members = |value: Option<&'v Value>| value.and_then(Value::as_object);
    let (before, after) = (members(old), members(new));
    let is_leaf = match (before, after) {
        (Some(_), Some(_)) => false,
        (Some(one), None) => new.is_some() || one.is_empty(),
        (None, Some(one)) => old.is_some() || one.is_empty(),
        (None, None) => true,
    };
    if is_leaf {
        if old != new {
            found.push((path, old, new));
        }
        return;
    }
    let has = |key: &String| before.is_some_and(|members| members.contains_key(key));
    let mut keys: Vec<&String> = before.into_iter().flat_map(|all| all.keys()).collect();
    keys.extend(
        after
            .into_iter()
            .flat_map(|all| all.keys())
            .filter(|key| !has(key)),
    );
    for key in keys {
        let below = match path.as_str() {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        let side = |members: Option<&'v serde_json::Map<String, Value>>| members?.get(key);
        different(side(before), side(after), below, found);
    }
}
