//! Replies the gateway writes itself: errors in the client's shape, health, the model list.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::failure::{Failure, Kind, render_openai_error, render_openai_parts};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use crate::decider::Refusal;
use crate::delivery::ReplyBody;

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub const X_TARGET: HeaderName = HeaderName::from_static("x-fastroute-target");
pub const X_ATTEMPTS: HeaderName = HeaderName::from_static("x-fastroute-attempts");
/// Targets that had no words for the request, and were not asked.
pub const X_PASSED_OVER: HeaderName = HeaderName::from_static("x-fastroute-passed-over");
pub const X_UPSTREAM_STATUS: HeaderName = HeaderName::from_static("x-fastroute-upstream-status");
pub const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// A small number as a header; those that nearly every reply has are ready.
pub(crate) fn count(number: usize) -> HeaderValue {
    match number {
        1 => HeaderValue::from_static("1"),
        2 => HeaderValue::from_static("2"),
        3 => HeaderValue::from_static("3"),
        more => HeaderValue::from(more),
    }
}

/// Head and body of a reply, for any door.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: ReplyBody,
    /// Which dialect an error is told in.
    pub said_in: Dialect,
}

impl Reply {
    /// A JSON reply that is ready.
    pub fn json(status: StatusCode, body: Bytes) -> Self {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, JSON);
        Self { status, headers, body: ReplyBody::whole(body), said_in: Dialect::OpenAiChat }
    }

    #[must_use]
    pub fn with_request_id(mut self, id: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(id) {
            self.headers.insert(X_REQUEST_ID, value);
        }
        self
    }
}

/// An error in `OpenAI`'s shape, from the parts.
pub struct Problem {
    pub status: u16,
    /// `invalid_request_error`, `server_error`, …
    pub kind: &'static str,
    pub code: Box<str>,
    pub message: Box<str>,
    pub param: Option<Box<str>>,
    /// When the same request may succeed, if that is known.
    pub retry_after_s: Option<u32>,
}

/// A client that waits longer than this for a try of its own had better give up.
const PATIENT_CLIENT_S: u32 = 60;

impl Problem {
    /// The request itself is at fault.
    pub fn request(status: u16, code: &str, message: impl Into<Box<str>>) -> Self {
        Self {
            status,
            kind: "invalid_request_error",
            code: code.into(),
            message: message.into(),
            param: None,
            retry_after_s: None,
        }
    }

    /// What the decider refuses, in the type that clients know its status by.
    pub(crate) fn refusal(refusal: &Refusal) -> Self {
        let kind = match refusal.status {
            429 => "rate_limit_error",
            400..500 => "invalid_request_error",
            _ => "api_error",
        };
        Self {
            status: refusal.status,
            kind,
            code: refusal.code.clone(),
            message: refusal.message.clone(),
            param: refusal.param.map(Into::into),
            retry_after_s: refusal.retry_after_s,
        }
    }

    /// The gateway cannot take the request now.
    pub fn overloaded(message: &str) -> Self {
        Self {
            status: 503,
            kind: "overloaded_error",
            code: "overloaded".into(),
            message: message.into(),
            param: None,
            retry_after_s: Some(spread_s()),
        }
    }

    /// The time for running exchanges is over, and this one has nothing to show yet.
    pub fn stopping() -> Self {
        Self::of(&Failure::new(Kind::Shutdown))
    }

    /// A failure as the reply it is before there is a head.
    pub fn of(failure: &Failure) -> Self {
        Self {
            status: failure.status,
            kind: failure.openai_type(),
            code: failure.code.into(),
            message: failure.message.as_ref().into(),
            param: failure.param.as_deref().map(Into::into),
            retry_after_s: wait_of(failure),
        }
    }

    /// The gateway itself failed.
    pub fn internal(message: &str) -> Self {
        Self {
            status: 500,
            kind: "server_error",
            code: "internal_error".into(),
            message: message.into(),
            param: None,
            retry_after_s: None,
        }
    }

    /// A reply that granian's door may not hold, because it cannot see whether its client reads.
    pub fn too_long_for_this_door() -> Self {
        Self {
            status: 502,
            kind: "api_error",
            code: "response_too_large".into(),
            message: "the reply is longer than this door may hold; the edge door has no such limit".into(),
            param: None,
            retry_after_s: None,
        }
    }

    #[must_use]
    pub fn at(mut self, param: impl Into<Box<str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub fn reply(&self, request_id: &Arc<str>) -> Reply {
        let body = render_openai_parts(&self.message, self.kind, self.param.as_deref(), &self.code);
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = Reply::json(status, body).with_request_id(request_id);
        let soon = self.retry_after_s.is_some_and(|wait_s| wait_s <= PATIENT_CLIENT_S);
        retry_headers(&mut reply.headers, soon, self.retry_after_s);
        reply
    }
}

/// One to five seconds, each as often as the others: clients that are refused together do not come back together.
fn spread_s() -> u32 {
    static TURN: AtomicU32 = AtomicU32::new(0);
    // Two is no divisor of five, so neighbours are apart.
    1 + TURN.fetch_add(1, Ordering::Relaxed).wrapping_mul(2) % 5
}

/// `x-should-retry` stands on every error; `retry-after` where it is true, and where our own wait is longer than that.
fn retry_headers(headers: &mut HeaderMap, soon: bool, retry_after_s: Option<u32>) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_SHOULD_RETRY, HeaderValue::from_static(if soon { "true" } else { "false" }));
    if let Some(seconds) = retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// Seconds after which the client should try again, if it should.
fn wait_of(failure: &Failure) -> Option<u32> {
    let wait_s = failure.retry_after_ms.map_or(1, |wait| u32::try_from(wait.div_ceil(1000)).unwrap_or(u32::MAX).max(1));
    failure.client_should_retry().then_some(wait_s)
}

/// The reply when every attempt failed. Our attempts are spent, so the client should not repeat them; even less so where
/// the budget for them is `spent`. The upstream's reply is in the client's dialect.
pub(crate) fn failed(
    failure: &Failure,
    upstream_reply: Option<Bytes>,
    client: Dialect,
    request_id: &Arc<str>,
    attempts: usize,
    spent: bool,
) -> Reply {
    let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let said_in = if upstream_reply.is_some() { client } else { Dialect::OpenAiChat };
    let body = upstream_reply.unwrap_or_else(|| render_openai_error(failure));
    let mut reply = Reply { said_in, ..Reply::json(status, body) }.with_request_id(request_id);
    let wait_s = wait_of(failure).filter(|_| !spent);
    retry_headers(&mut reply.headers, wait_s.is_some(), wait_s);
    reply.headers.insert(X_ATTEMPTS, count(attempts));
    if let Some(status) = failure.upstream_status {
        reply.headers.insert(X_UPSTREAM_STATUS, HeaderValue::from(status));
    }
    reply
}
