//! The steps that make a stream: events, comments, calls, and its ends.

use std::time::Duration;

use tokio::time::Instant;

use super::{EVENT_STREAM, Play};
use crate::mock::clock::monotonic_ns;
use crate::mock::reply::{self, Voice};
use crate::mock::script::{Comments, ErrorEvent, Events, Finish, Stamp, ToolCall, UsageWhen};
use crate::mock::wire::Stop;

impl Play<'_> {
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

    pub(super) async fn events(&mut self, events: &Events) -> Result<(), Stop> {
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

    pub(super) async fn tool_call(&mut self, call: &ToolCall) -> Result<(), Stop> {
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

    pub(super) async fn comments(&mut self, comments: &Comments) -> Result<(), Stop> {
        self.begin(EVENT_STREAM).await?;
        let line = format!(": {}\n\n", comments.text);
        for _ in 0..comments.count {
            self.wire.wait(Duration::from_millis(comments.every_ms)).await?;
            self.wire.body(line.as_bytes()).await?;
        }
        Ok(())
    }

    pub(super) async fn finish(&mut self, finish: &Finish) -> Result<(), Stop> {
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

    pub(super) async fn error_event(&mut self, error: &ErrorEvent) -> Result<(), Stop> {
        self.event(|voice, out| voice.error_event(out, error.data.as_ref(), error.event.as_deref())).await
    }

    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's path is not general over the voice's lifetime"
    )]
    pub(super) async fn done(&mut self) -> Result<(), Stop> {
        self.event(|voice, out| voice.done(out)).await?;
        self.end().await
    }
}

/// A text in at most so many pieces of whole characters.
fn pieces(text: &str, count: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let size = characters.len().div_ceil(count).max(1);
    characters.chunks(size).map(|piece| piece.iter().collect()).collect()
}
