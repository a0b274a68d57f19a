//! A story of two attempts at once.
//!
//! The rule: a story has one running attempt, the last one. The second stands beside it, and whichever of them ends is
//! put before the other, so that attempts stand in the order in which they ended.

use fastroute_core::failure::Failure;
use tokio::time::Instant;

use super::{Attempt, Ending, Outcome, Story, micros};
use crate::journal::{Pledge, Told};

/// The second of two attempts, with its entry in the journal.
pub(super) struct Beside {
    attempt: Attempt,
    pledge: Option<Pledge>,
}

impl Story {
    /// A second attempt begins while the running one goes on.
    pub(crate) fn attempt_beside(&mut self, target: u32, pledge: Option<Pledge>, now: Instant) {
        let attempt = Attempt::begun(target, micros(self.started, now));
        self.beside = Some(Box::new(Beside { attempt, pledge }));
    }

    /// Of two attempts one failed, the second or else the first. The other is the running one from now on. So attempts
    /// stand in the order in which they ended, and the last is the one that is answered with.
    pub(crate) fn setback_of_two(&mut self, second: bool, failure: &Failure, now: Instant) {
        let Some(mut other) = self.beside.take() else { return self.setback(failure, now) };
        let first = second && self.attempts() == 1;
        if second && let Some(last) = self.outcome.as_mut().and_then(|outcome| outcome.attempts.last_mut()) {
            std::mem::swap(last, &mut other.attempt);
            std::mem::swap(&mut self.pledge, &mut other.pledge);
        }
        self.setback(failure, now);
        let Beside { attempt, pledge } = *other;
        if let Some(outcome) = &mut self.outcome {
            outcome.attempts.push(attempt);
        }
        self.pledge = pledge;
        self.first_runs = first;
    }
}

impl Outcome {
    /// The exchange ends, with both attempts of two under way.
    #[cold]
    pub(super) fn end_beside(&mut self, beside: Beside, ending: Ending, failure: Option<&Failure>) {
        let Beside { mut attempt, pledge } = beside;
        attempt.took_us = self.took_us.saturating_sub(attempt.started_us).max(1);
        self.attempts.insert(self.attempts.len().saturating_sub(1), attempt);
        if let Some(pledge) = pledge {
            pledge.end(ending.state(), failure.map(|failure| failure.kind), Told::default());
        }
    }
}
