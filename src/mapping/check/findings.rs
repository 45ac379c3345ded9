//! Problems found by looking at one event type after the other, told once each.

use std::collections::BTreeMap;

use crate::diagnostics::{Diagnostic, Severity, Span};
use crate::mapping::plan::Rule;

/// Names in a note; more are counted.
const NAMES_MAX: usize = 3;

/// What was found so far, by place and code.
#[derive(Default)]
pub struct Findings {
    found: BTreeMap<(Span, &'static str), Finding>,
}

struct Finding {
    diagnostic: Diagnostic,
    types: Vec<String>,
    rules: Vec<(String, Span)>,
}

impl Findings {
    /// Take in a problem of a rule with one event type.
    pub fn add(&mut self, diagnostic: Diagnostic, rule: &Rule, event_type: Option<&str>) {
        let Some(span) = diagnostic.span else { return };
        let finding = self
            .found
            .entry((span, diagnostic.code))
            .or_insert_with(|| Finding {
                diagnostic,
                types: Vec::new(),
                rules: Vec::new(),
            });
        if let Some(name) = event_type
            && !finding.types.iter().any(|known| known == name)
        {
            finding.types.push(name.to_owned());
        }
        if !finding.rules.iter().any(|(name, _)| **name == *rule.name) {
            finding.rules.push((rule.name.to_string(), rule.place));
        }
    }

    /// All of them, but for those at a place of which an error is told already.
    pub fn report(self, diagnostics: &mut Vec<Diagnostic>) {
        let known: Vec<Span> = diagnostics
            .iter()
            .filter(|one| one.severity == Severity::Error || one.code == "text-like-path")
            .filter_map(|one| one.span)
            .collect();
        let touches = |a: Span, b: Span| {
            a.file == b.file
                && (a.start <= b.start && b.end <= a.end || b.start <= a.start && a.end <= b.end)
        };
        for ((span, _), finding) in self.found {
            if known.iter().any(|other| touches(span, *other)) {
                continue;
            }
            diagnostics.push(finding.told());
        }
    }
}

impl Finding {
    fn told(self) -> Diagnostic {
        let mut diagnostic = self.diagnostic;
        if !self.types.is_empty() {
            diagnostic = diagnostic.note(format!("with {}", some(&self.types)));
        }
        // The rule is named where the fault sits in a part that it inherits.
        if let Some((name, place)) = self.rules.first()
            && Some(*place) != diagnostic.span
        {
            let span = diagnostic.span;
            let is_here =
                span.is_some_and(|span| span.file == place.file && span.start > place.start);
            let more = match self.rules.len() {
                1 => String::new(),
                many => format!(", and {} more", many - 1),
            };
            if self.rules.len() > 1 || !is_here {
                diagnostic = diagnostic.related(*place, format!("in the rule `{name}`{more}"));
            }
        }
        diagnostic
    }
}

/// `a, b, c and 4 more`.
pub fn some(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES_MAX).map(String::as_str).collect();
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
