//! Why a message ended: `stopReason`, and the sequence that was met, which the model's own fields tell when asked for.

use super::DIALECT;
use crate::dialects::message::{Extra, Finish, FinishReason, Json, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::output::Members;

const REASON: &str = "stopReason";
const FIELDS: &str = "additionalModelResponseFields";
const SEQUENCE: &str = "stop_sequence";

/// Takes the reason and the model's own fields. A word without a neutral one is the native word, and stays among the
/// extras too: so it is known for ours when it is written again.
pub(super) fn take<'a>(message: &mut Object<'a, '_>, called: bool) -> Option<Finish<'a>> {
    let raw = message.peek(REASON)?;
    let word = message.take_if(REASON, object::text)?;
    let met = if word == SEQUENCE { message.peek(FIELDS).and_then(sequence) } else { None };
    let (reason, neutral) = match word.as_ref() {
        "end_turn" => (FinishReason::Stop, true),
        "max_tokens" => (FinishReason::Length, true),
        "tool_use" => (FinishReason::ToolCalls, true),
        "content_filtered" => (FinishReason::ContentFilter, true),
        "stop_sequence" => (FinishReason::Stop, met.is_some()),
        "guardrail_intervened" => (FinishReason::ContentFilter, false),
        "model_context_window_exceeded" => (FinishReason::Length, false),
        "malformed_model_output" | "malformed_tool_use" => (FinishReason::Error, false),
        _ if called => (FinishReason::ToolCalls, false),
        _ => (FinishReason::Stop, false),
    };
    let mut finish = Finish::new(reason, (!neutral).then_some(word));
    finish.stop_sequence = met;
    if !neutral {
        finish.extras.push(Extra { dialect: DIALECT, name: REASON.into(), value: Json::from(raw) });
    }
    // Kept whole: which path was asked for decides its form.
    if let Some(fields) = message.take_json(FIELDS) {
        finish.extras.push(Extra { dialect: DIALECT, name: FIELDS.into(), value: fields });
    }
    Some(finish)
}

/// The sequence, at either of the two paths that it can be asked for under.
fn sequence(fields: &crate::dialects::raw::RawValue) -> Option<Text<'_>> {
    let mut fields = Object::lenient(fields)?;
    let in_delta = |raw| Object::lenient(raw)?.take_if(SEQUENCE, object::text);
    fields.take_if(SEQUENCE, object::text).or_else(|| fields.take_if("delta", in_delta))
}

/// Whether there is no word for this end here, nor one that came from here.
pub(super) fn is_foreign_error(finish: &Finish<'_>) -> bool {
    finish.reason == FinishReason::Error && finish.extras.get(DIALECT, REASON).is_none()
}

/// Writes the reason and the sequence; the extras are the caller's to write.
pub(super) fn write(message: &mut Members<'_>, finish: &Finish<'_>) {
    if finish.extras.get(DIALECT, REASON).is_none() {
        message.text_if(REASON, word(finish));
    }
    if let Some(met) = finish.stop_sequence.as_deref().filter(|_| finish.extras.get(DIALECT, FIELDS).is_none()) {
        message.object(FIELDS, |fields| fields.text(SEQUENCE, met));
    }
}

/// `None` for an error, which has no word.
fn word(finish: &Finish<'_>) -> Option<&'static str> {
    match finish.reason {
        FinishReason::Stop if finish.stop_sequence.is_some() => Some(SEQUENCE),
        FinishReason::Stop => Some("end_turn"),
        FinishReason::Length => Some("max_tokens"),
        FinishReason::ToolCalls | FinishReason::FunctionCall => Some("tool_use"),
        FinishReason::ContentFilter => Some("content_filtered"),
        FinishReason::Error => None,
    }
}
