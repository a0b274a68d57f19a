use super::*;

/// An event as a test compares it: name, data, last id, bare.
type Seen = (Vec<u8>, Vec<u8>, Vec<u8>, bool);

fn seen(event: Event<'_>) -> Seen {
    (event.name.to_vec(), event.data.to_vec(), event.last_id.to_vec(), event.bare)
}

/// Events of a stream fed in the given pieces, and the bytes of finished blocks, put together again.
fn read<'c>(mut parser: Parser, chunks: impl Iterator<Item = &'c [u8]>, tolerant: bool) -> (Vec<Seen>, Vec<u8>) {
    let mut events = Vec::new();
    let mut finished = Vec::new();
    let mut open = Vec::new();
    for chunk in chunks {
        let done = parser.feed(chunk, |event| events.push(seen(event))).unwrap();
        if done > 0 {
            finished.append(&mut open);
            finished.extend_from_slice(&chunk[..done]);
        }
        open.extend_from_slice(&chunk[done..]);
    }
    if tolerant {
        parser.end(|event| events.push(seen(event))).unwrap();
    }
    (events, finished)
}

fn whole(stream: &[u8]) -> Vec<Seen> {
    read(Parser::with_bare_json(Limits::default()), std::iter::once(stream), true).0
}

fn data_of(stream: &[u8]) -> Vec<String> {
    whole(stream).into_iter().map(|event| String::from_utf8(event.1).unwrap()).collect()
}

/// xorshift64*: enough dice for cutting streams, the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % bound
    }
}

/// A stream of lines that a hostile or merely careless server could write.
fn invented_stream(dice: &mut Dice) -> Vec<u8> {
    const LINES: [&str; 22] = [
        "",
        "",
        "",
        "",
        "data: one",
        "data:two",
        "data:  three",
        "data",
        "data:",
        ": ping",
        ":",
        "event: error",
        "event:",
        "id: 7",
        "id: a\0b",
        "retry: 15",
        "retry: 1s",
        "unknown: x",
        "{\"error\":1}",
        "[1]",
        "data: grün 🦀",
        " data: no",
    ];
    let mut stream = Vec::new();
    if dice.below(4) == 0 {
        stream.extend_from_slice(&BOM[..=dice.below(3)]);
    }
    for _ in 0..dice.below(30) {
        stream.extend_from_slice(LINES[dice.below(LINES.len())].as_bytes());
        stream.extend_from_slice([&b"\n"[..], b"\r", b"\r\n"][dice.below(3)]);
    }
    stream.extend_from_slice(["", "data: tail", "data: tail\n", "\r", ": half"][dice.below(5)].as_bytes());
    stream
}

#[test]
fn any_chunking_gives_the_same_events_and_the_same_finished_bytes() {
    let mut dice = Dice(0x5EED);
    let mut events = 0;
    for _ in 0..2_000 {
        let stream = invented_stream(&mut dice);
        let parser = || Parser::with_bare_json(Limits::default());
        let expected = read(parser(), std::iter::once(&stream[..]), true);
        events += expected.0.len();
        assert!(stream.starts_with(&expected.1));
        assert_eq!(read(parser(), stream.chunks(1), true), expected);
        for _ in 0..8 {
            let mut rest = &stream[..];
            let pieces = std::iter::from_fn(|| {
                let (piece, after) = rest.split_at(dice.below(rest.len().min(9) + 1));
                rest = after;
                (!(piece.is_empty() && after.is_empty())).then_some(piece)
            });
            assert_eq!(read(parser(), pieces, true), expected, "{stream:?}");
        }
    }
    assert!(events > 2_000, "the generator made only {events} events");
}

#[test]
fn an_event_inside_one_chunk_is_borrowed_from_it() {
    let chunk = b"data: {\"a\":1}\n\n";
    let mut parser = Parser::new(Limits::default());
    let mut borrowed = false;
    parser
        .feed(chunk, |event| {
            borrowed = chunk.as_ptr_range().contains(&event.data.as_ptr());
        })
        .unwrap();
    assert!(borrowed);
}

#[test]
fn offsets_name_the_block_without_the_comments_before_it() {
    let chunk = b": ping\n\ndata: a\nid: 1\n\n\ndata: b\r\n\r\ndata";
    let mut blocks = Vec::new();
    let finished = Parser::new(Limits::default())
        .feed(chunk, |event| {
            blocks.push(chunk[event.start..event.end].to_vec());
        })
        .unwrap();
    assert_eq!(blocks, [&b"data: a\nid: 1\n\n"[..], b"data: b\r\n\r\n"]);
    assert_eq!(&chunk[finished..], b"data");
}

#[test]
fn a_carriage_return_at_the_end_of_a_chunk_ends_the_line_at_once() {
    let mut parser = Parser::new(Limits::default());
    let mut events = 0;
    assert_eq!(parser.feed(b"data: x\r\n\r", |_| events += 1), Ok(10));
    assert_eq!(events, 1);
    assert!(parser.awaits_lf());
    assert_eq!(parser.feed(b"\n", |_| events += 1), Ok(1));
    assert_eq!(events, 1);
}

#[test]
fn data_lines_are_joined_and_lose_one_space() {
    assert_eq!(data_of(b"data:a\ndata: b\ndata:  c\ndata\n\n"), ["a\nb\n c\n"]);
}

#[test]
fn a_block_without_data_is_no_event_and_its_name_does_not_stick() {
    let events = whole(b"event: x\n\ndata: y\n\n");
    assert_eq!(events, [(vec![], b"y".to_vec(), vec![], false)]);
}

#[test]
fn an_id_with_nul_is_ignored_and_others_stay_set() {
    let ids: Vec<_> =
        whole(b"id: 1\ndata\n\ndata\n\nid: 2\x003\ndata\n\nid\ndata\n\n").into_iter().map(|event| event.2).collect();
    assert_eq!(ids, [&b"1"[..], b"1", b"1", b""]);
}

#[test]
fn only_digits_set_the_reconnection_time() {
    let mut parser = Parser::new(Limits::default());
    parser.feed(b"retry: 15\nretry\nretry: 1s\nretry: -4\n", |_| {}).unwrap();
    assert_eq!(parser.retry_ms(), Some(15));
}

#[test]
fn the_last_event_needs_no_blank_line_when_the_reader_is_tolerant() {
    let stream = b"data: a\n\ndata: [DONE]";
    assert_eq!(data_of(stream), ["a", "[DONE]"]);
    let strict = read(Parser::new(Limits::default()), std::iter::once(&stream[..]), false);
    assert_eq!(strict.0.len(), 1);
}

#[test]
fn bare_json_is_kept_only_where_it_stands_alone() {
    let pretty = b"data: a\n\n{\n  \"error\": {}\n}\n";
    let events = whole(pretty);
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].1, b"{\n  \"error\": {}\n}");
    assert!(events[1].3);
    assert_eq!(data_of(b"data: a\n{\"x\":1}\n\n"), ["a"]);
    let standard = read(Parser::new(Limits::default()), std::iter::once(&pretty[..]), true);
    assert_eq!(standard.0.len(), 1);
}

#[test]
fn what_exceeds_a_limit_is_refused_at_the_same_event_however_it_is_cut() {
    let limits = Limits { line_bytes: 12, event_bytes: 30 };
    let fits = "data: 123456\n\n";
    for (tail, accepted) in [
        ("data: 123456\n\n", 2),
        ("data: 1234567\n\n", 1),
        (": 34567890123\n\n", 1),
        ("data: 123456\ndata: 123456\n\n", 2),
        ("data: 123456\ndata: 123456\nid: 1\n\n", 1),
        ("data: 123456\ndata: 123456\n: 3\n: 3\n\n", 1),
    ] {
        let stream = format!("{fits}{tail}");
        for size in [1, 3, 7, stream.len()] {
            let mut parser = Parser::new(limits);
            let mut events = 0;
            let refused = stream.as_bytes().chunks(size).any(|chunk| parser.feed(chunk, |_| events += 1).is_err());
            assert_eq!((events, refused), (accepted, accepted == 1), "{tail:?} by {size}");
            if refused {
                assert!(parser.feed(b"\n\n", |_| events += 1).is_err());
            }
        }
    }
}

#[test]
fn a_line_of_8_mib_is_scanned_once() {
    let limits = Limits { line_bytes: 16 << 20, event_bytes: 16 << 20 };
    let mut stream = vec![b'x'; 8 << 20];
    stream[..5].copy_from_slice(b"data:");
    stream.extend_from_slice(b"\n\n");
    let mut parser = Parser::new(limits);
    let mut length = 0;
    let before = std::time::Instant::now();
    for chunk in stream.chunks(1_460) {
        parser.feed(chunk, |event| length = event.data.len()).unwrap();
    }
    assert_eq!(length, (8 << 20) - 5);
    // Scanning again from the line's beginning at every chunk would touch 24 GB; once takes milliseconds.
    assert!(before.elapsed().as_secs() < 2);
    assert!(parser.line.capacity() <= KEPT_BYTES && parser.data.capacity() <= KEPT_BYTES);
}

#[test]
fn what_the_writer_writes_the_parser_reads() {
    let written = [
        writer::comment("still\nhere"),
        writer::data(b"{\"a\":1}"),
        writer::event("error", b"two\r\nlines\r"),
        writer::event("odd\nname", b""),
    ]
    .concat();
    let events: Vec<_> = whole(&written).into_iter().map(|event| (event.0, event.1)).collect();
    let expected: [(&[u8], &[u8]); 3] = [(b"", b"{\"a\":1}"), (b"error", b"two\nlines\n"), (b"odd", b"")];
    assert_eq!(events.len(), expected.len());
    for ((name, data), (want_name, want_data)) in events.iter().zip(expected) {
        assert_eq!((&name[..], &data[..]), (want_name, want_data));
    }
}

#[test]
fn only_the_type_of_a_content_type_counts() {
    for accepted in ["text/event-stream", "Text/Event-Stream;", "text/event-stream; charset=utf-8"] {
        assert!(is_event_stream(accepted.as_bytes()), "{accepted}");
    }
    for refused in ["", "text/html", "x bogus", "text/event-stream bogus", "text/event-streams"] {
        assert!(!is_event_stream(refused.as_bytes()), "{refused}");
    }
}
