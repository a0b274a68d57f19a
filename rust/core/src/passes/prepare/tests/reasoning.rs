use super::*;

/// What a wish of a chat client comes to at an Anthropic model.
fn thinking(wish: &str, capabilities: &Value, more: &Value) -> (Value, Translated) {
    let mut body = chat(more);
    body["reasoning_effort"] = json!(wish);
    ask(&body, CHAT, &able(ANTHROPIC, capabilities))
}

#[test]
fn an_effort_becomes_a_budget_within_the_clients_own_limit() {
    let model = json!({"reasoning_style": "budget", "max_output": 64000});
    let (said, told) = thinking("medium", &model, &json!({"max_tokens": 10000}));
    assert_eq!(said["thinking"]["budget_tokens"], 8192);
    assert_eq!(said["max_tokens"], 10000);
    assert!(told.changed.is_empty(), "{:?}", told.changed);
    let (said, told) = thinking("high", &model, &json!({"max_tokens": 10000}));
    assert_eq!(said["thinking"]["budget_tokens"], 9999);
    assert_eq!(told.changed, ["reasoning_effort"]);
    // No room for the least that there is: it does not think, and the client is told.
    let (said, told) = thinking("high", &model, &json!({"max_tokens": 1000}));
    assert_eq!(said["thinking"], json!({"type": "disabled"}));
    assert_eq!(told.changed, ["reasoning_effort"]);
    let (said, _) = thinking("high", &model, &json!({}));
    let (budget, limit) = (said["thinking"]["budget_tokens"].as_u64().unwrap(), said["max_tokens"].as_u64().unwrap());
    assert!(budget == 16384 && limit > budget, "{said}");
}

#[test]
fn every_effort_is_a_budget_that_anthropic_takes() {
    for effort in ["minimal", "low", "medium", "high", "xhigh", "max"] {
        for limit in [1_u64, 1024, 1025, 2048, 9000, 200_000] {
            let model = json!({"reasoning_style": "budget", "max_output": 32000});
            let (said, _) = thinking(effort, &model, &json!({"max_completion_tokens": limit}));
            let max = said["max_tokens"].as_u64().unwrap();
            assert!(max <= 32000);
            if let Some(budget) = said["thinking"]["budget_tokens"].as_u64() {
                assert!((1024..max).contains(&budget), "{effort} {limit}: {said}");
            } else {
                assert_eq!(said["thinking"]["type"], "disabled");
                assert!(limit <= 1024);
            }
        }
    }
}

#[test]
fn a_model_that_decides_by_itself_is_led_by_an_effort() {
    let model = json!({"reasoning_style": "adaptive", "reasoning_efforts": ["low", "medium", "high", "max"]});
    for (wish, effort) in [("minimal", "low"), ("medium", "medium"), ("xhigh", "max")] {
        let (said, _) = thinking(wish, &model, &json!({}));
        assert_eq!(said["thinking"], json!({"type": "adaptive", "display": "summarized"}));
        assert_eq!(said["output_config"]["effort"], effort);
    }
    let (said, _) = thinking("none", &model, &json!({}));
    assert_eq!(said["thinking"], json!({"type": "disabled"}));
    assert!(said.get("output_config").is_none());
}

#[test]
fn while_it_thinks_it_is_not_sampled() {
    let model = json!({"reasoning_style": "budget"});
    let (said, told) = thinking("low", &model, &json!({"temperature": 0.2, "top_p": 0.5}));
    assert!(said.get("temperature").is_none() && said.get("top_p").is_none());
    assert_eq!(told.changed, ["temperature", "top_p"]);
}

#[test]
fn a_tool_stays_forced_and_the_wish_to_think_gives_way() {
    let tools = json!({"temperature": 0.2, "tool_choice": "required",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]});
    for model in [json!({"reasoning_style": "budget", "forced_tool_choice": "without_thinking"}), json!({})] {
        let (said, told) = thinking("low", &model, &tools);
        assert_eq!((&said["tool_choice"]["type"], &said["thinking"]["type"]), (&json!("any"), &json!("disabled")));
        assert_eq!((&said["temperature"], told.changed), (&json!(0.2), vec!["reasoning_effort".to_owned()]));
    }
    // Who cannot be kept from thinking cannot be forced.
    let always = json!({"reasoning_style": "adaptive", "forced_tool_choice": "without_thinking", "reasoning_can_disable": false});
    let (said, told) = thinking("low", &always, &tools);
    assert_eq!(said["tool_choice"]["type"], "auto");
    assert!(told.changed.contains(&"tool_choice".to_owned()), "{:?}", told.changed);
}

#[test]
fn a_model_that_thinks_by_itself_stops_for_a_forced_tool() {
    let body = chat(&json!({"tool_choice": {"type": "function", "function": {"name": "f"}},
        "tools": [{"type": "function", "function": {"name": "f"}}]}));
    let model =
        json!({"reasoning_style": "toggle", "reasoning_default_on": true, "forced_tool_choice": "without_thinking"});
    let target = demands(CHAT, &model, &json!({"reasoning_form": "thinking", "flatten_text": true}), OnLoss::Drop);
    let (said, told) = ask(&body, CHAT, &target);
    assert_eq!(said["thinking"], json!({"type": "disabled"}));
    assert_eq!(said["tool_choice"]["function"]["name"], "f");
    assert_eq!(told.changed, ["reasoning_effort"]);
}

#[test]
fn a_budget_of_anthropics_is_an_effort_elsewhere() {
    let body = |thinking: Value| json!({"model": "m", "max_tokens": 50000, "thinking": thinking, "messages": [{"role": "user", "content": "hi"}]});
    for (budget, effort) in [(1024, "low"), (4096, "medium"), (10000, "high"), (32000, "xhigh")] {
        let (said, _) = ask(&body(json!({"type": "enabled", "budget_tokens": budget})), ANTHROPIC, &Demands::of(CHAT));
        assert_eq!(said["reasoning_effort"], effort);
    }
    let (said, _) = ask(&body(json!({"type": "disabled"})), ANTHROPIC, &Demands::of(CHAT));
    assert_eq!(said["reasoning_effort"], "none");
    // Nothing is known of the model: whether it thinks at all is not ours to say.
    let (said, told) = ask(&body(json!({"type": "adaptive"})), ANTHROPIC, &Demands::of(CHAT));
    assert!(said.get("reasoning_effort").is_none());
    assert_eq!(told.changed, ["thinking"]);
    let plain = able(CHAT, &json!({"reasoning_style": "none"}));
    let (said, told) = ask(&body(json!({"type": "enabled", "budget_tokens": 4096})), ANTHROPIC, &plain);
    assert!(said.get("reasoning_effort").is_none());
    assert_eq!(told.changed, ["thinking"]);
}

#[test]
fn gemini_is_given_a_level_or_a_budget_and_never_both() {
    let of = |effort: &str, model: &Value| {
        let (said, told) = ask(&chat(&json!({"reasoning_effort": effort})), CHAT, &able(GEMINI, model));
        (said["generationConfig"]["thinkingConfig"].clone(), told.changed)
    };
    let level = json!({"reasoning_style": "level", "reasoning_efforts": ["low", "high"]});
    assert_eq!(of("medium", &level).0, json!({"thinkingLevel": "low", "includeThoughts": true}));
    assert_eq!(of("max", &level).0["thinkingLevel"], "high");
    // It cannot be switched off: as little as there is, and said so.
    let (said, changed) = of("none", &level);
    assert_eq!((said["thinkingLevel"].as_str(), changed), (Some("low"), vec!["reasoning_effort".to_owned()]));
    let budget = json!({"reasoning_style": "budget"});
    assert_eq!(of("low", &budget).0, json!({"thinkingBudget": 2048, "includeThoughts": true}));
    assert_eq!(of("none", &budget).0["thinkingBudget"], 0);
}

#[test]
fn efforts_that_a_model_does_not_take_come_to_the_nearest_one() {
    let model = |efforts: Value| able(CHAT, &json!({"reasoning_style": "effort", "reasoning_efforts": efforts}));
    let of = |wish: &str, efforts: Value| {
        let body = json!({"model": "m", "max_tokens": 9, "output_config": {"effort": wish},
            "messages": [{"role": "user", "content": "hi"}]});
        ask(&body, ANTHROPIC, &model(efforts)).0["reasoning_effort"].clone()
    };
    assert_eq!(of("max", json!(["low", "medium", "high"])), "high");
    assert_eq!(of("minimal", json!(["low", "high"])), "low");
    assert_eq!(of("none", json!(["none", "low"])), "none");
    assert_eq!(of("medium", json!(["none", "high"])), "high");
}

#[test]
fn a_history_without_thoughts_is_not_gone_on_with_in_thought() {
    let body = |thought: Value| {
        let mut blocks = vec![json!({"type": "tool_use", "id": "t", "name": "f", "input": {}})];
        if !thought.is_null() {
            blocks.insert(0, thought);
        }
        json!({"model": "m", "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 2000},
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
            "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": blocks},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]}]})
    };
    // As a client of chat would send it: what it did not keep is not there.
    let mut from_chat = chat(&json!({"max_tokens": 9000, "reasoning_effort": "low"}));
    from_chat["messages"] = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "t", "content": "ok"}]);
    from_chat["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    let model = able(ANTHROPIC, &json!({"reasoning_style": "budget"}));
    let (said, told) = ask(&from_chat, CHAT, &model);
    assert_eq!(said["thinking"]["type"], "disabled");
    assert_eq!(told.changed, ["reasoning_effort"]);
    let (said, _) = ask(&body(json!({"type": "thinking", "thinking": "t", "signature": "s"})), ANTHROPIC, &model);
    assert_eq!(said["thinking"]["type"], "enabled");
}

#[test]
fn chat_providers_are_told_in_their_own_place() {
    let of = |form: &str, style: &str, effort: &str| {
        let target = demands(CHAT, &json!({"reasoning_style": style}), &json!({"reasoning_form": form}), OnLoss::Drop);
        let body = json!({"model": "m", "max_tokens": 90000, "output_config": {"effort": effort},
            "messages": [{"role": "user", "content": "hi"}]});
        let (mut said, _) = ask(&body, ANTHROPIC, &target);
        let said = said.as_object_mut().unwrap();
        for name in ["model", "messages", "max_tokens", "max_completion_tokens"] {
            said.remove(name);
        }
        Value::Object(said.clone())
    };
    assert_eq!(of("thinking", "toggle", "none"), json!({"thinking": {"type": "disabled"}}));
    assert_eq!(of("thinking", "effort", "high"), json!({"reasoning_effort": "high", "thinking": {"type": "enabled"}}));
    assert_eq!(of("enable_thinking", "budget", "low"), json!({"enable_thinking": true, "thinking_budget": 2048}));
    assert_eq!(of("enable_thinking", "budget", "none"), json!({"enable_thinking": false}));
    assert_eq!(of("reasoning", "effort", "high"), json!({"reasoning": {"effort": "high"}}));
    assert_eq!(of("reasoning", "budget", "none"), json!({"reasoning": {"effort": "none"}}));
    assert_eq!(of("template", "toggle", "none"), json!({"chat_template_kwargs": {"enable_thinking": false}}));
}

#[test]
fn a_model_that_thinks_takes_no_tools_on_chat_where_its_row_says_so() {
    let body = json!({"model": "m", "max_tokens": 9, "output_config": {"effort": "high"},
        "tools": [{"name": "f", "input_schema": {"type": "object"}}], "messages": [{"role": "user", "content": "hi"}]});
    let model =
        json!({"reasoning_style": "effort", "chat_tools_with_reasoning": false, "reasoning_efforts": ["none", "high"]});
    let (said, told) = ask(&body, ANTHROPIC, &able(CHAT, &model));
    assert_eq!(said["reasoning_effort"], "none");
    assert_eq!(told.changed, ["output_config.effort"]);
}

#[test]
fn a_sampled_model_that_refuses_it_while_it_thinks_is_not_sampled() {
    let model = json!({"sampling": "reject", "reasoning_style": "effort", "reasoning_efforts": ["none", "high"]});
    let body = |effort: &str| {
        json!({"model": "m", "max_tokens": 9, "temperature": 0.5, "output_config": {"effort": effort},
            "messages": [{"role": "user", "content": "hi"}]})
    };
    let (said, told) = ask(&body("high"), ANTHROPIC, &able(CHAT, &model));
    assert!(said.get("temperature").is_none());
    assert_eq!(told.changed, ["temperature"]);
    let (said, _) = ask(&body("none"), ANTHROPIC, &able(CHAT, &model));
    assert_eq!(said["temperature"], 0.5);
}
