//! Whatever happens to a segment's bytes, what is read of it is what was written, from the start and in order.

use super::*;
use crate::usage::{Basis, Usage};

/// Xorshift64 (Marsaglia 2003): the same cases on every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }
}

const TEXTS: [&str; 5] = ["", "m", "openai/gpt-5", "zażółć gęślą jaźń", "a-name-of-some-length/of-a-model-2026-11-22"];

fn any_record(chance: &mut Chance) -> Record<'static> {
    let attempt = AttemptId(u128::from(chance.next() % 50));
    let text = |chance: &mut Chance| TEXTS[chance.below(TEXTS.len())];
    match chance.below(5) {
        0 => Record::Opened(Opened { boot: chance.next(), carried: 3, instance: text(chance), ..Opened::default() }),
        1 => Record::Intent(intent(attempt, chance.next() % 1000, text(chance))),
        2 => Record::Progress(Progress { attempt, events: chance.next(), bytes: chance.next() }),
        3 => Record::Settle(Settle {
            attempt,
            state: State::ALL[chance.below(5)],
            status: 200,
            took_us: chance.next(),
            events: 1,
            bytes: chance.next(),
            usage: Usage { prompt_tokens: chance.next(), basis: Basis::Counted, ..Usage::default() },
            failure: text(chance),
        }),
        _ => Record::Gap(Gap { at_ms: chance.next(), lost: 0 }),
    }
}

fn intent(attempt: AttemptId, input_tokens: u64, text: &str) -> Intent<'_> {
    Intent {
        attempt,
        ordinal: 1,
        stream: true,
        generation: 7,
        started_ms: 1_700_000_000_000,
        body_bytes: 900,
        input_tokens,
        max_output_tokens: 0,
        request_id: "req_1",
        model: text,
        target: text,
        key_id: "0123456789abcdef",
        door: "edge",
        dialect: "openai_chat",
    }
}

/// A segment, and where each of its records ends.
fn segment(records: &[Record<'_>]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = MAGIC.to_vec();
    let ends = records
        .iter()
        .map(|record| {
            record.render(&mut bytes);
            bytes.len()
        })
        .collect();
    (bytes, ends)
}

fn some_records(seed: u64, count: usize) -> Vec<Record<'static>> {
    let mut chance = Chance(seed);
    (0..count).map(|_| any_record(&mut chance)).collect()
}

fn read(bytes: &[u8]) -> (Vec<Record<'_>>, End) {
    let mut reader = Reader::new(bytes);
    let records = reader.by_ref().collect();
    (records, reader.end().unwrap())
}

#[test]
fn what_was_written_is_read_back() {
    let records = some_records(1, 500);
    let (mut bytes, _) = segment(&records);
    let length = bytes.len();
    assert_eq!(read(&bytes), (records.clone(), End::Whole { at: length }));
    bytes.resize(length + 4096, 0);
    assert_eq!(read(&bytes), (records, End::Whole { at: length }), "what is allocated in advance is not damage");
}

#[test]
fn a_cut_anywhere_leaves_every_record_before_it_and_none_behind() {
    let records = some_records(2, 120);
    let (bytes, ends) = segment(&records);
    assert!(bytes.len() > 5_000);
    for cut in MAGIC.len()..bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let at = ends[..whole].last().copied().unwrap_or(MAGIC.len());
        let end = if at == cut { End::Whole { at } } else { End::Torn { at } };
        assert_eq!(read(&bytes[..cut]), (records[..whole].to_vec(), end), "cut at {cut}");
        // The same cut where the file was allocated in advance: what was not written is zeros.
        let mut zeroed = bytes[..cut].to_vec();
        zeroed.resize(bytes.len() + 100, 0);
        let (left, end) = read(&zeroed);
        // The bytes that are missing may have been zeros themselves.
        let same = bytes[cut..].iter().take_while(|byte| **byte == 0).count();
        let whole = ends.iter().filter(|end| **end <= cut + same).count();
        assert_eq!(left, records[..whole], "zeros from {cut}");
        assert!(matches!(end, End::Whole { .. } | End::Torn { .. }), "zeros from {cut}: {end:?}");
    }
}

#[test]
fn a_flipped_bit_ends_the_reading_at_its_record_and_invents_nothing() {
    let records = some_records(3, 200);
    let (bytes, ends) = segment(&records);
    let mut chance = Chance(4);
    for _ in 0..5_000 {
        let at = MAGIC.len() + chance.below(bytes.len() - MAGIC.len());
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << chance.below(8);
        let hit = ends.iter().filter(|end| **end <= at).count();
        let (left, end) = read(&flipped);
        assert_eq!(left, records[..hit], "flipped at {at}");
        assert_eq!(end.at(), ends[..hit].last().copied().unwrap_or(MAGIC.len()));
        assert!(!matches!(end, End::Whole { .. }), "flipped at {at}: {end:?}");
    }
}

#[test]
fn records_behind_a_hole_are_damage_and_not_an_end() {
    let records = some_records(5, 10);
    let (bytes, ends) = segment(&records);
    let mut holed = bytes.clone();
    holed[ends[3]..ends[4]].fill(0);
    assert_eq!(read(&holed), (records[..4].to_vec(), End::Damaged { at: ends[3] }));
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    let mut chance = Chance(6);
    let (bytes, _) = segment(&some_records(7, 40));
    for round in 0..2_000 {
        let mut bytes = bytes.clone();
        for _ in 0..=round % 30 {
            let at = chance.below(bytes.len());
            bytes[at] = u8::try_from(chance.next() % 256).unwrap();
        }
        bytes.truncate(chance.below(bytes.len() + 1));
        let (records, end) = read(&bytes);
        assert!(end.at() <= bytes.len());
        assert!(records.len() <= 40);
    }
}

#[test]
fn another_format_is_refused_and_an_unwritten_file_is_empty() {
    assert_eq!(read(b"SQLite format 3\0 and so on"), (vec![], End::Foreign));
    assert_eq!(read(&[0; 64]), (vec![], End::Whole { at: 0 }));
    assert_eq!(read(b""), (vec![], End::Whole { at: 0 }));
    assert_eq!(read(b"FRJR"), (vec![], End::Torn { at: 0 }));
    assert_eq!(read(b"FRJRNL\0\x02 of a later version"), (vec![], End::Foreign));
}

#[test]
fn a_record_of_a_later_version_is_passed_over() {
    let mut bytes = MAGIC.to_vec();
    frame::framed(&mut bytes, 200, |put| {
        put.text("what comes next year");
    });
    let gap = Record::Gap(Gap { at_ms: 1, lost: 2 });
    gap.render(&mut bytes);
    assert_eq!(read(&bytes).0, [Record::Other(200), gap]);
}

#[test]
fn a_long_text_is_cut_at_a_character_and_its_record_stays_readable() {
    let long = "é".repeat(4_000);
    let (bytes, _) = segment(&[Record::Intent(intent(AttemptId(1), 1, &long))]);
    let (records, end) = read(&bytes);
    let [Record::Intent(intent)] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(intent.model, "é".repeat(127));
    assert_eq!(end, End::Whole { at: bytes.len() });
}

#[test]
fn an_attempt_without_an_end_is_left_open_with_its_last_mark() {
    let mut replay = Replay::default();
    let [ended, running, restated] = [1, 2, 3].map(AttemptId);
    let mark = |events| Record::Progress(Progress { attempt: running, events, bytes: 10 * events });
    for attempt in [ended, running, restated] {
        replay.take(&Record::Intent(intent(attempt, 40, "m")));
    }
    replay.take(&mark(5));
    replay.take(&mark(9));
    replay.take(&Record::Intent(intent(running, 40, "m")));
    let settle = OpenAttempt { progress: Progress { attempt: ended, events: 0, bytes: 0 }, input_tokens: 1 }.settle("");
    replay.take(&Record::Settle(settle));
    let open: Vec<_> = replay.open().collect();
    assert_eq!(open.iter().map(|open| open.progress.attempt).collect::<Vec<_>>(), [running, restated]);
    let settled = open[0].settle("process_died");
    assert_eq!((settled.state, settled.events, settled.usage.total_tokens), (State::Unknown, 9, 49));
}

#[test]
fn a_line_is_one_json_object() {
    for record in some_records(8, 200) {
        let line = render_line(&record);
        assert!(!line.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(value["record"].is_string());
    }
}
