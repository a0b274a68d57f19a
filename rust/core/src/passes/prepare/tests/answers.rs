use super::*;

fn schema() -> Value {
    json!({"type": "object", "properties": {"z": {"type": "integer", "minimum": 1}, "a": {"type": "string"}}, "required": ["z"]})
}

fn formatted(more: &Value) -> Value {
    let mut body = chat(more);
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "d", "schema": schema()}});
    body
}

#[test]
fn a_native_schema_is_said_as_anthropic_takes_it() {
    let (said, told) = ask(&formatted(&json!({})), CHAT, &able(ANTHROPIC, &json!({"json_schema": "native"})));
    let format = &said["output_config"]["format"];
    assert_eq!(format["type"], "json_schema");
    assert_eq!(format["schema"]["additionalProperties"], false);
    assert_eq!(format["schema"]["properties"]["z"]["description"], "(minimum: 1)");
    assert!(told.way_back.answer.is_none());
}

#[test]
fn an_answer_by_tool_is_text_to_the_client() {
    let target = able(CHAT, &json!({"json_schema": "tool"}));
    let body = json!({"model": "m", "max_tokens": 9, "output_config": {"format": {"type": "json_schema", "schema": schema()}},
        "messages": [{"role": "user", "content": "hi"}]});
    let (said, told) = ask(&body, ANTHROPIC, &target);
    assert_eq!(said["tools"][0]["function"]["name"], "json_response");
    assert_eq!(said["tool_choice"]["function"]["name"], "json_response");
    assert_eq!(said["parallel_tool_calls"], false);
    assert!(said.get("response_format").is_none());
    assert_eq!(told.changed, ["output_config.format"]);

    let answer = told_back(&called("json_response", r#"{"z":3}"#), CHAT, ANTHROPIC, &told.way_back).unwrap();
    assert_eq!(answer["content"], json!([{"type": "text", "text": r#"{"z":3}"#}]));
    assert_eq!(answer["stop_reason"], "end_turn");

    let events = streamed(&call_chunks("json_response", &[r#"{"z""#, ":3}"]), CHAT, ANTHROPIC, &told.way_back);
    let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(text, r#"{"z":3}"#);
    assert!(events.iter().all(|event| event["content_block"]["type"] != "tool_use"));
    let stop = events.iter().find_map(|event| event["delta"]["stop_reason"].as_str());
    assert_eq!(stop, Some("end_turn"));
}

#[test]
fn an_answer_that_does_not_hold_is_a_failure_and_never_told_as_one_that_does() {
    let (_, told) = ask(&formatted(&json!({})), CHAT, &able(ANTHROPIC, &json!({"json_schema": "tool"})));
    assert_eq!(told.way_back.answer.as_ref().unwrap().tool.as_deref(), Some("json_response"));
    let error = told_back(&called("json_response", r#"{"a":"x"}"#), CHAT, ANTHROPIC, &told.way_back).unwrap_err();
    assert!(error.to_string().contains("schema"), "{error}");
    let events = streamed(&call_chunks("json_response", &[r#"{"a":"#, r#""x"}"#]), CHAT, ANTHROPIC, &told.way_back);
    assert!(events.iter().any(|event| event["type"] == "error"), "{events:?}");
    assert!(events.iter().all(|event| event["type"] != "message_stop"));
    // Cut short by its limit it is what the client knows it to be.
    let mut cut = called("json_response", r#"{"a":"#);
    cut["choices"][0]["finish_reason"] = json!("length");
    assert!(told_back(&cut, CHAT, ANTHROPIC, &told.way_back).is_ok());
}

#[test]
fn beside_tools_of_the_client_the_model_chooses_and_its_calls_are_calls() {
    let body = formatted(&json!({"tools": [{"type": "function", "function": {"name": "f"}}]}));
    let (said, told) = ask(&body, CHAT, &able(ANTHROPIC, &json!({"json_schema": "tool"})));
    assert_eq!(said["tool_choice"]["type"], "any");
    assert_eq!(said["tools"].as_array().unwrap().len(), 2);
    let answer = told_back(&called("f", "{}"), CHAT, CHAT, &told.way_back).unwrap();
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "f");
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    let events = streamed(&call_chunks("f", &["{}"]), CHAT, CHAT, &told.way_back);
    let finish = events.iter().find_map(|event| event["choices"][0]["finish_reason"].as_str());
    assert_eq!(finish, Some("tool_calls"));
}

#[test]
fn json_mode_and_instructions_stand_in_for_a_schema() {
    let mut body = formatted(&json!({}));
    body["messages"] = json!([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}]);
    let target = demands(CHAT, &json!({"json_schema": "json_object"}), &json!({"flatten_text": true}), OnLoss::Drop);
    let (said, told) = ask(&body, CHAT, &target);
    assert_eq!(said["response_format"], json!({"type": "json_object"}));
    let system = said["messages"][0]["content"].as_str().unwrap();
    assert!(system.starts_with("Be kind.") && system.contains(&schema()["properties"]["z"].to_string()), "{system}");
    assert!(told_back(&super::said("{\"z\":1}"), CHAT, CHAT, &told.way_back).is_ok());
    assert!(told_back(&super::said("no"), CHAT, CHAT, &told.way_back).is_err());

    let target = demands(CHAT, &json!({"json_schema": "prompt"}), &json!({"flatten_text": true}), OnLoss::Drop);
    let (said, told) = ask(&body, CHAT, &target);
    assert!(said.get("response_format").is_none());
    let answer = told_back(&super::said("```json\n{\"z\":1}\n```"), CHAT, CHAT, &told.way_back).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "{\"z\":1}");
}

#[test]
fn anthropic_is_asked_for_json_in_words_where_there_is_no_schema() {
    let (said, told) = ask(&chat(&json!({"response_format": {"type": "json_object"}})), CHAT, &Demands::of(ANTHROPIC));
    assert!(said["system"].as_str().unwrap().contains("JSON"));
    assert_eq!(told.changed, ["response_format"]);
    assert!(told.dropped.is_empty(), "{:?}", told.dropped);
}

#[test]
fn the_word_that_some_providers_look_for_is_said() {
    let target = demands(CHAT, &json!({}), &json!({"json_word_needed": true}), OnLoss::Drop);
    let mut body = chat(&json!({"response_format": {"type": "json_object"}}));
    let (said, _) = ask(&body, CHAT, &target);
    assert_eq!(said["messages"][0], json!({"role": "system", "content": "Answer in JSON."}));
    body["messages"] = json!([{"role": "user", "content": "as Json please"}]);
    let (said, told) = ask(&body, CHAT, &target);
    assert_eq!(said["messages"].as_array().unwrap().len(), 1);
    assert!(told.changed.is_empty());
}

#[test]
fn proofs_go_back_to_their_maker_and_to_nobody_else() {
    let (_, told) = ask(&chat(&json!({})), CHAT, &Demands::of(ANTHROPIC));
    let reply = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "YmxvYg=="},
            {"type": "text", "text": "hi"}], "usage": {"input_tokens": 1, "output_tokens": 1}});
    let answer = told_back(&reply, ANTHROPIC, CHAT, &told.way_back).unwrap();
    let message = answer["choices"][0]["message"].clone();
    let mut history = chat(&json!({}));
    history["messages"] = json!([{"role": "user", "content": "a"}, message, {"role": "user", "content": "b"}]);
    let (said, again) = ask(&history, CHAT, &Demands::of(ANTHROPIC));
    assert_eq!(said["messages"][1]["content"][0], reply["content"][0]);
    assert_eq!(said["messages"][1]["content"][1], reply["content"][1]);
    assert!(again.changed.is_empty(), "{:?}", again.changed);

    let (said, elsewhere) = ask(&history, CHAT, &Demands::of(GEMINI));
    assert!(!said.to_string().contains("c2ln") && !said.to_string().contains("Signature"), "{said}");
    assert_eq!(
        elsewhere.changed,
        ["messages[1].reasoning_details[0].signature", "messages[1].reasoning_details[1].data"]
    );
}

#[test]
fn proofs_of_a_stream_come_back_as_well() {
    let (_, told) = ask(&chat(&json!({})), CHAT, &Demands::of(ANTHROPIC));
    let events = streamed(
        &[
            json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "role": "assistant", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
            json!({"type": "message_stop"}),
        ],
        ANTHROPIC,
        CHAT,
        &told.way_back,
    );
    let detail =
        events.iter().find_map(|event| event["choices"][0]["delta"]["reasoning_details"][0]["signature"].as_str());
    let mut history = chat(&json!({}));
    history["messages"] = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b",
        "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": detail.unwrap()}]}, {"role": "user", "content": "c"}]);
    let (said, _) = ask(&history, CHAT, &Demands::of(ANTHROPIC));
    assert_eq!(said["messages"][1]["content"][0]["signature"], "c2ln");
}

#[test]
fn gemini_is_told_that_there_is_no_signature_where_it_wants_one() {
    let mut history = chat(&json!({}));
    history["messages"] = json!([{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "x"}, {"role": "tool", "tool_call_id": "2", "content": "y"}]);
    let (said, _) = ask(&history, CHAT, &able(GEMINI, &json!({"reasoning_style": "level"})));
    let parts = &said["contents"][1]["parts"];
    assert_eq!(parts[0]["thoughtSignature"], "skip_thought_signature_validator");
    assert!(parts[1].get("thoughtSignature").is_none());
    let (said, _) = ask(&history, CHAT, &able(GEMINI, &json!({"reasoning_style": "budget"})));
    assert!(!said.to_string().contains("thoughtSignature"));
}
