//! What a request only names and the client's own provider holds: the beginning of a conversation, a stored prompt, a cache.
//!
//! No other server has it, so an answer would be to something else than was asked. The refusal has the code, where there
//! is one, on which clients send everything again.

use super::demands::refusal;
use crate::dialects::message::{ChatRequest, Content, Json};
use crate::dialects::object::{self, Object};
use crate::dialects::{Dialect, DialectError, Place};

const WHOLE: &str = "is not kept here; send the whole conversation";
const HELD: [(Dialect, &str, Option<&str>, &str); 6] = [
    (Dialect::AnthropicMessages, "thread", Some("thread_unsupported_request"), WHOLE),
    (Dialect::OpenAiResponses, "previous_response_id", Some("previous_response_not_found"), WHOLE),
    (Dialect::OpenAiResponses, "conversation", Some("conversation_not_found"), WHOLE),
    (Dialect::OpenAiResponses, "prompt", None, "is not kept here; send the prompt itself"),
    (Dialect::Gemini, "cachedContent", None, "is not kept here; send the content itself"),
    (Dialect::CohereV2, "documents", None, "cannot be said to this model; send the documents as messages"),
];

/// Refuses a request that goes on with what this target has never seen.
pub(super) fn refuse(request: &ChatRequest<'_>) -> Result<(), DialectError> {
    for (dialect, name, code, message) in HELD {
        let said = |value: &Json<'_>| !matches!(value.as_str(), "null" | "[]");
        if request.extras.get(dialect, name).is_some_and(said) {
            let error = Place::Document.member(name).refuse(message);
            return Err(DialectError { code, ..error });
        }
    }
    for (at, turn) in request.turns.iter().enumerate() {
        for (index, block) in turn.blocks.iter().enumerate() {
            if let Content::Opaque { dialect: Dialect::OpenAiResponses, raw } = &block.content
                && is_reference(raw)
            {
                return Err(refusal(&block.place(&turn.place(at), index), WHOLE));
            }
        }
    }
    Ok(())
}

/// An item by its name alone, or a conversation that only its maker can read. The name of a reasoning is none: nobody else
/// could read that anyway.
fn is_reference(item: &Json<'_>) -> bool {
    let raw = item.as_raw();
    let item = raw.as_deref().and_then(Object::lenient);
    let text = |name: &str| item.as_ref().and_then(|item| item.peek(name)).and_then(object::text);
    match text("type").as_deref() {
        Some("item_reference") => !text("id").is_some_and(|id| id.starts_with("rs_")),
        Some("compaction" | "compaction_summary") => true,
        _ => false,
    }
}
