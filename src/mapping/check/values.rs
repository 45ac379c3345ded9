//! Values of a document against what the sink wants, for one event type.

use std::borrow::Cow;

use sluice_sdk::{DocumentKind, DocumentSpec};

use super::facts::{self, Clause};
use super::findings::Findings;
use super::flow::{Flow, Impossible, is_below};
use super::wants::{Want, Wants};
use crate::diagnostics::{Diagnostic, Span};
use crate::mapping::kinds::{Kinds, Type};
use crate::mapping::paths::{Path, Root};
use crate::mapping::plan::{Expr, Member, Object, Policy, Rule, Source};

/// One rule and one event type.
pub struct Check<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Types of values.
    pub flow: Flow<'a>,
    /// What is known to be there beside single paths.
    pub clauses: Vec<Clause>,
    /// The rule says the kind of the document: what it lacks altogether is said once for the rule.
    pub is_kind_said: bool,
    /// All members are known by their names: what is missing is not misspelt.
    pub is_spelt: bool,
    /// What was found.
    pub findings: &'a mut Findings,
}

impl Check<'_> {
    /// A document of this kind; `None` where the rule leaves the kind to the event.
    pub fn document(&mut self, object: &Object, wants: &Wants, kind: Option<&DocumentKind>) {
        let kinds: Vec<&DocumentKind> = match kind {
            Some(kind) => vec![kind],
            None => self.possible_kinds(object, wants.spec),
        };
        if kinds.is_empty() {
            self.members(object, "", wants.of(None));
        }
        for kind in kinds {
            let want = wants.of(Some(kind));
            self.members(object, "", want);
            self.required(object, "", want, self.rule.place);
        }
        self.impossible();
    }

    /// Rules without a sink's schema: what conversions cannot take.
    pub fn conversions(&mut self, object: &Object) {
        self.flow.expr(&Expr::Object(object.clone()));
        self.impossible();
    }

    fn possible_kinds<'s>(
        &mut self,
        object: &Object,
        spec: &'s DocumentSpec,
    ) -> Vec<&'s DocumentKind> {
        let member = object
            .members
            .iter()
            .find(|one| one.key == spec.kind_member);
        let values = member.and_then(|member| self.flow.expr(&member.value).values);
        spec.kinds
            .iter()
            .filter(|kind| {
                let mut names = values.iter().flatten().filter_map(|value| value.as_str());
                names.any(|name| name == kind.name)
            })
            .collect()
    }

    fn impossible(&mut self) {
        for span in std::mem::take(&mut self.flow.hashed_twice) {
            self.add(
                Diagnostic::warning(
                    "hashed-twice",
                    span,
                    "`personal_data` of the connector hashes this field, and this hashes the hash",
                )
                .label("leave one of the two out"),
            );
        }
        for one in std::mem::take(&mut self.flow.impossible) {
            let Impossible {
                span,
                name,
                takes,
                found,
                from,
            } = one;
            let (found, takes) = (found.describe(), takes.describe());
            self.add(
                Diagnostic::error(
                    "impossible-conversion",
                    span,
                    format!("`{name}` takes {takes}; {from} is {found}"),
                )
                .label("this can never work"),
            );
        }
    }

    fn add(&mut self, diagnostic: Diagnostic) {
        let event = self.flow.event.map(|event| event.name.as_str());
        self.findings.add(diagnostic, self.rule, event);
    }

    fn members(&mut self, object: &Object, prefix: &str, want: &Want) {
        for member in &object.members {
            if let Some(wanted) = want.member(&member.key) {
                self.value(
                    &member.value,
                    member.span,
                    &below(prefix, &member.key),
                    &wanted,
                );
            } else if !prefix.is_empty() && !matches!(member.value, Expr::Omit) {
                let known: Vec<&str> = want.members.keys().map(String::as_str).collect();
                self.add(
                    Diagnostic::error(
                        "unknown-member",
                        member.key_span,
                        format!("`{prefix}` has no member `{}`", member.key),
                    )
                    .label(crate::diagnostics::did_you_mean(
                        &member.key,
                        known.iter().copied(),
                    ))
                    .note(format!("it has: {}", known.join(", "))),
                );
            }
        }
        let is_written = |name: &str| object.members.iter().any(|member| member.key == name);
        for copy in &object.copies {
            let name = |key: &str| {
                let is_chosen = copy.only.as_ref().is_none_or(|only| only.contains(key))
                    && !copy.except.contains(key);
                let renamed = copy.rename.get(key).cloned();
                let name = renamed.unwrap_or_else(|| format!("{}{key}", copy.prefix));
                (is_chosen && !is_written(&name)).then_some(name)
            };
            let only: Option<Vec<&str>> = copy
                .only
                .as_ref()
                .map(|only| only.iter().map(String::as_str).collect());
            let is_sure = copy.rename.is_empty() && !copy.prefix.is_empty();
            let prefix_of_all = is_sure.then_some(copy.prefix.as_str());
            self.spread(
                &copy.from,
                copy.span,
                copy.keeps_null,
                want,
                &name,
                only,
                prefix_of_all,
            );
        }
        for rest in &object.rests {
            let name = |key: &str| {
                let name = format!("{}{key}", rest.prefix);
                let is_chosen = !rest.taken.has(key) && !rest.except.contains(key);
                (is_chosen && !is_written(&name)).then_some(name)
            };
            let prefix_of_all = (!rest.prefix.is_empty()).then_some(rest.prefix.as_str());
            self.spread(
                &rest.from,
                rest.span,
                rest.keeps_null,
                want,
                &name,
                None,
                prefix_of_all,
            );
        }
    }

    fn value(&mut self, expr: &Expr, span: Span, path: &str, want: &Want) {
        match expr {
            Expr::Object(object) if want.kinds.and(Kinds::OBJECT).is_none() => {
                let found = self.flow.expr(&Expr::Object(object.clone()));
                self.fits(&found, expr, span, path, want);
            }
            Expr::Object(object) => {
                self.members(object, path, want);
                self.required(object, path, want, span);
            }
            Expr::Operator(operator) if operator.conversions.is_empty() => {
                if let Some(default) = &operator.default {
                    self.value(default, span, path, want);
                }
                if let Source::If {
                    condition,
                    then,
                    otherwise,
                } = &operator.source
                {
                    self.branch(
                        then.as_ref(),
                        facts::when_holds(condition),
                        span,
                        path,
                        want,
                    );
                    self.branch(
                        otherwise.as_ref(),
                        facts::when_fails(condition),
                        span,
                        path,
                        want,
                    );
                    return;
                }
                self.leaf(expr, span, path, want);
            }
            _ => self.leaf(expr, span, path, want),
        }
    }

    fn branch(
        &mut self,
        expr: Option<&Expr>,
        known: Vec<Clause>,
        span: Span,
        path: &str,
        want: &Want,
    ) {
        if let Some(expr) = expr {
            let before = self.flow.present.clone();
            self.flow.know(&known);
            self.value(expr, span, path, want);
            self.flow.present = before;
        }
    }

    fn leaf(&mut self, expr: &Expr, span: Span, path: &str, want: &Want) {
        let found = self.flow.expr(expr);
        if self.fits(&found, expr, span, path, want)
            && !found.kinds.and(Kinds::OBJECT).is_none()
            && found.values.is_none()
            && !found.is_unknown
        {
            self.whole_object(expr, span, want);
        }
        // An object that stands in the rule as data.
        for value in found.values.iter().flatten() {
            if let Some(problem) = unfit(value, want, path) {
                self.add(Diagnostic::error("wrong-member", span, problem));
            }
        }
    }

    /// An object of the event that goes into a member whose own members the sink has wishes about.
    fn whole_object(&mut self, expr: &Expr, span: Span, want: &Want) {
        if want.is_open() && want.required.is_empty() {
            return;
        }
        match expr {
            Expr::Path(path) if path.is_singular() => {
                self.spread(
                    path,
                    span,
                    false,
                    want,
                    &|key| Some(key.to_owned()),
                    None,
                    None,
                );
            }
            _ => self.clash(span, "the members of this object are not known"),
        }
    }

    /// Whether a value can only be what is wanted; says so if not.
    fn fits(&mut self, found: &Type, expr: &Expr, span: Span, path: &str, want: &Want) -> bool {
        if found.is_unknown || found.kinds.is_none() {
            return true;
        }
        let problem = |is_always: bool| {
            let wanted = want.describe();
            if is_always {
                format!(
                    "`{path}` must be {wanted}, and this is {}",
                    found.kinds.describe()
                )
            } else {
                let more = found.kinds.without(want.kinds).describe();
                format!("`{path}` must be {wanted}, and this can be {more}")
            }
        };
        let outside = found.kinds.without(want.kinds);
        let is_always = found.kinds.and(want.kinds).is_none();
        if !outside.is_none() {
            let code = if is_always {
                "wrong-member"
            } else {
                "may-not-fit"
            };
            self.add(
                Diagnostic::error(code, span, problem(is_always)).label(remedy(expr, found, want)),
            );
            return false;
        }
        let is_text = !found.kinds.and(Kinds::TEXT).is_none();
        if want.is_time && is_text && !found.is_time {
            let message = format!("`{path}` must be an ISO 8601 time with zone");
            let (code, message) = if found.values.is_some() {
                ("wrong-member", message)
            } else {
                (
                    "may-not-fit",
                    format!("{message}, and this can be any text"),
                )
            };
            self.add(Diagnostic::error(code, span, message).label(remedy(expr, found, want)));
            return false;
        }
        if let Some(values) = &want.values {
            let is_in = |one| values.contains(one);
            if !found
                .values
                .as_ref()
                .is_some_and(|own| own.iter().all(is_in))
            {
                let code = match found.values {
                    Some(_) => "wrong-member",
                    None => "may-not-fit",
                };
                let message = format!("`{path}` must be {}", want.describe());
                self.add(Diagnostic::error(code, span, message));
                return false;
            }
        }
        if want.is_filled && is_text && !found.is_filled {
            let message = format!("`{path}` must not be an empty text");
            let is_constant = found.values.is_some();
            self.add(if is_constant {
                Diagnostic::error("wrong-member", span, message)
            } else {
                Diagnostic::warning(
                    "may-be-empty",
                    span,
                    format!("{message}, and this can be one"),
                )
            });
            return false;
        }
        true
    }

    /// Members that the sink wants: is one of each group certainly there?
    fn required(&mut self, object: &Object, prefix: &str, want: &Want, place: Span) {
        if !self.is_spelt {
            return;
        }
        for group in &want.required {
            let there: Vec<&Member> = object
                .members
                .iter()
                .filter(|member| group.contains(&member.key))
                .filter(|member| !matches!(member.value, Expr::Omit))
                .collect();
            if self.is_sure(&there) {
                continue;
            }
            let names: Vec<String> = group
                .iter()
                .map(|name| format!("`{}`", below(prefix, name)))
                .collect();
            let names = names.join(" or ");
            let spread = object
                .copies
                .iter()
                .map(|copy| copy.span)
                .chain(object.rests.iter().map(|rest| rest.span))
                .next();
            match (there.first(), spread) {
                (Some(first), _) => {
                    let mut diagnostic = Diagnostic::error(
                        "may-be-missing",
                        first.span,
                        format!("the sink needs {names}, and it can be absent"),
                    )
                    .label(how_to_be_sure(&first.value));
                    for other in &there[1..] {
                        diagnostic = diagnostic.related(other.span, "and this can be absent too");
                    }
                    self.add(diagnostic);
                }
                (None, Some(span)) => self.add(
                    Diagnostic::error(
                        "may-be-missing",
                        span,
                        format!("the sink needs {names}, and a spread may not bring it"),
                    )
                    .label("write it out beside the spread"),
                ),
                // At the top, said once for the rule where its kind is constant.
                (None, None) if prefix.is_empty() && self.is_kind_said => {}
                (None, None) => self.add(Diagnostic::error(
                    "missing-member",
                    place,
                    format!("the sink needs {names}"),
                )),
            }
        }
    }

    fn is_sure(&mut self, there: &[&Member]) -> bool {
        if self.one_is_sure(there) {
            return true;
        }
        let clauses = self.clauses.clone();
        clauses
            .iter()
            .filter(|clause| clause.len() > 1)
            .any(|clause| {
                clause.iter().all(|path| {
                    let is_new = self.flow.present.insert(path.clone());
                    let is_sure = self.one_is_sure(there);
                    if is_new {
                        self.flow.present.remove(path);
                    }
                    is_sure
                })
            })
    }

    fn one_is_sure(&mut self, there: &[&Member]) -> bool {
        there.iter().any(|member| {
            let found = self.flow.expr(&member.value);
            found.is_unknown || !found.is_optional
        })
    }

    /// Members that come by a spread, as far as the catalogue knows them.
    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of a spread, of either kind"
    )]
    fn spread(
        &mut self,
        from: &Path,
        span: Span,
        keeps_null: bool,
        want: &Want,
        name: &dyn Fn(&str) -> Option<String>,
        only: Option<Vec<&str>>,
        prefix: Option<&str>,
    ) {
        if want.is_open() || !self.is_spelt {
            return;
        }
        let Some(event) = self.flow.event.filter(|event| !event.fields.is_empty()) else {
            return;
        };
        let above = from.dotted();
        let is_event = from.root == Root::Event && (above.is_some() || from.steps.is_empty());
        let mut known: Vec<(String, Type)> = Vec::new();
        let mut is_unknown = !is_event;
        for field in event.fields.iter().filter(|_| is_event) {
            let rest = match &above {
                None => Some(field.path.as_str()),
                Some(above) if field.path == *above || is_below(above, &field.path) => {
                    is_unknown |= !self.flow.path(from).kinds.and(Kinds::OBJECT).is_none();
                    None
                }
                Some(above) => field
                    .path
                    .strip_prefix(above.as_str())
                    .and_then(|rest| rest.strip_prefix('.')),
            };
            match rest.map(|rest| rest.split_once('.')) {
                None => {}
                Some(None) => {
                    let own = rest.unwrap_or_default().to_owned();
                    known.push((own, self.flow.field(field)));
                }
                Some(Some((own, _))) => known.push((own.to_owned(), Type::of(Kinds::OBJECT))),
            }
        }
        if above.is_none() && is_event {
            known.push(("event_type".to_owned(), Type::of(Kinds::TEXT)));
        }
        if is_unknown && let Some(only) = &only {
            known.extend(only.iter().map(|key| ((*key).to_owned(), Type::anything())));
        } else if is_unknown && !is_apart(prefix, want) {
            return self.clash(
                span,
                "it may bring members that the sink takes in another form only",
            );
        }
        for (key, mut found) in known {
            let Some(name) = name(&key) else { continue };
            if keeps_null && found.is_optional {
                found.kinds = found.kinds.or(Kinds::NULL);
            }
            let Some(wanted) = want.member(&name) else {
                return self.clash(
                    span,
                    &format!("it brings `{name}`, which the sink does not know"),
                );
            };
            if !is_fit(&found, &wanted) {
                return self.clash(
                    span,
                    &format!("it brings `{name}`, which must be {}", wanted.describe()),
                );
            }
        }
    }

    fn clash(&mut self, span: Span, what: &str) {
        self.add(
            Diagnostic::warning(
                "spread-may-not-fit",
                span,
                format!("this may not fit what the sink wants: {what}"),
            )
            .label("name what may come (`only`), leave out what must not (`except`), or give it a `prefix`"),
        );
    }
}

/// Whether names with this prefix meet no wish of the sink.
fn is_apart(prefix: Option<&str>, want: &Want) -> bool {
    let is_free = matches!(want.member("\u{0}"), Some(Cow::Owned(other)) if other.is_free());
    prefix
        .is_some_and(|prefix| is_free && !want.members.keys().any(|name| name.starts_with(prefix)))
}

fn is_fit(found: &Type, want: &Want) -> bool {
    let has = |kinds: Kinds| !found.kinds.and(kinds).is_none();
    found.kinds.fits(want.kinds)
        && (!has(Kinds::TEXT) || !want.is_time && (found.is_filled || !want.is_filled))
        && (found.kinds.is_none() || want.values.is_none())
        && (!has(Kinds::OBJECT) || want.is_open())
}

/// What is wrong with an object that stands in the rule as data.
fn unfit(value: &serde_json::Value, want: &Want, path: &str) -> Option<String> {
    let members = value.as_object()?;
    for (name, value) in members {
        let path = below(path, name);
        let Some(wanted) = want.member(name) else {
            return Some(format!("`{path}` is no member that the sink knows"));
        };
        let found = Type::constant(value);
        let is_good = found.kinds.fits(wanted.kinds)
            && (found.kinds != Kinds::TEXT
                || (found.is_time || !wanted.is_time) && (found.is_filled || !wanted.is_filled))
            && wanted.values.as_ref().is_none_or(|all| all.contains(value));
        if !is_good {
            return Some(format!("`{path}` must be {}", wanted.describe()));
        }
        if let Some(problem) = unfit(value, &wanted, &path) {
            return Some(problem);
        }
    }
    want.required
        .iter()
        .find(|group| !group.iter().any(|name| members.contains_key(name)))
        .map(|group| format!("`{path}` needs `{}`", group.join("` or `")))
}

fn below(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

/// What to write so that a value is what is wanted.
fn remedy(expr: &Expr, found: &Type, want: &Want) -> String {
    let path = match expr {
        Expr::Path(path) => path.text.as_str(),
        Expr::Operator(operator) => match &operator.source {
            Source::From { paths, .. } if operator.conversions.is_empty() => {
                paths.first().map_or("…", |path| path.text.as_str())
            }
            _ => return String::new(),
        },
        _ => return String::new(),
    };
    let name = if want.is_time && !found.kinds.and(Kinds::TEXT.or(Kinds::NUMBER)).is_none() {
        "timestamp"
    } else if want.kinds == Kinds::TEXT && !found.kinds.and(Kinds::SCALAR).is_none() {
        "string"
    } else if want.kinds == Kinds::BOOLEAN && !found.kinds.and(Kinds::SCALAR).is_none() {
        "boolean"
    } else if want.kinds.fits(Kinds::NUMBER) && !found.kinds.and(Kinds::SCALAR).is_none() {
        "number"
    } else if want.kinds.fits(Kinds::OBJECT.or(Kinds::LIST)) && found.kinds == Kinds::TEXT {
        "json"
    } else {
        return String::new();
    };
    format!("write `{{ $from: {path}, $as: {name} }}`")
}

fn how_to_be_sure(expr: &Expr) -> String {
    match expr {
        Expr::Path(path) => format!(
            "say what then: `{{ $from: {}, $missing: {{ skip: no value }} }}`, or a `$default`",
            path.text
        ),
        Expr::Operator(operator) if operator.missing == Policy::Omit => {
            "say what then: `$missing: { skip: no value }`, or a `$default`".to_owned()
        }
        Expr::Operator(_) => "say what then: `$invalid: { skip: no value }`".to_owned(),
        _ => "all values in it can be absent".to_owned(),
    }
}
