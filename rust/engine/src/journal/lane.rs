//! What one I/O thread puts on record: a buffer, the attempts under way, and the segment it is written to.
//!
//! The lock is held for copies and for this thread's own write, never while anybody else's system call runs. While the
//! disk is in trouble the segment is with the keeper, and records wait in the buffer, up to a bound.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fastroute_core::journal::{AttemptId, Intent, Opened, Progress, Record, Settle};
use tokio::sync::Notify;

use super::open::{Ids, OpenAttempts};
use super::pace::Pace;
use super::segment::{Name, Segment};
use super::{Book, WAITING_BYTES, wall_ms};
use crate::{defect, failpoint};

/// How long an attempt waits for its record while the disk is slow.
const AT_MOST: Duration = Duration::from_millis(4);
/// Times its capacity that a segment may grow while the next one is not there.
const OUTGROWN: u64 = 4;

/// See the module.
#[derive(Default)]
pub(super) struct Inner {
    /// Records that are not with the kernel yet.
    pub(super) waiting: Vec<u8>,
    pub(super) open: OpenAttempts,
    ids: Ids,
    pace: Pace,
    /// Counts intents.
    pub(super) intents: u64,
    /// `None` while the keeper writes for this lane.
    pub(super) segment: Option<Segment>,
    /// Prepared by the keeper.
    pub(super) next: Option<Segment>,
    /// The next one was asked for.
    pub(super) asked: bool,
    /// Segments for the keeper to seal.
    pub(super) done: Vec<Segment>,
    /// From the moment of a trouble until the keeper takes it.
    pub(super) handed: Option<Segment>,
    /// What is written to now, whoever writes.
    pub(super) file: Option<Arc<File>>,
    /// Another file should be written to, which restates what is open. Without `file` it must.
    pub(super) spoilt: bool,
    /// Number of the latest segment.
    number: u32,
    pub(super) lost: u64,
}

impl Inner {
    /// The lane's own thread writes to this segment from now on.
    pub(super) fn take_over(&mut self, segment: Segment) {
        self.file = Some(segment.file.clone());
        self.segment = Some(segment);
    }

    /// What is written to now was deleted; nobody will find it.
    pub(super) fn stranded(&self) -> bool {
        self.spoilt && self.file.is_none()
    }

    /// This is the file from now on, whoever writes.
    pub(super) fn goes_on_in(&mut self, file: Arc<File>) {
        self.file = Some(file);
        self.spoilt = false;
    }
}

pub(crate) struct Lane {
    pub(super) book: Arc<Book>,
    pub(super) index: u16,
    /// Something waits to be written.
    due: AtomicBool,
    /// The keeper writes.
    pub(super) relayed: AtomicBool,
    pub(super) unsynced: AtomicBool,
    /// While the keeper writes: how many intents are with the kernel, and that there are more of them.
    relayed_intents: AtomicU64,
    relayed_some: Notify,
    /// The keeper's last write failed.
    failing: AtomicBool,
    inner: Mutex<Inner>,
}

/// The record found no room, and the operator wants no attempt without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffTheRecord;

impl Lane {
    pub(super) fn open(book: &Arc<Book>, index: u16) -> Arc<Self> {
        let lane = Self {
            book: book.clone(),
            index,
            due: AtomicBool::new(false),
            relayed: AtomicBool::new(false),
            unsynced: AtomicBool::new(false),
            relayed_intents: AtomicU64::new(0),
            relayed_some: Notify::new(),
            failing: AtomicBool::new(false),
            inner: Mutex::default(),
        };
        match lane.fresh() {
            Ok(segment) => lane.lock().take_over(segment),
            Err(error) => lane.degrade(&mut lane.lock(), None, &error.to_string()),
        }
        Arc::new(lane)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A segment with nothing in it. Blocks: for the keeper, and for the start.
    pub(super) fn prepare(&self) -> std::io::Result<Segment> {
        let number = {
            let mut inner = self.lock();
            inner.number += 1;
            inner.number
        };
        let name = Name { boot: self.book.boot, number, lane: self.index };
        Segment::create(&self.book.spec.dir, name, self.book.segment_bytes)
    }

    /// A segment that restates what is open. Blocks.
    pub(super) fn fresh(&self) -> std::io::Result<Segment> {
        let mut segment = self.prepare()?;
        let (restated, carried) = self.lock().open.restate();
        match segment.begin(&self.opened(segment.name.number, carried), &[&restated]) {
            Ok(()) => Ok(segment),
            Err(error) => {
                segment.seal();
                Err(error)
            }
        }
    }

    pub(super) fn opened(&self, number: u32, carried: u32) -> Opened<'_> {
        Opened {
            boot: self.book.boot,
            lane: self.index,
            number,
            process: std::process::id(),
            machine_boot: self.book.machine_boot,
            opened_ms: wall_ms(),
            carried,
            instance: &self.book.spec.instance,
        }
    }

    /// Puts an attempt on record. Its bytes are with the kernel once [`Lane::settle_up`] was called.
    pub(super) fn intend<'a>(
        &self,
        intent: impl FnOnce(AttemptId, u64) -> Intent<'a>,
    ) -> Result<(AttemptId, u32), OffTheRecord> {
        if self.book.spec.required && self.relayed.load(Ordering::Relaxed) {
            self.book.counters.refused.fetch_add(1, Ordering::Relaxed);
            return Err(OffTheRecord);
        }
        failpoint::pass("journal.intend");
        let now_ms = wall_ms();
        let mut inner = self.lock();
        let inner = &mut *inner;
        let attempt = inner.ids.next(now_ms, self.book.dice.next());
        inner.intents += 1;
        let (place, frame) = inner.open.insert(&intent(attempt, now_ms));
        if inner.waiting.len() < WAITING_BYTES {
            inner.waiting.extend_from_slice(frame);
        } else {
            self.lose(&mut inner.lost);
        }
        self.due.store(true, Ordering::Relaxed);
        self.book.counters.open.fetch_add(1, Ordering::Relaxed);
        Ok((attempt, place))
    }

    /// Somebody else writes for this lane, because its disk is in trouble.
    pub(crate) fn is_relayed(&self) -> bool {
        self.relayed.load(Ordering::Relaxed)
    }

    /// Waits for the keeper, while it writes, to have the intents made so far on record; not for long, and not while it
    /// fails. A lane that writes for itself is not waited for.
    pub(crate) async fn caught_up(&self) {
        if !self.relayed.load(Ordering::Relaxed) {
            return;
        }
        let wanted = self.lock().intents;
        self.book.wake_keeper();
        let caught_up = async {
            loop {
                let more = self.relayed_some.notified();
                let there = self.relayed_intents.load(Ordering::Acquire) >= wanted;
                if there || self.failing.load(Ordering::Relaxed) || !self.relayed.load(Ordering::Relaxed) {
                    return;
                }
                more.await;
            }
        };
        // Late: the request goes on, and so does the record, in memory.
        let _ = tokio::time::timeout(AT_MOST, caught_up).await;
    }

    /// The keeper wrote so many intents, or failed to.
    pub(super) fn relay(&self, intents: Option<u64>) {
        self.failing.store(intents.is_none(), Ordering::Relaxed);
        if let Some(intents) = intents {
            self.relayed_intents.store(intents, Ordering::Release);
        }
        self.relayed_some.notify_waiters();
    }

    pub(super) fn progress(&self, place: u32, progress: Progress) {
        let mut inner = self.lock();
        inner.open.mark(place, progress);
        self.put(&mut inner, &Record::Progress(progress));
    }

    pub(super) fn settle(&self, place: u32, settle: &Settle<'_>) {
        failpoint::pass("journal.settle");
        let mut inner = self.lock();
        inner.open.remove(place);
        self.put(&mut inner, &Record::Settle(*settle));
        self.book.counters.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn put(&self, inner: &mut Inner, record: &Record<'_>) {
        if inner.waiting.len() < WAITING_BYTES {
            record.render(&mut inner.waiting);
            self.due.store(true, Ordering::Relaxed);
        } else {
            self.lose(&mut inner.lost);
        }
    }

    fn lose(&self, lost: &mut u64) {
        *lost += 1;
        self.book.counters.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands everything that waits to the kernel, in one write. Called before any byte goes upstream on this thread, and
    /// when the thread parks; costs one load when nothing waits.
    pub(crate) fn settle_up(&self) {
        if self.due.load(Ordering::Relaxed) && defect::caught(|| self.write_out()).is_none() {
            self.hand_over();
        }
    }

    /// A defect of ours is no reason to keep a connection, or the thread, from going on: the keeper writes.
    #[cold]
    fn hand_over(&self) {
        if !self.relayed.load(Ordering::Relaxed) {
            self.write_failed(&mut self.lock(), "a defect of the gateway; please report it");
        }
    }

    #[cold]
    fn write_failed(&self, inner: &mut Inner, why: &str) {
        let segment = inner.segment.take();
        self.degrade(inner, segment, why);
    }

    #[inline(never)]
    fn write_out(&self) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        self.due.store(false, Ordering::Relaxed);
        if inner.waiting.is_empty() {
            return;
        }
        if inner.segment.is_none() {
            // It looks by itself, and an attempt that waits for its record wakes it.
            if inner.waiting.len() > WAITING_BYTES / 4 {
                self.book.wake_keeper();
            }
            return;
        }
        failpoint::pass("journal.write");
        let began = Instant::now();
        match self.write(inner) {
            Ok(()) => {
                let took = began.elapsed();
                let counters = &self.book.counters;
                counters.writes.fetch_add(1, Ordering::Relaxed);
                counters.bytes.fetch_add(inner.waiting.len() as u64, Ordering::Relaxed);
                inner.waiting.clear();
                self.unsynced.store(true, Ordering::Relaxed);
                self.book.wake_syncer();
                if inner.pace.falters(took, began + took) {
                    self.write_failed(inner, &format!("a write took {} ms", took.as_millis()));
                }
            }
            Err(error) => self.write_failed(inner, &error.to_string()),
        }
    }

    fn write(&self, inner: &mut Inner) -> std::io::Result<()> {
        let Some(segment) = &mut inner.segment else { return Ok(()) };
        let over = inner.spoilt || segment.full();
        if over && let Some(mut next) = inner.next.take() {
            inner.asked = false;
            let (restated, carried) = inner.open.restate();
            let opened = self.opened(next.name.number, carried);
            let begun = next.begin(&opened, &[&restated, &inner.waiting]);
            if begun.is_ok() {
                std::mem::swap(segment, &mut next);
                let file = segment.file.clone();
                inner.goes_on_in(file);
            }
            inner.done.push(next);
            self.book.wake_keeper();
            return begun;
        }
        if segment.at > OUTGROWN * self.book.segment_bytes {
            return Err(std::io::Error::other("no further segment could be opened"));
        }
        segment.append(&inner.waiting)?;
        // Half a segment is time enough to prepare the next.
        if !inner.asked && (over || segment.at > segment.capacity / 2) {
            inner.asked = true;
            self.book.wake_keeper();
        }
        Ok(())
    }

    /// From here on the keeper writes, until all has gone well for a while.
    fn degrade(&self, inner: &mut Inner, segment: Option<Segment>, why: &str) {
        inner.handed = segment;
        self.relayed.store(true, Ordering::Relaxed);
        self.book.counters.troubles.fetch_add(1, Ordering::Relaxed);
        self.book.trouble(why);
        self.book.wake_keeper();
    }

    /// No other file could be made for one that was deleted: records wait in memory.
    pub(super) fn wait_for_a_file(&self, why: &str) {
        let mut inner = self.lock();
        if inner.segment.is_some() && inner.stranded() {
            self.write_failed(&mut inner, why);
        }
    }

    /// Syncs what this lane has written. Blocks.
    pub(super) fn sync(&self) -> std::io::Result<()> {
        let Some(file) = self.lock().file.clone() else { return Ok(()) };
        file.sync_data().inspect_err(|_| {
            let mut inner = self.lock();
            // Nobody knows now what the disk has of it.
            inner.spoilt |= inner.file.as_ref().is_some_and(|now| Arc::ptr_eq(now, &file));
        })
    }

    /// Syncs, and gives back what was allocated and not used. Blocks.
    pub(super) fn finish(&self) {
        // At the end nobody is left who could do anything about a failure.
        let _ = self.sync();
        if let Some(segment) = &self.lock().segment {
            let _ = segment.file.set_len(segment.at);
        }
    }
}
