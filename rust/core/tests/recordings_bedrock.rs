//! Bedrock against recorded exchanges: what was said is said again as it was, from binary streams, too.
//!
//! `FASTROUTE_RECORDINGS` names a folder of `*.jsonl.gz`; without it the tests print what they skipped and pass. Nothing
//! of that folder is in this repository.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what the functions of a test meet is a failure of the test"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::message::{Envelope, Event};
use fastroute_core::sse::Limits;
use fastroute_core::translate::Frames;
use flate2::read::GzDecoder;
use serde_json::Value;

#[path = "dialects/same.rs"]
mod same;
#[path = "dialects/wire.rs"]
mod wire;
use same::{assert_same, difference};

const BEDROCK: Dialect = Dialect::BedrockConverse;
/// How many lines were recorded: fewer would be a silent skip.
const CONVERSE: usize = 61;
const INVOKE: usize = 52;

/// What cannot be the same, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("output: must be a JSON object", "a fixture of reranking, which is no conversation"),
    ("contentBlockStop was added", "fixtures cut by hand leave out the ends of their blocks"),
];

/// The recorded exchanges of an API; `None` without the folder.
fn recorded(api: &str, kind: &str) -> Option<Vec<Value>> {
    let Some(folder) = std::env::var_os("FASTROUTE_RECORDINGS").map(PathBuf::from) else {
        println!("FASTROUTE_RECORDINGS is not set: skipped the recorded {kind} of Bedrock");
        return None;
    };
    let reader = BufReader::new(GzDecoder::new(File::open(folder.join("bedrock.jsonl.gz")).unwrap()));
    let exchanges = reader.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    Some(exchanges.filter(|exchange| exchange["api"] == api).collect())
}

/// Runs `check` over the lines of a kind and prints what came out, counted.
fn over(kind: &str, wanted: impl Fn(&Value) -> bool, check: impl Fn(&Value) -> Result<(), String>) {
    let Some(exchanges) = recorded("converse", kind) else { return };
    assert_eq!(exchanges.len(), CONVERSE);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    for exchange in exchanges.iter().filter(|exchange| wanted(exchange)) {
        match check(exchange) {
            Ok(()) => *counts.entry("the same".to_owned()).or_default() += 1,
            Err(found) => match EXCEPTIONS.iter().find(|(what, _)| found == *what) {
                Some((_, why)) => *counts.entry(format!("{found}: {why}")).or_default() += 1,
                None => failures.push(format!("{}: {found}", exchange["id"])),
            },
        }
    }
    for (key, count) in &counts {
        println!("{kind}: {count:4} {key}");
    }
    assert!(failures.is_empty(), "{kind}: {}: {failures:#?}", failures.len());
    assert!(counts["the same"] > 0);
}

fn is_error(exchange: &Value) -> bool {
    exchange["status"].as_u64().unwrap() >= 400
}

fn is_stream(exchange: &Value) -> bool {
    exchange["streaming"].as_bool().unwrap() && !is_error(exchange)
}

fn same(said: &[u8], expected: &Value) -> Result<(), String> {
    let said: Value = serde_json::from_slice(said).unwrap();
    difference(&said, expected, "").map_or(Ok(()), Err)
}

fn body(exchange: &Value) -> &str {
    exchange["response_body"].as_str().unwrap()
}

/// The bytes of a stream as they came.
fn stream(exchange: &Value) -> Vec<u8> {
    match exchange["body_encoding"].as_str() {
        Some("base64") => STANDARD.decode(body(exchange)).unwrap(),
        _ => wire::bytes(BEDROCK, body(exchange)),
    }
}

#[test]
fn recorded_requests_are_said_again_as_they_were_said() {
    over(
        "requests",
        |exchange| exchange["request"].is_object(),
        |exchange| {
            let request = exchange["request"].to_string();
            let request = BEDROCK.parse_request(request.as_bytes()).map_err(|error| error.to_string())?;
            let rendered = BEDROCK.render_request(&request).unwrap();
            assert!(rendered.dropped.is_empty(), "{:?}", rendered.dropped);
            same(&rendered.body, &exchange["request"])
        },
    );
}

#[test]
fn recorded_replies_are_said_again_as_they_were_said() {
    over(
        "replies",
        |exchange| !is_error(exchange) && !is_stream(exchange),
        |exchange| {
            let reply = BEDROCK.parse_reply(body(exchange).as_bytes()).map_err(|error| error.to_string())?;
            let rendered = BEDROCK.render_reply(&reply, &Envelope::default()).unwrap();
            same(&rendered, &serde_json::from_str(body(exchange)).unwrap())
        },
    );
}

#[test]
fn recorded_errors_are_said_again_as_they_were_said() {
    over("errors", is_error, |exchange| {
        let rendered = BEDROCK.render_error(&BEDROCK.parse_error(body(exchange).as_bytes()));
        same(&rendered, &serde_json::from_str(body(exchange)).unwrap())
    });
}

/// Name and document of each event, without the padding that hides its length.
fn documents(events: Vec<(String, String)>) -> Vec<(String, Value)> {
    let document = |(name, data): (String, String)| {
        let mut data: Value = serde_json::from_str(&data).unwrap();
        data.as_object_mut().unwrap().remove("p");
        (name, data)
    };
    events.into_iter().map(document).collect()
}

#[test]
fn recorded_streams_are_said_again_event_by_event() {
    over("streams", is_stream, |exchange| {
        let stream = stream(exchange);
        let mut reader = BEDROCK.reader().unwrap();
        let mut writer = BEDROCK.writer(&Envelope::default()).unwrap();
        let mut out = Vec::new();
        let mut done = 0;
        for (name, data) in wire::events(BEDROCK, &stream) {
            for event in reader.parse_event(&name, data.as_bytes()).unwrap() {
                done += usize::from(event == Event::Done);
                writer.render_event(&event, &mut out);
            }
        }
        assert_eq!(done, 1, "ends of {}", exchange["id"]);
        let said = documents(wire::events(BEDROCK, &out));
        let expected = documents(wire::events(BEDROCK, &stream));
        for ((named, said), (name, expected)) in said.iter().zip(&expected) {
            if named != name {
                return Err(format!("{named} was added"));
            }
            if let Some(found) = difference(said, expected, "") {
                return Err(format!("{name}{found}"));
            }
        }
        assert_eq!(said.len(), expected.len(), "{}", exchange["id"]);
        Ok(())
    });
}

#[test]
fn a_recorded_stream_tells_the_same_events_in_any_pieces() {
    let Some(exchanges) = recorded("converse", "streams") else { return };
    let mut count = 0;
    for exchange in exchanges.iter().filter(|exchange| is_stream(exchange)) {
        let stream = stream(exchange);
        let whole = wire::events(BEDROCK, &stream);
        for size in [1, 7, 11, 12, 13, 64, 1000] {
            let mut frames = Frames::of(BEDROCK, Limits::default());
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                let read = frames.feed(piece, |name, data| {
                    found.push((name.to_owned(), String::from_utf8(data.to_vec()).unwrap()));
                });
                assert!(read, "{}: {}", exchange["id"], frames.fault());
            }
            assert_eq!(found, whole, "{} in pieces of {size}", exchange["id"]);
        }
        count += 1;
    }
    assert!(count > 20, "only {count} streams");
}

#[test]
fn chunks_of_an_invoked_model_are_its_own_events() {
    let Some(exchanges) = recorded("bedrock_invoke", "streams") else { return };
    assert_eq!(exchanges.len(), INVOKE);
    let mut count = 0;
    for exchange in exchanges.iter().filter(|exchange| is_stream(exchange)) {
        // The others speak in dialects that have no module here, or not Anthropic's.
        if exchange["request"]["anthropic_version"].is_null() {
            continue;
        }
        let content_type = exchange["response_headers"]["content-type"].as_str().unwrap();
        let frames = Frames::of_reply(Dialect::AnthropicMessages, content_type.as_bytes(), Limits::default());
        let events = wire::events_of(frames, &stream(exchange));
        let mut reader = Dialect::AnthropicMessages.reader().unwrap();
        let mut writer = Dialect::AnthropicMessages.writer(&Envelope::default()).unwrap();
        let mut out = Vec::new();
        for (name, data) in &events {
            for event in reader.parse_event(name, data.as_bytes()).unwrap() {
                writer.render_event(&event, &mut out);
            }
        }
        let said = wire::events(Dialect::AnthropicMessages, &out);
        assert_eq!(said.len(), events.len(), "{}", exchange["id"]);
        for ((_, said), (_, expected)) in said.iter().zip(&events) {
            let said: Value = serde_json::from_str(said).unwrap();
            let mut expected: Value = serde_json::from_str(expected).unwrap();
            // Bedrock's own count of what the events before it count as well.
            expected.as_object_mut().unwrap().remove("amazon-bedrock-invocationMetrics");
            if said["type"] == "message_delta" {
                // Only the last usage of a stream counts, and it is told whole.
                assert_eq!(said["usage"]["output_tokens"], expected["usage"]["output_tokens"]);
                assert_eq!(said["delta"]["stop_reason"], expected["delta"]["stop_reason"]);
            } else {
                assert_same(&said, &expected, &exchange["id"]);
            }
        }
        count += 1;
    }
    println!("{count} streams of an invoked model");
    assert!(count > 5, "only {count} streams");
}
