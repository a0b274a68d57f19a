//! The journal: every attempt is on record before its first byte goes upstream, and how it ended after.
//!
//! The rule: an I/O thread writes to the kernel's page cache and nothing else; syncing, allocating and deleting are for
//! the thread `fr-journal`. What is written survives a kill of the process; what survives a fall of the machine is what
//! was synced. The surprise: nobody waits for the write. An attempt only adds its intent to the lane's buffer, and the
//! upstream connection writes that buffer out before it writes itself: see [`Lane::settle_up`].

mod counters;
mod keeper;
mod lane;
mod open;
mod pace;
mod pledge;
mod recovery;
mod segment;
mod syncer;
#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::defect::Defects;
use crate::dice::Dice;

pub use counters::Counters;
pub(crate) use lane::{Lane, OffTheRecord};
pub(crate) use pledge::{Plea, Pledge, Told};

/// How long writes must go well before an I/O thread writes for itself again.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// Records of one lane that may wait in memory for a disk in trouble: some 20,000 attempts.
const WAITING_BYTES: usize = 4 << 20;
/// Largest segment: little to read at a start, and a rotation in minutes rather than seconds.
const MOST_SEGMENT_BYTES: u64 = 16 << 20;
/// Below this, rotating would be most of the work.
const LEAST_SEGMENT_BYTES: u64 = 64 << 10;

/// What an operator may say about the journal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalSpec {
    /// An existing folder that belongs to this instance alone.
    pub dir: PathBuf,
    /// Name of the instance, for whoever reads the files.
    pub instance: String,
    /// Sync what is written, at once and beside the requests.
    #[serde(default)]
    pub fsync: bool,
    /// Refuse requests that cannot be put on record.
    #[serde(default)]
    pub required: bool,
    /// All files together. Older ones are deleted; what is open never is.
    pub max_bytes: u64,
}

/// What operators must know, once per turn of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub alarm: bool,
    pub text: String,
}

/// What the lanes and the keeper share.
pub(crate) struct Book {
    pub(crate) spec: JournalSpec,
    pub(crate) counters: Arc<Counters>,
    dice: Arc<Dice>,
    pub(crate) defects: Defects,
    boot: u64,
    machine_boot: u128,
    segment_bytes: u64,
    healthy_after: Duration,
    keeper: OnceLock<Thread>,
    /// Where every write is synced.
    syncer: OnceLock<Thread>,
    syncing: syncer::Syncing,
    closing: AtomicBool,
    notices: Mutex<Vec<Notice>>,
}

impl Book {
    fn wake_keeper(&self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.unpark();
        }
    }

    fn wake_syncer(&self) {
        if let Some(syncer) = self.syncer.get() {
            syncer.unpark();
        }
    }

    /// One more part of the journal is in trouble.
    fn trouble(&self, why: &str) {
        if self.counters.degraded.fetch_add(1, Ordering::Relaxed) == 0 {
            let goes_on =
                if self.spec.required { "requests are refused" } else { "requests go on, records wait in memory" };
            self.say(true, format!("the journal is degraded ({why}): {goes_on}"));
        }
    }

    /// One part of the journal is well again.
    fn recovered(&self) {
        if self.counters.degraded.fetch_sub(1, Ordering::Relaxed) == 1 {
            let lost = self.counters.lost.load(Ordering::Relaxed);
            self.say(false, format!("the journal is well again; records lost since the start: {lost}"));
        }
    }

    fn say(&self, alarm: bool, text: String) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever should read them does not: the first ones say how it began.
        if notices.len() < 64 {
            notices.push(Notice { alarm, text });
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A running journal. See the module.
pub struct Journal {
    book: Arc<Book>,
    lanes: Vec<Arc<Lane>>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Journal").field("dir", &self.book.spec.dir).finish_non_exhaustive()
    }
}

impl Journal {
    /// Settles what earlier processes left open, opens a segment per lane, and starts the keeper.
    ///
    /// A disk that takes nothing is no reason not to serve: then the lanes begin in the degraded state.
    pub fn open(
        spec: JournalSpec,
        lanes: usize,
        counters: Arc<Counters>,
        dice: Arc<Dice>,
        defects: Defects,
    ) -> std::io::Result<Self> {
        Self::patient(spec, lanes, counters, dice, defects, HEALTHY_AFTER)
    }

    fn patient(
        spec: JournalSpec,
        lanes: usize,
        counters: Arc<Counters>,
        dice: Arc<Dice>,
        defects: Defects,
        healthy_after: Duration,
    ) -> std::io::Result<Self> {
        let recovered = recovery::recover(&spec)?;
        let share = spec.max_bytes / (8 * lanes.max(1) as u64);
        let book = Arc::new(Book {
            spec,
            counters,
            dice,
            defects,
            boot: recovered.boot,
            machine_boot: recovery::machine_boot(),
            segment_bytes: share.clamp(LEAST_SEGMENT_BYTES, MOST_SEGMENT_BYTES),
            healthy_after,
            keeper: OnceLock::new(),
            syncer: OnceLock::new(),
            syncing: syncer::Syncing::default(),
            closing: AtomicBool::new(false),
            notices: Mutex::default(),
        });
        if let Some(text) = recovered.told() {
            book.say(recovered.left_open > 0 || recovered.damaged > 0, text);
        }
        let lanes: Vec<_> = (0..lanes).map(|index| Lane::open(&book, u16::try_from(index).unwrap_or(0))).collect();
        let keeper = Mutex::new(Some(keeper::start(&book, &lanes)?));
        if book.spec.fsync {
            syncer::start(&book, &lanes)?;
        }
        Ok(Self { book, lanes, keeper })
    }

    pub(crate) fn lane(&self, index: usize) -> Option<Arc<Lane>> {
        self.lanes.get(index).cloned()
    }

    /// What happened since the last call.
    pub fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.book.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes out what is left, syncs it and ends the keeper. For the end of a process, when no attempt is under way;
    /// may block for as long as the disk does.
    pub fn close(&self) {
        for lane in &self.lanes {
            lane.settle_up();
        }
        self.book.closing.store(true, Ordering::Release);
        self.book.wake_keeper();
        if let Some(keeper) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = keeper.join();
        }
        for lane in &self.lanes {
            lane.finish();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.book.closing.store(true, Ordering::Release);
        self.book.wake_keeper();
    }
}
