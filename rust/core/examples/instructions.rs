//! Runs one function of the core some number of times, for an instruction counter around the process.
//!
//! `instructions CASE SIZE REPEATS`: the input is made before the first call, so two runs that differ only in REPEATS
//! differ by exactly the calls. `instructions list` prints the cases with their two sizes.

use std::hint::black_box;
use std::process::ExitCode;

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::message::Envelope;
use fastroute_core::json::{Field, Limits, Scanner, Shape, quote, scan, splice};
use fastroute_core::passes::{Demands, WayBack};
use fastroute_core::relay::{Relay, RelaySpec, Slices, inspect_reply};
use fastroute_core::sse;
use fastroute_core::translate::{self, Address, StreamTranslator};
use fastroute_core::usage::UsageRule;

/// Name, small size, large size: bytes of a body, or events of a stream.
const CASES: [(&str, usize, usize); 10] = [
    ("scan", 220, 32 * 1024),
    ("scan_code", 1024, 32 * 1024),
    ("scan_frames", 64 * 1024, 1 << 20),
    ("splice", 220, 1 << 20),
    ("sse_parse", 20, 200),
    ("relay", 20, 200),
    ("inspect_reply", 700, 16 * 1024),
    ("cross_request", 220, 32 * 1024),
    ("cross_reply", 700, 16 * 1024),
    ("cross_stream", 20, 200),
];
/// What is crossed goes abroad, and comes back.
const THERE: Dialect = Dialect::AnthropicMessages;
const HERE: Dialect = Dialect::OpenAiChat;
/// What a socket usually gives at once.
const FRAME_BYTES: usize = 64 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match given.as_slice() {
        ["list"] => {
            for (name, small, large) in CASES {
                println!("{name} {small} {large}");
            }
            Some(())
        }
        [case, size, repeats] => size.parse().ok().zip(repeats.parse().ok()).and_then(|(size, repeats)| {
            let call = prepare(case, size)?;
            (0..repeats).try_for_each(|_: u32| call())
        }),
        _ => None,
    };
    if done.is_none() {
        eprintln!("usage: instructions list | instructions CASE SIZE REPEATS (or a call failed)");
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}

/// The call to be counted, with its input; `None` for a case there is not, and from a call that failed.
fn prepare(case: &str, size: usize) -> Option<Box<dyn Fn() -> Option<()>>> {
    let limits = Limits::default();
    Some(match case {
        "scan" | "scan_code" => {
            let body = body(size, if case == "scan" { PROSE } else { CODE });
            Box::new(move || scan(black_box(&body), Shape::Chat, &limits).ok().map(|found| drop(black_box(found))))
        }
        "scan_frames" => {
            let frames = frames(&body(size, PROSE));
            Box::new(move || {
                let mut scanner = Scanner::new(Shape::Chat, &limits);
                for frame in black_box(&frames) {
                    scanner.feed(frame).ok()?;
                }
                scanner.finish().ok().map(|found| drop(black_box(found)))
            })
        }
        "splice" => {
            let body = body(size, PROSE);
            let found = scan(&body, Shape::Chat, &limits).ok()?;
            let frames = frames(&body);
            Box::new(move || {
                let edit = found.replace(Field::Model, quote("another-model"))?;
                splice(black_box(&frames), &[edit]).ok().map(|edited| drop(black_box(edited)))
            })
        }
        "sse_parse" => {
            let events = events(size);
            Box::new(move || {
                let mut parser = sse::Parser::new(sse::Limits::default());
                let mut seen = 0;
                for event in black_box(&events) {
                    parser.feed(event, |event| seen += black_box(event).data.len()).ok()?;
                }
                (seen > 0).then_some(())
            })
        }
        "relay" => {
            let events = events(size);
            Box::new(move || {
                let mut relay = Relay::new(RelaySpec::default());
                for event in black_box(&events) {
                    let mut out = Slices::new();
                    relay.feed(event.clone(), &mut out).ok()?;
                    black_box(out);
                }
                relay.finished().then_some(())
            })
        }
        "inspect_reply" => {
            let reply = reply(size);
            Box::new(move || {
                inspect_reply(black_box(&reply), UsageRule::default()).ok().map(|found| drop(black_box(found)))
            })
        }
        _ => return crossing(case, size),
    })
}

/// The same of what is translated.
fn crossing(case: &str, size: usize) -> Option<Box<dyn Fn() -> Option<()>>> {
    let envelope = Envelope { id: "c-1", model: "a-model", created_s: 1_700_000_000, include_usage: true };
    Some(match case {
        "cross_request" => {
            let body = body(size, PROSE);
            let demands = [Demands::of(THERE), Demands::of(HERE)];
            Box::new(move || {
                let [there, here] = &demands;
                let abroad = translate::request(black_box(&body), HERE, there, Address::default()).ok()?;
                translate::request(&abroad.body, THERE, here, Address::default()).ok().map(|back| drop(black_box(back)))
            })
        }
        "cross_reply" => {
            let (reply, back) = (reply(size), WayBack::default());
            Box::new(move || {
                let abroad = translate::reply(black_box(&reply), HERE, THERE, &back, &envelope).ok()?;
                translate::reply(&abroad, THERE, HERE, &back, &envelope).ok().map(|back| drop(black_box(back)))
            })
        }
        "cross_stream" => {
            let events = events(size);
            Box::new(move || {
                let translator = |source, target| {
                    StreamTranslator::new(source, target, WayBack::default(), &envelope, sse::Limits::default())
                };
                let (mut abroad, mut back) = (translator(HERE, THERE)?, translator(THERE, HERE)?);
                let (mut between, mut out) = (Vec::new(), Vec::new());
                for event in black_box(&events) {
                    between.clear();
                    out.clear();
                    abroad.push(event, &mut between);
                    back.push(&between, &mut out);
                    black_box(&out);
                }
                back.ended().then_some(())
            })
        }
        _ => return None,
    })
}

/// An escape and a character beyond ASCII in each sentence.
const PROSE: &str = "The harbour master said \\\"wait\\\" – and they waited until the storm was over.\\n";
/// An escape or a character beyond ASCII every few bytes.
const CODE: &str =
    r#"match größe {\n\tSome(\"日本 \\n\u00e9\") => \"\ud83d\ude00\",\n\t_ => r\"\\d+\", // — «naïve»\n}\n\n"#;

/// The unit over and over.
fn text(bytes: usize, unit: &str) -> String {
    let mut text: String = unit.repeat(bytes / unit.len());
    text.push_str(&"a".repeat(bytes - text.len()));
    text
}

fn body(bytes: usize, unit: &str) -> Bytes {
    let head = r#"{"model":"a-model","temperature":0.7,"max_tokens":256,"messages":[{"role":"user","content":""#;
    let tail = r#""}]}"#;
    let text = text(bytes.saturating_sub(head.len() + tail.len()), unit);
    Bytes::from([head, &text, tail].concat())
}

fn reply(bytes: usize) -> Bytes {
    let head = r#"{"id":"c-1","object":"chat.completion","created":1700000000,"model":"a-model","choices":[{"index":0,"message":{"role":"assistant","content":""#;
    let tail =
        r#""},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":120,"total_tokens":140}}"#;
    let text = text(bytes.saturating_sub(head.len() + tail.len()), PROSE);
    Bytes::from([head, &text, tail].concat())
}

fn frames(body: &Bytes) -> Vec<Bytes> {
    (0..body.len()).step_by(FRAME_BYTES).map(|at| body.slice(at..body.len().min(at + FRAME_BYTES))).collect()
}

/// One stream, each event in a frame of its own as a paced upstream sends them.
fn events(count: usize) -> Vec<Bytes> {
    let head = r#"data: {"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"a-model","choices":[{"index":0,"delta":"#;
    let content = [head, r#"{"content":" word"},"finish_reason":null}]}"#, "\n\n"].concat();
    let last = [head, r#"{},"finish_reason":"stop"}]}"#, "\n\n"].concat();
    let mut events = vec![Bytes::from(content); count];
    events.push(Bytes::from(last));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}
