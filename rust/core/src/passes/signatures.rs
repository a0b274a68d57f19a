//! Proofs that only their maker understands: signatures of reasoning and of calls, and reasoning that is hidden in a blob.
//!
//! The rule: a proof goes back to the dialect it came from and to no other. For that it is told to clients of other
//! dialects with its origin in front, in base64, because some clients decode it. The surprise: a proof that comes without
//! an origin was made by the dialect it comes in, except in chat, which makes none: there its place or its format tells.
//! Clients whose dialect has no place for the proof of a call are told it as hidden reasoning in front of the call.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem::Finder;
use smallvec::SmallVec;

use super::ReasoningStyle;
use super::demands::{Demands, Losses};
use crate::dialects::message::{Block, ChatRequest, Content, Extras, Json, Role, Text, Turn};
use crate::dialects::{Dialect, DialectError};

/// What a marked proof begins with once it is decoded, and what that comes to in base64: nine bytes are twelve letters.
const MARK: &str = "fastroute:";
const MARK_ENCODED: &str = "ZmFzdHJvdXRl";
/// Behind the origin of a proof that is a call's.
const OF_CALL: &str = "/call";
/// Google's documented word for "there is no signature, and that is on purpose".
const SENTINEL: &str = "skip_thought_signature_validator";

/// A proof as a client of another dialect is told it.
pub(super) fn mark(origin: Dialect, proof: &str) -> String {
    STANDARD.encode(format!("{MARK}{}:{proof}", origin.name()))
}

/// The proof of a call as a client is told it who has no place for one.
pub(super) fn mark_call(origin: Dialect, proof: &str) -> String {
    STANDARD.encode(format!("{MARK}{}{OF_CALL}:{proof}", origin.name()))
}

/// Whether clients of a dialect have no place for the proof of a call, but one for hidden reasoning.
pub(super) fn hides_calls_proofs(client: Dialect) -> bool {
    matches!(client, Dialect::AnthropicMessages | Dialect::OpenAiResponses)
}

/// Whether a request holds proofs that were told with their origin. They must not reach a target as they are, not even one
/// that speaks as the client does. A mark in the middle of a text is found as well, which does no harm.
pub fn holds_marks<'f>(frames: impl IntoIterator<Item = &'f [u8]>) -> bool {
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK_ENCODED));
    let (finder, most) = (&*FINDER, MARK_ENCODED.len() - 1);
    // The last bytes so far: a mark may be cut between two frames.
    let mut seam: SmallVec<[u8; 24]> = SmallVec::new();
    for frame in frames {
        seam.extend_from_slice(frame.get(..most).unwrap_or(frame));
        if finder.find(&seam).is_some() || finder.find(frame).is_some() {
            return true;
        }
        if let Some(tail) = frame.len().checked_sub(most).and_then(|from| frame.get(from..)) {
            seam.clear();
            seam.extend_from_slice(tail);
        } else {
            seam.drain(..seam.len().saturating_sub(most));
        }
    }
    false
}

/// What stands before and behind the colon of a marked proof.
fn decoded(marked: &str) -> Option<(String, String)> {
    if !marked.starts_with(MARK_ENCODED) {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(marked).ok()?).ok()?;
    let (origin, proof) = decoded.strip_prefix(MARK)?.split_once(':')?;
    Some((origin.to_owned(), proof.to_owned()))
}

/// The origin of a marked proof, and the proof.
fn unmark(marked: &str) -> Option<(Dialect, String)> {
    let (origin, proof) = decoded(marked)?;
    Some((Dialect::from_name(&origin)?, proof))
}

/// The same of a block that is nothing but the proof of the call behind it.
fn unmark_call(block: &Block<'_>) -> Option<(Dialect, String)> {
    let Content::Reasoning(reasoning) = &block.content else {
        return None;
    };
    let (origin, proof) = decoded(reasoning.redacted.as_deref()?)?;
    Some((Dialect::from_name(origin.strip_suffix(OF_CALL)?)?, proof))
}

/// The proof as `target` made it; `None` where another dialect did.
fn returned(proof: Text<'_>, unmarked: Option<Dialect>, target: Dialect) -> Option<Text<'_>> {
    match unmark(&proof) {
        Some((origin, proof)) => (origin == target).then_some(Text::Owned(proof)),
        None => (unmarked == Some(target)).then_some(proof),
    }
}

/// Who made the unmarked reasoning of a block.
fn maker(source: Dialect, extras: &Extras<'_>) -> Option<Dialect> {
    if source != Dialect::OpenAiChat {
        return Some(source);
    }
    let format = extras.get(source, "format")?.as_str().trim_matches('"');
    [("anthropic", Dialect::AnthropicMessages), ("google", Dialect::Gemini), ("openai", Dialect::OpenAiResponses)]
        .into_iter()
        .find(|(name, _)| format.starts_with(name))
        .map(|(_, dialect)| dialect)
}

/// Gives each proof back to its maker, and takes out those of others.
pub(super) fn sort(
    request: &mut ChatRequest<'_>,
    source: Dialect,
    demands: &Demands,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let target = demands.dialect;
    for (at, turn) in request.turns.iter_mut().enumerate() {
        if source == Dialect::OpenAiChat && source != target {
            join_pieces(&mut turn.blocks);
        }
        let here = turn.place(at);
        for lost in of_turn(turn, &here, source, target) {
            losses.lose(&lost)?;
        }
    }
    if target == Dialect::Gemini && demands.capabilities.reasoning_style == Some(ReasoningStyle::Level) {
        excuse(request);
    }
    Ok(())
}

/// Sorts the proofs of one turn. Gives the names of those that are lost, or of what goes without them.
fn of_turn(turn: &mut Turn<'_>, here: &str, source: Dialect, target: Dialect) -> Vec<String> {
    let mut lost = Vec::new();
    let mut at = 0;
    // The proof of the next call, where its maker is asked again, and its place.
    let mut next: Option<(String, Option<String>)> = None;
    turn.blocks.retain_mut(|block| {
        let place = block.place(here, at);
        let its_proof = format!("{place}.signature");
        at += 1;
        if let Some((origin, proof)) = unmark_call(block) {
            lost.extend(next.replace((its_proof, (origin == target).then_some(proof))).map(|(unused, _)| unused));
            return false;
        }
        let is_hidden = matches!(&block.content, Content::Reasoning(reasoning) if reasoning.text.is_empty());
        let (keep, whole) = of_block(block, source, target);
        if !whole {
            lost.push(match (keep, is_hidden) {
                (true, _) => its_proof,
                (false, true) => format!("{place}.redacted"),
                (false, false) => place,
            });
        }
        if let Content::ToolCall(call) = &mut block.content
            && let Some((place, proof)) = next.take()
        {
            if proof.is_none() {
                lost.push(place);
            }
            call.signature = call.signature.take().or(proof.map(Text::Owned));
        }
        keep
    });
    lost.extend(next.map(|(unused, _)| unused));
    lost
}

/// A client that keeps the details of a stream as they came sends one reasoning back in pieces, its proof behind it.
fn join_pieces(blocks: &mut Vec<Block<'_>>) {
    fn number<'b>(block: &'b Block<'_>) -> Option<&'b str> {
        block.extras.get(Dialect::OpenAiChat, "index").map(Json::as_str)
    }
    let mut joined: Vec<Block<'_>> = Vec::with_capacity(blocks.len());
    for block in blocks.drain(..) {
        let same = joined.last().is_some_and(|last| number(last).is_some() && number(last) == number(&block));
        match (joined.last_mut().map(|last| &mut last.content), &block.content) {
            (Some(Content::Reasoning(last)), Content::Reasoning(next))
                if same && last.signature.is_none() && last.redacted.is_none() && next.redacted.is_none() =>
            {
                last.text.to_mut().push_str(&next.text);
                last.signature.clone_from(&next.signature);
            }
            // The proof of a summary stands beside it.
            (Some(Content::Reasoning(last)), Content::Reasoning(next))
                if last.summary && last.signature.is_none() && next.redacted.is_some() && next.text.is_empty() =>
            {
                last.signature.clone_from(&next.redacted);
            }
            _ => joined.push(block),
        }
    }
    *blocks = joined;
}

/// Whether the block stays, and whether it lost nothing.
fn of_block(block: &mut Block<'_>, source: Dialect, target: Dialect) -> (bool, bool) {
    // A request that stays in its dialect keeps what it came with, but for our own marks.
    let own = |maker: Option<Dialect>| if source == target { Some(target) } else { maker };
    // What was made without a proof is told to some clients with an empty one.
    let has = |proof: &Option<Text<'_>>| proof.as_ref().is_some_and(|proof| source == target || !proof.is_empty());
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
            let maker = own(maker(source, &block.extras));
            let said = (reasoning.signature.take(), reasoning.redacted.take());
            let had = (has(&said.0), has(&said.1));
            reasoning.signature = said.0.and_then(|proof| returned(proof, maker, target));
            reasoning.redacted = said.1.and_then(|proof| returned(proof, maker, target));
            let whole = had == (reasoning.signature.is_some(), reasoning.redacted.is_some());
            // OpenAI takes reasoning back by its proof alone.
            let bare = target == Dialect::OpenAiResponses && source != target;
            let proven = reasoning.signature.is_some() || reasoning.redacted.is_some();
            // Clients of Responses give every text back as a summary; with its maker's proof it is the text that was made.
            reasoning.summary &= !proven || source == target;
            let stays = proven || (!reasoning.text.is_empty() && !bare);
            (stays || source == target, whole && (stays || source == target))
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_proof_is_base64_and_comes_back_as_it_was() {
        for proof in ["", "Eq8B+/=", "öffnen:a:b"] {
            let marked = mark(Dialect::AnthropicMessages, proof);
            assert!(marked.starts_with(MARK_ENCODED), "{marked}");
            assert!(STANDARD.decode(&marked).is_ok());
            assert_eq!(unmark(&marked), Some((Dialect::AnthropicMessages, proof.to_owned())));
        }
        let marked = mark_call(Dialect::Gemini, "a:b");
        assert_eq!(unmark(&marked), None, "it is of a call and proves no reasoning");
        for other in ["", "Eq8B", "ZmFzdHJvdXRl", "ZmFzdHJvdXRlOm5vYm9keTp4"] {
            assert_eq!(unmark(other), None, "{other}");
        }
    }

    #[test]
    fn a_mark_is_found_wherever_a_body_is_cut() {
        let body = format!("{{\"data\":\"{}\"}}", mark(Dialect::Gemini, "c2ln"));
        for size in 1..body.len() {
            assert!(holds_marks(body.as_bytes().chunks(size)), "in pieces of {size}");
        }
        let other = body.replace("ZmFzd", "ZmFzD");
        for size in 1..other.len() {
            assert!(!holds_marks(other.as_bytes().chunks(size)), "in pieces of {size}");
        }
    }
}
