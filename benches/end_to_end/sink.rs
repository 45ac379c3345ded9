//! The sink of the benchmark: unpacks, counts the documents, answers after a while. It keeps nothing
//! and parses nothing, so that what is measured is what stands before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use libdeflater::Decompressor;
use tokio::net::TcpListener;

/// What every document has once.
const MARK: &str = "\"messageId\"";

/// Listens until the runtime ends.
pub struct CountingSink {
    /// Where, with `http://`.
    pub endpoint: String,
    documents: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Answers {
    documents: Arc<AtomicU64>,
    delay: Duration,
}

impl CountingSink {
    /// `delay` passes before each answer.
    pub async fn start(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let documents = Arc::<AtomicU64>::default();
        let answers = Answers {
            documents: Arc::clone(&documents),
            delay,
        };
        let router = Router::new()
            .route("/v1/batch", post(take))
            .layer(DefaultBodyLimit::disable())
            .with_state(answers);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            endpoint: format!("http://{address}"),
            documents,
        }
    }

    /// Wait until it has so many documents.
    pub async fn arrives(&self, documents: u64) {
        while self.documents.load(Ordering::Relaxed) < documents {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn take(State(answers): State<Answers>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let plain = match headers.contains_key(header::CONTENT_ENCODING) {
        true => unpack(&body),
        false => body.into(),
    };
    let text = String::from_utf8(plain).expect("JSON is UTF-8");
    let count = text.matches(MARK).count() as u64;
    tokio::time::sleep(answers.delay).await;
    answers.documents.fetch_add(count, Ordering::Relaxed);
    StatusCode::OK
}

fn unpack(packed: &[u8]) -> Vec<u8> {
    let size = packed.last_chunk().expect("gzip ends with the size");
    let mut plain = vec![0; u32::from_le_bytes(*size) as usize];
    Decompressor::new()
        .gzip_decompress(packed, &mut plain)
        .expect("a whole gzip");
    plain
}
