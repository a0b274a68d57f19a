//! One client request from the scanned body to the reply: decide, walk the plan, hand over.
//!
//! Both doors call [`run`]; what differs between them is only how bytes come in and go out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fastroute_core::dialects::Dialect;
use fastroute_core::failure::Kind;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::admission;
use crate::attempt::{self, Failed, Success};
use crate::awaited;
use crate::count;
use crate::decider::{Decided, DecidedBy, Decision, NoDecision, Plan, Refusal, hand_back};
use crate::defect;
use crate::delivery::{Delivery, Reader, ReplyBody};
use crate::failpoint;
use crate::ingress::Ingress;
use crate::io::{Io, Shared};
use crate::outcome::{Ending, Opening, Story, micros};
use crate::problem::{self, Problem, Reply, SERVER_TIMING, X_ATTEMPTS, X_PASSED_OVER, X_TARGET, failed};
use crate::render::{digits, trimmed};
use crate::spoken::Task;
use crate::table::{OnClientGone, Table, Target};
use crate::walk::{Found, Walked, walk};

/// Runs one exchange. `decided` carries the decision where the door already asked (granian's, on the loop thread).
///
/// Dropping the future aborts whatever is under way and settles the story as the client's leaving.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice; these are 600 bytes")]
pub fn run(io: Arc<Io>, ingress: Ingress, decided: Option<Decided>) -> impl Future<Output = Reply> {
    async move {
        failpoint::pass("exchange.run");
        if ingress.spoken.task == Task::Count {
            return Box::pin(count::answer(&io, ingress)).await;
        }
        let (table, plan, story) = match planned(&io, &ingress, decided).await {
            Ok(planned) => planned,
            Err(reply) => return *reply,
        };
        let route = table.route(plan.route);
        let comments = route.and_then(|route| route.patience.comments_after());
        let comments = comments.filter(|_| ingress.stream() && ingress.hears_comments());
        if comments.is_some() || route.is_some_and(|route| route.carries_on) {
            return awaited::reply(io, table, plan, ingress, story, comments).await;
        }
        let walked = walk(&io, &table, &plan, &ingress, story, None).await;
        answer(&io, walked, (ingress.dialect(), ingress.reply_kind()), &ingress.request_id)
    }
}

/// Has whoever will answer a request count its tokens; nothing where nobody could. What is wrong with the request is told
/// like any such failure.
pub(crate) async fn counted(io: &Arc<Io>, ingress: &Ingress) -> Option<Reply> {
    let (table, plan, story) = planned(io, ingress, None).await.ok()?;
    let walked = walk(io, &table, &plan, ingress, story, None).await;
    let of_the_request = match &walked {
        Walked::Content(_) => true,
        Walked::Nothing { failed, .. } => failed.failure.pass_through && failed.failure.kind != Kind::NotFound,
    };
    let reply = answer(io, walked, (ingress.dialect(), ingress.reply_kind()), &ingress.request_id);
    of_the_request.then_some(reply)
}

/// Opens the story of an exchange and has its plan made; else this is the reply.
async fn planned(
    io: &Arc<Io>,
    ingress: &Ingress,
    decided: Option<Decided>,
) -> Result<(Arc<Table>, Plan, Story), Box<Reply>> {
    let table = io.shared.tables.current();
    let opening = Opening {
        request_id: ingress.request_id.clone(),
        generation: table.generation,
        door: ingress.door,
        dialect: ingress.spoken.name(),
        stream: ingress.stream(),
        bytes_in: ingress.scan.bytes as u64,
    };
    let refused = if io.shared.decider.room() {
        ingress.stream().then(|| admission::refuse_stream(&io.shared)).flatten()
    } else {
        Some(Problem::overloaded("too many outcomes wait to be recorded; please retry"))
    };
    if let Some(problem) = refused {
        return Err(Box::new(problem.reply(&ingress.request_id)));
    }
    let mut story = Story::open(io.shared.decider.clone(), table.setbacks.clone(), ingress.started, opening);
    let decision = match decided.and_then(Decided::take) {
        Some(decision) => {
            story.counts(&decision);
            Ok(decision)
        }
        None => decide(io, &table, ingress, &mut story).await,
    };
    failpoint::pass("exchange.planned");
    let planned = match decision {
        Ok(Decision::Plan(plan)) => at_its_table(&io.shared, table, plan, ingress.model(), &mut story),
        Ok(Decision::Refusal(refusal)) => return Err(Box::new(refuse(&table, &refusal, ingress, story))),
        Err(NoDecision::Late | NoDecision::Busy) => None,
    };
    let Some((table, mut plan)) = planned else {
        let problem = Problem::overloaded("no routing decision was made in time; please try again");
        return Err(Box::new(settle_problem(&problem, ingress, story)));
    };
    story.planned(&plan);
    // Not sooner: whom the decider counted in stays with the story.
    table.keep_able(&mut plan, &ingress.spoken);
    if let Err(refusal) = io.shared.bars.keep_out_of_plan(&table, &mut plan, ingress.model(), Instant::now()) {
        return Err(Box::new(refuse(&table, &refusal, ingress, story)));
    }
    Ok((table, plan, story))
}

/// The reply that a walk came to.
pub(crate) fn answer(io: &Io, walked: Walked, (client, kind): (Dialect, HeaderValue), id: &Arc<str>) -> Reply {
    match walked {
        Walked::Content(found) => deliver(io, found, kind, id),
        Walked::Nothing { failed, spent, story } => end_failed(*failed, spent, client, id, story),
    }
}

/// A plan's numbers mean something in the table of its generation only. Where that one is forgotten (two swaps passed
/// while the decider thought) the plan is handed back and the snapshot decides: never the same numbers in another table.
fn at_its_table(
    shared: &Shared,
    table: Arc<Table>,
    plan: Plan,
    model: &str,
    story: &mut Story,
) -> Option<(Arc<Table>, Plan)> {
    if plan.generation == table.generation {
        return Some((table, plan));
    }
    if let Some(its) = shared.tables.of(plan.generation) {
        return Some((its, plan));
    }
    story.unplanned();
    hand_back(&*shared.decider, &plan);
    match snapshot_of(shared, &table, model)? {
        Decision::Plan(plan) => Some((table, plan)),
        Decision::Refusal(_) => None,
    }
}

/// Runs what answers one request; a panic in it is a 500 for that request alone.
///
/// The answer comes boxed: it is some 4 KiB that exist until the head is out, and inline they would be moved with every
/// future around them and stay with every open connection.
pub async fn contained<F>(shared: &Shared, id: &Arc<str>, answer: Pin<Box<F>>) -> Reply
where
    F: Future<Output = Reply>,
{
    match defect::outlived(answer).await {
        Some(reply) => reply,
        None => defective(shared, id),
    }
}

/// Counts a defect that was caught, and gives the reply that tells its client of it.
#[cold]
pub fn defective(shared: &Shared, id: &Arc<str>) -> Reply {
    shared.metrics.defects.note();
    defect::say(format!("request {id} was given up for a defect of the gateway"));
    Problem::internal("the gateway failed on this request").reply(id)
}

/// Asks where no plan stands, and lets the snapshot decide when the answer is late and the route is known.
async fn decide(io: &Io, table: &Arc<Table>, ingress: &Ingress, story: &mut Story) -> Result<Decision, NoDecision> {
    let route = table.resolve(ingress.model());
    if let Some(plan) = route.and_then(|route| table.standing(route)) {
        io.shared.metrics.standing.fetch_add(1, Ordering::Relaxed);
        return Ok(Decision::Plan(plan));
    }
    // Before it is asked: what fails meanwhile may not be known to the answer.
    let setbacks = table.setbacks.count();
    failpoint::pass("decide.ask");
    // Boxed: most requests of most routes never ask.
    let asked = Box::pin(io.desk.ask(&io.shared.decider, ingress.question(), route.is_some())).await;
    if let Ok(decision) = &asked {
        story.counts(decision);
    }
    failpoint::pass("decide.answered");
    if let Ok(Decision::Plan(plan)) = &asked {
        table.remember(plan, Some(setbacks));
    }
    match asked {
        Err(none) => snapshot_of(&io.shared, table, ingress.model()).ok_or(none),
        asked => asked,
    }
}

/// The plan that stands for a model, if one does; else how often anything had failed before the decider is asked.
pub fn standing(shared: &Shared, model: &str) -> Result<Plan, u64> {
    let table = shared.tables.current();
    let plan = table.resolve(model).and_then(|route| table.standing(route));
    if plan.is_some() {
        shared.metrics.standing.fetch_add(1, Ordering::Relaxed);
    }
    plan.ok_or_else(|| table.setbacks.count())
}

/// The engine's own decision for a model, where the decider's is late or failed. `None` for a model it does not know.
pub fn by_snapshot(shared: &Shared, model: &str) -> Option<Decision> {
    snapshot_of(shared, &shared.tables.current(), model)
}

fn snapshot_of(shared: &Shared, table: &Table, model: &str) -> Option<Decision> {
    let index = table.resolve(model)?;
    let route = table.route(index)?;
    shared.metrics.snapshots.fetch_add(1, Ordering::Relaxed);
    let mut targets = table.snapshot(route, &shared.dice);
    if let Err(refusal) = shared.bars.keep_out(table, &mut targets, model, Instant::now()) {
        return Some(Decision::Refusal(refusal));
    }
    Some(Decision::Plan(Plan {
        route: index,
        generation: table.generation,
        may_lead: targets.len(),
        targets,
        probe: false,
        standing: false,
        once: false,
        by: DecidedBy::Snapshot,
    }))
}

/// An attempt or a reply under way, counted at its target until it is dropped.
pub(crate) struct InFlight {
    table: Arc<Table>,
    target: u32,
    unasked: bool,
}

impl InFlight {
    pub(crate) fn enter(table: &Arc<Table>, target: &Target, by: DecidedBy) -> Self {
        target.in_flight.fetch_add(1, Ordering::Relaxed);
        let unasked = by != DecidedBy::Policy;
        if unasked {
            target.unasked.fetch_add(1, Ordering::Relaxed);
        }
        Self { table: table.clone(), target: target.index, unasked }
    }

    /// The target does not want its replies cancelled when their client leaves.
    pub(crate) fn reads_on(&self) -> bool {
        self.table.target(self.target).is_some_and(|target| target.on_client_gone != OnClientGone::Cancel)
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
            if self.unasked {
                target.unasked.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

fn deliver(io: &Io, mut found: Found, kind: HeaderValue, id: &Arc<str>) -> Reply {
    let mut headers = found.success.take_headers();
    let status = found.success.status();
    // There already where a reply is passed on unread.
    headers.entry(CONTENT_TYPE).or_insert(kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_TARGET, found.flying.label());
    headers.insert(X_ATTEMPTS, problem::count(found.story.attempts()));
    headers.extend(found.story.passed_over().map(|names| (X_PASSED_OVER, names)));
    headers.insert(SERVER_TIMING, timing(&mut found.story, found.now));
    let body = content(io, found);
    Reply { status, headers, body, said_in: Dialect::OpenAiChat }.with_request_id(id)
}

/// The body of a reply that has content, and the end of its story where all of it is there.
pub(crate) fn content(io: &Io, found: Found) -> ReplyBody {
    failpoint::pass("exchange.content");
    let Found { success, flying, clock, now, mut story } = found;
    if let Some(outcome) = story.outcome() {
        outcome.status = success.status().as_u16();
    }
    match success {
        Success::Whole(whole) => {
            let attempt::Whole { frames, facts, headers: _, status: _ } = *whole;
            if let Some(outcome) = story.outcome() {
                outcome.usage = facts.usage;
                outcome.bytes_out = frames.iter().map(|frame| frame.len() as u64).sum();
            }
            story.close_at(Ending::Complete, None, now);
            ReplyBody::frames(frames)
        }
        Success::Running(running) => {
            ReplyBody::Relay(Delivery::new(&io.shared, *running, clock, story, flying, Reader::Client).into())
        }
    }
}

/// `gw` is what the gateway added before the last attempt began, `up` the time that attempt took to show content.
fn timing(story: &mut Story, now: Instant) -> HeaderValue {
    let total = micros(story.started, now);
    let up = story.outcome().and_then(|outcome| outcome.attempts.last()).and_then(|last| last.first_content_us);
    let up = up.unwrap_or(0);
    let (gw, up) = (total.saturating_sub(up), up);
    let mut text = SmallVec::<[u8; 64]>::new();
    text.extend_from_slice(b"gw;dur=");
    push_milliseconds(&mut text, gw);
    text.extend_from_slice(b", up;dur=");
    push_milliseconds(&mut text, up);
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("gw"))
}

/// Microseconds as milliseconds with three decimals; the formatting machinery costs ten times as much.
fn push_milliseconds(text: &mut SmallVec<[u8; 64]>, micros: u64) {
    let (whole, [.., c, b, a]) = (micros / 1000, digits(micros));
    text.extend_from_slice(trimmed(&digits(whole)));
    text.extend_from_slice(&[b'.', c, b, a]);
}

fn refuse(table: &Table, refusal: &Refusal, ingress: &Ingress, story: Story) -> Reply {
    let mut problem = Problem::refusal(refusal);
    if &*problem.code == "model_not_found" {
        // Not the decider's to say: looking through a thousand names would keep everybody else waiting for Python.
        problem.message = format!("{}; {}", problem.message, table.where_to_look(ingress.model())).into();
    }
    settle_problem(&problem, ingress, story)
}

fn settle_problem(problem: &Problem, ingress: &Ingress, mut story: Story) -> Reply {
    if let Some(outcome) = story.outcome() {
        outcome.status = problem.status;
    }
    story.close(Ending::Refused, None);
    problem.reply(&ingress.request_id)
}

fn end_failed(attempt: Failed, spent: bool, client: Dialect, id: &Arc<str>, mut story: Story) -> Reply {
    if let Some(outcome) = story.outcome() {
        outcome.status = attempt.failure.status;
    }
    let attempts = story.attempts();
    let mut reply = failed(&attempt.failure, attempt.reply, client, id, attempts, spent);
    reply.headers.extend(story.passed_over().map(|names| (X_PASSED_OVER, names)));
    story.close(Ending::Refused, Some(attempt.failure));
    reply
}
