//! How long the slices are in which an I/O thread has its core.
//!
//! On Linux a thread that wakes waits until the running one has had most of a slice, unless its own are shorter (since
//! 6.12). Bytes for an I/O thread would wait while the loop thread books what is over, so I/O threads ask for short ones.
//! The surprise: not while the loop is what requests wait for, as all do at granian's door. To stop it then costs changes
//! of thread and brings no answer sooner.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The shortest that Linux gives.
const SHORT_NS: u64 = 100_000;
/// Nobody waited for the loop for so long.
const CALM: Duration = Duration::from_secs(1);

/// The slices of threads that never asked for others, ns; 0 until one asked.
static ORDINARY_NS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static OWN: RefCell<Slices> = RefCell::default();
}

/// Before an I/O thread parks; `awaited` counts what somebody waited for the loop for.
pub(crate) fn suit(awaited: usize) {
    OWN.with_borrow_mut(|slices| slices.suit(awaited, Instant::now));
}

/// On a thread that an I/O thread starts for what takes long: it has the slices of the other, which are none for that.
pub(crate) fn of_a_helper() {
    let ordinary_ns = ORDINARY_NS.load(Ordering::Relaxed);
    if ordinary_ns != 0 {
        // What it costs is time that others on its core would have had.
        let _ = change(ordinary_ns);
    }
}

#[derive(Default)]
struct Slices {
    awaited: usize,
    calm_since: Option<Instant>,
    /// The slice that the thread had before it was given a short one, ns.
    before_ns: Option<u64>,
    /// This system has no say in it, or a sandbox forbids it.
    fixed: bool,
}

impl Slices {
    fn suit(&mut self, awaited: usize, now: impl FnOnce() -> Instant) {
        if self.awaited != awaited {
            (self.awaited, self.calm_since) = (awaited, None);
            if let Some(before_ns) = self.before_ns.take() {
                self.fixed = change(before_ns).is_err();
            }
        } else if self.before_ns.is_none() && !self.fixed {
            let now = now();
            if now.saturating_duration_since(*self.calm_since.get_or_insert(now)) >= CALM {
                self.before_ns = change(SHORT_NS).ok();
                self.fixed = self.before_ns.is_none();
                if let Some(before_ns) = self.before_ns {
                    ORDINARY_NS.store(before_ns, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Gives the calling thread slices of `ns`; gives what they were.
fn change(ns: u64) -> io::Result<u64> {
    let mut about = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0),
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    #[expect(unsafe_code, reason = "sched_getattr(2) writes at most the size it is told, into a struct of that size")]
    let told = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut about, about.size, 0) };
    let before_ns = about.sched_runtime;
    // An older system knows of no slices, and a class that somebody chose for us stays as it is.
    if told != 0 || before_ns == 0 || about.sched_policy != libc::SCHED_OTHER.cast_unsigned() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    about.sched_runtime = ns;
    #[expect(unsafe_code, reason = "sched_setattr(2) reads the struct it is given, of the size it says")]
    let changed = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const about, 0) };
    if changed == 0 { Ok(before_ns) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_short_after_a_calm_second_and_ordinary_once_somebody_waits_for_the_loop() {
        let (mut slices, start) = (Slices::default(), Instant::now());
        let after = |ms| move || start + Duration::from_millis(ms);
        slices.suit(7, after(0));
        slices.suit(7, after(10));
        slices.suit(7, after(1_009));
        assert_eq!((slices.before_ns, slices.fixed), (None, false), "a second is not over");
        slices.suit(7, after(1_010));
        let Some(before_ns) = slices.before_ns else {
            assert!(slices.fixed);
            println!("skipped: this system has no slices to ask for");
            return;
        };
        assert_eq!(change(SHORT_NS).unwrap(), SHORT_NS, "the system gave what was asked for");
        let helped = std::thread::spawn(|| {
            of_a_helper();
            change(SHORT_NS).unwrap()
        });
        assert_eq!(helped.join().unwrap(), before_ns, "a helper has ordinary ones");
        slices.suit(8, after(1_020));
        assert_eq!(slices.before_ns, None);
        assert_eq!(change(before_ns).unwrap(), before_ns, "and what was there before");
    }

    #[test]
    fn where_it_cannot_be_changed_it_is_asked_for_once() {
        let mut slices = Slices { fixed: true, ..Slices::default() };
        slices.suit(0, || unreachable!("nobody looks at the clock for nothing"));
        assert_eq!(slices.before_ns, None);
    }
}
