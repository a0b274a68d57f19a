//! The reply's body, as a door pulls it: whole, ready frames, or an upstream that is still talking.
//!
//! Pulling is the backpressure: nothing is read from the upstream until the door asks. The surprise: a defect of ours is
//! caught here, because this is the last place that still knows which reply it belongs to.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fastroute_core::failure::{Failure, Kind, Origin};
use http_body::{Body, Frame, SizeHint};

use super::Relayed;
use crate::attempt::Flow;
use crate::awaited::{Awaited, COMMENT, Next};
use crate::defect;
use crate::outcome::Ending;

/// A reply that was promised a length, or is JSON, broke off after its first bytes: the transport must show it.
#[derive(Debug)]
pub struct BrokenOff {
    /// Where nobody has seen the reply yet, this is what its client is told.
    pub kind: Kind,
}

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the upstream broke off in the middle of its reply")
    }
}

impl std::error::Error for BrokenOff {}

/// See the module.
pub enum ReplyBody {
    Frames(VecDeque<Bytes>),
    Relay(Relayed),
    /// The head is out, and who answers is not known yet.
    Awaited(Box<Awaited>),
}

impl ReplyBody {
    pub fn whole(body: Bytes) -> Self {
        Self::Frames(VecDeque::from_iter([body]))
    }

    pub fn frames(frames: impl IntoIterator<Item = Bytes>) -> Self {
        Self::Frames(frames.into_iter().filter(|frame| !frame.is_empty()).collect())
    }

    /// Whoever reads it sees by what it holds whether it is whole.
    pub fn tells_its_end(&self) -> bool {
        match self {
            Self::Frames(_) | Self::Awaited(_) | Self::Relay(Relayed(None)) => false,
            Self::Relay(Relayed(Some(delivery))) => matches!(delivery.flow, Flow::Stream(_)),
        }
    }

    /// The next frame; `Ok(None)` is the end.
    ///
    /// A defect of ours ends this reply, with an error that its client can see, and nothing else.
    pub fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BrokenOff>> {
        if let Self::Frames(frames) = self {
            return Poll::Ready(Ok(frames.pop_front()));
        }
        defect::caught(|| self.poll_running(task)).unwrap_or_else(|| Poll::Ready(self.fail()))
    }

    fn poll_running(&mut self, task: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BrokenOff>> {
        match self {
            Self::Frames(frames) => Poll::Ready(Ok(frames.pop_front())),
            Self::Relay(relayed) => relayed.poll_next(task),
            Self::Awaited(awaited) => match awaited.poll_next(task) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Next::Comment) => Poll::Ready(Ok(Some(COMMENT))),
                Poll::Ready(Next::Body(body)) => {
                    *self = body;
                    self.poll_running(task)
                }
            },
        }
    }

    #[cold]
    fn fail(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        match self {
            Self::Frames(_) => Err(BrokenOff { kind: Kind::Internal }),
            Self::Relay(relayed) => relayed.fail(),
            Self::Awaited(awaited) => {
                let told = awaited.fail();
                *self = Self::frames([]);
                Ok(Some(told))
            }
        }
    }

    /// Waits until this reply has no time left, for a door that has no room and therefore does not ask for more.
    pub async fn overdue(&mut self) -> Kind {
        match self {
            Self::Frames(_) | Self::Awaited(_) | Self::Relay(Relayed(None)) => std::future::pending().await,
            Self::Relay(Relayed(Some(delivery))) => tokio::select! {
                () = delivery.told_to_end.as_mut() => Kind::Shutdown,
                () = tokio::time::sleep_until(delivery.clock.deadline()) => Kind::TotalTimeout,
            },
        }
    }

    /// The door cannot carry the rest of this reply: the upstream is let go, and the story says why.
    pub fn give_up(mut self, kind: Kind) {
        if let Self::Relay(Relayed(Some(delivery))) = &mut self {
            delivery.ready.clear();
            delivery.close(Ending::Broken, Some(Failure::at(kind, Origin::Gateway)));
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.get_mut().poll_next(task).map(|next| next.transpose().map(|next| next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Frames(frames) => frames.is_empty(),
            Self::Relay(Relayed(delivery)) => delivery.as_ref().is_none_or(|it| it.ended && it.ready.is_empty()),
            Self::Awaited(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Frames(frames) => SizeHint::with_exact(frames.iter().map(|frame| frame.len() as u64).sum()),
            Self::Relay(Relayed(delivery)) => {
                let length = delivery.as_ref().and_then(|delivery| delivery.length);
                length.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Self::Awaited(_) => SizeHint::default(),
        }
    }
}
