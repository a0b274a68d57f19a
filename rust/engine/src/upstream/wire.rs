//! A connection's bytes, as they pass between hyper and the socket.
//!
//! Three things can only be seen here: that not one byte of an answer came, that the peer takes nothing of a request, and
//! that it sends interim answers (1xx) without end, which hyper passes over in silence. The surprise: the kernel ends a
//! connection whose peer confirms nothing, and that also ends one whose peer only reads slowly, so it waits for longer
//! once a long request was sent. A peer that answers early and reads no further breaks our writing, not its answer: what
//! is left of the request is then written nowhere, and the answer is read.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use crate::failpoint;
use crate::journal::Lane;

/// Bytes of one read. hyper doubles its read buffer when a read fills it, up to the bound that it has for writes as well.
/// One byte less than 32 KiB never fills that much: a client that reads slowly makes us hold little, and the bound is free
/// to be what one write of a large request wants.
const READ: u64 = 32 * 1024 - 1;
/// A request body of which the peer takes no byte for this long is given up.
pub(super) const WRITE_IDLE: Duration = Duration::from_secs(30);
/// Interim answers before the answer itself. A server has one or two to give (100, 102, 103).
const INTERIM: u64 = 16;
/// Bytes up to the end of an answer's head: more than hyper's longest head and one of its longest reads together.
const HEAD_BYTES: u64 = 1024 * 1024;
const INTERIM_LINE: &[u8] = b"HTTP/1.1 1";
/// A peer that reads slowly confirms nothing either. That it takes nothing is found out by [`WRITE_IDLE`], which knows
/// what it means; the kernel is behind it.
const LONG_UNCONFIRMED: Duration = Duration::from_secs(40);
/// More than this in one request may not fit into what a peer takes without reading it.
const LONG_WRITE: usize = 32 * 1024;
/// Networks are given at least this to deliver a packet once more.
const LEAST_UNCONFIRMED: Duration = Duration::from_secs(1);
/// The answer began with its own head: nothing is counted any more.
const PLAIN: u64 = u64::MAX;

pub(super) enum Transport {
    Plain(Take<TcpStream>),
    Tls(Take<Box<TlsStream<TcpStream>>>),
}

impl Transport {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::Plain(stream.take(READ))
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(stream).take(READ))
    }
}

/// Counts of one connection, shared with whoever has it on loan.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    received: AtomicU64,
    /// How far `received` may go before a head is complete; 0 while none is expected.
    head_by: AtomicU64,
    /// Interim answers to the running request, or [`PLAIN`].
    interim: AtomicU64,
    blocked: AtomicBool,
    /// When `blocked` became true. Nothing is locked as long as the socket takes what it is given.
    since: Mutex<Option<Instant>>,
    defective: AtomicBool,
}

impl Traffic {
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// A request is about to be sent.
    pub(super) fn expect_head(&self) {
        self.interim.store(0, Ordering::Relaxed);
        self.head_by.store(self.received() + HEAD_BYTES, Ordering::Relaxed);
    }

    /// A defect of ours ended the connection: its peer did nothing wrong.
    pub(super) fn defective(&self) {
        self.defective.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_defective(&self) -> bool {
        self.defective.load(Ordering::Relaxed)
    }

    pub(super) fn has_head(&self) {
        self.head_by.store(0, Ordering::Relaxed);
    }

    /// Since when the peer has taken nothing, although there is something for it.
    pub(super) fn blocked_since(&self) -> Option<Instant> {
        let blocked = self.blocked.load(Ordering::Relaxed);
        blocked.then(|| *self.since.lock().unwrap_or_else(PoisonError::into_inner)).flatten()
    }

    fn note_write(&self, taken: bool) {
        if self.blocked.load(Ordering::Relaxed) == taken {
            if !taken {
                *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
            self.blocked.store(!taken, Ordering::Relaxed);
        }
    }

    fn note_read(&self, bytes: &[u8]) -> io::Result<()> {
        let received = self.received.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        let head_by = self.head_by.load(Ordering::Relaxed);
        if head_by == 0 {
            return Ok(());
        }
        if received > head_by {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the head of the answer has no end"));
        }
        let before = self.interim.load(Ordering::Relaxed);
        let interim = match before {
            PLAIN => PLAIN,
            0 if !bytes.starts_with(INTERIM_LINE) && !bytes.is_empty() => PLAIN,
            _ => before + memmem::find_iter(bytes, INTERIM_LINE).count() as u64,
        };
        self.interim.store(interim, Ordering::Relaxed);
        if interim != PLAIN && interim > INTERIM {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "interim answers without end"));
        }
        Ok(())
    }
}

/// How long the peer's kernel may leave what was sent unconfirmed (`TCP_USER_TIMEOUT`, RFC 5482). Then the connection
/// ends: a kept one whose other end has gone without a word is otherwise found out by nobody for a quarter of an hour.
pub(super) fn bound_unconfirmed(stream: &TcpStream, most: Duration) {
    // The kernel's timers may ring an eighth late. Without this one requests are still bounded by their own clocks.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some((most * 7 / 8).max(LEAST_UNCONFIRMED)));
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, most);
}

fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// The socket with its counts. Before it writes, every attempt of this thread is on record.
pub(super) struct Wire {
    transport: Transport,
    traffic: Arc<Traffic>,
    lane: Option<Arc<Lane>>,
    /// Bytes written since the peer last said anything.
    unanswered: usize,
    /// A long request was written.
    long: bool,
    /// The peer takes nothing any more.
    deaf: bool,
}

impl Wire {
    pub(super) fn new(transport: Transport, traffic: Arc<Traffic>, lane: Option<Arc<Lane>>) -> Self {
        Self { transport, traffic, lane, unanswered: 0, long: false, deaf: false }
    }

    /// Looks at what is about to be written: a long request may wait for its reader.
    fn note_length(&mut self, bytes: usize) {
        if !self.long && self.unanswered.saturating_add(bytes) > LONG_WRITE {
            self.long = true;
            let stream = match &self.transport {
                Transport::Plain(stream) => stream.get_ref(),
                Transport::Tls(stream) => stream.get_ref().get_ref().0,
            };
            bound_unconfirmed(stream, LONG_UNCONFIRMED);
        }
    }

    /// Takes in how a write went, and how far hyper is to take it to have gone.
    fn note_written(&mut self, polled: Poll<io::Result<usize>>, whole: usize) -> Poll<io::Result<usize>> {
        let polled = match polled {
            // Whether there is an answer is told by reading.
            Poll::Ready(Err(error)) if is_closed(&error) => {
                self.deaf = true;
                Poll::Ready(Ok(whole))
            }
            polled => polled,
        };
        if let Poll::Ready(Ok(written)) = &polled {
            self.unanswered = self.unanswered.saturating_add(*written);
        }
        self.traffic.note_write(polled.is_ready());
        polled
    }

    /// Hands what the journal holds back to the kernel.
    fn settle_up(&self) {
        failpoint::pass("wire.write");
        if let Some(lane) = &self.lane {
            lane.settle_up();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        let polled = match &mut this.transport {
            Transport::Plain(stream) => {
                stream.set_limit(READ);
                Pin::new(stream).poll_read(task, into)
            }
            Transport::Tls(stream) => {
                stream.set_limit(READ);
                Pin::new(stream).poll_read(task, into)
            }
        };
        if into.filled().len() > before {
            this.unanswered = 0;
            failpoint::pass("wire.read");
        }
        this.traffic.note_read(into.filled().get(before..).unwrap_or_default())?;
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.deaf {
            return Poll::Ready(Ok(from.len()));
        }
        this.settle_up();
        this.note_length(from.len());
        let polled = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream.get_mut()).poll_write(task, from),
            Transport::Tls(stream) => Pin::new(stream.get_mut()).poll_write(task, from),
        };
        this.note_written(polled, from.len())
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.deaf {
            return Poll::Ready(Ok(()));
        }
        let polled = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream.get_mut()).poll_flush(task),
            Transport::Tls(stream) => Pin::new(stream.get_mut()).poll_flush(task),
        };
        match polled {
            Poll::Ready(Err(error)) if is_closed(&error) => {
                this.deaf = true;
                Poll::Ready(Ok(()))
            }
            polled => polled,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream.get_mut()).poll_shutdown(task),
            Transport::Tls(stream) => Pin::new(stream.get_mut()).poll_shutdown(task),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let whole = from.iter().map(|piece| piece.len()).sum();
        if this.deaf {
            return Poll::Ready(Ok(whole));
        }
        this.settle_up();
        this.note_length(whole);
        let polled = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream.get_mut()).poll_write_vectored(task, from),
            Transport::Tls(stream) => Pin::new(stream.get_mut()).poll_write_vectored(task, from),
        };
        this.note_written(polled, whole)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.get_ref().is_write_vectored(),
            Transport::Tls(stream) => stream.get_ref().is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(pieces: &[&[u8]]) -> io::Result<()> {
        let traffic = Traffic::default();
        traffic.expect_head();
        pieces.iter().try_for_each(|piece| traffic.note_read(piece))
    }

    #[test]
    fn a_few_interim_answers_pass_and_many_do_not() {
        let interim = b"HTTP/1.1 103 Early Hints\r\n\r\n";
        assert!(reads(&[&interim.repeat(16), b"HTTP/1.1 200 OK\r\n\r\n"]).is_ok());
        assert!(reads(&[&interim.repeat(17)]).is_err());
        assert!(reads(&[interim.as_slice(); 17]).is_err());
    }

    #[test]
    fn what_a_reply_says_about_interim_answers_is_none() {
        let reply = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), b"HTTP/1.1 103 Early Hints".repeat(100)].concat();
        assert!(reads(&[&reply, &reply]).is_ok());
    }

    #[test]
    fn a_head_has_an_end_and_a_body_needs_none() {
        let piece = vec![b'x'; 512 * 1024];
        assert!(reads(&[&piece, &piece]).is_ok());
        assert!(reads(&[&piece, &piece, b"x"]).is_err());
        let traffic = Traffic::default();
        traffic.expect_head();
        traffic.has_head();
        assert!((0..10).all(|_| traffic.note_read(&piece).is_ok()));
        assert_eq!(traffic.received(), 5 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_stuck_from_its_first_refusal_until_it_takes_something() {
        let (traffic, start) = (Traffic::default(), Instant::now());
        traffic.note_write(true);
        assert_eq!(traffic.blocked_since(), None);
        traffic.note_write(false);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        traffic.note_write(false);
        assert_eq!(traffic.blocked_since(), Some(start));
        traffic.note_write(true);
        assert_eq!(traffic.blocked_since(), None);
    }
}
