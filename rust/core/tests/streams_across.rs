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
use fastroute_core::sse::Limits;
use fastroute_core::translate::{self, StreamTranslator};
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
    // A second one is not mixed in.
    let two = [
        chunk(0, json!({"content": "One."}), Value::Null),
        chunk(1, json!({"content": "Two."}), Value::Null),
        chunk(0, json!({}), json!("stop")),
        chunk(1, json!({}), json!("stop")),
        done(),
    ];
    let said = String::from_utf8(told(&two, CHAT, ANTHROPIC).concat()).unwrap();
    assert!(said.contains("One.") && !said.contains("Two."), "{said}");
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
