//! A stream on its way to its client: as it comes, or said in another dialect.

use bytes::Bytes;

use super::seen::Seen;
use super::{Crossing, Inspect, Relay, Slices};
use crate::failure::{Failure, render_openai_error_event};
use crate::translate;
use crate::usage::Usage;

/// See the module. Its methods are [`Relay`]'s.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of each stream, in a box of its own")]
pub enum Stream {
    Passed(Relay),
    Crossed(Crossing),
}

impl Stream {
    pub fn feed(&mut self, frame: Bytes, out: &mut Slices) -> Result<(), Failure> {
        match self {
            Self::Passed(relay) => relay.feed(frame, out),
            Self::Crossed(crossing) => crossing.feed(&frame, out),
        }
    }

    pub fn end(&mut self, out: &mut Slices) -> Result<(), Failure> {
        match self {
            Self::Passed(relay) => relay.end(out),
            Self::Crossed(crossing) => crossing.end(out),
        }
    }

    pub fn cut(&mut self, out: &mut Slices) -> Result<(), Failure> {
        match self {
            Self::Passed(relay) => relay.cut(out),
            Self::Crossed(crossing) => crossing.cut(out),
        }
    }

    /// The event that ends the client's stream, in its dialect, with a failure of ours.
    pub fn fail(&mut self, failure: &Failure) -> Bytes {
        match self {
            Self::Passed(relay) => match relay.spec.inspect {
                Inspect::Events(dialect) => translate::error_event(dialect, failure),
                Inspect::OpenAiChat | Inspect::Raw => render_openai_error_event(failure),
            },
            Self::Crossed(crossing) => crossing.fail(failure),
        }
    }

    fn seen(&self) -> &Seen {
        match self {
            Self::Passed(relay) => &relay.seen,
            Self::Crossed(crossing) => &crossing.seen,
        }
    }

    pub fn content_started(&self) -> bool {
        self.seen().content_started
    }

    pub fn finished(&self) -> bool {
        match self {
            Self::Passed(relay) => relay.finished(),
            Self::Crossed(crossing) => crossing.finished(),
        }
    }

    pub fn terminated(&self) -> bool {
        self.seen().terminated
    }

    pub fn usage(&self) -> Option<&Usage> {
        self.seen().usage.as_ref()
    }

    pub fn finish_reason(&self) -> Option<&str> {
        self.seen().finish.as_ref().map(|(_, reason)| &**reason)
    }

    pub fn upstream_error(&self) -> Option<&Failure> {
        self.seen().upstream_error.as_ref()
    }

    pub fn error_body(&self) -> Option<&Bytes> {
        self.seen().error_body.as_ref()
    }

    pub fn content_events(&self) -> u64 {
        self.seen().content_events
    }

    pub fn delivered_bytes(&self) -> u64 {
        match self {
            Self::Passed(relay) => relay.delivered_bytes,
            Self::Crossed(crossing) => crossing.delivered_bytes,
        }
    }
}
