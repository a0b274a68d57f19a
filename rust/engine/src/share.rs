//! Counting against a bound that all threads share: never past it, and a refusal takes nothing.

use crate::sync::{AtomicUsize, Ordering};

/// Takes units when the bound allows, in one step: a request that is refused must not count for a moment and so refuse
/// a smaller one beside it.
pub(crate) fn take(counter: &AtomicUsize, wanted: usize, limit: usize) -> bool {
    let within = |held: usize| held.checked_add(wanted).filter(|&sum| sum <= limit);
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
}

pub(crate) fn give_back(counter: &AtomicUsize, held: usize) {
    counter.fetch_sub(held, Ordering::Relaxed);
}
