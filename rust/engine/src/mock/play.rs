//! Performs the steps of a rule, in order, on one connection.
//!
//! The rule: nothing here decides anything; every byte and every wait is named by a step, or is what a well-behaved
//! server would do (a head before a body, a role before content, an end at the end).

use std::time::Duration;

use tokio::time::Instant;

use super::clock::monotonic_ns;
use super::log::{Ended, Sent};
use super::reply::{self, Voice};
use super::request::{Ask, Endpoint};
use super::script::{
    Comments, Defaults, ErrorEvent, Events, Finish, Framing, Head, Payload, Reply, Stamp, Status, Step, ToolCall,
    UsageWhen,
};
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

    /// Renders one event and sends it as one piece of the body.
    async fn event(&mut self, render: impl FnOnce(&Voice<'_>, &mut Vec<u8>)) -> Result<(), Stop> {
        self.begin(EVENT_STREAM).await?;
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        render(&Voice { id: &self.id, ..self.voice() }, &mut out);
        let sent = self.wire.body(&out).await;
        self.out = out;
        sent
    }

    /// The events that come before any content.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's path is not general over the voice's lifetime"
    )]
    async fn open_stream(&mut self) -> Result<(), Stop> {
        if self.role_sent {
            return Ok(());
        }
        self.role_sent = true;
        self.event(|voice, out| voice.opening(out)).await
    }

    async fn events(&mut self, events: &Events) -> Result<(), Stop> {
        self.open_stream().await?;
        let mut due = Instant::now() + Duration::from_millis(events.first_ms);
        if events.first_ms > 0 {
            self.wire.wait_until(due).await?;
        }
        let position = self.open_text_block().await?;
        for number in 0..events.count {
            if number > 0 && events.every_ms > 0 {
                // From one fixed start, so that lateness does not add up.
                due += Duration::from_millis(events.every_ms);
                self.wire.wait_until(due).await?;
            }
            let text = events.text.as_deref().unwrap_or_else(|| reply::word(self.sent.events));
            let stamp = self.defaults.stamp;
            self.event(|voice, out| {
                let now_ns = if stamp == Stamp::None { 0 } else { monotonic_ns() };
                voice.content(out, position, text, now_ns);
            })
            .await?;
            self.sent.events += 1;
            self.sent.completion_tokens += 1;
        }
        Ok(())
    }

    async fn open_text_block(&mut self) -> Result<u64, Stop> {
        if let Some(position) = self.block {
            return Ok(position);
        }
        let position = self.blocks;
        self.blocks += 1;
        self.block = Some(position);
        self.event(|voice, out| voice.block_start(out, position)).await?;
        Ok(position)
    }

    async fn close_block(&mut self) -> Result<(), Stop> {
        match self.block.take() {
            Some(position) => self.event(|voice, out| voice.block_stop(out, position)).await,
            None => Ok(()),
        }
    }

    async fn tool_call(&mut self, call: &ToolCall) -> Result<(), Stop> {
        self.open_stream().await?;
        self.close_block().await?;
        let position = self.blocks;
        self.blocks += 1;
        self.block = Some(position);
        self.event(|voice, out| voice.tool_start(out, position, &call.name)).await?;
        for piece in pieces(&call.arguments, call.pieces) {
            self.wire.wait(Duration::from_millis(call.every_ms)).await?;
            self.event(|voice, out| voice.tool_piece(out, position, &piece)).await?;
            self.sent.events += 1;
            self.sent.completion_tokens += 1;
        }
        self.close_block().await
    }

    async fn comments(&mut self, comments: &Comments) -> Result<(), Stop> {
        self.begin(EVENT_STREAM).await?;
        let line = format!(": {}\n\n", comments.text);
        for _ in 0..comments.count {
            self.wire.wait(Duration::from_millis(comments.every_ms)).await?;
            self.wire.body(line.as_bytes()).await?;
        }
        Ok(())
    }

    async fn finish(&mut self, finish: &Finish) -> Result<(), Stop> {
        self.open_stream().await?;
        self.close_block().await?;
        let anthropic = self.voice().anthropic;
        let reason = finish.reason.as_deref().unwrap_or(if anthropic { "end_turn" } else { "stop" });
        let usage = match finish.usage {
            UsageWhen::Asked => anthropic || self.ask.wants.include_usage,
            UsageWhen::Always => true,
            UsageWhen::Never => false,
        };
        let tokens = self.sent.completion_tokens;
        self.event(|voice, out| voice.finish(out, reason, tokens, usage)).await?;
        if usage && !anthropic {
            self.event(|voice, out| voice.usage_chunk(out, tokens)).await?;
        }
        self.sent.usage = usage;
        Ok(())
    }

    async fn error_event(&mut self, error: &ErrorEvent) -> Result<(), Stop> {
        self.event(|voice, out| voice.error_event(out, error.data.as_ref(), error.event.as_deref())).await
    }

    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's path is not general over the voice's lifetime"
    )]
    async fn done(&mut self) -> Result<(), Stop> {
        self.event(|voice, out| voice.done(out)).await?;
        self.end().await
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

/// A text in at most so many pieces of whole characters.
fn pieces(text: &str, count: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let size = characters.len().div_ceil(count).max(1);
    characters.chunks(size).map(|piece| piece.iter().collect()).collect()
}
