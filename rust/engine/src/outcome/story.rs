//! A [`Story`] is opened with the exchange and settles exactly once, on whatever path the exchange ends: finished,
//! failed, or dropped because the client left (law 4).
//!
//! The surprise: one that is dropped while a defect unwinds through it says so, instead of blaming the client.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fastroute_core::failure::{Failure, Kind};
use fastroute_core::journal::State;
use hyper::header::HeaderValue;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::beside::Beside;
use super::{Attempt, Ending, Outcome, Setback, blames_upstream, micros};
use crate::decider::{DecidedBy, Decider, Decision, Door, Plan};
use crate::failpoint;
use crate::journal::{Pledge, Told};
use crate::table::{Setbacks, Target};

/// As many names as fit go into a header.
const NAMES_BYTES: usize = 1024;

/// What is known when a story opens.
pub(crate) struct Opening {
    pub(crate) request_id: Arc<str>,
    pub(crate) generation: u64,
    pub(crate) door: Door,
    pub(crate) dialect: &'static str,
    pub(crate) stream: bool,
    pub(crate) bytes_in: u64,
}

/// An outcome in the making; tells it to the decider exactly once, at the latest when dropped.
pub(crate) struct Story {
    decider: Arc<dyn Decider>,
    setbacks: Arc<Setbacks>,
    pub(crate) started: Instant,
    pub(crate) outcome: Option<Box<Outcome>>,
    /// The running attempt's entry in the journal.
    pub(crate) pledge: Option<Pledge>,
    /// A second attempt that runs beside the last one.
    pub(super) beside: Option<Box<Beside>>,
    /// The running attempt is the first of them all although another that ended stands before it.
    pub(super) first_runs: bool,
    probe: bool,
    /// Names of the targets that had no words for the request, for the client.
    passed_over: Option<Box<str>>,
    /// From here on the head of a reply is out, whoever will answer.
    pub(crate) head_out_at: Option<Instant>,
}

impl Story {
    pub(crate) fn open(decider: Arc<dyn Decider>, setbacks: Arc<Setbacks>, started: Instant, opening: Opening) -> Self {
        let started_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let outcome = Outcome {
            request_id: opening.request_id,
            generation: opening.generation,
            route: None,
            lead: None,
            by: None,
            door: opening.door,
            dialect: opening.dialect,
            stream: opening.stream,
            status: 0,
            ending: Ending::ClientGone,
            attempts: SmallVec::new(),
            usage: None,
            failure: None,
            started_ms,
            took_us: 0,
            ended: started,
            bytes_in: opening.bytes_in,
            bytes_out: 0,
        };
        Self {
            decider,
            setbacks,
            started,
            outcome: Some(Box::new(outcome)),
            pledge: None,
            beside: None,
            first_runs: false,
            probe: false,
            passed_over: None,
            head_out_at: None,
        }
    }

    /// From here on it is this story that tells what became of a plan, and nobody hands it back.
    pub(crate) fn counts(&mut self, decision: &Decision) {
        if let Decision::Plan(plan) = decision {
            self.planned(plan);
        }
    }

    /// The plan is handed back after all.
    pub(crate) fn unplanned(&mut self) {
        self.probe = false;
        if let Some(outcome) = &mut self.outcome {
            (outcome.route, outcome.by, outcome.lead) = (None, None, None);
        }
    }

    pub(crate) fn planned(&mut self, plan: &Plan) {
        self.probe = plan.probe;
        if let Some(outcome) = &mut self.outcome {
            outcome.route = Some(plan.route);
            outcome.by = Some(plan.by);
            outcome.generation = plan.generation;
            outcome.lead = if plan.by == DecidedBy::Policy { plan.targets.first().copied() } else { None };
        }
    }

    /// A target has no words for the request: it is named, and nothing else is said of it.
    #[cold]
    pub(crate) fn pass_over(&mut self, target: &Target) {
        let (known, label) = (self.passed_over.take().unwrap_or_default(), target.label.to_str().unwrap_or_default());
        let parts = if known.is_empty() { label.to_owned() } else { format!("{known}, {label}") };
        self.passed_over = Some(if parts.len() > NAMES_BYTES { known } else { parts.into() });
    }

    /// The targets that were passed over, as a header.
    pub(crate) fn passed_over(&self) -> Option<HeaderValue> {
        self.passed_over.as_deref().and_then(|names| HeaderValue::from_str(names).ok())
    }

    /// A new attempt begins.
    pub(crate) fn attempt(&mut self, target: u32, now: Instant) {
        let attempt = Attempt::begun(target, micros(self.started, now));
        self.first_runs = false;
        if let Some(outcome) = &mut self.outcome {
            outcome.attempts.push(attempt);
        }
    }

    /// The running attempt is the first of its exchange.
    fn runs_first(&self) -> bool {
        self.first_runs || self.outcome.as_ref().is_some_and(|outcome| outcome.attempts.len() == 1)
    }

    /// The running attempt failed; health hears of it now.
    pub(crate) fn setback(&mut self, failure: &Failure, now: Instant) {
        if let Some(pledge) = self.pledge.take() {
            pledge.end(State::after(failure), Some(failure.kind), Told::default());
        }
        self.fell(failure, now);
    }

    fn fell(&mut self, failure: &Failure, now: Instant) {
        let since_start = micros(self.started, now);
        let first = self.runs_first();
        if let Some(outcome) = &mut self.outcome
            && let Some(attempt) = outcome.attempts.last_mut()
        {
            // Zero means that it still runs.
            attempt.took_us = since_start.saturating_sub(attempt.started_us).max(1);
            attempt.failure = Some(failure.clone());
            let (generation, attempt) = (outcome.generation, attempt.clone());
            let led = first && outcome.lead == Some(attempt.target);
            self.decider.report(Setback { generation, attempt, led, at: now });
            // What is nobody's fault but the client's leaves everybody where they stood.
            if blames_upstream(failure) {
                self.setbacks.note();
            }
        }
    }

    /// The running attempt showed content (or its whole reply). Told again, it stays as it was.
    pub(crate) fn content(&mut self, now: Instant) {
        let since_start = micros(self.started, now);
        let first = self.runs_first();
        if let Some(outcome) = &mut self.outcome
            && let Some(attempt) = outcome.attempts.last_mut()
            && attempt.first_content_us.is_none()
        {
            attempt.first_content_us = Some(since_start.saturating_sub(attempt.started_us));
            // A stream may go on for minutes, and meanwhile nobody else would be sent where it went.
            if self.probe && first && outcome.lead == Some(attempt.target) {
                let (generation, attempt) = (outcome.generation, attempt.clone());
                self.decider.report(Setback { generation, attempt, led: true, at: now });
            }
        }
    }

    pub(crate) fn outcome(&mut self) -> Option<&mut Outcome> {
        self.outcome.as_deref_mut()
    }

    pub(crate) fn attempts(&self) -> usize {
        self.outcome.as_ref().map_or(0, |outcome| outcome.attempts.len() + usize::from(self.beside.is_some()))
    }

    /// The running reply has come this far; with a time, that may be put on record.
    pub(crate) fn reach(&mut self, events: u64, now: Option<Instant>) {
        if let (Some(pledge), Some(outcome)) = (&mut self.pledge, &self.outcome) {
            pledge.reach(events, outcome.bytes_out);
            if let Some(now) = now {
                pledge.mark_if_due(now);
            }
        }
    }

    /// Settles. Later calls, and the drop, do nothing more.
    pub(crate) fn close(&mut self, ending: Ending, failure: Option<Failure>) {
        if self.outcome.is_some() {
            self.close_at(ending, failure, Instant::now());
        }
    }

    /// Settles at a moment that is known already.
    pub(crate) fn close_at(&mut self, ending: Ending, failure: Option<Failure>, now: Instant) {
        if let Some(mut outcome) = self.outcome.take() {
            outcome.ended = now;
            outcome.took_us = micros(self.started, now);
            outcome.ending = ending;
            if let Some(beside) = self.beside.take() {
                outcome.end_beside(*beside, ending, failure.as_ref());
            }
            if let Some(attempt) = outcome.attempts.last_mut()
                && attempt.took_us == 0
            {
                attempt.took_us = outcome.took_us.saturating_sub(attempt.started_us);
                if attempt.failure.is_none()
                    && let Some(failure) = &failure
                    && blames_upstream(failure)
                {
                    attempt.failure = Some(failure.clone());
                }
            }
            let mut telling = Telling { decider: &self.decider, setbacks: &self.setbacks, outcome: Some(outcome) };
            failpoint::pass("story.close");
            if let (Some(pledge), Some(outcome)) = (self.pledge.take(), &telling.outcome) {
                pledge.end(ending.state(), failure.as_ref().map(|failure| failure.kind), told(outcome));
            }
            if let Some(outcome) = &mut telling.outcome {
                outcome.failure = failure;
            }
        }
    }

    /// Settles an exchange whose client left and whose reply was read on. The exchange ends like any other whose client
    /// left; its attempt with what the upstream did, because that is what is owed.
    pub(crate) fn close_unseen(&mut self, came: Result<(), Failure>) {
        let (state, kind) = match &came {
            Ok(()) => (State::Complete, Kind::ClientGone),
            Err(failure) if failure.kind == Kind::Shutdown => (State::Cancelled, Kind::ClientGone),
            Err(failure) => (State::Partial, failure.kind),
        };
        let gone = self.left();
        if let (Some(pledge), Some(outcome)) = (self.pledge.take(), &self.outcome) {
            pledge.end(state, Some(kind), told(outcome));
        }
        let now = Instant::now();
        if let Err(failure) = came
            && blames_upstream(&failure)
        {
            self.fell(&failure, now);
        }
        self.close_at(Ending::ClientGone, Some(gone), now);
    }

    /// The client left: nobody is told anything any more.
    fn left(&mut self) -> Failure {
        let gone = Failure::new(Kind::ClientGone);
        if let Some(outcome) = self.outcome()
            && outcome.status == 0
        {
            outcome.status = gone.status;
        }
        gone
    }

    /// Closes a story that nobody ended: its client left, or a defect of ours unwinds through it.
    pub(crate) fn abandon(&mut self) {
        if !std::thread::panicking() {
            let gone = self.left();
            self.close(Ending::ClientGone, Some(gone));
            return;
        }
        let head_is_out = self.head_out_at.is_some_and(|at| Instant::now() > at);
        if head_is_out && let Some(outcome) = self.outcome() {
            outcome.status = 200;
        }
        let begun = self.outcome().is_some_and(|told| told.status == 200);
        let ending = if begun { Ending::Broken } else { Ending::Refused };
        let failure = Failure::new(Kind::Internal);
        if let Some(outcome) = self.outcome()
            && outcome.status == 0
        {
            outcome.status = failure.status;
        }
        self.close(ending, Some(failure));
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if self.outcome.is_some() {
            self.abandon();
        }
    }
}

/// A story that is being told: a defect on the way makes it another one, and not none.
struct Telling<'a> {
    decider: &'a Arc<dyn Decider>,
    setbacks: &'a Setbacks,
    outcome: Option<Box<Outcome>>,
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let Some(mut outcome) = self.outcome.take() else { return };
        if std::thread::panicking() {
            let failure = Failure::new(Kind::Internal);
            if outcome.status != 200 {
                (outcome.ending, outcome.status) = (Ending::Refused, failure.status);
            } else if outcome.ending == Ending::Complete {
                outcome.ending = Ending::Broken;
            }
            outcome.failure = Some(failure);
        }
        let blames = outcome.failure.as_ref().is_some_and(blames_upstream);
        self.decider.settle(outcome);
        if blames {
            self.setbacks.note();
        }
    }
}

fn told(outcome: &Outcome) -> Told {
    Told { status: outcome.status, bytes: outcome.bytes_out, usage: outcome.usage }
}
