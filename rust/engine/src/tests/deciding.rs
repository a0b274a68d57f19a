//! The decider in time, late, full, confused or silent; the snapshot in its place.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::rig::{Decide, Rig, at_once, chat, ingress, plan, playing, seen_by, table};
use crate::clocks::Patience;
use crate::decider::{Answer, Busy, DecidedBy, Decision, LATE_AFTER, Plan, Refusal, WAIT_AT_MOST};
use crate::exchange::{contained, run};
use crate::outcome::Ending;
use crate::table::{ChoiceSpec, RouteSpec, Table, TableSpec, TargetSpec};

const WELL: &str = r#"[{"reply": {}}]"#;

/// A decider that keeps its answers for later.
pub(super) fn later() -> (Arc<Mutex<Vec<Answer>>>, Box<Decide>) {
    let kept: Arc<Mutex<Vec<Answer>>> = Arc::default();
    let keep = kept.clone();
    (
        kept,
        Box::new(move |_, answer| {
            keep.lock().unwrap().push(answer);
            Ok(())
        }),
    )
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_late_decider_is_not_waited_for_and_its_plan_is_handed_back() {
    let (kept, decide) = later();
    let rig = Rig::new(table(1, &[playing(WELL).await], &Patience::default()), decide).await;
    let began = Instant::now();
    assert_eq!(rig.chat().await.status(), 200);
    assert!(began.elapsed() < LATE_AFTER * 4, "{:?}", began.elapsed());
    let story = rig.story().await;
    assert_eq!((story.by, story.lead), (Some(DecidedBy::Snapshot), None), "nobody counted this one as in flight");
    let answer = kept.lock().unwrap().pop().unwrap();
    assert!(!answer.wanted());
    // By mail, as the border does it: the I/O thread itself hands the plan back.
    let mailbox = answer.mailbox().clone();
    mailbox.deliver(&mut vec![(answer, Decision::Plan(plan(1, &[0])))]);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(*rig.decider.forgotten.lock().unwrap(), [plan(1, &[0])]);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn each_of_many_late_questions_is_decided_without_waiting_for_the_others() {
    let (kept, decide) = later();
    let rig = Arc::new(Rig::new(table(1, &[playing(WELL).await], &Patience::default()), decide).await);
    let began = Instant::now();
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let rig = rig.clone();
            tokio::spawn(async move { rig.chat().await.status() })
        })
        .collect();
    for one in asked {
        assert_eq!(one.await.unwrap(), 200);
    }
    assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
    // A pause, then one more: the sweep has to wake again.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.chat().await.status(), 200);
    assert_eq!(kept.lock().unwrap().len(), 21);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_full_decider_leaves_the_decision_to_the_snapshot() {
    let rig = Rig::new(table(1, &[playing(WELL).await], &Patience::default()), Box::new(|_, _| Err(Busy))).await;
    assert_eq!(rig.chat().await.status(), 200);
    let unknown = rig.ask(&chat("unheard-of", false)).await;
    assert_eq!((unknown.status(), unknown.code().as_str()), (503, "overloaded"));
    assert!((1..=5).contains(&unknown.header("retry-after").unwrap().parse::<u32>().unwrap()));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn an_unknown_model_waits_a_quarter_of_a_second_for_its_refusal_and_no_longer() {
    let (kept, decide) = later();
    let rig = Rig::new(table(1, &[playing(WELL).await], &Patience::default()), decide).await;
    let began = Instant::now();
    assert_eq!(rig.ask(&chat("unheard-of", false)).await.status(), 503);
    assert_eq!(began.elapsed().as_millis(), WAIT_AT_MOST.as_millis());
    assert!(!kept.lock().unwrap()[0].wanted());
    let story = rig.story().await;
    assert_eq!((story.ending, story.status, story.route), (Ending::Refused, 503, None));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_refusal_is_told_in_the_clients_words() {
    let refuse: Box<Decide> = Box::new(|_, answer| {
        let refusal = Refusal {
            status: 404,
            code: "model_not_found".into(),
            message: "no such model".into(),
            param: Some("model"),
            retry_after_s: None,
        };
        answer.give(Decision::Refusal(refusal)).unwrap();
        Ok(())
    });
    let rig = Rig::new(table(1, &[playing(WELL).await], &Patience::default()), refuse).await;
    let reply = rig.ask(&chat("unheard-of", false)).await;
    assert_eq!((reply.status(), reply.code().as_str()), (404, "model_not_found"));
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    assert!(reply.body.contains("no such model; GET /v1/models lists all"), "{}", reply.body);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_refusal_that_knows_how_long_tells_the_wait_and_whether_it_is_worth_waiting() {
    for (wait_s, should) in [(7, "true"), (60, "true"), (61, "false")] {
        let refuse: Box<Decide> = Box::new(move |_, answer| {
            let refusal = Refusal {
                status: 429,
                code: "rate_limit_exceeded".into(),
                message: "at the limit".into(),
                param: None,
                retry_after_s: Some(wait_s),
            };
            answer.give(Decision::Refusal(refusal)).unwrap();
            Ok(())
        });
        let rig = Rig::new(table(1, &[playing(WELL).await], &Patience::default()), refuse).await;
        let reply = rig.chat().await;
        assert_eq!((reply.status(), reply.header("x-should-retry")), (429, Some(should)));
        assert_eq!(reply.header("retry-after"), Some(wait_s.to_string().as_str()));
        let error: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(error["error"]["type"], "rate_limit_error");
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn the_content_of_a_probe_is_told_when_it_comes_and_not_when_its_stream_is_over() {
    let steps = r#"[{"events": {"count": 3}}, "stall"]"#;
    let rig = Rig::new(table(1, &[playing(steps).await], &Patience::default()), at_once(&[0])).await;
    let probe = Decision::Plan(Plan { probe: true, ..plan(1, &[0]) });
    let reply = run(rig.io.clone(), ingress(&chat("m", true)), Some(rig.decided(probe))).await;
    let told = rig.decider.reported.lock().unwrap().clone();
    assert_eq!(told.len(), 1, "and its stream goes on");
    assert!(told[0].led && told[0].attempt.failure.is_none() && told[0].attempt.first_content_us.is_some());
    assert!(rig.decider.settled.lock().unwrap().is_empty());
    drop(reply);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_plan_that_names_nothing_is_an_error_and_never_a_panic_or_a_lesson() {
    for targets in [&[][..], &[9], &[u32::MAX, 7]] {
        let rig = Rig::new(table(1, &[playing(WELL).await], &Patience::default()), at_once(targets)).await;
        assert_eq!(rig.chat().await.status(), 500, "{targets:?}");
        assert_eq!(rig.story().await.attempts.len(), 0);
        let table = rig.io.shared.tables.current();
        let order = table.snapshot(table.route(0).unwrap(), &rig.io.shared.dice);
        assert_eq!(order.as_slice(), [0], "the snapshot keeps the last good order");
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn an_exchange_keeps_the_table_it_started_with() {
    let slow = playing(r#"[{"delay": {"ms": 5000}}, {"status": {"code": 503}}]"#).await;
    let (old, new) = (playing(WELL).await, playing(WELL).await);
    let rig = Arc::new(Rig::new(table(1, &[slow, old], &Patience::default()), at_once(&[0, 1])).await);
    let asked = tokio::spawn({
        let rig = rig.clone();
        async move { rig.chat().await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    for generation in 2..5 {
        rig.swap(table(generation, &[new, new], &Patience::default()));
    }
    let reply = asked.await.unwrap();
    assert_eq!((reply.status(), reply.header("x-fastroute-target")), (200, Some("p1/up-1-1")));
    assert!(seen_by(new).await.is_empty());
    assert_eq!(rig.story().await.generation, 1);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn the_numbers_of_a_forgotten_table_are_never_read_in_another() {
    let (old, new) = (playing(WELL).await, playing(WELL).await);
    let rig = Rig::new(table(1, &[old, old], &Patience::default()), at_once(&[0])).await;
    // As at granian's door: decided on the loop, then run, with two reloads in between.
    let decided = plan(1, &[1]);
    rig.swap(table(2, &[old, new], &Patience::default()));
    rig.swap(table(3, &[old, new], &Patience::default()));
    let reply =
        run(rig.io.clone(), ingress(&chat("m", false)), Some(rig.decided(Decision::Plan(decided.clone())))).await;
    assert_eq!(reply.status, 200);
    assert!(seen_by(new).await.is_empty(), "target 1 is somebody else now");
    let story = rig.story().await;
    assert_eq!((story.by, story.generation, story.lead), (Some(DecidedBy::Snapshot), 3, None));
    assert_eq!(*rig.decider.forgotten.lock().unwrap(), [decided], "whoever counted it is told");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_plan_made_just_before_a_swap_is_carried_out_in_its_own_table() {
    let (old, new) = (playing(WELL).await, playing(WELL).await);
    let rig = Rig::new(table(1, &[old], &Patience::default()), at_once(&[0])).await;
    rig.swap(table(2, &[new], &Patience::default()));
    let reply = run(rig.io.clone(), ingress(&chat("m", false)), Some(rig.decided(Decision::Plan(plan(1, &[0]))))).await;
    assert_eq!(reply.headers["x-fastroute-target"], "p0/up-1-0");
    assert_eq!(rig.story().await.generation, 1);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn nothing_is_admitted_while_stories_cannot_be_told_and_no_plan_is_lost_over_it() {
    let rig = Rig::new(table(1, &[playing(WELL).await], &Patience::default()), at_once(&[0])).await;
    rig.decider.room.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(rig.chat().await.status(), 503);
    let reply = run(rig.io.clone(), ingress(&chat("m", false)), Some(rig.decided(Decision::Plan(plan(1, &[0]))))).await;
    assert_eq!(reply.status, 503);
    assert_eq!(*rig.decider.forgotten.lock().unwrap(), [plan(1, &[0])]);
    assert!(rig.decider.settled.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_defect_of_ours_costs_one_request_and_is_told_as_such() {
    let decide: Box<Decide> = Box::new(|_, _| panic!("a defect, on purpose"));
    let rig = Rig::new(table(1, &[playing(WELL).await], &Patience::default()), decide).await;
    let id = "req_7".into();
    let reply = contained(&rig.io.shared, &id, Box::pin(run(rig.io.clone(), ingress(&chat("m", false)), None))).await;
    assert_eq!((reply.status.as_u16(), &reply.headers["x-request-id"]), (500, &"req_7".parse().unwrap()));
    let story = rig.story().await;
    assert_eq!((story.ending, story.status, story.failure.unwrap().code), (Ending::Refused, 500, "internal_error"));
}

/// A route over three targets, with these weights.
fn weighted(weights: [u32; 3]) -> TableSpec {
    let mut spec = table(1, &["127.0.0.1:1".parse().unwrap()], &Patience::default());
    spec.targets = (0..3)
        .map(|at| TargetSpec {
            provider: 0,
            model: Some(format!("m{at}")),
            key: None,
            key_id: String::new(),
            ..TargetSpec::default()
        })
        .collect();
    let choices = (0_u32..).zip(weights).map(|(target, weight)| ChoiceSpec { target, weight }).collect();
    spec.routes = vec![RouteSpec { name: "m".into(), choices, policy: "weighted".into(), ..RouteSpec::default() }];
    spec
}

#[test]
fn the_snapshot_draws_by_weight_and_lists_every_target_once() {
    let dice = crate::dice::Dice::new(1);
    for weights in [[1, 1, 1], [95, 5, 0], [0, 0, 7], [0, 0, 0], [0, 3, 0], [u32::MAX, 1, u32::MAX]] {
        let table = Table::compile(weighted(weights)).unwrap();
        let route = table.route(0).unwrap();
        let draws = 30_000;
        let mut led = [0_u32; 3];
        for _ in 0..draws {
            let order = table.snapshot(route, &dice);
            led[order[0] as usize] += 1;
            let mut sorted = order.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
        }
        let total: f64 = weights.iter().copied().map(f64::from).sum();
        for (at, weight) in weights.into_iter().enumerate() {
            let share = f64::from(led[at]) / f64::from(draws);
            let due = if total == 0.0 { f64::from(u8::from(at == 0)) } else { f64::from(weight) / total };
            // Four standard deviations at most, and exactly none where the weight is none.
            let slack = 4.0 * (due * (1.0 - due) / f64::from(draws)).sqrt();
            assert!((share - due).abs() <= slack, "{weights:?}: {share} of {due} for target {at}");
        }
    }
}

#[test]
fn the_snapshot_puts_targets_that_keep_failing_last() {
    let table = Table::compile(weighted([1, 0, 0])).unwrap();
    table.target(0).unwrap().failures_in_a_row.store(3, std::sync::atomic::Ordering::Relaxed);
    let order = table.snapshot(table.route(0).unwrap(), &crate::dice::Dice::new(1));
    assert_eq!(order.as_slice(), [1, 2, 0]);
}

/// A plan of this route with this order, the first `may_lead` of which are in service.
fn ordered(order: &[u32], may_lead: usize) -> Plan {
    Plan { may_lead, ..plan(1, order) }
}

#[test]
fn the_snapshot_neither_calls_whom_the_decider_left_out_nor_lets_a_resting_target_lead() {
    let dice = crate::dice::Dice::new(1);
    for policy in ["weighted", "ordered"] {
        let mut spec = weighted([1, 1, 1]);
        spec.routes[0].policy = policy.into();
        let table = Table::compile(spec).unwrap();
        let route = table.route(0).unwrap();
        route.remember(&ordered(&[2, 0], 1));
        assert!((0..100).all(|_| table.snapshot(route, &dice).as_slice() == [2, 0]));
        route.remember(&Plan { probe: true, ..ordered(&[0, 1, 2], 3) });
        assert!((0..100).all(|_| table.snapshot(route, &dice).as_slice() == [2, 0]), "a probe is one request");
        route.remember(&Plan { once: true, ..ordered(&[0, 1, 2], 3) });
        assert!(
            (0..100).all(|_| table.snapshot(route, &dice).as_slice() == [2, 0]),
            "whoever was drawn was drawn once"
        );
        route.remember(&ordered(&[0, 1, 2], 3));
        assert_eq!(table.snapshot(route, &dice).len(), 3, "everybody is back");
    }
}
