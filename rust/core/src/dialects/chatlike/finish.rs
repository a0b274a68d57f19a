//! Why a choice ended, in OpenAI's words and in those that servers put in their place.

use crate::dialects::message::{Finish, FinishReason};
use crate::dialects::object::{self, Object};
use crate::dialects::output::Members;

/// Takes the finish reason of a choice; `called` says that it calls tools. A word outside the published five keeps its
/// neutral meaning and itself, as `native`.
pub(crate) fn take<'a>(choice: &mut Object<'a, '_>, called: bool) -> Option<Finish<'a>> {
    let word = choice.take_if("finish_reason", object::text)?;
    let native = choice.take_if("native_finish_reason", object::text);
    let reason = match word.as_ref() {
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "tool_calls" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        "function_call" => FinishReason::FunctionCall,
        _ => {
            let reason = reason_of_word(&word, called);
            return Some(Finish::new(reason, native.or(Some(word).filter(|word| !word.is_empty()))));
        }
    };
    Some(Finish::new(reason, native))
}

/// What words mean that servers use in place of the published five, those of the makers they translate among them, in
/// either case; what they call goes before what they say.
fn reason_of_word(word: &str, called: bool) -> FinishReason {
    const LENGTH: [&str; 4] = ["model_length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"];
    const FILTER: [&str; 9] = [
        "sensitive",
        "refusal",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "content_filtered",
        "guardrail_intervened",
    ];
    const ERROR: [&str; 5] =
        ["error", "insufficient_system_resource", "network_error", "malformed_function_call", "timeout"];
    let among = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    if among(&LENGTH) {
        FinishReason::Length
    } else if among(&FILTER) {
        FinishReason::ContentFilter
    } else if among(&ERROR) {
        FinishReason::Error
    } else if called {
        FinishReason::ToolCalls
    } else {
        FinishReason::Stop
    }
}

/// The published word; `None` for an error, which has none.
pub(crate) fn word_of_reason(reason: FinishReason) -> Option<&'static str> {
    match reason {
        FinishReason::Stop => Some("stop"),
        FinishReason::Length => Some("length"),
        FinishReason::ToolCalls => Some("tool_calls"),
        FinishReason::ContentFilter => Some("content_filter"),
        FinishReason::FunctionCall => Some("function_call"),
        FinishReason::Error => None,
    }
}

pub(crate) fn write(choice: &mut Members<'_>, finish: &Finish<'_>) {
    match word_of_reason(finish.reason) {
        Some(word) => choice.text("finish_reason", word),
        None => choice.null("finish_reason"),
    }
    choice.text_if("native_finish_reason", finish.native.as_deref());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_makers_mean_what_they_mean_there() {
        for (word, reason) in [
            ("MAX_TOKENS", FinishReason::Length),
            ("max_output_tokens", FinishReason::Length),
            ("SAFETY", FinishReason::ContentFilter),
            ("refusal", FinishReason::ContentFilter),
            ("MALFORMED_FUNCTION_CALL", FinishReason::Error),
            ("end_turn", FinishReason::Stop),
            ("eos", FinishReason::Stop),
        ] {
            assert_eq!(reason_of_word(word, false), reason, "{word}");
        }
        assert_eq!(reason_of_word("tool_use", true), FinishReason::ToolCalls);
    }
}
