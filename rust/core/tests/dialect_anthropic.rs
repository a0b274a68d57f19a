//! Anthropic Messages beside other dialects: what is refused, what crosses, and what is left behind by name.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the functions of a test meet is a failure of the test")]

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::message::{
    Block, CallKind, Callable, ChatRequest, Content, Envelope, Extras, Finish, FinishReason, MediaSource, Reasoning,
    ReasoningMode, ReasoningWish, Reply, Request, Role, Tool, ToolCall, ToolChoice, ToolChoiceMode, Turn,
};
use fastroute_core::passes::{self, Shape};
use serde_json::{Value, json};

#[path = "dialects/same.rs"]
mod same;
use same::assert_same;

const OURS: Dialect = Dialect::AnthropicMessages;
const CHAT: Dialect = Dialect::OpenAiChat;

fn chat(body: &Value) -> ChatRequest<'static> {
    let body: &'static str = body.to_string().leak();
    match CHAT.parse_request(body.as_bytes()).unwrap() {
        Request::Chat(chat) => chat,
        _ => panic!("not a chat"),
    }
}

/// The request in our dialect, and what was left behind.
fn rendered(chat: ChatRequest<'_>) -> (Value, Vec<String>) {
    let rendered = OURS.render_request(&Request::Chat(chat)).unwrap();
    (serde_json::from_slice(&rendered.body).unwrap(), rendered.dropped)
}

fn said_by(turns: Vec<Turn<'static>>) -> ChatRequest<'static> {
    ChatRequest { model: "m".into(), turns, ..ChatRequest::default() }
}

#[test]
fn requests_that_cannot_be_understood_are_refused_where_they_go_wrong() {
    let message = |content: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#);
    let beside = |field: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],{field}}}"#);
    for (body, pointer) in [
        (r#"{"messages":[{"role":"user","content":"a"}]}"#.to_owned(), "/model"),
        (r#"{"model":"m"}"#.to_owned(), "/messages"),
        (r#"{"model":"m","messages":[]}"#.to_owned(), "/messages"),
        (r#"{"model":"m","messages":[{"role":"tool","content":"a"}]}"#.to_owned(), "/messages/0/role"),
        (r#"{"model":"m","messages":[{"role":"user"}]}"#.to_owned(), "/messages/0/content"),
        (message("7"), "/messages/0/content"),
        (message(r#"["a"]"#), "/messages/0/content/0"),
        (message(r#"[{"text":"a"}]"#), "/messages/0/content/0/type"),
        (message(r#"[{"type":"text"}]"#), "/messages/0/content/0/text"),
        (message(r#"[{"type":"image","source":"a"}]"#), "/messages/0/content/0/source"),
        (message(r#"[{"type":"thinking","thinking":"a"}]"#), "/messages/0/content/0/signature"),
        (message(r#"[{"type":"tool_use","id":"a","name":"b"}]"#), "/messages/0/content/0/input"),
        (message(r#"[{"type":"tool_use","id":"a","name":"b","input":"{}"}]"#), "/messages/0/content/0/input"),
        (message(r#"[{"type":"tool_result"}]"#), "/messages/0/content/0/tool_use_id"),
        (
            message(r#"[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":1}]}]"#),
            "/messages/0/content/0/content/0/text",
        ),
        (beside(r#""system":7"#), "/system"),
        (beside(r#""system":[{"type":"text"}]"#), "/system/0/text"),
        (beside(r#""max_tokens":-1"#), "/max_tokens"),
        (beside(r#""temperature":"hot""#), "/temperature"),
        (beside(r#""stop_sequences":["a",1]"#), "/stop_sequences/1"),
        (beside(r#""tools":[{"input_schema":{}}]"#), "/tools/0/name"),
        (beside(r#""tools":[{"name":"a"}]"#), "/tools/0/input_schema"),
        (beside(r#""tool_choice":"auto""#), "/tool_choice"),
        (beside(r#""thinking":"yes""#), "/thinking"),
        (beside(r#""thinking":{"type":"enabled","budget_tokens":"all"}"#), "/thinking/budget_tokens"),
        (beside(r#""output_config":{"effort":3}"#), "/output_config/effort"),
        (beside(r#""metadata":{"user_id":3}"#), "/metadata/user_id"),
        (beside(r#""stream":1"#), "/stream"),
    ] {
        let error = OURS.parse_request(body.as_bytes()).unwrap_err();
        assert_eq!(error.pointer, pointer, "{body}: {error}");
    }
}

#[test]
fn a_tool_loop_of_chat_becomes_one_of_ours() {
    let mut request = chat(&json!({
        "model": "m",
        "max_completion_tokens": 99,
        "parallel_tool_calls": false,
        "stop": "END",
        "safety_identifier": "u-1",
        "tools": [{"type": "function", "function": {"name": "tide", "parameters": {}}}],
        "messages": [
            {"role": "system", "content": "Answer in one line."},
            {"role": "user", "content": [
                {"type": "text", "text": "Brest?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
                {"type": "file", "file": {"filename": "t.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": "{\"port\":\"Brest\"}"}},
                {"id": "call_2", "type": "function", "function": {"name": "tide", "arguments": ""}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "9:12"},
            {"role": "tool", "tool_call_id": "call_2", "content": "no port"},
            {"role": "user", "content": "Well?"},
        ],
    }));
    passes::shape_to(&mut request, &Shape::of(OURS)).unwrap();
    let (said, dropped) = rendered(request);
    assert!(dropped.is_empty(), "{dropped:?}");
    let expected = json!({
        "model": "m",
        "max_tokens": 99,
        "system": "Answer in one line.",
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "Brest?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
                {"type": "document", "title": "t.pdf",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "call_1", "name": "tide", "input": {"port": "Brest"}},
                {"type": "tool_use", "id": "call_2", "name": "tide", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "9:12"},
                {"type": "tool_result", "tool_use_id": "call_2", "content": "no port"},
                {"type": "text", "text": "Well?"},
            ]},
        ],
        "tools": [{"name": "tide", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
    });
    assert_same(&said, &expected, &"tool loop");
}

#[test]
fn what_chat_can_say_and_we_cannot_is_left_behind_by_name() {
    let (said, dropped) = rendered(chat(&json!({
        "model": "m",
        "max_tokens": 9,
        "n": 2, "seed": 1, "logprobs": true, "top_logprobs": 2, "frequency_penalty": 1, "presence_penalty": 1,
        "logit_bias": {"1": 2},
        "user": "someone@example.com",
        "prompt_cache_key": "k", "verbosity": "low", "store": true, "metadata": {"a": "b"}, "service_tier": "flex",
        "response_format": {"type": "json_object"},
        "stop": ["END", " "],
        "stream_options": {"include_usage": true, "include_obfuscation": false},
        "tools": [{"type": "custom", "custom": {"name": "patch", "format": {"type": "text"}}}],
        "messages": [
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                {"type": "video_url", "video_url": {"url": "https://example.com"}},
            ]},
            {"role": "assistant", "reasoning_content": "Hm", "content": "b"},
        ],
    })));
    assert_eq!(
        dropped,
        [
            "logit_bias",
            "frequency_penalty",
            "presence_penalty",
            "seed",
            "n",
            "logprobs",
            "top_logprobs",
            "user",
            "prompt_cache_key",
            "service_tier",
            "verbosity",
            "store",
            "metadata",
            "stop[1]",
            "response_format",
            "tools[0].format",
            "messages[0].name",
            "messages[0].content[1].detail",
            "messages[0].content[2]",
            "messages[0].content[3]",
            "messages[1].content[0]",
        ]
    );
    assert_eq!(said["stop_sequences"], json!(["END"]));
    assert_eq!(said["tools"][0]["input_schema"]["required"], json!(["input"]));
    assert_eq!(said["messages"][1]["content"], "b");
}

#[test]
fn choices_among_tools_keep_their_meaning() {
    let with = |mode: ToolChoiceMode<'static>, parallel: Option<bool>| {
        let tool = |name: &'static str| {
            Tool::Callable(Callable {
                kind: CallKind::Function,
                name: name.into(),
                description: None,
                parameters: None,
                strict: None,
                cache_mark: None,
                extras: Extras::default(),
            })
        };
        let mut request = said_by(vec![Turn::new(Role::User, vec![Block::text("a")])]);
        request.tools = vec![tool("tide"), tool("moon")];
        request.tool_choice = Some(ToolChoice { kind: CallKind::Function, mode });
        request.parallel_tool_calls = parallel;
        let (said, dropped) = rendered(request);
        assert!(dropped.is_empty(), "{dropped:?}");
        (said["tool_choice"].clone(), said["tools"].as_array().unwrap().len())
    };
    assert_eq!(with(ToolChoiceMode::Auto, None), (json!({"type": "auto"}), 2));
    assert_eq!(with(ToolChoiceMode::None, Some(false)), (json!({"type": "none"}), 2));
    let any = json!({"type": "any", "disable_parallel_tool_use": true});
    assert_eq!(with(ToolChoiceMode::Required, Some(false)), (any, 2));
    assert_eq!(with(ToolChoiceMode::Named("moon".into()), None), (json!({"type": "tool", "name": "moon"}), 2));
    let tools = vec![(CallKind::Function, "moon".into())];
    let allowed = ToolChoiceMode::Allowed { tools, required: true };
    assert_eq!(with(allowed, None), (json!({"type": "any"}), 1));
}

#[test]
fn wishes_for_reasoning_are_said_in_our_words() {
    let with = |wish: ReasoningWish<'static>| {
        let mut request = said_by(vec![Turn::new(Role::User, vec![Block::text("a")])]);
        request.reasoning = Some(wish);
        let (said, dropped) = rendered(request);
        (said["thinking"].clone(), said["output_config"].clone(), dropped)
    };
    let nothing = ReasoningWish::default;
    let effort = |effort: &'static str| ReasoningWish { effort: Some(effort.into()), ..nothing() };
    assert_eq!(with(effort("none")), (json!({"type": "disabled"}), Value::Null, vec![]));
    assert_eq!(with(effort("minimal")), (Value::Null, json!({"effort": "low"}), vec![]));
    assert_eq!(with(effort("high")), (Value::Null, json!({"effort": "high"}), vec![]));
    let budget = ReasoningWish { budget_tokens: Some(2048), include: Some(true), ..nothing() };
    let thinking = json!({"type": "enabled", "budget_tokens": 2048, "display": "summarized"});
    assert_eq!(with(budget), (thinking, Value::Null, vec![]));
    let off = ReasoningWish { budget_tokens: Some(0), ..nothing() };
    assert_eq!(with(off), (json!({"type": "disabled"}), Value::Null, vec![]));
    let adaptive = ReasoningWish { mode: Some(ReasoningMode::Adaptive), ..effort("max") };
    assert_eq!(with(adaptive), (json!({"type": "adaptive"}), json!({"effort": "max"}), vec![]));
    let untold = ReasoningWish { summary: Some("auto".into()), include: Some(true), ..nothing() };
    // Of what is not thought there is nothing to be told.
    assert_eq!(with(untold).2, [""; 0]);
}

#[test]
fn no_model_is_told_thoughts_that_it_cannot_have_signed() {
    let thought = |reasoning: Reasoning<'static>| Block::new(Content::Reasoning(reasoning));
    let signed = Reasoning { text: "A".into(), signature: Some("s".into()), ..Reasoning::default() };
    let hidden = Reasoning { redacted: Some("b".into()), ..Reasoning::default() };
    let summary = Reasoning { text: "C".into(), redacted: Some("c".into()), summary: true, ..Reasoning::default() };
    let unsigned = Reasoning { text: "D".into(), ..Reasoning::default() };
    let blocks = [signed, hidden, summary, unsigned].map(thought).into();
    let (said, dropped) = rendered(said_by(vec![Turn::new(Role::Assistant, blocks)]));
    let expected = json!([
        {"type": "thinking", "thinking": "A", "signature": "s"},
        {"type": "redacted_thinking", "data": "b"},
    ]);
    assert_same(&said["messages"][0]["content"], &expected, &"thoughts");
    assert_eq!(dropped, ["messages[0].content[2]", "messages[0].content[3]"]);
}

#[test]
fn a_signature_of_another_model_stays_behind_and_free_text_is_wrapped() {
    let call = |kind, arguments: &'static str, signature: Option<&'static str>| {
        let signature = signature.map(Into::into);
        let call = ToolCall { kind, id: "a".into(), name: "b".into(), arguments: arguments.into(), signature };
        Block::new(Content::ToolCall(call))
    };
    let blocks = vec![
        call(CallKind::Function, "{}", Some("s")),
        call(CallKind::Custom, "say \"a\"", None),
        call(CallKind::Function, "{\"cut", None),
    ];
    let (said, dropped) = rendered(said_by(vec![Turn::new(Role::Assistant, blocks)]));
    let inputs: Vec<_> = (0..3).map(|index| said["messages"][0]["content"][index]["input"].clone()).collect();
    assert_eq!(inputs, [json!({}), json!({"input": "say \"a\""}), json!({"_raw": "{\"cut"})]);
    assert_eq!(dropped, ["messages[0].content[0].signature"]);
}

#[test]
fn the_text_of_a_document_crosses_as_bytes_of_text() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":[{"type":"document","title":"t","source":{"type":"text","media_type":"text/plain","data":"9:12 \u00e0 Brest"}}]}]}"#;
    let Request::Chat(request) = OURS.parse_request(body).unwrap() else { panic!("not a chat") };
    let Content::File { source: MediaSource::Base64 { media_type, data }, filename } =
        &request.turns[0].blocks[0].content
    else {
        panic!("no file in {request:?}");
    };
    assert_eq!(
        (media_type.as_ref(), data.as_ref(), filename.as_deref()),
        ("text/plain", "OToxMiDDoCBCcmVzdA==", Some("t"))
    );
}

#[test]
fn our_requests_reach_chat() {
    let body = br#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"S"}],"stop_sequences":["END"],"service_tier":"standard_only","metadata":{"user_id":"u"},"thinking":{"type":"adaptive"},"output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"object"}}},"tools":[{"name":"tide","input_schema":{"type":"object"}}],"tool_choice":{"type":"any","disable_parallel_tool_use":true},"messages":[{"role":"user","content":"A"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"tide","input":{"a": 1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"B"}]},{"type":"text","text":"C"}]}]}"#;
    let rendered = CHAT.render_request(&OURS.parse_request(body).unwrap()).unwrap();
    let said: Value = serde_json::from_slice(&rendered.body).unwrap();
    let expected = json!({
        "max_completion_tokens": 9,
        "safety_identifier": "u",
        "service_tier": "default",
        "reasoning_effort": "high",
        "tool_choice": "required",
        "parallel_tool_calls": false,
        "stop": ["END"],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(said[name], *value, "{name}");
    }
    assert_eq!(said["response_format"]["json_schema"]["schema"], json!({"type": "object"}));
    let roles: Vec<_> = said["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
    assert_eq!(said["messages"][2]["tool_calls"][0]["function"]["arguments"], "{\"a\":1}");
}

#[test]
fn a_reply_of_chat_has_all_that_our_clients_ask_for() {
    let body = br#"{"choices":[{"message":{"content":"","reasoning_content":"Hm","tool_calls":[{"function":{"name":"tide","arguments":""}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":12,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":9},"completion_tokens_details":{"reasoning_tokens":2}}}"#;
    let envelope = Envelope { id: "msg_ours", model: "m-1", created_s: 7, include_usage: false };
    let rendered = OURS.render_reply(&CHAT.parse_reply(body).unwrap(), &envelope).unwrap();
    let said: Value = serde_json::from_slice(&rendered).unwrap();
    let expected = json!({
        "id": "msg_ours", "type": "message", "role": "assistant", "model": "m-1",
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": ""},
            {"type": "tool_use", "id": said["content"][1]["id"], "name": "tide", "input": {}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 9, "output_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 2}},
    });
    assert_same(&said, &expected, &"reply");
    assert!(said["content"][1]["id"].as_str().unwrap().starts_with("call_"));
}

#[test]
fn a_reply_that_ended_in_an_error_is_not_passed_off_as_an_answer() {
    let body = br#"{"id":"m","content":[{"type":"text","text":"Ha"}],"stop_reason":"end_turn"}"#;
    let Reply::Chat(mut reply) = OURS.parse_reply(body).unwrap() else { panic!("not a chat") };
    reply.choices[0].finish = Some(Finish::new(FinishReason::Error, None));
    let error = OURS.render_reply(&Reply::Chat(reply), &Envelope::default()).unwrap_err();
    assert_eq!(error.pointer, "/stop_reason");
}

#[test]
fn iterations_are_summed_and_a_fallback_is_not() {
    let tokens = |iterations: &str| {
        let body = format!(
            r#"{{"content":[],"usage":{{"input_tokens":3,"output_tokens":7,"iterations":[{iterations},{{"type":"message","input_tokens":3,"output_tokens":7}}]}}}}"#
        );
        let Reply::Chat(reply) = OURS.parse_reply(body.as_bytes()).unwrap() else { panic!("not a chat") };
        let tokens = reply.usage.as_ref().unwrap().tokens;
        [tokens.prompt_tokens, tokens.completion_tokens, tokens.total_tokens]
    };
    assert_eq!(tokens(r#"{"type":"compaction","input_tokens":90,"output_tokens":10}"#), [93, 17, 110]);
    assert_eq!(tokens(r#"{"type":"advisor_message","input_tokens":90,"output_tokens":10}"#), [3, 7, 10]);
    assert_eq!(tokens(r#"{"type":"fallback_message","input_tokens":90,"output_tokens":10}"#), [3, 7, 10]);
}
