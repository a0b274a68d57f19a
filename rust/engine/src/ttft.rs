//! How slow a target's first content usually is, and from when on it is slow enough to be left for another.
//!
//! Counts of the last five minutes, in whole seconds. The surprise: only the range that decides is told apart, because
//! the limit (three times the 95th percentile) is held between 15 s and 60 s anyway.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Never sooner: a model that usually takes a second may still have a long prompt to read.
const FLOOR_S: u64 = 15;
/// Never later, and while too little is known.
const CEILING_S: u64 = 60;
const TIMES_P95: u64 = 3;
/// Streams that a percentile needs.
const SAMPLES: u64 = 50;
/// The percentile is taken anew with each so many streams.
const EVERY: u64 = 10;

/// As many as there are slots in a window.
const MINUTES: u64 = 5;
/// Below 5 s, each second from there to 20 s, and the rest: three times the ends are floor and ceiling.
const FIRST_S: u64 = FLOOR_S / TIMES_P95;
const BUCKETS: usize = 17;

/// See the module.
#[derive(Debug)]
pub struct Ttft {
    epoch: Instant,
    window: Mutex<Window>,
    /// The limit in seconds (low half) and the minute it was taken in (high half); 0: none was.
    limit: AtomicU64,
}

#[derive(Debug, Default)]
struct Window {
    seen: u64,
    slots: [Slot; 5],
}

#[derive(Debug, Default)]
struct Slot {
    minute: u64,
    counts: [u32; BUCKETS],
}

impl Ttft {
    pub(crate) fn new(now: Instant) -> Self {
        Self { epoch: now, window: Mutex::default(), limit: AtomicU64::new(0) }
    }

    /// Minutes since the start; the first is number 1, so that an unused slot is always an old one.
    fn minute(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs() / 60 + MINUTES
    }

    /// A stream showed content after so long.
    pub(crate) fn record(&self, took: Duration, now: Instant) {
        let minute = self.minute(now);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.add(bucket(took), minute);
        if window.seen.is_multiple_of(EVERY) {
            let limit =
                window.p95_s(minute).map_or(0, |p95_s| minute << 32 | (TIMES_P95 * p95_s).clamp(FLOOR_S, CEILING_S));
            self.limit.store(limit, Ordering::Relaxed);
        }
    }

    /// How long the first content of a stream may take before another target is the better bet.
    pub(crate) fn limit(&self, now: Instant) -> Duration {
        let limit = self.limit.load(Ordering::Relaxed);
        let fresh = self.minute(now).saturating_sub(limit >> 32) < MINUTES;
        Duration::from_secs(if limit != 0 && fresh { limit & 0xFFFF_FFFF } else { CEILING_S })
    }
}

fn bucket(took: Duration) -> usize {
    usize::try_from((took.as_secs() + 1).saturating_sub(FIRST_S)).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

impl Window {
    fn add(&mut self, bucket: usize, minute: u64) {
        self.seen += 1;
        let at = usize::try_from(minute % MINUTES).unwrap_or(0);
        let Some(slot) = self.slots.get_mut(at) else { return };
        if slot.minute != minute {
            *slot = Slot { minute, counts: [0; BUCKETS] };
        }
        if let Some(count) = slot.counts.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
    }

    /// The upper end of the second in which the 95th percentile lies; `None` while too little is known.
    fn p95_s(&self, minute: u64) -> Option<u64> {
        let recent = || self.slots.iter().filter(|slot| minute - slot.minute < MINUTES);
        let total: u64 = recent().flat_map(|slot| slot.counts).map(u64::from).sum();
        if total < SAMPLES {
            return None;
        }
        let mut slower = total / 20;
        for at in (0..BUCKETS).rev() {
            let here: u64 = recent().filter_map(|slot| slot.counts.get(at)).map(|count| u64::from(*count)).sum();
            if here > slower {
                return Some(FIRST_S + at as u64);
            }
            slower -= here;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_s(ttft: &Ttft) -> u64 {
        ttft.limit(Instant::now()).as_secs()
    }

    fn record(ttft: &Ttft, seconds: f64, times: usize) {
        for _ in 0..times {
            ttft.record(Duration::from_secs_f64(seconds), Instant::now());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn fifty_streams_make_a_percentile_and_five_minutes_forget_it() {
        let ttft = Ttft::new(Instant::now());
        record(&ttft, 1.0, 49);
        assert_eq!(limit_s(&ttft), 60);
        record(&ttft, 1.0, 1);
        assert_eq!(limit_s(&ttft), 15);
        tokio::time::advance(Duration::from_secs(299)).await;
        assert_eq!(limit_s(&ttft), 15);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(limit_s(&ttft), 60, "nothing was seen for five minutes");
        record(&ttft, 1.0, 40);
        assert_eq!(limit_s(&ttft), 60, "and the old ones do not count");
    }

    #[tokio::test(start_paused = true)]
    async fn three_times_the_95th_percentile_between_floor_and_ceiling() {
        for (seconds, expected) in [(0.1, 15), (4.99, 15), (5.0, 18), (7.2, 24), (18.9, 57), (19.5, 60), (500.0, 60)] {
            let ttft = Ttft::new(Instant::now());
            // A twentieth may be slower.
            record(&ttft, 700.0, 5);
            record(&ttft, seconds, 95);
            assert_eq!(limit_s(&ttft), expected, "{seconds}");
            record(&ttft, 700.0, 10);
            assert_eq!(limit_s(&ttft), 60, "more than that may not");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_percentile_moves_with_the_minutes() {
        let ttft = Ttft::new(Instant::now());
        for minute in 0..10 {
            record(&ttft, if minute < 4 { 10.0 } else { 1.0 }, 50);
            assert_eq!(limit_s(&ttft), if minute < 8 { 33 } else { 15 }, "minute {minute}");
            tokio::time::advance(Duration::from_secs(60)).await;
        }
    }
}
