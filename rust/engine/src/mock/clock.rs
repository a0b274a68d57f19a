//! The one clock of the scripted upstream and the load generator: `CLOCK_MONOTONIC` in absolute nanoseconds.
//!
//! `std::time::Instant` hides its origin, so two processes cannot compare two of them; this number they can.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since an origin that all processes of one machine share.
pub fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// CPU time that this process has used, user and kernel together.
pub(super) fn process_cpu_ns() -> u64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let fraction = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + fraction
}
