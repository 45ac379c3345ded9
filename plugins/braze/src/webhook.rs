//! One request of Currents: who may send, reading the body, which answer.
//!
//! | answer | when | what Braze does |
//! | --- | --- | --- |
//! | 200 | safe on disk, or a probe, or set aside for a person | never sends it again |
//! | 401 | wrong token | stops until somebody acts |
//! | 404, 405 | wrong URL | stops until somebody acts |
//! | 413 | larger than `max_body` | sends it in parts |
//! | 503 | trouble of our own | tries again, with growing pauses |

use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use sluice_sdk::{Intake, IntakeError, Submission};
use subtle::{Choice, ConstantTimeEq};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::config::BrazeWebhookConfig;
use crate::split::{set_aside, split};

/// Bytes of all bodies in memory at the same time, at least; two of `max_body` always have room.
const BODIES_BYTES_MAX: u64 = 256 << 20;
/// Bodies are counted in these units, so that the count fits a semaphore.
const UNIT_BYTES: usize = 1024;
/// Larger bodies are taken apart on another thread, as they would keep this one from others.
const INLINE_BYTES_MAX: usize = 256 << 10;
/// What Retry-After says when the intake says nothing.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What all requests share.
pub struct Webhook {
    config: BrazeWebhookConfig,
    intake: Intake,
    room: Arc<Semaphore>,
}

/// Every answer that is not "taken".
enum Refusal {
    NotFound,
    NotPost,
    NetworkNotAllowed,
    WrongToken,
    TooLarge,
    BodyBroken,
    BodySlow,
    Unavailable(&'static str, Duration),
}

impl Webhook {
    pub fn new(config: BrazeWebhookConfig, intake: Intake) -> Self {
        let bytes = BODIES_BYTES_MAX.max(config.max_body.0 * 2);
        let units = usize::try_from(bytes).unwrap_or(usize::MAX >> 4) / UNIT_BYTES;
        Self {
            config,
            intake,
            room: Arc::new(Semaphore::new(units)),
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
                refusal.answer(&self.config.path)
            }
        }
    }

    /// The events of the request are safe; says how many were in it.
    async fn take(&self, request: Request<Incoming>, peer: IpAddr) -> Result<usize, Refusal> {
        let path = request.uri().path();
        if path != self.config.path && path.strip_suffix('/') != Some(&self.config.path) {
            return Err(Refusal::NotFound);
        }
        if request.method() != Method::POST {
            return Err(Refusal::NotPost);
        }
        self.check_network(request.headers(), peer)?;
        self.check_token(request.headers())?;

        let encoding = Encoding::of(request.headers());
        let mut hold = Hold {
            room: Arc::clone(&self.room),
            permit: None,
            bytes: 0,
        };
        let body = self.read(request.into_body(), &mut hold).await?;
        let max = self.max_body();
        let (submission, hold) =
            if matches!(encoding, Encoding::Plain) && body.len() <= INLINE_BYTES_MAX {
                (split(body), hold)
            } else {
                tokio::task::spawn_blocking(move || {
                    decode(body, &encoding, max, &mut hold).map(|submission| (submission, hold))
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
        if self.config.allow_networks.is_empty() {
            return Ok(());
        }
        let forwarded = self
            .config
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
            self.config
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

    /// All tokens are compared, in a time that does not depend on which one fits or how far.
    fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(tokens) = &self.config.token else {
            return Ok(());
        };
        let given = headers
            .get(header::AUTHORIZATION)
            .map(HeaderValue::as_bytes)
            .filter(|value| value.len() > 7 && value[..7].eq_ignore_ascii_case(b"bearer "))
            .map(|value| value[7..].trim_ascii());
        let mut fits = Choice::from(0);
        let mut unreadable = false;
        for token in &tokens.0 {
            match token.reveal() {
                Ok(token) if token.is_empty() => unreadable = true,
                Ok(token) => fits |= token.as_bytes().ct_eq(given.unwrap_or_default()),
                Err(error) => {
                    tracing::error!(%error, "braze_webhook: a token cannot be read; put the file back");
                    unreadable = true;
                }
            }
        }
        if given.is_some() && bool::from(fits) {
            Ok(())
        } else if unreadable && given.is_some() {
            Err(Refusal::Unavailable("token unreadable", RETRY_AFTER))
        } else {
            Err(Refusal::WrongToken)
        }
    }

    async fn read(&self, mut body: Incoming, hold: &mut Hold) -> Result<Bytes, Refusal> {
        let max = self.max_body();
        if body.size_hint().lower() > max as u64 {
            return Err(Refusal::TooLarge);
        }
        let until = Instant::now() + self.config.limits.body_timeout.0;
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
                    rest.extend_from_slice(&start);
                    rest.extend_from_slice(&data);
                }
            }
        }
        Ok(first.unwrap_or_else(|| rest.freeze()))
    }

    fn max_body(&self) -> usize {
        usize::try_from(self.config.max_body.0).unwrap_or(usize::MAX)
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

fn decode(
    body: Bytes,
    encoding: &Encoding,
    max: usize,
    hold: &mut Hold,
) -> Result<Option<Submission>, Refusal> {
    if body.is_empty() {
        return Ok(None);
    }
    match encoding {
        Encoding::Plain => Ok(split(body)),
        Encoding::Unknown => Ok(Some(set_aside(body, "content encoding not known"))),
        Encoding::Gzip => match inflate(&body, max, hold)? {
            Some(inflated) => Ok(split(inflated)),
            None => Ok(Some(set_aside(body, "gzip cannot be read"))),
        },
    }
}

/// The inflated bytes, `None` when they are not gzip. Room is taken as the text grows, so that a
/// small body cannot claim much at once.
fn inflate(body: &[u8], max: usize, hold: &mut Hold) -> Result<Option<Bytes>, Refusal> {
    let mut reader = MultiGzDecoder::new(body);
    let mut inflated = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let Ok(count) = reader.read(&mut chunk) else {
            return Ok(None);
        };
        if count == 0 {
            return Ok(Some(inflated.into()));
        }
        if inflated.len() + count > max {
            return Err(Refusal::TooLarge);
        }
        hold.grow_to(body.len() + inflated.len() + count)?;
        inflated.extend_from_slice(&chunk[..count]);
    }
}

impl From<IntakeError> for Refusal {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Full { retry_after } => Self::Unavailable("no room", retry_after),
            IntakeError::Stopping => Self::Unavailable("stopping", RETRY_AFTER),
            IntakeError::Io(error) => {
                tracing::error!(%error, "braze_webhook: events cannot be kept; Braze is told to send them again");
                Self::Unavailable("disk error", RETRY_AFTER)
            }
        }
    }
}

impl Refusal {
    fn note(&self) -> &'static str {
        match self {
            Self::NotFound => "wrong path",
            Self::NotPost => "wrong method",
            Self::NetworkNotAllowed => "network not allowed",
            Self::WrongToken => "wrong token",
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
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "send it in parts".to_owned()),
            // Not the list 400, 401, 403, 404: after these Braze drops or stops.
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
            Self::NotFound | Self::TooLarge | Self::BodySlow => {}
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
