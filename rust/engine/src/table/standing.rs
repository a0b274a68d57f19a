//! Plans that hold for every request of a route, so that the decider is asked once and not each time.
//!
//! The rule: a plan stands until anything fails, anywhere. Health may take the failure of one target for that of its key
//! or its provider, so nobody but the decider can say whom it concerns. The surprise: a plan that does not stand any more
//! is not taken away; it only no longer has the count that it was made at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use crate::decider::{DecidedBy, Plan};

/// How often anything failed since the process started.
#[derive(Debug, Default)]
pub struct Setbacks(AtomicU64);

impl Setbacks {
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Call it when the decider's queue has the failure: whoever sees the new count and asks through the queue is heard
    /// after that. Who asks past the queue has to see that nothing waits in it.
    pub(crate) fn note(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// The plan of one route, with the count of setbacks at which the decider was asked for it.
#[derive(Default)]
pub(super) struct Standing(ArcSwapOption<(u64, Plan)>);

impl Standing {
    pub(super) fn plan(&self, setbacks: u64) -> Option<Plan> {
        let standing = self.0.load();
        let (_, plan) = &**standing.as_ref().filter(|standing| standing.0 == setbacks)?;
        Some(Plan { by: DecidedBy::Standing, ..plan.clone() })
    }

    pub(super) fn set(&self, plan: &Plan, setbacks: u64) {
        self.0.store(Some(Arc::new((setbacks, plan.clone()))));
    }
}
