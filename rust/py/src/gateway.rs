//! The engine as Python holds it: start, serve, swap, stop; and granian's way into an exchange.
//!
//! Nothing starts before the constructor runs, and a use from another process (a fork) raises and says what to do.

use std::os::fd::FromRawFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastroute_engine::admission;
use fastroute_engine::doors::{Endpoint, Hints, answer, body, endpoint, host_flaw, http, is_encoded, malformed};
use fastroute_engine::{
    Bounds, Engine, Hooks, Journal, JournalSpec, Of, Problem, REQUEST_IDS, Room, Share, Table, TableSpec, Waits,
    defective, forwarded_names, fresh_request_id, is_for_one_hop, request_id, restyled,
};
use fastroute_engine::{defect, failpoint};
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use pyo3::exceptions::{PyBlockingIOError, PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyList;
use tokio::time::Instant;

use crate::brain::Brain;
use crate::decider::{Backlog, PythonDecider};
use crate::drain::{Drain, Item};
use crate::queue::Queue;
use crate::reply::{closing, write};
use crate::request::{Admitted, Opening, Request};
use crate::rsgi::{Responses, Slot};
use crate::taps::Reservoir;
use crate::{slice, watchdog};

#[pyclass(frozen, name = "Engine", module = "fastroute._core")]
pub(crate) struct Gateway {
    process: u32,
    pub(crate) engine: Engine,
    pub(crate) queue: Arc<Queue<Item>>,
    backlog: Arc<Backlog>,
    pub(crate) brain: Arc<Brain>,
    pub(crate) responses: Arc<Responses>,
    pub(crate) reservoir: Arc<Reservoir>,
    pub(crate) create_future: Py<PyAny>,
    watch: Arc<watchdog::Watch>,
}

/// A table compiled aside, on whatever thread, for `Engine.swap`.
#[pyclass(frozen, module = "fastroute._core")]
pub(crate) struct NextTable(Mutex<Option<Table>>);

#[pymethods]
impl NextTable {
    /// `table` is JSON. The interpreter is free meanwhile.
    #[new]
    fn new(py: Python<'_>, table: &[u8]) -> PyResult<Self> {
        let spec: TableSpec = serde_json::from_slice(table).map_err(refused)?;
        let compiled = py.detach(|| Table::compile(spec)).map_err(refused)?;
        Ok(Self(Mutex::new(Some(compiled))))
    }
}

fn refused(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

impl Gateway {
    pub(crate) fn here(&self) -> PyResult<&Self> {
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
    /// `fastroute.facts`; `threads` of 0 means one I/O thread per usable core; `journal` is JSON, or None for none.
    #[new]
    #[pyo3(signature = (event_loop, table, bounds, threads, gateway, values, journal=None))]
    #[expect(clippy::too_many_arguments, reason = "one caller, and each is another thing")]
    fn new(
        py: Python<'_>,
        event_loop: &Bound<'_, PyAny>,
        table: &[u8],
        bounds: &[u8],
        threads: usize,
        gateway: &Bound<'_, PyAny>,
        values: &Bound<'_, PyAny>,
        journal: Option<&[u8]>,
    ) -> PyResult<Self> {
        let spec: TableSpec = serde_json::from_slice(table).map_err(refused)?;
        let bounds: Bounds = serde_json::from_slice(bounds).map_err(refused)?;
        let journal: Option<JournalSpec> = journal.map(serde_json::from_slice).transpose().map_err(refused)?;
        defect::listen();
        let queue = Arc::new(Queue::new()?);
        let backlog = Arc::new(Backlog::default());
        let brain = Arc::new(Brain::new(gateway, values)?);
        let responses = Arc::new(Responses::default());
        let decider = Arc::new(PythonDecider { queue: queue.clone(), backlog: backlog.clone() });
        let bell = queue.clone();
        let on_park = Arc::new(move || {
            bell.ring_if_needed();
            slice::suit(bell.awaited());
        });
        let hooks = Hooks { on_park, on_helper: Arc::new(slice::of_a_helper) };
        let engine = Engine::start(spec, bounds, threads, decider, &hooks, journal).map_err(refused)?;
        let reservoir = Arc::new(Reservoir::under(engine.shared().pressure.clone()));
        let defects = engine.shared().metrics.defects.clone();
        let drain = Drain::new(queue.clone(), backlog.clone(), brain.clone(), responses.clone(), defects.clone());
        let drain = Py::new(py, drain)?;
        event_loop.call_method1(intern!(py, "add_reader"), (queue.bell(), drain))?;
        let watch = watchdog::Watch::start(brain.deciding.clone(), defects)?;
        Ok(Self {
            process: std::process::id(),
            engine,
            queue,
            backlog,
            brain,
            responses,
            reservoir,
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

    /// Replaces the table with a compiled one, which can be used once; exchanges under way keep theirs.
    fn swap(&self, next: &NextTable) -> PyResult<()> {
        let table = next.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let table = table.ok_or_else(|| PyValueError::new_err("this table was swapped in before; compile another"))?;
        self.here()?.engine.swap(table);
        Ok(())
    }

    /// A configuration was looked at and not taken; `/metrics` says so.
    fn refused(&self) {
        self.engine.shared().metrics.reloads.refused();
    }

    /// `/readyz` answers 503 from now on.
    fn unready(&self) {
        self.engine.unready();
    }

    /// The edge door stops accepting and closes connections as their exchanges end.
    fn stop(&self) {
        self.engine.stop();
    }

    /// Replies that still run end now, each with an error in its client's dialect.
    fn end(&self) {
        self.engine.end();
    }

    /// Serves `/metrics` and health on a listening socket of its own. The engine takes the descriptor over.
    fn serve_admin(&self, descriptor: i32) -> PyResult<()> {
        #[expect(unsafe_code, reason = "the caller hands over a descriptor it owns and does not use again")]
        let listener = unsafe { std::net::TcpListener::from_raw_fd(descriptor) };
        self.here()?.engine.serve_admin(&listener)?;
        Ok(())
    }

    /// Wakes the drain if anything waits. For a tick of the loop: the end of a story does not ring by itself.
    fn nudge(&self) {
        self.queue.ring_if_waiting();
    }

    /// Stories that were not told to Python yet.
    fn unsettled(&self) -> usize {
        self.backlog.stories.load(Ordering::Relaxed)
    }

    /// Exchanges under way at both doors.
    fn in_flight(&self) -> usize {
        self.engine.in_flight()
    }

    /// Attempts under way at a target whose plan Python did not make for their request.
    fn unasked(&self, target: u32) -> u32 {
        let table = self.engine.shared().tables.current();
        table.target(target).map_or(0, |target| target.unasked.load(Ordering::Relaxed))
    }

    /// Replies of granian's door that are still open.
    fn open_replies(&self) -> usize {
        self.responses.open_count()
    }

    /// Counters in Prometheus' text format.
    fn metrics(&self) -> String {
        let shared = self.engine.shared();
        shared.metrics.render(&shared.pressure)
    }

    /// What is to be told of defects and of the journal since the last call: `(alarm, text)`.
    fn notices(&self) -> Vec<(bool, String)> {
        let notices = self.engine.journal().map(Journal::notices).unwrap_or_default();
        let notices = notices.into_iter().map(|notice| (notice.alarm, notice.text));
        defect::told().into_iter().map(|text| (true, text)).chain(notices).collect()
    }

    /// Writes out and syncs the journal, for the end of the process. Blocks for as long as the disk does.
    fn close_journal(&self, py: Python<'_>) {
        if let Some(journal) = self.engine.journal() {
            py.detach(|| journal.close());
        }
    }

    /// Rows that `metrics` shows below the engine's own, in the same format, in place of those told before.
    fn tell_metrics(&self, rows: String) {
        self.engine.shared().metrics.tell(rows);
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

    /// Places that are free for exchanges.
    fn places(&self) -> usize {
        self.engine.shared().bounds.in_flight.saturating_sub(self.engine.in_flight())
    }

    /// Opens a request of granian's door. What needs no body is answered at once; then `None` comes back. With `waits`
    /// a request that finds no place is not refused: `BlockingIOError`, and it may be opened again.
    fn open(
        slf: &Bound<'_, Self>,
        py: Python<'_>,
        protocol: Py<PyAny>,
        scope: &Bound<'_, PyAny>,
        waits: bool,
    ) -> PyResult<Option<Request>> {
        let shared = slf.get().here()?.engine.shared();
        let answerable = protocol.clone_ref(py);
        defect::caught(|| Self::begin(slf, py, protocol, scope, waits)).unwrap_or_else(|| {
            write(py, &answerable, closing(defective(shared, &fresh_request_id(&shared.dice)), true))?;
            Ok(None)
        })
    }
}

impl Gateway {
    /// Python has heard of everything that happened.
    pub(crate) fn has_told_all(&self) -> bool {
        self.backlog.stories.load(Ordering::Acquire) == 0
    }

    fn begin(
        slf: &Bound<'_, Self>,
        py: Python<'_>,
        protocol: Py<PyAny>,
        scope: &Bound<'_, PyAny>,
        waits: bool,
    ) -> PyResult<Option<Request>> {
        failpoint::pass("border.open");
        let gateway = slf.get().here()?;
        let shared = gateway.engine.shared();
        let headers = &scope.getattr(intern!(py, "headers"))?;
        if let Some(flaw) = host_flaw_of(scope, headers)? {
            let reply = malformed(flaw).reply(&fresh_request_id(&shared.dice));
            write(py, &protocol, closing(reply, true))?;
            return Ok(None);
        }
        let get = |name: &'static str| -> PyResult<Option<String>> {
            headers.call_method1(intern!(py, "get"), (name,))?.extract()
        };
        // granian's parser may take the head of a next request for trailers of this one, and what is in its body for
        // requests; others see that otherwise. Nothing is read behind chunks.
        let last = headers.contains(intern!(py, "transfer-encoding"))?;
        let offered = REQUEST_IDS.iter().filter_map(|name| get(name).ok().flatten());
        let id = request_id(offered, || fresh_request_id(&shared.dice));
        let method: PyBackedStr = scope.getattr(intern!(py, "method"))?.extract()?;
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::TRACE);
        let path: PyBackedStr = scope.getattr(intern!(py, "path"))?.extract()?;
        let hints = Hints::of(&path, |name| headers.contains(name).unwrap_or_default());
        let reply = match endpoint(&method, &path, hints) {
            Endpoint::Generate(spoken) => {
                let spoken = if spoken.takes_query() {
                    let query: PyBackedStr = scope.getattr(intern!(py, "query_string"))?.extract()?;
                    spoken.asking(&query)
                } else {
                    spoken
                };
                if waits && gateway.places() == 0 && !shared.pressure.late() {
                    return Err(PyBlockingIOError::new_err("all places are taken"));
                }
                match gateway.admit(is_encoded_body(headers)?, get("content-length")?.as_deref()) {
                    Err(problem) => restyled(problem.reply(&id), spoken.dialect),
                    Ok(admitted) => {
                        let kind = if spoken.opaque.is_some() { get("content-type")? } else { None };
                        let spoken = spoken.bearing(kind.as_deref());
                        let mut forward = HeaderMap::new();
                        for name in forwarded_names(&spoken) {
                            if let Some(value) = get(name)?
                                && !is_named_by_connection(headers, name)?
                                && let Ok(value) = HeaderValue::try_from(value)
                            {
                                forward.insert(HeaderName::from_static(name), value);
                            }
                        }
                        let look = body::Look::at(&spoken, &shared.bounds);
                        let mut waits = Waits::default();
                        for name in Waits::NAMES {
                            if let Some(value) = get(name)? {
                                waits.note(name, &value);
                            }
                        }
                        let opening = Opening { protocol, id, spoken, forward, waits, last };
                        return Ok(Some(Request::new(slf.clone().unbind(), opening, admitted, look)));
                    }
                }
            }
            other => answer(shared, &other, &id),
        };
        write(py, &protocol, closing(reply, last || shared.leaving()))?;
        Ok(None)
    }
}

/// granian shows values of visible ASCII only: a host of anything else counts as none.
fn host_flaw_of(scope: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<Option<&'static str>> {
    let py = scope.py();
    let hosts: Vec<PyBackedStr> = headers.call_method1(intern!(py, "get_all"), (intern!(py, "host"),))?.extract()?;
    let authority: Option<PyBackedStr> = scope.getattr(intern!(py, "authority"))?.extract()?;
    let required = hosts.is_empty() && scope.getattr(intern!(py, "http_version"))?.eq("1.1")?;
    let hosts: Vec<&[u8]> = hosts.iter().map(|host| host.as_bytes()).collect();
    Ok(host_flaw(&hosts, authority.as_ref().map(|authority| authority.as_bytes()), required))
}

/// A coding of anything but visible ASCII is not shown by granian, only that there is one.
fn is_encoded_body(headers: &Bound<'_, PyAny>) -> PyResult<bool> {
    let name = intern!(headers.py(), "content-encoding");
    if !headers.contains(name)? {
        return Ok(false);
    }
    let codings: Vec<PyBackedStr> = headers.call_method1(intern!(headers.py(), "get_all"), (name,))?.extract()?;
    Ok(codings.is_empty() || is_encoded(codings.iter().map(|coding| coding.as_bytes())))
}

fn is_named_by_connection(headers: &Bound<'_, PyAny>, name: &str) -> PyResult<bool> {
    let options = headers.call_method1(intern!(headers.py(), "get_all"), (intern!(headers.py(), "connection"),))?;
    let options: Vec<PyBackedStr> = options.extract()?;
    Ok(is_for_one_hop(name, options.iter().map(|option| option.as_bytes())))
}

impl Gateway {
    fn admit(&self, encoded: bool, length: Option<&str>) -> Result<Admitted, Problem> {
        let shared = self.engine.shared();
        let started = Instant::now();
        if encoded {
            return Err(http::unsupported_encoding());
        }
        if self.reservoir.full() {
            return Err(Problem::overloaded("too many bytes wait for slow clients; please retry"));
        }
        let length = length.and_then(|length| length.parse().ok());
        if length.is_some_and(|length| length > shared.bounds.body_bytes) {
            return Err(body::too_large(&shared.bounds));
        }
        if let Some(problem) = admission::refusal(shared) {
            return Err(problem);
        }
        let in_flight = Share::take(shared, Of::InFlight, 1).ok_or_else(admission::full)?;
        let room = Room::promised(shared, length.unwrap_or(0)).ok_or_else(body::too_many)?;
        shared.metrics.exchanges.fetch_add(1, Ordering::Relaxed);
        Ok(Admitted { started, length, in_flight, room })
    }
}
