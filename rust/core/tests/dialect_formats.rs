//! Completions, embeddings and rerank against recorded exchanges, and what the embeddings of one dialect say in another.
//!
//! `FASTROUTE_RECORDINGS` names a folder of `*.jsonl.gz`; without it those tests print what they skipped and pass. Nothing
//! of that folder is in this repository.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what the functions of a test meet is a failure of the test"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::fold::{Fold, FoldError};
use fastroute_core::dialects::message::{Encoding, Envelope, Reply};
use fastroute_core::passes::{Demands, WayBack};
use fastroute_core::translate::{self, Address, Frames, Translated};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

#[path = "dialects/same.rs"]
mod same;
use same::{assert_same, difference};

const OPENAI: Dialect = Dialect::OpenAiEmbeddings;
const GEMINI: Dialect = Dialect::GeminiEmbeddings;
const COHERE: Dialect = Dialect::CohereEmbeddings;
const ENVELOPE: Envelope<'_> = Envelope { id: "id-1", model: "m", created_s: 7, include_usage: true };

/// Recorded wire dialect and provider, and ours.
fn ours(exchange: &Value) -> Option<Dialect> {
    Some(match (exchange["api"].as_str()?, exchange["provider"].as_str()?) {
        ("completions", _) => Dialect::OpenAiCompletions,
        ("embeddings", "cohere") => COHERE,
        ("embeddings", "gemini") => GEMINI,
        ("rerank", "cohere") => Dialect::Rerank,
        ("rerank", "llamacpp") => Dialect::JinaRerank,
        ("rerank", "voyage") => Dialect::VoyageRerank,
        _ => return None,
    })
}

fn recorded(kind: &str) -> Vec<(Dialect, Value)> {
    let Some(folder) = std::env::var_os("FASTROUTE_RECORDINGS").map(PathBuf::from) else {
        println!("FASTROUTE_RECORDINGS is not set: skipped the recorded {kind}");
        return Vec::new();
    };
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gz"));
    files.sort();
    let mut found = Vec::new();
    for path in files {
        for line in BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines() {
            let exchange: Value = serde_json::from_str(&line.unwrap()).unwrap();
            found.extend(ours(&exchange).map(|dialect| (dialect, exchange)));
        }
    }
    assert_eq!(found.len(), 39, "exchanges of these kinds");
    found
}

fn is_error(exchange: &Value) -> bool {
    exchange["status"].as_u64().unwrap() >= 400
}

fn body(exchange: &Value) -> &str {
    exchange["response_body"].as_str().unwrap()
}

fn counted(kind: &str, counts: &BTreeMap<&str, usize>) {
    println!("{kind} the same: {counts:?}");
}

/// Of the two spellings that Google reads, we write the documented one.
fn spelled(body: &Value) -> Value {
    let spelled = body.to_string().replace("\"output_dimensionality\":", "\"outputDimensionality\":");
    serde_json::from_str(&spelled).unwrap()
}

#[test]
fn recorded_requests_are_said_again_as_they_were_said() {
    let (mut counts, mut refused) = (BTreeMap::new(), 0);
    for (dialect, exchange) in recorded("requests") {
        if !exchange["request"].is_object() {
            continue;
        }
        match dialect.parse_request(exchange["request"].to_string().as_bytes()) {
            Ok(request) => {
                let rendered = dialect.render_request(&request).unwrap();
                assert!(rendered.dropped.is_empty(), "{:?}", rendered.dropped);
                let said: Value = serde_json::from_slice(&rendered.body).unwrap();
                assert_same(&said, &spelled(&exchange["request"]), &exchange["id"]);
                *counts.entry(dialect.name()).or_insert(0) += 1;
            }
            // We may refuse only what the provider refused as well.
            Err(error) => {
                assert!(is_error(&exchange), "{}: {error}", exchange["id"]);
                refused += 1;
            }
        }
    }
    counted("requests", &counts);
    assert!(refused <= 2, "{refused} refused");
}

/// What the published schema requires of a completion, where a server left it out.
fn completed(mut reply: Value, dialect: Dialect) -> Value {
    if dialect == Dialect::OpenAiCompletions {
        reply["object"] = json!("text_completion");
        let members = reply.as_object_mut().unwrap();
        members.entry("id").or_insert(json!(""));
        members.entry("created").or_insert(json!(0));
        for (at, choice) in reply["choices"].as_array_mut().unwrap().iter_mut().enumerate() {
            let choice = choice.as_object_mut().unwrap();
            choice.entry("index").or_insert(json!(at));
            for name in ["logprobs", "finish_reason"] {
                choice.entry(name).or_insert(Value::Null);
            }
        }
    }
    reply
}

#[test]
fn recorded_replies_are_said_again_as_they_were_said() {
    let (mut counts, mut differing) = (BTreeMap::new(), Vec::new());
    for (dialect, exchange) in recorded("replies") {
        if is_error(&exchange) || exchange["streaming"] == true {
            continue;
        }
        let original = serde_json::from_str(body(&exchange)).unwrap();
        let reply = dialect.parse_reply(body(&exchange).as_bytes()).unwrap();
        let rendered = dialect.render_reply(&reply, &Envelope::default()).unwrap();
        let said = serde_json::from_slice(&rendered).unwrap();
        match difference(&said, &completed(original, dialect), "") {
            None => *counts.entry(dialect.name()).or_insert(0) += 1,
            Some(found) => differing.push(format!("{} {found}", exchange["id"])),
        }
    }
    counted("replies", &counts);
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn recorded_errors_keep_their_message() {
    let mut counts = BTreeMap::new();
    for (dialect, exchange) in recorded("errors").into_iter().filter(|(_, exchange)| is_error(exchange)) {
        let original: Value = serde_json::from_str(body(&exchange)).unwrap();
        let places = ["/error/message", "/message"];
        let message = places.iter().find_map(|place| original.pointer(place)?.as_str()).unwrap();
        let error = dialect.parse_error(body(&exchange).as_bytes());
        assert_eq!(error.message, message, "{}", exchange["id"]);
        let said = dialect.parse_error(&dialect.render_error(&error)).message.into_owned();
        assert_eq!(said, message, "{}", exchange["id"]);
        *counts.entry(dialect.name()).or_insert(0) += 1;
    }
    counted("errors", &counts);
}

/// Text, finish and total of a stream of one choice, joined with no thought but to join them.
fn joined(stream: &str) -> (String, Option<String>, Option<u64>) {
    let (mut text, mut finish, mut total) = (String::new(), None, None);
    for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]") {
        let chunk: Value = serde_json::from_str(data).unwrap();
        total = chunk["usage"]["total_tokens"].as_u64().or(total);
        for choice in chunk["choices"].as_array().unwrap() {
            assert_eq!(choice["index"].as_u64().unwrap_or(0), 0);
            text += choice["text"].as_str().unwrap_or_default();
            finish = choice["finish_reason"].as_str().map(str::to_owned).or(finish);
        }
    }
    (text, finish, total)
}

#[test]
fn recorded_streams_say_what_their_chunks_say_and_say_it_again() {
    let (mut same, mut others) = (0, 0);
    for (dialect, exchange) in recorded("streams").into_iter().filter(|(_, exchange)| exchange["streaming"] == true) {
        let (mut reader, mut writer) = (dialect.reader().unwrap(), dialect.writer(&ENVELOPE).unwrap());
        let (mut fold, mut out) = (Fold::new(1 << 20), Vec::new());
        let mut frames = Frames::of(dialect, fastroute_core::sse::Limits::default());
        let whole = frames.feed(body(&exchange).as_bytes(), |name, data| {
            for event in reader.parse_event(name, data).unwrap() {
                fold.add(&event).unwrap();
                writer.render_event(&event, &mut out);
            }
        });
        assert!(whole);
        let reply = match fold.finish() {
            // Writer sends values in the place of choices, which is nobody's completion but its own.
            Err(FoldError::Unfinished) if exchange["provider"] == "writer" => {
                others += 1;
                continue;
            }
            folded => folded.unwrap_or_else(|error| panic!("{}: {error:?}", exchange["id"])),
        };
        let (text, finish, total) = joined(body(&exchange));
        assert_eq!(reply.choices[0].turn.texts().collect::<String>(), text, "{}", exchange["id"]);
        assert_eq!(reply.usage.map(|usage| usage.tokens.total_tokens), total, "{}", exchange["id"]);
        assert_eq!(joined(std::str::from_utf8(&out).unwrap()), (text, finish, total), "{}", exchange["id"]);
        same += 1;
    }
    println!("{same} streams the same, {others} of another form");
}

fn asked(body: &Value, source: Dialect, target: Dialect) -> Result<Translated, String> {
    let address = Address { model: Some("m"), stream: None };
    let told = translate::request(body.to_string().as_bytes(), source, &Demands::of(target), address);
    told.map_err(|error| error.to_string())
}

fn said(translated: &Translated) -> Value {
    serde_json::from_slice(&translated.body).unwrap()
}

/// The reply of `source` as a client of `target` hears it who asked with this request.
fn heard(reply: &Value, source: Dialect, request: &Value, target: Dialect) -> Value {
    let wanted = asked(request, target, source).unwrap().wanted;
    let names = WayBack::default();
    let told = translate::reply_as(reply.to_string().as_bytes(), source, target, &names, &ENVELOPE, wanted).unwrap();
    serde_json::from_slice(&told).unwrap()
}

#[test]
fn a_request_for_vectors_is_said_in_the_words_of_its_server() {
    let openai = json!({"model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8, "user": "u"});
    let gemini = asked(&openai, OPENAI, GEMINI).unwrap();
    let item = |text| json!({"model": "models/m", "content": {"parts": [{"text": text}]}, "outputDimensionality": 8});
    assert_eq!(said(&gemini), json!({"requests": [item("a"), item("b")]}));
    assert_eq!((gemini.dropped, gemini.changed), (vec!["user".to_owned()], Vec::new()));
    let cohere = asked(&openai, OPENAI, COHERE).unwrap();
    assert_eq!(
        said(&cohere),
        json!({"model": "m", "texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["base64"],
            "output_dimension": 8})
    );
    assert_eq!((cohere.dropped, cohere.changed), (vec!["user".to_owned()], vec!["input_type".to_owned()]));
    // One text outside a list is a batch of one, because the address is that of a batch.
    let one = asked(&json!({"model": "m", "input": "a"}), OPENAI, GEMINI).unwrap();
    assert_eq!(said(&one)["requests"].as_array().unwrap().len(), 1);
}

#[test]
fn what_a_vector_is_for_is_said_where_there_is_a_word_for_it() {
    let gemini = json!({"content": {"parts": [{"text": "a"}], "role": "user"}, "taskType": "QUESTION_ANSWERING",
        "title": "T"});
    let cohere = asked(&gemini, GEMINI, COHERE).unwrap();
    assert_eq!(said(&cohere), json!({"model": "m", "texts": ["a"], "input_type": "search_query"}));
    assert_eq!(cohere.dropped, ["title", "taskType"]);
    let openai = asked(&gemini, GEMINI, OPENAI).unwrap();
    assert_eq!(
        (said(&openai), openai.dropped),
        (json!({"model": "m", "input": "a"}), vec!["title".into(), "taskType".into()])
    );
    let cohere = json!({"model": "m", "texts": ["a"], "input_type": "clustering", "truncate": "START"});
    let gemini = asked(&cohere, COHERE, GEMINI).unwrap();
    assert_eq!(said(&gemini)["requests"][0]["taskType"], "CLUSTERING");
    assert_eq!(gemini.dropped, ["truncate"]);
    let gemini = json!({"content": {"parts": [{"text": "a"}]}, "autoTruncate": false});
    assert_eq!(said(&asked(&gemini, GEMINI, COHERE).unwrap())["truncate"], "NONE");
}

#[test]
fn input_that_another_server_cannot_read_is_refused() {
    let tokens = json!({"model": "m", "input": [1, 2]});
    let refused = asked(&tokens, OPENAI, GEMINI).unwrap_err();
    assert_eq!(refused, "input: is tokens, which cannot be said in gemini_embeddings");
    let image = json!({"model": "m", "images": ["data:image/png;base64,AA=="], "input_type": "image"});
    assert_eq!(
        asked(&image, COHERE, OPENAI).unwrap_err(),
        "images: is more than text, which cannot be said in openai_embeddings"
    );
    for (body, source, expected) in [
        (json!({"model": "m", "texts": []}), COHERE, "texts: must hold at least one text"),
        (json!({"model": "m", "texts": ["a", 1]}), COHERE, "texts[1]: must be a string"),
        (json!({"requests": []}), GEMINI, "requests: must hold at least one request"),
        (json!({"requests": [{}]}), GEMINI, "requests[0].content: is required"),
        (json!({"taskType": "CLUSTERING"}), GEMINI, "content: is required"),
        (
            json!({"requests": [{"model": "models/a", "content": {}}, {"model": "models/b", "content": {}}]}),
            GEMINI,
            "requests[1].model: must be that of the first request",
        ),
    ] {
        assert_eq!(asked(&body, source, OPENAI).unwrap_err(), expected);
    }
}

#[test]
fn a_client_hears_its_vectors_as_it_asked_for_them() {
    let gemini = json!({"embeddings": [{"values": [1, -0.5]}], "usageMetadata": {"promptTokenCount": 3}});
    let packed = json!({"model": "m", "input": "a", "encoding_format": "base64"});
    assert_eq!(
        heard(&gemini, GEMINI, &packed, OPENAI),
        json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": "AACAPwAAAL8="}],
            "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3}})
    );
    let cohere = heard(&gemini, GEMINI, &json!({"model": "m", "texts": ["a"], "input_type": "clustering"}), COHERE);
    assert_eq!(
        cohere,
        json!({"id": "id-1", "embeddings": {"float": [[1, -0.5]]}, "meta": {"billed_units": {"input_tokens": 3}},
            "response_type": "embeddings_by_type"})
    );
    let alone = json!({"content": {"parts": [{"text": "a"}]}});
    let out_of_order = json!({"data": [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": "AACAPwAAAAA="}],
        "usage": {"prompt_tokens": 2, "total_tokens": 2}});
    let batch = json!({"requests": [alone, alone]});
    let told = heard(&out_of_order, OPENAI, &batch, GEMINI);
    assert_eq!(told["embeddings"][0]["values"], json!([1.0, 0.0]));
    assert_eq!(told["embeddings"][1]["values"], json!([0, 1]));
    assert_eq!(told["usageMetadata"], json!({"promptTokenCount": 2}));
    let one = json!({"data": [{"index": 0, "embedding": [1, 2]}]});
    assert_eq!(heard(&one, OPENAI, &alone, GEMINI), json!({"embedding": {"values": [1, 2]}}));
    assert_eq!(heard(&one, OPENAI, &json!({"requests": [alone]}), GEMINI), json!({"embeddings": [{"values": [1, 2]}]}));
}

#[test]
fn recorded_vectors_are_the_same_in_every_dialect() {
    let mut count = 0;
    for (dialect, exchange) in recorded("vectors") {
        if is_error(&exchange) || !matches!(dialect, Dialect::GeminiEmbeddings | Dialect::CohereEmbeddings) {
            continue;
        }
        let floats = |dialect: Dialect, body: &[u8]| {
            let Reply::Embeddings(reply) = dialect.parse_reply(body).unwrap() else { panic!("no vectors") };
            let floats = reply.embeddings.iter().map(|embedding| embedding.vector.to_floats().unwrap());
            floats.collect::<Vec<_>>()
        };
        let expected = floats(dialect, body(&exchange).as_bytes());
        assert!(!expected.is_empty());
        for target in [OPENAI, GEMINI, COHERE] {
            for encoding in [Encoding::Float, Encoding::Base64] {
                let wanted = Some(fastroute_core::dialects::message::Wanted { encoding: Some(encoding), alone: false });
                let names = WayBack::default();
                let told = translate::reply_as(body(&exchange).as_bytes(), dialect, target, &names, &ENVELOPE, wanted);
                assert_eq!(floats(target, &told.unwrap()), expected, "{}", exchange["id"]);
            }
        }
        count += expected.len();
    }
    println!("{count} vectors the same in every dialect");
}
