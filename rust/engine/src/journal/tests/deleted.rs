//! Somebody deletes what is being written to.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A segment with a running attempt was deleted, and it was noticed; gives that attempt.
fn lose_the_segment(folder: &Folder, journal: &Journal, lane: &Lane) -> AttemptId {
    let running = begin(lane);
    lane.settle_up();
    for segment in folder.segments() {
        std::fs::remove_file(segment).unwrap();
    }
    eventually("it was noticed", || {
        journal.book.wake_keeper();
        journal.notices().iter().any(|notice| notice.alarm && notice.text.contains("deleted"))
    });
    running.0
}

fn restates(folder: &Folder, lane: &Lane, running: AttemptId) {
    eventually("another took over and restates what is open", || {
        end(lane, begin(lane));
        lane.settle_up();
        folder.0.exists() && folder.attempts().0.contains(&running)
    });
}

#[test]
fn a_deleted_segment_is_noticed_and_what_is_open_is_restated_in_another() {
    let folder = Folder::new();
    let journal = folder.journal();
    let lane = journal.lane(0).unwrap();
    let running = lose_the_segment(&folder, &journal, &lane);
    restates(&folder, &lane, running);
}

#[test]
fn a_folder_that_goes_after_its_segments_is_made_again() {
    let folder = Folder::new();
    let journal = folder.journal();
    let lane = journal.lane(0).unwrap();
    let running = lose_the_segment(&folder, &journal, &lane);
    // The one that is to take over goes, too.
    eventually("the next one is there", || lane.lock().next.is_some());
    std::fs::remove_dir_all(&folder.0).unwrap();
    restates(&folder, &lane, running);
    assert_eq!(std::fs::metadata(&folder.0).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn where_no_other_file_can_be_made_records_wait_and_it_is_told() {
    let folder = Folder::new();
    let journal = folder.open(|spec| JournalSpec { required: true, ..spec });
    let lane = journal.lane(0).unwrap();
    let running = begin(&lane);
    lane.settle_up();
    folder.block();
    eventually("it is in trouble", || {
        journal.book.wake_keeper();
        lane.is_relayed()
    });
    assert_eq!(lane.intend(|_, _| unreachable!("nothing is put on record")), Err(OffTheRecord));
    end(&lane, running);
    std::fs::remove_file(&folder.0).unwrap();
    eventually("it is well again", || !lane.is_relayed());
    assert_eq!(folder.attempts().1, [running.0]);
}

/// A journal whose keeper writes for its lane for as long as the test runs.
fn in_trouble(folder: &Folder) -> (Journal, Arc<Lane>) {
    let journal = Folder::start(folder.spec(), Duration::from_secs(3600));
    let lane = journal.lane(0).unwrap();
    fill_the_disk(&lane);
    let earlier = begin(&lane);
    lane.settle_up();
    eventually("the keeper writes to another file", || folder.attempts().0.contains(&earlier.0));
    (journal, lane)
}

#[test]
fn a_segment_that_is_deleted_while_the_keeper_writes_is_left_for_another() {
    let folder = Folder::new();
    let (journal, lane) = in_trouble(&folder);
    let running = lose_the_segment(&folder, &journal, &lane);
    eventually("another restates what is open", || folder.attempts().0.contains(&running));
    assert!(lane.is_relayed());
}

#[test]
fn syncs_that_go_on_failing_while_the_keeper_writes_do_not_fill_the_folder_with_files() {
    let folder = Folder::new();
    let (journal, lane) = in_trouble(&folder);
    let (before, began) = (folder.segments().len(), std::time::Instant::now());
    for _ in 0..20 {
        lane.lock().spoilt = true;
        let attempt = begin(&lane);
        end(&lane, attempt);
        journal.book.wake_keeper();
        eventually("it is on record", || folder.attempts().1.contains(&attempt.0));
    }
    let most = before + 1 + usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(folder.segments().len() <= most, "one a second");
}
