//! Sentences of ours among the instructions, for what a target has no field for.

use crate::dialects::message::{Block, ChatRequest, Role, Spelling, Turn};

/// Adds a sentence behind the instructions in front, or in front of everything where there are none.
pub(super) fn add(request: &mut ChatRequest<'_>, sentence: &str) {
    let instructs = |turn: &Turn<'_>| matches!(turn.role, Role::System | Role::Developer);
    let leading = request.turns.iter().take_while(|turn| instructs(turn)).count();
    let last = leading.checked_sub(1).and_then(|at| request.turns.get_mut(at));
    match last {
        // A block of its own: what a cache holds ends before it.
        Some(turn) => {
            turn.blocks.push(Block::text(format!("\n\n{sentence}")));
            turn.spelling = Spelling::Structured;
        }
        None => request.turns.insert(0, Turn::new(Role::System, vec![Block::text(sentence.to_owned())])),
    }
}
