//! What real clients sent and real providers took, brought into the form of every target: it can be said there, or it is
//! refused for one of the few reasons for which a request is refused.
//!
//! Read from `$FASTROUTE_RECORDINGS` and `$FASTROUTE_CLIENTS`; where one is unset the test says so and runs the other.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what the functions of a test meet is a failure of the test"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use fastroute_core::dialects::Dialect;
use fastroute_core::passes::{Demands, OnLoss};
use fastroute_core::translate::{self, Address};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

const APIS: &[(&str, Dialect)] = &[
    ("chat_completions", Dialect::OpenAiChat),
    ("responses", Dialect::OpenAiResponses),
    ("messages", Dialect::AnthropicMessages),
    ("generate_content", Dialect::Gemini),
    ("cohere_v2_chat", Dialect::CohereV2),
    ("ollama_chat", Dialect::Ollama),
];

/// Who sent it, in which dialect, and the body.
type Asked = (String, Dialect, Value);

fn recorded() -> Vec<Asked> {
    let Some(folder) = std::env::var_os("FASTROUTE_RECORDINGS").map(PathBuf::from) else {
        println!("FASTROUTE_RECORDINGS is not set: skipped every recorded request");
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "gz") {
            continue;
        }
        for line in BufReader::new(GzDecoder::new(File::open(&path).unwrap())).lines() {
            let exchange: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let api = exchange["api"].as_str().unwrap();
            let dialect = APIS.iter().find(|(known, _)| *known == api);
            if let Some((_, dialect)) = dialect
                && exchange["status"] == 200
                && exchange["request"].is_object()
            {
                found.push((exchange["id"].as_str().unwrap().to_owned(), *dialect, exchange["request"].clone()));
            }
        }
    }
    found
}

fn of_clients() -> Vec<Asked> {
    let Some(folder) = std::env::var_os("FASTROUTE_CLIENTS").map(PathBuf::from) else {
        println!("FASTROUTE_CLIENTS is not set: skipped every request of a client");
        return Vec::new();
    };
    let traffic = fs::read_to_string(folder.join("traffic.jsonl")).unwrap();
    let requests = traffic.lines().filter_map(|line| {
        let request: Value = serde_json::from_str(line).unwrap();
        let path = request["path"].as_str()?.split('?').next()?;
        let dialect = match path.rsplit('/').next()? {
            "completions" => Dialect::OpenAiChat,
            "responses" => Dialect::OpenAiResponses,
            "messages" => Dialect::AnthropicMessages,
            other if other.ends_with("enerateContent") => Dialect::Gemini,
            _ => return None,
        };
        let body = request["body"].clone();
        body.is_object().then(|| (format!("{} {}", request["client"], request["scenario"]), dialect, body))
    });
    requests.collect()
}

fn targets() -> Vec<(&'static str, Demands)> {
    let row = |name, dialect, capabilities: Value, quirks: Value| {
        let (capabilities, quirks) =
            (serde_json::from_value(capabilities).unwrap(), serde_json::from_value(quirks).unwrap());
        (name, Demands::new(dialect, capabilities, quirks, OnLoss::Drop))
    };
    let plain = APIS.iter().map(|(name, dialect)| (*name, Demands::of(*dialect)));
    let mut targets: Vec<_> = plain.collect();
    targets.push(row(
        "budget",
        Dialect::AnthropicMessages,
        json!({"reasoning_style": "budget", "max_output": 32000, "json_schema": "tool", "forced_tool_choice": "without_thinking"}),
        json!({}),
    ));
    targets.push(row(
        "adaptive",
        Dialect::AnthropicMessages,
        json!({"reasoning_style": "adaptive", "sampling": "reject", "prefill": false, "mid_system": true}),
        json!({}),
    ));
    targets.push(row(
        "level",
        Dialect::Gemini,
        json!({"reasoning_style": "level", "json_schema": "prompt"}),
        json!({}),
    ));
    targets.push(row(
        "imitator",
        Dialect::OpenAiChat,
        json!({"reasoning_style": "toggle", "json_schema": "json_object", "max_tokens_field": "max_tokens"}),
        json!({"call_ids": "nine", "flatten_text": true, "history_reasoning": "require", "reasoning_form": "thinking",
            "tool_schema": "open_api", "answer_after_results": true, "arguments_are_objects": true, "no_null_members": true,
            "alternates": true, "user_first": true, "json_word_needed": true, "drop": ["seed", "store", "metadata"]}),
    ));
    targets
}

/// For what a request may be refused, as the beginnings of places in its own dialect.
const REASONS: [&str; 14] = [
    "cachedContent",
    "contents",
    "conversation",
    "documents",
    "generationConfig",
    "input",
    "messages",
    "n",
    "output_config",
    "previous_response_id",
    "prompt",
    "response_format",
    "text.format",
    "tool_choice",
];

#[test]
fn what_was_taken_somewhere_can_be_said_everywhere() {
    let asked: Vec<Asked> = recorded().into_iter().chain(of_clients()).collect();
    let mut refused: BTreeMap<String, u32> = BTreeMap::new();
    let mut crossed = 0;
    for (who, source, body) in &asked {
        let mut body = body.clone();
        if *source == Dialect::Gemini {
            body["model"] = json!("m");
        }
        let text = body.to_string();
        // What its own dialect does not read is another test's.
        if source.parse_request(text.as_bytes()).is_err() {
            *refused.entry(format!("{}: not read", source.name())).or_default() += 1;
            continue;
        }
        for (name, demands) in targets() {
            let told = match translate::request(
                text.as_bytes(),
                *source,
                &demands,
                Address { model: Some("m"), stream: None },
            ) {
                Ok(told) => told,
                Err(error) => {
                    let param = error.param.clone().unwrap_or_default();
                    assert!(REASONS.iter().any(|reason| param.starts_with(reason)), "{who} to {name}: {error}");
                    let reason = if param.contains('[') { error.message.to_string() } else { param };
                    *refused.entry(format!("{} to {name}: {reason}", source.name())).or_default() += 1;
                    continue;
                }
            };
            crossed += 1;
            if demands.dialect != Dialect::Gemini {
                let again = demands.dialect.parse_request(&told.body);
                assert!(again.is_ok(), "{who} to {name}: {:?}", again.err());
            }
            if demands.dialect == Dialect::AnthropicMessages {
                let said: Value = serde_json::from_slice(&told.body).unwrap();
                let limit = said["max_tokens"].as_u64().unwrap_or_else(|| panic!("{who} to {name}: no limit"));
                if let Some(budget) = said["thinking"]["budget_tokens"].as_u64() {
                    assert!(budget < limit && (*source == demands.dialect || budget >= 1024), "{who} to {name}");
                }
            }
        }
    }
    for (what, count) in &refused {
        println!("{count:5} {what}");
    }
    println!("crossed {crossed} times from {} requests", asked.len());
    let codex = asked.iter().filter(|(who, ..)| who.starts_with("\"codex\"") || who.starts_with("\"claude-code\""));
    for (who, source, body) in codex {
        let told = translate::request(
            body.to_string().as_bytes(),
            *source,
            &Demands::of(Dialect::OpenAiChat),
            Address::default(),
        );
        assert!(told.is_ok(), "{who}: {:?}", told.err());
    }
}
