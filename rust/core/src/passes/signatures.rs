//! Proofs that only their maker understands: signatures of reasoning and of calls, and reasoning that is hidden in a blob.
//!
//! The rule: a proof goes back to the dialect it came from and to no other. For that it is told to clients of other
//! dialects with its origin in front, in base64, because some clients decode it. The surprise: a proof that comes without
//! an origin was made by the dialect it comes in, except in chat, which makes none: there its place or its format tells.
//! Reasoning that came without a proof is told with the mark of its maker and nothing behind it where the client's own
//! server would refuse it as it is: without one it would pass for that server's, on a route that changes makers. Clients
//! whose dialect has no place for the proof of a call are told it as hidden reasoning in front of the call.

mod marks;
mod pieces;

use super::ReasoningStyle;
use super::demands::{Demands, Losses};
use crate::dialects::message::{
    Block, ChatRequest, Content, Extras, Origin, ReasoningField, ReasoningMode, Role, Text, Turn,
};
use crate::dialects::{Dialect, DialectError};
use marks::Mark;
pub use marks::holds_marks;
pub(super) use marks::{mark, mark_call};

/// Google's documented word for "there is no signature, and that is on purpose".
const SENTINEL: &str = "skip_thought_signature_validator";

/// Whether a client is told the proof of a call as hidden reasoning. One of Anthropic's that did not ask for thoughts
/// expects none in front of its answer: it is told the proof with the call, where its SDKs keep what they do not know.
/// One that does think is told it in the form that every agent brings back.
pub(super) fn hides_calls_proofs(client: Dialect, request: &ChatRequest<'_>) -> bool {
    let mode = request.reasoning.as_ref().and_then(|wish| wish.mode);
    match client {
        Dialect::AnthropicMessages => matches!(mode, Some(ReasoningMode::Enabled | ReasoningMode::Adaptive)),
        Dialect::OpenAiResponses => true,
        _ => false,
    }
}

/// Whether what clients of a dialect send back to its own server must be proven: a thought without a signature is refused
/// as a forged one, and an item with an id of ours as one that nobody stored.
pub(super) fn wants_proofs(client: Dialect) -> bool {
    matches!(client, Dialect::AnthropicMessages | Dialect::OpenAiResponses)
}

/// The dialect and the proof of a block that is nothing but the proof of the call behind it.
fn proof_of_call(block: &Block<'_>) -> Option<(Dialect, String)> {
    let Content::Reasoning(reasoning) = &block.content else {
        return None;
    };
    match Mark::of(reasoning.redacted.as_deref()?) {
        Mark::OfCall(origin, proof) => Some((origin, proof)),
        _ => None,
    }
}

/// The proof as `target` made it; `None` where another dialect did, or where it made none.
fn returned(proof: Text<'_>, unmarked: Option<Dialect>, target: Dialect) -> Option<Text<'_>> {
    match Mark::of(&proof) {
        Mark::None => (unmarked == Some(target)).then_some(proof),
        Mark::Of(origin, proof) => (origin == target && !proof.is_empty()).then_some(Text::Owned(proof)),
        Mark::OfCall(..) | Mark::Broken => None,
    }
}

fn is_of_others(proof: Option<&Text<'_>>, target: Dialect) -> bool {
    proof.is_some_and(|proof| match Mark::of(proof) {
        Mark::None => false,
        Mark::Of(origin, _) => origin != target,
        Mark::OfCall(..) | Mark::Broken => true,
    })
}

/// Who made the unmarked reasoning of a block.
fn maker(source: Dialect, block: &Block<'_>) -> Option<Dialect> {
    if source != Dialect::OpenAiChat {
        return Some(source);
    }
    if let Content::Reasoning(reasoning) = &block.content
        && reasoning.field == ReasoningField::ThinkingBlocks
    {
        // Of Google's parts LiteLLM has the JSON text in the place of a thought; all others are Anthropic's.
        return (!reasoning.text.starts_with('{')).then_some(Dialect::AnthropicMessages);
    }
    let format = block.extras.get(source, "format")?.as_str().trim_matches('"');
    [("anthropic", Dialect::AnthropicMessages), ("google", Dialect::Gemini), ("openai", Dialect::OpenAiResponses)]
        .into_iter()
        .find(|(name, _)| format.starts_with(name))
        .map(|(_, dialect)| dialect)
}

/// Gives each proof back to its maker, and takes out those of others. Says whether there were any.
pub(super) fn sort(
    request: &mut ChatRequest<'_>,
    source: Dialect,
    demands: &Demands,
    losses: &mut Losses,
) -> Result<bool, DialectError> {
    let target = demands.dialect;
    if source == Dialect::Gemini && source != target {
        pieces::join_turns(&mut request.turns);
    }
    let mut others = false;
    for (at, turn) in request.turns.iter_mut().enumerate() {
        if source != target && matches!(source, Dialect::OpenAiChat | Dialect::Gemini) {
            pieces::join_pieces(&mut turn.blocks, source);
        }
        if source == Dialect::Gemini && source != target && turn.role == Role::Assistant {
            pieces::join_texts(&mut turn.blocks);
        }
        let here = turn.place(at);
        others |= turn.blocks.iter().any(|block| has_others(block, target));
        if source == target && sweep(&mut turn.extras, source) {
            losses.lose(&format!("{here}.signature"))?;
        }
        for lost in of_turn(turn, here, source, target) {
            losses.lose(&lost)?;
        }
    }
    if target == Dialect::Gemini && demands.capabilities.reasoning_style == Some(ReasoningStyle::Level) {
        excuse(request);
    }
    Ok(others)
}

/// Whether a block may go as a whole for the proofs that it holds.
fn has_others(block: &Block<'_>, target: Dialect) -> bool {
    match &block.content {
        Content::Reasoning(reasoning) => {
            [&reasoning.signature, &reasoning.redacted].into_iter().any(|proof| is_of_others(proof.as_ref(), target))
        }
        Content::Opaque { raw, .. } => marks::is_in(raw.as_str()),
        _ => false,
    }
}

/// What the reader of a dialect left as it was goes back to it unread, and may hold a mark all the same.
fn sweep(extras: &mut Extras<'_>, source: Dialect) -> bool {
    let marked = extras.of(source).filter(|extra| marks::is_in(extra.value.as_str()));
    let names: Vec<_> = marked.map(|extra| extra.name.to_string()).collect();
    for name in &names {
        extras.take(source, name);
    }
    !names.is_empty()
}

/// Sorts the proofs of one turn. Gives the names of those that are lost, or of what goes without them.
fn of_turn(turn: &mut Turn<'_>, here: Origin, source: Dialect, target: Dialect) -> Vec<String> {
    let mut lost = Vec::new();
    let mut at = 0;
    // The proof of the next call, where its maker is asked again, and its place.
    let mut next: Option<(Origin, Option<String>)> = None;
    turn.blocks.retain_mut(|block| {
        let place = block.place(here, at);
        at += 1;
        if let Some((origin, proof)) = proof_of_call(block) {
            let unused = next.replace((place, (origin == target).then_some(proof)));
            lost.extend(unused.map(|(unused, _)| format!("{unused}.signature")));
            return false;
        }
        let swept = source == target && sweep(&mut block.extras, source);
        let is_hidden = matches!(&block.content, Content::Reasoning(reasoning) if reasoning.text.is_empty());
        let (keep, whole) = of_block(block, source, target);
        if !whole || swept {
            lost.push(match (keep, is_hidden) {
                (true, _) => format!("{place}.signature"),
                (false, true) => format!("{place}.redacted"),
                (false, false) => place.to_string(),
            });
        }
        if let Content::ToolCall(call) = &mut block.content
            && let Some((place, proof)) = next.take()
        {
            if proof.is_none() {
                lost.push(format!("{place}.signature"));
            }
            call.signature = call.signature.take().or(proof.map(Text::Owned));
        }
        keep
    });
    lost.extend(next.map(|(unused, _)| format!("{unused}.signature")));
    lost
}

/// Whether the block stays, and whether it lost nothing.
fn of_block(block: &mut Block<'_>, source: Dialect, target: Dialect) -> (bool, bool) {
    // A request that stays in its dialect keeps what it came with, but for our own marks.
    let own = |maker: Option<Dialect>| if source == target { Some(target) } else { maker };
    // What was made without a proof is told to some clients with an empty one, or with a mark that has none behind it.
    let has = |proof: &Option<Text<'_>>| {
        proof.as_ref().is_some_and(|proof| match Mark::of(proof) {
            Mark::None => source == target || !proof.is_empty(),
            Mark::Of(_, proof) => !proof.is_empty(),
            Mark::OfCall(..) | Mark::Broken => true,
        })
    };
    let maker_of_block = maker(source, block);
    match &mut block.content {
        Content::ToolCall(call) => {
            // Chat has Google's own place for the signature of a call.
            let maker = if source == Dialect::OpenAiChat { Some(Dialect::Gemini) } else { Some(source) };
            let said = call.signature.take();
            let had = has(&said);
            call.signature = said.and_then(|proof| returned(proof, own(maker), target));
            (true, !had || call.signature.is_some())
        }
        Content::Reasoning(reasoning) => {
            let maker = own(maker_of_block);
            let said = (reasoning.signature.take(), reasoning.redacted.take());
            let had = (has(&said.0), has(&said.1));
            let is_own = source == target && ![&said.0, &said.1].into_iter().any(|p| is_of_others(p.as_ref(), target));
            reasoning.signature = said.0.and_then(|proof| returned(proof, maker, target));
            reasoning.redacted = said.1.and_then(|proof| returned(proof, maker, target));
            let whole = had == (reasoning.signature.is_some(), reasoning.redacted.is_some());
            // OpenAI takes reasoning back by its proof alone.
            let bare = target == Dialect::OpenAiResponses && !is_own;
            let proven = reasoning.signature.is_some() || reasoning.redacted.is_some();
            // Clients of Responses give every text back as a summary; with its maker's proof it is the text that was made.
            reasoning.summary &= !proven || source == target;
            let stays = proven || (!reasoning.text.is_empty() && !bare);
            (stays || is_own, whole && (stays || is_own))
        }
        Content::Opaque { dialect, raw } if *dialect == target && marks::is_in(raw.as_str()) => (false, false),
        _ => (true, true),
    }
}

/// Models that want a signature with the first call of each turn are told that there is none.
fn excuse(request: &mut ChatRequest<'_>) {
    for turn in request.turns.iter_mut().filter(|turn| turn.role == Role::Assistant) {
        let first = turn.blocks.iter_mut().find_map(|block| match &mut block.content {
            Content::ToolCall(call) => Some(call),
            _ => None,
        });
        if let Some(call) = first
            && call.signature.is_none()
        {
            call.signature = Some(SENTINEL.into());
        }
    }
}
