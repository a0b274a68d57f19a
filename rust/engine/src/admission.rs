//! Who may begin: a place among the exchanges in flight, or a short wait for one.
//!
//! The rule: a request is refused before its body is read, where that costs least. The surprise: the queue is short and
//! its waits are shorter, because whoever waits long in front of a full house would be answered to nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::io::{Of, Share, Shared};
use crate::pressure::Step;
use crate::problem::Problem;

/// Requests of a door that may wait for a place.
pub const QUEUE: usize = 100;
/// How long one waits.
pub const QUEUE_FOR: Duration = Duration::from_millis(250);

/// Requests of the edge door that wait for a place, first come first served.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: AtomicUsize,
    free: Notify,
}

impl Queue {
    /// A place became free; whoever has waited longest looks.
    pub(crate) fn freed(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.free.notify_one();
        }
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Why nothing may begin now, whoever asks.
pub fn refusal(shared: &Shared) -> Option<Problem> {
    let pressure = &shared.pressure;
    if pressure.at(Step::SlowReaders) {
        shared.metrics.shed.fetch_add(1, Ordering::Relaxed);
        return Some(Problem::overloaded("the gateway is short of memory; please retry"));
    }
    if pressure.few_descriptors() {
        shared.metrics.shed.fetch_add(1, Ordering::Relaxed);
        return Some(Problem::overloaded("the gateway has too many connections open; please retry"));
    }
    None
}

/// A stream holds memory for as long as it runs: none begins where that is short.
pub fn refuse_stream(shared: &Shared) -> Option<Problem> {
    let short = shared.pressure.at(Step::Streams);
    if short {
        shared.metrics.shed.fetch_add(1, Ordering::Relaxed);
    }
    short.then(|| Problem::overloaded("the gateway is short of memory for another stream; please retry"))
}

/// Takes a place; `None` where all are taken and one may be waited for.
pub fn admit_at_once(shared: &Arc<Shared>) -> Result<Option<Share>, Problem> {
    match refusal(shared) {
        Some(problem) => Err(problem),
        None => Ok(Share::try_take(shared, Of::InFlight, 1)),
    }
}

/// Waits for a place, not for long.
pub async fn wait(shared: &Arc<Shared>) -> Result<Share, Problem> {
    queued(shared).await.ok_or_else(|| {
        shared.metrics.shed.fetch_add(1, Ordering::Relaxed);
        full()
    })
}

pub fn full() -> Problem {
    Problem::overloaded("the gateway is at its limit; please retry")
}

async fn queued(shared: &Arc<Shared>) -> Option<Share> {
    let queue = &shared.queue;
    // Threads that are late would find only requests that have waited too long.
    if shared.pressure.late() {
        return None;
    }
    let _waiting = Waiting::enter(queue)?;
    let until = Instant::now() + QUEUE_FOR;
    loop {
        // First, because a place that became free before this one waited rang for nobody.
        if let Some(place) = Share::try_take(shared, Of::InFlight, 1) {
            return Some(place);
        }
        timeout_at(until, queue.free.notified()).await.ok()?;
    }
}

/// One that waits, counted until it is dropped.
struct Waiting<'a>(&'a Queue);

impl<'a> Waiting<'a> {
    fn enter(queue: &'a Queue) -> Option<Self> {
        let waiting = Self(queue);
        (queue.waiting.fetch_add(1, Ordering::Relaxed) < QUEUE).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
