//! What a stream of one dialect comes to in another where the two tell things in another order, or a server tells them
//! where nobody looks.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails where it meets a failure, and takes JSON as it is written"
)]

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::message::Envelope;
use fastroute_core::passes::WayBack;
use fastroute_core::relay;
use fastroute_core::sse::Limits;
use fastroute_core::translate::{self, StreamTranslator};
use fastroute_core::usage::UsageRule;
use serde_json::{Value, json};

const CHAT: Dialect = Dialect::OpenAiChat;
const RESPONSES: Dialect = Dialect::OpenAiResponses;
const ANTHROPIC: Dialect = Dialect::AnthropicMessages;
const GEMINI: Dialect = Dialect::Gemini;
const COHERE: Dialect = Dialect::CohereV2;
const OLLAMA: Dialect = Dialect::Ollama;
const ENVELOPE: Envelope<'static> = Envelope { id: "r1", model: "m", created_s: 1, include_usage: true };

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
fn calls_that_come_beside_each_other_are_one_behind_the_other_in_cohere() {
    let stream = [
        chunk(0, call(0, "a", ""), Value::Null),
        chunk(0, call(1, "b", ""), Value::Null),
        chunk(0, call(1, "", "{\"x\":"), Value::Null),
        chunk(0, call(0, "", "{\"y\":1}"), Value::Null),
        chunk(0, call(1, "", "2}"), Value::Null),
        chunk(0, json!({}), json!("tool_calls")),
        done(),
    ];
    let events = documents(&told(&stream, CHAT, COHERE));
    let of_calls: Vec<_> = events
        .iter()
        .filter(|event| event["type"].as_str().unwrap().starts_with("tool-call"))
        .map(|event| {
            let arguments = event["delta"]["message"]["tool_calls"]["function"]["arguments"].as_str().unwrap_or("");
            format!("{} {} {arguments}", event["type"].as_str().unwrap(), event["index"])
        })
        .collect();
    assert_eq!(
        of_calls,
        [
            "tool-call-start 0 ",
            "tool-call-delta 0 {\"y\":1}",
            "tool-call-end 0 ",
            "tool-call-start 1 ",
            "tool-call-delta 1 {\"x\":2}",
            "tool-call-end 1 "
        ]
    );
}

#[test]
fn a_call_is_told_as_soon_as_the_next_begins() {
    let stream = [
        chunk(0, call(0, "a", "{\"y\":"), Value::Null),
        chunk(0, call(0, "", "1}"), Value::Null),
        chunk(0, call(1, "b", "{}"), Value::Null),
        chunk(0, json!({}), json!("tool_calls")),
        done(),
    ];
    for (target, end) in [
        (GEMINI, r#""functionCall":{"id":"a""#),
        (COHERE, "tool-call-end"),
        (RESPONSES, "response.function_call_arguments.done"),
        (OLLAMA, r#""arguments":{"y":1}"#),
    ] {
        let told = told(&stream, CHAT, target);
        let at = told.iter().position(|out| String::from_utf8_lossy(out).contains(end));
        assert_eq!(at, Some(2), "{}", target.name());
    }
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
fn calls_without_ids_have_other_ones_in_every_answer() {
    let stream = |id: &str| {
        let entry = json!({"index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let chunk = |delta: Value, finish: Value| {
            frame(json!({"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
        };
        let pieces =
            [chunk(json!({"tool_calls": [entry]}), Value::Null), chunk(json!({}), json!("tool_calls")), done()];
        let envelope = Envelope { id, ..ENVELOPE };
        let mut stream =
            StreamTranslator::new(CHAT, ANTHROPIC, WayBack::default(), &envelope, Limits::default()).unwrap();
        let mut out = Vec::new();
        for piece in pieces {
            stream.push(&piece, &mut out);
        }
        let told = documents(&[out]);
        told.iter().find_map(|event| event["content_block"]["id"].as_str().map(str::to_owned)).unwrap()
    };
    assert_eq!(stream("r1"), stream("r1"));
    assert_ne!(stream("r1"), stream("r2"));
    let gemini = json!({"candidates": [{"content": {"role": "model", "parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}]});
    let whole = |id: &str| {
        let envelope = Envelope { id, ..ENVELOPE };
        let said =
            translate::reply(gemini.to_string().as_bytes(), GEMINI, CHAT, &WayBack::default(), &envelope).unwrap();
        let said: Value = serde_json::from_slice(&said).unwrap();
        said["choices"][0]["message"]["tool_calls"][0]["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(whole("r1"), whole("r1"));
    assert_ne!(whole("r1"), whole("r2"));
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
fn a_stream_names_at_its_end_what_its_client_was_not_told() {
    let anthropic: Vec<_> = [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "server_tool_use", "id": "s", "name": "code_execution", "input": {}}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Nine."}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ]
    .into_iter()
    .map(frame)
    .collect();
    for target in [CHAT, RESPONSES] {
        let said = String::from_utf8(told(&anthropic, ANTHROPIC, target).concat()).unwrap();
        assert!(said.contains(": x-fastroute-dropped: choices[0].server_tool_use\n\n"), "{}: {said}", target.name());
    }
    let own = String::from_utf8(told(&anthropic, ANTHROPIC, ANTHROPIC).concat()).unwrap();
    assert!(!own.contains("x-fastroute"), "{own}");
    let sound = [
        chunk(0, json!({"audio": {"id": "a", "transcript": "Nine."}}), Value::Null),
        chunk(0, json!({"audio": {"data": "UklGRg=="}}), Value::Null),
        chunk(0, json!({}), json!("stop")),
        done(),
    ];
    let said = String::from_utf8(told(&sound, CHAT, ANTHROPIC).concat()).unwrap();
    assert!(said.contains("Nine.") && said.contains("dropped: choices[0].audio\n\n"), "{said}");
    let code = [
        frame(
            json!({"candidates": [{"content": {"parts": [{"executableCode": {"language": "PYTHON", "code": "9"}}]}}]}),
        ),
        frame(json!({"candidates": [{"content": {"parts": [{"text": "Nine."}]}, "finishReason": "STOP"}]})),
    ];
    let said = String::from_utf8(told(&code, GEMINI, CHAT).concat()).unwrap();
    assert!(said.contains("dropped: choices[0].executableCode\n\n"), "{said}");
}

#[test]
fn a_prompt_that_was_blocked_is_a_refusal_and_not_an_answer() {
    let blocked = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": "m", "responseId": "r",
        "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}});
    let whole = |target| {
        let said =
            translate::reply(blocked.to_string().as_bytes(), GEMINI, target, &WayBack::default(), &ENVELOPE).unwrap();
        serde_json::from_slice::<Value>(&said).unwrap()
    };
    let anthropic = whole(ANTHROPIC);
    assert_eq!((&anthropic["content"], &anthropic["stop_reason"]), (&json!([]), &json!("refusal")));
    assert_eq!(anthropic["stop_details"]["explanation"], "PROHIBITED_CONTENT");
    let chat = whole(CHAT);
    let choice = &chat["choices"][0];
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&Value::Null, &json!("content_filter")));
    assert_eq!(choice["message"]["refusal"], "PROHIBITED_CONTENT");
    let responses = whole(RESPONSES);
    assert_eq!(responses["incomplete_details"]["reason"], "content_filter");
    assert_eq!(responses["output"][0]["content"][0]["type"], "refusal");
    let streamed = |target| documents(&told(&[frame(blocked.clone())], GEMINI, target));
    let events = streamed(ANTHROPIC);
    assert!(!events.iter().any(|event| event["type"] == "content_block_start"), "{events:?}");
    let delta = events.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!(delta["delta"]["stop_reason"], "refusal");
    assert_eq!(delta["delta"]["stop_details"]["explanation"], "PROHIBITED_CONTENT");
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
fn a_reply_names_what_its_client_was_not_told() {
    let crossed = |reply: Value, source: Dialect, target: Dialect| {
        let (said, facts) = relay::cross_reply(
            reply.to_string().as_bytes(),
            [source, target],
            UsageRule::default(),
            &WayBack::default(),
            None,
            &ENVELOPE,
        )
        .unwrap();
        (String::from_utf8(said.to_vec()).unwrap(), facts.unsaid)
    };
    let anthropic = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [
        {"type": "redacted_thinking", "data": "YmxvYg=="},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "text", "text": "Nine.", "citations": [{"type": "char_location", "document_index": 0,
            "document_title": "Numbers", "cited_text": "nine", "start_char_index": 0, "end_char_index": 4}]}],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}});
    let tools = ["choices[0].server_tool_use", "choices[0].web_search_tool_result"];
    let (said, lost) = crossed(anthropic.clone(), ANTHROPIC, CHAT);
    assert_eq!(lost, [tools[0], tools[1], "choices[0].citations"]);
    assert!(!said.contains("url_citation"), "a link without an address is none: {said}");
    let (said, lost) = crossed(anthropic.clone(), ANTHROPIC, RESPONSES);
    assert_eq!(lost, [tools[0], tools[1], "choices[0].citations"]);
    assert!(!said.contains("url_citation"), "{said}");
    let (_, lost) = crossed(anthropic.clone(), ANTHROPIC, GEMINI);
    assert_eq!(lost, ["choices[0].redacted_reasoning", tools[0], tools[1]]);
    assert_eq!(crossed(anthropic, ANTHROPIC, ANTHROPIC).1, Vec::<String>::new());
    // What says nothing is not named.
    let responses = json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "9"}},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "Nine.", "annotations": [], "logprobs": []}]}]});
    assert_eq!(crossed(responses, RESPONSES, CHAT).1, ["choices[0].web_search_call"]);
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
fn links_that_come_before_their_text_are_of_that_text() {
    let link = json!({"type": "citations_delta", "citation": {"type": "web_search_result_location",
        "url": "https://example.com", "title": "T", "cited_text": "x", "encrypted_index": "e"}});
    let text = |index: u32, deltas: Vec<Value>| {
        let mut events = vec![
            json!({"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": "", "citations": []}}),
        ];
        events.extend(
            deltas.into_iter().map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
        events
    };
    let said = |text: &str| json!({"type": "text_delta", "text": text});
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}}),
    ];
    events.extend(text(0, vec![said("So: ")]));
    events.extend(text(1, vec![link, said("Ni"), said("ne.")]));
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}));
    events.push(json!({"type": "message_stop"}));
    let stream: Vec<_> = events.into_iter().map(frame).collect();
    let told_to = |target| documents(&told(&stream, ANTHROPIC, target));
    let chat = told_to(CHAT);
    let at = chat.iter().find_map(|chunk| chunk["choices"][0]["delta"]["annotations"][0].get("url_citation")).unwrap();
    assert_eq!((&at["start_index"], &at["end_index"]), (&json!(4), &json!(9)));
    let last = told_to(RESPONSES).pop().unwrap();
    let content = &last["response"]["output"][0]["content"];
    assert_eq!((&content[0]["annotations"], &content[0]["text"]), (&json!([]), &json!("So: ")));
    assert_eq!(
        (&content[1]["annotations"][0]["url"], &content[1]["text"]),
        (&json!("https://example.com"), &json!("Nine."))
    );
}

#[test]
fn a_call_without_arguments_has_an_object_for_them() {
    for nothing in ["", "null"] {
        let stream = [chunk(0, call(0, "a", nothing), Value::Null), chunk(0, json!({}), json!("tool_calls")), done()];
        let last = documents(&told(&stream, CHAT, RESPONSES)).pop().unwrap();
        assert_eq!(last["response"]["output"][0]["arguments"], "{}", "{last}");
    }
    let part = json!({"functionCall": {"name": "f"}});
    let reply = json!({"responseId": "r", "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]});
    let events = documents(&told(&[frame(reply.clone())], GEMINI, CHAT));
    let pieces = events
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str());
    assert_eq!(pieces.collect::<String>(), "{}");
    let said = translate::reply(reply.to_string().as_bytes(), GEMINI, CHAT, &WayBack::default(), &ENVELOPE).unwrap();
    let said: Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(said["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{}");
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
