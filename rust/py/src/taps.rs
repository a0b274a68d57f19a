//! The byte bounds of granian's door, which cannot see a slow reader (its stream channel is unbounded).
//!
//! A tap counts the bytes of one reply: those waiting for the drain stop the upstream from being read, those handed
//! over are bounded per reply and over all open replies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fastroute_engine::{Pressure, Step};
use tokio::sync::Notify;

/// Bytes of one stream that may wait for the drain.
pub(crate) const WAITING: usize = 64 * 1024;
/// Bytes of one reply; longer ones belong on the edge door.
pub(crate) const PER_REPLY: usize = 16 * 1024 * 1024;
/// Bytes of all open replies together.
pub(crate) const ALL_REPLIES: usize = 256 * 1024 * 1024;

/// Where memory is short, a reply that was handed over up to here and is still open ends: its client may read slowly.
const SLOW_REPLY: usize = 1024 * 1024;

/// Bytes handed over to granian by replies that are still open.
#[derive(Debug, Default)]
pub(crate) struct Reservoir {
    bytes: AtomicUsize,
    fell: Notify,
    pressure: Arc<Pressure>,
}

impl Reservoir {
    pub(crate) fn under(pressure: Arc<Pressure>) -> Self {
        Self { pressure, ..Self::default() }
    }

    pub(crate) fn full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= ALL_REPLIES
    }
}

#[derive(Debug)]
pub(crate) struct Tap {
    reservoir: Arc<Reservoir>,
    waiting: AtomicUsize,
    handed_over: AtomicUsize,
    drained: Notify,
    /// A defect ended the reply.
    spoilt: AtomicBool,
}

impl Tap {
    pub(crate) fn new(reservoir: Arc<Reservoir>) -> Self {
        Self {
            reservoir,
            waiting: AtomicUsize::new(0),
            handed_over: AtomicUsize::new(0),
            drained: Notify::new(),
            spoilt: AtomicBool::new(false),
        }
    }

    /// The reply ends here for a defect, and not because its client left.
    pub(crate) fn spoil(&self) {
        self.spoilt.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_spoilt(&self) -> bool {
        self.spoilt.load(Ordering::Relaxed)
    }

    /// Waits until another `bytes` may be queued; false when this reply may grow no further.
    pub(crate) async fn room(&self, bytes: usize) -> bool {
        if self.handed_over.load(Ordering::Relaxed) + self.waiting.load(Ordering::Relaxed) + bytes > PER_REPLY {
            return false;
        }
        if self.handed() > SLOW_REPLY && self.reservoir.pressure.at(Step::SlowReaders) {
            return false;
        }
        loop {
            let drained = self.drained.notified();
            if self.waiting.load(Ordering::Acquire) < WAITING {
                break;
            }
            drained.await;
        }
        loop {
            let fell = self.reservoir.fell.notified();
            if !self.reservoir.full() {
                break;
            }
            fell.await;
        }
        self.waiting.fetch_add(bytes, Ordering::AcqRel);
        true
    }

    /// Counts bytes held until their reply is whole; false when this reply, or all together, may hold no more.
    pub(crate) fn hold(&self, bytes: usize) -> bool {
        if self.handed() + bytes > PER_REPLY || self.reservoir.full() {
            return false;
        }
        self.reservoir.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.handed_over.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    /// Counts bytes that must be queued whether there is room or not: the word that ends a reply.
    pub(crate) fn last(&self, bytes: usize) {
        self.waiting.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Bytes handed over so far.
    pub(crate) fn handed(&self) -> usize {
        self.handed_over.load(Ordering::Relaxed)
    }

    /// The drain handed `bytes` to granian.
    pub(crate) fn drained(&self, bytes: usize) {
        self.reservoir.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.handed_over.fetch_add(bytes, Ordering::Relaxed);
        let before = self.waiting.fetch_sub(bytes, Ordering::AcqRel);
        if before >= WAITING {
            self.drained.notify_one();
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.reservoir.bytes.fetch_sub(self.handed_over.load(Ordering::Relaxed), Ordering::Relaxed);
        self.reservoir.fell.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll_room(tap: &Tap, bytes: usize) -> Poll<bool> {
        pin!(tap.room(bytes)).as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_reply_waits_while_too_much_of_it_waits_and_goes_on_when_it_was_drained() {
        let tap = Tap::new(Arc::default());
        assert_eq!(poll_room(&tap, WAITING), Poll::Ready(true));
        let mut waiting = pin!(tap.room(1));
        let mut task = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut task).is_pending());
        tap.drained(WAITING);
        assert_eq!(waiting.as_mut().poll(&mut task), Poll::Ready(true));
    }

    #[test]
    fn a_reply_that_outgrows_the_door_is_told_so_and_its_last_word_is_still_counted() {
        let tap = Tap::new(Arc::default());
        assert_eq!(poll_room(&tap, PER_REPLY), Poll::Ready(true));
        assert_eq!(poll_room(&tap, 1), Poll::Ready(false));
        tap.last(10);
        tap.drained(PER_REPLY);
        tap.drained(10);
        assert_eq!((tap.waiting.load(Ordering::Relaxed), tap.handed()), (0, PER_REPLY + 10));
    }

    #[test]
    fn a_full_reservoir_stops_every_reply_until_one_is_over() {
        let reservoir: Arc<Reservoir> = Arc::default();
        let full: Vec<Tap> = (0..ALL_REPLIES / PER_REPLY)
            .map(|_| {
                let tap = Tap::new(reservoir.clone());
                tap.last(PER_REPLY);
                tap.drained(PER_REPLY);
                tap
            })
            .collect();
        assert!(reservoir.full());
        let tap = Tap::new(reservoir.clone());
        let mut waiting = pin!(tap.room(1));
        let mut task = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut task).is_pending());
        drop(full);
        assert!(!reservoir.full());
        assert_eq!(waiting.as_mut().poll(&mut task), Poll::Ready(true));
    }
}
