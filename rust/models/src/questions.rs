//! Every plan is used once or handed back once, and nobody waits for ever.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use loom::future::block_on;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use tokio::time::Instant;

use crate::decider::desk::{Answer, Desk, Mailbox};
use crate::decider::{Busy, Decider, Decision, LATE_AFTER, NoDecision, Plan, Question};

/// Keeps the right to answer until the test gives it to a thread.
struct Clerk {
    asked: Mutex<Vec<Answer>>,
    forgotten: AtomicUsize,
}

impl Decider for Clerk {
    fn decide(&self, _question: Question, answer: Answer) -> Result<(), Busy> {
        self.asked.lock().unwrap().push(answer);
        Ok(())
    }

    fn forget(&self, _plan: &Plan) {
        self.forgotten.fetch_add(1, Ordering::Relaxed);
    }
}

type Asking = Pin<Box<dyn Future<Output = Result<Decision, NoDecision>>>>;

/// A question that was put and looked at once, so that its answer can be given from elsewhere.
fn asked(desk: &Arc<Desk>, clerk: &Arc<Clerk>) -> (Asking, Answer) {
    let decider: Arc<dyn Decider> = clerk.clone();
    let desk = desk.clone();
    let mut asking: Asking = Box::pin(async move { desk.ask(&decider, Question, true).await });
    let waker = std::task::Waker::noop();
    assert!(asking.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    let answer = clerk.asked.lock().unwrap().pop().unwrap();
    (asking, answer)
}

fn clerk() -> Arc<Clerk> {
    Arc::new(Clerk { asked: Mutex::default(), forgotten: AtomicUsize::new(0) })
}

/// What [`Mailbox::run`] does with one answer after another, until all plans are accounted for.
async fn run_until(mailbox: Arc<Mailbox>, clerk: Arc<Clerk>, forgotten: usize) {
    let mut running = pin!(mailbox.run(clerk.clone()));
    std::future::poll_fn(move |task| {
        assert!(running.as_mut().poll(task).is_pending(), "the mailbox closed");
        if clerk.forgotten.load(Ordering::Relaxed) == forgotten { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

pub(crate) fn an_answer_wakes_who_waits_for_it() {
    let (desk, clerk) = (Arc::new(Desk::default()), clerk());
    let (asking, answer) = asked(&desk, &clerk);
    let giving = thread::spawn(move || answer.give(Decision::Plan(Plan)));
    assert_eq!(block_on(asking), Ok(Decision::Plan(Plan)));
    assert!(giving.join().unwrap().is_ok());
    assert_eq!(clerk.forgotten.load(Ordering::Relaxed), 0);
}

pub(crate) fn an_answer_and_the_sweep_at_once_are_one_or_the_other() {
    let (desk, clerk) = (Arc::new(Desk::default()), clerk());
    let (asking, answer) = asked(&desk, &clerk);
    let giving = thread::spawn(move || answer.give(Decision::Plan(Plan)));
    let sweeping = thread::spawn(move || assert!(desk.sweep.expire(Instant::now() + 2 * LATE_AFTER).is_none()));
    let got = block_on(asking);
    sweeping.join().unwrap();
    match giving.join().unwrap() {
        Ok(()) => assert_eq!(got, Ok(Decision::Plan(Plan))),
        Err(_) => assert_eq!(got, Err(NoDecision::Late)),
    }
    assert_eq!(clerk.forgotten.load(Ordering::Relaxed), 0, "the giver has what came too late");
}

pub(crate) fn a_question_dropped_while_it_is_answered_hands_its_plan_back_once() {
    let (desk, clerk) = (Arc::new(Desk::default()), clerk());
    let (asking, answer) = asked(&desk, &clerk);
    let giving = thread::spawn(move || answer.give(Decision::Plan(Plan)));
    drop(asking);
    let handed_back = usize::from(giving.join().unwrap().is_err());
    assert_eq!(handed_back + clerk.forgotten.load(Ordering::Relaxed), 1);
}

pub(crate) fn a_declined_question_ends_at_once() {
    let (desk, clerk) = (Arc::new(Desk::default()), clerk());
    let (asking, answer) = asked(&desk, &clerk);
    let declining = thread::spawn(move || answer.decline());
    assert_eq!(block_on(asking), Err(NoDecision::Late));
    declining.join().unwrap();
}

pub(crate) fn letters_of_two_batches_all_arrive_though_nobody_waits_for_them_any_more() {
    let (desk, clerk) = (Arc::new(Desk::default()), clerk());
    let mut delivering = Vec::new();
    for _ in 0..2 {
        let (asking, answer) = asked(&desk, &clerk);
        drop(asking);
        let mailbox = desk.mailbox.clone();
        delivering.push(thread::spawn(move || mailbox.deliver(&mut vec![(answer, Decision::Plan(Plan))])));
    }
    block_on(run_until(desk.mailbox.clone(), clerk.clone(), 2));
    delivering.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(clerk.forgotten.load(Ordering::Relaxed), 2);
}
