//! A reply whose client left, and what of it is read all the same.
//!
//! The rule: it is never another reply. What goes on is the same delivery with its clocks and its bounds, for nobody,
//! and it ends its story once like any other. The surprise: it takes a place among the exchanges in flight, because a
//! stop has to wait for it and because clients that come and leave must not pile up work without bound.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fastroute_core::failure::Kind;

use super::{BrokenOff, Delivery, LINGER};
use crate::attempt::Flow;
use crate::defect;
use crate::io::{Of, Share, Shared};
use crate::outcome::Ending;
use crate::pressure::Step;

/// A delivery in the hands of a door. It is gone from here only while this is dropped: then it may go on alone.
pub struct Relayed(pub(super) Option<Box<Delivery>>);

impl Relayed {
    pub(super) fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BrokenOff>> {
        self.0.as_mut().map_or(Poll::Ready(Ok(None)), |delivery| delivery.poll_next(task))
    }

    pub(super) fn fail(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        self.0.as_mut().map_or(Err(BrokenOff { kind: Kind::Internal }), |delivery| delivery.fail())
    }
}

impl From<Box<Delivery>> for Relayed {
    fn from(delivery: Box<Delivery>) -> Self {
        Self(Some(delivery))
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        if let Some(delivery) = self.0.take() {
            delivery.leave();
        }
    }
}

/// Whom a reply is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    Client,
    /// Its client left when only the usage was still to come.
    Behind,
    /// Its client left before the end.
    Nobody,
}

impl Delivery {
    /// The client left. Behind the finish nobody was let down, and where the usage is still to come the upstream is read
    /// on for it; before it, it is read on where its provider wants that. Otherwise this is the end.
    fn leave(mut self: Box<Self>) {
        if self.story.outcome().is_none() || std::thread::panicking() {
            return;
        }
        self.ready.clear();
        let usage_known = match &self.flow {
            Flow::Stream(relay) if relay.finished() => Some(relay.usage().is_some()),
            _ => None,
        };
        match usage_known {
            Some(true) => self.close(Ending::Complete, None),
            Some(false) => self.read_on(Reader::Behind, None),
            None => {
                let place = self.reads_on.take().and_then(|shared| place_for(&shared));
                if place.is_some() {
                    self.read_on(Reader::Nobody, place);
                }
            }
        }
    }

    fn read_on(mut self: Box<Self>, reader: Reader, place: Option<Share>) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.reader = reader;
            runtime.spawn(async move {
                self.to_its_end().await;
                drop(place);
            });
        }
    }

    /// Reads the reply to its end for nobody, within its own clocks and bounds; nothing of it is kept.
    pub(crate) async fn to_its_end(mut self: Box<Self>) {
        let behind = self.reader == Reader::Behind;
        self.clock.without_comments();
        let rest = poll_fn(|task| {
            loop {
                // A defect of ours ends this reply and nothing else, as it would with a client.
                match defect::caught(|| self.poll_next(task)).unwrap_or_else(|| Poll::Ready(self.fail())) {
                    Poll::Ready(Ok(Some(_))) => {}
                    Poll::Ready(Ok(None) | Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        if !behind {
            rest.await;
        } else if tokio::time::timeout(LINGER, rest).await.is_err() {
            // In time or not: what is known by then is what is told.
            self.close(Ending::Complete, None);
        }
    }
}

/// A place for what goes on without its client: none where the gateway is short of anything, because whoever has a
/// client comes first.
pub(crate) fn place_for(shared: &Arc<Shared>) -> Option<Share> {
    if shared.pressure.at(Step::Streams) || shared.pressure.few_descriptors() {
        return None;
    }
    Share::try_take(shared, Of::InFlight, 1)
}
