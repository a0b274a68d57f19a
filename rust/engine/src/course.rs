//! The course of a walk: what was tried, what is ruled out, and what may be tried next, and when.
//!
//! Nothing here waits or sends: time and dice are arguments. Elsewhere comes at once; the same target comes again only
//! where the route wants it or nothing else is left, and then after a pause.

use std::time::Duration;

use fastroute_core::failure::{Failure, Kind, Retry};
use tokio::time::Instant;

use crate::clocks::{Ambiguous, Patience, seconds};
use crate::dice::Dice;
use crate::table::{Table, Target};

/// The pause before a target is tried again: a random part of this, doubled with each repeat ("full jitter", Brooker,
/// "Exponential Backoff And Jitter", 2015).
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_CAP: Duration = Duration::from_secs(2);
/// How long a target that limits requests without saying for how long is taken to do so.
const COOL_DOWN: Duration = Duration::from_secs(5);
/// Without a word from the route: how long a target that named a wait is waited for when no other is left. Longer than
/// this the client is better told, it may have somewhere else to go.
const WAIT_FOR_THE_LAST_S: f64 = 5.0;

/// See the module.
pub(crate) struct Course<'t> {
    table: &'t Table,
    /// The plan's targets, best first.
    plan: &'t [u32],
    patience: &'t Patience,
    deadline: Instant,
    attempts: u32,
    tried: Vec<Tried>,
    /// Keys that are out, for every model alike.
    keys: Vec<(usize, Option<usize>)>,
    /// Failures after which only one more try elsewhere is right.
    doubts: u32,
    /// Replies of "too early" (425): worth one repeat.
    early: u32,
    repeats: u32,
    /// The target that failed last.
    failed: Option<u32>,
    /// After that failure nothing is right.
    over: bool,
    /// Why the first target that has no words for the request has none.
    unsaid: Option<Box<Failure>>,
}

/// A target that failed, or has no words for the request.
struct Tried {
    target: u32,
    times: u32,
    /// It is not to be tried again in this exchange.
    barred: bool,
    /// It takes requests again from here on.
    back: Instant,
    /// What a client is told about that, where there is something to tell.
    told: Option<Instant>,
}

/// What may be tried next.
pub(crate) struct Step<'t> {
    pub(crate) target: &'t Target,
    /// Not before this instant.
    pub(crate) at: Instant,
}

impl<'t> Course<'t> {
    pub(crate) fn new(table: &'t Table, plan: &'t [u32], patience: &'t Patience, deadline: Instant) -> Self {
        Self {
            table,
            plan,
            patience,
            deadline,
            attempts: 0,
            tried: Vec::new(),
            keys: Vec::new(),
            doubts: 0,
            early: 0,
            repeats: 0,
            failed: None,
            over: false,
            unsaid: None,
        }
    }

    /// Nothing begins at this instant, or after it.
    pub(crate) fn end_by(&mut self, by: Instant) {
        self.deadline = self.deadline.min(by);
    }

    /// Takes in that a target has no words for the request: it is none of those that may be tried, and none that was.
    pub(crate) fn pass_over(&mut self, target: &Target, failure: Failure) {
        self.tried.push(Tried { target: target.index, times: 0, barred: true, back: self.deadline, told: None });
        self.unsaid.get_or_insert_with(|| Box::new(failure));
    }

    /// What is wrong with the request, where nobody had words for it.
    pub(crate) fn unsaid(&mut self) -> Option<Failure> {
        self.unsaid.take().map(|failure| *failure)
    }

    /// The target in service that may be asked beside this one while it is slow, and that it may be left for. Where
    /// there is none, waiting on is better than whoever is known to fail.
    pub(crate) fn beside(&self, running: &Target, may_lead: usize) -> Option<&'t Target> {
        let may_leave = self.attempts + 1 < self.patience.attempts
            && self.doubts == 0
            && self.patience.ambiguous_retry == Ambiguous::Once;
        let in_service = self.plan.get(..may_lead).unwrap_or(self.plan);
        may_leave.then(|| self.untried(in_service, Some(running.index)))?
    }

    fn untried(&self, among: &'t [u32], running: Option<u32>) -> Option<&'t Target> {
        let open = |target: &&'t Target| {
            Some(target.index) != running
                && !self.keys.contains(&target.key)
                && !self.tried.iter().any(|tried| tried.target == target.index)
        };
        among.iter().filter_map(|index| self.table.target(*index)).find(open)
    }

    /// Takes in the failure of one of two attempts; the other one goes on.
    pub(crate) fn after_one_of_two(&mut self, target: &Target, failure: &Failure, now: Instant) {
        self.note(target, failure, now);
        self.goes_on(failure);
    }

    /// Takes a failure in and says what follows it, if anything.
    pub(crate) fn after(
        &mut self,
        target: &'t Target,
        failure: &Failure,
        now: Instant,
        dice: &Dice,
    ) -> Option<Step<'t>> {
        self.note(target, failure, now);
        self.failed = Some(target.index);
        self.over = !self.goes_on(failure);
        self.next(now, dice)
    }

    /// What may be tried now, if anything.
    pub(crate) fn next(&mut self, now: Instant, dice: &Dice) -> Option<Step<'t>> {
        let untried = self.untried(self.plan, None);
        let Some(failed) = self.failed else { return untried.map(|target| Step { target, at: now }) };
        if self.over || self.attempts >= self.patience.attempts || now >= self.deadline {
            return None;
        }
        match untried {
            Some(elsewhere) => {
                let again = self.again(Some(failed), 0, 0.0, now, dice);
                Some(again.unwrap_or(Step { target: elsewhere, at: now }))
            }
            None => self.again(None, 1, WAIT_FOR_THE_LAST_S, now, dice),
        }
    }

    /// The shortest wait that a target named or, limiting without a word, is given; from now on.
    pub(crate) fn soonest(&self, now: Instant) -> Option<Duration> {
        self.tried.iter().filter_map(|tried| tried.told).map(|told| told.saturating_duration_since(now)).min()
    }

    /// The client may come back as soon as one of the targets takes requests again.
    pub(crate) fn tell_the_wait(&self, failure: &mut Failure, now: Instant) {
        if failure.retry_after_ms.is_some() || failure.kind == Kind::RateLimited {
            let soonest = self.soonest(now);
            failure.retry_after_ms = soonest.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        }
    }

    fn note(&mut self, target: &Target, failure: &Failure, now: Instant) {
        self.attempts += 1;
        let barred = match failure.retry {
            Retry::SameOrElsewhere => false,
            Retry::OtherKey => {
                self.keys.push(target.key);
                true
            }
            Retry::Never | Retry::Elsewhere | Retry::ElsewhereOnce => true,
        };
        let back = now + Duration::from_millis(failure.retry_after_ms.unwrap_or(0));
        let told = match failure.kind {
            Kind::RateLimited if failure.retry_after_ms.is_none() => Some(now + COOL_DOWN),
            _ => failure.retry_after_ms.map(|_| back),
        };
        match self.tried.iter_mut().find(|tried| tried.target == target.index) {
            Some(tried) => *tried = Tried { times: tried.times + 1, barred, back, told, ..*tried },
            None => self.tried.push(Tried { target: target.index, times: 1, barred, back, told }),
        }
    }

    /// Whether anything may follow this failure at all.
    fn goes_on(&mut self, failure: &Failure) -> bool {
        match failure.retry {
            Retry::Never => false,
            Retry::ElsewhereOnce => {
                self.doubts += 1;
                self.doubts == 1 && (self.patience.ambiguous_retry == Ambiguous::Once || !failure.ambiguous())
            }
            _ if failure.upstream_status == Some(425) => {
                self.early += 1;
                self.early == 1
            }
            _ => true,
        }
    }

    /// The target that is back first among those that may be tried again: `only` this one, or any. `retries` and
    /// `wait_s` hold where the route names none.
    fn again(&mut self, only: Option<u32>, retries: u32, wait_s: f64, now: Instant, dice: &Dice) -> Option<Step<'t>> {
        let retries = self.patience.same_target_retries.unwrap_or(retries);
        let latest = now + seconds(self.patience.wait_retry_after_s.unwrap_or(wait_s));
        let open = |tried: &&Tried| {
            only.is_none_or(|only| only == tried.target)
                && !tried.barred
                && tried.times <= retries
                && tried.back <= latest
        };
        let tried = self.tried.iter().filter(open).min_by_key(|tried| tried.back)?;
        let target = self.table.target(tried.target).filter(|target| !self.keys.contains(&target.key))?;
        let cap = BACKOFF.saturating_mul(1 << self.repeats.min(16)).min(BACKOFF_CAP);
        let at = tried.back.max(now) + cap.mul_f64(dice.unit());
        if at >= self.deadline {
            return None;
        }
        self.repeats += 1;
        Some(Step { target, at })
    }
}

#[cfg(test)]
mod tests;
