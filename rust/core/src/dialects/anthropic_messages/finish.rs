//! Why a message ended: `stop_reason`, the sequence that was met, and the explanation of a refusal.

use super::DIALECT;
use crate::dialects::message::{Extra, Extras, Finish, FinishReason, Json, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::output::Members;

const REASON: &str = "stop_reason";
const SEQUENCE: &str = "stop_sequence";
const DETAILS: &str = "stop_details";
const EXPLANATION: &str = "explanation";

/// Takes the reason and the sequence. A word without a neutral one is the native word, and stays among the extras too:
/// so it is known for ours when it is written again.
pub(super) fn take<'a>(message: &mut Object<'a, '_>, called: bool) -> Option<Finish<'a>> {
    let raw = message.peek(REASON)?;
    let word = message.take_if(REASON, object::text)?;
    let met = if word == SEQUENCE { message.take_if(SEQUENCE, object::text) } else { None };
    let (reason, neutral) = match word.as_ref() {
        "end_turn" => (FinishReason::Stop, true),
        "max_tokens" => (FinishReason::Length, true),
        "tool_use" => (FinishReason::ToolCalls, true),
        "refusal" => (FinishReason::ContentFilter, true),
        "stop_sequence" => (FinishReason::Stop, met.is_some()),
        "model_context_window_exceeded" => (FinishReason::Length, false),
        _ if called => (FinishReason::ToolCalls, false),
        _ => (FinishReason::Stop, false),
    };
    let mut finish = Finish::new(reason, (!neutral).then_some(word));
    finish.stop_sequence = met;
    if !neutral {
        finish.extras.push(Extra { dialect: DIALECT, name: REASON.into(), value: Json::from(raw) });
    }
    Some(finish)
}

/// Takes the explanation of a refusal, where it is all that was said; the other details go among the extras.
pub(super) fn take_explanation<'a>(message: &mut Object<'a, '_>, extras: &mut Extras<'a>) -> Option<Text<'a>> {
    let mut details = message.peek(DETAILS).and_then(Object::lenient)?;
    let explanation = details.take_if(EXPLANATION, object::text)?;
    message.forget(DETAILS);
    extras.push(details.into_rest(DIALECT, DETAILS));
    Some(explanation)
}

/// Whether a refusal that is all there is goes into the details of this finish: it came from there, or a filter said it in
/// the place of an answer.
pub(super) fn explains(finish: Option<&Finish<'_>>) -> bool {
    finish.is_some_and(|finish| match finish.extras.get(DIALECT, DETAILS) {
        Some(_) => details_without_explanation(&finish.extras).is_some(),
        None => finish.reason == FinishReason::ContentFilter,
    })
}

fn details_without_explanation<'e>(extras: &'e Extras<'_>) -> Option<&'e Json<'e>> {
    let details = extras.get(DIALECT, DETAILS)?;
    let raw = details.as_raw()?;
    let lacks = Object::lenient(raw).is_some_and(|details| !details.has(EXPLANATION));
    lacks.then_some(details)
}

/// Writes reason and sequence, and the explanation where there is one; the extras are the caller's to write.
pub(super) fn write(message: &mut Members<'_>, finish: Option<&Finish<'_>>, explanation: Option<&str>) {
    let Some(finish) = finish else {
        message.null(REASON);
        message.null(SEQUENCE);
        return;
    };
    if finish.extras.get(DIALECT, REASON).is_none() {
        match word(finish) {
            Some(word) => message.text(REASON, word),
            None => message.null(REASON),
        }
    }
    match &finish.stop_sequence {
        Some(met) => message.text(SEQUENCE, met),
        None if finish.extras.get(DIALECT, SEQUENCE).is_none() => message.null(SEQUENCE),
        None => {}
    }
    if let Some(explanation) = explanation {
        message.object(DETAILS, |details| {
            if finish.extras.get(DIALECT, DETAILS).is_none() {
                details.text("type", "refusal");
                details.null("category");
            }
            details.text(EXPLANATION, explanation);
            details.rest_of(DETAILS, DIALECT, &finish.extras);
        });
    }
}

/// `None` for an error, which has no word.
fn word(finish: &Finish<'_>) -> Option<&'static str> {
    match finish.reason {
        FinishReason::Stop if finish.stop_sequence.is_some() => Some(SEQUENCE),
        FinishReason::Stop => Some("end_turn"),
        FinishReason::Length => Some("max_tokens"),
        FinishReason::ToolCalls | FinishReason::FunctionCall => Some("tool_use"),
        FinishReason::ContentFilter => Some("refusal"),
        FinishReason::Error => None,
    }
}
