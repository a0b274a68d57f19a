//! When a disk is too slow for a thread that serves requests.
//!
//! One write of a few milliseconds is as likely a thread that had to wait for its core; two in a second are the disk's.

use std::time::{Duration, Instant};

/// A write that takes longer holds up the requests of its thread.
const SLOW: Duration = Duration::from_millis(5);
/// No wait for a core is that long.
const HANGS: Duration = Duration::from_millis(50);
const TOGETHER: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Pace {
    slow_at: Option<Instant>,
}

impl Pace {
    /// Judges a write that ended at `now`: true when the disk is in trouble.
    pub(super) fn falters(&mut self, took: Duration, now: Instant) -> bool {
        if took <= SLOW {
            return false;
        }
        let before = self.slow_at.replace(now);
        took > HANGS || before.is_some_and(|before| now.saturating_duration_since(before) <= TOGETHER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_write_is_chance_and_two_are_a_slow_disk() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let after = |ms| start + Duration::from_millis(ms);
        let slow = Duration::from_millis(6);
        assert!(!pace.falters(slow, after(0)));
        assert!(!pace.falters(Duration::from_millis(4), after(100)));
        assert!(pace.falters(slow, after(900)));
        assert!(!pace.falters(slow, after(5_000)));
    }

    #[test]
    fn one_write_that_hangs_is_enough() {
        assert!(Pace::default().falters(Duration::from_millis(51), Instant::now()));
    }
}
