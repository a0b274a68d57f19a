//! Python as the engine's decider: questions and stories go into the queue, answers come back from the drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fastroute_engine::decider::{Answer, Busy, Decider, Plan, Question};
use fastroute_engine::{Outcome, Setback};

use crate::drain::Item;
use crate::queue::Queue;

/// Questions that may wait for Python; beyond, the snapshot decides at once.
const QUESTIONS: usize = 4096;
/// Outcomes that may wait for Python; beyond, nothing new is admitted, because none may be lost. An outcome is under
/// 1 KiB, so this is also the 64 MiB that the border may hold.
const STORIES: usize = 65_536;

/// Lengths of what waits for the loop.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    pub(crate) questions: AtomicUsize,
    pub(crate) stories: AtomicUsize,
}

pub(crate) struct PythonDecider {
    pub(crate) queue: Arc<Queue<Item>>,
    pub(crate) backlog: Arc<Backlog>,
}

impl PythonDecider {
    fn story(&self, item: Item) {
        self.backlog.stories.fetch_add(1, Ordering::Relaxed);
        self.queue.push_quietly(item);
    }
}

impl Decider for PythonDecider {
    fn decide(&self, question: Question, answer: Answer) -> Result<(), Busy> {
        if self.backlog.questions.fetch_add(1, Ordering::Relaxed) >= QUESTIONS {
            self.backlog.questions.fetch_sub(1, Ordering::Relaxed);
            return Err(Busy);
        }
        self.queue.push(Item::Ask(Box::new((question, answer))));
        Ok(())
    }

    fn room(&self) -> bool {
        self.backlog.stories.load(Ordering::Relaxed) < STORIES
    }

    fn report(&self, setback: Setback) {
        self.backlog.stories.fetch_add(1, Ordering::Relaxed);
        // The next decision should know.
        self.queue.push_promptly(Item::Report(Box::new(setback)));
    }

    fn settle(&self, outcome: Box<Outcome>) {
        self.story(Item::Settle(outcome));
    }

    fn forget(&self, plan: &Plan) {
        self.story(Item::Forget(plan.clone()));
    }
}
