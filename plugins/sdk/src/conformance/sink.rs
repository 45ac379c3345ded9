//! The kit's side of a sink: each answer of the other side must become its outcome.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::Report;
use super::patience::{GRACE, PATIENCE, POLLS_MAX, bounded, call, cut, until};
use super::settings::{self, Subject, look, panicked};
use crate::document::Document;
use crate::registry::SinkPlugin;
use crate::sink::{Batch, CheckError, Delivery, DynSink, Limits, Outcome, Rejection};
use crate::stand_in::{Behaviour, Double};

/// Documents of the largest batch that is tried, whatever the limits allow.
const DOCUMENTS_MAX: usize = 2_000;
/// Deliveries at the same time, whatever the limits allow.
const CONCURRENT_MAX: usize = 16;
/// What the double asks for in [`Behaviour::Later`].
const LATER: Duration = Duration::from_secs(7);
/// A value that stands for personal data.
const PERSON: &str = "canary-person@example.com";

pub async fn check(plugin: &SinkPlugin) -> Report {
    let mut report = Report::new("sink", plugin.name);
    let subject = Subject {
        schema: (plugin.schema)().to_value(),
        example: plugin.example,
        validate: plugin.validate,
        debug: plugin.debug,
    };
    let Some(mut settings) = settings::check(&subject, &mut report) else {
        return report;
    };
    let Some(double) = start_double(plugin, &mut report).await else {
        return report;
    };
    settings::lay_over(&mut settings, &double.settings());
    let secrets = settings::secrets(&subject, &settings);
    settings::hide(&subject, &settings, &secrets, &mut report);
    let sink = match double.wired() {
        Some(sink) => sink,
        None => match call(|| (plugin.build)(settings)) {
            Ok(Ok(sink)) => sink,
            Ok(Err(problem)) => {
                report.fault(
                    "example",
                    format!("the sink cannot be made from its example and the double's settings: {problem}"),
                    "`Double::settings` is laid over `example:`; together they must be settings that work.",
                );
                return report;
            }
            Err(trouble) => {
                panicked(&trouble, "being made", &mut report);
                return report;
            }
        },
    };
    let mut bench = Bench {
        limits: sink.limits(),
        sink: Arc::from(sink),
        double,
        secrets,
        report,
        next: 0,
    };
    if bench.limits_make_sense() && bench.good_case().await {
        bench.full_batch().await;
        bench.side_by_side().await;
        bench.bad_cases().await;
        bench.cancelled().await;
        bench.odd_documents();
        bench.nothing_was_dropped();
    }
    bench.report
}

async fn start_double(plugin: &SinkPlugin, report: &mut Report) -> Option<Box<dyn Double>> {
    const MEND: &str = "Write a stand-in of the other side (`impl sluice_sdk::Double`: settings, accepted, sample, behave, requests) and register it: `double: start` where `sluice demo` may end in it, else `test_double: start`.";
    let Some(start) = plugin.double.or(plugin.test_double) else {
        report.fault(
            "nothing-to-test-with",
            "it has no double, so nobody knows what it does",
            MEND,
        );
        return None;
    };
    match start().await {
        Ok(double) if double.sample(0).is_some() => Some(double),
        Ok(_) => {
            report.fault(
                "nothing-to-test-with",
                "its double has no `sample`: a document to send",
                MEND,
            );
            None
        }
        Err(problem) => {
            report.fault(
                "nothing-to-test-with",
                format!("its double does not start: {problem}"),
                MEND,
            );
            None
        }
    }
}

struct Bench {
    sink: Arc<dyn DynSink>,
    double: Box<dyn Double>,
    limits: Limits,
    secrets: Vec<String>,
    report: Report,
    /// Number of the next sample.
    next: u64,
}

impl Bench {
    fn limits_make_sense(&mut self) -> bool {
        let limits = &self.limits;
        let wrong = [
            (limits.document_bytes_max == 0, "document_bytes_max is 0"),
            (limits.batch_documents_max == 0, "batch_documents_max is 0"),
            (limits.concurrency == 0, "concurrency is 0"),
            (limits.deliver_timeout.is_zero(), "deliver_timeout is 0"),
            (
                limits.batch_bytes_max < limits.document_bytes_max + limits.envelope_bytes,
                "batch_bytes_max has no room for one document of document_bytes_max in its envelope",
            ),
        ];
        let found = wrong.into_iter().find(|(is_wrong, _)| *is_wrong);
        if let Some((_, what)) = found {
            self.report.fault(
                "limits",
                what,
                "No batch can be made within these limits. Start from `Limits::default()` and change what the other side's documentation says.",
            );
        }
        found.is_none()
    }

    fn sample(&mut self) -> Bytes {
        let sample = self.double.sample(self.next).unwrap_or_default();
        self.next += 1;
        sample.into()
    }

    /// A batch of new documents, through `prepare` as the engine sends them.
    fn batch(&mut self, count: usize) -> Option<Batch> {
        let mut documents = Vec::with_capacity(count);
        for _ in 0..count {
            let number = self.next;
            let sample = self.sample();
            documents.push(Document {
                event_id: format!("conformance-{number}"),
                event_type: "conformance".to_owned(),
                body: self.prepare(sample)?.ok()?,
            });
        }
        Some(Batch {
            documents,
            attempt: 0,
        })
    }

    /// `None` when it panicked.
    fn prepare(&mut self, document: Bytes) -> Option<Result<Bytes, Rejection>> {
        let sink = Arc::clone(&self.sink);
        match call(|| sink.prepare(document)) {
            Ok(prepared) => Some(prepared),
            Err(trouble) => {
                panicked(&trouble, "in `prepare`", &mut self.report);
                None
            }
        }
    }

    /// Deliver, looking at what any delivery must keep. `None`: no answer.
    async fn deliver(&mut self, batch: &Batch) -> Option<Delivery> {
        let (sink, sent) = (Arc::clone(&self.sink), batch.clone());
        let limit = self.limits.deliver_timeout.min(PATIENCE);
        let delivery = match bounded(async move { sink.deliver(&sent).await }, limit).await {
            Ok(delivery) => delivery,
            Err(trouble) => {
                panicked(&trouble, "in `deliver`", &mut self.report);
                return None;
            }
        };
        self.look_at(&delivery, batch);
        Some(delivery)
    }

    fn look_at(&mut self, delivery: &Delivery, batch: &Batch) {
        if let Delivery::Each(outcomes) = delivery
            && outcomes.len() != batch.documents.len()
        {
            self.report.fault(
                "outcomes",
                format!("`Delivery::Each` held {} outcomes for {} documents", outcomes.len(), batch.documents.len()),
                "One outcome for each document, in the order of the batch. The engine cannot know which one is missing and sends all again, for ever.",
            );
        }
        for reason in reasons(delivery) {
            look(
                &reason,
                &self.secrets,
                "the reason of an outcome",
                &mut self.report,
            );
        }
    }

    /// One document, everybody well. Without it the rest says nothing.
    async fn good_case(&mut self) -> bool {
        match self.check().await {
            Some(Ok(())) => {}
            Some(Err(problem)) => self.report.fault(
                "check",
                format!("`check` does not pass while the double is well: {problem}"),
                "`check` asks whether we are let in, without sending a document; the connector stays held until it passes.",
            ),
            None => self.report.fault(
                "check",
                "`check` gives no answer",
                "Give it a time limit of its own below that of `deliver`.",
            ),
        }
        let sample = self.sample();
        let (Some(first), Some(second)) =
            (self.prepare(sample.clone()), self.prepare(sample.clone()))
        else {
            return false;
        };
        if first != second {
            self.report.fault(
                "prepare",
                "`prepare` makes two different documents of the same one",
                "It must be a pure function: after a restart a document is prepared anew, and the other side must recognise it. Times and random values belong into the request, not into documents.",
            );
        }
        if let Err(rejection) = first {
            self.report.fault(
                "prepare",
                format!("`prepare` refuses the double's own sample: {rejection}"),
                "`Double::sample` must be a document that the sink takes.",
            );
            return false;
        }
        let before = self.double.accepted();
        let Some(batch) = self.batch(1) else {
            return false;
        };
        let delivery = self.deliver(&batch).await;
        if !delivery.as_ref().is_some_and(|it| all_delivered(it, 1)) {
            self.report.fault(
                "delivers",
                format!("a good document is not delivered: {}", told(delivery.as_ref())),
                "What `prepare` lets pass must be taken by `deliver` while the other side is well: move the check into `prepare`, where it makes a dead letter with a reason.",
            );
            return false;
        }
        let double = &self.double;
        if !until(|| double.accepted() > before).await {
            self.report.fault(
                "delivers",
                "`deliver` said Delivered, and the double has not got the document",
                "Say Delivered only when the other side has confirmed; an event that counts as delivered is never sent again.",
            );
            return false;
        }
        true
    }

    async fn check(&mut self) -> Option<Result<(), CheckError>> {
        let sink = Arc::clone(&self.sink);
        match bounded(async move { sink.check().await }, PATIENCE).await {
            Ok(answer) => {
                if let Err(problem) = &answer {
                    look(
                        &problem.to_string(),
                        &self.secrets,
                        "the error of `check`",
                        &mut self.report,
                    );
                }
                Some(answer)
            }
            Err(trouble) => {
                panicked(&trouble, "in `check`", &mut self.report);
                None
            }
        }
    }

    /// As many documents as the sink says that a request may hold.
    async fn full_batch(&mut self) {
        let sample = self.double.sample(self.next).unwrap_or_default();
        let room = self
            .limits
            .batch_bytes_max
            .saturating_sub(self.limits.envelope_bytes);
        // Numbers grow, and samples with them.
        let fit = room / (sample.len() + 16);
        let count = self
            .limits
            .batch_documents_max
            .min(fit)
            .clamp(1, DOCUMENTS_MAX);
        let before = self.double.accepted();
        let Some(batch) = self.batch(count) else {
            return;
        };
        let delivery = self.deliver(&batch).await;
        let double = &self.double;
        let wanted = before + count as u64;
        let has_come = delivery.as_ref().is_some_and(|it| all_delivered(it, count))
            && until(|| double.accepted() >= wanted).await;
        if !has_come {
            let came = self.double.accepted() - before;
            self.report.fault(
                "limits",
                format!("a batch of {count} documents, within its limits, ended as {}; {came} came through", told(delivery.as_ref())),
                "`limits` must be what one request really carries; the engine fills batches up to them.",
            );
        }
    }

    /// As many deliveries as the sink says that it stands.
    async fn side_by_side(&mut self) {
        let count = self.limits.concurrency.min(CONCURRENT_MAX);
        let before = self.double.accepted();
        let mut tasks = Vec::new();
        for _ in 0..count {
            let Some(batch) = self.batch(2.min(self.limits.batch_documents_max)) else {
                return;
            };
            let (sink, sent) = (Arc::clone(&self.sink), batch.clone());
            let running = bounded(async move { sink.deliver(&sent).await }, PATIENCE);
            tasks.push((tokio::spawn(running), batch));
        }
        let mut wanted = before;
        for (task, batch) in tasks {
            let delivery = task.await.ok().and_then(Result::ok);
            if let Some(delivery) = &delivery {
                self.look_at(delivery, &batch);
            }
            wanted += batch.documents.len() as u64;
            if !delivery
                .as_ref()
                .is_some_and(|it| all_delivered(it, batch.documents.len()))
            {
                return self.not_side_by_side(count, &told(delivery.as_ref()));
            }
        }
        let double = &self.double;
        if !until(|| double.accepted() >= wanted).await {
            self.not_side_by_side(count, "fewer documents than were told delivered");
        }
    }

    fn not_side_by_side(&mut self, count: usize, what: &str) {
        self.report.fault(
            "concurrency",
            format!("of {count} deliveries at the same time one ended as: {what}"),
            "`deliver` is called from several tasks at once, up to `Limits::concurrency`. Keep what belongs to one batch out of `self`, or say `concurrency: 1`.",
        );
    }

    async fn bad_cases(&mut self) {
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
    async fn cancelled(&mut self) {
        for polls in 1..=POLLS_MAX {
            let Some(batch) = self.batch(1) else { return };
            let ended = cut(self.sink.deliver(&batch), polls).await;
            if !self.works_on("after a delivery was dropped half way").await || ended.is_some() {
                return;
            }
        }
    }

    async fn works_on(&mut self, when: &str) -> bool {
        let Some(batch) = self.batch(1) else {
            return false;
        };
        let delivery = self.deliver(&batch).await;
        let works = delivery.as_ref().is_some_and(|it| all_delivered(it, 1));
        if !works {
            self.report.fault(
                "cancel",
                format!("{when} a good document ended as {}", told(delivery.as_ref())),
                "The future of `deliver` may be dropped at any await, and what it held must be given back then: no flag that only its end takes away, no state that stays half changed.",
            );
        }
        works
    }

    /// What no rule should make, and yet comes: no panic, and no personal value in the refusal.
    fn odd_documents(&mut self) {
        let sample = self.double.sample(self.next).unwrap_or_default();
        let mut odd: Vec<Bytes> = ["", "{", "[]", "null", "\"text\"", "{}", "{\"a\":1e999}"]
            .map(Bytes::from)
            .to_vec();
        odd.push("[".repeat(100_000).into());
        odd.push(Bytes::from_static(b"{\"a\":\"\xff\"}"));
        let whole: Value = serde_json::from_str(&sample).unwrap_or_default();
        for member in whole
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
        {
            for value in [
                Value::from(PERSON),
                serde_json::json!({ PERSON: PERSON }),
                Value::Null,
            ] {
                let mut document = whole.clone();
                document[member] = value;
                odd.push(document.to_string().into());
            }
        }
        for document in odd {
            let Some(Err(rejection)) = self.prepare(document) else {
                continue;
            };
            if rejection.to_string().contains(PERSON) {
                self.report.fault(
                    "prepare",
                    format!("a rejection ({}) quotes a value of the document", rejection.code),
                    "Values may be personal, and reasons go to logs: name the member and its type, not what is in it.",
                );
            }
            let is_short = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if rejection.code.is_empty() || !rejection.code.chars().all(is_short) {
                self.report.fault(
                    "prepare",
                    format!("the rejection code `{}` is no short name", rejection.code),
                    "Codes are counted and searched for: small letters and dashes, such as `too-large`.",
                );
            }
        }
    }

    fn nothing_was_dropped(&mut self) {
        let dropped = self.double.dropped();
        // The kit itself sends nothing twice, apart from what was cut off.
        let lost: Vec<_> = dropped
            .iter()
            .filter(|(why, _)| why != "duplicate")
            .collect();
        if !lost.is_empty() {
            self.report.fault(
                "prepare",
                format!("the other side would have dropped documents behind its yes: {lost:?}"),
                "Refuse in `prepare` what is accepted and then dropped: there it becomes a dead letter with a reason.",
            );
        }
    }
}

/// One way to be unwell, and what must follow.
struct Rule {
    name: &'static str,
    other_side: &'static str,
    fits: fn(&Delivery) -> bool,
    mend: &'static str,
}

fn all_delivered(delivery: &Delivery, count: usize) -> bool {
    match delivery {
        Delivery::All(outcome) => *outcome == Outcome::Delivered,
        Delivery::Each(outcomes) => {
            outcomes.len() == count && outcomes.iter().all(|it| *it == Outcome::Delivered)
        }
        Delivery::BatchRejected { .. } => false,
    }
}

fn is_refused(delivery: &Delivery) -> bool {
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

fn reasons(delivery: &Delivery) -> Vec<String> {
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
fn told(delivery: Option<&Delivery>) -> String {
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
