//! Why a candidate ended: Gemini has twenty words for it, and `STOP` for calls as well.

use super::DIALECT;
use crate::dialects::message::{Extra, Finish, FinishReason, Json, Text};
use crate::dialects::object::{Object, text, whole};
use crate::dialects::output::Members;

const FIELD: &str = "finishReason";

const FILTERS: &[&str] = &[
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "LANGUAGE",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
    "ESCALATION",
    "PUP_LIMITED_DISABLED",
];

/// Errors, where nothing was said before them.
const FAILURES: &[&str] = &[
    "MALFORMED_FUNCTION_CALL",
    "MALFORMED_RESPONSE",
    "UNEXPECTED_TOOL_CALL",
    "MISSING_THOUGHT_SIGNATURE",
    "TOO_MANY_TOOL_CALLS",
];

const OTHERS: &[&str] = &["FINISH_REASON_UNSPECIFIED", "OTHER", "IMAGE_OTHER", "NO_IMAGE", "CONTINUATION"];

/// What a candidate had said when it ended, which decides what some words mean.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said {
    pub(super) anything: bool,
    pub(super) calls: bool,
}

/// Takes the reason. Some clients of Vertex write the numbers of the words.
pub(super) fn take<'a>(candidate: &mut Object<'a, '_>, said: Said) -> Option<Finish<'a>> {
    if let Some(word) = candidate.take_if(FIELD, text) {
        return Some(of_word(word, said));
    }
    let raw = candidate.peek(FIELD)?;
    let word = match whole(raw)? {
        2 => "MAX_TOKENS",
        3 => "SAFETY",
        4 => "RECITATION",
        5 => "OTHER",
        _ => "STOP",
    };
    candidate.forget(FIELD);
    let mut finish = of_word(word.into(), said);
    finish.extras.push(Extra { dialect: DIALECT, name: FIELD.into(), value: Json::from(raw) });
    Some(finish)
}

pub(super) fn of_word(word: Text<'_>, said: Said) -> Finish<'_> {
    let stop = if said.calls { FinishReason::ToolCalls } else { FinishReason::Stop };
    let reason = match word.as_ref() {
        "STOP" => return Finish::new(stop, None),
        "MAX_TOKENS" => return Finish::new(FinishReason::Length, None),
        "CONTINUATION" => FinishReason::Length,
        filter if FILTERS.contains(&filter) => FinishReason::ContentFilter,
        failure if FAILURES.contains(&failure) && !said.anything => FinishReason::Error,
        _ => stop,
    };
    let mut finish = Finish::new(reason, Some(word));
    if let Some(word) = finish.native.as_deref().filter(|word| !is_known(word)) {
        // A word that Google has added since: nothing else would tell it from another provider's.
        let mut written = Vec::new();
        crate::dialects::output::text(&mut written, word);
        finish.extras.push(Extra { dialect: DIALECT, name: FIELD.into(), value: Json::written(written) });
    }
    finish
}

fn is_known(word: &str) -> bool {
    [FILTERS, FAILURES, OTHERS].iter().any(|words| words.contains(&word))
}

/// Whether the reason can be said: an error only when it is one of Gemini's own.
pub(super) fn is_sayable(finish: &Finish<'_>) -> bool {
    finish.reason != FinishReason::Error
        || finish.native.as_deref().is_some_and(is_known)
        || finish.extras.get(DIALECT, FIELD).is_some()
}

pub(super) fn write(candidate: &mut Members<'_>, finish: &Finish<'_>) {
    if let Some(said) = finish.extras.get(DIALECT, FIELD) {
        return candidate.raw(FIELD, said.as_str());
    }
    if let Some(native) = finish.native.as_deref().filter(|native| is_known(native)) {
        return candidate.text(FIELD, native);
    }
    let word = match finish.reason {
        FinishReason::Stop | FinishReason::ToolCalls | FinishReason::FunctionCall => "STOP",
        FinishReason::Length => "MAX_TOKENS",
        FinishReason::ContentFilter => "SAFETY",
        FinishReason::Error => return,
    };
    candidate.text(FIELD, word);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(word: &str, anything: bool, calls: bool) -> FinishReason {
        of_word(word.into(), Said { anything, calls }).reason
    }

    #[test]
    fn what_was_said_decides_what_a_word_means() {
        assert_eq!(reason("STOP", true, false), FinishReason::Stop);
        assert_eq!(reason("STOP", true, true), FinishReason::ToolCalls);
        assert_eq!(reason("MAX_TOKENS", true, true), FinishReason::Length);
        assert_eq!(reason("RECITATION", true, false), FinishReason::ContentFilter);
        assert_eq!(reason("MALFORMED_FUNCTION_CALL", false, false), FinishReason::Error);
        assert_eq!(reason("MALFORMED_FUNCTION_CALL", true, false), FinishReason::Stop);
        assert_eq!(reason("TOMORROWS_WORD", true, false), FinishReason::Stop);
    }
}
