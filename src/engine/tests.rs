//! What the engine makes of a sink's answers. Time is tokio's paused clock: hours pass in no time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sluice_sdk::{Batch, CheckError, Delivery, Document, Limits, Outcome, Sink};

use tokio::sync::mpsc;

use super::delivery::{Courier, Final, Item};
use super::gate::GateState;
use super::pace::Pace;
use crate::clock::Clock;

type Answer = Box<dyn FnMut(&Batch) -> Delivery + Send>;

/// A sink that answers as told and remembers what it was sent.
#[derive(Clone)]
struct Told {
    answer: Arc<Mutex<Answer>>,
    checks: Arc<Mutex<VecDeque<Result<(), CheckError>>>>,
    sent: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Told {
    fn new(answer: impl FnMut(&Batch) -> Delivery + Send + 'static) -> Self {
        Self {
            answer: Arc::new(Mutex::new(Box::new(answer))),
            checks: Arc::default(),
            sent: Arc::default(),
        }
    }

    fn requests(&self) -> usize {
        self.sent.lock().expect("not poisoned").len()
    }
}

impl Sink for Told {
    fn limits(&self) -> Limits {
        Limits::default()
    }

    async fn check(&self) -> Result<(), CheckError> {
        self.checks
            .lock()
            .expect("not poisoned")
            .pop_front()
            .unwrap_or(Ok(()))
    }

    async fn deliver(&self, batch: &Batch) -> Delivery {
        let ids = batch
            .documents
            .iter()
            .map(|document| document.event_id.clone())
            .collect();
        self.sent.lock().expect("not poisoned").push(ids);
        (self.answer.lock().expect("not poisoned"))(batch)
    }
}

fn items(count: u64) -> Vec<Item> {
    (0..count)
        .map(|sequence| Item {
            sequence,
            body: Some(0),
            event: Bytes::from_static(b"{}"),
            document: Document {
                event_id: sequence.to_string(),
                event_type: "a".to_owned(),
                body: Bytes::from_static(b"{}"),
            },
            rule: Arc::from("rule"),
            part: None,
        })
        .collect()
}

/// Deliver and collect the outcomes.
async fn deliver(courier: &Courier, items: Vec<Item>) -> Vec<(Item, Final)> {
    let (settled_in, mut settled) = mpsc::channel(1_000);
    courier.deliver(items, &settled_in).await;
    drop(settled_in);
    let mut done = Vec::new();
    while let Some(some) = settled.recv().await {
        done.extend(some);
    }
    done
}

fn dead(done: &[(Item, Final)]) -> Vec<u64> {
    let mut dead: Vec<u64> = done
        .iter()
        .filter(|(_, outcome)| matches!(outcome, Final::Dead { .. }))
        .map(|(item, _)| item.sequence)
        .collect();
    dead.sort_unstable();
    dead
}

fn retry(after: Option<Duration>) -> Delivery {
    Delivery::All(Outcome::Retry {
        reason: "503".to_owned(),
        after,
    })
}

#[tokio::test(start_paused = true)]
async fn one_bad_document_in_two_thousand_is_found_and_the_others_are_delivered() {
    let sink = Told::new(|batch| {
        if batch
            .documents
            .iter()
            .any(|document| document.event_id == "1234")
        {
            Delivery::BatchRejected {
                reason: "400".to_owned(),
            }
        } else {
            Delivery::All(Outcome::Delivered)
        }
    });
    let courier = Courier::new("c".to_owned(), Box::new(sink.clone()), Clock::default());
    let done = deliver(&courier, items(2_000)).await;
    assert_eq!(done.len(), 2_000);
    assert_eq!(dead(&done), [1234]);
    assert!(
        sink.requests() <= 24,
        "halving takes 2·log2(2000) requests: {}",
        sink.requests()
    );
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_down_for_three_days_loses_nothing() {
    let start = tokio::time::Instant::now();
    let sink = Told::new(move |_| {
        if start.elapsed() < Duration::from_secs(3 * 24 * 3600) {
            retry(None)
        } else {
            Delivery::All(Outcome::Delivered)
        }
    });
    let courier = Courier::new("c".to_owned(), Box::new(sink), Clock::default());
    let done = deliver(&courier, items(10)).await;
    assert_eq!((done.len(), dead(&done).len()), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_sends_before_retry_after_has_passed() {
    let mut times = 0;
    let sink = Told::new(move |_| {
        times += 1;
        if times == 1 {
            retry(Some(Duration::from_secs(120)))
        } else {
            Delivery::All(Outcome::Delivered)
        }
    });
    let courier = Courier::new("c".to_owned(), Box::new(sink), Clock::default());
    let start = tokio::time::Instant::now();
    assert_eq!(courier.trouble(), None);
    deliver(&courier, items(1)).await;
    assert!(
        start.elapsed() >= Duration::from_secs(120),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_holds_and_goes_on_by_itself_when_the_check_passes() {
    let mut times = 0;
    let sink = Told::new(move |_| {
        times += 1;
        if times == 1 {
            Delivery::All(Outcome::Hold {
                reason: "401".to_owned(),
            })
        } else {
            Delivery::All(Outcome::Delivered)
        }
    });
    sink.checks.lock().expect("not poisoned").extend(vec![
        Err(CheckError::Refused(
            "still 401".to_owned()
        ));
        100
    ]);
    let courier = Arc::new(Courier::new(
        "c".to_owned(),
        Box::new(sink.clone()),
        Clock::default(),
    ));
    let delivery = tokio::spawn({
        let courier = Arc::clone(&courier);
        async move { deliver(&courier, items(3)).await }
    });
    tokio::time::sleep(Duration::from_secs(600)).await;
    let GateState::Held { reason, .. } = courier.gate.state() else {
        panic!("it is held")
    };
    assert_eq!(reason, "still 401");
    assert_eq!(sink.requests(), 1, "nothing is sent while the check fails");
    let done = delivery.await.expect("no panic");
    assert_eq!((done.len(), dead(&done).len()), (3, 0));
    assert_eq!(courier.gate.state(), GateState::Open);
}

#[tokio::test(start_paused = true)]
async fn when_everything_is_refused_it_is_not_the_content_and_nothing_is_buried_without_end() {
    let sink = Told::new(|_| Delivery::BatchRejected {
        reason: "400".to_owned(),
    });
    let courier = Arc::new(Courier::new(
        "c".to_owned(),
        Box::new(sink),
        Clock::default(),
    ));
    let delivery = tokio::spawn({
        let courier = Arc::clone(&courier);
        async move { deliver(&courier, items(200)).await }
    });
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(matches!(courier.gate.state(), GateState::Held { .. }));
    assert!(!delivery.is_finished(), "the rest waits");
    delivery.abort();
}

#[tokio::test(start_paused = true)]
async fn outcomes_that_do_not_match_the_batch_count_as_a_retry() {
    let mut times = 0;
    let sink = Told::new(move |batch| {
        times += 1;
        let count = if times == 1 { 1 } else { batch.documents.len() };
        Delivery::Each(vec![Outcome::Delivered; count])
    });
    let courier = Courier::new("c".to_owned(), Box::new(sink.clone()), Clock::default());
    let done = deliver(&courier, items(3)).await;
    assert_eq!((done.len(), sink.requests()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn each_document_has_its_own_outcome() {
    let mut times = 0;
    let sink = Told::new(move |batch| {
        times += 1;
        Delivery::Each(
            batch
                .documents
                .iter()
                .map(|document| match document.event_id.as_str() {
                    "0" => Outcome::Rejected {
                        reason: "never".to_owned(),
                    },
                    "1" if times == 1 => Outcome::Retry {
                        reason: "later".to_owned(),
                        after: None,
                    },
                    _ => Outcome::Delivered,
                })
                .collect(),
        )
    });
    let courier = Courier::new("c".to_owned(), Box::new(sink.clone()), Clock::default());
    let done = deliver(&courier, items(3)).await;
    assert_eq!((done.len(), dead(&done)), (3, vec![0]));
    assert_eq!(
        sink.sent.lock().expect("not poisoned")[1],
        ["1"],
        "only what was not settled goes again"
    );
}

#[tokio::test(start_paused = true)]
async fn fewer_requests_while_the_sink_is_unwell_and_more_again_when_it_takes_them() {
    let pace = Pace::new(8);
    pace.not_taken();
    pace.not_taken();
    assert_eq!(pace.allowed(), 4, "what was in flight together is one cut");
    tokio::time::advance(Duration::from_secs(2)).await;
    pace.not_taken();
    let turns = (pace.turn().await, pace.turn().await);
    let third = tokio::time::timeout(Duration::from_secs(60), pace.turn()).await;
    assert!(third.is_err(), "two are allowed");
    drop(turns);
    for _ in 0..100 {
        pace.taken();
    }
    assert_eq!(pace.allowed(), 8, "never more than the sink stands");
    for _ in 0..10 {
        tokio::time::advance(Duration::from_secs(2)).await;
        pace.not_taken();
    }
    assert_eq!(pace.allowed(), 1, "never none");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_for_its_next_try_ends_at_once_when_the_connector_closes() {
    let courier = Arc::new(Courier::new(
        "c".to_owned(),
        Box::new(Told::new(|_| retry(Some(Duration::from_secs(200))))),
        Clock::default(),
    ));
    let (settled_in, mut settled) = mpsc::channel(10);
    let trying = Arc::clone(&courier);
    let task = tokio::spawn(async move { trying.deliver(items(3), &settled_in).await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!task.is_finished());
    courier.closing.request();
    tokio::time::timeout(Duration::from_secs(1), task)
        .await
        .expect("it ends")
        .expect("without a panic");
    assert!(settled.recv().await.is_none(), "nothing is called settled");
}

#[tokio::test(start_paused = true)]
async fn a_paused_connector_sends_nothing_until_it_is_resumed() {
    let sink = Told::new(|_| Delivery::All(Outcome::Delivered));
    let courier = Arc::new(Courier::new(
        "c".to_owned(),
        Box::new(sink.clone()),
        Clock::default(),
    ));
    courier.gate.set_paused(Some(jiff::Timestamp::UNIX_EPOCH));
    let trying = Arc::clone(&courier);
    let task = tokio::spawn(async move { deliver(&trying, items(3)).await });
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(sink.requests(), 0);
    courier.gate.set_paused(None);
    assert_eq!(task.await.expect("no panic").len(), 3);
}
