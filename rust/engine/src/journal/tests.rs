//! The journal on a real disk: what is written, what a start finds, and what trouble costs.

mod deleted;

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

use fastroute_core::journal::{AttemptId, Intent, Progress, Reader, Record, Settle, State};
use fastroute_core::usage::Usage;

use super::segment::Name;
use super::*;

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A folder of its own, deleted with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fastroute-journal-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn spec(&self) -> JournalSpec {
        JournalSpec {
            dir: self.0.clone(),
            instance: "4000".into(),
            fsync: false,
            required: false,
            max_bytes: 8 * LEAST_SEGMENT_BYTES,
        }
    }

    /// A journal of one lane that gets over trouble quickly.
    pub(crate) fn open(&self, more: impl FnOnce(JournalSpec) -> JournalSpec) -> Journal {
        Self::start(more(self.spec()), Duration::from_millis(50))
    }

    fn start(spec: JournalSpec, healthy_after: Duration) -> Journal {
        let dice = Arc::new(Dice::new(5));
        Journal::patient(spec, 1, Arc::default(), dice, Defects::default(), healthy_after).unwrap()
    }

    /// Leaves no place for another file.
    fn block(&self) {
        eventually("something else has the folder's name", || {
            let _ = std::fs::remove_dir_all(&self.0);
            std::fs::write(&self.0, "").is_ok()
        });
    }

    pub(crate) fn journal(&self) -> Journal {
        self.open(|spec| spec)
    }

    fn segments(&self) -> Vec<PathBuf> {
        Name::list(&self.0).unwrap().into_iter().map(|(_, path, _)| path).collect()
    }

    /// Every attempt of every segment with an intent, and every one with an end.
    pub(crate) fn attempts(&self) -> (Vec<AttemptId>, Vec<AttemptId>) {
        let (mut intents, mut ends) = (Vec::new(), Vec::new());
        for path in self.segments() {
            each_record(&path, |record| match record {
                Record::Intent(intent) => intents.push(intent.attempt),
                Record::Settle(settle) => ends.push(settle.attempt),
                _ => {}
            });
        }
        intents.sort();
        intents.dedup();
        ends.sort();
        (intents, ends)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        let _ = std::fs::remove_file(&self.0);
    }
}

fn each_record(path: &Path, mut act: impl FnMut(&Record<'_>)) {
    let bytes = std::fs::read(path).unwrap();
    Reader::new(&bytes).for_each(|record| act(&record));
}

/// Looks until something is so: the keeper is a thread of its own.
fn eventually(what: &str, look: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !look() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn begin(lane: &Lane) -> (AttemptId, u32) {
    lane.intend(|attempt, started_ms| Intent {
        attempt,
        ordinal: 1,
        stream: true,
        generation: 1,
        started_ms,
        body_bytes: 100,
        input_tokens: 25,
        max_output_tokens: 0,
        request_id: "req_1",
        model: "m",
        target: "p/up",
        key_id: "k",
        door: "edge",
        dialect: "openai_chat",
    })
    .unwrap()
}

fn end(lane: &Lane, (attempt, place): (AttemptId, u32)) {
    let settle = Settle {
        attempt,
        state: State::Complete,
        status: 200,
        took_us: 1,
        events: 0,
        bytes: 0,
        usage: Usage::default(),
        failure: "",
    };
    lane.settle(place, &settle);
}

/// Makes the lane's segment refuse every write with "no space left on device".
fn fill_the_disk(lane: &Lane) {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    lane.lock().segment.as_mut().unwrap().file = Arc::new(full);
}

#[test]
fn what_a_killed_process_left_open_is_settled_as_unknown_at_the_next_start_and_once() {
    let folder = Folder::new();
    let journal = folder.journal();
    let lane = journal.lane(0).unwrap();
    let (running, ended) = (begin(&lane), begin(&lane));
    lane.progress(running.1, Progress { attempt: running.0, events: 12, bytes: 900 });
    end(&lane, ended);
    lane.settle_up();
    drop(journal);

    let journal = folder.journal();
    let [notice] = journal.notices().try_into().unwrap();
    assert!(notice.alarm && notice.text.contains("1 attempts"), "{}", notice.text);
    let findings = folder.0.join("00000002-start.journal");
    let mut found = Vec::new();
    each_record(&findings, |record| {
        if let Record::Settle(settle) = record {
            found.push((settle.attempt, settle.state, settle.events, settle.usage.prompt_tokens));
            assert_eq!(settle.failure, "process_died");
        }
    });
    assert_eq!(found, [(running.0, State::Unknown, 12, 25)]);
    drop(journal);
    assert_eq!(folder.journal().notices(), [], "it was told once");
}

#[test]
fn a_start_takes_nothing_from_what_it_reads() {
    let folder = Folder::new();
    let journal = folder.journal();
    let lane = journal.lane(0).unwrap();
    // Its record ends in zeros, as the file behind it does.
    end(&lane, begin(&lane));
    lane.settle_up();
    drop(journal);
    drop(folder.journal());
    let (intents, ends) = folder.attempts();
    assert_eq!((intents.len(), &intents), (1, &ends));
}

#[test]
fn a_start_that_was_killed_before_its_findings_stood_is_done_again() {
    let folder = Folder::new();
    let journal = folder.journal();
    let lane = journal.lane(0).unwrap();
    begin(&lane);
    lane.settle_up();
    drop(journal);
    drop(folder.journal());
    let findings = folder.0.join("00000002-start.journal");
    let whole = std::fs::read(&findings).unwrap();
    std::fs::write(&findings, &whole[..whole.len() - 1]).unwrap();
    let [notice] = folder.journal().notices().try_into().unwrap();
    assert!(notice.text.contains("1 attempts"), "{}", notice.text);
}

#[test]
fn a_segment_is_followed_by_one_that_restates_what_is_open_and_stands_alone() {
    let folder = Folder::new();
    let journal = folder.open(|spec| JournalSpec { max_bytes: 1 << 30, ..spec });
    let lane = journal.lane(0).unwrap();
    let running = begin(&lane);
    lane.progress(running.1, Progress { attempt: running.0, events: 3, bytes: 30 });
    let first = folder.0.join("00000001-000-00000001.journal");
    lane.lock().segment.as_mut().unwrap().capacity = 4096;
    while lane.lock().segment.as_ref().unwrap().name.number == 1 {
        end(&lane, begin(&lane));
        lane.settle_up();
        eventually("the next segment was prepared", || {
            let inner = lane.lock();
            !inner.asked || inner.next.is_some()
        });
    }
    eventually("the full one was cut to its length", || {
        let length = std::fs::metadata(&first).unwrap().len();
        (4096..8192).contains(&length)
    });
    drop(journal);
    std::fs::remove_file(first).unwrap();
    let journal = folder.journal();
    assert!(journal.notices()[0].text.contains("1 attempts"));
    let (_, ends) = folder.attempts();
    assert!(ends.contains(&running.0));
}

#[test]
fn the_oldest_segments_go_when_the_bound_is_reached_and_nothing_open_goes_with_them() {
    let folder = Folder::new();
    let bound = folder.spec().max_bytes;
    let journal = folder.journal();
    let lane = journal.lane(0).unwrap();
    let running = begin(&lane);
    for _ in 0..40_000 {
        end(&lane, begin(&lane));
        lane.settle_up();
        // A disk that is slow for a moment is another test's matter.
        eventually("the lane writes for itself", || {
            let inner = lane.lock();
            inner.segment.is_some() && (!inner.asked || inner.next.is_some())
        });
    }
    assert!(journal.book.counters.bytes.load(Ordering::Relaxed) > 4 * bound);
    let size = || Name::list(&folder.0).unwrap().iter().map(|(_, _, bytes)| bytes).sum::<u64>();
    eventually("the journal is within its bound", || size() <= bound + LEAST_SEGMENT_BYTES);
    drop(journal);
    let journal = folder.journal();
    assert!(journal.notices()[0].text.contains("1 attempts"));
    assert!(folder.attempts().1.contains(&running.0));
}

#[test]
fn a_full_disk_holds_up_nobody_and_loses_nothing_and_is_told_once() {
    let folder = Folder::new();
    let journal = folder.journal();
    let lane = journal.lane(0).unwrap();
    let mut made = vec![begin(&lane).0];
    lane.settle_up();
    fill_the_disk(&lane);
    for _ in 0..200 {
        let attempt = begin(&lane);
        made.push(attempt.0);
        lane.settle_up();
        end(&lane, attempt);
    }
    assert_eq!(journal.book.counters.degraded.load(Ordering::Relaxed), 1);
    eventually("another file took over and all went well for a while", || !lane.relayed.load(Ordering::Acquire));
    made.push(begin(&lane).0);
    lane.settle_up();
    let (intents, ends) = folder.attempts();
    assert_eq!((intents, ends.len()), (made, 200));
    let told: Vec<_> = journal.notices().into_iter().map(|notice| notice.alarm).collect();
    assert_eq!(told, [true, false]);
    assert_eq!(journal.book.counters.lost.load(Ordering::Relaxed), 0);
    assert_eq!(journal.book.counters.degraded.load(Ordering::Relaxed), 0);
}

#[test]
fn what_finds_no_room_in_memory_either_is_counted_and_a_required_journal_refuses() {
    let folder = Folder::new();
    let journal = folder.journal();
    let lane = journal.lane(0).unwrap();
    fill_the_disk(&lane);
    folder.block();
    let lost = || journal.book.counters.lost.load(Ordering::Relaxed);
    while lost() == 0 {
        end(&lane, begin(&lane));
        lane.settle_up();
        let waiting = lane.lock().waiting.len();
        assert!(waiting < WAITING_BYTES + 4096);
    }
    end(&lane, begin(&lane));
    assert!(lost() >= 2);

    let folder = Folder::new();
    let journal = folder.open(|spec| JournalSpec { required: true, ..spec });
    let lane = journal.lane(0).unwrap();
    end(&lane, begin(&lane));
    fill_the_disk(&lane);
    lane.settle_up();
    let refused = lane.intend(|_, _| unreachable!("nothing is put on record"));
    assert_eq!(refused, Err(OffTheRecord));
    assert_eq!(journal.book.counters.refused.load(Ordering::Relaxed), 1);
}

#[test]
fn a_folder_without_a_journal_starts_with_nothing_to_tell() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("notes.txt"), "somebody's").unwrap();
    let journal = folder.journal();
    assert_eq!(journal.notices(), []);
    journal.close();
    assert!(folder.0.join("notes.txt").exists());
}

#[test]
fn a_damaged_segment_is_told_and_kept_and_the_start_goes_on() {
    let folder = Folder::new();
    let journal = folder.journal();
    let lane = journal.lane(0).unwrap();
    for _ in 0..10 {
        begin(&lane);
    }
    lane.settle_up();
    drop(journal);
    let path = folder.0.join("00000001-000-00000001.journal");
    let mut bytes = std::fs::read(&path).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[written / 2] ^= 0x10;
    std::fs::write(&path, &bytes).unwrap();
    let [notice] = folder.journal().notices().try_into().unwrap();
    assert!(notice.text.contains("1 damaged segments"), "{}", notice.text);
    assert_eq!(std::fs::read(&path).unwrap(), bytes[..=written], "what was written stays as evidence");
}

#[test]
fn what_the_disk_does_not_take_to_the_end_is_told() {
    let folder = Folder::new();
    let journal = folder.journal();
    let lane = journal.lane(0).unwrap();
    fill_the_disk(&lane);
    folder.block();
    end(&lane, begin(&lane));
    lane.settle_up();
    journal.close();
    let told: Vec<_> = journal.notices().into_iter().map(|notice| notice.text).collect();
    assert!(told.last().unwrap().contains("could not be written before the end"), "{told:?}");
}
