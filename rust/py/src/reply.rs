//! A reply of granian's door on its way to the loop: pulled on an I/O thread, queued in pieces, bounded by its tap.
//!
//! Its one rule: whatever was begun is ended. Its one surprise: a reply that outgrows the door ends with an error event,
//! because granian would end it cleanly and the client could not tell.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use fastroute_core::dialects::Dialect;
use fastroute_core::failure::{Failure, Kind};
use fastroute_core::translate::error_event;
use fastroute_engine::defect::Defects;
use fastroute_engine::{Problem, Reply, ReplyBody, failpoint, restyled};
use http_body::Body as _;
use hyper::header::{CONNECTION, HeaderValue};
use pyo3::intern;
use pyo3::prelude::*;

use crate::drain::Item;
use crate::queue::Queue;
use crate::rsgi::{Head, Slot, header_list, promise};
use crate::taps::{PER_REPLY, Tap};

/// What is ready goes out as one write up to here.
const WRITE: usize = 64 * 1024;

/// Writes a reply that is ready, from the loop thread.
pub(crate) fn write(py: Python<'_>, protocol: &Py<PyAny>, mut reply: Reply) -> PyResult<()> {
    let head = Head::of(&mut reply);
    let body = match reply.body {
        ReplyBody::Frames(frames) => joined(frames),
        ReplyBody::Relay(_) | ReplyBody::Awaited(_) => Bytes::new(),
    };
    let headers = header_list(py, &head.headers)?;
    let body = pyo3::types::PyBytes::new(py, &body);
    protocol.bind(py).call_method1(intern!(py, "response_bytes"), (head.status, headers, body))?;
    Ok(())
}

fn joined(mut frames: VecDeque<Bytes>) -> Bytes {
    if frames.len() <= 1 {
        return frames.pop_front().unwrap_or_default();
    }
    let mut all = BytesMut::with_capacity(frames.iter().map(Bytes::len).sum());
    for frame in frames {
        all.extend_from_slice(&frame);
    }
    all.freeze()
}

/// The reply, as the last one of its connection or not.
pub(crate) fn closing(mut reply: Reply, last: bool) -> Reply {
    if last {
        reply.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

/// Where one reply goes. It ends the reply on whatever path its task ends, a defect included: a reply that nobody ends
/// would hold its client, its coroutine and its place for ever.
pub(crate) struct Outlet {
    queue: Arc<Queue<Item>>,
    slot: Slot,
    tap: Arc<Tap>,
    id: Arc<str>,
    defects: Defects,
    dialect: Dialect,
    /// The connection ends with this reply, whichever it will be.
    pub(crate) last: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Headless,
    /// The head is out; `events` says whether an error can be told in the body.
    Started {
        events: bool,
    },
    Over,
}

impl Outlet {
    /// `dialect` is the client's.
    pub(crate) fn new(
        queue: Arc<Queue<Item>>,
        slot: Slot,
        tap: Arc<Tap>,
        id: Arc<str>,
        defects: Defects,
        dialect: Dialect,
    ) -> Self {
        Self { queue, slot, tap, id, defects, dialect, last: false, state: State::Headless }
    }

    fn whole(&mut self, reply: Reply) {
        let mut reply = closing(reply, self.last);
        let head = Head::of(&mut reply);
        if let ReplyBody::Frames(frames) = reply.body {
            self.ready(head, frames);
        }
    }

    fn refuse(&mut self, problem: &Problem) {
        self.whole(restyled(problem.reply(&self.id), self.dialect));
    }

    fn ready(&mut self, head: Head, frames: VecDeque<Bytes>) {
        self.state = State::Over;
        self.queue.push(Item::Whole(self.slot, Box::new(head), joined(frames)));
    }

    fn start(&mut self, head: Head) {
        self.state = State::Started { events: head.is_events() };
        self.queue.push(Item::Start(self.slot, Box::new(head)));
    }

    /// Queues bytes once there is room; false when this reply may grow no further.
    async fn chunk(&self, bytes: Bytes) -> bool {
        let room = self.tap.room(bytes.len()).await;
        if room {
            self.queue.push(Item::Chunk(self.slot, bytes, self.tap.clone()));
        }
        room
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.queue.push(Item::End(self.slot));
    }

    /// Ends the reply with an error that its client can see.
    fn fail(&mut self, kind: Kind) {
        if self.state == (State::Started { events: true }) {
            let event = error_event(self.dialect, &Failure::new(kind));
            self.tap.last(event.len());
            self.queue.push(Item::Chunk(self.slot, event, self.tap.clone()));
        }
        self.end();
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.defects.note();
        }
        match self.state {
            State::Over => {}
            State::Headless => self.refuse(&Problem::internal("the gateway failed on this request")),
            State::Started { .. } => self.fail(Kind::Internal),
        }
    }
}

/// Pulls the reply and queues it for the loop, within the bounds of granian's door.
pub(crate) async fn hand_over(mut outlet: Outlet, mut reply: Reply) {
    failpoint::pass("border.hand_over");
    if matches!(reply.body, ReplyBody::Frames(_)) {
        outlet.whole(reply);
        return;
    }
    let length = reply.body.size_hint().exact();
    if length.is_some_and(|length| length > PER_REPLY as u64) {
        reply.body.give_up(Kind::ResponseTooLarge);
        outlet.refuse(&Problem::too_long_for_this_door());
        return;
    }
    let head = Head::of(&mut reply);
    if length.is_none() && !head.is_events() && !reply.body.tells_its_end() {
        gather(outlet, head, reply.body).await;
        return;
    }
    let mut head = head;
    promise(&mut head, length);
    outlet.start(head);
    let mut rest = Held { body: reply.body, tap: outlet.tap.clone() };
    let mut ready = BytesMut::new();
    let mut ended = false;
    while !ended {
        let bytes = poll_fn(|task| poll_write(&mut rest.body, &mut ready, &mut ended, task)).await;
        if bytes.is_empty() {
            continue;
        }
        // While it waits for room nobody looks at the reply's own clocks.
        let refused = tokio::select! {
            biased;
            room = outlet.chunk(bytes) => (!room).then_some(Kind::ResponseTooLarge),
            overdue = rest.body.overdue() => Some(overdue),
        };
        failpoint::pass("border.chunk");
        if let Some(kind) = refused {
            rest.give_up(kind);
            outlet.fail(kind);
            return;
        }
    }
    drop(rest);
    outlet.end();
}

/// A body on its way. Where its task is aborted for a defect at the other end, that is what its story tells.
struct Held {
    body: ReplyBody,
    tap: Arc<Tap>,
}

impl Held {
    fn give_up(&mut self, kind: Kind) {
        std::mem::replace(&mut self.body, ReplyBody::frames([])).give_up(kind);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.tap.is_spoilt() {
            self.give_up(Kind::Internal);
        }
    }
}

/// Sends a plain reply of unknown length only when it is whole: once granian has its head, a reply that breaks off ends
/// like one that is complete, and half a JSON document would pass for an answer.
async fn gather(mut outlet: Outlet, head: Head, mut body: ReplyBody) {
    let mut frames = VecDeque::new();
    loop {
        match poll_fn(|task| body.poll_next(task)).await {
            Ok(Some(frame)) if outlet.tap.hold(frame.len()) => frames.push_back(frame),
            Ok(Some(_)) => {
                body.give_up(Kind::ResponseTooLarge);
                outlet.refuse(&Problem::too_long_for_this_door());
                return;
            }
            Ok(None) => break,
            Err(broken) => {
                outlet.refuse(&Problem::of(&Failure::new(broken.kind)));
                return;
            }
        }
    }
    outlet.ready(head, frames);
}

/// Whatever is ready, as one write; only the first frame is waited for, and only several are copied together.
fn poll_write(body: &mut ReplyBody, ready: &mut BytesMut, ended: &mut bool, task: &mut Context<'_>) -> Poll<Bytes> {
    let mut only: Option<Bytes> = None;
    while ready.len() < WRITE {
        match body.poll_next(task) {
            Poll::Ready(Ok(Some(frame))) if only.is_none() && ready.is_empty() => only = Some(frame),
            Poll::Ready(Ok(Some(frame))) => {
                if let Some(earlier) = only.take() {
                    ready.extend_from_slice(&earlier);
                }
                ready.extend_from_slice(&frame);
            }
            Poll::Ready(Ok(None) | Err(_)) => {
                *ended = true;
                break;
            }
            Poll::Pending if only.is_none() && ready.is_empty() => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(only.unwrap_or_else(|| ready.split().freeze()))
}

#[cfg(test)]
mod tests {
    use hyper::header::CONTENT_TYPE;

    use super::*;

    fn queued(queue: &Queue<Item>) -> VecDeque<Item> {
        let mut items = VecDeque::new();
        queue.take(&mut items);
        items
    }

    fn outlet() -> (Arc<Queue<Item>>, Outlet) {
        let queue = Arc::new(Queue::new().unwrap());
        let tap = Arc::new(Tap::new(Arc::default()));
        (
            queue.clone(),
            Outlet::new(queue, Slot::from_number(1), tap, "req_1".into(), Defects::default(), Dialect::OpenAiChat),
        )
    }

    fn head(kind: &'static str) -> Head {
        let mut reply = Reply::json(hyper::StatusCode::OK, Bytes::new());
        reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Head::of(&mut reply)
    }

    #[test]
    fn a_task_that_dies_before_its_head_is_answered_with_an_error() {
        let (queue, outlet) = outlet();
        drop(outlet);
        let items = queued(&queue);
        assert!(matches!(items.as_slices().0, [Item::Whole(_, head, _)] if head.status == 500));
    }

    #[test]
    fn a_task_that_dies_in_a_stream_ends_it_with_an_event_and_elsewhere_without() {
        let (queue, mut stream) = outlet();
        stream.start(head("text/event-stream; charset=utf-8"));
        drop(stream);
        let items = queued(&queue);
        let [Item::Start(..), Item::Chunk(_, event, _), Item::End(_)] = items.as_slices().0 else {
            panic!("{} items", items.len())
        };
        assert!(event.starts_with(b"data: {\"error\""));

        let (queue, mut json) = outlet();
        json.start(head("application/json"));
        drop(json);
        assert!(matches!(queued(&queue).as_slices().0, [Item::Start(..), Item::End(_)]));
    }

    #[test]
    fn a_reply_that_is_made_here_ends_its_connection_where_the_one_in_its_place_would_have() {
        let (queue, mut outlet) = outlet();
        outlet.last = true;
        drop(outlet);
        let items = queued(&queue);
        let [Item::Whole(_, head, _)] = items.as_slices().0 else { panic!("{} items", items.len()) };
        assert_eq!(head.headers.get(CONNECTION).unwrap(), "close");
    }

    #[test]
    fn a_reply_that_ended_is_ended_once() {
        let (queue, mut outlet) = outlet();
        outlet.whole(Reply::json(hyper::StatusCode::OK, Bytes::from_static(b"{}")));
        drop(outlet);
        let items = queued(&queue);
        assert!(matches!(items.as_slices().0, [Item::Whole(_, head, body)] if head.status == 200 && body == "{}"));
    }
}
