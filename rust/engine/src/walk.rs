//! Walks a plan: one attempt after another until one shows content, within the route's patience.
//!
//! Its one rule: it ends with a story that is still open, so whoever answers the client closes it with what the client
//! saw. Dropping a walk aborts the attempt under way and settles the story as the client's leaving.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fastroute_core::failure::{Failure, Kind, Retry};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::attempt::{self, Failed, Success};
use crate::clocks::{Ambiguous, Patience};
use crate::decider::Plan;
use crate::exchange::InFlight;
use crate::ingress::Ingress;
use crate::io::Io;
use crate::outcome::{Story, blames_upstream};
use crate::table::{Table, Target};

/// What a walk came to.
pub(crate) enum Walked<'t> {
    Content {
        success: Success,
        flying: InFlight,
        patience: &'t Patience,
        deadline: Instant,
        story: Story,
    },
    /// The failure is that of the last attempt.
    Nothing {
        failed: Failed,
        story: Story,
    },
}

/// Tries the plan's targets in order until one shows content.
pub(crate) async fn walk<'t>(
    io: &Arc<Io>,
    table: &'t Arc<Table>,
    plan: &Plan,
    ingress: &Ingress,
    mut story: Story,
) -> Walked<'t> {
    let Some(route) = table.route(plan.route) else {
        let failure = Failure::new(Kind::Internal).saying("the plan names no route");
        return Walked::Nothing { failed: failure.into(), story };
    };
    let patience = &route.patience;
    let deadline = patience.deadline(ingress.started, ingress.stream());
    let mut last: Option<Failed> = None;
    let mut soonest_ms: Option<u64> = None;
    let mut doubts = 0;
    let mut barred = Barred::default();
    let targets = plan.targets.iter().filter_map(|index| Some((*index, table.target(*index)?)));
    for (index, target) in targets {
        if story.attempts() >= patience.attempts.max(1) as usize {
            break;
        }
        if barred.bars(target) {
            continue;
        }
        let began = Instant::now();
        story.attempt(index, began);
        let flying = InFlight::enter(table, target);
        match attempt::attempt(io, target, ingress, patience, deadline).await {
            Ok(success) => {
                target.failures_in_a_row.store(0, Ordering::Relaxed);
                story.content(Instant::now());
                return Walked::Content { success, flying, patience, deadline, story };
            }
            Err(attempt) => {
                let now = Instant::now();
                if blames_upstream(&attempt.failure) {
                    target.failures_in_a_row.fetch_add(1, Ordering::Relaxed);
                }
                story.setback(&attempt.failure, now);
                barred.after(&attempt.failure, target);
                let again = match attempt.failure.retry {
                    Retry::Never => false,
                    // The upstream may have done the work (and billed it): once, and only elsewhere.
                    Retry::ElsewhereOnce => {
                        doubts += 1;
                        doubts <= 1 && patience.ambiguous_retry == Ambiguous::Once
                    }
                    _ => true,
                };
                soonest_ms = soonest_ms.into_iter().chain(attempt.failure.retry_after_ms).min();
                last = Some(attempt);
                if !again || now >= deadline {
                    break;
                }
            }
        }
    }
    let mut failed = last.unwrap_or_else(|| Failure::new(Kind::Internal).saying("the plan names no target").into());
    // The client may come back as soon as one of the targets takes requests again.
    failed.failure.retry_after_ms = failed.failure.retry_after_ms.and(soonest_ms);
    Walked::Nothing { failed, story }
}

/// Where a failure said that trying again is useless.
#[derive(Default)]
struct Barred {
    targets: SmallVec<[u32; 4]>,
    /// Rows of providers whose key is out: every target of such a row has the same.
    keys: SmallVec<[usize; 2]>,
}

impl Barred {
    fn after(&mut self, failure: &Failure, target: &Target) {
        match failure.retry {
            Retry::SameOrElsewhere => {}
            Retry::OtherKey => self.keys.push(target.provider_row),
            Retry::Never | Retry::Elsewhere | Retry::ElsewhereOnce => self.targets.push(target.index),
        }
    }

    fn bars(&self, target: &Target) -> bool {
        self.targets.contains(&target.index) || self.keys.contains(&target.provider_row)
    }
}
