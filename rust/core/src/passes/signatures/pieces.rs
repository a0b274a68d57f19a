//! Reasoning and text that a client keeps in the pieces in which they were streamed.

use crate::dialects::message::{Block, Content, Role, Turn};
use crate::dialects::{Dialect, gemini};

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

/// The texts of a turn of Gemini's model that stand one behind the other are one: a blank may be a piece of its own, and
/// elsewhere it would be dropped, or set apart from its neighbours. A proof may come with the last of them.
pub(super) fn join_texts(blocks: &mut Vec<Block<'_>>) {
    blocks.dedup_by(|next, last| {
        let is_bare = next.cache_mark.is_none() && last.cache_mark.is_none();
        let proof_alone = next.extras.iter().all(|extra| gemini::is_proof(extra)) && !gemini::has_own_proof(last);
        let (Content::Text { text, citations }, Content::Text { text: more, citations: others }) =
            (&mut last.content, &next.content)
        else {
            return false;
        };
        let joins = is_bare && citations.is_empty() && others.is_empty() && (next.extras.is_empty() || proof_alone);
        if joins {
            text.to_mut().push_str(more);
            last.extras.extend(next.extras.iter().cloned());
        }
        joins
    });
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
