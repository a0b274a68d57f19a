//! One client request from the scanned body to the reply: decide, walk the plan, hand over.
//!
//! Both doors call [`run`]; what differs between them is only how bytes come in and go out.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use fastroute_core::failure::{Failure, Kind, Retry};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::admission;
use crate::attempt::{self, Failed, Success};
use crate::clocks::{Ambiguous, Patience};
use crate::decider::{DecidedBy, Decision, NoDecision, Plan, Refusal};
use crate::delivery::{Delivery, ReplyBody};
use crate::ingress::Ingress;
use crate::io::{Io, Shared};
use crate::outcome::{Ending, Opening, Story, blames_upstream, micros};
use crate::problem::{EVENT_STREAM, JSON, Problem, Reply, SERVER_TIMING, X_ATTEMPTS, X_TARGET, failed};
use crate::table::{Table, Target};

/// Runs one exchange. `decided` carries the decision where the door already asked (granian's, on the loop thread).
///
/// Dropping the future aborts whatever is under way and settles the story as the client's leaving.
pub async fn run(io: Arc<Io>, ingress: Ingress, decided: Option<Decision>) -> Reply {
    let table = io.shared.tables.current();
    let opening = Opening {
        request_id: ingress.request_id.clone(),
        generation: table.generation,
        door: ingress.door,
        dialect: ingress.dialect,
        stream: ingress.stream(),
        bytes_in: ingress.scan.bytes as u64,
    };
    if !io.shared.decider.room() {
        if let Some(Decision::Plan(plan)) = &decided {
            io.shared.decider.forget(plan);
        }
        return Problem::overloaded("too many outcomes wait to be recorded; please retry").reply(&ingress.request_id);
    }
    if ingress.stream()
        && let Some(problem) = admission::refuse_stream(&io.shared)
    {
        if let Some(Decision::Plan(plan)) = &decided {
            io.shared.decider.forget(plan);
        }
        return problem.reply(&ingress.request_id);
    }
    let mut story = Story::open(io.shared.decider.clone(), ingress.started, opening);
    let decision = match decided {
        Some(decision) => Ok(decision),
        None => decide(&io, &table, &ingress).await,
    };
    let planned = match decision {
        Ok(Decision::Plan(plan)) => at_its_table(&io.shared, table, plan, ingress.model()),
        Ok(Decision::Refusal(refusal)) => return refuse(&refusal, &ingress, story),
        Err(NoDecision::Late | NoDecision::Busy) => None,
    };
    let Some((table, plan)) = planned else {
        let problem = Problem::overloaded("no routing decision was made in time; please try again");
        return settle_problem(&problem, &ingress, story);
    };
    story.planned(&plan);
    walk(&io, &table, &plan, &ingress, story).await
}

/// A plan's numbers mean something in the table of its generation only. Where that one is forgotten (two swaps passed
/// while the decider thought) the plan is handed back and the snapshot decides: never the same numbers in another table.
fn at_its_table(shared: &Shared, table: Arc<Table>, plan: Plan, model: &str) -> Option<(Arc<Table>, Plan)> {
    if plan.generation == table.generation {
        return Some((table, plan));
    }
    if let Some(its) = shared.tables.of(plan.generation) {
        return Some((its, plan));
    }
    shared.decider.forget(&plan);
    let plan = snapshot_of(shared, &table, model)?;
    Some((table, plan))
}

/// Runs what answers one request; a panic in it is a 500 for that request alone.
///
/// The answer comes boxed: it is some 4 KiB that exist until the head is out, and inline they would be moved with every
/// future around them and stay with every open connection.
pub async fn contained<F>(shared: &Shared, id: &Arc<str>, mut answer: Pin<Box<F>>) -> Reply
where
    F: Future<Output = Reply>,
{
    let polled = poll_fn(|task| {
        catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(task)))
            .map_or(Poll::Ready(None), |polled| polled.map(Some))
    });
    if let Some(reply) = polled.await {
        return reply;
    }
    shared.metrics.panics.fetch_add(1, Ordering::Relaxed);
    Problem::internal("the gateway failed on this request; its id finds the reason in the log").reply(id)
}

/// Asks, and lets the snapshot decide when the answer is late and the route is known.
async fn decide(io: &Io, table: &Arc<Table>, ingress: &Ingress) -> Result<Decision, NoDecision> {
    let route = table.resolve(ingress.model());
    let asked = io.desk.ask(&io.shared.decider, ingress.question(), route.is_some()).await;
    if let Ok(Decision::Plan(plan)) = &asked
        && plan.generation == table.generation
        && let Some(route) = table.route(plan.route)
    {
        route.remember(&plan.targets);
    }
    match asked {
        Err(none) => snapshot_of(&io.shared, table, ingress.model()).map(Decision::Plan).ok_or(none),
        asked => asked,
    }
}

/// The engine's own plan for a model, where the decider's is late or failed. `None` for a model it does not know.
pub fn by_snapshot(shared: &Shared, model: &str) -> Option<Plan> {
    snapshot_of(shared, &shared.tables.current(), model)
}

fn snapshot_of(shared: &Shared, table: &Table, model: &str) -> Option<Plan> {
    let index = table.resolve(model)?;
    let route = table.route(index)?;
    shared.metrics.snapshots.fetch_add(1, Ordering::Relaxed);
    Some(Plan {
        route: index,
        generation: table.generation,
        targets: table.snapshot(route, &shared.dice),
        by: DecidedBy::Snapshot,
    })
}

/// Tries the plan's targets in order until one shows content.
async fn walk(io: &Arc<Io>, table: &Arc<Table>, plan: &Plan, ingress: &Ingress, mut story: Story) -> Reply {
    let Some(route) = table.route(plan.route) else {
        let failure = Failure::new(Kind::Internal).saying("the plan names no route");
        return end_failed(failure.into(), ingress, story);
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
        // Nothing was sent yet: a client that is told so can go to another gateway.
        let tried = tokio::select! {
            biased;
            tried = attempt::attempt(io, target, ingress, patience, deadline) => tried,
            () = io.shared.over() => Err(Failure::new(Kind::Shutdown).into()),
        };
        match tried {
            Ok(success) => {
                target.failures_in_a_row.store(0, Ordering::Relaxed);
                story.content(Instant::now());
                return deliver(io, success, flying, ingress, patience, deadline, story);
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
    let mut attempt = last.unwrap_or_else(|| Failure::new(Kind::Internal).saying("the plan names no target").into());
    // The client may come back as soon as one of the targets takes requests again.
    attempt.failure.retry_after_ms = attempt.failure.retry_after_ms.and(soonest_ms);
    end_failed(attempt, ingress, story)
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

/// An attempt or a reply under way, counted at its target until it is dropped.
pub(crate) struct InFlight {
    table: Arc<Table>,
    target: u32,
}

impl InFlight {
    fn enter(table: &Arc<Table>, target: &Target) -> Self {
        target.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { table: table.clone(), target: target.index }
    }

    fn label(&self) -> HeaderValue {
        let label = self.table.target(self.target).map(|target| target.label.clone());
        label.unwrap_or(HeaderValue::from_static("unknown"))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(target) = self.table.target(self.target) {
            target.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn deliver(
    io: &Io,
    success: Success,
    flying: InFlight,
    ingress: &Ingress,
    patience: &Patience,
    deadline: Instant,
    mut story: Story,
) -> Reply {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(CONTENT_TYPE, if ingress.stream() { EVENT_STREAM } else { JSON });
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_TARGET, flying.label());
    headers.insert(X_ATTEMPTS, HeaderValue::from(story.attempts()));
    headers.insert(SERVER_TIMING, timing(&mut story));
    if let Some(outcome) = story.outcome() {
        outcome.status = 200;
    }
    let body = match success {
        Success::Whole(whole) => {
            let attempt::Whole { headers: upstream, frames, facts } = *whole;
            headers.extend(upstream);
            if let Some(outcome) = story.outcome() {
                outcome.usage = facts.usage;
                outcome.bytes_out = frames.iter().map(|frame| frame.len() as u64).sum();
            }
            story.close(Ending::Complete, None);
            ReplyBody::frames(frames)
        }
        Success::Running(mut running) => {
            headers.extend(std::mem::take(&mut running.headers));
            let ending = io.shared.ending.subscribe();
            ReplyBody::Relay(Box::new(Delivery::new(*running, patience, deadline, ending, story, flying)))
        }
    };
    Reply { status: StatusCode::OK, headers, body }.with_request_id(&ingress.request_id)
}

/// `gw` is what the gateway added before the last attempt began, `up` the time that attempt took to show content.
fn timing(story: &mut Story) -> HeaderValue {
    let total = micros(story.started, Instant::now());
    let up = story.outcome().and_then(|outcome| outcome.attempts.last()).and_then(|last| last.first_content_us);
    let up = up.unwrap_or(0);
    let (gw, up) = (total.saturating_sub(up), up);
    let text = format!("gw;dur={}.{:03}, up;dur={}.{:03}", gw / 1000, gw % 1000, up / 1000, up % 1000);
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("gw"))
}

fn refuse(refusal: &Refusal, ingress: &Ingress, story: Story) -> Reply {
    let mut problem = Problem::request(refusal.status, &refusal.code, refusal.message.clone());
    problem.param = refusal.param.map(Into::into);
    settle_problem(&problem, ingress, story)
}

fn settle_problem(problem: &Problem, ingress: &Ingress, mut story: Story) -> Reply {
    if let Some(outcome) = story.outcome() {
        outcome.status = problem.status;
    }
    story.close(Ending::Refused, None);
    problem.reply(&ingress.request_id)
}

fn end_failed(mut attempt: Failed, ingress: &Ingress, mut story: Story) -> Reply {
    if let Some(outcome) = story.outcome() {
        outcome.status = attempt.failure.status;
        // The first target to come back serves the client's next try: of several waits the shortest holds.
        if attempt.failure.kind == Kind::RateLimited {
            let limited = outcome.attempts.iter().filter_map(|attempt| attempt.failure.as_ref());
            let limited = limited.filter(|failure| failure.kind == Kind::RateLimited);
            attempt.failure.retry_after_ms = limited.filter_map(|failure| failure.retry_after_ms).min();
        }
    }
    let attempts = story.attempts();
    let reply = failed(&attempt.failure, attempt.reply, &ingress.request_id, attempts);
    story.close(Ending::Refused, Some(attempt.failure));
    reply
}
