//! The proof that a provider gives with a call comes back to it with the call, whatever its client speaks, and reaches
//! nobody else.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it meets a failure"
)]

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::fold::Fold;
use fastroute_core::dialects::message::Reply;
use fastroute_core::passes::{Demands, WayBack, holds_marks};
use fastroute_core::sse::Limits;
use fastroute_core::translate::{self, Address, Frames, StreamTranslator};
use serde_json::{Value, json};

#[path = "dialects/names.rs"]
mod names;
use names::{ANTHROPIC, CHAT, ENVELOPE, GEMINI, RESPONSES};

/// Two calls at once, of which Gemini proves the first, and what it thought before.
fn answer() -> Value {
    json!({"responseId": "r", "modelVersion": "m", "candidates": [{"content": {"role": "model", "parts": [
        {"text": "Hm.", "thought": true},
        {"text": "I look."},
        {"functionCall": {"name": "look", "args": {"at": "sky"}}, "thoughtSignature": "cHJvb2Y="},
        {"functionCall": {"name": "look", "args": {"at": "sea"}}}]}, "finishReason": "STOP"}]})
}

/// What a client asks first, in its own dialect.
fn question(client: Dialect) -> Value {
    let parameters = json!({"type": "object", "properties": {"at": {"type": "string"}}});
    match client {
        Dialect::OpenAiChat => json!({"model": "m", "messages": [{"role": "user", "content": "Look."}],
            "tools": [{"type": "function", "function": {"name": "look", "parameters": parameters}}]}),
        Dialect::OpenAiResponses => json!({"model": "m", "input": [{"role": "user", "content": "Look."}],
            "tools": [{"type": "function", "name": "look", "parameters": parameters}]}),
        _ => json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "Look."}],
            "tools": [{"name": "look", "input_schema": parameters}]}),
    }
}

/// The same conversation one turn later: the answer as it came, and a result for each call.
fn next(client: Dialect, told: &Value) -> Value {
    let mut body = question(client);
    let name = if client == RESPONSES { "input" } else { "messages" };
    let turns = body[name].as_array_mut().unwrap();
    match client {
        Dialect::OpenAiChat => {
            let message = &told["choices"][0]["message"];
            turns.push(message.clone());
            let calls = message["tool_calls"].as_array().unwrap();
            turns.extend(
                calls.iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "blue"})),
            );
        }
        Dialect::OpenAiResponses => {
            let items = told["output"].as_array().unwrap();
            turns.extend(items.iter().cloned());
            let calls = items.iter().filter(|item| item["type"] == "function_call");
            turns.extend(
                calls.map(|call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "blue"})),
            );
        }
        _ => {
            let blocks = told["content"].as_array().unwrap();
            turns.push(json!({"role": "assistant", "content": blocks}));
            let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
            let results =
                calls.map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "blue"}));
            turns.push(json!({"role": "user", "content": results.collect::<Vec<_>>()}));
        }
    }
    body
}

fn ask(body: &Value, client: Dialect, target: Dialect) -> translate::Translated {
    let told = translate::request(body.to_string().as_bytes(), client, &Demands::of(target), Address::default());
    told.unwrap_or_else(|error| panic!("{} to {}: {error}", client.name(), target.name()))
}

fn whole(way_back: &WayBack, client: Dialect) -> Value {
    let said = translate::reply(answer().to_string().as_bytes(), GEMINI, client, way_back, &ENVELOPE).unwrap();
    serde_json::from_slice(&said).unwrap()
}

/// The same answer part by part, as a client puts it together.
fn streamed(way_back: &WayBack, client: Dialect) -> Value {
    let answer = answer();
    let candidate = &answer["candidates"][0];
    let parts = candidate["content"]["parts"].as_array().unwrap();
    let chunks = parts.iter().enumerate().map(|(at, part)| {
        let finish = if at + 1 == parts.len() { json!("STOP") } else { Value::Null };
        let candidate = json!({"content": {"role": "model", "parts": [part]}, "finishReason": finish});
        format!("data: {}\n\n", json!({"responseId": "r", "modelVersion": "m", "candidates": [candidate]}))
    });
    let stream = StreamTranslator::new(GEMINI, client, way_back.clone(), &ENVELOPE, Limits::default());
    let (mut stream, mut out) = (stream.unwrap(), Vec::new());
    for chunk in chunks {
        stream.push(chunk.as_bytes(), &mut out);
    }
    stream.finish(&mut out);
    let (mut reader, mut fold) = (client.reader().unwrap(), Fold::new(1 << 20));
    Frames::of(client, Limits::default()).feed(&out, |name, data| {
        for event in reader.parse_event(name, data).unwrap() {
            fold.add(&event).unwrap();
        }
    });
    let reply = client.render_reply(&Reply::Chat(fold.finish().unwrap()), &ENVELOPE).unwrap();
    serde_json::from_slice(&reply).unwrap()
}

#[test]
fn the_proof_of_a_call_comes_back_with_it_and_goes_to_nobody_else() {
    for client in [CHAT, RESPONSES, ANTHROPIC] {
        let way_back = ask(&question(client), client, GEMINI).way_back;
        for (how, told) in [("whole", whole(&way_back, client)), ("streamed", streamed(&way_back, client))] {
            let body = next(client, &told);
            assert!(!body.to_string().contains("cHJvb2Y="), "{how} {}: it is marked: {body}", client.name());
            assert!(holds_marks([body.to_string().as_bytes()]), "{how} {}", client.name());
            let again = ask(&body, client, GEMINI);
            let said: Value = serde_json::from_slice(&again.body).unwrap();
            let parts = said["contents"][1]["parts"].as_array().unwrap();
            let calls: Vec<_> = parts.iter().filter(|part| part.get("functionCall").is_some()).collect();
            let [sky, sea] = calls.as_slice() else { panic!("{how} {}: {said}", client.name()) };
            assert_eq!(sky["functionCall"]["args"]["at"], "sky");
            assert_eq!(sky["thoughtSignature"], "cHJvb2Y=", "{how} {}: {said}", client.name());
            assert_eq!(sea.get("thoughtSignature"), None, "{how} {}: {said}", client.name());
            for target in [CHAT, RESPONSES, ANTHROPIC, Dialect::BedrockConverse] {
                let elsewhere = ask(&body, client, target);
                assert!(!holds_marks([elsewhere.body.as_ref()]), "{how} {} to {}", client.name(), target.name());
                let named = [elsewhere.dropped, elsewhere.changed].concat();
                let word = if client == RESPONSES { ".encrypted_content" } else { ".signature" };
                assert!(named.iter().any(|name| name.ends_with(word)), "{}: {named:?}", target.name());
                let said = String::from_utf8(elsewhere.body.to_vec()).unwrap();
                assert!(said.contains("sky") && said.contains("sea"), "{said}");
            }
        }
    }
}

#[test]
fn a_proof_whose_call_is_gone_is_named() {
    let mut thoughtful = question(ANTHROPIC);
    thoughtful["thinking"] = json!({"type": "adaptive"});
    let way_back = ask(&thoughtful, ANTHROPIC, GEMINI).way_back;
    let told = whole(&way_back, ANTHROPIC);
    let proof = told["content"].as_array().unwrap().iter().find(|block| block["type"] == "redacted_thinking").unwrap();
    let mut body = question(ANTHROPIC);
    let turns = body["messages"].as_array_mut().unwrap();
    turns.push(json!({"role": "assistant", "content": [{"type": "text", "text": "I look."}, proof]}));
    turns.push(json!({"role": "user", "content": "And?"}));
    let again = ask(&body, ANTHROPIC, GEMINI);
    assert_eq!([again.dropped, again.changed].concat(), ["messages[1].content[1].signature"]);
    assert!(!holds_marks([again.body.as_ref()]));
}
