//! A connection to an upstream, on loan for one exchange.
//!
//! The rule: it goes back to its pool only when the reply was read to the end; dropped earlier it closes the connection,
//! and that is how an upstream learns that a client left. The surprise: of a request that the peer takes nothing of, time
//! is told by looking now and then, since hyper does not say how far it has written.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use tokio::time::{Instant, timeout_at};

use super::Outgoing;
use super::pool::Pool;
use super::wire::{Traffic, WRITE_IDLE};

pub(super) struct Connection {
    pub(super) sender: SendRequest<Outgoing>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) expires: Instant,
    pub(super) idle_since: Instant,
}

impl Connection {
    pub(super) fn usable(&self, now: Instant, idle: Duration) -> bool {
        !self.sender.is_closed() && now < self.expires && now < self.idle_since + idle
    }
}

/// Why a request got no answer on its connection.
#[derive(Debug)]
pub enum SendError {
    /// It was time that ran out.
    Late,
    /// The peer took nothing of the request for [`WRITE_IDLE`].
    Unread,
    Broken(hyper::Error),
}

/// A connection on loan for one exchange.
pub struct Lease {
    pub(super) connection: Option<Connection>,
    pub(super) pool: Arc<Pool>,
    pub(super) reused: bool,
    /// It had not been used for long enough for its peer to have closed it meanwhile.
    pub(super) rested: bool,
    /// Bytes the connection had received when it was lent.
    pub(super) received_before: u64,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Lease").field("reused", &self.reused).finish_non_exhaustive()
    }
}

impl Lease {
    /// True when the connection served an exchange before: the peer may have closed it while it was idle.
    pub fn reused(&self) -> bool {
        self.reused
    }

    /// True when the peer may have closed the connection because nobody used it.
    pub fn rested(&self) -> bool {
        self.rested
    }

    /// True when a defect of ours ended the connection, and not its peer.
    pub(crate) fn defective(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.traffic.is_defective())
    }

    /// True when not one byte came back since the connection was lent.
    pub fn silent(&self) -> bool {
        self.connection.as_ref().is_none_or(|connection| connection.traffic.received() == self.received_before)
    }

    /// Hands the request to the connection at once; what is awaited, at the longest until `by`, is the head of the reply.
    /// `now` may be a little old.
    pub fn send(
        &mut self,
        request: Request<Outgoing>,
        now: Instant,
        by: Instant,
    ) -> impl Future<Output = Result<Response<Incoming>, SendError>> + use<'_> {
        let sent = self.connection.as_mut().map(|Connection { sender, traffic, .. }| {
            traffic.expect_head();
            (sender.send_request(request), &**traffic)
        });
        async move {
            // Only `done` takes the connection, and it consumes the lease.
            let Some((answer, traffic)) = sent else { return Err(SendError::Late) };
            let mut answer = pin!(answer);
            let mut look = now + WRITE_IDLE;
            loop {
                match timeout_at(look.min(by), answer.as_mut()).await {
                    Ok(answered) => {
                        traffic.has_head();
                        return answered.map_err(SendError::Broken);
                    }
                    Err(_) if look >= by => return Err(SendError::Late),
                    Err(_) => {
                        let since = traffic.blocked_since();
                        if since.is_some_and(|since| since + WRITE_IDLE <= look) {
                            return Err(SendError::Unread);
                        }
                        look = since.unwrap_or(look) + WRITE_IDLE;
                    }
                }
            }
        }
    }

    /// The reply was read to its end: the connection may serve again.
    pub fn done(mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.idle_since = Instant::now();
            self.pool.put(connection);
        }
    }
}
