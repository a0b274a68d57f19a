//! Targets that have no words for a request: passed over, paid for by nobody, blamed for nothing, and named.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastroute_core::passes::OnLoss;
use tokio::time::Instant;

use super::journal::intents;
use super::rig::{Reply, Rig, at_once, playing, seen_by, table};
use crate::clocks::Patience;
use crate::decider::{Decision, Plan};
use crate::io::Bounds;
use crate::journal::tests::Folder;
use crate::outcome::Ending;
use crate::table::TableSpec;

const WELL: &str = r#"[{"reply": {"text": "well", "events": 2}}]"#;
const BUSY: &str = r#"[{"status": {"code": 503}}]"#;

/// Two answers at once, for which Anthropic's dialect has no words.
fn twofold(stream: bool) -> String {
    format!(r#"{{"model":"m","n":2,"messages":[{{"role":"user","content":"hi"}}],"stream":{stream}}}"#)
}

/// These upstreams in this order; those of `foreign` speak Anthropic's dialect alone.
fn spec(upstreams: &[SocketAddr], foreign: &[usize], patience: &Patience) -> TableSpec {
    let mut spec = table(1, upstreams, patience);
    for at in foreign {
        spec.providers[*at].speaks = [("anthropic_messages".to_owned(), "/messages".to_owned())].into();
    }
    for route in &mut spec.routes {
        route.on_loss = patience.on_loss;
    }
    spec
}

async fn rig(steps: &[&str], foreign: &[usize], patience: &Patience) -> (Rig, Vec<SocketAddr>) {
    let mut upstreams = Vec::new();
    for steps in steps {
        upstreams.push(playing(steps).await);
    }
    let order: Vec<u32> = (0..upstreams.len()).map(|at| u32::try_from(at).unwrap()).collect();
    (Rig::new(spec(&upstreams, foreign, patience), at_once(&order)).await, upstreams)
}

fn told(reply: &Reply) -> (u16, Option<&str>, Option<&str>, Option<&str>) {
    let header = |name| reply.header(name);
    (reply.status(), header("x-fastroute-target"), header("x-fastroute-attempts"), header("x-fastroute-passed-over"))
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn the_next_target_answers_what_the_first_has_no_words_for() {
    for stream in [false, true] {
        let (rig, upstreams) = rig(&[WELL, WELL], &[0], &Patience::default()).await;
        let reply = rig.ask(&twofold(stream)).await;
        assert_eq!(told(&reply), (200, Some("p1/up-1-1"), Some("1"), Some("p0/up-1-0")), "{}", reply.body);
        assert!(seen_by(upstreams[0]).await.is_empty());
        let story = rig.story().await;
        assert_eq!((story.ending, story.attempts.len(), story.attempts[0].target), (Ending::Complete, 1, 1));
        assert!(rig.decider.reported.lock().unwrap().is_empty(), "health hears nothing of it");
        let metrics = &rig.io.shared.metrics;
        assert_eq!(metrics.passed_over.load(Ordering::Relaxed), 1);
        assert_eq!(metrics.retries.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn what_nobody_has_words_for_is_told_as_the_first_ones_error_and_nobody_is_asked() {
    let (rig, upstreams) = rig(&[WELL, WELL], &[0, 1], &Patience::default()).await;
    let reply = rig.ask(&twofold(false)).await;
    assert_eq!(told(&reply), (400, None, Some("0"), Some("p0/up-1-0, p1/up-1-1")), "{}", reply.body);
    let error: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(error["error"]["param"], "n");
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    for upstream in upstreams {
        assert!(seen_by(upstream).await.is_empty());
    }
    let story = rig.story().await;
    assert_eq!((story.ending, story.status, story.attempts.len()), (Ending::Refused, 400, 0));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn what_a_body_of_the_responses_api_loses_at_the_address_of_chat_is_named_or_refused() {
    let body = r#"{"model":"m","input":"hi","truncation":"auto","stream":false}"#;
    for foreign in [&[][..], &[0]] {
        let (kept, _) = rig(&[WELL], foreign, &Patience::default()).await;
        let reply = kept.ask(body).await;
        assert_eq!((reply.status(), reply.header("x-fastroute-dropped")), (200, Some("truncation")), "{}", reply.body);
        let patience = Patience { on_loss: OnLoss::Reject, ..Patience::default() };
        let (refused, upstreams) = rig(&[WELL], foreign, &patience).await;
        let reply = refused.ask(body).await;
        let error: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((reply.status(), &error["error"]["param"]), (400, &"truncation".into()), "{error}");
        assert!(seen_by(upstreams[0]).await.is_empty());
    }
}

#[tokio::test]
async fn who_is_passed_over_is_not_on_record() {
    let folder = Folder::new();
    let journal = folder.journal();
    let upstreams = [playing(WELL).await, playing(WELL).await];
    let spec = spec(&upstreams, &[0], &Patience::default());
    let rig = Rig::journaled(spec, at_once(&[0, 1]), Bounds::default(), journal.lane(0)).await;
    assert_eq!(rig.ask(&twofold(false)).await.status(), 200);
    rig.settled(1).await;
    journal.close();
    assert_eq!(intents(&folder), 1);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn passing_over_takes_nothing_from_what_may_be_spent_on_retries() {
    let (rig, _) = rig(&[WELL, WELL], &[0], &Patience { retry_ratio: 0.0, ..Patience::default() }).await;
    // More than what is saved up and the floor together.
    for _ in 0..300 {
        assert_eq!(rig.ask(&twofold(false)).await.status(), 200);
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn one_without_words_between_two_others_costs_neither_an_attempt_nor_a_failure() {
    let patience = Patience { attempts: 2, ..Patience::default() };
    let (busy, upstreams) = rig(&[BUSY, WELL, WELL], &[1], &patience).await;
    let reply = busy.ask(&twofold(false)).await;
    assert_eq!(told(&reply), (200, Some("p2/up-1-2"), Some("2"), Some("p1/up-1-1")));
    assert!(seen_by(upstreams[1]).await.is_empty());
    // With nobody behind it: the same target once more, as where it is alone, and its own error.
    let (busy, upstreams) = rig(&[BUSY, WELL], &[1], &patience).await;
    let reply = busy.ask(&twofold(false)).await;
    assert_eq!(told(&reply), (503, None, Some("2"), Some("p1/up-1-1")));
    assert_eq!(seen_by(upstreams[0]).await.len(), 2);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_slow_target_is_not_left_for_one_that_has_no_words() {
    let slow = r#"[{"delay": {"ms": 9000}}, {"reply": {"text": "late", "events": 2}}]"#;
    for hedge_after_s in [None, Some(1.0)] {
        let patience = Patience { ttft_soft_timeout_s: Some(3.0), hedge_after_s, ..Patience::default() };
        let (rig, upstreams) = rig(&[slow, WELL], &[1], &patience).await;
        for _ in 0..40 {
            rig.io.shared.tables.current().routes[0].budget.earn_hedge();
        }
        let began = Instant::now();
        let reply = rig.ask(&twofold(true)).await;
        assert_eq!(told(&reply).0, 200, "{}", reply.body);
        assert_eq!(told(&reply).2, Some("1"));
        assert!(began.elapsed() >= Duration::from_secs(9));
        assert!(seen_by(upstreams[1]).await.is_empty());
        assert_eq!(rig.story().await.attempts.len(), 1);
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_slow_target_is_left_for_the_next_one_that_has_words() {
    let slow = r#"["stall"]"#;
    for hedge_after_s in [None, Some(1.0)] {
        let patience = Patience { ttft_soft_timeout_s: Some(3.0), hedge_after_s, ..Patience::default() };
        let (rig, upstreams) = rig(&[slow, WELL, WELL], &[1], &patience).await;
        for _ in 0..40 {
            rig.io.shared.tables.current().routes[0].budget.earn_hedge();
        }
        let reply = rig.ask(&twofold(true)).await;
        assert_eq!(told(&reply), (200, Some("p2/up-1-2"), Some("2"), Some("p1/up-1-1")));
        assert!(seen_by(upstreams[1]).await.is_empty());
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_probe_that_has_no_words_is_not_told_of_as_one() {
    let (rig, _) =
        rig(&[WELL, r#"[{"events": {"count": 2}}, {"finish": {}}, "done"]"#], &[0], &Patience::default()).await;
    let decision = Decision::Plan(Plan { probe: true, ..super::rig::plan(1, &[0, 1]) });
    let decided = Some(rig.decided(decision));
    let reply = crate::exchange::run(rig.io.clone(), super::rig::ingress(&twofold(true)), decided).await;
    assert_eq!(reply.status, 200);
    assert!(rig.decider.reported.lock().unwrap().is_empty(), "the second is no probe");
}
