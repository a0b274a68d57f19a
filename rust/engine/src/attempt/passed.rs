//! A request that is passed on unread, and its reply: see [`crate::opaque`].
//!
//! The rule: a reply that is JSON is judged like any other, whole or by its ends; everything else begins with its first
//! byte, because nothing in it could be judged. The surprise: what is in a client's own file is never looked at, however
//! much it looks like an error.

use std::sync::Arc;

use bytes::Bytes;
use fastroute_core::failure::{Failure, Kind, Origin as Fault};
use fastroute_core::relay::{Inspect, Relay, RelaySpec, ReplyFacts, Stream, TailInspector, inspect_reply};
use fastroute_core::sse::Limits;
use hyper::body::Incoming;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode};

use super::framing::{acceptable, begins_as_reply};
use super::reply::Answer;
use super::request::{Letter, send};
use super::{Failed, Flow, Running, Success, Tried, WHOLE_REPLY_BYTES, Whole};
use crate::clocks::Ambiguous;
use crate::failpoint;
use crate::io::Io;
use crate::opaque::{Opaque, Passing};
use crate::upstream::{Lease, Origin};

/// Nothing of it is held, so it may be as long as the longest file that providers keep (512 MB), and more.
pub(crate) const PASSED_BYTES: u64 = 1 << 30;
/// Pictures come in events as well.
const EVENT: Limits = Limits { line_bytes: 8 << 20, event_bytes: 8 << 20 };
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Runs one attempt up to its commit point.
pub(super) async fn attempt(
    io: &Arc<Io>,
    origin: &Arc<Origin>,
    answer: Answer<'_>,
    passing: &Passing,
    id: Option<HeaderValue>,
) -> Tried {
    let Answer { words, ingress, due, patience, .. } = answer;
    let head = words.head;
    head.credential.ready(io, due).await?;
    let letter = Letter { words, ingress };
    // A file or a batch that is made twice stays twice.
    let makes = passing.method == Method::POST && matches!(passing.endpoint, Opaque::Files | Opaque::Batches);
    let repeats = patience.ambiguous_retry == Ambiguous::Once && !makes;
    let (response, lease) = send(&io.pools.of(origin), &letter, due, id, repeats).await?;
    failpoint::pass("attempt.head");
    if !response.status().is_success() {
        if response.status() == StatusCode::UNAUTHORIZED {
            head.credential.refused();
        }
        let mut failed = answer.refused(response, lease).await;
        if says_nothing_of_the_model(passing, failed.failure.kind) {
            failed.failure.origin = Fault::Client;
        }
        return Err(failed.hiding(head));
    }
    acceptable(&response, PASSED_BYTES)?;
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let tried = if is(kind, b"text/event-stream") && !passing.brings_a_file() {
        answer.first_event(response, lease).await
    } else {
        let judged = is(kind, b"application/json") && !passing.brings_a_file();
        answer.first_bytes(response, lease, judged).await
    };
    tried.map_err(|failed| failed.hiding(head))
}

/// A file that is not there, or somebody else's, is not the model; and where tokens are counted, limits, rights and
/// addresses are others than where the model answers.
fn says_nothing_of_the_model(passing: &Passing, kind: Kind) -> bool {
    match kind {
        Kind::NotFound | Kind::Forbidden => !passing.below.is_empty() || passing.endpoint.counts(),
        Kind::RateLimited => passing.endpoint.counts(),
        _ => false,
    }
}

fn is(content_type: &[u8], kind: &[u8]) -> bool {
    let said = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    said.trim_ascii().eq_ignore_ascii_case(kind)
}

impl Answer<'_> {
    /// Reads a stream until its first event.
    async fn first_event(self, response: Response<Incoming>, lease: Lease) -> Tried {
        let headers = kept(response.headers());
        let status = response.status();
        let spec = RelaySpec {
            inspect: Inspect::Raw,
            secrets: self.words.head.secrets(),
            usage_rule: self.target.usage_rule,
            limits: EVENT,
            ..RelaySpec::default()
        };
        let relay = Box::new(Stream::Passed(Relay::new(spec)));
        let running = self.first_of(relay, response.into_body(), lease).await?;
        if let Flow::Stream(relay) = &running.flow
            && relay.content_events() == 0
        {
            return Err(Failure::new(Kind::Malformed).saying("The provider's stream holds nothing.").into());
        }
        Ok(Success::Running(Box::new(Running { headers, status, ..running })))
    }

    /// Reads what is no stream: one that is judged until it is whole or long, any other until it begins.
    async fn first_bytes(self, response: Response<Incoming>, lease: Lease, judged: bool) -> Tried {
        let headers = kept(response.headers());
        let status = response.status();
        let mut body = response.into_body();
        let length = http_body::Body::size_hint(&body).exact();
        let (frames, whole) = self.held(&mut body, &lease, if judged { WHOLE_REPLY_BYTES } else { 0 }).await?;
        failpoint::pass("attempt.whole");
        if whole {
            let facts = if judged { self.judged(&frames, status) } else { Ok(ReplyFacts::default()) };
            let facts = facts.map_err(|failure| {
                let body = super::joined(&frames);
                let reply = (failure.pass_through && body.first() == Some(&b'{')).then_some(body);
                Failed { failure, reply }
            })?;
            lease.done();
            return Ok(Success::Whole(Box::new(Whole { headers, status, frames, facts })));
        }
        let flow = if judged {
            if !begins_as_reply(&frames) {
                return Err(Failure::new(Kind::Malformed).into());
            }
            let mut inspector = TailInspector::new(self.target.usage_rule);
            frames.iter().for_each(|frame| inspector.feed(frame.clone()));
            Flow::Long(Box::new(inspector))
        } else {
            Flow::Unread
        };
        let lease = Some(lease);
        Ok(Success::Running(Box::new(Running { headers, status, first: frames, body, lease, flow, length })))
    }

    /// What a whole JSON reply says about itself; an error among them, whatever its status.
    fn judged(&self, frames: &[Bytes], status: StatusCode) -> Result<ReplyFacts, Failure> {
        let body = super::joined(frames);
        if body.is_empty() && status == StatusCode::NO_CONTENT {
            return Ok(ReplyFacts::default());
        }
        inspect_reply(&body, self.target.usage_rule)
    }
}

/// Reply headers that go on.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let mut kept = super::framing::passed_on(headers.clone());
    kept.insert(CONTENT_TYPE, headers.get(CONTENT_TYPE).cloned().unwrap_or(OCTETS));
    if let Some(name) = headers.get(CONTENT_DISPOSITION) {
        kept.insert(CONTENT_DISPOSITION, name.clone());
    }
    kept
}
