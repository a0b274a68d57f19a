use fastroute_core::failure::Kind;

use super::*;
use crate::tests::rig;

/// A course over so many targets, and what a series of failures made of it: which target follows each, after how long.
struct Trial {
    table: Table,
    plan: Vec<u32>,
    patience: Patience,
    deadline: Duration,
}

impl Trial {
    fn over(targets: u32) -> Self {
        let upstreams: Vec<_> = (0..targets).map(|_| "127.0.0.1:9".parse().unwrap()).collect();
        let table = Table::compile(rig::table(1, &upstreams, &Patience::default())).unwrap();
        let plan = (0..targets).collect();
        Self { table, plan, patience: Patience::default(), deadline: Duration::from_secs(600) }
    }

    /// The targets in the order they come, each with its pause in milliseconds, until the course ends.
    fn run(&self, failures: &[Failure]) -> Vec<(u32, u128)> {
        let now = Instant::now();
        let dice = Dice::new(11);
        let mut course = Course::new(&self.table, &self.plan, &self.patience, now + self.deadline);
        let mut steps = Vec::new();
        let mut next = course.next(now, &dice);
        let mut failures = failures.iter();
        while let Some(step) = next {
            steps.push((step.target.index, step.at.duration_since(now).as_millis()));
            let Some(failure) = failures.next() else { break };
            next = course.after(step.target, failure, now, &dice);
        }
        steps
    }

    fn order(&self, failures: &[Failure]) -> Vec<u32> {
        self.run(failures).into_iter().map(|(target, _)| target).collect()
    }
}

fn new(kind: Kind) -> Failure {
    Failure::new(kind)
}

fn limited(wait_ms: u64) -> Failure {
    Failure { retry_after_ms: Some(wait_ms), ..new(Kind::RateLimited) }
}

fn status(status: u16) -> Failure {
    fastroute_core::failure::classify(status, &fastroute_core::failure::ErrorBody::default())
}

#[tokio::test(start_paused = true)]
async fn elsewhere_comes_at_once_and_in_the_plans_order() {
    let steps = Trial::over(3).run(&[limited(1_000), new(Kind::Refused), new(Kind::Overloaded)]);
    assert_eq!(steps, [(0, 0), (1, 0), (2, 0)]);
}

#[tokio::test(start_paused = true)]
async fn the_only_target_is_tried_twice_after_a_short_pause() {
    for kind in [Kind::RateLimited, Kind::Overloaded, Kind::Refused, Kind::Dns, Kind::ConnectTimeout] {
        let steps = Trial::over(1).run(&[new(kind), new(kind), new(kind)]);
        let [(0, 0), (0, pause)] = steps[..] else { panic!("{kind:?}: {steps:?}") };
        assert!(pause <= 100, "{pause} ms");
    }
    for kind in [Kind::Tls, Kind::Auth, Kind::Quota, Kind::Reset, Kind::UpstreamError, Kind::Malformed] {
        assert_eq!(Trial::over(1).order(&[new(kind), new(kind)]), [0], "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_asked_for_is_kept_up_to_five_seconds_when_nothing_else_is_left() {
    let steps = Trial::over(1).run(&[limited(5_000), limited(5_000)]);
    let [(0, 0), (0, pause)] = steps[..] else { panic!("{steps:?}") };
    assert!((5_000..=5_100).contains(&pause), "never before the wait is over: {pause} ms");
    assert_eq!(Trial::over(1).order(&[limited(5_001)]), [0], "longer: the client is told");
    // Of two the one that is back first.
    let steps = Trial::over(2).run(&[limited(900), limited(4_000)]);
    let [(0, 0), (1, 0), (0, pause)] = steps[..] else { panic!("{steps:?}") };
    assert!((900..=1_000).contains(&pause), "{pause} ms");
}

#[tokio::test(start_paused = true)]
async fn no_wait_reaches_beyond_the_deadline() {
    let trial = Trial { deadline: Duration::from_secs(3), ..Trial::over(1) };
    assert_eq!(trial.order(&[limited(4_000)]), [0]);
    assert_eq!(trial.order(&[limited(1_000)]), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_route_may_prefer_its_first_choice_to_another_one() {
    let mut trial = Trial::over(2);
    trial.patience.same_target_retries = Some(1);
    assert_eq!(trial.order(&[new(Kind::Overloaded), new(Kind::Overloaded), new(Kind::Overloaded)]), [0, 0, 1]);
    // It named a wait, and the route is not willing to wait while another target is there.
    assert_eq!(trial.order(&[limited(2_000), limited(2_000), limited(2_000)]), [0, 1, 0]);
    trial.patience.wait_retry_after_s = Some(3.0);
    assert_eq!(trial.order(&[limited(2_000), limited(2_000), limited(2_000)]), [0, 0, 1]);
    trial.patience.same_target_retries = Some(0);
    assert_eq!(trial.order(&[limited(2_000), limited(2_000), limited(2_000)]), [0, 1], "never the same again");
}

#[tokio::test(start_paused = true)]
async fn a_pause_doubles_with_each_repeat_and_stays_below_two_seconds() {
    let mut trial = Trial::over(1);
    trial.patience = Patience { attempts: 10, same_target_retries: Some(9), ..Patience::default() };
    let steps = trial.run(&vec![new(Kind::Overloaded); 10]);
    assert_eq!(steps.len(), 10);
    for (repeat, (_, pause)) in steps.iter().skip(1).enumerate() {
        assert!(*pause <= (100 << repeat).min(2_000), "repeat {repeat}: {pause} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn three_attempts_are_all() {
    let failures = vec![new(Kind::Refused); 5];
    assert_eq!(Trial::over(5).order(&failures), [0, 1, 2]);
    assert_eq!(Trial::over(2).order(&failures).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_plain_500_and_what_is_in_doubt_are_followed_by_one_other_target_and_a_425_by_one_repeat() {
    let trial = Trial::over(3);
    for code in [408, 500, 502, 504] {
        assert_eq!(trial.order(&[status(code), status(code), status(code)]), [0, 1], "{code}");
    }
    assert_eq!(trial.order(&[status(425), status(425), status(425)]), [0, 1]);
    assert_eq!(Trial::over(1).order(&[status(425), status(425)]), [0, 0]);
    let never =
        Trial { patience: Patience { ambiguous_retry: Ambiguous::Never, ..Patience::default() }, ..Trial::over(3) };
    assert_eq!(never.order(&[status(500)]), [0, 1], "it said that it failed: nothing is in doubt");
    assert_eq!(never.order(&[status(502)]), [0]);
}

#[tokio::test(start_paused = true)]
async fn what_would_fail_anywhere_is_never_repeated() {
    for code in [400, 404, 409, 413, 422] {
        assert_eq!(Trial::over(3).order(&[status(code)]), [0], "{code}");
    }
    for kind in [Kind::ContentPolicy, Kind::ContextLength, Kind::FirstTokenHard, Kind::TotalTimeout] {
        assert_eq!(Trial::over(3).order(&[new(kind)]), [0], "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_is_left_for_being_slow_only_where_another_one_would_be_asked() {
    let (one, mut two) = (Trial::over(1), Trial::over(2));
    let leaves = |trial: &Trial| {
        let deadline = Instant::now() + trial.deadline;
        let course = Course::new(&trial.table, &trial.plan, &trial.patience, deadline);
        course.beside(&trial.table.targets[0], usize::MAX).is_some()
    };
    assert!(!leaves(&one) && leaves(&two));
    two.patience.ambiguous_retry = Ambiguous::Never;
    assert!(!leaves(&two));
    two.patience = Patience { attempts: 1, ..Patience::default() };
    assert!(!leaves(&two));
}

#[tokio::test(start_paused = true)]
async fn no_thousand_courses_leave_their_bounds() {
    for seed in 0..1_000 {
        let dice = Dice::new(seed);
        let pick = |of: u64| u32::try_from(dice.next() % of).unwrap();
        let mut trial = Trial::over(1 + pick(4));
        trial.patience = Patience {
            attempts: pick(6),
            ambiguous_retry: if pick(2) == 0 { Ambiguous::Once } else { Ambiguous::Never },
            same_target_retries: Some(pick(4)).filter(|retries| *retries < 3),
            wait_retry_after_s: Some(f64::from(pick(10))).filter(|wait| *wait < 7.0),
            ..Patience::default()
        };
        let now = Instant::now();
        let deadline = now + Duration::from_secs(u64::from(1 + pick(20)));
        let mut course = Course::new(&trial.table, &trial.plan, &trial.patience, deadline);
        let (mut clock, mut tried, mut doubts) = (now, Vec::new(), 0);
        let mut next = course.next(now, &dice);
        while let Some(Step { target, .. }) = next {
            tried.push(target.index);
            let failure = match pick(8) {
                0 => limited(u64::from(pick(9_000))),
                1 => new(Kind::Refused),
                2 => new(Kind::Reset),
                3 => new(Kind::FirstTokenSoft),
                4 => new(Kind::Tls),
                _ => status([425, 429, 500, 502, 503, 529][pick(6) as usize]),
            };
            doubts += u32::from(failure.ambiguous());
            clock += Duration::from_millis(u64::from(pick(3_000)));
            let step = course.after(target, &failure, clock, &dice);
            if let Some(step) = &step {
                let asked = Duration::from_millis(failure.retry_after_ms.unwrap_or(0));
                assert!(step.at >= clock && step.at < deadline, "seed {seed}: no wait reaches beyond the deadline");
                assert!(doubts <= 1, "seed {seed}: what is in doubt is followed by one other try");
                if step.target.index == target.index {
                    assert_eq!(failure.retry, Retry::SameOrElsewhere, "seed {seed}");
                    assert!(step.at >= clock + asked, "seed {seed}: not before the wait it named");
                }
                clock = step.at;
            }
            next = step;
        }
        assert!(tried.len() <= trial.patience.attempts.max(1) as usize, "seed {seed}: {tried:?}");
        let most = 1 + trial.patience.same_target_retries.unwrap_or(1) as usize;
        for target in &trial.plan {
            assert!(tried.iter().filter(|tried| *tried == target).count() <= most, "seed {seed}: {tried:?}");
        }
    }
}
