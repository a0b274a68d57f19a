//! Recorded exchanges: streams through the relay against a naive offline reading, usage of every reply, and errors.
//!
//! The folder is named by `FASTROUTE_RECORDINGS` and holds one gzip file of JSON lines per provider.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::{collections::BTreeMap, env, fs, io::Read, path::Path, time::SystemTime};

use bytes::Bytes;
use fastroute_core::{
    failure::{ErrorReply, Kind},
    relay::{Relay, RelaySpec, Slices, inspect_reply},
    usage::{Usage, UsageRule},
};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Exchange {
    id: String,
    provider: String,
    api: String,
    streaming: bool,
    status: u16,
    response_body: String,
    chunk_sizes: Option<Vec<usize>>,
    tags: Vec<String>,
}

fn exchanges(wanted: impl Fn(&Exchange) -> bool) -> Option<Vec<Exchange>> {
    let Some(folder) = env::var_os("FASTROUTE_RECORDINGS").filter(|folder| !folder.is_empty()) else {
        println!("skipped 2,725 recorded exchanges: FASTROUTE_RECORDINGS is not set");
        return None;
    };
    let mut all = Vec::new();
    let mut paths: Vec<_> = fs::read_dir(Path::new(&folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "gz"))
        .collect();
    paths.sort();
    for path in paths {
        let mut text = String::new();
        MultiGzDecoder::new(fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        all.extend(text.lines().map(|line| serde_json::from_str::<Exchange>(line).unwrap()).filter(&wanted));
    }
    assert!(!all.is_empty());
    Some(all)
}

/// Providers whose usage departs from the invariant on the chat dialect.
fn rule_of(provider: &str) -> UsageRule {
    match provider {
        "xai" => UsageRule::ReasoningApart,
        "gemini" => UsageRule::CompletionFromTotal,
        "mistral" => UsageRule::PromptFromTotal,
        _ => UsageRule::Invariant,
    }
}

/// What a simple reader makes of a whole stream.
#[derive(Default)]
struct Naive {
    finish: Option<String>,
    usage: Option<Value>,
    model: Option<String>,
    terminated: bool,
    failed: bool,
    text: String,
    content_events: u64,
}

fn naive(stream: &str) -> Naive {
    let mut naive = Naive::default();
    let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
    for line in stream.lines() {
        let Some(data) = line.strip_prefix("data:") else {
            continue;
        };
        if data.trim() == "[DONE]" {
            naive.terminated = true;
            continue;
        }
        let event: Value = serde_json::from_str(data).unwrap();
        if naive.terminated {
            continue;
        }
        if !event["usage"].is_null() {
            naive.usage = Some(event["usage"].clone());
        } else if !event["x_groq"]["usage"].is_null() {
            naive.usage = Some(event["x_groq"]["usage"].clone());
        }
        naive.failed |= !event["error"].is_null();
        if naive.failed {
            continue;
        }
        if let Some(model) = event["model"].as_str().filter(|model| !model.is_empty())
            && naive.model.is_none()
        {
            naive.model = Some(model.to_owned());
        }
        let mut has_content = false;
        for choice in event["choices"].as_array().into_iter().flatten() {
            if let Some(reason) = choice["finish_reason"].as_str().filter(|reason| !reason.is_empty())
                && choice["index"].as_u64().unwrap_or(0) == 0
            {
                naive.finish = Some(reason.to_owned());
            }
            for key in ["content", "reasoning_content", "reasoning", "refusal"] {
                naive.text += choice["delta"][key].as_str().unwrap_or_default();
            }
            let members = choice["delta"].as_object().into_iter().flatten();
            has_content |= choice["text"].as_str().is_some_and(|text| !text.is_empty());
            has_content |=
                members.filter(|(key, _)| !matches!(key.as_str(), "role" | "channel" | "name")).any(|(_, value)| {
                    match value {
                        Value::String(text) => !text.is_empty(),
                        Value::Array(list) => !list.is_empty(),
                        Value::Object(members) => !members.is_empty(),
                        _ => false,
                    }
                });
        }
        naive.content_events += u64::from(has_content);
    }
    naive
}

fn relayed(frames: &[&[u8]], provider: &str) -> (Relay, Vec<u8>, bool) {
    let mut relay = Relay::new(RelaySpec { usage_rule: rule_of(provider), ..RelaySpec::default() });
    let mut out = Slices::new();
    let result = frames
        .iter()
        .try_for_each(|frame| relay.feed(Bytes::copy_from_slice(frame), &mut out))
        .and_then(|()| relay.end(&mut out));
    (relay, out.concat(), result.is_ok())
}

#[test]
fn recorded_streams_come_out_as_they_came_and_are_read_as_a_naive_reader_would() {
    let wanted = |one: &Exchange| one.api == "chat_completions" && one.streaming && one.status == 200;
    let Some(exchanges) = exchanges(wanted) else {
        return;
    };
    let mut counts = BTreeMap::<&str, u32>::new();
    for one in &exchanges {
        let mut count = |what| *counts.entry(what).or_default() += 1;
        let what = format!("{} {}", one.provider, one.id);
        let body = one.response_body.as_bytes();
        let naive = naive(&one.response_body);
        let (relay, out, ended) = relayed(&[body], &one.provider);
        count("streams");
        if naive.failed {
            count("with an error event");
            assert!(!ended || relay.upstream_error().is_some(), "{what}");
        } else {
            assert!(ended, "{what}");
            assert_eq!(out, body, "{what}");
            assert_eq!(relay.finish_reason(), naive.finish.as_deref(), "{what}");
            assert_eq!(relay.terminated(), naive.terminated, "{what}");
            assert_eq!(relay.model(), naive.model.as_deref(), "{what}");
            assert_eq!(relay.broken_events(), 0, "{what}");
            assert_eq!(relay.content_events(), naive.content_events, "{what}");
            assert!(relay.content_bytes() > 0 || naive.text.is_empty(), "{what}");
        }
        let usage = naive.usage.map(|usage| usage.to_string());
        let usage = usage.and_then(|usage| Usage::from_openai(usage.as_bytes(), rule_of(&one.provider)));
        if ended {
            assert_eq!(relay.usage().copied(), usage, "{what}");
        }
        count(if usage.is_some() { "with usage" } else { "without usage" });
        count(if relay.terminated() { "with an end mark" } else { "without an end mark" });

        let out_len = out.len();
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        let (again, out_again, ended_again) = relayed(&bytes, &one.provider);
        assert_eq!((out_again, ended_again), (out, ended), "{what} byte by byte");
        assert_eq!(again.usage(), relay.usage(), "{what}");
        assert_eq!(again.content_bytes(), relay.content_bytes(), "{what}");
        if let Some(sizes) = &one.chunk_sizes {
            count("with recorded frames");
            let mut rest = body;
            let mut frames = Vec::new();
            for &size in sizes {
                let (frame, after) = rest.split_at(size);
                frames.push(frame);
                rest = after;
            }
            assert!(rest.is_empty(), "{what}");
            let (recorded, out_recorded, ended_recorded) = relayed(&frames, &one.provider);
            assert_eq!((out_recorded.len(), ended_recorded), (out_len, ended), "{what}");
            assert_eq!(recorded.usage(), relay.usage(), "{what}");
        }
    }
    println!("{counts:?}");
    assert!(counts["streams"] > 300 && counts["with usage"] > 200);
}

#[test]
fn recorded_streams_cut_before_their_finish_are_never_fine() {
    let wanted = |one: &Exchange| one.api == "chat_completions" && one.streaming && one.status == 200;
    let Some(exchanges) = exchanges(wanted) else {
        return;
    };
    let mut cuts = 0;
    for one in &exchanges {
        let body = one.response_body.as_bytes();
        // Where the first sign of an end begins; before it every cut is a truncation.
        let signs = ["\"finish_reason\":\"", "\"finish_reason\": \"", "[DONE]", "\"usage\":{", "\"usage\": {"];
        let Some(end) = signs.iter().filter_map(|sign| one.response_body.find(sign)).min() else {
            continue;
        };
        for cut in (0..end).step_by(1 + end / 40) {
            let (head, _) = body.split_at(cut);
            let (_, out, ended) = relayed(&[head], &one.provider);
            assert!(!ended, "{} {} cut at {cut}", one.provider, one.id);
            // A last event that lacked only its line ends has been given them.
            assert!(head.starts_with(out.trim_ascii_end()), "{} {} cut at {cut}", one.provider, one.id);
            cuts += 1;
        }
    }
    println!("{cuts} cuts of {} streams", exchanges.len());
    assert!(cuts > 5_000);
}

#[test]
fn the_usage_of_every_recorded_reply_reaches_the_invariant() {
    let wanted = |one: &Exchange| {
        matches!(one.api.as_str(), "chat_completions" | "completions" | "embeddings")
            && !one.streaming
            && one.status == 200
    };
    let Some(exchanges) = exchanges(wanted) else {
        return;
    };
    let mut with_usage = 0;
    let mut departures = Vec::new();
    for one in &exchanges {
        let what = format!("{} {} {}", one.provider, one.api, one.id);
        let body: Value = match serde_json::from_str(&one.response_body) {
            Ok(body) => body,
            Err(_) => continue,
        };
        let facts = inspect_reply(one.response_body.as_bytes(), rule_of(&one.provider));
        if !body.is_object() || !body["error"].is_null() || !body["choices"][0]["error"].is_null() {
            assert!(facts.is_err(), "{what}");
            continue;
        }
        let facts = facts.unwrap_or_else(|failure| panic!("{what}: {failure}"));
        assert_eq!(facts.model.as_deref(), body["model"].as_str().filter(|model| !model.is_empty()), "{what}");
        assert_eq!(
            facts.finish_reason.as_deref(),
            body["choices"][0]["finish_reason"].as_str().filter(|reason| !reason.is_empty()),
            "{what}"
        );
        let Some(usage) = facts.usage else {
            assert!(body["usage"]["prompt_tokens"].is_null(), "{what}");
            continue;
        };
        with_usage += 1;
        assert_eq!(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "{what}");
        assert!(usage.reasoning_tokens <= usage.completion_tokens, "{what}");
        assert!(usage.cached_tokens + usage.cache_write_tokens <= usage.prompt_tokens, "{what}");
        if body["usage"]["total_tokens"].as_u64().is_some_and(|total| total != usage.total_tokens) {
            departures.push(format!("{what} {}", body["usage"]));
        }
    }
    println!("{} replies, {with_usage} with usage, totals that differ: {departures:#?}", exchanges.len());
    assert!(with_usage > 500);
    assert!(departures.len() <= 5);
}

#[test]
fn recorded_errors_of_openai_shaped_providers_are_classified() {
    let wanted = |one: &Exchange| {
        one.status >= 400
            && one.tags.iter().any(|tag| tag == "error")
            && matches!(one.api.as_str(), "chat_completions" | "completions" | "embeddings" | "models" | "responses")
    };
    let Some(exchanges) = exchanges(wanted) else {
        return;
    };
    let mut counts = BTreeMap::<(u16, &str), u32>::new();
    for one in &exchanges {
        let what = format!("{} {} {}: {}", one.provider, one.id, one.status, one.response_body);
        let failure = ErrorReply {
            status: one.status,
            body: one.response_body.as_bytes(),
            retry_after: None,
            retry_after_ms: None,
            should_retry: None,
            now: SystemTime::UNIX_EPOCH,
        }
        .classify();
        let body = one.response_body.to_lowercase();
        let missing_model = body.contains("model_not_found")
            || body.contains("invalid_model")
            || body.contains("not a valid model")
            || body.contains("supported api model names");
        match (one.status, failure.kind) {
            (400, Kind::Auth) => assert!(body.contains("key"), "{what}"),
            (400, Kind::ContextLength) => assert!(body.contains("context size"), "{what}"),
            (400, Kind::FailedGeneration) => assert!(body.contains("failed_generation"), "{what}"),
            (400 | 404, Kind::NotFound) => assert!(body.contains("model") || body.contains("deployment"), "{what}"),
            (404, Kind::BadRequest) => assert!(body.contains("support"), "{what}"),
            (403, Kind::ContentPolicy) => assert!(body.contains("usage guidelines"), "{what}"),
            (400 | 422, Kind::BadRequest) => assert!(!missing_model, "{what}"),
            (401, Kind::Auth) | (403, Kind::Forbidden) | (500, Kind::UpstreamError) => {}
            _ => panic!("{:?}: {what}", failure.kind),
        }
        assert_eq!(
            failure.pass_through,
            !matches!(one.status, 401 | 403 | 500) && failure.kind != Kind::Auth,
            "{what}"
        );
        *counts.entry((one.status, failure.kind.name())).or_default() += 1;
    }
    println!("{} errors: {counts:?}", exchanges.len());
    assert!(exchanges.len() > 60);
}
