//! The edge door: HTTP/1.1 and HTTP/2 (prior knowledge) on one port, served on the I/O threads.
//!
//! Backpressure is real here: a reply is pulled from the upstream only as fast as the client reads, and a client that
//! leaves drops the exchange, which aborts the upstream.

mod request;
#[cfg(test)]
mod sizes;

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use self::request::{DoorBody, serve_one};
use super::framing::HEAD_BYTES;
use super::guard::{Activity, Guarded, Timeouts};
use super::streams::Streams;
use crate::clocks::seconds;
use crate::io::{Io, Shared};
use crate::pressure::Room;
use crate::{defect, failpoint};

pub use request::unsupported_encoding;

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
