//! What went wrong, whose fault it is and whether trying again helps: one table.
//!
//! A [`Failure`] is complete at birth: status, code and message are those a client may see, and the message is safe
//! in a log too. What an upstream wrote never becomes part of it; [`Failure::pass_through`] says when the upstream's
//! own reply may go to the client instead.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;

use crate::sse::writer;

pub mod body;
pub mod classify;
mod kind;
pub mod retry_after;

pub use body::ErrorBody;
pub use classify::{ErrorReply, classify};
pub use kind::{Kind, Origin, Retry};

/// One failure of an attempt or an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    pub origin: Origin,
    pub retry: Retry,
    /// The status for the client.
    pub status: u16,
    /// The status the upstream gave, if it gave any.
    pub upstream_status: Option<u16>,
    /// How long the upstream, or a limit of ours, wants the caller to wait.
    pub retry_after_ms: Option<u64>,
    /// The upstream's status and body may go to the client untouched: they speak of the client's own request.
    pub pass_through: bool,
    /// `error.code` for the client.
    pub code: &'static str,
    /// `error.message` for the client.
    pub message: Cow<'static, str>,
    /// `error.param` for the client: the field of the request that is at fault.
    pub param: Option<Cow<'static, str>>,
}

/// Longest wait after which a client should try a limited request again by itself.
const PATIENT_CLIENT_MS: u64 = 60_000;

impl Failure {
    /// The failure of this kind at its usual origin.
    pub fn new(kind: Kind) -> Self {
        Self::at(kind, kind.usual_origin())
    }

    /// The failure of this kind at this origin. Kinds that have one origin only ignore the difference.
    pub fn at(kind: Kind, origin: Origin) -> Self {
        let row = kind.row(origin);
        Self {
            kind,
            origin,
            retry: row.retry,
            status: row.status,
            upstream_status: None,
            retry_after_ms: None,
            pass_through: false,
            code: row.code,
            message: Cow::Borrowed(row.message),
            param: None,
        }
    }

    /// The same with words of our own, which must not quote a key, a prompt or a reply.
    #[must_use]
    pub fn saying(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = message.into();
        self
    }

    /// The same, naming the field of the request that is at fault.
    #[must_use]
    pub fn about(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// `error.type` for an OpenAI client.
    pub fn openai_type(&self) -> &'static str {
        match (self.kind, self.status) {
            (Kind::Quota, 429) => "insufficient_quota",
            (Kind::Overloaded, _) => "overloaded_error",
            (_, 401) => "authentication_error",
            (_, 403) => "permission_error",
            (_, 404) => "not_found_error",
            (_, 409) => "conflict_error",
            (_, 429) => "rate_limit_error",
            (_, 408 | 504) => "timeout_error",
            (_, 400..500) => "invalid_request_error",
            _ => "api_error",
        }
    }

    /// The upstream may have carried the request out, and billed it: another try may pay twice. A plain 500 says that it
    /// failed; what stands between us and the model can only say that it heard nothing.
    pub fn ambiguous(&self) -> bool {
        match self.kind {
            Kind::UpstreamError => self.upstream_status.is_some_and(|status| status == 502 || status >= 520),
            _ => self.retry == Retry::ElsewhereOnce,
        }
    }

    /// It was time that ran out.
    pub fn timed_out(&self) -> bool {
        matches!(
            self.kind,
            Kind::UpstreamTimeout
                | Kind::ConnectTimeout
                | Kind::FirstTokenSoft
                | Kind::FirstTokenHard
                | Kind::TotalTimeout
                | Kind::Stalled
        )
    }

    /// The value of `x-should-retry`, sent with every error: our own attempts are spent by then, so only what passes
    /// by itself is worth a client's second try.
    pub fn client_should_retry(&self) -> bool {
        let soon = self.retry_after_ms.is_some_and(|wait| wait <= PATIENT_CLIENT_MS);
        match self.kind {
            Kind::RateLimited => soon,
            Kind::Overloaded => soon || self.origin == Origin::Gateway,
            Kind::Shutdown | Kind::LedgerUnavailable => true,
            _ => false,
        }
    }

    /// A route that lists fallbacks for this kind may try them: another model may be there, or be larger. Without
    /// such a list, [`Failure::retry`] holds.
    pub fn route_may_fall_back(&self) -> bool {
        matches!(self.kind, Kind::NotFound | Kind::ContextLength)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.status, self.message)
    }
}

impl std::error::Error for Failure {}

#[derive(Serialize)]
struct OpenAiError<'a> {
    error: OpenAiErrorFields<'a>,
}

#[derive(Serialize)]
struct OpenAiErrorFields<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
}

/// The body of an error reply to an OpenAI client, from its four parts: the one place that knows the shape.
pub fn render_openai_parts(message: &str, r#type: &str, param: Option<&str>, code: &str) -> Bytes {
    let error = OpenAiError { error: OpenAiErrorFields { message, r#type, param, code } };
    // Four strings always serialize; an empty body would still be a correct refusal.
    serde_json::to_vec(&error).map(Bytes::from).unwrap_or_default()
}

/// The same of a failure.
pub fn render_openai_error(failure: &Failure) -> Bytes {
    render_openai_parts(&failure.message, failure.openai_type(), failure.param.as_deref(), failure.code)
}

/// The same as an event of a stream that has begun. After it the stream ends, without `[DONE]`.
pub fn render_openai_error_event(failure: &Failure) -> Bytes {
    writer::data(&render_openai_error(failure))
}

#[cfg(test)]
mod tests;
