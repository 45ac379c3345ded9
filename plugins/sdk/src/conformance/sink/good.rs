//! Everybody is well: limits, one document, a full batch, many at the same time.

use std::sync::Arc;

use super::super::patience::{PATIENCE, bounded, until};
use super::answers::{all_delivered, told};
use super::bench::Bench;

/// Documents of the largest batch that is tried, whatever the limits allow.
const DOCUMENTS_MAX: usize = 2_000;
/// Deliveries at the same time, whatever the limits allow.
const CONCURRENT_MAX: usize = 16;

impl Bench {
    pub(super) fn limits_make_sense(&mut self) -> bool {
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

    /// One document, everybody well. Without it the rest says nothing.
    pub(super) async fn good_case(&mut self) -> bool {
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

    /// As many documents as the sink says that a request may hold.
    pub(super) async fn full_batch(&mut self) {
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
    pub(super) async fn side_by_side(&mut self) {
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
}
