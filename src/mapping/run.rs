//! Rules at work: which run on an event, and what comes of them together.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::evaluate::{self, Stop};
use super::explain::{explain, outputs};
use super::load::Origin;
use super::personal::PersonalData;
use super::plan::{Action, Rule, TypePattern};
use super::{
    Explained, LookedAt, Mapped, MappedDocument, Options, Output, RuleInfo, Target, convert,
};

/// Why an event is skipped for which the connector's own `when` does not hold.
pub(super) const NOT_WHEN: &str = "when";

/// Why an event is skipped whose rule nobody opted in to.
pub(super) fn not_opted_in(reason: &str) -> String {
    format!("{NOT_OPTED_IN}: {reason}")
}

/// How its reason begins.
pub const NOT_OPTED_IN: &str = "not opted in";

/// Rules, ready to run.
pub struct Mapping {
    pub(super) rules: Vec<Rule>,
    /// Where things stand.
    pub(super) origin: Origin,
    infos: Vec<RuleInfo>,
    pub(super) personal: PersonalData,
    pub(super) target: Target,
    pub(super) options: Options,
    include: Vec<TypePattern>,
    exclude: Vec<TypePattern>,
    /// Rules of each type that is known by name, so that most events look at theirs only.
    by_type: HashMap<String, Vec<usize>>,
}

impl Mapping {
    pub(super) fn new(
        rules: Vec<Rule>,
        origin: Origin,
        personal: PersonalData,
        target: Target,
        options: Options,
    ) -> Self {
        let infos = rules
            .iter()
            .map(|rule| RuleInfo {
                name: rule.name.to_string(),
                on: rule.on.iter().map(|one| one.text.clone()).collect(),
                place: rule.place,
                opt_in: rule.opt_in.clone(),
                skip: match &rule.action {
                    Action::Skip(reason) => Some(reason.clone()),
                    Action::Emit(_) => None,
                },
            })
            .collect();
        let patterns = |texts: &[String]| -> Vec<TypePattern> {
            texts
                .iter()
                .map(|text| TypePattern::new(text, None))
                .collect()
        };
        let mut mapping = Self {
            origin,
            infos,
            personal,
            target,
            include: patterns(&options.include),
            exclude: patterns(&options.exclude),
            options,
            by_type: HashMap::new(),
            rules,
        };
        let mut names: HashSet<String> = mapping
            .rules
            .iter()
            .flat_map(|rule| &rule.on)
            .filter(|pattern| pattern.glob.is_none())
            .map(|pattern| pattern.text.clone())
            .collect();
        for event in target
            .catalogue
            .iter()
            .flat_map(|catalogue| &catalogue.events)
        {
            names.insert(event.name.clone());
            names.extend(event.aliases.iter().cloned());
        }
        mapping.by_type = names
            .into_iter()
            .map(|name| {
                let rules = mapping.rules_on(&name);
                (name, rules)
            })
            .collect();
        mapping
    }

    /// All spellings of a type.
    fn spellings<'a>(&self, name: &'a str) -> Vec<&'a str>
    where
        Self: 'a,
    {
        let mut all = vec![name];
        if let Some(event) = self
            .target
            .catalogue
            .and_then(|catalogue| catalogue.event(name))
        {
            all.push(event.name.as_str());
            all.extend(event.aliases.iter().map(String::as_str));
        }
        all
    }

    fn rules_on(&self, name: &str) -> Vec<usize> {
        let spellings = self.spellings(name);
        (0..self.rules.len())
            .filter(|at| {
                self.rules[*at]
                    .on
                    .iter()
                    .any(|pattern| spellings.iter().any(|name| pattern.matches(name)))
            })
            .collect()
    }

    /// The rules on a type, in the order they are tried.
    pub(super) fn candidates(&self, event_type: &str) -> Cow<'_, [usize]> {
        match self.by_type.get(event_type) {
            Some(rules) => Cow::Borrowed(rules),
            None => Cow::Owned(self.rules_on(event_type)),
        }
    }

    /// All rules, in the order they are tried.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.infos
    }

    /// Everything that the rule of this name may put into its documents.
    pub fn outputs_of(&self, name: &str) -> Vec<Output> {
        self.rules
            .iter()
            .filter(|rule| *rule.name == *name)
            .flat_map(|rule| outputs(rule, &self.origin))
            .collect()
    }

    /// What the rules were checked against.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether events of this type are wanted: included (by default: named by a rule), not excluded.
    pub fn selects(&self, event_type: &str) -> bool {
        if !self.is_wanted(event_type) {
            return false;
        }
        !self.include.is_empty()
            || match self.by_type.get(event_type) {
                Some(rules) => !rules.is_empty(),
                None => !self.rules_on(event_type).is_empty(),
            }
    }

    pub(super) fn is_wanted(&self, event_type: &str) -> bool {
        if self.include.is_empty() && self.exclude.is_empty() {
            return true;
        }
        let spellings = self.spellings(event_type);
        let hits = |patterns: &[TypePattern]| {
            patterns
                .iter()
                .any(|pattern| spellings.iter().any(|name| pattern.matches(name)))
        };
        (self.include.is_empty() || hits(&self.include)) && !hits(&self.exclude)
    }

    pub(super) fn is_opted_in(&self, event_type: &str) -> bool {
        let spellings = self.spellings(event_type);
        self.include
            .iter()
            .any(|pattern| pattern.glob.is_none() && spellings.contains(&pattern.text.as_str()))
    }

    /// What becomes of an event. Pure; never panics.
    ///
    /// A type that no rule is on is `Unmapped` also when `include` is empty, so that new types show.
    pub fn map(&self, event: &Value) -> Mapped {
        self.run(own_type(event), event, None)
    }

    /// As [`Mapping::map`], from the bytes as they came, for an event whose type is known.
    pub fn map_bytes(&self, event_type: &str, event: &[u8]) -> Mapped {
        match serde_json::from_slice::<Value>(event) {
            Ok(event) => self.run(event_type, &event, None),
            Err(error) => Mapped::Dead {
                reason: "not JSON".to_owned(),
                detail: format!(
                    "not valid JSON at line {}, column {}",
                    error.line(),
                    error.column()
                ),
                rule: None,
            },
        }
    }

    /// What becomes of an event of a type, with the way there.
    pub fn map_explained(&self, event_type: &str, event: &Value) -> Explained {
        let mut looked_at = Vec::new();
        let outcome = self.run(event_type, event, Some(&mut looked_at));
        let seen = self.protected(event_type, event);
        let mut explained = explain(&seen, outcome, looked_at, &self.rules, &self.origin);
        for field in &mut explained.fields {
            let treatments = field.reads.iter().filter_map(|read| {
                let dotted = read.path.strip_prefix("$.")?;
                let mut treated = self.personal.treated(event_type);
                treated.find(|(path, _)| *path == dotted)
            });
            let steps: Vec<&'static str> = treatments.map(|(_, one)| one.word()).collect();
            field.output.conversions.splice(0..0, steps);
        }
        explained
    }

    fn run(
        &self,
        event_type: &str,
        event: &Value,
        mut trace: Option<&mut Vec<LookedAt>>,
    ) -> Mapped {
        if !event.is_object() {
            return Mapped::Dead {
                reason: "not an object".to_owned(),
                detail: "an event must be a JSON object".to_owned(),
                rule: None,
            };
        }
        if let Some(when) = &self.options.when
            && !when.holds(event)
        {
            return Mapped::Skipped {
                reason: NOT_WHEN.to_owned(),
                rule: None,
            };
        }
        if !self.is_wanted(event_type) {
            return Mapped::NotSelected;
        }
        let mut protected = None;
        let mut all = Combined::default();
        for at in &*self.candidates(event_type) {
            let rule = &self.rules[*at];
            let mut tell = |ran: bool, verdict: String| {
                if let Some(trace) = trace.as_deref_mut() {
                    trace.push(LookedAt {
                        rule: rule.name.to_string(),
                        place: rule.place,
                        ran,
                        verdict,
                        when: None,
                        reads: Vec::new(),
                    });
                }
            };
            if rule.when.as_ref().is_some_and(|when| !when.holds(event)) {
                tell(false, "`when` does not hold".to_owned());
                continue;
            }
            match &rule.opt_in {
                Some(text) if !self.is_opted_in(event_type) => {
                    tell(false, "not opted in".to_owned());
                    all.skip(not_opted_in(text), &rule.name);
                }
                _ => {
                    tell(true, "ran".to_owned());
                    let seen = protected.get_or_insert_with(|| self.protected(event_type, event));
                    self.apply(rule, seen, &mut all);
                }
            }
            if !rule.goes_on {
                break;
            }
        }
        all.finish()
    }

    /// The event as documents may be made of it.
    fn protected<'e>(&self, event_type: &str, event: &'e Value) -> Cow<'e, Value> {
        if self.personal.treated(event_type).next().is_none() {
            return Cow::Borrowed(event);
        }
        let mut event = event.clone();
        self.personal.protect(event_type, &mut event);
        Cow::Owned(event)
    }

    fn apply(&self, rule: &Rule, event: &Value, all: &mut Combined) {
        let documents = match &rule.action {
            Action::Skip(reason) => return all.skip(reason.clone(), &rule.name),
            Action::Emit(documents) => documents,
        };
        let is_later = !all.documents.is_empty();
        for (name, plan) in documents {
            match evaluate::document(plan, event) {
                Ok(mut body) => {
                    self.identify(&mut body, rule, name.as_deref(), is_later);
                    all.documents.push(MappedDocument {
                        rule: Arc::clone(&rule.name),
                        name: name.clone(),
                        body: Bytes::from(Value::Object(body).to_string()),
                    });
                }
                Err(stop) => all.stop(stop, &rule.name),
            }
        }
    }

    /// Make the identity distinct per document and set it in the body.
    fn identify(
        &self,
        body: &mut Map<String, Value>,
        rule: &Rule,
        name: Option<&str>,
        is_later: bool,
    ) {
        let member = self.target.document.and_then(|spec| spec.identity);
        // One that is no text is wrong for the sink, which says so; nothing is put behind it.
        if let Some(member) = member
            && let Some(Value::String(given)) = body.get_mut(member)
            && let Some(distinct) = self.distinct(given, rule, name, is_later)
        {
            *given = distinct;
        }
    }

    /// The identity instead of the one that a document gives itself, so that it is distinct for each
    /// document of an event and short enough; `None` if it is already.
    pub(super) fn distinct(
        &self,
        given: &str,
        rule: &Rule,
        name: Option<&str>,
        is_later: bool,
    ) -> Option<String> {
        let chars_max = self.target.document?.identity_chars_max;
        let rule = is_later.then_some(&*rule.name);
        let suffixes = [name, rule, self.options.identity_suffix.as_deref()];
        let is_short = given.len() <= chars_max || given.chars().count() <= chars_max;
        if is_short && suffixes.iter().all(Option::is_none) {
            return None;
        }
        let mut identity = given.to_owned();
        for suffix in suffixes.into_iter().flatten() {
            identity.push(':');
            identity.push_str(suffix);
        }
        if identity.chars().count() > chars_max {
            identity = convert::sha256_hex(&identity);
        }
        Some(identity)
    }
}

fn own_type(event: &Value) -> &str {
    event
        .get("event_type")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Outcomes of all rules that ran: dead before documents, documents before skipped.
#[derive(Default)]
pub(super) struct Combined {
    pub(super) documents: Vec<MappedDocument>,
    dead: Option<Mapped>,
    skipped: Option<Mapped>,
}

impl Combined {
    pub(super) fn skip(&mut self, reason: String, rule: &str) {
        if self.skipped.is_none() {
            self.skipped = Some(Mapped::Skipped {
                reason,
                rule: Some(rule.to_owned()),
            });
        }
    }

    pub(super) fn stop(&mut self, stop: Stop, rule: &str) {
        match stop {
            Stop::Skip(reason) => self.skip(reason, rule),
            Stop::Dead { reason, detail } if self.dead.is_none() => {
                self.dead = Some(Mapped::Dead {
                    reason,
                    detail,
                    rule: Some(rule.to_owned()),
                });
            }
            Stop::Dead { .. } => {}
        }
    }

    pub(super) fn finish(self) -> Mapped {
        if let Some(dead) = self.dead {
            return dead;
        }
        if !self.documents.is_empty() {
            return Mapped::Documents(self.documents);
        }
        self.skipped.unwrap_or(Mapped::Unmapped)
    }
}
