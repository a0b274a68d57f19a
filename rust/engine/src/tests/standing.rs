//! Plans that stand: who is asked again, and when.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::rig::{Decide, Rig, plan, playing, table};
use crate::clocks::Patience;
use crate::decider::{Answer, DecidedBy, Decision, Plan};
use crate::outcome::Ending;

const WELL: &str = r#"[{"reply": {}}]"#;

fn standing(targets: &[u32]) -> Decision {
    Decision::Plan(Plan { standing: true, ..plan(1, targets) })
}

/// A decider whose plan stands, and how often it was asked.
fn asked(targets: &'static [u32]) -> (Arc<AtomicUsize>, Box<Decide>) {
    let asked: Arc<AtomicUsize> = Arc::default();
    let count = asked.clone();
    let decide: Box<Decide> = Box::new(move |_, answer| {
        count.fetch_add(1, Ordering::Relaxed);
        answer.give(standing(targets)).unwrap();
        Ok(())
    });
    (asked, decide)
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_plan_that_stands_is_asked_for_once_and_counted_by_nobody_else() {
    let (asked, decide) = asked(&[0]);
    let rig = Rig::new(table(1, &[playing(WELL).await], &Patience::default()), decide).await;
    for _ in 0..5 {
        assert_eq!(rig.chat().await.status(), 200);
    }
    let stories = rig.settled(5).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!((stories[0].by, stories[0].lead), (Some(DecidedBy::Policy), Some(0)));
    for story in &stories[1..] {
        assert_eq!((story.by, story.lead, story.route), (Some(DecidedBy::Standing), None, Some(0)));
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn whatever_fails_makes_the_next_request_ask() {
    for failing in [
        r#"[{"status": {"code": 503}}]"#,
        r#"[{"status": {"code": 429, "headers": {"retry-after": "7"}}}]"#,
        r#"["reset"]"#,
        r#"[{"status": {"code": 401}}]"#,
    ] {
        let (asked, decide) = asked(&[0, 1]);
        let upstreams = [playing(failing).await, playing(WELL).await];
        let rig = Rig::new(table(1, &upstreams, &Patience::default()), decide).await;
        for times in 1..=3 {
            assert_eq!(rig.chat().await.status(), 200);
            assert_eq!(asked.load(Ordering::Relaxed), times, "{failing}: its plan failed at the first target");
        }
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_stream_that_breaks_off_makes_the_next_request_ask() {
    let (asked, decide) = asked(&[0]);
    let cut = r#"[{"cut": {"after_bytes": 900, "of": "body"}}, {"reply": {"text": "one two three four five six", "events": 6}}]"#;
    let rig = Rig::new(table(1, &[playing(cut).await], &Patience::default()), decide).await;
    for times in 1..=2 {
        assert!(rig.stream().await.error_event().is_some());
        assert_eq!(rig.settled(times).await[times - 1].ending, Ending::Broken);
        assert_eq!(asked.load(Ordering::Relaxed), times);
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn an_answer_that_may_not_know_of_a_failure_does_not_stand() {
    let kept: Arc<Mutex<Vec<Answer>>> = Arc::default();
    let keep = kept.clone();
    let decide: Box<Decide> = Box::new(move |_, answer| {
        keep.lock().unwrap().push(answer);
        Ok(())
    });
    let rig = Arc::new(Rig::new(table(1, &[playing(WELL).await], &Patience::default()), decide).await);
    let first = tokio::spawn({
        let rig = rig.clone();
        async move { rig.chat().await.status() }
    });
    let answer = loop {
        if let Some(answer) = kept.lock().unwrap().pop() {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    rig.io.shared.tables.current().setbacks.note();
    answer.give(standing(&[0])).unwrap();
    assert_eq!(first.await.unwrap(), 200);
    assert!(rig.io.shared.tables.current().standing(0).is_none());
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn another_table_has_no_standing_plans_and_the_same_count_of_setbacks() {
    let (asked, decide) = asked(&[0]);
    let upstream = playing(WELL).await;
    let rig = Rig::new(table(1, &[upstream], &Patience::default()), decide).await;
    assert_eq!(rig.chat().await.status(), 200);
    let before = rig.io.shared.tables.current();
    assert!(before.standing(0).is_some());
    rig.swap(table(2, &[upstream], &Patience::default()));
    let after = rig.io.shared.tables.current();
    assert!(after.standing(0).is_none());
    // An exchange of the table before fails: whatever stands by now was decided without that.
    before.setbacks.note();
    assert_eq!(after.setbacks.count(), 1);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn what_runs_by_a_plan_that_stands_is_counted_at_its_target_until_it_is_over() {
    let (_, decide) = asked(&[0]);
    let slow = r#"[{"delay": {"ms": 5000}}, {"reply": {}}]"#;
    let rig = Arc::new(Rig::new(table(1, &[playing(slow).await], &Patience::default()), decide).await);
    let unasked = |rig: &Rig| rig.io.shared.tables.current().targets[0].unasked.load(Ordering::Relaxed);
    let mut running = Vec::new();
    for counted in [0, 1, 2] {
        let client = rig.clone();
        running.push(tokio::spawn(async move { client.chat().await.status() }));
        while rig.attempts_in_flight() as usize != running.len() {
            tokio::task::yield_now().await;
        }
        assert_eq!(unasked(&rig), counted, "the first was asked for, and its decider counts it");
    }
    for one in running {
        assert_eq!(one.await.unwrap(), 200);
    }
    assert_eq!(unasked(&rig), 0);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_plan_of_one_who_may_not_have_heard_of_everything_does_not_stand() {
    let (_, decide) = asked(&[0]);
    let rig = Rig::new(table(1, &[playing(WELL).await], &Patience::default()), decide).await;
    let table = rig.io.shared.tables.current();
    let plan = Plan { standing: true, ..plan(1, &[0]) };
    table.remember(&plan, None);
    assert!(table.standing(0).is_none());
    table.remember(&plan, Some(table.setbacks.count()));
    assert!(table.standing(0).is_some());
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn what_is_the_clients_fault_leaves_every_plan_standing() {
    let (asked, decide) = asked(&[0]);
    let wrong = r#"[{"status": {"code": 400, "body": {"error": {"message": "x", "type": "invalid_request_error"}}}}]"#;
    let rig = Rig::new(table(1, &[playing(wrong).await], &Patience::default()), decide).await;
    for _ in 0..3 {
        assert_eq!(rig.chat().await.status(), 400);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
