//! Every clock of an exchange, on a clock that jumps.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::rig::{
    Reply, Rig, at_once, chat, ingress, nobody, plan, playing, read_request, request, seen_by, table, upstream,
    upstream_of,
};
use crate::clocks::Patience;
use crate::decider::{Answer, Decision, Plan, Question};
use crate::exchange::run;
use crate::outcome::Ending;

fn seconds(waited: Duration) -> u64 {
    waited.as_secs()
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_stream_that_never_begins_ends_at_its_first_token_clock() {
    for steps in [r#"["stall"]"#, r#"[{"comments": {"count": 1000, "every_ms": 1000}}]"#] {
        let patience = Patience { keep_alive_s: 0.0, ..Patience::default() };
        let rig = Rig::new(table(1, &[playing(steps).await], &patience), at_once(&[0])).await;
        let began = Instant::now();
        let reply = rig.stream().await;
        assert_eq!((reply.status(), reply.code().as_str()), (504, "upstream_timeout"), "{steps}");
        assert_eq!(seconds(began.elapsed()), 120, "{steps}");
        assert_eq!(reply.header("x-should-retry"), Some("false"));
    }
}

/// The second of two targets answers after 50 s, the first not at all.
async fn two_slow(patience: &Patience) -> (Rig, [SocketAddr; 2]) {
    let upstreams =
        [playing(r#"["stall"]"#).await, playing(r#"[{"delay": {"ms": 50000}}, {"reply": {"events": 1}}]"#).await];
    (Rig::new(table(1, &upstreams, patience), at_once(&[0, 1])).await, upstreams)
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_stream_that_is_slow_to_begin_is_left_for_another_target_at_once() {
    let (rig, upstreams) = two_slow(&Patience { keep_alive_s: 0.0, ..Patience::default() }).await;
    let began = Instant::now();
    let reply = rig.stream().await;
    assert_eq!((reply.status(), reply.header("x-fastroute-target")), (200, Some("p1/up-1-1")));
    assert_eq!(seconds(began.elapsed()), 60 + 50, "60 s while nothing is known of the target");
    let left = &seen_by(upstreams[0]).await[0];
    assert_eq!(left["ended"], "cancelled");
    let story = rig.story().await;
    assert_eq!(story.attempts[0].failure.as_ref().unwrap().kind.name(), "first_token_soft");
    assert!(story.attempts[1].started_us - 60_000_000 < 100_000, "the next one begins at once");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn how_slow_is_slow_is_learnt_from_the_targets_own_streams_or_said_by_the_route() {
    let (rig, _) = two_slow(&Patience::default()).await;
    let table = rig.io.shared.tables.current();
    for _ in 0..50 {
        table.targets[0].ttft.record(Duration::from_secs(6), Instant::now());
    }
    let began = Instant::now();
    assert_eq!(rig.stream().await.status(), 200);
    assert_eq!(seconds(began.elapsed()), 21 + 50);

    let (rig, _) = two_slow(&Patience { ttft_soft_timeout_s: Some(3.0), ..Patience::default() }).await;
    let began = Instant::now();
    assert_eq!(rig.stream().await.status(), 200);
    assert_eq!(seconds(began.elapsed()), 3 + 50);
    assert_eq!(rig.io.shared.tables.current().targets[1].ttft.limit(Instant::now()).as_secs(), 60, "one is not enough");
}

/// A first target that begins after 3 s, which is too late for this route.
const LATE: &str = r#"[{"delay": {"ms": 3000}}, {"reply": {"events": 1}}]"#;

fn hasty() -> Patience {
    Patience { ttft_soft_timeout_s: Some(1.0), keep_alive_s: 0.0, ..Patience::default() }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_slow_target_is_not_left_for_one_that_turns_out_to_be_dead() {
    let (dead, _held) = nobody();
    let rig = Rig::new(table(1, &[playing(LATE).await, dead], &hasty()), at_once(&[0, 1])).await;
    let reply = rig.stream().await;
    assert_eq!((reply.status(), reply.header("x-fastroute-target")), (200, Some("p0/up-1-0")));
    let story = rig.story().await;
    let told: Vec<_> = story.attempts.iter().map(|attempt| (attempt.target, attempt.failure.is_some())).collect();
    assert_eq!(told, [(1, true), (0, false)]);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_slow_target_is_not_left_where_the_budget_pays_for_no_other() {
    let upstreams = [playing(LATE).await, playing(r#"[{"reply": {"events": 1}}]"#).await];
    let rig = Rig::new(table(1, &upstreams, &hasty()), at_once(&[0, 1])).await;
    let budget = &rig.io.shared.tables.current().routes[0].budget;
    while budget.spend(1_000, Instant::now()) {}
    let reply = rig.stream().await;
    assert_eq!((reply.status(), reply.header("x-fastroute-attempts")), (200, Some("1")));
    assert_eq!(seen_by(upstreams[1]).await.len(), 0);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_slow_target_is_not_left_for_one_that_is_out_of_service() {
    let upstreams = [playing(LATE).await, playing(r#"[{"reply": {"events": 1}}]"#).await];
    let one_may_lead = Box::new(|_: &Question, answer: Answer| {
        answer.give(Decision::Plan(Plan { may_lead: 1, ..plan(1, &[0, 1]) })).unwrap();
        Ok(())
    });
    let rig = Rig::new(table(1, &upstreams, &hasty()), one_may_lead).await;
    let reply = rig.stream().await;
    assert_eq!((reply.status(), reply.header("x-fastroute-target")), (200, Some("p0/up-1-0")));
    assert_eq!(seen_by(upstreams[1]).await.len(), 0);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn the_hard_limit_for_the_first_token_is_one_for_all_attempts() {
    let upstreams = [playing(r#"["stall"]"#).await, playing(r#"["stall"]"#).await, playing(r#"["stall"]"#).await];
    let patience = Patience { keep_alive_s: 0.0, ..Patience::default() };
    let rig = Rig::new(table(1, &upstreams, &patience), at_once(&[0, 1, 2])).await;
    let began = Instant::now();
    let reply = rig.stream().await;
    assert_eq!((reply.status(), reply.code().as_str()), (504, "upstream_timeout"));
    assert_eq!((seconds(began.elapsed()), reply.header("x-should-retry")), (120, Some("false")));
    assert_eq!(rig.story().await.attempts.len(), 2, "the third would be the second in doubt");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_client_that_says_how_long_it_waits_lowers_the_clocks() {
    for (header, stream, waited) in [
        ("x-fastroute-timeout-ms: 2500", false, 2),
        ("x-fastroute-timeout-ms: 2500", true, 2),
        ("x-stainless-read-timeout: 20", false, 20),
        ("x-stainless-timeout: 20", true, 20),
        ("x-fastroute-timeout-ms: 700000", false, 600),
        ("x-stainless-read-timeout: soon", false, 600),
    ] {
        let rig = Rig::new(table(1, &[playing(r#"["stall"]"#).await], &Patience::default()), at_once(&[0])).await;
        let began = Instant::now();
        let mut client = TcpStream::connect(rig.door).await.unwrap();
        let headers = format!("{header}\r\nconnection: close\r\n");
        client.write_all(request(&chat("m", stream), &headers).as_bytes()).await.unwrap();
        let reply = Reply::read(&mut client).await;
        assert_eq!((reply.status(), reply.code().as_str()), (504, "upstream_timeout"), "{header}");
        assert_eq!(seconds(began.elapsed()), waited, "{header}, stream {stream}");
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_request_that_the_upstream_does_not_take_is_given_up_after_thirty_seconds() {
    let held = Arc::new(Mutex::new(Vec::new()));
    let keep = held.clone();
    let address = upstream_of(move |_, stream| {
        // Open, and never read from.
        keep.lock().unwrap().push(stream);
        std::future::ready(())
    })
    .await;
    let patience = Patience { total_timeout_s: 300.0, ..Patience::default() };
    let rig = Rig::new(table(1, &[address], &patience), at_once(&[0])).await;
    let body = chat("m", false).replace("hi", &"h".repeat(24 << 20));
    let began = Instant::now();
    let reply = run(rig.io.clone(), ingress(&body), None).await;
    assert_eq!((reply.status.as_u16(), seconds(began.elapsed())), (504, 30));
    let failure = rig.story().await.failure.unwrap();
    assert_eq!((failure.kind.name(), failure.ambiguous()), ("upstream_timeout", true));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
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

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn all_attempts_share_one_deadline() {
    let slow = r#"[{"delay": {"ms": 400000}}, {"status": {"code": 503}}]"#;
    let (first, second) = (playing(slow).await, playing(slow).await);
    let rig = Rig::new(table(1, &[first, second], &Patience::default()), at_once(&[0, 1])).await;
    let began = Instant::now();
    assert_eq!(rig.chat().await.status(), 504);
    assert_eq!(seconds(began.elapsed()), 600);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
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

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
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

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_stream_without_end_is_ended_at_its_total_clock() {
    let steps = r#"[{"events": {"count": 10000, "every_ms": 5000}}]"#;
    let rig = Rig::new(table(1, &[playing(steps).await], &Patience::default()), at_once(&[0])).await;
    let began = Instant::now();
    assert_eq!(rig.stream().await.error_event().as_deref(), Some("upstream_timeout"));
    assert_eq!(seconds(began.elapsed()), 1800);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
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

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
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

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_stream_waits_for_no_target_beyond_its_limit_for_the_first_content() {
    let limited = r#"{"rules": [{"match": {"first": 1}, "steps": [{"status": {"code": 429, "headers": {"retry-after": "4"}}}]}]}"#;
    let patience = Patience { ttft_timeout_s: 3.0, ..Patience::default() };
    let rig = Rig::new(table(1, &[upstream(limited).await], &patience), at_once(&[0])).await;
    let began = Instant::now();
    let reply = rig.stream().await;
    assert_eq!((reply.status(), reply.header("x-fastroute-attempts")), (429, Some("1")), "{reply:?}");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(rig.decider.reported.lock().unwrap().len(), 1, "and none is blamed for what it was never asked");
}
