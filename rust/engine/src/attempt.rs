//! One try at one target: send, wait, classify, and stop at the commit point.
//!
//! An attempt succeeds when there is content to show: the whole reply, the first 64 KiB of a long one, or a stream's
//! first content event. Everything before that can still fail over unseen. Dropping an attempt aborts it upstream.

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::failure::{ErrorReply, Failure, Kind, Origin};
use fastroute_core::json::{Edit, Field, splice};
use fastroute_core::relay::{Inspect, Relay, RelaySpec, ReplyFacts, Slices, TailInspector, inspect_reply};
use fastroute_core::sse;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use hyper::{Method, Request, Response, Uri};
use smallvec::SmallVec;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use crate::clocks::{Due, Patience};
use crate::ingress::Ingress;
use crate::io::Io;
use crate::table::{self, Head, Target};
use crate::upstream::{ConnectError, Lease, Outgoing, Pool, SendError};
use crate::{echo, failpoint, render};

/// A unary reply up to here is judged whole; a longer one commits here and is relayed frame by frame.
pub(crate) const WHOLE_REPLY_BYTES: usize = 64 * 1024;
/// A plain reply beyond this is refused: nobody's answer is that long, and each open one may fill buffers on its way.
pub(crate) const REPLY_BYTES: u64 = 64 * 1024 * 1024;
/// The same for a stream: some 128,000 tokens, each in an event of its own, stay below a quarter of it.
pub(crate) const STREAM_BYTES: u64 = 256 * 1024 * 1024;
/// What is kept of an error reply.
const ERROR_BODY_BYTES: usize = 64 * 1024;
/// How long the body of an error reply is waited for: its status is enough to go on elsewhere.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(2);

/// Names the attempt to the upstream as the journal does, so that the two can be matched.
const X_ATTEMPT: HeaderName = HeaderName::from_static("x-fastroute-attempt");

pub(crate) type Frames = Slices;

/// There is content to show.
pub(crate) enum Success {
    /// The complete reply is in hand and valid.
    Whole(Box<Whole>),
    /// Content has begun; the rest is on its way.
    Running(Box<Running>),
}

impl Success {
    /// The upstream's headers that go on, with room for ours.
    pub(crate) fn take_headers(&mut self) -> HeaderMap {
        let headers = match self {
            Self::Whole(whole) => &mut whole.headers,
            Self::Running(running) => &mut running.headers,
        };
        std::mem::take(headers)
    }
}

/// A reply with nothing left to wait for; also a stream, where it was made in this process.
pub(crate) struct Whole {
    pub(crate) headers: HeaderMap,
    pub(crate) frames: Frames,
    pub(crate) facts: ReplyFacts,
}

/// A committed reply that is still arriving.
pub(crate) struct Running {
    pub(crate) headers: HeaderMap,
    pub(crate) first: Frames,
    pub(crate) body: Incoming,
    pub(crate) lease: Option<Lease>,
    pub(crate) flow: Flow,
    /// Length the upstream announced, for replies relayed frame by frame.
    pub(crate) length: Option<u64>,
}

/// How the rest of a reply is inspected.
pub(crate) enum Flow {
    Stream(Box<Relay>),
    Long(Box<TailInspector>),
}

/// No content came of it.
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    /// The upstream's own error reply, where the client may see it.
    pub(crate) reply: Option<Bytes>,
}

/// What an attempt came to.
pub(crate) type Tried = Result<Success, Failed>;

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, reply: None }
    }
}

/// Runs one attempt up to its commit point.
pub(crate) async fn attempt(
    io: &Arc<Io>,
    target: &Target,
    ingress: &Ingress,
    patience: &Patience,
    due: Due,
    id: Option<HeaderValue>,
) -> Result<Success, Failed> {
    let origin = match &target.kind {
        table::Kind::Echo => return Box::pin(echo::answer(ingress)).await.map_err(Failed::from),
        table::Kind::Http(origin) => origin,
    };
    let Some(head) = target.head(ingress.dialect) else {
        // The client's mistake: the target was not asked, and other requests do well there.
        return Err(Failure::at(Kind::NotFound, Origin::Client)
            .saying(format!("{} does not serve this endpoint", target.provider))
            .into());
    };
    let frames = edited(ingress, target)?;
    let pool = io.pools.of(origin);
    let (response, lease) = send(&pool, head, ingress, &frames, due, id).await?;
    failpoint::pass("attempt.head");
    if !response.status().is_success() {
        return Err(Box::pin(refused(response, lease, due.by)).await);
    }
    acceptable(&response)?;
    if ingress.stream() && is_event_stream(response.headers()) {
        first_content(response, lease, target, ingress, patience, due).await
    } else {
        whole(response, lease, target, ingress, patience, due).await
    }
}

/// Refuses a reply by its head, before its first byte is looked at.
fn acceptable(response: &Response<Incoming>) -> Result<(), Failure> {
    let headers = response.headers();
    // Two lengths for one body: no two readers would agree on where it ends (RFC 9112, section 6.3).
    if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
        return Err(Failure::new(Kind::Malformed));
    }
    // Asked for as it is. What comes packed all the same may be a bomb, and nothing in it could be looked at.
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(
            Failure::new(Kind::Malformed).saying("The provider compressed its reply although it was asked not to.")
        );
    }
    if response.body().size_hint().exact().is_some_and(|length| length > REPLY_BYTES) {
        return Err(Failure::new(Kind::ResponseTooLarge));
    }
    Ok(())
}

/// The client's frames with the model renamed and, for streams, usage asked for.
fn edited(ingress: &Ingress, target: &Target) -> Result<Frames, Failure> {
    failpoint::pass("attempt.edit");
    let scan = &ingress.scan;
    let mut edits: SmallVec<[Edit; 2]> = SmallVec::new();
    if let Some(at) = scan.span(Field::Model) {
        let renamed = match &target.model {
            Some(model) => Some(model.clone()),
            None => ingress.model().split_once('/').map(|(_, rest)| fastroute_core::json::quote(rest)),
        };
        if let Some(with) = renamed {
            edits.push(Edit { at, with });
        }
    }
    if ingress.forces_usage() {
        edits.extend(scan.ask_for_usage());
    }
    splice(&ingress.frames, &edits)
        .map(|frames| frames.into_iter().collect())
        .map_err(|_| Failure::new(Kind::Internal).saying("the request could not be edited"))
}

/// Sends, with one replay of our own: only when the connection was reused after a rest and not one byte came back, because
/// then the peer had closed it while it was idle (hyperium/hyper#2136) and has not seen the request; or when hyper says
/// that it wrote nothing.
async fn send(
    pool: &Arc<Pool>,
    head: &Head,
    ingress: &Ingress,
    frames: &Frames,
    due: Due,
    id: Option<HeaderValue>,
) -> Result<(Response<Incoming>, Lease), Failure> {
    let mut fresh = false;
    loop {
        let ready = if fresh { None } else { pool.ready(due.began) };
        let mut lease = if let Some(lease) = ready {
            lease
        } else {
            // Boxed: connecting is rare and large, and every exchange would carry it.
            let leased = timeout_at(due.by, Box::pin(pool.lease(fresh))).await.map_err(|_| due.missed())?;
            leased.map_err(|error| unreachable(&error))?
        };
        failpoint::pass("attempt.send");
        match lease.send(compose(head, ingress, frames, id.clone()), due.began, due.by).await {
            Ok(response) => return Ok((response, lease)),
            Err(SendError::Broken(_)) if lease.defective() => return Err(Failure::new(Kind::Internal)),
            Err(SendError::Late) => return Err(due.missed()),
            Err(SendError::Unread) => {
                return Err(
                    Failure::new(Kind::UpstreamTimeout).saying("The provider did not take the request in time.")
                );
            }
            Err(SendError::Broken(error)) if lease.silent() && unconfirmed(&error) => {
                pool.forget_idle();
                // As good as no connection, unless it was in use a moment ago: then the confirmation may be what was lost.
                return Err(Failure::new(if lease.rested() { Kind::ConnectTimeout } else { Kind::Reset }));
            }
            Err(SendError::Broken(error))
                if lease.silent() && !fresh && (lease.rested() || lease.reused() && error.is_canceled()) =>
            {
                fresh = true;
            }
            Err(SendError::Broken(error)) => return Err(broken(&error, lease.silent())),
        }
    }
}

/// The request as it goes upstream.
fn compose(head: &Head, ingress: &Ingress, frames: &Frames, id: Option<HeaderValue>) -> Request<Outgoing> {
    let mut request = Request::new(Outgoing::new(frames.iter().cloned()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from(head.path.clone());
    let length = request.body().size_hint().exact().unwrap_or_default();
    let headers = request.headers_mut();
    headers.clone_from(&head.headers);
    headers.insert(CONTENT_LENGTH, render::number(length));
    for (name, value) in &ingress.forward {
        // What the operator set for this provider stands; a second value beside it would mean nothing.
        headers.entry(name).or_insert_with(|| value.clone());
    }
    if let Some(id) = id {
        headers.insert(X_ATTEMPT, id);
    }
    request
}

fn unreachable(error: &ConnectError) -> Failure {
    match error {
        ConnectError::Resolve => Failure::new(Kind::Dns),
        ConnectError::Connect(error) if error.kind() == io::ErrorKind::TimedOut => Failure::new(Kind::ConnectTimeout),
        ConnectError::Connect(_) => Failure::new(Kind::Refused),
        ConnectError::Tls => Failure::new(Kind::Tls),
    }
}

/// The peer's kernel did not confirm what was sent, so this one gave up.
fn unconfirmed(error: &hyper::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable))
}

/// What a transport error means once the request was on its way.
pub(crate) fn broken(error: &hyper::Error, silent: bool) -> Failure {
    let reset = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe));
    if silent && error.is_canceled() {
        // hyper's word for a request that it never began to write.
        Failure::new(Kind::ResetUnwritten)
    } else if error.is_parse() || error.is_user() {
        Failure::new(Kind::Malformed)
    } else if reset || silent || error.is_incomplete_message() {
        Failure::new(Kind::Reset)
    } else {
        Failure::new(Kind::Malformed)
    }
}

/// Reads an error reply and classifies it.
async fn refused(response: Response<Incoming>, lease: Lease, by: Instant) -> Failed {
    let status = response.status().as_u16();
    let (parts, body) = response.into_parts();
    let by = by.min(Instant::now() + ERROR_BODY_WAIT);
    let collected = timeout_at(by, http_body_util::Limited::new(body, ERROR_BODY_BYTES).collect()).await;
    // A body that is cut, late or too long leaves the status, which is enough to go on.
    let body = match collected {
        Ok(Ok(body)) => {
            lease.done();
            body.to_bytes()
        }
        _ => Bytes::new(),
    };
    failpoint::pass("attempt.refused");
    let header = |name: &str| parts.headers.get(name).map(HeaderValue::as_bytes);
    let failure = ErrorReply {
        status,
        body: &body,
        retry_after: header("retry-after"),
        retry_after_ms: header("retry-after-ms"),
        should_retry: header("x-should-retry"),
        now: SystemTime::now(),
    }
    .classify();
    let json = body.first() == Some(&b'{');
    let reply = (failure.pass_through && json).then_some(body);
    Failed { failure, reply }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        value.as_bytes().get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
    })
}

/// Reads a unary reply until it is whole or longer than [`WHOLE_REPLY_BYTES`].
async fn whole(
    response: Response<Incoming>,
    lease: Lease,
    target: &Target,
    ingress: &Ingress,
    patience: &Patience,
    due: Due,
) -> Result<Success, Failed> {
    let (parts, mut body) = response.into_parts();
    // What the framing promises, which a header may contradict.
    let length = body.size_hint().exact();
    let mut frames = Frames::new();
    let mut held = 0;
    let ended = loop {
        let idle = || Instant::now() + crate::clocks::seconds(patience.idle_timeout_s);
        match frame_by(&mut body, || due.by.min(idle())).await {
            Err(_) if Instant::now() < due.by => return Err(Failure::new(Kind::Stalled).into()),
            Err(_) => return Err(due.missed().into()),
            Ok(None) => break true,
            Ok(Some(Err(_))) if lease.defective() => return Err(Failure::new(Kind::Internal).into()),
            Ok(Some(Err(error))) => {
                let kind = if misframed(&error) { Kind::Malformed } else { Kind::Truncated };
                return Err(Failure::new(kind).into());
            }
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    held += data.len();
                    frames.push(data);
                }
            }
        }
        // Known from the framing: one look less at the clock, and at the connection.
        if body.is_end_stream() {
            break true;
        }
        if held > WHOLE_REPLY_BYTES {
            break false;
        }
    };
    if !ended {
        // The client asked for a stream and got a long plain reply: nobody can relay that as events.
        if ingress.stream() {
            return Err(Failure::new(Kind::Malformed).into());
        }
        let mut inspector = TailInspector::new(target.usage_rule);
        for frame in &frames {
            inspector.feed(frame.clone());
        }
        return Ok(Success::Running(Box::new(Running {
            headers: passed_on(parts.headers),
            first: frames,
            body,
            lease: Some(lease),
            flow: Flow::Long(Box::new(inspector)),
            length,
        })));
    }
    failpoint::pass("attempt.whole");
    let inspected = match frames.as_slice() {
        [only] => inspect_reply(only, target.usage_rule),
        several => inspect_reply(&several.concat(), target.usage_rule),
    };
    // An error in a reply that says it is none: where it speaks of the request, the client reads it as it was told.
    let facts = inspected.map_err(|failure| {
        let json = frames.first().is_some_and(|first| first.first() == Some(&b'{'));
        let reply = (failure.pass_through && json).then(|| frames.concat().into());
        Failed { failure, reply }
    })?;
    if facts.empty && ingress.dialect == Dialect::OpenAiChat {
        refuse_empty(patience, facts.finish_reason.as_deref())?;
    }
    // Only now: a peer that answers with something else is not asked again on the same connection.
    lease.done();
    if ingress.stream() {
        return Err(Failure::new(Kind::Malformed)
            .saying("the upstream answered a stream request without a stream")
            .into());
    }
    Ok(Success::Whole(Box::new(Whole { headers: passed_on(parts.headers), frames, facts })))
}

/// Reads a stream until its first content event. What came before is held and goes out with it.
async fn first_content(
    response: Response<Incoming>,
    lease: Lease,
    target: &Target,
    ingress: &Ingress,
    patience: &Patience,
    due: Due,
) -> Result<Success, Failed> {
    let (parts, mut body) = response.into_parts();
    let spec = RelaySpec {
        inspect: Inspect::OpenAiChat,
        usage_rule: target.usage_rule,
        hide_usage: ingress.forces_usage(),
        limits: sse::Limits::default(),
    };
    let mut relay = Box::new(Relay::new(spec));
    let mut first = Frames::new();
    let mut ended = false;
    let mut next_by = due;
    while !relay.content_started() && !ended {
        let fed = match frame_by(&mut body, || next_by.by).await {
            Err(_) => Err(next_by.missed()),
            Ok(None) => {
                ended = true;
                relay.end(&mut first)
            }
            Ok(Some(Err(_))) if lease.defective() => Err(Failure::new(Kind::Internal)),
            // Reset after its last word, perhaps: the relay knows.
            Ok(Some(Err(error))) => {
                ended = true;
                relay.end(&mut first).map_err(|failure| cut(&error, failure))
            }
            Ok(Some(Ok(frame))) => frame.into_data().map_or(Ok(()), |data| relay.feed(data, &mut first)),
        };
        failpoint::pass("attempt.first");
        if let Err(failure) = fed {
            let reply = if failure.pass_through { relay.error_body().cloned() } else { None };
            return Err(Failed { failure, reply });
        }
        if !relay.content_started() {
            // From its first bytes on a silence is a stall; until then the model may be reading a long prompt.
            next_by = due.or(Instant::now() + crate::clocks::seconds(patience.idle_timeout_s), Kind::Stalled);
        }
    }
    if relay.content_events() == 0 {
        refuse_empty(patience, relay.finish_reason())?;
    }
    Ok(Success::Running(Box::new(Running {
        headers: passed_on(parts.headers),
        first,
        body,
        lease: Some(lease),
        flow: Flow::Stream(relay),
        length: None,
    })))
}

/// A reply without content is a failure where the route says so. One that a filter emptied is not: asking elsewhere
/// would be shopping for another opinion.
fn refuse_empty(patience: &Patience, finish_reason: Option<&str>) -> Result<(), Failure> {
    if !patience.retry_empty || finish_reason == Some("content_filter") {
        return Ok(());
    }
    Err(Failure::new(Kind::Malformed).saying("The provider's reply holds no content."))
}

/// The body's own framing was broken: a chunk size that is no number, or beyond any size.
fn misframed(error: &hyper::Error) -> bool {
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
fn passed_on(mut headers: HeaderMap) -> HeaderMap {
    fn wanted(name: &HeaderName) -> bool {
        let name = name.as_str();
        name.starts_with("openai-") || name.starts_with("x-ratelimit-")
    }
    let kept: SmallVec<[(HeaderName, HeaderValue); 2]> =
        headers.iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    headers.clear();
    headers.extend(kept);
    headers
}

/// The next frame of a body. The timer is made only when there is something to wait for; most plain replies come with
/// their head.
async fn frame_by(
    body: &mut Incoming,
    by: impl FnOnce() -> Instant,
) -> Result<Option<hyper::Result<Frame<Bytes>>>, Elapsed> {
    match poll_fn(|task| Poll::Ready(Pin::new(&mut *body).poll_frame(task))).await {
        Poll::Ready(frame) => Ok(frame),
        Poll::Pending => timeout_at(by(), body.frame()).await,
    }
}
