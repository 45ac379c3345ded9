//! The fast evaluator: from the bytes of an event to the bytes of its documents.
//!
//! The rules of one event type become one [`Program`]: all paths in one tree of names, found in one
//! strict pass over the bytes ([`scan`]); values that are only moved are copied as they stand. No
//! tree is built for the common event. What has no faster way is left to the plain evaluator
//! ([`super::evaluate`]), value by value; an event that is odd (not JSON, a spread member that is
//! there twice) is left to it whole. Both say the same of every event; tests hold them to it.
//!
//! | room | what happens there |
//! | --- | --- |
//! | `trie` | the names that a program looks for |
//! | `scan` | one pass over the bytes |
//! | `plan`, `lower` | what is written, made from the rules' plans |
//! | `write` | the document |

mod lower;
mod plan;
mod scan;
#[cfg(test)]
mod tests;
mod trie;
mod write;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use self::lower::Lowerer;
use self::plan::{Condition, ObjectPlan, Wanted};
use self::scan::{Habits, Span};
use self::write::{Halt, Scanned, Scope, Writer};
use super::plan::{Action, Rule};
use super::run::{Combined, NOT_WHEN, not_opted_in};
use super::{Mapped, MappedDocument, Mapping};

/// Types with a program of their own; an event of one more is left to the plain evaluator.
const PROGRAMS_MAX: usize = 1024;
/// Documents are cut from pieces of memory of this size, in bytes.
const ARENA_BYTES: usize = 64 * 1024;

/// Maps the events of one connector, one after another.
pub struct Mapper {
    mapping: Arc<Mapping>,
    programs: Vec<Program>,
    /// The place of each type's program.
    places: HashMap<String, usize>,
    spans: Vec<Span>,
    out: Vec<u8>,
    arena: BytesMut,
}

/// What the rules make of one event type.
struct Program {
    /// Personal fields are hashed or dropped, which the plain evaluator does.
    is_treated: bool,
    is_wanted: bool,
    when: Option<Condition>,
    rules: Vec<RuleProgram>,
    wanted: Wanted,
    habits: Habits,
}

struct RuleProgram {
    /// Its place in the mapping.
    at: usize,
    when: Option<Condition>,
    action: ActionProgram,
}

enum ActionProgram {
    /// Knowingly nothing: the rule says so, or nobody opted in to it.
    Skip(String),
    /// In the order of the rule's documents; `None` is the plain evaluator's.
    Emit(Vec<Option<ObjectPlan>>),
}

impl Mapper {
    /// No event seen yet; programs are made as types come.
    pub fn new(mapping: Arc<Mapping>) -> Self {
        Self {
            mapping,
            programs: Vec::new(),
            places: HashMap::new(),
            spans: Vec::new(),
            out: Vec::new(),
            arena: BytesMut::new(),
        }
    }

    /// The rules.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// What becomes of an event: the same as [`Mapping::map_bytes`] says, sooner. Values that are only
    /// moved keep their bytes; there they are written anew.
    ///
    /// `event_type` is what the source says; rules go by it.
    pub fn map(&mut self, event_type: &str, event: &[u8]) -> Mapped {
        let fast = simdutf8::basic::from_utf8(event)
            .ok()
            .and_then(|text| self.map_text(event_type, text).ok());
        fast.unwrap_or_else(|| self.mapping.map_bytes(event_type, event))
    }

    fn map_text(&mut self, event_type: &str, text: &str) -> Result<Mapped, Halt> {
        let place = match self.places.get(event_type) {
            Some(place) => *place,
            None => self.add_program(event_type)?,
        };
        let program = &mut self.programs[place];
        if program.is_treated {
            return Err(Halt::Odd);
        }
        scan::scan(
            text,
            &program.wanted.trie,
            &mut program.habits,
            &mut self.spans,
        )?;
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Halt::Odd);
        }
        let tree = OnceCell::new();
        let scope = Scope {
            event: Scanned {
                text,
                spans: &self.spans,
                wanted: &program.wanted,
                tree: &tree,
            },
            item: None,
        };
        if program.when.as_ref().is_some_and(|when| !scope.holds(when)) {
            return Ok(Mapped::Skipped {
                reason: NOT_WHEN.to_owned(),
                rule: None,
            });
        }
        if !program.is_wanted {
            return Ok(Mapped::NotSelected);
        }
        let mut all = Combined::default();
        let mut documents = Documents {
            mapping: &self.mapping,
            out: &mut self.out,
            arena: &mut self.arena,
        };
        for rule in &program.rules {
            if rule.when.as_ref().is_some_and(|when| !scope.holds(when)) {
                continue;
            }
            let known = &self.mapping.rules[rule.at];
            match &rule.action {
                ActionProgram::Skip(reason) => all.skip(reason.clone(), &known.name),
                ActionProgram::Emit(plans) => documents.emit(known, plans, scope, &mut all)?,
            }
            if !known.goes_on {
                break;
            }
        }
        Ok(all.finish())
    }

    fn add_program(&mut self, event_type: &str) -> Result<usize, Halt> {
        let place = self.programs.len();
        if place >= PROGRAMS_MAX {
            return Err(Halt::Odd);
        }
        self.programs.push(Program::new(&self.mapping, event_type));
        self.places.insert(event_type.to_owned(), place);
        Ok(place)
    }
}

/// Where documents are written.
struct Documents<'a> {
    mapping: &'a Mapping,
    out: &'a mut Vec<u8>,
    arena: &'a mut BytesMut,
}

impl Documents<'_> {
    fn emit(
        &mut self,
        rule: &Rule,
        plans: &[Option<ObjectPlan>],
        scope: Scope<'_>,
        all: &mut Combined,
    ) -> Result<(), Halt> {
        let Action::Emit(documents) = &rule.action else {
            return Err(Halt::Odd);
        };
        let is_later = !all.documents.is_empty();
        for ((name, _), plan) in documents.iter().zip(plans) {
            let plan = plan.as_ref().ok_or(Halt::Odd)?;
            self.out.clear();
            let mut writer = Writer {
                out: self.out,
                identity: None,
            };
            match writer.document(plan, scope) {
                Ok(()) => {
                    let place = writer.identity.take();
                    self.identify(place, rule, name.as_deref(), is_later);
                    all.documents.push(MappedDocument {
                        rule: Arc::clone(&rule.name),
                        name: name.clone(),
                        body: self.cut(),
                    });
                }
                Err(Halt::Stop(stop)) => all.stop(stop, &rule.name),
                Err(Halt::Odd) => return Err(Halt::Odd),
            }
        }
        Ok(())
    }

    /// Make the identity distinct and set it where it stands.
    fn identify(
        &mut self,
        place: Option<Range<usize>>,
        rule: &Rule,
        name: Option<&str>,
        is_later: bool,
    ) {
        let distinct = place.clone().and_then(|place| {
            let given = write::plain(std::str::from_utf8(&self.out[place]).ok()?)?;
            self.mapping.distinct(&given, rule, name, is_later)
        });
        if let (Some(place), Some(distinct)) = (place, distinct) {
            let json = serde_json::Value::from(distinct).to_string();
            self.out.splice(place, json.into_bytes());
        }
    }

    fn cut(&mut self) -> Bytes {
        if self.arena.capacity() < self.out.len() {
            self.arena.reserve(self.out.len().max(ARENA_BYTES));
        }
        self.arena.extend_from_slice(self.out);
        self.arena.split().freeze()
    }
}

impl Program {
    fn new(mapping: &Mapping, event_type: &str) -> Self {
        let mut lowerer = Lowerer::new();
        let identity = mapping.target.document.and_then(|spec| spec.identity);
        let when = mapping
            .options
            .when
            .as_ref()
            .map(|when| lowerer.condition(when));
        let rules = mapping
            .candidates(event_type)
            .iter()
            .map(|at| {
                let rule = &mapping.rules[*at];
                RuleProgram {
                    at: *at,
                    when: rule.when.as_ref().map(|when| lowerer.condition(when)),
                    action: match (&rule.opt_in, &rule.action) {
                        (Some(text), _) if !mapping.is_opted_in(event_type) => {
                            ActionProgram::Skip(not_opted_in(text))
                        }
                        (_, Action::Skip(reason)) => ActionProgram::Skip(reason.clone()),
                        (_, Action::Emit(documents)) => ActionProgram::Emit(
                            documents
                                .iter()
                                .map(|(_, object)| lowerer.document(object, identity))
                                .collect(),
                        ),
                    },
                }
            })
            .collect();
        Self {
            is_treated: mapping.personal.treated(event_type).next().is_some(),
            is_wanted: mapping.is_wanted(event_type),
            when,
            rules,
            wanted: lowerer.finish(),
            habits: Habits::default(),
        }
    }
}
