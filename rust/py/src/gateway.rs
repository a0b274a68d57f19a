//! The engine as Python holds it: start, serve, swap, stop; and granian's way into an exchange.
//!
//! Nothing starts before the constructor runs, and a use from another process (a fork) raises and says what to do.

use std::future::poll_fn;
use std::os::fd::FromRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fastroute_core::dialects::Dialect;
use fastroute_core::json::Scanner;
use fastroute_engine::decider::{Decision, Door, Refusal};
use fastroute_engine::doors::{Endpoint, answer, body, endpoint, http};
use fastroute_engine::{
    Bounds, Engine, Ingress, Io, Of, Problem, Reply, ReplyBody, Share, TableSpec, by_snapshot, contained,
    forwarded_names, fresh_request_id, request_id, run,
};
use http_body::Body as _;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;
use tokio::time::Instant;

use crate::brain::Brain;
use crate::decider::{Backlog, PythonDecider};
use crate::drain::{Drain, Item};
use crate::queue::Queue;
use crate::rsgi::{Head, Responses, Slot, header_list, promise};
use crate::taps::{PER_REPLY, Reservoir, Tap};
use crate::watchdog;

/// A body up to here is read and scanned on the loop in one go; a longer one comes in chunks.
const SMALL_BODY: usize = 64 * 1024;

#[pyclass(frozen, name = "Engine", module = "fastroute._core")]
pub(crate) struct Gateway {
    process: u32,
    engine: Engine,
    queue: Arc<Queue<Item>>,
    backlog: Arc<Backlog>,
    brain: Arc<Brain>,
    responses: Arc<Responses>,
    reservoir: Arc<Reservoir>,
    create_future: Py<PyAny>,
    watch: Arc<watchdog::Watch>,
}

fn refused(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

impl Gateway {
    fn here(&self) -> PyResult<&Self> {
        if std::process::id() == self.process {
            return Ok(self);
        }
        Err(PyRuntimeError::new_err(
            "this engine was started in another process; start one after the fork instead of before it",
        ))
    }
}

#[pymethods]
impl Gateway {
    /// Starts the engine on `event_loop`, which must be the running or soon-to-run loop of this thread.
    ///
    /// `table` and `bounds` are JSON; `gateway` has `decide`, `settle`, `report` and `forget`; `values` is the module
    /// `fastroute.facts`; `threads` of 0 means one I/O thread per usable core.
    #[new]
    fn new(
        py: Python<'_>,
        event_loop: &Bound<'_, PyAny>,
        table: &[u8],
        bounds: &[u8],
        threads: usize,
        gateway: &Bound<'_, PyAny>,
        values: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let spec: TableSpec = serde_json::from_slice(table).map_err(refused)?;
        let bounds: Bounds = serde_json::from_slice(bounds).map_err(refused)?;
        let queue = Arc::new(Queue::new()?);
        let backlog = Arc::new(Backlog::default());
        let brain = Arc::new(Brain::new(gateway, values)?);
        let responses = Arc::new(Responses::default());
        let decider = Arc::new(PythonDecider { queue: queue.clone(), backlog: backlog.clone() });
        let bell = queue.clone();
        let on_park: fastroute_engine::OnPark = Arc::new(move || bell.ring_if_needed());
        let engine = Engine::start(spec, bounds, threads, decider, &on_park).map_err(refused)?;
        let drain = Py::new(py, Drain::new(queue.clone(), backlog.clone(), brain.clone(), responses.clone()))?;
        event_loop.call_method1(intern!(py, "add_reader"), (queue.bell(), drain))?;
        let watch = watchdog::Watch::start(brain.deciding.clone())?;
        Ok(Self {
            process: std::process::id(),
            engine,
            queue,
            backlog,
            brain,
            responses,
            reservoir: Arc::default(),
            create_future: event_loop.getattr(intern!(py, "create_future"))?.unbind(),
            watch,
        })
    }

    /// Serves the edge door on a listening socket. The engine takes the descriptor over.
    fn serve(&self, descriptor: i32) -> PyResult<()> {
        #[expect(unsafe_code, reason = "the caller hands over a descriptor it owns and does not use again")]
        let listener = unsafe { std::net::TcpListener::from_raw_fd(descriptor) };
        self.here()?.engine.serve(&listener)?;
        Ok(())
    }

    /// Replaces the table (JSON); exchanges under way keep theirs.
    fn swap(&self, table: &[u8]) -> PyResult<()> {
        let spec: TableSpec = serde_json::from_slice(table).map_err(refused)?;
        self.here()?.engine.swap(spec).map_err(refused)
    }

    /// `/readyz` answers 503 from now on.
    fn unready(&self) {
        self.engine.unready();
    }

    /// The edge door stops accepting and closes connections as their exchanges end.
    fn stop(&self) {
        self.engine.stop();
    }

    /// Serves `/metrics` and health on a listening socket of its own. The engine takes the descriptor over.
    fn serve_admin(&self, descriptor: i32) -> PyResult<()> {
        #[expect(unsafe_code, reason = "the caller hands over a descriptor it owns and does not use again")]
        let listener = unsafe { std::net::TcpListener::from_raw_fd(descriptor) };
        self.here()?.engine.serve_admin(&listener)?;
        Ok(())
    }

    /// Stories that were not told to Python yet.
    fn unsettled(&self) -> usize {
        self.backlog.stories.load(Ordering::Relaxed)
    }

    /// Exchanges under way at both doors.
    fn in_flight(&self) -> usize {
        self.engine.in_flight()
    }

    /// Replies of granian's door that are still open.
    fn open_replies(&self) -> usize {
        self.responses.open_count()
    }

    /// Counters in Prometheus' text format.
    fn metrics(&self) -> String {
        self.engine.shared().metrics.render()
    }

    /// True while a decision has been running for longer than the watchdog allows.
    fn overdue(&self) -> bool {
        self.watch.overdue()
    }

    /// Descriptor the drain listens on, to be removed from the loop before it closes.
    fn bell(&self) -> i32 {
        self.queue.bell()
    }

    /// `(number, protocol)` of replies older than `age_s` seconds that no task watches.
    fn unwatched<'py>(&self, py: Python<'py>, age_s: f64) -> PyResult<Bound<'py, PyList>> {
        self.responses.unwatched(py, Duration::try_from_secs_f64(age_s).unwrap_or_default())
    }

    /// A task now waits for the client of this reply to leave. False when the reply is over already.
    fn watched(&self, number: u64, task: Py<PyAny>) -> bool {
        self.responses.watched(Slot::from_number(number), task)
    }

    /// The client of this reply left (or has it all).
    fn gone(&self, py: Python<'_>, number: u64) -> PyResult<()> {
        self.responses.gone(py, Slot::from_number(number))
    }

    /// Opens a request of granian's door. What needs no body is answered at once; then `None` comes back.
    fn open(
        slf: &Bound<'_, Self>,
        py: Python<'_>,
        protocol: Py<PyAny>,
        method: &str,
        path: &str,
        headers: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Request>> {
        let gateway = slf.get().here()?;
        let shared = gateway.engine.shared();
        let get = |name: &'static str| -> PyResult<Option<String>> {
            headers.call_method1(intern!(py, "get"), (name,))?.extract()
        };
        let offered = match get("x-request-id")? {
            None => get("x-client-request-id")?,
            some => some,
        };
        let offered = offered.and_then(|id| HeaderValue::try_from(id).ok());
        let id = request_id(offered.as_ref(), || fresh_request_id(&shared.dice));
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::TRACE);
        let reply = match endpoint(&method, path) {
            Endpoint::Generate(dialect) => match gateway.admit(&id, get("content-encoding")?, get("content-length")?) {
                Err(problem) => problem.reply(&id),
                Ok(admitted) => {
                    let mut forward = HeaderMap::new();
                    for name in forwarded_names() {
                        if let Some(value) = get(name)?
                            && let Ok(value) = HeaderValue::try_from(value)
                        {
                            forward.insert(HeaderName::from_static(name), value);
                        }
                    }
                    let scanner = body::scanner(dialect, &shared.bounds);
                    return Ok(Some(Request {
                        gateway: slf.clone().unbind(),
                        length: admitted.length,
                        state: std::sync::Mutex::new(Some(Reading {
                            protocol,
                            id,
                            dialect,
                            forward,
                            frames: Vec::with_capacity(1),
                            read: 0,
                            scanner,
                            in_flight: admitted.in_flight,
                            bodies: admitted.bodies,
                            started: admitted.started,
                        })),
                    }));
                }
            },
            other => answer(shared, &other, &id),
        };
        write(py, &protocol, reply)?;
        Ok(None)
    }
}

struct Admitted {
    started: Instant,
    length: Option<usize>,
    in_flight: Share,
    bodies: Share,
}

impl Gateway {
    fn admit(&self, _: &Arc<str>, encoding: Option<String>, length: Option<String>) -> Result<Admitted, Problem> {
        let shared = self.engine.shared();
        let started = Instant::now();
        if encoding.is_some_and(|coding| coding != "identity") {
            return Err(http::unsupported_encoding());
        }
        if self.reservoir.full() {
            return Err(Problem::overloaded("too many bytes wait for slow clients; please retry"));
        }
        let length = length.and_then(|length| length.parse().ok());
        if length.is_some_and(|length| length > shared.bounds.body_bytes) {
            return Err(body::too_large(&shared.bounds));
        }
        let in_flight = Share::take(shared, Of::InFlight, 1)
            .ok_or_else(|| Problem::overloaded("the gateway is at its limit; please retry"))?;
        let bodies = Share::take(shared, Of::BodyBytes, length.unwrap_or(0))
            .ok_or_else(|| Problem::overloaded("too many request bodies are being read; please retry"))?;
        shared.metrics.exchanges.fetch_add(1, Ordering::Relaxed);
        Ok(Admitted { started, length, in_flight, bodies })
    }
}

/// Writes a reply that is ready, from the loop thread.
fn write(py: Python<'_>, protocol: &Py<PyAny>, mut reply: Reply) -> PyResult<()> {
    let head = Head::of(&mut reply);
    let body = match reply.body {
        ReplyBody::Frames(frames) => joined(frames),
        ReplyBody::Relay(_) => Bytes::new(),
    };
    let headers = header_list(py, &head.headers)?;
    let body = pyo3::types::PyBytes::new(py, &body);
    protocol.bind(py).call_method1(intern!(py, "response_bytes"), (head.status, headers, body))?;
    Ok(())
}

fn joined(mut frames: std::collections::VecDeque<Bytes>) -> Bytes {
    if frames.len() <= 1 {
        return frames.pop_front().unwrap_or_default();
    }
    let mut all = BytesMut::with_capacity(frames.iter().map(Bytes::len).sum());
    for frame in frames {
        all.extend_from_slice(&frame);
    }
    all.freeze()
}

/// A request of granian's door whose body is being read.
#[pyclass(frozen, module = "fastroute._core")]
pub(crate) struct Request {
    gateway: Py<Gateway>,
    length: Option<usize>,
    state: std::sync::Mutex<Option<Reading>>,
}

struct Reading {
    protocol: Py<PyAny>,
    id: Arc<str>,
    dialect: Dialect,
    forward: HeaderMap,
    frames: Vec<Bytes>,
    read: usize,
    scanner: Scanner,
    in_flight: Share,
    bodies: Share,
    started: Instant,
}

#[pymethods]
impl Request {
    /// True when the announced body is small enough to be read in one go.
    #[getter]
    fn small(&self) -> bool {
        self.length.is_some_and(|length| length <= SMALL_BODY)
    }

    /// Announced bytes of the body, if any were.
    #[getter]
    fn length(&self) -> Option<usize> {
        self.length
    }

    /// Takes a chunk of the body. False when the request was answered with an error; reading on is useless then.
    fn feed(&self, py: Python<'_>, chunk: &[u8]) -> PyResult<bool> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(reading) = state.as_mut() else { return Ok(false) };
        match reading.feed(chunk, &self.gateway.get().engine.shared().bounds, self.length) {
            Ok(()) => Ok(true),
            Err(problem) => {
                if let Some(reading) = state.take() {
                    write(py, &reading.protocol, problem.reply(&reading.id))?;
                }
                Ok(false)
            }
        }
    }

    /// Answers with an error because the body did not come: `timeout` or broken off.
    fn fail(&self, py: Python<'_>, timeout: bool) -> PyResult<()> {
        let taken = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(reading) = taken else { return Ok(()) };
        let problem = if timeout {
            Problem::request(408, "request_timeout", "the body came too slowly")
        } else {
            Problem::request(400, "incomplete_body", "the body broke off before its end")
        };
        write(py, &reading.protocol, problem.reply(&reading.id))
    }

    /// The body is complete: decides and runs the exchange. The future resolves when the reply's head is written;
    /// `None` when the request was answered at once.
    fn run(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let gateway = self.gateway.get().here()?;
        let taken = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(reading) = taken else { return Ok(None) };
        let shared = gateway.engine.shared();
        let scan = match reading.complete(self.length) {
            Ok(scan) => scan,
            Err((problem, protocol, id)) => {
                write(py, &protocol, problem.reply(&id))?;
                return Ok(None);
            }
        };
        let (ingress, protocol, in_flight, bodies) = scan;
        let question = ingress.question();
        let decision = match gateway.brain.decide(py, &question) {
            Ok(decision) => decision,
            Err(error) => {
                error.write_unraisable(py, None);
                by_snapshot(shared, ingress.model()).map_or_else(no_decision, Decision::Plan)
            }
        };
        if let Decision::Plan(plan) = &decision {
            remember(shared, plan);
        }
        let Some(thread) = gateway.engine.thread() else { return Ok(None) };
        let future = gateway.create_future.call0(py)?;
        let tap = Arc::new(Tap::new(gateway.reservoir.clone()));
        let slot = gateway.responses.open(protocol, future.clone_ref(py), tap.clone());
        let (io, queue) = (thread.io.clone(), gateway.queue.clone());
        io.open.fetch_add(1, Ordering::Relaxed);
        let task = thread.handle.spawn(async move {
            let _open = OpenExchange(io.clone());
            let _in_flight = in_flight;
            let id = ingress.request_id.clone();
            let reply = contained(&io.shared, &id, run(io.clone(), ingress, Some(decision))).await;
            drop(bodies);
            hand_over(&queue, slot, reply, tap).await;
        });
        gateway.responses.runs(slot, task.abort_handle());
        Ok(Some(future))
    }
}

fn no_decision() -> Decision {
    Decision::Refusal(Refusal {
        status: 503,
        code: "overloaded".into(),
        message: "no routing decision could be made; please try again".into(),
        param: None,
    })
}

fn remember(shared: &fastroute_engine::Shared, plan: &fastroute_engine::decider::Plan) {
    let table = shared.tables.current();
    if table.generation == plan.generation
        && let Some(route) = table.route(plan.route)
    {
        route.remember(&plan.targets);
    }
}

type Completed = (Ingress, Py<PyAny>, Share, Share);

impl Reading {
    fn feed(&mut self, chunk: &[u8], bounds: &Bounds, length: Option<usize>) -> Result<(), Problem> {
        let before = self.read;
        self.read += chunk.len();
        if self.read > bounds.body_bytes {
            return Err(body::too_large(bounds));
        }
        let announced = length.unwrap_or(0);
        if self.read > announced && !self.bodies.grow(self.read - before.max(announced)) {
            return Err(Problem::overloaded("too many request bodies are being read; please retry"));
        }
        self.scanner.feed(chunk).map_err(|error| body::unreadable(&error))?;
        // Copied: no Python object leaves the loop thread.
        self.frames.push(Bytes::copy_from_slice(chunk));
        Ok(())
    }

    #[expect(clippy::result_large_err, reason = "the error carries what it takes to answer, and is rare")]
    fn complete(self, length: Option<usize>) -> Result<Completed, (Problem, Py<PyAny>, Arc<str>)> {
        if length.is_some_and(|length| length != self.read) {
            let problem = Problem::request(400, "incomplete_body", "the body is shorter than its content-length");
            return Err((problem, self.protocol, self.id));
        }
        let scanned = self.scanner.finish().map_err(|error| body::unreadable(&error));
        match scanned.and_then(|scan| body::required(&scan, self.dialect).map(|()| scan)) {
            Err(problem) => Err((problem, self.protocol, self.id)),
            Ok(scan) => {
                let ingress = Ingress {
                    started: self.started,
                    request_id: self.id,
                    door: Door::Granian,
                    dialect: self.dialect,
                    forward: self.forward,
                    frames: self.frames,
                    scan,
                };
                Ok((ingress, self.protocol, self.in_flight, self.bodies))
            }
        }
    }
}

struct OpenExchange(Arc<Io>);

impl Drop for OpenExchange {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Pulls the reply and queues it for the loop, within the bounds of granian's door.
async fn hand_over(queue: &Queue<Item>, slot: Slot, mut reply: Reply, tap: Arc<Tap>) {
    let mut head = Head::of(&mut reply);
    let mut body = reply.body;
    if let ReplyBody::Frames(frames) = body {
        let whole = joined(frames);
        queue.push(Item::Whole(slot, Box::new(head), whole));
        return;
    }
    let length = body.size_hint().exact();
    if length.is_some_and(|length| length > PER_REPLY as u64) {
        let problem = Problem::too_long_for_this_door();
        let mut reply = problem.reply(&"".into());
        let head = Head::of(&mut reply);
        if let ReplyBody::Frames(frames) = reply.body {
            queue.push(Item::Whole(slot, Box::new(head), joined(frames)));
        }
        return;
    }
    promise(&mut head, length);
    queue.push(Item::Start(slot, Box::new(head)));
    let mut ready = BytesMut::new();
    loop {
        let mut ended = false;
        // Whatever is ready goes out as one write; the first poll of a round may wait.
        let only = poll_fn(|task| {
            let mut first: Option<Bytes> = None;
            loop {
                match body.poll_next(task) {
                    std::task::Poll::Ready(Ok(Some(frame))) => match first.take() {
                        None if ready.is_empty() => first = Some(frame),
                        None => ready.extend_from_slice(&frame),
                        Some(held) => {
                            ready.extend_from_slice(&held);
                            ready.extend_from_slice(&frame);
                        }
                    },
                    std::task::Poll::Ready(Ok(None) | Err(_)) => {
                        ended = true;
                        return std::task::Poll::Ready(first);
                    }
                    std::task::Poll::Pending if first.is_none() && ready.is_empty() => return std::task::Poll::Pending,
                    std::task::Poll::Pending => return std::task::Poll::Ready(first),
                }
                if ready.len() >= SMALL_BODY {
                    return std::task::Poll::Ready(first);
                }
            }
        })
        .await;
        let bytes = only.unwrap_or_else(|| ready.split().freeze());
        if !bytes.is_empty() {
            let size = bytes.len();
            if !tap.room(size).await {
                queue.push(Item::Chunk(slot, too_long_event(), tap.clone()));
                break;
            }
            queue.push(Item::Chunk(slot, bytes, tap.clone()));
        }
        if ended {
            break;
        }
    }
    drop(body);
    queue.push(Item::End(slot));
}

fn too_long_event() -> Bytes {
    fastroute_core::failure::render_openai_error_event(&fastroute_core::failure::Failure::new(
        fastroute_core::failure::Kind::ResponseTooLarge,
    ))
}
