//! Pictures, sounds and documents where a target takes none: they go to a turn of the user, in their order, because an
//! answer without them would be one to another question.
//!
//! The rule: what the model said holds media in Gemini alone, and the results of tools hold them in some dialects. The
//! surprise: nothing may stand between calls and their results, so what a result held waits for the last of them.

use super::demands::Losses;
use super::turns::is_result;
use crate::dialects::Dialect;
use crate::dialects::message::{Block, ChatRequest, Content, Role, Spelling, Turn};

/// What a result says of which nothing else is left.
const BEHIND: &str = "(see the next message)";

/// Whether media stay in what the model said, and in the results of tools.
fn stay(target: Dialect) -> [bool; 2] {
    match target {
        Dialect::Gemini => [true, true],
        Dialect::AnthropicMessages | Dialect::BedrockConverse | Dialect::OpenAiResponses => [false, true],
        _ => [false, false],
    }
}

pub(super) fn place(request: &mut ChatRequest<'_>, target: Dialect, losses: &mut Losses) {
    let [in_answers, in_results] = stay(target);
    let mut waiting = Vec::new();
    let mut placed = Vec::with_capacity(request.turns.len());
    for (at, mut turn) in std::mem::take(&mut request.turns).into_iter().enumerate() {
        let is_of_results = turn.role == Role::Tool || turn.blocks.iter().any(is_result);
        if !is_of_results {
            let_out(&mut waiting, &mut turn, &mut placed);
        }
        let before = waiting.len();
        if turn.role == Role::Assistant && !in_answers {
            take(&mut turn.blocks, &mut waiting);
        }
        if !in_results {
            turn.blocks.iter_mut().for_each(|block| take_from_result(block, &mut waiting));
        }
        if waiting.len() > before {
            losses.note(&format!("{}.content", turn.place(at)));
        }
        if is_of_results && turn.blocks.iter().any(|block| !is_result(block)) {
            let behind = turn.blocks.iter().rposition(is_result).map_or(0, |last| last + 1);
            turn.blocks.splice(behind..behind, waiting.drain(..));
        }
        // Of a turn that was nothing but a picture, nothing is left.
        if !turn.blocks.is_empty() || waiting.len() == before {
            placed.push(turn);
        }
    }
    if !waiting.is_empty() {
        placed.push(of_user(waiting));
    }
    request.turns = placed;
}

/// What waits goes before what the user says next, or is what the user says.
fn let_out<'a>(waiting: &mut Vec<Block<'a>>, turn: &mut Turn<'a>, placed: &mut Vec<Turn<'a>>) {
    if waiting.is_empty() {
        return;
    }
    if turn.role == Role::User {
        turn.blocks.splice(0..0, waiting.drain(..));
        turn.spelling = Spelling::Structured;
    } else {
        placed.push(of_user(std::mem::take(waiting)));
    }
}

fn of_user(blocks: Vec<Block<'_>>) -> Turn<'_> {
    Turn { spelling: Spelling::Structured, ..Turn::new(Role::User, blocks) }
}

fn take<'a>(blocks: &mut Vec<Block<'a>>, waiting: &mut Vec<Block<'a>>) {
    let is_media = |block: &mut Block<'_>| {
        matches!(block.content, Content::Image { .. } | Content::Audio { .. } | Content::File { .. })
    };
    waiting.extend(blocks.extract_if(.., is_media));
}

fn take_from_result<'a>(block: &mut Block<'a>, waiting: &mut Vec<Block<'a>>) {
    if let Content::ToolResult(result) = &mut block.content {
        let before = waiting.len();
        take(&mut result.blocks, waiting);
        if waiting.len() > before && result.blocks.is_empty() {
            result.blocks.push(Block::text(BEHIND));
            result.spelling = Spelling::Plain;
        }
    }
}
