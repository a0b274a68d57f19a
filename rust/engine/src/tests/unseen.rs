//! What goes on upstream when a client leaves, by the provider's `on_client_gone`, and what is told of it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::rig::{Rig, at_once, chat, ingress, playing, request, seen_by, table};
use crate::clocks::Patience;
use crate::exchange::run;
use crate::io::Bounds;
use crate::journal::tests::Folder;
use crate::outcome::{Ending, Outcome};
use crate::table::{OnClientGone, TableSpec};

const RULES: [OnClientGone; 3] = [OnClientGone::Cancel, OnClientGone::Drain, OnClientGone::Finish];

/// A stream of a minute: twenty events, a finish and the usage the gateway asked for.
const MINUTE: &str = r#"[{"events": {"count": 20, "every_ms": 3000}}, {"finish": {}}, "done"]"#;
/// The same, of which nothing comes for a minute.
const LATE: &str = r#"[{"delay": {"ms": 60000}}, {"events": {"count": 3, "every_ms": 1000}}, {"finish": {}}, "done"]"#;

fn rule(upstreams: &[SocketAddr], rule: OnClientGone, patience: &Patience) -> TableSpec {
    let mut spec = table(1, upstreams, patience);
    for provider in &mut spec.providers {
        provider.on_client_gone = rule;
    }
    spec
}

fn silent() -> Patience {
    Patience { keep_alive_s: 0.0, ..Patience::default() }
}

/// Sends a request over the edge door, reads until `reads` bytes came, waits, and leaves.
async fn left_after(rig: &Rig, stream: bool, reads: usize, wait_s: u64) {
    let mut client = TcpStream::connect(rig.door).await.unwrap();
    client.write_all(request(&chat("m", stream), "").as_bytes()).await.unwrap();
    let (mut read, mut piece) = (0, [0; 4096]);
    while read < reads {
        read += client.read(&mut piece).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(wait_s)).await;
}

fn told(story: &Outcome) -> (Ending, &str, bool) {
    (story.ending, story.failure.as_ref().map_or("", |failure| failure.code), story.usage.is_some())
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_running_stream_is_cancelled_or_read_to_its_end_as_the_provider_wants_it() {
    for kind in RULES {
        let address = playing(MINUTE).await;
        let rig = Rig::new(rule(&[address], kind, &Patience::default()), at_once(&[0])).await;
        let began = Instant::now();
        left_after(&rig, true, 400, 4).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
        let reads_on = kind != OnClientGone::Cancel;
        assert_eq!(rig.attempts_in_flight(), u32::from(reads_on), "{kind:?}: it is the target's work");
        assert_eq!(rig.in_flight(), usize::from(reads_on), "{kind:?}: a stop waits for it");
        let story = rig.story().await;
        assert_eq!(told(&story), (Ending::ClientGone, "client_gone", reads_on), "{kind:?}");
        assert!(story.attempts[0].failure.is_none(), "the target did nothing wrong");
        assert!(story.bytes_out > 300 && story.bytes_out < 1500, "what the client got: {}", story.bytes_out);
        assert_eq!(began.elapsed().as_secs() >= 57, reads_on, "{kind:?}: {:?}", began.elapsed());
        let ended = if reads_on { "complete" } else { "cancelled" };
        assert_eq!(seen_by(address).await[0]["ended"], ended, "{kind:?}");
        assert_eq!((rig.in_flight(), rig.attempts_in_flight()), (0, 0), "{kind:?}");
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn only_finish_carries_an_attempt_on_that_has_not_shown_content() {
    for (patience, stream) in [(silent(), true), (Patience::default(), true), (Patience::default(), false)] {
        for kind in RULES {
            let upstreams = [playing(if stream { LATE } else { PLAIN }).await, playing(MINUTE).await];
            // The soft limit would leave the first target for the second, if there were a client to hurry for.
            let patience = Patience { ttft_soft_timeout_s: Some(40.0), ..patience.clone() };
            let rig = Rig::new(rule(&upstreams, kind, &patience), at_once(&[0, 1])).await;
            left_after(&rig, stream, 0, 20).await;
            tokio::time::sleep(Duration::from_millis(250)).await;
            let finishes = kind == OnClientGone::Finish;
            assert_eq!(rig.attempts_in_flight(), u32::from(finishes), "{kind:?}");
            let story = rig.story().await;
            assert_eq!(told(&story), (Ending::ClientGone, "client_gone", finishes), "{kind:?}, stream {stream}");
            assert_eq!((story.attempts.len(), story.bytes_out), (1, 0), "{kind:?}");
            assert_eq!(story.attempts[0].first_content_us.is_some(), finishes);
            let ended = if finishes { "complete" } else { "cancelled" };
            assert_eq!(seen_by(upstreams[0]).await[0]["ended"], ended, "{kind:?}, stream {stream}");
            assert!(seen_by(upstreams[1]).await.is_empty(), "nobody else is asked");
            assert_eq!((rig.in_flight(), rig.attempts_in_flight()), (0, 0), "{kind:?}");
        }
    }
}

const PLAIN: &str = r#"[{"delay": {"ms": 60000}}, {"reply": {"text": "for nobody"}}]"#;

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn with_comments_out_an_attempt_is_carried_on_like_before_them() {
    let address = playing(LATE).await;
    let rig = Rig::new(rule(&[address], OnClientGone::Finish, &Patience::default()), at_once(&[0])).await;
    // The head and a comment come after half a minute of silence.
    left_after(&rig, true, 100, 0).await;
    let story = rig.story().await;
    assert_eq!(told(&story), (Ending::ClientGone, "client_gone", true));
    assert_eq!(seen_by(address).await[0]["ended"], "complete");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn what_is_carried_on_and_fails_is_told_of_its_target_and_tried_nowhere_else() {
    let failing = r#"[{"delay": {"ms": 60000}}, {"status": {"code": 503}}]"#;
    let upstreams = [playing(failing).await, playing(MINUTE).await];
    let rig = Rig::new(rule(&upstreams, OnClientGone::Finish, &silent()), at_once(&[0, 1])).await;
    left_after(&rig, true, 0, 1).await;
    let story = rig.story().await;
    assert_eq!(told(&story), (Ending::ClientGone, "client_gone", false));
    assert_eq!(story.attempts.len(), 1);
    let reported = rig.decider.reported.lock().unwrap().clone();
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].attempt.failure.as_ref().unwrap().kind.name(), "overloaded");
    assert!(seen_by(upstreams[1]).await.is_empty());
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_pause_between_two_attempts_is_not_carried_on() {
    let limited = r#"[{"status": {"code": 429, "headers": {"retry-after": "4"}}}]"#;
    let address = playing(limited).await;
    let rig = Rig::new(rule(&[address], OnClientGone::Finish, &silent()), at_once(&[0])).await;
    left_after(&rig, false, 0, 1).await;
    let story = rig.story().await;
    assert_eq!((story.ending, story.attempts.len()), (Ending::ClientGone, 1));
    assert_eq!(seen_by(address).await.len(), 1);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn what_is_read_on_keeps_the_clocks_of_its_reply() {
    for (steps, patience, name, lasts_s) in [
        (r#"[{"events": {"count": 2}}, "stall"]"#, Patience::default(), "stalled", 30),
        (
            r#"[{"events": {"count": 10000, "every_ms": 5000}}]"#,
            Patience { stream_total_timeout_s: 300.0, ..Patience::default() },
            "total_timeout",
            300,
        ),
        (r#"[{"events": {"count": 4, "every_ms": 5000}}, "close"]"#, Patience::default(), "truncated", 15),
    ] {
        let address = playing(steps).await;
        let rig = Rig::new(rule(&[address], OnClientGone::Drain, &patience), at_once(&[0])).await;
        let began = Instant::now();
        left_after(&rig, true, 200, 1).await;
        let story = rig.story().await;
        assert_eq!(told(&story), (Ending::ClientGone, "client_gone", false), "{name}");
        let lasted_s = began.elapsed().as_secs();
        assert!((lasts_s..lasts_s + 3).contains(&lasted_s), "{name}: {lasted_s} s");
        let reported = rig.decider.reported.lock().unwrap().clone();
        assert_eq!(reported.len(), 1, "{name}: health hears of it");
        assert_eq!(reported[0].attempt.failure.as_ref().unwrap().kind.name(), name);
        assert_eq!((rig.in_flight(), rig.attempts_in_flight()), (0, 0), "{name}");
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_long_plain_reply_is_read_on_to_its_usage() {
    let steps = r#"[{"reply": {"bytes": 400000}}]"#;
    let address = playing(steps).await;
    let rig = Rig::new(rule(&[address], OnClientGone::Drain, &Patience::default()), at_once(&[0])).await;
    let mut body = run(rig.io.clone(), ingress(&chat("m", false)), None).await.body;
    assert!(poll_fn(|task| body.poll_next(task)).await.unwrap().is_some());
    drop(body);
    assert_eq!(told(&rig.story().await), (Ending::ClientGone, "client_gone", true));
    assert_eq!(seen_by(address).await[0]["ended"], "complete");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_stop_ends_what_is_read_on() {
    for (kind, steps) in [(OnClientGone::Drain, MINUTE), (OnClientGone::Finish, LATE)] {
        let address = playing(steps).await;
        let rig = Rig::new(rule(&[address], kind, &silent()), at_once(&[0])).await;
        let reads = if kind == OnClientGone::Drain { 200 } else { 0 };
        left_after(&rig, true, reads, 1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(rig.in_flight(), 1);
        let stopped = Instant::now();
        rig.io.shared.ending.send_replace(true);
        let story = rig.story().await;
        assert!(stopped.elapsed() < Duration::from_secs(1));
        assert_eq!(told(&story), (Ending::ClientGone, "client_gone", false), "{kind:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(seen_by(address).await[0]["ended"], "cancelled", "{kind:?}");
        assert_eq!((rig.in_flight(), rig.attempts_in_flight()), (0, 0), "{kind:?}");
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn where_all_places_are_taken_a_reply_is_let_go_instead() {
    let address = playing(MINUTE).await;
    let bounds = Bounds { in_flight: 1, ..Bounds::default() };
    let rig = Rig::with(rule(&[address], OnClientGone::Drain, &Patience::default()), at_once(&[0]), bounds).await;
    left_after(&rig, true, 200, 1).await;
    assert_eq!(told(&rig.story().await), (Ending::ClientGone, "client_gone", false));
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(seen_by(address).await[0]["ended"], "cancelled");
}

#[tokio::test]
async fn the_journal_says_what_the_upstream_did_and_that_the_client_was_gone() {
    let quick = r#"[{"events": {"count": 3, "every_ms": 60}}, {"finish": {}}, "done"]"#;
    let stalls = r#"[{"events": {"count": 2}}, "stall"]"#;
    let hasty = Patience { idle_timeout_s: 0.3, ..Patience::default() };
    for (kind, steps, state, failure, basis) in [
        (OnClientGone::Cancel, quick, "cancelled", "client_gone", "estimated"),
        (OnClientGone::Drain, quick, "complete", "client_gone", "provider"),
        (OnClientGone::Drain, stalls, "partial", "stalled", "estimated"),
    ] {
        let folder = Folder::new();
        let journal = folder.journal();
        let spec = rule(&[playing(steps).await], kind, &hasty);
        let rig = Rig::journaled(spec, at_once(&[0]), Bounds::default(), journal.lane(0)).await;
        left_after(&rig, true, 200, 0).await;
        rig.story().await;
        journal.close();
        let ends: Vec<_> =
            super::journal::lines(&folder).into_iter().filter(|line| line["record"] == "settle").collect();
        assert_eq!(ends.len(), 1);
        let found = (&ends[0]["state"], &ends[0]["failure"], &ends[0]["basis"]);
        assert_eq!(found, (&state.into(), &failure.into(), &basis.into()), "{kind:?} {steps}");
    }
}

/// Polls an exchange and its body so often, drops it there, and lets what was spawned come to rest.
pub(super) async fn dropped_after(polls: usize, rig: &Rig, stream: bool) -> bool {
    let mut left = polls;
    let mut exchange = pin!(async {
        let mut body = run(rig.io.clone(), ingress(&chat("m", stream)), None).await.body;
        while poll_fn(|task| body.poll_next(task)).await.unwrap().is_some() {}
    });
    poll_fn(|task| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        exchange.as_mut().poll(task).map(|()| true)
    })
    .await
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn dropped_at_any_await_what_goes_on_settles_once_and_leaves_nothing_in_flight() {
    let failing = r#"[{"delay": {"ms": 3}}, {"status": {"code": 503}}]"#;
    let running = r#"[{"delay": {"ms": 3}}, {"events": {"count": 5, "every_ms": 7}}, {"finish": {}}, "done"]"#;
    let whole = r#"[{"delay": {"ms": 3}}, {"reply": {"bytes": 200000}}]"#;
    for (kind, steps, stream) in [
        (OnClientGone::Drain, running, true),
        (OnClientGone::Finish, running, true),
        (OnClientGone::Finish, whole, false),
    ] {
        let upstreams = [playing(failing).await, playing(steps).await];
        for polls in 1.. {
            assert!(polls < 1000, "it has to end some time");
            let rig = Rig::new(rule(&upstreams, kind, &Patience::default()), at_once(&[0, 1])).await;
            let ended = dropped_after(polls, &rig, stream).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            let settled = rig.decider.settled.lock().unwrap().clone();
            assert_eq!(settled.len(), 1, "{kind:?} after {polls} polls");
            assert_eq!((rig.attempts_in_flight(), rig.in_flight()), (0, 0), "{kind:?} after {polls} polls");
            if ended {
                assert!(polls > 5, "{polls} polls are too few to have met every wait");
                break;
            }
        }
    }
}
