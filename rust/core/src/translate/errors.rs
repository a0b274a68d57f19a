//! Errors in the words of the dialect that will read them.

use bytes::Bytes;

use crate::dialects::Dialect;
use crate::dialects::message::{Envelope, ErrorReply, Event, Extra, Json};
use crate::failure::{Failure, render_openai_error_event};
use crate::sse::writer;

const REQUEST_ID: &str = "request_id";

/// Says an error of `source`, told with this HTTP status, in `target`; gives the status it has there. `request_id` stands
/// in the body where the target's clients look for it there: ours, not the upstream's, as it does in the head.
pub fn error(body: &[u8], source: Dialect, target: Dialect, status: u16, request_id: &str) -> (u16, Bytes) {
    let mut error = source.parse_error(body);
    let overloaded = error.kind.as_deref() == Some("overloaded_error");
    let status = if overloaded && target == Dialect::AnthropicMessages { 529 } else { status };
    suit(&mut error, target, status);
    if target == Dialect::AnthropicMessages && !request_id.is_empty() {
        error.extras.take(target, REQUEST_ID);
        error.extras.push(Extra { dialect: target, name: REQUEST_ID.into(), value: Json::quoted(request_id) });
    }
    (status, target.render_error(&error))
}

/// The event that ends a client's stream in place of its end. Empty for a dialect without streams.
pub fn error_event(dialect: Dialect, failure: &Failure) -> Bytes {
    if dialect == Dialect::OpenAiChat {
        return render_openai_error_event(failure);
    }
    let mut out = Vec::new();
    if let Some(mut writer) = dialect.writer(&Envelope::default()) {
        writer.render_event(&Event::Error(told(failure, dialect)), &mut out);
    }
    out.into()
}

/// The same with an error that is told in this dialect's words already.
pub fn quoted_event(dialect: Dialect, error: &[u8]) -> Bytes {
    if dialect == Dialect::OpenAiChat {
        return writer::data(error);
    }
    let mut out = Vec::new();
    if let Some(mut writer) = dialect.writer(&Envelope::default()) {
        writer.render_event(&Event::Error(dialect.parse_error(error)), &mut out);
    }
    out.into()
}

/// A failure of ours, for a dialect to say.
pub fn told(failure: &Failure, target: Dialect) -> ErrorReply<'static> {
    let mut error = ErrorReply {
        message: failure.message.clone(),
        kind: Some(failure.openai_type().into()),
        code: Some(failure.code.into()),
        param: failure.param.clone(),
        ..ErrorReply::default()
    };
    suit(&mut error, target, failure.status);
    error
}

/// Leaves the word for the kind of error to the target where it has words of its own: each has one for every status.
fn suit(error: &mut ErrorReply<'_>, target: Dialect, status: u16) {
    error.status = Some(status);
    if matches!(target, Dialect::AnthropicMessages | Dialect::Gemini | Dialect::BedrockConverse) {
        error.kind = None;
    }
}
