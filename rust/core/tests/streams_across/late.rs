//! What servers of chat say at the end, or out of order.

use fastroute_core::passes::WayBack;
use fastroute_core::translate;
use serde_json::{Value, json};

use super::{
    ANTHROPIC, BEDROCK, CHAT, COHERE, ENVELOPE, GEMINI, OLLAMA, RESPONSES, call, chunk, documents, done, told,
};

#[test]
fn of_two_choices_the_first_is_told_wherever_it_stands() {
    let choice = |index: u32, text: &str| json!({"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
    let reply = json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [choice(1, "Two."), choice(0, "One.")]});
    let chunk_of =
        |index: u32, text: &str| json!({"index": index, "delta": {"content": text}, "finish_reason": "stop"});
    let both = json!({"id": "c1", "model": "m", "choices": [chunk_of(1, "Two."), chunk_of(0, "One.")]});
    let stream = [super::frame(both), done()];
    for target in [ANTHROPIC, RESPONSES, BEDROCK, COHERE, OLLAMA] {
        let whole =
            translate::reply(reply.to_string().as_bytes(), CHAT, target, &WayBack::default(), &ENVELOPE).unwrap();
        for said in [whole.to_vec(), told(&stream, CHAT, target).concat()] {
            let said = String::from_utf8_lossy(&said);
            assert!(said.contains("One.") && !said.contains("Two."), "{}: {said}", target.name());
        }
    }
}

#[test]
fn a_call_that_is_said_twice_is_told_once() {
    let whole = r#"{"at": "sea"}"#;
    let stream = [
        chunk(0, call(0, "a", ""), Value::Null),
        chunk(0, call(0, "", r#"{"at": "#), Value::Null),
        chunk(0, call(0, "", r#""sea"}"#), Value::Null),
        chunk(0, call(0, "a", whole), json!("tool_calls")),
        done(),
    ];
    let events = documents(&told(&stream, CHAT, ANTHROPIC));
    let pieces = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str());
    assert_eq!(pieces.collect::<String>(), whole);
    let said = told(&stream, CHAT, GEMINI).concat();
    assert!(String::from_utf8_lossy(&said).contains(r#""args":{"at": "sea"}"#), "{}", String::from_utf8_lossy(&said));
}
