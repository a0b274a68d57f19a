//! From an upstream's error to a [`Failure`].
//!
//! Names in the body decide before the status does: the same status means a rate limit at one provider and an empty
//! account at another, and a wrong key may be a 400. Words in the message decide only where names do not, and never such
//! as the client may have chosen: one request must not take a key or a model from everybody.

use std::time::SystemTime;

use crate::failure::{Failure, Kind, Origin, Retry, body::ErrorBody, retry_after::parse_retry_after};

/// An error reply as it came, and the clock to read its dates by.
#[derive(Clone, Copy, Debug)]
pub struct ErrorReply<'a> {
    pub status: u16,
    pub body: &'a [u8],
    pub retry_after: Option<&'a [u8]>,
    pub retry_after_ms: Option<&'a [u8]>,
    pub should_retry: Option<&'a [u8]>,
    pub now: SystemTime,
}

impl ErrorReply<'_> {
    /// What this reply means, with the wait it asks for and its own opinion about trying again.
    pub fn classify(&self) -> Failure {
        let said = ErrorBody::parse(self.body);
        let mut failure = classify(self.status, &said);
        // Elsewhere the header means something else or nothing: Anthropic sends it with every reply.
        if matches!(failure.kind, Kind::RateLimited | Kind::Overloaded | Kind::Quota) {
            failure.retry_after_ms =
                parse_retry_after(self.retry_after, self.retry_after_ms, self.now).or(said.retry_after_ms);
        }
        match self.should_retry {
            Some(b"true") => failure.retry = asked_to_retry(&failure),
            Some(b"false") if failure.retry == Retry::SameOrElsewhere => {
                failure.retry = Retry::Elsewhere;
            }
            _ => {}
        }
        failure
    }
}

/// The upstream says that the same request may succeed, so nothing about it is ambiguous. It cannot say that about a
/// refused prompt (that would be shopping for another opinion) or a key that is out.
fn asked_to_retry(failure: &Failure) -> Retry {
    match (failure.retry, failure.kind) {
        (Retry::OtherKey, _) | (_, Kind::ContentPolicy | Kind::ContextLength) => failure.retry,
        _ => Retry::SameOrElsewhere,
    }
}

/// What an error with this HTTP status and this content means. The status is that of the reply: 200 for an error
/// inside a stream that had begun, whose own status, if it names one, then counts.
pub fn classify(status: u16, said: &ErrorBody) -> Failure {
    let told = if (400..600).contains(&status) { Some(status) } else { said.status };
    let kind = kind_of(told, said);
    let mut failure = Failure::new(kind);
    failure.upstream_status = Some(status);
    failure.retry_after_ms = said.retry_after_ms;
    if told == Some(425) {
        failure.retry = Retry::SameOrElsewhere;
    }
    if kind == Kind::NotFound && !misses_the_model(said) {
        failure.origin = Origin::Client;
    }
    if speaks_of_the_request(kind) && told.is_none_or(may_be_shown) {
        failure.pass_through = true;
        failure.status = told.unwrap_or(failure.status);
    }
    failure
}

fn speaks_of_the_request(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::BadRequest
            | Kind::ContextLength
            | Kind::NotFound
            | Kind::TooLarge
            | Kind::ContentPolicy
            | Kind::FailedGeneration
            | Kind::Conflict
    )
}

/// Replies with these statuses quote keys, accounts and projects of the operator.
fn may_be_shown(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 401..=403 | 407 | 408 | 425 | 429)
}

fn kind_of(status: Option<u16>, said: &ErrorBody) -> Kind {
    if status == Some(402) || said.names.iter().any(|name| is_quota(name)) {
        return Kind::Quota;
    }
    // What stands in quotes is mostly the client's, and must not speak of keys, accounts and models.
    let message = unquoted(&said.message);
    if let Some(kind) = said.names.iter().find_map(|name| specific(name)) {
        return if is_about_a_file(kind, &message) { Kind::BadRequest } else { kind };
    }
    if says_quota(status, &message) {
        return Kind::Quota;
    }
    if let Some(kind) = by_message(status, &message) {
        return kind;
    }
    let kind = status.map(by_status).or_else(|| said.names.iter().find_map(|name| generic(name)));
    let kind = kind.unwrap_or(Kind::UpstreamError);
    if is_about_a_file(kind, &message) { Kind::BadRequest } else { kind }
}

/// Whether what is forbidden is a file that the request names, and not the model: the client's mistake, and of nobody
/// else's concern.
fn is_about_a_file(kind: Kind, message: &str) -> bool {
    const WORDS: [&str; 8] = ["file", "files", "cachedcontent", "cached", "storage", "bucket", "object", "objects"];
    kind == Kind::Forbidden && message.split(|letter: char| !letter.is_alphanumeric()).any(|word| WORDS.contains(&word))
}

/// Whether it is certain that the model is missing, or its address: then it is left out for everybody. By a name, which no
/// client chooses, or by how the message begins; a request may name other things that are missing.
fn misses_the_model(said: &ErrorBody) -> bool {
    const NAMES: [&str; 6] =
        ["model_not_found", "modelnotfound", "model_not_available", "invalid_model", "deploymentnotfound", "1211"];
    const BEGINNINGS: [&str; 9] = [
        "model",
        "supported api model names",
        "no such model",
        "unknown model",
        "invalid model",
        "deployment",
        "could not resolve the foundation model",
        "unable to access model",
        "provided model",
    ];
    const ENDS: [&str; 2] = ["is not a valid model id", "supported api model names"];
    let message = said.message.trim();
    NAMES.iter().any(|name| said.names(name))
        || matches!(message, "" | "not found" | "404 page not found")
        || begins_with_any(message, &BEGINNINGS)
        || ENDS.iter().any(|end| message.trim_end_matches('.').ends_with(end))
}

/// A message without what it quotes. An apostrophe within a word quotes nothing.
fn unquoted(message: &str) -> String {
    let (mut out, mut rest, mut before) = (String::with_capacity(message.len()), message, ' ');
    while let Some(letter) = rest.chars().next() {
        let behind = rest.get(letter.len_utf8()..).unwrap_or_default();
        let opens = matches!(letter, '\'' | '"' | '`') && !before.is_alphanumeric();
        let quoted =
            if opens { behind.find(letter).and_then(|end| behind.get(end + letter.len_utf8()..)) } else { None };
        if let Some(behind) = quoted {
            rest = behind;
        } else {
            out.push(letter);
            rest = behind;
        }
        before = letter;
    }
    out
}

/// An empty account, under whatever status. 1113: Z.ai; `base_resp`: `MiniMax`.
fn is_quota(name: &str) -> bool {
    matches!(
        name,
        "insufficient_quota"
            | "credit_balance_exhausted"
            | "enforced_spend_limit_reached"
            | "billing_error"
            | "billing_hard_limit_reached"
            | "billing_not_active"
            | "insufficient_balance"
            | "insufficient_balance_error"
            | "insufficient_credits"
            | "exceeded_current_quota_error"
            | "arrearage"
            | "1113"
            | "base_resp_1008"
            | "base_resp_2056"
    )
}

fn says_quota(status: Option<u16>, message: &str) -> bool {
    const SAYS: [&str; 3] = ["credit balance", "insufficient balance", "insufficient credit"];
    match status {
        // "Check your plan and billing details" stands in Gemini's ordinary rate limits too, so "billing" counts only
        // where no rate limit can be meant.
        Some(403) if message.contains("billing") => true,
        Some(401 | 403 | 429) => contains_any(message, &SAYS) || message.contains("is in arrears"),
        // `MiniMax` says it with 500, too. An error may hold anything of a request or an answer, but does not begin with it.
        _ => begins_with_any(message, &SAYS),
    }
}

/// Whether one of these is what a message begins with, or nearly so: "your", "the".
fn begins_with_any(message: &str, phrases: &[&str]) -> bool {
    const NEARLY: usize = 8;
    let begins = |before: &str| before.len() <= NEARLY && (before.is_empty() || before.ends_with(' '));
    phrases.iter().any(|phrase| message.find(phrase).and_then(|at| message.get(..at)).is_some_and(begins))
}

/// Names that mean one thing wherever they stand. Numbers: 1211, 1261, 1301 Z.ai; 3505 Mistral; `base_resp` `MiniMax`.
fn specific(name: &str) -> Option<Kind> {
    if name.starts_with("throttling") {
        return Some(Kind::RateLimited);
    }
    Some(match name {
        "context_length_exceeded" | "exceed_context_size_error" | "context_window_exceeded" | "1261" => {
            Kind::ContextLength
        }
        "invalid_api_key"
        | "base_resp_1004"
        | "base_resp_2049"
        | "invalidapikey"
        | "api_key_invalid"
        | "incorrect_api_key_error"
        | "expired_api_key"
        | "token_expired"
        | "account_deactivated"
        | "authentication_error"
        | "invalid_authentication_error"
        | "unauthenticated"
        | "unauthorized" => Kind::Auth,
        "base_resp_2013" => Kind::BadRequest,
        "permission_error"
        | "permission_denied"
        | "permission_denied_error"
        | "access_denied"
        | "accessdenied"
        | "forbidden"
        | "unsupported_country_region_territory" => Kind::Forbidden,
        "model_not_found"
        | "modelnotfound"
        | "invalid_model"
        | "deploymentnotfound"
        | "not_found"
        | "not_found_error"
        | "resource_not_found_error"
        | "1211" => Kind::NotFound,
        "request_too_large" | "payload_too_large" => Kind::TooLarge,
        "rate_limit_exceeded"
        | "base_resp_1002"
        | "base_resp_1039"
        | "base_resp_1041"
        | "rate_limit_error"
        | "rate_limit_reached_error"
        | "resource_exhausted"
        | "too_many_requests"
        | "limit_requests"
        | "limit_burst_rate" => Kind::RateLimited,
        "content_filter"
        | "base_resp_1026"
        | "base_resp_1027"
        | "content_policy_violation"
        | "data_inspection_failed"
        | "datainspectionfailed"
        | "responsibleaipolicyviolation"
        | "moderation_blocked"
        | "flagged_input"
        | "1301" => Kind::ContentPolicy,
        "tool_use_failed" | "json_validate_failed" | "failed_generation" => Kind::FailedGeneration,
        "overloaded"
        | "overloaded_error"
        | "engine_overloaded"
        | "engine_overloaded_error"
        | "server_overloaded"
        | "slow_down"
        | "service_unavailable"
        | "service_unavailable_error"
        | "serviceunavailable"
        | "modelservingerror"
        | "capacity_exceeded"
        | "insufficient_system_resource"
        | "unavailable"
        | "3505" => Kind::Overloaded,
        "base_resp_1001" | "timeout" | "timeout_error" | "request_timeout" | "requesttimeout" | "gateway_timeout"
        | "deadline_exceeded" => Kind::UpstreamTimeout,
        "conflict" | "conflict_error" | "aborted" => Kind::Conflict,
        _ => return None,
    })
}

/// Names that say little, and at some providers something wrong: OpenAI calls a bad key an invalid request.
fn generic(name: &str) -> Option<Kind> {
    if name.starts_with("invalid_request") || name.starts_with("invalid_parameter") {
        return Some(Kind::BadRequest);
    }
    match name {
        "invalid_argument"
        | "failed_precondition"
        | "out_of_range"
        | "invalidparameter"
        | "bad_request"
        | "bad request" => Some(Kind::BadRequest),
        _ => None,
    }
}

fn by_message(status: Option<u16>, message: &str) -> Option<Kind> {
    let about_request = status.is_none_or(|status| matches!(status, 400 | 403 | 404 | 413 | 422));
    if !about_request || message.is_empty() {
        return None;
    }
    if contains_any(
        message,
        &[
            "content policy",
            "content management policy",
            "usage policy",
            "usage guidelines",
            "safety system",
            "input was flagged",
            "inappropriate content",
            "considered high risk",
        ],
    ) {
        return Some(Kind::ContentPolicy);
    }
    if status == Some(403) {
        return None;
    }
    if contains_any(
        message,
        &[
            "context length",
            "context window",
            "context size",
            "prompt is too long",
            "input is too long",
            "input length",
            "maximum number of tokens",
            "model token limit",
        ],
    ) {
        return Some(Kind::ContextLength);
    }
    if begins_with_any(
        message,
        &["api key not valid", "invalid api key", "incorrect api key", "invalid authentication"],
    ) {
        return Some(Kind::Auth);
    }
    if says_model_is_missing(message) {
        return Some(Kind::NotFound);
    }
    // 404 is also the answer to "this model cannot do that", which another model of the same name will not cure.
    (status == Some(404) && message.contains("support")).then_some(Kind::BadRequest)
}

fn says_model_is_missing(message: &str) -> bool {
    contains_any(
        message,
        &["not a valid model", "invalid model", "unknown model", "model not found", "supported api model names"],
    ) || message.contains("model") && contains_any(message, &["does not exist", "not found", "has been deprecated"])
}

fn by_status(status: u16) -> Kind {
    match status {
        401 | 407 => Kind::Auth,
        402 => Kind::Quota,
        403 | 451 => Kind::Forbidden,
        404 | 410 => Kind::NotFound,
        // 522 and 524: Cloudflare could not connect, or waited in vain.
        408 | 504 | 522 | 524 => Kind::UpstreamTimeout,
        409 => Kind::Conflict,
        413 => Kind::TooLarge,
        429 => Kind::RateLimited,
        // 498: Groq's flex tier is full. 529: Anthropic's way to say 503.
        498 | 503 | 529 => Kind::Overloaded,
        421 | 425 => Kind::UpstreamError,
        400..=499 => Kind::BadRequest,
        _ => Kind::UpstreamError,
    }
}

fn contains_any(message: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| message.contains(phrase))
}
