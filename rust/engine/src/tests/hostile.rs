//! Upstreams that break every rule: refused with the right word, and never asked again on the same connection.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;

use super::rig::{Reply, Rig, at_once, playing, read_request, table, upstream_of};
use crate::clocks::Patience;
use crate::outcome::Ending;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const WHOLE: &str =
    r#"{"id":"1","object":"chat.completion","choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#;

/// What a client sees of an upstream that sends these bytes and waits; also how many connections two requests took.
async fn after(bytes: String, stream: bool) -> (Reply, usize) {
    let connections = Arc::new(AtomicUsize::new(0));
    let (bytes, count) = (Arc::new(bytes), connections.clone());
    let address = upstream_of(move |_, mut socket| {
        let bytes = bytes.clone();
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            while read_request(&mut socket).await.is_some() {
                // The gateway may hang up in the middle of it.
                let _ = socket.write_all(bytes.as_bytes()).await;
            }
        }
    })
    .await;
    let rig = Rig::new(table(1, &[address], &Patience::default()), at_once(&[0])).await;
    let reply = if stream { rig.stream().await } else { rig.chat().await };
    if stream {
        rig.stream().await
    } else {
        rig.chat().await
    };
    (reply, connections.load(Ordering::Relaxed))
}

fn framed(body: &str) -> String {
    format!("{OK}content-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_reply_that_is_none_is_refused_and_its_connection_not_used_again() {
    let mut headers = OK.to_owned();
    for number in 0..5_000 {
        write!(headers, "x-{number}: 1\r\n").unwrap();
    }
    for (what, bytes) in [
        ("a page", framed("<html>busy</html>")),
        ("a long page", framed(&format!("<html>{}</html>", "busy ".repeat(60_000)))),
        (
            "a long page in a chunk",
            format!("{OK}transfer-encoding: chunked\r\n\r\n30d40\r\n<html>{}", "x".repeat(200_000)),
        ),
        ("long events where none were asked for", framed(&"data: {}\n\n".repeat(20_000))),
        ("a long error", framed(&format!("{{ \"error\": {{\"message\": \"{}\"}}}}", "busy ".repeat(60_000)))),
        ("nothing", framed("")),
        ("no object", framed("[1, 2]")),
        ("packed although asked not to", format!("{OK}content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{{}}")),
        ("two lengths", format!("{OK}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n")),
        ("two lengths that differ", format!("{OK}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}")),
        ("a length below zero", format!("{OK}content-length: -1\r\n\r\n{{}}")),
        ("a length beyond all numbers", format!("{OK}content-length: 99999999999999999999\r\n\r\n{{}}")),
        ("a chunk size beyond all numbers", format!("{OK}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{{}}")),
        ("a chunk size that is none", format!("{OK}transfer-encoding: chunked\r\n\r\nzz\r\n{{}}")),
        ("a header of 1 MiB", format!("{OK}x-long: {}\r\ncontent-length: 2\r\n\r\n{{}}", "x".repeat(1 << 20))),
        ("5,000 headers", format!("{headers}content-length: 2\r\n\r\n{{}}")),
        ("interim answers without end", format!("{}{}", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100), framed(WHOLE))),
        ("an unknown protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned()),
    ] {
        for stream in [false, true] {
            let (reply, connections) = after(bytes.clone(), stream).await;
            let told = (reply.status(), reply.code());
            assert_eq!(told, (502, "upstream_malformed".to_owned()), "{what}, stream {stream}");
            assert_eq!(connections, 2, "{what}, stream {stream}");
        }
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_long_reply_may_say_that_there_is_no_error() {
    let long = WHOLE.replacen('{', "{\"error\": null, ", 1).replace("\"a\"", &format!("\"{}\"", "a".repeat(200_000)));
    let (reply, _) = after(framed(&long), false).await;
    assert_eq!((reply.status(), reply.body == long), (200, true));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn bytes_behind_a_reply_are_never_taken_for_the_answer_to_the_next_request() {
    let answer = framed(WHOLE);
    let (reply, connections) = after(format!("{answer}{}", answer.replace("\"a\"", "\"stolen\"")), false).await;
    assert_eq!(reply.body, WHOLE);
    assert_eq!(connections, 2);
}

// No clock that jumps: kernels take their time over this many bytes, and nobody is to lose patience meanwhile.
#[tokio::test]
async fn a_reply_beyond_64_mib_is_refused_by_its_length_or_broken_off() {
    let (reply, _) = after(format!("{OK}content-length: {}\r\n\r\n{{", 100 << 20), false).await;
    assert_eq!((reply.status(), reply.code().as_str()), (502, "response_too_large"));
    assert_eq!(reply.header("x-fastroute-attempts"), Some("1"));

    let endless = r#"[{"head": {"framing": "chunked", "content_type": "application/json"}},
        {"send": {"utf8": "{\"choices\":[{\"message\":{\"content\":\""}}, {"send": {"utf8": "0123456789abcdef", "repeat": 6000000}}]"#;
    let rig = Rig::new(table(1, &[playing(endless).await], &Patience::default()), at_once(&[0])).await;
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.whole), (200, false));
    assert!(reply.body.len() <= 64 << 20, "{}", reply.body.len());
    let story = rig.story().await;
    assert_eq!((story.ending, story.failure.unwrap().code), (Ending::Broken, "response_too_large"));
}

#[tokio::test]
async fn an_event_without_end_ends_the_stream_before_and_after_content() {
    let endless = r#"{"send": {"utf8": "data: {\"choices\":[{\"delta\":{\"content\":\"0123456789abcdef"}},
        {"send": {"utf8": "0123456789abcdef", "repeat": 200000}}"#;
    let head = r#"{"head": {"content_type": "text/event-stream", "framing": "chunked"}}"#;
    let rig =
        Rig::new(table(1, &[playing(&format!("[{head}, {endless}]")).await], &Patience::default()), at_once(&[0]));
    let reply = rig.await.stream().await;
    assert_eq!((reply.status(), reply.code().as_str()), (502, "response_too_large"));
    let steps = format!(r#"[{{"events": {{"count": 1}}}}, {endless}]"#);
    let rig = Rig::new(table(1, &[playing(&steps).await], &Patience::default()), at_once(&[0])).await;
    let reply = rig.stream().await;
    assert_eq!((reply.status(), reply.error_event().as_deref()), (200, Some("response_too_large")));
    assert!(!reply.body.contains("[DONE]") && reply.body.len() < 4096, "{}", reply.body.len());
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn an_error_inside_a_200_that_speaks_of_the_request_reaches_the_client_in_its_own_words() {
    let said = r#"{"error":{"message":"9000 tokens are too many","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
    let (reply, _) = after(framed(said), false).await;
    assert_eq!((reply.status(), reply.body.as_str()), (400, said));
    let (reply, _) = after(framed(r#"{"error":{"message":"bad key sk-1","code":401}}"#), false).await;
    assert_eq!((reply.status(), reply.code().as_str()), (502, "provider_auth"));
    assert!(!reply.body.contains("sk-1"));
}
