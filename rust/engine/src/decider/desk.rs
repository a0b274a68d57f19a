//! Where an I/O thread asks and waits: slots, the mailbox answers come back in, the sweep that ends the wait.
//!
//! One rule: a plan is either used by the exchange that asked or handed back, once, whoever is faster. The surprise:
//! `rust/models` compiles this file a second time, with loom's primitives in the place of `crate::sync`.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::{Decider, Decision, LATE_AFTER, NoDecision, Question, WAIT_AT_MOST};
use crate::failpoint;
use crate::sync::{Mutex, MutexGuard, Notify};

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
    fn state(&self) -> MutexGuard<'_, State> {
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
            letters.reverse();
            let batch = Batch { letters: &mut letters, decider: &decider };
            failpoint::pass("decide.letter");
            while let Some((answer, decision)) = batch.letters.pop() {
                if let Err(Decision::Plan(plan)) = answer.give(decision) {
                    decider.forget(&plan);
                }
            }
        }
    }
}

/// Letters being given out; those that a defect leaves over are handed back.
struct Batch<'a> {
    letters: &'a mut Vec<(Answer, Decision)>,
    decider: &'a Arc<dyn Decider>,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for (answer, decision) in self.letters.drain(..) {
            answer.decline();
            if let Decision::Plan(plan) = decision {
                self.decider.forget(&plan);
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

    pub(crate) fn expire(&self, now: Instant) -> Option<Instant> {
        failpoint::pass("decide.sweep");
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
            while let Some(due) = self.expire(Instant::now()) {
                tokio::time::sleep_until(due).await;
            }
            self.started.notified().await;
        }
    }
}

fn slot_waits(slot: &Slot) -> bool {
    matches!(&*slot.state(), State::Waiting(_))
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
