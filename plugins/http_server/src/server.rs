//! Connections: bind, TLS, limits, clean stop. What a request becomes is in `webhook`.
//!
//! Every wait and every amount has a bound, so that a slow or hostile peer costs little: the
//! number of connections and the time without a request (`places`), the TLS handshake, the
//! request's head, and in `webhook` the body.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sluice_sdk::{Intake, SourceError, Stop};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::config::{Settings, TlsConfig};
use crate::places::{Busy, Place, Places};
use crate::webhook::{Protocol, Webhook};

/// Bytes of a request's head; about one thousand are usual. Above it the answer is 431.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Requests of one HTTP/2 connection at the same time.
const STREAMS_MAX: u32 = 100;
/// How often an HTTP/2 peer is asked whether it is still there while a request is under way.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// After a stop, for requests under way, beyond the time that a body may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Listen and take requests until `stop`; then those under way are finished.
///
/// # Errors
/// The address cannot be had, or a TLS file cannot be used.
pub async fn serve<P: Protocol>(
    settings: Settings,
    protocol: P,
    intake: Intake,
    stop: Stop,
) -> Result<(), SourceError> {
    let tls = settings
        .tls
        .as_ref()
        .map(|tls| acceptor(settings.name, tls))
        .transpose()?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| bind_error(settings.name, settings.listen, &error))?;
    let address = listener
        .local_addr()
        .map_err(|error| bind_error(settings.name, settings.listen, &error))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    intake.ready(&format!("{scheme}://{address}{}", settings.path));

    let (name, limits) = (settings.name, settings.limits);
    let webhook = Arc::new(Webhook::new(settings, protocol, intake));
    let connections = TaskTracker::new();
    let places = Places::new(limits.connections_max);
    loop {
        let accepted = tokio::select! {
            () = stop.requested() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Usually "too many open files": it passes when connections end.
                tracing::warn!(%error, "{name}: a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Meanwhile others wait in the system's queue.
        let place = tokio::select! {
            () = stop.requested() => break,
            place = places.take() => place,
        };
        let (webhook, tls, stop) = (Arc::clone(&webhook), tls.clone(), stop.clone());
        connections.spawn(async move {
            tokio::select! {
                () = place.must_go(limits.head_timeout.0, &stop) => {
                    tracing::debug!(%peer, "{name}: no request in time, connection closed");
                }
                () = connection(stream, peer, tls, webhook, Arc::clone(&place), stop.clone()) => {}
            }
        });
    }
    drop(listener);
    connections.close();
    let patience = limits.body_timeout.0 + STOP_TIMEOUT;
    if timeout(patience, connections.wait()).await.is_err() {
        tracing::warn!(
            "{name}: requests under way did not end in time; their senders get no answer and send again"
        );
    }
    Ok(())
}

async fn connection<P: Protocol>(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    webhook: Arc<Webhook<P>>,
    place: Arc<Place>,
    stop: Stop,
) {
    // Answers are one small packet; waiting to fill it only adds delay.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return requests(stream, peer, webhook, place, stop).await;
    };
    match tls.accept(stream).await {
        Ok(stream) => requests(stream, peer, webhook, place, stop).await,
        Err(error) => tracing::debug!(%peer, %error, "TLS handshake failed"),
    }
}

async fn requests<S, P>(
    stream: S,
    peer: SocketAddr,
    webhook: Arc<Webhook<P>>,
    place: Arc<Place>,
    stop: Stop,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    P: Protocol,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // `places` looks after slow heads, of HTTP/2 as well.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(KEEP_ALIVE);
    let service = service_fn(move |request| {
        let (webhook, busy) = (Arc::clone(&webhook), place.begin());
        async move {
            let answer = webhook.answer(request, peer.ip()).await;
            let answer = answer.map(|body| Answer { body, _busy: busy });
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended early");
    }
}

/// The request is under way until its answer is written, which is when hyper drops the body.
struct Answer {
    body: Full<Bytes>,
    _busy: Busy,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn bind_error(name: &str, address: SocketAddr, error: &io::Error) -> SourceError {
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
        "{name} cannot listen on {address}: {error}; {advice}"
    ))
}

fn acceptor(name: &str, config: &TlsConfig) -> Result<TlsAcceptor, SourceError> {
    let wrong = |path: &Path, error: &dyn std::fmt::Display| {
        SourceError(format!(
            "{name}: tls file {} cannot be used: {error}; expected PEM",
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
