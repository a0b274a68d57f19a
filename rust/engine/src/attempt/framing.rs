//! What an answer's head and framing say, before and beside its words. Nothing is believed that the framing contradicts.

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::failure::{Failure, Kind};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use smallvec::SmallVec;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

/// How an error begins, where a reply may have `null` in its place.
const BEGIN: &[u8] = br#"{"error":"#;
/// Refuses a reply by its head, before its first byte is looked at.
pub(super) fn acceptable(response: &Response<Incoming>, most: u64) -> Result<(), Failure> {
    let headers = response.headers();
    // Two lengths for one body: no two readers would agree on where it ends (RFC 9112, section 6.3).
    if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
        return Err(Failure::new(Kind::Malformed));
    }
    // Asked for as it is. What comes packed all the same may be a bomb, and nothing in it could be looked at.
    let is_plain = |coding: &HeaderValue| coding.is_empty() || coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Err(
            Failure::new(Kind::Malformed).saying("The provider compressed its reply although it was asked not to.")
        );
    }
    if response.body().size_hint().exact().is_some_and(|length| length > most) {
        return Err(Failure::new(Kind::ResponseTooLarge));
    }
    Ok(())
}

/// Whether a reply is a stream, in the framing of its dialect.
pub(super) fn is_stream(dialect: Dialect, headers: &HeaderMap) -> bool {
    let framings: &[&[u8]] = match dialect {
        Dialect::Ollama => &[b"application/x-ndjson"],
        Dialect::BedrockConverse => &[b"application/vnd.amazon.eventstream"],
        Dialect::AnthropicMessages => &[b"text/event-stream", b"application/vnd.amazon.eventstream"],
        _ => &[b"text/event-stream"],
    };
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    framings.iter().any(|framing| kind.get(..framing.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(framing)))
}

/// Whether it opens an object, as every reply does; a page or events do not. Nor is it one that begins with an error.
pub(super) fn begins_as_reply(frames: &[Bytes]) -> bool {
    let mut bytes = frames.iter().flatten().filter(|byte| !byte.is_ascii_whitespace());
    let begin: SmallVec<[u8; 16]> = bytes.by_ref().take(BEGIN.len() + 1).copied().collect();
    begin.first() == Some(&b'{') && (!begin.starts_with(BEGIN) || begin.ends_with(b"n"))
}

/// The body's own framing was broken: a chunk size that is no number, or beyond any size.
pub(super) fn misframed(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.is_parse()
        || source.is_some_and(|error| matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput))
}

/// The failure of a body that broke off, where what came until then ended with `failure`.
pub(crate) fn cut(error: &hyper::Error, failure: Failure) -> Failure {
    match failure.kind {
        Kind::Truncated | Kind::Malformed if misframed(error) => Failure::new(Kind::Malformed),
        Kind::Truncated | Kind::Malformed => Failure::new(Kind::Truncated),
        _ => failure,
    }
}

/// Reply headers that mean the same to the client as to us. Everything else is the upstream's own business.
///
/// The map itself goes on too: hyper keeps it for the heads it reads next, so that in the long run none is allocated.
pub(super) fn passed_on(mut headers: HeaderMap) -> HeaderMap {
    fn wanted(name: &HeaderName) -> bool {
        let name = name.as_str();
        ["openai-", "x-ratelimit-", "anthropic-ratelimit-"].iter().any(|prefix| name.starts_with(prefix))
    }
    let kept: SmallVec<[(HeaderName, HeaderValue); 2]> =
        headers.iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    headers.clear();
    headers.extend(kept);
    headers
}

/// The next frame of a body. The timer is made only when there is something to wait for; most plain replies come with
/// their head.
pub(super) async fn frame_by(
    body: &mut Incoming,
    by: impl FnOnce() -> Instant,
) -> Result<Option<hyper::Result<Frame<Bytes>>>, Elapsed> {
    match poll_fn(|task| Poll::Ready(Pin::new(&mut *body).poll_frame(task))).await {
        Poll::Ready(frame) => Ok(frame),
        Poll::Pending => timeout_at(by(), body.frame()).await,
    }
}
