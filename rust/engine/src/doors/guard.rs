//! A client socket under watch: heads that trickle, connections that idle, readers that do not read, floods.
//!
//! The surprise: timers are armed once and checked late. A request touches an atomic; only a timer that fires asks
//! what is really due.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::floods::Floods;
use super::framing::{Flaw, Framing};
use crate::pressure::{Pressure, Step};

/// A client that takes no byte for this long reads slowly enough to be let go where memory is short.
const SLOW_READER: Duration = Duration::from_secs(1);

/// What the connection's service is doing; shared with the socket's guard.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    begun: AtomicU32,
    ended: AtomicU32,
    /// When the last exchange ended, milliseconds after `opened`.
    ended_ms: AtomicU64,
    /// The first head that is not to be obeyed, and why.
    refused: OnceLock<(u32, &'static str)>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            begun: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            ended_ms: AtomicU64::new(0),
            refused: OnceLock::new(),
        }
    }

    /// A head was complete; says what is wrong with its framing.
    pub(super) fn begin(&self) -> Option<&'static str> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.refused.get().filter(|(refused, _)| number >= *refused).map(|(_, flaw)| *flaw)
    }

    pub(super) fn end(&self) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ended_ms.store(since, Ordering::Relaxed);
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Exchanges are under way: one over HTTP/1, any number over HTTP/2.
    fn busy(&self) -> bool {
        self.begun.load(Ordering::Relaxed) != self.ended.load(Ordering::Relaxed)
    }

    /// Waits until nothing was under way for so long.
    pub(super) async fn idle_for(&self, limit: Duration) {
        loop {
            let since = if self.busy() { Instant::now() } else { self.idle_since() };
            if since.elapsed() >= limit {
                return;
            }
            sleep_until(since + limit).await;
        }
    }

    fn idle_since(&self) -> Instant {
        self.opened + Duration::from_millis(self.ended_ms.load(Ordering::Relaxed))
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// First byte of a head to its last; `None` for HTTP/2, where pings and the connection's own task watch.
    pub(super) head: Option<Duration>,
    pub(super) idle: Duration,
    pub(super) write_stall: Duration,
}

/// What the bytes that are read are checked for.
enum Watch {
    Http1(Framing),
    /// Its frames have one reading only.
    Http2(Floods),
}

pub(super) struct Guarded {
    stream: TcpStream,
    watch: Watch,
    /// What came is not to be obeyed, such as a body that is not framed as it should be: nothing more is read.
    broken: Option<&'static str>,
    /// The last write left off in the middle of what it was given.
    mid_write: bool,
    activity: Arc<Activity>,
    timeouts: Timeouts,
    /// When the head being read began, or `None` between requests.
    head_since: Option<Instant>,
    /// Exchanges begun when the guard last looked: one more means that a head was complete.
    heads: u32,
    read_timer: Option<Pin<Box<Sleep>>>,
    stalled_since: Option<Instant>,
    write_timer: Option<Pin<Box<Sleep>>>,
    pressure: Arc<Pressure>,
}

impl Guarded {
    /// `opened` is when the connection was accepted: the clock of its first head runs from there.
    pub(super) fn new(
        stream: TcpStream,
        activity: Arc<Activity>,
        timeouts: Timeouts,
        opened: Instant,
        pressure: Arc<Pressure>,
    ) -> Self {
        let watch = if timeouts.head.is_some() { Watch::Http1(Framing::new()) } else { Watch::Http2(Floods::new()) };
        Self {
            stream,
            watch,
            broken: None,
            mid_write: false,
            activity,
            timeouts,
            head_since: Some(opened),
            heads: 0,
            read_timer: None,
            stalled_since: None,
            write_timer: None,
            pressure,
        }
    }

    /// Nothing to read: has the wait become too long?
    fn poll_patience(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(head) = self.timeouts.head else { return Poll::Pending };
        let heads = self.activity.begun.load(Ordering::Relaxed);
        if heads != self.heads {
            self.heads = heads;
            self.head_since = None;
        }
        if self.activity.busy() {
            return Poll::Pending;
        }
        loop {
            let idle_due = self.activity.idle_since() + self.timeouts.idle;
            let due = self.head_since.map_or(idle_due, |since| since + head);
            let timer = self.read_timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(task));
            if Instant::now() >= due {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client was silent for too long")));
            }
            timer.as_mut().reset(due);
        }
    }

    /// Has what was read checked; false when none of it is to be seen by anybody.
    fn check(&mut self, into: &mut ReadBuf<'_>, before: usize) -> bool {
        let read = into.filled().get(before..).unwrap_or_default();
        let framing = match &mut self.watch {
            Watch::Http1(framing) => framing,
            Watch::Http2(floods) => {
                let calm = floods.feed(read);
                if !calm {
                    // Between two writes of whole frames, or not at all: the connection ends either way.
                    if !self.mid_write {
                        let _ = self.stream.try_write(&floods.goaway());
                    }
                    self.broken = Some("the client floods its connection");
                    into.set_filled(before);
                }
                return calm;
            }
        };
        match framing.feed(read) {
            Ok(()) => true,
            Err(Flaw::Head(number, flaw)) => {
                let _ = self.activity.refused.set((number, flaw));
                true
            }
            Err(Flaw::Body(sound, flaw)) => {
                self.broken = Some(flaw);
                into.set_filled(before + sound);
                sound > 0
            }
        }
    }

    /// The client takes no bytes: since when, and is that too long? It is asked every second, because how long is too
    /// long depends on the memory that is left.
    fn poll_stall(&mut self, task: &mut Context<'_>) -> Poll<io::Error> {
        let since = *self.stalled_since.get_or_insert_with(Instant::now);
        let due = since + self.timeouts.write_stall;
        loop {
            let soon = due.min(Instant::now() + SLOW_READER);
            let timer = self.write_timer.get_or_insert_with(|| Box::pin(sleep_until(soon)));
            ready!(timer.as_mut().poll(task));
            let now = Instant::now();
            let pressed = self.pressure.at(Step::SlowReaders) && now >= since + SLOW_READER;
            if now >= due || pressed {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly"));
            }
            timer.as_mut().reset(due.min(now + SLOW_READER));
        }
    }

    fn wrote(
        &mut self,
        offered: usize,
        written: Poll<io::Result<usize>>,
        task: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.mid_write = !matches!(written, Poll::Ready(Ok(taken)) if taken == offered);
        if written.is_ready() {
            self.stalled_since = None;
            return written;
        }
        self.poll_stall(task).map(Err)
    }
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ill_framed = |flaw| Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, flaw)));
        if let Some(flaw) = this.broken {
            return ill_framed(flaw);
        }
        let before = into.filled().len();
        match Pin::new(&mut this.stream).poll_read(task, into) {
            Poll::Pending => this.poll_patience(task),
            ready @ Poll::Ready(_) => {
                let sound = this.check(into, before);
                let between = !this.activity.busy();
                if into.filled().len() > before && between && this.head_since.is_none() {
                    this.head_since = Some(Instant::now());
                }
                match this.broken {
                    Some(flaw) if !sound => ill_framed(flaw),
                    _ => ready,
                }
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(task, from);
        this.wrote(from.len(), written, task)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(task, from);
        this.wrote(from.iter().map(|part| part.len()).sum(), written, task)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(task)
    }
}
