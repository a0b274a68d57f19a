//! The journal's reader: a beginning of what was written, whatever happened to the bytes, and nothing that was not.

use std::collections::BTreeSet;

use fastroute_core::journal::{End, MAGIC, Reader, Record, Replay, render_line};
use serde_json::Value;

use super::cuts::Dice;

/// Odd choices read the input as a segment. Even ones read it as payloads (kind, length, bytes) and put the checksums
/// on, which no mutation would hit.
pub fn check(input: &[u8]) {
    let (choice, bytes) = super::chosen(input);
    let segment = if choice & 1 == 1 { bytes.to_vec() } else { framed(bytes) };
    let (records, end) = read(&segment);
    let at = end.at();
    assert!(at <= segment.len());
    if let End::Whole { at } | End::Torn { at } | End::Damaged { at } = end {
        // What follows the last record does not change what is before it.
        assert_eq!(read(&segment[..at]).0, records);
    }
    if matches!(end, End::Whole { .. }) {
        let allocated = [&segment, &[0; 64][..]].concat();
        assert_eq!(read(&allocated), (records.clone(), end), "zeros behind the end are no damage");
    }
    reads_as_it_was_written(&records);
    harm_leaves_a_beginning(&segment, &records, at, Dice::of(input));
    replays(&records);
}

fn read(segment: &[u8]) -> (Vec<Record<'_>>, End) {
    let mut reader = Reader::new(segment);
    let records = reader.by_ref().collect();
    let end = reader.end().expect("reading ended");
    assert!(reader.next().is_none(), "a record behind the end");
    (records, end)
}

fn framed(mut bytes: &[u8]) -> Vec<u8> {
    let mut segment = MAGIC.to_vec();
    while let [kind, length, rest @ ..] = bytes {
        let (payload, after) = rest.split_at(usize::from(*length).min(rest.len()));
        let checked = [&u16::try_from(payload.len()).unwrap_or(0).to_le_bytes()[..], &[*kind], payload].concat();
        segment.extend_from_slice(&crc32fast::hash(&checked).to_le_bytes());
        segment.extend_from_slice(&checked);
        bytes = after;
    }
    segment
}

fn reads_as_it_was_written(records: &[Record<'_>]) {
    let known: Vec<_> = records.iter().copied().filter(|record| !matches!(record, Record::Other(_))).collect();
    let mut again = MAGIC.to_vec();
    for record in &known {
        record.render(&mut again);
    }
    assert_eq!(read(&again), (known, End::Whole { at: again.len() }));
}

fn harm_leaves_a_beginning(segment: &[u8], records: &[Record<'_>], at: usize, mut dice: Dice) {
    let cut = dice.below(segment.len() + 1);
    let (left, _) = read(&segment[..cut]);
    assert!(records.starts_with(&left), "a cut made a record");
    if at > MAGIC.len() {
        let mut flipped = segment[..at].to_vec();
        flipped[MAGIC.len() + dice.below(at - MAGIC.len())] ^= 1 << dice.below(8);
        let (left, _) = read(&flipped);
        assert!(left.len() < records.len() && records.starts_with(&left), "a flipped bit passed");
    }
}

fn replays(records: &[Record<'_>]) {
    let mut replay = Replay::default();
    let (mut begun, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for record in records {
        replay.take(record);
        match record {
            Record::Intent(intent) => {
                begun.insert(intent.attempt);
                ended.remove(&intent.attempt);
            }
            Record::Settle(settle) => {
                ended.insert(settle.attempt);
            }
            _ => {}
        }
        let line = render_line(record);
        assert!(
            !line.contains('\n') && serde_json::from_str::<Value>(&line).is_ok_and(|line| line.is_object()),
            "{line}"
        );
    }
    let open: BTreeSet<_> = replay.open().map(|open| open.progress.attempt).collect();
    assert_eq!(open, begun.difference(&ended).copied().collect(), "an attempt was lost or made up");
    for open in replay.open() {
        let usage = open.settle("process_died").usage;
        assert!(usage.total_tokens >= usage.prompt_tokens.max(usage.completion_tokens));
    }
}
