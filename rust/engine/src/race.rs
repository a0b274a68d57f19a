//! An attempt that need not be alone: where it shows no content in time, a second one runs beside it ("hedging", Dean
//! and Barroso, "The Tail at Scale", 2013), and the first of the two to show some wins.
//!
//! One that is too slow is left for another in the same way: that one begins first, and only where it has not failed at
//! once the slow one is let go, so that nobody is left for a target that turns out to be dead.
//!
//! The rule: never more than two, only before any content, and only what the route's budget for it pays. The surprise:
//! nobody is to blame for losing; the loser is let go, and its target's health hears no more than that.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use fastroute_core::failure::{Failure, Kind, Origin, Retry};
use hyper::header::HeaderValue;
use tokio::time::{Instant, sleep_until};

use crate::attempt::{Failed, Tried, Words, attempt};
use crate::clocks::{Due, seconds};
use crate::course::Course;
use crate::exchange::InFlight;
use crate::failpoint;
use crate::journal::Pledge;
use crate::outcome::Story;
use crate::table::{OnClientGone, Target};
use crate::walk::{Ground, Running, soft};
use crate::walking::Presence;

/// How long one that is too slow goes on beside the attempt that it is left for.
const LEAVE: Duration = Duration::from_millis(50);

/// An attempt that stands where it was begun. Let go here, it ends at once, wherever it stands.
pub(crate) struct Held<'e, F>(pub(crate) Pin<&'e mut Option<F>>);

impl<F: Future> Future for Held<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<F::Output> {
        self.0.as_mut().as_pin_mut().map_or(Poll::Pending, |trying| trying.poll(task))
    }
}

impl<F> Drop for Held<'_, F> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

/// An attempt with what runs it.
pub(crate) struct Entrant<'t, 'e> {
    running: Running<'t>,
    trying: Pin<Box<dyn Future<Output = Tried> + Send + 'e>>,
    /// When it is slow enough to be left for another target, if there is one then.
    soft: Option<Instant>,
    /// It was too slow, and goes on only until the one that it is left for has not failed at once.
    left: bool,
    /// It goes on without its client.
    carried: bool,
}

impl<'t> Entrant<'t, 't> {
    pub(crate) fn new(
        ground: &Ground<'t>,
        running: Running<'t>,
        words: Option<Words<'t>>,
        due: Due,
        soft: Option<Instant>,
        id: Option<HeaderValue>,
    ) -> Self {
        let (io, target, ingress, patience) = (ground.io, running.target, ground.ingress, &ground.route.patience);
        let presence = ground.presence.filter(|_| target.on_client_gone == OnClientGone::Finish);
        let trying = async move { attempt(io, (target, words.as_ref()), ingress, patience, due, id).await };
        match presence {
            Some(presence) => {
                Self { running, trying: Box::pin(presence.carry(trying)), soft, left: false, carried: true }
            }
            None => Self { running, trying: Box::pin(trying), soft, left: false, carried: false },
        }
    }
}

impl<'t, 'e> Entrant<'t, 'e> {
    /// One that runs already, and is too slow.
    pub(crate) fn slow(running: Running<'t>, trying: impl Future<Output = Tried> + Send + 'e) -> Self {
        Self { running, trying: Box::pin(trying), soft: Some(Instant::now()), left: false, carried: false }
    }
}

/// Runs an attempt, and where that is slow another one beside it, until one shows content or none is left. The story
/// goes on with the one that is given back; the other is told of.
pub(crate) async fn race<'t>(
    ground: &Ground<'t>,
    course: &mut Course<'t>,
    story: &mut Story,
    mut first: Entrant<'t, '_>,
    mut over: Pin<&mut impl Future<Output = ()>>,
) -> (Running<'t>, Tried) {
    let after = ground.route.patience.hedge_after_s.filter(|_| ground.ingress.stream());
    let slow = after.map(|after| first.running.began + seconds(after));
    // A soft limit that comes first leaves the target, and then nothing runs beside it.
    let Some(slow) = slow.filter(|slow| first.soft.is_none_or(|soft| *slow < soft)) else {
        return alone(ground, course, story, first, over).await;
    };
    tokio::select! {
        biased;
        tried = first.trying.as_mut() => return (first.running, tried),
        () = over.as_mut() => return (first.running, Err(stopped())),
        () = sleep_until(slow) => {}
    }
    match beside(ground, course, story, first.running.target).await {
        Some(second) => two(ground, course, story, [first, second], over).await,
        None => alone(ground, course, story, first, over).await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn gone(presence: Option<&Presence>) {
    match presence {
        Some(presence) => presence.gone().await,
        None => std::future::pending().await,
    }
}

fn stopped() -> Failed {
    Failure::new(Kind::Shutdown).into()
}

async fn alone<'t>(
    ground: &Ground<'t>,
    course: &mut Course<'t>,
    story: &mut Story,
    mut entrant: Entrant<'t, '_>,
    mut over: Pin<&mut impl Future<Output = ()>>,
) -> (Running<'t>, Tried) {
    loop {
        tokio::select! {
            biased;
            tried = entrant.trying.as_mut() => return (entrant.running, tried),
            () = over.as_mut() => return (entrant.running, Err(stopped())),
            () = until(entrant.soft) => {}
        }
        // Where there is nobody to leave it for, or nothing to pay that with, it is waited for.
        entrant.soft = None;
        if let Some(next) = instead(ground, course, story, entrant.running.target).await {
            (entrant.soft, entrant.left) = (Some(Instant::now() + LEAVE), true);
            return Box::pin(two(ground, course, story, [entrant, next], over)).await;
        }
    }
}

/// Another target would say the same: then the other of two attempts need not be waited for. A smaller window of one
/// target says nothing of the other.
fn is_everybodys(failure: &Failure) -> bool {
    failure.retry == Retry::Never && failure.origin == Origin::Client && failure.kind != Kind::ContextLength
}

/// The attempt that may run beside this one, begun; `None` where there is none, or nothing to pay it with.
async fn beside<'t>(
    ground: &Ground<'t>,
    course: &mut Course<'t>,
    story: &mut Story,
    running: &'t Target,
) -> Option<Entrant<'t, 't>> {
    // Without a client nobody is in a hurry, and a disk in trouble would have to be waited for.
    let lane = ground.io.lane.as_ref();
    if ground.presence.is_some_and(Presence::left) || lane.is_some_and(|lane| lane.is_relayed()) {
        return None;
    }
    let may_lead = ground.plan.may_lead;
    let (target, words) = ground.other(course, story, |course| course.beside(running, may_lead)).await?;
    let (began, metrics) = (Instant::now(), &ground.io.shared.metrics);
    if !ground.route.budget.hedge(began) {
        metrics.hedges_denied.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    let entrant = begin(ground, story, (target, words), began)?;
    metrics.hedges.fetch_add(1, Ordering::Relaxed);
    Some(entrant)
}

/// The attempt that one that is too slow is left for, begun; `None` where that one is waited for. Without a client nobody
/// is in a hurry.
async fn instead<'t>(
    ground: &Ground<'t>,
    course: &mut Course<'t>,
    story: &mut Story,
    running: &'t Target,
) -> Option<Entrant<'t, 't>> {
    if ground.presence.is_some_and(Presence::left) {
        return None;
    }
    let may_lead = ground.plan.may_lead;
    let (target, words) = ground.other(course, story, |course| course.beside(running, may_lead)).await?;
    let began = Instant::now();
    if !ground.pays(&Failure::new(Kind::FirstTokenSoft), began) {
        return None;
    }
    failpoint::pass("walk.again");
    let entrant = begin(ground, story, (target, words), began);
    if let Some(lane) = ground.io.lane.as_ref().filter(|lane| entrant.is_some() && lane.is_relayed()) {
        // Boxed: only a disk in trouble is waited for.
        Box::pin(lane.caught_up()).await;
    }
    entrant
}

/// Begins an attempt beside the running one. What cannot be put on record is not tried; the first attempt goes on.
fn begin<'t>(
    ground: &Ground<'t>,
    story: &mut Story,
    (target, words): (&'t Target, Option<Words<'t>>),
    began: Instant,
) -> Option<Entrant<'t, 't>> {
    let lane = ground.io.lane.as_ref();
    let pledge = lane.map(|lane| ground.pledge(lane, target, story.attempts() + 1, began)).transpose().ok()?;
    let id = pledge.as_ref().and_then(Pledge::header);
    story.attempt_beside(target.index, pledge, began);
    let flying = InFlight::enter(ground.table, target, ground.plan.by);
    let soft = Some(soft(&ground.route.patience, target, began));
    Some(Entrant::new(ground, Running { target, began, flying }, words, ground.due(began), soft, id))
}

/// What happened first.
enum Turn {
    /// One of the two came to something: the second, or else the first.
    Of(bool, Tried),
    Stop,
    /// The client left, and only one of the two goes on without it.
    Gone,
}

async fn two<'t>(
    ground: &Ground<'t>,
    course: &mut Course<'t>,
    story: &mut Story,
    [mut first, mut second]: [Entrant<'t, '_>; 2],
    mut over: Pin<&mut impl Future<Output = ()>>,
) -> (Running<'t>, Tried) {
    let parts = first.carried != second.carried;
    let turn = loop {
        tokio::select! {
            biased;
            tried = first.trying.as_mut() => break Turn::Of(false, tried),
            tried = second.trying.as_mut() => break Turn::Of(true, tried),
            () = over.as_mut() => break Turn::Stop,
            () = gone(ground.presence), if parts => break Turn::Gone,
            () = until(first.soft) => {
                // The other one runs already.
                first.soft = None;
                if !ground.presence.is_some_and(Presence::left) {
                    break Turn::Of(false, Err(Failure::new(Kind::FirstTokenSoft).into()));
                }
            }
        }
    };
    let now = Instant::now();
    match turn {
        Turn::Of(was_second, tried) => {
            let (this, other) = if was_second { (second, first) } else { (first, second) };
            match tried {
                Err(Failed { failure, .. }) if other.left || !is_everybodys(&failure) => {
                    story.setback_of_two(was_second, &failure, now);
                    course.after_one_of_two(this.running.over(&failure, ground), &failure, now);
                    alone(ground, course, story, other, over).await
                }
                tried => {
                    let Entrant { running, trying, left, .. } = other;
                    // With its future goes its connection.
                    drop(trying);
                    let failure = Failure::new(if left { Kind::FirstTokenSoft } else { Kind::Hedged });
                    if left {
                        running.over(&failure, ground);
                    } else if was_second && tried.is_ok() && !this.left {
                        ground.io.shared.metrics.hedges_won.fetch_add(1, Ordering::Relaxed);
                    }
                    story.setback_of_two(!was_second, &failure, now);
                    (this.running, tried)
                }
            }
        }
        Turn::Stop => {
            drop(second);
            story.setback_of_two(true, &Failure::new(Kind::Shutdown), now);
            (first.running, Err(stopped()))
        }
        Turn::Gone => {
            let stays_first = first.carried;
            let (stays, leaves) = if stays_first { (first, second) } else { (second, first) };
            story.setback_of_two(stays_first, &Failure::new(Kind::ClientGone), now);
            drop(leaves);
            alone(ground, course, story, stays, over).await
        }
    }
}
