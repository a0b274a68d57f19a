//! The streams of Anthropic Messages: whole, cut and broken.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the functions of a test meet is a failure of the test")]

use std::fs;
use std::path::Path;

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::fold::Fold;
use fastroute_core::dialects::message::{Envelope, Event, Reply};
use serde_json::Value;

#[path = "dialects/same.rs"]
mod same;
use same::assert_same;

const OURS: Dialect = Dialect::AnthropicMessages;
const CHAT: Dialect = Dialect::OpenAiChat;

/// The cases of our own streams, by name.
fn streams() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/dialects/anthropic_messages/streams");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

fn data_lines(stream: &str) -> impl Iterator<Item = &str> {
    stream.lines().filter_map(|line| line.strip_prefix("data: "))
}

#[test]
fn a_stream_folds_into_the_reply_that_says_the_same() {
    let mut folded = 0;
    for (name, stream) in streams() {
        let mut reader = OURS.reader().unwrap();
        let mut fold = Fold::new(1 << 20);
        for data in data_lines(&stream) {
            for event in reader.parse_event("", data.as_bytes()).unwrap() {
                fold.add(&event).unwrap();
            }
        }
        let Ok(reply) = fold.finish() else {
            assert!(name.contains("error"), "{name} does not fold");
            continue;
        };
        let once = OURS.render_reply(&Reply::Chat(reply), &Envelope::default()).unwrap();
        let again = OURS.render_reply(&OURS.parse_reply(&once).unwrap(), &Envelope::default()).unwrap();
        let [once, again]: [Value; 2] = [once, again].map(|body| serde_json::from_slice(&body).unwrap());
        assert_same(&again, &once, &name);
        folded += 1;
    }
    assert!(folded > 10, "only {folded} streams folded");
}

/// Every event with each byte in turn cut off, removed or replaced by one that matters to JSON.
fn broken(data: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..data.len()).flat_map(move |at| {
        let (before, rest) = data.split_at(at);
        let after = rest.get(1..).unwrap_or_default();
        let swaps = b"{}[]\",:0n\\\xff".map(|byte| [before, &[byte], after].concat());
        swaps.into_iter().chain([before.to_vec(), [before, after].concat()])
    })
}

#[test]
fn broken_events_are_refused_or_read_and_what_is_read_can_be_said() {
    for (name, stream) in streams() {
        let events: Vec<_> = data_lines(&stream).collect();
        for at in 0..events.len() {
            for data in broken(events[at].as_bytes()) {
                let mut reader = OURS.reader().unwrap();
                let mut writers = [OURS, CHAT].map(|dialect| dialect.writer(&Envelope::default()).unwrap());
                let mut outs = [Vec::new(), Vec::new()];
                let before = events[..at].iter().map(|data| data.as_bytes());
                for data in before.chain([data.as_slice()]).chain(events[at + 1..].iter().map(|data| data.as_bytes())) {
                    for event in reader.parse_event("", data).into_iter().flatten() {
                        for (writer, out) in writers.iter_mut().zip(&mut outs) {
                            writer.render_event(&event, out);
                        }
                    }
                }
                for out in outs {
                    for data in data_lines(&String::from_utf8(out).unwrap()) {
                        let whole = data == "[DONE]" || serde_json::from_str::<Value>(data).is_ok();
                        assert!(whole, "{name}: {data}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_stream_that_stops_in_the_middle_is_not_finished() {
    for (name, stream) in streams() {
        let events: Vec<_> = data_lines(&stream).collect();
        let end = events.iter().position(|data| data.contains("\"message_delta\""));
        for cut in 0..end.unwrap_or(0) {
            let mut reader = OURS.reader().unwrap();
            let mut read = events[..cut].iter().flat_map(|data| reader.parse_event("", data.as_bytes()).unwrap());
            let finished = read.any(|event| matches!(event, Event::Finish { .. } | Event::Done));
            assert!(!finished, "{name} cut at {cut}");
        }
    }
}
