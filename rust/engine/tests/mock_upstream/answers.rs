//! What a script answers: heads, bodies, streams, pauses.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use fastroute_engine::mock::{Ended, Mock, Script, monotonic_ns};
use serde_json::Value;

use super::{ask, chat, connect, ended, events, mock, parts, playing, request, rows, text};

#[tokio::test]
async fn without_a_script_a_chat_is_answered_with_usage_and_logged() {
    let mock = mock("{}");
    let mut stream = connect(&mock);
    for turn in 0..2_usize {
        stream.write_all(chat(false).as_bytes()).unwrap();
        let mut answer = vec![0; 2000];
        let mut length = 0;
        while !answer[..length].ends_with(b"\"fp_mock\"}") {
            length += stream.read(&mut answer[length..]).unwrap();
        }
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-length: 700"), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["model"], "m-1");
        let row = &rows(&mock, |rows| rows.len() == turn + 1 && rows[turn].sent.ended == Ended::Complete).await[turn];
        assert_eq!(body["id"], format!("chatcmpl-{:016x}", row.id));
        assert_eq!(body["usage"]["completion_tokens"], row.sent.completion_tokens);
        assert_eq!((row.sent.bytes, row.connection), (length as u64, 0));
        assert_eq!(row.headers()["authorization"], "…1234");
        assert_eq!(row.headers()["x-request-id"], "r-7");
    }
}

#[tokio::test]
async fn a_stream_has_one_chunk_per_event_and_ends_with_usage_and_done() {
    let mock = mock(r#"{"defaults": {"events": 3}}"#);
    let answer = text(&ask(&mock, &chat(true)));
    let (head, body) = parts(&answer);
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    let events = events(&body);
    // Role, three words, finish, usage, the terminator.
    assert_eq!(events.len(), 7);
    assert_eq!(answer.matches("\r\ndata: ").count(), 7);
    let word: Value = serde_json::from_str(events[2]).unwrap();
    assert_eq!(word["choices"][0]["delta"]["content"], "scripted ");
    let sent_ns = word["t_ns"].as_u64().unwrap();
    assert!(monotonic_ns() - sent_ns < 60_000_000_000, "{sent_ns}");
    let usage: Value = serde_json::from_str(events[5]).unwrap();
    assert_eq!(
        (usage["choices"].as_array().unwrap().len(), &usage["usage"]["completion_tokens"]),
        (0, &Value::from(3))
    );
    assert_eq!(events[6], "[DONE]");
    let row = ended(&mock).await;
    assert_eq!((row.stream, row.sent.events, row.sent.usage, row.sent.ended), (true, 3, true, Ended::Complete));
}

#[test]
fn usage_in_a_stream_is_sent_only_when_asked_for() {
    let mock = mock(r#"{"defaults": {"events": 1}}"#);
    let answer = text(&ask(&mock, &request("/chat/completions", r#"{"stream": true}"#)));
    assert!(!answer.contains("usage"), "{answer}");
    let never = playing(r#"[{"reply": {"usage": "never"}}]"#);
    assert!(!text(&ask(&never, &chat(false))).contains("usage"));
    assert!(!text(&ask(&never, &chat(true))).contains("total_tokens"));
}

#[test]
fn an_anthropic_caller_gets_anthropic_events() {
    let mock = mock(r#"{"defaults": {"events": 2}}"#);
    let answer = text(&ask(&mock, &request("/v1/messages", r#"{"model":"c","stream":true}"#)));
    let names: Vec<&str> = answer.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let (start, stop) =
        (["message_start", "content_block_start"], ["content_block_stop", "message_delta", "message_stop"]);
    let deltas = ["content_block_delta"; 2];
    assert_eq!(names, [&start[..], &deltas, &stop].concat());
}

#[test]
fn embeddings_come_in_the_size_and_coding_that_was_asked_for() {
    let mock = mock("{}");
    let body = r#"{"model":"e","input":["a","b"],"dimensions":3}"#;
    for (body, first) in [
        (body.to_owned(), Value::Array(vec![])),
        (body.replace(":3", ":3,\"encoding_format\":\"base64\""), Value::String(String::new())),
    ] {
        let (_, reply) = parts(&text(&ask(&mock, &request("/v1/embeddings", &body))));
        let reply: Value = serde_json::from_str(&reply).unwrap();
        assert_eq!(reply["data"].as_array().unwrap().len(), 2);
        let embedding = &reply["data"][1]["embedding"];
        assert_eq!(std::mem::discriminant(embedding), std::mem::discriminant(&first));
        assert!(embedding.as_str().map_or_else(|| embedding.as_array().unwrap().len() == 3, |text| text.len() == 16));
    }
}

#[test]
fn other_places_answer_as_the_service_does() {
    let mock = mock("{}");
    let models = text(&ask(&mock, "GET /v1/models HTTP/1.1\r\nhost: mock\r\n\r\n"));
    assert!(models.contains(r#""id":"mock-small""#), "{models}");
    let missing = text(&ask(&mock, "GET /v1/nowhere HTTP/1.1\r\nhost: mock\r\n\r\n"));
    assert!(missing.starts_with("HTTP/1.1 404 ") && missing.contains(r#"{"error":{"message""#), "{missing}");
}

#[test]
fn a_status_has_its_headers_and_its_body() {
    let mock = playing(r#"[{"status": {"code": 429, "headers": {"retry-after": "7"}, "body": {"a": 1}}}]"#);
    let (head, body) = parts(&text(&ask(&mock, &chat(true))));
    assert!(head.starts_with("HTTP/1.1 429 Too Many Requests") && head.contains("\r\nretry-after: 7"), "{head}");
    assert_eq!(body, r#"{"a":1}"#);
}

#[test]
fn a_body_file_is_sent_as_it_is() {
    let folder = std::env::temp_dir().join(format!("mock-upstream-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("page.html"), "<html>\n").unwrap();
    let script = r#"{"rules": [{"steps": [{"status":
        {"code": 200, "headers": {"content-type": "text/html"}, "body_file": "page.html"}}]}]}"#;
    let mock = Mock::start(Script::parse(script, &folder).unwrap()).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let (head, body) = parts(&text(&ask(&mock, &chat(false))));
    assert!(head.contains("content-type: text/html") && !head.contains("application/json"), "{head}");
    assert_eq!(body, "<html>\n");
}

#[test]
fn an_error_without_a_body_speaks_the_callers_dialect() {
    let mock = playing(r#"[{"status": {"code": 529}}]"#);
    assert!(text(&ask(&mock, &chat(false))).contains(r#""type":"server_error""#));
    let anthropic = text(&ask(&mock, &request("/v1/messages", "{}")));
    assert!(anthropic.contains(r#""type":"overloaded_error""#), "{anthropic}");
}

#[test]
fn a_delay_comes_before_the_first_byte() {
    let mock = playing(r#"[{"delay": {"ms": 120}}, {"reply": {"text": "late"}}]"#);
    let start = Instant::now();
    assert!(text(&ask(&mock, &chat(false))).contains(r#""content":"late""#));
    assert!(start.elapsed() >= Duration::from_millis(120));
}

#[test]
fn events_keep_their_pace() {
    let mock = playing(r#"[{"events": {"count": 4, "every_ms": 30, "first_ms": 30, "text": "x"}}, "done"]"#);
    let (_, body) = parts(&text(&ask(&mock, &chat(true))));
    let stamps: Vec<u64> = events(&body)
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok()?.get("t_ns")?.as_u64())
        .collect();
    assert_eq!(stamps.len(), 4);
    let span_ms = (stamps[3] - stamps[0]) / 1_000_000;
    // Three intervals; single ones may be off by a timer's grain.
    assert!((85..500).contains(&span_ms), "{span_ms}");
}

#[test]
fn a_finish_without_done_ends_properly() {
    let mock = playing(r#"[{"events": {"count": 1}}, {"finish": {"reason": "length"}}]"#);
    let (_, body) = parts(&text(&ask(&mock, &chat(true))));
    assert!(body.contains(r#""finish_reason":"length""#) && !body.contains("[DONE]"), "{body}");
}

#[test]
fn a_tool_call_is_told_in_pieces() {
    let mock = playing(
        r#"[{"tool_call": {"name": "look", "arguments": "{\"a\":\"ü\"}", "pieces": 3}}, {"finish": {"reason": "tool_calls"}}, "done"]"#,
    );
    let (_, body) = parts(&text(&ask(&mock, &chat(true))));
    let arguments: String = events(&body)
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|event| {
            let call = event.pointer("/choices/0/delta/tool_calls/0/function/arguments")?;
            call.as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(arguments, r#"{"a":"ü"}"#);
}

#[test]
fn an_error_event_comes_inside_a_200() {
    let mock = playing(r#"[{"events": {"count": 1}}, {"error_event": {"data": {"error": {"code": 7}}}}]"#);
    let (head, body) = parts(&text(&ask(&mock, &chat(true))));
    assert!(head.starts_with("HTTP/1.1 200 "));
    assert_eq!(events(&body).last(), Some(&r#"{"error":{"code":7}}"#));
}

#[test]
fn comments_and_malformed_frames_are_sent_as_written() {
    let mock = playing(r#"[{"comments": {"count": 2, "text": "ping"}}, {"send": {"utf8": "data: {broken\n\n"}}]"#);
    let (_, body) = parts(&text(&ask(&mock, &chat(true))));
    assert_eq!(body, ": ping\n\n: ping\n\ndata: {broken\n\n");
}

#[test]
fn the_head_can_lie_about_what_follows() {
    for (head, expected) in [
        (r#"{"content_type": "text/html"}"#, "content-type: text/html\r\n"),
        (r#"{"status": 418, "headers": {"x-a": "b"}}"#, "HTTP/1.1 418 I'm a teapot\r\n"),
        (r#"{"framing": {"length": 99}}"#, "content-length: 99\r\n"),
        (r#"{"framing": {"length_and_chunked": 5}}"#, "content-length: 5\r\ntransfer-encoding: chunked\r\n"),
        (r#"{"framing": "until_close"}"#, "connection: close\r\n\r\nabc"),
    ] {
        let mock = playing(&format!(r#"[{{"head": {head}}}, {{"send": {{"utf8": "abc"}}}}]"#));
        let answer = text(&ask(&mock, &chat(false)));
        assert!(answer.contains(expected), "{answer}");
    }
}

#[test]
fn raw_bytes_stand_in_place_of_the_head() {
    let mock = playing(r#"[{"raw": {"base64": "SFRUUC8xLjEgeAo="}}, {"raw": {"utf8": "ab", "repeat": 100000}}]"#);
    let (bytes, fin) = ask(&mock, &chat(false));
    assert!(fin && bytes.starts_with(b"HTTP/1.1 x\nabab"));
    assert_eq!(bytes.len(), 11 + 200_000);
}
