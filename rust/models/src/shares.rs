//! The shared bounds: never passed, all given back, and a refusal of one costs no other its share.

use loom::sync::Arc;
use loom::thread;

use crate::share::{give_back, take};
use crate::sync::{AtomicUsize, Ordering};

const LIMIT: usize = 3;

pub(crate) fn a_refusal_takes_nothing_from_those_it_meets() {
    let counter = Arc::new(AtomicUsize::new(1));
    let other = counter.clone();
    let greedy = thread::spawn(move || take(&other, LIMIT, LIMIT));
    assert!(take(&counter, 1, LIMIT), "there was room");
    assert!(!greedy.join().unwrap());
    assert_eq!(counter.load(Ordering::Relaxed), 2);
}

pub(crate) fn a_bound_is_never_passed_and_comes_back_whole() {
    let counter = Arc::new(AtomicUsize::new(0));
    let threads = [2, 2].map(|wanted| {
        let counter = counter.clone();
        thread::spawn(move || {
            let taken = take(&counter, wanted, LIMIT);
            assert!(counter.load(Ordering::Relaxed) <= LIMIT);
            if taken {
                give_back(&counter, wanted);
            }
        })
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(counter.load(Ordering::Relaxed), 0);
}
