//! The queue from the I/O threads to the Python loop, and the eventfd that the loop watches.
//!
//! An I/O thread rings when it parks, not at its first push: everything that became ready in one turn travels with
//! one system call. At [`RING_AT`] waiting items it rings anyway, so that a long turn does not hold up answers.
//! The surprise: what nobody waits for (the end of a story) does not ring at all; it rides along with the next item
//! that does, or with the loop's own tick. `rust/models` compiles this file a second time, with loom's primitives.

use std::collections::VecDeque;
use std::io;
use std::sync::PoisonError;

use crate::bell::Bell;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};

/// Enough to make a wake-up worth its cost, small enough for a batch to stay well under a millisecond.
const RING_AT: usize = 64;

pub(crate) struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    bell: Bell,
    /// Something was pushed since the last ring.
    unrung: AtomicBool,
    /// Items that somebody waited for, since the start.
    awaited: AtomicUsize,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> io::Result<Self> {
        let (unrung, awaited) = (AtomicBool::new(false), AtomicUsize::new(0));
        Ok(Self { items: Mutex::default(), bell: Bell::new()?, unrung, awaited })
    }

    /// The descriptor to watch for reading.
    pub(crate) fn bell(&self) -> i32 {
        self.bell.descriptor()
    }

    /// Queues an item somebody waits for.
    pub(crate) fn push(&self, item: T) {
        self.awaited.fetch_add(1, Ordering::Relaxed);
        self.push_promptly(item);
    }

    /// Queues an item nobody waits for, which should be known soon all the same.
    pub(crate) fn push_promptly(&self, item: T) {
        let waiting = self.append(item);
        self.unrung.store(true, Ordering::Release);
        if waiting.is_multiple_of(RING_AT) {
            self.ring_if_needed();
        }
    }

    /// Queues an item nobody waits for; a backlog of them rings all the same.
    pub(crate) fn push_quietly(&self, item: T) {
        if self.append(item).is_multiple_of(RING_AT) {
            self.unrung.store(true, Ordering::Release);
        }
    }

    /// Grows with everything that somebody waits for.
    pub(crate) fn awaited(&self) -> usize {
        self.awaited.load(Ordering::Relaxed)
    }

    fn append(&self, item: T) -> usize {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.push_back(item);
        items.len()
    }

    /// Rings when anything waits, loud or quiet. For the loop's tick.
    pub(crate) fn ring_if_waiting(&self) {
        if !self.items.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            self.ring();
        }
    }

    /// For the I/O threads' park hook.
    pub(crate) fn ring_if_needed(&self) {
        if self.unrung.swap(false, Ordering::AcqRel) {
            self.ring();
        }
    }

    pub(crate) fn ring(&self) {
        self.bell.ring();
    }

    /// Silences the bell and moves everything that waits behind `into`.
    pub(crate) fn take(&self, into: &mut VecDeque<T>) {
        self.bell.silence();
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if into.is_empty() {
            std::mem::swap(&mut *items, into);
        } else {
            into.append(&mut items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable<T>(queue: &Queue<T>) -> bool {
        let mut poll = libc::pollfd { fd: queue.bell(), events: libc::POLLIN, revents: 0 };
        #[expect(unsafe_code, reason = "poll(2) over one local entry")]
        let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
        ready == 1
    }

    #[test]
    fn a_push_rings_when_the_thread_parks_and_once_per_batch() {
        let queue = Queue::new().unwrap();
        queue.push(1);
        queue.push(2);
        assert!(!readable(&queue), "nothing rings before the park");
        queue.ring_if_needed();
        assert!(readable(&queue));
        let mut taken = VecDeque::new();
        queue.take(&mut taken);
        assert_eq!(taken, [1, 2]);
        queue.ring_if_needed();
        assert!(!readable(&queue), "an empty queue has nothing to ring for");
    }

    #[test]
    fn a_long_turn_rings_without_waiting_for_the_park() {
        let queue = Queue::new().unwrap();
        for item in 0..RING_AT {
            queue.push(item);
        }
        assert!(readable(&queue));
    }

    #[test]
    fn what_nobody_waits_for_rides_along_or_waits_for_the_tick() {
        let queue = Queue::new().unwrap();
        queue.push_quietly(1);
        queue.ring_if_needed();
        assert!(!readable(&queue));
        queue.ring_if_waiting();
        assert!(readable(&queue));
        queue.push(2);
        let mut taken = VecDeque::new();
        queue.take(&mut taken);
        assert_eq!(taken, [1, 2], "in the order they were told");
    }

    #[test]
    fn only_what_somebody_waits_for_is_counted_as_awaited() {
        let queue = Queue::new().unwrap();
        queue.push_quietly(1);
        queue.push_promptly(2);
        assert_eq!(queue.awaited(), 0);
        queue.ring_if_needed();
        assert!(readable(&queue), "what should be known soon rings all the same");
        queue.push(3);
        assert_eq!(queue.awaited(), 1);
    }

    #[test]
    fn what_was_left_over_stays_in_front() {
        let queue = Queue::new().unwrap();
        queue.push(2);
        let mut taken = VecDeque::from([1]);
        queue.take(&mut taken);
        assert_eq!(taken, [1, 2]);
    }
}
