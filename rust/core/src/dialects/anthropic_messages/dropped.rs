//! Names what another dialect said and this one has no words for: places of the conversation, never values.

use super::write::{self, Side};
use super::{DIALECT, request, tools, wish};
use crate::dialects::message::{Block, ChatRequest, Content, Extras, Turn};

pub(super) fn names(chat: &ChatRequest<'_>) -> Vec<String> {
    let mut dropped = Vec::new();
    foreign(&chat.extras, "", &mut dropped);
    settings(chat, &mut dropped);
    wish::dropped(chat, &mut dropped);
    tools::dropped(&chat.tools, chat.tool_choice.as_ref(), foreign, &mut dropped);
    for (index, turn) in chat.turns.iter().enumerate() {
        of_turn(turn, &turn.place(index), &mut dropped);
    }
    dropped
}

/// Fields of other dialects stay behind with their name.
fn foreign(extras: &Extras<'_>, before: &str, dropped: &mut Vec<String>) {
    dropped.extend(extras.lost_in(DIALECT).map(|name| format!("{before}{name}")));
}

fn settings(chat: &ChatRequest<'_>, dropped: &mut Vec<String>) {
    let sampling = &chat.sampling;
    let has_choice = tools::has_choice(&chat.tools, chat.tool_choice.as_ref());
    let said_user = request::user(chat);
    let lost = [
        (sampling.wants_frequency_penalty(), "frequency_penalty"),
        (sampling.wants_presence_penalty(), "presence_penalty"),
        (sampling.seed.is_some(), "seed"),
        (sampling.n.is_some_and(|n| n > 1), "n"),
        (sampling.logprobs == Some(true), "logprobs"),
        (sampling.wants_top_logprobs(), "top_logprobs"),
        (chat.max_tokens.is_some() && chat.max_tokens != chat.max_output_tokens(), "max_tokens"),
        (chat.user.is_some() && chat.user.as_deref() != said_user, "user"),
        (chat.prompt_cache_key.is_some(), "prompt_cache_key"),
        (chat.service_tier.as_deref().is_some_and(|tier| request::tier(tier).is_none()), "service_tier"),
        (chat.wants_verbosity(), "verbosity"),
        (chat.is_to_be_stored(), "store"),
        (chat.has_metadata(), "metadata"),
        (tools::says_more(chat.tool_choice.as_ref()) && !has_choice, "tool_choice"),
        (chat.parallel_tool_calls == Some(false) && !has_choice, "parallel_tool_calls"),
    ];
    dropped.extend(lost.into_iter().filter(|(lost, _)| *lost).map(|(_, name)| name.to_owned()));
    for (index, sequence) in sampling.stop.iter().flat_map(|stop| &stop.sequences).enumerate() {
        if !request::stops(sequence) {
            dropped.push(format!("stop[{index}]"));
        }
    }
    if let Some(options) = &chat.stream_options {
        foreign(&options.extras, "stream_options.", dropped);
    }
}

fn of_turn(turn: &Turn<'_>, place: &str, dropped: &mut Vec<String>) {
    if turn.name.is_some() {
        dropped.push(format!("{place}.name"));
    }
    foreign(&turn.extras, &format!("{place}."), dropped);
    of_blocks(&turn.blocks, place, dropped);
}

fn of_blocks(blocks: &[Block<'_>], place: &str, dropped: &mut Vec<String>) {
    for (index, block) in blocks.iter().enumerate() {
        let place = block.place(place, index);
        if write::says(block, Side::Model) {
            of_block(block, &place, dropped);
        } else {
            dropped.push(place);
        }
    }
}

fn of_block(block: &Block<'_>, place: &str, dropped: &mut Vec<String>) {
    let lost = match &block.content {
        Content::Text { citations, .. } => {
            let lost = citations.iter().any(|citation| !write::says_citation(citation, Side::Model));
            lost.then_some("citations")
        }
        Content::Image { detail, .. } => detail.as_deref().is_some_and(|detail| detail != "auto").then_some("detail"),
        Content::ToolCall(call) => call.signature.is_some().then_some("signature"),
        Content::Reasoning(_) => block.cache_mark.is_some().then_some("cache_control"),
        Content::ToolResult(result) => {
            of_blocks(&result.blocks, place, dropped);
            None
        }
        _ => None,
    };
    dropped.extend(lost.map(|name| format!("{place}.{name}")));
    foreign(&block.extras, &format!("{place}."), dropped);
}
