//! Rules against one another, and what stands in files without effect.

use std::collections::HashSet;

use sluice_sdk::catalogue::Catalogue;

use super::types_of;
use crate::diagnostics::{Diagnostic, did_you_mean};
use crate::mapping::compile::OmitUse;
use crate::mapping::import::Part;
use crate::mapping::merge::Omitted;
use crate::mapping::plan::Rule;

/// Rules that can never run, since an earlier one always takes their events. Of rules that are
/// doubtful, nobody knows which events they take.
pub fn unreachable(
    rules: &[Rule],
    catalogue: Option<&Catalogue>,
    doubtful: &HashSet<&str>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (at, rule) in rules.iter().enumerate() {
        let names: Vec<String> = match catalogue {
            Some(catalogue) => types_of(rule, catalogue)
                .into_iter()
                .map(|event| event.name.clone())
                .collect(),
            None => rule.on.iter().map(|pattern| pattern.text.clone()).collect(),
        };
        if names.is_empty() || doubtful.contains(&*rule.name) {
            continue;
        }
        let catcher = |name: &str| {
            rules[..at].iter().find(|earlier| {
                earlier.when.is_none()
                    && !earlier.goes_on
                    && !doubtful.contains(&*earlier.name)
                    && earlier.on.iter().any(|pattern| pattern.matches(name))
            })
        };
        let caught: Vec<Option<&Rule>> = names.iter().map(|name| catcher(name)).collect();
        let Some(Some(first)) = caught.first() else {
            continue;
        };
        if caught.iter().any(Option::is_none) {
            continue;
        }
        // An overlay's rule stands before the imported ones; it is the one to look at.
        if let Some(overlay) = caught.iter().flatten().find(|by| by.depth < rule.depth) {
            diagnostics.push(
                Diagnostic::warning(
                    "unreachable-rule",
                    overlay.place,
                    format!(
                        "`{}` takes all events of the imported rule `{}`, which can never run",
                        overlay.name, rule.name
                    ),
                )
                .label("give it a `when`, name fewer types, or allow it with the reason")
                .related(rule.place, "this one never runs"),
            );
            continue;
        }
        diagnostics.push(
            Diagnostic::warning(
                "unreachable-rule",
                rule.place,
                format!(
                    "the rule `{}` can never run: `{}` takes all its events",
                    rule.name, first.name
                ),
            )
            .label(if first.is_first && !rule.is_first {
                "give the other a `when`, or say `first: true` here too"
            } else {
                "move it up, or give the other a `when`"
            })
            .related(first.place, "this one comes first"),
        );
    }
}

/// Keys that are taken out of where they are not: of a template that many rules use, in all of them.
pub fn omits(omits: &[OmitUse], omitted: &Omitted, diagnostics: &mut Vec<Diagnostic>) {
    let mut said = HashSet::new();
    for omit in omits {
        if omitted.contains(&omit.span) || !said.insert(omit.span) {
            continue;
        }
        diagnostics.push(
            Diagnostic::warning(
                "omit-nothing",
                omit.key_span,
                format!("there is no `{}` here to take out", omit.key),
            )
            .label(did_you_mean(
                &omit.key,
                omit.others.iter().map(String::as_str),
            ))
            .note("`$omit` takes out what a template, an imported rule or a spread put in the same place"),
        );
    }
}

/// Templates and tables of the user's own that nothing asks for.
pub fn unused(
    parts: &[Part],
    used: &HashSet<String>,
    what: &str,
    code: &'static str,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for part in parts {
        let top = part.top();
        let is_own = part
            .layers
            .iter()
            .all(|layer| layer.depth == 0 && !layer.is_builtin);
        if is_own && !used.contains(&part.name) {
            diagnostics.push(
                Diagnostic::warning(
                    code,
                    top.span,
                    format!("nothing uses the {what} `{}`", part.name),
                )
                .label("remove it, or use it"),
            );
        }
    }
}
