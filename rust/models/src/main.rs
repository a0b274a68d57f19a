//! The cells that threads share, in every order in which their threads can run.
//!
//! The sources are those of the engine and the border, compiled a second time with loom's primitives for `crate::sync`.
//! Loom tries all schedules with at most [`PREEMPTIONS`] forced switches. A program and no test harness, because under
//! one the sources would bring their own tests along, which have no model around them.

#![allow(dead_code, reason = "a model calls what it is about, and the sources hold more")]

mod bell;
mod decider;
mod failpoint {
    pub(crate) fn pass(_: &'static str) {}
}
#[path = "../../py/src/queue.rs"]
mod queue;
#[path = "../../engine/src/share.rs"]
mod share;
mod sync;

mod questions;
mod ringing;
mod shares;

/// Nearly every known race shows with two; a third is affordable here.
const PREEMPTIONS: usize = 3;

macro_rules! models {
    ($($model:path,)+) => { [$((stringify!($model), $model as fn())),+] };
}

const MODELS: &[(&str, fn())] = &models![
    questions::an_answer_wakes_who_waits_for_it,
    questions::an_answer_and_the_sweep_at_once_are_one_or_the_other,
    questions::a_question_dropped_while_it_is_answered_hands_its_plan_back_once,
    questions::a_declined_question_ends_at_once,
    questions::letters_of_two_batches_all_arrive_though_nobody_waits_for_them_any_more,
    ringing::what_two_threads_pushed_before_they_parked_is_taken_or_rung_for,
    ringing::the_items_of_one_thread_keep_their_order_whoever_takes_between_them,
    ringing::what_was_pushed_quietly_is_rung_for_by_the_tick,
    shares::a_refusal_takes_nothing_from_those_it_meets,
    shares::a_bound_is_never_passed_and_comes_back_whole,
];

/// Runs all models, or those whose names contain the first argument.
fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    for (name, model) in MODELS.iter().filter(|(name, _)| name.contains(&wanted)) {
        let mut schedules = loom::model::Builder::new();
        schedules.preemption_bound = Some(PREEMPTIONS);
        schedules.check(model);
        println!("{name}: every schedule holds");
    }
}
