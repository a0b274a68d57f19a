//! Nothing waits in the queue behind a silent bell once its threads have parked.

use std::collections::VecDeque;
use std::sync::Arc;

use loom::thread;

use crate::queue::Queue;

fn parked_with<T: Send + 'static>(queue: &Arc<Queue<T>>, items: Vec<T>) -> thread::JoinHandle<()> {
    let queue = queue.clone();
    thread::spawn(move || {
        for item in items {
            queue.push(item);
        }
        queue.ring_if_needed();
    })
}

pub(crate) fn what_two_threads_pushed_before_they_parked_is_taken_or_rung_for() {
    let queue = Arc::new(Queue::new().unwrap());
    let threads = [parked_with(&queue, vec![1]), parked_with(&queue, vec![2])];
    let mut taken = VecDeque::new();
    queue.take(&mut taken);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let rung = queue.bell() > 0;
    let before = taken.len();
    queue.take(&mut taken);
    assert!(taken.len() == before || rung, "{} items wait behind a silent bell", taken.len() - before);
    assert_eq!(taken.len(), 2, "an item was lost or came twice");
}

pub(crate) fn the_items_of_one_thread_keep_their_order_whoever_takes_between_them() {
    let queue = Arc::new(Queue::new().unwrap());
    let pushing = parked_with(&queue, vec![1, 2]);
    let mut taken = VecDeque::new();
    queue.take(&mut taken);
    queue.ring_if_waiting();
    pushing.join().unwrap();
    queue.take(&mut taken);
    assert_eq!(taken, [1, 2]);
}

pub(crate) fn what_was_pushed_quietly_is_rung_for_by_the_tick() {
    let queue = Arc::new(Queue::new().unwrap());
    let other = queue.clone();
    let pushing = thread::spawn(move || other.push_quietly(1));
    let mut taken = VecDeque::new();
    queue.take(&mut taken);
    pushing.join().unwrap();
    queue.ring_if_waiting();
    assert!(!taken.is_empty() || queue.bell() > 0, "the tick did not ring");
}
