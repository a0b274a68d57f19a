//! Calls that came without an id.
//!
//! A reader leaves it empty, or names the call by its place in the reply, and by the reply where that has a name. Where it
//! has none, every reply would name its calls alike, and a conversation would hold the same id twice.

use crate::dialects::message::{CallKind, ChatReply, Content, Event, Text};
use crate::dialects::{gemini, mint};

/// Gives the calls of a whole reply ids that are made from `seed`, where they have none or one made from nothing.
pub fn name_reply(reply: &mut ChatReply<'_>, seed: &str) {
    for choice in &mut reply.choices {
        let calls = choice.turn.blocks.iter_mut().filter_map(|block| match &mut block.content {
            Content::ToolCall(call) => Some(call),
            _ => None,
        });
        for (number, call) in (0..).zip(calls) {
            name(call.kind, &mut call.id, seed, choice.index, number);
        }
    }
}

/// The same of a call that begins in a stream.
pub fn name_event(event: &mut Event<'_>, seed: &str) {
    if let Event::ToolCallStart { choice, call, kind, id, .. } = event {
        name(*kind, id, seed, *choice, *call);
    }
}

fn name(kind: CallKind, id: &mut Text<'_>, seed: &str, choice: u32, call: u32) {
    // Some servers write the word for nothing; the first generation of calls has no ids.
    if kind != CallKind::LegacyFunction && matches!(id.as_ref(), "" | "null") {
        *id = Text::Owned(mint::call_id(seed, choice, call));
        return;
    }
    // Those of Gemini are known again for ours, and stay so.
    for made in [mint::call_id, gemini::call_id] {
        if *id == made("", choice, call) {
            *id = Text::Owned(made(seed, choice, call));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_nobody_becomes_one_of_its_reply() {
        for made in [mint::call_id, gemini::call_id] {
            let mut id = Text::Owned(made("", 0, 3));
            name(CallKind::Function, &mut id, "r1", 0, 3);
            assert_eq!(id, made("r1", 0, 3));
        }
        for none in ["", "null"] {
            let mut id = Text::Borrowed(none);
            name(CallKind::Function, &mut id, "r1", 0, 3);
            assert_eq!(id, mint::call_id("r1", 0, 3));
        }
        let mut id = Text::Borrowed("");
        name(CallKind::LegacyFunction, &mut id, "r1", 0, 3);
        assert_eq!(id, "");
        for other in ["call_1", &mint::call_id("r0", 0, 3), &mint::call_id("", 0, 4)] {
            let mut id = Text::Borrowed(other);
            name(CallKind::Function, &mut id, "r1", 0, 3);
            assert_eq!(id, other);
        }
    }
}
