//! Latencies in log-linear buckets: constant memory, percentiles to within one part in 128.
//!
//! Each power of two is cut into 128 equal buckets, as in `HdrHistogram`; a percentile is given by the upper edge of
//! its bucket, so that it never flatters.

use serde::Serialize;

/// log2 of the buckets per power of two.
const FINE_BITS: u32 = 7;
const FINE: u64 = 1 << FINE_BITS;

#[derive(Debug, Clone)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
}

/// What is told of a distribution, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub min_us: f64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p99_9_us: f64,
    pub max_us: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: Vec::new(), count: 0, sum_ns: 0, min_ns: u64::MAX, max_ns: 0 }
    }
}

impl Histogram {
    pub(super) fn record(&mut self, ns: u64) {
        let place = place(ns);
        if self.buckets.len() <= place {
            self.buckets.resize(place + 1, 0);
        }
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// `None` when nothing was recorded.
    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        (self.count > 0).then(|| Percentiles {
            count: self.count,
            min_us: microseconds(self.min_ns),
            mean_us: microseconds(u64::try_from(self.sum_ns / u128::from(self.count)).unwrap_or(u64::MAX)),
            p50_us: microseconds(self.at(500)),
            p90_us: microseconds(self.at(900)),
            p99_us: microseconds(self.at(990)),
            p99_9_us: microseconds(self.at(999)),
            max_us: microseconds(self.max_ns),
        })
    }

    /// The value that so many thousandths of the samples do not exceed (nearest rank).
    fn at(&self, thousandths: u64) -> u64 {
        let rank = (self.count * thousandths).div_ceil(1000).max(1);
        let mut below = 0;
        for (place, &count) in self.buckets.iter().enumerate() {
            below += count;
            if below >= rank {
                return upper_edge(place).clamp(self.min_ns, self.max_ns);
            }
        }
        self.max_ns
    }
}

fn place(ns: u64) -> usize {
    let power = ns.checked_ilog2().unwrap_or(0).saturating_sub(FINE_BITS);
    let within = ns >> power;
    usize::try_from(u64::from(power) * FINE + within).unwrap_or(usize::MAX)
}

fn upper_edge(place: usize) -> u64 {
    let place = place as u64;
    if place < 2 * FINE {
        return place;
    }
    let power = place / FINE - 1;
    let within = place % FINE + FINE;
    ((within + 1) << power) - 1
}

/// To a tenth, which is finer than any of these clocks is honest.
fn microseconds(ns: u64) -> f64 {
    (ns as f64 / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_buckets_follow_each_other() {
        let mut last = 0;
        for ns in (0..5000).chain((0..40).map(|shift| (1_u64 << shift) + 12345)) {
            let edge = upper_edge(place(ns));
            assert!(edge >= ns && edge - ns <= ns / FINE, "{ns} in a bucket up to {edge}");
            if ns < 5000 {
                assert!(place(ns) == last || place(ns) == last + 1, "a gap before {ns}");
                last = place(ns);
            }
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_samples() {
        let mut histogram = Histogram::default();
        let mut samples: Vec<u64> = (1..=10_000_u64).map(|n| n * n % 7_919_000 + 1000).collect();
        for &ns in &samples {
            histogram.record(ns);
        }
        samples.sort_unstable();
        let told = histogram.percentiles().unwrap();
        for (told_us, rank) in [(told.p50_us, 5000), (told.p90_us, 9000), (told.p99_us, 9900), (told.p99_9_us, 9990)] {
            let exact_us = samples[rank - 1] as f64 / 1000.0;
            assert!((told_us / exact_us - 1.0).abs() < 0.01, "{told_us} for {exact_us}");
        }
        assert_eq!((told.count, told.max_us), (10_000, microseconds(samples[9999])));
    }

    #[test]
    fn nothing_recorded_tells_nothing() {
        assert_eq!(Histogram::default().percentiles(), None);
    }
}
