//! The event parser: the same events for any cut, and those of a plain reading of the standard.

use fastroute_core::sse::{Limits, Parser};

use super::cuts;

/// Name, data, last id, and whether it is bare JSON.
type Told = (Vec<u8>, Vec<u8>, Vec<u8>, bool);

pub fn check(input: &[u8]) {
    let (choice, stream) = super::chosen(input);
    let bare = choice & 1 == 1;
    let small = choice & 0x40 == 0;
    let limits = if small { Limits { line_bytes: 40, event_bytes: 64 } } else { Limits::default() };
    let whole = told(&[stream], limits, bare);
    for frames in cuts::of(stream) {
        assert_eq!(told(&frames, limits, bare), whole, "the cut decides");
    }
    if !bare && whole.2 {
        assert_eq!(whole.0, after_the_standard(stream));
    }
}

/// The events, the reconnection time, and whether the stream was read to its end.
fn told(frames: &[&[u8]], limits: Limits, bare: bool) -> (Vec<Told>, Option<u64>, bool) {
    let mut parser = if bare { Parser::with_bare_json(limits) } else { Parser::new(limits) };
    let mut events: Vec<Told> = Vec::new();
    let mut fine = true;
    for frame in frames {
        let mut before = 0;
        let fed = parser.feed(frame, |event| {
            assert!(before <= event.start && event.start <= event.end && event.end <= frame.len(), "{event:?}");
            assert!(event.data.len() <= limits.event_bytes, "beyond the limit");
            before = event.end;
            events.push((event.name.into(), event.data.into(), event.last_id.into(), event.bare));
        });
        match fed {
            Ok(finished) => assert!(before <= finished && finished <= frame.len()),
            Err(error) => {
                assert!(before <= error.finished && error.finished <= frame.len());
                assert!(parser.feed(b"data: x\n\n", |_| panic!("an event after the refusal")).is_err());
                fine = false;
                break;
            }
        }
    }
    fine = fine
        && parser
            .end(|event| events.push((event.name.into(), event.data.into(), event.last_id.into(), event.bare)))
            .is_ok();
    (events, parser.retry_ms(), fine)
}

/// "Interpreting an event stream" of the HTML standard, but that a last event without its blank line counts.
fn after_the_standard(stream: &[u8]) -> Vec<Told> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let (mut events, mut name, mut data, mut last_id) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for line in lines(stream).into_iter().chain([&b""[..]]) {
        if line.is_empty() {
            if data.pop().is_some() {
                events.push((name.clone(), data.clone(), last_id.clone(), false));
            }
            name.clear();
            data.clear();
            continue;
        }
        let (field, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => name = value.to_vec(),
            b"data" => data.extend(value.iter().chain(b"\n")),
            b"id" if !value.contains(&0) => last_id = value.to_vec(),
            _ => {}
        }
    }
    events
}

fn lines(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some(end) = rest.iter().position(|&byte| matches!(byte, b'\r' | b'\n')) {
        lines.push(&rest[..end]);
        let after = if rest[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
        rest = &rest[after..];
    }
    lines.push(rest);
    lines
}

/// The data of every event of a stream, for laws about what its events say.
pub fn data_of(stream: &[u8]) -> Vec<Vec<u8>> {
    after_the_standard(stream).into_iter().map(|(_, data, ..)| data).collect()
}
