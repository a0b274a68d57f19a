//! What other dialects say, said in Cohere's words, and Cohere's in theirs.

use serde_json::{Value, json};

use crate::dialects::Dialect;
use crate::dialects::fold::{Fold, FoldError};
use crate::dialects::message::{CallKind, Envelope, ErrorReply, Event, Finish, FinishReason, Request};

const COHERE: Dialect = Dialect::CohereV2;

/// What a chat request becomes, and what of it is dropped.
fn from_chat(request: &Value) -> (Value, Vec<String>) {
    let body = request.to_string();
    let request = Dialect::OpenAiChat.parse_request(body.as_bytes()).unwrap();
    let rendered = COHERE.render_request(&request).unwrap();
    (serde_json::from_slice(&rendered.body).unwrap(), rendered.dropped)
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn a_chat_request_keeps_its_meaning_under_other_names() {
    let (said, dropped) = from_chat(&json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true}, "top_p": 0.5, "top_k": 9, "stop": "END",
        "max_tokens": 5, "max_completion_tokens": 6, "reasoning_effort": "none", "n": 1,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    }));
    assert_eq!(
        said,
        json!({
            "model": "m", "stream": true, "p": 0.5, "k": 9, "stop_sequences": ["END"], "max_tokens": 6,
            "thinking": {"type": "disabled"},
            "response_format": {"type": "json_object", "json_schema": {"type": "object"}},
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        })
    );
    assert_eq!(dropped, [""; 0]);
}

#[test]
fn what_cohere_has_no_words_for_is_dropped_and_named() {
    let (said, dropped) = from_chat(&json!({
        "model": "m", "n": 2, "user": "u", "parallel_tool_calls": false, "metadata": {}, "reasoning_effort": "low",
        "logit_bias": {"1": 2},
        "messages": [{"role": "user", "name": "Ann", "content": [
            {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        ]}],
        "tools": [{"type": "custom", "custom": {"name": "log"}}, {"type": "function", "function": {"name": "a", "strict": true}},
            tool("b")],
    }));
    assert_eq!(
        dropped,
        [
            "logit_bias",
            "tools[0]",
            "tools[1].strict",
            "parallel_tool_calls",
            "n",
            "user",
            "reasoning.effort",
            "messages[0].name",
            "messages[0].content[0].cache_control",
            "messages[0].content[1]"
        ]
    );
    assert_eq!(said["messages"], json!([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]));
    assert_eq!(said["thinking"], json!({"type": "enabled"}));
    assert_eq!(said["tools"][0]["function"]["parameters"], json!({"type": "object", "properties": {}}));
}

#[test]
fn a_choice_of_some_tools_is_these_tools_alone() {
    let request = |choice: Value| {
        let messages = json!([{"role": "user", "content": "Hi"}]);
        from_chat(&json!({"model": "m", "messages": messages, "tools": [tool("a"), tool("b")], "tool_choice": choice}))
    };
    let named = |name: &str| json!({"type": "function", "function": {"name": name}});
    let (said, dropped) = request(named("b"));
    assert_eq!((&said["tools"], &said["tool_choice"]), (&json!([tool("b")]), &json!("REQUIRED")));
    assert!(dropped.is_empty());
    let (said, dropped) = request(named("c"));
    assert_eq!((&said["tools"], said.get("tool_choice")), (&json!([tool("a"), tool("b")]), None));
    assert_eq!(dropped, ["tool_choice"]);
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named("a")]}});
    let (said, _) = request(allowed);
    assert_eq!((&said["tools"], said.get("tool_choice")), (&json!([tool("a")]), None));
}

#[test]
fn what_is_said_before_calls_is_their_plan_because_cohere_refuses_it_as_text() {
    let calls = json!([{"id": "a", "type": "function", "function": {"name": "tide", "arguments": "{}"}}]);
    let turn = |content: Value| {
        let turn = json!({"role": "assistant", "content": content, "tool_calls": calls});
        from_chat(&json!({"model": "m", "messages": [{"role": "user", "content": "Tide?"}, turn]})).0["messages"][1]
            .clone()
    };
    let planned = json!({"role": "assistant", "tool_plan": "Let me look.", "content": null, "tool_calls": calls});
    assert_eq!(turn(json!("Let me look.")), planned);
    let turn_with_reasoning =
        json!({"role": "assistant", "reasoning_content": "Hm.", "content": "Let me look.", "tool_calls": calls});
    let (said, _) =
        from_chat(&json!({"model": "m", "messages": [{"role": "user", "content": "Tide?"}, turn_with_reasoning]}));
    assert_eq!(said["messages"][1]["tool_plan"], "Hm.\n\nLet me look.");
    let silent = json!({"role": "assistant", "content": null, "tool_calls": calls});
    assert_eq!((turn(json!("")), turn(json!(null))), (silent.clone(), silent));
}

#[test]
fn results_that_are_documents_reach_other_dialects_as_text() {
    let request = json!({"model": "m", "messages": [
        {"role": "user", "content": "Tide?"},
        {"role": "assistant", "tool_plan": "Look.", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "tide", "arguments": "null"}}]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "document", "document": {"id": "d", "data": {"m": 4}}}]},
    ]});
    let body = request.to_string();
    let request = COHERE.parse_request(body.as_bytes()).unwrap();
    let rendered = Dialect::OpenAiChat.render_request(&request).unwrap();
    let said: Value = serde_json::from_slice(&rendered.body).unwrap();
    assert_eq!(said["messages"][1]["reasoning_content"], "Look.");
    assert_eq!(said["messages"][1]["tool_calls"][0]["function"]["arguments"], "{}");
    assert_eq!(said["messages"][2]["content"][0]["text"], r#"{"m":4}"#);
}

#[test]
fn requests_that_cannot_be_understood_are_refused_where_they_go_wrong() {
    for (body, pointer) in [
        (json!({"messages": [{"role": "user", "content": "a"}]}), "/model"),
        (json!({"model": "m", "messages": []}), "/messages"),
        (json!({"model": "m", "messages": [{"role": "developer", "content": "a"}]}), "/messages/0/role"),
        (json!({"model": "m", "messages": [{"role": "user"}]}), "/messages/0/content"),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "/messages/0/content/0/text",
        ),
        (json!({"model": "m", "messages": [{"role": "tool", "content": "a"}]}), "/messages/0/tool_call_id"),
        (json!({"model": "m", "messages": [{"role": "assistant", "tool_plan": 1}]}), "/messages/0/tool_plan"),
        (
            json!({"model": "m", "messages": [{"role": "assistant", "content": "a", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "a", "arguments": "{}"}}]}]}),
            "/messages/0/content",
        ),
        (json!({"model": "m", "messages": [{"role": "user", "content": "a"}], "k": -1}), "/k"),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": "a"}], "stop_sequences": "a"}),
            "/stop_sequences",
        ),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": "a"}],
                "tools": [{"type": "function", "function": {"name": "a"}}]}),
            "/tools/0/function/parameters",
        ),
    ] {
        let text = body.to_string();
        let error = COHERE.parse_request(text.as_bytes()).unwrap_err();
        assert_eq!(error.pointer, pointer, "{body}: {error}");
    }
}

/// The frames that events become, as the type of each and its data.
fn written(events: &[Event<'_>]) -> Vec<(String, Value)> {
    let mut writer = COHERE.writer(&Envelope { id: "ours", ..Envelope::default() }).unwrap();
    let mut out = Vec::new();
    for event in events {
        writer.render_event(event, &mut out);
    }
    let out = String::from_utf8(out).unwrap();
    let data = out.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| {
        if data == "[DONE]" {
            return (data.to_owned(), Value::Null);
        }
        let frame: Value = serde_json::from_str(data).unwrap();
        (frame["type"].as_str().unwrap().to_owned(), frame)
    })
    .collect()
}

fn kinds(frames: &[(String, Value)]) -> Vec<&str> {
    frames.iter().map(|(kind, _)| kind.as_str()).collect()
}

fn start(choice: u32, call: u32, name: &str) -> Event<'_> {
    let kind = CallKind::Function;
    Event::ToolCallStart { choice, call, kind, id: name.into(), name: name.into(), signature: None }
}

fn piece(call: u32, arguments: &str) -> Event<'_> {
    Event::ToolCallDelta { choice: 0, call, kind: CallKind::Function, arguments: arguments.into() }
}

#[test]
fn calls_that_end_together_are_written_one_after_the_other() {
    let frames = written(&[
        Event::ReasoningStart { choice: 0 },
        Event::ReasoningDelta { choice: 0, text: "Hm".into() },
        Event::ReasoningEnd { choice: 0 },
        start(0, 0, "a"),
        piece(0, "{}"),
        start(0, 1, "b"),
        piece(1, "{}"),
        Event::ToolCallEnd { choice: 0, call: 0 },
        Event::ToolCallEnd { choice: 0, call: 1 },
        Event::Finish { choice: 0, finish: Finish::new(FinishReason::ToolCalls, None) },
        Event::Done,
    ]);
    assert_eq!(
        kinds(&frames),
        [
            "message-start",
            "content-start",
            "content-delta",
            "content-end",
            "tool-call-start",
            "tool-call-delta",
            "tool-call-end",
            "tool-call-start",
            "tool-call-delta",
            "tool-call-end",
            "message-end",
            "[DONE]"
        ]
    );
    assert_eq!(frames[0].1["id"], "ours");
    assert_eq!(frames[1].1["delta"]["message"]["content"], json!({"type": "thinking", "thinking": ""}));
    assert_eq!(frames[7].1["index"], 1);
    assert_eq!(frames[10].1["delta"], json!({"finish_reason": "TOOL_CALL"}));
}

#[test]
fn a_refusal_is_text_and_other_choices_are_left_out() {
    let frames = written(&[
        Event::TextStart { choice: 1 },
        Event::TextDelta { choice: 1, text: "B".into(), logprobs: None },
        Event::RefusalDelta { choice: 0, text: "No".into() },
        Event::RefusalDelta { choice: 0, text: ".".into() },
        Event::Finish { choice: 1, finish: Finish::new(FinishReason::Length, None) },
        Event::Finish { choice: 0, finish: Finish::new(FinishReason::Stop, Some("end_turn".into())) },
        Event::Done,
    ]);
    let expected =
        ["message-start", "content-start", "content-delta", "content-delta", "content-end", "message-end", "[DONE]"];
    assert_eq!(kinds(&frames), expected);
    assert_eq!(frames[5].1["delta"]["finish_reason"], "COMPLETE");
}

#[test]
fn an_error_ends_the_stream_and_nothing_follows_it() {
    let error = ErrorReply { message: "lost".into(), ..ErrorReply::default() };
    let frames = written(&[Event::TextStart { choice: 0 }, Event::Error(error), Event::Done]);
    assert_eq!(kinds(&frames), ["message-start", "content-start", "message-end"]);
    assert_eq!(frames[2].1["delta"], json!({"error": "lost", "finish_reason": "ERROR"}));
}

#[test]
fn an_end_without_a_reason_is_not_given_one() {
    assert_eq!(
        kinds(&written(&[Event::TextStart { choice: 0 }, Event::Done])),
        ["message-start", "content-start", "[DONE]"]
    );
}

fn folded(frames: &[&str]) -> Result<String, FoldError> {
    let mut reader = COHERE.reader().unwrap();
    let mut fold = Fold::new(1 << 20);
    for frame in frames {
        for event in reader.parse_event("", frame.as_bytes()).unwrap() {
            fold.add(&event)?;
        }
    }
    fold.finish().map(|reply| reply.choices[0].turn.texts().collect())
}

#[test]
fn a_stream_is_read_to_its_end_and_not_beyond() {
    let text = r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}"#;
    let end = r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#;
    assert_eq!(folded(&[text, end, "[DONE]", text]), Ok("Hi".to_owned()));
    assert_eq!(folded(&[text]), Err(FoldError::Unfinished));
    assert_eq!(folded(&[text, "[DONE]"]), Err(FoldError::Unfinished));
    for error in [
        r#"{"id":"e","message":"lost"}"#,
        r#"{"error":{"message":"lost"}}"#,
        r#"{"type":"message-end","delta":{"error":"lost"}}"#,
    ] {
        let Err(FoldError::Failed(failure)) = folded(&[text, error, end]) else {
            panic!("{error} is no failure");
        };
        assert_eq!(failure.message, "lost");
    }
}

#[test]
fn a_reader_remembers_no_more_calls_than_a_model_makes() {
    let start =
        r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"a","function":{"name":"a"}}}}}"#;
    let mut reader = COHERE.reader().unwrap();
    let refused = (0..2000).map(|_| reader.parse_event("", start.as_bytes()).map(drop)).find_map(Result::err);
    assert_eq!(refused.unwrap().pointer, "/delta");
}

#[test]
fn embeddings_have_no_words_here() {
    let body = br#"{"model":"m","input":"a"}"#;
    let request: Request<'_> = Dialect::OpenAiEmbeddings.parse_request(body).unwrap();
    assert_eq!(COHERE.render_request(&request).unwrap_err().to_string(), "cannot be said in cohere_v2");
}
