//! The dialects against exchanges recorded from live providers and against what real clients send.
//!
//! `FASTROUTE_RECORDINGS` names a folder of `*.jsonl.gz`, `FASTROUTE_CLIENTS` one with `traffic.jsonl`; without them the
//! tests print what they skipped and pass. Nothing of either folder is in this repository.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what the functions of a test meet is a failure of the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::fold::{Fold, FoldError};
use fastroute_core::dialects::message::{CallKind, ChatReply, Content, Envelope, FinishReason, Reply};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

#[path = "dialects/same.rs"]
mod same;
use same::{assert_same, difference};

fn folder(variable: &str, skipped: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        println!("{variable} is not set: skipped {skipped}");
    }
    folder
}

/// The recorded exchanges of the dialects we have; other providers' own embeddings are not OpenAI's.
fn exchanges(skipped: &str) -> Vec<(Dialect, Value)> {
    let Some(folder) = folder("FASTROUTE_RECORDINGS", skipped) else {
        return Vec::new();
    };
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .collect();
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let lines = BufReader::new(GzDecoder::new(File::open(&path).unwrap())).lines();
        for line in lines {
            let exchange: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let native = matches!(exchange["provider"].as_str(), Some("cohere" | "gemini"));
            let dialect = match exchange["api"].as_str() {
                Some("chat_completions") => Dialect::OpenAiChat,
                Some("embeddings") if !native => Dialect::OpenAiEmbeddings,
                _ => continue,
            };
            found.push((dialect, exchange));
        }
    }
    assert!(found.len() > 1000, "only {} exchanges", found.len());
    found
}

fn is_error(exchange: &Value) -> bool {
    exchange["status"].as_u64().unwrap() >= 400
}

fn is_stream(exchange: &Value) -> bool {
    exchange["streaming"].as_bool().unwrap()
}

#[test]
fn recorded_requests_are_said_again_as_they_were_said() {
    let (mut same, mut refused, mut no_model) = (0, 0, 0);
    for (dialect, exchange) in exchanges("the recorded requests") {
        let request = &exchange["request"];
        if !request.is_object() {
            continue;
        }
        // Azure's deployments have their model in the address; at our door that is refused.
        if request["model"].is_null() {
            no_model += 1;
            continue;
        }
        let body = request.to_string();
        match dialect.parse_request(body.as_bytes()) {
            Ok(parsed) => {
                let rendered = dialect.render_request(&parsed).unwrap();
                let said = serde_json::from_slice(&rendered.body).unwrap();
                assert_same(&said, request, &exchange["id"]);
                same += 1;
            }
            // We may refuse only what the provider refused as well; Z.ai alone takes tool results without an id.
            Err(error) => {
                let stricter = error.pointer.ends_with("/tool_call_id");
                assert!(stricter || is_error(&exchange), "{}: {error}", exchange["id"]);
                refused += 1;
            }
        }
    }
    println!("{same} requests the same, {refused} refused by us and by the provider, {no_model} without a model");
}

#[test]
fn what_real_clients_send_is_said_again_as_it_was_said() {
    let Some(folder) = folder("FASTROUTE_CLIENTS", "the bodies of real clients") else {
        return;
    };
    let traffic = fs::read_to_string(folder.join("traffic.jsonl")).unwrap();
    let mut counts = BTreeMap::new();
    for line in traffic.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        let path = path.split('?').next().unwrap();
        let named = |dialect: &&Dialect| path.ends_with(dialect.default_path());
        // Gemini's paths hold the model, and say whether to stream.
        let gemini = [
            (":generateContent", Dialect::Gemini),
            (":streamGenerateContent", Dialect::Gemini),
            (":batchEmbedContents", Dialect::GeminiEmbeddings),
        ];
        let verb = gemini.iter().find(|(verb, _)| path.ends_with(verb)).map(|(_, dialect)| dialect);
        let Some(dialect) = Dialect::ALL.iter().find(named).or(verb) else {
            continue;
        };
        if method != "POST" {
            continue;
        }
        let body = request["body"].to_string();
        let parsed = dialect
            .parse_request(body.as_bytes())
            .unwrap_or_else(|error| panic!("{} {}: {error}", request["client"], request["scenario"]));
        let rendered = dialect.render_request(&parsed).unwrap();
        let said = serde_json::from_slice(&rendered.body).unwrap();
        assert_same(&spelled(&said), &spelled(&request["body"]), &request["client"]);
        *counts.entry(dialect.name()).or_insert(0) += 1;
    }
    println!("the same: {counts:?}");
    // These are spoken to upstreams, or by clients of which none was recorded.
    let unheard = [
        Dialect::Ollama,
        Dialect::BedrockConverse,
        Dialect::OpenAiCompletions,
        Dialect::CohereEmbeddings,
        Dialect::TitanEmbeddings,
        Dialect::JinaRerank,
        Dialect::VoyageRerank,
    ];
    assert_eq!(counts.len(), Dialect::ALL.iter().filter(|dialect| !unheard.contains(dialect)).count());
}

/// Google's Python client says these two names in their second spelling.
fn spelled(body: &Value) -> Value {
    let body = body.to_string();
    let body = body.replace("\"parameters_json_schema\":", "\"parametersJsonSchema\":");
    serde_json::from_str(&body.replace("\"response_json_schema\":", "\"responseJsonSchema\":")).unwrap()
}

/// A reply as we would say it: with what the published schema requires and with one of its five finish reasons.
fn completed(mut reply: Value, dialect: Dialect) -> Value {
    if dialect == Dialect::OpenAiEmbeddings {
        for item in reply["data"].as_array_mut().unwrap() {
            item["object"] = json!("embedding");
        }
        reply["object"] = json!("list");
        let reply_members = reply.as_object_mut().unwrap();
        reply_members.entry("model").or_insert(json!(""));
        let usage = reply_members["usage"].as_object_mut().unwrap();
        let total = usage["total_tokens"].clone();
        // Voyage counts what it read only as the total.
        usage.entry("prompt_tokens").or_insert(total);
        return reply;
    }
    reply["object"] = json!("chat.completion");
    if reply.get("created").is_none() {
        reply["created"] = json!(0);
    }
    for choice in reply["choices"].as_array_mut().unwrap() {
        let native = choice["finish_reason"].clone();
        let reason = match native.as_str() {
            Some("eos") => Some("stop"),
            Some("tool_call") => Some("tool_calls"),
            _ => None,
        };
        if let Some(reason) = reason {
            choice["finish_reason"] = json!(reason);
            choice["native_finish_reason"] = native;
        }
        for (object, name) in
            [("", "logprobs"), ("", "finish_reason"), ("/message", "refusal"), ("/message", "content")]
        {
            let object = choice.pointer_mut(object).unwrap().as_object_mut().unwrap();
            object.entry(name).or_insert(Value::Null);
        }
        let calls = choice.pointer_mut("/message/tool_calls");
        for call in calls.and_then(Value::as_array_mut).into_iter().flatten() {
            call["type"] = json!("function");
        }
    }
    reply
}

#[test]
fn recorded_replies_are_said_again_as_they_were_said() {
    let mut counts = BTreeMap::new();
    let mut differing = Vec::new();
    for (dialect, exchange) in exchanges("the recorded replies") {
        if is_error(&exchange) || is_stream(&exchange) {
            continue;
        }
        let body = exchange["response_body"].as_str().unwrap();
        let original: Value = serde_json::from_str(body).unwrap();
        let reply = match dialect.parse_reply(body.as_bytes()) {
            Ok(reply) => reply,
            Err(error) => panic!("{}: {error}", exchange["id"]),
        };
        let rendered = dialect.render_reply(&reply, &Envelope::default()).unwrap();
        let said = serde_json::from_slice(&rendered).unwrap();
        match difference(&said, &completed(original, dialect), "") {
            None => *counts.entry(dialect.name()).or_insert(0) += 1,
            Some(found) => differing.push(format!("{} {found}", exchange["id"])),
        }
    }
    println!("replies the same: {counts:?}");
    assert!(differing.is_empty(), "{}: {differing:#?}", differing.len());
}

#[test]
fn recorded_errors_keep_their_message() {
    let mut count = 0;
    for (dialect, exchange) in exchanges("the recorded errors") {
        if !is_error(&exchange) {
            continue;
        }
        let body = exchange["response_body"].as_str().unwrap();
        let original: Value = serde_json::from_str(body).unwrap_or_default();
        let places = ["/error/message", "/message", "/error", "/detail"];
        let message = places.iter().find_map(|place| original.pointer(place)?.as_str());
        let error = dialect.parse_error(body.as_bytes());
        if let Some(message) = message {
            assert_eq!(error.message, message, "{}", exchange["id"]);
            count += 1;
        }
        let rendered: Value = serde_json::from_slice(&dialect.render_error(&error)).unwrap();
        assert_eq!(rendered["error"]["message"], error.message.as_ref());
    }
    println!("{count} error messages kept");
}

/// What a stream comes to when its chunks are joined with no thought but to join them.
#[derive(Debug, Default, PartialEq)]
struct Joined {
    content: String,
    reasoning: String,
    refusal: String,
    /// Name and arguments.
    calls: Vec<(String, String)>,
    finish: Option<String>,
}

type Answer = (BTreeMap<u64, Joined>, Option<[u64; 3]>);

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(|part| text_of(&part["text"])).collect(),
        _ => String::new(),
    }
}

fn tokens_of(usage: &Value) -> [u64; 3] {
    ["prompt_tokens", "completion_tokens", "total_tokens"].map(|name| usage[name].as_u64().unwrap_or(0))
}

/// `None` when the stream holds an error.
fn join(body: &str) -> Option<Answer> {
    let mut choices: BTreeMap<u64, Joined> = BTreeMap::new();
    let mut keys: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut usage = None;
    for data in data_lines(body) {
        if data == "[DONE]" {
            break;
        }
        let chunk: Value = serde_json::from_str(data).unwrap();
        if !chunk["error"].is_null() {
            return None;
        }
        // Groq counts beside the choices, Moonshot in one of them.
        let places = [&chunk["usage"], &chunk["x_groq"]["usage"], &chunk["choices"][0]["usage"]];
        if let Some(counted) = places.into_iter().find(|usage| usage.is_object()) {
            usage = Some(tokens_of(counted));
        }
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            let index = choice["index"].as_u64().unwrap();
            let joined = choices.entry(index).or_default();
            let keys = keys.entry(index).or_default();
            let delta = &choice["delta"];
            joined.content += &text_of(&delta["content"]);
            joined.refusal += &text_of(&delta["refusal"]);
            joined.reasoning += &reasoning_of(delta);
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                // The recorded servers number their calls or send each of them whole, with an id.
                let key = match (&call["index"], &call["id"]) {
                    (Value::Number(index), _) => index.to_string(),
                    (_, id) => id.to_string(),
                };
                let position = keys.iter().position(|known| *known == key).unwrap_or_else(|| {
                    keys.push(key);
                    joined.calls.push(Default::default());
                    keys.len() - 1
                });
                let (name, arguments) = &mut joined.calls[position];
                let function = &call["function"];
                if name.is_empty() {
                    *name = text_of(&function["name"]);
                }
                *arguments += &text_of(&function["arguments"]);
            }
            let finish = choice["finish_reason"].as_str().map(str::to_owned);
            joined.finish = joined.finish.take().or(finish);
        }
    }
    Some((choices, usage))
}

/// The ids that the chunks of a stream carry.
fn ids(body: &str) -> BTreeSet<String> {
    let chunks = data_lines(body).filter_map(|data| serde_json::from_str::<Value>(data).ok());
    chunks.filter_map(|chunk| chunk["id"].as_str().map(str::to_owned)).filter(|id| !id.is_empty()).collect()
}

fn reasoning_of(delta: &Value) -> String {
    let details = delta["reasoning_details"].as_array();
    if let Some(details) = details.filter(|details| !details.is_empty()) {
        return details.iter().map(|item| text_of(&item["text"]) + &text_of(&item["summary"])).collect();
    }
    for flat in ["reasoning_content", "reasoning"] {
        if delta[flat].is_string() {
            return text_of(&delta[flat]);
        }
    }
    let parts = delta["content"].as_array().into_iter().flatten();
    parts.map(|part| text_of(&part["thinking"])).collect()
}

fn data_lines(body: &str) -> impl Iterator<Item = &str> {
    body.lines().filter_map(|line| line.trim_start().strip_prefix("data:")).map(str::trim)
}

fn answer_of(reply: &ChatReply<'_>) -> Answer {
    let choices = reply.choices.iter().map(|choice| {
        let mut joined = Joined::default();
        for block in &choice.turn.blocks {
            match &block.content {
                Content::Text { text, .. } => joined.content += text,
                Content::Refusal { text, .. } => joined.refusal += text,
                Content::Reasoning(reasoning) => joined.reasoning += &reasoning.text,
                Content::ToolCall(call) => {
                    assert_eq!(call.kind, CallKind::Function);
                    assert!(!call.id.is_empty(), "a call without an id");
                    joined.calls.push((call.name.to_string(), call.arguments.to_string()));
                }
                other => panic!("an unexpected block: {other:?}"),
            }
        }
        let finish = choice.finish.as_ref().unwrap();
        let word = match finish.reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::ContentFilter => "content_filter",
            other => panic!("an unexpected reason: {other:?}"),
        };
        joined.finish = Some(word.to_owned());
        (u64::from(choice.index), joined)
    });
    let usage = reply.usage.as_ref().map(|usage| {
        let tokens = usage.tokens;
        [tokens.prompt_tokens, tokens.completion_tokens, tokens.total_tokens]
    });
    (choices.collect(), usage)
}

/// Reads a stream and writes it again, and folds both.
fn read_twice(body: &str) -> [Result<ChatReply<'static>, FoldError>; 2] {
    let dialect = Dialect::OpenAiChat;
    let once = |body: &str| {
        let envelope = Envelope { include_usage: true, ..Envelope::default() };
        let mut reader = dialect.reader().unwrap();
        let mut writer = dialect.writer(&envelope).unwrap();
        let mut fold = Fold::new(1 << 20);
        let mut out = Vec::new();
        let mut name = "";
        for line in body.lines() {
            if let Some(event) = line.strip_prefix("event:") {
                name = event.trim();
            }
            let Some(data) = line.trim_start().strip_prefix("data:") else {
                continue;
            };
            for event in reader.parse_event(name, data.as_bytes()).unwrap() {
                fold.add(&event).unwrap();
                writer.render_event(&event, &mut out);
            }
            name = "";
        }
        // Where the server forgot its end, the gateway adds it once it has seen a finish.
        writer.render_event(&fastroute_core::dialects::message::Event::Done, &mut out);
        (fold.finish(), String::from_utf8(out).unwrap())
    };
    let (first, written) = once(body);
    let (second, _) = once(&written);
    [first, second]
}

#[test]
fn recorded_streams_fold_into_what_their_chunks_say() {
    let (mut same, mut failed, mut unfinished, mut joined) = (0, 0, 0, 0);
    for (dialect, exchange) in exchanges("the recorded streams") {
        if dialect != Dialect::OpenAiChat || !is_stream(&exchange) || is_error(&exchange) {
            continue;
        }
        let id = exchange["id"].as_str().unwrap();
        let body = exchange["response_body"].as_str().unwrap();
        // Three fixtures hold the streams of two requests, one behind the other.
        if ids(body).len() > 1 {
            joined += 1;
            continue;
        }
        for folded in read_twice(body) {
            match folded {
                Ok(reply) => {
                    let (mut choices, usage) = join(body).unwrap_or_else(|| panic!("{id} holds an error"));
                    let (said_choices, said_usage) = answer_of(&reply);
                    // An answer that was counted has ended, with or without a word for it.
                    for (index, choice) in &mut choices {
                        let said = said_choices.get(index).and_then(|said| said.finish.clone());
                        choice.finish = choice.finish.take().or(said);
                    }
                    assert_eq!(said_choices, choices, "{id}");
                    assert_eq!(said_usage, usage, "{id}");
                    same += 1;
                }
                Err(FoldError::Failed(_)) => {
                    assert!(join(body).is_none(), "{id} holds no error");
                    failed += 1;
                }
                Err(FoldError::Unfinished) => {
                    let (choices, _) = join(body).unwrap();
                    let finished = |joined: &Joined| joined.finish.is_some();
                    assert!(choices.is_empty() || !choices.values().all(finished), "{id}");
                    unfinished += 1;
                }
                Err(error) => panic!("{id}: {error:?}"),
            }
        }
    }
    println!("read and read again: {same} the same, {failed} failed, {unfinished} unfinished, {joined} left out");
    assert!(joined <= 3);
}

#[test]
fn recorded_vectors_are_the_same_in_either_encoding() {
    use fastroute_core::dialects::message::Encoding;
    let mut count = 0;
    for (dialect, exchange) in exchanges("the recorded vectors") {
        if dialect != Dialect::OpenAiEmbeddings || is_error(&exchange) {
            continue;
        }
        let body = exchange["response_body"].as_str().unwrap();
        let Reply::Embeddings(reply) = dialect.parse_reply(body.as_bytes()).unwrap() else {
            panic!("not embeddings");
        };
        for embedding in reply.embeddings {
            let floats = embedding.vector.to_floats().unwrap();
            assert!(floats.len() > 8, "{}", exchange["id"]);
            for encoding in [Encoding::Float, Encoding::Base64] {
                let encoded = embedding.vector.clone().encoded(encoding).unwrap();
                assert_eq!(encoded.to_floats().unwrap(), floats);
            }
            count += 1;
        }
    }
    println!("{count} vectors the same in either encoding");
}
