//! A second attempt beside a slow one: who wins, who is let go, what it may cost, and that nobody is blamed.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::rig::{Rig, at_once, chat, ingress, plan, playing, request, seen_by, table};
use super::unseen::dropped_after;
use crate::clocks::{Ambiguous, Patience};
use crate::decider::Decision;
use crate::exchange::run;
use crate::io::Bounds;
use crate::journal::tests::Folder;
use crate::outcome::{Ending, Outcome};
use crate::table::{OnClientGone, TableSpec};

const STALLS: &str = r#"["stall"]"#;
const AT_ONCE: &str = r#"[{"reply": {"text": "at once", "events": 3, "every_ms": 1000}}]"#;

fn after(delay_ms: u64, then: &str) -> String {
    format!(r#"[{{"delay": {{"ms": {delay_ms}}}}}, {then}]"#)
}

const REPLY: &str = r#"{"reply": {"text": "late", "events": 2}}"#;
const BUSY: &str = r#"{"status": {"code": 503}}"#;

fn hedging() -> Patience {
    Patience { hedge_after_s: Some(2.0), keep_alive_s: 0.0, ..Patience::default() }
}

async fn upstreams(steps: &[&str]) -> Vec<SocketAddr> {
    let mut all = Vec::new();
    for steps in steps {
        all.push(playing(steps).await);
    }
    all
}

/// Before these upstreams, in this order, with two hedges saved up.
async fn rig(all: &[SocketAddr], patience: &Patience) -> Rig {
    let order: Vec<u32> = (0..all.len()).map(|at| u32::try_from(at).unwrap()).collect();
    let rig = Rig::new(table(1, all, patience), at_once(&order)).await;
    save_up(&rig);
    rig
}

fn save_up(rig: &Rig) {
    for _ in 0..40 {
        rig.io.shared.tables.current().routes[0].budget.earn_hedge();
    }
}

/// Target and failure of each attempt, in the order of the outcome.
fn attempts(story: &Outcome) -> Vec<(u32, &'static str)> {
    let failure = |attempt: &crate::Attempt| attempt.failure.as_ref().map_or("", |failure| failure.kind.name());
    story.attempts.iter().map(|attempt| (attempt.target, failure(attempt))).collect()
}

async fn ended(upstream: SocketAddr) -> Vec<String> {
    seen_by(upstream).await.iter().map(|row| row["ended"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn the_second_answers_where_the_first_is_slow_and_the_first_is_let_go_at_once() {
    let all = upstreams(&[STALLS, AT_ONCE]).await;
    let rig = rig(&all, &hedging()).await;
    let began = Instant::now();
    let mut client = TcpStream::connect(rig.door).await.unwrap();
    client.write_all(request(&chat("m", true), "connection: close\r\n").as_bytes()).await.unwrap();
    let mut head = [0; 4096];
    let read = client.read(&mut head).await.unwrap();
    let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
    assert!((2000..2100).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert!(head.contains("x-fastroute-target: p1/up-1-1") && head.contains("x-fastroute-attempts: 2"), "{head}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ended(all[0]).await, ["cancelled"]);
    assert_eq!((rig.attempts_in_flight(), rig.in_flight()), (1, 1), "the winner runs on");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("[DONE]"));
    let story = rig.story().await;
    assert_eq!((story.ending, attempts(&story)), (Ending::Complete, vec![(0, "hedged"), (1, "")]));
    let reported = rig.decider.reported.lock().unwrap().clone();
    assert!(reported.iter().all(|setback| !crate::blames_upstream(setback.attempt.failure.as_ref().unwrap())));
    assert_eq!(reported.iter().map(|setback| setback.led).collect::<Vec<_>>(), [true], "it led the plan");
    let target = &rig.io.shared.tables.current().targets[0];
    assert_eq!(target.failures_in_a_row.load(Ordering::Relaxed), 0);
    let metrics = &rig.io.shared.metrics;
    assert_eq!((metrics.hedges.load(Ordering::Relaxed), metrics.hedges_won.load(Ordering::Relaxed)), (1, 1));
    assert_eq!(rig.attempts_in_flight(), 0);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn the_first_may_still_win_and_then_the_second_is_let_go() {
    let all = upstreams(&[&after(3000, REPLY), &after(3000, REPLY)]).await;
    let rig = rig(&all, &hedging()).await;
    let began = Instant::now();
    let reply = rig.stream().await;
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(
        (reply.header("x-fastroute-target"), reply.header("x-fastroute-attempts")),
        (Some("p0/up-1-0"), Some("2"))
    );
    assert!(reply.header("server-timing").unwrap().contains("up;dur=30"), "{}", reply.head);
    let story = rig.story().await;
    assert_eq!(attempts(&story), [(1, "hedged"), (0, "")], "in the order in which they ended");
    assert!(story.attempts[1].started_us < story.attempts[0].started_us);
    assert!(story.attempts.iter().all(|attempt| attempt.took_us > 0));
    assert_eq!(ended(all[1]).await, ["cancelled"]);
    assert_eq!(rig.io.shared.metrics.hedges_won.load(Ordering::Relaxed), 0);
}

/// What each upstream does, the attempts it comes to, and when the reply is there.
type Case<'a> = (&'a [&'a str], &'a [(u32, &'a str)], u64);

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn where_one_of_two_fails_the_other_goes_on_and_a_third_comes_only_after_both() {
    let cases: [Case; 4] = [
        (&[&after(5000, REPLY), &after(1000, BUSY), AT_ONCE], &[(1, "overloaded"), (0, "")], 5),
        (&[&after(3000, BUSY), &after(5000, REPLY), AT_ONCE], &[(0, "overloaded"), (1, "")], 7),
        (&[&after(3000, BUSY), &after(5000, BUSY), REPLY_NOW], &[(0, "overloaded"), (1, "overloaded"), (2, "")], 7),
        (&[&after(6000, BUSY), &after(3000, BUSY), REPLY_NOW], &[(1, "overloaded"), (0, "overloaded"), (2, "")], 6),
    ];
    for (steps, told, at_s) in cases {
        let all = upstreams(steps).await;
        let rig = rig(&all, &hedging()).await;
        let began = Instant::now();
        let reply = rig.stream().await;
        assert_eq!((reply.status(), began.elapsed().as_secs()), (200, at_s), "{steps:?}");
        let story = rig.story().await;
        assert_eq!((story.ending, attempts(&story).as_slice()), (Ending::Complete, told), "{steps:?}");
        let reported = rig.decider.reported.lock().unwrap().clone();
        let led: Vec<_> = reported.iter().map(|setback| (setback.attempt.target, setback.led)).collect();
        let expected: Vec<_> = told[..told.len() - 1].iter().map(|(target, _)| (*target, *target == 0)).collect();
        assert_eq!(led, expected, "health hears of each failure, and which was counted as sent");
        assert_eq!(rig.attempts_in_flight(), 0);
    }
}

const REPLY_NOW: &str = r#"[{"reply": {"text": "late", "events": 2}}]"#;

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn what_would_fail_anywhere_is_told_at_once_and_the_other_is_let_go() {
    let said = r#"{"status": {"code": 400, "body": {"error": {"code": "bad", "message": "x"}}}}"#;
    let all = upstreams(&[STALLS, &after(1000, said)]).await;
    let rig = rig(&all, &hedging()).await;
    let reply = rig.stream().await;
    assert_eq!((reply.status(), reply.code().as_str(), reply.header("x-fastroute-attempts")), (400, "bad", Some("2")));
    assert_eq!(attempts(&rig.story().await), [(0, "hedged"), (1, "bad_request")]);
    assert_eq!(ended(all[0]).await, ["cancelled"]);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn two_that_are_both_too_slow_end_at_the_one_limit_for_all() {
    let all = upstreams(&[STALLS, STALLS]).await;
    let patience = Patience { ttft_soft_timeout_s: Some(10.0), ttft_timeout_s: 30.0, ..hedging() };
    let rig = rig(&all, &patience).await;
    let began = Instant::now();
    assert_eq!(rig.stream().await.code(), "upstream_timeout");
    assert_eq!(began.elapsed().as_secs(), 30);
    assert_eq!(attempts(&rig.story().await), [(0, "first_token_soft"), (1, "first_token_hard")]);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn nobody_is_asked_beside_where_that_is_not_wanted_or_would_not_help() {
    let one = Patience { attempts: 1, ..hedging() };
    let never = Patience { ambiguous_retry: Ambiguous::Never, ..hedging() };
    let off = Patience { hedge_after_s: None, ..hedging() };
    for (why, patience, stream, targets, may_lead) in [
        ("off by default", off, true, 2, 2),
        ("one attempt is all", one, true, 2, 2),
        ("what may have been done is not to be done twice", never, true, 2, 2),
        ("a plain reply is slow because it is long", hedging(), false, 2, 2),
        ("there is nobody else", hedging(), true, 1, 1),
        ("the other one rests", hedging(), true, 2, 1),
    ] {
        let all = upstreams(&[&after(5000, REPLY), AT_ONCE]).await;
        let order: Vec<u32> = (0..targets).collect();
        let decide: Box<super::rig::Decide> = Box::new(move |_, answer| {
            let plan = crate::decider::Plan { may_lead, ..plan(1, &order) };
            answer.give(Decision::Plan(plan)).unwrap();
            Ok(())
        });
        let rig = Rig::new(table(1, &all, &patience), decide).await;
        save_up(&rig);
        assert_eq!(rig.ask(&chat("m", stream)).await.header("x-fastroute-attempts"), Some("1"), "{why}");
        assert!(seen_by(all[1]).await.is_empty(), "{why}");
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn when_everybody_is_slow_attempts_stay_within_one_in_twenty_more_than_requests() {
    const REQUESTS: usize = 400;
    let all = upstreams(&[&after(6000, REPLY), &after(6000, REPLY)]).await;
    let rig = Arc::new(Rig::new(table(1, &all, &hedging()), at_once(&[0, 1])).await);
    for _ in 0..REQUESTS / 40 {
        let crowd: Vec<_> = (0..40)
            .map(|_| {
                let rig = rig.clone();
                tokio::spawn(async move { assert_eq!(rig.stream().await.status(), 200) })
            })
            .collect();
        for one in crowd {
            one.await.unwrap();
        }
    }
    let (first, second) = (seen_by(all[0]).await, seen_by(all[1]).await);
    assert_eq!(first.len(), REQUESTS);
    assert!(second.len() <= REQUESTS / 20 && second.len() > REQUESTS / 40, "{} hedges", second.len());
    assert!(second.iter().all(|row| row["ended"] == "cancelled"));
    let settled = rig.settled(REQUESTS).await;
    let hedged: Vec<_> = settled.iter().filter(|story| story.attempts.len() == 2).collect();
    assert_eq!(hedged.len(), second.len());
    assert!(hedged.iter().all(|story| attempts(story) == [(1, "hedged"), (0, "")]));
    let metrics = &rig.io.shared.metrics;
    assert_eq!(metrics.hedges.load(Ordering::Relaxed), second.len() as u64);
    assert_eq!(metrics.hedges_denied.load(Ordering::Relaxed), (REQUESTS - second.len()) as u64);
    assert_eq!((rig.in_flight(), rig.attempts_in_flight()), (0, 0));
}

fn with_rules(all: &[SocketAddr], rules: [OnClientGone; 2]) -> TableSpec {
    let mut spec = table(1, all, &hedging());
    for (provider, rule) in spec.providers.iter_mut().zip(rules) {
        provider.on_client_gone = rule;
    }
    spec
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_client_that_leaves_two_attempts_leaves_each_to_its_providers_rule() {
    use OnClientGone::{Cancel, Finish};
    for (rules, ends, told) in [
        ([Cancel, Cancel], ["cancelled", "cancelled"], &[(1, ""), (0, "")]),
        ([Finish, Cancel], ["complete", "cancelled"], &[(1, "client_gone"), (0, "")]),
        ([Cancel, Finish], ["cancelled", "complete"], &[(0, "client_gone"), (1, "")]),
        ([Finish, Finish], ["complete", "cancelled"], &[(1, "hedged"), (0, "")]),
    ] {
        let all = upstreams(&[&after(6000, REPLY), &after(6000, REPLY)]).await;
        let rig = Rig::new(with_rules(&all, rules), at_once(&[0, 1])).await;
        save_up(&rig);
        let mut client = TcpStream::connect(rig.door).await.unwrap();
        client.write_all(request(&chat("m", true), "").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(rig.attempts_in_flight(), 2, "{rules:?}");
        drop(client);
        tokio::time::sleep(Duration::from_millis(250)).await;
        let running = rules.iter().filter(|rule| **rule == Finish).count();
        assert_eq!(rig.attempts_in_flight() as usize, running, "{rules:?}");
        let story = rig.story().await;
        assert_eq!((story.ending, attempts(&story).as_slice()), (Ending::ClientGone, told.as_slice()), "{rules:?}");
        assert_eq!(story.usage.is_some(), running > 0, "{rules:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(
            (ended(all[0]).await, ended(all[1]).await),
            (vec![ends[0].into()], vec![ends[1].into()]),
            "{rules:?}"
        );
        assert_eq!((rig.in_flight(), rig.attempts_in_flight()), (0, 0), "{rules:?}");
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_stop_ends_both() {
    let all = upstreams(&[STALLS, STALLS]).await;
    let rig = Arc::new(rig(&all, &hedging()).await);
    let asked = tokio::spawn({
        let rig = rig.clone();
        async move { rig.stream().await }
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    rig.io.shared.ending.send_replace(true);
    assert_eq!(asked.await.unwrap().code(), "server_shutdown");
    assert_eq!(attempts(&rig.story().await), [(1, "shutdown"), (0, "shutdown")]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((ended(all[0]).await, ended(all[1]).await), (vec!["cancelled".into()], vec!["cancelled".into()]));
}

#[tokio::test]
async fn both_are_on_record_and_the_loser_as_cancelled() {
    let folder = Folder::new();
    let journal = folder.journal();
    let all = upstreams(&[STALLS, AT_ONCE]).await;
    let patience = Patience { hedge_after_s: Some(0.05), ..hedging() };
    let rig = Rig::journaled(table(1, &all, &patience), at_once(&[0, 1]), Bounds::default(), journal.lane(0)).await;
    save_up(&rig);
    let mut body = run(rig.io.clone(), ingress(&chat("m", true)), None).await.body;
    while poll_fn(|task| body.poll_next(task)).await.unwrap().is_some() {}
    rig.story().await;
    journal.close();
    let lines = super::journal::lines(&folder);
    let of = |record: &str| lines.iter().filter(|line| line["record"] == record).cloned().collect::<Vec<_>>();
    let intents: Vec<_> = of("intent").iter().map(|line| (line["ordinal"].clone(), line["target"].clone())).collect();
    assert_eq!(intents, [(1.into(), "p0/up-1-0".into()), (2.into(), "p1/up-1-1".into())]);
    let ends: Vec<_> = of("settle").iter().map(|line| (line["state"].clone(), line["failure"].clone())).collect();
    assert_eq!(ends, [("cancelled".into(), "hedged".into()), ("complete".into(), serde_json::Value::Null)]);
    assert_eq!(of("settle")[0]["attempt"], of("intent")[0]["attempt"]);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn dropped_at_any_await_two_attempts_settle_once_and_leave_nothing_in_flight() {
    let slow = after(5, r#"{"events": {"count": 3, "every_ms": 7}}, {"finish": {}}, "done""#);
    for rules in [[OnClientGone::Cancel; 2], [OnClientGone::Finish, OnClientGone::Cancel], [OnClientGone::Finish; 2]] {
        let all = upstreams(&[&slow, &slow]).await;
        for polls in 1.. {
            assert!(polls < 1000, "it has to end some time");
            let mut spec = with_rules(&all, rules);
            spec.routes[0].patience.hedge_after_s = Some(0.003);
            let rig = Rig::new(spec, at_once(&[0, 1])).await;
            save_up(&rig);
            let ended = dropped_after(polls, &rig, true).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            let settled = rig.decider.settled.lock().unwrap().clone();
            assert_eq!(settled.len(), 1, "{rules:?} after {polls} polls");
            assert!(settled[0].attempts.len() <= 2, "{rules:?} after {polls} polls");
            assert_eq!((rig.attempts_in_flight(), rig.in_flight()), (0, 0), "{rules:?} after {polls} polls");
            if ended {
                assert!(polls > 5, "{polls} polls are too few to have met every wait");
                assert_eq!(settled[0].attempts.len(), 2, "they raced");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn what_only_the_second_target_says_does_not_end_the_first() {
    const MISSING: &str =
        r#"{"status": {"code": 404, "body": {"error": {"code": "model_not_found", "message": "x"}}}}"#;
    const SHORT: &str =
        r#"{"status": {"code": 400, "body": {"error": {"code": "context_length_exceeded", "message": "x"}}}}"#;
    for said in [MISSING, SHORT] {
        let all = upstreams(&[&after(6000, REPLY), &after(1000, said)]).await;
        let rig = rig(&all, &hedging()).await;
        assert_eq!(rig.stream().await.status(), 200, "{said}");
        assert_eq!(attempts(&rig.story().await).last(), Some(&(0, "")), "{said}");
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn the_only_target_left_of_two_is_waited_for_and_one_with_a_third_behind_it_is_not() {
    let patience = Patience { ttft_soft_timeout_s: Some(8.0), ..hedging() };
    let slow = after(20_000, REPLY);
    let all = upstreams(&[&slow, &after(1000, BUSY)]).await;
    let two = rig(&all, &patience).await;
    assert_eq!(two.stream().await.status(), 200);
    assert_eq!(attempts(&two.story().await), [(1, "overloaded"), (0, "")]);
    let all = upstreams(&[&after(3000, BUSY), STALLS, REPLY_NOW]).await;
    let three = rig(&all, &patience).await;
    let began = Instant::now();
    assert_eq!(three.stream().await.status(), 200);
    assert_eq!(attempts(&three.story().await), [(0, "overloaded"), (1, "first_token_soft"), (2, "")]);
    assert_eq!(began.elapsed().as_secs(), 10, "the second began after two");
}
