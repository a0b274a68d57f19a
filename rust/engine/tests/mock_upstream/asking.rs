//! Which rule answers which request, and how requests are read, logged and put in turn.

use std::io::Write;

use fastroute_engine::mock::Ended;
use serde_json::Value;

use super::{PATIENCE, ask, chat, connect, ended, mock, parts, playing, read_out, request, rows, text};

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
