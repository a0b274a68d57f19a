//! Errors of upstreams: waits within a day, names and messages within their bounds, and nothing an upstream wrote in
//! what a client sees.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use fastroute_core::failure::retry_after::{parse_retry_after, parse_wait};
use fastroute_core::failure::{ErrorBody, ErrorReply, Failure, Retry, classify, render_openai_error};
use serde_json::Value;

const DAY_MS: u64 = 86_400_000;

/// The input is `retry-after`, `retry-after-ms` and `x-should-retry` on a line each, then the body.
pub fn check(input: &[u8]) {
    let (choice, rest) = super::chosen(input);
    let status =
        [200, 400, 401, 403, 404, 409, 413, 425, 429, 500, 503, 529, 302, 0, 999, 422][usize::from(choice) % 16];
    let mut lines = rest.splitn(4, |&byte| byte == b'\n');
    let mut header = || lines.next().filter(|line| !line.is_empty());
    let (retry_after, retry_after_ms, should_retry) = (header(), header(), header());
    let body = lines.next().unwrap_or_default();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);

    for value in [retry_after, retry_after_ms].into_iter().flatten() {
        within_a_day(parse_wait(value));
    }
    let wait = parse_retry_after(retry_after, retry_after_ms, now);
    within_a_day(wait);
    assert!(retry_after.is_some() || retry_after_ms.is_some() || wait.is_none(), "a wait nobody asked for");

    let said = ErrorBody::parse(body);
    assert!(said.names.len() <= 16 && said.names.iter().all(|name| name.len() <= 3 * 64));
    // Broken UTF-8 grows by three when it is replaced, and a line break stands between two messages.
    assert!(said.message.len() <= 3 * 2048 + 2048, "{} bytes of message", said.message.len());
    assert!(said.status.is_none_or(|status| (400..600).contains(&status)));
    within_a_day(said.retry_after_ms);

    let plain = classify(status, &said);
    can_be_shown(&plain, status);
    let failure = ErrorReply { status, body, retry_after, retry_after_ms, should_retry, now }.classify();
    can_be_shown(&failure, status);
    within_a_day(failure.retry_after_ms);
    assert_eq!((failure.kind, failure.status), (plain.kind, plain.status), "headers change no kind");
    assert!(should_retry == Some(b"true") || failure.retry != Retry::SameOrElsewhere || plain.retry == failure.retry);
}

fn within_a_day(wait_ms: Option<u64>) {
    assert!(wait_ms.is_none_or(|wait| (1..=DAY_MS).contains(&wait)), "{wait_ms:?}");
}

fn can_be_shown(failure: &Failure, status: u16) {
    assert!(matches!(failure.message, Cow::Borrowed(_)), "an upstream's words");
    assert!(failure.param.is_none());
    assert!((400..600).contains(&failure.status), "{}", failure.status);
    assert_eq!(failure.upstream_status, Some(status));
    let hidden = matches!(failure.status, 401..=403 | 407 | 408 | 425 | 429 | 500..);
    assert!(!failure.pass_through || !hidden, "{} may quote the operator's account", failure.status);
    let rendered: Value = serde_json::from_slice(&render_openai_error(failure)).expect("an error is JSON");
    assert_eq!(rendered["error"]["code"], failure.code);
}
