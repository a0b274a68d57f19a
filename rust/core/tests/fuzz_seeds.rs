//! The laws that fuzzers hunt against, held by every input under `fuzz/seeds` (seeds, and what was found once) and
//! `fuzz/kept` (what hunts learned; see `fuzz/keep.py`).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken law is a failure of the test"
)]

use std::fs;
use std::path::Path;

use fastroute_core::dialects::Dialect;

#[path = "../../../fuzz/src/lib.rs"]
mod laws;

/// Every file of a target's folder; a target without seeds would prove nothing.
fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5, "few seeds in {}", folder.display());
    for file in files {
        let input = fs::read(&file).unwrap();
        // A failure names its file: the panic's own message follows.
        println!("{}", file.display());
        check(&input);
    }
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/kept").join(target);
    for (number, line) in fs::read_to_string(&kept).unwrap_or_default().lines().enumerate() {
        println!("{}, line {}", kept.display(), number + 1);
        check(&bytes_of(line));
    }
}

fn bytes_of(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<_> = hexadecimal.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn a_body_is_judged_alike_however_it_is_cut() {
    replay("json", laws::json::check);
}

#[test]
fn a_stream_tells_the_same_events_however_it_is_cut() {
    replay("sse", laws::sse::check);
}

#[test]
fn a_relayed_stream_is_what_came_and_no_end_is_made_up() {
    replay("relay", laws::relay::check);
}

#[test]
fn an_upstreams_error_never_reaches_a_client_in_its_own_words() {
    replay("failure", laws::failure::check);
}

#[test]
fn counting_is_bounded_whatever_the_text() {
    replay("tokens", laws::tokens::check);
}

#[test]
fn what_a_dialect_read_it_writes_so_that_it_reads_the_same() {
    replay("dialects", laws::dialects::check);
}

#[test]
fn a_stream_says_in_every_dialect_what_it_said_in_its_own() {
    let streaming = Dialect::ALL.iter().filter(|dialect| dialect.reader().is_some());
    for &dialect in streaming {
        replay(&format!("stream_{}", dialect.name()), |input| laws::streams::check(dialect, input));
    }
}

#[test]
fn a_journal_is_read_as_far_as_it_can_be_believed() {
    replay("journal", laws::journal::check);
}
