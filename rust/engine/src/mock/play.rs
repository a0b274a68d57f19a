//! Performs the steps of a rule, in order, on one connection.
//!
//! The rule: nothing here decides anything; every byte and every wait is named by a step, or is what a well-behaved
//! server would do (a head before a body, a role before content, an end at the end).

mod stream;

use std::time::Duration;

use tokio::time::Instant;

use super::clock::monotonic_ns;
use super::log::{Ended, Sent};
use super::reply::{self, Voice};
use super::request::{Ask, Endpoint};
use super::script::{Defaults, Events, Finish, Framing, Head, Payload, Reply, Status, Step, UsageWhen};
use super::shared::Shared;
use super::wire::{Stop, Wire};

/// Repeated payloads are sent in pieces of about this size, and larger bodies are not copied.
const PIECE_BYTES: usize = 64 * 1024;

const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    KeepAlive,
    Close,
    Reset,
}

/// How much of the response has been sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Nothing,
    Begun,
    Whole,
}

pub(super) struct Play<'a> {
    wire: Wire<'a>,
    ask: &'a Ask,
    defaults: &'a Defaults,
    shared: &'a Shared,
    row: u64,
    id: String,
    head: Head,
    sent: Sent,
    stage: Stage,
    role_sent: bool,
    /// The Anthropic content block that is open, and how many there have been.
    block: Option<u64>,
    blocks: u64,
    /// The connection ends with this response.
    last: bool,
    out: Vec<u8>,
}

impl<'a> Play<'a> {
    pub(super) fn new(wire: Wire<'a>, ask: &'a Ask, defaults: &'a Defaults, shared: &'a Shared, row: u64) -> Self {
        Self {
            wire,
            ask,
            defaults,
            shared,
            row,
            id: identifier(row),
            head: Head::default(),
            sent: Sent { prompt_tokens: ask.prompt_tokens(), ..Sent::default() },
            stage: Stage::Nothing,
            role_sent: false,
            block: None,
            blocks: 0,
            last: ask.last,
            out: Vec::new(),
        }
    }

    /// Performs the steps, or behaves well when there are none, and tells the log how it ended.
    pub(super) async fn perform(mut self, steps: Option<&[Step]>) -> Next {
        let stop = match steps {
            None => self.reply(&Reply::default()).await,
            Some(steps) => self.steps(steps).await,
        };
        let (ended, next) = match stop {
            Ok(()) if self.last => (Ended::Complete, Next::Close),
            Ok(()) => (Ended::Complete, Next::KeepAlive),
            Err(Stop::PeerGone) => (Ended::Cancelled, Next::Close),
            Err(Stop::Close) => (Ended::Cut, Next::Close),
            Err(Stop::Reset) => (Ended::Reset, Next::Reset),
        };
        if self.sent.ended == Ended::Open {
            self.record(ended);
        }
        next
    }

    async fn steps(&mut self, steps: &[Step]) -> Result<(), Stop> {
        for step in steps {
            self.step(step).await?;
        }
        if self.stage == Stage::Whole { Ok(()) } else { self.end().await }
    }

    async fn step(&mut self, step: &Step) -> Result<(), Stop> {
        match step {
            Step::Status(status) => self.status(status).await,
            Step::Head(head) => {
                self.head = head.clone();
                Ok(())
            }
            Step::Cut(cut) => {
                self.wire.cut(*cut);
                Ok(())
            }
            Step::Delay(delay) => {
                self.show_progress();
                self.wire.wait(Duration::from_millis(delay.ms)).await
            }
            Step::Reply(reply) => self.reply(reply).await,
            Step::Events(events) => self.events(events).await,
            Step::ToolCall(call) => self.tool_call(call).await,
            Step::Comments(comments) => self.comments(comments).await,
            Step::Finish(finish) => self.finish(finish).await,
            Step::ErrorEvent(error) => self.error_event(error).await,
            Step::Done => self.done().await,
            Step::Send(payload) => self.send(payload).await,
            Step::Raw(payload) => self.raw(payload).await,
            Step::Stall => {
                self.show_progress();
                self.wire.stall().await
            }
            Step::Snub(snub) => {
                let rested = Instant::now() + Duration::from_millis(snub.after_ms);
                self.wire.next_word().await?;
                if Instant::now() < rested { Ok(()) } else { Err(Stop::Reset) }
            }
            Step::Close => Err(Stop::Close),
            Step::Reset => Err(Stop::Reset),
        }
    }

    fn record(&mut self, ended: Ended) {
        self.sent.ended = ended;
        self.sent.end_ns = Some(monotonic_ns());
        self.show_progress();
    }

    fn show_progress(&mut self) {
        self.sent.bytes = self.wire.sent_bytes;
        self.sent.first_byte_ns = self.wire.first_byte_ns;
        self.shared.record(self.row, self.sent);
    }

    /// What comes after the proper end (a close, a wait) is no part of the response.
    fn complete(&mut self) {
        self.stage = Stage::Whole;
        self.record(Ended::Complete);
    }

    fn voice(&self) -> Voice<'a> {
        Voice {
            anthropic: Voice::speaks_anthropic(self.ask.endpoint),
            id: "",
            model: &self.ask.wants.model,
            prompt_tokens: self.sent.prompt_tokens,
            usage_asked: self.ask.wants.include_usage,
            stamp: self.defaults.stamp,
        }
    }

    async fn status(&mut self, status: &Status) -> Result<(), Stop> {
        self.head.status = Some(status.code);
        self.head.headers.extend(status.headers.clone());
        let body = match &status.bytes {
            Some(bytes) => bytes.clone(),
            None if status.code < 300 => "{}".into(),
            None => {
                let message = format!("The scripted upstream answers {}.", status.code);
                Voice { id: &self.id, ..self.voice() }.error(status.code, &message).into()
            }
        };
        self.whole_body(JSON, &body).await
    }

    async fn reply(&mut self, reply: &Reply) -> Result<(), Stop> {
        let usage = reply.usage != UsageWhen::Never;
        let body = match self.ask.endpoint {
            Endpoint::Chat | Endpoint::Messages if self.ask.wants.stream => {
                return self.streamed(reply).await;
            }
            Endpoint::Chat | Endpoint::Messages => {
                let size = reply.bytes.unwrap_or(self.defaults.reply_bytes);
                let voice = Voice { id: &self.id, ..self.voice() };
                let (body, tokens) = voice.unary(reply.text.as_deref(), size, usage);
                self.sent.completion_tokens = tokens;
                self.sent.usage = usage;
                body.into()
            }
            Endpoint::Embeddings => {
                self.sent.usage = usage;
                let dimensions = self.ask.wants.dimensions.or(reply.dimensions).unwrap_or(self.defaults.dimensions);
                self.shared.embeddings(self.ask, dimensions, usage)
            }
            Endpoint::Models => reply::models(&self.defaults.models).into(),
            Endpoint::Unknown | Endpoint::Control => {
                self.head.status = Some(404);
                let message = format!("There is no {} {}.", self.ask.method(), self.ask.path());
                Voice { id: &self.id, ..self.voice() }.error(404, &message).into()
            }
        };
        self.whole_body(JSON, &body).await
    }

    async fn streamed(&mut self, reply: &Reply) -> Result<(), Stop> {
        let events = Events {
            count: reply.events.unwrap_or(self.defaults.events),
            first_ms: reply.first_ms.unwrap_or(self.defaults.first_ms),
            every_ms: reply.every_ms.unwrap_or(self.defaults.every_ms),
            text: reply.text.clone(),
        };
        self.events(&events).await?;
        self.finish(&Finish { reason: None, usage: reply.usage }).await?;
        self.done().await
    }

    /// Sends head and body, which is the whole response; in one write unless copying the body would cost more.
    async fn whole_body(&mut self, content_type: &str, body: &[u8]) -> Result<(), Stop> {
        let framing = match self.head.framing {
            Framing::Proper => Framing::Length(body.len() as u64),
            other => other,
        };
        let mut head = self.render_head(content_type, framing);
        if matches!(framing, Framing::Length(_)) && body.len() < PIECE_BYTES {
            let head_bytes = head.len();
            head.extend_from_slice(body);
            self.wire.whole(&head, head_bytes).await?;
        } else {
            self.wire.raw(&head).await?;
            self.wire.frame_as(framing);
            self.wire.body(body).await?;
        }
        self.end().await
    }

    /// Sends the head of a body of unknown length, unless something was sent before.
    async fn begin(&mut self, content_type: &str) -> Result<(), Stop> {
        if self.stage != Stage::Nothing {
            return Ok(());
        }
        let framing = match self.head.framing {
            Framing::Proper if self.ask.chunks_known => Framing::Chunked,
            Framing::Proper => Framing::UntilClose,
            other => other,
        };
        let head = self.render_head(content_type, framing);
        self.wire.frame_as(framing);
        self.wire.raw(&head).await
    }

    fn render_head(&mut self, content_type: &str, framing: Framing) -> Vec<u8> {
        self.stage = Stage::Begun;
        let announced = self.ask.last || framing == Framing::UntilClose;
        // A false length leaves the peer unsure of where the next response begins, so there is none.
        self.last |= framing == Framing::UntilClose || self.head.framing.lies();
        self.head.render(&self.id, content_type, framing, announced)
    }

    async fn send(&mut self, payload: &Payload) -> Result<(), Stop> {
        self.begin(if self.ask.wants.stream { EVENT_STREAM } else { JSON }).await?;
        let (piece, times, rest) = split(payload);
        for _ in 0..times {
            self.wire.body(&piece).await?;
        }
        self.wire.body(&rest).await
    }

    async fn raw(&mut self, payload: &Payload) -> Result<(), Stop> {
        // Whoever writes the wire himself also writes its end.
        if self.stage == Stage::Nothing {
            self.stage = Stage::Begun;
            self.last = true;
        }
        let (piece, times, rest) = split(payload);
        for _ in 0..times {
            self.wire.raw(&piece).await?;
        }
        self.wire.raw(&rest).await
    }

    /// The proper end of whatever was begun; a rule that only waited still owes an answer.
    async fn end(&mut self) -> Result<(), Stop> {
        if self.stage == Stage::Nothing {
            self.begin(JSON).await?;
        }
        self.wire.end().await?;
        self.complete();
        Ok(())
    }
}

/// The sixteen characters that tell one answer from another; the log's row has the same number.
pub(super) fn identifier(row: u64) -> String {
    format!("{row:016x}")
}

/// A payload as a piece, how often it is sent, and what remains.
fn split(payload: &Payload) -> (Vec<u8>, u64, Vec<u8>) {
    let repeat = payload.repeat.unwrap_or(1);
    let unit = payload.bytes.as_ref();
    let per_piece = (PIECE_BYTES / unit.len().max(1)).max(1);
    let rest = usize::try_from(repeat % per_piece as u64).unwrap_or(0);
    (unit.repeat(per_piece), repeat / per_piece as u64, unit.repeat(rest))
}
