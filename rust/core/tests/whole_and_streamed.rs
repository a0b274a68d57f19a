//! A client that streams is told what a client is told that does not: every recorded stream, and the reply that it comes to,
//! say the same in every other dialect.
//!
//! `FASTROUTE_RECORDINGS` names a folder of `*.jsonl.gz`; without it the golden streams are crossed alone.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what the functions of a test meet is a failure of the test"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::fold::Fold;
use fastroute_core::dialects::message::{ChatReply, Content, Envelope, Reply};
use fastroute_core::passes::WayBack;
use fastroute_core::sse::Limits;
use fastroute_core::translate::{self, StreamTranslator};
use flate2::read::GzDecoder;
use serde_json::Value;

#[path = "dialects/wire.rs"]
mod wire;

const ENVELOPE: Envelope<'static> = Envelope { id: "r1", model: "m", created_s: 1, include_usage: true };
const APIS: &[(&str, &str)] = &[
    ("chat_completions", "openai_chat"),
    ("responses", "openai_responses"),
    ("messages", "anthropic_messages"),
    ("vertex_raw_predict", "anthropic_messages"),
    ("generate_content", "gemini"),
    ("cohere_v2_chat", "cohere_v2"),
    ("ollama_chat", "ollama"),
    ("converse", "bedrock_converse"),
];

fn streams() -> Vec<(String, Dialect, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/dialects");
    let mut found = Vec::new();
    for dialect in Dialect::ALL.iter().copied().filter(|dialect| dialect.reader().is_some()) {
        for entry in fs::read_dir(root.join(dialect.name()).join("streams")).unwrap() {
            let path = entry.unwrap().path();
            let body = wire::bytes(dialect, &fs::read_to_string(&path).unwrap());
            found.push((path.file_name().unwrap().to_string_lossy().into_owned(), dialect, body));
        }
    }
    let Some(folder) = std::env::var_os("FASTROUTE_RECORDINGS").map(PathBuf::from) else {
        println!("FASTROUTE_RECORDINGS is not set: skipped every recorded stream; the golden ones are crossed");
        return found;
    };
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "gz") {
            continue;
        }
        for line in BufReader::new(GzDecoder::new(File::open(&path).unwrap())).lines() {
            let exchange: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let ours = APIS.iter().find(|(theirs, _)| *theirs == exchange["api"]);
            let Some(dialect) = ours.and_then(|(_, ours)| Dialect::from_name(ours)) else { continue };
            if exchange["streaming"] != true || exchange["status"].as_u64().unwrap() >= 400 {
                continue;
            }
            let body = exchange["response_body"].as_str().unwrap();
            let body = match exchange["body_encoding"].as_str().unwrap() {
                "base64" => STANDARD.decode(body).unwrap(),
                _ => wire::bytes(dialect, body),
            };
            found.push((exchange["id"].as_str().unwrap().to_owned(), dialect, body));
        }
    }
    found
}

fn fold(dialect: Dialect, body: &[u8]) -> Option<ChatReply<'static>> {
    let mut reader = dialect.reader().unwrap();
    let mut fold = Fold::new(1 << 24);
    for (name, data) in wire::events(dialect, body) {
        for event in reader.parse_event(&name, data.as_bytes()).ok()? {
            fold.add(&event).unwrap();
        }
    }
    for event in reader.end() {
        fold.add(&event).unwrap();
    }
    fold.finish().ok()
}

/// What an answer says, kind by kind: in which order kinds come, some dialects say in streams alone.
fn said(reply: &ChatReply<'_>) -> Vec<String> {
    let mut said = Vec::new();
    for choice in &reply.choices {
        let (mut text, mut thoughts, mut calls) = (String::new(), String::new(), Vec::new());
        let (mut links, mut media) = (0, 0);
        for block in &choice.turn.blocks {
            match &block.content {
                Content::Text { text: one, citations } => {
                    links += citations.iter().filter(|one| one.url.is_some()).count();
                    // What cannot be shown is told in words.
                    if one.contains("(here was ") {
                        media += 1;
                    } else {
                        text += one;
                    }
                }
                Content::Refusal { text: one, .. } => text += one,
                Content::Reasoning(one) => {
                    thoughts += &one.text;
                    thoughts += one.signature.as_deref().or(one.redacted.as_deref()).unwrap_or_default();
                }
                Content::ToolCall(call) => {
                    let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
                    let value = serde_json::from_str(arguments).unwrap_or(Value::String(arguments.to_owned()));
                    calls.push(format!("{} {value} {}", call.name, call.signature.as_deref().unwrap_or_default()));
                }
                content => media += usize::from(content.media().is_some()),
            }
        }
        let finish = choice.finish.as_ref().map(|finish| finish.reason);
        said.extend([text, thoughts, calls.join("; "), format!("{links} links, {media} media, {finish:?}")]);
    }
    said
}

#[test]
fn a_stream_says_abroad_what_the_reply_says_that_it_comes_to() {
    let (mut same, mut different) = (0, BTreeMap::<String, Vec<String>>::new());
    for (id, source, body) in streams() {
        let Some(reply) = fold(source, &body) else { continue };
        let Ok(whole) = source.render_reply(&Reply::Chat(reply), &ENVELOPE) else { continue };
        for target in Dialect::ALL.iter().copied().filter(|target| target.reader().is_some() && *target != source) {
            let Ok(whole) = translate::reply(&whole, source, target, &WayBack::default(), &ENVELOPE) else { continue };
            let Ok(Reply::Chat(expected)) = target.parse_reply(&whole) else { continue };
            let mut stream =
                StreamTranslator::new(source, target, WayBack::default(), &ENVELOPE, Limits::default()).unwrap();
            let mut out = Vec::new();
            stream.push(&body, &mut out);
            stream.finish(&mut out);
            let key = format!("{} to {}", source.name(), target.name());
            let Some(told) = fold(target, &out) else {
                different.entry(key).or_default().push(format!("{id}: gave no reply"));
                continue;
            };
            let (told, expected) = (said(&told), said(&expected));
            if told == expected {
                same += 1;
            } else {
                let at = told.iter().zip(&expected).position(|(told, expected)| told != expected);
                let at = at.unwrap_or(told.len().min(expected.len()));
                let shown = |said: &[String]| said.get(at).map(|one| one.chars().take(160).collect::<String>());
                different.entry(key).or_default().push(format!(
                    "{id}: {:?} and whole {:?}",
                    shown(&told),
                    shown(&expected)
                ));
            }
        }
    }
    println!("{same} said the same");
    let count: usize = different.values().map(Vec::len).sum();
    for (key, all) in &different {
        println!("{:5} {key}: {}", all.len(), all[..all.len().min(3)].join("\n        "));
    }
    assert_eq!(count, 0, "see above");
}
