//! Every clock of an exchange, on a clock that jumps.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::rig::{Rig, at_once, chat, ingress, playing, read_request, request, table, upstream_of};
use crate::clocks::Patience;
use crate::exchange::run;
use crate::outcome::Ending;

fn seconds(waited: Duration) -> u64 {
    waited.as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_begins_ends_at_its_first_token_clock() {
    for steps in [r#"["stall"]"#, r#"[{"comments": {"count": 1000, "every_ms": 1000}}]"#] {
        let rig = Rig::new(table(1, &[playing(steps).await], &Patience::default()), at_once(&[0])).await;
        let began = Instant::now();
        let reply = rig.stream().await;
        assert_eq!((reply.status(), reply.code().as_str()), (504, "upstream_timeout"), "{steps}");
        assert_eq!(seconds(began.elapsed()), 120, "{steps}");
        assert_eq!(reply.header("x-should-retry"), Some("false"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_unary_reply_may_take_as_long_as_the_whole_exchange_and_no_longer() {
    let slow = playing(r#"[{"delay": {"ms": 599000}}, {"reply": {}}]"#).await;
    let rig = Rig::new(table(1, &[slow], &Patience::default()), at_once(&[0])).await;
    assert_eq!(rig.chat().await.status(), 200);
    let never = playing(r#"["stall"]"#).await;
    let rig = Rig::new(table(1, &[never], &Patience::default()), at_once(&[0])).await;
    let began = Instant::now();
    assert_eq!(rig.chat().await.status(), 504);
    assert_eq!(seconds(began.elapsed()), 600);
    let story = rig.story().await;
    assert_eq!(story.failure.unwrap().kind.name(), "total_timeout");
}

#[tokio::test(start_paused = true)]
async fn all_attempts_share_one_deadline() {
    let slow = r#"[{"delay": {"ms": 400000}}, {"status": {"code": 503}}]"#;
    let (first, second) = (playing(slow).await, playing(slow).await);
    let rig = Rig::new(table(1, &[first, second], &Patience::default()), at_once(&[0, 1])).await;
    let began = Instant::now();
    assert_eq!(rig.chat().await.status(), 504);
    assert_eq!(seconds(began.elapsed()), 600);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_ends_with_an_error_event_and_no_terminator() {
    let steps = r#"[{"events": {"count": 2}}, "stall"]"#;
    let rig = Rig::new(table(1, &[playing(steps).await], &Patience::default()), at_once(&[0])).await;
    let began = Instant::now();
    let reply = rig.stream().await;
    assert_eq!((reply.status(), reply.error_event().as_deref()), (200, Some("upstream_stalled")));
    assert!(reply.whole && !reply.body.contains("[DONE]") && !reply.body.contains("finish_reason\":\"stop"));
    assert_eq!(seconds(began.elapsed()), 30);
    let story = rig.story().await;
    assert_eq!((story.ending, story.failure.unwrap().code), (Ending::Broken, "upstream_stalled"));
    assert_eq!(story.attempts[0].failure.as_ref().unwrap().code, "upstream_stalled");
}

#[tokio::test(start_paused = true)]
async fn pings_do_not_hide_a_dead_generation_and_do_not_shorten_a_live_one() {
    let dead = r#"[{"events": {"count": 1}}, {"comments": {"count": 100, "every_ms": 10000}}]"#;
    let rig = Rig::new(table(1, &[playing(dead).await], &Patience::default()), at_once(&[0])).await;
    let began = Instant::now();
    let reply = rig.stream().await;
    assert_eq!(reply.error_event().as_deref(), Some("upstream_stalled"));
    assert_eq!(seconds(began.elapsed()), 120);
    let live = r#"[{"events": {"count": 4, "every_ms": 29000}}, {"finish": {}}, "done"]"#;
    let rig = Rig::new(table(1, &[playing(live).await], &Patience::default()), at_once(&[0])).await;
    assert!(rig.stream().await.body.ends_with("data: [DONE]\n\n"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_end_is_ended_at_its_total_clock() {
    let steps = r#"[{"events": {"count": 10000, "every_ms": 5000}}]"#;
    let rig = Rig::new(table(1, &[playing(steps).await], &Patience::default()), at_once(&[0])).await;
    let began = Instant::now();
    assert_eq!(rig.stream().await.error_event().as_deref(), Some("upstream_timeout"));
    assert_eq!(seconds(began.elapsed()), 1800);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pauses_is_not_taken_for_a_silent_upstream() {
    let resumed = Arc::new(Notify::new());
    let told = resumed.clone();
    let address = upstream_of(move |_, mut stream| {
        let told = told.clone();
        async move {
            read_request(&mut stream).await;
            let first = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
                         data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
            stream.write_all(first.as_bytes()).await.unwrap();
            told.notified().await;
            let last =
                "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
            stream.write_all(last.as_bytes()).await.unwrap();
        }
    })
    .await;
    let rig = Rig::new(table(1, &[address], &Patience::default()), at_once(&[0])).await;
    let mut body = run(rig.io.clone(), ingress(&chat("m", true)), None).await.body;
    assert!(poll_fn(|task| body.poll_next(task)).await.unwrap().is_some());
    // Nobody asks for more for longer than both silences; then somebody does, and the upstream goes on.
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(poll_fn(|task| Poll::Ready(body.poll_next(task))).await.is_pending());
    resumed.notify_one();
    let mut rest = String::new();
    while let Some(frame) = poll_fn(|task| body.poll_next(task)).await.unwrap() {
        rest.push_str(std::str::from_utf8(&frame).unwrap());
    }
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
    assert_eq!(rig.story().await.ending, Ending::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_let_go_and_its_upstream_with_it() {
    let steps = r#"[{"events": {"count": 1000000, "text": "a rather long text for a single event of a stream"}}]"#;
    let rig = Rig::new(table(1, &[playing(steps).await], &Patience::default()), at_once(&[0])).await;
    let began = Instant::now();
    let mut client = TcpStream::connect(rig.door).await.unwrap();
    client.write_all(request(&chat("m", true), "").as_bytes()).await.unwrap();
    let story = rig.story().await;
    assert_eq!(story.ending, Ending::ClientGone);
    assert_eq!(seconds(began.elapsed()), 30);
    drop(client);
}
