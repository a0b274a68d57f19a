//! Each step of a script does on the wire what it says, seen by a client that speaks TCP and nothing else.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the functions that tests share fail a test in the same way as the tests do"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use fastroute_engine::mock::{Ended, Mock, Row, Script, monotonic_ns};
use serde_json::Value;
use socket2::SockRef;

/// Longer than anything here takes; reaching it fails the test.
const PATIENCE: Duration = Duration::from_secs(10);

fn mock(script: &str) -> Mock {
    Mock::start(Script::parse(script, Path::new("")).unwrap()).unwrap()
}

/// A mock whose every answer is these steps.
fn playing(steps: &str) -> Mock {
    mock(&format!(r#"{{"rules": [{{"steps": {steps}}}]}}"#))
}

fn request(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: mock\r\nauthorization: Bearer sk-secret-canary-1234\r\n\
         x-request-id: r-7\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn chat(stream: bool) -> String {
    request(
        "/v1/chat/completions",
        &format!(r#"{{"model":"m-1","messages":[],"stream":{stream},"stream_options":{{"include_usage":true}}}}"#),
    )
}

fn connect(mock: &Mock) -> TcpStream {
    let stream = TcpStream::connect(mock.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything up to the end of the connection, and whether that end was a FIN.
fn read_out(mut stream: TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return (bytes, true),
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return (bytes, false);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Asks for the connection to end after one answer, and gives that answer.
fn ask(mock: &Mock, request: &str) -> (Vec<u8>, bool) {
    let mut stream = connect(mock);
    let request = request.replacen("host: mock", "host: mock\r\nconnection: close", 1);
    stream.write_all(request.as_bytes()).unwrap();
    read_out(stream)
}

fn text(answer: &(Vec<u8>, bool)) -> String {
    String::from_utf8(answer.0.clone()).unwrap()
}

/// Head and body, with the chunked coding taken off.
fn parts(answer: &str) -> (String, String) {
    let (head, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    if !head.contains("transfer-encoding: chunked") {
        return (head.into(), rest.into());
    }
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&after[..size]);
        assert_eq!(&after[size..size + 2], "\r\n");
        rest = &after[size + 2..];
        if size == 0 {
            assert_eq!(rest, "");
            return (head.into(), body);
        }
    }
}

/// The data of each event.
fn events(body: &str) -> Vec<&str> {
    body.split_terminator("\n\n")
        .filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")))
        .collect()
}

async fn rows(mock: &Mock, described: impl Fn(&[Row]) -> bool) -> Vec<Row> {
    mock.wait_for(PATIENCE, described).await.expect("the log never came to be as described")
}

async fn ended(mock: &Mock) -> Row {
    rows(mock, |rows| rows.last().is_some_and(|row| row.sent.ended != Ended::Open)).await.pop().unwrap()
}

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

#[tokio::test]
async fn a_cut_is_exact_to_the_byte() {
    let whole = playing(r#"[{"reply": {"events": 2}}]"#);
    let length = ask(&whole, &chat(true)).0.len() as u64;
    for after in [0, 1, 90, 200, 333, length - 1, length] {
        let mock = playing(&format!(r#"[{{"cut": {{"after_bytes": {after}}}}}, {{"reply": {{"events": 2}}}}]"#));
        let (bytes, fin) = ask(&mock, &chat(true));
        assert_eq!((bytes.len() as u64, fin), (after, true));
        let row = ended(&mock).await;
        assert_eq!((row.sent.bytes, row.sent.ended), (after, Ended::Cut));
    }
}

#[test]
fn a_cut_can_count_the_body_alone() {
    for (stream, after) in [(false, 0), (false, 123), (true, 1), (true, 700)] {
        let mock = playing(&format!(r#"[{{"cut": {{"after_bytes": {after}, "of": "body"}}}}, {{"reply": {{}}}}]"#));
        let answer = text(&ask(&mock, &chat(stream)));
        let (_, mut rest) = answer.split_once("\r\n\r\n").unwrap();
        let mut body = 0;
        if stream {
            while !rest.is_empty() {
                let (size, after) = rest.split_once("\r\n").unwrap();
                let size = usize::from_str_radix(size, 16).unwrap().min(after.len());
                body += size;
                rest = after[size..].trim_start_matches("\r\n");
            }
        } else {
            body = rest.len();
        }
        assert_eq!(body, after, "stream: {stream}");
    }
}

#[tokio::test]
async fn close_sends_fin_before_the_terminator_and_reset_sends_rst() {
    for (step, fin, how) in [("close", true, Ended::Cut), ("reset", false, Ended::Reset)] {
        let mock = playing(&format!(r#"[{{"events": {{"count": 1}}}}, {{"delay": {{"ms": 30}}}}, "{step}"]"#));
        let answer = ask(&mock, &chat(true));
        assert_eq!(answer.1, fin, "{step}");
        assert!(!text(&answer).ends_with("0\r\n\r\n"));
        assert_eq!(ended(&mock).await.sent.ended, how);
    }
}

#[tokio::test]
async fn a_connection_can_close_after_a_complete_answer() {
    let mock = playing(r#"[{"reply": {}}, "close"]"#);
    let mut stream = connect(&mock);
    stream.write_all(chat(false).as_bytes()).unwrap();
    let (bytes, fin) = read_out(stream);
    let answer = String::from_utf8(bytes).unwrap();
    assert!(fin && answer.ends_with('}') && !answer.contains("connection: close"), "{answer}");
    assert_eq!(ended(&mock).await.sent.ended, Ended::Complete);
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_within_250_ms() {
    let paced = r#"[{"events": {"count": 1000, "every_ms": 2000}}, "done"]"#;
    let waiting = r#"[{"delay": {"ms": 60000}}, {"reply": {}}]"#;
    let cut = r#"[{"cut": {"after_bytes": 300, "how": "stall"}}, {"reply": {}}]"#;
    for steps in [r#"["stall"]"#, paced, waiting, cut] {
        for way in ["fin", "rst", "half-close"] {
            let mock = playing(steps);
            let mut stream = connect(&mock);
            stream.write_all(chat(true).as_bytes()).unwrap();
            rows(&mock, |rows| rows.len() == 1).await;
            let left_ns = monotonic_ns();
            let mut half_open = None;
            match way {
                "fin" => drop(stream),
                "rst" => {
                    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                    drop(stream);
                }
                _ => {
                    stream.shutdown(Shutdown::Write).unwrap();
                    half_open = Some(stream);
                }
            }
            let row = ended(&mock).await;
            drop(half_open);
            assert_eq!(row.sent.ended, Ended::Cancelled, "{steps} {way}");
            let noticed_ms = (row.cancel_ns().unwrap() - left_ns) / 1_000_000;
            assert!(noticed_ms < 250, "{steps} {way}: {noticed_ms} ms");
        }
    }
}

#[tokio::test]
async fn a_snub_resets_the_next_request_unread() {
    let mock = playing(r#"[{"reply": {}}, {"snub": {}}]"#);
    let mut stream = connect(&mock);
    stream.write_all(chat(false).as_bytes()).unwrap();
    assert_eq!(ended(&mock).await.sent.ended, Ended::Complete);
    stream.write_all(chat(false).as_bytes()).unwrap();
    let (bytes, fin) = read_out(stream);
    assert!(!fin && bytes.starts_with(b"HTTP/1.1 200 OK"));
    assert_eq!(mock.rows().len(), 1, "a request that was not read is not in the log");
}

#[test]
fn a_request_that_comes_before_the_rest_is_over_is_not_snubbed() {
    let mock = playing(r#"[{"reply": {}}, {"snub": {"after_ms": 60000}}]"#);
    let mut stream = connect(&mock);
    stream.write_all(chat(false).repeat(2).as_bytes()).unwrap();
    let mut text = String::new();
    while text.matches("HTTP/1.1 200 OK").count() < 2 {
        let mut piece = [0; 8192];
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "{text}");
        text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
}

#[test]
fn without_keep_alive_a_connection_serves_one_request() {
    let mock = mock(r#"{"defaults": {"keep_alive": false}}"#);
    for stream in [false, true] {
        let mut connection = connect(&mock);
        connection.write_all(chat(stream).as_bytes()).unwrap();
        let (bytes, fin) = read_out(connection);
        assert!(fin && String::from_utf8(bytes).unwrap().contains("connection: close"));
    }
}

#[test]
fn rules_match_on_model_header_stream_and_count() {
    let mock = mock(
        r#"{"rules": [
            {"match": {"model": "m-*", "first": 2}, "steps": [{"status": {"code": 503}}]},
            {"match": {"header": {"authorization": "Bearer *-1234"}, "stream": true}, "steps": [{"status": {"code": 401}}]},
            {"match": {"path": "/messages"}, "steps": [{"status": {"code": 418}}]}
        ]}"#,
    );
    let statuses: Vec<String> = [chat(false), request("/v1/messages", "{}"), chat(true), chat(true), chat(false)]
        .iter()
        .map(|request| text(&ask(&mock, request))[9..12].to_owned())
        .collect();
    assert_eq!(statuses, ["503", "418", "503", "401", "200"]);
}

#[tokio::test]
async fn a_rule_can_hold_for_what_is_beyond_a_capacity() {
    let mock = mock(
        r#"{"rules": [
            {"match": {"busy": 2}, "steps": [{"status": {"code": 503}}]},
            {"match": {"stream": true}, "steps": ["stall"]}
        ]}"#,
    );
    let status = || text(&ask(&mock, &chat(false)))[9..12].to_owned();
    let mut busy: Vec<_> = (0..2).map(|_| connect(&mock)).collect();
    for connection in &mut busy {
        connection.write_all(chat(true).as_bytes()).unwrap();
    }
    mock.wait_for(PATIENCE, |rows| rows.len() == 2).await.unwrap();
    assert_eq!(status(), "503");
    drop(busy);
    mock.wait_for(PATIENCE, |rows| rows.iter().all(|row| row.sent.ended != Ended::Open)).await.unwrap();
    assert_eq!(status(), "200");
}

#[test]
fn a_rule_can_answer_before_the_body_is_read() {
    let mock = mock(r#"{"rules": [{"before_body": true, "steps": [{"status": {"code": 413}}]}]}"#);
    let mut stream = connect(&mock);
    stream.write_all(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n").unwrap();
    let (bytes, _) = read_out(stream);
    assert!(bytes.starts_with(b"HTTP/1.1 413 "));
}

#[tokio::test]
async fn an_upload_that_is_given_up_is_logged_as_cancelled() {
    let mock = mock("{}");
    let mut stream = connect(&mock);
    stream.write_all(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 1000\r\n\r\n{").unwrap();
    drop(stream);
    let row = ended(&mock).await;
    assert_eq!((row.sent.ended, row.body_bytes), (Ended::Cancelled, 1));
}

#[tokio::test]
async fn bodies_in_pieces_and_in_chunks_are_read_to_their_end() {
    let mock = mock(r#"{"keep_body_bytes": 100}"#);
    let body = format!(r#"{{"model":"m","pad":"{}","stream":true}}"#, "x".repeat(300_000));
    let mut stream = connect(&mock);
    stream
        .write_all(
            format!(
                "POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            )
            .as_bytes(),
        )
        .unwrap();
    for piece in body.as_bytes().chunks(70_000) {
        stream.write_all(piece).unwrap();
    }
    assert!(read_out(stream).0.ends_with(b"0\r\n\r\n"));
    let mut stream = connect(&mock);
    stream
        .write_all(b"POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    for piece in body.as_bytes().chunks(70_001) {
        stream.write_all(format!("{:X}\r\n", piece.len()).as_bytes()).unwrap();
        stream.write_all(piece).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert!(read_out(stream).0.ends_with(b"0\r\n\r\n"));
    let rows = rows(&mock, |rows| rows.len() == 2).await;
    for row in rows {
        assert_eq!((row.body_bytes, row.model.as_str(), row.stream), (body.len() as u64, "m", true));
        assert_eq!(row.body, body.as_bytes()[..100]);
    }
}

#[test]
fn http_1_0_gets_neither_chunks_nor_an_open_connection() {
    let mock = mock("{}");
    let mut stream = connect(&mock);
    stream.write_all(chat(true).replacen("HTTP/1.1", "HTTP/1.0", 1).as_bytes()).unwrap();
    let answer = text(&read_out(stream));
    assert!(!answer.contains("chunked") && answer.ends_with("data: [DONE]\n\n"), "{answer}");
}

#[tokio::test]
async fn the_log_and_the_script_are_reached_over_http() {
    let mock = mock("{}");
    let get = |path: &str| text(&ask(&mock, &format!("GET {path} HTTP/1.1\r\nhost: mock\r\n\r\n")));
    let put = |json: &str| text(&ask(&mock, &request("/__mock/script", json).replacen("POST", "PUT", 1)));
    assert!(put(r#"{"rules": [{"steps": ["leap"]}]}"#).contains("\r\n\r\nrules[0].steps[0]"));
    assert!(put(r#"{"rules": [{"steps": [{"status": {"code": 404}}]}]}"#).starts_with("HTTP/1.1 204 "));
    assert!(text(&ask(&mock, &chat(false))).starts_with("HTTP/1.1 404 "));
    ended(&mock).await;
    let (_, log) = parts(&get("/__mock/log"));
    assert!(!log.contains("canary"), "{log}");
    let row: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&row["ended"], &row["rule"], &row["path"]),
        (&"complete".into(), &0.into(), &"/v1/chat/completions".into())
    );
    assert_eq!(parts(&get("/__mock/log?since=1")).1, "");
    let (_, stats) = parts(&get("/__mock/stats"));
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!((&stats["accepted"], &stats["open"]), (&1.into(), &0.into()));
    assert!(text(&ask(&mock, "DELETE /__mock/log HTTP/1.1\r\nhost: mock\r\n\r\n")).starts_with("HTTP/1.1 204 "));
    assert!(mock.rows().is_empty());
}

#[test]
fn a_false_length_ends_the_connection() {
    let mock = playing(r#"[{"head": {"framing": {"length": 2000}}}, {"reply": {"bytes": 800}}]"#);
    let mut stream = connect(&mock);
    stream.write_all(chat(false).as_bytes()).unwrap();
    let (bytes, fin) = read_out(stream);
    let answer = String::from_utf8(bytes).unwrap();
    assert!(fin && answer.contains("content-length: 2000") && !answer.contains("connection: close"));
    assert_eq!(answer.split_once("\r\n\r\n").unwrap().1.len(), 800);
}

#[test]
fn large_replies_arrive_whole() {
    let mock = playing(r#"[{"reply": {"bytes": 3000000}}]"#);
    let (head, body) = parts(&text(&ask(&mock, &chat(false))));
    assert!(head.contains("content-length: 3000000"));
    assert_eq!(body.len(), 3_000_000);
    let mock = playing(r#"[{"send": {"utf8": "0123456789", "repeat": 123456}}]"#);
    let answer = text(&ask(&mock, &chat(false)));
    assert_eq!(parts(&answer).1, "0123456789".repeat(123_456));
}

#[test]
fn a_request_that_comes_early_is_answered_in_its_turn() {
    let mock = playing(r#"[{"delay": {"ms": 30}}, {"reply": {}}]"#);
    let mut stream = connect(&mock);
    stream.write_all(chat(false).as_bytes()).unwrap();
    stream.write_all(chat(false).replacen("m-1", "m-2", 1).as_bytes()).unwrap();
    let last = chat(false).replacen("host: mock", "connection: close", 1);
    stream.write_all(last.replacen("m-1", "m-3", 1).as_bytes()).unwrap();
    let answers = text(&read_out(stream));
    let models: Vec<&str> = answers.split(r#""model":""#).skip(1).map(|rest| &rest[..3]).collect();
    assert_eq!(models, ["m-1", "m-2", "m-3"]);
}

#[test]
fn a_request_with_two_lengths_is_refused() {
    let mock = mock("{}");
    let twice = chat(false).replacen("host: mock", "host: mock\r\ntransfer-encoding: chunked", 1);
    assert!(text(&ask(&mock, &twice)).starts_with("HTTP/1.1 400 "));
}
