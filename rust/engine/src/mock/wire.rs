//! The sending half of one exchange: frames what is sent, counts it, cuts it to the byte, and notices the peer leaving.
//!
//! The rule: every byte goes through `put`, so that a cut and the log's byte count are exact. The surprise: a peer that
//! shuts down only its writing side counts as gone, as it does for hyper.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::clock::monotonic_ns;
use super::script::{Cut, CutHow, CutOf, Framing};

/// Bytes a peer may send ahead of its turn before we stop listening to it.
const MOST_AHEAD_BYTES: usize = 64 * 1024;

/// Why an exchange stopped before its steps were over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    PeerGone,
    Close,
    Reset,
}

#[derive(Debug)]
pub(super) struct Wire<'a> {
    stream: &'a mut TcpStream,
    /// What the peer sent while we were busy: the start of its next request.
    ahead: &'a mut Vec<u8>,
    frame: Vec<u8>,
    framing: Framing,
    cut: Option<Cut>,
    body_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) first_byte_ns: Option<u64>,
}

impl<'a> Wire<'a> {
    pub(super) fn new(stream: &'a mut TcpStream, ahead: &'a mut Vec<u8>) -> Self {
        Self {
            stream,
            ahead,
            frame: Vec::new(),
            framing: Framing::Proper,
            cut: None,
            body_bytes: 0,
            sent_bytes: 0,
            first_byte_ns: None,
        }
    }

    pub(super) fn cut(&mut self, cut: Cut) {
        self.cut = Some(cut);
    }

    /// How body bytes are framed from here on; `Proper` and the false lengths leave them as they are.
    pub(super) fn frame_as(&mut self, framing: Framing) {
        self.framing = framing;
    }

    /// Bytes that are no body: a head, or whatever a script calls raw.
    pub(super) async fn raw(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let limit = self.cut.filter(|cut| cut.of == CutOf::Wire).map(|cut| cut.after_bytes);
        self.put(bytes, limit).await
    }

    /// Bytes of the body, as one chunk where the body is chunked.
    pub(super) async fn body(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if bytes.is_empty() {
            return Ok(());
        }
        let chunked = matches!(self.framing, Framing::Chunked | Framing::LengthAndChunked(_));
        let before = self.body_bytes;
        self.body_bytes += bytes.len() as u64;
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        if chunked {
            frame.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        }
        let limit = match self.cut {
            Some(cut) if cut.of == CutOf::Wire => Some(cut.after_bytes),
            Some(cut) if self.body_bytes >= cut.after_bytes => {
                Some(self.sent_bytes + frame.len() as u64 + cut.after_bytes - before)
            }
            _ => None,
        };
        let sent = if chunked {
            frame.extend_from_slice(bytes);
            frame.extend_from_slice(b"\r\n");
            self.put(&frame, limit).await
        } else {
            self.put(bytes, limit).await
        };
        self.frame = frame;
        sent
    }

    /// A head and an unframed body in one write; where a cut counts bytes of the body, in two.
    pub(super) async fn whole(&mut self, bytes: &[u8], head_bytes: usize) -> Result<(), Stop> {
        if self.cut.is_none() {
            return self.put(bytes, None).await;
        }
        let (head, body) = bytes.split_at(head_bytes.min(bytes.len()));
        self.raw(head).await?;
        self.body(body).await
    }

    /// The end that the framing calls for.
    pub(super) async fn end(&mut self) -> Result<(), Stop> {
        match self.framing {
            Framing::Chunked | Framing::LengthAndChunked(_) => self.raw(b"0\r\n\r\n").await,
            _ => Ok(()),
        }
    }

    /// Writes bytes, but no more than `limit` over the whole exchange; at the limit the cut happens.
    async fn put(&mut self, bytes: &[u8], limit: Option<u64>) -> Result<(), Stop> {
        let allowed = limit.map(|limit| limit.saturating_sub(self.sent_bytes));
        let short = allowed.and_then(|allowed| usize::try_from(allowed).ok()).filter(|&allowed| allowed <= bytes.len());
        let mut rest = bytes.get(..short.unwrap_or(bytes.len())).unwrap_or_default();
        if self.first_byte_ns.is_none() && !rest.is_empty() {
            self.first_byte_ns = Some(monotonic_ns());
        }
        while !rest.is_empty() {
            let written = self.stream.write(rest).await.map_err(|_| Stop::PeerGone)?;
            self.sent_bytes += written as u64;
            rest = rest.get(written..).unwrap_or_default();
        }
        match (short, self.cut.map(|cut| cut.how)) {
            (None, _) => Ok(()),
            (_, Some(CutHow::Reset)) => Err(Stop::Reset),
            (_, Some(CutHow::Stall)) => self.stall().await,
            _ => Err(Stop::Close),
        }
    }

    pub(super) async fn stall(&mut self) -> Result<(), Stop> {
        self.watch_peer().await
    }

    /// Waits until the peer says something, and leaves it unread.
    pub(super) async fn next_word(&mut self) -> Result<(), Stop> {
        if !self.ahead.is_empty() {
            return Ok(());
        }
        match self.stream.peek(&mut [0]).await {
            Ok(0) | Err(_) => Err(Stop::PeerGone),
            Ok(_) => Ok(()),
        }
    }

    /// Waits, unless the peer leaves.
    pub(super) async fn wait(&mut self, time: Duration) -> Result<(), Stop> {
        if time.is_zero() {
            return Ok(());
        }
        self.wait_until(Instant::now() + time).await
    }

    pub(super) async fn wait_until(&mut self, due: Instant) -> Result<(), Stop> {
        tokio::select! {
            () = tokio::time::sleep_until(due) => Ok(()),
            gone = self.watch_peer() => gone,
        }
    }

    /// Returns only when the peer has left.
    async fn watch_peer(&mut self) -> Result<(), Stop> {
        loop {
            if self.ahead.len() > MOST_AHEAD_BYTES {
                std::future::pending::<()>().await;
            }
            self.stream.readable().await.map_err(|_| Stop::PeerGone)?;
            match self.stream.try_read_buf(self.ahead) {
                Ok(0) => return Err(Stop::PeerGone),
                Ok(_) => self.ahead.reserve(1024),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Stop::PeerGone),
            }
        }
    }
}
