//! One connection of the generator, and the request that is under way on it.
//!
//! Sockets are edge-triggered: a lane reads until the kernel has no more, or until a read that fills less than the
//! buffer has shown the same.

use std::io::{ErrorKind, Read as _, Write as _};

use bytes::Bytes;
use mio::net::TcpStream;

use super::super::clock::monotonic_ns;
use super::response::{Fault, Response};

/// A request on its way.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) shape: usize,
    /// When it should have been sent.
    pub(super) due_ns: u64,
    pub(super) started_ns: u64,
    pub(super) response: Response,
    pub(super) first_byte_ns: Option<u64>,
    pub(super) first_content_ns: Option<u64>,
    pub(super) last_content_ns: Option<u64>,
    /// Reads that brought something.
    pub(super) reads: u64,
    request: Bytes,
    written: usize,
}

impl Exchange {
    pub(super) fn new(shape: usize, request: Bytes, stream: bool, due_ns: u64, now_ns: u64) -> Self {
        Self {
            shape,
            due_ns,
            started_ns: now_ns,
            response: Response::new(stream),
            first_byte_ns: None,
            first_content_ns: None,
            last_content_ns: None,
            reads: 0,
            request,
            written: 0,
        }
    }
}

/// What a stream's event told about its way here, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) seen_ns: u64,
    pub(super) transit: u64,
    /// Since the event before, in the same stream.
    pub(super) gap: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) socket: TcpStream,
    pub(super) connected: bool,
    /// Has carried a complete exchange before.
    pub(super) used: bool,
    pub(super) exchange: Option<Exchange>,
}

impl Lane {
    /// Writes as much of the request as the kernel takes.
    pub(super) fn write(&mut self) {
        let Some(exchange) = self.exchange.as_mut().filter(|_| self.connected) else {
            return;
        };
        while let Some(rest) = exchange.request.get(exchange.written..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(written) => exchange.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The answer, or the reset, is told by the next read.
                Err(_) => break,
            }
        }
    }

    /// Finds out how a connection attempt ended; true once it stands.
    pub(super) fn finish_connecting(&mut self) -> Result<bool, Fault> {
        if self.connected {
            return Ok(true);
        }
        if !matches!(self.socket.take_error(), Ok(None)) {
            return Err(Fault::Connect);
        }
        match self.socket.peer_addr() {
            Ok(_) => {
                self.connected = true;
                // Without it a small request can wait 40 ms for an acknowledgement.
                self.socket.set_nodelay(true).map_err(|_| Fault::Connect)?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(_) => Err(Fault::Connect),
        }
    }

    /// Reads what is there; true when the response is complete. `ended` says that the peer has sent FIN or RST.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        ended: bool,
        mut arrived: impl FnMut(Arrival),
    ) -> Result<bool, Fault> {
        loop {
            let read = match self.socket.read(scratch) {
                Ok(0) => return self.peer_closed(),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Err(self.broken(Fault::Reset)),
            };
            let seen_ns = monotonic_ns();
            // Bytes that nobody asked for.
            let exchange = self.exchange.as_mut().ok_or(Fault::Malformed)?;
            exchange.first_byte_ns.get_or_insert(seen_ns);
            exchange.reads += 1;
            let Exchange { response, first_content_ns, last_content_ns, .. } = exchange;
            response.feed(scratch.get(..read).unwrap_or_default(), &mut |sent_ns| {
                first_content_ns.get_or_insert(seen_ns);
                let before_ns = last_content_ns.replace(seen_ns);
                let gap = before_ns.map(|before_ns| seen_ns - before_ns);
                let transit = seen_ns.saturating_sub(sent_ns);
                arrived(Arrival { seen_ns, transit, gap });
            })?;
            if response.is_done() {
                return Ok(true);
            }
            if read < scratch.len() && !ended {
                return Ok(false);
            }
        }
    }

    fn peer_closed(&mut self) -> Result<bool, Fault> {
        let fault = self.broken(Fault::Closed);
        match &mut self.exchange {
            Some(exchange) => exchange.response.end().map(|()| true).map_err(|_| fault),
            None => Err(fault),
        }
    }

    /// A server may close an idle connection while the next request is on its way to it.
    fn broken(&self, fault: Fault) -> Fault {
        let untouched = self.exchange.as_ref().is_none_or(|exchange| exchange.response.is_untouched());
        if self.used && untouched { Fault::Stale } else { fault }
    }
}
