//! What a well-behaved server says, byte by byte, in two dialects: OpenAI (chat, models) and Anthropic (messages).
//!
//! Pure rendering: shapes are those of the published schemas, contents are invented. Every stream event is appended as
//! one complete SSE event, so that one call is one write on the wire.

use std::io::Write as _;

use super::request::Endpoint;
use super::script::Stamp;

/// Stands in every reply where a clock would: a reply must not depend on the day.
const CREATED: u64 = 1_700_000_000;
/// ASCII without quotes, so that its length in JSON is its length.
const SENTENCE: &str =
    "The scripted upstream answers in fixed words, so that every byte can be counted and none of them means anything. ";

/// The words of the fixed sentence, one by one and without end; each keeps its space.
pub(super) fn word(position: u64) -> &'static str {
    let count = SENTENCE.split_inclusive(' ').count() as u64;
    let place = usize::try_from(position % count).unwrap_or(0);
    SENTENCE.split_inclusive(' ').nth(place).unwrap_or("word ")
}

/// The fixed sentence, repeated and cut to a length.
fn text_of(bytes: usize) -> String {
    SENTENCE.chars().cycle().take(bytes).collect()
}

/// Who speaks, to whom, about what: all that is the same in every part of one answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Voice<'a> {
    pub(super) anthropic: bool,
    /// Sixteen characters that make this answer's identifiers its own.
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    pub(super) prompt_tokens: u64,
    /// OpenAI sends `usage: null` in every event before the last when usage was asked for.
    pub(super) usage_asked: bool,
    pub(super) stamp: Stamp,
}

/// A JSON string literal.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn event(out: &mut Vec<u8>, name: Option<&str>, data: std::fmt::Arguments<'_>) {
    // Writing to a vector cannot fail.
    if let Some(name) = name {
        let _ = writeln!(out, "event: {name}");
    }
    let _ = write!(out, "data: {data}\n\n");
}

impl Voice<'_> {
    pub(super) fn speaks_anthropic(endpoint: Endpoint) -> bool {
        endpoint == Endpoint::Messages
    }

    /// A complete unary reply: the given text, or as much of the fixed sentence as makes the body `bytes` long.
    pub(super) fn unary(&self, text: Option<&str>, bytes: usize, usage: bool) -> (String, u64) {
        let tokens = |text: &str| text.split_whitespace().count().max(1) as u64;
        if let Some(text) = text {
            let tokens = tokens(text);
            return (self.unary_body(&quoted(text), tokens, usage), tokens);
        }
        // The count of tokens is itself part of the body, so its digits are found by a second try.
        let mut text = String::new();
        for _ in 0..3 {
            let length = self.unary_body("\"\"", tokens(&text), usage).len();
            text = text_of(bytes.saturating_sub(length));
        }
        let tokens = tokens(&text);
        (self.unary_body(&format!("\"{text}\""), tokens, usage), tokens)
    }

    fn unary_body(&self, text: &str, tokens: u64, usage: bool) -> String {
        let (id, model, prompt) = (self.id, quoted(self.model), self.prompt_tokens);
        if self.anthropic {
            let usage = if usage { self.anthropic_usage(tokens) } else { "{}".into() };
            return format!(
                "{{\"id\":\"msg_{id}\",\"type\":\"message\",\"role\":\"assistant\",\"model\":{model},\
                 \"content\":[{{\"type\":\"text\",\"text\":{text}}}],\"stop_reason\":\"end_turn\",\
                 \"stop_sequence\":null,\"usage\":{usage}}}"
            );
        }
        let usage = if usage { format!(",\"usage\":{}", openai_usage(prompt, tokens)) } else { String::new() };
        format!(
            "{{\"id\":\"chatcmpl-{id}\",\"object\":\"chat.completion\",\"created\":{CREATED},\"model\":{model},\
             \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":{text},\"refusal\":null,\
             \"annotations\":[]}},\"logprobs\":null,\"finish_reason\":\"stop\"}}]{usage},\
             \"service_tier\":\"default\",\"system_fingerprint\":\"fp_mock\"}}"
        )
    }

    fn anthropic_usage(&self, tokens: u64) -> String {
        format!(
            "{{\"input_tokens\":{},\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\
             \"output_tokens\":{tokens},\"service_tier\":\"standard\"}}",
            self.prompt_tokens
        )
    }

    /// The event that opens a stream.
    pub(super) fn opening(&self, out: &mut Vec<u8>) {
        let (id, model) = (self.id, quoted(self.model));
        if self.anthropic {
            let usage = self.anthropic_usage(1);
            event(
                out,
                Some("message_start"),
                format_args!(
                    "{{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_{id}\",\"type\":\"message\",\
                 \"role\":\"assistant\",\"model\":{model},\"content\":[],\"stop_reason\":null,\
                 \"stop_sequence\":null,\"usage\":{usage}}}}}"
                ),
            );
            return;
        }
        self.chunk(out, "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null", None);
    }

    /// Opens the content block at a position; OpenAI has no such event.
    pub(super) fn block_start(&self, out: &mut Vec<u8>, position: u64) {
        if self.anthropic {
            event(
                out,
                Some("content_block_start"),
                format_args!(
                    "{{\"type\":\"content_block_start\",\"index\":{position},\
                 \"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}"
                ),
            );
        }
    }

    pub(super) fn block_stop(&self, out: &mut Vec<u8>, position: u64) {
        if self.anthropic {
            event(
                out,
                Some("content_block_stop"),
                format_args!("{{\"type\":\"content_block_stop\",\"index\":{position}}}"),
            );
        }
    }

    /// One piece of text in the block at a position.
    pub(super) fn content(&self, out: &mut Vec<u8>, position: u64, text: &str, now_ns: u64) {
        let stamped = match self.stamp {
            Stamp::Text => quoted(&format!("t_ns={now_ns} {text}")),
            Stamp::Field | Stamp::None => quoted(text),
        };
        let stamp = (self.stamp == Stamp::Field).then_some(now_ns);
        if self.anthropic {
            let stamp = stamp.map_or(String::new(), |ns| format!(",\"t_ns\":{ns}"));
            event(
                out,
                Some("content_block_delta"),
                format_args!(
                    "{{\"type\":\"content_block_delta\",\"index\":{position},\
                 \"delta\":{{\"type\":\"text_delta\",\"text\":{stamped}}}{stamp}}}"
                ),
            );
            return;
        }
        self.chunk(out, &format!("{{\"content\":{stamped}}}"), "null", stamp);
    }

    /// The event that names a tool call.
    pub(super) fn tool_start(&self, out: &mut Vec<u8>, position: u64, name: &str) {
        let (id, name) = (self.id, quoted(name));
        if self.anthropic {
            event(
                out,
                Some("content_block_start"),
                format_args!(
                    "{{\"type\":\"content_block_start\",\"index\":{position},\"content_block\":{{\"type\":\"tool_use\",\
                 \"id\":\"toolu_{id}{position}\",\"name\":{name},\"input\":{{}}}}}}"
                ),
            );
            return;
        }
        let delta = format!(
            "{{\"tool_calls\":[{{\"index\":{position},\"id\":\"call_{id}{position}\",\"type\":\"function\",\
             \"function\":{{\"name\":{name},\"arguments\":\"\"}}}}]}}"
        );
        self.chunk(out, &delta, "null", None);
    }

    /// One piece of a tool call's arguments.
    pub(super) fn tool_piece(&self, out: &mut Vec<u8>, position: u64, piece: &str) {
        let piece = quoted(piece);
        if self.anthropic {
            event(
                out,
                Some("content_block_delta"),
                format_args!(
                    "{{\"type\":\"content_block_delta\",\"index\":{position},\
                 \"delta\":{{\"type\":\"input_json_delta\",\"partial_json\":{piece}}}}}"
                ),
            );
            return;
        }
        let delta = format!("{{\"tool_calls\":[{{\"index\":{position},\"function\":{{\"arguments\":{piece}}}}}]}}");
        self.chunk(out, &delta, "null", None);
    }

    /// Why the stream ends.
    pub(super) fn finish(&self, out: &mut Vec<u8>, reason: &str, tokens: u64, usage: bool) {
        let reason = quoted(reason);
        if self.anthropic {
            let usage = if usage { format!(",\"usage\":{{\"output_tokens\":{tokens}}}") } else { String::new() };
            event(
                out,
                Some("message_delta"),
                format_args!(
                    "{{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":{reason},\"stop_sequence\":null}}{usage}}}"
                ),
            );
            return;
        }
        self.chunk(out, "{}", &reason, None);
    }

    /// OpenAI's event of its own for usage, without choices.
    pub(super) fn usage_chunk(&self, out: &mut Vec<u8>, tokens: u64) {
        let (id, model) = (self.id, quoted(self.model));
        let usage = openai_usage(self.prompt_tokens, tokens);
        event(
            out,
            None,
            format_args!(
                "{{\"id\":\"chatcmpl-{id}\",\"object\":\"chat.completion.chunk\",\"created\":{CREATED},\"model\":{model},\
             \"service_tier\":\"default\",\"system_fingerprint\":\"fp_mock\",\"choices\":[],\"usage\":{usage}}}"
            ),
        );
    }

    pub(super) fn done(&self, out: &mut Vec<u8>) {
        if self.anthropic {
            event(out, Some("message_stop"), format_args!("{{\"type\":\"message_stop\"}}"));
        } else {
            event(out, None, format_args!("[DONE]"));
        }
    }

    /// An error in a stream; `data` and `name` replace the dialect's own.
    pub(super) fn error_event(&self, out: &mut Vec<u8>, data: Option<&serde_json::Value>, name: Option<&str>) {
        let own_name = self.anthropic.then_some("error");
        match data {
            Some(data) => event(out, name.or(own_name), format_args!("{data}")),
            None => event(out, name.or(own_name), format_args!("{}", self.error(529, "The service is overloaded."))),
        }
    }

    /// The body of an error response.
    pub(super) fn error(&self, status: u16, message: &str) -> String {
        let message = quoted(message);
        if self.anthropic {
            let kind = match status {
                400 => "invalid_request_error",
                401 => "authentication_error",
                402 => "billing_error",
                403 => "permission_error",
                404 => "not_found_error",
                413 => "request_too_large",
                429 => "rate_limit_error",
                529 => "overloaded_error",
                _ => "api_error",
            };
            return format!(
                "{{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":{message}}},\"request_id\":\"req_{}\"}}",
                self.id
            );
        }
        let (kind, code) = match status {
            401 => ("invalid_request_error", "\"invalid_api_key\""),
            404 => ("invalid_request_error", "\"model_not_found\""),
            429 => ("requests", "\"rate_limit_exceeded\""),
            400..=499 => ("invalid_request_error", "null"),
            _ => ("server_error", "null"),
        };
        format!("{{\"error\":{{\"message\":{message},\"type\":\"{kind}\",\"param\":null,\"code\":{code}}}}}")
    }

    fn chunk(&self, out: &mut Vec<u8>, delta: &str, reason: &str, stamp: Option<u64>) {
        let (id, model) = (self.id, quoted(self.model));
        let usage = if self.usage_asked { ",\"usage\":null" } else { "" };
        let stamp = stamp.map_or(String::new(), |ns| format!(",\"t_ns\":{ns}"));
        event(
            out,
            None,
            format_args!(
                "{{\"id\":\"chatcmpl-{id}\",\"object\":\"chat.completion.chunk\",\"created\":{CREATED},\"model\":{model},\
             \"service_tier\":\"default\",\"system_fingerprint\":\"fp_mock\",\"choices\":[{{\"index\":0,\
             \"delta\":{delta},\"logprobs\":null,\"finish_reason\":{reason}}}]{usage}{stamp}}}"
            ),
        );
    }
}

fn openai_usage(prompt: u64, completion: u64) -> String {
    format!(
        "{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\"total_tokens\":{},\
         \"prompt_tokens_details\":{{\"cached_tokens\":0,\"audio_tokens\":0}},\
         \"completion_tokens_details\":{{\"reasoning_tokens\":0,\"audio_tokens\":0,\
         \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}}",
        prompt + completion
    )
}

/// What `GET /v1/models` lists.
pub(super) fn models(names: &[String]) -> String {
    let rows: Vec<String> = names
        .iter()
        .map(|name| {
            format!("{{\"id\":{},\"object\":\"model\",\"created\":{CREATED},\"owned_by\":\"mock\"}}", quoted(name))
        })
        .collect();
    format!("{{\"object\":\"list\",\"data\":[{}]}}", rows.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn voice(anthropic: bool) -> Voice<'static> {
        Voice {
            anthropic,
            id: "00000000000000ab",
            model: "m\"1",
            prompt_tokens: 12,
            usage_asked: true,
            stamp: Stamp::Field,
        }
    }

    /// The data of each event of a stream.
    fn data(stream: &[u8]) -> Vec<Value> {
        let text = std::str::from_utf8(stream).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_unary_reply_has_exactly_the_size_asked_for() {
        for anthropic in [false, true] {
            for bytes in [700, 701, 709, 710, 5000, 1_100_000] {
                let (body, tokens) = voice(anthropic).unary(None, bytes, true);
                assert_eq!(body.len(), bytes, "anthropic: {anthropic}");
                let value: Value = serde_json::from_str(&body).unwrap();
                let stated =
                    if anthropic { &value["usage"]["output_tokens"] } else { &value["usage"]["completion_tokens"] };
                assert_eq!(stated, tokens);
            }
        }
    }

    #[test]
    fn every_event_of_a_stream_is_json_with_the_model_in_it() {
        for anthropic in [false, true] {
            let voice = voice(anthropic);
            let mut out = Vec::new();
            voice.opening(&mut out);
            voice.block_start(&mut out, 0);
            voice.content(&mut out, 0, "a\n\"b", 77);
            voice.block_stop(&mut out, 0);
            voice.tool_start(&mut out, 1, "look");
            voice.tool_piece(&mut out, 1, "{\"a\":");
            voice.finish(&mut out, "stop", 3, true);
            voice.error_event(&mut out, None, None);
            let events = data(&out);
            assert!(events.iter().any(|event| event["t_ns"] == 77));
            assert!(out.windows(5).any(|bytes| bytes == b"m\\\"1\""));
        }
    }
}
