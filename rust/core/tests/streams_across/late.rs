//! What servers of chat say at the end, or out of order.

use fastroute_core::passes::WayBack;
use fastroute_core::relay;
use fastroute_core::translate;
use fastroute_core::usage::UsageRule;
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
fn sources_of_an_only_choice_are_told_whatever_its_number() {
    let link = "https://example.com/tide";
    for index in [0, 1] {
        let mut last = json!({"id": "c1", "model": "m", "citations": [link],
            "choices": [{"index": index, "delta": {"content": "Nine."}, "finish_reason": "stop"}]});
        let told_to = |last: &Value| {
            let stream = [super::frame(last.clone()), done()];
            String::from_utf8(told(&stream, CHAT, ANTHROPIC).concat()).unwrap()
        };
        assert!(told_to(&last).contains(link), "{}", told_to(&last));
        // There is no text that could lean on them.
        last["choices"][0]["delta"] = call(0, "a", "{}");
        assert!(told_to(&last).contains("dropped: choices[0].citations\n\n"), "{}", told_to(&last));
    }
}

#[test]
fn what_comes_behind_the_end_of_an_answer_is_named() {
    let end = || chunk(0, json!({"content": "Nine."}), json!("stop"));
    let link = json!([{"type": "url_citation", "url_citation": {"url": "https://example.com", "title": "T"}}]);
    let late = [end(), chunk(0, json!({"annotations": link}), json!("stop")), done()];
    let tools = json!([{"index": 0, "type": "search", "arguments": "{}", "output": "9"}]);
    let used = [chunk(0, json!({"executed_tools": tools}), Value::Null), end(), done()];
    let used_late = [end(), chunk(0, json!({"executed_tools": tools}), json!("stop")), done()];
    for (stream, name) in [(&late, "citations"), (&used, "executed_tools"), (&used_late, "executed_tools")] {
        for target in [ANTHROPIC, RESPONSES, COHERE] {
            let said = String::from_utf8(told(stream, CHAT, target).concat()).unwrap();
            let notice = format!(": x-fastroute-dropped: choices[0].{name}\n\n");
            assert!(said.contains("Nine.") && said.contains(&notice), "{}: {said}", target.name());
        }
    }
    // A link that was told and is repeated is not lost.
    let told_before = [
        chunk(0, json!({"content": "Nine.", "annotations": link}), Value::Null),
        chunk(0, json!({}), json!("stop")),
        chunk(0, json!({"annotations": link}), json!("stop")),
        done(),
    ];
    let said = String::from_utf8(told(&told_before, CHAT, ANTHROPIC).concat()).unwrap();
    assert!(!said.contains("x-fastroute"), "{said}");
    let reply = json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": "Nine.", "executed_tools": tools}, "finish_reason": "stop"}]});
    let body = reply.to_string();
    for (target, names) in [(ANTHROPIC, vec!["choices[0].executed_tools"]), (CHAT, vec![])] {
        let way_back = WayBack::default();
        let crossed =
            relay::cross_reply(body.as_bytes(), [CHAT, target], UsageRule::default(), &way_back, None, &ENVELOPE);
        assert_eq!(crossed.unwrap().1.unsaid, names, "{}", target.name());
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

#[test]
fn litellms_thoughts_are_told_once_and_with_their_proof() {
    let piece = |text: &str, proof: Value| {
        json!({"reasoning_content": text,
            "thinking_blocks": [{"type": "thinking", "thinking": text, "signature": proof}]})
    };
    let stream = [
        chunk(0, piece("The mo", Value::Null), Value::Null),
        chunk(0, piece("on.", json!("")), Value::Null),
        chunk(0, piece("", json!("c2ln")), Value::Null),
        chunk(0, json!({"content": "Nine."}), json!("stop")),
        done(),
    ];
    let events = documents(&told(&stream, CHAT, ANTHROPIC));
    let thought = events.iter().filter_map(|event| event["delta"]["thinking"].as_str());
    assert_eq!(thought.collect::<String>(), "The moon.");
    let proofs: Vec<_> = events.iter().filter_map(|event| event["delta"]["signature"].as_str()).collect();
    assert_eq!(proofs, ["c2ln"]);
}
