//! Walks a plan: one attempt after another until one shows content, within the route's patience.
//!
//! Its one rule: it ends with a story that is still open, so whoever answers the client closes it with what the client
//! saw. Dropping a walk aborts the attempt under way and settles the story as the client's leaving.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fastroute_core::failure::{Failure, Kind};
use tokio::time::Instant;

use crate::attempt::{self, Failed, Success};
use crate::budget;
use crate::clocks::{Due, IdleClock, Patience, seconds};
use crate::course::Course;
use crate::decider::Plan;
use crate::exchange::InFlight;
use crate::failpoint;
use crate::ingress::Ingress;
use crate::io::Io;
use crate::journal::{Plea, Pledge};
use crate::outcome::{Story, blames_upstream};
use crate::table::{Table, Target};

/// What a walk came to.
pub(crate) enum Walked {
    Content(Found),
    /// The failure is that of the last attempt. `spent`: another would have followed, had the route's budget paid for it.
    Nothing {
        failed: Box<Failed>,
        spent: bool,
        story: Story,
    },
}

/// Content, and what watches over the rest of it.
pub(crate) struct Found {
    pub(crate) success: Success,
    pub(crate) flying: InFlight,
    pub(crate) clock: IdleClock,
    /// When the content was there.
    pub(crate) now: Instant,
    pub(crate) story: Story,
}

/// Tries the plan's targets in order until one shows content.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
pub(crate) fn walk<'t>(
    io: &'t Arc<Io>,
    table: &'t Arc<Table>,
    plan: &'t Plan,
    ingress: &'t Ingress,
    story: Story,
) -> impl Future<Output = Walked> {
    async move {
        let mut story = story;
        let Some(route) = table.route(plan.route) else {
            return Walked::Nothing { failed: Box::new(nothing("the plan names no route")), spent: false, story };
        };
        let patience = &route.patience;
        let deadline = patience.deadline(ingress.started, ingress.stream());
        let deadline =
            ingress.waits.deadline(ingress.started, ingress.stream()).map_or(deadline, |theirs| theirs.min(deadline));
        failpoint::pass("walk.begin");
        let mut course = Course::new(table, &plan.targets, patience, deadline);
        // Boxed, like everything that only a failure needs: each exchange would carry it.
        let mut last: Option<Box<Failed>> = None;
        let mut spent = false;
        let mut next = course.untried();
        let mut first = None;
        let mut over = pin!(io.shared.over());
        route.budget.earn();
        while let Some(target) = next {
            let began = Instant::now();
            if let Some(lane) = &io.lane {
                let (generation, ordinal) = (table.generation, story.attempts() + 1);
                let plea = Plea { ingress, target, model: &route.name, generation, ordinal };
                let Ok(pledge) = Pledge::make(lane, &plea, began) else {
                    last = Some(Box::new(Failure::new(Kind::LedgerUnavailable).into()));
                    break;
                };
                failpoint::pass("walk.pledged");
                story.pledge = Some(pledge);
                // Boxed: only a disk in trouble is waited for.
                if lane.is_relayed() {
                    Box::pin(lane.caught_up()).await;
                }
            }
            // Not sooner: what may not be put on record is not tried, and counts nowhere.
            story.attempt(target.index, began);
            let flying = InFlight::enter(table, target);
            failpoint::pass("walk.attempt");
            let leaves = ingress.stream() && course.may_leave(target);
            let due = due(ingress, patience, Due::at(deadline, began), *first.get_or_insert(began));
            // What could only begin behind that would be over before it was sent.
            course.end_by(due.by);
            let due = if leaves { due.or(soft(patience, target, began), Kind::FirstTokenSoft) } else { due };
            let id = story.pledge.as_ref().and_then(Pledge::header);
            // Nothing was sent yet: a client that is told so can go to another gateway.
            let tried = tokio::select! {
                biased;
                tried = attempt::attempt(io, target, ingress, patience, due, id) => tried,
                () = over.as_mut() => Err(Failure::new(Kind::Shutdown).into()),
            };
            let failed = match tried {
                Ok(success) => {
                    failpoint::pass("walk.content");
                    let now = Instant::now();
                    target.failures_in_a_row.store(0, Ordering::Relaxed);
                    if ingress.stream() {
                        target.ttft.record(now - began, now);
                    }
                    story.content(now);
                    let clock = IdleClock::new(patience, now, deadline);
                    return Walked::Content(Found { success, flying, clock, now, story });
                }
                Err(failed) => Box::new(failed),
            };
            drop(flying);
            failpoint::pass("walk.failed");
            let now = Instant::now();
            let failure = &failed.failure;
            if blames_upstream(failure) {
                target.failures_in_a_row.fetch_add(1, Ordering::Relaxed);
            }
            story.setback(failure, now);
            next = None;
            if let Some(step) = course.after(target, failure, now, &io.shared.dice) {
                spent = !route.budget.spend(budget::price(failure), now);
                let counted = if spent { &io.shared.metrics.retries_denied } else { &io.shared.metrics.retries };
                counted.fetch_add(1, Ordering::Relaxed);
                if !spent {
                    failpoint::pass("walk.again");
                    if step.at > now {
                        tokio::select! {
                            () = Box::pin(tokio::time::sleep_until(step.at)) => {}
                            () = over.as_mut() => {
                                last = Some(Box::new(Failure::new(Kind::Shutdown).into()));
                                break;
                            }
                        }
                    }
                    next = Some(step.target);
                }
            }
            last = Some(failed);
        }
        let mut failed = last.unwrap_or_else(|| Box::new(nothing("the plan names no target")));
        // The client may come back as soon as one of the targets takes requests again.
        let soonest_ms = course.soonest(Instant::now()).map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        if failed.failure.retry_after_ms.is_some() || failed.failure.kind == Kind::RateLimited {
            failed.failure.retry_after_ms = soonest_ms;
        }
        Walked::Nothing { failed, spent, story }
    }
}

/// The clocks of an attempt, whatever else might be tried. `first` is when the first attempt began: the hard limit for
/// the first content is one for all of them. A unary reply's head often comes only with its last token, so it has the
/// deadline alone.
fn due(ingress: &Ingress, patience: &Patience, due: Due, first: Instant) -> Due {
    if !ingress.stream() {
        return due;
    }
    let due = due.or(first + seconds(patience.ttft_timeout_s), Kind::FirstTokenHard);
    match ingress.waits.first_byte(ingress.started, patience.comments_after()) {
        Some(theirs) => due.or(theirs, Kind::FirstTokenHard),
        None => due,
    }
}

/// When a stream's target is slow enough to be left for another one.
fn soft(patience: &Patience, target: &Target, began: Instant) -> Instant {
    began + patience.ttft_soft_timeout_s.map_or_else(|| target.ttft.limit(began), seconds)
}

/// The plan itself is at fault.
fn nothing(message: &'static str) -> Failed {
    Failure::new(Kind::Internal).saying(message).into()
}
