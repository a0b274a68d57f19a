//! What a client was not told is named to it.

use fastroute_core::dialects::Dialect;
use fastroute_core::passes::WayBack;
use fastroute_core::relay;
use fastroute_core::usage::UsageRule;
use serde_json::{Value, json};

use super::{
    ANTHROPIC, BEDROCK, CHAT, COHERE, ENVELOPE, GEMINI, OLLAMA, RESPONSES, chunk, documents, done, frame, told,
};

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
fn what_reads_no_comments_is_told_in_its_last_event() {
    let thought = json!({"type": "reasoning.encrypted", "data": "YmxvYg==", "index": 0});
    let stream = [
        chunk(0, json!({"reasoning_details": [thought]}), Value::Null),
        chunk(0, json!({"content": "Nine."}), Value::Null),
        chunk(1, json!({"content": "Ten."}), Value::Null),
        chunk(0, json!({}), json!("stop")),
        chunk(1, json!({}), json!("stop")),
        done(),
    ];
    let hidden = "choices[0].redacted_reasoning";
    // Google's types forbid members that they do not know.
    let said = told(&stream, CHAT, GEMINI).concat();
    assert!(!String::from_utf8_lossy(&said).contains("x-fastroute"));
    let last = documents(&told(&stream, CHAT, OLLAMA)).pop().unwrap();
    assert_eq!((&last["x-fastroute-dropped"], &last["done"]), (&json!(format!("{hidden}, choices[1]")), &json!(true)));
    let said = told(&stream, CHAT, BEDROCK).concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains(r#"{"x-fastroute-dropped":"choices[1]"}"#), "{said}");
    let said = String::from_utf8(told(&stream, CHAT, COHERE).concat()).unwrap();
    assert!(said.contains(&format!(": x-fastroute-dropped: {hidden}, choices[1]\n\n")), "{said}");
    // Who was told all is told nothing of it.
    let all = [chunk(0, json!({"content": "Nine."}), Value::Null), chunk(0, json!({}), json!("stop")), done()];
    for target in [GEMINI, OLLAMA, BEDROCK, COHERE] {
        let said = told(&all, CHAT, target).concat();
        assert!(!String::from_utf8_lossy(&said).contains("x-fastroute"), "{}", target.name());
    }
}

#[test]
fn what_a_server_takes_back_at_the_end_of_an_item_is_named() {
    let call = |arguments: &str| json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": arguments});
    let stream = |arguments: &str, whole: &str| -> Vec<Vec<u8>> {
        let events = [
            json!({"type": "response.created", "response": {"id": "resp_1", "model": "m", "output": []}}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": call("")}),
            json!({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": arguments}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": call(whole)}),
            json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": []}}),
        ];
        events.into_iter().map(frame).collect()
    };
    for target in [CHAT, ANTHROPIC] {
        let said = |arguments: &str, whole: &str| {
            String::from_utf8(told(&stream(arguments, whole), RESPONSES, target).concat()).unwrap()
        };
        let other = said(r#"{"a":1}"#, r#"{"a":2}"#);
        let named = ": x-fastroute-dropped: choices[0].function_call_arguments\n\n";
        assert!(other.contains(named) && !other.contains(r#"{\"a\":2}"#), "{}: {other}", target.name());
        let more = said("{}", r#"{"a":2}"#);
        assert!(more.contains(r#"{\"a\":2}"#) && !more.contains("x-fastroute-dropped"), "{}: {more}", target.name());
        let spaced = said(r#"{"a":1}"#, r#"{"a": 1}"#);
        assert!(!spaced.contains("x-fastroute-dropped"), "{}: {spaced}", target.name());
    }
}
