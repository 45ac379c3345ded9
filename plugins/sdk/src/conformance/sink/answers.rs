//! What a delivery says.

use crate::sink::{Delivery, Outcome};

pub(super) fn all_delivered(delivery: &Delivery, count: usize) -> bool {
    match delivery {
        Delivery::All(outcome) => *outcome == Outcome::Delivered,
        Delivery::Each(outcomes) => {
            outcomes.len() == count && outcomes.iter().all(|it| *it == Outcome::Delivered)
        }
        Delivery::BatchRejected { .. } => false,
    }
}

pub(super) fn is_refused(delivery: &Delivery) -> bool {
    match delivery {
        Delivery::BatchRejected { .. } | Delivery::All(Outcome::Rejected { .. }) => true,
        Delivery::Each(outcomes) => {
            !outcomes.is_empty()
                && outcomes
                    .iter()
                    .all(|it| matches!(it, Outcome::Rejected { .. }))
        }
        Delivery::All(_) => false,
    }
}

pub(super) fn reasons(delivery: &Delivery) -> Vec<String> {
    let reason = |outcome: &Outcome| match outcome {
        Outcome::Delivered => None,
        Outcome::Rejected { reason } | Outcome::Retry { reason, .. } | Outcome::Hold { reason } => {
            Some(reason.clone())
        }
    };
    match delivery {
        Delivery::All(outcome) => reason(outcome).into_iter().collect(),
        Delivery::Each(outcomes) => outcomes.iter().filter_map(reason).collect(),
        Delivery::BatchRejected { reason } => vec![reason.clone()],
    }
}

/// The answer in short, without reasons: they may be long.
pub(super) fn told(delivery: Option<&Delivery>) -> String {
    let name = |outcome: &Outcome| match outcome {
        Outcome::Delivered => "Delivered".to_owned(),
        Outcome::Rejected { .. } => "Rejected".to_owned(),
        Outcome::Retry { after, .. } => match after {
            Some(after) => format!("Retry after {after:?}"),
            None => "Retry".to_owned(),
        },
        Outcome::Hold { .. } => "Hold".to_owned(),
    };
    match delivery {
        None => "no answer in time".to_owned(),
        Some(Delivery::All(outcome)) => name(outcome),
        Some(Delivery::Each(outcomes)) if outcomes.is_empty() => "nothing in time".to_owned(),
        Some(Delivery::Each(outcomes)) => {
            let names: Vec<String> = outcomes.iter().take(3).map(name).collect();
            format!("Each({})", names.join(", "))
        }
        Some(Delivery::BatchRejected { .. }) => "BatchRejected".to_owned(),
    }
}
