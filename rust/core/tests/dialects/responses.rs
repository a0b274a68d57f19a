//! Responses as the tests look at them: completed as we would say them, and reduced to what they say.

use fastroute_core::dialects::message::{ChatReply, Content, FinishReason};
use serde_json::{Value, json};

/// A response with what the published schema requires, where a server left it out.
pub(crate) fn complete(response: &mut Value, at_end: bool) {
    let members = response.as_object_mut().unwrap();
    members.entry("object").or_insert(json!("response"));
    members.entry("created_at").or_insert(json!(0));
    for name in ["error", "incomplete_details", "instructions", "max_output_tokens", "previous_response_id"] {
        members.entry(name).or_insert(Value::Null);
    }
    for name in ["temperature", "top_p"] {
        members.entry(name).or_insert(Value::Null);
    }
    members.entry("metadata").or_insert(json!({}));
    members.entry("parallel_tool_calls").or_insert(json!(true));
    members.entry("reasoning").or_insert(json!({"effort": null, "summary": null}));
    members.entry("text").or_insert(json!({"format": {"type": "text"}}));
    members.entry("tool_choice").or_insert(json!("auto"));
    members.entry("tools").or_insert(json!([]));
    members.entry("output").or_insert(json!([]));
    if at_end {
        // Null is what an absent usage is called here and nowhere else.
        if members.get("usage").is_some_and(Value::is_null) {
            members.remove("usage");
        }
        if let Some(usage) = members.get_mut("usage").and_then(Value::as_object_mut) {
            for (name, part) in [
                ("input_tokens_details", "cached_tokens"),
                ("input_tokens_details", "cache_write_tokens"),
                ("output_tokens_details", "reasoning_tokens"),
            ] {
                let details = usage.entry(name).or_insert(json!({})).as_object_mut().unwrap();
                details.entry(part).or_insert(json!(0));
            }
        }
    }
    for item in members["output"].as_array_mut().unwrap() {
        complete_item(item);
    }
}

pub(crate) fn complete_item(item: &mut Value) {
    if item["type"] == "message" {
        for part in item["content"].as_array_mut().into_iter().flatten() {
            complete_part(part);
        }
    }
}

pub(crate) fn complete_part(part: &mut Value) {
    if part["type"] == "output_text" {
        let members = part.as_object_mut().unwrap();
        members.entry("annotations").or_insert(json!([]));
        members.entry("logprobs").or_insert(json!([]));
    }
}

/// What an answer says, told from the neutral form and, with no thought but to tell it, from the items.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    text: String,
    refusal: String,
    reasoning: String,
    pub(crate) encrypted: Vec<String>,
    calls: Vec<[String; 3]>,
    finish: Option<String>,
    usage: Option<[u64; 4]>,
}

pub(crate) fn neutral(reply: &ChatReply<'_>) -> Said {
    let mut said = Said::default();
    let choice = &reply.choices[0];
    for block in &choice.turn.blocks {
        match &block.content {
            Content::Text { text, .. } => said.text += text,
            Content::Refusal { text, .. } => said.refusal += text,
            Content::Reasoning(reasoning) => {
                said.reasoning += &reasoning.text;
                let encrypted = [&reasoning.signature, &reasoning.redacted];
                said.encrypted.extend(encrypted.into_iter().flatten().map(ToString::to_string));
            }
            Content::ToolCall(call) => {
                said.calls.push([&call.id, &call.name, &call.arguments].map(ToString::to_string));
            }
            _ => {}
        }
    }
    let word = choice.finish.as_ref().map(|finish| match finish.reason {
        FinishReason::Stop | FinishReason::ToolCalls => "completed",
        FinishReason::Length | FinishReason::ContentFilter => "incomplete",
        other => panic!("an unexpected reason: {other:?}"),
    });
    said.finish = word.map(str::to_owned);
    said.usage = reply.usage.as_ref().map(|usage| {
        let tokens = usage.tokens;
        let reasoning = tokens.reasoning_tokens.unwrap_or(0);
        [tokens.prompt_tokens, tokens.completion_tokens, tokens.cached_tokens.unwrap_or(0), reasoning]
    });
    said
}

pub(crate) fn native(response: &Value) -> Said {
    let mut said = Said::default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for item in response["output"].as_array().unwrap() {
        match item["type"].as_str().unwrap() {
            "message" => {
                for part in item["content"].as_array().unwrap() {
                    said.text += &text(&part["text"]);
                    said.refusal += &text(&part["refusal"]);
                }
            }
            "reasoning" => {
                for list in ["summary", "content"] {
                    let texts = item[list].as_array().into_iter().flatten().map(|part| text(&part["text"]));
                    said.reasoning += &texts.collect::<Vec<_>>().join("\n\n");
                }
                said.encrypted.extend(item["encrypted_content"].as_str().map(str::to_owned));
            }
            "function_call" => said.calls.push(["call_id", "name", "arguments"].map(|name| text(&item[name]))),
            "custom_tool_call" => said.calls.push(["call_id", "name", "input"].map(|name| text(&item[name]))),
            _ => {}
        }
    }
    said.finish = response["status"].as_str().map(str::to_owned);
    let usage = &response["usage"];
    said.usage = usage.is_object().then(|| {
        let places = [
            "/input_tokens",
            "/output_tokens",
            "/input_tokens_details/cached_tokens",
            "/output_tokens_details/reasoning_tokens",
        ];
        places.map(|place| usage.pointer(place).and_then(Value::as_u64).unwrap_or(0))
    });
    said
}
