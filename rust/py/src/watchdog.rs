//! Ends a decision that hangs: a thread that signals the loop thread when one decide takes longer than [`LIMIT`].
//!
//! The signal's Python handler raises only while that decision is still running, so a late signal harms nobody. A
//! policy stuck in C code never returns to the interpreter and is out of reach.

use std::sync::Arc;
use std::time::Duration;

use fastroute_engine::defect::{Defects, kept_thread};
use fastroute_engine::failpoint;

use crate::brain::Deciding;

/// A decision takes microseconds. What waits for the loop meanwhile loses 50 ms at most: the rest of them is for the signal
/// to arrive and for the policy to be left.
pub(crate) const LIMIT: Duration = Duration::from_millis(30);
/// How often the watchdog looks. Of a decision that it finds running it knows when to look again.
const LOOK: Duration = Duration::from_millis(20);
/// The signal the loop thread gets; `fastroute.gateway` installs its handler.
pub(crate) const SIGNAL: i32 = libc::SIGUSR2;

#[derive(Debug)]
pub(crate) struct Watch {
    deciding: Arc<Deciding>,
}

impl Watch {
    /// Watches over the calling thread.
    pub(crate) fn start(deciding: Arc<Deciding>, defects: Defects) -> std::io::Result<Arc<Self>> {
        #[expect(unsafe_code, reason = "pthread_self(3) has no preconditions")]
        let watched = unsafe { libc::pthread_self() };
        let watch = Arc::new(Self { deciding });
        let weak = Arc::downgrade(&watch);
        std::thread::Builder::new().name("fr-watch".into()).spawn(move || {
            let mut signalled = 0;
            kept_thread(&defects, || {
                while let Some(watch) = weak.upgrade() {
                    failpoint::pass("border.watch");
                    let mut look = LOOK;
                    if let Some((took_us, number)) = watch.deciding.running()
                        && number != signalled
                    {
                        look = LIMIT.saturating_sub(Duration::from_micros(took_us)).min(LOOK);
                        if look.is_zero() {
                            (signalled, look) = (number, LOOK);
                            #[expect(unsafe_code, reason = "the loop thread outlives the engine this watch belongs to")]
                            unsafe {
                                libc::pthread_kill(watched, SIGNAL);
                            }
                        }
                    }
                    drop(watch);
                    std::thread::sleep(look);
                }
            });
        })?;
        Ok(watch)
    }

    pub(crate) fn overdue(&self) -> bool {
        self.deciding.running().is_some_and(|(took_us, _)| u128::from(took_us) >= LIMIT.as_micros())
    }
}
