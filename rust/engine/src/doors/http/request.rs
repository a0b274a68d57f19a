//! One request of the edge door, from its head to the body of its reply.
//!
//! The rule: what can be refused by its head is refused there, and a body is read only where there is a place for it. The
//! surprise: over HTTP/2 the head is looked at in the task of the whole connection, so a defect there is caught here.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, Version};
use tokio::time::Instant;

use super::FIELDS;
use crate::admission;
use crate::decider::Door;
use crate::delivery::{BrokenOff, ReplyBody};
use crate::doors::body::{self, Received};
use crate::doors::guard::Activity;
use crate::doors::streams::Handed;
use crate::doors::{Endpoint, Hints, answer, decoded, endpoint, host_flaw, is_encoded, malformed};
use crate::ingress::{Ingress, REQUEST_IDS, forwarded, request_id};
use crate::io::{Io, Share};
use crate::opaque::routed;
use crate::problem::{Problem, Reply};
use crate::spoken::{Spoken, restyled};
use crate::waits::Waits;
use crate::{defect, exchange, failpoint, identity};

/// Reads the head and gives what is to be awaited. hyper keeps room for that with every connection, so the request
/// itself is not in it: the exchange has it, in a box.
pub(super) fn serve_one(
    io: Arc<Io>,
    activity: Arc<Activity>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<DoorBody>, Infallible>> {
    let mut in_flight = None;
    let version = request.version();
    let head_only = request.method() == Method::HEAD;
    let misplaced = host_flaw_of(&request);
    // HTTP/2 asks for this in the task of the whole connection.
    let begun = defect::caught(|| begin(&io, request, &mut in_flight))
        .unwrap_or_else(|| Begun::Answered(exchange::defective(&io.shared, &identity::fresh(&io.shared.dice))));
    async move {
        // Not sooner: between the head and this poll the guard is asked once more, and sets its clock for an idle
        // connection, which is what ends this one when the reply is out.
        let flaw = activity.begin().or(misplaced);
        let mut running = Running { activity, place: in_flight };
        let reply = match (flaw, begun) {
            (Some(flaw), _) => malformed(flaw).reply(&identity::fresh(&io.shared.dice)),
            (None, Begun::Answered(reply)) => reply,
            (None, Begun::Exchange(id, dialect, answer)) => {
                restyled(exchange::contained(&io.shared, &id, answer).await, dialect)
            }
            (None, Begun::Waits(id, answer)) => match defect::outlived(answer).await {
                Some((reply, place)) => {
                    running.place = place;
                    reply
                }
                None => exchange::defective(&io.shared, &id),
            },
        };
        let last = io.shared.leaving() || flaw.is_some();
        let response = defect::caught(|| respond(reply, Some(running), version, head_only, last));
        Ok(response.unwrap_or_else(|| {
            let reply = exchange::defective(&io.shared, &identity::fresh(&io.shared.dice));
            respond(reply, None, version, head_only, last)
        }))
    }
}

fn respond(
    mut reply: Reply,
    running: Option<Running>,
    version: Version,
    head_only: bool,
    last: bool,
) -> Response<DoorBody> {
    failpoint::pass("door.reply");
    // hyper leaves out the body of such a reply over HTTP/1 only.
    if head_only && version == Version::HTTP_2 {
        if let Some(length) = reply.body.size_hint().exact() {
            reply.headers.insert(CONTENT_LENGTH, length.into());
        }
        reply.body = ReplyBody::frames([]);
    }
    let handed = if version == Version::HTTP_2 { Handed::of_this_stream() } else { None };
    let mut response = Response::new(DoorBody { inner: reply.body, handed, _running: running });
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    if last && version == Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn host_flaw_of(request: &Request<Incoming>) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes);
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let required = request.version() == Version::HTTP_11;
    match (hosts.next(), hosts.next()) {
        (None, _) => host_flaw(&[], authority, required),
        (Some(one), None) => host_flaw(&[one], authority, required),
        (Some(one), Some(two)) => host_flaw(&[one, two], authority, required),
    }
}

/// Ends with the reply's last byte, or with the client.
struct Running {
    activity: Arc<Activity>,
    /// Held for as long as the reply runs.
    place: Option<Share>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.activity.end();
    }
}

/// What came of the head of a request.
enum Begun<F> {
    /// It needs no upstream, or there is no room for it.
    Answered(Reply),
    Exchange(Arc<str>, Dialect, Pin<Box<F>>),
    /// All places are taken: it waits for one before its body is read.
    Waits(Arc<str>, Pin<Box<dyn Future<Output = (Reply, Option<Share>)> + Send>>),
}

fn begin(
    io: &Arc<Io>,
    request: Request<Incoming>,
    in_flight: &mut Option<Share>,
) -> Begun<impl Future<Output = Reply> + use<>> {
    let started = Instant::now();
    failpoint::pass("door.head");
    let (head, incoming) = request.into_parts();
    // hyper counts them over HTTP/1 only.
    if head.headers.len() > FIELDS {
        let problem = Problem::request(431, "too_many_headers", format!("a request may have {FIELDS} headers"));
        return Begun::Answered(problem.reply(&identity::fresh(&io.shared.dice)));
    }
    let offered = REQUEST_IDS.iter().filter_map(|name| head.headers.get(*name)?.to_str().ok());
    let id = request_id(offered, || identity::fresh(&io.shared.dice));
    let path = decoded(head.uri.path());
    let hints = Hints::of(&path, |name| head.headers.contains_key(name));
    let spoken = match endpoint(&head.method, &path, hints) {
        Endpoint::Generate(spoken) => spoken.asking(head.uri.query().unwrap_or_default()),
        other => return Begun::Answered(answer(&io.shared, &other, &id)),
    };
    match admission::admit_at_once(&io.shared) {
        Ok(Some(place)) => *in_flight = Some(place),
        Ok(None) => {
            let dialect = spoken.dialect;
            let answer = generate(io.clone(), started, id.clone(), spoken, head.headers, incoming);
            return Begun::Waits(id.clone(), Box::pin(once_admitted(io.clone(), id, dialect, answer)));
        }
        Err(problem) => return Begun::Answered(restyled(problem.reply(&id), spoken.dialect)),
    }
    io.shared.metrics.exchanges.fetch_add(1, Ordering::Relaxed);
    let dialect = spoken.dialect;
    let answer = Box::pin(generate(io.clone(), started, id.clone(), spoken, head.headers, incoming));
    Begun::Exchange(id, dialect, answer)
}

/// Answers as soon as there is a place, which is the caller's to keep while the reply runs.
async fn once_admitted(
    io: Arc<Io>,
    id: Arc<str>,
    dialect: Dialect,
    answer: impl Future<Output = Reply>,
) -> (Reply, Option<Share>) {
    failpoint::pass("door.queue");
    match admission::wait(&io.shared).await {
        Ok(place) => {
            io.shared.metrics.exchanges.fetch_add(1, Ordering::Relaxed);
            (restyled(answer.await, dialect), Some(place))
        }
        Err(problem) => (restyled(problem.reply(&id), dialect), None),
    }
}

pub(super) async fn generate(
    io: Arc<Io>,
    started: Instant,
    id: Arc<str>,
    spoken: Spoken,
    headers: HeaderMap,
    mut incoming: Incoming,
) -> Reply {
    let mut spoken = spoken.bearing(headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()));
    let dialect = spoken.dialect;
    if is_encoded(headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes)) {
        tokio::spawn(body::discard(incoming));
        return restyled(unsupported_encoding().reply(&id), dialect);
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let forward = forwarded(&headers, &spoken);
    let waits = Waits::of(&headers);
    drop(headers);
    let received = tokio::select! {
        biased;
        received = body::receive(started, &mut incoming, length, &mut spoken, &io.shared) => received,
        () = io.shared.over() => Err(Problem::stopping()),
    };
    let received = received.and_then(|received| {
        routed(&mut spoken, &received.scan, &io.shared.tables.current())?;
        Ok(received)
    });
    let (running, _held) = match received {
        Ok(Received { frames, scan, share }) => {
            let door = Door::Edge;
            let request_id = id.clone();
            let ingress = Ingress { started, request_id, door, spoken, forward, waits, frames, scan };
            (exchange::run(io, ingress, None), share)
        }
        Err(problem) => {
            // One that was too slow has nothing under way that could meet a closed connection.
            if problem.status != 408 {
                tokio::spawn(body::discard(incoming));
            }
            return restyled(problem.reply(&id), dialect);
        }
    };
    running.await
}

/// Compressed requests are refused: none of the clients known to us sends one, and inflating is a way to be bombed.
pub fn unsupported_encoding() -> Problem {
    Problem::request(415, "unsupported_content_encoding", "send the body without content-encoding")
}

/// The reply's body together with what ends with it.
pub(super) struct DoorBody {
    inner: ReplyBody,
    /// Of an HTTP/2 stream.
    handed: Option<Arc<Handed>>,
    _running: Option<Running>,
}

impl Body for DoorBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(task);
        if let Some(handed) = &self.handed {
            if matches!(polled, Poll::Ready(Some(Ok(_)))) { handed.gave() } else { handed.asked() }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
