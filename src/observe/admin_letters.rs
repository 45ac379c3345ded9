//! Dead letters and replays over HTTP. No personal record leaves but on explicit wish.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use sluice_sdk::typed;

use crate::engine::dead_letters::{
    DeadLetter, DropOrder, Dropped, Filter, LetterSummary, LettersError, Page, WholeLetter,
};
use crate::engine::replay::{Answer, JournalOrder, LettersOrder, ReplayError, ReplayStatus};
use crate::engine::{Reloader, Shared};
use crate::journal::DeadLetterKey;

/// Letters of a page where nobody says how many.
const PAGE_DEFAULT: u64 = 100;
/// Most letters of a page.
const PAGE_MAX: u64 = 1_000;

/// `/dead-letters` and `/replays`.
pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/dead-letters", get(list))
        .route("/dead-letters/{connector}/{number}", get(show))
        .route("/dead-letters/drop", post(drop_letters))
        .route("/replays", get(replays))
        .route("/replays/{id}", delete(cancel))
}

/// What begins replays: by the rules that run, which may not be those in the files.
pub fn acts() -> Router<Arc<Reloader>> {
    Router::new()
        .route("/dead-letters/replay", post(replay_letters))
        .route("/replays", post(replay_journal))
}

/// What to list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ListQuery {
    connector: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    reason: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    /// `CONNECTOR/NUMBER` or ids of events, separated by commas.
    id: Option<String>,
    /// Letters a page.
    limit: Option<u64>,
    /// The page after this letter, as `next` of the page before names it.
    after: Option<String>,
    /// Letters whole, with the events as they came: personal data.
    whole: bool,
}

struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<ReplayError> for Refusal {
    fn from(problem: ReplayError) -> Self {
        let code = match &problem {
            ReplayError::Wrong(_) | ReplayError::Letters(LettersError::Filter(_)) => {
                StatusCode::BAD_REQUEST
            }
            ReplayError::NotFound(_) => StatusCode::NOT_FOUND,
            ReplayError::Busy(_) => StatusCode::CONFLICT,
            ReplayError::Letters(_) | ReplayError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(code, problem.to_string())
    }
}

impl From<LettersError> for Refusal {
    fn from(problem: LettersError) -> Self {
        ReplayError::from(problem).into()
    }
}

impl From<JsonRejection> for Refusal {
    fn from(problem: JsonRejection) -> Self {
        Self(StatusCode::BAD_REQUEST, problem.body_text())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(problem: QueryRejection) -> Self {
        Self(StatusCode::BAD_REQUEST, problem.body_text())
    }
}

/// Store and journal wait for the disk: not on the threads that serve requests.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let _tasks_may_be_spawned = runtime.enter();
        work()
    })
    .await
    .unwrap_or_else(|failure| {
        Err(Refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            failure.to_string(),
        ))
    })
}

async fn list(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(query) = query?;
    off_thread(move || {
        if query.whole {
            let page = page(&shared, query, |key, whole| WholeLetter {
                letter: key.to_string(),
                whole,
            })?;
            Ok(Json(page).into_response())
        } else {
            let page = page(&shared, query, |key, letter| {
                LetterSummary::of(key, &letter)
            })?;
            Ok(Json(page).into_response())
        }
    })
    .await
}

fn page<T>(
    shared: &Shared,
    query: ListQuery,
    as_shown: impl Fn(&DeadLetterKey, DeadLetter) -> T,
) -> Result<Page<T>, Refusal> {
    let wrong = |problem: String| Refusal(StatusCode::BAD_REQUEST, problem);
    let after = query
        .after
        .map(|after| after.parse())
        .transpose()
        .map_err(wrong)?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let filter = Filter {
        connector: query.connector,
        event_type: query.event_type,
        reason: query.reason,
        since: query.since,
        until: query.until,
        id: query
            .id
            .iter()
            .flat_map(|ids| ids.split(','))
            .map(str::to_owned)
            .collect(),
        limit: None,
    };
    let mut page = Page {
        letters: Vec::new(),
        next: None,
    };
    let mut last = None;
    shared
        .replays()
        .letters()
        .for_each(&filter, after.as_ref(), |key, letter| {
            if page.letters.len() as u64 == limit {
                page.next = last.take();
                return false;
            }
            page.letters.push(as_shown(key, letter));
            last = Some(key.to_string());
            true
        })?;
    Ok(page)
}

async fn show(
    State(shared): State<Arc<Shared>>,
    Path((connector, number)): Path<(String, u64)>,
) -> Result<Json<WholeLetter>, Refusal> {
    let key = DeadLetterKey { connector, number };
    off_thread(move || match shared.replays().letters().get(&key)? {
        Some(whole) => Ok(Json(WholeLetter {
            letter: key.to_string(),
            whole,
        })),
        None => Err(Refusal(
            StatusCode::NOT_FOUND,
            format!(
                "there is no dead letter `{key}`; {} has them all",
                typed("dead-letters list")
            ),
        )),
    })
    .await
}

async fn replay_letters(
    State(reloader): State<Arc<Reloader>>,
    order: Result<Json<LettersOrder>, JsonRejection>,
) -> Result<Json<Answer>, Refusal> {
    let Json(order) = order?;
    let shared = Arc::clone(reloader.lanes().shared());
    let stale = stale(&reloader).await;
    off_thread(move || Ok(shared.replays().replay_letters(order)?))
        .await
        .map(|answer| warned(answer, stale))
}

async fn drop_letters(
    State(shared): State<Arc<Shared>>,
    order: Result<Json<DropOrder>, JsonRejection>,
) -> Result<Json<Dropped>, Refusal> {
    let Json(order) = order?;
    off_thread(move || {
        let dropped = shared.replays().letters().drop_all(&order)?;
        if !order.dry_run && dropped.count > 0 {
            let what = match dropped.count {
                1 => "1 dead letter was".to_owned(),
                count => format!("{count} dead letters were"),
            };
            tracing::warn!("{what} dropped, as asked for over the admin API");
        }
        Ok(Json(dropped))
    })
    .await
}

async fn replays(State(shared): State<Arc<Shared>>) -> Json<Vec<ReplayStatus>> {
    Json(shared.replays().list())
}

async fn replay_journal(
    State(reloader): State<Arc<Reloader>>,
    order: Result<Json<JournalOrder>, JsonRejection>,
) -> Result<Json<Answer>, Refusal> {
    let Json(order) = order?;
    let shared = Arc::clone(reloader.lanes().shared());
    let stale = stale(&reloader).await;
    off_thread(move || Ok(shared.replays().replay_journal(order)?))
        .await
        .map(|answer| warned(answer, stale))
}

/// What to know when the rules that run are not those in the files.
async fn stale(reloader: &Reloader) -> Option<String> {
    reloader.has_changed().await.then(|| {
        format!(
            "the files have changed since the running process read them, and it replays by what it read: {} first",
            typed("reload")
        )
    })
}

fn warned(mut answer: Answer, warning: Option<String>) -> Json<Answer> {
    answer.warnings.splice(0..0, warning);
    Json(answer)
}

async fn cancel(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<u64>,
) -> Result<Json<ReplayStatus>, Refusal> {
    Ok(Json(shared.replays().cancel(id)?))
}
