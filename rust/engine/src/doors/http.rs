//! The edge door: HTTP/1.1 and HTTP/2 (prior knowledge) on one port, served on the I/O threads.
//!
//! Backpressure is real here: a reply is pulled from the upstream only as fast as the client reads, and a client that
//! leaves drops the exchange, which aborts the upstream.

#[cfg(test)]
mod sizes;

use std::convert::Infallible;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper::{Method, Request, Response, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::body::Received;
use super::framing::HEAD_BYTES;
use super::guard::{Activity, Guarded, Timeouts};
use super::streams::{Handed, Streams};
use super::{Endpoint, answer, body, decoded, endpoint, host_flaw, is_encoded, malformed};
use crate::admission;
use crate::clocks::seconds;
use crate::decider::Door;
use crate::delivery::{BrokenOff, ReplyBody};
use crate::ingress::{Ingress, REQUEST_IDS, forwarded, request_id};
use crate::io::{Io, Share, Shared};
use crate::pressure::Room;
use crate::problem::{Problem, Reply};
use crate::waits::Waits;
use crate::{defect, exchange, failpoint, identity};

/// One read of a head or body.
const READ_BUFFER: usize = 64 * 1024;
/// Fields of a head, over either protocol.
const FIELDS: usize = 100;
const H2_STREAM_WINDOW: u32 = 64 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams that a peer may reset before they are accepted; [`super::floods`] counts those that were as well.
const H2_RESETS: usize = 100;
/// How long nobody is accepted then.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);
const H2_PING_EVERY: Duration = Duration::from_secs(30);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Accepts until told to stop.
pub async fn serve(io: Arc<Io>, listener: std::net::TcpListener) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    defect::kept(&io.shared.metrics.defects, || accept(&io, &listener)).await;
}

async fn accept(io: &Arc<Io>, listener: &TcpListener) {
    let mut stopping = io.shared.stopping.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // accept(2) hands on the errors of a connection that is gone already; the next one is not to wait for it.
            Err(error) if of_one_connection(&error) => continue,
            Err(_) => {
                // Out of descriptors, most likely: let exchanges end instead of spinning.
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                continue;
            }
        };
        failpoint::pass("door.accept");
        let open = Open::enter(io);
        let room = io.shared.pressure.room_after(u64::try_from(stream.as_raw_fd()).unwrap_or(0));
        if open.count > io.shared.bounds.connections || room == Room::None {
            io.shared.metrics.shed.fetch_add(1, Ordering::Relaxed);
            drop(stream);
            if room == Room::None {
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            }
            continue;
        }
        tokio::spawn(connection(stream, open));
    }
}

fn of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied)
}

/// A connection that counts.
struct Open {
    io: Arc<Io>,
    count: usize,
}

impl Open {
    fn enter(io: &Arc<Io>) -> Self {
        let count = io.shared.metrics.connections.fetch_add(1, Ordering::Relaxed) + 1;
        Self { io: io.clone(), count }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.io.shared.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection, for a test that drops it.
#[cfg(test)]
pub(crate) async fn serve_connection(io: Arc<Io>, stream: TcpStream) {
    connection(stream, Open::enter(&io)).await;
}

async fn connection(stream: TcpStream, open: Open) {
    let io = &open.io;
    let bounds = &io.shared.bounds;
    let _ = stream.set_nodelay(true);
    let head = seconds(bounds.head_timeout_s);
    let opened = Instant::now();
    let Ok(Some(h2)) = timeout(head, speaks_h2(&stream)).await else { return };
    let activity = Arc::new(Activity::new());
    let timeouts = Timeouts {
        head: (!h2).then_some(head),
        idle: seconds(bounds.keep_alive_s),
        write_stall: seconds(bounds.write_stall_s),
    };
    let socket = TokioIo::new(Guarded::new(stream, activity.clone(), timeouts, opened, io.shared.pressure.clone()));
    let service = {
        let (io, activity) = (io.clone(), activity.clone());
        service_fn(move |request| serve_one(io.clone(), activity.clone(), request))
    };
    // How a connection ends is the client's affair; what it means for an exchange is told by the dropped exchange.
    if h2 {
        // Boxed: HTTP/1 is what nearly all connections speak, and each would carry it.
        Box::pin(serve_h2(socket, service, &io.shared, &activity, timeouts)).await;
    } else {
        let mut serving = std::pin::pin!(h1(socket, service));
        let mut stopping = io.shared.stopping.subscribe();
        tokio::select! {
            _ = serving.as_mut() => return,
            _ = stopping.wait_for(|stopping| *stopping) => serving.as_mut().graceful_shutdown(),
        }
        let _ = serving.await;
    }
}

fn h1<S>(socket: TokioIo<Guarded>, service: S) -> http1::Connection<TokioIo<Guarded>, S>
where
    S: HttpService<Incoming, ResBody = DoorBody>,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(READ_BUFFER)
        .max_header_size(HEAD_BYTES as usize)
        .max_headers(FIELDS);
    builder.serve_connection(socket, service)
}

async fn serve_h2<S>(socket: TokioIo<Guarded>, service: S, shared: &Shared, activity: &Activity, timeouts: Timeouts)
where
    S: HttpService<Incoming, ResBody = DoorBody, Future: Send + 'static>,
{
    let bounds = &shared.bounds;
    let mut stopping = shared.stopping.subscribe();
    let mut builder = http2::Builder::new(Streams { write_stall: timeouts.write_stall });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.h2_streams)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_header_list_size(HEAD_BYTES)
        .max_pending_accept_reset_streams(H2_RESETS)
        .keep_alive_interval(H2_PING_EVERY)
        .keep_alive_timeout(H2_PING_TIMEOUT);
    let mut serving = std::pin::pin!(builder.serve_connection(socket, service));
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = stopping.wait_for(|stopping| *stopping) => {}
        () = activity.idle_for(timeouts.idle) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

/// Waits for the first bytes and tells HTTP/2 with prior knowledge (RFC 9113, section 3.3) from HTTP/1.
///
/// `None` when the client left. Four bytes decide: no HTTP/1 method begins with `PRI `.
async fn speaks_h2(stream: &TcpStream) -> Option<bool> {
    const PREFACE: &[u8; 4] = b"PRI ";
    let mut first = [0; 4];
    let mut pause = Duration::from_millis(10);
    loop {
        let read = stream.peek(&mut first).await.ok()?;
        let seen = first.get(..read)?;
        if seen.is_empty() {
            return None;
        }
        if !PREFACE.starts_with(seen) {
            return Some(false);
        }
        if read == PREFACE.len() {
            return Some(true);
        }
        // A peer that sends its preface byte by byte. What is there stays there, so nothing wakes for more; one that
        // never goes on must not cost a look every few milliseconds.
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

/// Reads the head and gives what is to be awaited. hyper keeps room for that with every connection, so the request
/// itself is not in it: the exchange has it, in a box.
fn serve_one(
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
            (None, Begun::Exchange(id, answer)) => exchange::contained(&io.shared, &id, answer).await,
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
    Exchange(Arc<str>, Pin<Box<F>>),
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
    let dialect = match endpoint(&head.method, &decoded(head.uri.path())) {
        Endpoint::Generate(dialect) => dialect,
        other => return Begun::Answered(answer(&io.shared, &other, &id)),
    };
    match admission::admit_at_once(&io.shared) {
        Ok(Some(place)) => *in_flight = Some(place),
        Ok(None) => {
            let answer = generate(io.clone(), started, id.clone(), dialect, head.headers, incoming);
            return Begun::Waits(id.clone(), Box::pin(once_admitted(io.clone(), id, answer)));
        }
        Err(problem) => return Begun::Answered(problem.reply(&id)),
    }
    io.shared.metrics.exchanges.fetch_add(1, Ordering::Relaxed);
    let answer = Box::pin(generate(io.clone(), started, id.clone(), dialect, head.headers, incoming));
    Begun::Exchange(id, answer)
}

/// Answers as soon as there is a place, which is the caller's to keep while the reply runs.
async fn once_admitted(io: Arc<Io>, id: Arc<str>, answer: impl Future<Output = Reply>) -> (Reply, Option<Share>) {
    failpoint::pass("door.queue");
    match admission::wait(&io.shared).await {
        Ok(place) => {
            io.shared.metrics.exchanges.fetch_add(1, Ordering::Relaxed);
            (answer.await, Some(place))
        }
        Err(problem) => (problem.reply(&id), None),
    }
}

async fn generate(
    io: Arc<Io>,
    started: Instant,
    id: Arc<str>,
    dialect: Dialect,
    headers: HeaderMap,
    mut incoming: Incoming,
) -> Reply {
    if is_encoded(headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes)) {
        tokio::spawn(body::discard(incoming));
        return unsupported_encoding().reply(&id);
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let forward = forwarded(&headers);
    let waits = Waits::of(&headers);
    drop(headers);
    let received = tokio::select! {
        biased;
        received = body::receive(started, &mut incoming, length, dialect, &io.shared) => received,
        () = io.shared.over() => Err(Problem::stopping()),
    };
    let (running, _held) = match received {
        Ok(Received { frames, scan, share }) => {
            let door = Door::Edge;
            let ingress = Ingress { started, request_id: id.clone(), door, dialect, forward, waits, frames, scan };
            (exchange::run(io, ingress, None), share)
        }
        Err(problem) => {
            // One that was too slow has nothing under way that could meet a closed connection.
            if problem.status != 408 {
                tokio::spawn(body::discard(incoming));
            }
            return problem.reply(&id);
        }
    };
    running.await
}

/// Compressed requests are refused: none of the clients known to us sends one, and inflating is a way to be bombed.
pub fn unsupported_encoding() -> Problem {
    Problem::request(415, "unsupported_content_encoding", "send the body without content-encoding")
}

/// The reply's body together with what ends with it.
struct DoorBody {
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
