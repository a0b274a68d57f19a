//! Comments that keep a silent stream's client waiting: before content, where everything can still be mended, and after.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::rig::{Rig, at_once, chat, playing, request, seen_by, table};
use crate::clocks::Patience;
use crate::outcome::Ending;

const COMMENT: &str = ": keep-alive\n\n";

async fn rig_of(steps: &[&str], patience: &Patience) -> (Rig, Vec<std::net::SocketAddr>) {
    let mut upstreams = Vec::new();
    for steps in steps {
        upstreams.push(playing(steps).await);
    }
    let plan: Vec<u32> = (0..).take(steps.len()).collect();
    (Rig::new(table(1, &upstreams, patience), at_once(&plan)).await, upstreams)
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_stream_that_is_late_gets_comments_and_then_everything() {
    let (rig, _) = rig_of(&[r#"[{"delay": {"ms": 50000}}, {"reply": {"events": 2}}]"#], &Patience::default()).await;
    let reply = rig.stream().await;
    assert_eq!((reply.status(), reply.whole), (200, true));
    assert!(reply.body.starts_with(&format!("{COMMENT}{COMMENT}data: ")), "at 30 s and 45 s: {}", reply.body);
    assert!(reply.body.ends_with("data: [DONE]\n\n"));
    assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
    for name in ["x-fastroute-target", "x-fastroute-attempts", "server-timing"] {
        assert_eq!(reply.header(name), None, "{name} was not known yet");
    }
    assert!(reply.header("x-request-id").is_some());
    let story = rig.story().await;
    assert_eq!((story.ending, story.status), (Ending::Complete, 200));
    assert_eq!(rig.attempts_in_flight(), 0);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn failover_goes_on_unseen_behind_comments() {
    let late = r#"[{"delay": {"ms": 40000}}, {"status": {"code": 503}}]"#;
    let (rig, _) = rig_of(&[late, r#"[{"reply": {"events": 2}}]"#], &Patience::default()).await;
    let reply = rig.stream().await;
    assert_eq!((reply.status(), reply.error_event()), (200, None));
    assert!(reply.body.starts_with(COMMENT) && reply.body.ends_with("data: [DONE]\n\n"), "{}", reply.body);
    assert_eq!(rig.story().await.attempts.len(), 2);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn what_nobody_can_mend_is_an_event_once_comments_went_out() {
    let said = r#"{"error": {"code": "context_length_exceeded", "message": "9000 tokens are too many"}}"#;
    let refused = format!(r#"[{{"delay": {{"ms": 40000}}}}, {{"status": {{"code": 400, "body": {said}}}}}]"#);
    for (steps, code) in [
        (r#"["stall"]"#, "upstream_timeout"),
        (r#"[{"delay": {"ms": 40000}}, {"status": {"code": 401}}]"#, "provider_auth"),
        (&refused, "context_length_exceeded"),
    ] {
        let (rig, _) = rig_of(&[steps], &Patience::default()).await;
        let reply = rig.stream().await;
        assert_eq!((reply.status(), reply.error_event().as_deref()), (200, Some(code)), "{}", reply.body);
        assert!(reply.whole && !reply.body.contains("[DONE]") && !reply.body.contains("finish_reason"));
        let story = rig.story().await;
        assert_eq!((story.ending, story.status), (Ending::Broken, 200));
        assert!(story.failure.is_some());
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_stream_that_pauses_gets_comments_where_its_route_lets_it_pause() {
    let steps = r#"[{"events": {"count": 2, "every_ms": 50000}}, {"finish": {}}, "done"]"#;
    let patience = Patience { idle_timeout_s: 200.0, ..Patience::default() };
    let (rig, _) = rig_of(&[steps], &patience).await;
    let reply = rig.stream().await;
    assert_eq!(reply.body.matches(COMMENT).count(), 2, "30 s and 45 s after the first event: {}", reply.body);
    assert!(reply.body.ends_with("data: [DONE]\n\n"));
    let (rig, _) = rig_of(&[steps], &Patience { keep_alive_s: 0.0, ..patience.clone() }).await;
    assert!(!rig.stream().await.body.contains(COMMENT), "0 turns them off");
    let (rig, _) = rig_of(&[r#"[{"events": {"count": 1}}, "stall"]"#], &patience).await;
    let began = Instant::now();
    let reply = rig.stream().await;
    assert_eq!((reply.error_event().as_deref(), began.elapsed().as_secs()), (Some("upstream_stalled"), 120));
    assert!(reply.body.contains(COMMENT), "and they are no sign of life");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_plain_reply_never_gets_comments() {
    let (rig, _) = rig_of(&[r#"[{"delay": {"ms": 100000}}, {"reply": {}}]"#], &Patience::default()).await;
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.body.starts_with('{')), (200, true));
    let long = r#"[{"head": {"framing": {"length": 300000}, "content_type": "application/json"}},
        {"send": {"utf8": "{\"a\": \""}}, {"send": {"utf8": "x", "repeat": 100000}}, "stall"]"#;
    let (rig, _) = rig_of(&[long], &Patience { idle_timeout_s: 100.0, ..Patience::default() }).await;
    let reply = rig.chat().await;
    assert!(!reply.whole && !reply.body.contains("keep-alive"));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_client_that_leaves_between_comments_takes_its_upstream_along() {
    let (rig, upstreams) = rig_of(&[r#"["stall"]"#], &Patience::default()).await;
    let began = Instant::now();
    let mut client = TcpStream::connect(rig.door).await.unwrap();
    client.write_all(request(&chat("m", true), "").as_bytes()).await.unwrap();
    let mut piece = [0; 4096];
    let mut seen = String::new();
    while !seen.contains(COMMENT) {
        let read = client.read(&mut piece).await.unwrap();
        seen.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    assert_eq!(began.elapsed().as_secs(), 30);
    drop(client);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(seen_by(upstreams[0]).await[0]["ended"], "cancelled");
    assert_eq!(rig.story().await.ending, Ending::ClientGone);
    assert_eq!((rig.in_flight(), rig.attempts_in_flight()), (0, 0));
}
