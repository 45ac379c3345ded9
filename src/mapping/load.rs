//! From references to a mapping: files are read, merged, compiled and checked.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use sluice_sdk::catalogue::EventType;
use sluice_sdk::{sinks, sources};

use super::compile::{self, Compiler, Tables};
use super::expression::Expression;
use super::import::{Loader, Part, Place, Set, unread_folders};
use super::personal::PersonalData;
use super::plan::{Rule, TypePattern};
use super::sets::import_of;
use super::{Mapping, Options, Reference, Target, check, condition, merge, syntax};
use crate::diagnostics::{
    Allows, Diagnostic, FileId, Files, Node, Severity, Span, did_you_mean, nearest,
};

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
    let (set, mut allows) = read(references, files, &mut found);
    let target = match target {
        Some(target) => {
            other_target(&set, target, &mut found);
            target
        }
        None => target_of(&set, &mut found),
    };
    let (rules, personal) = compile_set(&set, target, &options, &mut found);
    deduplicate(&mut found);
    without_consequences(&mut found);
    allows.apply(&mut found);
    let has_errors = crate::diagnostics::has_errors(&found);
    if rules.is_empty() && !has_errors {
        found.push(Diagnostic {
            severity: Severity::Error,
            ..Diagnostic::global("no-rules", "these mappings have no rules")
        });
        diagnostics.append(&mut found);
        return None;
    }
    let when = options.when.clone().zip(options.when_place.clone());
    let mapping =
        (!has_errors).then(|| Mapping::new(rules, Origin::of(&set), personal, target, options));
    if let (Some(mapping), Some((when, node))) = (&mapping, when) {
        selection(mapping, &when, &node, &mut found);
    }
    if let Some(mapping) = mapping.as_ref().filter(|it| it.options.is_for_sink) {
        check::identity(mapping, &mut found);
    }
    allows.apply(&mut found);
    allows.report_unused(&mut found);
    let has_errors = crate::diagnostics::has_errors(&found);
    diagnostics.append(&mut found);
    mapping.filter(|_| !has_errors)
}

/// Where things stand, for explanations and for the coverage of tests.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Files that were asked for themselves, not by an import.
    pub own_files: BTreeSet<FileId>,
    /// Templates by name, with the place of what stands under the name.
    templates: Vec<(String, Span)>,
}

impl Origin {
    fn of(set: &Set) -> Self {
        let own = set.layers().filter(|layer| layer.depth == 0);
        let templates = set.templates.iter().flat_map(|part| {
            let layers = part.layers.iter();
            layers.map(|layer| (part.name.clone(), layer.node.span))
        });
        Self {
            own_files: own.map(|layer| layer.span.file).collect(),
            templates: templates.collect(),
        }
    }

    /// The template that holds this place.
    pub fn template_at(&self, place: Span) -> Option<&str> {
        self.templates
            .iter()
            .find(|(_, span)| {
                span.file == place.file && span.start <= place.start && place.end <= span.end
            })
            .map(|(name, _)| name.as_str())
    }
}

/// The connector's own condition against the types that it selects.
fn selection(mapping: &Mapping, when: &Expression, node: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let Some(catalogue) = mapping.target.catalogue else {
        return;
    };
    let types: Vec<&EventType> = catalogue
        .events
        .iter()
        .filter(|event| mapping.selects(&event.name))
        .collect();
    let mut uses = check::FieldUses::default();
    uses.add(&condition::fields(when, node), &types);
    uses.check(diagnostics);
    check::check_when(
        when,
        node.span,
        &types,
        "`when` of this connector",
        diagnostics,
    );
}

fn read(
    references: &[Reference],
    files: &mut Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Set, Allows) {
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
    let set = loader.group(&places, 0);
    for reference in references {
        unread_folders(
            &mut loader,
            &reference.text,
            &reference.base,
            reference.span,
        );
    }
    (set, loader.allows)
}

/// A `for` that speaks of other plugins than the connector has.
fn other_target(set: &Set, target: Target, diagnostics: &mut Vec<Diagnostic>) {
    let mut tell = |(name, span): &(String, Span), what: &str, known: Vec<&'static str>| {
        // No plugin of another build, but a slip.
        if !known.contains(&name.as_str()) && nearest(name, known.iter().copied()).is_some() {
            diagnostics.push(unknown_plugin(what, name, *span, known));
            return;
        }
        diagnostics.push(
            Diagnostic::warning(
                "other-target",
                *span,
                format!("this is written for the {what} `{name}`; here it is used with another"),
            )
            .label("the connector's own counts"),
        );
    };
    if let (Some(source), Some(own)) = (&set.source, target.catalogue) {
        let meant = sources().into_iter().find(|plugin| plugin.name == source.0);
        let catalogue = meant.and_then(|plugin| plugin.catalogue).map(|it| it());
        if catalogue.is_none_or(|catalogue| !std::ptr::eq(catalogue, own)) {
            let known = sources().iter().map(|one| one.name).collect();
            tell(source, "source", known);
        }
    }
    if let (Some(sink), Some(own)) = (&set.sink, target.document) {
        let meant = sinks().into_iter().find(|plugin| plugin.name == sink.0);
        let document = meant.and_then(|plugin| plugin.document);
        if document.is_none_or(|document| !std::ptr::eq(document, own)) {
            let known = sinks().iter().map(|one| one.name).collect();
            tell(sink, "sink", known);
        }
    }
}

fn unknown_plugin(what: &str, name: &str, span: Span, known: Vec<&'static str>) -> Diagnostic {
    let message = format!("there is no {what} `{name}` in this build");
    Diagnostic::error("unknown-plugin", span, message).label(did_you_mean(name, known))
}

fn target_of(set: &Set, diagnostics: &mut Vec<Diagnostic>) -> Target {
    let mut unknown = |what: &str, name: &str, span: Span, known: Vec<&'static str>| {
        diagnostics.push(unknown_plugin(what, name, span, known));
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

/// Where a file could not be read, what it would have brought is missing all over.
fn without_consequences(diagnostics: &mut Vec<Diagnostic>) {
    let is_unread = diagnostics.iter().any(|one| {
        matches!(
            one.code,
            "missing-file"
                | "unknown-builtin"
                | "other-kind"
                | "import-cycle"
                | "unreadable-file"
                | "duplicate-key"
        ) || one.code.starts_with("yaml-")
            || one.code == "wrong-type" && one.message.starts_with("`import`")
    });
    if is_unread {
        diagnostics.retain(|one| {
            !matches!(
                one.code,
                "missing-on"
                    | "no-outcome"
                    | "unknown-template"
                    | "unknown-table"
                    | "missing-member"
            )
        });
    }
    one_import(diagnostics);
}

/// The first place that needs an import which is not there tells it for all of its file.
fn one_import(diagnostics: &mut Vec<Diagnostic>) {
    let key = |one: &Diagnostic| {
        let is_import = one.label.contains("`import: [");
        one.span
            .filter(|_| is_import)
            .map(|span| (span, (span.file, one.label.clone())))
    };
    let mut first: HashMap<(FileId, String), (Span, usize)> = HashMap::new();
    for (span, need) in diagnostics.iter().filter_map(key) {
        let (earliest, count) = first.entry(need).or_insert((span, 0));
        *earliest = span.min(*earliest);
        *count += 1;
    }
    diagnostics.retain_mut(|one| {
        let Some((span, need)) = key(one) else {
            return true;
        };
        let (earliest, count) = first[&need];
        if count > 1 {
            one.notes.push(match count - 1 {
                1 => "one more place in this file needs it".to_owned(),
                more => format!("{more} more places in this file need it"),
            });
        }
        span == earliest
    });
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

fn compile_set(
    set: &Set,
    target: Target,
    options: &Options,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Vec<Rule>, PersonalData) {
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
    let (mut uses, mut texts) = (check::FieldUses::default(), check::FieldUses::default());
    let mut omits = Vec::new();
    let mut rules = Vec::new();
    // What can be said of their documents depends on what is missing.
    let (mut partial, mut doubtful) = (HashSet::new(), HashSet::new());
    for part in &set.rules {
        let node = merged(part, merge::merge_rule, &mut resolver.omitted);
        if node.as_map().is_none() {
            continue;
        }
        let node = resolver.resolve(&node, diagnostics);
        let own = part.top().node.as_map().unwrap_or_default();
        if merge::is_partial(&node) || own.iter().any(syntax::is_extends) {
            partial.insert(part.name.as_str());
        }
        let mut compiler = Compiler::new(&tables, diagnostics);
        let rule = compile_rule(part, &node, &set.rules, &mut compiler);
        if is_doubtful(part) {
            let place = part.top().span;
            let is_lack = |one: &Diagnostic| matches!(one.code, "missing-on" | "no-outcome");
            compiler
                .diagnostics
                .retain(|one| !is_lack(one) || one.span != Some(place));
            doubtful.insert(part.name.as_str());
        }
        let fields = std::mem::take(&mut compiler.fields);
        let named = std::mem::take(&mut compiler.texts);
        used_tables.extend(std::mem::take(&mut compiler.used_tables));
        omits.append(&mut compiler.omits);
        let types = match (&rule, target.catalogue) {
            (Some(rule), Some(catalogue)) => check::types_of(rule, catalogue),
            _ => Vec::new(),
        };
        uses.add(&fields, &types);
        texts.add(&named, &types);
        let Some(rule) = rule else { continue };
        if let Some(catalogue) = target.catalogue {
            check::unknown_types(&rule, catalogue, diagnostics);
            if let Some(when) = &rule.when {
                // A glob may well be narrowed by a field that not all of its types have.
                let named: Vec<&EventType> = types
                    .iter()
                    .copied()
                    .filter(|event| check::is_named(&rule, event))
                    .collect();
                let whose = format!("`when` of `{}`", rule.name);
                check::check_when(when, rule.when_place, &named, &whose, diagnostics);
            }
        }
        rules.push(rule);
    }
    // Otherwise as they came: the order among each other stays.
    rules.sort_by_key(|rule| !rule.is_first);
    uses.check(diagnostics);
    check::texts(&texts, diagnostics);
    let personal = PersonalData::new(&options.personal, target.catalogue, diagnostics);
    let ends = check::Ends {
        catalogue: target.catalogue,
        spec: target.document,
        personal: &personal,
        when: options.when.as_ref(),
        partial: &partial,
    };
    check::documents(&rules, ends, diagnostics);
    check::unreachable(&rules, target.catalogue, &doubtful, diagnostics);
    // What no rule uses is read as well: a mistake in it would wait there for its first user.
    let used_templates = resolver.used.clone();
    for part in &set.templates {
        if used_templates.contains(&part.name) {
            continue;
        }
        if let Some(node) = templates.get(&part.name) {
            let node = resolver.resolve(node, diagnostics);
            let mut compiler = Compiler::new(&tables, diagnostics);
            compiler.item_is_known = true;
            compiler.expr(&node, &part.name);
            used_tables.extend(std::mem::take(&mut compiler.used_tables));
            let mut texts = check::FieldUses::default();
            texts.add(&std::mem::take(&mut compiler.texts), &[]);
            check::texts(&texts, diagnostics);
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
    (rules, personal)
}

/// Whether a rule has a key that nobody knows: it may be one of those that it lacks.
fn is_doubtful(part: &Part) -> bool {
    part.layers.iter().any(|layer| {
        let entries = layer.node.as_map().unwrap_or_default();
        entries
            .iter()
            .any(|entry| !syntax::RULE_KEYS.contains(&entry.key.as_str()))
    })
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
                    "this rule does not say which events it is for",
                )
                .label(match nearest(&part.name, imported) {
                    Some(name) => format!("did you mean to lay it over `{name}`?"),
                    None => match import_of("rules", &part.name) {
                        hint if hint.is_empty() => {
                            "add `on:` with event types, or a pattern such as `orders.*`".to_owned()
                        }
                        hint => hint,
                    },
                }),
            );
            // What else it lacks may well stand in the rule that was meant.
            return None;
        }
    };
    let when = match node
        .get("when")
        .filter(|node| !merge::is_omit(node) && node.as_str().is_some())
    {
        // The outcome is read all the same: it may have mistakes of its own.
        Some(when) => match compiler.condition(when) {
            Some(expression) => Some(expression),
            None => {
                compiler.action(node, top.span);
                return None;
            }
        },
        None => None,
    };
    let text = |key: &str| node.get(key).and_then(Node::as_str).map(str::to_owned);
    let is_on = |key: &str| {
        let value = node.get(key);
        value.is_some_and(|node| node.to_json() == Value::Bool(true))
    };
    Some(Rule {
        when_text: when.is_some().then(|| text("when")).flatten(),
        name: Arc::from(part.name.as_str()),
        on: on
            .into_iter()
            .map(|(text, span)| TypePattern::new(&text, Some(span)))
            .collect(),
        when,
        when_place: node.get("when").map_or(top.span, |when| when.span),
        action: compiler.action(node, top.span)?,
        is_first: is_on("first"),
        goes_on: is_on("continue"),
        opt_in: text("opt_in"),
        place: top.span,
        depth: top.depth,
    })
}
