//! Tool calls of the history: paired with their results, declared, and under ids that the target takes.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::CallIds;
use super::turns::{is_blank, is_result};
use crate::dialects::bedrock_converse::DECLARED;
use crate::dialects::message::{
    Block, CallKind, Callable, ChatRequest, Content, Extras, Json, Origin, Role, Spelling, Text, Tool, ToolChoice,
    ToolChoiceMode, ToolResult, Turn,
};
use crate::dialects::{Dialect, mint, output};

/// Mark: a result that the client did not send.
pub(crate) const MADE_UP: &str = "made_up";
/// Said in the place of one.
const NO_RESULT: &str = "no result was given";

/// OpenAI's first form of tools becomes the current one: calls get ids, and each result that of the last call of its name.
pub(super) fn fold_legacy(request: &mut ChatRequest<'_>) {
    for tool in &mut request.tools {
        if let Tool::Callable(callable) = tool
            && callable.kind == CallKind::LegacyFunction
        {
            callable.kind = CallKind::Function;
        }
    }
    if let Some(choice) = &mut request.tool_choice
        && choice.kind == CallKind::LegacyFunction
    {
        choice.kind = CallKind::Function;
    }
    let mut last: HashMap<String, String> = HashMap::new();
    let mut number = 0;
    for block in request.turns.iter_mut().flat_map(|turn| &mut turn.blocks) {
        match &mut block.content {
            Content::ToolCall(call) if call.kind == CallKind::LegacyFunction => {
                call.kind = CallKind::Function;
                call.id = mint::call_id(&call.name, 0, number).into();
                number += 1;
                last.insert(call.name.to_string(), call.id.to_string());
            }
            Content::ToolResult(result) if result.kind == CallKind::LegacyFunction => {
                result.kind = CallKind::Function;
                let id = result.name.as_deref().and_then(|name| last.get(name));
                result.call_id = id.cloned().unwrap_or_default().into();
            }
            _ => {}
        }
    }
}

/// Calls and results of a client whose dialect mostly gives them no ids (Ollama's): each call gets one of its own, and each
/// result that of the first call of its tool, or of any, that has no result yet.
pub(super) fn link(turns: &mut Vec<Turn<'_>>) {
    turns.dedup_by(|turn, before| {
        let calls = |turn: &Turn<'_>| turn.role == Role::Assistant && turn.blocks.iter().any(is_call);
        // What a stream told piece by piece may stand in several turns.
        let goes_on = calls(before) && calls(turn);
        if goes_on {
            before.blocks.append(&mut turn.blocks);
        }
        goes_on
    });
    let mut open: Vec<(String, String)> = Vec::new();
    for (at, turn) in turns.iter_mut().enumerate() {
        let calls = turn.blocks.iter_mut().filter_map(|block| match &mut block.content {
            Content::ToolCall(call) => Some(call),
            _ => None,
        });
        for (number, call) in (0..).zip(calls) {
            if number == 0 {
                open.clear();
            }
            if call.id == mint::call_id("", 0, number) {
                call.id = mint::call_id(&format!("{at}:{}", call.name), 0, number).into();
            }
            open.push((call.name.to_string(), call.id.to_string()));
        }
        for block in &mut turn.blocks {
            let Content::ToolResult(result) = &mut block.content else { continue };
            let is_of = |(name, id): &(String, String)| match result.name.as_deref() {
                _ if !result.call_id.is_empty() => *id == result.call_id,
                Some(named) => name == named,
                None => true,
            };
            if let Some(found) = open.iter().position(is_of) {
                result.call_id = open.remove(found).1.into();
            }
        }
    }
}

fn is_call(block: &Block<'_>) -> bool {
    matches!(block.content, Content::ToolCall(_))
}

/// Every call is answered in the turns behind it, and nothing else is.
///
/// A call without a result gets one that says so; a result without a call becomes text of the user.
pub(super) fn pair(turns: &mut Vec<Turn<'_>>, changed: &mut Vec<String>) {
    let mut paired: Vec<Turn<'_>> = Vec::with_capacity(turns.len());
    // Calls of the last turn of the assistant that no result has named yet.
    let mut open: Vec<(CallKind, String)> = Vec::new();
    for (at, mut turn) in turns.drain(..).enumerate() {
        // Google's SDK keeps the empty end of a stream as a turn of its own, between the calls and their results.
        if !open.is_empty() && turn.role == Role::Assistant && turn.blocks.iter().all(is_blank) {
            continue;
        }
        let answers = turn.role == Role::Tool || turn.blocks.iter().any(is_result);
        if !open.is_empty() && !answers {
            paired.extend(unanswered(&mut open, turn.place(at), changed));
        }
        let place = turn.place(at);
        for block in &mut turn.blocks {
            if let Content::ToolResult(result) = &block.content {
                if let Some(found) = open.iter().position(|(_, id)| *id == result.call_id) {
                    open.remove(found);
                } else {
                    changed.push(format!("{}.tool_call_id", block.place(place, 0)));
                    block.content = orphan(result);
                }
            }
        }
        if turn.role == Role::Tool && !turn.blocks.iter().any(is_result) {
            turn.role = Role::User;
        }
        // A turn of the user closes the results, and whatever it does not answer was not answered.
        let closes = turn.role == Role::User && turn.blocks.iter().any(|block| !is_result(block));
        if closes && !open.is_empty() {
            let missing: Vec<_> = unanswered(&mut open, place, changed).collect();
            let blocks = missing.into_iter().flat_map(|turn| turn.blocks);
            turn.blocks.splice(0..0, blocks);
        }
        if turn.role == Role::Assistant {
            open = turn.blocks.iter().filter_map(call_of).collect();
        }
        paired.push(turn);
    }
    // Calls at the very end are what the client wants to be continued with, not forgotten results.
    *turns = paired;
}

fn call_of(block: &Block<'_>) -> Option<(CallKind, String)> {
    match &block.content {
        Content::ToolCall(call) => Some((call.kind, call.id.to_string())),
        _ => None,
    }
}

fn unanswered<'a>(
    open: &mut Vec<(CallKind, String)>,
    place: Origin,
    changed: &mut Vec<String>,
) -> impl Iterator<Item = Turn<'a>> {
    changed.push(place.to_string());
    std::mem::take(open).into_iter().map(|(kind, id)| {
        let result = ToolResult {
            kind,
            call_id: id.into(),
            name: None,
            blocks: vec![Block::text(NO_RESULT)],
            spelling: Spelling::Plain,
            is_error: Some(true),
        };
        let mut block = Block::new(Content::ToolResult(result));
        block.extras.mark(Dialect::OpenAiChat, MADE_UP, Json::null());
        Turn::new(Role::Tool, vec![block])
    })
}

/// What a result says that nobody asked for, as text.
fn orphan<'a>(result: &ToolResult<'a>) -> Content<'a> {
    let text = result.blocks.iter().filter_map(|block| match &block.content {
        Content::Text { text, .. } => Some(text.as_ref()),
        _ => None,
    });
    Content::Text { text: text.collect::<Vec<_>>().join("\n").into(), citations: Vec::new() }
}

/// A tool that the history calls and that the client does not declare any more is declared without saying what it takes.
pub(super) fn declare_called(request: &mut ChatRequest<'_>) {
    let declared: HashSet<&str> = request
        .tools
        .iter()
        .filter_map(|tool| match tool {
            Tool::Callable(callable) => Some(callable.name.as_ref()),
            Tool::Opaque { .. } => None,
        })
        .collect();
    let mut missing: Vec<String> = Vec::new();
    for block in request.turns.iter().flat_map(|turn| &turn.blocks) {
        if let Content::ToolCall(call) = &block.content
            && !declared.contains(call.name.as_ref())
            && !missing.iter().any(|name| *name == call.name)
        {
            missing.push(call.name.to_string());
        }
    }
    if missing.is_empty() {
        return;
    }
    if declared.is_empty() && request.tool_choice.is_none() {
        // They are there to make the history legal, and not to be called.
        request.tool_choice = Some(ToolChoice { kind: CallKind::Function, mode: ToolChoiceMode::None });
    }
    request.tools.extend(missing.into_iter().map(|name| {
        let mut extras = Extras::default();
        extras.mark(Dialect::BedrockConverse, DECLARED, Json::null());
        Tool::Callable(Callable {
            kind: CallKind::Function,
            name: name.into(),
            description: None,
            parameters: Json::parse(r#"{"type":"object"}"#),
            strict: None,
            cache_mark: None,
            extras,
        })
    }));
}

/// Ids that the target refuses are replaced, the same one by the same, in calls and results alike.
pub(super) fn rewrite_ids(turns: &mut [Turn<'_>], rule: CallIds) {
    if rule == CallIds::Any {
        return;
    }
    let mut rewritten: HashMap<String, String> = HashMap::new();
    let mut taken: HashSet<String> = HashSet::new();
    let mut new_id = |id: &Text<'_>| -> Text<'static> {
        if let Some(known) = rewritten.get(id.as_ref()) {
            return Cow::Owned(known.clone());
        }
        let new = (0..u32::MAX).map(|salt| rule.apply(id, salt)).find(|new| !taken.contains(new)).unwrap_or_default();
        taken.insert(new.clone());
        rewritten.insert(id.to_string(), new.clone());
        Cow::Owned(new)
    };
    for block in turns.iter_mut().flat_map(|turn| &mut turn.blocks) {
        match &mut block.content {
            Content::ToolCall(call) => call.id = new_id(&call.id),
            Content::ToolResult(result) => result.call_id = new_id(&result.call_id),
            _ => {}
        }
    }
}

impl CallIds {
    /// The id itself where it satisfies the rule, else one made from its hash.
    fn apply(self, id: &str, salt: u32) -> String {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fits = match self {
            Self::Any => true,
            Self::Word(longest) => !id.is_empty() && id.len() <= longest && id.bytes().all(word),
            Self::Nine => id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        };
        if fits && salt == 0 {
            return id.to_owned();
        }
        let minted = mint::call_id(id, 0, salt);
        match self {
            Self::Nine => minted.chars().skip("call_".len()).take(9).collect(),
            Self::Any | Self::Word(_) => minted,
        }
    }
}

/// Arguments that are nothing, or no object, become one: some servers read the history's calls and refuse anything else.
pub(super) fn arguments_are_objects(turns: &mut [Turn<'_>]) {
    for block in turns.iter_mut().flat_map(|turn| &mut turn.blocks) {
        let Content::ToolCall(call) = &mut block.content else { continue };
        if call.kind == CallKind::Custom {
            continue;
        }
        let text = call.arguments.trim();
        if matches!(text, "" | "null") {
            call.arguments = "{}".into();
        } else if !(text.starts_with('{') && Json::parse(text).is_some()) {
            let mut out = Vec::new();
            output::object(&mut out, |members| members.text("_raw", text));
            call.arguments = Text::Owned(String::from_utf8(out).unwrap_or_default());
        }
    }
}
