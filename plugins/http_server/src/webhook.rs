//! One request: who may send, reading the body, which answer.
//!
//! | answer | when |
//! | --- | --- |
//! | 200 | safe on disk, or a probe, or set aside for a person |
//! | 401 | wrong token or signature |
//! | 404, 405 | wrong URL |
//! | 408 | the body came too slowly |
//! | 413 | larger than `max_body` |
//! | 503 | trouble of our own |
//!
//! Nothing is refused for its content: a sender cannot mend that, and most give up after it.

use std::io::Read;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use sluice_sdk::{Intake, IntakeError, MalformedMark, Submission};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::config::Settings;
use crate::tokens::Verdict;

/// Bytes of all bodies in memory at the same time, at least; two of `max_body` always have room.
const BODIES_BYTES_MAX: u64 = 256 << 20;
/// Bodies are counted in these units, so that the count fits a semaphore.
const UNIT_BYTES: usize = 1024;
/// Larger bodies are taken apart on another thread, as they would keep this one from others.
const INLINE_BYTES_MAX: usize = 256 << 10;
/// Memory set aside for a body that is announced and has not come.
const RESERVE_BYTES_MAX: usize = 1 << 20;
/// Inflated in steps of this.
const INFLATE_BYTES: usize = 64 << 10;
/// Text shrinks to a twentieth at best; a body that grows more may be a bomb.
const GROWTH_USUAL: usize = 20;
/// What Retry-After says when the intake says nothing.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What a system makes of a body. The rest of a request is the same for all.
pub trait Protocol: Send + Sync + 'static {
    /// Whether the body as it came, before decompression, is from whom it says; beyond the token.
    ///
    /// # Errors
    /// [`Refusal::WrongSignature`] and [`Refusal::Unavailable`].
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let _ = (headers, body);
        Ok(())
    }

    /// Where in the body its events stand; `None` when it holds nothing at all, such as a probe.
    /// Called for bodies that are not empty, and on any thread.
    fn split(&self, body: Bytes) -> Option<Submission>;
}

/// What all requests share.
pub(crate) struct Webhook<P> {
    settings: Settings,
    protocol: P,
    intake: Intake,
    room: Arc<Semaphore>,
    /// Turns of those that are taken apart on another thread.
    decoding: Arc<Semaphore>,
}

/// Every answer that is not "taken".
#[derive(Debug)]
pub enum Refusal {
    /// Another path than ours.
    NotFound,
    /// Another method than POST.
    NotPost,
    /// From a network that is not on the list.
    NetworkNotAllowed,
    /// No token, or another.
    WrongToken,
    /// No signature, or not ours over this body.
    WrongSignature,
    /// Above `max_body`.
    TooLarge,
    /// The connection ended inside the body.
    BodyBroken,
    /// The body did not come in time.
    BodySlow,
    /// Trouble of our own, in short, and when to come again.
    Unavailable(&'static str, Duration),
}

impl<P: Protocol> Webhook<P> {
    pub fn new(settings: Settings, protocol: P, intake: Intake) -> Self {
        let bytes = BODIES_BYTES_MAX.max(settings.max_body.0 * 2);
        let units = usize::try_from(bytes).unwrap_or(usize::MAX >> 4) / UNIT_BYTES;
        Self {
            settings,
            protocol,
            intake,
            room: Arc::new(Semaphore::new(units)),
            decoding: Arc::new(Semaphore::new(processors())),
        }
    }

    /// Take a request to its answer.
    pub async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<Full<Bytes>> {
        match self.take(request, peer).await {
            Ok(events) => {
                let mut answer =
                    Response::new(Full::new(format!("{{\"events\":{events}}}").into()));
                json(answer.headers_mut());
                answer
            }
            Err(refusal) => {
                self.intake.note(refusal.note());
                refusal.answer(&self.settings.path)
            }
        }
    }

    /// The events of the request are safe; says how many were in it.
    async fn take(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Result<usize, Refusal> {
        let path = request.uri().path();
        if path != self.settings.path && path.strip_suffix('/') != Some(&self.settings.path) {
            return Err(Refusal::NotFound);
        }
        if request.method() != Method::POST {
            return Err(Refusal::NotPost);
        }
        self.check_network(request.headers(), peer)?;
        self.check_token(request.headers())?;

        let (head, body) = request.into_parts();
        let encoding = Encoding::of(&head.headers);
        let mut hold = Hold {
            room: Arc::clone(&self.room),
            permit: None,
            bytes: 0,
        };
        let body = self.read(body, &mut hold).await?;
        self.protocol.verify(&head.headers, &body)?;
        let max = self.max_body();
        let (submission, hold) =
            if matches!(encoding, Encoding::Plain) && body.len() <= INLINE_BYTES_MAX {
                (self.split(body), hold)
            } else {
                let webhook = Arc::clone(self);
                let turn = Arc::clone(&self.decoding).acquire_owned().await;
                tokio::task::spawn_blocking(move || {
                    let _turn = turn;
                    webhook
                        .decode(body, &encoding, max, &mut hold)
                        .map(|submission| (submission, hold))
                })
                .await
                .map_err(|_| Refusal::Unavailable("internal error", RETRY_AFTER))??
            };
        let Some(submission) = submission else {
            return Ok(0);
        };
        let events = submission.events.len();
        let taken = self.intake.accept(submission).await;
        drop(hold);
        taken.map(|()| events).map_err(Refusal::from)
    }

    fn check_network(&self, headers: &HeaderMap, peer: IpAddr) -> Result<(), Refusal> {
        if self.settings.allow_networks.is_empty() {
            return Ok(());
        }
        let forwarded = self
            .settings
            .trust_forwarded_for
            .then(|| headers.get_all("x-forwarded-for").iter().next_back())
            .flatten();
        let sender = match forwarded {
            None => Some(peer),
            Some(list) => list
                .to_str()
                .ok()
                .and_then(|list| list.rsplit(',').next())
                .and_then(|last| last.trim().parse().ok()),
        };
        let allowed = sender.is_some_and(|sender: IpAddr| {
            let sender = sender.to_canonical();
            self.settings
                .allow_networks
                .iter()
                .any(|network| network.contains(&sender))
        });
        if allowed {
            Ok(())
        } else {
            Err(Refusal::NetworkNotAllowed)
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match &self.settings.token {
            None => Ok(()),
            Some(tokens) => {
                Refusal::unless_good(tokens.compare_bearer(headers), Refusal::WrongToken)
            }
        }
    }

    async fn read(&self, mut body: Incoming, hold: &mut Hold) -> Result<Bytes, Refusal> {
        let max = self.max_body();
        if body.size_hint().lower() > max as u64 {
            return Err(Refusal::TooLarge);
        }
        let until = Instant::now() + self.settings.limits.body_timeout.0;
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        while let Some(frame) = timeout_at(until, body.frame())
            .await
            .map_err(|_| Refusal::BodySlow)?
        {
            let Ok(data) = frame.map_err(|_| Refusal::BodyBroken)?.into_data() else {
                continue;
            };
            let length = first.as_ref().map_or(rest.len(), Bytes::len) + data.len();
            if length > max {
                return Err(Refusal::TooLarge);
            }
            hold.grow_to(length)?;
            // A small body is one frame and is not copied.
            match first.take() {
                None if rest.is_empty() => first = Some(data),
                None => rest.extend_from_slice(&data),
                Some(start) => {
                    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(0);
                    rest.reserve(length + announced.min(RESERVE_BYTES_MAX));
                    rest.extend_from_slice(&start);
                    rest.extend_from_slice(&data);
                }
            }
        }
        Ok(first.unwrap_or_else(|| rest.freeze()))
    }

    fn split(&self, body: Bytes) -> Option<Submission> {
        if body.is_empty() {
            return None;
        }
        self.protocol.split(body)
    }

    fn decode(
        &self,
        body: Bytes,
        encoding: &Encoding,
        max: usize,
        hold: &mut Hold,
    ) -> Result<Option<Submission>, Refusal> {
        if body.is_empty() {
            return Ok(None);
        }
        match encoding {
            Encoding::Plain => Ok(self.split(body)),
            Encoding::Unknown => Ok(Some(set_aside(body, UNKNOWN_ENCODING.0))),
            Encoding::Gzip => match inflate(&body, max, hold)? {
                Some(inflated) => Ok(self.split(inflated)),
                None => Ok(Some(set_aside(body, BAD_GZIP.0))),
            },
        }
    }

    fn max_body(&self) -> usize {
        usize::try_from(self.settings.max_body.0).unwrap_or(usize::MAX)
    }
}

enum Encoding {
    Plain,
    Gzip,
    Unknown,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Self {
        match headers
            .get(header::CONTENT_ENCODING)
            .map(HeaderValue::as_bytes)
        {
            None => Self::Plain,
            Some(name) if name.eq_ignore_ascii_case(b"identity") || name.is_empty() => Self::Plain,
            Some(name)
                if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") =>
            {
                Self::Gzip
            }
            Some(_) => Self::Unknown,
        }
    }
}

/// Room taken by one request's body, given back when dropped.
struct Hold {
    room: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Hold {
    fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        let held = self.bytes.div_ceil(UNIT_BYTES);
        let units = bytes.div_ceil(UNIT_BYTES).saturating_sub(held);
        let more = u32::try_from(units)
            .ok()
            .and_then(|units| Arc::clone(&self.room).try_acquire_many_owned(units).ok())
            .ok_or(Refusal::Unavailable("too many bodies at once", RETRY_AFTER))?;
        self.bytes = self.bytes.max(bytes);
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

/// Why a whole request is set aside, and what that means: for the reasons of a source.
pub const UNKNOWN_ENCODING: (&str, &str) = (
    "content encoding not known",
    "The request says a `Content-Encoding` that is none of gzip and identity, so nothing in it can be read.",
);
/// As [`UNKNOWN_ENCODING`].
pub const BAD_GZIP: (&str, &str) = (
    "gzip cannot be read",
    "The request says that it is packed with gzip, and it is not, or was cut off on its way.",
);

/// A submission that sets the whole body aside.
pub fn set_aside(body: Bytes, reason: &str) -> Submission {
    let malformed = vec![MalformedMark {
        start: 0,
        // Bounded by `max_body`, far below 4 GiB.
        end: body.len() as u32,
        reason: reason.to_owned(),
    }];
    Submission {
        body,
        events: Vec::new(),
        malformed,
    }
}

/// How many bodies are taken apart at once: more would only wait for each other, each with a buffer
/// that grows.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, NonZeroUsize::get)
}

/// The inflated bytes, `None` when they are not gzip. Room is taken as the text grows, so that a
/// small body cannot claim much at once; one that grows oddly is measured before it is kept.
fn inflate(body: &[u8], max: usize, hold: &mut Hold) -> Result<Option<Bytes>, Refusal> {
    let mut reader = MultiGzDecoder::new(body);
    let mut inflated = Vec::new();
    let mut chunk = vec![0; INFLATE_BYTES];
    let mut is_measured = false;
    loop {
        let Ok(count) = reader.read(&mut chunk) else {
            return Ok(None);
        };
        if count == 0 {
            return Ok(Some(inflated.into()));
        }
        let length = inflated.len() + count;
        if length > max {
            return Err(Refusal::TooLarge);
        }
        if !is_measured && length > body.len().saturating_mul(GROWTH_USUAL) {
            match inflated_length(body, max) {
                Some(whole) if whole > max => return Err(Refusal::TooLarge),
                Some(whole) => inflated.reserve_exact(whole - inflated.len()),
                None => return Ok(None),
            }
            is_measured = true;
        }
        hold.grow_to(body.len() + length)?;
        inflated.extend_from_slice(&chunk[..count]);
    }
}

/// How long it is when it is inflated, or how far that is above `max`; `None` when it is not gzip.
fn inflated_length(body: &[u8], max: usize) -> Option<usize> {
    let mut reader = MultiGzDecoder::new(body);
    let mut chunk = vec![0; INFLATE_BYTES];
    let mut length = 0;
    while length <= max {
        match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(_) => return None,
        }
    }
    Some(length)
}

impl From<IntakeError> for Refusal {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Full { retry_after } => Self::Unavailable("no room", retry_after),
            IntakeError::Stopping => Self::Unavailable("stopping", RETRY_AFTER),
            IntakeError::Io(error) => {
                tracing::error!(%error, "a webhook's events cannot be kept; the sender is told to send them again");
                Self::Unavailable("disk error", RETRY_AFTER)
            }
            _ => Self::Unavailable("not now", RETRY_AFTER),
        }
    }
}

impl Refusal {
    /// `Ok` when `verdict` is good; `wrong` when it is not, and 503 while a secret cannot be read.
    ///
    /// # Errors
    /// See there.
    pub fn unless_good(verdict: Verdict, wrong: Self) -> Result<(), Self> {
        match verdict {
            Verdict::Good => Ok(()),
            Verdict::Wrong => Err(wrong),
            Verdict::Unreadable => Err(Self::Unavailable("token unreadable", RETRY_AFTER)),
        }
    }

    fn note(&self) -> &'static str {
        match self {
            Self::NotFound => "wrong path",
            Self::NotPost => "wrong method",
            Self::NetworkNotAllowed => "network not allowed",
            Self::WrongToken => "wrong token",
            Self::WrongSignature => "wrong signature",
            Self::TooLarge => "body too large",
            Self::BodyBroken => "body broken off",
            Self::BodySlow => "body too slow",
            Self::Unavailable(what, _) => what,
        }
    }

    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let (status, text) = match self {
            Self::NotFound => (StatusCode::NOT_FOUND, format!("events go to {path}")),
            Self::NotPost => (
                StatusCode::METHOD_NOT_ALLOWED,
                "events come by POST".to_owned(),
            ),
            Self::WrongToken => (StatusCode::UNAUTHORIZED, "wrong or no token".to_owned()),
            Self::WrongSignature => (StatusCode::UNAUTHORIZED, "wrong or no signature".to_owned()),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "send it in parts".to_owned()),
            // Not 400, 401, 403, 404: after these many senders drop or stop.
            Self::BodySlow => (StatusCode::REQUEST_TIMEOUT, self.note().to_owned()),
            Self::BodyBroken | Self::NetworkNotAllowed | Self::Unavailable(..) => {
                (StatusCode::SERVICE_UNAVAILABLE, self.note().to_owned())
            }
        };
        let text = serde_json::json!({ "error": text }).to_string();
        let mut answer = Response::new(Full::new(text.into()));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        json(headers);
        match self {
            Self::NotPost => {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            Self::WrongToken => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Unavailable(_, after) => {
                headers.insert(header::RETRY_AFTER, after.as_secs().max(1).into());
            }
            Self::NetworkNotAllowed | Self::BodyBroken => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER.as_secs().into());
            }
            Self::NotFound | Self::WrongSignature | Self::TooLarge | Self::BodySlow => {}
        }
        answer
    }
}

fn json(headers: &mut HeaderMap) {
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
}
