//! Whom nobody may call, while the decider is late or cannot know.

use std::net::SocketAddr;
use std::time::Duration;

use super::deciding::later;
use super::rig::{Decide, Reply, Rig, at_once, chat, ingress, plan, playing, seen_by, table, upstream};
use crate::clocks::Patience;
use crate::decider::{Decision, Plan};
use crate::exchange::run;

/// A decider that never answers, before two upstreams that refuse in these ways; and what a second request is told.
async fn refused_twice(refusals: [&str; 2]) -> (Rig, Vec<SocketAddr>, Reply) {
    let (_, decide) = later();
    let upstreams = vec![playing(refusals[0]).await, playing(refusals[1]).await];
    let mut spec = table(1, &upstreams, &Patience::default());
    for at in 0..2 {
        spec.providers[at].keys = vec![("authorization".to_owned(), format!("Bearer sk-{at}"))];
        (spec.targets[at].key, spec.targets[at].key_id) = (Some(0), format!("digest-{at}"));
    }
    let rig = Rig::new(spec, decide).await;
    rig.chat().await;
    let second = rig.chat().await;
    (rig, upstreams, second)
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_late_decider_lets_nobody_be_called_who_just_said_no() {
    let limited = r#"[{"status": {"code": 429, "headers": {"retry-after": "40"}}}]"#;
    let longer = r#"[{"status": {"code": 429, "headers": {"retry-after": "90"}}}]"#;
    let used_up = r#"[{"status": {"code": 402}}]"#;
    let refused = r#"[{"status": {"code": 401}}]"#;
    let forbidden = r#"[{"status": {"code": 403}}]"#;
    for (refusals, status, code, wait) in [
        ([limited, longer], 429, "rate_limit_exceeded", Some("40")),
        ([limited, refused], 429, "rate_limit_exceeded", Some("40")),
        ([used_up, used_up], 503, "provider_quota", None),
        ([refused, used_up], 502, "provider_auth", None),
        ([forbidden, forbidden], 502, "provider_auth", None),
    ] {
        let (_rig, upstreams, reply) = refused_twice(refusals).await;
        assert_eq!((reply.status(), reply.code().as_str()), (status, code), "{refusals:?}");
        assert_eq!(reply.header("retry-after"), wait, "{refusals:?}");
        for upstream in upstreams {
            assert_eq!(seen_by(upstream).await.len(), 1, "{refusals:?}");
        }
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn who_was_barred_is_called_again_when_its_rest_is_over_however_late_the_decider_is() {
    let limited = r#"[{"status": {"code": 429, "headers": {"retry-after": "40"}}}]"#;
    let (rig, upstreams, _) = refused_twice([limited, limited]).await;
    tokio::time::sleep(Duration::from_secs(39)).await;
    assert_eq!(rig.chat().await.header("retry-after"), Some("1"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.chat().await;
    for upstream in upstreams {
        assert_eq!(seen_by(upstream).await.len(), 2);
    }
}

/// A provider that is asked for whatever a client names, and refuses like this.
async fn any_model(refusal: &str, decide: Box<Decide>) -> (Rig, SocketAddr) {
    let upstream = playing(refusal).await;
    let mut spec = table(1, &[upstream], &Patience::default());
    spec.targets[0].model = None;
    spec.routes.clear();
    spec.direct = vec![vec![0]];
    (Rig::new(spec, decide).await, upstream)
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_limit_of_one_model_of_many_bars_none_of_them() {
    let limited = r#"[{"status": {"code": 429, "headers": {"retry-after": "40"}}}]"#;
    let (rig, upstream) = any_model(limited, later().1).await;
    for times in 1..=3 {
        assert_eq!(rig.ask(&chat("p0/theirs", false)).await.status(), 429);
        assert_eq!(seen_by(upstream).await.len(), times);
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_model_of_the_clients_naming_that_a_key_may_not_call_bars_nothing_else() {
    let (rig, upstream) = any_model(r#"[{"status": {"code": 403}}]"#, at_once(&[0])).await;
    for times in [1, 1] {
        let reply = rig.ask(&chat("p0/theirs", false)).await;
        assert_eq!((reply.status(), reply.code().as_str()), (502, "provider_auth"));
        assert_eq!(seen_by(upstream).await.len(), times, "told at once the second time");
    }
    rig.ask(&chat("p0/another", false)).await;
    assert_eq!(seen_by(upstream).await.len(), 2);
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.ask(&chat("p0/theirs", false)).await;
    assert_eq!(seen_by(upstream).await.len(), 3);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_key_that_is_taken_again_is_barred_no_longer() {
    let first =
        r#"{"rules": [{"match": {"first": 1}, "steps": [{"status": {"code": 401}}]}, {"steps": [{"reply": {}}]}]}"#;
    let first = upstream(first).await;
    let (_, decide) = later();
    let mut spec = table(1, &[first], &Patience::default());
    spec.providers[0].keys = vec![("authorization".to_owned(), "Bearer sk-1".to_owned())];
    (spec.targets[0].key, spec.targets[0].key_id) = (Some(0), "digest".to_owned());
    let rig = Rig::new(spec, decide).await;
    assert_eq!(rig.chat().await.status(), 502);
    assert_eq!((rig.chat().await.status(), seen_by(first).await.len()), (502, 1));
    // The decider's own plan is its own affair: a probe.
    let probe = Decision::Plan(Plan { probe: true, ..plan(1, &[0]) });
    let reply = run(rig.io.clone(), ingress(&chat("m", false)), Some(rig.decided(probe))).await;
    assert_eq!(reply.status, 200);
    assert_eq!(rig.chat().await.status(), 200);
}
