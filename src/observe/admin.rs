//! The admin listener: health, status, metrics, dead letters, replays. Loopback by default, since it has no token.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use sluice_sdk::Stop;
use tokio::task::JoinHandle;

use super::metrics::metrics;
use crate::engine::Shared;

/// Listen, and serve until `stop`.
///
/// # Errors
/// A sentence that names the address and what to do, when it cannot be listened on.
pub async fn serve_admin(
    listen: std::net::SocketAddr,
    shared: Arc<Shared>,
    stop: Stop,
) -> Result<JoinHandle<()>, String> {
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(|problem| {
        format!("the admin listener cannot use {listen}: {problem}. Set `admin: {{listen: …}}` to a free address, or `admin: {{listen: off}}`.")
    })?;
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route(
            "/status",
            get(|State(shared): State<Arc<Shared>>| async move { Json(shared.status()) }),
        )
        .route("/metrics", get(metrics_text))
        .merge(super::admin_letters::routes())
        .with_state(shared);
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
