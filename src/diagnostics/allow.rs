//! `allow: {code: reason}`: what is known and meant, said at the place with the reason.
//!
//! An allowed problem counts for nothing and stays visible to machines. An allow that allows nothing
//! is itself a warning, so that none outlives its cause.

use sluice_sdk::typed;

use super::{Diagnostic, Node, Severity, Span, codes, did_you_mean, has_errors};

/// Why a problem counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// The reason, as written.
    pub reason: String,
    /// Where it is allowed.
    pub place: Span,
}

/// One code with its reason and the stretch that it is about.
#[derive(Debug, Clone)]
struct Allow {
    code: String,
    reason: String,
    place: Span,
    /// `None` is everything that is applied to it.
    scope: Option<Span>,
    is_used: bool,
}

/// All that was allowed in some files.
#[derive(Debug, Clone, Default)]
pub struct Allows {
    all: Vec<Allow>,
}

impl Allows {
    /// Read a map from code to reason. `scope` is the stretch it is about, `None` for everything.
    pub fn read(&mut self, node: &Node, scope: Option<Span>, diagnostics: &mut Vec<Diagnostic>) {
        let Some(entries) = node.as_map() else {
            diagnostics.push(Diagnostic::error(
                "wrong-type",
                node.span,
                format!(
                    "`allow` must be a map from code to reason, found {}",
                    node.describe()
                ),
            ));
            return;
        };
        for entry in entries {
            let Some(code) = codes::find(&entry.key) else {
                diagnostics.push(
                    Diagnostic::error(
                        "unknown-code",
                        entry.key_span,
                        format!("there is no code `{}`", entry.key),
                    )
                    .label(did_you_mean(&entry.key, codes::names()))
                    .note(format!("{} lists them", typed("explain-code"))),
                );
                continue;
            };
            if !code.is_allowable {
                diagnostics.push(
                    Diagnostic::error(
                        "not-allowable",
                        entry.key_span,
                        format!(
                            "`{}` cannot be allowed: nothing could run with it",
                            code.name
                        ),
                    )
                    .label("mend what it is about"),
                );
                continue;
            }
            match entry.value.as_str().filter(|text| !text.trim().is_empty()) {
                Some(reason) => self.all.push(Allow {
                    code: entry.key.clone(),
                    reason: reason.to_owned(),
                    place: entry.key_span,
                    scope,
                    is_used: false,
                }),
                None => diagnostics.push(
                    Diagnostic::error(
                        "wrong-type",
                        entry.value.span,
                        "an allow needs its reason, a text",
                    )
                    .label("say why this is meant, for whoever reads it next"),
                ),
            }
        }
    }

    /// Take in what others hold.
    pub fn extend(&mut self, other: &Self) {
        self.all.extend(other.all.iter().cloned());
    }

    /// Take the weight off what is allowed.
    pub fn apply(&mut self, diagnostics: &mut [Diagnostic]) {
        for diagnostic in diagnostics {
            let is_about = |allow: &&mut Allow| {
                allow.code == diagnostic.code
                    && allow.scope.is_none_or(|scope| {
                        diagnostic.span.is_some_and(|span| scope.contains(span))
                    })
            };
            if let Some(allow) = self.all.iter_mut().find(is_about) {
                allow.is_used = true;
                if diagnostic.severity != Severity::Allowed {
                    diagnostic.severity = Severity::Allowed;
                    diagnostic.allowed = Some(Allowance {
                        reason: allow.reason.clone(),
                        place: allow.place,
                    });
                }
            }
        }
    }

    /// Warn of those that allowed nothing; where there are errors, not everything was looked at.
    pub fn report_unused(&self, diagnostics: &mut Vec<Diagnostic>) {
        if has_errors(diagnostics) {
            return;
        }
        for allow in self.all.iter().filter(|allow| !allow.is_used) {
            diagnostics.push(
                Diagnostic::warning(
                    "unused-allow",
                    allow.place,
                    format!(
                        "nothing here is told as `{}`, which this allows",
                        allow.code
                    ),
                )
                .label("remove it"),
            );
        }
    }
}

/// Drop warnings about allows that another reading of the same file had use for.
pub fn forget_used(diagnostics: &mut Vec<Diagnostic>) {
    let used: Vec<Span> = diagnostics
        .iter()
        .filter_map(|one| Some(one.allowed.as_ref()?.place))
        .collect();
    diagnostics.retain(|one| {
        one.code != "unused-allow" || one.span.is_none_or(|span| !used.contains(&span))
    });
}
