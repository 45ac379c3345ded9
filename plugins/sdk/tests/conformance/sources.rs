//! Sources whose upstream is a channel in memory.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_sdk::conformance::{Report, check_source};
use sluice_sdk::serde::Deserialize;
use sluice_sdk::{
    BoxFuture, ConfigError, EventMark, Feeder, Flow, Intake, JsonSchema, MalformedMark, Source,
    SourceError, Stop, Submission, Upstream,
};
use tokio::sync::{mpsc, oneshot};

use crate::assert_fault;

const RIGHT: u8 = 0;
const ANSWERS_EARLY: u8 = 1;
const IGNORES_FULL: u8 = 2;
const NEVER_STOPS: u8 = 3;
const WRONG_MARKS: u8 = 4;
const DROPS_NONSENSE: u8 = 5;
const NEVER_READY: u8 = 6;
const NEW_IDS: u8 = 7;
const ENDS_WHEN_FULL: u8 = 8;
const QUOTES: u8 = 9;
const PANICS: u8 = 10;
const FAILS_AT_STOP: u8 = 11;
const SAME_IDS: u8 = 12;
const LEAVES_AT_STOP: u8 = 13;

/// One request and the place for its answer.
type Request = (Vec<String>, oneshot::Sender<bool>);

type Queue = (
    mpsc::Sender<Request>,
    Arc<tokio::sync::Mutex<mpsc::Receiver<Request>>>,
);

static QUEUES: LazyLock<Mutex<HashMap<u64, Queue>>> = LazyLock::new(Mutex::default);

/// A queue in memory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(crate = "sluice_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "sluice_sdk::schemars")]
struct Config {
    /// Which one.
    queue: u64,
}

struct FromQueue<const FLAW: u8>(Config);

impl<const FLAW: u8> FromQueue<FLAW> {
    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config))
    }
}

fn submission<const FLAW: u8>(texts: &[String]) -> Submission {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut submission = Submission::default();
    let mut body = String::new();
    for text in texts {
        let start = body.len() as u32;
        body.push_str(text);
        let end = body.len() as u32;
        let value: Value = serde_json::from_str(text).unwrap();
        if value.is_object() {
            submission.events.push(EventMark {
                start: if FLAW == WRONG_MARKS {
                    start + 1
                } else {
                    start
                },
                end,
                event_type: "a".to_owned(),
                id: match FLAW {
                    NEW_IDS => NEXT.fetch_add(1, Ordering::Relaxed).to_string(),
                    SAME_IDS => "1".to_owned(),
                    _ => value["id"].to_string(),
                },
                time_ms: None,
            });
        } else if FLAW != DROPS_NONSENSE {
            let reason = match FLAW {
                QUOTES => format!("{value} is no event"),
                _ => "not an object".to_owned(),
            };
            submission
                .malformed
                .push(MalformedMark { start, end, reason });
        }
    }
    submission.body = body.into();
    submission
}

impl<const FLAW: u8> Source for FromQueue<FLAW> {
    async fn run(self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
        let queue = QUEUES.lock().unwrap()[&self.0.queue].1.clone();
        let mut queue = queue.lock().await;
        if FLAW == PANICS {
            panic!("no such queue");
        }
        if FLAW != NEVER_READY {
            intake.ready("memory");
        }
        loop {
            let (texts, answer) = tokio::select! {
                () = stop.requested(), if FLAW != NEVER_STOPS => {
                    return match FLAW {
                        FAILS_AT_STOP => Err(SourceError("stopped".to_owned())),
                        _ => Ok(()),
                    };
                }
                request = queue.recv() => request.unwrap(),
            };
            let accepted = intake.accept(submission::<FLAW>(&texts));
            match FLAW {
                ANSWERS_EARLY => {
                    let _ = answer.send(true);
                    let _ = accepted.await;
                }
                IGNORES_FULL => {
                    let _ = accepted.await;
                    let _ = answer.send(true);
                }
                LEAVES_AT_STOP => tokio::select! {
                    () = stop.requested() => return Ok(()),
                    taken = accepted => {
                        let _ = answer.send(taken.is_ok());
                    }
                },
                _ => {
                    let taken = accepted.await;
                    let _ = answer.send(taken.is_ok());
                    if FLAW == ENDS_WHEN_FULL
                        && let Err(problem) = taken
                    {
                        return Err(SourceError(problem.to_string()));
                    }
                }
            }
        }
    }
}

struct Before(u64);

struct Sender(mpsc::Sender<Request>);

impl Feeder for Sender {
    fn send(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let lost = |_| "nobody listens".to_owned();
            self.0.send((events, answer)).await.map_err(|_| lost(()))?;
            match tokio::time::timeout(Duration::from_secs(3), answered).await {
                Ok(Ok(true)) => Ok(()),
                Ok(Ok(false)) => Err("refused".to_owned()),
                _ => Err(lost(())),
            }
        })
    }
}

impl Upstream for Before {
    fn settings(&self) -> Value {
        json!({"queue": self.0})
    }

    fn flow(&self) -> Flow {
        Flow::Answered
    }

    fn event(&self, n: u64) -> String {
        json!({"id": n}).to_string()
    }

    fn feeder(&self, _: String) -> Box<dyn Feeder> {
        Box::new(Sender(QUEUES.lock().unwrap()[&self.0].0.clone()))
    }
}

fn start() -> BoxFuture<'static, io::Result<Box<dyn Upstream>>> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let (sender, receiver) = mpsc::channel(10);
    let queue = (sender, Arc::new(tokio::sync::Mutex::new(receiver)));
    QUEUES.lock().unwrap().insert(id, queue);
    Box::pin(async move { Ok(Box::new(Before(id)) as Box<dyn Upstream>) })
}

async fn tried<const FLAW: u8>() -> Report {
    let plugin = sluice_sdk::__plugin!(SourcePlugin, DynSource, "queue", Config => FromQueue::<FLAW>::new,
        summary: "From memory.", example: "queue: 1\n", upstream: start);
    check_source(&plugin).await
}

#[tokio::test]
async fn a_right_source_has_no_fault() {
    tried::<RIGHT>().await.assert();
}

#[tokio::test]
async fn yes_before_it_is_safe_is_seen() {
    assert_fault(
        &tried::<ANSWERS_EARLY>().await,
        "early",
        "a crash in between would lose the events",
    );
}

#[tokio::test]
async fn yes_although_there_is_no_room_is_seen() {
    assert_fault(
        &tried::<IGNORES_FULL>().await,
        "push-back",
        "the intake answered Full, and the upstream was told yes",
    );
    assert_fault(
        &tried::<ENDS_WHEN_FULL>().await,
        "push-back",
        "A refusal of the intake passes",
    );
}

#[tokio::test]
async fn a_stop_is_clean_and_in_time() {
    assert_fault(
        &tried::<FAILS_AT_STOP>().await,
        "stop",
        "Return Ok after a stop",
    );
    assert_fault(
        &tried::<LEAVES_AT_STOP>().await,
        "stop",
        "Finish requests under way",
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_stops_is_seen() {
    assert_fault(
        &tried::<NEVER_STOPS>().await,
        "stop",
        "did not end within 10 s",
    );
}

#[tokio::test]
async fn marks_are_where_the_events_are() {
    assert_fault(
        &tried::<WRONG_MARKS>().await,
        "marks",
        "holds no JSON object",
    );
}

#[tokio::test]
async fn what_is_no_event_is_set_aside_and_not_quoted() {
    assert_fault(
        &tried::<DROPS_NONSENSE>().await,
        "set-aside",
        "0 parts were set aside",
    );
    assert_fault(
        &tried::<QUOTES>().await,
        "set-aside",
        "A short reason without content",
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_never_ready_is_seen() {
    assert_fault(
        &tried::<NEVER_READY>().await,
        "ready",
        "Call `intake.ready(address)`",
    );
}

#[tokio::test]
async fn an_id_is_the_events_own() {
    assert_fault(
        &tried::<NEW_IDS>().await,
        "identity",
        "3 different events, sent twice, had 6 different ids",
    );
    assert_fault(
        &tried::<SAME_IDS>().await,
        "identity",
        "had 1 different ids",
    );
}

#[tokio::test]
async fn a_panic_is_told_with_its_text() {
    assert_fault(&tried::<PANICS>().await, "panic", "no such queue");
}

#[tokio::test]
async fn a_source_without_an_upstream_is_told_what_to_write() {
    let plugin = sluice_sdk::__plugin!(SourcePlugin, DynSource, "queue", Config => FromQueue::<RIGHT>::new,
        summary: "From memory.", example: "queue: 1\n");
    assert_fault(
        &check_source(&plugin).await,
        "nothing-to-test-with",
        "`upstream: start`",
    );
}
