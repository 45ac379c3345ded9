//! The admin listener: health, status, metrics, and what an operator can have a running process do.
//!
//! Loopback by default. With `admin.token` every route but the two of health wants it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::json;
use sha2::{Digest, Sha256};
use sluice_sdk::Stop;
use subtle::ConstantTimeEq;
use tokio::task::JoinHandle;

use super::metrics::metrics;
use crate::engine::{Asked, PauseError, Reloader, Shared};

/// Listen, and serve until `stop`.
///
/// # Errors
/// A sentence that names the address and what to do, when it cannot be listened on.
pub async fn serve_admin(
    listen: std::net::SocketAddr,
    reloader: Arc<Reloader>,
    stop: Stop,
) -> Result<JoinHandle<()>, String> {
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(|problem| {
        format!("the admin listener cannot use {listen}: {problem}. Set `admin: {{listen: …}}` to a free address, or `admin: {{listen: off}}`.")
    })?;
    let shared = Arc::clone(reloader.lanes().shared());
    let looks = Router::new()
        .route(
            "/status",
            get(|State(shared): State<Arc<Shared>>| async move { Json(shared.status()) }),
        )
        .route("/metrics", get(metrics_text))
        .merge(super::admin_letters::routes())
        .with_state(Arc::clone(&shared));
    let acts = Router::new()
        .route("/reload", post(reload))
        .merge(super::admin_letters::acts())
        .route("/connectors/{name}/pause", post(pause))
        .route("/connectors/{name}/resume", post(resume))
        .with_state(reloader);
    let router = looks
        .merge(acts)
        .layer(from_fn_with_state(Arc::clone(&shared), guard))
        .route("/healthz", get(|| async { "ok\n" }))
        .merge(
            Router::new()
                .route("/readyz", get(ready))
                .with_state(shared),
        );
    Ok(tokio::spawn(async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(async move { stop.requested().await })
            .await;
        if let Err(problem) = served {
            tracing::warn!("the admin listener has ended: {problem}");
        }
    }))
}

/// Ready when every source is up.
async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let status = shared.status();
    match status
        .sources
        .iter()
        .find(|(_, source)| source.endpoint.is_none())
    {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some((name, _)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("source {name} is not up\n"),
        ),
    }
}

async fn metrics_text(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        metrics(&shared.status()),
    )
}

/// Let in who has the token, where there is one.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let config = shared.config();
    let Some(token) = &config.admin.token else {
        return next.run(request).await;
    };
    let token = match token.reveal() {
        Ok(token) => token,
        Err(problem) => {
            tracing::error!("admin.token: {problem}; the admin listener lets nobody in meanwhile");
            return refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "the token cannot be read; the log says why",
            );
        }
    };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    // Hashes, so that not even the length is told by the time it takes.
    let is_it = given.is_some_and(|given| {
        Sha256::digest(given)
            .ct_eq(&Sha256::digest(token.as_bytes()))
            .into()
    });
    if is_it {
        return next.run(request).await;
    }
    let mut response = refuse(
        StatusCode::UNAUTHORIZED,
        "this listener wants `Authorization: Bearer` with the value of `admin.token`",
    );
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn refuse(code: StatusCode, text: &str) -> Response {
    (code, Json(json!({"error": text}))).into_response()
}

async fn reload(State(reloader): State<Arc<Reloader>>) -> Response {
    // A task of its own: a client that goes away must not leave half of it.
    let done = tokio::spawn(async move { reloader.reload(Asked::Admin).await }).await;
    match done {
        Ok(Ok(changes)) => Json(changes).into_response(),
        Ok(Err(refused)) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            Json(json!({"error": refused.text, "problems": refused.problems})),
        )
            .into_response(),
        Err(failure) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &failure.to_string()),
    }
}

async fn pause(state: State<Arc<Reloader>>, name: Path<String>) -> Response {
    set_paused(state, name, true).await
}

async fn resume(state: State<Arc<Reloader>>, name: Path<String>) -> Response {
    set_paused(state, name, false).await
}

async fn set_paused(
    State(reloader): State<Arc<Reloader>>,
    Path(name): Path<String>,
    is_paused: bool,
) -> Response {
    match reloader.lanes().set_paused(&name, is_paused).await {
        Ok(is_change) => {
            Json(json!({"connector": name, "paused": is_paused, "changed": is_change}))
                .into_response()
        }
        Err(problem @ PauseError::NotFound(_)) => {
            refuse(StatusCode::NOT_FOUND, &problem.to_string())
        }
        Err(problem @ PauseError::State(_)) => {
            refuse(StatusCode::INTERNAL_SERVER_ERROR, &problem.to_string())
        }
    }
}
