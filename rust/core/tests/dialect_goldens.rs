//! What a dialect says, it reads and says again: the cases under `tests/golden/dialects`, one behaviour each.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the functions of a test meet is a failure of the test")]

use std::fs;
use std::path::{Path, PathBuf};

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::fold::{Fold, FoldError};
use fastroute_core::dialects::message::{Envelope, Event, Request};
use serde_json::Value;

#[path = "dialects/same.rs"]
mod same;
use same::assert_same;
#[path = "dialects/wire.rs"]
mod wire;

/// The files of one kind, by name; a kind without files would prove nothing.
fn cases(dialect: Dialect, kind: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/dialects");
    let folder = root.join(dialect.name()).join(kind);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no cases in {}", folder.display());
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

#[test]
fn every_request_is_said_again_as_it_was_said() {
    for dialect in Dialect::ALL.iter().copied() {
        for (path, body) in cases(dialect, "requests") {
            let request =
                dialect.parse_request(body.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let rendered = dialect.render_request(&request).unwrap();
            assert_same(&json(&rendered.body), &json(body.as_bytes()), &path.display());
            assert!(rendered.dropped.is_empty(), "{:?}", rendered.dropped);
        }
    }
}

#[test]
fn every_reply_is_said_again_as_it_was_said() {
    for dialect in Dialect::ALL.iter().copied() {
        for (path, body) in cases(dialect, "replies") {
            let reply =
                dialect.parse_reply(body.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let rendered = dialect.render_reply(&reply, &Envelope::default()).unwrap();
            assert_same(&json(&rendered), &json(body.as_bytes()), &path.display());
        }
    }
}

#[test]
fn every_error_is_said_again_as_it_was_said() {
    for dialect in Dialect::ALL.iter().copied() {
        if dialect == Dialect::OpenAiEmbeddings {
            // Its errors are those of chat, read and written by the same functions.
            continue;
        }
        for (path, body) in cases(dialect, "errors") {
            let rendered = dialect.render_error(&dialect.parse_error(body.as_bytes()));
            assert_same(&json(&rendered), &json(body.as_bytes()), &path.display());
        }
    }
}

fn data_lines(stream: &str) -> impl Iterator<Item = &str> {
    stream.lines().filter_map(|line| line.strip_prefix("data: "))
}

/// Name and data of each event; cases have one line of data each. Ollama has lines alone, without frames, and Bedrock
/// binary messages.
fn frames(dialect: Dialect, stream: &[u8]) -> Vec<(String, String)> {
    if dialect == Dialect::BedrockConverse {
        return wire::events(dialect, stream);
    }
    let stream = std::str::from_utf8(stream).unwrap();
    if dialect == Dialect::Ollama {
        return stream.lines().map(|line| (String::new(), line.to_owned())).collect();
    }
    let mut name = "";
    let mut found = Vec::new();
    for line in stream.lines() {
        if let Some(named) = line.strip_prefix("event: ") {
            name = named;
        } else if let Some(data) = line.strip_prefix("data: ") {
            found.push((std::mem::take(&mut name).to_owned(), data.to_owned()));
        }
    }
    found
}

#[test]
fn a_stream_in_a_dialects_own_form_comes_out_as_it_went_in() {
    for dialect in Dialect::ALL.iter().copied() {
        if dialect.reader().is_none() {
            continue;
        }
        for (path, stream) in cases(dialect, "streams") {
            let envelope = Envelope { include_usage: stream.contains("\"usage\""), ..Envelope::default() };
            let (mut reader, mut writer) = (dialect.reader().unwrap(), dialect.writer(&envelope).unwrap());
            let stream = wire::bytes(dialect, &stream);
            let mut out = Vec::new();
            for (name, data) in frames(dialect, &stream) {
                for event in reader.parse_event(&name, data.as_bytes()).unwrap() {
                    writer.render_event(&event, &mut out);
                }
            }
            for event in reader.end() {
                writer.render_event(&event, &mut out);
            }
            let (said, expected) = (frames(dialect, &out), frames(dialect, &stream));
            assert_eq!(said.len(), expected.len(), "{}:\n{said:#?}", path.display());
            for ((named, said), (name, expected)) in said.into_iter().zip(expected) {
                assert_eq!(named, name, "{}", path.display());
                if expected == "[DONE]" {
                    assert_eq!(said, expected);
                } else {
                    assert_same(&json(said.as_bytes()), &json(expected.as_bytes()), &path.display());
                }
            }
        }
    }
}

#[test]
fn a_stream_folds_into_the_reply_it_tells() {
    let said = |name: &str| {
        let (_, stream) =
            cases(Dialect::OpenAiChat, "streams").into_iter().find(|(path, _)| path.ends_with(name)).unwrap();
        let mut reader = Dialect::OpenAiChat.reader().unwrap();
        let mut fold = Fold::new(1 << 20);
        for data in data_lines(&stream) {
            for event in reader.parse_event("", data.as_bytes()).unwrap() {
                fold.add(&event).unwrap();
            }
        }
        fold.finish()
    };
    let text: Vec<_> =
        said("two_choices.sse").unwrap().choices.iter().map(|choice| choice.turn.texts().collect::<String>()).collect();
    assert_eq!(text, ["A", "BC"]);
    let logprobs = said("logprobs.sse").unwrap().choices.remove(0).logprobs;
    let logprobs = json(logprobs.unwrap().as_str().as_bytes());
    assert_eq!(logprobs["content"][1]["token"], "ne");
    assert_eq!(logprobs["refusal"], Value::Null);
    assert!(matches!(said("error_in_the_middle.sse"), Err(FoldError::Failed(_))));
}

#[test]
fn a_stream_that_stops_in_the_middle_gives_no_reply() {
    for (path, stream) in cases(Dialect::OpenAiChat, "streams") {
        let lines: Vec<_> = data_lines(&stream).collect();
        let last_finish = lines.iter().rposition(|line| line.contains(r#""finish_reason":""#));
        for cut in 0..last_finish.unwrap_or(0) {
            let mut reader = Dialect::OpenAiChat.reader().unwrap();
            let mut fold = Fold::new(1 << 20);
            for data in &lines[..cut] {
                for event in reader.parse_event("", data.as_bytes()).unwrap() {
                    fold.add(&event).unwrap();
                }
            }
            assert_eq!(fold.finish(), Err(FoldError::Unfinished), "{} cut at {cut}", path.display());
        }
    }
}

#[test]
fn a_fold_holds_no_more_than_it_may() {
    let mut fold = Fold::new(1000);
    let delta = Event::ReasoningDelta { choice: 0, text: "0123456789".into() };
    let refused = (0..).map(|_| fold.add(&delta)).find_map(Result::err);
    assert_eq!(refused, Some(FoldError::TooLarge { limit: 1000 }));
}

#[test]
fn usage_reaches_only_those_who_asked() {
    let (_, stream) = cases(Dialect::OpenAiChat, "streams")
        .into_iter()
        .find(|(path, _)| path.ends_with("text_with_usage.sse"))
        .unwrap();
    let mut reader = Dialect::OpenAiChat.reader().unwrap();
    let mut writer = Dialect::OpenAiChat.writer(&Envelope::default()).unwrap();
    let mut out = Vec::new();
    for data in data_lines(&stream) {
        for event in reader.parse_event("", data.as_bytes()).unwrap() {
            writer.render_event(&event, &mut out);
        }
    }
    let out = String::from_utf8(out).unwrap();
    assert!(!out.contains("usage"), "{out}");
    assert!(out.ends_with("data: [DONE]\n\n"));
}

#[test]
fn nothing_follows_an_error_not_even_the_end() {
    let mut writer = Dialect::OpenAiChat.writer(&Envelope::default()).unwrap();
    let error = Dialect::OpenAiChat.parse_error(br#"{"error":"lost"}"#).into_owned();
    let mut out = Vec::new();
    for event in [Event::Error(error), Event::Done] {
        writer.render_event(&event, &mut out);
    }
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "data: {\"error\":{\"message\":\"lost\",\"type\":\"api_error\",\"param\":null,\"code\":null}}\n\n"
    );
}

#[test]
fn no_frame_holds_a_line_end_of_its_own() {
    let mut reader = Dialect::OpenAiChat.reader().unwrap();
    let mut writer = Dialect::OpenAiChat.writer(&Envelope::default()).unwrap();
    // A `data:` field of several lines arrives with their ends in it.
    let chunk = b"{\"id\":\"c\",\"odd\":{\n\"a\":\r\n1},\n\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\nb\"},\"logprobs\":{\n\"content\":[]}}]}";
    let mut out = Vec::new();
    for event in reader.parse_event("", chunk).unwrap() {
        writer.render_event(&event, &mut out);
    }
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out.split_inclusive("\n\n").count(), 2, "{out}");
    for frame in out.split_terminator("\n\n") {
        json(frame.strip_prefix("data: ").unwrap().as_bytes());
        assert!(!frame.contains(['\n', '\r']), "{frame}");
    }
}

#[test]
fn requests_that_cannot_be_understood_are_refused_where_they_go_wrong() {
    for (body, pointer) in [
        (r#"{"messages":[{"role":"user","content":"a"}]}"#, "/model"),
        (r#"{"model":null,"messages":[{"role":"user","content":"a"}]}"#, "/model"),
        (r#"{"model":"m"}"#, "/messages"),
        (r#"{"model":"m","messages":[]}"#, "/messages"),
        (r#"{"model":"m","messages":"a"}"#, "/messages"),
        (r#"{"model":"m","messages":[{"role":"pirate","content":"a"}]}"#, "/messages/0/role"),
        (r#"{"model":"m","messages":[{"role":"user"}]}"#, "/messages/0/content"),
        (r#"{"model":"m","messages":[{"role":"user","content":7}]}"#, "/messages/0/content"),
        (r#"{"model":"m","messages":[{"role":"user","content":["a"]}]}"#, "/messages/0/content/0"),
        (r#"{"model":"m","messages":[{"role":"user","content":[{"text":"a"}]}]}"#, "/messages/0/content/0/type"),
        (r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#, "/messages/0/content/0/text"),
        (r#"{"model":"m","messages":[{"role":"tool","content":"a"}]}"#, "/messages/0/tool_call_id"),
        (
            r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"function"}]}]}"#,
            "/messages/0/tool_calls/0/function",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{}}]}"#,
            "/tools/0/function/name",
        ),
        (r#"{"model":"m","messages":[{"role":"user","content":"a"}],"temperature":"hot"}"#, "/temperature"),
        (r#"{"model":"m","messages":[{"role":"user","content":"a"}],"max_tokens":-1}"#, "/max_tokens"),
        (r#"{"model":"m","messages":[{"role":"user","content":"a"}],"stream":1}"#, "/stream"),
        (r#"{"model":"m","messages":[{"role":"user","content":"a"}],"stop":["a",1]}"#, "/stop/1"),
        (r#"{"model":"m","model":"m","messages":[]}"#, ""),
        (r#"{"model":"m""#, ""),
        ("[]", ""),
        ("", ""),
    ] {
        let error = Dialect::OpenAiChat.parse_request(body.as_bytes()).unwrap_err();
        assert_eq!(error.pointer, pointer, "{body}: {error}");
    }
}

#[test]
fn what_another_dialect_said_is_dropped_and_named() {
    use fastroute_core::dialects::message::{Block, Content, Extra, Json, Role, Turn};
    let other = Dialect::OpenAiEmbeddings;
    let raw = || Json::parse("{}").unwrap();
    let body = br#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#;
    let Request::Chat(mut chat) = Dialect::OpenAiChat.parse_request(body).unwrap() else {
        panic!("not a chat");
    };
    chat.extras.push(Extra { dialect: other, name: "context_management".into(), value: raw() });
    let opaque = Block::new(Content::Opaque { dialect: other, raw: raw() });
    chat.turns.push(Turn::new(Role::User, vec![Block::text("b"), opaque]));
    let rendered = Dialect::OpenAiChat.render_request(&Request::Chat(chat)).unwrap();
    assert_eq!(rendered.dropped, ["context_management", "messages[1].content[1]"]);
    assert_eq!(json(&rendered.body)["messages"][1]["content"], "b");
}

#[test]
fn results_in_a_users_turn_become_messages_before_what_the_user_says() {
    use fastroute_core::dialects::message::{Block, CallKind, ChatRequest, Content, Role, Spelling, ToolResult, Turn};
    let result = |id: &'static str| {
        Block::new(Content::ToolResult(ToolResult {
            kind: CallKind::Function,
            call_id: id.into(),
            name: None,
            blocks: vec![Block::text("4 m")],
            spelling: Spelling::Plain,
            is_error: None,
        }))
    };
    let chat = ChatRequest {
        model: "m".into(),
        turns: vec![Turn::new(Role::User, vec![Block::text("And now?"), result("a"), result("b")])],
        ..ChatRequest::default()
    };
    let rendered = Dialect::OpenAiChat.render_request(&Request::Chat(chat)).unwrap();
    let said = json(&rendered.body);
    let roles: Vec<_> = said["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["tool", "tool", "user"]);
    assert_eq!(said["messages"][1]["tool_call_id"], "b");
    assert_eq!(said["messages"][2]["content"], "And now?");
}

#[test]
fn a_dialect_refuses_what_it_has_no_words_for() {
    let chat = br#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#;
    let request = Dialect::OpenAiChat.parse_request(chat).unwrap();
    let error = Dialect::OpenAiEmbeddings.render_request(&request).unwrap_err();
    assert_eq!(error.to_string(), "cannot be said in openai_embeddings");
}

#[test]
fn a_reply_that_ended_in_an_error_is_not_passed_off_as_an_answer() {
    let body =
        br#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Ha"},"finish_reason":"error"}]}"#;
    let reply = Dialect::OpenAiChat.parse_reply(body).unwrap();
    let error = Dialect::OpenAiChat.render_reply(&reply, &Envelope::default()).unwrap_err();
    assert_eq!(error.pointer, "/choices/0/finish_reason");
}

#[test]
fn a_reply_that_left_things_out_is_completed() {
    let body = br#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"eos"}]}"#;
    let reply = Dialect::OpenAiChat.parse_reply(body).unwrap();
    let envelope = Envelope { id: "chatcmpl-ours", model: "m-1", created_s: 7, include_usage: false };
    let rendered = Dialect::OpenAiChat.render_reply(&reply, &envelope).unwrap();
    let expected = r#"{"id":"chatcmpl-ours","object":"chat.completion","created":7,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},"logprobs":null,"finish_reason":"stop","native_finish_reason":"eos"}]}"#;
    assert_same(&json(&rendered), &json(expected.as_bytes()), &"completed");
}

#[test]
fn a_refused_request_is_answered_in_the_clients_own_form() {
    let error = Dialect::OpenAiChat.parse_request(br#"{"model":"m","messages":[{"role":"user"}]}"#).unwrap_err();
    let said = json(&Dialect::OpenAiChat.render_error(&error.to_reply()));
    let expected = br#"{"error":{"message":"messages[0].content: is required","type":"invalid_request_error","param":"messages[0].content","code":null}}"#;
    assert_same(&said, &json(expected), &"refused");
}

/// Every body with each byte in turn cut off, removed or replaced by one that matters to JSON.
fn broken(body: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..body.len()).flat_map(move |at| {
        let (before, rest) = body.split_at(at);
        let after = rest.get(1..).unwrap_or_default();
        let swapped = *b"{}[]\",:0n\\\xff";
        let swaps = swapped.map(|byte| [before, &[byte], after].concat());
        swaps.into_iter().chain([before.to_vec(), [before, after].concat()])
    })
}

#[test]
fn broken_documents_are_refused_or_read_and_what_is_read_can_be_said() {
    let mut read = 0;
    for dialect in Dialect::ALL.iter().copied() {
        for (_, body) in cases(dialect, "requests") {
            for body in broken(body.as_bytes()) {
                if let Ok(request) = dialect.parse_request(&body) {
                    json(&dialect.render_request(&request).unwrap().body);
                    read += 1;
                }
            }
        }
        for (_, body) in cases(dialect, "replies") {
            for body in broken(body.as_bytes()) {
                json(&dialect.render_error(&dialect.parse_error(&body)));
                if let Ok(reply) = dialect.parse_reply(&body) {
                    json(&dialect.render_reply(&reply, &Envelope::default()).unwrap());
                    read += 1;
                }
            }
        }
    }
    assert!(read > 10_000, "only {read} broken documents were still readable");
}

#[test]
fn broken_events_are_refused_or_read_and_what_is_read_can_be_said_in_every_dialect() {
    let streaming = || Dialect::ALL.iter().copied().filter(|dialect| dialect.reader().is_some());
    let envelope = Envelope { include_usage: true, ..Envelope::default() };
    for dialect in streaming() {
        for (_, stream) in cases(dialect, "streams") {
            for (name, data) in frames(dialect, &wire::bytes(dialect, &stream)) {
                for data in broken(data.as_bytes()) {
                    let mut reader = dialect.reader().unwrap();
                    let Ok(events) = reader.parse_event(&name, &data) else { continue };
                    for target in streaming() {
                        let mut writer = target.writer(&envelope).unwrap();
                        let mut out = Vec::new();
                        for event in &events {
                            writer.render_event(event, &mut out);
                        }
                        for (_, data) in frames(target, &out) {
                            assert!(data == "[DONE]" || json(data.as_bytes()).is_object());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn depth_is_no_danger() {
    for open in ["[", r#"{"a":"#] {
        let deep = open.repeat(500_000);
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a","x":{deep}"#);
        assert!(Dialect::OpenAiChat.parse_request(body.as_bytes()).is_err());
        let closed = "[".repeat(500_000) + &"]".repeat(500_000);
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],"x":{closed}}}"#);
        let request = Dialect::OpenAiChat.parse_request(body.as_bytes()).unwrap();
        assert_eq!(Dialect::OpenAiChat.render_request(&request).unwrap().body.len(), body.len());
    }
}
