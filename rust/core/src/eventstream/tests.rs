use super::*;

/// The example of a message with one header in AWS's description of the format, as it prints it.
const PUBLISHED: &[u8] = &[
    0x00, 0x00, 0x00, 0x3d, 0x00, 0x00, 0x00, 0x20, 0x07, 0xfd, 0x83, 0x96, 0x0c, b'c', b'o', b'n', b't', b'e', b'n',
    b't', b'-', b't', b'y', b'p', b'e', 0x07, 0x00, 0x10, b'a', b'p', b'p', b'l', b'i', b'c', b'a', b't', b'i', b'o',
    b'n', b'/', b'j', b's', b'o', b'n', b'{', b'\'', b'f', b'o', b'o', b'\'', b':', b'\'', b'b', b'a', b'r', b'\'',
    b'}', 0x8d, 0x9c, 0x08, 0xb1,
];

type Told = Vec<(Kind, String, String)>;

fn told(pieces: &[&[u8]], limits: Limits) -> (Told, Result<(), EventStreamError>) {
    let mut parser = Parser::new(limits);
    let mut found = Vec::new();
    let mut fed = Ok(());
    for piece in pieces {
        fed = parser.feed(piece, |message| {
            let payload = String::from_utf8(message.payload.to_vec()).unwrap();
            found.push((message.kind, message.name.to_owned(), payload + message.error_message));
        });
    }
    (found, fed)
}

fn stream() -> Vec<u8> {
    let mut out = Vec::new();
    for (name, payload) in [("messageStart", "{\"role\":\"assistant\"}"), ("contentBlockDelta", "{\"é\":1}"), ("a", "")]
    {
        let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
        write(&mut out, &headers, |out| out.extend_from_slice(payload.as_bytes()));
    }
    let exception = [(":message-type", "exception"), (":exception-type", "throttlingException")];
    write(&mut out, &exception, |out| out.extend_from_slice(b"{\"message\":\"slow\"}"));
    let error = [(":message-type", "error"), (":error-code", "InternalError"), (":error-message", "lost")];
    write(&mut out, &error, |_| {});
    out
}

#[test]
fn the_published_message_is_read_and_written() {
    let (found, fed) = told(&[PUBLISHED], Limits::default());
    assert_eq!(fed, Ok(()));
    assert_eq!(found, [(Kind::Event, String::new(), "{'foo':'bar'}".to_owned())]);
    let mut out = Vec::new();
    write(&mut out, &[("content-type", "application/json")], |out| out.extend_from_slice(b"{'foo':'bar'}"));
    assert_eq!(out, PUBLISHED);
}

#[test]
fn any_cut_gives_the_same_messages() {
    let stream = stream();
    let (whole, fed) = told(&[&stream], Limits::default());
    assert_eq!(fed, Ok(()));
    let names: Vec<_> = whole.iter().map(|(kind, name, _)| (*kind, name.as_str())).collect();
    assert_eq!(
        names,
        [
            (Kind::Event, "messageStart"),
            (Kind::Event, "contentBlockDelta"),
            (Kind::Event, "a"),
            (Kind::Exception, "throttlingException"),
            (Kind::Error, "InternalError")
        ]
    );
    assert_eq!(whole[4].2, "lost");
    for at in 0..=stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(told(&[head, tail], Limits::default()), (whole.clone(), Ok(())), "cut at {at}");
    }
    for size in 1..40 {
        let pieces: Vec<_> = stream.chunks(size).collect();
        assert_eq!(told(&pieces, Limits::default()).0, whole, "pieces of {size}");
    }
}

#[test]
fn a_changed_byte_is_never_told() {
    let stream = stream();
    let whole = told(&[&stream], Limits::default()).0;
    for at in 0..stream.len() {
        for change in [1_u8, 0x80] {
            let mut changed = stream.clone();
            changed[at] ^= change;
            let (found, fed) = told(&[&changed], Limits::default());
            assert_eq!(fed, Err(EventStreamError::Checksum), "byte {at}");
            assert!(whole.starts_with(&found), "byte {at}");
        }
    }
}

#[test]
fn a_message_beyond_the_limit_is_refused_by_its_prelude() {
    let limits = Limits { line_bytes: 64, event_bytes: 64 };
    let mut long = Vec::new();
    write(&mut long, &[], |out| out.extend_from_slice(&[b'x'; 64]));
    let (found, fed) = told(&[&long[..PRELUDE_BYTES]], limits);
    assert_eq!((found.len(), fed), (0, Err(EventStreamError::TooLong)));
    // And stays refused.
    let mut parser = Parser::new(limits);
    assert!(parser.feed(&long, |_| {}).is_err());
    assert_eq!(parser.feed(PUBLISHED, |_| panic!("told")), Err(EventStreamError::TooLong));
}

#[test]
fn lengths_and_headers_that_do_not_fit_are_refused() {
    let sealed = |length: u32, headers: u32, inside: &[u8]| {
        let mut out = [length.to_be_bytes(), headers.to_be_bytes()].concat();
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out.extend_from_slice(inside);
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out
    };
    for (length, headers, inside) in [
        (15, 0, &b""[..]),
        (16, 1, b""),
        // A header that ends in its name, its type, and its value; one of no known type; text that is none.
        (18, 2, b"\x05a"),
        (18, 2, b"\x01a"),
        (21, 5, b"\x01a\x07\x00\x09"),
        (19, 3, b"\x01a\x0a"),
        (22, 6, b"\x01a\x07\x00\x01\xff"),
    ] {
        let stream = sealed(length, headers, inside);
        assert_eq!(told(&[&stream], Limits::default()).1, Err(EventStreamError::Malformed), "{inside:?}");
    }
}

#[test]
fn headers_of_every_type_are_stepped_over() {
    let mut headers = Vec::new();
    for (kind, value) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)] {
        headers.extend_from_slice(&[1, b'a', kind]);
        headers.extend_from_slice(&vec![7; value]);
    }
    headers.extend_from_slice(b"\x01a\x06\x00\x02xy\x0b:event-type\x07\x00\x02ok");
    let length = u32::try_from(headers.len()).unwrap();
    let mut out = [(length + 16).to_be_bytes(), length.to_be_bytes()].concat();
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.extend_from_slice(&headers);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    let (found, fed) = told(&[&out], Limits::default());
    assert_eq!((found, fed), (vec![(Kind::Event, "ok".to_owned(), String::new())], Ok(())));
}

#[test]
fn the_type_of_the_content_is_known_whatever_its_parameters() {
    assert!(is_event_stream(b"application/vnd.amazon.eventstream"));
    assert!(is_event_stream(b"Application/VND.amazon.eventstream; charset=utf-8"));
    assert!(!is_event_stream(b"text/event-stream"));
    assert!(!is_event_stream(b""));
}
