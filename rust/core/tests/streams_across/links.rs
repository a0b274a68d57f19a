//! What a text leans on, and where.

use fastroute_core::passes::WayBack;
use fastroute_core::translate;
use serde_json::{Value, json};

use super::{ANTHROPIC, CHAT, ENVELOPE, GEMINI, RESPONSES, documents, frame, told};

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
fn googles_bytes_are_characters_elsewhere() {
    let link = json!({"web": {"uri": "https://example.com", "title": "T"}});
    // Counted in bytes of all that was said: "Été à Nîmes. " has 13 characters in 17 bytes.
    let segment = json!({"startIndex": 17, "endIndex": 30, "text": "Août à Évi"});
    let support = json!({"segment": segment, "groundingChunkIndices": [0]});
    let grounding = json!({"groundingChunks": [link], "groundingSupports": [support]});
    let part = |text: &str| json!({"content": {"role": "model", "parts": [{"text": text}]}});
    let mut last = part("Août à Évian.");
    last["groundingMetadata"] = grounding.clone();
    last["finishReason"] = json!("STOP");
    let stream = [
        frame(json!({"responseId": "r", "candidates": [part("Été à ")]})),
        frame(json!({"responseId": "r", "candidates": [part("Nîmes. ")]})),
        frame(json!({"responseId": "r", "candidates": [last]})),
    ];
    let events = documents(&told(&stream, GEMINI, CHAT));
    let link = events.iter().find_map(|event| event["choices"][0]["delta"]["annotations"][0].get("url_citation"));
    let at = |link: &Value| (link["start_index"].clone(), link["end_index"].clone());
    let mut whole = part("Été à Nîmes. Août à Évian.");
    whole["groundingMetadata"] = grounding;
    whole["finishReason"] = json!("STOP");
    let reply = json!({"responseId": "r", "candidates": [whole]}).to_string();
    let said = translate::reply(reply.as_bytes(), GEMINI, CHAT, &WayBack::default(), &ENVELOPE).unwrap();
    let said: Value = serde_json::from_slice(&said).unwrap();
    let expected = (json!(13), json!(23));
    assert_eq!(at(&said["choices"][0]["message"]["annotations"][0]["url_citation"]), expected);
    assert_eq!(at(link.unwrap()), expected);
}

#[test]
fn a_link_without_a_place_is_about_all_of_its_text() {
    let link = json!({"type": "citations_delta", "citation": {"type": "web_search_result_location",
        "url": "https://example.com", "title": "T", "cited_text": "x", "encrypted_index": "e"}});
    let delta = |delta: Value| json!({"type": "content_block_delta", "index": 0, "delta": delta});
    let stream: Vec<_> = [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": []}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "", "citations": []}}),
        delta(link),
        delta(json!({"type": "text_delta", "text": "Ninety."})),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        json!({"type": "message_stop"}),
    ]
    .into_iter()
    .map(frame)
    .collect();
    let events = documents(&told(&stream, ANTHROPIC, RESPONSES));
    let at = events.iter().position(|event| event["type"] == "response.output_text.annotation.added").unwrap();
    assert_eq!(events[at]["annotation"]["end_index"], 7);
    assert_eq!(events[at + 1]["type"], "response.output_text.done");
    let last = events.last().unwrap();
    assert_eq!(last["response"]["output"][0]["content"][0]["annotations"][0]["end_index"], 7);
}

#[test]
fn sources_are_told_wherever_servers_say_them_and_named_where_that_is_too_late() {
    let source = json!([{"title": "T", "link": "https://example.com"}]);
    let mut said = json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "Nine."}}]});
    let mut end = json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let late = json!({"id": "c", "model": "m", "choices": [], "citations": ["https://example.com"]});
    let named = "x-fastroute-dropped: choices[0].citations";
    let across = |stream: &[Value]| {
        let stream: Vec<_> = stream.iter().cloned().map(frame).collect();
        String::from_utf8(told(&stream, CHAT, ANTHROPIC).concat()).unwrap()
    };
    let told_late = across(&[said.clone(), end.clone(), late.clone()]);
    assert!(told_late.contains(named) && !told_late.contains("example.com"), "{told_late}");
    end["web_search"] = source.clone();
    let told_then = across(&[said.clone(), end, late]);
    assert!(told_then.contains("https://example.com") && !told_then.contains(named), "{told_then}");
    said["web_search"] = source;
    let end = json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    assert!(across(&[said, end]).contains("https://example.com"));
}
