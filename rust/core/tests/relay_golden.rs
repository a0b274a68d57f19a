//! Golden streams of the chat dialect through the relay, each whole, byte by byte and cut at every byte: the same
//! bytes must come out and the same facts be known.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::{fs, path::PathBuf};

use bytes::Bytes;
use fastroute_core::relay::{Relay, RelaySpec, Slices};
use serde::Deserialize;

/// A case: `name.sse` in, the same or `name.out.sse` out. Facts that a case does not name are not its subject.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    about: String,
    /// `ok`, or the code of the failure.
    result: String,
    #[serde(default)]
    hide_usage: bool,
    out: Option<String>,
    finish: Option<String>,
    model: Option<String>,
    /// Prompt, completion, total.
    usage: Option<[u64; 3]>,
    content_events: Option<u64>,
    content_bytes: Option<u64>,
    broken_events: Option<u64>,
    terminated: Option<bool>,
    upstream_error: Option<String>,
}

/// What a caller of the relay gets to know.
#[derive(Debug, PartialEq)]
struct Seen {
    result: String,
    out: String,
    finish: Option<String>,
    model: Option<String>,
    usage: Option<[u64; 3]>,
    events: u64,
    content_events: u64,
    content_bytes: u64,
    broken_events: u64,
    terminated: bool,
    content_started: bool,
    delivered_bytes: u64,
    upstream_error: Option<String>,
    error_body: Option<Bytes>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/openai_chat")
}

fn relayed<'c>(frames: impl Iterator<Item = &'c [u8]>, hide_usage: bool) -> Seen {
    let mut relay = Relay::new(RelaySpec { hide_usage, ..RelaySpec::default() });
    let mut out = Slices::new();
    let mut result = Ok(());
    for frame in frames {
        let sent = out.len();
        result = relay.feed(Bytes::copy_from_slice(frame), &mut out);
        assert!(relay.content_started() || out.is_empty(), "sent before content");
        assert!(result.is_ok() || relay.content_started() || out.len() == sent);
        if result.is_err() {
            break;
        }
    }
    if result.is_ok() {
        result = relay.end(&mut out);
    }
    let out = out.concat();
    Seen {
        result: result.map_or_else(|failure| failure.code.to_owned(), |()| "ok".to_owned()),
        finish: relay.finish_reason().map(str::to_owned),
        model: relay.model().map(str::to_owned),
        usage: relay.usage().map(|usage| [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]),
        events: relay.events(),
        content_events: relay.content_events(),
        content_bytes: relay.content_bytes(),
        broken_events: relay.broken_events(),
        terminated: relay.terminated(),
        content_started: relay.content_started(),
        delivered_bytes: relay.delivered_bytes(),
        upstream_error: relay.upstream_error().map(|failure| failure.code.to_owned()),
        error_body: relay.error_body().cloned(),
        out: String::from_utf8(out).unwrap(),
    }
}

#[test]
fn golden_streams_come_out_as_they_must_however_they_are_cut() {
    let lines = fs::read_to_string(folder().join("cases.jsonl")).unwrap();
    let mut cuts = 0;
    let mut cases = 0;
    for line in lines.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let stream = fs::read(folder().join(format!("{}.sse", case.name))).unwrap();
        let expected_out = match case.out.as_deref() {
            None => stream.clone(),
            Some("nothing") => Vec::new(),
            Some(_) => fs::read(folder().join(format!("{}.out.sse", case.name))).unwrap(),
        };
        let what = format!("{}: {}", case.name, case.about);
        let seen = relayed(std::iter::once(&stream[..]), case.hide_usage);
        assert_eq!(seen.result, case.result, "{what}");
        assert_eq!(seen.out.as_bytes(), expected_out, "{what}\n{}", seen.out);
        assert_eq!(seen.finish, case.finish, "{what}");
        assert_eq!(seen.usage, case.usage, "{what}");
        assert_eq!(seen.upstream_error, case.upstream_error, "{what}");
        assert_eq!(seen.broken_events, case.broken_events.unwrap_or(seen.broken_events), "{what}");
        assert_eq!(seen.content_events, case.content_events.unwrap_or(seen.content_events), "{what}");
        assert_eq!(seen.content_bytes, case.content_bytes.unwrap_or(seen.content_bytes), "{what}");
        assert_eq!(seen.terminated, case.terminated.unwrap_or(seen.terminated), "{what}");
        assert!(case.model.is_none() || seen.model == case.model, "{what}");
        assert_eq!(seen.delivered_bytes, seen.out.len() as u64, "{what}");
        for cut in 0..=stream.len() {
            let (head, tail) = stream.split_at(cut);
            let again = relayed([head, tail].into_iter(), case.hide_usage);
            assert_eq!(again, seen, "{what}, cut at {cut}");
            cuts += 1;
        }
        for size in [1, 2, 3, 7, 64] {
            let again = relayed(stream.chunks(size), case.hide_usage);
            assert_eq!(again, seen, "{what}, in frames of {size}");
        }
        cases += 1;
    }
    let files = fs::read_dir(folder()).unwrap().count();
    println!("{cases} cases, {cuts} cuts, {files} files");
    assert!(cases >= 60 && files > cases);
}
