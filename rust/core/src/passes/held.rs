//! Conversations that the client's own server holds, and of which the request says only the end.
//!
//! No other server has the beginning, so an answer would be to something else than was asked. The refusal has the code on
//! which clients send the whole conversation again.

use crate::dialects::message::ChatRequest;
use crate::dialects::{Dialect, DialectError, Place};

const HELD: [(Dialect, &str, &str); 3] = [
    (Dialect::AnthropicMessages, "thread", "thread_unsupported_request"),
    (Dialect::OpenAiResponses, "previous_response_id", "previous_response_not_found"),
    (Dialect::OpenAiResponses, "conversation", "conversation_not_found"),
];

/// Refuses a request that goes on with what this target has never seen.
pub(super) fn refuse(request: &ChatRequest<'_>) -> Result<(), DialectError> {
    for (dialect, name, code) in HELD {
        if request.extras.get(dialect, name).is_some_and(|value| value.as_str() != "null") {
            let error = Place::Document.member(name).refuse("is not kept here; send the whole conversation");
            return Err(DialectError { code: Some(code), ..error });
        }
    }
    Ok(())
}
