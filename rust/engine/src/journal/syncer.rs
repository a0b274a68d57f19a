//! The thread `fr-sync`, where the operator wants the journal to survive a fall of the machine: syncs what was written.
//!
//! Nobody waits for it: a fall loses what was written since the last sync began. The keeper watches over it, because a
//! disk that hangs lets nobody tell of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Book;
use super::lane::Lane;
use crate::defect::kept_thread;
use crate::failpoint;

/// Between two rounds: what comes in this time shares a sync.
const GATHER: Duration = Duration::from_millis(5);
/// A sync that takes this long is a trouble while it still runs.
const HANGS: Duration = Duration::from_millis(500);
/// How often the keeper looks at a sync that runs, and at a trouble that may be over.
const LOOK: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(60);

/// What the keeper sees of the syncer.
#[derive(Debug, Default)]
pub(super) struct Syncing {
    began: Mutex<Option<Instant>>,
    failed: AtomicBool,
}

impl Syncing {
    fn began(&self) -> MutexGuard<'_, Option<Instant>> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn start(book: &Arc<Book>, lanes: &[Arc<Lane>]) -> std::io::Result<()> {
    let (own, lanes) = (book.clone(), lanes.to_vec());
    let thread = std::thread::Builder::new().name("fr-sync".into()).spawn(move || {
        kept_thread(&own.defects, || run(&own, &lanes));
    })?;
    let _ = book.syncer.set(thread.thread().clone());
    Ok(())
}

fn run(book: &Book, lanes: &[Arc<Lane>]) {
    // After a defect: what was to be synced then was marked as taken.
    for lane in lanes {
        lane.unsynced.store(true, Ordering::Relaxed);
    }
    while !book.closing.load(Ordering::Acquire) {
        let mut any = false;
        for lane in lanes.iter().filter(|lane| lane.unsynced.swap(false, Ordering::Relaxed)) {
            any = true;
            failpoint::pass("journal.syncer");
            *book.syncing.began() = Some(Instant::now());
            book.wake_keeper();
            if lane.sync().is_err() {
                book.syncing.failed.store(true, Ordering::Relaxed);
                book.wake_keeper();
            }
            *book.syncing.began() = None;
        }
        if any {
            std::thread::sleep(GATHER);
        } else {
            std::thread::park_timeout(IDLE);
        }
    }
}

/// The keeper's eye on the syncer.
#[derive(Default)]
pub(super) struct Watch {
    /// When it was last seen in trouble, from the first time until all was well for a while.
    bad: Option<Instant>,
}

impl Watch {
    /// Starts and ends the trouble; gives how soon to look again.
    pub(super) fn look(&mut self, book: &Book) -> Option<Duration> {
        let began = *book.syncing.began();
        let hangs = began.is_some_and(|began| began.elapsed() >= HANGS);
        let failed = book.syncing.failed.swap(false, Ordering::Relaxed);
        if hangs || failed {
            if self.bad.is_none() {
                book.trouble(if failed { "a sync failed" } else { "a sync hangs" });
            }
            book.counters.troubles.fetch_add(u64::from(failed || self.bad.is_none()), Ordering::Relaxed);
            self.bad = Some(Instant::now());
        } else if self.bad.is_some_and(|bad| bad.elapsed() >= book.healthy_after) {
            self.bad = None;
            book.recovered();
        }
        (began.is_some() || self.bad.is_some()).then_some(LOOK)
    }
}
