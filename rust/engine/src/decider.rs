//! Who decides: one question per exchange, one answer, one story when it is over.
//!
//! Python implements [`Decider`] through the border, tests implement it with a closure. A decider never blocks and is
//! never waited for without a limit: when its answer is late the engine's snapshot of the route decides instead, and
//! the late answer is handed back so that nobody counts a request that was never sent.

mod desk;

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::outcome::{Outcome, Setback};
pub(crate) use desk::Desk;
pub use desk::{Answer, Mailbox};

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
    /// What it is in, or which endpoint it is for where that is in no dialect.
    pub dialect: &'static str,
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
    /// Another request for this route would be told the same, as long as nothing fails: it need not be asked for.
    pub standing: bool,
    /// It is for one request alone: its lead comes back slowly and was drawn for it. The snapshot does not go on with it.
    pub once: bool,
    pub by: DecidedBy,
}

/// Who made a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// The decider, in time.
    Policy,
    /// The decider, for an earlier request: see [`Plan::standing`].
    Standing,
    /// The engine's own snapshot of the route, because the decider was late or full.
    Snapshot,
}

impl DecidedBy {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Standing => "standing",
            Self::Snapshot => "snapshot",
        }
    }
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

/// A decision on its way to its exchange; its plan is handed back when the exchange never begins.
pub struct Decided {
    decision: Option<Decision>,
    decider: Arc<dyn Decider>,
}

impl Decided {
    pub fn new(decision: Decision, decider: Arc<dyn Decider>) -> Self {
        Self { decision: Some(decision), decider }
    }

    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref()
    }

    /// Whoever takes it answers for its plan.
    pub(crate) fn take(mut self) -> Option<Decision> {
        self.decision.take()
    }
}

impl Drop for Decided {
    fn drop(&mut self) {
        if let Some(Decision::Plan(plan)) = &self.decision {
            hand_back(&*self.decider, plan);
        }
    }
}

/// Gives a plan back that is not used. The snapshot's own was never counted.
pub(crate) fn hand_back(decider: &dyn Decider, plan: &Plan) {
    if plan.by == DecidedBy::Policy {
        decider.forget(plan);
    }
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

/// Why there is no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDecision {
    /// The decider did not answer in time.
    Late,
    /// The decider had no room.
    Busy,
}
