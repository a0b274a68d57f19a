//! The byte bounds of granian's door, which cannot see a slow reader (its stream channel is unbounded).
//!
//! A tap counts the bytes of one reply: those waiting for the drain stop the upstream from being read, those handed
//! over are bounded per reply and over all open replies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Bytes of one stream that may wait for the drain.
pub(crate) const WAITING: usize = 64 * 1024;
/// Bytes of one reply; longer ones belong on the edge door.
pub(crate) const PER_REPLY: usize = 16 * 1024 * 1024;
/// Bytes of all open replies together.
pub(crate) const ALL_REPLIES: usize = 256 * 1024 * 1024;

/// Bytes handed over to granian by replies that are still open.
#[derive(Debug, Default)]
pub(crate) struct Reservoir {
    bytes: AtomicUsize,
    fell: Notify,
}

impl Reservoir {
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
}

impl Tap {
    pub(crate) fn new(reservoir: Arc<Reservoir>) -> Self {
        Self { reservoir, waiting: AtomicUsize::new(0), handed_over: AtomicUsize::new(0), drained: Notify::new() }
    }

    /// Waits until another `bytes` may be queued; false when this reply may grow no further.
    pub(crate) async fn room(&self, bytes: usize) -> bool {
        if self.handed_over.load(Ordering::Relaxed) + self.waiting.load(Ordering::Relaxed) + bytes > PER_REPLY {
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
