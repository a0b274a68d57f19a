//! Whatever is refused, left out or changed is named as the client wrote it: in its dialect, and in the place where it
//! stood before anything was moved.
#![expect(clippy::panic, reason = "a test fails where it meets a failure")]

use fastroute_core::dialects::Dialect;
use fastroute_core::passes::{Capabilities, Demands, OnLoss};
use fastroute_core::quirks::Quirks;
use fastroute_core::translate::{self, Address};
use serde_json::{Value, json};

#[path = "dialects/names.rs"]
mod names;
use names::{ANTHROPIC, BEDROCK, CHAT, COHERE, GEMINI, OLLAMA, RESPONSES};

fn named(body: &Value, source: Dialect, target: Dialect) -> Vec<String> {
    let told = translate::request(body.to_string().as_bytes(), source, &Demands::of(target), Address::default());
    let told = told.unwrap_or_else(|error| panic!("{}: {error}", target.name()));
    let mut names = [told.dropped, told.changed].concat();
    names.sort();
    names
}

/// Follows a name into the request; `None` where nothing stands there.
fn found<'v>(body: &'v Value, name: &str) -> Option<&'v Value> {
    let pointer = format!("/{}", name.replace(['.', '['], "/").replace(']', ""));
    body.pointer(&pointer)
}

#[test]
fn members_are_named_in_the_clients_dialect() {
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "safetySettings": [{"category": "X", "threshold": "OFF"}],
        "generationConfig": {"seed": 1, "topK": 3, "presencePenalty": 1.0, "speechConfig": {"a": 1},
            "thinkingConfig": {"thinkingBudget": 9, "new": 1}}});
    let lost = [
        "generationConfig.presencePenalty",
        "generationConfig.seed",
        "generationConfig.speechConfig",
        "generationConfig.thinkingConfig.new",
        "safetySettings",
    ];
    for name in named(&gemini, GEMINI, ANTHROPIC) {
        assert!(found(&gemini, &name).is_some(), "{name} is not there");
    }
    for name in lost {
        assert!(named(&gemini, GEMINI, ANTHROPIC).contains(&name.to_owned()), "{name}");
    }
    let anthropic = json!({"model": "m", "max_tokens": 9, "stop_sequences": ["x"], "top_k": 3,
        "metadata": {"user_id": "u"}, "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "messages": [{"role": "user", "content": "hi"}]});
    let names = named(&anthropic, ANTHROPIC, RESPONSES);
    assert_eq!(names, ["max_tokens", "stop_sequences", "top_k"]);
    assert_eq!(named(&anthropic, ANTHROPIC, GEMINI), ["metadata.user_id", "tool_choice.disable_parallel_tool_use"]);
    let responses = json!({"model": "m", "input": "hi", "max_output_tokens": 9, "truncation": "auto",
        "text": {"verbosity": "low"}, "reasoning": {"effort": "low"}});
    assert_eq!(named(&responses, RESPONSES, COHERE), ["reasoning.effort", "text.verbosity", "truncation"]);
    let chat = json!({"model": "m", "max_completion_tokens": 3, "messages": [{"role": "user", "content": "hi"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "d", "description": "x", "schema": {"type": "object"}}}});
    assert_eq!(named(&chat, CHAT, RESPONSES), ["max_completion_tokens"]);
    assert_eq!(named(&chat, CHAT, GEMINI), ["response_format.json_schema.description"]);
    let cohere =
        json!({"model": "m", "p": 0.5, "k": 3, "temperature": 0.5, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(named(&cohere, COHERE, ANTHROPIC), ["p"]);
    let ollama =
        json!({"model": "m", "options": {"seed": 1, "num_ctx": 9}, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(named(&ollama, OLLAMA, ANTHROPIC), ["options.num_ctx", "options.seed"]);
}

#[test]
fn what_moved_is_named_where_it_was_written() {
    // Instructions in front, empty turns and turns of one role: nothing keeps its number.
    let detail = |url: &str| json!({"type": "image_url", "image_url": {"url": url, "detail": "low", "new": 1}});
    let chat = json!({"model": "m", "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": ""},
        {"role": "user", "content": "a", "name": "Ann"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, detail("data:image/png;base64,iVBORw0KGgo=")]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r", "new": 1}]},
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "c"}]});
    let expected = [
        "messages[2].name",
        "messages[3].content[1].image_url.detail",
        "messages[3].content[1].image_url.new",
        "messages[5].content[0].new",
        "messages[6].role",
    ];
    for target in [ANTHROPIC, GEMINI, BEDROCK] {
        assert_eq!(named(&chat, CHAT, target), expected, "{}", target.name());
    }
    assert!(expected.iter().all(|name| found(&chat, name).is_some()));
}

#[test]
fn places_are_those_of_each_client() {
    let gemini = json!({"systemInstruction": {"parts": [{"text": "Be kind.", "new": 1}]}, "contents": [
        {"role": "user", "parts": [{"text": "a", "new": 1}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}, "new": 1}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "r"}, "willContinue": false}}]},
        {"role": "user", "parts": [{"text": "b"}, {"text": "c", "new": 1}]}],
        "tools": [{"googleSearch": {}}, {"functionDeclarations": [{"name": "g"}, {"name": "f", "behavior": "BLOCKING"}]}]});
    let expected = [
        "contents[0].parts[0].new",
        "contents[1].parts[0].functionCall.new",
        "contents[2].parts[0].functionResponse.willContinue",
        "contents[3].parts[1].new",
        "systemInstruction.parts[0].new",
        "tools[0].googleSearch",
        "tools[1].functionDeclarations[1].behavior",
    ];
    for target in [CHAT, ANTHROPIC, RESPONSES] {
        assert_eq!(named(&gemini, GEMINI, target), expected, "{}", target.name());
    }
    assert!(expected.iter().all(|name| found(&gemini, name).is_some()));

    let anthropic = json!({"model": "m", "max_tokens": 99, "system": [{"type": "text", "text": "Be kind.", "new": 1}],
        "messages": [{"role": "user", "content": "a"},
            {"role": "assistant", "content": [{"type": "text", "text": "b"},
                {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "text", "text": "c", "new": 1},
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "r", "new": 1}]}]}]});
    let expected = [
        "messages[1].content[1]",
        "messages[2].content[0].new",
        "messages[2].content[1].content[0].new",
        "system[0].new",
    ];
    for target in [CHAT, GEMINI, RESPONSES, COHERE, OLLAMA] {
        assert_eq!(named(&anthropic, ANTHROPIC, target), expected, "{}", target.name());
    }

    let responses = json!({"model": "m", "instructions": "Be kind.", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b", "new": 1}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "blob"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
            "content": [{"type": "output_text", "text": "c", "annotations": [], "new": 1}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "new": 1},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "r", "new": 1}]}]});
    let expected = [
        "input[0].content[1].new",
        "input[1].encrypted_content",
        "input[2]",
        "input[3].content[0].new",
        "input[4].new",
        "input[5].output[0].new",
    ];
    for target in [CHAT, ANTHROPIC, GEMINI] {
        assert_eq!(named(&responses, RESPONSES, target), expected, "{}", target.name());
    }
}

#[test]
fn a_refusal_is_at_the_clients_place_as_well() {
    let strict = |target| Demands::new(target, Capabilities::default(), Quirks::default(), OnLoss::Reject);
    let refused = |body: &Value, source: Dialect, target: Dialect| {
        let error = translate::request(body.to_string().as_bytes(), source, &strict(target), Address::default());
        let error = error.unwrap_err();
        (error.param.unwrap(), error.pointer)
    };
    let gemini =
        json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"candidateCount": 2}});
    let at = ("generationConfig.candidateCount".to_owned(), "/generationConfig/candidateCount".to_owned());
    assert_eq!(refused(&gemini, GEMINI, ANTHROPIC), at);
    let audio = json!({"contents": [{"role": "model", "parts": [{"text": "ho"}]}, {"role": "user", "parts": [{"text": "a"},
        {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}}]}]});
    let at = ("contents[1].parts[1]".to_owned(), "/contents/1/parts/1".to_owned());
    assert_eq!(refused(&audio, GEMINI, ANTHROPIC), at);
    let seed = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"seed": 2}});
    assert_eq!(refused(&seed, GEMINI, RESPONSES).0, "generationConfig.seed");
    let anthropic = json!({"model": "m", "max_tokens": 99, "stop_sequences": ["x"], "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(refused(&anthropic, ANTHROPIC, RESPONSES).0, "stop_sequences");
}

#[test]
fn nothing_is_named_of_which_nothing_is_lost() {
    let tool = json!({"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": false});
    let responses = json!({"model": "m", "input": "hi", "include": ["reasoning.encrypted_content"], "store": false,
        "truncation": "disabled", "background": false, "parallel_tool_calls": true, "service_tier": "auto",
        "tools": [tool], "tool_choice": "auto", "text": {"format": {"type": "text"}, "verbosity": "medium"}, "metadata": {},
        "reasoning": {"summary": "auto"}, "top_logprobs": 0});
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {
        "responseModalities": ["TEXT"], "candidateCount": 1, "presencePenalty": 0, "frequencyPenalty": 0,
        "thinkingConfig": {"includeThoughts": true, "thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"},
        "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}},
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}]}]});
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "n": 1, "store": false,
        "modalities": ["text"], "frequency_penalty": 0, "presence_penalty": 0.0, "logprobs": false, "logit_bias": {},
        "parallel_tool_calls": true, "service_tier": "default", "verbosity": "medium", "stream": true,
        "stream_options": {"include_usage": true, "include_obfuscation": false},
        "response_format": {"type": "json_schema", "json_schema": {"name": "d", "strict": true, "schema": {"type": "object"}}}});
    let ollama = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "options": {}, "think": true});
    for (source, body) in [(RESPONSES, responses), (GEMINI, gemini), (CHAT, chat), (OLLAMA, ollama)] {
        for target in [CHAT, RESPONSES, ANTHROPIC, GEMINI, COHERE, OLLAMA, BEDROCK] {
            if target == source || (source == OLLAMA && matches!(target, CHAT | RESPONSES)) {
                continue;
            }
            let demands = Demands::new(target, Capabilities::default(), Quirks::default(), OnLoss::Reject);
            let asked = translate::request(body.to_string().as_bytes(), source, &demands, Address::default());
            let told = asked.unwrap_or_else(|error| panic!("{} to {}: {error}", source.name(), target.name()));
            assert!(told.dropped.is_empty(), "{} to {}: {:?}", source.name(), target.name(), told.dropped);
        }
    }
}
