//! As much of the decider's values as its cells need.

use std::time::Duration;

#[path = "../../engine/src/decider/desk.rs"]
pub(crate) mod desk;

pub(crate) const LATE_AFTER: Duration = Duration::from_millis(1);
const WAIT_AT_MOST: Duration = Duration::from_millis(250);

pub(crate) struct Question;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the sources can say both")]
pub(crate) enum Decision {
    Plan(Plan),
    Refusal,
}

#[derive(Debug)]
pub(crate) struct Busy;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the sources can say both")]
pub(crate) enum NoDecision {
    Late,
    Busy,
}

pub(crate) trait Decider: Send + Sync + 'static {
    fn decide(&self, question: Question, answer: desk::Answer) -> Result<(), Busy>;
    fn forget(&self, plan: &Plan);
}
