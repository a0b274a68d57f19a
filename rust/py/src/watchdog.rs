//! Ends a decision that hangs: a thread that signals the loop thread when one decide takes longer than [`LIMIT`].
//!
//! The signal's Python handler raises only while that decision is still running, so a late signal harms nobody. A
//! policy stuck in C code never returns to the interpreter and is out of reach.

use std::sync::Arc;
use std::time::Duration;

use fastroute_engine::defect::{Defects, kept_thread};
use fastroute_engine::failpoint;

use crate::brain::Deciding;

/// A decision takes microseconds; this is a thousand times that.
pub(crate) const LIMIT: Duration = Duration::from_millis(50);
/// How often the watchdog looks.
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
                    if let Some((took_us, number)) = watch.deciding.running()
                        && u128::from(took_us) >= LIMIT.as_micros()
                        && number != signalled
                    {
                        signalled = number;
                        #[expect(unsafe_code, reason = "the loop thread outlives the engine this watch belongs to")]
                        unsafe {
                            libc::pthread_kill(watched, SIGNAL);
                        }
                    }
                    drop(watch);
                    std::thread::sleep(LOOK);
                }
            });
        })?;
        Ok(watch)
    }

    pub(crate) fn overdue(&self) -> bool {
        self.deciding.running().is_some_and(|(took_us, _)| u128::from(took_us) >= LIMIT.as_micros())
    }
}
