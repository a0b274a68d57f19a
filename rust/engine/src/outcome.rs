//! What an exchange came to: every attempt with its times, usage, and the failure if there was one.
//!
//! A [`Story`] is opened with the exchange and settles exactly once, on whatever path the exchange ends: finished,
//! failed, or dropped because the client left (law 4).

mod beside;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fastroute_core::dialects::Dialect;
use fastroute_core::failure::{Failure, Kind, Origin};
use fastroute_core::journal::State;
use fastroute_core::usage::Usage;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::decider::{DecidedBy, Decider, Decision, Door, Plan};
use crate::failpoint;
use crate::journal::{Pledge, Told};
use crate::table::Setbacks;

use beside::Beside;

/// How an exchange ended, from the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The whole reply was handed over.
    Complete,
    /// The client got an error instead of a reply.
    Refused,
    /// A reply began and ended with an error event.
    Broken,
    /// The client left first.
    ClientGone,
}

impl Ending {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::ClientGone => "client_gone",
        }
    }

    /// What it means for an attempt that was still running.
    const fn state(self) -> State {
        match self {
            Self::Complete => State::Complete,
            Self::Broken => State::Partial,
            Self::ClientGone => State::Cancelled,
            // Only a defect of ours refuses while an attempt runs.
            Self::Refused => State::Unknown,
        }
    }
}

/// One try at one target.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub target: u32,
    /// Microseconds from the start of the exchange.
    pub started_us: u64,
    /// From the start of the attempt to its first content event, or the whole reply; `None` when it never came.
    pub first_content_us: Option<u64>,
    /// From the start of the attempt to its end.
    pub took_us: u64,
    /// `None` while it is still running or when it succeeded.
    pub failure: Option<Failure>,
}

/// An attempt told while its exchange goes on: it failed, or it was a probe and shows content.
#[derive(Clone, Debug)]
pub struct Setback {
    pub generation: u64,
    pub attempt: Attempt,
    /// It is the one that the decider counted as sent when it made the plan.
    pub led: bool,
    /// When this was so: the story waits its turn, and health goes by the instants things were sent.
    pub at: Instant,
}

/// The story of one exchange.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub request_id: Arc<str>,
    pub generation: u64,
    /// `None` when no plan was made.
    pub route: Option<u32>,
    /// The first target of the plan, when the decider made it (and counted it as in flight).
    pub lead: Option<u32>,
    pub by: Option<DecidedBy>,
    pub door: Door,
    pub dialect: Dialect,
    pub stream: bool,
    pub status: u16,
    pub ending: Ending,
    /// In the order in which they ended.
    pub attempts: SmallVec<[Attempt; 2]>,
    pub usage: Option<Usage>,
    pub failure: Option<Failure>,
    /// Wall clock at the start, milliseconds since 1970.
    pub started_ms: u64,
    pub took_us: u64,
    /// When it was over.
    pub ended: Instant,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// Whether a failure says something about its target, rather than about the request, the client or ourselves.
pub fn blames_upstream(failure: &Failure) -> bool {
    matches!(failure.origin, Origin::Upstream | Origin::Operator)
}

/// Microseconds between two instants, saturating.
pub(crate) fn micros(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX)
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
    beside: Option<Box<Beside>>,
    /// The running attempt is the first of them all although another that ended stands before it.
    first_runs: bool,
    probe: bool,
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
            if self.probe && first {
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

impl Attempt {
    fn begun(target: u32, started_us: u64) -> Self {
        Self { target, started_us, first_content_us: None, took_us: 0, failure: None }
    }
}

fn told(outcome: &Outcome) -> Told {
    Told { status: outcome.status, bytes: outcome.bytes_out, usage: outcome.usage }
}

impl Story {
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

/// What is known when a story opens.
pub(crate) struct Opening {
    pub(crate) request_id: Arc<str>,
    pub(crate) generation: u64,
    pub(crate) door: Door,
    pub(crate) dialect: Dialect,
    pub(crate) stream: bool,
    pub(crate) bytes_in: u64,
}
