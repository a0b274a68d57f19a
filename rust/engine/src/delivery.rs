//! A committed reply on its way from the upstream to the client.
//!
//! After the commit point a failure is told in the client's dialect, without a finish and without a terminator (never
//! invented), and the stream ends. Dropping a body aborts the upstream and settles the story. The exceptions: behind its
//! finish a stream is read on for its usage, and a provider may want its replies read to their end (`on_client_gone`).

mod body;
mod unseen;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fastroute_core::failure::{Failure, Kind};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::attempt::{Flow, Frames, PASSED_BYTES, REPLY_BYTES, Running, STREAM_BYTES, cut};
use crate::awaited::COMMENT;
use crate::clocks::{Expired, IdleClock};
use crate::defect::Defects;
use crate::exchange::InFlight;
use crate::failpoint;
use crate::io::Shared;
use crate::outcome::{Ending, Story};
use crate::upstream::Lease;

pub use body::{BrokenOff, ReplyBody};
pub(crate) use unseen::place_for;
pub use unseen::{Reader, Relayed};

/// A committed reply on its way from the upstream to the client.
pub struct Delivery {
    ready: VecDeque<Bytes>,
    /// `None` once it was read to its end or given up.
    body: Option<Incoming>,
    lease: Option<Lease>,
    flow: Flow,
    /// Bytes still promised to the client, where the upstream announced a length.
    length: Option<u64>,
    /// Bytes of a plain reply so far.
    relayed: u64,
    clock: IdleClock,
    timer: Option<Pin<Box<Sleep>>>,
    /// The last poll found nothing: the wait is the upstream's, not the client's.
    waiting: bool,
    /// Ready when the process must end: a stop waits for running replies, but not for ever.
    told_to_end: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
    scratch: Frames,
    defects: Defects,
    story: Story,
    reader: Reader,
    /// Set where the provider wants the reply read to its end without its client, too.
    reads_on: Option<Arc<Shared>>,
    _flying: InFlight,
}

impl Delivery {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        running: Running,
        mut clock: IdleClock,
        story: Story,
        flying: InFlight,
        reader: Reader,
    ) -> Box<Self> {
        let Running { first, body, lease, flow, length, headers: _, status: _ } = running;
        if !matches!(&flow, Flow::Stream(relay) if !relay.is_list()) {
            clock.without_comments();
        }
        let mut ending = shared.ending.subscribe();
        let mut delivery = Box::new(Self {
            relayed: first.iter().map(|frame| frame.len() as u64).sum(),
            ready: first.into_iter().collect(),
            body: Some(body),
            lease,
            flow,
            length,
            clock,
            timer: None,
            waiting: false,
            told_to_end: Box::pin(async move {
                // A closed channel says that the engine is gone, which is an end as well.
                let _ = ending.wait_for(|ending| *ending).await;
            }),
            ended: false,
            scratch: Frames::new(),
            defects: shared.metrics.defects.clone(),
            story,
            reader,
            reads_on: flying.reads_on().then(|| shared.clone()),
            _flying: flying,
        });
        if delivery.over() {
            delivery.finish();
        }
        delivery
    }

    /// The stream said its last word (terminator), whatever the transport still does.
    fn over(&self) -> bool {
        match &self.flow {
            Flow::Stream(relay) => relay.terminated() || relay.upstream_error().is_some(),
            Flow::Long(_) | Flow::Unread => false,
        }
    }

    fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BrokenOff>> {
        failpoint::pass("delivery.poll");
        loop {
            if let Some(frame) = self.ready.pop_front() {
                self.waiting = false;
                self.length = self.length.map(|left| left.saturating_sub(frame.len() as u64));
                if let Some(outcome) = self.story.outcome().filter(|_| self.reader == Reader::Client) {
                    outcome.bytes_out += frame.len() as u64;
                }
                // A door that has all it promised does not ask whether there is more. What is no whole reply is not told
                // as one: its last bytes stay here.
                if self.length == Some(0) && !self.ended {
                    match self.end() {
                        Ok(()) => self.finish(),
                        Err(failure) => self.break_off(failure)?,
                    }
                }
                return Poll::Ready(Ok(Some(frame)));
            }
            if self.ended {
                return Poll::Ready(Ok(None));
            }
            let Some(body) = &mut self.body else { return Poll::Ready(Ok(None)) };
            match Pin::new(body).poll_frame(task) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data()
                        && let Err(failure) = self.take(data)
                    {
                        self.break_off(failure)?;
                    }
                }
                Poll::Ready(Some(Err(error))) => match self.end_by_error(&error) {
                    Ok(()) => self.finish(),
                    Err(failure) => self.break_off(failure)?,
                },
                Poll::Ready(None) => match self.end() {
                    Ok(()) => self.finish(),
                    Err(failure) => self.break_off(failure)?,
                },
                Poll::Pending if self.told_to_end.as_mut().poll(task).is_ready() => {
                    self.break_off(Failure::new(Kind::Shutdown))?;
                }
                Poll::Pending => match self.poll_clock(task) {
                    Poll::Pending => return Poll::Pending,
                    // Still waiting: a comment of ours must not pass for a sign of life.
                    Poll::Ready(None) => return Poll::Ready(Ok(Some(COMMENT))),
                    Poll::Ready(Some(Expired::Idle)) => self.run_out(Kind::Stalled)?,
                    Poll::Ready(Some(Expired::Total)) => self.run_out(Kind::TotalTimeout)?,
                },
            }
        }
    }

    fn take(&mut self, data: Bytes) -> Result<(), Failure> {
        failpoint::pass("delivery.take");
        match &mut self.flow {
            Flow::Stream(relay) => {
                let before = relay.content_events();
                let fed = relay.feed(data, &mut self.scratch);
                let fed = fed.and_then(|()| within(relay.delivered_bytes(), STREAM_BYTES));
                let now = Instant::now();
                self.clock.touch(now, relay.content_events() > before);
                self.story.reach(relay.content_events(), Some(now));
                self.ready.extend(self.scratch.drain(..));
                fed?;
                if self.over() {
                    self.finish();
                }
            }
            Flow::Long(inspector) => {
                let now = Instant::now();
                self.clock.touch(now, true);
                self.story.reach(0, Some(now));
                self.relayed += data.len() as u64;
                within(self.relayed, REPLY_BYTES)?;
                inspector.feed(data.clone());
                self.ready.push_back(data);
            }
            Flow::Unread => {
                let now = Instant::now();
                self.clock.touch(now, true);
                self.story.reach(0, Some(now));
                self.relayed += data.len() as u64;
                within(self.relayed, PASSED_BYTES)?;
                self.ready.push_back(data);
            }
        }
        Ok(())
    }

    /// The upstream ended its body: properly, or in the middle of something.
    fn end(&mut self) -> Result<(), Failure> {
        match &mut self.flow {
            Flow::Stream(relay) => {
                let ended = relay.end(&mut self.scratch);
                self.ready.extend(self.scratch.drain(..));
                ended
            }
            Flow::Long(inspector) => inspector.end().map(|_| ()),
            Flow::Unread => Ok(()),
        }
    }

    /// The transport broke. A stream that had said its last word has lost nothing by it; a reply that was promised to
    /// the client in full has.
    fn end_by_error(&mut self, error: &hyper::Error) -> Result<(), Failure> {
        // Whatever the stream said: this connection serves nobody any more.
        if self.lease.take().is_some_and(|lease| lease.defective()) {
            return Err(Failure::new(Kind::Internal));
        }
        match self.flow {
            Flow::Stream(ref mut relay) => {
                let ended = relay.cut(&mut self.scratch);
                self.ready.extend(self.scratch.drain(..));
                ended.map_err(|failure| cut(error, failure))
            }
            Flow::Long(_) | Flow::Unread => Err(cut(error, Failure::new(Kind::Truncated))),
        }
    }

    /// All that will come has come.
    fn finish(&mut self) {
        self.ended = true;
        failpoint::pass("delivery.finish");
        let failure = match &mut self.flow {
            Flow::Stream(relay) => {
                relay.close(&mut self.scratch);
                self.ready.extend(self.scratch.drain(..));
                relay.upstream_error().cloned()
            }
            Flow::Long(_) | Flow::Unread => None,
        };
        if let (Some(body), Some(lease)) = (self.body.take(), self.lease.take()) {
            put_back(body, lease);
        }
        let ending = if failure.is_some() { Ending::Broken } else { Ending::Complete };
        self.close(ending, failure);
    }

    /// A clock ran out. A stream that said its finish owes nothing: it ends as it stands, and its connection with it. One
    /// that is said in another dialect may hold its finish back until what follows it, and says it now.
    fn run_out(&mut self, kind: Kind) -> Result<(), BrokenOff> {
        let ended = match &mut self.flow {
            Flow::Stream(relay) if relay.finished() => relay.cut(&mut self.scratch),
            _ => Err(Failure::new(kind)),
        };
        self.ready.extend(self.scratch.drain(..));
        if let Err(failure) = ended {
            return self.break_off(failure);
        }
        self.lease = None;
        self.body = None;
        self.finish();
        Ok(())
    }

    fn break_off(&mut self, failure: Failure) -> Result<(), BrokenOff> {
        self.ended = true;
        // Dropping the lease closes the connection: the upstream stops working for nobody.
        self.lease = None;
        self.body = None;
        let stream = if let Flow::Stream(relay) = &mut self.flow {
            self.ready.push_back(relay.fail(&failure));
            true
        } else {
            false
        };
        let kind = failure.kind;
        self.close(Ending::Broken, Some(failure));
        if stream { Ok(()) } else { Err(BrokenOff { kind }) }
    }

    /// A defect of ours: what is ready may be half of something, and goes nowhere.
    fn fail(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        self.defects.note();
        self.ended = true;
        self.ready.clear();
        self.lease = None;
        self.body = None;
        let failure = Failure::new(Kind::Internal);
        let event = match &mut self.flow {
            Flow::Stream(relay) => {
                if let Some(outcome) = self.story.outcome() {
                    outcome.usage = relay.usage().copied();
                }
                Some(relay.fail(&failure))
            }
            Flow::Long(_) | Flow::Unread => None,
        };
        self.story.close(Ending::Broken, Some(failure));
        event.map(Some).ok_or(BrokenOff { kind: Kind::Internal })
    }

    fn close(&mut self, ending: Ending, failure: Option<Failure>) {
        self.note();
        match self.reader {
            Reader::Client => self.story.close(ending, failure),
            Reader::Behind => self.story.close(Ending::Complete, None),
            Reader::Nobody => self.story.close_unseen(failure.map_or(Ok(()), Err)),
        }
    }

    /// Notes usage and bytes as they stand.
    fn note(&mut self) {
        let usage = match &mut self.flow {
            Flow::Stream(relay) => relay.usage().copied(),
            Flow::Long(inspector) => inspector.end().ok().and_then(|facts| facts.usage),
            Flow::Unread => None,
        };
        if let Flow::Stream(relay) = &self.flow {
            self.story.reach(relay.content_events(), None);
        }
        let sent = self.reader == Reader::Client;
        let unsent: u64 = self.ready.iter().map(|frame| frame.len() as u64).sum();
        if let Some(outcome) = self.story.outcome() {
            outcome.usage = usage;
            outcome.bytes_out += if sent { unsent } else { 0 };
        }
    }

    /// What has run out, or `None` where the client has heard nothing for so long that it gets a comment.
    fn poll_clock(&mut self, task: &mut Context<'_>) -> Poll<Option<Expired>> {
        if !self.waiting {
            self.waiting = true;
            self.clock.resume(Instant::now());
        }
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(self.clock.next())));
            if timer.as_mut().poll(task).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if let Some(expired) = self.clock.expired(now) {
                return Poll::Ready(Some(expired));
            }
            let comments = self.clock.comments(now);
            timer.as_mut().reset(self.clock.next());
            if comments {
                return Poll::Ready(None);
            }
        }
    }
}

fn within(bytes: u64, limit: u64) -> Result<(), Failure> {
    if bytes > limit { Err(Failure::new(Kind::ResponseTooLarge)) } else { Ok(()) }
}

/// How long, and how far, a connection is read on after the stream's last word. What comes then is the transport's
/// end of the body; a peer that goes on talking loses the connection.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 * 1024;

/// Returns the connection to its pool once its reply was read to the end; met half-read, the next exchange on it
/// would take the rest for its own.
fn put_back(body: Incoming, lease: Lease) {
    if body.is_end_stream() {
        lease.done();
        return;
    }
    tokio::spawn(async move {
        let rest = http_body_util::Limited::new(body, LINGER_BYTES).collect();
        if let Ok(Ok(_)) = tokio::time::timeout(LINGER, rest).await {
            lease.done();
        }
    });
}

impl Drop for Delivery {
    fn drop(&mut self) {
        // What was used is known up to here, even when the client left (law 5).
        if self.story.outcome().is_some() {
            self.ready.clear();
            if !std::thread::panicking() {
                self.note();
            }
            self.story.abandon();
        }
    }
}
