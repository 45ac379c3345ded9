//! What can be said of rules before any event is there.
//!
//! | room | what is checked there |
//! | --- | --- |
//! | `events` | types and fields, against the source's catalogue |
//! | `texts` | plain texts that a field of the event may be meant by |
//! | `documents` | kinds of documents and names of members, against the sink |
//! | `values` | values of documents, against the sink, for each event type |
//! | `flow` | what a value may be: types from the event through conversions to the document |
//! | `facts` | what a condition says about what is there |
//! | `wants` | what a sink wants, read from its schema |
//! | `findings` | one message for a problem that several types have |
//! | `rules` | rules against one another, and parts that nothing uses |

mod documents;
mod events;
mod facts;
mod findings;
mod flow;
mod identity;
mod rules;
mod texts;
mod values;
mod wants;

use std::collections::HashSet;

use sluice_sdk::DocumentSpec;
use sluice_sdk::catalogue::{Catalogue, EventType};

use self::facts::Clause;
use self::findings::Findings;
use self::flow::Flow;
use self::values::Check;
use self::wants::Wants;
use super::expression::Expression;
use super::personal::PersonalData;
use super::plan::{Action, Rule};
use crate::diagnostics::Diagnostic;

pub use self::identity::identity;
pub use events::{FieldUses, check_when, is_named, knows, types_of, unknown_types};
pub use rules::{omits, unreachable, unused};
pub use texts::texts;

/// What rules stand between.
#[derive(Clone, Copy)]
pub struct Ends<'a> {
    /// Events that may come.
    pub catalogue: Option<&'static Catalogue>,
    /// Documents that the sink takes.
    pub spec: Option<&'static DocumentSpec>,
    /// What happens to personal fields on the way.
    pub personal: &'a PersonalData,
    /// What holds for every event that comes.
    pub when: Option<&'a Expression>,
    /// Rules whose documents lack a template: not looked at, as more may be in it.
    pub partial: &'a HashSet<&'a str>,
}

/// All documents of all rules against what the sink takes, for every event type that can come to them.
pub fn documents(rules: &[Rule], ends: Ends<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let mut findings = Findings::default();
    let wants = ends.spec.map(Wants::new);
    for (at, rule) in rules.iter().enumerate() {
        let Action::Emit(documents) = &rule.action else {
            continue;
        };
        if ends.partial.contains(&*rule.name) {
            continue;
        }
        let types: Vec<Option<&EventType>> = match ends.catalogue {
            Some(catalogue) => types_of(rule, catalogue).into_iter().map(Some).collect(),
            None => vec![None],
        };
        for (_, document) in documents {
            let before = diagnostics.len();
            let kind = match &wants {
                Some(wants) => match documents::document(rule, document, wants, diagnostics) {
                    Ok(kind) => kind,
                    Err(documents::Wrong) => continue,
                },
                None => None,
            };
            let is_spelt = diagnostics.len() == before;
            for event in &types {
                let Some(clauses) = circumstances(rules, at, *event, ends.when) else {
                    continue;
                };
                let mut flow = Flow::new(*event, ends.personal);
                flow.know(&clauses);
                let mut check = Check {
                    rule,
                    flow,
                    clauses,
                    is_kind_said: kind.is_some(),
                    is_spelt,
                    findings: &mut findings,
                };
                match &wants {
                    Some(wants) => check.document(document, wants, kind),
                    None => check.conversions(document),
                }
            }
        }
    }
    findings.report(diagnostics);
}

/// What is known of an event of this type when it comes to a rule; `None` when none comes.
fn circumstances(
    rules: &[Rule],
    at: usize,
    event: Option<&EventType>,
    when: Option<&Expression>,
) -> Option<Vec<Clause>> {
    let rule = &rules[at];
    let mut clauses: Vec<Clause> = when.map(facts::when_holds).unwrap_or_default();
    clauses.extend(
        rule.when
            .as_ref()
            .map(facts::when_holds)
            .unwrap_or_default(),
    );
    let Some(event) = event else {
        return Some(clauses);
    };
    for earlier in rules[..at].iter().filter(|earlier| !earlier.goes_on) {
        if !events::is_on(earlier, event) {
            continue;
        }
        clauses.extend(facts::when_fails(earlier.when.as_ref()?));
    }
    // A condition on a field that the type does not have never holds.
    let is_possible = clauses
        .iter()
        .all(|clause| clause.iter().any(|path| events::knows(event, path)));
    is_possible.then_some(clauses)
}
