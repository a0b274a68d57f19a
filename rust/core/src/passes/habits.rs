//! What providers that imitate chat want of its messages: one small change each, in the order in which they are listed.

use super::demands::{Demands, Losses};
use super::schema::{self, SchemaRules};
use super::turns::is_result;
use super::{calls, instructions, media};
use crate::dialects::message::{
    Block, ChatRequest, Content, Extra, Json, Origin, Reasoning, ReasoningField, ReasoningMode, Role, Spelling, Tool,
    Turn, Word,
};
use crate::dialects::{Dialect, DialectError};
use crate::quirks::{HistoryReasoning, PrefillMark, ToolSchema};

const CHAT: Dialect = Dialect::OpenAiChat;
/// What the assistant says where it has to say something and nobody else did.
const ANSWER: &str = "OK.";
/// What a model is told that does not go on with its own turn.
const GO_ON: &str = "Continue.";
/// Members that replies have and requests need not.
const REPLY_ONLY: [&str; 6] =
    ["refusal", "annotations", "audio", "function_call", "reasoning_details", "thinking_blocks"];

pub(super) fn suit(
    request: &mut ChatRequest<'_>,
    source: Dialect,
    demands: &Demands,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    prefill(request, demands, losses)?;
    let quirks = &demands.quirks;
    if demands.dialect != CHAT {
        tools(request, demands, losses)?;
        return Ok(());
    }
    history_reasoning(request, quirks.history_reasoning, losses);
    media::spell(request, source, demands);
    if quirks.no_null_members {
        request.turns.iter_mut().for_each(strip_nulls);
    }
    if quirks.no_name_on_messages {
        for (at, turn) in request.turns.iter_mut().enumerate() {
            if turn.name.take().is_some() {
                losses.lose(&format!("{}.name", turn.place(at)))?;
            }
        }
    }
    if quirks.flatten_text {
        request.turns.iter_mut().enumerate().try_for_each(|(at, turn)| flatten(turn, at, losses))?;
    }
    if quirks.arguments_are_objects {
        calls::arguments_are_objects(&mut request.turns);
    }
    if quirks.answer_after_results {
        answer_after_results(&mut request.turns, losses);
    }
    if source == CHAT || quirks.strict_unsupported || quirks.tool_schema.is_some() {
        tools(request, demands, losses)?;
    }
    Ok(())
}

/// A last turn of the assistant, which some models go on with, some do when it is marked, and some refuse.
fn prefill(request: &mut ChatRequest<'_>, demands: &Demands, losses: &mut Losses) -> Result<(), DialectError> {
    let at = request.turns.len().saturating_sub(1);
    let Some(last) = request.turns.last_mut().filter(|turn| turn.role == Role::Assistant) else {
        return Ok(());
    };
    if last.blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_))) {
        return Ok(());
    }
    if demands.capabilities.prefill == Some(false) && demands.quirks.prefill_mark.is_none() {
        losses.lose(&last.place(at).to_string())?;
        request.turns.push(Turn::new(Role::User, vec![Block::text(GO_ON)]));
        return Ok(());
    }
    if demands.dialect == Dialect::AnthropicMessages {
        // Blanks at its end are refused.
        if let Some(Content::Text { text, .. }) = last.blocks.last_mut().map(|block| &mut block.content) {
            let kept = text.trim_end().len();
            if kept < text.len() {
                text.to_mut().truncate(kept);
            }
        }
    }
    let mark = match demands.quirks.prefill_mark {
        Some(PrefillMark::Prefix) => "prefix",
        Some(PrefillMark::Partial) => "partial",
        None => return Ok(()),
    };
    if demands.dialect == CHAT && last.extras.get(CHAT, mark).is_none() {
        let value = Json::written(b"true".to_vec());
        last.extras.push(Extra { dialect: CHAT, name: mark.into(), value });
    }
    Ok(())
}

fn history_reasoning(request: &mut ChatRequest<'_>, rule: HistoryReasoning, losses: &mut Losses) {
    let off = request.reasoning.as_ref().is_some_and(|wish| wish.mode == Some(ReasoningMode::Disabled));
    for (at, turn) in request.turns.iter_mut().enumerate().filter(|(_, turn)| turn.role == Role::Assistant) {
        match rule {
            HistoryReasoning::Keep => {}
            HistoryReasoning::Strip => {
                let here = turn.place(at);
                let mut index = 0;
                turn.blocks.retain(|block| {
                    let goes = matches!(block.content, Content::Reasoning(_));
                    if goes {
                        losses.note(&block.place(here, index).to_string());
                    }
                    index += 1;
                    !goes
                });
                for name in ["reasoning_content", "reasoning", "reasoning_details", "thinking_blocks"] {
                    if turn.extras.take(CHAT, name).is_some_and(|value| value.as_str() != "null") {
                        losses.note(&format!("{here}.{name}"));
                    }
                }
            }
            HistoryReasoning::Require => {
                let has = turn.blocks.iter().any(|block| matches!(block.content, Content::Reasoning(_)));
                if !has && !off {
                    turn.extras.take(CHAT, "reasoning_content");
                    let blank = Reasoning { text: " ".into(), ..Reasoning::default() };
                    turn.blocks.insert(0, Block::new(Content::Reasoning(blank)));
                }
                spell(turn, ReasoningField::ReasoningContent);
            }
            HistoryReasoning::ThinkingPart => {
                // A signature and a blob have no place in such a part.
                spell(turn, ReasoningField::ThinkingPart);
                if turn.blocks.iter().any(|block| matches!(block.content, Content::Reasoning(_))) {
                    turn.spelling = Spelling::Structured;
                }
            }
            HistoryReasoning::Reasoning => spell(turn, ReasoningField::Reasoning),
        }
    }
}

fn spell(turn: &mut Turn<'_>, place: ReasoningField) {
    for block in &mut turn.blocks {
        if let Content::Reasoning(reasoning) = &mut block.content {
            reasoning.field = place;
        }
    }
}

fn strip_nulls(turn: &mut Turn<'_>) {
    let gone: Vec<String> = turn
        .extras
        .of(CHAT)
        .filter(|extra| extra.value.as_str() == "null" || REPLY_ONLY.contains(&extra.name.as_ref()))
        .map(|extra| extra.name.to_string())
        .collect();
    for name in gone {
        turn.extras.take(CHAT, &name);
    }
}

/// Text and nothing else is one string.
fn flatten(turn: &mut Turn<'_>, at: usize, losses: &mut Losses) -> Result<(), DialectError> {
    let place = turn.place(at);
    flatten_blocks(&mut turn.blocks, &mut turn.spelling, place, losses)?;
    for block in &mut turn.blocks {
        if let Content::ToolResult(result) = &mut block.content {
            flatten_blocks(&mut result.blocks, &mut result.spelling, place, losses)?;
        }
    }
    Ok(())
}

fn flatten_blocks(
    blocks: &mut Vec<Block<'_>>,
    spelling: &mut Spelling,
    place: Origin,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let is_media = |block: &Block<'_>| {
        matches!(block.content, Content::Image { .. } | Content::Audio { .. } | Content::File { .. })
    };
    if *spelling != Spelling::Structured || blocks.iter().any(is_media) {
        return Ok(());
    }
    let is_text = |block: &Block<'_>| matches!(block.content, Content::Text { .. });
    let Some(first) = blocks.iter().position(is_text) else {
        return Ok(());
    };
    let mut texts: Vec<String> = Vec::new();
    for block in blocks.iter().filter(|block| is_text(block)) {
        if let Content::Text { text, .. } = &block.content {
            texts.push(text.to_string());
        }
        if block.cache_mark.is_some() {
            losses.lose(&format!("{}.cache_control", block.place(place, 0)))?;
        }
    }
    let mut at = 0;
    blocks.retain(|block| {
        at += 1;
        !is_text(block) || at - 1 == first
    });
    if let Some(block) = blocks.get_mut(first) {
        *block = Block::text(texts.join("\n"));
    }
    *spelling = Spelling::Plain;
    Ok(())
}

fn answer_after_results(turns: &mut Vec<Turn<'_>>, losses: &mut Losses) {
    let is_gap = |pair: &[Turn<'_>]| match pair {
        [before, behind] => {
            before.role == Role::Tool && before.blocks.iter().all(is_result) && behind.role == Role::User
        }
        _ => false,
    };
    while let Some(at) = turns.windows(2).position(is_gap) {
        // What nobody but us put there has no place.
        if let Some(origin) = turns.get(at + 1).and_then(|behind| behind.extras.origin()) {
            losses.note(&origin.to_string());
        }
        turns.insert(at + 1, Turn::new(Role::Assistant, vec![Block::text(ANSWER)]));
    }
}

/// Definitions of tools: what schemas may hold, and whether they can be strict.
fn tools(request: &mut ChatRequest<'_>, demands: &Demands, losses: &mut Losses) -> Result<(), DialectError> {
    let strict = demands.capabilities.strict_tools.unwrap_or(!demands.quirks.strict_unsupported);
    for (at, tool) in request.tools.iter_mut().enumerate() {
        let Tool::Callable(callable) = tool else { continue };
        if !strict && callable.strict.take() == Some(true) {
            losses.lose(&format!("{}.strict", callable.place(at)))?;
        }
        let rules = rules_of(demands, callable.strict == Some(true));
        let Some(parameters) = &callable.parameters else { continue };
        // Google refuses the schema of an object without members.
        if demands.dialect == Dialect::Gemini && schema::is_empty_object(parameters) {
            callable.parameters = None;
            continue;
        }
        if let Some(suited) = rules.and_then(|rules| schema::suit(parameters, &rules)) {
            callable.parameters = Some(suited);
            losses.note(&format!("{}.parameters", callable.place(at)));
        }
    }
    Ok(())
}

fn rules_of(demands: &Demands, strict: bool) -> Option<SchemaRules> {
    match demands.quirks.tool_schema {
        Some(ToolSchema::Inlined) => Some(SchemaRules::INLINED),
        Some(ToolSchema::Bare) => Some(SchemaRules::BARE),
        Some(ToolSchema::OpenApi) => Some(SchemaRules::OPEN_API),
        Some(ToolSchema::OpenAiStrict) if strict => Some(SchemaRules::OPENAI_STRICT),
        None if strict && demands.dialect == Dialect::AnthropicMessages => Some(SchemaRules::ANTHROPIC),
        Some(ToolSchema::OpenAiStrict) | None => None,
    }
}

/// What Claude Code puts in front of its instructions for Anthropic's accounting. It differs from request to request, and
/// no cache would ever find a prompt again that begins with it.
pub(super) fn strip_accounting(request: &mut ChatRequest<'_>, losses: &mut Losses) {
    const HEADER: &str = "x-anthropic-billing-header:";
    if let Some(first) = request.turns.first_mut().filter(|turn| turn.role == Role::System)
        && let Some(block @ Block { content: Content::Text { text, .. }, .. }) = first.blocks.first()
        && text.starts_with(HEADER)
    {
        losses.note(&block.place(Origin::member(Word::System), 0).to_string());
        first.blocks.remove(0);
        if first.blocks.is_empty() {
            request.turns.remove(0);
        }
    }
}

/// How long an answer is to be, in words, where there is no field for it.
pub(super) fn verbosity(request: &mut ChatRequest<'_>) {
    let sentence = match request.verbosity.as_deref() {
        Some("low") => "Answer briefly.",
        Some("high") => "Answer in detail.",
        _ => return,
    };
    request.verbosity = None;
    instructions::add(request, sentence);
}
