//! A request of granian's door: its body taken and scanned, then decided on the loop and run on an I/O thread.
//!
//! The rule: an answer is given exactly once, so whoever answers takes the state out.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fastroute_engine::decider::{Decided, DecidedBy, Decision, Door, Refusal};
use fastroute_engine::defect;
use fastroute_engine::doors::body;
use fastroute_engine::{
    Bounds, Ingress, Io, Problem, Reply, Room, Share, Shared, Spoken, Task, Waits, by_snapshot, contained, defective,
    failpoint, restyled, routed, run, standing,
};
use hyper::header::HeaderMap;
use pyo3::prelude::*;
use tokio::time::Instant;

use crate::gateway::Gateway;
use crate::reply::{Outlet, closing, hand_over, write};
use crate::taps::Tap;

/// A request of granian's door whose body is being read.
#[pyclass(frozen, module = "fastroute._core")]
pub(crate) struct Request {
    gateway: Py<Gateway>,
    length: Option<usize>,
    state: Mutex<Option<Reading>>,
}

/// What a door gave a request before its body.
pub(crate) struct Admitted {
    pub(crate) started: Instant,
    pub(crate) length: Option<usize>,
    pub(crate) in_flight: Share,
    pub(crate) room: Room,
}

/// Head of a request that a model is to answer.
pub(crate) struct Opening {
    pub(crate) protocol: Py<PyAny>,
    pub(crate) id: Arc<str>,
    pub(crate) spoken: Spoken,
    pub(crate) forward: HeaderMap,
    pub(crate) waits: Waits,
    /// Its connection ends with its reply.
    pub(crate) last: bool,
}

struct Reading {
    protocol: Py<PyAny>,
    id: Arc<str>,
    spoken: Spoken,
    forward: HeaderMap,
    waits: Waits,
    last: bool,
    frames: body::Frames,
    read: usize,
    look: body::Look,
    in_flight: Share,
    room: Room,
    started: Instant,
}

impl Request {
    pub(crate) fn new(gateway: Py<Gateway>, opening: Opening, admitted: Admitted, look: body::Look) -> Self {
        let Opening { protocol, id, spoken, forward, waits, last } = opening;
        let Admitted { started, length, in_flight, room } = admitted;
        let reading = Reading {
            protocol,
            id,
            spoken,
            forward,
            waits,
            last,
            frames: body::Frames::default(),
            read: 0,
            look,
            in_flight,
            room,
            started,
        };
        Self { gateway, length, state: Mutex::new(Some(reading)) }
    }

    fn reading(&self) -> MutexGuard<'_, Option<Reading>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Request {
    /// Announced bytes of the body, if any were.
    #[getter]
    fn length(&self) -> Option<usize> {
        self.length
    }

    /// Takes a chunk of the body. False when the request was answered with an error; reading on is useless then.
    fn feed(&self, py: Python<'_>, chunk: &[u8]) -> PyResult<bool> {
        let shared = self.gateway.get().engine.shared();
        let fed = defect::caught(|| {
            failpoint::pass("border.feed");
            self.reading().as_mut().map(|reading| reading.feed(chunk, &shared.bounds))
        });
        if matches!(fed, Some(Some(Ok(())))) {
            return Ok(true);
        }
        let taken = self.reading().take();
        if let Some(reading) = taken {
            let reply = match fed {
                Some(Some(Err(problem))) => problem.reply(&reading.id),
                _ => defective(shared, &reading.id),
            };
            let reply = restyled(reply, reading.spoken.dialect);
            write(py, &reading.protocol, closing(reply, reading.last || shared.leaving()))?;
        }
        Ok(false)
    }

    /// Answers with an error because the body did not come: `late`, `stopping`, or else broken off.
    fn fail(&self, py: Python<'_>, why: &str) -> PyResult<()> {
        let taken = self.reading().take();
        let Some(reading) = taken else { return Ok(()) };
        let problem = match why {
            "late" => Problem::request(408, "request_timeout", "the body came too slowly"),
            "stopping" => Problem::stopping(),
            _ => Problem::request(400, "incomplete_body", "the body broke off before its end"),
        };
        let last = reading.last || self.gateway.get().engine.shared().leaving();
        write(py, &reading.protocol, closing(restyled(problem.reply(&reading.id), reading.spoken.dialect), last))
    }

    /// The body is complete: decides and runs the exchange. The future resolves when the reply's head is written;
    /// `None` when the request was answered at once.
    fn run(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let gateway = self.gateway.get().here()?;
        let taken = self.reading().take();
        let Some(reading) = taken else { return Ok(None) };
        let (protocol, id, last) = (reading.protocol.clone_ref(py), reading.id.clone(), reading.last);
        let dialect = reading.spoken.dialect;
        defect::caught(|| decide_and_start(py, gateway, reading, self.length)).unwrap_or_else(|| {
            write(py, &protocol, closing(restyled(defective(gateway.engine.shared(), &id), dialect), last))?;
            Ok(None)
        })
    }
}

fn decide_and_start(
    py: Python<'_>,
    gateway: &Gateway,
    reading: Reading,
    length: Option<usize>,
) -> PyResult<Option<Py<PyAny>>> {
    let shared = gateway.engine.shared();
    let last = reading.last || shared.leaving();
    let (ingress, protocol, in_flight, bodies) = match reading.complete(length, shared) {
        Ok(completed) => completed,
        Err(refused) => {
            let (reply, protocol) = *refused;
            write(py, &protocol, closing(reply, last))?;
            return Ok(None);
        }
    };
    let decided = (ingress.spoken.task == Task::Answer).then(|| match standing(shared, ingress.model()) {
        Ok(plan) => Decided::new(Decision::Plan(plan), shared.decider.clone()),
        Err(setbacks) => gateway.decide(py, &ingress, setbacks),
    });
    failpoint::pass("border.run");
    let Some(thread) = gateway.engine.thread() else { return Ok(None) };
    let future = gateway.create_future.call0(py)?;
    let tap = Arc::new(Tap::new(gateway.reservoir.clone()));
    let dialect = ingress.dialect();
    let slot = gateway.responses.open(protocol, future.clone_ref(py), tap.clone(), dialect);
    let io = thread.io.clone();
    let defects = shared.metrics.defects.clone();
    let outlet = Outlet::new(gateway.queue.clone(), slot, tap, ingress.request_id.clone(), defects, dialect);
    // From here on the outlet answers, whatever happens.
    let _ = defect::caught(|| {
        failpoint::pass("border.spawn");
        // Made before the task, so that one aborted before its first turn gives everything back, too.
        let (mut outlet, open) = (outlet, OpenExchange::enter(io.clone()));
        outlet.last = last;
        let task = thread.handle.spawn(async move {
            let (_open, _in_flight) = (open, in_flight);
            failpoint::pass("border.task");
            let id = ingress.request_id.clone();
            let answer = Box::pin(run(io.clone(), ingress, decided));
            let reply = restyled(contained(&io.shared, &id, answer).await, dialect);
            outlet.last |= io.shared.leaving();
            let reply = closing(reply, outlet.last);
            drop(bodies);
            hand_over(outlet, reply).await;
        });
        gateway.responses.runs(slot, task.abort_handle());
    });
    Ok(Some(future))
}

fn no_decision() -> Decision {
    Decision::Refusal(Refusal {
        status: 503,
        code: "overloaded".into(),
        message: "no routing decision could be made; please try again".into(),
        param: None,
        retry_after_s: Some(1),
    })
}

impl Gateway {
    /// Asks Python, and the snapshot where Python leaves it that.
    fn decide(&self, py: Python<'_>, ingress: &Ingress, setbacks: u64) -> Decided {
        let shared = self.engine.shared();
        // Asked here and not through the queue: what waits there to be told is not known to the answer.
        let setbacks = self.has_told_all().then_some(setbacks);
        let asked = self.brain.decide(py, &ingress.question()).unwrap_or_else(|error| {
            error.write_unraisable(py, None);
            None
        });
        let decision = asked.or_else(|| by_snapshot(shared, ingress.model())).unwrap_or_else(no_decision);
        let decided = Decided::new(decision, shared.decider.clone());
        // The snapshot's own leaves out whoever may not be called just now.
        if let Some(Decision::Plan(plan)) = decided.decision()
            && plan.by == DecidedBy::Policy
        {
            shared.tables.current().remember(plan, setbacks);
        }
        decided
    }
}

type Completed = (Ingress, Py<PyAny>, Share, Share);

impl Reading {
    fn feed(&mut self, chunk: &[u8], bounds: &Bounds) -> Result<(), Problem> {
        self.read += chunk.len();
        if self.read > bounds.body_bytes {
            return Err(body::too_large(bounds));
        }
        if !self.room.fill(chunk.len()) {
            return Err(body::too_many());
        }
        self.look.feed(chunk)?;
        // Copied: no Python object leaves the loop thread.
        self.frames.push(Bytes::copy_from_slice(chunk));
        Ok(())
    }

    fn complete(mut self, length: Option<usize>, shared: &Shared) -> Result<Completed, Box<(Reply, Py<PyAny>)>> {
        if length.is_some_and(|length| length != self.read) {
            let problem = Problem::request(400, "incomplete_body", "the body is shorter than its content-length");
            return Err(Box::new((restyled(problem.reply(&self.id), self.spoken.dialect), self.protocol)));
        }
        let scanned = self.look.finish(&mut self.spoken);
        let mut frames = self.frames.finish();
        let understood = scanned.and_then(|mut scan| {
            body::understood(&mut frames, &mut scan, &mut self.spoken, &shared.bounds)?;
            routed(&mut self.spoken, &scan, &shared.tables.current())?;
            Ok(scan)
        });
        match understood {
            Err(problem) => Err(Box::new((restyled(problem.reply(&self.id), self.spoken.dialect), self.protocol))),
            Ok(scan) => {
                let ingress = Ingress {
                    started: self.started,
                    request_id: self.id,
                    door: Door::Granian,
                    spoken: self.spoken,
                    forward: self.forward,
                    waits: self.waits,
                    frames,
                    scan,
                };
                Ok((ingress, self.protocol, self.in_flight, self.room.filled()))
            }
        }
    }
}

struct OpenExchange(Arc<Io>);

impl OpenExchange {
    fn enter(io: Arc<Io>) -> Self {
        io.open.fetch_add(1, Ordering::Relaxed);
        Self(io)
    }
}

impl Drop for OpenExchange {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
