//! Who speaks when.

use super::Instructions;
use crate::dialects::message::{Block, Content, Origin, Role, Spelling, Turn};

/// Behind this word a model goes on where a conversation begins with its own turn.
const BEGIN: &str = ".";

pub(super) fn place_instructions(turns: &mut [Turn<'_>], rule: Instructions, changed: &mut Vec<String>) {
    let only = match rule {
        Instructions::Anywhere => return,
        Instructions::DeveloperOnly => Role::Developer,
        Instructions::SystemOnly | Instructions::InFront | Instructions::Nowhere => Role::System,
    };
    let mut in_front = rule != Instructions::Nowhere;
    for (at, turn) in turns.iter_mut().enumerate() {
        match turn.role {
            Role::System | Role::Developer
                if in_front || matches!(rule, Instructions::SystemOnly | Instructions::DeveloperOnly) =>
            {
                turn.role = only;
            }
            Role::System | Role::Developer => {
                turn.role = Role::User;
                changed.push(format!("{}.role", turn.place(at)));
            }
            _ => in_front = false,
        }
    }
}

/// Drops text that a reader would not see, and turns of which nothing is left. Where no turn is left, gives the place of the
/// last: an empty conversation is refused, and so is one of nothing.
pub(super) fn drop_blank_text(turns: &mut Vec<Turn<'_>>) -> Option<Origin> {
    let last = turns.iter().enumerate().next_back().map(|(at, turn)| turn.place(at));
    for turn in turns.iter_mut() {
        drop_blank(&mut turn.blocks);
        for block in &mut turn.blocks {
            if let Content::ToolResult(result) = &mut block.content {
                drop_blank(&mut result.blocks);
            }
        }
    }
    turns.retain(|turn| !turn.blocks.is_empty());
    last.filter(|_| turns.is_empty())
}

fn drop_blank(blocks: &mut Vec<Block<'_>>) {
    blocks.retain(|block| !is_blank(block));
}

pub(super) fn is_blank(block: &Block<'_>) -> bool {
    matches!(&block.content, Content::Text { text, .. } if text.trim().is_empty())
}

/// Calls that nothing is said beside have no content: an empty list in its place is refused.
pub(super) fn spell_bare_calls(turns: &mut [Turn<'_>]) {
    let calls = |block: &Block<'_>| matches!(block.content, Content::ToolCall(_));
    for turn in turns.iter_mut().filter(|turn| turn.role == Role::Assistant) {
        if !turn.blocks.is_empty() && turn.blocks.iter().all(calls) {
            turn.spelling = Spelling::Plain;
        }
    }
}

/// Puts tool results where the target looks for them: in turns of their own, or in front of the user's.
pub(super) fn place_results(turns: &mut Vec<Turn<'_>>, in_user_turns: bool, changed: &mut Vec<String>) {
    if in_user_turns {
        // Each becomes a turn of the user; the merge behind this one brings them together.
        for turn in turns.iter_mut().filter(|turn| turn.role == Role::Tool) {
            turn.role = Role::User;
            turn.spelling = Spelling::Structured;
        }
        gather_results(turns, changed);
        return;
    }
    let mut placed = Vec::with_capacity(turns.len());
    for mut turn in turns.drain(..) {
        if turn.role != Role::User || !turn.blocks.iter().any(is_result) {
            placed.push(turn);
            continue;
        }
        let (results, rest): (Vec<_>, Vec<_>) = turn.blocks.drain(..).partition(is_result);
        let mut results: Vec<_> = results.into_iter().map(|result| Turn::new(Role::Tool, vec![result])).collect();
        if rest.is_empty() {
            // What else the turn says stands with the first of them.
            if let Some(first) = results.first_mut() {
                first.extras = turn.extras;
            }
            placed.append(&mut results);
        } else {
            placed.append(&mut results);
            turn.blocks = rest;
            placed.push(turn);
        }
    }
    *turns = placed;
}

/// Turns of results alone, and the user's turn behind them, become one, results first.
fn gather_results(turns: &mut Vec<Turn<'_>>, changed: &mut Vec<String>) {
    let mut gathered: Vec<Turn<'_>> = Vec::with_capacity(turns.len());
    for (at, turn) in turns.drain(..).enumerate() {
        match gathered.last_mut() {
            Some(last) if last.role == Role::User && turn.role == Role::User && last.blocks.iter().all(is_result) => {
                join(last, turn, at, changed);
            }
            _ => gathered.push(turn),
        }
    }
    for turn in gathered.iter_mut().filter(|turn| turn.role == Role::User) {
        // Stable: results in their order, then the rest in its.
        turn.blocks.sort_by_key(|block| !is_result(block));
    }
    *turns = gathered;
}

pub(super) fn is_result(block: &Block<'_>) -> bool {
    matches!(block.content, Content::ToolResult(_))
}

/// Turns of one role in a row become one; instructions stay apart, because what is cached ends between them.
pub(super) fn merge(turns: &mut Vec<Turn<'_>>, changed: &mut Vec<String>) {
    let mut merged: Vec<Turn<'_>> = Vec::with_capacity(turns.len());
    for (at, turn) in turns.drain(..).enumerate() {
        match merged.last_mut() {
            Some(last) if last.role == turn.role && turn.role != Role::System => join(last, turn, at, changed),
            _ => merged.push(turn),
        }
    }
    *turns = merged;
}

/// Goes on with a turn in the one before it. What it says beside its content has no place there.
fn join<'a>(last: &mut Turn<'a>, turn: Turn<'a>, at: usize, changed: &mut Vec<String>) {
    let place = turn.place(at);
    if turn.name.is_some() {
        changed.push(format!("{place}.name"));
    }
    changed.extend(turn.extras.lost().map(|name| format!("{place}.{name}")));
    last.blocks.extend(turn.blocks);
    last.spelling = Spelling::Structured;
}

pub(super) fn begin_with_user(turns: &mut Vec<Turn<'_>>, changed: &mut Vec<String>) {
    let first = turns.iter().position(|turn| turn.role != Role::System).unwrap_or(turns.len());
    let Some(begins) = turns.get(first) else {
        // Instructions alone are what is to be answered.
        if let Some(at) = first.checked_sub(1)
            && let Some(last) = turns.last_mut()
        {
            last.role = Role::User;
            changed.push(format!("{}.role", last.place(at)));
        }
        return;
    };
    if begins.role != Role::User {
        changed.push(begins.place(first).to_string());
        turns.insert(first, Turn::new(Role::User, vec![Block::text(BEGIN)]));
    }
}
