//! Text of several scripts through everything that carries a stream, cut at every byte: it comes out byte for byte, and no
//! half of a character is ever replaced.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::fmt::Write as _;

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::fold::Fold;
use fastroute_core::dialects::message::Envelope;
use fastroute_core::json::{Limits as JsonLimits, Scanner, Shape};
use fastroute_core::relay::{Relay, RelaySpec, Slices};
use fastroute_core::sse::{Limits, Parser};
use fastroute_core::translate::Frames;
use serde_json::json;

#[path = "dialects/wire.rs"]
mod wire;

/// Two, three and four bytes, right to left, joined and combining characters, and emoji that are sequences.
const TEXTS: [&str; 8] = [
    "Größe – naïve œuvre, ½ ﬁn",
    "Над морем светит маяк",
    "ضوء المنارة فوق البحر",
    "燈台の光が海を照らす。日本語",
    "समुद्र पर प्रकाश, क्षत्रिय",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏿 1️⃣ 🇯🇵🇺🇳",
    "e\u{301} a\u{30a} 각 \u{200b}\u{feff}\u{2028}",
    "𝔉𝔯𝔞𝔨𝔱𝔲𝔯 𐎀𐎁 \u{10ffff}",
];
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// As a provider tells a text: a piece for every two characters, as they are or escaped, and an end.
fn stream(text: &str, escaped: bool) -> Vec<u8> {
    let characters: Vec<char> = text.chars().collect();
    let mut stream = Vec::new();
    let mut say = |delta: serde_json::Value, finish: Option<&str>| {
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "größe-1",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        let chunk = if escaped { escape(&chunk.to_string()) } else { chunk.to_string() };
        stream.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
    };
    say(json!({"role": "assistant", "content": ""}), None);
    for piece in characters.chunks(2) {
        say(json!({"content": piece.iter().collect::<String>()}), None);
    }
    say(json!({}), Some("stop"));
    stream.extend_from_slice(b"data: [DONE]\n\n");
    stream
}

fn escape(json: &str) -> String {
    let mut escaped = String::new();
    for unit in json.encode_utf16() {
        match u8::try_from(unit).ok().filter(u8::is_ascii) {
            Some(byte) => escaped.push(char::from(byte)),
            None => write!(escaped, "\\u{unit:04x}").unwrap(),
        }
    }
    escaped
}

fn streams() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    TEXTS.into_iter().flat_map(|text| [false, true].map(|escaped| (text, stream(text, escaped))))
}

/// Every way to cut once, and into single bytes.
fn cuts(whole: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let halves = (0..=whole.len()).map(|at| {
        let (head, tail) = whole.split_at(at);
        vec![head, tail]
    });
    halves.chain(std::iter::once(whole.chunks(1).collect()))
}

fn relayed(spec: &RelaySpec, pieces: &[&[u8]]) -> Vec<u8> {
    let mut relay = Relay::new(spec.clone());
    let mut out = Slices::new();
    for piece in pieces {
        relay.feed(Bytes::copy_from_slice(piece), &mut out).unwrap();
    }
    relay.end(&mut out).unwrap();
    out.concat()
}

/// The same stream as another dialect tells it, as it is or escaped.
fn told_in(dialect: Dialect, stream: &[u8], escaped: bool) -> Vec<u8> {
    if dialect == Dialect::OpenAiChat {
        return stream.to_vec();
    }
    let mut parser = Parser::new(Limits::default());
    let mut reader = Dialect::OpenAiChat.reader().unwrap();
    let mut writer = dialect.writer(&Envelope::default()).unwrap();
    let mut out = Vec::new();
    let told = parser.feed(stream, |event| {
        for event in reader.parse_event("", event.data).unwrap() {
            writer.render_event(&event, &mut out);
        }
    });
    told.unwrap();
    if dialect == Dialect::BedrockConverse {
        let lines = wire::events(dialect, &out).into_iter().map(|(name, data)| format!("{{\"{name}\":{data}}}\n"));
        let lines = lines.collect::<String>();
        return wire::bytes(dialect, &if escaped { escape(&lines) } else { lines });
    }
    if escaped { escape(std::str::from_utf8(&out).unwrap()).into_bytes() } else { out }
}

/// Read as one dialect's events and written as a client's, with the text that they tell.
fn translated(dialect: Dialect, pieces: &[&[u8]]) -> (Vec<u8>, String) {
    let mut frames = Frames::of(dialect, Limits::default());
    let mut reader = dialect.reader().unwrap();
    let mut writer = dialect.writer(&Envelope::default()).unwrap();
    let mut fold = Fold::new(1 << 20);
    let mut out = Vec::new();
    for piece in pieces {
        let within = frames.feed(piece, |name, data| {
            for event in reader.parse_event(name, data).unwrap() {
                fold.add(&event).unwrap();
                writer.render_event(&event, &mut out);
            }
        });
        assert!(within);
    }
    for event in reader.end() {
        fold.add(&event).unwrap();
        writer.render_event(&event, &mut out);
    }
    let reply = fold.finish().unwrap();
    (out, reply.choices.iter().map(|choice| choice.turn.texts().collect::<String>()).collect())
}

#[test]
fn the_relay_passes_every_text_on_byte_for_byte() {
    let mut count = 0;
    for (text, stream) in streams() {
        for hide_usage in [false, true] {
            let spec = RelaySpec { hide_usage, ..RelaySpec::default() };
            for pieces in cuts(&stream) {
                assert_eq!(relayed(&spec, &pieces), stream, "{text}");
                count += 1;
            }
        }
    }
    println!("{count} streams");
}

#[test]
fn a_translation_tells_every_text_as_it_was_told() {
    let mut count = 0;
    for dialect in Dialect::ALL.iter().copied().filter(|dialect| dialect.reader().is_some()) {
        for ((text, stream), escaped) in streams().zip([false, true].into_iter().cycle()) {
            let stream = told_in(dialect, &stream, escaped);
            let whole = translated(dialect, &[&stream]);
            assert_eq!(whole.1, text);
            assert!(!whole.0.windows(REPLACEMENT.len()).any(|bytes| bytes == REPLACEMENT), "{text}");
            for pieces in cuts(&stream) {
                assert_eq!(translated(dialect, &pieces), whole, "{text}");
                count += 1;
            }
        }
    }
    println!("{count} streams");
}

#[test]
fn what_a_client_writes_is_read_and_said_again_as_it_is() {
    for text in TEXTS {
        let body = json!({"model": "größe-1", "messages": [{"role": "user", "content": text, "name": text}],
            "user": text, "metadata": {text: text}});
        for body in [body.to_string(), escape(&body.to_string())] {
            for pieces in cuts(body.as_bytes()) {
                let mut scanner = Scanner::new(Shape::Chat, &JsonLimits::default());
                for piece in pieces {
                    scanner.feed(piece).unwrap();
                }
                let scan = scanner.finish().unwrap();
                assert_eq!(scan.model.as_deref(), Some("größe-1"), "{text}");
            }
            let dialect = Dialect::OpenAiChat;
            let rendered = dialect.render_request(&dialect.parse_request(body.as_bytes()).unwrap()).unwrap();
            let (said, meant): (serde_json::Value, serde_json::Value) =
                (serde_json::from_slice(&rendered.body).unwrap(), serde_json::from_str(&body).unwrap());
            assert_eq!(said, meant, "{text}");
        }
    }
}
