//! Gemini against exchanges recorded from AI Studio and Vertex AI.
//!
//! `FASTROUTE_RECORDINGS` names a folder of `*.jsonl.gz`; without it the tests say what they skipped and pass. Nothing of it
//! is in this repository. Every recorded line is counted, and what does not come out as it went in stands in a list here.
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
use fastroute_core::dialects::fold::{Fold, FoldError};
use fastroute_core::dialects::message::{ChatReply, Content, Envelope, FinishReason, Reply};
use fastroute_core::sse;
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

#[path = "dialects/same.rs"]
mod same;
use same::{assert_same, difference};

const GEMINI: Dialect = Dialect::Gemini;

fn exchanges(skipped: &str) -> Vec<Value> {
    let Some(folder) = std::env::var_os("FASTROUTE_RECORDINGS").map(PathBuf::from) else {
        println!("FASTROUTE_RECORDINGS is not set: skipped {skipped}, 372 lines of Gemini and Vertex");
        return Vec::new();
    };
    let mut found = Vec::new();
    for provider in ["gemini", "vertex"] {
        let file = File::open(folder.join(format!("{provider}.jsonl.gz"))).unwrap();
        for line in BufReader::new(GzDecoder::new(file)).lines() {
            let exchange: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if exchange["api"] == "generate_content" {
                found.push(exchange);
            }
        }
    }
    assert!(found.len() >= 372, "only {} exchanges", found.len());
    found
}

fn is_error(exchange: &Value) -> bool {
    exchange["status"].as_u64().unwrap() >= 400
}

fn is_stream(exchange: &Value) -> bool {
    exchange["streaming"].as_bool().unwrap()
}

fn body(exchange: &Value) -> &str {
    exchange["response_body"].as_str().unwrap()
}

/// Names in the one spelling that is said again; arguments, results and schemas are the caller's own.
fn spelled(value: &Value) -> Value {
    const THEIRS: &[&str] = &["args", "response", "parameters", "responseSchema", "responseJsonSchema"];
    match value {
        Value::Array(items) => items.iter().map(spelled).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let mut camel = String::new();
                for letter in name.chars() {
                    match letter {
                        _ if camel.ends_with('_') => {
                            camel.pop();
                            camel.push(letter.to_ascii_uppercase());
                        }
                        letter => camel.push(letter),
                    }
                }
                let value = if THEIRS.contains(&camel.as_str()) { value.clone() } else { spelled(value) };
                (camel, value)
            })
            .collect(),
        other => other.clone(),
    }
}

#[test]
fn recorded_requests_are_said_again_as_they_were_said() {
    let (mut same, mut none) = (0, 0);
    for exchange in exchanges("the recorded requests") {
        let request = &exchange["request"];
        if !request.is_object() {
            none += 1;
            continue;
        }
        let body = request.to_string();
        let parsed =
            GEMINI.parse_request(body.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", exchange["id"]));
        let rendered = GEMINI.render_request(&parsed).unwrap();
        assert_eq!(rendered.dropped, [""; 0], "{}", exchange["id"]);
        let said: Value = serde_json::from_slice(&rendered.body).unwrap();
        assert_same(&spelled(&said), &spelled(request), &exchange["id"]);
        same += 1;
    }
    println!("requests: {same} the same, {none} lines without one");
}

/// A response as it is said again, with the two things that are said where they were left out: `total` is the sum that
/// was told of a usage without one.
fn completed(mut response: Value, total: &Value, counts: &mut BTreeMap<&str, u32>) -> Value {
    for candidate in response.get_mut("candidates").and_then(Value::as_array_mut).into_iter().flatten() {
        let content = candidate.get_mut("content").and_then(Value::as_object_mut);
        if let Some(content) = content.filter(|content| !content.contains_key("role")) {
            content.insert("role".to_owned(), json!("model"));
            *counts.entry("completed: the role of a candidate").or_default() += 1;
        }
    }
    let usage = response.get_mut("usageMetadata").and_then(Value::as_object_mut);
    let counted = |usage: &&mut Map<String, Value>| usage.contains_key("thoughtsTokenCount");
    if let Some(usage) = usage.filter(counted).filter(|usage| !usage.contains_key("totalTokenCount")) {
        usage.insert("totalTokenCount".to_owned(), total.clone());
        *counts.entry("completed: the total of tokens").or_default() += 1;
    }
    response
}

/// Two lines of curated fixtures at most: anything more is a change of ours.
fn few(counts: &BTreeMap<&str, u32>, what: &str) -> bool {
    counts.get(what).is_none_or(|count| *count <= 2)
}

#[test]
fn recorded_replies_are_said_again_as_they_were_said() {
    let mut counts = BTreeMap::new();
    let mut differing = Vec::new();
    for exchange in exchanges("the recorded replies") {
        if is_error(&exchange) || is_stream(&exchange) {
            continue;
        }
        let original: Value = serde_json::from_str(body(&exchange)).unwrap();
        let reply = GEMINI
            .parse_reply(body(&exchange).as_bytes())
            .unwrap_or_else(|error| panic!("{}: {error}", exchange["id"]));
        let rendered = GEMINI.render_reply(&reply, &Envelope::default()).unwrap();
        let said: Value = serde_json::from_slice(&rendered).unwrap();
        let total = &said["usageMetadata"]["totalTokenCount"];
        match difference(&said, &completed(original, total, &mut counts), "") {
            None => *counts.entry("the same").or_default() += 1,
            Some(found) => differing.push(format!("{} {found}", exchange["id"])),
        }
    }
    println!("replies: {counts:?}");
    assert!(
        ["completed: the role of a candidate", "completed: the total of tokens"].iter().all(|what| few(&counts, what))
    );
    assert!(differing.is_empty(), "{}: {differing:#?}", differing.len());
}

#[test]
fn recorded_errors_are_said_again_as_they_were_said() {
    let mut count = 0;
    for exchange in exchanges("the recorded errors").iter().filter(|exchange| is_error(exchange)) {
        let original: Value = serde_json::from_str(body(exchange)).unwrap();
        let error = GEMINI.parse_error(body(exchange).as_bytes());
        let said = serde_json::from_slice(&GEMINI.render_error(&error)).unwrap();
        assert_same(&said, &original, &exchange["id"]);
        count += 1;
    }
    println!("errors: {count} the same");
}

/// The data of each event, bare JSON among them; a stream that is a list counts as one event of all its chunks.
fn events(body: &str) -> Vec<String> {
    if body.trim_start().starts_with('[') {
        return vec![body.to_owned()];
    }
    let mut parser = sse::Parser::with_bare_json(sse::Limits::default());
    let mut events = Vec::new();
    let mut take = |event: sse::Event<'_>| events.push(String::from_utf8(event.data.to_vec()).unwrap());
    parser.feed(body.as_bytes(), &mut take).unwrap();
    parser.end(&mut take).unwrap();
    events
}

/// Reads a stream, folds it and writes it again.
fn read(body: &str) -> (Result<ChatReply<'static>, FoldError>, String) {
    let mut reader = GEMINI.reader().unwrap();
    let mut writer = GEMINI.writer(&Envelope::default()).unwrap();
    let mut fold = Fold::new(1 << 20);
    let mut out = Vec::new();
    for data in events(body) {
        for event in reader.parse_event("", data.as_bytes()).unwrap() {
            fold.add(&event).unwrap();
            writer.render_event(&event, &mut out);
        }
    }
    for event in reader.end() {
        fold.add(&event).unwrap();
        writer.render_event(&event, &mut out);
    }
    (fold.finish(), String::from_utf8(out).unwrap())
}

fn chunks(body: &str) -> Vec<Value> {
    let parsed = events(body).into_iter().filter_map(|data| serde_json::from_str(&data).ok());
    parsed.flat_map(|chunk| if let Value::Array(chunks) = chunk { chunks } else { vec![chunk] }).collect()
}

#[test]
fn recorded_streams_are_said_again_chunk_by_chunk() {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for exchange in exchanges("the recorded streams") {
        if is_error(&exchange) || !is_stream(&exchange) {
            continue;
        }
        let is_list = body(&exchange).trim_start().starts_with('[');
        let (_, written) = read(body(&exchange));
        let (said, expected) = (chunks(&written), chunks(body(&exchange)));
        assert_eq!(said.len(), expected.len(), "{}", exchange["id"]);
        for (said, expected) in said.iter().zip(expected) {
            let mut of_chunk = BTreeMap::new();
            let total = &said["usageMetadata"]["totalTokenCount"];
            let mut completed = completed(expected.clone(), total, &mut of_chunk);
            // The frame of a chunk keeps what its candidates leave out.
            if let Some(candidates) = expected.get("candidates") {
                completed["candidates"] = candidates.clone();
                of_chunk.remove("completed: the role of a candidate");
            }
            for (what, count) in of_chunk {
                *counts.entry(what).or_default() += count;
            }
            let expected = completed;
            assert_same(said, &expected, &exchange["id"]);
            *counts.entry("chunks the same").or_default() += 1;
        }
        *counts.entry(if is_list { "streams that are a list" } else { "streams of events" }).or_default() += 1;
    }
    println!("streams: {counts:?}");
    assert!(few(&counts, "completed: the total of tokens"));
}

/// What an answer says, joined with no thought but to join it.
#[derive(Debug, Default, PartialEq)]
struct Joined {
    text: String,
    thoughts: String,
    /// Names; and arguments, where they came whole.
    calls: Vec<(String, Value)>,
    signatures: Vec<String>,
    finish: Option<&'static str>,
}

fn join(body: &str) -> (BTreeMap<u64, Joined>, Option<[u64; 4]>) {
    let mut choices: BTreeMap<u64, Joined> = BTreeMap::new();
    let mut usage = None;
    for chunk in chunks(body) {
        let count = |name: &str| chunk["usageMetadata"][name].as_u64().unwrap_or(0);
        let all =
            ["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount"].map(count);
        if all.iter().any(|count| *count > 0) {
            let [prompt, candidates, thoughts, tools] = all;
            usage = Some([prompt + tools, candidates + thoughts, thoughts, count("cachedContentTokenCount")]);
        }
        for (position, candidate) in chunk["candidates"].as_array().into_iter().flatten().enumerate() {
            let joined = choices.entry(candidate["index"].as_u64().unwrap_or(position as u64)).or_default();
            for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
                let text = part["text"].as_str().unwrap_or_default();
                if part["thought"] == true { &mut joined.thoughts } else { &mut joined.text }.push_str(text);
                if let Some(name) = part["functionCall"]["name"].as_str() {
                    joined.calls.push((name.to_owned(), part["functionCall"]["args"].clone()));
                    joined.signatures.extend(part["thoughtSignature"].as_str().map(str::to_owned));
                }
            }
            let finish = match candidate["finishReason"].as_str() {
                None => continue,
                Some("STOP" | "OTHER") => {
                    if joined.calls.is_empty() {
                        "stop"
                    } else {
                        "tool_calls"
                    }
                }
                Some("MAX_TOKENS") => "length",
                Some("SAFETY" | "RECITATION") => "content_filter",
                Some(other) => panic!("{other}"),
            };
            joined.finish = Some(finish);
        }
    }
    (choices, usage)
}

fn joined(reply: &ChatReply<'_>) -> (BTreeMap<u64, Joined>, Option<[u64; 4]>) {
    let choices = reply.choices.iter().map(|choice| {
        let mut joined = Joined::default();
        for block in &choice.turn.blocks {
            match &block.content {
                Content::Text { text, .. } => joined.text += text,
                Content::Reasoning(reasoning) => joined.thoughts += &reasoning.text,
                Content::ToolCall(call) => {
                    assert!(!call.id.is_empty(), "a call without an id");
                    let arguments = serde_json::from_str(&call.arguments).unwrap_or_default();
                    joined.calls.push((call.name.to_string(), arguments));
                    joined.signatures.extend(call.signature.as_deref().map(str::to_owned));
                }
                _ => {}
            }
        }
        joined.finish = choice.finish.as_ref().map(|finish| match finish.reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::ContentFilter => "content_filter",
            other => panic!("an unexpected reason: {other:?}"),
        });
        (u64::from(choice.index), joined)
    });
    let usage = reply.usage.as_ref().map(|usage| {
        let tokens = usage.tokens;
        let part = |count: Option<u64>| count.unwrap_or(0);
        [tokens.prompt_tokens, tokens.completion_tokens, part(tokens.reasoning_tokens), part(tokens.cached_tokens)]
    });
    (choices.collect(), usage)
}

#[test]
fn recorded_answers_mean_what_their_parts_say() {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for exchange in exchanges("the recorded answers") {
        if is_error(&exchange) {
            continue;
        }
        let id = &exchange["id"];
        let (reply, name) = if is_stream(&exchange) {
            let (first, written) = read(body(&exchange));
            let (second, _) = read(&written);
            assert_eq!(first.is_ok(), second.is_ok(), "{id}");
            (first, "streams")
        } else {
            let Reply::Chat(reply) = GEMINI.parse_reply(body(&exchange).as_bytes()).unwrap() else { panic!("no chat") };
            (Ok(reply), "replies")
        };
        match reply {
            Err(FoldError::Failed(_)) => *counts.entry("streams that failed").or_default() += 1,
            Err(FoldError::Unfinished) => *counts.entry("streams without a finish").or_default() += 1,
            Err(error) => panic!("{id}: {error:?}"),
            Ok(reply) => {
                let text =
                    if is_stream(&exchange) { body(&exchange).to_owned() } else { format!("[{}]", body(&exchange)) };
                let (mut expected, usage) = join(&text);
                let (mut said, said_usage) = joined(&reply);
                if body(&exchange).contains("\"blockReason") {
                    assert_eq!(said.remove(&0).unwrap().finish, Some("content_filter"), "{id}");
                    *counts.entry("blocked prompts").or_default() += 1;
                }
                for (index, said) in &mut said {
                    let expected = expected.get_mut(index).unwrap();
                    // Numbers of Vertex's own client.
                    expected.finish = expected.finish.or(said.finish);
                    for ((_, said), (_, whole)) in said.calls.iter_mut().zip(&mut expected.calls) {
                        if whole.is_null() {
                            assert!(said.is_null() || said.is_object(), "{id}");
                            *said = Value::Null;
                        }
                    }
                }
                assert_eq!(said, expected, "{id}");
                assert_eq!(said_usage, usage, "{id}");
                *counts.entry(name).or_default() += 1;
            }
        }
    }
    println!("meant as said: {counts:?}");
}
