//! Results that a client tells late: somebody spoke between a call and its result.
//!
//! The rule: a result belongs directly behind its call, and wherever it stands it is the result; nothing is made up in its
//! place. Its text is not touched, so nothing is lost. The surprise: one at the very end, behind an answer, stays there.

use std::collections::{HashMap, HashSet};

use super::turns::{is_blank, is_result};
use crate::dialects::message::{Block, Content, Role, Turn};

/// The results of one turn that belong to earlier calls: where they stand in it, and the turn in front of which they belong.
struct Move {
    blocks: Vec<usize>,
    before: usize,
}

/// Brings late results to their calls.
pub(super) fn bring_forward(turns: &mut Vec<Turn<'_>>) {
    let late = moves(turns);
    if late.is_empty() {
        return;
    }
    let mut brought: HashMap<usize, Vec<Turn<'_>>> = HashMap::new();
    let mut kept = Vec::with_capacity(turns.len());
    for (at, mut turn) in turns.drain(..).enumerate() {
        let Some(Move { blocks, before }) = late.get(&at) else {
            kept.push((at, turn));
            continue;
        };
        let mut index = 0;
        let taken = turn.blocks.extract_if(.., |_| {
            index += 1;
            blocks.binary_search(&(index - 1)).is_ok()
        });
        let mut results = Turn::new(Role::Tool, taken.collect());
        results.extras.place(turn.extras.origin());
        if turn.blocks.is_empty() {
            results.extras = turn.extras;
        } else {
            kept.push((at, turn));
        }
        brought.entry(*before).or_default().push(results);
    }
    for (at, turn) in kept {
        turns.extend(brought.remove(&at).into_iter().flatten());
        turns.push(turn);
    }
}

/// What is to be moved, by the turn in which it stands.
fn moves(turns: &[Turn<'_>]) -> HashMap<usize, Move> {
    let mut moves: HashMap<usize, Move> = HashMap::new();
    // Calls of the last turn of the assistant, and those that nobody had answered when somebody else spoke.
    let mut open: HashSet<&str> = HashSet::new();
    let mut late: HashMap<&str, usize> = HashMap::new();
    for (at, turn) in turns.iter().enumerate() {
        for (index, block) in turn.blocks.iter().enumerate() {
            let Content::ToolResult(result) = &block.content else { continue };
            let id = result.call_id.as_ref();
            if open.remove(id) {
                continue;
            }
            let Some(before) = late.get(id).copied() else { continue };
            // What comes last is what is to be answered, and would be hidden behind what was said since.
            let since = turns.get(before..at).unwrap_or_default();
            if is_last(turns, at) && since.iter().any(|turn| turn.role == Role::Assistant) {
                continue;
            }
            // The results of one turn go to one place.
            let to = moves.entry(at).or_insert(Move { blocks: Vec::new(), before });
            if to.before == before {
                to.blocks.push(index);
                late.remove(id);
            }
        }
        let speaks = turn.role != Role::Tool && turn.blocks.iter().any(|block| !is_result(block) && !is_blank(block));
        if speaks {
            late.extend(open.drain().map(|id| (id, at)));
        }
        if turn.role == Role::Assistant {
            open.extend(turn.blocks.iter().filter_map(call_of));
        }
    }
    moves
}

/// Whether nothing but results stands here and behind.
fn is_last(turns: &[Turn<'_>], at: usize) -> bool {
    let mut rest = turns.get(at..).unwrap_or_default().iter().flat_map(|turn| &turn.blocks);
    rest.all(|block| is_result(block) || is_blank(block))
}

fn call_of<'b>(block: &'b Block<'_>) -> Option<&'b str> {
    match &block.content {
        Content::ToolCall(call) if !call.id.is_empty() => Some(&call.id),
        _ => None,
    }
}
