//! The edge door's own duties: clocks of heads and bodies, bounds, both protocols, and its stop.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http2;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::rig::{Reply, Rig, at_once, chat, playing, request, table};
use crate::clocks::Patience;
use crate::io::Bounds;
use crate::outcome::Ending;

async fn rig(steps: &str, bounds: Bounds) -> Rig {
    Rig::with(table(1, &[playing(steps).await], &Patience::default()), at_once(&[0]), bounds).await
}

/// Sends bytes, then nothing, and gives what came back with the seconds until the door ended it.
async fn silent_after(rig: &Rig, sent: &str) -> (String, u64) {
    let began = Instant::now();
    let mut client = TcpStream::connect(rig.door).await.unwrap();
    client.write_all(sent.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = client.read_to_end(&mut bytes).await;
    (String::from_utf8_lossy(&bytes).into_owned(), began.elapsed().as_secs())
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn whoever_falls_silent_is_let_go_at_the_clock_of_what_is_missing() {
    let rig = rig(r#"[{"reply": {}}]"#, Bounds::default()).await;
    for begun in ["", "P", "PR", "PRI", "GET", "GET /livez HTTP/1.1\r\nhost: g\r\n"] {
        let (reply, after) = silent_after(&rig, begun).await;
        assert_eq!((reply.as_str(), after), ("", 10), "{begun:?}");
    }
    let (reply, after) = silent_after(&rig, "GET /livez HTTP/1.1\r\nhost: g\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert_eq!(after, 75, "kept alive, then closed");
    let whole = request(&chat("m", false), "");
    let (head, _) = whole.split_once("\r\n\r\n").unwrap();
    let (reply, after) = silent_after(&rig, &format!("{head}\r\n\r\n")).await;
    assert!(reply.starts_with("HTTP/1.1 408"), "{reply}");
    assert!((10..=20).contains(&after), "{after} s for the first byte of the body");
    let (reply, after) = silent_after(&rig, &whole[..whole.len() - 1]).await;
    assert!(reply.starts_with("HTTP/1.1 408"), "{reply}");
    assert!((5..=15).contains(&after), "{after} s of grace");
    assert!(rig.decider.settled.lock().unwrap().is_empty(), "none of these was a request");
    assert_eq!(rig.in_flight(), 0);
}

/// Sends a head, then so many bytes of a body so often, and gives what came back with the seconds until then.
async fn in_crumbs(rig: &Rig, first_s: u64, bytes: usize, every_s: u64) -> (String, u64) {
    let length = 8 << 20;
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: {length}\r\n\r\n");
    let began = Instant::now();
    let (mut reader, mut writer) = TcpStream::connect(rig.door).await.unwrap().into_split();
    writer.write_all(head.as_bytes()).await.unwrap();
    let crumbs = async {
        tokio::time::sleep(Duration::from_secs(first_s)).await;
        let _ = writer.write_all(b"{\"x\":\"").await;
        loop {
            tokio::time::sleep(Duration::from_secs(every_s)).await;
            let _ = writer.write_all(&vec![b'x'; bytes]).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        _ = reader.read_buf(&mut answer) => {}
        () = crumbs => {}
    }
    (String::from_utf8_lossy(&answer).into_owned(), began.elapsed().as_secs())
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_body_has_time_to_begin_then_a_pace_to_keep_and_an_end_to_reach() {
    let rig = rig(r#"[{"reply": {}}]"#, Bounds::default()).await;
    // First byte, bytes and seconds between crumbs; from when to when it is given up.
    for (first_s, bytes, every_s, ends) in [
        (60, 1, 60, 10..=10),
        (9, 1, 60, 14..=14),
        (0, 1, 1, 5..=6),
        (8, 512, 1, 17..=19),
        (8, 4096, 4, 120..=120),
        (0, 65_536, 1, 120..=120),
    ] {
        let (reply, after) = in_crumbs(&rig, first_s, bytes, every_s).await;
        assert!(reply.starts_with("HTTP/1.1 408"), "{reply}");
        assert!(ends.contains(&after), "{bytes} bytes every {every_s} s after {first_s} s: ended after {after} s");
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn bodies_that_are_no_requests_are_refused_before_anybody_is_asked() {
    let rig = rig(r#"[{"reply": {}}]"#, Bounds { body_bytes: 1000, ..Bounds::default() }).await;
    for (body, status, code) in [
        ("{}", 400, "missing_required_parameter"),
        ("{\"model\":\"m\"", 400, "invalid_json"),
        ("{\"model\":\"m\",\"messages\":[]}", 400, "missing_required_parameter"),
        ("{\"model\":\"m\",\"model\":\"n\",\"messages\":[{}]}", 400, "invalid_json"),
        (&format!("{{\"model\":\"{}\"", "x".repeat(2000)), 413, "request_too_large"),
    ] {
        let reply = rig.ask(body).await;
        assert_eq!((reply.status(), reply.code().as_str()), (status, code), "{body}");
    }
    let mut client = TcpStream::connect(rig.door).await.unwrap();
    let coded = request(&chat("m", false), "content-encoding: gzip\r\nconnection: close\r\n");
    client.write_all(coded.as_bytes()).await.unwrap();
    assert_eq!(Reply::read(&mut client).await.status(), 415);
    assert!(rig.decider.settled.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn bounds_turn_away_and_give_back() {
    let bounds = Bounds { in_flight: 1, ..Bounds::default() };
    let rig = Arc::new(rig(r#"[{"delay": {"ms": 5000}}, {"reply": {}}]"#, bounds).await);
    let first = tokio::spawn({
        let rig = rig.clone();
        async move { rig.chat().await.status() }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = rig.chat().await;
    assert_eq!(second.status(), 503);
    let wait_s: u32 = second.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&wait_s));
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(rig.chat().await.status(), 200);
    let held = &rig.io.shared.metrics.body_bytes;
    assert_eq!(held.load(std::sync::atomic::Ordering::Relaxed), 0, "no byte stays counted");
}

/// A connection that speaks HTTP/2 with prior knowledge.
pub(super) async fn h2(rig: &Rig) -> http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(rig.door).await.unwrap();
    // Held back by Nagle's algorithm, a body would arrive after the paused clock had run on.
    stream.set_nodelay(true).unwrap();
    let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    sender
}

fn h2_chat(stream: bool) -> Request<Full<Bytes>> {
    let request = Request::post("http://gateway/v1/chat/completions");
    request.body(Full::new(chat("m", stream).into())).unwrap()
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn http2_is_served_on_the_same_port_and_a_reset_stream_aborts_its_exchange_alone() {
    let script = r#"{"rules": [{"match": {"first": 1}, "steps": [{"events": {"count": 1}}, "stall"]}]}"#;
    let address = super::rig::upstream(script).await;
    let rig = Rig::new(table(1, &[address], &Patience::default()), at_once(&[0])).await;
    let mut sender = h2(&rig).await;
    let mut stalled = sender.send_request(h2_chat(true)).await.unwrap();
    assert_eq!(stalled.status(), 200);
    assert!(stalled.body_mut().frame().await.unwrap().unwrap().is_data());
    drop(stalled);
    let story = rig.story().await;
    assert_eq!(story.ending, Ending::ClientGone);
    let whole = sender.send_request(h2_chat(true)).await.unwrap();
    let body = whole.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"data: [DONE]\n\n"));
    assert_eq!((rig.in_flight(), rig.attempts_in_flight()), (0, 0));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn an_http2_connection_ends_when_nothing_ran_on_it_for_the_idle_time() {
    let rig = rig(r#"[{"delay": {"ms": 100000}}, {"reply": {}}]"#, Bounds::default()).await;
    let stream = TcpStream::connect(rig.door).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let began = Instant::now();
    let (mut sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(driver);
    let reply = sender.send_request(h2_chat(false)).await.unwrap();
    assert_eq!(reply.status(), 200);
    reply.into_body().collect().await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 100, "an exchange may take longer than that");
    driver.await.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 175);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_head_request_is_answered_without_a_body_over_both_protocols() {
    let rig = rig(r#"[{"reply": {}}]"#, Bounds::default()).await;
    let mut client = TcpStream::connect(rig.door).await.unwrap();
    client.write_all(b"HEAD /livez HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n").await.unwrap();
    let reply = Reply::read(&mut client).await;
    assert_eq!((reply.status(), reply.body.as_str(), reply.header("content-length")), (200, "", Some("13")));

    let stream = TcpStream::connect(rig.door).await.unwrap();
    let (mut sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    let request = Request::builder().method(Method::HEAD).uri("http://g/livez").body(Empty::<Bytes>::new()).unwrap();
    let reply = sender.send_request(request).await.unwrap();
    assert_eq!((reply.status().as_u16(), &reply.headers()["content-length"]), (200, &"13".parse().unwrap()));
    assert!(reply.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_stop_lets_running_replies_end_and_closes_everything_else() {
    let rig = Arc::new(
        rig(r#"[{"events": {"count": 5, "every_ms": 1000}}, {"finish": {}}, "done"]"#, Bounds::default()).await,
    );
    let mut idle = TcpStream::connect(rig.door).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: g\r\n\r\n").await.unwrap();
    let mut piece = [0; 1024];
    assert!(idle.read(&mut piece).await.unwrap() > 0);
    let running = tokio::spawn({
        let rig = rig.clone();
        async move { rig.stream().await }
    });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let began = Instant::now();
    rig.io.shared.stopping.send_replace(true);
    assert_eq!(idle.read(&mut piece).await.unwrap(), 0, "idle: closed");
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(running.await.unwrap().body.ends_with("data: [DONE]\n\n"));
    assert_eq!(rig.story().await.ending, Ending::Complete);
}
