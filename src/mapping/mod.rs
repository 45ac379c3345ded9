//! The mapping language: from YAML rules to documents.
//!
//! | room | what happens there |
//! | --- | --- |
//! | `syntax` | one file as its parts, keys and types checked |
//! | `import` | which files, and how they lie over one another |
//! | `merge` | `import` and `$extends` |
//! | `compile` | trees become plans; every path, expression, conversion read |
//! | `check` | plans against catalogue, documents and one another |
//! | `evaluate` | a plan and an event become a document |
//! | `testing` | `*.test.yaml` |
//! | `schema` | JSON Schema of the files, for editors |
//!
//! Nothing here knows a source or a sink by name: catalogues and document specs come from outside.

mod check;
mod compile;
mod convert;
mod evaluate;
mod expression;
mod import;
mod merge;
mod paths;
mod plan;
pub mod schema;
mod syntax;
pub mod testing;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use sluice_sdk::catalogue::Catalogue;
use sluice_sdk::{DocumentSpec, sinks, sources};

use self::compile::{Compiler, FieldUse, Tables};
use self::evaluate::Stop;
use self::import::{Loader, Part, Place, Set};
use self::plan::{Action, Expr, Object, Rule, Source, TypePattern};
use crate::diagnostics::{Diagnostic, Files, Node, Severity, Span, did_you_mean, nearest};

pub use self::expression::Expression;
pub use self::import::builtin_sets;

/// Something that names mapping files.
#[derive(Debug, Clone)]
pub struct Reference {
    /// A file, a folder, a glob, or `builtin:SET`.
    pub text: String,
    /// The folder it is relative to.
    pub base: PathBuf,
    /// Where it is named.
    pub span: Option<Span>,
}

/// What rules are checked against.
#[derive(Clone, Copy, Default)]
pub struct Target {
    /// Events that may come.
    pub catalogue: Option<&'static Catalogue>,
    /// Documents that the sink takes.
    pub document: Option<&'static DocumentSpec>,
}

/// What a connector says about its events.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Types or globs; empty is all that the rules name.
    pub include: Vec<String>,
    /// Types or globs that are not wanted.
    pub exclude: Vec<String>,
    /// Put behind every identity.
    pub identity_suffix: Option<String>,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapped {
    /// At least one document.
    Documents(Vec<MappedDocument>),
    /// Knowingly nothing.
    Skipped {
        /// Why; counted, without values.
        reason: String,
        /// The rule that said so.
        rule: Option<String>,
    },
    /// It should have become a document and could not.
    Dead {
        /// Short, without values.
        reason: String,
        /// For people, without values.
        detail: String,
        /// The rule that ran.
        rule: Option<String>,
    },
    /// No rule is on it.
    Unmapped,
    /// The connector does not want its type.
    NotSelected,
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedDocument {
    /// The rule that made it.
    pub rule: Arc<str>,
    /// Its name in `emit_each`.
    pub name: Option<Arc<str>>,
    /// Compact JSON.
    pub body: Bytes,
    /// What the sink knows it by.
    pub identity: Option<String>,
}

/// A rule, for lists and counts.
#[derive(Debug, Clone)]
pub struct RuleInfo {
    /// Its name.
    pub name: String,
    /// Types and globs.
    pub on: Vec<String>,
    /// Where it stands.
    pub place: Span,
    /// `opt_in`
    pub opt_in: Option<String>,
    /// `skip`
    pub skip: Option<String>,
}

/// How an event was mapped.
#[derive(Debug, Clone)]
pub struct Explained {
    /// What [`Mapping::map`] says.
    pub outcome: Mapped,
    /// Rules on the event's type, in the order they were tried.
    pub rules: Vec<LookedAt>,
    /// Where the parts of the documents come from.
    pub outputs: Vec<Output>,
}

/// A rule that was tried.
#[derive(Debug, Clone)]
pub struct LookedAt {
    /// Its name.
    pub rule: String,
    /// Where it stands.
    pub place: Span,
    /// Whether it ran.
    pub ran: bool,
    /// What came of it, in words.
    pub verdict: String,
}

/// A part of a document.
#[derive(Debug, Clone)]
pub struct Output {
    /// The rule.
    pub rule: String,
    /// The document's name in `emit_each`.
    pub document: Option<String>,
    /// Dotted place in the document; ends in `*` for a spread.
    pub path: String,
    /// Path in the event, or what it is made of.
    pub source: String,
    /// Where the rule says so.
    pub place: Span,
}

/// Rules, ready to run.
pub struct Mapping {
    rules: Vec<Rule>,
    infos: Vec<RuleInfo>,
    target: Target,
    options: Options,
    include: Vec<TypePattern>,
    exclude: Vec<TypePattern>,
    /// Rules of each type that is known by name, so that most events look at theirs only.
    by_type: HashMap<String, Vec<usize>>,
}

/// Read, check and compile mappings. `None` comes with at least one error.
///
/// Without `target` the files' own `for:` says which plugins to check against.
pub fn load(
    references: &[Reference],
    files: &mut Files,
    target: Option<Target>,
    options: Options,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Mapping> {
    let mut found = Vec::new();
    let set = read(references, files, &mut found);
    let target = target.unwrap_or_else(|| target_of(&set, &mut found));
    let rules = compile_set(&set, target, &mut found);
    deduplicate(&mut found);
    let has_errors = crate::diagnostics::has_errors(&found);
    if rules.is_empty() && !has_errors {
        found.push(Diagnostic {
            severity: Severity::Error,
            ..Diagnostic::global("no-rules", "these mappings have no rules")
        });
        diagnostics.append(&mut found);
        return None;
    }
    diagnostics.append(&mut found);
    (!has_errors).then(|| Mapping::new(rules, target, options))
}

fn read(references: &[Reference], files: &mut Files, diagnostics: &mut Vec<Diagnostic>) -> Set {
    let mut loader = Loader::new(files, diagnostics);
    let mut places: Vec<Place> = Vec::new();
    for reference in references {
        let base = Place::Disk(reference.base.clone());
        for place in loader.find(&reference.text, &base, reference.span) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    loader.group(&places, 0)
}

fn target_of(set: &Set, diagnostics: &mut Vec<Diagnostic>) -> Target {
    let mut unknown = |what: &str, name: &str, span: Span, known: Vec<&'static str>| {
        diagnostics.push(
            Diagnostic::error(
                "unknown-plugin",
                span,
                format!("there is no {what} `{name}` in this build"),
            )
            .label(did_you_mean(name, known)),
        );
    };
    let mut target = Target::default();
    if let Some((name, span)) = &set.source {
        match sources().into_iter().find(|plugin| plugin.name == name) {
            Some(plugin) => target.catalogue = plugin.catalogue.map(|catalogue| catalogue()),
            None => unknown(
                "source",
                name,
                *span,
                sources().iter().map(|one| one.name).collect(),
            ),
        }
    }
    if let Some((name, span)) = &set.sink {
        match sinks().into_iter().find(|plugin| plugin.name == name) {
            Some(plugin) => target.document = plugin.document,
            None => unknown(
                "sink",
                name,
                *span,
                sinks().iter().map(|one| one.name).collect(),
            ),
        }
    }
    target
}

/// A template is read once for each rule that uses it; its mistakes are said once.
fn deduplicate(diagnostics: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    diagnostics.retain(|one| {
        let message = match one.code {
            // Of whichever kind the documents are that the template is used in.
            "unknown-member" => String::new(),
            _ => one.message.clone(),
        };
        seen.insert((one.code, one.span, message))
    });
}

fn merged(
    part: &Part,
    merge: fn(&Node, &Node, &mut merge::Omitted) -> Node,
    omitted: &mut merge::Omitted,
) -> Node {
    let mut layers = part.layers.iter();
    let first = layers
        .next()
        .map_or_else(|| part.top().node.clone(), |layer| layer.node.clone());
    layers.fold(first, |below, layer| merge(&below, &layer.node, omitted))
}

fn compile_set(set: &Set, target: Target, diagnostics: &mut Vec<Diagnostic>) -> Vec<Rule> {
    let mut omitted = merge::Omitted::new();
    let templates: HashMap<String, Node> = set
        .templates
        .iter()
        .map(|part| (part.name.clone(), merged(part, merge::merge, &mut omitted)))
        .collect();
    let tables: Tables = set
        .tables
        .iter()
        .map(|part| {
            let table = merged(part, merge::merge, &mut omitted);
            (part.name.clone(), Arc::new(compile::table_of(&table)))
        })
        .collect();
    let mut resolver = merge::Resolver::new(&templates, omitted);
    let mut used_tables = HashSet::new();
    let mut uses = check::FieldUses::default();
    let mut omits = Vec::new();
    let mut rules = Vec::new();
    for part in &set.rules {
        let node = merged(part, merge::merge_rule, &mut resolver.omitted);
        if node.as_map().is_none() {
            continue;
        }
        let node = resolver.resolve(&node, diagnostics);
        let mut compiler = Compiler {
            tables: &tables,
            diagnostics,
            fields: Vec::new(),
            omits: Vec::new(),
            used_tables: HashSet::new(),
            item_is_known: false,
        };
        let rule = compile_rule(part, &node, &set.rules, &mut compiler);
        let fields = std::mem::take(&mut compiler.fields);
        used_tables.extend(std::mem::take(&mut compiler.used_tables));
        omits.append(&mut compiler.omits);
        let Some(rule) = rule else { continue };
        if let Some(catalogue) = target.catalogue {
            check::unknown_types(&rule, catalogue, diagnostics);
            uses.add(&fields, &check::types_of(&rule, catalogue));
        }
        if let Some(spec) = target.document {
            check::documents(&rule, spec, diagnostics);
        }
        rules.push(rule);
    }
    uses.check(diagnostics);
    check::unreachable(&rules, target.catalogue, diagnostics);
    // What no rule uses is read as well: a mistake in it would wait there for its first user.
    let used_templates = resolver.used.clone();
    for part in &set.templates {
        if used_templates.contains(&part.name) {
            continue;
        }
        if let Some(node) = templates.get(&part.name) {
            let node = resolver.resolve(node, diagnostics);
            let mut compiler = Compiler {
                tables: &tables,
                diagnostics,
                fields: Vec::new(),
                omits: Vec::new(),
                used_tables: HashSet::new(),
                item_is_known: true,
            };
            compiler.expr(&node, &part.name);
            used_tables.extend(compiler.used_tables);
        }
    }
    let has_errors = crate::diagnostics::has_errors(diagnostics);
    if !has_errors {
        check::omits(&omits, &resolver.omitted, diagnostics);
        check::unused(
            &set.templates,
            &resolver.used,
            "template",
            "unused-template",
            diagnostics,
        );
        check::unused(
            &set.tables,
            &used_tables,
            "table",
            "unused-table",
            diagnostics,
        );
    }
    rules
}

fn compile_rule(
    part: &Part,
    node: &Node,
    all: &[Part],
    compiler: &mut Compiler<'_>,
) -> Option<Rule> {
    let top = part.top();
    let on = match node.get("on") {
        Some(on) => syntax::texts(on, "`on`", &mut Vec::new()),
        None => {
            let imported = all
                .iter()
                .filter(|other| other.layers.iter().any(|layer| layer.depth > top.depth))
                .map(|other| other.name.as_str());
            compiler.diagnostics.push(
                Diagnostic::error(
                    "missing-on",
                    top.span,
                    "this rule says not which events it is on",
                )
                .label(nearest(&part.name, imported).map_or_else(
                    || "add `on: a.type.or.*`".to_owned(),
                    |name| format!("did you mean to lay it over `{name}`?"),
                )),
            );
            // What else it lacks may well stand in the rule that was meant.
            return None;
        }
    };
    let when = match node
        .get("when")
        .filter(|node| !merge::is_omit(node) && node.as_str().is_some())
    {
        Some(when) => {
            let expression = compiler.condition(when);
            if let Some(expression) = &expression {
                compiler
                    .fields
                    .extend(expression.fields().into_iter().map(|dotted| FieldUse {
                        dotted,
                        span: when.span,
                    }));
            }
            Some(expression?)
        }
        None => None,
    };
    let text = |key: &str| node.get(key).and_then(Node::as_str).map(str::to_owned);
    Some(Rule {
        name: Arc::from(part.name.as_str()),
        on: on
            .into_iter()
            .map(|(text, span)| TypePattern::new(&text, Some(span)))
            .collect(),
        when,
        action: compiler.action(node, top.span)?,
        goes_on: node
            .get("continue")
            .is_some_and(|node| node.to_json() == Value::Bool(true)),
        opt_in: text("opt_in"),
        place: top.span,
        depth: top.depth,
    })
}

impl Mapping {
    fn new(rules: Vec<Rule>, target: Target, options: Options) -> Self {
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
            infos,
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

    /// All rules, in the order they are tried.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.infos
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

    fn is_wanted(&self, event_type: &str) -> bool {
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

    fn is_opted_in(&self, event_type: &str) -> bool {
        let spellings = self.spellings(event_type);
        self.include
            .iter()
            .any(|pattern| pattern.glob.is_none() && spellings.contains(&pattern.text.as_str()))
    }

    /// What becomes of an event. Pure; never panics.
    ///
    /// A type that no rule is on is `Unmapped` also when `include` is empty, so that new types show.
    pub fn map(&self, event: &Value) -> Mapped {
        self.run(event, None)
    }

    /// As [`Mapping::map`], from the bytes as they came.
    pub fn map_bytes(&self, event: &[u8]) -> Mapped {
        match serde_json::from_slice::<Value>(event) {
            Ok(event) => self.map(&event),
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

    /// As [`Mapping::map`], with the way there.
    pub fn map_explained(&self, event: &Value) -> Explained {
        let mut looked_at = Vec::new();
        let outcome = self.run(event, Some(&mut looked_at));
        let outputs = self
            .rules
            .iter()
            .filter(|rule| {
                looked_at
                    .iter()
                    .any(|one| one.ran && one.rule == *rule.name)
            })
            .flat_map(outputs)
            .collect();
        Explained {
            outcome,
            rules: looked_at,
            outputs,
        }
    }

    fn run(&self, event: &Value, mut trace: Option<&mut Vec<LookedAt>>) -> Mapped {
        if !event.is_object() {
            return Mapped::Dead {
                reason: "not an object".to_owned(),
                detail: "an event must be a JSON object".to_owned(),
                rule: None,
            };
        }
        let event_type = event
            .get("event_type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !self.is_wanted(event_type) {
            return Mapped::NotSelected;
        }
        let computed;
        let candidates = match self.by_type.get(event_type) {
            Some(candidates) => candidates,
            None => {
                computed = self.rules_on(event_type);
                &computed
            }
        };
        let mut all = Combined::default();
        for at in candidates {
            let rule = &self.rules[*at];
            let mut tell = |ran: bool, verdict: String| {
                if let Some(trace) = trace.as_deref_mut() {
                    trace.push(LookedAt {
                        rule: rule.name.to_string(),
                        place: rule.place,
                        ran,
                        verdict,
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
                    all.skip(format!("not opted in: {text}"), &rule.name);
                }
                _ => {
                    tell(true, "ran".to_owned());
                    self.apply(rule, event, &mut all);
                }
            }
            if !rule.goes_on {
                break;
            }
        }
        all.finish()
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
                    let identity = self.identify(&mut body, rule, name.as_deref(), is_later);
                    all.documents.push(MappedDocument {
                        rule: Arc::clone(&rule.name),
                        name: name.clone(),
                        body: Bytes::from(Value::Object(body).to_string()),
                        identity,
                    });
                }
                Err(Stop::Skip(reason)) => all.skip(reason, &rule.name),
                Err(Stop::Dead { reason, detail }) => {
                    if all.dead.is_none() {
                        all.dead = Some(Mapped::Dead {
                            reason,
                            detail,
                            rule: Some(rule.name.to_string()),
                        });
                    }
                }
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
    ) -> Option<String> {
        let spec = self.target.document?;
        let member = spec.identity?;
        let given = match body.get(member)? {
            Value::String(text) => text.clone(),
            // Wrong for the sink, which says so; nothing is put behind it.
            _ => return None,
        };
        let mut identity = given.clone();
        let rule = is_later.then_some(&*rule.name);
        let suffixes = [name, rule, self.options.identity_suffix.as_deref()];
        for suffix in suffixes.into_iter().flatten() {
            identity.push(':');
            identity.push_str(suffix);
        }
        if identity.chars().count() > spec.identity_chars_max {
            identity = convert::sha256_hex(&identity);
        }
        if identity != given {
            body.insert(member.to_owned(), Value::String(identity.clone()));
        }
        Some(identity)
    }
}

/// Outcomes of all rules that ran: dead before documents, documents before skipped.
#[derive(Default)]
struct Combined {
    documents: Vec<MappedDocument>,
    dead: Option<Mapped>,
    skipped: Option<Mapped>,
}

impl Combined {
    fn skip(&mut self, reason: String, rule: &str) {
        if self.skipped.is_none() {
            self.skipped = Some(Mapped::Skipped {
                reason,
                rule: Some(rule.to_owned()),
            });
        }
    }

    fn finish(self) -> Mapped {
        if let Some(dead) = self.dead {
            return dead;
        }
        if !self.documents.is_empty() {
            return Mapped::Documents(self.documents);
        }
        self.skipped.unwrap_or(Mapped::Unmapped)
    }
}

/// Where the parts of a rule's documents come from.
fn outputs(rule: &Rule) -> Vec<Output> {
    let mut found = Vec::new();
    if let Action::Emit(documents) = &rule.action {
        for (name, object) in documents {
            let mut add = |path: String, source: String, place: Span| {
                found.push(Output {
                    rule: rule.name.to_string(),
                    document: name.as_ref().map(ToString::to_string),
                    path,
                    source,
                    place,
                });
            };
            object_outputs(object, "", &mut add);
        }
    }
    found
}

fn object_outputs(object: &Object, prefix: &str, add: &mut dyn FnMut(String, String, Span)) {
    for member in &object.members {
        let path = format!("{prefix}{}", member.key);
        match &member.value {
            Expr::Object(inner) => object_outputs(inner, &format!("{path}."), add),
            Expr::Omit | Expr::Unknown => {}
            other => add(path, describe(other), member.span),
        }
    }
    for copy in &object.copies {
        add(
            format!("{prefix}*"),
            format!("$copy of {}", copy.from.text),
            copy.span,
        );
    }
    for rest in &object.rests {
        add(
            format!("{prefix}*"),
            format!("$rest of {}", rest.from.text),
            rest.span,
        );
    }
}

fn describe(expr: &Expr) -> String {
    match expr {
        Expr::Const(_) => "constant".to_owned(),
        Expr::Path(path) => path.text.clone(),
        Expr::List(_) => "list".to_owned(),
        Expr::Object(_) => "object".to_owned(),
        Expr::Omit | Expr::Unknown => String::new(),
        Expr::Operator(operator) => match &operator.source {
            Source::From { paths, .. } => paths
                .iter()
                .map(|path| path.text.as_str())
                .collect::<Vec<_>>()
                .join(" or "),
            Source::Const(_) => "constant".to_owned(),
            Source::Lookup { key, .. } => format!("$lookup of {}", describe(key)),
            Source::Text(_) => "$text".to_owned(),
            Source::If { .. } => "$if".to_owned(),
            Source::Each { items, .. } => format!("$each of {}", describe(items)),
        },
    }
}
