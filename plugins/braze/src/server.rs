//! Connections: bind, TLS, limits, clean stop. What a request becomes is in `webhook`.
//!
//! Every wait and every amount has a bound, so that a slow or hostile peer costs little: the
//! number of connections, the TLS handshake, the request's head (this also ends idle connections),
//! and in `webhook` the body.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sluice_sdk::{ConfigError, Intake, Source, SourceError, Stop};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::config::{BrazeWebhookConfig, TlsConfig};
use crate::webhook::Webhook;

/// Connections at the same time; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 10_000;
/// For the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// For a request's head, and for an idle connection to bring the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// After a stop, for requests under way: longer than a body may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);

/// The source `braze_webhook`.
pub struct BrazeWebhook {
    config: BrazeWebhookConfig,
}

impl BrazeWebhook {
    /// Check the settings; nothing is opened yet.
    ///
    /// # Errors
    /// Settings that do not fit together.
    pub fn new(config: BrazeWebhookConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self { config })
    }
}

impl Source for BrazeWebhook {
    async fn run(self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
        let tls = self.config.tls.as_ref().map(acceptor).transpose()?;
        let listener = TcpListener::bind(self.config.listen)
            .await
            .map_err(|error| bind_error(self.config.listen, &error))?;
        let address = listener
            .local_addr()
            .map_err(|error| bind_error(self.config.listen, &error))?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        intake.ready(&format!("{scheme}://{address}{}", self.config.path));

        let webhook = Arc::new(Webhook::new(self.config, intake));
        let connections = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let slot = tokio::select! {
                () = stop.requested() => break,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            let accepted = tokio::select! {
                () = stop.requested() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (webhook, tls, stop) = (Arc::clone(&webhook), tls.clone(), stop.clone());
                    connections.spawn(async move {
                        connection(stream, peer, tls, webhook, stop).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    // Usually "too many open files": it passes when connections end.
                    tracing::warn!(%error, "braze_webhook: a connection cannot be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        connections.close();
        if timeout(STOP_TIMEOUT, connections.wait()).await.is_err() {
            tracing::warn!(
                "braze_webhook: requests under way did not end in time; Braze sends them again"
            );
        }
        Ok(())
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    webhook: Arc<Webhook>,
    stop: Stop,
) {
    // Answers are one small packet; waiting to fill it only adds delay.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return serve(stream, peer, webhook, stop).await;
    };
    match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, peer, webhook, stop).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "braze_webhook: TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "braze_webhook: TLS handshake took too long"),
    }
}

async fn serve<S>(stream: S, peer: SocketAddr, webhook: Arc<Webhook>, stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .keep_alive_interval(HEAD_TIMEOUT);
    let has_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&has_asked);
    let service = service_fn(move |request| {
        asked.store(true, Ordering::Relaxed);
        let webhook = Arc::clone(&webhook);
        async move { Ok::<_, std::convert::Infallible>(webhook.answer(request, peer.ip()).await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // The time-out for the head begins with the first byte: a peer that never sends one must
        // not keep a place for ever.
        () = stays_silent(&has_asked) => return,
        () = stop.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "braze_webhook: connection ended early");
    }
}

async fn stays_silent(has_asked: &AtomicBool) {
    tokio::time::sleep(HEAD_TIMEOUT).await;
    if has_asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

fn bind_error(address: SocketAddr, error: &io::Error) -> SourceError {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has this port: stop it, or set `listen` to another port"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: use a higher one",
        io::ErrorKind::AddrNotAvailable => {
            "`listen` must be an address of this machine, or 0.0.0.0"
        }
        _ => "check `listen`",
    };
    SourceError(format!(
        "braze_webhook cannot listen on {address}: {error}; {advice}"
    ))
}

fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor, SourceError> {
    let wrong = |path: &Path, error: &dyn std::fmt::Display| {
        SourceError(format!(
            "braze_webhook: tls file {} cannot be used: {error}; expected PEM",
            path.display()
        ))
    };
    let certificates = CertificateDer::pem_file_iter(&config.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&config.certificate, &error))?;
    let key =
        PrivateKeyDer::from_pem_file(&config.key).map_err(|error| wrong(&config.key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(certificates, key)
        })
        .map_err(|error| wrong(&config.certificate, &error))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}
