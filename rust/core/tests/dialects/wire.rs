//! Streams as their dialects have them on the wire. Bedrock's are binary, so cases keep them as lines, one event each:
//! `{"messageStart":{…}}`.

use std::collections::BTreeMap;

use fastroute_core::dialects::Dialect;
use fastroute_core::eventstream;
use fastroute_core::sse::Limits;
use fastroute_core::translate::Frames;
use serde_json::value::RawValue;

pub(crate) fn bytes(dialect: Dialect, stream: &str) -> Vec<u8> {
    if dialect != Dialect::BedrockConverse {
        return stream.as_bytes().to_vec();
    }
    let mut out = Vec::new();
    for line in stream.lines().filter(|line| !line.is_empty()) {
        let event: BTreeMap<String, &RawValue> = serde_json::from_str(line).unwrap();
        let (name, data) = event.into_iter().next().unwrap();
        message(&name, data.get(), &mut out);
    }
    out
}

fn message(name: &str, data: &str, out: &mut Vec<u8>) {
    let (kind, of) =
        if name.ends_with("Exception") { ("exception", ":exception-type") } else { ("event", ":event-type") };
    let headers = [(of, name), (":content-type", "application/json"), (":message-type", kind)];
    eventstream::write(out, &headers, |out| out.extend_from_slice(data.as_bytes()));
}

/// Name and data of each event.
pub(crate) fn events(dialect: Dialect, stream: &[u8]) -> Vec<(String, String)> {
    events_of(Frames::of(dialect, Limits::default()), stream)
}

pub(crate) fn events_of(mut frames: Frames, stream: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut take = |name: &str, data: &[u8]| found.push((name.to_owned(), String::from_utf8(data.to_vec()).unwrap()));
    let read = frames.feed(stream, &mut take);
    assert!(read, "{}", frames.fault());
    frames.end(&mut take);
    found
}
