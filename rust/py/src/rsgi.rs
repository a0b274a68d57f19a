//! Replies through granian: a slab of protocol objects that only the loop thread touches.
//!
//! `send_bytes` acts when called, not when awaited, so the drain writes chunks itself and no coroutine runs per chunk.
//! Whoever holds a transport's `send_bytes` holds the stream open; dropping it ends the stream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastroute_core::dialects::Dialect;
use fastroute_core::failure::{Failure, Kind};
use fastroute_core::translate::error_event;
use fastroute_engine::defect::{Defects, caught};
use fastroute_engine::{Problem, Reply, X_REQUEST_ID, failpoint};
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use tokio::task::AbortHandle;

use crate::reply::write;
use crate::taps::{Tap, WAITING};

/// Number and generation of a place in the slab: I/O threads carry this instead of Python objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    index: u32,
    generation: u32,
}

impl Slot {
    pub(crate) fn to_number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_number(number: u64) -> Self {
        Self { index: (number & 0xFFFF_FFFF) as u32, generation: (number >> 32) as u32 }
    }
}

/// Status and headers of a reply.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
}

impl Head {
    pub(crate) fn of(reply: &mut Reply) -> Self {
        Self { status: reply.status.as_u16(), headers: std::mem::take(&mut reply.headers) }
    }

    /// An error can be told behind it.
    pub(crate) fn is_events(&self) -> bool {
        let kind = self.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
    }

    /// The answer to the same request, where a defect keeps this one from going out.
    fn failed(&self) -> Reply {
        let id = self.headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
        let mut reply = Problem::internal("the gateway failed on this request").reply(&id.into());
        if let Some(last) = self.headers.get(CONNECTION) {
            reply.headers.insert(CONNECTION, last.clone());
        }
        reply
    }
}

struct Entry {
    protocol: Py<PyAny>,
    /// The asyncio future the request's coroutine awaits; resolved when the head is written.
    answered: Option<Py<PyAny>>,
    send: Option<Py<PyAny>>,
    /// The reply is a stream of events.
    events: bool,
    /// The client's.
    dialect: Dialect,
    exchange: Option<AbortHandle>,
    tap: Option<Arc<Tap>>,
    /// The task that waits for the client to leave, for exchanges that live long.
    watch: Option<Py<PyAny>>,
    ended: bool,
    opened: std::time::Instant,
}

impl Entry {
    /// A defect ended this reply, and not its client.
    fn spoil(&mut self) {
        if let Some(tap) = &self.tap {
            tap.spoil();
        }
    }
}

/// Hands bytes to granian; false when the client has left.
fn put(py: Python<'_>, send: &Py<PyAny>, bytes: &[u8]) -> PyResult<bool> {
    let awaitable = send.bind(py).call1((PyBytes::new(py, bytes),))?;
    // After the client left, granian answers with an awaitable that would raise; its type tells without awaiting.
    Ok(awaitable.get_type().name()?.to_str()? != "PyErrAwaitable")
}

#[derive(Default)]
struct Place {
    generation: u32,
    entry: Option<Entry>,
}

#[derive(Default)]
struct Slab {
    places: Vec<Place>,
    free: Vec<u32>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Responses(Mutex<Slab>);

impl Responses {
    fn slab(&self) -> MutexGuard<'_, Slab> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open(&self, protocol: Py<PyAny>, answered: Py<PyAny>, tap: Arc<Tap>, dialect: Dialect) -> Slot {
        let entry = Entry {
            protocol,
            answered: Some(answered),
            send: None,
            events: false,
            dialect,
            exchange: None,
            tap: Some(tap),
            watch: None,
            ended: false,
            opened: std::time::Instant::now(),
        };
        let mut slab = self.slab();
        let index = if let Some(index) = slab.free.pop() {
            index
        } else {
            slab.places.push(Place::default());
            u32::try_from(slab.places.len() - 1).unwrap_or(u32::MAX)
        };
        let generation = match slab.places.get_mut(index as usize) {
            Some(place) => {
                place.entry = Some(entry);
                place.generation
            }
            None => 0,
        };
        Slot { index, generation }
    }

    /// The exchange that will fill this reply, so that it can be aborted when the client leaves.
    pub(crate) fn runs(&self, slot: Slot, exchange: AbortHandle) {
        self.with(slot, |entry| entry.exchange = Some(exchange));
    }

    fn with<T>(&self, slot: Slot, act: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut slab = self.slab();
        let place = slab.places.get_mut(slot.index as usize)?;
        if place.generation != slot.generation {
            return None;
        }
        place.entry.as_mut().map(act)
    }

    fn close(&self, slot: Slot) -> Option<Entry> {
        let mut slab = self.slab();
        let place = slab.places.get_mut(slot.index as usize)?;
        if place.generation != slot.generation {
            return None;
        }
        let entry = place.entry.take()?;
        place.generation = place.generation.wrapping_add(1);
        slab.free.push(slot.index);
        Some(entry)
    }

    pub(crate) fn whole(
        &self,
        py: Python<'_>,
        slot: Slot,
        head: &Head,
        body: &[u8],
        defects: &Defects,
    ) -> PyResult<()> {
        let Some(entry) = self.close(slot) else { return Ok(()) };
        let written = caught(|| {
            failpoint::pass("drain.whole");
            let reply = (head.status, header_list(py, &head.headers)?, PyBytes::new(py, body));
            entry.protocol.bind(py).call_method1(intern!(py, "response_bytes"), reply).map(|_| ())
        });
        let written = written.unwrap_or_else(|| {
            defects.note();
            write(py, &entry.protocol, head.failed())
        });
        // Written or not: the coroutine that waits for it must not wait for ever.
        retire(py, &entry)?;
        written
    }

    pub(crate) fn start(&self, py: Python<'_>, slot: Slot, head: &Head, defects: &Defects) -> PyResult<()> {
        let Some((protocol, answered)) = self.with(slot, |entry| (entry.protocol.clone_ref(py), entry.answered.take()))
        else {
            return Ok(());
        };
        let begun = caught(|| {
            failpoint::pass("drain.start");
            let headers = header_list(py, &head.headers)?;
            let transport = protocol.bind(py).call_method1(intern!(py, "response_stream"), (head.status, headers))?;
            transport.getattr(intern!(py, "send_bytes"))
        });
        let told = match begun {
            Some(Ok(send)) => {
                self.with(slot, |entry| {
                    entry.send = Some(send.unbind());
                    entry.events = head.is_events();
                });
                return resolve(py, answered.as_ref());
            }
            Some(Err(error)) => Err(error),
            None => {
                defects.note();
                self.with(slot, Entry::spoil);
                write(py, &protocol, head.failed())
            }
        };
        resolve(py, answered.as_ref())?;
        // No head, no reply: let the upstream go instead of reading it for nobody.
        self.gone(py, slot)?;
        told
    }

    pub(crate) fn chunk(&self, py: Python<'_>, slot: Slot, bytes: &[u8], defects: &Defects) -> PyResult<()> {
        let Some(Some(send)) = self.with(slot, |entry| entry.send.as_ref().map(|send| send.clone_ref(py))) else {
            return Ok(());
        };
        let handed = caught(|| {
            failpoint::pass("drain.chunk");
            put(py, &send, bytes)
        });
        match handed {
            Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => self.gone(py, slot),
            // What follows would be a reply with a hole in it.
            Some(Err(error)) => {
                self.fail(py, slot, bytes)?;
                Err(error)
            }
            None => {
                defects.note();
                self.fail(py, slot, bytes)
            }
        }
    }

    /// Ends a reply in the middle of `bytes`, so that its client can see it: with an error event, or short of its length.
    fn fail(&self, py: Python<'_>, slot: Slot, bytes: &[u8]) -> PyResult<()> {
        let send = self.with(slot, |entry| {
            entry.spoil();
            entry.send.take().map(|send| (send, entry.events, entry.dialect))
        });
        let told = send.flatten().map(|(send, events, dialect)| {
            let event = error_event(dialect, &Failure::new(Kind::Internal));
            // Of a body that ends before its first byte hyper would say that it is empty, whatever was promised.
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            put(py, &send, if events { &event } else { half })
        });
        self.gone(py, slot)?;
        told.transpose().map(|_| ())
    }

    /// The reply is complete on our side. A long one stays counted until granian says that its client has it.
    pub(crate) fn end(&self, py: Python<'_>, slot: Slot) -> PyResult<()> {
        failpoint::pass("drain.end");
        let long = self.with(slot, |entry| {
            entry.send = None;
            entry.ended = true;
            entry.exchange = None;
            entry.tap.as_ref().is_some_and(|tap| tap.handed() > WAITING)
        });
        match long {
            Some(true) | None => Ok(()),
            Some(false) => match self.close(slot) {
                Some(entry) => retire(py, &entry),
                None => Ok(()),
            },
        }
    }

    /// The client left, or has everything.
    pub(crate) fn gone(&self, py: Python<'_>, slot: Slot) -> PyResult<()> {
        let Some(entry) = self.close(slot) else { return Ok(()) };
        if let Some(exchange) = &entry.exchange {
            exchange.abort();
        }
        retire(py, &entry)
    }

    /// Exchanges open for longer than `age` whose client nobody watches yet: `(number, protocol)` pairs.
    pub(crate) fn unwatched<'py>(&self, py: Python<'py>, age: std::time::Duration) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        let slab = self.slab();
        for (index, place) in slab.places.iter().enumerate() {
            if let Some(entry) = &place.entry
                && entry.watch.is_none()
                && (entry.ended || entry.opened.elapsed() >= age)
            {
                let slot = Slot { index: u32::try_from(index).unwrap_or(u32::MAX), generation: place.generation };
                list.append((slot.to_number(), entry.protocol.clone_ref(py)))?;
            }
        }
        Ok(list)
    }

    pub(crate) fn watched(&self, slot: Slot, watch: Py<PyAny>) -> bool {
        self.with(slot, |entry| entry.watch = Some(watch)).is_some()
    }

    pub(crate) fn open_count(&self) -> usize {
        let slab = self.slab();
        slab.places.len() - slab.free.len()
    }
}

/// Nothing waits for this reply any more.
fn retire(py: Python<'_>, entry: &Entry) -> PyResult<()> {
    if let Some(watch) = &entry.watch {
        watch.bind(py).call_method0(intern!(py, "cancel"))?;
    }
    resolve(py, entry.answered.as_ref())
}

fn resolve(py: Python<'_>, future: Option<&Py<PyAny>>) -> PyResult<()> {
    if let Some(future) = future {
        let future = future.bind(py);
        if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
            future.call_method1(intern!(py, "set_result"), (py.None(),))?;
        }
    }
    Ok(())
}

/// Headers as granian takes them. It sets `content-length` itself, except where a stream was promised one.
pub(crate) fn header_list<'py>(py: Python<'py>, headers: &HeaderMap) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (name, value) in headers {
        if let Ok(value) = value.to_str() {
            list.append(PyTuple::new(py, [PyString::new(py, name.as_str()), PyString::new(py, value)])?)?;
        }
    }
    Ok(list)
}

/// A promised length goes out as a header, so that a reply that breaks off is seen to.
pub(crate) fn promise(head: &mut Head, length: Option<u64>) {
    if let Some(length) = length {
        head.headers.insert(CONTENT_LENGTH, length.into());
    }
}
