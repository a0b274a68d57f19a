//! Where things stand in the request that a client wrote: whatever is refused or left out of it is named so that the client
//! finds it.
//!
//! The rule: passes and renderers name the members of a request as chat does, and what stands in lists by the origin it
//! carries; only here a name becomes the client's own. Its surprise: it has to be asked before anything is moved.

mod spelled;

use std::collections::HashSet;

use crate::dialects::message::{Block, CallKind, ChatRequest, Content, Origin, ReasoningField, Role, Tool, Turn, Word};
use crate::dialects::message::{EmbeddingsRequest, ResponseFormat, Spelling, ToolResult};
use crate::dialects::{Dialect, DialectError, gemini, openai_responses};
use spelled::Spelled;

/// How a client names what it wrote.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    source: Dialect,
    spelled: Spelled,
}

impl Places {
    /// Writes to all turns, blocks and tools where they stand.
    pub(super) fn of(request: &mut ChatRequest<'_>, source: Dialect) -> Self {
        let spelled = Spelled::of(request, source);
        match source {
            Dialect::OpenAiResponses => of_items(request),
            Dialect::Gemini => of_contents(&mut request.turns),
            Dialect::AnthropicMessages | Dialect::BedrockConverse => of_messages(&mut request.turns, source),
            Dialect::OpenAiCompletions => {
                request.turns.iter_mut().for_each(|turn| put_all(turn, Origin::member(Word::Prompt)));
            }
            _ => of_chat(&mut request.turns, source),
        }
        of_tools(&mut request.tools, source);
        Self { source, spelled }
    }

    /// For texts that are to become vectors.
    pub(super) fn of_inputs(request: &EmbeddingsRequest<'_>, source: Dialect) -> Self {
        Self { source, spelled: Spelled::of_inputs(request, source) }
    }

    /// For a request that is no conversation.
    pub(super) fn plain(source: Dialect) -> Self {
        Self { source, spelled: Spelled::default() }
    }

    pub(super) fn name(&self, name: &str) -> String {
        self.spelled.name(name, self.source)
    }

    /// Each once: what one member of the client's says may be several of others'.
    pub(super) fn names(&self, names: Vec<String>) -> Vec<String> {
        let mut known = HashSet::with_capacity(names.len());
        names.into_iter().map(|name| self.name(&name)).filter(|name| known.insert(name.clone())).collect()
    }

    pub(super) fn error(&self, error: DialectError) -> DialectError {
        let Some(param) = error.param.as_deref().map(|param| self.name(param)) else {
            return error;
        };
        let pointer = format!("/{}", param.replace(['.', '['], "/").replace(']', ""));
        DialectError { pointer, param: Some(param), ..error }
    }
}

fn put(block: &mut Block<'_>, origin: Origin) {
    block.extras.place(Some(origin));
}

/// The turn, and everything in it, stands in one place.
fn put_all(turn: &mut Turn<'_>, origin: Origin) {
    turn.extras.place(Some(origin));
    turn.blocks.iter_mut().for_each(|block| put(block, origin));
}

/// The number of a part, where there is a list of them.
fn numbered(spelling: Spelling, at: usize) -> Option<usize> {
    (spelling == Spelling::Structured).then_some(at)
}

fn put_inside(result: &mut ToolResult<'_>, here: Origin, word: Word) {
    for (at, inner) in result.blocks.iter_mut().enumerate() {
        put(inner, here.part(word, numbered(result.spelling, at)));
    }
}

fn of_chat(turns: &mut [Turn<'_>], source: Dialect) {
    for (at, turn) in turns.iter_mut().enumerate() {
        let here = Origin::item(Word::Messages, at);
        turn.extras.place(Some(here));
        let (role, spelling) = (turn.role, turn.spelling);
        let (mut parts, mut calls, mut images, mut details) = (0, 0, 0, 0);
        let next = |counter: &mut usize| {
            *counter += 1;
            *counter - 1
        };
        for block in &mut turn.blocks {
            let word = field_of(block, role, source);
            let at = match word {
                Word::Content => numbered(spelling, next(&mut parts)),
                Word::ToolCalls => Some(next(&mut calls)),
                Word::Images => Some(next(&mut images)),
                Word::ReasoningDetails | Word::ThinkingBlocks => Some(next(&mut details)),
                _ => None,
            };
            let is_result = matches!(block.content, Content::ToolResult(_));
            // A result is a message of its own.
            put(block, if is_result { here } else { here.part(word, at) });
            if let Content::ToolResult(result) = &mut block.content {
                put_inside(result, here, Word::Content);
            }
        }
    }
}

/// The member of a message that a block stands in.
fn field_of(block: &Block<'_>, role: Role, source: Dialect) -> Word {
    let answers = role == Role::Assistant;
    match &block.content {
        Content::ToolCall(call) if call.kind == CallKind::LegacyFunction => Word::FunctionCall,
        Content::ToolCall(_) => Word::ToolCalls,
        Content::Reasoning(_) if source == Dialect::Ollama => Word::Thinking,
        Content::Reasoning(_) if source == Dialect::CohereV2 => {
            let is_plan = block.extras.get(source, "tool_plan").is_some();
            if is_plan { Word::ToolPlan } else { Word::Content }
        }
        Content::Reasoning(reasoning) => match reasoning.field {
            ReasoningField::ReasoningContent => Word::ReasoningContent,
            ReasoningField::Reasoning => Word::Reasoning,
            ReasoningField::ReasoningDetails => Word::ReasoningDetails,
            ReasoningField::ThinkingBlocks => Word::ThinkingBlocks,
            ReasoningField::ThinkingPart => Word::Content,
        },
        Content::Refusal { spelling: Spelling::Plain, .. } if source == Dialect::OpenAiChat => Word::Refusal,
        Content::Image { .. } if answers || source == Dialect::Ollama => Word::Images,
        Content::Audio { .. } if answers => Word::Audio,
        _ => Word::Content,
    }
}

fn of_messages(turns: &mut [Turn<'_>], source: Dialect) {
    let beside = |turn: &Turn<'_>| turn.role == Role::System && turn.extras.get(source, "role").is_none();
    let systems = usize::from(turns.first().is_some_and(beside));
    for (at, turn) in turns.iter_mut().enumerate() {
        let spelling = turn.spelling;
        let Some(at) = at.checked_sub(systems) else {
            turn.extras.place(Some(Origin::member(Word::System)));
            let mut marks = 0;
            for (at, block) in turn.blocks.iter_mut().enumerate() {
                let at = at + marks;
                marks += usize::from(stands_behind(block, source));
                let listed = numbered(spelling, at).map(|at| Origin::item(Word::System, at));
                put(block, listed.unwrap_or(Origin::member(Word::System)));
            }
            continue;
        };
        let here = Origin::item(Word::Messages, at);
        turn.extras.place(Some(here));
        let mut marks = 0;
        for (at, block) in turn.blocks.iter_mut().enumerate() {
            let here = here.part(Word::Content, numbered(spelling, at + marks));
            marks += usize::from(stands_behind(block, source));
            put(block, here);
            if let Content::ToolResult(result) = &mut block.content {
                put_inside(result, here, Word::Content);
            }
        }
    }
}

/// Whether the mark of a block is a block of its own, behind it.
fn stands_behind(block: &Block<'_>, source: Dialect) -> bool {
    source == Dialect::BedrockConverse && block.cache_mark.is_some()
}

fn of_contents(turns: &mut [Turn<'_>]) {
    let systems = usize::from(turns.first().is_some_and(|turn| turn.role == Role::System));
    for (at, turn) in turns.iter_mut().enumerate() {
        let here = match at.checked_sub(systems) {
            Some(at) => Origin::item(Word::Contents, at),
            None => Origin::member(Word::SystemInstruction),
        };
        turn.extras.place(Some(here));
        for (at, block) in turn.blocks.iter_mut().enumerate() {
            let here = here.part(Word::Parts, Some(at));
            put(block, here);
            let Content::ToolResult(result) = &mut block.content else { continue };
            // What it responds is the first block, and its parts are the others.
            let responses = usize::from(result.spelling != Spelling::Absent);
            for (at, inner) in result.blocks.iter_mut().enumerate() {
                put(
                    inner,
                    match at.checked_sub(responses) {
                        Some(at) => here.part(Word::FunctionResponseParts, Some(at)),
                        None => here.part(Word::FunctionResponse, None),
                    },
                );
            }
        }
    }
}

/// What the model made is one turn of many items.
fn of_items(request: &mut ChatRequest<'_>) {
    let whole = openai_responses::is_one_text(request);
    let mut items = 0;
    for turn in &mut request.turns {
        if openai_responses::stands_beside(turn) {
            put_all(turn, Origin::member(Word::Instructions));
            continue;
        }
        if whole {
            put_all(turn, Origin::member(Word::Input));
            continue;
        }
        let mut here = Origin::item(Word::Input, items);
        turn.extras.place(Some(here));
        if turn.role != Role::Assistant {
            items += 1;
            let spelling = turn.spelling;
            for (at, block) in turn.blocks.iter_mut().enumerate() {
                if let Content::ToolResult(result) = &mut block.content {
                    put_inside(result, here, Word::Output);
                    put(block, here);
                } else {
                    put(block, here.part(Word::Content, numbered(spelling, at)));
                }
            }
            continue;
        }
        let mut parts = 0;
        for block in &mut turn.blocks {
            if openai_responses::begins_item(block) {
                here = Origin::item(Word::Input, items);
                (items, parts) = (items + 1, 0);
            }
            let is_part = openai_responses::is_part_of_message(block);
            let at = (!openai_responses::is_whole_content(block)).then_some(parts);
            put(block, if is_part { here.part(Word::Content, at) } else { here });
            parts += usize::from(is_part);
        }
    }
}

fn of_tools(tools: &mut [Tool<'_>], source: Dialect) {
    // Google's entries hold many functions; the rest of one stands in front of those that belong to it.
    let (mut entries, mut functions, mut room) = (0, 0, 0);
    for tool in tools {
        match tool {
            Tool::Opaque { raw, .. } => {
                room = if source == Dialect::Gemini { gemini::room(raw) } else { 0 };
                (entries, functions) = (entries + 1, if source == Dialect::Gemini { 0 } else { functions });
            }
            Tool::Callable(callable) if source == Dialect::Gemini => {
                if entries == 0 {
                    (entries, room) = (1, u64::MAX);
                }
                if room > 0 {
                    let entry = Origin::item(Word::Tools, entries - 1);
                    callable.extras.place(Some(entry.part(Word::FunctionDeclarations, Some(functions))));
                    (functions, room) = (functions + 1, room - 1);
                }
            }
            Tool::Callable(callable) if callable.kind == CallKind::LegacyFunction => {
                callable.extras.place(Some(Origin::item(Word::Functions, functions)));
                functions += 1;
            }
            Tool::Callable(callable) => {
                callable.extras.place(Some(Origin::item(Word::Tools, entries)));
                entries += 1;
            }
        }
    }
}

/// Whether the answer is to hold to a schema.
fn has_schema(request: &ChatRequest<'_>) -> bool {
    matches!(request.response_format, Some(ResponseFormat::JsonSchema { .. }))
}
