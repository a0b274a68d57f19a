//! The thread `fr-journal`: prepares segments, seals and deletes them, and writes for lanes whose disk is in trouble.
//!
//! It may block, so whatever it does happens without a lane's lock. A lane whose write failed or was slow hands its
//! segment over and gets it back when writes have gone well for a while.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fastroute_core::journal::{Gap, Record};

use super::lane::Lane;
use super::pace::Pace;
use super::segment::{Name, Segment};
use super::syncer::Watch;
use super::{Book, wall_ms};
use crate::defect::kept_thread;
use crate::failpoint;

/// How long a lane in trouble waits for the keeper at most; a flush wakes it sooner.
const RELAY_EVERY: Duration = Duration::from_millis(20);
/// After a write failed.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// So many failed writes, and another file is tried.
const OTHER_PLACE_AFTER: u32 = 3;
/// While a lane is in trouble a record says so this often, which is also how an idle one finds out that all is well.
const GAP_EVERY: Duration = Duration::from_secs(1);
/// Without anything to do but to look whether the files are still there.
const IDLE: Duration = Duration::from_secs(5);
/// Room for the records of a busy turn.
const KEPT_BYTES: usize = 64 << 10;
/// Files, however small: a process that keeps dying must not fill the folder.
const MOST_FILES: usize = 4096;

pub(super) fn start(book: &Arc<Book>, lanes: &[Arc<Lane>]) -> std::io::Result<JoinHandle<()>> {
    let mut keeper = Keeper {
        book: book.clone(),
        lanes: lanes.iter().map(|lane| (lane.clone(), Relay::default())).collect(),
        watch: Watch::default(),
    };
    let thread = std::thread::Builder::new().name("fr-journal".into()).spawn(move || {
        // What it holds for the lanes it keeps, so it goes on where it was.
        kept_thread(&keeper.book.defects.clone(), || keeper.run());
    })?;
    let _ = book.keeper.set(thread.thread().clone());
    Ok(thread)
}

struct Keeper {
    book: Arc<Book>,
    lanes: Vec<(Arc<Lane>, Relay)>,
    watch: Watch,
}

impl Keeper {
    fn run(&mut self) {
        self.retire();
        loop {
            failpoint::pass("journal.keeper");
            let closing = self.book.closing.load(Ordering::Acquire);
            let mut again = self.watch.look(&self.book).unwrap_or(IDLE);
            let mut changed = false;
            for (lane, relay) in &mut self.lanes {
                changed |= seal(lane);
                look_after(lane);
                match prepare(lane) {
                    Ok(prepared) => changed |= prepared,
                    Err(error) => {
                        lane.wait_for_a_file(&error.to_string());
                        again = again.min(GAP_EVERY);
                    }
                }
                if relay.tend(lane) {
                    again = again.min(RELAY_EVERY);
                }
                changed |= std::mem::take(&mut relay.replaced);
            }
            if changed {
                self.retire();
            }
            if closing {
                self.last_words();
                return;
            }
            std::thread::park_timeout(again);
        }
    }

    /// What the disk did not take to the end, nobody else will write.
    fn last_words(&mut self) {
        let unwritten: usize = self.lanes.iter_mut().map(|(lane, relay)| relay.give_up(lane)).sum();
        if unwritten > 0 {
            self.book.say(true, format!("{unwritten} bytes of the journal could not be written before the end"));
        }
    }

    /// Deletes the oldest files beyond the bounds. What is written now restates all that is open, so nothing that is
    /// still needed goes with them.
    fn retire(&self) {
        let Ok(files) = Name::list(&self.book.spec.dir) else { return };
        let mut total: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
        let mut count = files.len();
        for (name, path, bytes) in files {
            if (total <= self.book.spec.max_bytes && count <= MOST_FILES) || name.boot == self.book.boot {
                break;
            }
            if std::fs::remove_file(path).is_ok() {
                total -= bytes;
                count -= 1;
            }
        }
        self.retire_own(total);
    }

    /// The same for segments of this process, apart from each lane's latest two: the current and the prepared one.
    fn retire_own(&self, mut total: u64) {
        let Ok(files) = Name::list(&self.book.spec.dir) else { return };
        let own: Vec<_> = files.into_iter().filter(|(name, _, _)| name.boot == self.book.boot).collect();
        for (name, path, bytes) in &own {
            if total <= self.book.spec.max_bytes {
                return;
            }
            let later = own.iter().filter(|(other, _, _)| other.lane == name.lane && other.number > name.number);
            if later.count() >= 2 && std::fs::remove_file(path).is_ok() {
                total -= bytes;
            }
        }
    }
}

/// Somebody may delete what is being written to: it goes on elsewhere, restating what is open.
fn look_after(lane: &Lane) {
    let (file, next) = {
        let inner = lane.lock();
        (inner.file.clone(), inner.next.as_ref().map(|next| next.file.clone()))
    };
    let deleted =
        |file: &Option<Arc<File>>| file.as_ref().is_some_and(|file| file.metadata().is_ok_and(|it| it.nlink() == 0));
    let (file_deleted, next_deleted) = (deleted(&file), deleted(&next));
    if !file_deleted && !next_deleted {
        return;
    }
    let mut inner = lane.lock();
    // Meanwhile the lane may have gone on in the next one.
    let same = |one: Option<&Arc<File>>, other: &Option<Arc<File>>| {
        one.zip(other.as_ref()).is_some_and(|(one, other)| Arc::ptr_eq(one, other))
    };
    if next_deleted && same(inner.next.as_ref().map(|next| &next.file), &next) {
        inner.next = None;
    }
    if file_deleted && same(inner.file.as_ref(), &file) {
        // Whoever writes goes on elsewhere with the next write.
        (inner.file, inner.spoilt, inner.asked) = (None, true, true);
        drop(inner);
        lane.book.say(true, "a segment of the journal was deleted while it was written to; another takes over".into());
    }
}

/// Cuts what a lane is done with to its length.
fn seal(lane: &Lane) -> bool {
    let done = std::mem::take(&mut lane.lock().done);
    let any = !done.is_empty();
    done.into_iter().for_each(Segment::seal);
    any
}

/// The segment a lane will need next.
fn prepare(lane: &Lane) -> std::io::Result<bool> {
    let wanted = {
        let inner = lane.lock();
        inner.asked && inner.next.is_none() && inner.segment.is_some()
    };
    if wanted {
        let next = lane.prepare()?;
        lane.lock().next = Some(next);
    }
    Ok(wanted)
}

/// What the keeper holds for a lane in trouble.
#[derive(Default)]
struct Relay {
    segment: Option<Segment>,
    waiting: Vec<u8>,
    /// Intents up to the end of what waits here.
    intents: u64,
    pace: Pace,
    good_since: Option<Instant>,
    retry_at: Option<Instant>,
    gap_at: Option<Instant>,
    /// In a row.
    failures: u32,
    lost_before: u64,
    /// When it last tried to.
    replaced_at: Option<Instant>,
    /// Another segment was begun, and older ones may have to go.
    replaced: bool,
    active: bool,
}

impl Relay {
    /// Writes what waits; false when the lane writes for itself.
    fn tend(&mut self, lane: &Lane) -> bool {
        if !lane.relayed.load(Ordering::Acquire) {
            return false;
        }
        if !self.active {
            let mut inner = lane.lock();
            *self = Self {
                segment: inner.handed.take(),
                lost_before: inner.lost,
                active: true,
                waiting: std::mem::take(&mut self.waiting),
                ..Self::default()
            };
        }
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| now < at) {
            return true;
        }
        let began = Instant::now();
        let written = self.write(lane, now);
        lane.relay(written.is_ok().then_some(self.intents));
        match written {
            Ok(()) if !self.pace.falters(began.elapsed(), Instant::now()) => {
                (self.retry_at, self.failures) = (None, 0);
                let since = *self.good_since.get_or_insert(now);
                if now.saturating_duration_since(since) >= lane.book.healthy_after {
                    return !self.hand_back(lane);
                }
            }
            Ok(()) => {
                (self.retry_at, self.failures, self.good_since) = (None, 0, None);
                lane.book.counters.troubles.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {
                self.good_since = None;
                self.failures += 1;
                self.retry_at = Some(Instant::now() + RETRY_AFTER);
                lane.book.counters.troubles.fetch_add(1, Ordering::Relaxed);
            }
        }
        true
    }

    /// Tries a last time; gives how many bytes are left.
    fn give_up(&mut self, lane: &Lane) -> usize {
        if self.active {
            for _ in 0..2 {
                // The first may write what failed before, the second what came since.
                let _ = self.write(lane, Instant::now());
            }
        }
        self.waiting.len() + lane.lock().waiting.len()
    }

    fn write(&mut self, lane: &Lane, now: Instant) -> std::io::Result<()> {
        let (lost, spoilt, stranded) = {
            let mut inner = lane.lock();
            // What failed is tried again first, and alone: the order stays, and so does the bound.
            if self.waiting.is_empty() {
                std::mem::swap(&mut inner.waiting, &mut self.waiting);
                self.intents = inner.intents;
            }
            (inner.lost, inner.spoilt, inner.stranded())
        };
        if self.gap_at.is_none_or(|at| now >= at) {
            self.gap_at = Some(now + GAP_EVERY);
            Record::Gap(Gap { at_ms: wall_ms(), lost }).render(&mut self.waiting);
        }
        // It may be this file alone that takes nothing any more.
        let failing = self.failures > 0 && self.failures.is_multiple_of(OTHER_PLACE_AFTER);
        // Where every sync fails, so may those of the next file.
        let unsure = spoilt && self.replaced_at.is_none_or(|at| now.saturating_duration_since(at) >= GAP_EVERY);
        if stranded || self.segment.as_ref().is_none_or(Segment::full) {
            self.replace(lane)?;
        } else if failing || unsure {
            // If there is no other, it goes on in this one.
            let _ = self.replace(lane);
        }
        if let Some(segment) = &mut self.segment
            && !self.waiting.is_empty()
        {
            segment.append(&self.waiting)?;
            let counters = &lane.book.counters;
            counters.writes.fetch_add(1, Ordering::Relaxed);
            counters.bytes.fetch_add(self.waiting.len() as u64, Ordering::Relaxed);
            self.waiting.clear();
            lane.unsynced.store(true, Ordering::Relaxed);
            lane.book.wake_syncer();
        }
        Ok(())
    }

    /// Goes on in a new segment.
    fn replace(&mut self, lane: &Lane) -> std::io::Result<()> {
        self.replaced_at = Some(Instant::now());
        let fresh = lane.fresh()?;
        self.replaced = true;
        lane.lock().goes_on_in(fresh.file.clone());
        if let Some(old) = self.segment.replace(fresh) {
            old.seal();
        }
        Ok(())
    }

    /// The lane writes for itself again; false when that has to wait.
    fn hand_back(&mut self, lane: &Lane) -> bool {
        // Lost records leave attempts whose intent or end nobody finds; a segment that restates what is open ends that.
        if lane.lock().lost > self.lost_before {
            if self.replace(lane).is_err() {
                self.good_since = None;
                return false;
            }
            self.lost_before = lane.lock().lost;
        }
        let Some(segment) = self.segment.take() else { return false };
        let mut inner = lane.lock();
        inner.take_over(segment);
        inner.asked = inner.next.is_some();
        // What a trouble piled up is not needed in good times.
        inner.waiting.shrink_to(KEPT_BYTES);
        self.waiting = Vec::new();
        lane.relayed.store(false, Ordering::Release);
        drop(inner);
        self.active = false;
        lane.book.recovered();
        true
    }
}
