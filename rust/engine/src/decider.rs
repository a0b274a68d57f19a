//! Who decides: one question per exchange, one answer, one story when it is over.
//!
//! Python implements [`Decider`] through the border, tests implement it with a closure. A decider never blocks and is
//! never waited for without a limit: when its answer is late the engine's snapshot of the route decides instead, and
//! the late answer is handed back so that nobody counts a request that was never sent.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fastroute_core::dialects::Dialect;
use smallvec::SmallVec;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::outcome::{Outcome, Setback};

/// How late a decision may be before the snapshot decides. A loop busy for longer must not hold up traffic.
pub const LATE_AFTER: Duration = Duration::from_millis(1);
/// How long a question waits that no snapshot can answer.
pub const WAIT_AT_MOST: Duration = Duration::from_millis(250);

/// The way in a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Granian,
    Edge,
    Library,
}

impl Door {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granian => "granian",
            Self::Edge => "edge",
            Self::Library => "library",
        }
    }
}

/// What is known of a request before anyone is called. No content, only shape.
#[derive(Clone, Debug)]
pub struct Question {
    /// The model as the client spelled it.
    pub model: Arc<str>,
    pub dialect: Dialect,
    pub door: Door,
    pub stream: bool,
    /// Bytes of the body.
    pub body_bytes: u64,
    /// Bytes of text in it, for token estimates.
    pub text_bytes: u64,
    pub messages: u32,
    pub tools: u32,
    /// Images, audio and files together.
    pub media: u32,
    pub max_tokens: Option<u64>,
}

/// Targets in the order they are to be tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Index of the route in the table of this generation.
    pub route: u32,
    pub generation: u64,
    /// Indexes of targets in the same table, best first, never empty.
    pub targets: SmallVec<[u32; 4]>,
    /// How many of them, from the first, are in service; the rest stand by in case these fail.
    pub may_lead: usize,
    /// The first target rested and this request tries it: its content is reported at once, and nobody else follows it.
    pub probe: bool,
    pub by: DecidedBy,
}

/// Who made a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// The decider, in time.
    Policy,
    /// The engine's own snapshot of the route, because the decider was late or full.
    Snapshot,
}

/// The decider will not have this request.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub status: u16,
    pub code: Box<str>,
    pub message: Box<str>,
    /// The request field at fault, when one is.
    pub param: Option<&'static str>,
    /// When the same request may be answered again, as far as is known.
    pub retry_after_s: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    Plan(Plan),
    Refusal(Refusal),
}

/// The decider has no room for another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// See the module. No method may block.
pub trait Decider: Send + Sync + 'static {
    /// Takes a question; the answer may be given from any thread, now or later.
    fn decide(&self, question: Question, answer: Answer) -> Result<(), Busy>;
    /// False while too many stories wait to be taken: nothing new is admitted then, because none may be lost.
    fn room(&self) -> bool {
        true
    }
    /// An attempt failed, or a probe shows content, while its exchange goes on: health must not wait for the end.
    fn report(&self, setback: Setback);
    /// The exchange is over.
    fn settle(&self, outcome: Box<Outcome>);
    /// A plan was made that no exchange will use: its client left, or the snapshot was faster.
    fn forget(&self, plan: &Plan);
}

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    Given(Decision),
    Late,
    Gone,
}

/// Where one answer is awaited.
#[derive(Debug)]
struct Slot(Mutex<State>);

impl Slot {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, decision: Decision) -> Result<(), Decision> {
        let mut state = self.state();
        match &mut *state {
            State::Waiting(waker) => {
                let waker = waker.take();
                *state = State::Given(decision);
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
                Ok(())
            }
            _ => Err(decision),
        }
    }

    fn expire(&self) {
        let mut state = self.state();
        if let State::Waiting(waker) = &mut *state {
            let waker = waker.take();
            *state = State::Late;
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// The right to answer one question once.
#[derive(Debug)]
pub struct Answer {
    slot: Arc<Slot>,
    mailbox: Arc<Mailbox>,
}

impl Answer {
    /// False when nobody waits any more; deciding would be wasted.
    pub fn wanted(&self) -> bool {
        matches!(&*self.slot.state(), State::Waiting(_))
    }

    /// Answers at once, waking the I/O thread for this answer alone. Returns the decision when it came too late.
    pub fn give(self, decision: Decision) -> Result<(), Decision> {
        self.slot.give(decision)
    }

    /// Declines: the asker falls back at once instead of waiting for the sweep.
    pub fn decline(self) {
        self.slot.expire();
    }

    /// The I/O thread that waits: answers for the same one can travel together (see [`Mailbox::deliver`]).
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }
}

/// Brings a batch of answers to one I/O thread with a single wake-up.
#[derive(Debug, Default)]
pub struct Mailbox {
    letters: Mutex<Vec<(Answer, Decision)>>,
    arrived: Notify,
}

impl Mailbox {
    /// Hands over a batch; `letters` is empty afterwards and keeps its allocation.
    pub fn deliver(&self, letters: &mut Vec<(Answer, Decision)>) {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).append(letters);
        self.arrived.notify_one();
    }

    /// Runs on the I/O thread for as long as it lives.
    pub(crate) async fn run(self: Arc<Self>, decider: Arc<dyn Decider>) {
        let mut letters = Vec::new();
        loop {
            self.arrived.notified().await;
            std::mem::swap(&mut *self.letters.lock().unwrap_or_else(PoisonError::into_inner), &mut letters);
            for (answer, decision) in letters.drain(..) {
                if let Err(Decision::Plan(plan)) = answer.give(decision) {
                    decider.forget(&plan);
                }
            }
        }
    }
}

/// Marks questions of one I/O thread as late, with one timer for all of them.
///
/// A timer per question costs about as much as the question; one sweep costs nothing that can be seen under load.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    asked: Mutex<VecDeque<(Instant, Arc<Slot>)>>,
    started: Notify,
}

impl Sweep {
    fn watch(&self, slot: Arc<Slot>, now: Instant) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push_back((now + LATE_AFTER, slot));
        if asked.len() == 1 {
            self.started.notify_one();
        }
    }

    fn expire(&self, now: Instant) -> Option<Instant> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((due, slot)) = asked.front() {
            if *due > now && slot_waits(slot) {
                return Some(*due);
            }
            if let Some((_, slot)) = asked.pop_front() {
                slot.expire();
            }
        }
        None
    }

    /// Runs on the I/O thread for as long as it lives.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            self.started.notified().await;
            while let Some(due) = self.expire(Instant::now()) {
                tokio::time::sleep_until(due).await;
            }
        }
    }
}

fn slot_waits(slot: &Slot) -> bool {
    matches!(&*slot.state(), State::Waiting(_))
}

/// Why there is no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDecision {
    /// The decider did not answer in time.
    Late,
    /// The decider had no room.
    Busy,
}

/// What one I/O thread needs to ask.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) sweep: Arc<Sweep>,
}

impl Desk {
    /// Asks and waits. With `snapshot` the wait ends after [`LATE_AFTER`], without it after [`WAIT_AT_MOST`].
    pub(crate) async fn ask(
        &self,
        decider: &Arc<dyn Decider>,
        question: Question,
        snapshot: bool,
    ) -> Result<Decision, NoDecision> {
        let slot = Arc::new(Slot(Mutex::new(State::Waiting(None))));
        let wait = Wait { slot: slot.clone(), decider };
        let answer = Answer { slot: slot.clone(), mailbox: self.mailbox.clone() };
        if decider.decide(question, answer).is_err() {
            return Err(NoDecision::Busy);
        }
        if snapshot {
            self.sweep.watch(slot, Instant::now());
            wait.await
        } else {
            tokio::time::timeout(WAIT_AT_MOST, wait).await.unwrap_or(Err(NoDecision::Late))
        }
    }
}

struct Wait<'a> {
    slot: Arc<Slot>,
    decider: &'a Arc<dyn Decider>,
}

impl Future for Wait<'_> {
    type Output = Result<Decision, NoDecision>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.slot.state();
        match &mut *state {
            State::Waiting(waker) => {
                *waker = Some(task.waker().clone());
                Poll::Pending
            }
            State::Given(_) => match std::mem::replace(&mut *state, State::Gone) {
                State::Given(decision) => Poll::Ready(Ok(decision)),
                _ => Poll::Ready(Err(NoDecision::Late)),
            },
            State::Late | State::Gone => Poll::Ready(Err(NoDecision::Late)),
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut *self.slot.state(), State::Gone);
        if let State::Given(Decision::Plan(plan)) = state {
            self.decider.forget(&plan);
        }
    }
}
