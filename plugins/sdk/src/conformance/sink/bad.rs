//! The other side is unwell, or a delivery is dropped half way.

use std::sync::Arc;
use std::time::Duration;

use super::super::patience::{GRACE, POLLS_MAX, bounded, cut};
use super::super::settings::panicked;
use super::answers::{is_refused, told};
use super::bench::Bench;
use crate::sink::{Batch, Delivery, Outcome};
use crate::stand_in::Behaviour;

/// What the double asks for in [`Behaviour::Later`].
const LATER: Duration = Duration::from_secs(7);

/// One way to be unwell, and what must follow.
struct Rule {
    name: &'static str,
    other_side: &'static str,
    fits: fn(&Delivery) -> bool,
    mend: &'static str,
}

impl Bench {
    pub(super) async fn bad_cases(&mut self) {
        let cases: [(Behaviour, Rule); 6] = [
            (
                Behaviour::Unwell,
                Rule {
                    name: "unwell",
                    other_side: "cannot take anything at the moment",
                    fits: |it| matches!(it, Delivery::All(Outcome::Retry { .. })),
                    mend: "Say `Outcome::Retry`: it is tried again without end. Rejected would put good events into the dead letters, Delivered would lose them.",
                },
            ),
            (
                Behaviour::Later(LATER),
                Rule {
                    name: "later",
                    other_side: "asks to come again in 7 s",
                    fits: |it| {
                        matches!(it, Delivery::All(Outcome::Retry { after: Some(after), .. })
                    if after.abs_diff(LATER) <= Duration::from_secs(1))
                    },
                    mend: "Hand the wish on as `Outcome::Retry { after: Some(…) }` (Retry-After, in seconds or as a date); the engine waits, the sink does not.",
                },
            ),
            (
                Behaviour::RefuseContent,
                Rule {
                    name: "content",
                    other_side: "refuses the content",
                    fits: is_refused,
                    mend: "Say `Delivery::BatchRejected`, or `Outcome::Rejected` for the document. Retry would send it for ever and stop all events behind it.",
                },
            ),
            (
                Behaviour::RefuseUs,
                Rule {
                    name: "refused",
                    other_side: "does not let us in",
                    fits: |it| matches!(it, Delivery::All(Outcome::Hold { .. })),
                    mend: "Say `Outcome::Hold` with what a person has to do. Nothing is dropped, and it goes on by itself when `check` passes.",
                },
            ),
            (
                Behaviour::Broken,
                Rule {
                    name: "broken",
                    other_side: "breaks off its answer",
                    fits: |it| {
                        matches!(
                            it,
                            Delivery::All(Outcome::Retry { .. } | Outcome::Hold { .. })
                        )
                    },
                    mend: "Half an answer is no yes: say `Outcome::Retry`. Whoever may have got the document recognises it when it comes again.",
                },
            ),
            (
                Behaviour::Silent,
                Rule {
                    name: "silent",
                    other_side: "takes the request and says nothing",
                    fits: |it| matches!(it, Delivery::All(Outcome::Retry { .. })),
                    mend: "Say Delivered only after an answer. The engine's time limit ends the wait.",
                },
            ),
        ];
        for (behaviour, rule) in cases {
            self.bad_case(behaviour, &rule).await;
        }
    }

    async fn bad_case(&mut self, behaviour: Behaviour, rule: &Rule) {
        if !self.double.behave(behaviour) {
            let what = format!("{behaviour:?}: its double cannot behave so");
            self.report.not_tried.push(what);
            return;
        }
        let (accepted, requests) = (self.double.accepted(), self.double.requests());
        let Some(batch) = self.batch(1) else { return };
        let delivery = if behaviour == Behaviour::Silent {
            self.unanswered(&batch).await
        } else {
            let delivery = self.deliver(&batch).await;
            if behaviour == Behaviour::RefuseUs {
                // What it says is looked at for secrets; that it passes is allowed.
                self.check().await;
            }
            delivery.or(Some(Delivery::Each(Vec::new())))
        };
        if let Some(delivery) = delivery.filter(|it| !(rule.fits)(it)) {
            let said = told(Some(&delivery));
            self.report.fault(
                rule.name,
                format!(
                    "the other side {}, and `deliver` said {said}",
                    rule.other_side
                ),
                rule.mend,
            );
        }
        let tries = self.double.requests().zip(requests);
        if let Some(tries) = tries.map(|(after, before)| after - before)
            && tries > 1
            && matches!(behaviour, Behaviour::Unwell | Behaviour::Later(_))
        {
            self.report.fault(
                "one-try",
                format!("one `deliver` made {tries} requests to a side that is unwell"),
                "Send once and say what happened. Repeating, with growing pauses that all deliveries share, is the engine's.",
            );
        }
        if self.double.accepted() > accepted
            && behaviour != Behaviour::Silent
            && behaviour != Behaviour::Broken
        {
            let what =
                format!("the double took a document while it should behave as {behaviour:?}");
            self.report.not_tried.push(what);
        }
        self.double.behave(Behaviour::Well);
        self.works_on("after the other side was unwell").await;
    }

    /// No answer comes: waiting and Retry are both right, and the future is dropped in the end.
    async fn unanswered(&mut self, batch: &Batch) -> Option<Delivery> {
        let (sink, sent) = (Arc::clone(&self.sink), batch.clone());
        match bounded(async move { sink.deliver(&sent).await }, GRACE).await {
            Ok(delivery) => Some(delivery),
            Err(trouble) => {
                panicked(&trouble, "waiting for an answer", &mut self.report);
                None
            }
        }
    }

    /// A delivery is dropped at its first await, at its second, …; each time the next one must work.
    pub(super) async fn cancelled(&mut self) {
        for polls in 1..=POLLS_MAX {
            let Some(batch) = self.batch(1) else { return };
            let ended = cut(self.sink.deliver(&batch), polls).await;
            if !self.works_on("after a delivery was dropped half way").await || ended.is_some() {
                return;
            }
        }
    }
}
