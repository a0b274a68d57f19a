//! Reasoning that a client keeps in the pieces in which it was streamed.

use crate::dialects::Dialect;
use crate::dialects::message::{Block, Content, Role, Turn};

/// Google's SDKs keep the chunks of a stream as turns of their own.
pub(super) fn join_turns(turns: &mut Vec<Turn<'_>>) {
    let mut joined: Vec<Turn<'_>> = Vec::with_capacity(turns.len());
    for turn in turns.drain(..) {
        match joined.last_mut() {
            Some(last)
                if last.role == Role::Assistant
                    && turn.role == Role::Assistant
                    && turn.extras.of(Dialect::Gemini).next().is_none() =>
            {
                last.blocks.extend(turn.blocks);
            }
            _ => joined.push(turn),
        }
    }
    *turns = joined;
}

/// A client that keeps a stream as it came sends one reasoning back in pieces, its proof behind it. In chat the pieces
/// have a number; in Gemini they stand one behind the other, and the last may be nothing but the proof.
pub(super) fn join_pieces(blocks: &mut Vec<Block<'_>>, source: Dialect) {
    let are_one = |last: &Block<'_>, next: &Block<'_>| {
        if source == Dialect::Gemini {
            return next.extras.of(source).next().is_none();
        }
        let number = |block: &Block<'_>| block.extras.get(source, "index").map(|number| number.as_str().to_owned());
        number(last).is_some() && number(last) == number(next)
    };
    let mut joined: Vec<Block<'_>> = Vec::with_capacity(blocks.len());
    for block in blocks.drain(..) {
        let same = joined.last().is_some_and(|last| are_one(last, &block));
        match (joined.last_mut().map(|last| &mut last.content), &block.content) {
            (Some(Content::Reasoning(last)), Content::Reasoning(next))
                if same && last.signature.is_none() && last.redacted.is_none() && next.redacted.is_none() =>
            {
                last.text.to_mut().push_str(&next.text);
                last.signature.clone_from(&next.signature);
            }
            // The proof of a summary stands beside it.
            (Some(Content::Reasoning(last)), Content::Reasoning(next))
                if last.summary && last.signature.is_none() && next.redacted.is_some() && next.text.is_empty() =>
            {
                last.signature.clone_from(&next.redacted);
            }
            _ => joined.push(block),
        }
    }
    *blocks = joined;
}
