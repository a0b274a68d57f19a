//! One attempt's entry: an intent when it is made, marks while it runs, and exactly one end, at the latest when dropped.

use std::sync::Arc;
use std::time::Duration;

use fastroute_core::failure::Kind;
use fastroute_core::journal::{AttemptId, Intent, Progress, Settle, State};
use fastroute_core::tokens;
use fastroute_core::usage::{Basis, Usage};
use hyper::header::HeaderValue;
use tokio::time::Instant;

use super::lane::{Lane, OffTheRecord};
use crate::defect;
use crate::ingress::Ingress;
use crate::table::Target;

/// A running reply is marked when it is this old since its last mark …
const MARK_EVERY: Duration = Duration::from_secs(5);
/// … or has this many more events, which is about as many tokens.
const MARK_EVENTS: u64 = 1000;

/// What is known of an attempt before it is made.
pub(crate) struct Plea<'a> {
    pub(crate) ingress: &'a Ingress,
    pub(crate) target: &'a Target,
    /// The route's name.
    pub(crate) model: &'a str,
    pub(crate) generation: u64,
    pub(crate) ordinal: usize,
}

/// See the module.
pub(crate) struct Pledge {
    lane: Arc<Lane>,
    place: u32,
    pub(crate) attempt: AttemptId,
    input_tokens: u64,
    began: Instant,
    marked: Instant,
    mark: Progress,
    reached: Progress,
    settled: bool,
}

impl Pledge {
    pub(crate) fn make(lane: &Arc<Lane>, plea: &Plea<'_>, now: Instant) -> Result<Self, OffTheRecord> {
        let scan = &plea.ingress.scan;
        let sizes = tokens::Sizes {
            text_bytes: scan.text_bytes,
            messages: scan.messages,
            tools: scan.tools,
            images: scan.media.image,
            ..tokens::Sizes::default()
        };
        let input_tokens = tokens::estimate(tokens::Density::Typical, &sizes);
        let (attempt, place) = lane.intend(|attempt, started_ms| Intent {
            attempt,
            ordinal: u8::try_from(plea.ordinal).unwrap_or(u8::MAX),
            stream: plea.ingress.stream(),
            generation: plea.generation,
            started_ms,
            body_bytes: scan.bytes as u64,
            input_tokens,
            max_output_tokens: scan.max_tokens.unwrap_or(0),
            request_id: &plea.ingress.request_id,
            model: plea.model,
            target: plea.target.label.to_str().unwrap_or_default(),
            key_id: &plea.target.key_id,
            door: plea.ingress.door.name(),
            dialect: plea.ingress.spoken.name(),
        })?;
        let start = Progress { attempt, events: 0, bytes: 0 };
        Ok(Self {
            lane: lane.clone(),
            place,
            attempt,
            input_tokens,
            began: now,
            marked: now,
            mark: start,
            reached: start,
            settled: false,
        })
    }

    /// The id as a header for the upstream, so that its log can be matched with the journal.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(&self.attempt.text()).ok()
    }

    /// How far the reply has come.
    pub(crate) fn reach(&mut self, events: u64, bytes: u64) {
        self.reached = Progress { events, bytes, ..self.reached };
    }

    /// Puts that on record now and then.
    pub(crate) fn mark_if_due(&mut self, now: Instant) {
        if self.reached.events >= self.mark.events + MARK_EVENTS || now >= self.marked + MARK_EVERY {
            self.marked = now;
            self.mark = self.reached;
            self.lane.progress(self.place, self.mark);
        }
    }

    pub(crate) fn end(mut self, state: State, failure: Option<Kind>, told: Told) {
        self.put_end(state, failure, told);
    }

    fn put_end(&mut self, state: State, failure: Option<Kind>, told: Told) {
        let Progress { events, bytes, .. } = self.reached;
        let usage = told.usage.unwrap_or_else(|| match state {
            State::Refused => Usage { basis: Basis::Zero, ..Usage::default() },
            _ => Usage {
                prompt_tokens: self.input_tokens,
                completion_tokens: events,
                total_tokens: self.input_tokens.saturating_add(events),
                basis: Basis::Estimated,
                ..Usage::default()
            },
        });
        let took = Instant::now().saturating_duration_since(self.began);
        let settle = Settle {
            attempt: self.attempt,
            state,
            status: told.status,
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            events,
            bytes: bytes.max(told.bytes),
            usage,
            failure: failure.map_or("", Kind::name),
        };
        self.lane.settle(self.place, &settle);
        self.settled = true;
    }
}

/// What is known at an attempt's end beside how it ended.
#[derive(Clone, Copy, Default)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) usage: Option<Usage>,
}

impl Drop for Pledge {
    fn drop(&mut self) {
        if !self.settled {
            // A defect that is met again here must not end the process: the next start settles what is left open.
            let _ = defect::caught(|| self.put_end(State::Unknown, Some(Kind::Internal), Told::default()));
        }
    }
}
