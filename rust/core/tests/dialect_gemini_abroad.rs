//! Gemini beside other dialects: what they say in it, and what of it they hear.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the functions of a test meet is a failure of the test")]

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::fold::{Fold, FoldError};
use fastroute_core::dialects::message::{ChatRequest, Content, Envelope, Event, FinishReason, Reply, Request};
use fastroute_core::passes::{Shape, shape_to};
use serde_json::{Value, json};

#[path = "dialects/same.rs"]
mod same;
use same::assert_same;

const GEMINI: Dialect = Dialect::Gemini;
const CHAT: Dialect = Dialect::OpenAiChat;

fn json_of(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

fn chat(dialect: Dialect, body: &str) -> ChatRequest<'_> {
    match dialect.parse_request(body.as_bytes()) {
        Ok(Request::Chat(chat)) => chat,
        other => panic!("{other:?}"),
    }
}

/// A request of one dialect as another one says it, and what was dropped.
fn crossed(body: &str, from: Dialect, to: Dialect) -> (Value, Vec<String>) {
    let mut request = chat(from, body);
    shape_to(&mut request, &Shape::of(to)).unwrap();
    let rendered = to.render_request(&Request::Chat(request)).unwrap();
    (json_of(&rendered.body), rendered.dropped)
}

#[test]
fn a_chat_with_tools_is_asked_of_gemini() {
    let body = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "In metres."},
            {"role": "user", "content": [
                {"type": "text", "text": "How deep?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "depth", "arguments": "{\"lake\": \"Upper\"}"},
                 "extra_content": {"google": {"thought_signature": "c2ln"}}},
                {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": ""}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "4 m"},
            {"role": "tool", "tool_call_id": "call_2", "content": "{\"hour\": 7}"},
        ],
        "tools": [{"type": "function", "function": {"name": "depth", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "depth"}},
        "max_completion_tokens": 64, "temperature": 0.5, "stop": "END", "reasoning_effort": "xhigh",
        "response_format": {"type": "json_schema", "json_schema": {"name": "d", "schema": {"type": "object"}}},
        "stream": true, "stream_options": {"include_usage": true},
    });
    let (said, dropped) = crossed(&body.to_string(), CHAT, GEMINI);
    let expected = json!({
        "systemInstruction": {"parts": [{"text": "In metres."}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "How deep?"},
                {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
            ]},
            {"role": "model", "parts": [
                {"functionCall": {"id": "call_1", "name": "depth", "args": {"lake": "Upper"}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "call_2", "name": "now"}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "call_1", "name": "depth", "response": {"output": "4 m"}}},
                {"functionResponse": {"id": "call_2", "name": "now", "response": {"hour": 7}}},
            ]},
        ],
        "tools": [{"functionDeclarations": [{"name": "depth", "parametersJsonSchema": {"type": "object"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["depth"]}},
        "generationConfig": {
            "temperature": 0.5, "stopSequences": ["END"], "maxOutputTokens": 64,
            "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"thinkingLevel": "high"},
        },
    });
    assert_same(&said, &expected, &"asked of Gemini");
    assert_eq!(dropped, [""; 0]);
}

#[test]
fn a_tool_loop_of_gemini_is_asked_of_a_chat_with_ids_that_pair() {
    let body = r#"{"contents":[
        {"parts":[{"text":"Both?"}]},
        {"role":"model","parts":[{"functionCall":{"name":"depth","args":{"lake":"A"}}},{"functionCall":{"name":"depth","args":{"lake":"B"}}}]},
        {"role":"user","parts":[{"functionResponse":{"name":"depth","response":{"output":"4 m"}}},{"functionResponse":{"name":"depth","response":{"m":5}}}]}],
        "tools":{"functionDeclarations":{"name":"depth","parameters":{"type":"OBJECT","properties":{"lake":{"type":"STRING"}}}}},
        "generation_config":{"top_p":0.5,"max_output_tokens":9,"thinking_config":{"thinking_level":"LOW"}}}"#;
    let (said, _) = crossed(body, GEMINI, CHAT);
    let messages = said["messages"].as_array().unwrap();
    let calls = messages[1]["tool_calls"].as_array().unwrap();
    let id = |call: &Value| call["id"].as_str().unwrap().to_owned();
    assert!(id(&calls[0]).starts_with("call_") && id(&calls[0]) != id(&calls[1]));
    assert_eq!(messages[2], json!({"role": "tool", "tool_call_id": id(&calls[0]), "name": "depth", "content": "4 m"}));
    assert_eq!(messages[3]["tool_call_id"], calls[1]["id"]);
    assert_eq!(messages[3]["content"], r#"{"m":5}"#);
    assert_eq!(said["tools"][0]["function"]["parameters"]["properties"]["lake"]["type"], "string");
    assert_eq!(said["reasoning_effort"], "low");
    assert_eq!((said["top_p"].as_f64(), said["max_completion_tokens"].as_u64()), (Some(0.5), Some(9)));
    // The ids are ours: Gemini, which never gave them, does not get them back.
    let (back, _) = crossed(&said.to_string(), CHAT, GEMINI);
    assert_eq!(back["contents"][1]["parts"][0], json!({"functionCall": {"name": "depth", "args": {"lake": "A"}}}));
    assert_eq!(back["contents"][2]["parts"][1], json!({"functionResponse": {"name": "depth", "response": {"m": 5}}}));
}

#[test]
fn what_gemini_has_no_words_for_is_dropped_and_named() {
    let body = json!({
        "model": "m", "user": "u", "store": true, "parallel_tool_calls": false, "logit_bias": {"1": 2},
        "tools": [{"type": "custom", "custom": {"name": "c"}}, {"type": "function", "function": {"name": "f", "strict": true}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            ]},
            {"role": "assistant", "content": "b", "reasoning_details": [{"type": "reasoning.encrypted", "data": "eA=="}]},
            {"role": "system", "content": "c"},
        ],
    });
    let body = body.to_string();
    let rendered = GEMINI.render_request(&Request::Chat(chat(CHAT, &body))).unwrap();
    assert_eq!(
        rendered.dropped,
        [
            "logit_bias",
            "parallel_tool_calls",
            "user",
            "store",
            "tools[0]",
            "tools[1].strict",
            "messages[0].content[1].detail",
            "messages[1].content[0]",
            "messages[2].role",
        ]
    );
    let said = json_of(&rendered.body);
    assert_eq!(said["contents"][1]["parts"], json!([{"text": "b"}]));
    assert_eq!(said["contents"][2], json!({"role": "user", "parts": [{"text": "c"}]}));
}

#[test]
fn effort_and_budget_come_to_what_gemini_calls_them() {
    for (effort, expected) in [
        ("none", json!({"thinkingBudget": 0})),
        ("minimal", json!({"thinkingLevel": "minimal"})),
        ("high", json!({"thinkingLevel": "high"})),
        ("max", json!({"thinkingLevel": "high"})),
    ] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}], "reasoning_effort": effort});
        let (said, _) = crossed(&body.to_string(), CHAT, GEMINI);
        assert_eq!(said["generationConfig"]["thinkingConfig"], expected, "{effort}");
    }
}

#[test]
fn requests_that_cannot_be_understood_are_refused_where_they_go_wrong() {
    for (body, pointer) in [
        ("{}", "/contents"),
        (r#"{"contents":[]}"#, "/contents"),
        (r#"{"contents":"a"}"#, "/contents"),
        (r#"{"contents":["a"]}"#, "/contents/0"),
        (r#"{"contents":[{"role":"user"}]}"#, "/contents/0/parts"),
        (r#"{"contents":[{"role":"system","parts":[]}]}"#, "/contents/0/role"),
        (r#"{"contents":[{"parts":["a"]}]}"#, "/contents/0/parts/0"),
        (r#"{"contents":[{"parts":[{"text":7}]}]}"#, "/contents/0/parts/0/text"),
        (r#"{"contents":[{"parts":[{"functionCall":{}}]}]}"#, "/contents/0/parts/0/functionCall/name"),
        (
            r#"{"contents":[{"parts":[{"functionCall":{"name":"f","args":"{}"}}]}]}"#,
            "/contents/0/parts/0/functionCall/args",
        ),
        (
            r#"{"contents":[{"parts":[{"functionResponse":{"response":{}}}]}]}"#,
            "/contents/0/parts/0/functionResponse/name",
        ),
        (r#"{"contents":[{"parts":[]}],"systemInstruction":"a"}"#, "/systemInstruction"),
        (r#"{"contents":[{"parts":[]}],"generationConfig":{"temperature":"hot"}}"#, "/generationConfig/temperature"),
        (
            r#"{"contents":[{"parts":[]}],"generationConfig":{"stopSequences":["a",1]}}"#,
            "/generationConfig/stopSequences/1",
        ),
        (
            r#"{"contents":[{"parts":[]}],"generationConfig":{"thinkingConfig":{"thinkingBudget":-2}}}"#,
            "/generationConfig/thinkingConfig/thinkingBudget",
        ),
        (
            r#"{"contents":[{"parts":[]}],"tools":[{"functionDeclarations":[{}]}]}"#,
            "/tools/0/functionDeclarations/0/name",
        ),
        (
            r#"{"contents":[{"parts":[]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":{},"parametersJsonSchema":{}}]}]}"#,
            "/tools/0/functionDeclarations/0/parameters",
        ),
        (r#"{"contents":[{"parts":[]}],"top_k":1,"generationConfig":{"topK":1,"top_k":1}}"#, "/generationConfig"),
        (r#"{"contents":[{"parts":[]}],"#, ""),
    ] {
        let error = GEMINI.parse_request(body.as_bytes()).unwrap_err();
        assert_eq!(error.pointer, pointer, "{body}: {error}");
    }
}

#[test]
fn a_blocked_prompt_is_a_refusal_to_those_who_know_refusals() {
    let body = br#"{"promptFeedback":{"blockReason":"SAFETY","blockReasonMessage":"Not about lakes."}}"#;
    let reply = GEMINI.parse_reply(body).unwrap();
    let said = json_of(&CHAT.render_reply(&reply, &Envelope::default()).unwrap());
    assert_eq!(said["choices"][0]["message"]["refusal"], "Not about lakes.");
    assert_eq!(said["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(said["choices"][0]["native_finish_reason"], "SAFETY");
}

#[test]
fn grounding_of_a_later_part_is_told_with_that_part() {
    let parts =
        r#"[{"text":"Fünf Meter. "},{"functionCall":{"name":"f","args":{}}},{"text":"Fünf Grad. "},{"text":"Ja."}]"#;
    for cited in ["", r#","text":"Grad""#] {
        let body = format!(
            r#"{{"candidates":[{{"content":{{"parts":{parts}}},"finishReason":"STOP","groundingMetadata":{{
            "groundingChunks":[{{"web":{{"uri":"https://example.com/lake","title":"Lake"}}}}],
            "groundingSupports":[{{"segment":{{"partIndex":2,"startIndex":6,"endIndex":10{cited}}},"groundingChunkIndices":[0]}}]}}}}]}}"#
        );
        let Reply::Chat(reply) = Dialect::Gemini.parse_reply(body.as_bytes()).unwrap() else { panic!("{body}") };
        let cited = reply.choices[0].turn.blocks.iter().map(|block| match &block.content {
            Content::Text { citations, .. } => {
                citations.iter().map(|one| (one.start_index.unwrap(), one.end_index.unwrap())).collect()
            }
            _ => Vec::new(),
        });
        assert_eq!(cited.collect::<Vec<_>>(), [vec![], vec![], vec![(5, 9)], vec![]]);
    }
}

#[test]
fn grounding_becomes_citations_that_count_characters() {
    let body = r#"{"candidates":[{"content":{"parts":[{"text":"Fünf Meter"}]},"finishReason":"STOP","groundingMetadata":{
        "groundingChunks":[{"web":{"uri":"https://example.com/lake","title":"Lake"}}],
        "groundingSupports":[{"segment":{"startIndex":6,"endIndex":11,"text":"Meter"},"groundingChunkIndices":[0,9]}]}}]}"#;
    let reply = GEMINI.parse_reply(body.as_bytes()).unwrap();
    let said = json_of(&CHAT.render_reply(&reply, &Envelope::default()).unwrap());
    let link = json!({"url": "https://example.com/lake", "title": "Lake", "start_index": 5, "end_index": 10});
    assert_eq!(said["choices"][0]["message"]["annotations"], json!([{"type": "url_citation", "url_citation": link}]));
    let said = said.to_string();
    let heard = CHAT.parse_reply(said.as_bytes()).unwrap();
    let back = json_of(&GEMINI.render_reply(&heard, &Envelope::default()).unwrap());
    let support = &back["candidates"][0]["groundingMetadata"]["groundingSupports"][0];
    assert_eq!(*support, json!({"segment": {"startIndex": 6, "endIndex": 11}, "groundingChunkIndices": [0]}));
}

/// Reads a stream of one dialect and writes it in another, to its end.
fn streamed(chunks: &[&str], from: Dialect, to: Dialect) -> String {
    let envelope = Envelope { id: "r-1", model: "lake-1", created_s: 1, include_usage: true };
    let (mut reader, mut writer) = (from.reader().unwrap(), to.writer(&envelope).unwrap());
    let mut out = Vec::new();
    for chunk in chunks {
        for event in reader.parse_event("", chunk.as_bytes()).unwrap() {
            writer.render_event(&event, &mut out);
        }
    }
    for event in reader.end() {
        writer.render_event(&event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn a_streamed_chat_comes_in_whole_calls_with_finish_and_usage_in_the_last_chunk() {
    let out = streamed(
        &[
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"Hm."}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"One moment."}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c-1","type":"function","function":{"name":"depth","arguments":"{\"la"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"ke\":1}"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14,"completion_tokens_details":{"reasoning_tokens":4}}}"#,
            "[DONE]",
        ],
        CHAT,
        GEMINI,
    );
    let chunks: Vec<Value> =
        out.split_terminator("\n\n").map(|frame| json_of(frame.strip_prefix("data: ").unwrap().as_bytes())).collect();
    let part = |chunk: &Value| chunk["candidates"][0]["content"]["parts"][0].clone();
    assert_eq!(part(&chunks[0]), json!({"text": "Hm.", "thought": true}));
    assert_eq!(part(&chunks[1]), json!({"text": "One moment."}));
    assert_eq!(part(&chunks[2]), json!({"functionCall": {"id": "c-1", "name": "depth", "args": {"lake": 1}}}));
    let last = json!({
        "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 5, "totalTokenCount": 14, "thoughtsTokenCount": 4},
        "modelVersion": "lake-1", "responseId": "r-1",
    });
    assert_eq!(chunks[3..], [last]);
}

#[test]
fn a_finish_is_told_when_the_body_ends_and_never_of_a_cut() {
    let chunks = [
        r#"{"candidates":[{"content":{"parts":[{"text":"I count."}]},"finishReason":"STOP"}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"count"}}]}}]}"#,
    ];
    let mut reader = GEMINI.reader().unwrap();
    let mut events = Vec::new();
    for chunk in chunks {
        events.extend(reader.parse_event("", chunk.as_bytes()).unwrap());
    }
    assert!(!events.iter().any(|event| matches!(event, Event::Finish { .. } | Event::Done)));
    let mut fold = Fold::new(1000);
    for event in &events {
        fold.add(event).unwrap();
    }
    assert_eq!(fold.finish(), Err(FoldError::Unfinished));
    let end = reader.end();
    // A call behind the reason changes what the reason means.
    assert!(matches!(&end[0], Event::Finish { finish, .. } if finish.reason == FinishReason::ToolCalls));
    assert!(matches!(end[1..], [Event::Done]));
    assert!(reader.end().is_empty());
}

#[test]
fn streamed_arguments_are_told_whole_even_without_their_end() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/dialects/gemini/streams");
    let stream = std::fs::read_to_string(root.join("streamed_arguments_without_an_end.sse")).unwrap();
    let chunks: Vec<_> = stream.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let out = streamed(&chunks, GEMINI, CHAT);
    assert!(out.contains(r#""arguments":"{\"lake\":\"Upper\"}""#), "{out}");
    assert!(out.contains(r#""finish_reason":"tool_calls""#), "{out}");
}

#[test]
fn an_error_breaks_off_with_a_bare_object_and_nothing_follows() {
    let chunks = [
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"Fo"}}]}"#,
        r#"{"error":{"message":"lost","type":"overloaded_error"}}"#,
        "[DONE]",
    ];
    let out = streamed(&chunks, CHAT, GEMINI);
    let (_, last) = out.split_once("\n\n").unwrap();
    assert_eq!(last, "{\"error\":{\"code\":503,\"message\":\"lost\",\"status\":\"UNAVAILABLE\"}}\n\n");
    let error = r#"{"error":{"code":499,"message":"cancelled","status":"CANCELLED"}}"#;
    let started = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}"#;
    let out = streamed(&[started, error], GEMINI, CHAT);
    assert!(out.contains(r#""message":"cancelled""#) && !out.contains("[DONE]") && !out.contains(r#""stop""#), "{out}");
}

#[test]
fn arguments_that_are_no_object_come_back_as_they_were() {
    let body = br#"{"choices":[{"index":0,"message":{"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":"}}]},"finish_reason":"length"}]}"#;
    let reply = CHAT.parse_reply(body).unwrap();
    let said = GEMINI.render_reply(&reply, &Envelope::default()).unwrap();
    let args = &json_of(&said)["candidates"][0]["content"]["parts"][0]["functionCall"]["args"];
    assert!(args.is_object(), "{args}");
    let Reply::Chat(heard) = GEMINI.parse_reply(&said).unwrap() else { panic!("no chat") };
    let Content::ToolCall(call) = &heard.choices[0].turn.blocks[0].content else { panic!("no call") };
    assert_eq!(call.arguments, "{\"a\":");
}

/// Every chunk with each byte in turn cut off, removed or replaced by one that matters to JSON.
#[test]
fn broken_chunks_are_refused_or_read_and_what_is_read_can_be_said() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/dialects/gemini/streams");
    let mut read = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let stream = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
            for at in 0..data.len() {
                let (before, after) = data.as_bytes().split_at(at);
                let swaps = b"{}[]\",:0n\\\xff".iter().map(|byte| [before, &[*byte], &after[1..]].concat());
                for broken in swaps.chain([before.to_vec(), [before, &after[1..]].concat()]) {
                    let (mut reader, mut writer) =
                        (GEMINI.reader().unwrap(), GEMINI.writer(&Envelope::default()).unwrap());
                    let mut out = Vec::new();
                    for event in reader.parse_event("", &broken).into_iter().flatten() {
                        writer.render_event(&event, &mut out);
                        read += 1;
                    }
                    for event in reader.end() {
                        writer.render_event(&event, &mut out);
                    }
                    for frame in String::from_utf8(out).unwrap().split_terminator("\n\n") {
                        json_of(frame.strip_prefix("data: ").unwrap_or(frame).as_bytes());
                    }
                }
            }
        }
    }
    assert!(read > 10_000, "only {read} events of broken chunks");
}

#[test]
fn depth_is_no_danger() {
    let deep = |open: &str, close: &str| open.repeat(300_000) + "0" + &close.repeat(300_000);
    for nested in [deep("[", "]"), deep("{\"OBJECT\":", "}")] {
        let schema = format!(r#"{{"type":"OBJECT","x":{nested}}}"#);
        let body = format!(
            r#"{{"contents":[{{"parts":[{{"functionCall":{{"name":"f","args":{schema}}}}}]}}],"tools":[{{"functionDeclarations":[{{"name":"f","parameters":{schema}}}]}}]}}"#
        );
        if let Ok(request) = GEMINI.parse_request(body.as_bytes()) {
            assert_eq!(GEMINI.render_request(&request).unwrap().body.len(), body.len());
        }
        let chunk = format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"functionCall":{{"name":"f","args":{schema}}}}}]}}}}]}}"#
        );
        let mut reader = GEMINI.reader().unwrap();
        let _ = reader.parse_event("", chunk.as_bytes());
    }
}
