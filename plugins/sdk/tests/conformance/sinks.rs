//! Sinks to an other side that lives in memory.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_sdk::conformance::{Report, check_sink};
use sluice_sdk::serde::Deserialize;
use sluice_sdk::{
    Batch, Behaviour, BoxFuture, Bytes, CheckError, ConfigError, Delivery, Double, JsonSchema,
    Limits, Outcome, ReceivedDocument, Rejection, Secret, Sink, SinkPlugin,
};
use tokio::time::sleep;

use crate::assert_fault;

const RIGHT: u8 = 0;
const WRONG_LENGTH: u8 = 1;
const LIAR: u8 = 2;
const REJECTS_WHEN_UNWELL: u8 = 3;
const RETRIES_CONTENT: u8 = 4;
const RETRIES_WHEN_REFUSED: u8 = 5;
const SHOWS_SECRET: u8 = 6;
const FORGETS_LATER: u8 = 7;
const TRIES_TWICE: u8 = 8;
const HALF_IS_ENOUGH: u8 = 9;
const NO_ANSWER_IS_YES: u8 = 10;
const STAYS_BUSY: u8 = 11;
const MIXES: u8 = 12;
const NO_LIMITS: u8 = 13;
const PROMISES_TOO_MUCH: u8 = 14;
const RANDOM_PREPARE: u8 = 15;
const PANICS: u8 = 16;
const QUOTES_PERSON: u8 = 17;
const LETS_DROP: u8 = 18;
const BEFORE_THE_ANSWER: u8 = 19;
const CHECK_HANGS: u8 = 20;

/// Documents that one request of the other side holds.
const ROOM: usize = 50;

static WORLDS: LazyLock<Mutex<HashMap<u64, Arc<World>>>> = LazyLock::new(Mutex::default);

struct World {
    id: u64,
    behaviour: Mutex<Behaviour>,
    accepted: AtomicU64,
    requests: AtomicU64,
}

enum Answer {
    Yes,
    Status(u16),
    Later(Duration),
    Half,
}

impl World {
    async fn ask(&self, documents: usize) -> Answer {
        sleep(Duration::from_millis(1)).await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let behaviour = *self.behaviour.lock().unwrap();
        match behaviour {
            Behaviour::Well if documents > ROOM => Answer::Status(413),
            Behaviour::Well => {
                self.accepted.fetch_add(documents as u64, Ordering::Relaxed);
                Answer::Yes
            }
            Behaviour::Later(after) => Answer::Later(after),
            Behaviour::RefuseContent => Answer::Status(400),
            Behaviour::RefuseUs => Answer::Status(401),
            Behaviour::Broken => Answer::Half,
            Behaviour::Silent => std::future::pending().await,
            _ => Answer::Status(503),
        }
    }
}

/// An other side in memory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(crate = "sluice_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "sluice_sdk::schemars")]
struct Config {
    /// Which one.
    world: u64,
    /// The key.
    key: Secret,
}

struct Memory<const FLAW: u8> {
    world: Arc<World>,
    key: String,
    is_busy: Mutex<bool>,
    under_way: AtomicU64,
    made: AtomicU64,
}

impl<const FLAW: u8> Memory<FLAW> {
    fn new(config: Config) -> Result<Self, ConfigError> {
        let worlds = WORLDS.lock().unwrap();
        let world = worlds.get(&config.world);
        Ok(Self {
            world: world.cloned().unwrap_or_else(World::new),
            key: config.key.reveal().unwrap().into_owned(),
            is_busy: Mutex::new(false),
            under_way: AtomicU64::new(0),
            made: AtomicU64::new(0),
        })
    }

    async fn one(&self, batch: &Batch) -> Delivery {
        let retry = |reason: &str, after| {
            Delivery::All(Outcome::Retry {
                reason: reason.to_owned(),
                after,
            })
        };
        let delivered = Delivery::All(Outcome::Delivered);
        let asked = self.world.ask(batch.documents.len());
        if FLAW == NO_ANSWER_IS_YES {
            return match tokio::time::timeout(Duration::from_millis(20), asked).await {
                Ok(_) | Err(_) => delivered,
            };
        }
        match asked.await {
            Answer::Yes => delivered,
            Answer::Half if FLAW == HALF_IS_ENOUGH => delivered,
            Answer::Half => retry("half an answer", None),
            Answer::Later(_) if FLAW == FORGETS_LATER => retry("429", None),
            Answer::Later(after) => retry("429", Some(after)),
            Answer::Status(400 | 413) if FLAW == RETRIES_CONTENT => retry("400", None),
            Answer::Status(400 | 413) => Delivery::BatchRejected {
                reason: "400".to_owned(),
            },
            Answer::Status(401) if FLAW == RETRIES_WHEN_REFUSED => retry("401", None),
            Answer::Status(401) => Delivery::All(Outcome::Hold {
                reason: match FLAW {
                    SHOWS_SECRET => format!("the key {} is refused", self.key),
                    _ => "the key is refused; look at `key`".to_owned(),
                },
            }),
            Answer::Status(_) => match FLAW {
                LIAR => delivered,
                REJECTS_WHEN_UNWELL => Delivery::All(Outcome::Rejected {
                    reason: "503".to_owned(),
                }),
                _ => retry("503", None),
            },
        }
    }
}

impl<const FLAW: u8> Sink for Memory<FLAW> {
    fn limits(&self) -> Limits {
        Limits {
            batch_documents_max: match FLAW {
                NO_LIMITS => 0,
                PROMISES_TOO_MUCH => ROOM * 2,
                _ => ROOM,
            },
            ..Limits::default()
        }
    }

    fn prepare(&self, document: Bytes) -> Result<Bytes, Rejection> {
        let value: Value = match serde_json::from_slice(&document) {
            Ok(value) => value,
            Err(_) if FLAW == PANICS => panic!("cannot read it"),
            Err(_) => {
                return Err(Rejection {
                    code: "not-json",
                    detail: "no JSON".to_owned(),
                });
            }
        };
        if !value["n"].is_u64() {
            let detail = match FLAW {
                QUOTES_PERSON => format!("`n` is {}", value["n"]),
                _ => "`n` is no number".to_owned(),
            };
            return Err(Rejection {
                code: "no-number",
                detail,
            });
        }
        if FLAW == RANDOM_PREPARE {
            let made = self.made.fetch_add(1, Ordering::Relaxed);
            return Ok(json!({"n": value["n"], "made": made}).to_string().into());
        }
        Ok(document)
    }

    async fn check(&self) -> Result<(), CheckError> {
        if FLAW == CHECK_HANGS {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn deliver(&self, batch: &Batch) -> Delivery {
        match FLAW {
            WRONG_LENGTH => {
                self.one(batch).await;
                Delivery::Each(vec![Outcome::Delivered; batch.documents.len() + 1])
            }
            TRIES_TWICE => match self.one(batch).await {
                Delivery::All(Outcome::Retry { .. }) => self.one(batch).await,
                delivery => delivery,
            },
            STAYS_BUSY => {
                if std::mem::replace(&mut *self.is_busy.lock().unwrap(), true) {
                    return Delivery::All(Outcome::Retry {
                        reason: "busy".to_owned(),
                        after: None,
                    });
                }
                let delivery = self.one(batch).await;
                *self.is_busy.lock().unwrap() = false;
                delivery
            }
            MIXES => {
                self.under_way.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(5)).await;
                let others = self.under_way.swap(0, Ordering::Relaxed);
                if others == 1 {
                    return self.one(batch).await;
                }
                // Another delivery "took our documents along".
                Delivery::All(Outcome::Delivered)
            }
            BEFORE_THE_ANSWER => Delivery::All(Outcome::Delivered),
            _ => self.one(batch).await,
        }
    }
}

impl World {
    fn new() -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            behaviour: Mutex::new(Behaviour::Well),
            accepted: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        })
    }
}

struct Other {
    world: Arc<World>,
    drops: bool,
}

impl Double for Other {
    fn settings(&self) -> Value {
        json!({"world": self.world.id})
    }

    fn accepted(&self) -> u64 {
        self.world.accepted.load(Ordering::Relaxed)
    }

    fn dropped(&self) -> Vec<(String, u64)> {
        self.drops
            .then(|| ("no user".to_owned(), 3))
            .into_iter()
            .collect()
    }

    fn document(&self, _: &str) -> Option<ReceivedDocument> {
        None
    }

    fn sample(&self, n: u64) -> Option<String> {
        Some(json!({"n": n}).to_string())
    }

    fn behave(&self, behaviour: Behaviour) -> bool {
        *self.world.behaviour.lock().unwrap() = behaviour;
        true
    }

    fn requests(&self) -> Option<u64> {
        Some(self.world.requests.load(Ordering::Relaxed))
    }
}

fn start<const FLAW: u8>() -> BoxFuture<'static, io::Result<Box<dyn Double>>> {
    let world = World::new();
    WORLDS.lock().unwrap().insert(world.id, Arc::clone(&world));
    let double = Other {
        world,
        drops: FLAW == LETS_DROP,
    };
    Box::pin(async move { Ok(Box::new(double) as Box<dyn Double>) })
}

fn plugin<const FLAW: u8>() -> SinkPlugin {
    sluice_sdk::__plugin!(SinkPlugin, DynSink, "memory", Config => Memory::<FLAW>::new,
        summary: "To memory.", example: "world: 1\nkey: ${KEY}\n", double: start::<FLAW>)
}

async fn tried<const FLAW: u8>() -> Report {
    check_sink(&plugin::<FLAW>()).await
}

#[tokio::test]
async fn a_right_sink_has_no_fault_and_everything_was_tried() {
    let report = tried::<RIGHT>().await;
    report.assert();
    assert_eq!(report.not_tried, Vec::<String>::new());
    assert_eq!(report.to_string(), "sink `memory` keeps the contract\n");
}

#[tokio::test]
async fn outcomes_must_be_as_many_as_documents() {
    assert_fault(
        &tried::<WRONG_LENGTH>().await,
        "outcomes",
        "2 outcomes for 1 documents",
    );
}

#[tokio::test]
async fn delivered_is_said_only_after_a_yes() {
    assert_fault(
        &tried::<LIAR>().await,
        "unwell",
        "Delivered would lose them",
    );
    assert_fault(
        &tried::<HALF_IS_ENOUGH>().await,
        "broken",
        "Half an answer is no yes",
    );
    assert_fault(
        &tried::<NO_ANSWER_IS_YES>().await,
        "silent",
        "only after an answer",
    );
    assert_fault(
        &tried::<BEFORE_THE_ANSWER>().await,
        "delivers",
        "the double has not got the document",
    );
}

#[tokio::test]
async fn each_refusal_has_its_outcome() {
    assert_fault(
        &tried::<REJECTS_WHEN_UNWELL>().await,
        "unwell",
        "Say `Outcome::Retry`",
    );
    assert_fault(
        &tried::<RETRIES_CONTENT>().await,
        "content",
        "Retry would send it for ever",
    );
    assert_fault(
        &tried::<RETRIES_WHEN_REFUSED>().await,
        "refused",
        "Say `Outcome::Hold`",
    );
    assert_fault(&tried::<FORGETS_LATER>().await, "later", "Retry-After");
}

#[tokio::test]
async fn one_delivery_is_one_request() {
    assert_fault(&tried::<TRIES_TWICE>().await, "one-try", "made 2 requests");
}

#[tokio::test]
async fn a_secret_in_a_reason_is_seen() {
    assert_fault(
        &tried::<SHOWS_SECRET>().await,
        "secret-shown",
        "the reason of an outcome",
    );
}

#[tokio::test]
async fn a_delivery_that_is_dropped_leaves_nothing_behind() {
    assert_fault(&tried::<STAYS_BUSY>().await, "cancel", "given back");
}

#[tokio::test]
async fn deliveries_at_the_same_time_do_not_mix() {
    assert_fault(
        &tried::<MIXES>().await,
        "concurrency",
        "fewer documents than were told delivered",
    );
}

#[tokio::test]
async fn limits_are_what_a_request_carries() {
    assert_fault(
        &tried::<NO_LIMITS>().await,
        "limits",
        "batch_documents_max is 0",
    );
    assert_fault(
        &tried::<PROMISES_TOO_MUCH>().await,
        "limits",
        "a batch of 100 documents",
    );
}

#[tokio::test]
async fn prepare_is_pure_calm_and_discreet() {
    assert_fault(
        &tried::<RANDOM_PREPARE>().await,
        "prepare",
        "must be a pure function",
    );
    assert_fault(
        &tried::<PANICS>().await,
        "panic",
        "in `prepare`: cannot read it",
    );
    assert_fault(&tried::<QUOTES_PERSON>().await, "prepare", "quotes a value");
    assert_fault(
        &tried::<LETS_DROP>().await,
        "prepare",
        "dropped documents behind its yes",
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_without_an_answer_is_seen() {
    assert_fault(&tried::<CHECK_HANGS>().await, "check", "gives no answer");
}

/// Settings as they should not be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(crate = "sluice_sdk::serde")]
#[schemars(crate = "sluice_sdk::schemars")]
struct Careless {
    #[allow(dead_code, reason = "for its name")]
    token: String,
}

#[tokio::test]
async fn settings_are_described_checked_and_their_secrets_hidden() {
    let plugin = sluice_sdk::__plugin!(SinkPlugin, DynSink, "careless",
        Careless => |_| Memory::<RIGHT>::new(Config { world: 0, key: Secret::new("key") }),
        summary: "", example: "tokn: ${TOKEN}\n");
    let report = check_sink(&plugin).await;
    assert_fault(
        &report,
        "described",
        "the setting `token` has no description",
    );
    assert_fault(
        &report,
        "secret-type",
        "Give it the type `sluice_sdk::Secret`",
    );
    assert_fault(&report, "example", "missing field `token`");
    assert_fault(&report, "nothing-to-test-with", "`test_double: start`");
    let plugin = SinkPlugin {
        example: "token: x\n",
        ..plugin
    };
    assert_fault(
        &check_sink(&plugin).await,
        "unknown-setting",
        "deny_unknown_fields",
    );
}

/// A key in `Debug` although its type hides it elsewhere.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "sluice_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "sluice_sdk::schemars")]
struct Talkative {
    /// The key.
    key: Secret,
}

impl std::fmt::Debug for Talkative {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.key.reveal().unwrap_or_default())
    }
}

#[tokio::test]
async fn a_secret_in_debug_is_seen() {
    let plugin = sluice_sdk::__plugin!(SinkPlugin, DynSink, "talkative",
        Talkative => |_| Memory::<RIGHT>::new(Config { world: 0, key: Secret::new("key") }),
        summary: "", example: "key: ${KEY}\n", test_double: alone);
    assert_fault(
        &check_sink(&plugin).await,
        "secret-shown",
        "`Debug` of the settings",
    );
}

/// Leads nowhere: no settings to lay over.
fn alone() -> BoxFuture<'static, io::Result<Box<dyn Double>>> {
    struct Alone(Other);
    impl Double for Alone {
        fn settings(&self) -> Value {
            json!({})
        }
        fn accepted(&self) -> u64 {
            self.0.accepted()
        }
        fn dropped(&self) -> Vec<(String, u64)> {
            Vec::new()
        }
        fn document(&self, _: &str) -> Option<ReceivedDocument> {
            None
        }
        fn sample(&self, n: u64) -> Option<String> {
            self.0.sample(n)
        }
    }
    let other = Other {
        world: World::new(),
        drops: false,
    };
    Box::pin(async { Ok(Box::new(Alone(other)) as Box<dyn Double>) })
}
