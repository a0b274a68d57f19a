use super::*;

/// What Codex declares, in little.
fn codex(more: &Value) -> Value {
    let mut body = json!({"model": "m", "stream": true, "store": false, "include": ["reasoning.encrypted_content"],
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]}],
        "tools": [
            {"type": "function", "name": "exec_command", "parameters": {"type": "object"}, "strict": false},
            {"type": "custom", "name": "apply_patch", "description": "Edits files.",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: \"x\""}},
            {"type": "namespace", "name": "agents", "description": "d", "tools": [
                {"type": "function", "name": "close", "parameters": {"type": "object", "properties": {"id": {"type": "string"}}}}]},
            {"type": "local_shell"}, {"type": "web_search"}, {"type": "tool_search"}, {"type": "frobnicate"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[test]
fn every_tool_of_codex_is_a_function_or_is_named_as_dropped() {
    for target in [CHAT, ANTHROPIC, GEMINI, Dialect::CohereV2, Dialect::Ollama] {
        let (_, told) = ask(&codex(&json!({})), RESPONSES, &Demands::of(target));
        assert!(!told.body.windows(9).any(|word| word == b"namespace"), "{target:?}");
        for gone in ["tools[4]", "tools[5]", "tools[6]"] {
            assert!(told.dropped.iter().any(|name| name == gone), "{target:?} {gone}: {:?}", told.dropped);
        }
    }
    let (said, _) = ask(&codex(&json!({})), RESPONSES, &Demands::of(CHAT));
    let names: Vec<_> =
        said["tools"].as_array().unwrap().iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["exec_command", "apply_patch", "agents__close", "local_shell"]);
    let patch = &said["tools"][1]["function"];
    assert!(patch["description"].as_str().unwrap().contains("start: \"x\""));
    assert_eq!(patch["parameters"]["properties"]["input"]["type"], "string");
}

#[test]
fn free_text_comes_back_as_free_text_whole_and_in_pieces() {
    let (_, told) = ask(&codex(&json!({})), RESPONSES, &Demands::of(CHAT));
    let answer =
        told_back(&called("apply_patch", r#"{"input":"*** Begin\n\"é\""}"#), CHAT, RESPONSES, &told.way_back).unwrap();
    let item = &answer["output"][0];
    assert_eq!((&item["type"], &item["name"]), (&json!("custom_tool_call"), &json!("apply_patch")));
    assert_eq!(item["input"], "*** Begin\n\"é\"");
    let pieces = [r#"{"inp"#, r#"ut": "*** Beg"#, r"in\", r"n\u00", r#"e9"}"#];
    let events = streamed(&call_chunks("apply_patch", &pieces), CHAT, RESPONSES, &told.way_back);
    let deltas: String = events
        .iter()
        .filter(|event| event["type"] == "response.custom_tool_call_input.delta")
        .map(|event| event["delta"].as_str().unwrap())
        .collect();
    assert_eq!(deltas, "*** Begin\né");
    let done = events.iter().find(|event| event["type"] == "response.output_item.done").unwrap();
    assert_eq!((&done["item"]["type"], &done["item"]["input"]), (&json!("custom_tool_call"), &json!("*** Begin\né")));
}

#[test]
fn any_cut_of_the_bytes_comes_back_the_same() {
    let (_, told) = ask(&codex(&json!({})), RESPONSES, &Demands::of(CHAT));
    for (name, piece) in
        [("apply_patch", r#"{"input":"a\u00e9\n"}"#), ("agents__close", "{}"), ("local_shell", r#"{"command":["ls"]}"#)]
    {
        let frames: Vec<_> = call_chunks(name, &[piece]).iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        let text = frames.concat();
        let by = |size: usize| {
            let mut stream =
                StreamTranslator::new(CHAT, RESPONSES, told.way_back.clone(), &ENVELOPE, Limits::default()).unwrap();
            let mut out = Vec::new();
            text.as_bytes().chunks(size).for_each(|piece| stream.push(piece, &mut out));
            stream.finish(&mut out);
            out
        };
        let whole = by(text.len());
        for size in [1, 2, 7, 64] {
            assert_eq!(by(size), whole, "{name} by {size}");
        }
    }
}

#[test]
fn a_function_of_a_namespace_comes_back_to_its_namespace() {
    let (_, told) = ask(&codex(&json!({})), RESPONSES, &Demands::of(CHAT));
    let answer = told_back(&called("agents__close", r#"{"id":"1"}"#), CHAT, RESPONSES, &told.way_back).unwrap();
    let item = &answer["output"][0];
    assert_eq!((&item["name"], &item["namespace"]), (&json!("close"), &json!("agents")));
    let events = streamed(&call_chunks("agents__close", &[r#"{"id":"1"}"#]), CHAT, RESPONSES, &told.way_back);
    let done = events.iter().find(|event| event["type"] == "response.output_item.done").unwrap();
    assert_eq!((&done["item"]["name"], &done["item"]["namespace"]), (&json!("close"), &json!("agents")));
    let last = events.iter().find(|event| event["type"] == "response.completed").unwrap();
    assert_eq!(last["response"]["output"][0]["namespace"], "agents");
    // And what comes back in the history is called by the flat name again.
    let history = json!({"input": [{"type": "message", "role": "user", "content": "go"},
        {"type": "function_call", "call_id": "c", "namespace": "agents", "name": "close", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "ok"}]});
    let (said, told) = ask(&codex(&history), RESPONSES, &Demands::of(CHAT));
    assert_eq!(said["messages"][1]["tool_calls"][0]["function"]["name"], "agents__close");
    assert!(!told.dropped.iter().any(|name| name.contains("namespace")), "{:?}", told.dropped);
}

#[test]
fn a_shell_is_called_and_answered_in_its_own_items() {
    let (_, told) = ask(&codex(&json!({})), RESPONSES, &Demands::of(CHAT));
    let arguments = r#"{"command":["ls","-l"],"timeout_ms":9}"#;
    let check = |item: &Value| {
        assert_eq!((&item["type"], &item["call_id"]), (&json!("local_shell_call"), &json!("call_1")));
        assert_eq!(item["action"], json!({"type": "exec", "command": ["ls", "-l"], "timeout_ms": 9, "env": {}}));
    };
    let answer = told_back(&called("local_shell", arguments), CHAT, RESPONSES, &told.way_back).unwrap();
    check(&answer["output"][0]);
    let events = streamed(
        &call_chunks("local_shell", &[r#"{"command":["ls","#, r#""-l"],"timeout_ms":9}"#]),
        CHAT,
        RESPONSES,
        &told.way_back,
    );
    check(&events.iter().find(|event| event["type"] == "response.output_item.done").unwrap()["item"]);
    check(&events.last().unwrap()["response"]["output"][0]);
    // Arguments that no shell takes are told as what they are.
    let odd = told_back(&called("local_shell", r#"{"cmd":"ls"}"#), CHAT, RESPONSES, &told.way_back).unwrap();
    assert_eq!(odd["output"][0]["type"], "function_call");
    let history = json!({"input": [{"type": "message", "role": "user", "content": "go"},
        {"type": "local_shell_call", "id": "l", "call_id": "c", "status": "completed", "action": {"type": "exec", "command": ["ls"], "env": {}}},
        {"type": "local_shell_call_output", "call_id": "c", "output": "a.txt"},
        {"type": "shell_call", "call_id": "s", "action": {"commands": ["pwd"]}},
        {"type": "shell_call_output", "call_id": "s", "output": [{"stdout": "/"}]},
        {"type": "tool_search_call", "call_id": "q"}]});
    let (said, told) = ask(&codex(&history), RESPONSES, &Demands::of(CHAT));
    let messages = said["messages"].as_array().unwrap();
    assert_eq!(messages[1]["tool_calls"][0]["function"]["arguments"], r#"{"command":["ls"],"env":{}}"#);
    assert_eq!((&messages[2]["role"], &messages[2]["content"]), (&json!("tool"), &json!("a.txt")));
    assert_eq!(messages[3]["tool_calls"][0]["function"]["name"], "shell");
    assert_eq!(messages[4]["content"], r#"[{"stdout": "/"}]"#.replace(": ", ":"));
    assert!(told.dropped.contains(&"input[5]".to_owned()), "{:?}", told.dropped);
}

#[test]
fn anthropics_client_tools_are_functions_elsewhere() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "bash_20250124", "name": "bash"}, {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
            {"type": "web_search_20250305", "name": "web_search"}], "tool_choice": {"type": "tool", "name": "bash"}});
    let (said, told) = ask(&body, ANTHROPIC, &Demands::of(CHAT));
    assert_eq!(said["tools"].as_array().unwrap().len(), 2);
    assert_eq!(said["tools"][0]["function"]["parameters"]["properties"]["command"]["type"], "string");
    assert_eq!(said["tool_choice"]["function"]["name"], "bash");
    assert_eq!(told.dropped, ["tools[2]"]);
}

#[test]
fn what_differs_from_request_to_request_is_not_said_to_others() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "system": [{"type": "text", "text": "x-anthropic-billing-header: cc=1"}, {"type": "text", "text": "Be kind."}]});
    let (said, told) = ask(&body, ANTHROPIC, &Demands::of(CHAT));
    assert_eq!(said["messages"][0]["content"][0]["text"], "Be kind.");
    assert_eq!(told.changed, ["system[0]"]);
}

#[test]
fn a_strict_tool_is_held_to_what_the_model_enforces() {
    let body = chat(&json!({"tools": [{"type": "function", "function": {"name": "f", "strict": true, "parameters":
        {"type": "object", "properties": {"a": {"type": "integer", "maximum": 3}}, "required": ["a"]}}}]}));
    let (said, told) = ask(&body, CHAT, &Demands::of(ANTHROPIC));
    let tool = &said["tools"][0];
    assert_eq!((&tool["strict"], &tool["input_schema"]["additionalProperties"]), (&json!(true), &json!(false)));
    assert_eq!(told.changed, ["tools[0].function.parameters"]);
    let (said, told) = ask(&body, CHAT, &able(ANTHROPIC, &json!({"strict_tools": false})));
    assert!(said["tools"][0].get("strict").is_none());
    assert_eq!(told.changed, ["tools[0].function.strict"]);
}

#[test]
fn gemini_is_not_told_the_schema_of_nothing() {
    let body = chat(
        &json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]}),
    );
    let (said, _) = ask(&body, CHAT, &Demands::of(GEMINI));
    assert_eq!(said["tools"][0]["functionDeclarations"][0], json!({"name": "f"}));
}

#[test]
fn a_call_without_an_id_gets_one_and_the_same_in_stream_and_whole() {
    let (_, told) = ask(&codex(&json!({})), RESPONSES, &Demands::of(CHAT));
    let mut reply = called("f", "{}");
    reply["choices"][0]["message"]["tool_calls"][0]["id"] = json!("null");
    let answer = told_back(&reply, CHAT, CHAT, &told.way_back).unwrap();
    let id = answer["choices"][0]["message"]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.starts_with("call_") && id.len() == 29, "{id}");
    let mut chunks = call_chunks("f", &["{}"]);
    chunks[0]["choices"][0]["delta"]["tool_calls"][0]["id"] = json!("null");
    let events = streamed(&chunks, CHAT, CHAT, &told.way_back);
    let streamed = events.iter().find_map(|event| event["choices"][0]["delta"]["tool_calls"][0]["id"].as_str());
    assert_eq!(streamed, Some(id));
}
