//! What a stream of one dialect comes to in another where the two tell things in another order, or a server tells them
//! where nobody looks.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails where it meets a failure, and takes JSON as it is written"
)]

use fastroute_core::dialects::Dialect;
use fastroute_core::passes::WayBack;
use fastroute_core::sse::Limits;
use fastroute_core::translate::{self, StreamTranslator};
use serde_json::{Value, json};

mod calls;
mod late;
mod links;
mod named;
#[path = "../dialects/names.rs"]
mod names;
mod own;
use names::{ANTHROPIC, BEDROCK, CHAT, COHERE, ENVELOPE, GEMINI, OLLAMA, RESPONSES};

/// What each piece of a stream comes to, and what its end does.
fn told(pieces: &[Vec<u8>], source: Dialect, target: Dialect) -> Vec<Vec<u8>> {
    let stream = StreamTranslator::new(source, target, WayBack::default(), &ENVELOPE, Limits::default());
    let mut stream = stream.unwrap_or_else(|| panic!("{} has no streams", target.name()));
    let mut all = Vec::new();
    for piece in pieces {
        let mut out = Vec::new();
        stream.push(piece, &mut out);
        all.push(out);
    }
    let mut out = Vec::new();
    stream.finish(&mut out);
    all.push(out);
    all
}

fn documents(told: &[Vec<u8>]) -> Vec<Value> {
    let text = String::from_utf8(told.concat()).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ").unwrap_or(line)).ok()).collect()
}

fn frame(data: Value) -> Vec<u8> {
    format!("data: {data}\n\n").into_bytes()
}

fn chunk(index: u32, delta: Value, finish: Value) -> Vec<u8> {
    frame(json!({"id": "c1", "model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}))
}

fn done() -> Vec<u8> {
    b"data: [DONE]\n\n".to_vec()
}

fn call(index: u32, id: &str, arguments: &str) -> Value {
    let entry = match id {
        "" => json!({"index": index, "function": {"arguments": arguments}}),
        id => json!({"index": index, "id": id, "type": "function", "function": {"name": "f", "arguments": arguments}}),
    };
    json!({"tool_calls": [entry]})
}

#[test]
fn a_last_chunk_that_holds_the_whole_message_is_read_where_nothing_came_before() {
    let message = |delta: Value| {
        frame(json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta,
            "message": {"role": "assistant", "content": "Nine.", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            "finish_reason": "tool_calls"}]}))
    };
    let content = |stream: &[Vec<u8>]| {
        let told = documents(&told(stream, CHAT, ANTHROPIC));
        let text: String = told.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
        let calls = told.iter().filter(|event| event["content_block"]["type"] == "tool_use").count();
        (text, calls)
    };
    assert_eq!(content(&[message(Value::Null), done()]), ("Nine.".to_owned(), 1));
    // It repeats what came in pieces, as Perplexity does.
    let before = chunk(0, json!({"role": "assistant", "content": "Ni"}), Value::Null);
    assert_eq!(content(&[before.clone(), message(json!({"content": "ne."})), done()]), ("Nine.".to_owned(), 0));
    assert_eq!(content(&[before, message(Value::Null), done()]), ("Ni".to_owned(), 0));
}

#[test]
fn an_only_choice_is_told_whatever_its_number() {
    let stream = [chunk(1, json!({"content": "Nine."}), Value::Null), chunk(1, json!({}), json!("stop")), done()];
    for (target, end) in [
        (ANTHROPIC, r#""stop_reason":"end_turn""#),
        (RESPONSES, "event: response.completed"),
        (GEMINI, r#""finishReason":"STOP""#),
        (COHERE, r#""finish_reason":"COMPLETE""#),
        (OLLAMA, r#""done_reason":"stop""#),
    ] {
        let said = String::from_utf8(told(&stream, CHAT, target).concat()).unwrap();
        assert!(said.contains("Nine.") && said.contains(end), "{}: {said}", target.name());
    }
    // A second one is not mixed in, and named.
    let two = [
        chunk(0, json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(1, json!({"content": "Two."}), Value::Null),
        chunk(0, json!({"content": "One."}), Value::Null),
        chunk(0, json!({}), json!("stop")),
        chunk(1, json!({}), json!("stop")),
        done(),
    ];
    let said = String::from_utf8(told(&two, CHAT, ANTHROPIC).concat()).unwrap();
    assert!(said.contains("One.") && !said.contains("Two."), "{said}");
    assert!(said.contains(": x-fastroute-dropped: choices[1]\n\n"), "{said}");
}

#[test]
fn usage_is_found_where_groq_and_moonshot_put_it() {
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10});
    let choice = json!({"index": 0, "delta": {}, "finish_reason": "stop"});
    let mut counted = choice.clone();
    counted["usage"] = usage.clone();
    let last = [
        json!({"id": "c1", "model": "m", "choices": [choice], "x_groq": {"id": "req_1", "usage": usage}}),
        json!({"id": "c1", "model": "m", "choices": [counted]}),
    ];
    for last in last {
        let stream = [chunk(0, json!({"content": "x"}), Value::Null), frame(last), done()];
        let told = documents(&told(&stream, CHAT, ANTHROPIC));
        let usage = told.iter().rev().find_map(|event| event["usage"].as_object().cloned()).unwrap();
        assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(7), &json!(3)));
    }
}

#[test]
fn a_character_that_is_cut_in_two_is_whole_again() {
    let piece = |text: &str| {
        format!(r#"data: {{"id":"c1","model":"m","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}{}"#, "\n\n")
            .into_bytes()
    };
    let stream = [piece(r"x\ud83d"), piece(r"\ude00y"), chunk(0, json!({}), json!("stop")), done()];
    for target in [CHAT, ANTHROPIC, RESPONSES, GEMINI, COHERE, OLLAMA] {
        let said = String::from_utf8(told(&stream, CHAT, target).concat()).unwrap();
        assert!(said.contains('\u{1F600}') && !said.contains('\u{FFFD}'), "{}: {said}", target.name());
    }
}

#[test]
fn a_response_that_fails_tells_what_was_said_and_a_code_that_sdks_know() {
    let stream = [chunk(0, json!({"content": "Half an ans"}), Value::Null)];
    let last = documents(&told(&stream, CHAT, RESPONSES)).pop().unwrap();
    assert_eq!(last["type"], "response.failed");
    let error = &last["response"]["error"];
    assert_eq!((&error["code"], &error["type"]), (&json!("server_error"), &json!("upstream_truncated")));
    let item = &last["response"]["output"][0];
    assert_eq!((&item["status"], &item["content"][0]["text"]), (&json!("incomplete"), &json!("Half an ans")));
}

#[test]
fn a_limit_of_rate_is_one_in_every_dialect() {
    let failed = json!({"type": "response.failed", "sequence_number": 1, "response": {"id": "resp_1", "object": "response",
        "created_at": 1, "model": "m", "status": "failed", "output": [],
        "error": {"code": "rate_limit_exceeded", "message": "Slow down."}}});
    let stream = [format!("event: response.failed\ndata: {failed}\n\n").into_bytes()];
    let told = documents(&told(&stream, RESPONSES, ANTHROPIC)).pop().unwrap();
    assert_eq!(told["error"]["type"], "rate_limit_error");
}

#[test]
fn a_text_without_words_is_no_message() {
    let stream = [
        chunk(0, json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(0, call(0, "a", "{}"), Value::Null),
        chunk(0, json!({}), json!("tool_calls")),
        done(),
    ];
    let anthropic = [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "a", "name": "f", "input": {}}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    let streams = [(CHAT, stream.to_vec()), (ANTHROPIC, anthropic.into_iter().map(frame).collect())];
    for (source, stream) in streams {
        let last = documents(&told(&stream, source, RESPONSES)).pop().unwrap();
        let kinds: Vec<_> = last["response"]["output"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
        assert_eq!(kinds, ["function_call"], "{}", source.name());
    }
    let reply = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": "", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}, "finish_reason": "tool_calls"}]});
    let said = translate::reply(reply.to_string().as_bytes(), CHAT, RESPONSES, &WayBack::default(), &ENVELOPE).unwrap();
    let said: Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(said["output"].as_array().unwrap().len(), 1, "{said}");
}

#[test]
fn a_prompt_that_was_blocked_is_filtered_and_no_word_of_an_answer() {
    let blocked = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": "m", "responseId": "r",
        "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}});
    let whole = |target| {
        let said =
            translate::reply(blocked.to_string().as_bytes(), GEMINI, target, &WayBack::default(), &ENVELOPE).unwrap();
        serde_json::from_slice::<Value>(&said).unwrap()
    };
    let anthropic = whole(ANTHROPIC);
    assert_eq!((&anthropic["content"], &anthropic["stop_reason"]), (&json!([]), &json!("refusal")));
    let chat = whole(CHAT);
    let choice = &chat["choices"][0];
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&Value::Null, &json!("content_filter")));
    assert_eq!(choice["message"]["refusal"], Value::Null);
    let responses = whole(RESPONSES);
    assert_eq!(responses["incomplete_details"]["reason"], "content_filter");
    assert_eq!(responses["output"], json!([]));
    let streamed = |target| documents(&told(&[frame(blocked.clone())], GEMINI, target));
    let events = streamed(ANTHROPIC);
    assert!(!events.iter().any(|event| event["type"] == "content_block_start"), "{events:?}");
    let delta = events.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!(delta["delta"]["stop_reason"], "refusal");
    let events = streamed(CHAT);
    assert!(
        !events
            .iter()
            .any(|chunk| chunk["choices"][0]["delta"]["content"].as_str().is_some_and(|text| !text.is_empty()))
    );
    assert!(events.iter().any(|chunk| chunk["choices"][0]["finish_reason"] == "content_filter"));
}

#[test]
fn a_refusal_of_the_models_own_is_text_where_there_is_no_block_for_it() {
    let stream = [
        chunk(0, json!({"refusal": "I "}), Value::Null),
        chunk(0, json!({"refusal": "won't."}), Value::Null),
        chunk(0, json!({}), json!("stop")),
        done(),
    ];
    let events = documents(&told(&stream, CHAT, ANTHROPIC));
    let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(text, "I won't.");
    let cut = documents(&told(&stream[..2], CHAT, ANTHROPIC));
    let text: String = cut.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!((text.as_str(), &cut.last().unwrap()["type"]), ("I won't.", &json!("error")));
}

#[test]
fn thoughts_with_log_probabilities_are_one_thought() {
    let piece = |text: &str| {
        frame(
            json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"content": null, "reasoning_content": text},
            "logprobs": {"reasoning_content": [{"token": text, "logprob": -0.1}]}, "finish_reason": null}]}),
        )
    };
    let stream = [
        piece("We "),
        piece("think."),
        chunk(0, json!({"content": "Nine."}), Value::Null),
        chunk(0, json!({}), json!("stop")),
        done(),
    ];
    let events = documents(&told(&stream, CHAT, ANTHROPIC));
    let kinds: Vec<_> = events.iter().filter_map(|event| event["content_block"]["type"].as_str()).collect();
    assert_eq!(kinds, ["thinking", "text"]);
    let last = documents(&told(&stream, CHAT, RESPONSES)).pop().unwrap();
    assert_eq!(last["response"]["output"].as_array().unwrap().len(), 2, "{last}");
    let own = documents(&told(&stream, CHAT, CHAT));
    let kept = own.iter().filter(|chunk| chunk["choices"][0]["logprobs"]["reasoning_content"].is_array());
    assert_eq!(kept.count(), 2);
}

#[test]
fn an_empty_proof_before_the_real_one_is_none() {
    let detail = |text: &str, signature: &str| {
        let detail = json!({"type": "reasoning.text", "text": text, "signature": signature, "index": 0});
        chunk(0, json!({"reasoning": text, "reasoning_details": [detail]}), Value::Null)
    };
    let stream = [detail("", ""), detail("Hm.", ""), detail("", "c2ln"), chunk(0, json!({}), json!("stop")), done()];
    let events = documents(&told(&stream, CHAT, ANTHROPIC));
    let thoughts = events.iter().filter(|event| event["content_block"]["type"] == "thinking").count();
    let proofs: Vec<_> = events.iter().filter_map(|event| event["delta"]["signature"].as_str()).collect();
    assert_eq!((thoughts, proofs), (1, vec!["c2ln"]));
}

#[test]
fn an_error_in_the_words_of_another_server_is_one() {
    for error in [json!({"detail": "No such model"}), json!({"detail": [{"loc": ["body"], "msg": "No such model"}]})] {
        for source in [CHAT, RESPONSES, ANTHROPIC, COHERE] {
            for stream in [frame(error.clone()), error.to_string().into_bytes()] {
                let target = if source == CHAT { ANTHROPIC } else { CHAT };
                let said = String::from_utf8(told(&[stream], source, target).concat()).unwrap();
                assert!(said.contains("No such model") && said.contains("error"), "{}: {said}", source.name());
            }
        }
    }
}

#[test]
fn log_probabilities_of_cohere_are_told() {
    let piece = json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Nine"}}},
        "logprobs": {"text": "Nine", "token_ids": [4], "logprobs": [-0.5]}});
    let stream = [
        json!({"type": "message-start", "id": "r", "delta": {"message": {"role": "assistant"}}}),
        json!({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}),
        piece,
        json!({"type": "content-end", "index": 0}),
        json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}),
    ];
    let stream: Vec<_> = stream.into_iter().map(frame).collect();
    let expected = json!([{"token": "Nine", "logprob": -0.5, "bytes": null, "top_logprobs": []}]);
    let events = documents(&told(&stream, COHERE, CHAT));
    let told_there = events.iter().find_map(|event| event["choices"][0]["logprobs"].get("content"));
    assert_eq!(told_there, Some(&expected));
    let own = String::from_utf8(told(&stream, COHERE, COHERE).concat()).unwrap();
    assert!(own.contains(r#""token_ids":[4]"#), "{own}");
    let reply = json!({"id": "r", "message": {"role": "assistant", "content": [{"type": "text", "text": "Nine"}]},
        "finish_reason": "COMPLETE", "logprobs": [{"text": "Nine", "token_ids": [4], "logprobs": [-0.5]}]});
    let said = translate::reply(reply.to_string().as_bytes(), COHERE, CHAT, &WayBack::default(), &ENVELOPE).unwrap();
    let said: Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(said["choices"][0]["logprobs"]["content"], expected);
}
