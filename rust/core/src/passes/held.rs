//! What a request only names and the client's own provider holds: the beginning of a conversation, a stored prompt, a cache.
//!
//! No other server has it, so an answer would be to something else than was asked. The refusal has the code, where there
//! is one, on which clients send everything again.

use super::demands::refusal;
use crate::dialects::message::{ChatRequest, Content, Json};
use crate::dialects::object::{self, Object};
use crate::dialects::{Dialect, DialectError, Place};

const WHOLE: &str = "is not kept here; send the whole conversation";
/// Conversations, and the codes of their refusals.
const CONVERSATIONS: [(Dialect, &str, &str); 3] = [
    (Dialect::AnthropicMessages, "thread", "thread_unsupported_request"),
    (Dialect::OpenAiResponses, "previous_response_id", "previous_response_not_found"),
    (Dialect::OpenAiResponses, "conversation", "conversation_not_found"),
];
/// What else is named, and what to send in its place.
const OTHERS: [(Dialect, &str, &str); 3] = [
    (Dialect::OpenAiResponses, "prompt", "is not kept here; send the prompt itself"),
    (Dialect::Gemini, "cachedContent", "is not kept here; send the content itself"),
    (Dialect::CohereV2, "documents", "cannot be said to this model; send the documents as messages"),
];

/// Refuses a request that goes on with what this target has never seen.
pub(super) fn refuse(request: &ChatRequest<'_>) -> Result<(), DialectError> {
    let says = |dialect, name| {
        let value = request.extras.get(dialect, name);
        value.is_some_and(|value: &Json<'_>| !matches!(value.as_str(), "null" | "[]"))
    };
    if let Some((_, name, code)) = CONVERSATIONS.into_iter().find(|(dialect, name, _)| says(*dialect, name)) {
        let error = Place::Document.member(name).refuse(WHOLE);
        return Err(DialectError { code: Some(code), ..error });
    }
    if let Some((_, name, message)) = OTHERS.into_iter().find(|(dialect, name, _)| says(*dialect, name)) {
        return Err(Place::Document.member(name).refuse(message));
    }
    for (at, turn) in request.turns.iter().enumerate() {
        for (index, block) in turn.blocks.iter().enumerate() {
            if let Content::Opaque { dialect: Dialect::OpenAiResponses, raw } = &block.content
                && is_reference(raw)
            {
                return Err(refusal(&block.place(turn.place(at), index).to_string(), WHOLE));
            }
        }
    }
    Ok(())
}

/// An item by its name alone, or a conversation that only its maker can read. The name of a reasoning is none: nobody else
/// could read that anyway.
fn is_reference(item: &Json<'_>) -> bool {
    let raw = item.as_raw();
    let item = raw.and_then(Object::lenient);
    let text = |name: &str| item.as_ref().and_then(|item| item.peek(name)).and_then(object::text);
    match text("type").as_deref() {
        Some("item_reference") => !text("id").is_some_and(|id| id.starts_with("rs_")),
        Some("compaction" | "compaction_summary") => true,
        _ => false,
    }
}
