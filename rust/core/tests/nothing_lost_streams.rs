//! What a stream tells in one dialect and has its place elsewhere in another: it is told, whatever the pieces it comes in.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it meets a failure")]

use fastroute_core::dialects::Dialect;
use fastroute_core::passes::{Demands, WayBack};
use fastroute_core::quirks::Quirks;
use fastroute_core::sse::Limits;
use fastroute_core::translate::{self, Address, StreamTranslator};
use serde_json::{Value, json};

#[path = "dialects/names.rs"]
mod names;
use names::{ANTHROPIC, CHAT, ENVELOPE, GEMINI, PIXEL, RESPONSES};

fn sse(events: &[Value]) -> Vec<u8> {
    let frames = events.iter().map(|event| {
        let name = event["type"].as_str().map(|name| format!("event: {name}\n")).unwrap_or_default();
        format!("{name}data: {event}\n\n")
    });
    frames.collect::<String>().into_bytes()
}

fn in_pieces(stream: &[u8], size: usize, [source, target]: [Dialect; 2], back: &WayBack) -> Vec<u8> {
    let mut translator = StreamTranslator::new(source, target, back.clone(), &ENVELOPE, Limits::default()).unwrap();
    let mut out = Vec::new();
    for piece in stream.chunks(size) {
        translator.push(piece, &mut out);
    }
    translator.finish(&mut out);
    out
}

/// The stream in another dialect, the same at every size of its pieces.
fn across(stream: &[u8], source: Dialect, target: Dialect) -> Vec<u8> {
    let whole = in_pieces(stream, stream.len(), [source, target], &WayBack::default());
    for size in [1, 7, 64] {
        assert_eq!(in_pieces(stream, size, [source, target], &WayBack::default()), whole, "in pieces of {size}");
    }
    whole
}

fn documents(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ").unwrap_or(line)).ok()).collect()
}

/// The entries of a list in the deltas of a chat stream.
fn entries(stream: &[u8], name: &str) -> Vec<Value> {
    let deltas = documents(stream).into_iter().map(|chunk| chunk["choices"][0]["delta"][name].clone());
    deltas.filter_map(|list| list.as_array().cloned()).flatten().collect()
}

fn anthropic(blocks: &[(Value, &[Value])]) -> Vec<u8> {
    let mut events =
        vec![json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "m", "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}})];
    for (index, (block, deltas)) in blocks.iter().enumerate() {
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        let deltas = deltas.iter().map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta}));
        events.extend(deltas);
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
        "usage": {"output_tokens": 7}}));
    events.push(json!({"type": "message_stop"}));
    sse(&events)
}

fn chat(deltas: &[Value], usage: &Value) -> Vec<u8> {
    let chunk = |delta: &Value, finish: Value| json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    let mut chunks: Vec<_> = deltas.iter().map(|delta| chunk(delta, Value::Null)).collect();
    chunks.push(chunk(&json!({}), json!("stop")));
    chunks.push(json!({"id": "c1", "model": "m", "choices": [], "usage": usage}));
    [sse(&chunks), b"data: [DONE]\n\n".to_vec()].concat()
}

#[test]
fn a_picture_in_a_stream_is_where_clients_look_for_it() {
    let picture = json!({"inlineData": {"mimeType": "image/png", "data": PIXEL}});
    let chunk = |part: &Value, finish: Value| {
        json!({"responseId": "r", "modelVersion": "m",
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": finish}]})
    };
    let stream = sse(&[
        chunk(&json!({"text": "Here."}), Value::Null),
        chunk(&picture, Value::Null),
        chunk(&json!({"text": "Done."}), json!("STOP")),
    ]);
    let told = across(&stream, GEMINI, CHAT);
    let url = format!("data:image/png;base64,{PIXEL}");
    assert_eq!(entries(&told, "images"), [json!({"type": "image_url", "image_url": {"url": url}, "index": 0})]);
    let back = documents(&across(&told, CHAT, GEMINI));
    assert!(back.iter().any(|chunk| chunk["candidates"][0]["content"]["parts"][0] == picture), "{back:?}");
    let told = across(&stream, GEMINI, RESPONSES);
    let last = documents(&told).pop().unwrap();
    let kinds: Vec<_> =
        last["response"]["output"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(kinds, ["message", "image_generation_call", "message"]);
    assert_eq!(last["response"]["output"][1]["result"], PIXEL);
    let back = documents(&across(&told, RESPONSES, CHAT));
    assert!(back.iter().any(|chunk| chunk["choices"][0]["delta"]["images"][0]["image_url"]["url"] == url), "{back:?}");
    // In its own dialect it is told once.
    let own = String::from_utf8(in_pieces(&told, told.len(), [RESPONSES; 2], &WayBack::default())).unwrap();
    assert_eq!(own.matches("\"result\":\"").count(), 2, "as an item that is done, and in the whole response");
    let said = String::from_utf8(across(&stream, GEMINI, ANTHROPIC)).unwrap();
    assert!(said.contains("here was image/png") && !said.contains(PIXEL), "{said}");
}

#[test]
fn a_proof_comes_with_the_reasoning_that_it_is_of() {
    let stream = anthropic(&[
        (
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            &[
                json!({"type": "thinking_delta", "thinking": "Let me "}),
                json!({"type": "thinking_delta", "thinking": "see."}),
                json!({"type": "signature_delta", "signature": "c2ln"}),
            ],
        ),
        (json!({"type": "redacted_thinking", "data": "YmxvYg=="}), &[]),
        (json!({"type": "text", "text": ""}), &[json!({"type": "text_delta", "text": "Nine."})]),
    ]);
    let told = across(&stream, ANTHROPIC, CHAT);
    let details = entries(&told, "reasoning_details");
    assert_eq!(details[0], json!({"type": "reasoning.text", "text": "Let me see.", "signature": "c2ln", "index": 0}));
    assert_eq!(details[1], json!({"type": "reasoning.encrypted", "data": "YmxvYg==", "index": 1}));
    // Who reads both places is not told twice.
    let back = documents(&across(&told, CHAT, ANTHROPIC));
    let thoughts = back.iter().filter_map(|event| event["delta"]["thinking"].as_str()).collect::<String>();
    assert_eq!(thoughts, "Let me see.");
    let kinds = back.iter().filter_map(|event| event["content_block"]["type"].as_str());
    assert_eq!(kinds.collect::<Vec<_>>(), ["thinking", "redacted_thinking", "text"]);
}

#[test]
fn details_without_words_do_not_hide_the_words_beside_them() {
    let hidden = json!({"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.encrypted", "data": "YmxvYg==", "index": 0}]});
    let stream = chat(&[hidden, json!({"content": "Nine."})], &Value::Null);
    let told = documents(&across(&stream, CHAT, ANTHROPIC));
    let thoughts = told.iter().filter_map(|event| event["delta"]["thinking"].as_str()).collect::<String>();
    assert_eq!(thoughts, "Hm.");
    assert!(told.iter().any(|event| event["content_block"]["data"] == "YmxvYg=="), "{told:?}");
}

#[test]
fn links_in_a_stream_are_numbered_and_placed() {
    let link = |url: &str| {
        json!({"type": "citations_delta", "citation": {"type": "web_search_result_location",
        "url": url, "title": "T", "cited_text": "x", "encrypted_index": "e"}})
    };
    let text = |text: &str| json!({"type": "text_delta", "text": text});
    let stream = anthropic(&[
        (json!({"type": "text", "text": ""}), &[text("Hé. ")]),
        (
            json!({"type": "text", "text": ""}),
            &[text("Nine."), link("https://example.com/a"), link("https://example.com/b")],
        ),
    ]);
    let told = entries(&across(&stream, ANTHROPIC, CHAT), "annotations");
    let expected = |index: u64, url: &str| {
        json!({"type": "url_citation", "index": index,
        "url_citation": {"url": url, "title": "T", "start_index": 4, "end_index": 9}})
    };
    assert_eq!(told, [expected(0, "https://example.com/a"), expected(1, "https://example.com/b")]);
}

#[test]
fn counts_of_a_stream_follow_the_rule_of_the_provider_that_was_asked() {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40});
    let stream = chat(&[json!({"content": "x"})], &usage);
    let quirks: Quirks = serde_json::from_value(json!({"usage": "completion_from_total"})).unwrap();
    let demands = Demands { quirks, ..Demands::of(CHAT) };
    let body = json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let asked = translate::request(body.to_string().as_bytes(), ANTHROPIC, &demands, Address::default()).unwrap();
    let counted = |back: &WayBack| {
        let told = documents(&in_pieces(&stream, stream.len(), [CHAT, ANTHROPIC], back));
        told.iter().rev().find_map(|event| event["usage"]["output_tokens"].as_u64()).unwrap()
    };
    assert_eq!(counted(&asked.way_back), 30);
    assert_eq!(counted(&WayBack::default()), 5);
}

#[test]
fn sources_that_every_chunk_repeats_are_told_once() {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "c1", "model": "m", "citations": ["https://example.com"],
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let chunks = [chunk(json!({"content": "Ni"}), Value::Null), chunk(json!({"content": "ne."}), json!("stop"))];
    let stream = [sse(&chunks), b"data: [DONE]\n\n".to_vec()].concat();
    let told = documents(&across(&stream, CHAT, ANTHROPIC));
    let links: Vec<_> = told.iter().filter_map(|event| event["delta"]["citation"]["url"].as_str()).collect();
    assert_eq!(links, ["https://example.com"]);
}

#[test]
fn calls_behind_a_finish_are_calls() {
    let call =
        |id: &str| json!({"index": 0, "id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "c1", "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let repeated = json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2}});
    let chunks = [
        chunk(json!({"tool_calls": [call("a")]}), json!("tool_calls")),
        chunk(json!({"tool_calls": [call("b")]}), json!("tool_calls")),
        repeated,
    ];
    let stream = [sse(&chunks), b"data: [DONE]\n\n".to_vec()].concat();
    let told = documents(&across(&stream, CHAT, ANTHROPIC));
    let ids: Vec<_> = told.iter().filter_map(|event| event["content_block"]["id"].as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    let told = documents(&across(&stream, CHAT, GEMINI));
    assert_eq!(told.iter().filter(|chunk| chunk["candidates"][0]["finishReason"] == "STOP").count(), 1, "{told:?}");
    let told = documents(&across(&stream, CHAT, RESPONSES));
    assert_eq!(told.last().unwrap()["response"]["output"].as_array().unwrap().len(), 2);
}

#[test]
fn an_answer_that_was_counted_and_ended_has_ended_without_a_word_for_it() {
    let chunk = |delta: Value| json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
    let counted =
        json!({"id": "c1", "model": "m", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}});
    let end = b"data: [DONE]\n\n".to_vec();
    let told = |chunks: &[Value]| {
        let stream = [sse(chunks), end.clone()].concat();
        documents(&across(&stream, CHAT, ANTHROPIC)).pop().unwrap()["type"].clone()
    };
    assert_eq!(told(&[chunk(json!({"content": "Nine."})), counted.clone()]), "message_stop");
    assert_eq!(told(&[chunk(json!({"content": "Nine."}))]), "error", "nobody counted it");
    assert_eq!(told(&[chunk(json!({"content": ""})), counted]), "error", "there is no answer");
}
