use crate::dialects::Dialect;
use crate::dialects::message::Envelope;
use crate::passes::{Demands, WayBack};
use crate::sse::Limits;
use crate::translate::{self, Address, StreamTranslator};
use serde_json::{Value, json};

const CHAT: Dialect = Dialect::OpenAiChat;
const COMPLETIONS: Dialect = Dialect::OpenAiCompletions;
const ENVELOPE: Envelope<'_> = Envelope { id: "cmpl-ours", model: "m-1", created_s: 7, include_usage: false };

fn asked(body: &Value, source: Dialect, target: Dialect) -> Result<(Value, Vec<String>), String> {
    let body = body.to_string();
    let told = translate::request(body.as_bytes(), source, &Demands::of(target), Address::default());
    let told = told.map_err(|error| error.to_string())?;
    Ok((serde_json::from_slice(&told.body).unwrap(), told.dropped))
}

fn answered(body: &Value, source: Dialect, target: Dialect) -> Result<Value, String> {
    let body = body.to_string();
    let told = translate::reply(body.as_bytes(), source, target, &WayBack::default(), &ENVELOPE);
    told.map(|body| serde_json::from_slice(&body).unwrap()).map_err(|error| error.to_string())
}

#[test]
fn a_prompt_is_a_message_of_the_user_and_back() {
    let prompt = json!({"model": "m", "prompt": "The lake is", "max_tokens": 5, "logprobs": 2, "stop": "\n"});
    let chat = json!({
        "model": "m", "messages": [{"role": "user", "content": "The lake is"}], "max_tokens": 5,
        "logprobs": true, "top_logprobs": 2, "stop": "\n",
    });
    assert_eq!(asked(&prompt, COMPLETIONS, CHAT).unwrap(), (chat.clone(), Vec::new()));
    assert_eq!(asked(&chat, CHAT, COMPLETIONS).unwrap(), (prompt, Vec::new()));
}

#[test]
fn what_chat_has_no_words_for_is_named() {
    let prompt = json!({"model": "m", "prompt": ["The lake is"], "echo": true, "best_of": 2, "logit_bias": null});
    let (_, dropped) = asked(&prompt, COMPLETIONS, CHAT).unwrap();
    assert_eq!(dropped, ["best_of", "echo"]);
    let chat = json!({
        "model": "m", "messages": [{"role": "user", "content": "a", "name": "n"}], "store": true,
        "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto", "reasoning_effort": "low",
        "response_format": {"type": "json_object"},
    });
    let (said, dropped) = asked(&chat, CHAT, COMPLETIONS).unwrap();
    assert_eq!(said, json!({"model": "m", "prompt": "a"}));
    assert_eq!(dropped, ["tools[0]", "tool_choice", "response_format", "reasoning", "store", "messages[0].name"]);
}

#[test]
fn input_that_would_be_lost_is_refused_by_name() {
    for (member, value, expected) in [
        ("prompt", json!([1, 2]), "prompt: is tokens or more than one prompt, which cannot be said in openai_chat"),
        ("prompt", json!(["a", "b"]), "prompt: is tokens or more than one prompt, which cannot be said in openai_chat"),
        ("suffix", json!("b"), "suffix: cannot be said in openai_chat"),
        ("prompt", json!(null), "prompt: is required"),
        ("prompt", json!([]), "prompt: must not be empty"),
        ("prompt", json!(["a", 1]), "prompt[1]: must be a string, as the first is"),
        ("logprobs", json!(true), "logprobs: must be a whole number of at least 0"),
    ] {
        let mut body = json!({"model": "m", "prompt": "a"});
        body[member] = value;
        assert_eq!(asked(&body, COMPLETIONS, CHAT).unwrap_err(), expected);
    }
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}});
    for (messages, expected) in [
        (json!([{"role": "user", "content": [image]}]), "messages[0].content[0]: must be text to be a prompt"),
        (json!([{"role": "system", "content": "a"}]), "messages[0].role: must be user to be a prompt"),
        (
            json!([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]),
            "messages: must be one message to be a prompt",
        ),
    ] {
        let refused = asked(&json!({"model": "m", "messages": messages}), CHAT, COMPLETIONS);
        assert_eq!(refused.unwrap_err(), expected);
    }
}

#[test]
fn log_probabilities_are_told_in_either_form() {
    let legacy = json!({
        "tokens": [" deep", "é"], "token_logprobs": [-0.5, -1.0], "top_logprobs": [{" deep": -0.5, " blue": -2}, {}],
        "text_offset": [0, 5],
    });
    let completion = json!({
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "text": " deepé", "logprobs": legacy, "finish_reason": "stop"}],
    });
    let mut chat = answered(&completion, COMPLETIONS, CHAT).unwrap();
    assert_eq!(chat["choices"][0]["message"]["content"], " deepé");
    let tokens = chat["choices"][0]["logprobs"]["content"].as_array_mut().unwrap();
    assert_eq!(tokens[0]["top_logprobs"][0], json!({"token": " blue", "logprob": -2, "bytes": null}));
    // What a server of chat says has no offsets: they are counted.
    for token in tokens {
        token.as_object_mut().unwrap().remove("text_offset");
    }
    let again = answered(&chat, CHAT, COMPLETIONS).unwrap();
    assert_eq!(again["choices"], completion["choices"]);
    assert_eq!(again["object"], "text_completion");
}

#[test]
fn a_call_is_not_left_out_of_an_answer() {
    let call = json!([{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let reply = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "I look", "tool_calls": call},
        "finish_reason": "tool_calls"}]});
    assert_eq!(answered(&reply, CHAT, COMPLETIONS).unwrap_err(), "choices[0]: calls a tool, which a completion cannot");
    let chunk = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "I look", "tool_calls": [
        {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": "{}"}}]}}]});
    let mut stream =
        StreamTranslator::new(CHAT, COMPLETIONS, WayBack::default(), &ENVELOPE, Limits::default()).unwrap();
    let mut out = Vec::new();
    stream.push(format!("data: {chunk}\n\ndata: [DONE]\n\n").as_bytes(), &mut out);
    stream.finish(&mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("I look") && out.contains("calls a tool") && !out.contains("[DONE]"), "{out}");
}
