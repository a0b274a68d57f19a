//! Writes a stream: the pieces of each text, and an end for each choice.
//!
//! The surprise: a call of a tool ends the stream with an error, because a text without it would pass for the answer.

use super::reply::{write_finish, write_logprobs};
use super::{DIALECT, USAGE, logprobs};
use crate::dialects::chatlike::chunks::Chunks;
use crate::dialects::message::{Envelope, ErrorReply, Event, Finish, Json};
use crate::dialects::output::Buffer;

#[derive(Debug)]
pub struct Writer {
    chunks: Chunks,
    /// The characters of each choice whose log probabilities were told.
    seen: Vec<(u32, u64)>,
}

impl Writer {
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        Self { chunks: Chunks::new(DIALECT, "text_completion", USAGE, envelope), seen: Vec::new() }
    }

    pub(super) fn render(&mut self, event: &Event<'_>, out: &mut Buffer) {
        if self.chunks.ended() {
            return;
        }
        match event {
            Event::MessageStart { id, model, created_s, extras } => self.chunks.start(id, model, *created_s, extras),
            Event::TextDelta { choice, text, logprobs } => {
                let logprobs = logprobs.as_ref().and_then(|told| self.logprobs(*choice, told));
                self.choice(*choice, text, logprobs.as_ref(), None, out);
            }
            Event::RefusalDelta { choice, text } => self.choice(*choice, text, None, None, out),
            Event::ToolCallStart { .. } => {
                let message = "the answer calls a tool, which a completion cannot".into();
                self.chunks.fail(&ErrorReply { message, ..ErrorReply::default() }, out);
            }
            Event::Finish { choice, finish } => self.choice(*choice, "", None, Some(finish), out),
            Event::Usage(usage) => self.chunks.usage(usage),
            Event::Error(error) => self.chunks.fail(error, out),
            Event::Done => self.chunks.done(out),
            _ => {}
        }
    }

    fn logprobs(&mut self, choice: u32, told: &Json<'_>) -> Option<Json<'static>> {
        let known = self.seen.iter().position(|(index, _)| *index == choice);
        let at = known.unwrap_or(self.seen.len());
        if known.is_none() {
            self.seen.push((choice, 0));
        }
        let (_, seen) = self.seen.get_mut(at)?;
        logprobs::render(told, seen)
    }

    fn choice(
        &mut self,
        index: u32,
        text: &str,
        logprobs: Option<&Json<'_>>,
        finish: Option<&Finish<'_>>,
        out: &mut Buffer,
    ) {
        self.chunks.choice(index, out, |members| {
            members.text("text", text);
            write_logprobs(members, logprobs);
            match finish {
                Some(finish) => write_finish(members, finish),
                None => members.null("finish_reason"),
            }
        });
    }
}
