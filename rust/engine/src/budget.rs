//! The retry budget of a route: what keeps retries from multiplying the load that made them necessary.
//!
//! Each request earns a fraction of a retry, each retry spends one, so that over time attempts stay within
//! `1 + retry_ratio` of the requests. A floor lets a quiet route retry as well. After Finagle's `RetryBudget`, with the
//! prices of the AWS SDK's standard mode, where a retry after a timeout costs twice.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fastroute_core::failure::Failure;
use tokio::time::Instant;

/// One retry, in the unit of the account.
const RETRY: u64 = 1_000;
/// The most that can be saved up: enough for a burst of failures, too little for a storm.
const CAPACITY: u64 = 100 * RETRY;
/// Retries that are granted in each [`WINDOW`] although nothing is saved, to a route that earns less than this in one.
const FLOOR: u64 = 10 * RETRY;
const WINDOW: Duration = Duration::from_secs(10);
/// What a request earns for attempts beside a slow one: one for each twenty, however slow everybody is.
const EARNS_HEDGE: u64 = RETRY / 20;
/// The most of these that can be saved up.
const HEDGES: u64 = 10 * RETRY;

/// What a retry after this failure costs: twice where the first try may have been carried out or took its time, because
/// then both are work for the provider.
pub(crate) fn price(failure: &Failure) -> u64 {
    if failure.ambiguous() || failure.timed_out() { 2 * RETRY } else { RETRY }
}

/// See the module.
#[derive(Debug)]
pub struct Budget {
    saved: AtomicU64,
    earns: u64,
    /// Begins empty, so that there are never more hedges than one for each twenty requests.
    hedges: AtomicU64,
    floor: Mutex<Floor>,
}

#[derive(Debug, Default)]
struct Floor {
    since: Option<Instant>,
    /// What was saved when this window began.
    saved: u64,
    /// In this window: paid for, and granted for nothing.
    paid: u64,
    granted: u64,
    /// The window before earned as much as the floor gives.
    busy: bool,
}

impl Budget {
    /// A full account that earns `ratio` retries per request.
    pub(crate) fn new(ratio: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=CAPACITY before")]
        let earns = (ratio * RETRY as f64).clamp(0.0, CAPACITY as f64) as u64;
        Self { saved: AtomicU64::new(CAPACITY), earns, hedges: AtomicU64::new(0), floor: Mutex::default() }
    }

    pub(crate) fn earns_like(&self, other: &Self) -> bool {
        self.earns == other.earns
    }

    /// A request came. While the account is full, which it is without failures, nothing is written.
    pub(crate) fn earn(&self) {
        if self.saved.load(Ordering::Relaxed) < CAPACITY {
            self.saved.fetch_add(self.earns, Ordering::Relaxed);
        }
    }

    /// Pays for a retry; false when nothing is left.
    pub(crate) fn spend(&self, price: u64, now: Instant) -> bool {
        let paid =
            self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| saved.checked_sub(price)).is_ok();
        let saved = self.saved.load(Ordering::Relaxed) + if paid { price } else { 0 };
        self.floor.lock().unwrap_or_else(PoisonError::into_inner).grant(price, now, paid, saved)
    }

    /// A stream came of a route that hedges.
    pub(crate) fn earn_hedge(&self) {
        if self.hedges.load(Ordering::Relaxed) < HEDGES {
            self.hedges.fetch_add(EARNS_HEDGE, Ordering::Relaxed);
        }
    }

    /// Pays for an attempt beside a running one, from its own account and from that of all retries.
    pub(crate) fn hedge(&self, now: Instant) -> bool {
        let paid =
            self.hedges.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| saved.checked_sub(RETRY)).is_ok();
        let granted = paid && self.spend(RETRY, now);
        if paid && !granted {
            self.hedges.fetch_add(RETRY, Ordering::Relaxed);
        }
        granted
    }
}

impl Floor {
    /// `saved` is what there was before this retry. A route that earns enough is granted nothing on top of it, or it would
    /// be above its ratio for good.
    fn grant(&mut self, price: u64, now: Instant, paid: bool, saved: u64) -> bool {
        let age = self.since.map(|since| now.saturating_duration_since(since));
        if age.is_none_or(|age| age >= WINDOW) {
            let earned = (self.paid + saved).saturating_sub(self.saved);
            let busy = earned >= FLOOR && age.is_some_and(|age| age < 2 * WINDOW);
            *self = Self { since: Some(now), saved, busy, ..Self::default() };
        }
        if paid {
            self.paid += price;
            return true;
        }
        let granted = !self.busy && self.granted + price <= FLOOR;
        if granted {
            self.granted += price;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use fastroute_core::failure::Kind;

    use super::*;

    /// Spends until there is nothing left, and says how many retries that were.
    fn drain(budget: &Budget, price: u64, now: Instant) -> u64 {
        (0..10_000).take_while(|_| budget.spend(price, now)).count() as u64
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_account_lasts_for_a_burst_and_then_for_a_tenth_of_the_requests() {
        let (budget, now) = (Budget::new(0.1), Instant::now());
        assert_eq!(drain(&budget, RETRY, now), 110, "what was saved, and the floor");
        for _ in 0..1000 {
            budget.earn();
        }
        assert_eq!(drain(&budget, RETRY, now), 100);
        for _ in 0..100_000 {
            budget.earn();
        }
        assert_eq!(drain(&budget, RETRY, now), 100, "no more is saved up than the capacity");
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_account_still_grants_ten_retries_in_ten_seconds() {
        let budget = Budget::new(0.0);
        drain(&budget, RETRY, Instant::now());
        for _ in 0..3 {
            tokio::time::advance(WINDOW).await;
            assert_eq!(drain(&budget, RETRY, Instant::now()), 10);
            tokio::time::advance(WINDOW / 2).await;
            assert_eq!(drain(&budget, RETRY, Instant::now()), 0);
        }
        tokio::time::advance(WINDOW).await;
        assert_eq!(drain(&budget, 2 * RETRY, Instant::now()), 5, "what was in doubt costs twice");
    }

    #[tokio::test(start_paused = true)]
    async fn hedges_are_one_for_each_twenty_requests_and_ten_at_most_are_saved_up() {
        let (budget, now) = (Budget::new(10.0), Instant::now());
        let mut hedged = 0;
        for request in 1..=10_000_u64 {
            budget.earn();
            budget.earn_hedge();
            hedged += u64::from(budget.hedge(now));
            assert!(hedged * 20 <= request, "{hedged} of {request}");
        }
        assert_eq!(hedged, 500);
        for _ in 0..10_000 {
            budget.earn_hedge();
        }
        assert_eq!((0..100).filter(|_| budget.hedge(now)).count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hedge_is_a_retry_too_and_waits_until_those_are_paid_for() {
        let (budget, now) = (Budget::new(0.0), Instant::now());
        drain(&budget, RETRY, now);
        for _ in 0..40 {
            budget.earn_hedge();
        }
        assert!(!budget.hedge(now));
        tokio::time::advance(WINDOW).await;
        assert_eq!((0..100).filter(|_| budget.hedge(Instant::now())).count(), 2, "what was saved is still there");
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_route_stays_within_its_ratio_for_good() {
        let budget = Budget::new(0.1);
        drain(&budget, RETRY, Instant::now());
        let mut retries = 0;
        for _ in 0..100 * 300 {
            tokio::time::advance(Duration::from_micros(3_333)).await;
            budget.earn();
            retries += u64::from(budget.spend(RETRY, Instant::now()));
        }
        assert!(retries <= 3_000 + 10, "{retries}");
        assert!(retries >= 2_990, "{retries}");
    }

    #[test]
    fn time_and_doubt_cost_twice() {
        for (kind, price_of) in [
            (Kind::RateLimited, RETRY),
            (Kind::Overloaded, RETRY),
            (Kind::Refused, RETRY),
            (Kind::Reset, 2 * RETRY),
            (Kind::FirstTokenSoft, 2 * RETRY),
            (Kind::ConnectTimeout, 2 * RETRY),
        ] {
            assert_eq!(price(&Failure::new(kind)), price_of, "{kind:?}");
        }
    }

    #[test]
    fn a_nonsense_ratio_is_no_panic() {
        assert_eq!(Budget::new(f64::NAN).earns, 0);
        assert_eq!(Budget::new(1e300).earns, CAPACITY);
    }
}
