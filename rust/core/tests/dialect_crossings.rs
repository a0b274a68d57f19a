//! From every dialect into every other one: what a recorded answer said is still said.
//!
//! `FASTROUTE_RECORDINGS` names a folder of `*.jsonl.gz`; without it the golden replies and streams are crossed alone, and
//! the test says so. The rule: a difference is a failure unless it stands in [`LOSSES`], with its reason.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
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
use fastroute_core::dialects::fold::{Fold, FoldError};
use fastroute_core::dialects::message::{ChatReply, Choice, Content, Envelope, Event, FinishReason, Reply};
use flate2::read::GzDecoder;
use serde_json::Value;

#[path = "dialects/wire.rs"]
mod wire;

/// Recorded wire dialects and ours. Those without a line here have no dialect of ours yet.
const APIS: &[(&str, &str)] = &[
    ("chat_completions", "openai_chat"),
    ("responses", "openai_responses"),
    ("messages", "anthropic_messages"),
    ("vertex_raw_predict", "anthropic_messages"),
    ("generate_content", "gemini"),
    ("cohere_v2_chat", "cohere_v2"),
    ("ollama_chat", "ollama"),
    ("completions", "openai_completions"),
    ("converse", "bedrock_converse"),
];

/// What may be missing in a target dialect, and why. `*` is every source.
#[derive(Clone, Copy)]
struct Loss {
    target: &'static str,
    what: What,
    why: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Refusal,
    MoreThanOneChoice,
    FinishOfAFilter,
    Usage,
    CacheWrites,
    UsageDetails,
    /// Told where the source told none.
    NoUsage,
    /// Told as nothing where the source told zero.
    ZeroUsage,
    ArgumentsThatAreNoObject,
    StopBesideCalls,
    Calls,
    Reasoning,
    Error,
}

const LOSSES: &[Loss] = &[
    Loss { target: "anthropic_messages", what: What::Refusal, why: "has no block for a refusal: it is told as text" },
    Loss { target: "anthropic_messages", what: What::MoreThanOneChoice, why: "has one choice" },
    Loss {
        target: "anthropic_messages",
        what: What::NoUsage,
        why: "requires two counts: where nothing was told they are zero",
    },
    Loss {
        target: "anthropic_messages",
        what: What::ArgumentsThatAreNoObject,
        why: "has objects alone for the input of a tool: free text is a member of one",
    },
    Loss {
        target: "openai_responses",
        what: What::MoreThanOneChoice,
        why: "a response is one choice, never none and never two",
    },
    Loss {
        target: "openai_responses",
        what: What::StopBesideCalls,
        why: "a response is completed; whether it waits for calls is told by the calls alone",
    },
    Loss {
        target: "gemini",
        what: What::Refusal,
        why: "a refusal is text, because there is nothing else to say it as",
    },
    Loss { target: "gemini", what: What::StopBesideCalls, why: "STOP is said of calls as well, so calls go before it" },
    Loss { target: "gemini", what: What::CacheWrites, why: "cache writes have no count" },
    Loss {
        target: "gemini",
        what: What::UsageDetails,
        why: "reasoning that a server counts beside the completion is cut to it",
    },
    Loss {
        target: "ollama",
        what: What::StopBesideCalls,
        why: "a stop is said of calls as well, so calls go before it",
    },
    Loss { target: "ollama", what: What::ZeroUsage, why: "counts of nothing are not told" },
    Loss { target: "cohere_v2", what: What::MoreThanOneChoice, why: "a reply is one message, no more and no less" },
    Loss { target: "cohere_v2", what: What::Refusal, why: "a refusal is text like any other" },
    Loss { target: "cohere_v2", what: What::CacheWrites, why: "usage counts what was read from a cache alone" },
    Loss { target: "bedrock_converse", what: What::Refusal, why: "has no block for a refusal: it is told as text" },
    Loss { target: "bedrock_converse", what: What::MoreThanOneChoice, why: "a reply is one message" },
    Loss { target: "bedrock_converse", what: What::UsageDetails, why: "reasoning is not counted by itself" },
    Loss {
        target: "bedrock_converse",
        what: What::ArgumentsThatAreNoObject,
        why: "has objects alone for the input of a tool: free text is a member of one",
    },
    Loss { target: "ollama", what: What::MoreThanOneChoice, why: "a reply is one message, no more and no less" },
    Loss { target: "ollama", what: What::Refusal, why: "a refusal is text like any other" },
    Loss { target: "ollama", what: What::CacheWrites, why: "usage is two counts without details" },
    Loss { target: "ollama", what: What::UsageDetails, why: "usage is two counts without details" },
    Loss {
        target: "ollama",
        what: What::ArgumentsThatAreNoObject,
        why: "arguments are an object, so those that broke off or are free text are a string in one",
    },
    Loss { target: "ollama", what: What::FinishOfAFilter, why: "there is a word for an end and one for a length" },
    Loss { target: "openai_completions", what: What::Refusal, why: "a refusal is text like any other" },
    Loss { target: "openai_completions", what: What::Reasoning, why: "a completion is the text of the answer alone" },
    Loss { target: "openai_completions", what: What::Calls, why: "has no calls: an answer that makes one is refused" },
    Loss { target: "openai_completions", what: What::FinishOfAFilter, why: "without calls, an end by calls is an end" },
];

/// What must survive, in a form of its own.
#[derive(Debug, Clone, PartialEq, Default)]
struct Said {
    text: String,
    reasoning: String,
    refusal: String,
    /// Name and arguments, as values where they are JSON.
    calls: Vec<(String, Value)>,
    finish: Option<&'static str>,
}

type Answer = (BTreeMap<u32, Said>, Option<[u64; 5]>);

/// Where among the counts of an answer the tokens written to a cache are, and where the details begin.
const CACHE_WRITES: usize = 3;
const DETAILS: usize = 2;

fn said(reply: &ChatReply<'_>) -> Answer {
    let choices = reply.choices.iter().map(|choice| {
        let mut said = Said::default();
        for block in &choice.turn.blocks {
            match &block.content {
                Content::Text { text, .. } => said.text += text,
                Content::Refusal { text, .. } => said.refusal += text,
                Content::Reasoning(reasoning) => said.reasoning += &reasoning.text,
                Content::ToolCall(call) => {
                    // Servers say in three ways that a call has no arguments.
                    let nothing = matches!(call.arguments.trim(), "" | "null");
                    let arguments = if nothing { "{}" } else { &call.arguments };
                    let value = serde_json::from_str(arguments).unwrap_or(Value::String(call.arguments.to_string()));
                    said.calls.push((call.name.to_string(), value));
                }
                _ => {}
            }
        }
        said.finish = choice.finish.as_ref().map(|finish| match finish.reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls | FinishReason::FunctionCall => "tool_calls",
            FinishReason::ContentFilter => "content_filter",
            FinishReason::Error => "error",
        });
        (choice.index, said)
    });
    let usage = reply.usage.as_ref().map(|usage| {
        let tokens = usage.tokens;
        let part = |tokens: Option<u64>| tokens.unwrap_or(0);
        [
            tokens.prompt_tokens,
            tokens.completion_tokens,
            part(tokens.cached_tokens),
            part(tokens.cache_write_tokens),
            part(tokens.reasoning_tokens),
        ]
    });
    (choices.collect(), usage)
}

/// One answer to cross: where it comes from, and its body.
struct Case {
    id: String,
    dialect: Dialect,
    stream: bool,
    body: Vec<u8>,
}

fn recorded(counts: &mut BTreeMap<String, u64>) -> Vec<Case> {
    let Some(folder) = std::env::var_os("FASTROUTE_RECORDINGS").map(PathBuf::from) else {
        println!("FASTROUTE_RECORDINGS is not set: skipped every recorded answer; the golden ones are crossed");
        return Vec::new();
    };
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gz"));
    files.sort();
    let mut found = Vec::new();
    for path in files {
        for line in BufReader::new(GzDecoder::new(File::open(&path).unwrap())).lines() {
            let exchange: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let api = exchange["api"].as_str().unwrap();
            let ours = APIS.iter().find(|(theirs, _)| *theirs == api).and_then(|(_, ours)| Dialect::from_name(ours));
            let Some(dialect) = ours else {
                *counts.entry(format!("{api}: no dialect of ours")).or_default() += 1;
                continue;
            };
            if exchange["status"].as_u64().unwrap() >= 400 {
                *counts.entry(format!("{api}: errors")).or_default() += 1;
                continue;
            }
            let body = exchange["response_body"].as_str().unwrap();
            found.push(Case {
                id: exchange["id"].as_str().unwrap().to_owned(),
                dialect,
                stream: exchange["streaming"].as_bool().unwrap(),
                body: match exchange["body_encoding"].as_str().unwrap() {
                    "base64" => STANDARD.decode(body).unwrap(),
                    _ if exchange["streaming"] == true => wire::bytes(dialect, body),
                    _ => body.as_bytes().to_vec(),
                },
            });
        }
    }
    found
}

fn golden() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/dialects");
    let mut found = Vec::new();
    for dialect in Dialect::ALL.iter().copied().filter(|dialect| dialect.reader().is_some()) {
        for (kind, stream) in [("replies", false), ("streams", true)] {
            let mut files: Vec<_> = fs::read_dir(root.join(dialect.name()).join(kind)).unwrap().collect();
            files.sort_by_key(|entry| entry.as_ref().unwrap().path());
            found.extend(files.into_iter().map(|entry| {
                let path = entry.unwrap().path();
                let body = fs::read_to_string(&path).unwrap();
                let body = if stream { wire::bytes(dialect, &body) } else { body.into_bytes() };
                Case { id: path.display().to_string(), dialect, stream, body }
            }));
        }
    }
    found
}

/// Reads a stream and folds it; the events also go into `writer`, where there is one.
fn fold(
    dialect: Dialect,
    body: &[u8],
    mut into: Option<(&mut fastroute_core::dialects::Writer, &mut Vec<u8>)>,
) -> Result<ChatReply<'static>, FoldError> {
    let mut reader = dialect.reader().unwrap();
    let mut fold = Fold::new(1 << 20);
    let mut ended = false;
    for (name, data) in wire::events(dialect, body) {
        for event in reader.parse_event(&name, data.as_bytes()).unwrap_or_else(|error| panic!("{error}")) {
            ended |= matches!(event, Event::Done | Event::Error(_));
            fold.add(&event)?;
            if let Some((writer, out)) = &mut into {
                writer.render_event(&event, out);
            }
        }
    }
    for event in reader.end() {
        ended |= matches!(event, Event::Done | Event::Error(_));
        fold.add(&event)?;
        if let Some((writer, out)) = &mut into {
            writer.render_event(&event, out);
        }
    }
    // Where a server left out its end, the relay adds it once it has seen a finish.
    if let (false, Some((writer, out))) = (ended, &mut into) {
        writer.render_event(&Event::Done, out);
    }
    fold.finish()
}

/// Where and how two answers differ, if they do.
fn difference(said: &Answer, expected: &Answer) -> Vec<(What, String)> {
    let mut found = Vec::new();
    if said.0.len() != expected.0.len() {
        found.push((What::MoreThanOneChoice, format!("{} choices of {}", said.0.len(), expected.0.len())));
    }
    for (index, expected) in &expected.0 {
        let Some(said) = said.0.get(index) else { continue };
        // An empty line between two blocks is how some dialects join them.
        if said.reasoning.replace("\n\n", "") != expected.reasoning.replace("\n\n", "") {
            found.push((What::Reasoning, "reasoning".to_owned()));
        }
        if said.refusal != expected.refusal || (said.text != expected.text && !expected.refusal.is_empty()) {
            found.push((What::Refusal, "refusal".to_owned()));
        } else if said.text != expected.text {
            panic!("text is {:?}, not {:?}", said.text, expected.text);
        }
        if said.calls != expected.calls {
            // Free text is a member of an object where there are objects alone, also where it reads like one.
            let is_loss = |((said, wrapped), (name, value)): (&(String, Value), &(String, Value))| {
                said == name && (!value.is_object() || wrapped["input"].is_string())
            };
            let differing = said.calls.iter().zip(&expected.calls).filter(|(said, expected)| said != expected);
            assert!(
                said.calls.len() == expected.calls.len() && differing.clone().all(is_loss),
                "{:?} of {:?}",
                said.calls,
                expected.calls
            );
            found.push((What::ArgumentsThatAreNoObject, "arguments".to_owned()));
        }
        if said.finish == Some("tool_calls") && expected.finish == Some("stop") && !expected.calls.is_empty() {
            found.push((What::StopBesideCalls, "stop became tool_calls".to_owned()));
        } else if said.finish != expected.finish {
            found.push((What::FinishOfAFilter, format!("finish {:?} was {:?}", said.finish, expected.finish)));
        }
    }
    let without = |usage: &Option<[u64; 5]>, details: std::ops::Range<usize>| {
        usage.map(|mut tokens| {
            tokens[details].fill(0);
            tokens
        })
    };
    if said.1 != expected.1 {
        let same_without =
            |details: std::ops::Range<usize>| without(&said.1, details.clone()) == without(&expected.1, details);
        let what = if expected.1.is_none() {
            What::NoUsage
        } else if said.1.is_none() && expected.1 == Some([0; 5]) {
            What::ZeroUsage
        } else if same_without(CACHE_WRITES..CACHE_WRITES + 1) {
            What::CacheWrites
        } else if same_without(DETAILS..5) {
            What::UsageDetails
        } else {
            What::Usage
        };
        found.push((what, format!("usage {:?} was {:?}", said.1, expected.1)));
    }
    found
}

fn refuses_calls(reply: &ChatReply<'_>, target: Dialect) -> bool {
    let mut blocks = reply.choices.iter().flat_map(|choice| &choice.turn.blocks);
    target == Dialect::OpenAiCompletions && blocks.any(|block| matches!(block.content, Content::ToolCall(_)))
}

fn cross(case: &Case, target: Dialect) -> Option<Vec<(What, String)>> {
    let envelope = Envelope { id: "id-1", model: "m", created_s: 1, include_usage: true };
    if case.stream {
        let mut writer = target.writer(&envelope)?;
        let mut out = Vec::new();
        let read = fold(case.dialect, &case.body, Some((&mut writer, &mut out)));
        let again = fold(target, &out, None);
        return Some(match (read, again) {
            (Ok(read), Err(FoldError::Failed(_))) if refuses_calls(&read, target) => {
                vec![(What::Calls, "calls".into())]
            }
            // Whether it calls is told before the stream breaks off.
            (Err(FoldError::Unfinished), Err(FoldError::Failed(_))) if target == Dialect::OpenAiCompletions => {
                vec![(What::Calls, "calls".into())]
            }
            (Ok(read), Ok(again)) => difference(&said(&again), &said(&read)),
            (Err(FoldError::Failed(_)), Err(FoldError::Failed(_)))
            | (Err(FoldError::Unfinished), Err(FoldError::Unfinished)) => Vec::new(),
            (read, again) => vec![(What::Error, format!("{:?} was {:?}", again.err(), read.err()))],
        });
    }
    let Ok(Reply::Chat(reply)) = case.dialect.parse_reply(&case.body) else { return None };
    let failed = |choice: &Choice<'_>| choice.finish.as_ref().is_some_and(|f| f.reason == FinishReason::Error);
    let body = match target.render_reply(&Reply::Chat(reply.clone()), &envelope) {
        Ok(body) => body,
        // What ended in an error is no answer: a dialect may refuse to say it.
        Err(_) if reply.choices.iter().any(failed) => return Some(Vec::new()),
        Err(_) if refuses_calls(&reply, target) => return Some(vec![(What::Calls, "calls".into())]),
        Err(error) => return Some(vec![(What::Error, error.to_string())]),
    };
    let again = target.parse_reply(&body).unwrap_or_else(|error| panic!("what was written cannot be read: {error}"));
    let Reply::Chat(again) = again else { panic!("another kind of reply") };
    Some(difference(&said(&again), &said(&reply)))
}

#[test]
fn answers_say_in_every_dialect_what_they_said_in_their_own() {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut lost: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let mut failures = Vec::new();
    let cases = recorded(&mut counts).into_iter().chain(golden());
    for case in cases {
        for target in Dialect::ALL.iter().copied().filter(|target| target.reader().is_some()) {
            let key = format!("{} to {}", case.dialect.name(), target.name());
            let crossed = std::panic::catch_unwind(|| cross(&case, target));
            let Ok(crossed) = crossed else {
                failures.push(format!("{key}: {}", case.id));
                continue;
            };
            let Some(differences) = crossed else {
                *counts.entry(format!("{key}: not an answer of the kind")).or_default() += 1;
                continue;
            };
            *counts.entry(key.clone()).or_default() += 1;
            for (what, how) in differences {
                let listed = LOSSES.iter().find(|loss| loss.target == target.name() && loss.what == what);
                match listed {
                    Some(known) => {
                        let entry = lost.entry(format!("{key}: {what:?}, {}", known.why)).or_insert((0, how));
                        entry.0 += 1;
                    }
                    None => failures.push(format!("{key}: {}: {how}", case.id)),
                }
            }
        }
    }
    for (key, count) in &counts {
        println!("{count:6} {key}");
    }
    for (key, (count, how)) in &lost {
        println!("lost {count:6} {key} (as in: {how})");
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures[..failures.len().min(40)].join("\n"));
}
