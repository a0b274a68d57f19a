//! What other dialects say, said in Ollama's words, and Ollama's in theirs.

use serde_json::{Value, json};

use crate::dialects::Dialect;
use crate::dialects::fold::{Fold, FoldError};
use crate::dialects::message::{
    Block, CallKind, ChatReply, ChatRequest, Content, Envelope, Event, Finish, FinishReason, Reply, Request, Role,
    Spelling, ToolResult, Turn,
};

const OLLAMA: Dialect = Dialect::Ollama;

/// What a chat request becomes, and what of it is dropped.
fn from_chat(request: &Value) -> (Value, Vec<String>) {
    let body = request.to_string();
    let request = Dialect::OpenAiChat.parse_request(body.as_bytes()).unwrap();
    let rendered = OLLAMA.render_request(&request).unwrap();
    (serde_json::from_slice(&rendered.body).unwrap(), rendered.dropped)
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn a_chat_request_keeps_its_meaning_among_the_options() {
    let (said, dropped) = from_chat(&json!({
        "model": "m", "temperature": 0.5, "top_p": 0.5, "top_k": 9, "seed": -1, "stop": "END", "max_tokens": 5,
        "reasoning_effort": "xhigh", "stream_options": {"include_usage": true},
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": [
            {"type": "text", "text": "Which port?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGFyYm91cg=="}}]}],
    }));
    assert_eq!(
        said,
        json!({
            "model": "m", "stream": false, "think": "high", "format": {"type": "object"},
            "options": {"temperature": 0.5, "top_p": 0.5, "top_k": 9, "seed": -1, "stop": ["END"], "num_predict": 5},
            "messages": [{"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Which port?", "images": ["aGFyYm91cg=="]}],
        })
    );
    assert_eq!(dropped, [""; 0]);
}

#[test]
fn a_request_that_says_nothing_of_a_stream_asks_for_none_in_chat_and_for_one_here() {
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let request = json!({"model": "m", "messages": messages});
    assert_eq!(from_chat(&request).0["stream"], false);
    let body = request.to_string();
    let Request::Chat(chat) = OLLAMA.parse_request(body.as_bytes()).unwrap() else {
        panic!("not a chat");
    };
    assert!(chat.streams());
}

#[test]
fn a_result_is_told_by_the_name_of_the_tool_that_was_called() {
    let (said, dropped) = from_chat(&json!({"model": "m", "tools": [tool("tide")], "messages": [
        {"role": "user", "content": "Tide?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "tide", "arguments": "{\"port\": \"Brest\"}"}},
            {"id": "b", "type": "function", "function": {"name": "clock", "arguments": ""}},
            {"id": "c", "type": "function", "function": {"name": "note", "arguments": "{\"broken"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "4 m"},
    ]}));
    assert_eq!(
        said["messages"][1],
        json!({"role": "assistant", "content": "", "tool_calls": [
            {"id": "a", "function": {"name": "tide", "arguments": {"port": "Brest"}}},
            {"id": "b", "function": {"name": "clock", "arguments": {}}},
            {"id": "c", "function": {"name": "note", "arguments": {"input": "{\"broken"}}}]})
    );
    let result = json!({"role": "tool", "content": "4 m", "tool_name": "tide", "tool_call_id": "a"});
    assert_eq!(said["messages"][2], result);
    assert!(dropped.is_empty());
}

#[test]
fn results_in_a_users_turn_become_messages_before_what_the_user_says() {
    let result = ToolResult {
        kind: CallKind::Function,
        call_id: "a".into(),
        name: Some("tide".into()),
        blocks: vec![Block::text("4"), Block::text(" m")],
        spelling: Spelling::Plain,
        is_error: Some(true),
    };
    let turn = Turn::new(Role::User, vec![Block::text("And now?"), Block::new(Content::ToolResult(result))]);
    let chat = ChatRequest { model: "m".into(), turns: vec![turn], ..ChatRequest::default() };
    let rendered = OLLAMA.render_request(&Request::Chat(chat)).unwrap();
    let said: Value = serde_json::from_slice(&rendered.body).unwrap();
    assert_eq!((&said["messages"][0]["role"], &said["messages"][0]["content"]), (&json!("tool"), &json!("4 m")));
    assert_eq!(said["messages"][1], json!({"role": "user", "content": "And now?"}));
    assert_eq!(rendered.dropped, ["messages[0].content[1].is_error"]);
}

#[test]
fn what_ollama_has_no_words_for_is_dropped_and_named() {
    let (said, dropped) = from_chat(&json!({
        "model": "m", "n": 2, "user": "u", "parallel_tool_calls": false, "logit_bias": {"1": 2},
        "messages": [{"role": "user", "name": "Ann", "content": [
            {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/port.png"}}]}],
        "tools": [{"type": "custom", "custom": {"name": "log"}}, tool("a"), tool("b")],
        "tool_choice": {"type": "function", "function": {"name": "b"}},
    }));
    assert_eq!(
        dropped,
        [
            "logit_bias",
            "tools[0]",
            "tool_choice",
            "parallel_tool_calls",
            "n",
            "user",
            "messages[0].name",
            "messages[0].content[0].cache_control",
            "messages[0].content[1]"
        ]
    );
    assert_eq!(said["tools"], json!([tool("b")]));
    let (said, dropped) = from_chat(&json!({
        "model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": [tool("a")], "tool_choice": "none",
    }));
    assert_eq!((said.get("tools"), dropped.len()), (None, 0));
}

#[test]
fn requests_that_cannot_be_understood_are_refused_where_they_go_wrong() {
    let request = |more: Value| {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    for (more, pointer) in [
        (json!({"model": null}), "/model"),
        (json!({"messages": []}), "/messages"),
        (json!({"messages": [{"role": "pirate"}]}), "/messages/0/role"),
        (json!({"messages": [{"role": "user", "content": []}]}), "/messages/0/content"),
        (json!({"messages": [{"role": "user", "images": [1]}]}), "/messages/0/images/0"),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{}"}}]}]}),
            "/messages/0/tool_calls/0/function/arguments",
        ),
        (json!({"options": {"temperature": "hot"}}), "/options/temperature"),
        (json!({"options": {"stop": ["a", 1]}}), "/options/stop/1"),
        (json!({"options": []}), "/options"),
        (json!({"stream": 1}), "/stream"),
    ] {
        let body = request(more);
        let error = OLLAMA.parse_request(body.as_bytes()).unwrap_err();
        assert_eq!(error.pointer, pointer, "{body}: {error}");
    }
}

fn read(lines: &[&str]) -> Result<ChatReply<'static>, FoldError> {
    let mut reader = OLLAMA.reader().unwrap();
    let mut fold = Fold::new(1 << 20);
    for line in lines {
        for event in reader.parse_event("", line.as_bytes()).unwrap() {
            fold.add(&event)?;
        }
    }
    fold.finish()
}

#[test]
fn a_stream_is_read_to_its_end_and_not_beyond() {
    let text = r#"{"model":"m","created_at":"2024-05-24T20:26:46.5Z","message":{"content":"Hi"},"done":false}"#;
    let end = r#"{"model":"m","message":{"content":""},"done":true,"done_reason":"stop","eval_count":3}"#;
    let reply = read(&[text, "", end, text]).unwrap();
    assert_eq!(reply.choices[0].turn.texts().collect::<String>(), "Hi");
    assert_eq!((reply.model.as_ref(), reply.created_s), ("m", Some(1_716_582_406)));
    let tokens = reply.usage.unwrap().tokens;
    assert_eq!((tokens.prompt_tokens, tokens.completion_tokens, tokens.total_tokens), (0, 3, 3));
    assert_eq!(read(&[text]), Err(FoldError::Unfinished));
    let Err(FoldError::Failed(failure)) = read(&[text, r#"{"error":"out of memory"}"#, end]) else {
        panic!("no failure");
    };
    assert_eq!(failure.message, "out of memory");
}

#[test]
fn calls_end_an_answer_and_have_ids_that_only_their_stream_gives() {
    let call = |at: &str| {
        let line = json!({"model": "m", "created_at": at, "done": false,
            "message": {"content": "", "tool_calls": [{"function": {"name": "tide", "arguments": {}}}]}});
        let end = json!({"model": "m", "message": {"content": ""}, "done": true, "done_reason": "stop"});
        let reply = read(&[&line.to_string(), &end.to_string()]).unwrap();
        let choice = reply.choices.into_iter().next().unwrap();
        assert_eq!(choice.finish.unwrap().reason, FinishReason::ToolCalls);
        let Content::ToolCall(call) = choice.turn.blocks.into_iter().next().unwrap().content else {
            panic!("not a call");
        };
        call.id.into_owned()
    };
    let id = call("2024-05-24T20:26:46.5Z");
    assert!(id.starts_with("call_"));
    assert_eq!(id, call("2024-05-24T20:26:46.5Z"));
    assert_ne!(id, call("2024-05-24T20:26:46.6Z"));
}

#[test]
fn a_call_is_a_line_once_it_is_whole() {
    let kind = CallKind::Function;
    let start =
        |call| Event::ToolCallStart { choice: 0, call, kind, id: "a".into(), name: "tide".into(), signature: None };
    let piece = |call, text: &'static str| Event::ToolCallDelta { choice: 0, call, kind, arguments: text.into() };
    let mut writer = OLLAMA.writer(&Envelope { model: "m", created_s: 1, ..Envelope::default() }).unwrap();
    let mut out = Vec::new();
    for event in [start(0), start(1), piece(0, "{\"a\""), piece(1, "{}"), piece(0, ":1}")] {
        writer.render_event(&event, &mut out);
    }
    assert!(out.is_empty());
    for event in [
        Event::ToolCallEnd { choice: 0, call: 0 },
        Event::ToolCallEnd { choice: 0, call: 1 },
        Event::Finish { choice: 0, finish: Finish::new(FinishReason::ToolCalls, None) },
        Event::Done,
    ] {
        writer.render_event(&event, &mut out);
    }
    let out = String::from_utf8(out).unwrap();
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["message"]["tool_calls"][0]["function"]["arguments"], json!({"a": 1}));
    assert_eq!(lines[0]["created_at"], "1970-01-01T00:00:01Z");
    assert_eq!((&lines[2]["done"], &lines[2]["done_reason"]), (&json!(true), &json!("stop")));
}

#[test]
fn a_reader_remembers_no_more_calls_than_a_model_makes() {
    let line = r#"{"message":{"tool_calls":[{"function":{"name":"a","arguments":{}}}]}}"#;
    let mut reader = OLLAMA.reader().unwrap();
    let refused = (0..2000).map(|_| reader.parse_event("", line.as_bytes()).map(drop)).find_map(Result::err);
    assert_eq!(refused.unwrap().pointer, "/message");
}

#[test]
fn a_reply_that_ended_in_an_error_is_not_passed_off_as_an_answer() {
    let body = br#"{"id":"c","message":{"role":"assistant","content":[]},"finish_reason":"ERROR"}"#;
    let reply: Reply<'_> = Dialect::CohereV2.parse_reply(body).unwrap();
    let error = OLLAMA.render_reply(&reply, &Envelope::default()).unwrap_err();
    assert_eq!(error.pointer, "/done_reason");
}
