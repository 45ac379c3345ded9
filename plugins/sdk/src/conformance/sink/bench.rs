//! A sink with its double, and what every call of it is looked at for.

use std::sync::Arc;

use bytes::Bytes;

use super::super::Report;
use super::super::patience::{PATIENCE, bounded, call};
use super::super::settings::{look, panicked};
use super::answers::{all_delivered, reasons, told};
use crate::document::Document;
use crate::sink::{Batch, CheckError, Delivery, DynSink, Limits, Rejection};
use crate::stand_in::Double;

pub(super) struct Bench {
    pub(super) sink: Arc<dyn DynSink>,
    pub(super) double: Box<dyn Double>,
    pub(super) limits: Limits,
    pub(super) secrets: Vec<String>,
    pub(super) report: Report,
    /// Number of the next sample.
    pub(super) next: u64,
}

impl Bench {
    pub(super) fn sample(&mut self) -> Bytes {
        let sample = self.double.sample(self.next).unwrap_or_default();
        self.next += 1;
        sample.into()
    }

    /// A batch of new documents, through `prepare` as the engine sends them.
    pub(super) fn batch(&mut self, count: usize) -> Option<Batch> {
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
    pub(super) fn prepare(&mut self, document: Bytes) -> Option<Result<Bytes, Rejection>> {
        let sink = Arc::clone(&self.sink);
        match call(|| sink.prepare(document)) {
            Ok(prepared) => Some(prepared),
            Err(trouble) => {
                panicked(&trouble, "in `prepare`", &mut self.report);
                None
            }
        }
    }

    pub(super) async fn check(&mut self) -> Option<Result<(), CheckError>> {
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

    /// Deliver, looking at what any delivery must keep. `None`: no answer.
    pub(super) async fn deliver(&mut self, batch: &Batch) -> Option<Delivery> {
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

    pub(super) fn look_at(&mut self, delivery: &Delivery, batch: &Batch) {
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

    pub(super) async fn works_on(&mut self, when: &str) -> bool {
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
}
