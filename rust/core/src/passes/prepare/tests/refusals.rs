use super::*;

#[test]
fn what_would_be_another_question_is_refused_by_name() {
    let image = json!([{"role": "user", "content": [{"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}]);
    let blind = able(CHAT, &json!({"media_in": []}));
    let cases = [
        (chat(&json!({"n": 2})), Demands::of(ANTHROPIC), "n"),
        (chat(&json!({"n": 2})), Demands::of(RESPONSES), "n"),
        (
            chat(&json!({"messages": image})),
            demands(ANTHROPIC, &json!({"media_in": ["pdf"]}), &json!({}), OnLoss::Drop),
            "messages[0].content[1]",
        ),
        (
            chat(&json!({"messages": image})),
            demands(GEMINI, &json!({"media_by_url": false}), &json!({}), OnLoss::Drop),
            "messages[0].content[1]",
        ),
        (chat(&json!({"messages": image})), Demands::of(Dialect::Ollama), "messages[0].content[1]"),
        (
            chat(&json!({"tool_choice": {"type": "function", "function": {"name": "g"}},
            "tools": [{"type": "function", "function": {"name": "f"}}]})),
            Demands::of(ANTHROPIC),
            "tool_choice",
        ),
        (chat(&json!({"tool_choice": "required"})), Demands::of(ANTHROPIC), "tool_choice"),
        (
            chat(&json!({"messages": [{"role": "user", "content": [{"type": "input_audio",
            "input_audio": {"data": "UklG", "format": "wav"}}]}]})),
            Demands::of(ANTHROPIC),
            "messages[0].content[0]",
        ),
    ];
    for (body, target, param) in &cases {
        assert_eq!(refused(body, CHAT, target), *param, "{body}");
    }
    let from_anthropic = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}]}]});
    assert_eq!(refused(&from_anthropic, ANTHROPIC, &blind), "messages[0].content[0]");
}

#[test]
fn a_conversation_that_only_its_own_server_remembers_is_refused_elsewhere() {
    let body = json!({"model": "m", "input": "and then?", "previous_response_id": "resp_1"});
    assert_eq!(refused(&body, RESPONSES, &Demands::of(CHAT)), "previous_response_id");
    assert!(try_ask(&body, RESPONSES, &Demands::of(RESPONSES)).is_ok());
    let nothing = json!({"model": "m", "input": "a", "previous_response_id": null});
    assert!(try_ask(&nothing, RESPONSES, &Demands::of(CHAT)).is_ok());
}

#[test]
fn what_can_be_left_out_is_named_and_a_strict_route_refuses_it() {
    let body = chat(&json!({"seed": 1, "temperature": 1.5, "verbosity": "low"}));
    let (said, told) = ask(&body, CHAT, &Demands::of(ANTHROPIC));
    assert_eq!(said["temperature"], 1.0);
    assert_eq!(told.changed, ["temperature"]);
    assert_eq!(told.dropped, ["seed", "verbosity"]);
    let strict = demands(ANTHROPIC, &json!({}), &json!({}), OnLoss::Reject);
    assert_eq!(refused(&body, CHAT, &strict), "temperature");
    assert_eq!(refused(&chat(&json!({"seed": 1})), CHAT, &strict), "seed");
    assert!(try_ask(&chat(&json!({})), CHAT, &strict).is_ok());
    let schema = chat(
        &json!({"response_format": {"type": "json_schema", "json_schema": {"name": "d", "schema": {"type": "object"}}}}),
    );
    let emulated = demands(ANTHROPIC, &json!({"json_schema": "tool"}), &json!({}), OnLoss::Reject);
    assert_eq!(refused(&schema, CHAT, &emulated), "response_format");
}

#[test]
fn what_a_sentence_can_ask_for_is_asked_for_in_one() {
    let body = chat(&json!({"verbosity": "low", "parallel_tool_calls": false, "tool_choice": "required",
        "tools": [{"type": "function", "function": {"name": "f"}}]}));
    let target = demands(
        GEMINI,
        &json!({"forced_tool_choice": "never", "parallel_tools_flag": false}),
        &json!({}),
        OnLoss::Emulate,
    );
    let (said, told) = ask(&body, CHAT, &target);
    let instructions = said["systemInstruction"].to_string();
    for words in ["calling one of the tools", "at most one tool", "briefly"] {
        assert!(instructions.contains(words), "{words}: {instructions}");
    }
    assert_eq!(said["toolConfig"]["functionCallingConfig"]["mode"], "AUTO");
    assert!(told.dropped.is_empty(), "{:?}", told.dropped);
}

#[test]
fn anthropic_always_has_a_limit_and_the_models_own_where_it_is_known() {
    let limit = |model: &Value, more: &Value| ask(&chat(more), CHAT, &able(ANTHROPIC, model)).0["max_tokens"].clone();
    assert_eq!(limit(&json!({}), &json!({})), 4096);
    assert_eq!(limit(&json!({"max_output": 32000}), &json!({})), 32000);
    assert_eq!(limit(&json!({"max_output": 32000, "default_max_output": 8000}), &json!({})), 8000);
    assert_eq!(limit(&json!({"max_output": 32000}), &json!({"max_tokens": 90000})), 32000);
}

#[test]
fn the_limit_stands_under_the_name_that_the_model_reads() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let (said, _) = ask(&body, ANTHROPIC, &able(CHAT, &json!({"max_tokens_field": "max_tokens"})));
    assert_eq!((&said["max_tokens"], said.get("max_completion_tokens")), (&json!(9), None));
    let (said, _) = ask(&body, ANTHROPIC, &able(CHAT, &json!({"max_tokens_field": "max_completion_tokens"})));
    assert_eq!((&said["max_completion_tokens"], said.get("max_tokens")), (&json!(9), None));
}

#[test]
fn instructions_are_in_the_role_that_the_model_knows() {
    let body = json!({"model": "m", "input": [{"role": "developer", "content": "be kind"}, {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ho"}, {"role": "system", "content": "be short"}, {"role": "user", "content": "?"}]});
    let roles = |model: &Value| -> Vec<String> {
        let (said, _) = ask(&body, RESPONSES, &able(CHAT, model));
        said["messages"].as_array().unwrap().iter().map(|turn| turn["role"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(roles(&json!({})), ["developer", "user", "assistant", "system", "user"]);
    assert_eq!(roles(&json!({"system_role": "system"})), ["system", "user", "assistant", "system", "user"]);
    assert_eq!(roles(&json!({"system_role": "developer"})), ["developer", "user", "assistant", "developer", "user"]);
    assert_eq!(roles(&json!({"system_role": "none"})), ["user", "user", "assistant", "user", "user"]);
    assert_eq!(roles(&json!({"mid_system": false})), ["system", "user", "assistant", "user", "user"]);
}

#[test]
fn a_row_with_a_word_we_do_not_know_is_refused() {
    assert!(serde_json::from_value::<Capabilities>(json!({"thinks": true})).is_err());
    assert!(serde_json::from_value::<Capabilities>(json!({"sampling": "maybe"})).is_err());
    assert!(serde_json::from_value::<Quirks>(json!({"renames": {}})).is_err());
}

#[test]
fn no_refusal_and_no_name_repeats_what_was_sent() {
    let secret = "sk-secret";
    let bodies = [
        chat(&json!({"n": 2, "user": secret})),
        chat(&json!({"tool_choice": {"type": "function", "function": {"name": secret}}})),
        chat(&json!({"seed": 7, "metadata": {secret: secret}, "verbosity": secret, "reasoning_effort": secret})),
    ];
    for body in bodies {
        for on_loss in [OnLoss::Drop, OnLoss::Reject] {
            match try_ask(&body, CHAT, &demands(ANTHROPIC, &json!({"reasoning_style": "none"}), &json!({}), on_loss)) {
                Ok(told) => assert!(!format!("{:?}{:?}", told.dropped, told.changed).contains(secret)),
                Err(error) => assert!(!format!("{error:?}").contains(secret), "{error:?}"),
            }
        }
    }
}
