//! A ledger on this machine that behaves like the real one.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use sluice_sdk::{Behaviour, BoxFuture, Double, ReceivedDocument};
use tokio::net::TcpListener;

/// The key that it takes.
pub const KEY: &str = "ledger-on-this-machine";

/// What it holds. Cheap to clone; all clones are the same ledger.
#[derive(Clone)]
pub struct Book(Arc<Mutex<Entries>>);

struct Entries {
    behaviour: Behaviour,
    requests: u64,
    taken: HashMap<String, Value>,
    /// Entries of nothing: said yes to, and forgotten.
    forgotten: u64,
    /// Ids that were told "busy" once already.
    told_busy: HashSet<String>,
    /// Requests that get 503 from now on.
    sick_for: u32,
    /// Requests with a wrong key.
    strangers: u64,
    prints: bool,
}

impl Book {
    fn new(prints: bool) -> Self {
        Self(Arc::new(Mutex::new(Entries {
            behaviour: Behaviour::Well,
            requests: 0,
            taken: HashMap::new(),
            forgotten: 0,
            told_busy: HashSet::new(),
            sick_for: 0,
            strangers: 0,
            prints,
        })))
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answer the next requests with 503.
    pub fn be_sick(&self, requests: u32) {
        self.entries().sick_for = requests;
    }

    /// How many requests came with a wrong key.
    pub fn strangers(&self) -> u64 {
        self.entries().strangers
    }

    /// The ids it took, sorted.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.entries().taken.keys().cloned().collect();
        ids.sort();
        ids
    }
}

/// A running double. Ends with the runtime.
pub struct LocalLedger {
    /// What it holds.
    pub book: Book,
    url: String,
}

impl LocalLedger {
    /// Listen on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is not to be had.
    pub async fn start(address: &str) -> io::Result<Self> {
        Self::with_book(address, Book::new(false)).await
    }

    async fn with_book(address: &str, book: Book) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new()
            .route("/v1/entries", get(check).post(take))
            .with_state(book.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { book, url })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The real one looks at the key first.
fn is_let_in(book: &Book, headers: &HeaderMap) -> bool {
    let given = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let is_known = given == Some(KEY);
    book.entries().strangers += u64::from(!is_known);
    is_known
}

/// The answer of a ledger that does not behave well.
async fn trouble(book: &Book) -> Option<Response> {
    let behaviour = {
        let mut entries = book.entries();
        entries.requests += 1;
        entries.behaviour
    };
    match behaviour {
        Behaviour::Well => None,
        Behaviour::Later(after) => {
            let wish = [(RETRY_AFTER, after.as_secs().to_string())];
            Some((StatusCode::TOO_MANY_REQUESTS, wish).into_response())
        }
        Behaviour::RefuseContent => Some(StatusCode::BAD_REQUEST.into_response()),
        Behaviour::RefuseUs => Some(StatusCode::UNAUTHORIZED.into_response()),
        Behaviour::Silent => std::future::pending().await,
        Behaviour::Broken => Some(r#"{"results":["#.into_response()),
        _ => Some(StatusCode::SERVICE_UNAVAILABLE.into_response()),
    }
}

async fn check(State(book): State<Book>, headers: HeaderMap) -> Response {
    if let Some(answer) = trouble(&book).await {
        return answer;
    }
    if !is_let_in(&book, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn take(State(book): State<Book>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if let Some(answer) = trouble(&book).await {
        return answer;
    }
    if !is_let_in(&book, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut entries = book.entries();
    if entries.sick_for > 0 {
        entries.sick_for -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")]).into_response();
    }
    let given = body["entries"].as_array().into_iter().flatten();
    let results: Vec<Value> = given.map(|entry| entries.take(entry)).collect();
    Json(json!({"results": results})).into_response()
}

impl Entries {
    fn take(&mut self, entry: &Value) -> Value {
        let invalid = |reason: &str| json!({"status": "invalid", "reason": reason});
        let Some(id) = entry["id"].as_str().map(str::to_owned) else {
            return invalid("no_id");
        };
        let account = entry["account"].as_str().unwrap_or_default();
        if !account.starts_with("acc-") {
            return invalid("unknown_account");
        }
        // The real one locks an account while it books; here, one in sixteen ids of the catalogue.
        if id.ends_with('0') && self.told_busy.insert(id.clone()) {
            return json!({"status": "busy"});
        }
        if entry["amount_cents"] == 0 {
            self.forgotten += 1;
        } else if self.taken.insert(id, entry.clone()).is_none() && self.prints {
            println!("{entry}");
        }
        json!({"status": "ok"})
    }
}

impl Double for LocalLedger {
    fn settings(&self) -> Value {
        json!({"url": self.url, "key": KEY})
    }

    fn accepted(&self) -> u64 {
        self.book.entries().taken.len() as u64
    }

    fn dropped(&self) -> Vec<(String, u64)> {
        let forgotten = self.book.entries().forgotten;
        let reason = (forgotten > 0).then(|| ("nothing to book".to_owned(), forgotten));
        reason.into_iter().collect()
    }

    fn document(&self, identity: &str) -> Option<ReceivedDocument> {
        let body = self.book.entries().taken.get(identity)?.clone();
        let part = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Some(ReceivedDocument {
            title: format!("{} · {}", part("kind"), part("account")),
            body,
        })
    }

    fn sample(&self, n: u64) -> Option<String> {
        let entry = json!({"id": format!("entry-{n}-a"), "kind": "charge", "account": "acc-1", "amount_cents": 100, "at": "2026-09-01T12:00:00Z"});
        Some(entry.to_string())
    }

    fn behave(&self, behaviour: Behaviour) -> bool {
        self.book.entries().behaviour = behaviour;
        true
    }

    fn requests(&self) -> Option<u64> {
        Some(self.book.entries().requests)
    }
}

/// For `demo`.
pub fn start() -> BoxFuture<'static, io::Result<Box<dyn Double>>> {
    Box::pin(async {
        let ledger = LocalLedger::start("127.0.0.1:0").await?;
        Ok(Box::new(ledger) as Box<dyn Double>)
    })
}

/// `our-sluice ledger [ADDRESS]`: print each entry it takes, until Ctrl-C.
pub fn command(arguments: Vec<OsString>) -> ExitCode {
    let address = match arguments.first().map(|it| it.to_str()) {
        None => "127.0.0.1:8900",
        Some(Some(address)) if !address.starts_with('-') && arguments.len() == 1 => address,
        Some(_) => {
            eprintln!("usage: our-sluice ledger [ADDRESS]");
            return ExitCode::from(2);
        }
    };
    let served = tokio::runtime::Runtime::new().and_then(|runtime| {
        runtime.block_on(async {
            let ledger = LocalLedger::with_book(address, Book::new(true)).await?;
            println!("ledger on {}, its key is {KEY}", ledger.url());
            tokio::signal::ctrl_c().await
        })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("ledger: {address}: {problem}");
            ExitCode::FAILURE
        }
    }
}
