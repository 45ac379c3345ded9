//! The HTTP side of the double.

use std::collections::HashMap;
use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body::Frame;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sluice_sdk::Bytes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::connection::{CuttableListener, Cutter};
use super::fault::{Fault, FaultMode};
use super::store::{Arrival, SeenRequest};
use super::verdict;
use crate::config::Region;

/// A batch request may be this long.
const BATCH_BYTES_MAX: usize = 500_000;
/// A document must be shorter than this.
const DOCUMENT_BYTES: usize = 32 * 1024;
/// Documents beyond this are dropped without a word.
const BATCH_DOCUMENTS_MAX: usize = 2_500;
/// Shorter keys are refused.
const KEY_CHARS_MIN: usize = 10;
/// Protects the double itself, before and after decompression.
const BODY_BYTES_MAX: usize = 16 << 20;

#[derive(Clone)]
struct Side {
    region: Region,
    shared: Arc<Shared>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    batch: Option<Vec<&'a RawValue>>,
    write_key: Option<String>,
    sent_at: Option<String>,
    context: Option<Value>,
    integrations: Option<Value>,
}

/// Serve one side until `stop`.
pub fn serve(listener: TcpListener, region: Region, shared: Arc<Shared>, stop: CancellationToken) {
    let app = router(Side { region, shared }).into_make_service_with_connect_info::<Cutter>();
    tokio::spawn(async move {
        tokio::select! {
            result = axum::serve(CuttableListener(listener), app).into_future() => {
                if let Err(error) = result {
                    tracing::error!(%error, "the sandbox has stopped");
                }
            }
            () = stop.cancelled() => {}
        }
    });
}

fn router(side: Side) -> Router {
    let mut router = Router::new();
    for path in [
        "track", "identify", "page", "screen", "group", "alias", "batch", "import", "import/",
    ] {
        router = router.route(&format!("/v1/{path}"), post(call));
    }
    router
        .route("/v1/projects/{key}/settings", get(source_settings))
        .route("/_sandbox/summary", get(summary))
        .route("/_sandbox/documents", get(documents))
        .route("/_sandbox/documents/{message_id}", get(document))
        .route("/_sandbox/verdicts", get(verdicts))
        .route(
            "/_sandbox/faults",
            get(list_faults).post(add_faults).delete(clear_faults),
        )
        .route("/_sandbox/clock", post(move_clock))
        .route("/_sandbox/reset", post(reset))
        .with_state(side)
}

async fn call(
    State(side): State<Side>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_end_matches('/').to_owned();
    let is_gzip = head
        .headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|coding| coding == "gzip");
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        return side.refuse("Exceed payload limit");
    };
    let body = if is_gzip { gunzip(&body) } else { Some(body) };
    let Some(body) = body else {
        return side.refuse("malformed gzip");
    };
    let fault = side.shared.store().next_fault(is_gzip, &body);
    if fault
        .as_ref()
        .is_some_and(|fault| fault.mode == FaultMode::ResetBefore)
    {
        cutter.cut();
        return StatusCode::OK.into_response();
    }
    let text = |name: &str| {
        head.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let basic_user = basic_user(&head.headers);
    side.shared.store().saw(SeenRequest {
        path: path.clone(),
        is_gzip,
        retry_count: text("x-retry-count"),
        user_agent: text("user-agent").unwrap_or_default(),
        basic_user: basic_user.clone(),
        body: body.clone(),
    });
    let Some(fault) = fault else {
        return side.take(&path, &body, basic_user);
    };
    match fault.mode {
        FaultMode::Status | FaultMode::Redirect | FaultMode::RefuseGzip => planned(&fault),
        FaultMode::ResetBefore => StatusCode::OK.into_response(),
        FaultMode::ResetAfter => {
            side.take(&path, &body, basic_user);
            cutter.cut();
            StatusCode::OK.into_response()
        }
        FaultMode::Slow => {
            let answer = side.take(&path, &body, basic_user);
            tokio::time::sleep(Duration::from_millis(fault.delay_ms.unwrap_or(1000))).await;
            answer
        }
        FaultMode::HalfResponse => {
            side.take(&path, &body, basic_user);
            half_response()
        }
    }
}

impl Side {
    /// Do as Segment does with a call.
    fn take(&self, path: &str, body: &[u8], basic_user: Option<String>) -> Response {
        let is_batch = matches!(path, "/v1/batch" | "/v1/import");
        let bytes_max = if is_batch {
            BATCH_BYTES_MAX
        } else {
            DOCUMENT_BYTES - 1
        };
        if body.len() > bytes_max {
            return self.refuse("Exceed payload limit");
        }
        let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else {
            return self.refuse("malformed JSON");
        };
        let key = envelope
            .write_key
            .clone()
            .or(basic_user)
            .unwrap_or_default();
        if key.len() < KEY_CHARS_MIN {
            return self.refuse("invalid write key");
        }
        let single;
        let items: &[&RawValue] = if is_batch {
            envelope.batch.as_deref().unwrap_or_default()
        } else {
            let Ok(raw) = serde_json::from_slice::<&RawValue>(body) else {
                return self.refuse("malformed JSON");
            };
            single = [raw];
            &single
        };
        if items.iter().any(|item| item.get().len() >= DOCUMENT_BYTES) {
            return self.refuse("Exceed payload limit");
        }
        let shared_verdict = match self.shared.options.keys.get(&key) {
            _ if self.shared.options.keys.is_empty() => None,
            None => Some(verdict::UNKNOWN_SOURCE),
            Some(region) if *region == self.region => None,
            Some(_) => Some(verdict::WRONG_REGION),
        };
        if shared_verdict == Some(verdict::WRONG_REGION)
            && let Some(status) = self.shared.options.wrong_region_status
        {
            return planned(&Fault::status(status));
        }
        let mut store = self.shared.store();
        if let Some(wait) = store.take_tokens(items.len()) {
            drop(store);
            return planned(&Fault {
                retry_after: Some(wait.into()),
                rate_limit_reset: Some(wait),
                ..Fault::status(429)
            });
        }
        let sent_at = envelope
            .sent_at
            .as_deref()
            .and_then(|text| text.parse::<Timestamp>().ok());
        let region = if self.region == Region::Us {
            "us"
        } else {
            "eu"
        };
        for (index, item) in items.iter().enumerate() {
            let mut document: Map<String, Value> =
                serde_json::from_str(item.get()).unwrap_or_default();
            let kind = if is_batch {
                document
                    .get("type")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            } else {
                document.remove("writeKey");
                path.trim_start_matches("/v1/").to_owned()
            };
            if is_batch {
                merge(&mut document, "context", envelope.context.as_ref());
                merge(
                    &mut document,
                    "integrations",
                    envelope.integrations.as_ref(),
                );
            }
            let verdict =
                shared_verdict.or((index >= BATCH_DOCUMENTS_MAX).then_some(verdict::BEYOND_2500));
            let arrival = Arrival {
                region,
                key: &key,
                sent_at,
                verdict,
            };
            let entry = store.receive(document, &kind, &arrival);
            // Nobody watching is fine.
            let _ = self.shared.lines.send(entry);
        }
        Json(json!({"success": true})).into_response()
    }

    /// 400, in one of the forms that have been seen: no client may depend on one.
    fn refuse(&self, message: &str) -> Response {
        match self.shared.store().refused() % 3 {
            1 => (
                StatusCode::BAD_REQUEST,
                Json(json!({"code": "invalid_request", "message": message})),
            )
                .into_response(),
            2 => (StatusCode::BAD_REQUEST, format!("Bad Request: {message}")).into_response(),
            _ => StatusCode::BAD_REQUEST.into_response(),
        }
    }
}

/// What the batch says for all its documents, under what each says itself.
fn merge(document: &mut Map<String, Value>, name: &str, shared: Option<&Value>) {
    let Some(Value::Object(shared)) = shared else {
        return;
    };
    let own = document
        .entry(name)
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(own) = own {
        for (key, value) in shared {
            own.entry(key).or_insert_with(|| value.clone());
        }
    }
}

fn planned(fault: &Fault) -> Response {
    let default = match fault.mode {
        FaultMode::Redirect => 307,
        FaultMode::RefuseGzip => 415,
        _ => 500,
    };
    let status = StatusCode::from_u16(fault.status.unwrap_or(default))
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = Response::builder().status(status);
    match &fault.retry_after {
        Some(Value::String(text)) => answer = answer.header(header::RETRY_AFTER, text.as_str()),
        Some(other) => answer = answer.header(header::RETRY_AFTER, other.to_string()),
        None => {}
    }
    if let Some(reset) = fault.rate_limit_reset {
        answer = answer.header("x-ratelimit-reset", reset);
    }
    if fault.mode == FaultMode::Redirect {
        // A place that takes everything: a client that follows is found out.
        answer = answer.header(header::LOCATION, "/v1/import");
    }
    answer
        .body(Body::from(fault.body.clone().unwrap_or_default()))
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// A head that promises more than the body brings: the connection ends in the middle.
fn half_response() -> Response {
    let mut answer = Response::new(Body::new(Half(false)));
    answer
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from_static("16"));
    answer
}

/// Half of the body, then an error, which makes the server close the connection.
struct Half(bool);

impl HttpBody for Half {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let is_second = std::mem::replace(&mut self.0, true);
        Poll::Ready(Some(if is_second {
            Err(std::io::ErrorKind::ConnectionReset.into())
        } else {
            Ok(Frame::data(Bytes::from_static(b"{\"succes")))
        }))
    }
}

fn gunzip(body: &[u8]) -> Option<Bytes> {
    let mut plain = Vec::new();
    let limit = BODY_BYTES_MAX as u64;
    flate2::read::GzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut plain)
        .ok()?;
    Some(plain.into())
}

/// With or without the colon behind it: both work today.
fn basic_user(headers: &HeaderMap) -> Option<String> {
    let encoded = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Basic ")?;
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let user = decoded.split(':').next()?;
    Some(user.to_owned())
}

/// What Segment's clients for web and phones ask for first.
async fn source_settings(State(side): State<Side>, Path(key): Path<String>) -> Response {
    let keys = &side.shared.options.keys;
    if keys.is_empty() || keys.contains_key(&key) {
        return Json(json!({"integrations": {"Segment.io": {"apiKey": key}}})).into_response();
    }
    let message = json!({"message": "Invalid path or write key provided."});
    (StatusCode::NOT_FOUND, Json(message)).into_response()
}

async fn summary(State(side): State<Side>) -> Json<Value> {
    Json(side.shared.store().summary())
}

/// `?limit=100&type=track&event=Email Opened&verdict=accepted&source=source-1`, newest first.
async fn documents(
    State(side): State<Side>,
    Query(query): Query<HashMap<String, String>>,
) -> Json<Value> {
    let store = side.shared.store();
    let limit = query
        .get("limit")
        .and_then(|text| text.parse().ok())
        .unwrap_or(100);
    let is_wanted = |name: &str, value: &str| query.get(name).is_none_or(|wanted| wanted == value);
    let found: Vec<Value> = store
        .entries()
        .filter(|entry| {
            is_wanted("type", &entry.kind)
                && is_wanted("event", &entry.event)
                && is_wanted("verdict", entry.verdict)
                && is_wanted("source", &entry.source)
        })
        .take(limit)
        .map(shown)
        .collect();
    Json(Value::Array(found))
}

async fn document(State(side): State<Side>, Path(message_id): Path<String>) -> Response {
    match side.shared.store().find(&message_id) {
        Some(entry) => Json(shown(entry)).into_response(),
        None => (
            StatusCode::NOT_FOUND,
            Json(json!({"error": "no document with this messageId is kept"})),
        )
            .into_response(),
    }
}

fn shown(entry: &super::Entry) -> Value {
    let mut value = json!(entry);
    value["document"] = entry.body();
    value
}

async fn verdicts(State(side): State<Side>) -> Json<Value> {
    let store = side.shared.store();
    let counts: Map<String, Value> = store
        .verdicts()
        .map(|(verdict, count)| (verdict.to_owned(), count.into()))
        .collect();
    let dropped: Vec<Value> = store
        .entries()
        .filter(|entry| entry.verdict != verdict::ACCEPTED)
        .take(100)
        .map(|entry| json!(entry))
        .collect();
    Json(json!({"counts": counts, "last_dropped": dropped}))
}

async fn list_faults(State(side): State<Side>) -> Json<Value> {
    Json(json!(side.shared.store().faults))
}

async fn add_faults(State(side): State<Side>, body: Bytes) -> Response {
    let faults = match body.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice::<Vec<Fault>>(&body),
        _ => serde_json::from_slice(&body).map(|fault| vec![fault]),
    };
    match faults {
        Ok(faults) => side.shared.store().faults.extend(faults),
        Err(error) => {
            let message = format!(
                "{error}: expected such as {{\"mode\":\"status\",\"status\":503,\"times\":3}}"
            );
            return (StatusCode::BAD_REQUEST, Json(json!({"error": message}))).into_response();
        }
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn clear_faults(State(side): State<Side>) -> StatusCode {
    side.shared.store().faults.clear();
    StatusCode::NO_CONTENT
}

async fn move_clock(State(side): State<Side>, Json(body): Json<Value>) -> Response {
    let Some(seconds) = body.get("advance_seconds").and_then(Value::as_u64) else {
        return (StatusCode::BAD_REQUEST, "expected {\"advance_seconds\": N}").into_response();
    };
    side.shared.store().advance(Duration::from_secs(seconds));
    StatusCode::NO_CONTENT.into_response()
}

async fn reset(State(side): State<Side>) -> StatusCode {
    side.shared.store().reset();
    StatusCode::NO_CONTENT
}
