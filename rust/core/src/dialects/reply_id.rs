//! The id of a reply in the spelling of those who will read it: SDKs and logs tell by its prefix what it is of.
//!
//! Its rule: the same id is always spelled alike, so that a reply and its stream, or two gateways, agree. A dialect without
//! a line here takes any id.

use super::Dialect;
use super::message::Text;

const PREFIXES: [(Dialect, &str); 4] = [
    (Dialect::OpenAiChat, "chatcmpl-"),
    (Dialect::OpenAiCompletions, "cmpl-"),
    (Dialect::OpenAiResponses, "resp_"),
    (Dialect::AnthropicMessages, "msg_"),
];
/// Of ids that are none of a reply's, or of a router's reply.
const OTHER_PREFIXES: [&str; 2] = ["req_", "gen-"];

/// Puts the target's prefix in the place of another known one, or in front. An empty id stays empty: it is none.
pub(crate) fn spell(id: &mut Text<'_>, target: Dialect) {
    let own = PREFIXES.iter().find(|(dialect, _)| *dialect == target);
    let Some((_, prefix)) = own.filter(|(_, prefix)| !id.is_empty() && !id.starts_with(prefix)) else {
        return;
    };
    let known = PREFIXES.iter().map(|(_, prefix)| *prefix).chain(OTHER_PREFIXES);
    let rest = known.filter_map(|known| id.strip_prefix(known)).find(|rest| !rest.is_empty());
    let spelled = [prefix, rest.unwrap_or(id)].concat();
    *id = Text::Owned(spelled);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_prefix_that_its_readers_know() {
        for (id, target, spelled) in [
            ("chatcmpl-1", Dialect::AnthropicMessages, "msg_1"),
            ("chatcmpl-1", Dialect::OpenAiResponses, "resp_1"),
            ("msg_bdrk_1", Dialect::OpenAiChat, "chatcmpl-bdrk_1"),
            ("gen-1", Dialect::OpenAiCompletions, "cmpl-1"),
            ("req_1", Dialect::AnthropicMessages, "msg_1"),
            ("7f3a", Dialect::AnthropicMessages, "msg_7f3a"),
            ("msg_1", Dialect::AnthropicMessages, "msg_1"),
            ("msg_", Dialect::OpenAiChat, "chatcmpl-msg_"),
            ("chatcmpl-1", Dialect::Gemini, "chatcmpl-1"),
            ("", Dialect::OpenAiChat, ""),
        ] {
            let mut id = Text::Borrowed(id);
            spell(&mut id, target);
            assert_eq!(id, spelled);
        }
    }
}
