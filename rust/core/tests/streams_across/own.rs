//! What only its own dialect knows of a stream, where the stream is written anew in that dialect.

use serde_json::{Value, json};

use super::{ANTHROPIC, CHAT, COHERE, RESPONSES, documents, frame, told};

fn of_kind<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

#[test]
fn a_part_that_nobody_knows_has_its_place_among_the_others() {
    let message = |content: Value| json!({"type": "message", "id": "msg_1", "role": "assistant", "content": content});
    let at = |kind: &str, content_index: u32, more: Value| {
        let mut event = json!({"type": kind, "item_id": "msg_1", "output_index": 0, "content_index": content_index});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let (sound, heard) = (json!({"type": "output_sound"}), json!({"type": "output_sound", "data": "UklG"}));
    let text = json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
    let stream: Vec<_> = [
        json!({"type": "response.created", "response": {"id": "resp_1", "model": "m", "output": []}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": message(json!([]))}),
        at("response.content_part.added", 0, json!({"part": sound})),
        at("response.content_part.done", 0, json!({"part": heard})),
        at("response.content_part.added", 1, json!({"part": text})),
        at("response.output_text.delta", 1, json!({"delta": "Nine."})),
        json!({"type": "response.output_item.done", "output_index": 0, "item": message(json!([]))}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": []}}),
    ]
    .into_iter()
    .map(frame)
    .collect();
    let events = documents(&told(&stream, RESPONSES, RESPONSES));
    let added = of_kind(&events, "response.content_part.added");
    let places: Vec<_> = added.iter().map(|event| (&event["part"]["type"], &event["content_index"])).collect();
    assert_eq!(places, [(&json!("output_sound"), &json!(0)), (&json!("output_text"), &json!(1))]);
    assert_eq!(of_kind(&events, "response.output_text.delta")[0]["content_index"], 1);
    let item = &of_kind(&events, "response.output_item.done")[0]["item"];
    assert_eq!((&item["content"][0], &item["content"][1]["text"]), (&heard, &json!("Nine.")));
    // Another dialect names it.
    let said = String::from_utf8(told(&stream, RESPONSES, CHAT).concat()).unwrap();
    assert!(said.contains(": x-fastroute-dropped: choices[0].output_sound\n\n"), "{said}");
}

#[test]
fn items_that_share_a_number_get_one_each() {
    let item = |id: &str| {
        let text = json!({"type": "output_text", "text": id, "annotations": [], "logprobs": []});
        json!({"type": "message", "id": id, "role": "assistant", "content": [text]})
    };
    let begun = |id: &str| json!({"type": "message", "id": id, "role": "assistant", "content": []});
    let stream: Vec<_> = [
        json!({"type": "response.created", "response": {"id": "resp_1", "model": "m", "output": []}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": begun("one")}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item("one")}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": begun("two")}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item("two")}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed"}}),
    ]
    .into_iter()
    .map(frame)
    .collect();
    let events = documents(&told(&stream, RESPONSES, RESPONSES));
    let done: Vec<_> = of_kind(&events, "response.output_item.done");
    let places: Vec<_> = done.iter().map(|event| (&event["item"]["id"], &event["output_index"])).collect();
    assert_eq!(places, [(&json!("one"), &json!(0)), (&json!("two"), &json!(1))]);
}

#[test]
fn events_that_nobody_knows_are_none_of_ours() {
    let cohere: Vec<_> = [
        json!({"type": "message-start", "id": "r", "delta": {"message": {"role": "assistant"}}}),
        json!({"type": "rest", "note": 1}),
        json!({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": "A"}}}}),
        json!({"type": "content-end", "index": 0}),
        json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}),
    ]
    .into_iter()
    .map(frame)
    .collect();
    let events = documents(&told(&cohere, COHERE, COHERE));
    assert!(events.contains(&json!({"type": "rest", "note": 1})), "{events:?}");
    assert!(events.iter().filter(|event| event["type"] != "rest").all(|event| event["note"].is_null()), "{events:?}");
    let item = json!({"type": "item", "x": 1});
    let responses: Vec<_> = [
        json!({"type": "response.created", "response": {"id": "resp_1", "model": "m", "output": []}}),
        item,
        json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": []}}),
    ]
    .into_iter()
    .map(frame)
    .collect();
    let events = documents(&told(&responses, RESPONSES, RESPONSES));
    assert_eq!(of_kind(&events, "item")[0]["x"], 1);
    assert!(of_kind(&events, "response.output_item.added").is_empty(), "{events:?}");
    let anthropic: Vec<_> = [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": []}}),
        json!({"type": "content_block", "x": 1}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "A"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        json!({"type": "message_stop"}),
    ]
    .into_iter()
    .map(frame)
    .collect();
    let events = documents(&told(&anthropic, ANTHROPIC, ANTHROPIC));
    assert_eq!(of_kind(&events, "content_block")[0]["x"], 1);
    assert_eq!(of_kind(&events, "content_block_start")[0]["content_block"], json!({"type": "text", "text": ""}));
}
