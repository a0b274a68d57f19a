//! Cohere's and Ollama's own formats against recorded exchanges: what was said is said again as it was.
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
use flate2::read::GzDecoder;
use serde_json::Value;

#[path = "dialects/same.rs"]
mod same;
use same::{assert_same, difference};

/// File, wire dialect, ours, and how many lines of it were recorded: fewer would be a silent skip.
const RECORDED: &[(&str, &str, Dialect, usize)] =
    &[("cohere", "cohere_v2_chat", Dialect::CohereV2, 42), ("ollama", "ollama_chat", Dialect::Ollama, 28)];

/// What cannot be the same, by place, and why.
const EXCEPTIONS: &[(Dialect, &str, &str)] = &[(
    Dialect::CohereV2,
    "[DONE] was added",
    "the framing of three fixtures was rebuilt without the end that the live server sends",
)];

/// Runs `check` over the recorded lines of a kind and prints what came out, counted.
fn over(kind: &str, wanted: impl Fn(&Value) -> bool, check: impl Fn(Dialect, &Value) -> Result<(), String>) {
    let Some(folder) = std::env::var_os("FASTROUTE_RECORDINGS").map(PathBuf::from) else {
        println!("FASTROUTE_RECORDINGS is not set: skipped the recorded {kind}");
        return;
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    for (file, api, dialect, lines) in RECORDED {
        let reader = BufReader::new(GzDecoder::new(File::open(folder.join(format!("{file}.jsonl.gz"))).unwrap()));
        let exchanges = reader.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        let exchanges: Vec<_> = exchanges.filter(|exchange| exchange["api"] == *api).collect();
        assert_eq!(exchanges.len(), *lines, "lines of {api}");
        for exchange in exchanges {
            let name = dialect.name();
            if !wanted(&exchange) {
                *counts.entry(format!("{name}: not of this kind")).or_default() += 1;
                continue;
            }
            match check(*dialect, &exchange) {
                Ok(()) => *counts.entry(format!("{name}: the same")).or_default() += 1,
                Err(found) => match EXCEPTIONS.iter().find(|(of, what, _)| of == dialect && found == *what) {
                    Some((_, _, why)) => *counts.entry(format!("{name}: {found}: {why}")).or_default() += 1,
                    None => failures.push(format!("{name} {}: {found}", exchange["id"])),
                },
            }
        }
    }
    for (key, count) in counts {
        println!("{kind}: {count:4} {key}");
    }
    assert!(failures.is_empty(), "{kind}: {}: {failures:#?}", failures.len());
}

fn is_error(exchange: &Value) -> bool {
    exchange["status"].as_u64().unwrap() >= 400
}

fn is_stream(exchange: &Value) -> bool {
    exchange["streaming"].as_bool().unwrap()
}

fn same(said: &[u8], expected: &Value) -> Result<(), String> {
    let said: Value = serde_json::from_slice(said).unwrap();
    difference(&said, expected, "").map_or(Ok(()), Err)
}

fn body(exchange: &Value) -> &str {
    exchange["response_body"].as_str().unwrap()
}

#[test]
fn recorded_requests_are_said_again_as_they_were_said() {
    over(
        "requests",
        |exchange| exchange["request"].is_object(),
        |dialect, exchange| {
            let request = exchange["request"].to_string();
            let request = dialect.parse_request(request.as_bytes()).map_err(|error| error.to_string())?;
            let rendered = dialect.render_request(&request).unwrap();
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
        |dialect, exchange| {
            let reply = dialect.parse_reply(body(exchange).as_bytes()).map_err(|error| error.to_string())?;
            let rendered = dialect.render_reply(&reply, &Envelope::default()).unwrap();
            same(&rendered, &serde_json::from_str(body(exchange)).unwrap())
        },
    );
}

#[test]
fn recorded_errors_are_said_again_as_they_were_said() {
    over("errors", is_error, |dialect, exchange| {
        let rendered = dialect.render_error(&dialect.parse_error(body(exchange).as_bytes()));
        same(&rendered, &serde_json::from_str(body(exchange)).unwrap())
    });
}

/// Name and data of each event of a stream; a line without a field is an event of a dialect that has no frames.
fn events(body: &str) -> Vec<(&str, &str)> {
    let mut name = "";
    let mut found = Vec::new();
    for line in body.lines().filter(|line| !line.is_empty()) {
        if let Some(named) = line.strip_prefix("event: ") {
            name = named;
        } else {
            found.push((std::mem::take(&mut name), line.strip_prefix("data: ").unwrap_or(line)));
        }
    }
    found
}

#[test]
fn recorded_streams_are_said_again_event_by_event() {
    over(
        "streams",
        |exchange| !is_error(exchange) && is_stream(exchange),
        |dialect, exchange| {
            let mut reader = dialect.reader().unwrap();
            let mut writer = dialect.writer(&Envelope::default()).unwrap();
            let mut out = Vec::new();
            let mut done = 0;
            for (name, data) in events(body(exchange)) {
                for event in reader.parse_event(name, data.as_bytes()).unwrap() {
                    done += usize::from(event == Event::Done);
                    writer.render_event(&event, &mut out);
                }
            }
            assert_eq!(done, 1, "ends of {}", exchange["id"]);
            let out = String::from_utf8(out).unwrap();
            let (said, expected) = (events(&out), events(body(exchange)));
            for ((named, said), (name, expected)) in said.iter().zip(&expected) {
                assert_eq!(named, name, "{}", exchange["id"]);
                if *expected == "[DONE]" {
                    assert_eq!(said, expected);
                } else {
                    let (said, expected) =
                        (serde_json::from_str(said).unwrap(), serde_json::from_str(expected).unwrap());
                    assert_same(&said, &expected, &exchange["id"]);
                }
            }
            match said.len().cmp(&expected.len()) {
                std::cmp::Ordering::Equal => Ok(()),
                std::cmp::Ordering::Greater => Err(format!("{} was added", said[expected.len()].1)),
                std::cmp::Ordering::Less => Err(format!("{} was lost", expected[said.len()].1)),
            }
        },
    );
}
