//! Messages of which a target can be told nothing. An empty content is refused, so a turn of the user keeps a word in its
//! place; one of the model, which nobody may put words into, goes.
//!
//! The rule: what is gone is named block by block, by whoever writes the request or, of turns that went, here.

use crate::dialects::Dialect;
use crate::dialects::message::{Block, ChatRequest, Content, Role, Spelling, Turn};

/// Stands for what cannot be said.
const GONE: &str = "(a part of this message could not be passed on)";

/// Names what went with its turn.
pub(super) fn fill(request: &mut ChatRequest<'_>, target: Dialect) -> Vec<String> {
    let mut gone = Vec::new();
    let mut at = 0;
    request.turns.retain_mut(|turn| {
        for block in &mut turn.blocks {
            if let Content::ToolResult(result) = &mut block.content {
                if result.blocks.is_empty() {
                    // A tool may have nothing to say; that it was heard must be said all the same.
                    result.blocks.push(Block::text(""));
                    result.spelling = Spelling::Plain;
                } else if !result.blocks.iter().any(|block| target.says(block, Role::Tool)) {
                    result.blocks.push(Block::text(GONE));
                }
            }
        }
        bare(turn, target);
        let said = turn.blocks.iter().any(|block| target.says(block, turn.role));
        let keeps = said || matches!(turn.role, Role::User | Role::Tool);
        if !said && keeps && !turn.blocks.is_empty() {
            turn.blocks.push(Block::text(GONE));
        }
        if !keeps {
            let place = turn.place(at);
            gone.extend(turn.blocks.iter().enumerate().map(|(index, block)| block.place(place, index).to_string()));
        }
        at += 1;
        keeps
    });
    if request.turns.is_empty() {
        request.turns.push(Turn::new(Role::User, vec![Block::text(GONE)]));
    }
    gone
}

/// A turn of the model that only thinks or calls has no content where those stand beside it, and not an empty list.
fn bare(turn: &mut Turn<'_>, target: Dialect) {
    let beside = |block: &Block<'_>| matches!(block.content, Content::Reasoning(_) | Content::ToolCall(_));
    if turn.role != Role::Assistant || turn.blocks.is_empty() || !turn.blocks.iter().all(beside) {
        return;
    }
    turn.spelling = Spelling::Plain;
    let calls = turn.blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_)));
    if !calls && target == Dialect::OpenAiChat {
        turn.blocks.push(Block::text(""));
    }
}
