//! The drain: the one callback that the loop runs when the bell rings. It decides, settles and writes replies.
//!
//! It works for at most [`TURN`] and rings again for what is left, so that no callback holds the loop for longer. An
//! exception in one item is told to `sys.unraisablehook` and the rest goes on.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastroute_engine::decider::{Answer, Decision, Mailbox, Plan, Question};
use fastroute_engine::defect::{Defects, caught};
use fastroute_engine::{Outcome, Setback, failpoint};
use pyo3::prelude::*;

use crate::brain::Brain;
use crate::decider::Backlog;
use crate::queue::Queue;
use crate::rsgi::{Head, Responses, Slot};
use crate::taps::Tap;

/// No callback on the loop is longer than this, give or take one item.
const TURN: Duration = Duration::from_micros(200);
/// Items between two looks at the clock.
const STRIDE: usize = 8;

/// What travels from the I/O threads to the loop.
pub(crate) enum Item {
    Ask(Box<(Question, Answer)>),
    Report(Box<Setback>),
    Settle(Box<Outcome>),
    Forget(Plan),
    /// A reply that is ready as a whole.
    Whole(Slot, Box<Head>, Bytes),
    /// The head of a reply that goes on.
    Start(Slot, Box<Head>),
    /// Bytes of a reply; the tap is told when they were handed over.
    Chunk(Slot, Bytes, Arc<Tap>),
    End(Slot),
}

/// Callable from the loop only.
#[pyclass(frozen, module = "fastroute._core")]
pub(crate) struct Drain {
    queue: Arc<Queue<Item>>,
    backlog: Arc<Backlog>,
    brain: Arc<Brain>,
    responses: Arc<Responses>,
    defects: Defects,
    work: Mutex<Work>,
}

/// Answers by the I/O thread they are for, so that each is woken once.
type Letters = Vec<(Arc<Mailbox>, Vec<(Answer, Decision)>)>;

#[derive(Default)]
struct Work {
    items: VecDeque<Item>,
    letters: Letters,
}

impl Drain {
    pub(crate) fn new(
        queue: Arc<Queue<Item>>,
        backlog: Arc<Backlog>,
        brain: Arc<Brain>,
        responses: Arc<Responses>,
        defects: Defects,
    ) -> Self {
        Self { queue, backlog, brain, responses, defects, work: Mutex::default() }
    }

    fn one(&self, py: Python<'_>, item: Item, letters: &mut Letters) -> PyResult<()> {
        match item {
            Item::Ask(asked) => {
                self.backlog.questions.fetch_sub(1, Ordering::Relaxed);
                let (question, answer) = *asked;
                failpoint::pass("drain.ask");
                if !answer.wanted() {
                    return Ok(());
                }
                match self.brain.decide(py, &question) {
                    Ok(Some(decision)) => post(letters, answer, decision),
                    Ok(None) => answer.decline(),
                    Err(error) => {
                        answer.decline();
                        return Err(error);
                    }
                }
                Ok(())
            }
            Item::Report(setback) => {
                self.backlog.stories.fetch_sub(1, Ordering::Relaxed);
                self.told("drain.report", || self.brain.report(py, &setback))
            }
            Item::Settle(outcome) => {
                self.backlog.stories.fetch_sub(1, Ordering::Relaxed);
                self.told("drain.settle", || self.brain.settle(py, &outcome))
            }
            Item::Forget(plan) => {
                self.backlog.stories.fetch_sub(1, Ordering::Relaxed);
                self.brain.forget(py, &plan)
            }
            Item::Whole(slot, head, body) => self.responses.whole(py, slot, &head, &body, &self.defects),
            Item::Start(slot, head) => self.responses.start(py, slot, &head, &self.defects),
            Item::Chunk(slot, bytes, tap) => {
                let sent = self.responses.chunk(py, slot, &bytes, &self.defects);
                tap.drained(bytes.len());
                sent
            }
            Item::End(slot) => caught(|| self.responses.end(py, slot)).unwrap_or_else(|| {
                self.defects.note();
                self.responses.gone(py, slot)
            }),
        }
    }

    /// Tells Python; after a defect once more, because what counts there would never be taken back. The call is the last
    /// thing that is done, so nothing was told yet.
    fn told(&self, point: &'static str, tell: impl Fn() -> PyResult<()>) -> PyResult<()> {
        let once = caught(|| {
            failpoint::pass(point);
            tell()
        });
        once.unwrap_or_else(|| {
            self.defects.note();
            tell()
        })
    }
}

/// Puts an answer with the others for the same I/O thread.
fn post(letters: &mut Letters, answer: Answer, decision: Decision) {
    let mailbox = answer.mailbox().clone();
    match letters.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &mailbox)) {
        Some((_, batch)) => batch.push((answer, decision)),
        None => letters.push((mailbox, vec![(answer, decision)])),
    }
}

#[pymethods]
impl Drain {
    fn __call__(&self, py: Python<'_>) {
        let began = Instant::now();
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { items, letters } = &mut *work;
        self.queue.take(items);
        let mut done = 0;
        while let Some(item) = items.pop_front() {
            match caught(|| self.one(py, item, letters)) {
                Some(Ok(())) => {}
                Some(Err(error)) => error.write_unraisable(py, None),
                // Of a question: whoever asked it has the snapshot.
                None => self.defects.note(),
            }
            done += 1;
            if done % STRIDE == 0 && began.elapsed() > TURN && !items.is_empty() {
                self.queue.ring();
                break;
            }
        }
        for (mailbox, batch) in letters.iter_mut() {
            if !batch.is_empty() {
                mailbox.deliver(batch);
            }
        }
    }
}
