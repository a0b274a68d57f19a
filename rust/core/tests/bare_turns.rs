//! Turns that say nothing beside their calls and thoughts, and results that say nothing at all.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the functions of a test meet is a failure of the test")]

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::message::Envelope;
use fastroute_core::passes::{Demands, OnLoss, WayBack};
use fastroute_core::translate::{self, Address};
use serde_json::{Value, json};

const ANTHROPIC: Dialect = Dialect::AnthropicMessages;

fn history() -> Value {
    json!({
        "model": "m",
        "max_tokens": 50,
        "tools": [{"name": "tide", "input_schema": {"type": "object", "properties": {}}}],
        "messages": [
            {"role": "user", "content": "When?"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Look it up.", "signature": ""},
                {"type": "tool_use", "id": "toolu_1", "name": "tide", "input": {}},
            ]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1"}]},
        ],
    })
}

fn told(target: Dialect, on_loss: OnLoss) -> Value {
    let demands = Demands { on_loss, ..Demands::of(target) };
    let body = serde_json::to_vec(&history()).unwrap();
    let told = translate::request(&body, ANTHROPIC, &demands, Address::default());
    serde_json::from_slice(&told.unwrap_or_else(|error| panic!("{}: {error}", target.name())).body).unwrap()
}

#[test]
fn a_turn_that_only_thinks_and_calls_has_no_empty_list_of_content() {
    let chat = told(Dialect::OpenAiChat, OnLoss::Drop);
    assert_eq!(chat["messages"][1]["content"], Value::Null, "{chat}");
    assert_eq!(chat["messages"][1]["tool_calls"][0]["function"]["name"], "tide", "{chat}");
}

#[test]
fn a_result_that_says_nothing_is_a_result() {
    let chat = told(Dialect::OpenAiChat, OnLoss::Drop);
    assert_eq!(chat["messages"][2]["content"], "", "{chat}");
    let gemini = told(Dialect::Gemini, OnLoss::Drop);
    let results = gemini["contents"][2]["parts"].as_array().unwrap();
    assert!(results.iter().any(|part| part["functionResponse"]["response"].is_object()), "{gemini}");
    let bedrock = told(Dialect::BedrockConverse, OnLoss::Drop);
    assert!(bedrock["messages"][2]["content"][0]["toolResult"]["content"].is_array(), "{bedrock}");
}

#[test]
fn a_thought_without_a_proof_has_none_to_lose() {
    for target in [Dialect::OpenAiChat, Dialect::Gemini] {
        told(target, OnLoss::Reject);
    }
}

#[test]
fn a_call_without_an_id_and_with_its_input_as_text_is_a_call() {
    let reply = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
        "content": [{"type": "tool_use", "name": "tide", "input": "{\"at\":1}"}],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    });
    let envelope = Envelope { id: "r1", model: "m", created_s: 1, include_usage: true };
    let body = serde_json::to_vec(&reply).unwrap();
    let said = translate::reply(&body, ANTHROPIC, Dialect::OpenAiChat, &WayBack::default(), &envelope).unwrap();
    let said: Value = serde_json::from_slice(&said).unwrap();
    let call = &said["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], "{\"at\":1}", "{said}");
    assert!(call["id"].as_str().is_some_and(|id| !id.is_empty()), "{said}");
}
