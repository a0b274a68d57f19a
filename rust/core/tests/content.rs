//! What a user sends to be read reaches the model, or the request is refused where the client wrote it: an answer without it
//! would be one to another question. Settings are left out and named.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails where it meets a failure, and takes JSON as it is written"
)]

use fastroute_core::dialects::{Dialect, DialectError};
use fastroute_core::passes::{Capabilities, Demands, OnLoss};
use fastroute_core::quirks::Quirks;
use fastroute_core::translate::{self, Address, Translated};
use serde_json::{Value, json};

#[path = "dialects/names.rs"]
mod names;
use names::{ANTHROPIC, BEDROCK, CHAT, COHERE, GEMINI, OLLAMA, RESPONSES};
const TARGETS: [Dialect; 7] = [CHAT, RESPONSES, ANTHROPIC, GEMINI, COHERE, OLLAMA, BEDROCK];
const EVERY: [OnLoss; 3] = [OnLoss::Drop, OnLoss::Reject, OnLoss::Emulate];

fn ask(body: &Value, source: Dialect, target: Dialect, on_loss: OnLoss) -> Result<Translated, DialectError> {
    let demands = Demands::new(target, Capabilities::default(), Quirks::default(), on_loss);
    translate::request(body.to_string().as_bytes(), source, &demands, Address::default())
}

/// Refused by every target but these, whatever is to become of losses, and at this place.
fn refused(body: &Value, source: Dialect, but: &[Dialect], place: &str) {
    for target in TARGETS.into_iter().filter(|target| *target != source && !but.contains(target)) {
        for on_loss in EVERY {
            let Err(error) = ask(body, source, target, on_loss) else { panic!("{} took {place}", target.name()) };
            assert_eq!(error.param.as_deref(), Some(place), "{}: {error}", target.name());
        }
    }
    for target in but {
        let taken = ask(body, source, *target, OnLoss::Drop);
        assert!(taken.is_ok(), "{}: {}", target.name(), taken.unwrap_err());
    }
}

fn said(body: &Value, source: Dialect, target: Dialect) -> (Value, Vec<String>) {
    let told = ask(body, source, target, OnLoss::Drop).unwrap_or_else(|error| panic!("{}: {error}", target.name()));
    (serde_json::from_slice(&told.body).unwrap(), [told.dropped, told.changed].concat())
}

fn of_user(content: Value) -> Value {
    json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": content}]})
}

fn of_parts(parts: Value) -> Value {
    json!({"contents": [{"role": "user", "parts": parts}]})
}

#[test]
fn a_part_that_the_target_has_no_word_for_is_refused() {
    let text = json!({"type": "text", "text": "what is this?"});
    let video = json!({"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}});
    refused(&of_user(json!([text, video])), CHAT, &[GEMINI], "messages[0].content[1]");
    let new = json!({"type": "hologram", "hologram": {"url": "https://example.com/a"}});
    refused(&of_user(json!([text, new])), CHAT, &[], "messages[0].content[1]");
    let upload = json!([text, {"type": "container_upload", "file_id": "file_1"}]);
    refused(&of_user(upload), ANTHROPIC, &[], "messages[0].content[1]");
    let code = json!([{"text": "run"}, {"executableCode": {"language": "PYTHON", "code": "1"}}]);
    refused(&of_parts(code), GEMINI, &[], "contents[0].parts[1]");
    let bitmap = json!([text, {"type": "image_url", "image_url": {"url": "data:image/bmp;base64,Qk0="}}]);
    let bitmap = ask(&of_user(bitmap), CHAT, BEDROCK, OnLoss::Drop).unwrap_err();
    assert_eq!(bitmap.param.as_deref(), Some("messages[0].content[1]"));
}

#[test]
fn an_empty_part_is_nothing_to_miss() {
    let (said, _) = said(&of_parts(json!([{"text": "hi"}, {}])), GEMINI, CHAT);
    assert_eq!(said["messages"][0]["content"], "hi");
}

#[test]
fn a_video_reaches_who_sees_it() {
    let of_url = |url: &str| of_user(json!([{"type": "video_url", "video_url": {"url": url}}]));
    let (asked, _) = said(&of_url("data:video/mp4;base64,AAAA"), CHAT, GEMINI);
    let part = json!({"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}});
    assert_eq!(asked["contents"][0]["parts"][0], part);
    let (asked, _) = said(&of_url("https://example.com/a.mp4"), CHAT, GEMINI);
    assert_eq!(asked["contents"][0]["parts"][0]["fileData"]["fileUri"], "https://example.com/a.mp4");
    let film = of_parts(json!([{"fileData": {"fileUri": "https://youtu.be/x", "mimeType": "video/mp4"}}]));
    for target in [ANTHROPIC, RESPONSES, BEDROCK, COHERE, OLLAMA] {
        let error = ask(&film, GEMINI, target, OnLoss::Drop).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("contents[0].parts[0]"), "{}", target.name());
    }
}

#[test]
fn a_file_in_somebodys_store_is_asked_of_no_other() {
    for uri in ["gs://bucket/a.pdf", "https://generativelanguage.googleapis.com/v1beta/files/x1"] {
        let body = of_parts(json!([{"text": "read"}, {"fileData": {"fileUri": uri, "mimeType": "application/pdf"}}]));
        refused(&body, GEMINI, &[], "contents[0].parts[1]");
    }
    let s3 = of_user(json!([{"type": "document", "source": {"type": "url", "url": "s3://bucket/a.pdf"}}]));
    refused(&s3, ANTHROPIC, &[BEDROCK], "messages[0].content[0]");
}

#[test]
fn what_only_the_clients_provider_keeps_is_refused_elsewhere() {
    let contents = json!([{"role": "user", "parts": [{"text": "and?"}]}]);
    refused(&json!({"contents": contents, "cachedContent": "cachedContents/x"}), GEMINI, &[], "cachedContent");
    let prompt = json!({"model": "m", "input": "hi", "prompt": {"id": "pmpt_1"}});
    refused(&prompt, RESPONSES, &[], "prompt");
    let input = json!([{"role": "user", "content": "hi"}, {"type": "item_reference", "id": "msg_1"}]);
    refused(&json!({"model": "m", "input": input}), RESPONSES, &[], "input[1]");
    let compacted = json!([{"type": "compaction", "encrypted_content": "x"}, {"role": "user", "content": "hi"}]);
    refused(&json!({"model": "m", "input": compacted}), RESPONSES, &[], "input[0]");
    let thought = json!([{"type": "item_reference", "id": "rs_1"}, {"role": "user", "content": "hi"}]);
    let (_, named) = said(&json!({"model": "m", "input": thought}), RESPONSES, CHAT);
    assert_eq!(named, ["input[0]"], "what was thought can be done without");
    let documents = json!({"model": "m", "documents": ["Nine."], "messages": [{"role": "user", "content": "hi"}]});
    refused(&documents, COHERE, &[], "documents");
    let none = json!({"model": "m", "documents": [], "messages": [{"role": "user", "content": "hi"}]});
    assert!(ask(&none, COHERE, CHAT, OnLoss::Reject).is_ok());
}

#[test]
fn a_tool_that_is_forced_can_be_called_or_the_request_is_refused() {
    let hosted = json!({"type": "web_search"});
    let function = json!({"type": "function", "name": "f", "parameters": {"type": "object"}});
    let body =
        |tools: Value, choice: Value| json!({"model": "m", "input": "hi", "tools": tools, "tool_choice": choice});
    refused(&body(json!([hosted, function]), hosted.clone()), RESPONSES, &[], "tool_choice");
    refused(&body(json!([hosted]), json!("required")), RESPONSES, &[], "tool_choice");
    let (_, named) = said(&body(json!([hosted, function]), json!("required")), RESPONSES, CHAT);
    assert_eq!(named, ["tools[0]"]);
    let (_, named) = said(&body(json!([hosted]), json!("auto")), RESPONSES, ANTHROPIC);
    assert_eq!(named, ["tools[0]"], "that there is a choice among nothing is no loss");
    let tool = json!({"type": "web_search_20250305", "name": "web_search"});
    let mut search = of_user(json!("hi"));
    search["tools"] = json!([tool]);
    search["tool_choice"] = json!({"type": "tool", "name": "web_search"});
    refused(&search, ANTHROPIC, &[], "tool_choice");
    // Mistral's word for any tool, as its clients say it to chat.
    let mut any = of_user(json!("hi"));
    any["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    any["tool_choice"] = json!("any");
    assert_eq!(said(&any, CHAT, ANTHROPIC).0["tool_choice"], json!({"type": "any"}));
    any["tool_choice"] = json!({"type": "tool", "name": "f"});
    assert_eq!(said(&any, CHAT, ANTHROPIC).0["tool_choice"], json!({"type": "tool", "name": "f"}));
}

#[test]
fn what_is_text_all_the_same_is_told_as_text() {
    let found = json!({"type": "search_result", "source": "https://sea.example", "title": "Sea",
        "content": [{"type": "text", "text": "It is wide."}]});
    let document =
        json!({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "Nine."}]}});
    for target in [CHAT, RESPONSES, GEMINI, COHERE, OLLAMA, BEDROCK] {
        let (asked, named) = said(&of_user(json!([found, document])), ANTHROPIC, target);
        let asked = asked.to_string();
        for words in ["Sea", "https://sea.example", "It is wide.", "Nine."] {
            assert!(asked.contains(words), "{}: {asked}", target.name());
        }
        assert_eq!(named, ["messages[0].content[0]", "messages[0].content[1]"], "{}", target.name());
    }
}

#[test]
fn a_sound_is_of_a_format_that_openai_has_a_word_for() {
    for (kind, format) in [("audio/mpeg", "mp3"), ("audio/x-wav", "wav"), ("audio/wav", "wav"), ("audio/flac", "flac")]
    {
        let sound = of_parts(json!([{"inlineData": {"mimeType": kind, "data": "UklG"}}]));
        let (asked, _) = said(&sound, GEMINI, CHAT);
        let part = json!({"type": "input_audio", "input_audio": {"data": "UklG", "format": format}});
        assert_eq!(asked["messages"][0]["content"][0], part);
    }
}

#[test]
fn what_a_conversation_came_to_is_told_in_its_words() {
    let body = json!({"model": "m", "max_tokens": 99, "messages": [
        {"role": "assistant", "content": [{"type": "compaction", "content": "They spoke of the sea."}]},
        {"role": "user", "content": "and?"}]});
    for target in [CHAT, RESPONSES, GEMINI, COHERE, OLLAMA, BEDROCK] {
        let (asked, _) = said(&body, ANTHROPIC, target);
        assert!(asked.to_string().contains("They spoke of the sea."), "{}: {asked}", target.name());
    }
}

#[test]
fn parts_as_other_servers_of_chat_have_them_are_understood() {
    let parts = json!([{"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "document_url", "document_url": "https://example.com/a.pdf"}]);
    let sound = of_user(json!([{"type": "input_audio", "input_audio": "UklGRg=="}]));
    let wave = json!({"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}});
    assert_eq!(said(&sound, CHAT, GEMINI).0["contents"][0]["parts"][0], wave);
    let (asked, _) = said(&of_user(parts), CHAT, ANTHROPIC);
    let content = &asked["messages"][0]["content"];
    assert_eq!(content[0]["source"], json!({"type": "url", "url": "https://example.com/a.png"}));
    assert_eq!(content[1]["source"], json!({"type": "url", "url": "https://example.com/a.pdf"}));
}

#[test]
fn which_tools_were_found_may_be_left_out() {
    let body = json!({"model": "m", "max_tokens": 99, "messages": [
        {"role": "user", "content": "find"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "find", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1",
            "content": [{"type": "tool_reference", "tool_name": "f"}]}]}]});
    for target in [CHAT, RESPONSES, GEMINI, COHERE, OLLAMA, BEDROCK] {
        let (_, named) = said(&body, ANTHROPIC, target);
        assert_eq!(named, ["messages[2].content[0].content[0]"], "{}", target.name());
    }
}
