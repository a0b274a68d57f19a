//! What clients and servers write that is unusual and means what it always means, and what a target refuses.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails where it meets a failure")]

use fastroute_core::dialects::Dialect;
use fastroute_core::passes::{Demands, WayBack};
use fastroute_core::sse::Limits;
use fastroute_core::translate::{self, Address, StreamTranslator};
use serde_json::{Value, json};

#[path = "dialects/names.rs"]
mod names;
use names::{ANTHROPIC, CHAT, ENVELOPE, GEMINI, PIXEL, RESPONSES};

fn ask(body: &Value, source: Dialect, target: Dialect) -> (Value, Vec<String>) {
    let told = translate::request(body.to_string().as_bytes(), source, &Demands::of(target), Address::default());
    let told = told.unwrap_or_else(|error| panic!("{}: {error}", target.name()));
    (serde_json::from_slice(&told.body).unwrap(), [told.dropped, told.changed].concat())
}

fn answer(body: &[u8], source: Dialect, target: Dialect) -> Value {
    let said = translate::reply(body, source, target, &WayBack::default(), &ENVELOPE);
    serde_json::from_slice(&said.unwrap_or_else(|error| panic!("{}: {error}", target.name()))).unwrap()
}

#[test]
fn a_null_beside_something_takes_nothing_from_it() {
    let url = format!("data:image/png;base64,{PIXEL}");
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [
            {"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": url, "detail": null}}]}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": null, "schema": {"type": "object"}}}});
    for target in [ANTHROPIC, GEMINI, RESPONSES] {
        let (said, named) = ask(&body, CHAT, target);
        assert!(said.to_string().contains(PIXEL), "{}: {said}", target.name());
        assert!(!named.iter().any(|name| name.contains("content") || name == "response_format"), "{named:?}");
    }
    let forced = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": null}});
    assert_eq!(ask(&forced, ANTHROPIC, CHAT).0["tool_choice"]["function"]["name"], "f");
    let body = json!({"model": "m", "input": "hi", "text": {"format": {"type": "json_schema", "name": "a", "strict": null,
        "description": null, "schema": {"type": "object"}}}});
    let (said, named) = ask(&body, RESPONSES, CHAT);
    assert_eq!((&said["response_format"]["json_schema"]["name"], named), (&json!("a"), Vec::new()));
}

#[test]
fn what_openai_refuses_is_not_sent_there() {
    let id = "u".repeat(100);
    let body = json!({"model": "m", "max_tokens": 1, "metadata": {"user_id": id},
        "messages": [{"role": "user", "content": "hi"}]});
    for target in [CHAT, RESPONSES] {
        let (said, named) = ask(&body, ANTHROPIC, target);
        assert_eq!(said.get("safety_identifier"), None, "{said}");
        assert!(named.contains(&"metadata.user_id".to_owned()), "{named:?}");
    }
    let (said, _) = ask(&body, ANTHROPIC, RESPONSES);
    assert_eq!((&said["max_output_tokens"], said.get("include")), (&json!(16), None), "{said}");
    let thinks = json!({"model": "m", "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(ask(&thinks, ANTHROPIC, RESPONSES).0["include"], json!(["reasoning.encrypted_content"]));
    let schema = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig":
        {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}}});
    assert_eq!(ask(&schema, GEMINI, CHAT).0["response_format"]["json_schema"]["name"], "response");
}

#[test]
fn what_says_nothing_is_not_named_as_gone() {
    let body =
        json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "x_list": [], "x_null": null, "x": 1});
    assert_eq!(ask(&body, CHAT, ANTHROPIC).1, ["x"]);
}

#[test]
fn half_a_character_does_not_take_its_text_along() {
    let body = br#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":
        {"role":"assistant","content":"hello \ud83d world"},"finish_reason":"stop"}]}"#;
    let said = answer(body, CHAT, ANTHROPIC);
    assert_eq!(said["content"][0]["text"], "hello \u{FFFD} world");
}

#[test]
fn an_answer_that_calls_waits_for_its_calls_whatever_its_server_says() {
    let call = json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let reply = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": null, "tool_calls": [call]}, "finish_reason": "stop"}]});
    assert_eq!(answer(reply.to_string().as_bytes(), CHAT, ANTHROPIC)["stop_reason"], "tool_use");
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        format!("data: {}\n\n", json!({"id": "c", "model": "m", "choices": [choice]}))
    };
    let stream = [chunk(json!({"tool_calls": [call]}), Value::Null), chunk(json!({}), json!("stop"))].concat();
    let translator = StreamTranslator::new(CHAT, ANTHROPIC, WayBack::default(), &ENVELOPE, Limits::default());
    let (mut translator, mut out) = (translator.unwrap(), Vec::new());
    translator.push(stream.as_bytes(), &mut out);
    translator.finish(&mut out);
    assert!(String::from_utf8(out).unwrap().contains(r#""stop_reason":"tool_use""#));
}

#[test]
fn arguments_that_come_as_an_object_are_arguments() {
    let reply = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function",
            "function": {"name": "f", "arguments": {"city": "Paris"}}}]}, "finish_reason": "tool_calls"}]});
    let said = answer(reply.to_string().as_bytes(), CHAT, ANTHROPIC);
    assert_eq!(said["content"][0]["input"], json!({"city": "Paris"}), "{said}");
}

#[test]
fn reasoning_that_a_client_of_responses_returns_is_its_makers_again() {
    let reply = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [
        {"type": "thinking", "thinking": "First.", "signature": "c2ln"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}], "stop_reason": "tool_use",
        "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}});
    let asked = json!({"model": "m", "input": "go"}).to_string();
    let to = Demands::of(ANTHROPIC);
    let way_back = translate::request(asked.as_bytes(), RESPONSES, &to, Address::default()).unwrap().way_back;
    let said = translate::reply(reply.to_string().as_bytes(), ANTHROPIC, RESPONSES, &way_back, &ENVELOPE).unwrap();
    let said: Value = serde_json::from_slice(&said).unwrap();
    let mut input = vec![json!({"role": "user", "content": "go"})];
    input.extend(said["output"].as_array().unwrap().iter().cloned());
    let call = said["output"].as_array().unwrap().last().unwrap()["call_id"].clone();
    input.push(json!({"type": "function_call_output", "call_id": call, "output": "done"}));
    let (again, named) = ask(&json!({"model": "m", "input": input}), RESPONSES, ANTHROPIC);
    let thought = json!({"type": "thinking", "thinking": "First.", "signature": "c2ln"});
    assert_eq!(again["messages"][1]["content"][0], thought, "{again} {named:?}");
}
