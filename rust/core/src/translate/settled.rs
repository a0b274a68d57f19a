//! What a reply says of itself and its own content denies: how much it used, and why it ended.
//!
//! The rule: content is believed before words. An answer that calls waits for what it calls, whatever its server says, and
//! one that calls nobody waits for nobody. Counts are brought to the invariant of [`crate::usage`].

use smallvec::SmallVec;

use crate::dialects::Dialect;
use crate::dialects::message::{ChatReply, Choice, Content, Event, Finish, FinishReason};
use crate::usage::{self, UsageRule};

/// Settles a whole reply of `source`.
pub fn settle_reply(reply: &mut ChatReply<'_>, source: Dialect, rule: UsageRule) {
    reply.choices.iter_mut().for_each(settle_choice);
    if let Some(usage) = &mut reply.usage {
        usage::settle(usage, source, rule);
    }
}

fn settle_choice(choice: &mut Choice<'_>) {
    let any = |is: fn(&Content<'_>) -> bool| choice.turn.blocks.iter().any(|block| is(&block.content));
    let called = any(|content| matches!(content, Content::ToolCall(_)));
    let other = any(|content| matches!(content, Content::Opaque { .. }));
    if let Some(finish) = &mut choice.finish {
        settle_finish(finish, called, other);
    }
}

/// `other` is something that only the reply's own dialect understands, and that may be a call too.
fn settle_finish(finish: &mut Finish<'_>, called: bool, other: bool) {
    match finish.reason {
        FinishReason::Stop if called => finish.reason = FinishReason::ToolCalls,
        FinishReason::ToolCalls | FinishReason::FunctionCall if !called && !other => finish.reason = FinishReason::Stop,
        _ => {}
    }
}

/// The same of a stream, event by event.
#[derive(Debug)]
pub struct Settling {
    source: Dialect,
    rule: UsageRule,
    /// Choices that have called.
    called: SmallVec<[u32; 4]>,
    other: bool,
}

impl Settling {
    pub fn new(source: Dialect, rule: UsageRule) -> Self {
        Self { source, rule, called: SmallVec::new(), other: false }
    }

    pub fn event(&mut self, event: &mut Event<'_>) {
        match event {
            Event::ToolCallStart { choice, .. } if !self.called.contains(choice) => self.called.push(*choice),
            Event::Opaque { .. } => self.other = true,
            Event::Usage(usage) => usage::settle(usage, self.source, self.rule),
            Event::Finish { choice, finish } => settle_finish(finish, self.called.contains(choice), self.other),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::message::{CallKind, Json};

    fn end(settling: &mut Settling, reason: FinishReason) -> FinishReason {
        let mut event = Event::Finish { choice: 0, finish: Finish::new(reason, None) };
        settling.event(&mut event);
        let Event::Finish { finish, .. } = event else { unreachable!() };
        finish.reason
    }

    #[test]
    fn what_was_called_tells_why_a_choice_ended() {
        use FinishReason::{Length, Stop, ToolCalls};
        let mut settling = Settling::new(Dialect::OpenAiChat, UsageRule::Invariant);
        assert_eq!(end(&mut settling, ToolCalls), Stop, "nobody was called");
        settling.event(&mut Event::ToolCallStart {
            choice: 1,
            call: 0,
            kind: CallKind::Function,
            id: "c".into(),
            name: "f".into(),
            signature: None,
        });
        assert_eq!(end(&mut settling, ToolCalls), Stop, "another choice called");
        if let Some(first) = settling.called.first_mut() {
            *first = 0;
        }
        assert_eq!(end(&mut settling, Stop), ToolCalls);
        assert_eq!(end(&mut settling, Length), Length, "a cut call waits for nothing");
    }

    #[test]
    fn a_call_that_only_its_dialect_knows_is_waited_for() {
        let mut settling = Settling::new(Dialect::OpenAiResponses, UsageRule::Invariant);
        settling.event(&mut Event::Opaque {
            dialect: Dialect::OpenAiResponses,
            name: "item".into(),
            raw: Json::null(),
        });
        assert_eq!(end(&mut settling, FinishReason::ToolCalls), FinishReason::ToolCalls);
    }
}
