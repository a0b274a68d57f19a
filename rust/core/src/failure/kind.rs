//! The table of failures: for each kind and origin, whether to retry and what a client is told.

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is invalid.
    BadRequest,
    /// The prompt does not fit the model.
    ContextLength,
    /// A key is missing, wrong or revoked: the client's for the gateway, or the operator's for the provider.
    Auth,
    /// A budget or an account is used up.
    Quota,
    /// The key is good but not for this.
    Forbidden,
    /// No such model.
    NotFound,
    /// The body is too large.
    TooLarge,
    /// Too many requests or tokens in a while.
    RateLimited,
    /// Prompt or reply was refused for what it says.
    ContentPolicy,
    /// The model wrote something its server could not use, such as a call that does not match its tool.
    FailedGeneration,
    /// The same thing is already being done, or its state forbids it.
    Conflict,
    /// No capacity now.
    Overloaded,
    /// The provider failed in a way that is its own.
    UpstreamError,
    /// The provider, or something before it, says that it ran out of time.
    UpstreamTimeout,
    /// The provider's name has no address.
    Dns,
    /// Nobody listens there.
    Refused,
    /// The connection took too long.
    ConnectTimeout,
    /// No secure connection, or not to whom we wanted.
    Tls,
    /// The connection broke before the request was on it.
    ResetUnwritten,
    /// The connection broke after the request was written and before any answer.
    Reset,
    /// No content within the soft limit: another target may be faster.
    FirstTokenSoft,
    /// No content within the hard limit.
    FirstTokenHard,
    /// The whole exchange took too long.
    TotalTimeout,
    /// A stream fell silent.
    Stalled,
    /// A reply ended before its end.
    Truncated,
    /// A reply is not what it should be.
    Malformed,
    /// A reply, or one event of it, is beyond its limit.
    ResponseTooLarge,
    /// Another attempt beside it settled the request.
    Hedged,
    /// The client hung up.
    ClientGone,
    /// The client reads too slowly.
    SlowClient,
    /// The client did not send its request in time.
    RequestTimeout,
    /// The ledger cannot take the request down.
    LedgerUnavailable,
    /// The gateway is stopping.
    Shutdown,
    /// A defect of the gateway.
    Internal,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Whoever sent the request.
    Client,
    /// The provider or the way to it.
    Upstream,
    /// Whoever runs the gateway: its provider keys, accounts and model names.
    Operator,
    /// The gateway itself: its limits, its state, its defects.
    Gateway,
}

/// Whether trying again helps, before anything was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It would fail anywhere.
    Never,
    /// Anywhere, this target included, after the wait it asked for.
    SameOrElsewhere,
    /// At any other target.
    Elsewhere,
    /// With another key of the provider or at another provider: this key is out.
    OtherKey,
    /// Once, at another target: the first may have done, and billed, the work.
    ElsewhereOnce,
}

/// One row of the table.
pub(super) struct Row {
    pub(super) retry: Retry,
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: &'static str,
}

impl Kind {
    /// The name in metrics and the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::ContextLength => "context_length",
            Self::Auth => "auth",
            Self::Quota => "quota",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::ContentPolicy => "content_policy",
            Self::FailedGeneration => "failed_generation",
            Self::Conflict => "conflict",
            Self::Overloaded => "overloaded",
            Self::UpstreamError => "upstream_error",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::ResetUnwritten => "reset_unwritten",
            Self::Reset => "reset",
            Self::FirstTokenSoft => "first_token_soft",
            Self::FirstTokenHard => "first_token_hard",
            Self::TotalTimeout => "total_timeout",
            Self::Stalled => "stalled",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::ResponseTooLarge => "response_too_large",
            Self::Hedged => "hedged",
            Self::ClientGone => "client_gone",
            Self::SlowClient => "slow_client",
            Self::RequestTimeout => "request_timeout",
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::Shutdown => "shutdown",
            Self::Internal => "internal",
        }
    }

    pub(super) fn usual_origin(self) -> Origin {
        match self {
            Self::BadRequest
            | Self::ContextLength
            | Self::TooLarge
            | Self::ContentPolicy
            | Self::Conflict
            | Self::ClientGone
            | Self::SlowClient
            | Self::RequestTimeout => Origin::Client,
            Self::Auth | Self::Quota | Self::Forbidden | Self::NotFound => Origin::Operator,
            Self::Hedged | Self::LedgerUnavailable | Self::Shutdown | Self::Internal => Origin::Gateway,
            _ => Origin::Upstream,
        }
    }

    /// What of a failure follows from its kind and origin.
    #[rustfmt::skip]
    pub(super) fn row(self, origin: Origin) -> Row {
        use Origin::{Client, Gateway};
        use Retry::{Elsewhere, ElsewhereOnce, Never, OtherKey, SameOrElsewhere};
        let (retry, status, code, message) = match (self, origin) {
            (Self::BadRequest, _) => (Never, 400, "invalid_request",
                "The request is invalid."),
            (Self::ContextLength, _) => (Never, 400, "context_length_exceeded",
                "The prompt is longer than the context window of the model."),
            (Self::Auth, Client | Gateway) => (Never, 401, "invalid_api_key",
                "The API key for this gateway is missing or not known."),
            (Self::Forbidden, Client | Gateway) => (Never, 403, "permission_denied",
                "The API key may not do this on this gateway."),
            (Self::Auth | Self::Forbidden, _) => (OtherKey, 502, "provider_auth",
                "The provider refused the key this gateway has for it. Only the gateway's operator can mend that."),
            (Self::Quota, Client | Gateway) => (Never, 429, "insufficient_quota",
                "The budget of this API key is used up."),
            (Self::Quota, _) => (OtherKey, 503, "provider_quota",
                "The gateway's account with the provider is used up. Only the gateway's operator can mend that."),
            (Self::NotFound, _) => (Never, 404, "model_not_found",
                "There is no such model."),
            (Self::TooLarge, _) => (Never, 413, "request_too_large",
                "The request is too large."),
            (Self::RateLimited, Client | Gateway) => (Never, 429, "rate_limit_exceeded",
                "The rate limit of this API key is reached."),
            (Self::RateLimited, _) => (SameOrElsewhere, 429, "rate_limit_exceeded",
                "The provider's rate limit for this model is reached."),
            (Self::ContentPolicy, _) => (Never, 400, "content_filter",
                "The provider refused the request under its content policy."),
            (Self::FailedGeneration, _) => (SameOrElsewhere, 400, "tool_use_failed",
                "The model wrote something its provider could not use, such as a call that does not match its tool."),
            (Self::Conflict, _) => (Never, 409, "conflict",
                "The request conflicts with another one."),
            (Self::Overloaded, Client | Gateway) => (Never, 503, "overloaded",
                "The gateway is at its capacity."),
            (Self::Overloaded, _) => (SameOrElsewhere, 503, "overloaded",
                "The provider is overloaded."),
            (Self::UpstreamError, _) => (ElsewhereOnce, 502, "upstream_error",
                "The provider failed."),
            (Self::UpstreamTimeout, _) => (ElsewhereOnce, 504, "upstream_timeout",
                "The provider timed out."),
            (Self::Dns, _) => (SameOrElsewhere, 503, "upstream_unreachable",
                "The provider's address cannot be looked up."),
            (Self::Refused | Self::ConnectTimeout, _) => (SameOrElsewhere, 503, "upstream_unreachable",
                "The provider cannot be reached."),
            (Self::Tls, _) => (Elsewhere, 502, "upstream_tls",
                "No secure connection to the provider."),
            (Self::ResetUnwritten, _) => (SameOrElsewhere, 503, "upstream_unreachable",
                "The provider closed the connection before it had the request."),
            (Self::Reset, _) => (ElsewhereOnce, 502, "upstream_error",
                "The provider closed the connection without an answer."),
            (Self::FirstTokenSoft, _) => (ElsewhereOnce, 504, "upstream_timeout",
                "The provider was slow to begin."),
            (Self::FirstTokenHard, _) => (Never, 504, "upstream_timeout",
                "The provider did not begin to answer in time."),
            (Self::TotalTimeout, _) => (Never, 504, "upstream_timeout",
                "The reply took longer than allowed."),
            (Self::Stalled, _) => (ElsewhereOnce, 504, "upstream_stalled",
                "The provider's stream fell silent."),
            (Self::Truncated, _) => (ElsewhereOnce, 502, "upstream_truncated",
                "The provider's reply ended before it was complete."),
            (Self::Malformed, _) => (ElsewhereOnce, 502, "upstream_malformed",
                "The provider's reply could not be understood."),
            (Self::ResponseTooLarge, _) => (Never, 502, "response_too_large",
                "The provider's reply is larger than allowed."),
            // No exchange ends with it.
            (Self::Hedged, _) => (Never, 504, "upstream_timeout",
                "Another attempt settled the request first."),
            // 499 is nginx's status for a client that closed the connection; nobody is left to see it.
            (Self::ClientGone, _) => (Never, 499, "client_gone",
                "The client closed the connection."),
            (Self::SlowClient, _) => (Never, 499, "slow_client",
                "The client read its reply too slowly."),
            (Self::RequestTimeout, _) => (Never, 408, "request_timeout",
                "The request was not sent in time."),
            (Self::LedgerUnavailable, _) => (Never, 503, "ledger_unavailable",
                "The gateway cannot record usage now, and this key may only be used when it can."),
            (Self::Shutdown, _) => (Never, 503, "server_shutdown",
                "The gateway is stopping."),
            (Self::Internal, _) => (Never, 500, "internal_error",
                "The gateway failed."),
        };
        Row { retry, status, code, message }
    }
}
