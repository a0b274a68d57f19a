//! Whole requests: what a client of each dialect would be told that its prompt costs.

use fastroute_core::tokens::{Budget, Count, Encoding, Measure, Unseen, count_chat, counter};

fn count(model: &str, body: &str) -> Count {
    count_chat(body.as_bytes(), &Measure::for_model(model), &mut Budget::default())
}

fn words(text: &str) -> u64 {
    counter(Encoding::O200kBase).count(text).tokens
}

#[test]
fn plain_messages_are_counted_exactly() {
    let body = r#"{"model": "x", "temperature": 0.5, "messages": [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "name": "ada", "content": "Why is the sky blue?\n\"Really?\" \u00e9"},
        {"role": "assistant", "content": [{"type": "text", "text": "Scattering."}, {"type": "text", "text": " Mostly."}]},
        {"role": "user", "content": null}]}"#;
    let texts = [
        "system",
        "Answer briefly.",
        "user",
        "ada",
        "Why is the sky blue?\n\"Really?\" é",
        "assistant",
        "Scattering.",
        " Mostly.",
        "user",
    ];
    let expected = texts.iter().map(|text| words(text)).sum::<u64>() + 4 * 3 + 1 + 3;
    assert_eq!(count("gpt-4o-mini", body), Count { tokens: expected, exact: true });
}

#[test]
fn the_model_asked_counts_and_not_the_one_in_the_body() {
    let body = r#"{"model": "gpt-4o", "messages": [{"role": "user", "content": "お誕生日おめでとう"}]}"#;
    assert_eq!(count("gpt-4o", body).tokens, 8 + 1 + 3 + 3);
    assert_eq!(count("gpt-4", body).tokens, 9 + 1 + 3 + 3);
    assert!(!count("some-new-model", body).exact);
}

#[test]
fn the_three_dialects_cost_about_the_same_for_the_same_conversation() {
    let text = "Please explain how a heat pump moves heat from a cold place to a warm one. ".repeat(20);
    let chat = format!(
        r#"{{"messages": [{{"role": "system", "content": "Be kind."}}, {{"role": "user", "content": "{text}"}}]}}"#
    );
    let responses = format!(
        r#"{{"instructions": "Be kind.", "input": [{{"type": "message", "role": "user", "content": [{{"type": "input_text", "text": "{text}"}}]}}]}}"#
    );
    let plain = format!(r#"{{"instructions": "Be kind.", "input": "{text}"}}"#);
    let anthropic = format!(
        r#"{{"system": [{{"type": "text", "text": "Be kind."}}], "messages": [{{"role": "user", "content": "{text}"}}]}}"#
    );
    let expected = count("gpt-5.1", &chat);
    assert!(expected.exact && expected.tokens > words(&text));
    for body in [responses, plain, anthropic] {
        assert_eq!(count("gpt-5.1", &body), expected, "{body}");
    }
}

#[test]
fn an_image_costs_what_its_size_says_and_its_base64_is_never_read_as_text() {
    // A PNG header for 1024 × 1024, then two megabytes that would be over a million tokens of text.
    let header = "iVBORw0KGgoAAAANSUhEUgAABAAAAAQACAYAAAA";
    let data = format!("{header}{}", "Zm9vYmFy".repeat(250_000));
    let chat = format!(
        r#"{{"messages": [{{"role": "user", "content": [{{"type": "image_url", "image_url": {{"url": "data:image/png;base64,{data}"}}}}]}}]}}"#
    );
    let responses = format!(
        r#"{{"input": [{{"role": "user", "content": [{{"type": "input_image", "image_url": "data:image/png;base64,{data}"}}]}}]}}"#
    );
    let anthropic = format!(
        r#"{{"messages": [{{"role": "user", "content": [{{"type": "image", "source": {{"type": "base64", "media_type": "image/png", "data": "{data}"}}}}]}}]}}"#
    );
    for body in [chat, responses, anthropic.clone()] {
        assert_eq!(count("gpt-4o", &body), Count { tokens: 765 + 1 + 3 + 3, exact: false });
    }
    assert_eq!(count("claude-sonnet-4-5", &anthropic).tokens, 37 * 37 + 1 + 3 + 3);
}

#[test]
fn a_remote_image_counts_at_its_models_most_or_as_a_middling_one() {
    let body = br#"{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}}]}]}"#;
    let measure = Measure::for_model("gpt-4o");
    assert_eq!(count_chat(body, &measure, &mut Budget::default()).tokens, 1_445 + 7);
    let typical = Measure { unseen: Unseen::Typical, ..measure };
    assert_eq!(count_chat(body, &typical, &mut Budget::default()).tokens, 250 + 7);
}

#[test]
fn tools_cost_the_same_in_every_dialect_and_are_called_an_estimate() {
    let schema = r#"{"type": "object", "properties": {"city": {"type": "string", "description": "Where to look."}}, "required": ["city"]}"#;
    let messages = r#""messages": [{"role": "user", "content": "Hi"}]"#;
    let bare = count("gpt-4o", &format!("{{{messages}}}"));
    let chat = count(
        "gpt-4o",
        &format!(
            r#"{{{messages}, "tools": [{{"type": "function", "function": {{"name": "weather", "parameters": {schema}}}}}]}}"#
        ),
    );
    let anthropic =
        count("gpt-4o", &format!(r#"{{{messages}, "tools": [{{"name": "weather", "input_schema": {schema}}}]}}"#));
    assert_eq!(chat, anthropic);
    assert!(bare.exact && !chat.exact);
    assert!((20..60).contains(&(chat.tokens - bare.tokens)), "{chat:?} against {bare:?}");

    let forced = count(
        "gpt-4o",
        &format!(
            r#"{{{messages}, "tools": [{{"name": "weather", "input_schema": {schema}}}], "tool_choice": {{"type": "function", "function": {{"name": "weather"}}}}}}"#
        ),
    );
    assert_eq!(forced.tokens, chat.tokens + 7 + words("weather"));
    let none = count(
        "gpt-4o",
        &format!(
            r#"{{{messages}, "tools": [{{"name": "weather", "input_schema": {schema}}}], "tool_choice": "none"}}"#
        ),
    );
    assert_eq!(none.tokens, chat.tokens + 1);
}

#[test]
fn calls_and_their_results_are_counted_by_their_text() {
    let arguments = r#"{\"city\": \"Copenhagen, which is in Denmark\"}"#;
    let result = "Cloudy with a light wind from the west, twelve degrees. ".repeat(10);
    let chat = format!(
        r#"{{"messages": [{{"role": "assistant", "tool_calls": [{{"id": "call_1", "type": "function", "function": {{"name": "weather", "arguments": "{arguments}"}}}}]}}, {{"role": "tool", "tool_call_id": "call_1", "content": "{result}"}}]}}"#
    );
    let responses = format!(
        r#"{{"input": [{{"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{arguments}"}}, {{"type": "function_call_output", "call_id": "call_1", "output": "{result}"}}]}}"#
    );
    let anthropic = format!(
        r#"{{"messages": [{{"role": "assistant", "content": [{{"type": "tool_use", "id": "a", "name": "weather", "input": {{"city": "Copenhagen, which is in Denmark"}}}}]}}, {{"role": "user", "content": [{{"type": "tool_result", "tool_use_id": "a", "content": [{{"type": "text", "text": "{result}"}}]}}]}}]}}"#
    );
    for body in [chat, responses, anthropic] {
        let counted = count("gpt-4o", &body);
        assert!(!counted.exact);
        assert!((words(&result) + 15..words(&result) + 35).contains(&counted.tokens), "{counted:?} for {body}");
    }
}

#[test]
fn odd_bodies_get_an_estimate_and_never_a_panic() {
    let bodies = [
        "",
        "{",
        "[]",
        "null",
        "7",
        r#"{"messages": 7}"#,
        r#"{"messages": [7, null, "x", [], {"role": 7, "content": {"a": 1}}]}"#,
        r#"{"messages": [{"role": "user", "content": [{"type": "image_url"}, {"type": 5}, [], "text", {"type": "text", "text": 5}]}]}"#,
        r#"{"messages": [{"role": "user", "content": "\ud800"}]}"#,
        r#"{"tools": [{"name": 5}, 5], "tool_choice": [], "functions": {}}"#,
        r#"{"messages": [{"role": "user", "role": "user"}]}"#,
        r#"{"messages": [], "messages": []}"#,
    ];
    for body in bodies {
        assert!(count("gpt-4o", body).tokens < 4_000, "{body}");
    }
    let cut = r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "é\n"}]}], "tools": [{"name": "f", "parameters": {}}]}"#;
    for end in 0..cut.len() {
        count_chat(&cut.as_bytes()[..end], &Measure::for_model("gpt-4o"), &mut Budget::default());
    }
    let deep = format!(
        r#"{{"messages": [{{"role": "user", "content": {}{}}}]}}"#,
        r#"[{"content": "#.repeat(60),
        "}]".repeat(60)
    );
    assert!(!count("gpt-4o", &deep).exact);
}

#[test]
fn a_million_empty_messages_are_estimated_beyond_the_first_thousands() {
    let body = format!(r#"{{"messages": [{}{{}}]}}"#, "{},".repeat(1_000_000));
    let counted = count("gpt-4o", &body);
    assert!(!counted.exact);
    assert!(counted.tokens > 65_536 * 3, "{counted:?}");
}

#[test]
fn a_long_conversation_spends_one_budget() {
    let message = format!(
        r#"{{"role": "user", "content": "{}"}}"#,
        "The quick brown fox jumps over the lazy dog. ".repeat(1_000)
    );
    let body = format!(r#"{{"messages": [{}]}}"#, vec![message.as_str(); 40].join(","));
    let mut budget = Budget::default();
    let bounded = count_chat(body.as_bytes(), &Measure::for_model("gpt-4o"), &mut budget);
    let full = count_chat(body.as_bytes(), &Measure::for_model("gpt-4o"), &mut Budget::new(usize::MAX));
    assert!(full.exact && !bounded.exact);
    assert!(bounded.tokens.abs_diff(full.tokens) * 4 < full.tokens, "{bounded:?} against {full:?}");
}
