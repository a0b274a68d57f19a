//! Every way of wishing for reasoning ends in a request that its target takes: in words that the published schemas have.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what the functions of a test meet is a failure of the test"
)]

use fastroute_core::dialects::Dialect;
use fastroute_core::passes::Demands;
use fastroute_core::translate::{self, Address};
use serde_json::{Value, json};

#[path = "dialects/names.rs"]
mod names;
use names::{ANTHROPIC, BEDROCK, CHAT, COHERE, GEMINI, OLLAMA, RESPONSES};

fn said(body: &Value, source: Dialect, target: Dialect) -> (Value, Vec<String>) {
    let told = translate::request(body.to_string().as_bytes(), source, &Demands::of(target), Address::default());
    let told = told.unwrap_or_else(|error| panic!("{} to {}: {error}", source.name(), target.name()));
    (serde_json::from_slice(&told.body).unwrap(), [told.dropped, told.changed].concat())
}

fn with(source: Dialect, wish: &Value) -> Value {
    let mut body = match source {
        GEMINI => json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        RESPONSES => json!({"model": "m", "input": "hi"}),
        ANTHROPIC => json!({"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "hi"}]}),
        _ => json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
    };
    body.as_object_mut().unwrap().extend(wish.as_object().unwrap().clone());
    body
}

fn is_one_of(value: &Value, words: &[&str]) -> bool {
    value.is_null() || value.as_str().is_some_and(|value| words.contains(&value))
}

/// Whether what is said of reasoning is in the words of the target's schema.
fn is_valid(asked: &Value, target: Dialect) -> bool {
    const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
    const KINDS: [&str; 3] = ["enabled", "adaptive", "disabled"];
    // A budget goes with `enabled`, and only with it.
    let by_budget = |thinking: &Value, limit: &Value| {
        let budget = thinking["budget_tokens"].as_u64();
        let fits = budget.is_none_or(|budget| budget >= 1024 && limit.as_u64().is_some_and(|limit| budget < limit));
        is_one_of(&thinking["type"], &KINDS) && budget.is_some() == (thinking["type"] == "enabled") && fits
    };
    match target {
        CHAT => is_one_of(&asked["reasoning_effort"], &EFFORTS) && asked.get("thinking").is_none(),
        RESPONSES => is_one_of(&asked["reasoning"]["effort"], &EFFORTS),
        ANTHROPIC => {
            by_budget(&asked["thinking"], &asked["max_tokens"])
                && is_one_of(&asked["output_config"]["effort"], &["low", "medium", "high", "xhigh", "max"])
        }
        BEDROCK => {
            let thinking = &asked["additionalModelRequestFields"]["thinking"];
            by_budget(thinking, &asked["inferenceConfig"]["maxTokens"])
                && is_one_of(&asked["outputConfig"]["effort"], &["low", "medium", "high", "xhigh", "max"])
        }
        GEMINI => {
            let config = &asked["generationConfig"]["thinkingConfig"];
            let levels = ["minimal", "low", "medium", "high"];
            is_one_of(&config["thinkingLevel"], &levels)
                && (config["thinkingLevel"].is_null() || config["thinkingBudget"].is_null())
        }
        COHERE => is_one_of(&asked["thinking"]["type"], &["enabled", "disabled"]),
        OLLAMA => asked["think"].is_boolean() || is_one_of(&asked["think"], &["low", "medium", "high"]),
        _ => false,
    }
}

#[test]
fn every_wish_is_said_in_words_that_the_target_has() {
    let thinking = |config: Value| json!({"generationConfig": {"thinkingConfig": config}});
    let wishes = [
        (CHAT, json!({"reasoning_effort": "xhigh"})),
        (CHAT, json!({"reasoning_effort": "HIGH"})),
        (CHAT, json!({"reasoning_effort": "default"})),
        (CHAT, json!({"reasoning_effort": "ludicrous"})),
        (CHAT, json!({"reasoning_effort": {"effort": "low", "summary": "auto"}})),
        (CHAT, json!({"thinking": {"type": "enabled"}})),
        (CHAT, json!({"thinking": {"type": "enabled", "budget_tokens": 2000}})),
        (CHAT, json!({"thinking": {"type": "adaptive"}})),
        (CHAT, json!({"thinking": {"type": "disabled"}})),
        (CHAT, json!({"reasoning": {"enabled": true}})),
        (CHAT, json!({"enable_thinking": true})),
        (RESPONSES, json!({"reasoning": {"effort": "max", "summary": "auto"}})),
        (RESPONSES, json!({"reasoning": {"effort": "ludicrous"}})),
        (ANTHROPIC, json!({"thinking": {"type": "enabled", "budget_tokens": 2000}})),
        (ANTHROPIC, json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}})),
        (GEMINI, thinking(json!({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}))),
        (GEMINI, thinking(json!({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED", "thinkingBudget": 512}))),
        (GEMINI, thinking(json!({"thinkingLevel": "MINIMAL"}))),
        (GEMINI, thinking(json!({"thinkingBudget": -1}))),
        (GEMINI, thinking(json!({"thinkingBudget": 0}))),
        (COHERE, json!({"thinking": {"type": "enabled"}})),
        (OLLAMA, json!({"think": "high"})),
    ];
    for (source, wish) in wishes {
        for target in [CHAT, RESPONSES, ANTHROPIC, GEMINI, COHERE, OLLAMA, BEDROCK] {
            if target != source {
                let (asked, _) = said(&with(source, &wish), source, target);
                assert!(is_valid(&asked, target), "{wish} of {} to {}: {asked}", source.name(), target.name());
            }
        }
    }
}

#[test]
fn an_effort_that_nobody_knows_is_named_and_one_that_leaves_it_to_the_model_is_not() {
    for target in [RESPONSES, ANTHROPIC, GEMINI, COHERE, OLLAMA, BEDROCK] {
        let (_, named) = said(&with(CHAT, &json!({"reasoning_effort": "ludicrous"})), CHAT, target);
        assert_eq!(named, ["reasoning_effort"], "{}", target.name());
        let (_, named) = said(&with(CHAT, &json!({"reasoning_effort": "default"})), CHAT, target);
        assert_eq!(named, [""; 0], "{}", target.name());
    }
}

#[test]
fn log_probabilities_are_asked_of_cohere_and_their_number_is_named() {
    let (asked, named) = said(&with(CHAT, &json!({"logprobs": true, "top_logprobs": 3})), CHAT, COHERE);
    assert_eq!((&asked["logprobs"], named), (&json!(true), vec!["top_logprobs".to_owned()]));
    let (asked, named) = said(&with(COHERE, &json!({"logprobs": true})), COHERE, CHAT);
    assert_eq!((&asked["logprobs"], named), (&json!(true), Vec::new()));
}
