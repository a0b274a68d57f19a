//! What is asked and answered in one dialect and has its place elsewhere in another, or none: it is there, or it is named.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails where it meets a failure, and takes JSON as it is written"
)]

use fastroute_core::dialects::{Dialect, DialectError};
use fastroute_core::passes::{Demands, WayBack};
use fastroute_core::translate::{self, Address, Translated};
use serde_json::{Value, json};

#[path = "dialects/names.rs"]
mod names;
use names::{ANTHROPIC, BEDROCK, CHAT, COHERE, ENVELOPE, GEMINI, OLLAMA, PIXEL, RESPONSES};

fn try_ask(body: &Value, source: Dialect, target: Dialect) -> Result<Translated, DialectError> {
    translate::request(body.to_string().as_bytes(), source, &Demands::of(target), Address::default())
}

fn ask(body: &Value, source: Dialect, target: Dialect) -> (Value, Vec<String>) {
    let told = try_ask(body, source, target).unwrap_or_else(|error| panic!("{}: {error}", target.name()));
    (serde_json::from_slice(&told.body).unwrap(), [told.dropped, told.changed].concat())
}

fn answer(body: &Value, source: Dialect, target: Dialect) -> Value {
    let said = translate::reply(body.to_string().as_bytes(), source, target, &WayBack::default(), &ENVELOPE);
    serde_json::from_slice(&said.unwrap_or_else(|error| panic!("{}: {error}", target.name()))).unwrap()
}

/// The messages of a request, whatever they are called.
fn messages(request: &Value) -> &Vec<Value> {
    let found = ["messages", "contents", "input"].into_iter().find_map(|name| request[name].as_array());
    found.unwrap_or_else(|| panic!("no messages: {request}"))
}

fn of_user(content: Value) -> Value {
    json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": content}]})
}

#[test]
fn a_message_of_which_nothing_can_be_said_still_says_that_there_was_one() {
    let empty = json!({"contents": [{"role": "user", "parts": [{}]}]});
    for target in [CHAT, RESPONSES, ANTHROPIC, COHERE, OLLAMA, BEDROCK] {
        let (said, named) = ask(&empty, GEMINI, target);
        let only = &messages(&said)[0];
        let content = ["content", "parts"].into_iter().find_map(|name| only.get(name)).unwrap();
        assert!(content.to_string().contains("could not be passed on"), "{}: {said}", target.name());
        assert_eq!(named, ["contents[0].parts[0]"], "{}", target.name());
    }
}

#[test]
fn words_are_put_into_nobodys_mouth() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "search"},
        {"role": "assistant", "content": [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}]},
        {"role": "user", "content": "and?"}]});
    for target in [CHAT, RESPONSES, GEMINI, COHERE, OLLAMA, BEDROCK] {
        let (said, named) = ask(&body, ANTHROPIC, target);
        let roles: Vec<_> = messages(&said).iter().map(|message| message["role"].as_str().unwrap()).collect();
        assert!(roles.iter().all(|role| *role == "user"), "{}: {said}", target.name());
        assert!(named.contains(&"messages[1].content[0]".to_owned()), "{}: {named:?}", target.name());
    }
}

#[test]
fn a_document_of_text_is_text_where_there_is_no_place_for_documents() {
    let source = json!({"type": "text", "media_type": "text/plain", "data": "Grüße"});
    let body = of_user(json!([{"type": "document", "source": source}]));
    for target in [COHERE, OLLAMA] {
        let (said, _) = ask(&body, ANTHROPIC, target);
        assert!(said["messages"][0]["content"].to_string().contains("Grüße"), "{}: {said}", target.name());
    }
}

#[test]
fn a_file_that_one_provider_stores_is_asked_of_no_other() {
    let stored = of_user(json!([{"type": "document", "source": {"type": "file", "file_id": "file_1"}}]));
    for target in [CHAT, RESPONSES, GEMINI, COHERE, OLLAMA, BEDROCK] {
        let refused = try_ask(&stored, ANTHROPIC, target).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("messages[0].content[0]"), "{}", target.name());
    }
    // OpenAI's two dialects have one store.
    let stored = of_user(json!([{"type": "file", "file": {"file_id": "file-1"}}]));
    let (said, _) = ask(&stored, CHAT, RESPONSES);
    assert_eq!(said["input"][0]["content"][0]["file_id"], "file-1");
    let picture =
        json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]});
    assert!(try_ask(&picture, RESPONSES, CHAT).is_err(), "chat has no pictures by id");
}

#[test]
fn a_picture_in_a_result_goes_behind_the_results_where_results_are_text() {
    let picture = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}});
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "shoot", "input": {}});
    let result = |id: &str, content: Value| json!({"type": "tool_result", "tool_use_id": id, "content": content});
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "shoot"},
        {"role": "assistant", "content": [call("toolu_1"), call("toolu_2")]},
        {"role": "user", "content": [result("toolu_1", json!([picture])), result("toolu_2", json!("dark")),
            {"type": "text", "text": "well?"}]}]});
    let (said, named) = ask(&body, ANTHROPIC, CHAT);
    let told = messages(&said);
    let roles: Vec<_> = told.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool", "user"]);
    assert_eq!((&told[2]["content"], &told[3]["content"]), (&json!("(see the next message)"), &json!("dark")));
    assert_eq!(told[4]["content"][0]["image_url"]["url"], format!("data:image/png;base64,{PIXEL}"));
    assert_eq!(told[4]["content"][1]["text"], "well?");
    assert_eq!(named, ["messages[2].content"]);
    // Where results hold pictures, it stays.
    let (said, _) = ask(&body, ANTHROPIC, RESPONSES);
    let output =
        messages(&said).iter().find(|item| item["call_id"] == "toolu_1" && item.get("output").is_some()).unwrap();
    assert_eq!(output["output"][0]["type"], "input_image");
}

#[test]
fn a_picture_that_the_model_made_is_shown_to_it_by_the_user() {
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "draw"}]},
        {"role": "model", "parts": [{"text": "here"}, {"inlineData": {"mimeType": "image/png", "data": PIXEL}}]},
        {"role": "user", "parts": [{"text": "bluer"}]}]});
    for target in [CHAT, RESPONSES, ANTHROPIC, COHERE, OLLAMA, BEDROCK] {
        let (said, named) = ask(&body, GEMINI, target);
        let told = messages(&said);
        assert_eq!(told.len(), 3, "{}: {said}", target.name());
        assert!(!told[1].to_string().contains(PIXEL) && told[2].to_string().contains(PIXEL), "{}", target.name());
        assert!(named.contains(&"contents[1].parts".to_owned()), "{}: {named:?}", target.name());
    }
}

fn picture_of_gemini() -> Value {
    json!({"responseId": "r", "modelVersion": "m", "candidates": [{"content": {"role": "model", "parts": [
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgpkcmFmdA=="}, "thought": true},
        {"text": "Here."}, {"inlineData": {"mimeType": "image/png", "data": PIXEL}}]}, "finishReason": "STOP"}]})
}

#[test]
fn a_picture_in_an_answer_is_where_clients_look_for_it() {
    let reply = picture_of_gemini();
    let chat = answer(&reply, GEMINI, CHAT);
    let message = &chat["choices"][0]["message"];
    assert_eq!(message["content"], "Here.");
    let images = json!([{"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PIXEL}")}}]);
    assert_eq!(message["images"], images);
    let responses = answer(&reply, GEMINI, RESPONSES);
    assert_eq!(responses["output"][1]["type"], "image_generation_call");
    assert_eq!(
        (&responses["output"][1]["result"], &responses["output"][1]["status"]),
        (&json!(PIXEL), &json!("completed"))
    );
    assert_eq!(answer(&reply, GEMINI, OLLAMA)["message"]["images"], json!([PIXEL]));
    assert!(answer(&reply, GEMINI, BEDROCK)["output"]["message"]["content"].to_string().contains(PIXEL));
    for target in [ANTHROPIC, COHERE, Dialect::OpenAiCompletions] {
        let said = answer(&reply, GEMINI, target).to_string();
        assert!(said.contains("here was image/png") && !said.contains(PIXEL), "{}: {said}", target.name());
    }
    // And back to whoever reads Gemini.
    for (told, source) in [(&chat, CHAT), (&responses, RESPONSES)] {
        let parts = &answer(told, source, GEMINI)["candidates"][0]["content"]["parts"];
        assert_eq!(parts[1]["inlineData"], json!({"mimeType": "image/png", "data": PIXEL}), "{}", source.name());
    }
}

#[test]
fn reasoning_that_nothing_proves_stays_beside_what_is_proven() {
    let reply = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [
        {"type": "thinking", "thinking": "First.", "signature": ""},
        {"type": "thinking", "thinking": "Second.", "signature": "c2ln"},
        {"type": "text", "text": "Nine."}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 1, "output_tokens": 1}});
    let mut unsigned = reply.clone();
    unsigned["content"][0].as_object_mut().unwrap().remove("signature");
    for reply in [reply, unsigned] {
        let chat = answer(&reply, ANTHROPIC, CHAT);
        let again = answer(&chat, CHAT, RESPONSES);
        let thoughts: Vec<_> =
            again["output"].as_array().unwrap().iter().filter(|item| item["type"] == "reasoning").collect();
        let texts: Vec<_> = thoughts.iter().map(|item| item["summary"][0]["text"].as_str().unwrap()).collect();
        assert_eq!(texts, ["First.", "Second."], "{chat}");
    }
}

#[test]
fn a_string_of_reasoning_is_read_where_its_details_say_less() {
    let thoughts = |message: Value| -> Vec<String> {
        let chat =
            json!({"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
        let said = answer(&chat, CHAT, ANTHROPIC);
        let blocks = said["content"].as_array().unwrap().iter().filter(|block| block["type"] != "text");
        blocks.map(|block| block["thinking"].as_str().or(block["data"].as_str()).unwrap().to_owned()).collect()
    };
    let text = |text: &str| json!({"type": "reasoning.text", "text": text, "signature": "c2ln"});
    let hidden = json!({"type": "reasoning.encrypted", "data": "YmxvYg=="});
    let message = |flat: &str, details: Value| json!({"role": "assistant", "content": "x", "reasoning": flat, "reasoning_details": details});
    assert_eq!(thoughts(message("A", json!([hidden]))), ["A", "YmxvYg=="]);
    assert_eq!(thoughts(message("A\n\nB\n\nC", json!([text("B")]))), ["A", "B", "C"]);
    assert_eq!(thoughts(message("AB", json!([text("A"), text("B")]))), ["A", "B"]);
    assert_eq!(thoughts(message("other words", json!([text("A")]))), ["A"]);
    assert_eq!(thoughts(message("A", json!([text("")]))), ["A"]);
}

#[test]
fn a_link_has_all_that_openai_says_a_link_has() {
    let reply = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [
        {"type": "text", "text": "Hé. "},
        {"type": "text", "text": "Nine.", "citations": [
            {"type": "web_search_result_location", "url": "https://example.com", "title": null, "cited_text": "nine",
             "encrypted_index": "x"},
            {"type": "char_location", "document_index": 0, "document_title": "Numbers", "cited_text": "nine",
             "start_char_index": 0, "end_char_index": 4}]}],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}});
    let links = &answer(&reply, ANTHROPIC, CHAT)["choices"][0]["message"]["annotations"];
    let link = |url: &str, title: &str| {
        json!({"type": "url_citation",
        "url_citation": {"url": url, "title": title, "start_index": 4, "end_index": 9}})
    };
    assert_eq!(links, &json!([link("https://example.com", "")]), "a link needs an address");
}

#[test]
fn counts_reach_clients_of_other_dialects_by_the_rule_of_their_provider() {
    let chat = |usage: Value| {
        json!({"id": "c", "model": "m", "usage": usage,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]})
    };
    let apart = chat(json!({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 115,
        "completion_tokens_details": {"reasoning_tokens": 100}}));
    assert_eq!(answer(&apart, CHAT, ANTHROPIC)["usage"]["output_tokens"], 103);
    let usage = &answer(&apart, CHAT, RESPONSES)["usage"];
    assert_eq!((&usage["output_tokens"], &usage["total_tokens"]), (&json!(103), &json!(115)));
    let outside = chat(json!({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15, "cached_tokens": 8}));
    assert_eq!(answer(&outside, CHAT, GEMINI)["usageMetadata"]["cachedContentTokenCount"], 8);
    let written = chat(json!({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_creation_input_tokens": 9}}));
    assert_eq!(answer(&written, CHAT, ANTHROPIC)["usage"]["cache_creation_input_tokens"], 9);
}

#[test]
fn a_spoken_answer_is_told_in_its_words() {
    let audio = json!({"id": "audio_1", "expires_at": 9, "data": "UklGRg==", "transcript": "Nine."});
    let chat = json!({"id": "c", "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": null, "audio": audio}}]});
    let said = answer(&chat, CHAT, GEMINI);
    let parts = &said["candidates"][0]["content"]["parts"];
    assert_eq!(parts, &json!([{"text": "Nine."}, {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}]));
    assert!(answer(&chat, CHAT, ANTHROPIC)["content"][0]["text"].as_str().unwrap().starts_with("Nine."));
    let own = answer(&chat, CHAT, CHAT);
    assert_eq!(
        (&own["choices"][0]["message"]["audio"], &own["choices"][0]["message"]["content"]),
        (&audio, &Value::Null)
    );
}

#[test]
fn sources_that_stand_beside_the_choices_are_citations_elsewhere() {
    let chat = json!({"id": "c", "model": "m", "citations": ["https://example.com"],
        "search_results": [{"title": "T", "url": "https://example.com", "date": null}],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Nine.[1]"}, "finish_reason": "stop"}]});
    let said = answer(&chat, CHAT, RESPONSES);
    let links = &said["output"][0]["content"][0]["annotations"];
    assert_eq!(
        links,
        &json!([{"type": "url_citation", "url": "https://example.com", "title": "T", "start_index": 0, "end_index": 8}])
    );
    assert!(answer(&chat, CHAT, CHAT)["choices"][0]["message"].get("annotations").is_none());
}

#[test]
fn a_source_without_an_address_is_shown_by_its_name_where_it_need_not_be_a_link() {
    let cohere = json!({"id": "c", "finish_reason": "COMPLETE", "message": {"role": "assistant",
        "content": [{"type": "text", "text": "Nine."}], "citations": [{"start": 0, "end": 4, "text": "Nine",
        "sources": [{"type": "document", "id": "doc:0", "document": {"id": "doc:0", "snippet": "9"}}], "type": "TEXT_CONTENT"}]}});
    assert_eq!(answer(&cohere, COHERE, CHAT)["choices"][0]["message"].get("annotations"), None);
    assert_eq!(answer(&cohere, COHERE, RESPONSES)["output"][0]["content"][0]["annotations"], json!([]));
    let said = answer(&cohere, COHERE, ANTHROPIC);
    assert_eq!(said["content"][0]["citations"][0]["title"], "doc:0");
    let file = json!({"type": "file_citation", "file_id": "file-1", "filename": "a.pdf", "index": 5});
    let responses = json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [
            {"type": "output_text", "text": "Nine.", "annotations": [file], "logprobs": []}]}]});
    let cited = &answer(&responses, RESPONSES, GEMINI)["candidates"][0]["groundingMetadata"]["groundingChunks"];
    assert_eq!(cited, &json!([{"web": {"title": "a.pdf"}}]));
    assert_eq!(answer(&responses, RESPONSES, RESPONSES)["output"][0]["content"][0]["annotations"], json!([file]));
}

#[test]
fn no_arguments_are_no_arguments_in_whatever_word() {
    for nothing in ["", "null", "{}"] {
        let call = json!({"id": "call_1", "type": "function", "function": {"name": "now", "arguments": nothing}});
        let chat = json!({"id": "c", "model": "m", "choices": [{"index": 0, "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": null, "tool_calls": [call]}}]});
        let args = answer(&chat, CHAT, GEMINI)["candidates"][0]["content"]["parts"][0]["functionCall"]["args"].clone();
        assert!(matches!(args.to_string().as_str(), "null" | "{}"), "{nothing}: {args}");
    }
}

#[test]
fn the_proof_of_a_summary_comes_back_to_who_made_it() {
    let reply = json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAA"},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "Nine.", "annotations": [], "logprobs": []}]}]});
    let asked = try_ask(&of_user(json!("hi")), CHAT, RESPONSES).unwrap();
    let said = translate::reply(reply.to_string().as_bytes(), RESPONSES, CHAT, &asked.way_back, &ENVELOPE).unwrap();
    let said: Value = serde_json::from_slice(&said).unwrap();
    let history = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}, said["choices"][0]["message"],
        {"role": "user", "content": "and?"}]});
    let (again, _) = ask(&history, CHAT, RESPONSES);
    let thought = messages(&again).iter().find(|item| item["type"] == "reasoning").unwrap();
    assert_eq!(thought["encrypted_content"], "gAAA", "{said}");
    assert_eq!(thought["summary"][0]["text"], "Hm.");
}

#[test]
fn links_beside_other_annotations_are_links_elsewhere() {
    let link = json!({"type": "url_citation", "url_citation": {"url": "https://sea.example", "title": "Sea", "start_index": 0, "end_index": 7}});
    let annotations = json!([{"type": "file", "file": {"hash": "a1", "name": "sea.pdf"}}, link]);
    let chat = json!({"id": "c", "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "The sea is wide.", "annotations": annotations}}]});
    assert_eq!(answer(&chat, CHAT, ANTHROPIC)["content"][0]["citations"][0]["url"], "https://sea.example");
    assert_eq!(answer(&chat, CHAT, CHAT)["choices"][0]["message"]["annotations"], annotations);
}
