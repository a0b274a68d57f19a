//! What other dialects say, said in Bedrock's words, and Bedrock's in theirs.

use serde_json::{Value, json};

use crate::dialects::Dialect;
use crate::passes::Demands;
use crate::translate::{self, Address};

mod streams;

const BEDROCK: Dialect = Dialect::BedrockConverse;

/// What a request becomes, and what of it is dropped.
fn from(dialect: Dialect, request: &Value) -> (Value, Vec<String>) {
    let body = request.to_string();
    let request = dialect.parse_request(body.as_bytes()).unwrap();
    let rendered = BEDROCK.render_request(&request).unwrap();
    (serde_json::from_slice(&rendered.body).unwrap(), rendered.dropped)
}

fn from_chat(request: &Value) -> (Value, Vec<String>) {
    from(Dialect::OpenAiChat, request)
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

fn spec(name: &str) -> Value {
    json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}})
}

#[test]
fn a_chat_request_keeps_its_meaning_under_other_names() {
    let (said, dropped) = from_chat(&json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true}, "temperature": 0.5, "top_p": 0.5,
        "top_k": 9, "stop": "END", "max_tokens": 5, "max_completion_tokens": 5, "reasoning_effort": "minimal", "n": 1,
        "service_tier": "auto", "metadata": {"team": "tides"}, "tools": [tool("tide")], "tool_choice": "required",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    }));
    assert_eq!(
        said,
        json!({
            "system": [{"text": "Be brief."}], "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
            "inferenceConfig": {"maxTokens": 5, "temperature": 0.5, "topP": 0.5, "stopSequences": ["END"]},
            "toolConfig": {"tools": [spec("tide")], "toolChoice": {"any": {}}},
            "additionalModelRequestFields": {"top_k": 9}, "serviceTier": {"type": "default"},
            "requestMetadata": {"team": "tides"},
            "outputConfig": {"effort": "low", "textFormat": {"type": "json_schema", "structure": {"jsonSchema":
                {"name": "a", "schema": "{\"type\":\"object\"}"}}}},
        })
    );
    assert!(dropped.is_empty(), "{dropped:?}");
}

#[test]
fn what_bedrock_has_no_words_for_is_dropped_and_named() {
    let (said, dropped) = from_chat(&json!({
        "model": "m", "n": 2, "user": "u", "seed": 1, "parallel_tool_calls": false, "temperature": 1.5,
        "metadata": {"a": 1}, "logit_bias": {"1": 2}, "service_tier": "scale", "response_format": {"type": "json_object"},
        "messages": [{"role": "user", "name": "Ann", "content": [
            {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,aGk=", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,aGk=", "detail": "low"}},
        ]}, {"role": "assistant", "reasoning_content": "Hm.", "content": "Well."}],
        "tools": [{"type": "custom", "custom": {"name": "log"}}, {"type": "web_search"}],
    }));
    assert_eq!(
        dropped,
        [
            "logit_bias",
            "temperature",
            "seed",
            "n",
            "user",
            "service_tier",
            "metadata",
            "response_format",
            "tools[1]",
            "parallel_tool_calls",
            "messages[0].name",
            "messages[0].content[1]",
            "messages[0].content[2].detail",
            "messages[1].content[0]"
        ]
    );
    assert_eq!(
        said,
        json!({
            "messages": [
                {"role": "user", "content": [{"text": "Hi"}, {"cachePoint": {"type": "default", "ttl": "1h"}},
                    {"image": {"format": "jpeg", "source": {"bytes": "aGk="}}}]},
                {"role": "assistant", "content": [{"text": "Well."}]},
            ],
            "inferenceConfig": {"temperature": 1.0},
            "toolConfig": {"tools": [{"toolSpec": {"name": "log", "inputSchema": {"json": {
                "type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}}}}]},
        })
    );
}

#[test]
fn media_that_is_elsewhere_is_refused_where_it_stands() {
    for (part, kind) in [
        (json!({"type": "image_url", "image_url": {"url": "https://example.com/pier.png"}}), "an address"),
        (json!({"type": "file", "file": {"file_id": "file-1"}}), "an id"),
    ] {
        let body =
            json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, part]}]});
        let body = body.to_string();
        let request = Dialect::OpenAiChat.parse_request(body.as_bytes()).unwrap();
        let error = BEDROCK.render_request(&request).unwrap_err();
        assert_eq!(error.pointer, "/messages/0/content/1", "{kind}");
        assert!(!error.to_string().contains("example.com"));
    }
    let in_s3 = json!({"type": "image_url", "image_url": {"url": "s3://harbour/pier.jpg"}});
    let (said, _) = from_chat(&json!({"model": "m", "messages": [{"role": "user", "content": [in_s3]}]}));
    assert_eq!(
        said["messages"][0]["content"][0],
        json!({"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://harbour/pier.jpg"}}}})
    );
}

#[test]
fn documents_get_names_that_are_allowed_and_their_own() {
    let file = |name: &str| json!({"type": "file", "file": {"filename": name, "file_data": "data:application/pdf;base64,aGk="}});
    let parts = ["tide_table.v2.pdf", "notes.pdf", "notes.pdf", ""].map(file);
    let (said, dropped) = from_chat(&json!({"model": "m", "messages": [{"role": "user", "content": parts}]}));
    let content = said["messages"][0]["content"].as_array().unwrap();
    let names: Vec<_> = content.iter().filter_map(|block| block["document"]["name"].as_str()).collect();
    assert_eq!(names, ["tide-table-v2", "notes", "notes (2)", "document"]);
    assert_eq!(dropped, ["messages[0].content[0].filename"]);
    // A document alone is refused.
    assert!(content[4]["text"].is_string(), "{said}");
}

#[test]
fn the_choice_of_no_tool_is_no_tools_unless_the_history_calls_them() {
    let request = |history: Value| {
        let mut messages = json!([{"role": "user", "content": "Hi"}]);
        messages.as_array_mut().unwrap().extend(history.as_array().unwrap().iter().cloned());
        from_chat(&json!({"model": "m", "messages": messages, "tools": [tool("a")], "tool_choice": "none"}))
    };
    let (said, dropped) = request(json!([]));
    assert_eq!((said.get("toolConfig"), said.get("system")), (None, None));
    assert!(dropped.is_empty());
    let call = json!([{"id": "c", "type": "function", "function": {"name": "a", "arguments": ""}}]);
    let (said, dropped) = request(
        json!([{"role": "assistant", "tool_calls": call}, {"role": "tool", "tool_call_id": "c", "content": "b"}]),
    );
    assert_eq!(said["toolConfig"], json!({"tools": [spec("a")]}));
    assert_eq!(said["system"], json!([{"text": "Do not call any tool."}]));
    assert_eq!(said["messages"][1]["content"], json!([{"toolUse": {"toolUseId": "c", "name": "a", "input": {}}}]));
    assert_eq!(dropped, ["tool_choice"]);
}

#[test]
fn a_choice_of_some_tools_is_these_tools_alone() {
    let named = |name: &str| json!({"type": "function", "function": {"name": name}});
    let request = |choice: Value| {
        let messages = json!([{"role": "user", "content": "Hi"}]);
        from_chat(&json!({"model": "m", "messages": messages, "tools": [tool("a"), tool("b")], "tool_choice": choice}))
    };
    let (said, _) = request(named("b"));
    assert_eq!(said["toolConfig"], json!({"tools": [spec("a"), spec("b")], "toolChoice": {"tool": {"name": "b"}}}));
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named("a")]}});
    let (said, dropped) = request(allowed);
    assert_eq!(said["toolConfig"], json!({"tools": [spec("a")], "toolChoice": {"any": {}}}));
    assert!(dropped.is_empty());
}

#[test]
fn what_anthropic_says_bedrock_says_too() {
    let (said, dropped) = from(
        Dialect::AnthropicMessages,
        &json!({
            "model": "m", "max_tokens": 9, "thinking": {"type": "enabled", "budget_tokens": 1024},
            "output_config": {"effort": "max"}, "metadata": {"user_id": "u"},
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": [{"type": "document", "title": "Tides", "source":
                    {"type": "text", "media_type": "text/plain", "data": "hi"}}, {"type": "text", "text": "When?"}]},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "aGlkZGVu"}, {"type": "redacted_thinking", "data": "no bytes!"},
                    {"type": "tool_use", "id": "t", "name": "tide", "input": {"a": 1}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "is_error": true, "content": [
                    {"type": "text", "text": "lost", "cache_control": {"type": "ephemeral"}}]}]},
            ],
            "tools": [{"name": "tide", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}],
        }),
    );
    assert_eq!(
        said,
        json!({
            "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
            "messages": [
                {"role": "user", "content": [
                    {"document": {"format": "txt", "name": "Tides", "source": {"bytes": "aGk="}}}, {"text": "When?"}]},
                {"role": "assistant", "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
                    {"reasoningContent": {"redactedContent": "aGlkZGVu"}},
                    {"toolUse": {"toolUseId": "t", "name": "tide", "input": {"a": 1}}}]},
                {"role": "user", "content": [
                    {"toolResult": {"toolUseId": "t", "content": [{"text": "lost"}], "status": "error"}}]},
            ],
            "inferenceConfig": {"maxTokens": 9},
            "toolConfig": {"tools": [spec("tide"), {"cachePoint": {"type": "default"}}]},
            "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            "outputConfig": {"effort": "max"},
        })
    );
    // The instructions are the first turn.
    assert_eq!(
        dropped,
        ["safety_identifier", "messages[2].content[2]", "messages[3].content[0].content[0].cache_control"]
    );
}

#[test]
fn a_conversation_is_brought_into_the_shape_that_bedrock_takes() {
    let long = "x".repeat(70);
    let body = json!({"model": "m", "messages": [
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": " "},
        {"role": "assistant", "tool_calls": [{"id": "call one!", "type": "function",
            "function": {"name": long, "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call one!", "content": "9:12"},
        {"role": "user", "content": "And?"},
    ]});
    let body = body.to_string();
    let asked = translate::request(body.as_bytes(), Dialect::OpenAiChat, &Demands::of(BEDROCK), Address::default());
    let said: Value = serde_json::from_slice(&asked.unwrap().body).unwrap();
    let roles: Vec<_> =
        said["messages"].as_array().unwrap().iter().map(|turn| turn["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    let call = &said["messages"][1]["content"][1]["toolUse"];
    let result = &said["messages"][2]["content"][0]["toolResult"];
    assert_eq!(call["toolUseId"], result["toolUseId"]);
    assert!(call["name"].as_str().unwrap().len() <= 64 && !call["toolUseId"].as_str().unwrap().contains(' '));
    assert_eq!(said["toolConfig"]["tools"][0]["toolSpec"]["name"], call["name"]);
    assert_eq!(said["messages"][2]["content"][1]["text"], "And?");
}

#[test]
fn requests_that_cannot_be_understood_are_refused_where_they_go_wrong() {
    let with = |block: Value| json!({"messages": [{"role": "user", "content": [block]}]});
    let spec = |spec: Value| json!({"messages": [{"role": "user", "content": []}], "toolConfig": {"tools": [{"toolSpec": spec}]}});
    for (body, pointer) in [
        (json!({}), "/messages"),
        (json!({"messages": []}), "/messages"),
        (json!({"messages": [{"role": "tool", "content": []}]}), "/messages/0/role"),
        (json!({"messages": [{"role": "user"}]}), "/messages/0/content"),
        (json!({"messages": [{"role": "user", "content": "a"}]}), "/messages/0/content"),
        (with(json!("a")), "/messages/0/content/0"),
        (with(json!({"text": 1})), "/messages/0/content/0/text"),
        (with(json!({"toolUse": {"name": "a", "input": {}}})), "/messages/0/content/0/toolUse/toolUseId"),
        (with(json!({"toolUse": {"toolUseId": "a", "name": "a"}})), "/messages/0/content/0/toolUse/input"),
        (with(json!({"toolResult": {"toolUseId": "a", "content": [1]}})), "/messages/0/content/0/toolResult/content/0"),
        (spec(json!({"inputSchema": {"json": {}}})), "/toolConfig/tools/0/toolSpec/name"),
        (spec(json!({"name": "a"})), "/toolConfig/tools/0/toolSpec/inputSchema"),
        (
            json!({"messages": [{"role": "user", "content": []}], "inferenceConfig": {"maxTokens": -1}}),
            "/inferenceConfig/maxTokens",
        ),
        (
            json!({"messages": [{"role": "user", "content": []}], "inferenceConfig": {"stopSequences": [1]}}),
            "/inferenceConfig/stopSequences/0",
        ),
        (json!({"messages": [{"role": "user", "content": []}], "system": "a"}), "/system"),
    ] {
        let text = body.to_string();
        let error = BEDROCK.parse_request(text.as_bytes()).unwrap_err();
        assert_eq!(error.pointer, pointer, "{body}: {error}");
    }
}
