//! Where a defect of ours (a panic) is caught: it ends one request, or one turn of a task that goes on, and nothing else.
//!
//! The rule: nothing that serves everybody ends in silence. Its loops begin anew; an I/O thread that ends all the same
//! takes the process along, so that whoever supervises it starts another.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// Before something begins anew: a defect that is met every time must not take a core, nor fill a log.
const PAUSE: Duration = Duration::from_secs(1);

/// How many were caught, by whoever caught them.
#[derive(Clone, Debug, Default)]
pub struct Defects(Arc<AtomicU64>);

impl Defects {
    pub fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is to be told of defects, oldest first.
static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Whoever should read that does not: the first ones say how it began.
const MOST_TOLD: usize = 64;

/// Has every panic of this process told by its place alone: what it says may quote a request.
pub fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if let Some(place) = panic.location() {
                say(format!("a defect of the gateway at {}:{}; please report it", place.file(), place.line()));
            }
            if cfg!(debug_assertions) {
                before(panic);
            }
        }));
    });
}

pub(crate) fn say(text: String) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() < MOST_TOLD {
        told.push(text);
    }
}

/// What was told since the last call.
pub fn told() -> Vec<String> {
    std::mem::take(&mut *TOLD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What `act` gives; `None` where a defect ended it.
pub fn caught<T>(act: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(act)).ok()
}

/// What a future gives; `None` where a defect ended it. Whatever the future held is dropped by then.
pub async fn outlived<F: Future + ?Sized>(mut future: Pin<Box<F>>) -> Option<F::Output> {
    poll_fn(|task| caught(|| future.as_mut().poll(task)).map_or(Poll::Ready(None), |polled| polled.map(Some))).await
}

/// Runs a task for as long as it goes on: after a defect it begins anew.
pub(crate) async fn kept<F: Future<Output = ()>>(defects: &Defects, mut begin: impl FnMut() -> F) {
    while outlived(Box::pin(begin())).await.is_none() {
        defects.note();
        tokio::time::sleep(PAUSE).await;
    }
}

/// The same for a thread.
pub fn kept_thread(defects: &Defects, mut run: impl FnMut()) {
    while caught(&mut run).is_none() {
        defects.note();
        std::thread::sleep(PAUSE);
    }
}

/// Held by a thread without which the process serves nobody.
pub(crate) struct Vital(pub(crate) &'static str);

impl Drop for Vital {
    fn drop(&mut self) {
        // The last word of a process: nobody is left who would log it.
        eprintln!("fastroute: a thread of {} ended, and so does the process; please report this", self.0);
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_must_go_on_begins_anew_after_a_defect_and_ends_when_it_is_over() {
        let (defects, mut turns) = (Defects::default(), 0);
        kept(&defects, || {
            turns += 1;
            let turn = turns;
            async move { assert!(turn == 3, "a defect") }
        })
        .await;
        assert_eq!((turns, defects.count()), (3, 2));
    }

    #[test]
    fn a_defect_met_while_another_unwinds_can_be_caught() {
        struct Ends;
        impl Drop for Ends {
            fn drop(&mut self) {
                assert_eq!(caught(|| panic!("second")), None::<()>);
            }
        }
        assert!(
            caught(|| {
                let _ends = Ends;
                panic!("first");
            })
            .is_none()
        );
    }
}
