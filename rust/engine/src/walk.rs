//! Walks a plan: one attempt after another until one shows content, within the route's patience.
//!
//! Its one rule: it ends with a story that is still open, so whoever answers the client closes it with what the client
//! saw. Dropping a walk aborts the attempt under way and settles the story as the client's leaving. One that goes on
//! without its client (`walking`) ends with the attempt under way.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fastroute_core::failure::{Failure, Kind};
use tokio::time::{Instant, Sleep};

use crate::attempt::{self, Failed, Success, Tried, Words};
use crate::budget;
use crate::clocks::{Due, IdleClock, Patience, seconds};
use crate::course::{Course, Step};
use crate::decider::Plan;
use crate::exchange::InFlight;
use crate::failpoint;
use crate::ingress::Ingress;
use crate::io::Io;
use crate::journal::{Lane, OffTheRecord, Plea, Pledge};
use crate::outcome::{Story, blames_upstream};
use crate::race::{Entrant, Held, race};
use crate::table::{Route, Table, Target};
use crate::walking::Presence;

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

/// An attempt under way, or just over.
pub(crate) struct Running<'t> {
    pub(crate) target: &'t Target,
    pub(crate) began: Instant,
    pub(crate) flying: InFlight,
}

impl<'t> Running<'t> {
    /// It failed.
    pub(crate) fn over(self, failure: &Failure, ground: &Ground<'t>) -> &'t Target {
        if blames_upstream(failure) {
            self.target.failures_in_a_row.fetch_add(1, Ordering::Relaxed);
            ground.io.shared.bars.failed(self.target, ground.ingress, failure, Instant::now());
        }
        self.target
    }
}

/// What holds for all attempts of a walk.
pub(crate) struct Ground<'t> {
    pub(crate) io: &'t Arc<Io>,
    pub(crate) table: &'t Arc<Table>,
    pub(crate) plan: &'t Plan,
    pub(crate) route: &'t Route,
    pub(crate) ingress: &'t Ingress,
    pub(crate) presence: Option<&'t Presence>,
    /// When the first attempt began.
    pub(crate) first: Instant,
    deadline: Instant,
}

/// Tries the plan's targets in order until one shows content.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
pub(crate) fn walk<'t>(
    io: &'t Arc<Io>,
    table: &'t Arc<Table>,
    plan: &'t Plan,
    ingress: &'t Ingress,
    story: Story,
    presence: Option<&'t Presence>,
) -> impl Future<Output = Walked> {
    async move {
        let mut story = story;
        let Some(route) = table.route(plan.route) else {
            return Walked::Nothing { failed: Box::new(nothing("the plan names no route")), spent: false, story };
        };
        let patience = &route.patience;
        let deadline = deadline(patience, ingress);
        failpoint::pass("walk.begin");
        let mut ground = Ground { io, table, plan, route, ingress, presence, first: ingress.started, deadline };
        let mut course = Course::new(table, &plan.targets, patience, deadline);
        // Boxed, like everything that only a failure needs: each exchange would carry it.
        let mut last: Option<Box<Failed>> = None;
        let mut spent = false;
        let mut next = course.next(ingress.started, &io.shared.dice);
        let mut over = pin!(io.shared.over());
        route.budget.earn();
        if ground.hedges() {
            route.budget.earn_hedge();
        }
        while let Some(Step { target, at }) = next {
            let mut words = match attempt::words(target, ingress, patience).await {
                Ok(words) => words,
                Err(failure) => {
                    ground.pass_over(target, failure, &mut course, &mut story);
                    next = course.next(Instant::now(), &io.shared.dice);
                    continue;
                }
            };
            if let Some(failed) = &last {
                let now = Instant::now();
                spent = !ground.pays(&failed.failure, now);
                if spent {
                    break;
                }
                failpoint::pass("walk.again");
                if at > now && !waited(at, over.as_mut()).await {
                    last = Some(Box::new(Failure::new(Kind::Shutdown).into()));
                    break;
                }
            }
            let began = Instant::now();
            if !ground.on_record(target, began, &mut story).await {
                last = Some(Box::new(Failure::new(Kind::LedgerUnavailable).into()));
                break;
            }
            // Not sooner: what may not be put on record is not tried, and counts nowhere.
            story.attempt(target.index, began);
            if story.attempts() == 1 {
                ground.first = began;
            }
            let (running, tried) =
                ground.fly((target, &mut words), began, &mut course, &mut story, over.as_mut()).await;
            let failed = match tried {
                Ok(success) => return Walked::Content(ground.found(success, running, story)),
                Err(failed) => Box::new(failed),
            };
            let target = running.over(&failed.failure, &ground);
            failpoint::pass("walk.failed");
            let now = Instant::now();
            story.setback(&failed.failure, now);
            next = if presence.is_some_and(Presence::left) {
                None
            } else {
                course.after(target, &failed.failure, now, &io.shared.dice)
            };
            last = Some(failed);
        }
        let mut failed = last.unwrap_or_else(|| Box::new(unsaid(&mut course)));
        course.tell_the_wait(&mut failed.failure, Instant::now());
        Walked::Nothing { failed, spent, story }
    }
}

impl<'t> Ground<'t> {
    /// This target has no words for the request: another one may have them.
    fn pass_over(&self, target: &Target, failure: Failure, course: &mut Course<'t>, story: &mut Story) {
        self.io.shared.metrics.passed_over.fetch_add(1, Ordering::Relaxed);
        story.pass_over(target);
        course.pass_over(target, failure);
    }

    /// The next target that one that is too slow would be left for, with words for the request. Those without are passed
    /// over.
    pub(crate) async fn other(
        &self,
        course: &mut Course<'t>,
        story: &mut Story,
        best: impl Fn(&Course<'t>) -> Option<&'t Target>,
    ) -> Option<(&'t Target, Option<Words<'t>>)> {
        while let Some(other) = best(course) {
            match attempt::words(other, self.ingress, &self.route.patience).await {
                Ok(words) => return Some((other, words)),
                Err(failure) => self.pass_over(other, failure, course, story),
            }
        }
        None
    }

    /// Runs an attempt that is on record up to its content, with another one beside or after it where it is slow.
    async fn fly(
        &self,
        (target, words): (&'t Target, &mut Option<Words<'t>>),
        began: Instant,
        course: &mut Course<'t>,
        story: &mut Story,
        mut over: Pin<&mut impl Future<Output = ()>>,
    ) -> (Running<'t>, Tried) {
        let Self { io, table, plan, ingress, .. } = *self;
        let patience = &self.route.patience;
        let running = Running { target, began, flying: InFlight::enter(table, target, plan.by) };
        failpoint::pass("walk.attempt");
        let due = self.due(began);
        // What could only begin behind that would be over before it was sent.
        course.end_by(due.by);
        let other = course.beside(target, plan.may_lead).filter(|_| ingress.stream());
        let soft = other.map(|_| soft(patience, target, began));
        let id = story.pledge.as_ref().and_then(Pledge::header);
        if self.hedges() || self.presence.is_some() {
            let entrant = Entrant::new(self, running, words.take(), due, soft, id);
            // Boxed: few routes want any of this.
            return Box::pin(race(self, course, story, entrant, over)).await;
        }
        let mut trying = pin!(Some(attempt::attempt(io, (target, words.as_ref()), ingress, patience, due, id)));
        let mut held = Held(trying.as_mut());
        // Boxed: few exchanges have one, and all of them would have room for it.
        let mut slow = soft.map(|soft| Box::pin(tokio::time::sleep_until(soft)));
        tokio::select! {
            biased;
            tried = &mut held => return (running, tried),
            // Its client has seen nothing, and can go to another gateway.
            () = over.as_mut() => return (running, Err(Failure::new(Kind::Shutdown).into())),
            () = reached(slow.as_mut()) => {}
        }
        // Boxed, likewise.
        Box::pin(race(self, course, story, Entrant::slow(running, held), over)).await
    }

    fn hedges(&self) -> bool {
        self.route.patience.hedge_after_s.is_some() && self.ingress.stream()
    }

    /// Puts the attempt that is about to begin on record; false where that must be and cannot.
    async fn on_record(&self, target: &Target, began: Instant, story: &mut Story) -> bool {
        let Some(lane) = &self.io.lane else { return true };
        let Ok(pledge) = self.pledge(lane, target, story.attempts() + 1, began) else { return false };
        failpoint::pass("walk.pledged");
        story.pledge = Some(pledge);
        // Boxed: only a disk in trouble is waited for.
        if lane.is_relayed() {
            Box::pin(lane.caught_up()).await;
        }
        true
    }

    /// Puts an attempt on record, before it is made.
    pub(crate) fn pledge(
        &self,
        lane: &Arc<Lane>,
        target: &Target,
        ordinal: usize,
        now: Instant,
    ) -> Result<Pledge, OffTheRecord> {
        let (ingress, model, generation) = (self.ingress, &*self.route.name, self.table.generation);
        Pledge::make(lane, &Plea { ingress, target, model, generation, ordinal }, now)
    }

    /// The clocks of an attempt, whatever else might be tried. The hard limit for the first content is one for all of
    /// them. A unary reply's head often comes only with its last token, so it has the deadline alone.
    pub(crate) fn due(&self, began: Instant) -> Due {
        let (ingress, patience) = (self.ingress, &self.route.patience);
        let due = Due::at(self.deadline, began);
        if !ingress.stream() {
            return due;
        }
        let due = due.or(self.first + seconds(patience.ttft_timeout_s), Kind::FirstTokenHard);
        match ingress.waits.first_byte(ingress.started, patience.comments_after()) {
            Some(theirs) => due.or(theirs, Kind::FirstTokenHard),
            None => due,
        }
    }

    /// Takes the price of one more attempt from what the route may spend on them.
    pub(crate) fn pays(&self, failure: &Failure, now: Instant) -> bool {
        let pays = self.route.budget.spend(budget::price(failure), now);
        let metrics = &self.io.shared.metrics;
        let counted = if pays { &metrics.retries } else { &metrics.retries_denied };
        counted.fetch_add(1, Ordering::Relaxed);
        pays
    }

    /// The running attempt shows content.
    fn found(&self, success: Success, running: Running<'_>, mut story: Story) -> Found {
        failpoint::pass("walk.content");
        let Running { target, began, flying } = running;
        let now = Instant::now();
        target.failures_in_a_row.store(0, Ordering::Relaxed);
        self.io.shared.bars.answered(target, self.ingress.model(), began);
        if self.ingress.stream() {
            target.ttft.record(now - began, now);
        }
        story.content(now);
        let mut clock = IdleClock::new(&self.route.patience, now, self.deadline);
        if !self.ingress.hears_comments() {
            clock.without_comments();
        }
        Found { success, flying, clock, now, story }
    }
}

/// When the request is over, whatever came of it: by the route's clock, or by the client's where that is sooner.
fn deadline(patience: &Patience, ingress: &Ingress) -> Instant {
    let ours = patience.deadline(ingress.started, ingress.stream());
    ingress.waits.deadline(ingress.started, ingress.stream()).map_or(ours, |theirs| theirs.min(ours))
}

/// Ends when this does; never, where there is nothing to wait for.
async fn reached(slow: Option<&mut Pin<Box<Sleep>>>) {
    match slow {
        Some(slow) => slow.await,
        None => std::future::pending().await,
    }
}

/// Waits before another attempt; false when the process ends meanwhile.
async fn waited(until: Instant, over: Pin<&mut impl Future<Output = ()>>) -> bool {
    tokio::select! {
        () = Box::pin(tokio::time::sleep_until(until)) => true,
        () = over => false,
    }
}

/// When a stream's target is slow enough to be left for another one.
pub(crate) fn soft(patience: &Patience, target: &Target, began: Instant) -> Instant {
    began + patience.ttft_soft_timeout_s.map_or_else(|| target.ttft.limit(began), seconds)
}

/// Nobody was asked: because nobody has words for the request, or the plan itself is at fault.
fn unsaid(course: &mut Course<'_>) -> Failed {
    course.unsaid().map_or_else(|| nothing("the plan names no target"), Failed::from)
}

fn nothing(message: &'static str) -> Failed {
    Failure::new(Kind::Internal).saying(message).into()
}
