//! The parser against the web platform's own cases for `EventSource`, each whole and cut at every byte.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::{env, fs, path::Path};

use fastroute_core::sse::{Limits, Parser, is_event_stream};
use serde::Deserialize;

/// Of each case, beside the cuts at every byte.
const RANDOM_CUTS: usize = 10_000;

#[derive(Deserialize)]
struct Case {
    name: String,
    mime: String,
    body_hex: String,
    events: Vec<Expected>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Expected {
    event: String,
    data: String,
}

fn strict_events(chunks: &[&[u8]]) -> Vec<Expected> {
    let mut parser = Parser::new(Limits::default());
    let mut events = Vec::new();
    for chunk in chunks {
        parser
            .feed(chunk, |event| {
                let name = String::from_utf8(event.name.to_vec()).unwrap();
                events.push(Expected {
                    event: if name.is_empty() { "message".into() } else { name },
                    data: String::from_utf8(event.data.to_vec()).unwrap(),
                });
            })
            .unwrap();
    }
    events
}

#[test]
fn the_web_platforms_cases_give_their_events_however_they_are_cut() {
    let Some(folder) = env::var_os("FASTROUTE_CORPORA").filter(|folder| !folder.is_empty()) else {
        println!("skipped 17 cases: FASTROUTE_CORPORA is not set");
        return;
    };
    let text = fs::read(Path::new(&folder).join("sse/wpt.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_slice(&text).unwrap();
    let mut cuts = 0;
    for case in &cases {
        let hex = |at: usize| u8::from_str_radix(&case.body_hex[at..at + 2], 16).unwrap();
        let body: Vec<u8> = (0..case.body_hex.len()).step_by(2).map(hex).collect();
        if !is_event_stream(case.mime.as_bytes()) {
            assert!(case.events.is_empty(), "{}", case.name);
            continue;
        }
        assert_eq!(strict_events(&[&body]), case.events, "{}", case.name);
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(strict_events(&bytes), case.events, "{} byte by byte", case.name);
        for cut in 0..=body.len() {
            let (head, tail) = body.split_at(cut);
            assert_eq!(strict_events(&[head, tail]), case.events, "{} cut at {cut}", case.name);
            cuts += 1;
        }
        let mut dice = 0x5EED_u64;
        for round in 0..RANDOM_CUTS {
            let mut rest = &body[..];
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let size = 1 + usize::try_from(dice >> 33).unwrap() % rest.len().min(40);
                let (piece, after) = rest.split_at(size);
                pieces.push(piece);
                rest = after;
            }
            assert_eq!(strict_events(&pieces), case.events, "{} in random pieces, round {round}", case.name);
        }
    }
    println!("{} cases, {cuts} single cuts", cases.len());
}
