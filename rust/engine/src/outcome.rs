//! What an exchange came to: every attempt with its times, usage, and the failure if there was one.
//!
//! Nothing in it refers to a table or a connection: it is told when both may be gone. The surprise: the attempts stand in
//! the order in which they ended, not in which they began.

mod beside;
mod story;

use std::sync::Arc;

use fastroute_core::failure::{Failure, Origin};
use fastroute_core::journal::State;
use fastroute_core::usage::Usage;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::decider::{DecidedBy, Door};

pub(crate) use story::{Opening, Story};

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

impl Attempt {
    fn begun(target: u32, started_us: u64) -> Self {
        Self { target, started_us, first_content_us: None, took_us: 0, failure: None }
    }
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
    /// As in the question.
    pub dialect: &'static str,
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
