//! How an answer and a connection end: cut, closed, reset, left alone.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use fastroute_engine::mock::{Ended, monotonic_ns};
use socket2::SockRef;

use super::{ask, chat, connect, ended, mock, playing, read_out, rows, text};

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
