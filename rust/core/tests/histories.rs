//! Conversations as clients keep them: ids that come twice, texts in the pieces of their stream, thoughts with proofs.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it meets a failure"
)]

use fastroute_core::dialects::Dialect;
use fastroute_core::passes::Demands;
use fastroute_core::translate::{self, Address};
use serde_json::{Value, json};

#[path = "dialects/talk.rs"]
mod talk;
use talk::{ANTHROPIC, BEDROCK, CHAT, GEMINI, RESPONSES};

const OLLAMA: Dialect = Dialect::Ollama;
const COHERE: Dialect = Dialect::CohereV2;

/// What a target is sent, and what it is not told as its client told it.
fn sent(body: &Value, client: Dialect, target: Dialect) -> (Value, Vec<String>) {
    let told = translate::request(body.to_string().as_bytes(), client, &Demands::of(target), Address::default());
    let told = told.unwrap_or_else(|error| panic!("{} to {}: {error}", client.name(), target.name()));
    (serde_json::from_slice(&told.body).unwrap(), [told.dropped, told.changed].concat())
}

fn calling(id: &str, tools: &[&str]) -> Value {
    let call = |name: &&str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}});
    json!({"role": "assistant", "content": null, "tool_calls": tools.iter().map(call).collect::<Vec<_>>()})
}

fn result(id: &str, said: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": said})
}

fn asking(messages: &[Value]) -> Value {
    let messages: Vec<_> =
        std::iter::once(json!({"role": "user", "content": "Look."})).chain(messages.to_vec()).collect();
    json!({"model": "m", "max_tokens": 99, "messages": messages})
}

/// The name of each call, and what its result says, by the id that joins them.
fn answered(body: &Value, target: Dialect) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let blocks = talk::blocks(body, if target == OLLAMA || target == COHERE { CHAT } else { target });
    if target == OLLAMA {
        // By their order, and by the name of the tool.
        let results = blocks.iter().filter(|message| message["role"] == "tool");
        return results.map(|result| (text(&result["tool_name"]), text(&result["content"]))).collect();
    }
    if target == GEMINI {
        let results = blocks.iter().filter_map(|part| part.get("functionResponse"));
        return results.map(|result| (text(&result["name"]), text(&result["response"]["output"]))).collect();
    }
    let (mut calls, mut results) = (Vec::new(), Vec::new());
    for block in &blocks {
        for call in block["tool_calls"].as_array().into_iter().flatten() {
            calls.push((text(&call["id"]), text(&call["function"]["name"])));
        }
        if block["role"] == "tool" {
            let content = &block["content"];
            let said = content.as_str().or(content[0]["text"].as_str()).or(content[0]["document"]["data"].as_str());
            results.push((text(&block["tool_call_id"]), said.unwrap_or_default().to_owned()));
        }
        match block["type"].as_str() {
            Some("tool_use") => calls.push((text(&block["id"]), text(&block["name"]))),
            Some("tool_result") => {
                let said = block["content"].as_str().or(block["content"][0]["text"].as_str()).unwrap();
                results.push((text(&block["tool_use_id"]), said.to_owned()));
            }
            Some("function_call") => calls.push((text(&block["call_id"]), text(&block["name"]))),
            Some("function_call_output") => results.push((text(&block["call_id"]), text(&block["output"]))),
            _ => {}
        }
        if let Some(call) = block.get("toolUse") {
            calls.push((text(&call["toolUseId"]), text(&call["name"])));
        }
        if let Some(result) = block.get("toolResult") {
            results.push((text(&result["toolUseId"]), text(&result["content"][0]["text"])));
        }
    }
    let of = |id: &str| results.iter().filter(|(of, _)| of == id).map(|(_, said)| said.clone()).collect::<Vec<_>>();
    calls.iter().map(|(id, name)| (name.clone(), of(id).join(" and "))).collect()
}

#[test]
fn calls_that_share_an_id_have_each_their_own_and_their_own_result() {
    let turns = asking(&[
        calling("call_0", &["tide"]),
        result("call_0", "high"),
        calling("call_0", &["wind"]),
        result("call_0", "west"),
        calling("call_0", &["moon"]),
        result("call_0", "full"),
    ]);
    let one_turn = asking(&[
        calling("c", &["tide", "wind", "moon"]),
        result("c", "high"),
        result("c", "west"),
        result("c", "full"),
    ]);
    // Nobody answered the first.
    let open = asking(&[
        calling("c", &["tide"]),
        json!({"role": "user", "content": "Well?"}),
        calling("c", &["wind"]),
        result("c", "west"),
    ]);
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let all: Vec<(String, String)> = pairs(&[("tide", "high"), ("wind", "west"), ("moon", "full")]);
    for target in [ANTHROPIC, BEDROCK, GEMINI, OLLAMA, RESPONSES, COHERE] {
        for body in [&turns, &one_turn] {
            let (said, _) = sent(body, CHAT, target);
            assert_eq!(answered(&said, target), all, "{}: {said}", target.name());
            assert_eq!(said, sent(body, CHAT, target).0, "the next turn says the same");
        }
        let (said, _) = sent(&open, CHAT, target);
        let told = answered(&said, target);
        assert!(told.contains(&("wind".to_owned(), "west".to_owned())), "{}: {said}", target.name());
        assert!(!told.contains(&("tide".to_owned(), "west".to_owned())), "{}: {said}", target.name());
    }
    let (said, _) = sent(&turns, CHAT, ANTHROPIC);
    assert_eq!(talk::call_ids(&said, ANTHROPIC)[0], "call_0", "the first keeps its own: {said}");
}

#[test]
fn calls_with_ids_of_their_own_keep_them() {
    let body = asking(&[calling("call_0", &["tide"]), result("call_0", "high"), result("call_0", "higher")]);
    let (said, _) = sent(&body, CHAT, ANTHROPIC);
    assert_eq!(talk::call_ids(&said, ANTHROPIC), ["call_0"]);
}

#[test]
fn the_pieces_in_which_googles_sdk_keeps_a_stream_are_one_text() {
    let text = |text: &str| json!({"text": text});
    let model = |parts: &[Value]| json!({"role": "model", "parts": parts});
    let user = json!({"role": "user", "parts": [text("Say it.")]});
    let proven = json!({"text": "", "thoughtSignature": "c2ln"});
    for history in [
        vec![model(&[text("a"), text(" "), text("b"), proven.clone()])],
        vec![model(&[text("a")]), model(&[text(" ")]), model(&[text("b")]), model(&[proven])],
    ] {
        let contents = [vec![user.clone()], history, vec![user.clone()]].concat();
        let body = json!({"contents": contents});
        for target in [CHAT, RESPONSES, ANTHROPIC, BEDROCK, OLLAMA, COHERE] {
            let (said, lost) = sent(&body, GEMINI, target);
            assert!(said.to_string().contains("\"a b\""), "{}: {said}", target.name());
            assert!(lost.iter().any(|name| name.ends_with(".thoughtSignature")), "{}: {lost:?}", target.name());
        }
    }
    // What a user sends in parts is in parts.
    let body = json!({"contents": [{"role": "user", "parts": [text("a"), text("b")]}]});
    assert!(sent(&body, GEMINI, ANTHROPIC).0.to_string().contains("\"a\""));
}

#[test]
fn litellms_thoughts_go_to_their_maker_with_their_proof() {
    let blocks = json!([{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "YmxvYg=="}]);
    let mut body = asking(&[
        json!({"role": "assistant", "content": "Sea.", "reasoning_content": "Hm.", "thinking_blocks": blocks}),
        json!({"role": "user", "content": "And?"}),
    ]);
    let (said, lost) = sent(&body, CHAT, ANTHROPIC);
    assert_eq!(said["messages"][1]["content"][0], blocks[0], "{said}");
    assert_eq!(said["messages"][1]["content"][1], blocks[1], "{said}");
    assert!(lost.is_empty(), "{lost:?}");
    let (said, lost) = sent(&body, CHAT, GEMINI);
    assert!(!said.to_string().contains("c2ln"), "{said}");
    let places = ["messages[1].thinking_blocks[0].signature", "messages[1].thinking_blocks[1].data"];
    assert!(places.iter().all(|place| lost.iter().any(|name| name == place)), "{lost:?}");
    // A part of Google's, as text.
    body["messages"][1]["thinking_blocks"][0]["thinking"] = json!("{\"functionCall\":{}}");
    assert!(!sent(&body, CHAT, ANTHROPIC).0.to_string().contains("c2ln"));
}

#[test]
fn litellms_thoughts_come_back_to_it_from_clients_of_other_dialects() {
    let reply = json!({"id": "c-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "finish_reason": "tool_calls", "message": {"role": "assistant", "content": "Sea.", "reasoning_content": "Hm.",
        "thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}],
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}]}}]});
    for client in [ANTHROPIC, RESPONSES] {
        let mut body = talk::question(client, true);
        let asked = translate::request(body.to_string().as_bytes(), client, &Demands::of(CHAT), Address::default());
        let way_back = asked.unwrap().way_back;
        for how in talk::How::ALL {
            let told = talk::told(&reply, CHAT, client, &way_back, how, 0);
            let mut body = body.clone();
            talk::next(client, &mut body, &told);
            let (said, _) = sent(&body, client, CHAT);
            let blocks = json!([{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]);
            assert_eq!(said["messages"][1]["thinking_blocks"], blocks, "{} {how:?}: {said}", client.name());
        }
        body["model"] = json!("other");
    }
}
