//! A reply of granian's door on its way to the loop: pulled on an I/O thread, queued in pieces, bounded by its tap.
//!
//! Its one rule: whatever was begun is ended. Its one surprise: a reply that outgrows the door ends with an error event,
//! because granian would end it cleanly and the client could not tell.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use fastroute_core::failure::{Failure, Kind, render_openai_error_event};
use fastroute_engine::{Problem, Reply, ReplyBody};
use http_body::Body as _;
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
        ReplyBody::Relay(_) => Bytes::new(),
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

/// Pulls the reply and queues it for the loop, within the bounds of granian's door.
pub(crate) async fn hand_over(queue: &Queue<Item>, slot: Slot, mut reply: Reply, tap: Arc<Tap>, id: &Arc<str>) {
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
        let mut reply = problem.reply(id);
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
                    Poll::Ready(Ok(Some(frame))) => match first.take() {
                        None if ready.is_empty() => first = Some(frame),
                        None => ready.extend_from_slice(&frame),
                        Some(earlier) => {
                            ready.extend_from_slice(&earlier);
                            ready.extend_from_slice(&frame);
                        }
                    },
                    Poll::Ready(Ok(None) | Err(_)) => {
                        ended = true;
                        return Poll::Ready(first);
                    }
                    Poll::Pending if first.is_none() && ready.is_empty() => return Poll::Pending,
                    Poll::Pending => return Poll::Ready(first),
                }
                if ready.len() >= WRITE {
                    return Poll::Ready(first);
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
    render_openai_error_event(&Failure::new(Kind::ResponseTooLarge))
}
