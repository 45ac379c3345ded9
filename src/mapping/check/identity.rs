//! Documents that the sink cannot recognise when they come again.

use crate::diagnostics::Diagnostic;
use crate::mapping::Mapping;
use crate::mapping::plan::{Action, Expr, Member, Object, Rule};

/// Warn of every rule whose document has no identity, where the sink has a member for it.
pub fn identity(mapping: &Mapping, diagnostics: &mut Vec<Diagnostic>) {
    let Some(name) = mapping.target.document.and_then(|spec| spec.identity) else {
        return;
    };
    let of = |document: &Object| -> Option<Member> {
        let mut members = document.members.iter();
        members.find(|member| member.key == name).cloned()
    };
    let template = mapping.rules.iter().find_map(|rule| {
        let found = documents(rule).find_map(of)?;
        mapping.origin.template_at(found.span)
    });
    for rule in &mapping.rules {
        for member in documents(rule).filter_map(of) {
            if let Expr::Const(value) = &member.value
                && !value.is_null()
            {
                diagnostics.push(
                    Diagnostic::warning(
                        "no-identity",
                        member.span,
                        format!("this `{name}` is the same for every event"),
                    )
                    .label(format!(
                        "the sink takes all but the first for repetitions; make `{name}` of the event's id"
                    )),
                );
            }
        }
        let is_without = |document: &Object| {
            of(document).is_none() && document.copies.is_empty() && document.rests.is_empty()
        };
        if !documents(rule).any(is_without) {
            continue;
        }
        let diagnostic = Diagnostic::warning(
            "no-identity",
            rule.place,
            format!(
                "the document of `{}` has no `{name}`: sent again after a crash, it counts twice",
                rule.name
            ),
        );
        diagnostics.push(diagnostic.label(match &template {
            Some(template) => format!("a template of this set brings it: `$extends: {template}`"),
            None => format!("make `{name}` of the event's id"),
        }));
    }
}

fn documents(rule: &Rule) -> impl Iterator<Item = &Object> {
    let documents = match &rule.action {
        Action::Emit(documents) => documents.as_slice(),
        Action::Skip(_) => &[],
    };
    documents.iter().map(|(_, document)| document)
}
