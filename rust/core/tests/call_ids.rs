//! Calls that came without an id, or with that of another: clients tell calls apart by them, for a whole conversation.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it meets a failure"
)]

use std::collections::HashSet;

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::message::{Content, Reply};
use fastroute_core::passes::Demands;
use fastroute_core::translate::{self, Address};
use serde_json::{Value, json};

#[path = "dialects/talk.rs"]
mod talk;
use talk::{ANTHROPIC, BEDROCK, CHAT, GEMINI, How, RESPONSES};

/// An answer of two calls with these ids.
fn answer(maker: Dialect, reply_id: &str, ids: [Option<&str>; 2]) -> Value {
    let with = |mut call: Value, name: &str, id: Option<&str>| {
        if let Some(id) = id {
            call[name] = json!(id);
        }
        call
    };
    match maker {
        Dialect::Gemini => {
            let parts = ids.map(|id| json!({"functionCall": with(json!({"name": "look", "args": {}}), "id", id)}));
            json!({"responseId": reply_id, "modelVersion": "m", "candidates": [{"index": 0,
                "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]})
        }
        Dialect::BedrockConverse => {
            let content = ids.map(|id| json!({"toolUse": with(json!({"name": "look", "input": {}}), "toolUseId", id)}));
            json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use",
                "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}})
        }
        Dialect::AnthropicMessages => {
            let content = ids.map(|id| with(json!({"type": "tool_use", "name": "look", "input": {}}), "id", id));
            json!({"id": reply_id, "type": "message", "role": "assistant", "model": "m", "content": content,
                "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}})
        }
        _ => {
            let call =
                |id| with(json!({"type": "function", "function": {"name": "look", "arguments": "{}"}}), "id", id);
            json!({"id": reply_id, "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
                "message": {"role": "assistant", "content": null, "tool_calls": ids.map(call)},
                "finish_reason": "tool_calls"}]})
        }
    }
}

/// The ids of the calls as a client is told them.
fn ids_of(reply: &Value, maker: Dialect, client: Dialect, how: How, turn: usize) -> Vec<String> {
    let body = talk::question(client, false).to_string();
    let way_back = translate::request(body.as_bytes(), client, &Demands::of(maker), Address::default());
    let told = talk::told(reply, maker, client, &way_back.unwrap().way_back, how, turn).to_string();
    let Reply::Chat(reply) = client.parse_reply(told.as_bytes()).unwrap() else { panic!("{told}") };
    let blocks = reply.choices.iter().flat_map(|choice| &choice.turn.blocks);
    let ids = blocks.filter_map(|block| match &block.content {
        Content::ToolCall(call) => Some(call.id.to_string()),
        _ => None,
    });
    ids.collect()
}

#[test]
fn a_call_without_an_id_gets_one_that_no_other_turn_has() {
    for maker in [ANTHROPIC, GEMINI, BEDROCK, CHAT] {
        for client in [CHAT, RESPONSES, ANTHROPIC].into_iter().filter(|client| *client != maker) {
            let told = |turn: usize, how| {
                let reply = answer(maker, &format!("reply-{turn}"), [None, None]);
                ids_of(&reply, maker, client, how, turn)
            };
            let all: Vec<_> = (0..3).flat_map(|turn| told(turn, How::Whole)).collect();
            let different: HashSet<_> = all.iter().filter(|id| !id.is_empty()).collect();
            assert_eq!(different.len(), 6, "{} to {}: {all:?}", maker.name(), client.name());
            assert_eq!(told(1, How::Whole), told(1, How::Whole), "the same reply names its calls alike");
        }
    }
}

#[test]
fn a_call_without_an_id_has_the_same_one_streamed_and_whole() {
    for client in [CHAT, RESPONSES] {
        let whole = answer(ANTHROPIC, "msg_7", [None, None]);
        let whole = ids_of(&whole, ANTHROPIC, client, How::Whole, 0);
        let mut stream = vec![json!({"type": "message_start", "message": {"id": "msg_7", "model": "m"}})];
        for at in 0..2 {
            let call = json!({"type": "tool_use", "name": "look", "input": {}});
            stream.push(json!({"type": "content_block_start", "index": at, "content_block": call}));
            stream.push(json!({"type": "content_block_stop", "index": at}));
        }
        let mut reader = ANTHROPIC.reader().unwrap();
        let mut ids = Vec::new();
        for event in &stream {
            for event in reader.parse_event("", event.to_string().as_bytes()).unwrap() {
                if let fastroute_core::dialects::message::Event::ToolCallStart { id, .. } = event {
                    ids.push(id.to_string());
                }
            }
        }
        assert_eq!(ids, whole);
    }
}

#[test]
fn of_two_calls_with_one_id_the_second_gets_another() {
    for maker in [ANTHROPIC, GEMINI, BEDROCK, CHAT] {
        for client in [CHAT, RESPONSES, ANTHROPIC].into_iter().filter(|client| *client != maker) {
            let reply = answer(maker, "reply-1", [Some("same"), Some("same")]);
            let [whole, streamed] = How::ALL.map(|how| ids_of(&reply, maker, client, how, 1));
            let what = format!("{} to {}: {whole:?}", maker.name(), client.name());
            assert_eq!(whole.first().map(String::as_str), Some("same"), "{what}");
            assert!(whole.len() == 2 && whole.last().is_some_and(|id| id != "same" && !id.is_empty()), "{what}");
            assert_eq!(whole, streamed, "{what}");
        }
    }
}
