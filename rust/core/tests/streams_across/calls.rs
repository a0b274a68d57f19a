//! Calls: their names, ids and arguments, and how soon they are told.

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::message::Envelope;
use fastroute_core::passes::WayBack;
use fastroute_core::sse::Limits;
use fastroute_core::translate::{self, StreamTranslator};
use serde_json::{Value, json};

use super::{ANTHROPIC, CHAT, COHERE, ENVELOPE, GEMINI, OLLAMA, RESPONSES, call, chunk, documents, done, frame, told};

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

/// The calls of a stream as chat clients put them together: name and arguments.
fn called(stream: &[Vec<u8>], source: Dialect) -> Vec<(String, String)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for chunk in documents(&told(stream, source, CHAT)) {
        for entry in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let at = usize::try_from(entry["index"].as_u64().unwrap()).unwrap();
            calls.resize(calls.len().max(at + 1), <_>::default());
            calls[at].0 += entry["function"]["name"].as_str().unwrap_or("");
            calls[at].1 += entry["function"]["arguments"].as_str().unwrap_or("");
        }
    }
    calls
}

fn named(index: u32, id: &str, name: &str, arguments: &str) -> Vec<u8> {
    let function = json!({"name": name, "arguments": arguments});
    let entry = match id {
        "" => json!({"index": index, "function": function}),
        id => json!({"index": index, "id": id, "type": "function", "function": function}),
    };
    chunk(0, json!({"tool_calls": [entry]}), Value::Null)
}

fn ended(mut stream: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    stream.extend([chunk(0, json!({}), json!("tool_calls")), done()]);
    stream
}

#[test]
fn a_name_is_whole_however_it_is_told() {
    let x = ("get_tide".to_owned(), r#"{"x":1}"#.to_owned());
    for pieces in [
        [named(0, "a", "get_", ""), named(0, "", "tide", r#"{"x":"#), named(0, "", "", "1}")],
        // As far as it has come, and repeated.
        [named(0, "a", "get_", ""), named(0, "a", "get_tide", r#"{"x":"#), named(0, "a", "get_tide", "1}")],
        [named(0, "a", "get_tide", ""), named(0, "a", "get_tide", ""), named(0, "", "", r#"{"x":1}"#)],
    ] {
        assert_eq!(called(&ended(pieces.to_vec()), CHAT), std::slice::from_ref(&x));
    }
    let two = vec![named(0, "a", "get_", ""), named(0, "", "tide", ""), named(1, "b", "now", r#"{"x":1}"#)];
    assert_eq!(called(&ended(two), CHAT), [("get_tide".into(), String::new()), ("now".into(), r#"{"x":1}"#.into())]);
    // A call stands where it was begun.
    let then_text = vec![named(0, "a", "now", ""), chunk(0, json!({"content": "So."}), Value::Null)];
    let events = documents(&told(&ended(then_text), CHAT, ANTHROPIC));
    let kinds: Vec<_> = events.iter().filter_map(|event| event["content_block"]["type"].as_str()).collect();
    assert_eq!(kinds, ["tool_use", "text"]);
}

#[test]
fn an_object_that_holds_nothing_is_no_part_of_the_one_behind_it() {
    let real = (String::from("f"), String::from(r#"{"x":1}"#));
    for pieces in [
        [named(0, "a", "f", "{}"), named(0, "", "", r#"{"x":"#), named(0, "", "", "1}")],
        [named(0, "a", "f", "{}"), named(0, "", "", ""), named(0, "", "", r#"{"x":1}"#)],
        [named(0, "", "f", "{}"), named(0, "", "f", r#"{"x":1}"#), named(0, "", "", "")],
    ] {
        assert_eq!(called(&ended(pieces.to_vec()), CHAT), std::slice::from_ref(&real));
    }
    let two = vec![named(0, "a", "f", "{}"), named(1, "b", "f", "{}")];
    assert_eq!(called(&ended(two), CHAT), vec![(String::from("f"), String::from("{}")); 2]);
    let piece = |text: &str| {
        frame(
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": text}}),
        )
    };
    let anthropic = [
        frame(json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": []}})),
        frame(json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "tool_use", "id": "a", "name": "f", "input": {}}})),
        piece("{}"),
        piece(r#"{"x":1}"#),
        frame(json!({"type": "content_block_stop", "index": 0})),
        frame(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}})),
        frame(json!({"type": "message_stop"})),
    ];
    assert_eq!(called(&anthropic, ANTHROPIC), [real]);
}

#[test]
fn the_end_of_a_call_that_has_ended_is_no_call() {
    let part = |call: Value| {
        frame(json!({"responseId": "r", "candidates": [{"content": {"parts": [{"functionCall": call}]}}]}))
    };
    let stream = [
        part(json!({"name": "f", "args": {"y": 2}, "willContinue": true})),
        part(json!({"partialArgs": [{"jsonPath": "$.x", "numberValue": 1}]})),
        part(json!({})),
        frame(
            json!({"responseId": "r", "candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}]}),
        ),
    ];
    assert_eq!(called(&stream, GEMINI), [("f".into(), r#"{"x":1,"y":2}"#.into())]);
}

#[test]
fn arguments_of_calls_that_come_side_by_side_find_their_calls_by_id() {
    let part = |call: Value| {
        frame(json!({"responseId": "r", "candidates": [{"content": {"parts": [{"functionCall": call}]}}]}))
    };
    let piece = |id: &str, text: &str, goes_on: bool| {
        let text = json!({"jsonPath": "$.city", "stringValue": text, "willContinue": goes_on});
        part(json!({"id": id, "partialArgs": [text], "willContinue": goes_on}))
    };
    let stream = [
        part(json!({"id": "a", "name": "tide", "willContinue": true})),
        part(json!({"id": "b", "name": "wind", "willContinue": true})),
        piece("a", "Ham", true),
        piece("b", "Br", true),
        piece("b", "est", false),
        piece("a", "burg", false),
        frame(
            json!({"responseId": "r", "candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}]}),
        ),
    ];
    let expected = [("wind".into(), r#"{"city":"Brest"}"#.into()), ("tide".into(), r#"{"city":"Hamburg"}"#.into())];
    assert_eq!(called(&stream, GEMINI), expected);
}
