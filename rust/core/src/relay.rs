//! One upstream stream in, one client stream out, the bytes untouched, with a scanner beside them.
//!
//! Its one rule: what comes out is what came in, in whole blocks, except for a usage frame the client did not ask for,
//! whatever follows the end, and a torn last block. Nothing comes out before content has been seen, so until then the
//! caller may drop the relay and ask another target. Its one surprise: an event the scanner cannot read goes on all
//! the same; only the facts do without it.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use memchr::memmem;
use smallvec::SmallVec;

use crate::{
    dialects::Dialect,
    failure::{Failure, Kind},
    sse::{self, Parser},
    usage::{Usage, UsageRule},
};

mod chunk;
mod crossing;
mod held;
mod kept;
mod pattern;
mod reply;
mod seen;
mod stream;
mod whole;

#[cfg(test)]
mod tests;

pub use crossing::Crossing;
pub use reply::{ReplyFacts, TailInspector, inspect_reply};
pub use stream::Stream;
pub use whole::{cross_reply, gather_reply, inspect_reply_of};

use held::Held;
use kept::{Kept, Waiting};
use seen::{Seen, Verdict};

/// Choices that are told apart; OpenAI allows no more.
const MOST_CHOICES: u64 = 128;

/// Pieces of frames, in order.
pub type Slices = SmallVec<[Bytes; 4]>;

/// What the events of a stream are looked at for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inspect {
    /// Chunks of OpenAI chat completions, or of the older completions.
    #[default]
    OpenAiChat,
    /// Events of another dialect that is said in server-sent events.
    Events(Dialect),
    /// Usage and errors, where OpenAI has them: every event counts as content, and every end of the body as proper.
    Raw,
}

/// Texts that no client may see.
pub type Secrets = Arc<[Box<[u8]>]>;

/// True when a text holds one of the secrets.
pub fn quotes(text: &[u8], secrets: &Secrets) -> bool {
    secrets.iter().any(|secret| memmem::find(text, secret).is_some())
}

/// How one stream is relayed.
#[derive(Clone, Debug, Default)]
pub struct RelaySpec {
    pub inspect: Inspect,
    /// Choices that were asked for (`n`); 0 means one.
    pub choices: u64,
    /// What we told the upstream about ourselves. Words of its own that quote one of these are not passed on.
    pub secrets: Secrets,
    pub usage_rule: UsageRule,
    /// The client did not ask for usage; the frame that holds nothing else is left out.
    pub hide_usage: bool,
    pub limits: sse::Limits,
}

/// Passes one stream on.
#[derive(Debug)]
pub struct Relay {
    spec: RelaySpec,
    parser: Parser,
    seen: Seen,
    /// Finished blocks from before the first content.
    preamble: Held,
    /// The beginning of a block whose end has not come.
    open: Held,
    phase: Phase,
    delivered_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The last block was left out and its LF may follow in the next frame.
    HidesLf,
    /// The end was passed on.
    Stopped,
    /// The same, and the LF of its last line may follow in the next frame.
    StoppedBeforeLf,
}

impl Relay {
    pub fn new(spec: RelaySpec) -> Self {
        Self {
            parser: Parser::with_bare_json(spec.limits),
            seen: Seen::of(spec.inspect),
            spec,
            preamble: Held::default(),
            open: Held::default(),
            phase: Phase::Open,
            delivered_bytes: 0,
        }
    }

    /// Takes one upstream frame and appends to `out` what may go to the client now: whole blocks, as slices of the
    /// frames they came in. Comments are blocks like others.
    ///
    /// Fails on an error event before content, on one after content that the client must not or could not see as it
    /// stands, and beyond the limits. Before content nothing is in `out` then; after it, `out` ends with the last
    /// good block, the caller adds an error event of its own, and the relay is over.
    pub fn feed(&mut self, frame: Bytes, out: &mut Slices) -> Result<(), Failure> {
        let Some(&first) = frame.first() else {
            return Ok(());
        };
        let mut kept = Kept::default();
        match self.phase {
            Phase::Open => {}
            Phase::HidesLf => {
                kept.from = usize::from(first == b'\n');
                self.phase = Phase::Open;
            }
            Phase::Stopped | Phase::StoppedBeforeLf => {
                self.feed_stopped(&frame, out);
                return Ok(());
            }
        }
        let Self { parser, seen, spec, preamble, open, .. } = self;
        let mut waiting = Waiting { preamble: preamble.len(), open: open.len(), left_out: kept.from };
        let fed = parser.feed(&frame, |event| match (kept.end, seen.terminated) {
            (None, _) => {
                if !seen.content_started && waiting.until(event.start) > spec.limits.event_bytes {
                    kept.fail(event.start, Failure::new(Kind::ResponseTooLarge));
                    return;
                }
                match seen.inspect(spec, &event) {
                    Verdict::Forward | Verdict::Broken => {
                        if !seen.content_started && waiting.until(event.end) > spec.limits.event_bytes {
                            kept.fail(event.start, Failure::new(Kind::ResponseTooLarge));
                        }
                    }
                    Verdict::Hide => {
                        waiting.leave_out(event.start..event.end);
                        kept.leave_out(event.start..event.end);
                    }
                    Verdict::Last => kept.end = Some(event.end),
                    Verdict::Fail(failure) => kept.fail(event.start, failure),
                }
            }
            // An error is the last that goes on, but the usage that some send after it is still billed.
            (Some(_), false) if kept.failure.is_none() => seen.note_usage(spec, &event),
            (Some(_), _) => {}
        });
        let finished = match fed {
            Ok(finished) => finished,
            Err(error) => {
                kept.failure =
                    kept.failure.or_else(|| kept.end.is_none().then(|| Failure::new(Kind::ResponseTooLarge)));
                error.finished
            }
        };
        let at_lf = |end: usize| end == frame.len() && self.parser.awaits_lf();
        self.phase = match kept.end {
            Some(end) if at_lf(end) => Phase::StoppedBeforeLf,
            Some(_) => Phase::Stopped,
            None if kept.failure.is_some() => Phase::Stopped,
            None if kept.left_out_end.is_some_and(at_lf) => Phase::HidesLf,
            None => Phase::Open,
        };
        self.pass_on(frame, finished, kept, out)
    }

    /// Upstream ended, properly or not. Fine when every choice has its finish reason or the end mark was seen; else
    /// the stream is truncated, or was none at all. A missing end mark is not made up. A last event that lacks only
    /// its blank line goes out and gets one, because no client would see it otherwise; a torn one does not.
    ///
    /// An error event that was passed on is an end the client knows of: see [`Relay::upstream_error`].
    pub fn end(&mut self, out: &mut Slices) -> Result<(), Failure> {
        self.close(true, out)
    }

    fn close(&mut self, proper: bool, out: &mut Slices) -> Result<(), Failure> {
        if matches!(self.phase, Phase::Stopped | Phase::StoppedBeforeLf) {
            return Ok(());
        }
        self.phase = Phase::Stopped;
        let Self { parser, seen, spec, .. } = self;
        let mut verdict = Verdict::Broken;
        if parser.end(|event| verdict = seen.inspect(spec, &event)).is_err() {
            verdict = Verdict::Broken;
        }
        if proper {
            seen.body_ended(spec);
        }
        let told = match verdict {
            Verdict::Fail(failure) => return Err(failure),
            Verdict::Forward | Verdict::Last => {
                let missing: &'static [u8] = match self.open.last_byte() {
                    Some(b'\n' | b'\r') => b"\n",
                    _ => b"\n\n",
                };
                self.open.push(Bytes::from_static(missing));
                self.deliver_open(out)?;
                matches!(verdict, Verdict::Last)
            }
            Verdict::Broken | Verdict::Hide => {
                self.open.clear();
                false
            }
        };
        if told || self.seen.ended() || self.spec.inspect == Inspect::Raw {
            return Ok(());
        }
        let nothing_came = self.seen.events == self.seen.broken_events;
        Err(Failure::new(if nothing_came { Kind::Malformed } else { Kind::Truncated }))
    }

    /// The transport broke off. Whoever was not heard to the end may have had more to say, also where a proper end of the
    /// same words would do: every choice that was asked for needs its finish reason, or the end mark was seen.
    pub fn cut(&mut self, out: &mut Slices) -> Result<(), Failure> {
        self.close(false, out)?;
        let heard = self.seen.terminated || self.seen.upstream_error.is_some() || self.finished();
        if heard { Ok(()) } else { Err(Failure::new(Kind::Truncated)) }
    }

    /// The commit point is passed: an event with content (text, reasoning, refusal, tool call, audio, …), a finish
    /// reason or the end mark has been seen, and `out` has been given everything up to it.
    pub fn content_started(&self) -> bool {
        self.seen.content_started
    }

    /// Every choice that was seen has its finish reason, and so many were seen as were asked for.
    pub fn finished(&self) -> bool {
        self.seen.finished() && self.seen.finished_choices() >= self.spec.choices.min(MOST_CHOICES)
    }

    /// The end mark was seen.
    pub fn terminated(&self) -> bool {
        self.seen.terminated
    }

    /// The last usage the upstream reported.
    pub fn usage(&self) -> Option<&Usage> {
        self.seen.usage.as_ref()
    }

    /// The finish reason of the first choice, as the upstream wrote it.
    pub fn finish_reason(&self) -> Option<&str> {
        self.seen.finish.as_ref().map(|(_, reason)| &**reason)
    }

    /// The error event that was passed on after content.
    pub fn upstream_error(&self) -> Option<&Failure> {
        self.seen.upstream_error.as_ref()
    }

    /// The error object of an event on which the relay failed before content, as the upstream wrote it; to be shown
    /// only where [`Failure::pass_through`] says so.
    pub fn error_body(&self) -> Option<&Bytes> {
        self.seen.error_body.as_ref()
    }

    /// The model that answers, as the upstream names it.
    pub fn model(&self) -> Option<&str> {
        self.seen.model.as_deref()
    }

    /// Events so far, the end mark apart.
    pub fn events(&self) -> u64 {
        self.seen.events
    }

    /// Events with content so far.
    pub fn content_events(&self) -> u64 {
        self.seen.content_events
    }

    /// Events that were no JSON and went on as they are.
    pub fn broken_events(&self) -> u64 {
        self.seen.broken_events
    }

    /// Bytes of generated text so far (content, reasoning, refusals, calls), as written in JSON: for an estimate where
    /// the upstream reports no usage.
    pub fn content_bytes(&self) -> u64 {
        self.seen.content_bytes
    }

    /// Bytes given to `out` so far.
    pub fn delivered_bytes(&self) -> u64 {
        self.delivered_bytes
    }

    /// Frames after the end: only an LF that was still owed goes on.
    fn feed_stopped(&mut self, frame: &Bytes, out: &mut Slices) {
        let owed = self.phase == Phase::StoppedBeforeLf && frame.first() == Some(&b'\n');
        self.phase = Phase::Stopped;
        if !self.seen.terminated {
            let Self { parser, seen, spec, .. } = self;
            // Beyond the limits there is no more usage to learn, and nothing else is wanted here.
            let _done = parser.feed(frame, |event| seen.note_usage(spec, &event));
        }
        if owed {
            self.give(frame.slice(..1), out);
        }
    }

    fn pass_on(&mut self, mut frame: Bytes, finished: usize, kept: Kept, out: &mut Slices) -> Result<(), Failure> {
        let rest = frame.split_off(finished);
        if kept.failure.is_some() && !self.seen.content_started {
            self.open.clear();
            self.preamble.clear();
        } else if finished > 0 {
            if kept.leaves_out_open {
                self.open.clear();
            } else {
                self.deliver_open(out)?;
            }
            for range in kept.ranges {
                self.deliver(frame.slice(range), out)?;
            }
            frame.truncate(kept.end.unwrap_or(finished));
            frame.advance(kept.from.min(frame.len()));
            if !frame.is_empty() {
                self.deliver(frame, out)?;
            }
        }
        if let Some(failure) = kept.failure {
            return Err(failure);
        }
        if kept.end.is_none() && !rest.is_empty() {
            self.open.push(rest);
        }
        Ok(())
    }

    fn deliver_open(&mut self, out: &mut Slices) -> Result<(), Failure> {
        for piece in self.open.take() {
            self.deliver(piece, out)?;
        }
        Ok(())
    }

    /// Gives a part of a finished block to the client, or keeps it until there is content.
    fn deliver(&mut self, piece: Bytes, out: &mut Slices) -> Result<(), Failure> {
        if !self.seen.content_started {
            self.preamble.push(piece);
            return if self.preamble.len() > self.spec.limits.event_bytes {
                self.phase = Phase::Stopped;
                Err(Failure::new(Kind::ResponseTooLarge))
            } else {
                Ok(())
            };
        }
        for earlier in self.preamble.take() {
            self.give(earlier, out);
        }
        self.give(piece, out);
        Ok(())
    }

    fn give(&mut self, piece: Bytes, out: &mut Slices) {
        self.delivered_bytes += piece.len() as u64;
        out.push(piece);
    }
}
