//! Each step of a script does on the wire what it says, seen by a client that speaks TCP and nothing else.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the functions that tests share fail a test in the same way as the tests do"
)]

mod answers;
mod asking;
mod endings;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use fastroute_engine::mock::{Ended, Mock, Row, Script};

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
