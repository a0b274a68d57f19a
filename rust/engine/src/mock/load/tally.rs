//! What a measurement counts, and the report it becomes.
//!
//! The rule: a request belongs to the window when it was *due* in it, so a slow server cannot push its worst answers out
//! of the statistics; those that never came count with the time they had waited.

use std::collections::BTreeMap;

use serde::Serialize;

use super::histogram::{Histogram, Percentiles};
use super::lane::{Arrival, Exchange};
use super::response::Fault;
use super::{Load, Mode};

/// The result of [`super::run`]. Counts are of requests due in the window unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadReport {
    pub mode: &'static str,
    /// Requests a second that were asked for, in an open loop.
    pub offered_per_s: Option<f64>,
    pub window_s: f64,
    /// Responses that were completed without fault *during* the window, and their rate.
    pub completed: u64,
    pub completed_per_s: f64,
    /// Fell due in the window.
    pub due: u64,
    /// Of those, never sent, because no connection became free.
    pub unsent: u64,
    /// Sent, and not answered when the measurement ended.
    pub unfinished: u64,
    /// Requests that were due and not yet sent: the most at any moment, and at the end of the window.
    pub backlog_max: u64,
    pub backlog_end: u64,
    /// From when a request was due to when it was sent.
    pub lateness: Option<Percentiles>,
    /// CPU time of this process over the window's length: near 1, the generator itself was the limit.
    pub own_cpu: f64,
    pub connections_opened: u64,
    /// Unused connections that the server closed.
    pub idle_closed: u64,
    pub statuses: BTreeMap<u16, u64>,
    pub errors: BTreeMap<&'static str, u64>,
    pub shapes: Vec<ShapeReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShapeReport {
    pub name: String,
    /// Answered without fault.
    pub answered: u64,
    /// From when a request was due to the last byte of its answer.
    pub latency: Option<Percentiles>,
    pub first_byte: Option<Percentiles>,
    pub body_bytes: u64,
    pub stream: Option<StreamReport>,
}

/// Events that arrived in the window, whenever their streams began.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamReport {
    /// From when the request was due to the first event with content.
    pub first_content: Option<Percentiles>,
    /// From the upstream's sending of an event to our reading of it.
    pub transit: Option<Percentiles>,
    /// Between two events with content of one stream.
    pub gap: Option<Percentiles>,
    /// Of the streams that were answered: events, chunks of the transfer coding, and reads that brought something.
    pub events: u64,
    pub chunks: u64,
    pub reads: u64,
    /// 1 when every event came in a chunk of its own.
    pub events_per_chunk: Option<f64>,
    pub events_per_read: Option<f64>,
}

#[derive(Debug, Default)]
struct ShapeTally {
    answered: u64,
    latency: Histogram,
    first_byte: Histogram,
    body_bytes: u64,
    first_content: Histogram,
    transit: Histogram,
    gap: Histogram,
    events: u64,
    chunks: u64,
    reads: u64,
}

#[derive(Debug)]
pub(super) struct Tally {
    shapes: Vec<ShapeTally>,
    pub(super) window_start_ns: u64,
    pub(super) window_end_ns: u64,
    completed: u64,
    due: u64,
    unsent: u64,
    unfinished: u64,
    backlog_max: u64,
    backlog_end: u64,
    lateness: Histogram,
    pub(super) connections_opened: u64,
    pub(super) idle_closed: u64,
    statuses: BTreeMap<u16, u64>,
    errors: BTreeMap<&'static str, u64>,
    /// CPU time at the start of the window, then over it.
    pub(super) cpu_ns: u64,
}

impl Tally {
    pub(super) fn new(shapes: usize, window_start_ns: u64, window_end_ns: u64) -> Self {
        Self {
            shapes: (0..shapes).map(|_| ShapeTally::default()).collect(),
            window_start_ns,
            window_end_ns,
            completed: 0,
            due: 0,
            unsent: 0,
            unfinished: 0,
            backlog_max: 0,
            backlog_end: 0,
            lateness: Histogram::default(),
            connections_opened: 0,
            idle_closed: 0,
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            cpu_ns: 0,
        }
    }

    fn in_window(&self, ns: u64) -> bool {
        (self.window_start_ns..self.window_end_ns).contains(&ns)
    }

    pub(super) fn started(&mut self, due_ns: u64, now_ns: u64) {
        if self.in_window(due_ns) {
            self.due += 1;
            self.lateness.record(now_ns.saturating_sub(due_ns));
        }
    }

    pub(super) fn backlog(&mut self, waiting: u64, now_ns: u64) {
        if now_ns < self.window_end_ns {
            self.backlog_end = waiting;
            if now_ns >= self.window_start_ns {
                self.backlog_max = self.backlog_max.max(waiting);
            }
        }
    }

    /// An event of a stream of this shape.
    pub(super) fn arrived(&mut self, shape: usize, arrival: Arrival) {
        if !self.in_window(arrival.seen_ns) {
            return;
        }
        if let Some(shape) = self.shapes.get_mut(shape) {
            shape.transit.record(arrival.transit);
            if let Some(gap) = arrival.gap {
                shape.gap.record(gap);
            }
        }
    }

    pub(super) fn finished(&mut self, exchange: &Exchange, verdict: Result<(), Fault>, now_ns: u64) {
        if verdict.is_ok() && self.in_window(now_ns) {
            self.completed += 1;
        }
        if !self.in_window(exchange.due_ns) {
            return;
        }
        let status = exchange.response.status;
        if status > 0 {
            *self.statuses.entry(status).or_default() += 1;
        }
        if let Err(fault) = verdict {
            *self.errors.entry(fault.name()).or_default() += 1;
            return;
        }
        let Some(shape) = self.shapes.get_mut(exchange.shape) else {
            return;
        };
        let since_due = |ns: u64| ns.saturating_sub(exchange.due_ns);
        shape.answered += 1;
        shape.latency.record(since_due(now_ns));
        shape.body_bytes += exchange.response.body_bytes;
        if let Some(first_ns) = exchange.first_byte_ns {
            shape.first_byte.record(since_due(first_ns));
        }
        if let Some(first_ns) = exchange.first_content_ns {
            shape.first_content.record(since_due(first_ns));
        }
        if let Some(events) = &exchange.response.events {
            shape.events += events.count;
            shape.chunks += events.chunks;
            shape.reads += exchange.reads;
        }
    }

    /// Under way when everything ended. A closed loop always has some; in an open loop they are late.
    pub(super) fn left_over(&mut self, exchange: &Exchange, open_loop: bool, now_ns: u64) {
        if !self.in_window(exchange.due_ns) {
            return;
        }
        self.unfinished += 1;
        if let Some(shape) = self.shapes.get_mut(exchange.shape).filter(|_| open_loop) {
            shape.latency.record(now_ns.saturating_sub(exchange.due_ns));
        }
    }

    /// Due and never sent.
    pub(super) fn never_sent(&mut self, shape: usize, due_ns: u64, now_ns: u64) {
        if !self.in_window(due_ns) {
            return;
        }
        self.due += 1;
        self.unsent += 1;
        let waited_ns = now_ns.saturating_sub(due_ns);
        self.lateness.record(waited_ns);
        if let Some(shape) = self.shapes.get_mut(shape) {
            shape.latency.record(waited_ns);
        }
    }

    pub(super) fn report(self, load: &Load) -> LoadReport {
        let length_ns = self.window_end_ns - self.window_start_ns;
        let window_s = length_ns as f64 / 1e9;
        let shapes = self.shapes.into_iter().zip(&load.shapes);
        LoadReport {
            mode: match load.mode {
                Mode::Open { .. } => "open",
                Mode::Closed { .. } => "closed",
            },
            offered_per_s: match load.mode {
                Mode::Open { rate, .. } => Some(rate),
                Mode::Closed { .. } => None,
            },
            window_s,
            completed: self.completed,
            completed_per_s: self.completed as f64 / window_s,
            due: self.due,
            unsent: self.unsent,
            unfinished: self.unfinished,
            backlog_max: self.backlog_max,
            backlog_end: self.backlog_end,
            lateness: self.lateness.percentiles(),
            own_cpu: self.cpu_ns as f64 / length_ns as f64,
            connections_opened: self.connections_opened,
            idle_closed: self.idle_closed,
            statuses: self.statuses,
            errors: self.errors,
            shapes: shapes.map(|(tally, shape)| tally.report(&shape.name, shape.stream)).collect(),
        }
    }
}

impl ShapeTally {
    fn report(self, name: &str, stream: bool) -> ShapeReport {
        let per = |count: u64| (count > 0).then(|| self.events as f64 / count as f64);
        ShapeReport {
            name: name.to_owned(),
            answered: self.answered,
            latency: self.latency.percentiles(),
            first_byte: self.first_byte.percentiles(),
            body_bytes: self.body_bytes,
            stream: stream.then(|| StreamReport {
                first_content: self.first_content.percentiles(),
                transit: self.transit.percentiles(),
                gap: self.gap.percentiles(),
                events: self.events,
                chunks: self.chunks,
                reads: self.reads,
                events_per_chunk: per(self.chunks),
                events_per_read: per(self.reads),
            }),
        }
    }
}
