//! Requests and replies of other dialects in this one, and requests that are refused.

use serde_json::{Value, json};

use crate::dialects::Dialect;
use crate::dialects::message::{
    Block, CallKind, ChatReply, Choice, Citation, Content, Envelope, Extras, Finish, FinishReason, Reasoning, Reply,
    Role, ToolCall, Turn,
};

fn from_chat(body: &Value) -> (Value, Vec<String>) {
    let body = body.to_string();
    let request = Dialect::OpenAiChat.parse_request(body.as_bytes()).unwrap();
    let rendered = Dialect::OpenAiResponses.render_request(&request).unwrap();
    (serde_json::from_slice(&rendered.body).unwrap(), rendered.dropped)
}

#[test]
fn a_chat_request_becomes_items_and_nothing_is_stored_for_it() {
    let (said, dropped) = from_chat(&json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "How high?"},
                {"type": "image_url", "image_url": {"url": "https://e.test/a.png"}}
            ]},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "height", "arguments": "{}"}}
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "4 m"}
        ],
        "tools": [{"type": "function", "function": {"name": "height"}}],
        "tool_choice": {"type": "function", "function": {"name": "height"}},
        "response_format": {"type": "json_schema", "json_schema": {"schema": {}}},
        "reasoning_effort": "low", "verbosity": "low", "max_tokens": 9, "logprobs": true, "top_logprobs": 2
    }));
    assert_eq!(dropped, ["max_tokens"], "raised to what is taken");
    assert_eq!(
        said,
        json!({
            "model": "m",
            "input": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "input_text", "text": "How high?"},
                    {"type": "input_image", "image_url": "https://e.test/a.png", "detail": "auto"}
                ]},
                {"type": "message", "role": "assistant", "content": "I look."},
                {"type": "function_call", "call_id": "call_1", "name": "height", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "4 m"}
            ],
            "tools": [{"type": "function", "name": "height", "parameters": {"type": "object", "properties": {}},
                "strict": false}],
            "tool_choice": {"type": "function", "name": "height"},
            "text": {"format": {"type": "json_schema", "name": "response", "schema": {}}, "verbosity": "low"},
            "reasoning": {"effort": "low"},
            "max_output_tokens": 16,
            "top_logprobs": 2,
            "store": false,
            "include": ["reasoning.encrypted_content", "message.output_text.logprobs"]
        })
    );
}

#[test]
fn what_this_dialect_cannot_say_is_named() {
    let (_, dropped) = from_chat(&json!({
        "model": "m", "n": 2, "stop": "x", "seed": 1, "presence_penalty": 1, "frequency_penalty": 1, "logit_bias": {"1": 2},
        "audio": null,
        "messages": [{"role": "user", "name": "Ann", "content": [{"type": "video", "video": 1}]}]
    }));
    let expected = [
        "logit_bias",
        "frequency_penalty",
        "presence_penalty",
        "seed",
        "n",
        "stop",
        "messages[0].name",
        "messages[0].content[0]",
    ];
    assert_eq!(dropped, expected);
}

#[test]
fn a_grammar_has_the_form_of_each_dialect() {
    let (said, _) = from_chat(&json!({
        "model": "m", "messages": [{"role": "user", "content": "a"}],
        "tools": [{"type": "custom", "custom": {"name": "f",
            "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "d"}}}}]
    }));
    assert_eq!(said["tools"][0]["format"], json!({"type": "grammar", "syntax": "lark", "definition": "d"}));
    let body = said.to_string();
    let request = Dialect::OpenAiResponses.parse_request(body.as_bytes()).unwrap();
    let chat = Dialect::OpenAiChat.render_request(&request).unwrap();
    let chat: Value = serde_json::from_slice(&chat.body).unwrap();
    assert_eq!(chat["tools"][0]["custom"]["format"]["grammar"], json!({"syntax": "lark", "definition": "d"}));
}

#[test]
fn a_turn_of_which_nothing_can_be_said_in_chat_is_no_message_there() {
    let body = r#"{"model":"m","input":[{"role":"user","content":"a"},{"type":"compaction","encrypted_content":"b"}]}"#;
    let request = Dialect::OpenAiResponses.parse_request(body.as_bytes()).unwrap();
    let chat = Dialect::OpenAiChat.render_request(&request).unwrap();
    assert_eq!(chat.dropped, ["messages[1].content[0]"]);
    let chat: Value = serde_json::from_slice(&chat.body).unwrap();
    assert_eq!(chat["messages"], json!([{"role": "user", "content": "a"}]));
}

#[test]
fn a_stream_is_asked_to_tell_its_usage_wherever_it_comes_from() {
    let body = br#"{"model":"m","input":"a","stream":true}"#;
    let request = Dialect::OpenAiResponses.parse_request(body).unwrap();
    let chat = Dialect::OpenAiChat.render_request(&request).unwrap();
    let chat: Value = serde_json::from_slice(&chat.body).unwrap();
    assert_eq!(chat["stream_options"], json!({"include_usage": true}));
}

#[test]
fn a_reply_of_another_dialect_has_all_that_clients_require() {
    let citation = Citation { url: Some("https://e.test".into()), ..Citation::default() };
    let thought = Reasoning { text: "Hm".into(), signature: Some("sig".into()), ..Reasoning::default() };
    let call = ToolCall {
        kind: CallKind::Function,
        id: "".into(),
        name: "look".into(),
        arguments: "{}".into(),
        signature: None,
    };
    let blocks = vec![
        Block::new(Content::Reasoning(thought)),
        Block::new(Content::Text { text: "So.".into(), citations: vec![citation, Citation::default()] }),
        Block::text("Now"),
        Block::new(Content::ToolCall(call)),
    ];
    let choice = Choice {
        index: 0,
        turn: Turn::new(Role::Assistant, blocks),
        finish: Some(Finish::new(FinishReason::ToolCalls, None)),
        logprobs: None,
        extras: Extras::default(),
    };
    let reply = Reply::Chat(ChatReply { choices: vec![choice], ..ChatReply::default() });
    let envelope = Envelope { id: "resp_1", model: "m", created_s: 7, include_usage: false };
    let said: Value =
        serde_json::from_slice(&Dialect::OpenAiResponses.render_reply(&reply, &envelope).unwrap()).unwrap();
    assert_eq!((&said["id"], &said["status"], &said["created_at"]), (&json!("resp_1"), &json!("completed"), &json!(7)));
    for name in
        ["error", "incomplete_details", "instructions", "metadata", "parallel_tool_calls", "tool_choice", "tools"]
    {
        assert!(said.get(name).is_some(), "{name}");
    }
    let output = &said["output"];
    assert_eq!(output[0]["summary"][0]["text"], "Hm");
    assert_eq!(output[0]["encrypted_content"], "sig");
    assert_eq!(output[1]["content"][1]["text"], "Now");
    let link =
        json!([{"type": "url_citation", "url": "https://e.test", "title": "", "start_index": 0, "end_index": 3}]);
    assert_eq!(output[1]["content"][0]["annotations"], link);
    assert!(output[2]["call_id"].as_str().unwrap().starts_with("call_"));
    let ids: Vec<_> = (0..3).map(|index| output[index]["id"].as_str().unwrap()).collect();
    assert!(ids[0].starts_with("rs_") && ids[1].starts_with("msg_") && ids[2].starts_with("fc_"), "{ids:?}");
}

#[test]
fn requests_that_cannot_be_understood_are_refused_where_they_go_wrong() {
    for (body, pointer) in [
        (r#"{"input":"a"}"#, "/model"),
        (r#"{"model":"m"}"#, "/input"),
        (r#"{"model":"m","input":7}"#, "/input"),
        (r#"{"model":"m","input":["a"]}"#, "/input/0"),
        (r#"{"model":"m","input":[{"content":"a"}]}"#, "/input/0/role"),
        (r#"{"model":"m","input":[{"type":7}]}"#, "/input/0/type"),
        (r#"{"model":"m","input":[{"role":"pirate","content":"a"}]}"#, "/input/0/role"),
        (r#"{"model":"m","input":[{"role":"user"}]}"#, "/input/0/content"),
        (r#"{"model":"m","input":[{"role":"user","content":7}]}"#, "/input/0/content"),
        (r#"{"model":"m","input":[{"role":"assistant"}]}"#, "/input/0/content"),
        (r#"{"model":"m","input":[{"role":"user","content":[{"text":"a"}]}]}"#, "/input/0/content/0/type"),
        (r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}"#, "/input/0/content/0/text"),
        (r#"{"model":"m","input":[{"type":"function_call","name":"f","arguments":"{}"}]}"#, "/input/0/call_id"),
        (
            r#"{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":{}}]}"#,
            "/input/0/arguments",
        ),
        (r#"{"model":"m","input":[{"type":"function_call_output","output":"a"}]}"#, "/input/0/call_id"),
        (r#"{"model":"m","input":[{"type":"function_call_output","call_id":"c","output":7}]}"#, "/input/0/output"),
        (r#"{"model":"m","input":"a","tools":[{"type":"function"}]}"#, "/tools/0/name"),
        (r#"{"model":"m","input":"a","temperature":"hot"}"#, "/temperature"),
        (r#"{"model":"m","input":"a","max_output_tokens":-1}"#, "/max_output_tokens"),
        (r#"{"model":"m","input":"a","stream":1}"#, "/stream"),
        (r#"{"model":"m","model":"m","input":"a"}"#, ""),
        ("[]", ""),
    ] {
        let error = Dialect::OpenAiResponses.parse_request(body.as_bytes()).unwrap_err();
        assert_eq!(error.pointer, pointer, "{body}: {error}");
    }
}

#[test]
fn cache_marks_of_other_dialects_are_named_and_not_sent() {
    let mark = json!({"type": "ephemeral"});
    let body = json!({
        "model": "m", "max_tokens": 64,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": mark}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": mark}]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "I look.", "cache_control": mark},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {}, "cache_control": mark}
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "4 m", "cache_control": mark}
            ]}
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": mark}]
    });
    let body = body.to_string();
    let request = Dialect::AnthropicMessages.parse_request(body.as_bytes()).unwrap();
    let rendered = Dialect::OpenAiResponses.render_request(&request).unwrap();
    assert!(!String::from_utf8(rendered.body.to_vec()).unwrap().contains("cache_control"), "{:?}", rendered.body);
    let expected = [
        "tools[0].cache_control",
        "messages[0].content[0].cache_control",
        "messages[1].content[0].cache_control",
        "messages[2].content[0].cache_control",
        "messages[2].content[1].cache_control",
        "messages[3].content[0].cache_control",
    ];
    assert_eq!(rendered.dropped, expected);
    // A client that speaks this dialect said it to a server that knows it.
    let own = json!({"model": "m", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi", "cache_control": mark}]}
    ]});
    let own = own.to_string();
    let request = Dialect::OpenAiResponses.parse_request(own.as_bytes()).unwrap();
    let rendered = Dialect::OpenAiResponses.render_request(&request).unwrap();
    let said: Value = serde_json::from_slice(&rendered.body).unwrap();
    assert_eq!(said["input"][0]["content"][0]["cache_control"], mark);
    assert!(rendered.dropped.is_empty(), "{:?}", rendered.dropped);
}
