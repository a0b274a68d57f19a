//! What is given up when memory or places run out: in which order, told how, and that the rest goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::rig::{Reply, Rig, at_once, chat, playing, request, table};
use crate::admission::{self, QUEUE, QUEUE_FOR};
use crate::clocks::Patience;
use crate::io::Bounds;
use crate::outcome::Ending;

async fn rig(steps: &str, bounds: Bounds) -> Arc<Rig> {
    Arc::new(Rig::with(table(1, &[playing(steps).await], &Patience::default()), at_once(&[0]), bounds).await)
}

fn large() -> String {
    padded(1024 * 1024)
}

fn padded(bytes: usize) -> String {
    let mut body = chat("m", false);
    let padding = format!(r#"{{"padding":"{}","#, "x".repeat(bytes));
    body.replace_range(..1, &padding);
    body
}

async fn live(rig: &Rig) -> u16 {
    let mut client = TcpStream::connect(rig.door).await.unwrap();
    client.write_all(b"GET /livez HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n").await.unwrap();
    Reply::read(&mut client).await.status()
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn memory_is_saved_step_by_step_and_health_answers_to_the_end() {
    let rig = rig(r#"[{"reply": {}}]"#, Bounds::default()).await;
    let (small, large, stream) = (chat("m", false), large(), chat("m", true));
    for (used, expected) in [(79, [200, 200, 200]), (85, [200, 503, 200]), (92, [200, 503, 503]), (96, [503, 503, 503])]
    {
        rig.io.shared.pressure.remember(used, 100);
        let mut seen = Vec::new();
        for body in [&small, &large, &stream] {
            let reply = rig.ask(body).await;
            if reply.status() == 503 {
                assert_eq!((reply.code().as_str(), reply.header("x-should-retry")), ("overloaded", Some("true")));
                let wait_s: u32 = reply.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=5).contains(&wait_s));
            }
            seen.push(reply.status());
        }
        assert_eq!(seen, expected, "at {used} per cent");
        assert_eq!(live(&rig).await, 200);
    }
    rig.io.shared.pressure.remember(50, 100);
    assert_eq!(rig.ask(&large).await.status(), 200);
    assert_eq!(rig.in_flight(), 0);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_body_that_grows_large_unannounced_is_refused_on_its_way() {
    let rig = rig(r#"[{"reply": {}}]"#, Bounds::default()).await;
    rig.io.shared.pressure.remember(85, 100);
    let mut client = TcpStream::connect(rig.door).await.unwrap();
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let body = large();
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    // The answer may come before all of it was taken.
    let _ = client.write_all(chunk.as_bytes()).await;
    assert_eq!(Reply::read(&mut client).await.status(), 503);
}

/// A client that announces so many bytes and sends none of them.
async fn announcing(rig: &Rig, length: usize) -> TcpStream {
    let mut client = TcpStream::connect(rig.door).await.unwrap();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: {length}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    client
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn large_bodies_that_are_announced_and_do_not_come_keep_out_no_small_one() {
    let rig = rig(r#"[{"reply": {}}]"#, Bounds { all_body_bytes: 1 << 20, ..Bounds::default() }).await;
    let promised = || rig.io.shared.metrics.promised_bytes.load(Ordering::Relaxed);
    let first = announcing(&rig, 600 << 10).await;
    while promised() == 0 {
        tokio::task::yield_now().await;
    }
    let mut second = announcing(&rig, 600 << 10).await;
    assert_eq!(Reply::read(&mut second).await.status(), 503, "there is no room for both");
    assert_eq!(promised(), 600 << 10);
    assert_eq!(rig.chat().await.status(), 200);
    drop(first);
    while promised() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.ask(&padded(600 << 10)).await.status(), 200);
    assert_eq!(promised(), 0);
    assert_eq!(rig.io.shared.metrics.body_bytes.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn small_bodies_never_take_more_than_the_memory_for_bodies() {
    let steps = r#"[{"delay": {"ms": 5000}}, {"reply": {}}]"#;
    let rig = rig(steps, Bounds { all_body_bytes: 1024, ..Bounds::default() }).await;
    let body = chat("m", false).replace("hi", &"x".repeat(600));
    let both = tokio::join!(rig.ask(&body), rig.ask(&body));
    let mut told = [both.0.status(), both.1.status()];
    told.sort_unstable();
    assert_eq!(told, [200, 503]);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_client_that_does_not_read_is_let_go_sooner_where_memory_is_short() {
    let steps = r#"[{"raw": {"utf8": "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"}},
        {"events": {"count": 400000, "every_ms": 0, "text": "0123456789012345678901234567890123456789"}}]"#;
    for (used, let_go_s) in [(50, 30), (96, 2)] {
        let rig = rig(steps, Bounds::default()).await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut client = socket.connect(rig.door).await.unwrap();
        client.write_all(request(&chat("m", true), "").as_bytes()).await.unwrap();
        client.read_u8().await.unwrap();
        let began = Instant::now();
        rig.io.shared.pressure.remember(used, 100);
        assert_eq!(rig.story().await.ending, Ending::ClientGone);
        let took_s = began.elapsed().as_secs();
        assert!((let_go_s / 2..=let_go_s + 1).contains(&took_s), "{took_s} s at {used} per cent");
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_request_waits_a_moment_for_a_place() {
    let rig = rig(r#"[{"delay": {"ms": 200}}, {"reply": {}}]"#, Bounds { in_flight: 1, ..Bounds::default() }).await;
    let began = Instant::now();
    let both = tokio::join!(rig.chat(), rig.chat());
    assert_eq!((both.0.status(), both.1.status()), (200, 200));
    assert!(began.elapsed() >= Duration::from_millis(400));
    assert_eq!(rig.io.shared.metrics.shed.load(Ordering::Relaxed), 0, "nobody was turned away");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_queue_that_is_full_refuses_at_once_and_one_that_waits_too_long_then() {
    let rig = rig(r#"[{"delay": {"ms": 5000}}, {"reply": {}}]"#, Bounds { in_flight: 1, ..Bounds::default() }).await;
    let first = tokio::spawn({
        let rig = rig.clone();
        async move { rig.chat().await.status() }
    });
    while rig.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..=QUEUE {
        let rig = rig.clone();
        waiting.spawn(async move {
            let status = rig.chat().await.status();
            (status, began.elapsed())
        });
    }
    let answers = waiting.join_all().await;
    assert!(answers.iter().all(|(status, _)| *status == 503));
    let at_once = answers.iter().filter(|(_, after)| *after < QUEUE_FOR / 2).count();
    assert_eq!(at_once, 1);
    assert!(answers.iter().all(|(_, after)| *after < QUEUE_FOR * 2));
    assert_eq!(rig.io.shared.queue.waiting(), 0);
    assert_eq!(first.await.unwrap(), 200);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn whoever_leaves_the_queue_takes_no_place_with_them() {
    let rig = rig(r#"[{"delay": {"ms": 100}}, {"reply": {}}]"#, Bounds { in_flight: 1, ..Bounds::default() }).await;
    let first = tokio::spawn({
        let rig = rig.clone();
        async move { rig.chat().await.status() }
    });
    while rig.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    let mut leaves = TcpStream::connect(rig.door).await.unwrap();
    leaves.write_all(request(&chat("m", false), "").as_bytes()).await.unwrap();
    while rig.io.shared.queue.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let stays = tokio::spawn({
        let rig = rig.clone();
        async move { rig.chat().await.status() }
    });
    while rig.io.shared.queue.waiting() < 2 {
        tokio::task::yield_now().await;
    }
    drop(leaves);
    assert_eq!((first.await.unwrap(), stays.await.unwrap()), (200, 200));
    assert_eq!(rig.in_flight(), 0);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_place_that_becomes_free_just_before_somebody_waits_for_one_is_taken() {
    let bounds = Bounds { in_flight: 1, ..Bounds::default() };
    let rig = rig(r#"[{"reply": {}}]"#, bounds).await;
    let shared = &rig.io.shared;
    let place = admission::admit_at_once(shared).ok().flatten();
    assert!(place.is_some() && matches!(admission::admit_at_once(shared), Ok(None)));
    drop(place);
    let began = Instant::now();
    assert!(admission::wait(shared).await.is_ok());
    assert_eq!(began.elapsed(), Duration::ZERO);
}
