//! Anthropic Messages against exchanges recorded from Anthropic, Azure and Vertex: what was said is said again.
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

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::message::{Envelope, Event};
use fastroute_core::sse;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

#[path = "dialects/same.rs"]
mod same;
use same::{assert_same, difference};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Streams that do not come out as they went in, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("f846f2e9d04e398b7620", "a call that has its input in its start is told with a delta"),
    ("8a5297d1e670e30aa0f5", "a second reply begins before the first has ended"),
];

/// What was read, by kind and outcome.
type Counts = BTreeMap<&'static str, u64>;

fn exchanges(skipped: &str) -> Vec<Value> {
    let Some(folder) = std::env::var_os("FASTROUTE_RECORDINGS").map(PathBuf::from) else {
        println!("FASTROUTE_RECORDINGS is not set: skipped {skipped}");
        return Vec::new();
    };
    let mut found = Vec::new();
    for provider in ["anthropic", "azure", "vertex"] {
        let file = File::open(folder.join(format!("{provider}.jsonl.gz"))).unwrap();
        for line in BufReader::new(GzDecoder::new(file)).lines() {
            let exchange: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if matches!(exchange["api"].as_str(), Some("messages" | "vertex_raw_predict")) {
                found.push(exchange);
            }
        }
    }
    assert!(found.len() > 300, "only {} exchanges", found.len());
    found
}

fn is_error(exchange: &Value) -> bool {
    exchange["status"].as_u64().unwrap() >= 400
}

fn is_stream(exchange: &Value) -> bool {
    exchange["streaming"].as_bool().unwrap()
}

fn print(kind: &str, counts: &Counts) {
    for (outcome, count) in counts {
        println!("{count:5} {kind} {outcome}");
    }
}

fn none_differ(differing: &[String]) {
    assert!(differing.is_empty(), "{}: {differing:#?}", differing.len());
}

#[test]
fn recorded_requests_are_said_again_as_they_were_said() {
    let (mut counts, mut differing) = (Counts::new(), Vec::new());
    for exchange in exchanges("the recorded requests") {
        let request = &exchange["request"];
        let outcome = if !request.is_object() {
            "were not recorded"
        } else if request["model"].is_null() {
            // Vertex has the model in the address.
            "without a model"
        } else {
            match DIALECT.parse_request(request.to_string().as_bytes()) {
                Ok(parsed) => {
                    let rendered = DIALECT.render_request(&parsed).unwrap();
                    let said = serde_json::from_slice(&rendered.body).unwrap();
                    if let Some(found) = difference(&said, request, "") {
                        differing.push(format!("{} {found}", exchange["id"]));
                    }
                    assert!(rendered.dropped.is_empty(), "{}: {:?}", exchange["id"], rendered.dropped);
                    "the same"
                }
                Err(error) => {
                    assert!(is_error(&exchange), "{}: {error}", exchange["id"]);
                    "refused, as the provider did"
                }
            }
        };
        *counts.entry(outcome).or_default() += 1;
    }
    print("requests", &counts);
    none_differ(&differing);
}

/// A reply as we would say it: with what the published schema requires.
fn completed(mut reply: Value) -> Value {
    reply.as_object_mut().unwrap().entry("stop_sequence").or_insert(Value::Null);
    reply
}

#[test]
fn recorded_replies_are_said_again_as_they_were_said() {
    let (mut counts, mut differing) = (Counts::new(), Vec::new());
    for exchange in exchanges("the recorded replies") {
        if is_error(&exchange) || is_stream(&exchange) {
            continue;
        }
        let body = exchange["response_body"].as_str().unwrap();
        let original: Value = serde_json::from_str(body).unwrap();
        let outcome = if let Ok(reply) = DIALECT.parse_reply(body.as_bytes()) {
            let rendered = DIALECT.render_reply(&reply, &Envelope::default()).unwrap();
            let said = serde_json::from_slice(&rendered).unwrap();
            let whole = original.get("stop_sequence").is_some();
            if let Some(found) = difference(&said, &completed(original), "") {
                differing.push(format!("{} {found}", exchange["id"]));
            }
            if whole { "the same" } else { "the same, completed by a stop_sequence of null" }
        } else {
            assert!(original.get("content").is_none(), "{}", exchange["id"]);
            "that are a count of tokens and no message"
        };
        *counts.entry(outcome).or_default() += 1;
    }
    print("replies", &counts);
    none_differ(&differing);
}

#[test]
fn recorded_errors_are_said_again_as_they_were_said() {
    let mut counts = Counts::new();
    for exchange in exchanges("the recorded errors") {
        if !is_error(&exchange) {
            continue;
        }
        let body = exchange["response_body"].as_str().unwrap();
        let said = serde_json::from_slice(&DIALECT.render_error(&DIALECT.parse_error(body.as_bytes()))).unwrap();
        assert_same(&said, &serde_json::from_str(body).unwrap(), &exchange["id"]);
        *counts.entry("the same").or_default() += 1;
    }
    print("errors", &counts);
}

fn frames(body: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut parser = sse::Parser::new(sse::Limits::default());
    let mut take = |event: sse::Event<'_>| {
        let name = String::from_utf8(event.name.to_vec()).unwrap();
        found.push((name, serde_json::from_slice(event.data).unwrap()));
    };
    parser.feed(body.as_bytes(), &mut take).unwrap();
    parser.end(&mut take).unwrap();
    found
}

/// The first reply of a stream as we would say it. Fixtures of tool loops hold the streams of several replies, one behind
/// the other; for a client the first stop is the end.
fn first_reply(mut frames: Vec<(String, Value)>) -> Vec<(String, Value)> {
    if let Some(stop) = frames.iter().position(|(name, _)| name == "message_stop") {
        frames.truncate(stop + 1);
    }
    let started = frames[0].1["message"]["usage"].clone();
    for (_, event) in &mut frames {
        match event["type"].as_str() {
            Some("message_delta") => {
                let usage = event["usage"].as_object_mut().unwrap();
                for name in ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"] {
                    if started[name].is_u64() {
                        usage.entry(name).or_insert(started[name].clone());
                    }
                }
                let delta = event["delta"].as_object_mut().unwrap();
                delta.entry("stop_sequence").or_insert(Value::Null);
            }
            Some("content_block_start") if event["content_block"]["type"] == "thinking" => {
                let block = event["content_block"].as_object_mut().unwrap();
                block.entry("signature").or_insert(json!(""));
            }
            _ => {}
        }
    }
    frames
}

#[test]
fn recorded_streams_come_out_as_they_went_in() {
    let (mut counts, mut differing) = (Counts::new(), Vec::new());
    for exchange in exchanges("the recorded streams") {
        if is_error(&exchange) || !is_stream(&exchange) {
            continue;
        }
        let read = frames(exchange["response_body"].as_str().unwrap());
        let (mut reader, mut writer) = (DIALECT.reader().unwrap(), DIALECT.writer(&Envelope::default()).unwrap());
        let mut out = Vec::new();
        let mut ends = 0;
        for (name, data) in &read {
            let data = data.to_string();
            for event in reader.parse_event(name, data.as_bytes()).unwrap() {
                ends += u64::from(event == Event::Done);
                writer.render_event(&event, &mut out);
            }
        }
        assert_eq!(ends, 1, "{}", exchange["id"]);
        let said = frames(std::str::from_utf8(&out).unwrap());
        let replies = read.iter().filter(|(name, _)| name == "message_start").count();
        let expected = first_reply(read.clone());
        let completed = !read.starts_with(&expected);
        let found = said.iter().zip(&expected).find_map(|((named, said), (name, expected))| {
            (named != name).then(|| format!("{named} is not {name}")).or_else(|| difference(said, expected, name))
        });
        let found = found.or_else(|| (said.len() != expected.len()).then(|| "another number of events".to_owned()));
        let known = EXCEPTIONS.iter().find(|(id, _)| exchange["id"] == *id).map(|(_, why)| *why);
        match (&found, known) {
            (Some(found), None) => differing.push(format!("{} {found}", exchange["id"])),
            (None, Some(_)) => differing.push(format!("{} is no exception any more", exchange["id"])),
            _ => {}
        }
        let outcome = match (replies, completed) {
            _ if known.is_some() => known.unwrap(),
            (2.., _) => "the same up to the end of the first of several replies",
            (_, true) => "the same, completed by counts and null or empty members",
            (_, false) => "the same",
        };
        *counts.entry(outcome).or_default() += 1;
    }
    print("streams", &counts);
    none_differ(&differing);
}
