//! An object that has members nobody knows is read all the same: what is known of it crosses, and the rest is named.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails where it meets a failure, and takes JSON as it is written"
)]

use fastroute_core::dialects::Dialect;
use fastroute_core::passes::{Capabilities, Demands, OnLoss};
use fastroute_core::translate::{self, Address};
use serde_json::{Value, json};

#[path = "dialects/names.rs"]
mod names;
use names::{ANTHROPIC, CHAT, COHERE, GEMINI, RESPONSES};

fn said(body: &Value, source: Dialect, target: Dialect) -> (Value, Vec<String>) {
    let told = translate::request(body.to_string().as_bytes(), source, &Demands::of(target), Address::default());
    let told = told.unwrap_or_else(|error| panic!("{}: {error}", target.name()));
    (serde_json::from_slice(&told.body).unwrap(), told.dropped)
}

/// In its own dialect a request is said again with everything that it came with.
fn survives(body: &Value, dialect: Dialect) {
    let text = body.to_string();
    let request = dialect.parse_request(text.as_bytes()).unwrap();
    let again: Value = serde_json::from_slice(&dialect.render_request(&request).unwrap().body).unwrap();
    assert_eq!(again, *body, "{}", dialect.name());
}

fn chat(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn media_with_more_in_them_are_media() {
    let body = chat(json!({"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "new": 1}},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav", "new": 1}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf", "new": 1}}]}]}));
    survives(&body, CHAT);
    let (asked, named) = said(&body, CHAT, GEMINI);
    let parts = asked["contents"][0]["parts"].as_array().unwrap();
    let kinds: Vec<_> = parts.iter().map(|part| part.as_object().unwrap().keys().next().unwrap().as_str()).collect();
    assert_eq!(kinds, ["fileData", "inlineData", "inlineData"]);
    assert_eq!(
        named,
        [
            "messages[0].content[0].image_url.new",
            "messages[0].content[1].input_audio.new",
            "messages[0].content[2].file.new"
        ]
    );
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png", "new": 1}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0=", "new": null}}]}]});
    survives(&body, ANTHROPIC);
    let (asked, named) = said(&body, ANTHROPIC, CHAT);
    assert_eq!(asked["messages"][0]["content"][0]["image_url"]["url"], "https://example.com/a.png");
    assert_eq!(named, ["messages[0].content[0].source.new"]);
    let body = json!({"model": "m", "input": [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav", "new": 1}}]}]});
    survives(&body, RESPONSES);
    let (asked, named) = said(&body, RESPONSES, CHAT);
    assert_eq!(asked["messages"][0]["content"][0]["input_audio"]["data"], "UklG");
    assert_eq!(named, ["input[0].content[0].input_audio.new"]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "new": 1}}]}]});
    survives(&body, COHERE);
    let (asked, named) = said(&body, COHERE, CHAT);
    assert_eq!(asked["messages"][0]["content"][0]["image_url"]["url"], "https://example.com/a.png");
    assert_eq!(named, ["messages[0].content[0].image_url.new"]);
}

#[test]
fn a_schema_with_more_beside_it_is_a_schema() {
    let schema = json!({"type": "object"});
    let body = chat(json!({"response_format": {"type": "json_schema", "new": 1,
        "json_schema": {"name": "d", "schema": schema, "new": 1}}}));
    survives(&body, CHAT);
    let (asked, named) = said(&body, CHAT, RESPONSES);
    assert_eq!(asked["text"]["format"]["schema"], schema);
    assert_eq!(named, ["response_format.new", "response_format.json_schema.new"]);
    let body = json!({"model": "m", "input": "hi",
        "text": {"format": {"type": "json_schema", "name": "d", "schema": schema, "new": 1}, "new": 1}});
    survives(&body, RESPONSES);
    let (asked, named) = said(&body, RESPONSES, CHAT);
    assert_eq!(asked["response_format"]["json_schema"]["schema"], schema);
    assert_eq!(named, ["text.new", "text.format.new"]);
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "output_config": {"format": {"type": "json_schema", "schema": schema, "new": 1}, "new": 1}});
    survives(&body, ANTHROPIC);
    let (asked, named) = said(&body, ANTHROPIC, CHAT);
    assert_eq!(asked["response_format"]["json_schema"]["schema"], schema);
    assert_eq!(named, ["output_config.new", "output_config.format.new"]);
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "output_format": {"type": "json_schema", "schema": schema}});
    survives(&body, ANTHROPIC);
    let (asked, named) = said(&body, ANTHROPIC, CHAT);
    assert_eq!(asked["response_format"]["json_schema"]["schema"], schema, "as clients said it before");
    assert_eq!(named, [""; 0]);
    let body = chat(json!({"response_format": {"type": "json_object", "json_schema": schema, "new": 1}}));
    survives(&body, COHERE);
    let (asked, named) = said(&body, COHERE, CHAT);
    assert_eq!(asked["response_format"]["json_schema"]["schema"], schema);
    assert_eq!(named, ["response_format.new"]);
}

#[test]
fn a_choice_with_more_in_it_is_a_choice() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let body = chat(
        json!({"tools": tools, "tool_choice": {"type": "function", "new": 1, "function": {"name": "f", "new": 1}}}),
    );
    survives(&body, CHAT);
    let (asked, named) = said(&body, CHAT, ANTHROPIC);
    assert_eq!(asked["tool_choice"], json!({"type": "tool", "name": "f"}));
    assert_eq!(named, ["tool_choice.new", "tool_choice.function.new"]);
    let allowed = json!({"type": "allowed_tools", "new": 1, "allowed_tools": {"mode": "required", "new": 1,
        "tools": [{"type": "function", "function": {"name": "f"}}]}});
    let body = chat(json!({"tools": tools, "tool_choice": allowed}));
    survives(&body, CHAT);
    assert_eq!(said(&body, CHAT, ANTHROPIC).0["tool_choice"], json!({"type": "any"}));
    let body = json!({"model": "m", "input": "hi", "tools": [{"type": "function", "name": "f"}],
        "tool_choice": {"type": "function", "name": "f", "new": 1}});
    survives(&body, RESPONSES);
    let (asked, named) = said(&body, RESPONSES, CHAT);
    assert_eq!(asked["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    assert_eq!(named, ["tool_choice.new"]);
    for choice in [json!({"type": "tool", "name": "f", "new": 1}), json!({"type": "none", "new": 1})] {
        let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
            "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": choice});
        survives(&body, ANTHROPIC);
        let (asked, named) = said(&body, ANTHROPIC, CHAT);
        assert!(asked.get("tool_choice").is_some());
        assert_eq!(named, ["tool_choice.new"]);
    }
}

#[test]
fn a_tool_config_says_its_choice_whatever_stands_beside_it() {
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"], "new": 1},
            "retrievalConfig": {"languageCode": "de"}}});
    survives(&body, GEMINI);
    let (asked, named) = said(&body, GEMINI, CHAT);
    assert_eq!(asked["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    assert_eq!(named, ["toolConfig.retrievalConfig", "toolConfig.functionCallingConfig.new"]);
}

#[test]
fn a_link_with_more_beside_it_is_a_link() {
    let link = json!({"type": "url_citation", "new": 1,
        "url_citation": {"url": "https://sea.example", "title": "Sea", "start_index": 0, "end_index": 3}});
    let body = chat(json!({"messages": [{"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Sea.", "annotations": [link]}, {"role": "user", "content": "and?"}]}));
    survives(&body, CHAT);
    let (asked, named) = said(&body, CHAT, RESPONSES);
    let item = &asked["input"][1];
    assert!(item.to_string().contains("https://sea.example"), "{item}");
    assert_eq!(named, [""; 0]);
}

#[test]
fn the_rest_of_an_object_that_is_not_told_is_not_told_either() {
    let quirks = serde_json::from_value(json!({"json_schema": "prompt", "flatten_text": true})).unwrap();
    let demands = Demands::new(CHAT, Capabilities::default(), quirks, OnLoss::default());
    let body = chat(json!({"response_format": {"type": "json_schema",
        "json_schema": {"name": "d", "schema": {"type": "object"}, "new": 1}}}));
    let told = translate::request(body.to_string().as_bytes(), CHAT, &demands, Address::default()).unwrap();
    let asked: Value = serde_json::from_slice(&told.body).unwrap();
    assert!(asked.get("response_format").is_none(), "{asked}");
}
